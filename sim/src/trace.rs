//! The trace of a run: hashes of every event, as many events as asked for, and tools to compare and look at them.
//!
//! Pure and synchronous: nothing here reads a clock or knows of the kernel.

mod block;
mod bytes;
mod chain;
mod error;
mod header;
mod model;
mod name;
mod reader;
mod record;
mod recorder;
mod writer;

pub use chain::{Chain, Ladder, NodeHead, RUNG, RunHash, first_divergence};
pub use error::Error;
pub use header::{BlockAt, Footer, Header, Summary};
pub use name::{Name, Names};
pub use reader::Trace;
pub use record::{Entry, Kind, Level, Record};
pub use recorder::{Options, Recorder};

/// The digest of a payload in records: xxh3-64, for comparison, not for security.
pub fn digest(payload: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(payload)
}
