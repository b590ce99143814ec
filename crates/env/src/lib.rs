//! The traits a node lives on. A node is generic over [`Env`] and reaches nothing of the outside but through it,
//! so the same code runs on a real machine (`runtime`) and inside the simulator (`sim`).
//!
//! Not here: any implementation, any encoding (the network and the store carry bytes), any protocol.
//!
//! Invariants:
//! - Everything that waits is a future that may be dropped at any await point; each method says what is then left.
//! - Every queue has a bound that its opener states; a full one answers `Busy`, it never buffers on.
//! - A method that returns no future acts when it is called. A future acts from its first poll on, and not at all when
//!   nobody polls it. Some act by the call though they return a future: [`Clock::sleep`] and [`Clock::timeout`], whose
//!   time runs, [`Store::write`] and [`Store::sync`], whose place in the order is taken, and [`Scope::cancel`].
//! - What two calls of one task do to one handle is in the order in which they act, so futures that are made first and
//!   polled later are in the order of those polls.
//! - After the incarnation of a node ends (crash, shut-down), each handle of it answers `Closed`.
//!
//! The contracts on the traits are executable: `testkit::contract` holds one suite per trait, and every
//! implementation runs all of them.
//!
//! Modules in reading order: [`clock`], [`spawn`], [`compute`], [`network`], [`storage`], [`blobs`], [`entropy`],
//! [`probe`], [`sync`], and [`select!`].

pub mod blobs;
pub mod clock;
pub mod compute;
pub mod entropy;
pub mod network;
pub mod probe;
mod select;
pub mod spawn;
pub mod storage;
pub mod sync;

pub use blobs::{BlobError, Blobs};
pub use clock::{Clock, Elapsed, Interval};
pub use compute::{Compute, ComputeError, Cost, CostKind};
pub use entropy::Entropy;
pub use network::{
    Channel, Inbound, Listener, Network, NetworkError, PeerAddress, Reply, Stream, StreamReceiver,
    StreamSender,
};
pub use probe::{Event, Probe, Site, SiteKind};
pub use spawn::{Scope, Spawner, Task, TaskError};
pub use storage::{
    Batch, Direction, Durability, Entry, Family, KeyRange, Operation, Reader, Storage, StorageError, Store,
};

/// What one incarnation of a node has of the world. Cloning gives a second handle on the same world.
pub trait Env: Clone + Send + Sync + 'static {
    /// See [`Clock`].
    type Clock: Clock;
    /// See [`Network`].
    type Network: Network;
    /// See [`Storage`].
    type Storage: Storage;
    /// See [`Blobs`].
    type Blobs: Blobs;
    /// See [`Entropy`].
    type Entropy: Entropy;
    /// See [`Spawner`].
    type Spawner: Spawner;
    /// See [`Compute`].
    type Compute: Compute;
    /// See [`Probe`].
    type Probe: Probe;

    /// Time.
    fn clock(&self) -> &Self::Clock;
    /// Messages to and from other nodes.
    fn network(&self) -> &Self::Network;
    /// This node's disk.
    fn storage(&self) -> &Self::Storage;
    /// Other people's files.
    fn blobs(&self) -> &Self::Blobs;
    /// Randomness.
    fn entropy(&self) -> &Self::Entropy;
    /// Tasks.
    fn spawner(&self) -> &Self::Spawner;
    /// Work that takes a processor for long.
    fn compute(&self) -> &Self::Compute;
    /// Observation and, in the simulator, mischief.
    fn probe(&self) -> &Self::Probe;
}

#[doc(hidden)]
pub mod __private {
    pub use linkme;
    pub use tokio;
}
