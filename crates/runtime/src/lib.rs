//! The environment of a node in production.
//!
//! [`Runtime`] implements [`env::Env`] on tokio, QUIC, an embedded store, the randomness of the operating system and a
//! pool of threads. Not here: blobs over HTTP (crate `blobs`), any protocol of the network, reading of configuration
//! files. Unix only: a new file is there after a crash once its folder is synced, for which other systems have no call.
//!
//! Invariants:
//! - Each queue has a bound: of the channel, of the configuration, or of a constant beside it. Only the writes of a store
//!   queue for as long as somebody calls: a call takes a place in the order, and its future is what waits.
//! - No byte from a peer or from the disk panics: it becomes a typed error, or is dropped and counted.
//! - After [`Runtime::shutdown`] every handle answers `Closed`, and no task, connection or file of it is left.
//!
//! Modules in reading order: [`config`], `assembly` (the whole), `life` (its end), `clock`, `spawn`, `compute`,
//! `entropy`, `probe`, `blobs`, [`network`], [`storage`].

mod assembly;
mod blobs;
mod clock;
mod compute;
pub mod config;
mod entropy;
mod life;
pub mod network;
mod probe;
mod spawn;
pub mod storage;

pub use assembly::{Runtime, StartError};
pub use blobs::NoBlobs;
pub use clock::OsClock;
pub use compute::ComputePool;
pub use config::{Config, ConfigError, NetworkLimits, StoreLimits};
pub use entropy::OsEntropy;
pub use network::{Fault, QuicNetwork};
pub use probe::{Counters, TracingProbe};
pub use spawn::{TaskScope, TokioSpawner, TokioTask};
pub use storage::RedbStorage;
#[cfg(feature = "rocksdb")]
pub use storage::RocksStorage;
