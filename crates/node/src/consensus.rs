//! Consensus on an environment: the machine of the crate `consensus` with a store, peers, a clock and a consumer.
//!
//! [`fn@run`] is one member's part in one epoch. One task owns the machine; others receive and check blocks, send own ones,
//! answer requests and ask for what is missing. When the store fails, everything is built again from what it holds.
//!
//! Modules in reading order: [`setup`], [`consumer`], [`handle`], [`metrics`], `channels` (what is said on the wire),
//! `store` (its opening and its reading), `driver` (the task that owns the machine), `incoming`, `outgoing`,
//! `questions`, [`archive`] (what is answered from a store alone), `run`.

pub mod archive;
mod channels;
pub mod consumer;
mod driver;
pub mod handle;
mod incoming;
pub mod metrics;
mod outgoing;
mod questions;
pub(crate) mod run;
pub mod setup;
mod store;

pub use archive::{Archive, ArchiveError, serve};
pub use channels::{BLOCKS, REQUESTS};
pub use consumer::{Consumer, Flow, Log};
pub use handle::{Handle, Port, SubmitError};
pub use metrics::{Metrics, Snapshot};
pub use run::{End, Failure, prepare, run, run_after};
pub use setup::{Mode, Peer, Secrets, Setup, SetupError, Start};
