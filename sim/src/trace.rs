//! The trace of a run: hashes of every event, as many events as asked for, and tools to compare and look at them.
//!
//! Pure and synchronous: nothing here reads a clock or knows of the kernel.
//!
//! - Writing: [`Recorder`] takes every [`Record`], `chain` hashes it, `writer` puts those that are kept into `block`s.
//! - Reading: [`Trace`] opens a file of which it believes nothing.
//! - Using: [`first_divergence`] and [`diff`] say where two runs part, [`causal_slice`] what led to an event; [`view()`],
//!   [`ndjson`], [`perfetto`] and [`text`] show events.
//!
//! Equal run hashes mean equal runs, at any [`Level`]: what is recorded must not depend on what is kept.

mod block;
mod bytes;
mod chain;
mod compare;
mod error;
mod export;
mod header;
mod model;
mod name;
mod reader;
mod record;
mod recorder;
#[cfg(test)]
mod sample;
mod slice;
#[cfg(test)]
mod tests;
mod view;
mod writer;

pub use chain::{Chain, Ladder, NodeHead, RUNG, RunHash, first_divergence};
pub use compare::{Comparison, Difference, Side, Which, diff, locate};
pub use error::Error;
pub use export::{ndjson, perfetto};
pub use header::{BlockAt, Footer, Header, Summary};
pub use name::{Name, Names};
pub use reader::Trace;
pub use record::{Entry, Kind, Level, Record};
pub use recorder::{Options, Recorder};
pub use slice::{causal_slice, text};
pub use view::{VIEW_EVENTS, view};

/// The digest of a payload in records: xxh3-64, for comparison, not for security.
pub fn digest(payload: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(payload)
}
