//! What a composer decides about a node's environment.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;
use std::{fmt, path::PathBuf};

use tokio::sync::Semaphore;

/// Everything that [`Runtime::start`](crate::Runtime::start) needs to know.
#[derive(Clone)]
pub struct Config {
    /// The secret seed of the ed25519 network key: 32 bytes that are the node's identity.
    pub key_seed: [u8; 32],
    /// Where this node is reached, and where it dials from.
    pub listen: SocketAddr,
    /// The chain: nodes of another one fail in the handshake. 1 to [`MAX_CHAIN`] bytes.
    pub chain: Vec<u8>,
    /// The folder of the stores. Created if it is missing.
    pub data: PathBuf,
    /// Threads of the compute pool.
    pub compute_threads: NonZeroUsize,
    /// Jobs that may wait in front of the compute pool; more of them wait with their callers.
    pub compute_queue: usize,
    /// Bounds of the network.
    pub network: NetworkLimits,
    /// Bounds of a store.
    pub store: StoreLimits,
}

/// The longest chain id, in bytes: it travels in hex in a TLS field of 255 bytes.
pub const MAX_CHAIN: usize = 64;

impl Config {
    /// A configuration with the usual bounds.
    pub fn new(key_seed: [u8; 32], listen: SocketAddr, chain: Vec<u8>, data: PathBuf) -> Self {
        Self {
            key_seed,
            listen,
            chain,
            data,
            compute_threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            compute_queue: 1_024,
            network: NetworkLimits::default(),
            store: StoreLimits::default(),
        }
    }

    /// Checks what the types do not.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.chain.is_empty() || self.chain.len() > MAX_CHAIN {
            return Err(ConfigError::Chain {
                bytes: self.chain.len(),
            });
        }
        let network = &self.network;
        let threads = self.compute_threads.get();
        for (name, value) in [
            // A semaphore counts what runs and what waits.
            (
                "compute_queue",
                self.compute_queue > Semaphore::MAX_PERMITS.saturating_sub(threads),
            ),
            ("network.streams", network.streams == 0),
            ("network.stream_window", network.stream_window == 0),
            ("network.peer_window", network.peer_window < network.stream_window),
            (
                "network.handshakes",
                !(1..=Semaphore::MAX_PERMITS).contains(&network.handshakes),
            ),
            ("network.handshake", network.handshake.is_zero()),
            ("network.stall", network.stall.is_zero()),
            (
                "network.idle",
                network.idle <= network.keep_alive.saturating_mul(2),
            ),
            (
                "network.backoff",
                network.backoff.0.is_zero() || network.backoff.0 > network.backoff.1,
            ),
            ("store.unsynced_bytes", self.store.unsynced_bytes == 0),
        ] {
            if value {
                return Err(ConfigError::Bound { name });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The seed stays out of logs.
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("data", &self.data)
            .field("network", &self.network)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// Bounds of the network, beside those that each channel brings.
#[derive(Clone, Debug)]
pub struct NetworkLimits {
    /// Streams of each direction that one connection may have open. The channels' concurrency should fit in.
    pub streams: u32,
    /// Bytes of one stream that may be on the way or wait to be read.
    pub stream_window: u32,
    /// Bytes of one peer, over all its streams, that may be on the way or wait to be read. It bounds the memory that
    /// a peer can take.
    pub peer_window: u32,
    /// Handshakes with dialling nodes that may be in progress at a time; more of them are refused.
    pub handshakes: usize,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// How long a peer may take to send the rest of a header, message or request that it has begun.
    pub stall: Duration,
    /// How often an idle connection is probed.
    pub keep_alive: Duration,
    /// After how long without a sign of life a connection is taken for dead.
    pub idle: Duration,
    /// The first and the longest pause between two attempts to connect; it doubles in between.
    pub backoff: (Duration, Duration),
    /// How long the node with the higher key leaves the dialling to the other one. Two nodes that learn of each other
    /// at one moment then make one connection and not two.
    pub head_start: Duration,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        Self {
            streams: 1_024,
            stream_window: 8 << 20,
            peer_window: 32 << 20,
            handshakes: 256,
            handshake: Duration::from_secs(5),
            stall: Duration::from_secs(10),
            keep_alive: Duration::from_secs(2),
            idle: Duration::from_secs(8),
            backoff: (Duration::from_millis(100), Duration::from_secs(10)),
            head_start: Duration::from_millis(250),
        }
    }
}

/// Bounds of one store.
#[derive(Clone, Debug)]
pub struct StoreLimits {
    /// Bytes of batches after which a barrier is made though nobody asked for one.
    pub unsynced_bytes: usize,
    /// Bytes of pages that are kept in memory.
    pub cache_bytes: usize,
    /// Whether opening reads the whole file and checks every page. What is read is checked in any case; without this
    /// a damaged key can hide its entry.
    pub check_on_open: bool,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            unsynced_bytes: 64 << 20,
            cache_bytes: 256 << 20,
            check_on_open: true,
        }
    }
}

