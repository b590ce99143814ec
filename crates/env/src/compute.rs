//! Work that takes a processor for long enough to delay others.

use std::future::Future;

/// A sized pool of processors.
pub trait Compute: Clone + Send + Sync + 'static {
    /// Runs `job` beside the tasks of the node and yields its value. The job gets no handle of the environment, so
    /// it can observe neither time nor entropy.
    ///
    /// The job is queued from the first poll on; the call waits while all places of the bounded queue are taken.
    /// Dropping the future before the job has started withdraws it; a running job runs to its end and its value is
    /// dropped.
    ///
    /// # Errors
    /// [`ComputeError`].
    fn run<T, F>(&self, cost: Cost, job: F) -> impl Future<Output = Result<T, ComputeError>> + Send
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    /// States that the calling task has just spent `cost` on its own thread, on what it does next. The simulator holds
    /// the node busy for that long, and what the task sends, asks of a disk or has computed afterwards leaves it that
    /// much later; the clock shows it from the next poll on. Production does nothing.
    fn charge(&self, cost: Cost);
}

/// How much work: `units` of `kind`. The simulator's table (`sim/src/costs.rs`, which a
/// scenario may change) gives nanoseconds per unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// What is counted.
    pub kind: CostKind,
    /// How many.
    pub units: u64,
}

impl Cost {
    /// `units` of `kind`.
    pub const fn new(kind: CostKind, units: u64) -> Self {
        Self { kind, units }
    }
}

/// What a unit of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CostKind {
    /// One ed25519 signature made.
    Ed25519Sign,
    /// One ed25519 signature checked.
    Ed25519Verify,
    /// One BLS signature made.
    BlsSign,
    /// One BLS signature checked, single or aggregate: the pairing dominates.
    BlsVerify,
    /// One BLS signature or key added to an aggregate.
    BlsAggregate,
    /// One byte hashed.
    HashByte,
    /// One byte encrypted or decrypted.
    CipherByte,
    /// One instruction's worth of ledger execution.
    Execute,
    /// One thousand multiply-adds of scoring.
    Score,
}

/// Why a job has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// The node is shutting down; the job did not run.
    #[error("the compute pool is closed")]
    Closed,
    /// The job panicked: a bug. The simulator ends the run instead of answering this.
    #[error("a compute job panicked: {message}")]
    Panicked {
        /// The panic's message, empty when it carried none.
        message: String,
    },
}
