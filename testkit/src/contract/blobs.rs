//! The contract of [`Blobs`]. Each clause takes a [`Host`].

use std::future::Future;
use std::ops::Range;

use bytes::Bytes;
use env::blobs::MAX_RANGE;
use env::{BlobError, Blobs, Env};

use super::PATIENCE;

/// A world with a host of blobs that answers truthfully.
pub trait Host: Send {
    /// The environment that reads.
    type Env: Env;

    /// The environment that reads.
    fn env(&self) -> Self::Env;

    /// Puts `content` on the host and gives its URL.
    fn put(&mut self, content: Bytes) -> impl Future<Output = String> + Send;

    /// A URL on the host at which there is nothing.
    fn absent(&self) -> String;
}

/// All clauses of the contract of `env::Blobs`, as tests.
#[macro_export]
macro_rules! blobs_contract {
    ($run:path) => {
        $crate::__clauses!($run, blobs:
            the_size_is_that_of_the_blob
            a_read_gives_exactly_its_range
            a_range_that_cannot_be_read_is_refused
            what_is_not_there_is_not_found
            reads_run_beside_each_other);
    };
}

fn content(length: u32) -> Bytes {
    (0..length)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

async fn read<H: Host>(host: &H, url: &str, range: Range<u64>) -> Result<Bytes, BlobError> {
    host.env().blobs().read(url, range, PATIENCE).await
}

/// What an honest host states is true.
pub async fn the_size_is_that_of_the_blob<H: Host>(mut host: H) {
    for length in [1, 1_000, 3 << 20] {
        let url = host.put(content(length)).await;
        assert_eq!(
            host.env().blobs().size(&url, PATIENCE).await,
            Ok(u64::from(length))
        );
    }
}

/// Whatever the range, its bytes and no others.
pub async fn a_read_gives_exactly_its_range<H: Host>(mut host: H) {
    let whole = content(100_000);
    let url = host.put(whole.clone()).await;
    for (start, end) in [
        (0, 1),
        (0, 100_000),
        (1, 2),
        (99_999, 100_000),
        (65_535, 65_537),
        (4_096, 90_000),
    ] {
        assert_eq!(
            read(&host, &url, start..end).await,
            Ok(whole.slice(start as usize..end as usize))
        );
    }
}

/// Empty, backward, over-long and over-reaching ranges are errors, not short reads.
pub async fn a_range_that_cannot_be_read_is_refused<H: Host>(mut host: H) {
    let url = host.put(content(1_000)).await;
    let backward = Range { start: 9, end: 3 };
    for range in [
        5..5,
        backward,
        0..1_001,
        1_000..1_001,
        5_000..5_001,
        0..MAX_RANGE + 1,
        0..u64::MAX,
    ] {
        let (start, end) = (range.start, range.end);
        let answer = read(&host, &url, range).await;
        assert_eq!(
            answer,
            Err(BlobError::BadRange {
                url: url.clone(),
                start,
                end
            })
        );
    }
}

/// A missing blob is told from a failing host.
pub async fn what_is_not_there_is_not_found<H: Host>(host: H) {
    let url = host.absent();
    let not_found = BlobError::NotFound { url: url.clone() };
    assert_eq!(
        host.env().blobs().size(&url, PATIENCE).await,
        Err(not_found.clone())
    );
    assert_eq!(read(&host, &url, 0..1).await, Err(not_found));
}

/// A read that is begun does not hold another up, and one that is dropped harms none.
pub async fn reads_run_beside_each_other<H: Host>(mut host: H) {
    let whole = content(10_000);
    let url = host.put(whole.clone()).await;
    let env = host.env();
    let mut first = std::pin::pin!(env.blobs().read(&url, 0..10_000, PATIENCE));
    let begun = super::poll_once(&mut first).await;
    drop(env.blobs().read(&url, 0..10_000, PATIENCE));
    assert_eq!(read(&host, &url, 10..20).await, Ok(whole.slice(10..20)));
    let first = match begun {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => first.await,
    };
    assert_eq!(first, Ok(whole));
}
