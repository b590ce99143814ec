//! Manners of blob hosts, as a node reads them.

use std::time::Duration;

use bytes::Bytes;
use env::blobs::{BlobError, Blobs};
use env::{Clock, Env};
use sim::hosts::HostManner;
use sim::lab::Stage;
use sim::plan::Action;

use crate::{play, took};

/// The test of each manner.
const _: fn(&HostManner) -> fn() = |manner| match manner {
    HostManner::Honest => an_honest_host_serves_what_it_has,
    HostManner::Slow { .. } => a_slow_host_takes_its_time_by_the_byte,
    HostManner::Missing => a_missing_blob_is_not_found,
    HostManner::Silent => a_silent_host_lets_the_limit_pass,
    HostManner::Flaky { .. } => a_flaky_host_breaks_off_some_reads,
    HostManner::Lying => a_lying_host_changes_every_range_it_serves,
    HostManner::Selective { .. } => a_selective_host_knows_some_nodes_only,
};

const URL: &str = "https://host.sim/blob";
const LIMIT: Duration = Duration::from_secs(60);
/// The longest round trip of a host that answers.
const ROUND_TRIP: Duration = Duration::from_millis(80);

fn content() -> Bytes {
    Bytes::from(vec![7; 10_000])
}

async fn manner(stage: &Stage, prefix: &str, manner: HostManner) {
    stage.hand().publish(URL, content());
    let prefix = prefix.to_owned();
    stage.act(Action::Host { prefix, manner }).await;
}

async fn read(stage: &Stage, node: usize) -> Result<Bytes, BlobError> {
    stage.env(node).blobs().read(URL, 0..10_000, LIMIT).await
}

fn url() -> String {
    URL.to_owned()
}

#[test]
pub fn an_honest_host_serves_what_it_has() {
    play(1, |stage| async move {
        manner(&stage, "https://host", HostManner::Lying).await;
        stage
            .act(Action::Host {
                prefix: String::new(),
                manner: HostManner::Honest,
            })
            .await;
        let start = stage.hand().clock().now();
        assert_eq!(read(&stage, 0).await, Ok(content()));
        assert!(took(stage.hand(), start) <= ROUND_TRIP);
    });
}

#[test]
pub fn a_slow_host_takes_its_time_by_the_byte() {
    play(1, |stage| async move {
        manner(
            &stage,
            URL,
            HostManner::Slow {
                bytes_per_second: 1_000,
            },
        )
        .await;
        let start = stage.hand().clock().now();
        assert_eq!(read(&stage, 0).await, Ok(content()));
        let taken = took(stage.hand(), start);
        assert!(taken >= Duration::from_secs(10) && taken <= Duration::from_secs(10) + ROUND_TRIP);
        let impatient = stage.env(0).blobs().read(URL, 0..10_000, Duration::from_secs(1));
        assert_eq!(impatient.await, Err(BlobError::Timeout { url: url() }));
    });
}

#[test]
pub fn a_missing_blob_is_not_found() {
    play(1, |stage| async move {
        manner(&stage, URL, HostManner::Missing).await;
        assert_eq!(read(&stage, 0).await, Err(BlobError::NotFound { url: url() }));
    });
}

#[test]
pub fn a_silent_host_lets_the_limit_pass() {
    play(1, |stage| async move {
        manner(&stage, URL, HostManner::Silent).await;
        let start = stage.hand().clock().now();
        assert_eq!(read(&stage, 0).await, Err(BlobError::Timeout { url: url() }));
        assert_eq!(took(stage.hand(), start), LIMIT);
    });
}

#[test]
pub fn a_flaky_host_breaks_off_some_reads() {
    play(1, |stage| async move {
        manner(&stage, URL, HostManner::Flaky { ppm: 500_000 }).await;
        let mut broke = 0;
        for _ in 0..100 {
            match read(&stage, 0).await {
                Ok(bytes) => assert_eq!(bytes, content()),
                Err(BlobError::Failed { .. }) => broke += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!((30..=70).contains(&broke), "{broke} of 100 broke");
    });
}

#[test]
pub fn a_lying_host_changes_every_range_it_serves() {
    play(1, |stage| async move {
        manner(&stage, URL, HostManner::Lying).await;
        let blobs = stage.env(0).blobs();
        assert_eq!(blobs.size(URL, LIMIT).await, Ok(10_000));
        for range in [0..10_000, 0..1, 1..1_000, 5_000..5_100, 9_999..10_000] {
            let bytes = blobs.read(URL, range.clone(), LIMIT).await.expect("it answers");
            let wrong = bytes.iter().filter(|byte| **byte != 7).count();
            assert_eq!((bytes.len() as u64, wrong), (range.end - range.start, 1));
        }
    });
}

#[test]
pub fn a_selective_host_knows_some_nodes_only() {
    play(2, |stage| async move {
        manner(&stage, URL, HostManner::Selective { nodes: vec![1] }).await;
        assert_eq!(read(&stage, 0).await, Err(BlobError::NotFound { url: url() }));
        assert_eq!(read(&stage, 1).await, Ok(content()));
    });
}

#[test]
pub fn a_manner_is_that_of_the_blobs_with_its_prefix() {
    play(1, |stage| async move {
        manner(&stage, "https://other.sim/", HostManner::Missing).await;
        assert_eq!(read(&stage, 0).await, Ok(content()));
        manner(&stage, "https://host.sim/", HostManner::Missing).await;
        assert_eq!(read(&stage, 0).await, Err(BlobError::NotFound { url: url() }));
    });
}

#[test]
fn the_reads_of_one_node_change_nothing_for_another() {
    let broke = |company: bool| {
        let played = play(2, move |stage| async move {
            manner(&stage, URL, HostManner::Flaky { ppm: 500_000 }).await;
            let mut broke = Vec::new();
            for _ in 0..30 {
                if company {
                    drop(read(&stage, 0).await);
                }
                broke.push(read(&stage, 1).await.is_err());
            }
            broke
        });
        played.value
    };
    assert_eq!(broke(true), broke(false));
}
