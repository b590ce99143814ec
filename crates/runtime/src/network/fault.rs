//! Why no connection stands, and what peers did that they should not.

use std::sync::atomic::{AtomicU64, Ordering};

use quinn::{ConnectionError, TransportErrorCode};

/// Why the last attempt to connect to a peer failed. Callers of the network see the limit of their call pass; this is
/// for whoever looks after the node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The address is none, or its name is not known.
    #[error("the address cannot be resolved: {detail}")]
    Address {
        /// What is wrong with it.
        detail: String,
    },
    /// Nobody answered.
    #[error("nobody answers at the address")]
    Unreachable,
    /// The node at the address belongs to another chain, or speaks another version of the transport.
    #[error("the node at the address is of another chain")]
    WrongChain,
    /// The node at the address has another key.
    #[error("the node at the address has another key")]
    WrongIdentity,
    /// The peer does not have this node on its list.
    #[error("the peer does not let this node in")]
    NotAllowed,
    /// The handshake broke off.
    #[error("the handshake broke off: {detail}")]
    Broken {
        /// What was said.
        detail: String,
    },
}

/// TLS alerts that say what we need to know (RFC 8446, section 6).
const ACCESS_DENIED: u8 = 49;
const NO_APPLICATION_PROTOCOL: u8 = 120;

impl From<ConnectionError> for Fault {
    fn from(error: ConnectionError) -> Self {
        let crypto = TransportErrorCode::crypto;
        match &error {
            ConnectionError::TimedOut => Self::Unreachable,
            ConnectionError::TransportError(error) if error.code == crypto(ACCESS_DENIED) => {
                Self::WrongIdentity
            }
            ConnectionError::TransportError(error) if error.code == crypto(NO_APPLICATION_PROTOCOL) => {
                Self::WrongChain
            }
            ConnectionError::ConnectionClosed(close) if close.error_code == crypto(ACCESS_DENIED) => {
                Self::NotAllowed
            }
            ConnectionError::ConnectionClosed(close)
                if close.error_code == crypto(NO_APPLICATION_PROTOCOL) =>
            {
                Self::WrongChain
            }
            _ => Self::Broken {
                detail: error.to_string(),
            },
        }
    }
}

/// How often peers and strangers did what they should not, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offences {
    /// Handshakes of dialling nodes that failed: wrong chain, unknown key, no answer.
    pub handshakes: u64,
    /// Headers and frames that are none.
    pub malformed: u64,
    /// Frames over their channel's limit.
    pub too_large: u64,
    /// Headers, messages and requests that were begun and not finished in time.
    pub stalled: u64,
    /// Requests, streams and messages over a limit, or for a channel without a listener.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) handshakes: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) stalled: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Counts {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Offences {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Offences {
            handshakes: read(&self.handshakes),
            malformed: read(&self.malformed),
            too_large: read(&self.too_large),
            stalled: read(&self.stalled),
            refused: read(&self.refused),
        }
    }
}
