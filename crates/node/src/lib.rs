//! A node, generic over [`env::Env`]: what turns machines without IO into a member of a network.
//!
//! Not here: the rules of consensus (`consensus`), sockets and files (`runtime`), configuration (`cli`).
//!
//! Invariants:
//! - An own block is durable, with everything that it stands on, before anybody hears of it.
//! - A commit goes to the consumer after the call that writes it, in order and exactly once for each start of the
//!   consumer.
//! - At most one epoch's consensus is alive; the one before is served read-only.
//! - Each queue has a bound, and none of them grows with what peers send.
//!
//! Modules in reading order: [`consensus`], [`epochs`].

pub mod consensus;
pub mod epochs;
