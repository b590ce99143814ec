//! The nouns that two strangers share.
//!
//! Not here: what a transaction means (`ledger`), how blocks are ordered (`consensus`), anything that reads a
//! clock, a socket or a file.
//!
//! Modules in reading order: [`time`], [`peer`].

pub mod peer;
pub mod time;

pub use peer::PeerId;
pub use time::{Mono, UnixMillis};
