//! The whole environment of one incarnation, and its end.

use std::sync::Arc;

use env::{Blobs, Env, Storage};
use tokio::runtime::Handle;

use crate::clock::OsClock;
use crate::compute::ComputePool;
use crate::config::{Config, ConfigError};
use crate::entropy::OsEntropy;
use crate::life::Life;
use crate::network::{NetworkStartError, QuicNetwork};
use crate::probe::TracingProbe;
use crate::spawn::TokioSpawner;
use crate::storage::{Disk, Engine, make_folder};

/// What one incarnation of a node has of the world. Clones are handles on the same incarnation. When the last one is
/// dropped without [`shutdown`](Self::shutdown), the incarnation ends at once, as if its process was killed.
#[derive(Debug)]
pub struct Runtime<S, B>(Arc<Parts<S, B>>);

#[derive(Debug)]
struct Parts<S, B> {
    life: Life,
    /// Held by the call that shuts down.
    shutdown: tokio::sync::Mutex<()>,
    clock: OsClock,
    network: QuicNetwork,
    storage: S,
    blobs: B,
    spawner: TokioSpawner,
    compute: ComputePool,
    probe: TracingProbe,
}

/// Why an environment does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `start` was not called inside a tokio runtime with timers and IO.
    #[error("the environment needs a tokio runtime to run on")]
    NoTokio,
    /// The folder of the stores cannot be made.
    #[error("the data folder `{path}` cannot be used")]
    Data {
        /// Which folder.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The network does not start.
    #[error(transparent)]
    Network(#[from] NetworkStartError),
    /// The system gives no threads.
    #[error("the compute pool does not start: {detail}")]
    Threads {
        /// Its answer.
        detail: String,
    },
}

impl<E: Engine, B: Blobs> Runtime<Disk<E>, B> {
    /// Starts an incarnation on the tokio runtime that the call is made in. It listens at once, and connects to nobody
    /// until it is told of peers.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: &Config, blobs: B) -> Result<Self, StartError> {
        config.check()?;
        let handle = Handle::try_current().map_err(|_| StartError::NoTokio)?;
        let life = Life::new();
        let data = |source| StartError::Data {
            path: config.data.clone(),
            source,
        };
        make_folder(&config.data).map_err(data)?;
        let compute = ComputePool::start(config.compute_threads.get(), config.compute_queue, life.clone())
            .map_err(|error| StartError::Threads {
                detail: error.to_string(),
            })?;
        Ok(Self(Arc::new(Parts {
            clock: OsClock::start(handle.clone()),
            network: QuicNetwork::start(config, &handle, &life)?,
            storage: Disk::new(
                config.data.clone(),
                config.store.clone(),
                handle.clone(),
                life.clone(),
            ),
            blobs,
            spawner: TokioSpawner::start(handle),
            compute,
            probe: TracingProbe::default(),
            shutdown: tokio::sync::Mutex::default(),
            life,
        })))
    }

    /// Ends the incarnation: cancels its tasks, closes its connections with a word to the peers, applies the writes
    /// that were called before and closes its stores. Every handle answers `Closed` from the call on. When it returns,
    /// the next incarnation can start on the same folder, and on the same address unless somebody still holds a stream
    /// or a reply of this one.
    ///
    /// Every call returns when all is done. Dropping the future leaves the end in force and the rest undone, until the
    /// next call does it.
    pub async fn shutdown(&self) {
        let parts = &self.0;
        parts.life.end();
        let _turn = parts.shutdown.lock().await;
        parts.compute.close();
        parts.spawner.cancel().await;
        parts.network.close().await;
        parts.storage.close().await;
    }
}

impl<S, B> Drop for Parts<S, B> {
    fn drop(&mut self) {
        self.life.end();
        self.compute.close();
        self.spawner.abandon();
        self.network.abandon();
        // The stores close with their handles.
    }
}

impl<S, B> Clone for Runtime<S, B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Storage, B: Blobs> Env for Runtime<S, B> {
    type Clock = OsClock;
    type Network = QuicNetwork;
    type Storage = S;
    type Blobs = B;
    type Entropy = OsEntropy;
    type Spawner = TokioSpawner;
    type Compute = ComputePool;
    type Probe = TracingProbe;

    fn clock(&self) -> &OsClock {
        &self.0.clock
    }

    fn network(&self) -> &QuicNetwork {
        &self.0.network
    }

    fn storage(&self) -> &S {
        &self.0.storage
    }

    fn blobs(&self) -> &B {
        &self.0.blobs
    }

    fn entropy(&self) -> &OsEntropy {
        &OsEntropy
    }

    fn spawner(&self) -> &TokioSpawner {
        &self.0.spawner
    }

    fn compute(&self) -> &ComputePool {
        &self.0.compute
    }

    fn probe(&self) -> &TracingProbe {
        &self.0.probe
    }
}
