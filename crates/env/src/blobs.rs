//! Files that other people host: weights and data, by URL.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

/// Ranged reads from hosts that may be slow, lie, or be gone. Nothing read is to be trusted before its hash has been
/// checked: a host may answer two reads of one range differently.
pub trait Blobs: Clone + Send + Sync + 'static {
    /// The size in bytes that the host states for `url`.
    ///
    /// # Errors
    /// [`BlobError`].
    fn size(&self, url: &str, limit: Duration) -> impl Future<Output = Result<u64, BlobError>> + Send;

    /// Exactly the bytes of `range`, or an error: never fewer. Implementations bound a range to
    /// [`MAX_RANGE`] bytes. Dropping the future ends the transfer.
    ///
    /// # Errors
    /// [`BlobError`].
    fn read(
        &self,
        url: &str,
        range: Range<u64>,
        limit: Duration,
    ) -> impl Future<Output = Result<Bytes, BlobError>> + Send;
}

/// The longest range of one [`Blobs::read`], in bytes.
pub const MAX_RANGE: u64 = 16 << 20;

/// Why a blob could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// The host says that there is no such blob. Asking again does not help; another host may.
    #[error("no blob at `{url}`")]
    NotFound {
        /// The URL asked for.
        url: String,
    },
    /// The configuration forbids this URL (scheme, private address).
    #[error("the configuration forbids `{url}`: {reason}")]
    Forbidden {
        /// The URL asked for.
        url: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The range is empty, longer than [`MAX_RANGE`], or reaches past the end.
    #[error("range {start}..{end} of `{url}` cannot be read")]
    BadRange {
        /// The URL asked for.
        url: String,
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// The time limit passed. The host may answer later.
    #[error("`{url}` did not answer in time")]
    Timeout {
        /// The URL asked for.
        url: String,
    },
    /// The host failed or broke off. It may work later.
    #[error("reading `{url}` failed: {detail}")]
    Failed {
        /// The URL asked for.
        url: String,
        /// What went wrong, for a log line.
        detail: String,
    },
    /// This node is shutting down.
    #[error("the node is shutting down")]
    Closed,
}
