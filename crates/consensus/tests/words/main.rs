//! What members say to each other, laid out by hand: what is right is taken as it is meant, and what is wrong in any one
//! field is refused with the error that names it.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

mod answers;
mod bad_answers;
mod bad_blocks;
mod blocks;
mod goldens;
mod kit;
mod sizes;