/// A configuration that no node can run with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The chain id is empty or too long.
    #[error("a chain id has 1 to {MAX_CHAIN} bytes, not {bytes}")]
    Chain {
        /// Its length.
        bytes: usize,
    },
    /// A bound is zero, too large to count up to, or contradicts another.
    #[error("`{name}` is zero, too large or contradicts another bound")]
    Bound {
        /// Which one.
        name: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Config::new([1; 32], listen, b"chain".to_vec(), PathBuf::from("data"))
    }

    #[test]
    fn the_usual_bounds_agree() {
        assert_eq!(config().check(), Ok(()));
    }

    #[test]
    fn a_bound_that_no_node_can_run_with_is_named() {
        type Spoil = fn(&mut Config);
        let table: [(&str, Spoil); 14] = [
            ("compute_queue", |config| config.compute_queue = usize::MAX),
            ("network.streams", |config| config.network.streams = 0),
            ("network.stream_window", |config| config.network.stream_window = 0),
            ("network.peer_window", |config| {
                config.network.peer_window = (8 << 20) - 1
            }),
            ("network.handshakes", |config| config.network.handshakes = 0),
            ("network.handshakes", |config| {
                config.network.handshakes = usize::MAX
            }),
            ("network.handshake", |config| {
                config.network.handshake = Duration::ZERO
            }),
            ("network.stall", |config| config.network.stall = Duration::ZERO),
            ("network.idle", |config| {
                config.network.idle = Duration::from_secs(4)
            }),
            ("network.idle", |config| config.network.keep_alive = Duration::MAX),
            ("network.backoff", |config| {
                config.network.backoff.0 = Duration::ZERO
            }),
            ("network.backoff", |config| {
                config.network.backoff.1 = Duration::ZERO
            }),
            ("network.backoff", |config| {
                config.network.backoff.0 = Duration::MAX
            }),
            ("store.unsynced_bytes", |config| config.store.unsynced_bytes = 0),
        ];
        for (name, spoil) in table {
            let mut config = config();
            spoil(&mut config);
            assert_eq!(config.check(), Err(ConfigError::Bound { name }));
        }
    }

    #[test]
    fn a_chain_id_is_neither_empty_nor_longer_than_its_field() {
        for (bytes, sound) in [(0, false), (1, true), (MAX_CHAIN, true), (MAX_CHAIN + 1, false)] {
            let mut config = config();
            config.chain = vec![7; bytes];
            let expected = if sound {
                Ok(())
            } else {
                Err(ConfigError::Chain { bytes })
            };
            assert_eq!(config.check(), expected);
        }
    }

    #[test]
    fn the_seed_of_the_key_is_not_printed() {
        let mut config = config();
        config.key_seed = [0xab; 32];
        let printed = format!("{config:?}");
        assert!(!printed.contains("171") && !printed.contains("ab"), "{printed}");
    }
}
