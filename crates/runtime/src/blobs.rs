//! A node without access to blobs.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use env::{BlobError, Blobs};

/// Forbids every URL: for nodes that score nothing, and for tests.
#[derive(Clone, Copy, Debug)]
pub struct NoBlobs;

fn forbidden(url: &str) -> BlobError {
    BlobError::Forbidden {
        url: url.to_owned(),
        reason: "this node has no access to blobs",
    }
}

impl Blobs for NoBlobs {
    fn size(&self, url: &str, _limit: Duration) -> impl Future<Output = Result<u64, BlobError>> + Send {
        std::future::ready(Err(forbidden(url)))
    }

    fn read(
        &self,
        url: &str,
        _range: Range<u64>,
        _limit: Duration,
    ) -> impl Future<Output = Result<Bytes, BlobError>> + Send {
        std::future::ready(Err(forbidden(url)))
    }
}
