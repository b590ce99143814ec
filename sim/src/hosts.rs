//! Blob hosts: other people's files, served well or badly.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use env::blobs::{BlobError, Blobs, MAX_RANGE};
use serde::{Deserialize, Serialize};

use crate::draw::Domain;
use crate::handle::NodeHandle;
use crate::time::nanos;
use crate::trace::{Kind, Name};
use crate::world::{NodeIndex, State};

/// How a host serves one blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HostManner {
    /// As it should.
    #[default]
    Honest,
    /// The round trip of an honest host, 40 to 80 milliseconds, then so many bytes per second.
    Slow {
        /// At least 1.
        bytes_per_second: u64,
    },
    /// Not there.
    Missing,
    /// Takes requests and never answers.
    Silent,
    /// Breaks off so many of a million reads.
    Flaky {
        /// Of a million.
        ppm: u32,
    },
    /// Serves ranges of which one byte is wrong.
    Lying,
    /// Serves only these nodes; for the others the blob is not there.
    Selective {
        /// Who is served.
        nodes: Vec<NodeIndex>,
    },
}

/// Every blob of the world.
#[derive(Default)]
pub(crate) struct Hosts {
    blobs: BTreeMap<String, Hosted>,
    /// Requests so far of each node for each URL's digest.
    requests: BTreeMap<(NodeIndex, u64), u64>,
}

struct Hosted {
    content: Bytes,
    manner: HostManner,
}

impl Hosts {
    /// Puts `content` at `url`.
    pub fn put(&mut self, url: &str, content: Bytes) {
        self.blobs.insert(
            url.to_owned(),
            Hosted {
                content,
                manner: HostManner::Honest,
            },
        );
    }

    /// Changes how every blob whose URL starts with `prefix` is served.
    pub fn set_manner(&mut self, prefix: &str, manner: &HostManner) {
        for (_, hosted) in self.blobs.iter_mut().filter(|(url, _)| url.starts_with(prefix)) {
            hosted.manner = manner.clone();
        }
    }
}

/// Ranged reads of the world's blobs.
#[derive(Clone)]
pub struct SimBlobs(pub(crate) NodeHandle);

/// Round trip to an honest host, and what it sends.
const ROUND_TRIP_NS: u64 = 40_000_000;
const BYTES_PER_SECOND: u64 = 50_000_000;

/// What a host does about one request: answers after a time, or never.
type Served = (Option<u64>, Result<Bytes, BlobError>);

impl Blobs for SimBlobs {
    async fn size(&self, url: &str, limit: Duration) -> Result<u64, BlobError> {
        let size = |content: &Bytes| Ok(Bytes::copy_from_slice(&(content.len() as u64).to_le_bytes()));
        let answer = self.ask(url, limit, 0, size).await?;
        let bytes = <[u8; 8]>::try_from(&answer[..]).expect("the closure above wrote eight bytes");
        Ok(u64::from_le_bytes(bytes))
    }

    async fn read(&self, url: &str, range: Range<u64>, limit: Duration) -> Result<Bytes, BlobError> {
        let bad = BlobError::BadRange {
            url: url.to_owned(),
            start: range.start,
            end: range.end,
        };
        let length = range.end.saturating_sub(range.start);
        if length == 0 || length > MAX_RANGE {
            return Err(bad);
        }
        let slice = |content: &Bytes| {
            let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
            match (start, end) {
                (Ok(start), Ok(end)) if end <= content.len() => Ok(content.slice(start..end)),
                _ => Err(bad.clone()),
            }
        };
        self.ask(url, limit, length, slice).await
    }
}

impl SimBlobs {
    async fn ask(
        &self,
        url: &str,
        limit: Duration,
        length: u64,
        answer: impl FnOnce(&Bytes) -> Result<Bytes, BlobError>,
    ) -> Result<Bytes, BlobError> {
        let node = self.0.node();
        // The request's record, which `serve` writes first.
        let started = self.0.with(|state| state.recorder.next_seq());
        let started = started.ok_or(BlobError::Closed)?;
        let asked = self.0.with(|state| {
            let (after_ns, result) = state.serve(node, url, length, answer);
            let deadline = state.local(node).after(nanos(limit));
            let served = after_ns.map(|after| state.acts_at(node).after(after));
            let in_time = served.filter(|at| *at <= deadline);
            (in_time.unwrap_or(deadline), in_time.is_some(), result)
        });
        let (at, in_time, result) = asked.ok_or(BlobError::Closed)?;
        self.0.sleep_until(at).await;
        self.0.with(|state| {
            let address = crate::trace::digest(url.as_bytes());
            let is_answered = u64::from(in_time);
            let mut record = state.record_of(Kind::BlobEnd, node, Name::NONE, address, is_answered);
            record.cause = state.recorder.since(started);
            state.recorder.record(record);
        });
        if in_time {
            result
        } else {
            Err(BlobError::Timeout { url: url.to_owned() })
        }
    }
}

impl State {
    fn serve(
        &mut self,
        node: NodeIndex,
        url: &str,
        length: u64,
        answer: impl FnOnce(&Bytes) -> Result<Bytes, BlobError>,
    ) -> Served {
        let address = crate::trace::digest(url.as_bytes());
        let requests = self.hosts.requests.entry((node, address)).or_insert(0);
        *requests += 1;
        let mut draw = self.seed.draw(Domain::Blob, node as u64, address, *requests);
        let name = self.task_name("blob");
        self.note(Kind::BlobStart, node, name, address, length);
        let missing = || Err(BlobError::NotFound { url: url.to_owned() });
        let round_trip = ROUND_TRIP_NS + draw.below(ROUND_TRIP_NS);
        let Some(hosted) = self.hosts.blobs.get(url) else {
            return (Some(round_trip), missing());
        };
        let transfer =
            |rate: u64| round_trip.saturating_add(length.saturating_mul(1_000_000_000) / rate.max(1));
        let honest = transfer(BYTES_PER_SECOND);
        match &hosted.manner {
            HostManner::Honest => (Some(honest), answer(&hosted.content)),
            HostManner::Slow { bytes_per_second } => {
                (Some(transfer(*bytes_per_second)), answer(&hosted.content))
            }
            HostManner::Missing => (Some(round_trip), missing()),
            HostManner::Silent => (None, missing()),
            HostManner::Flaky { ppm } if draw.chance(*ppm) => {
                let detail = "the connection broke".to_owned();
                (
                    Some(honest),
                    Err(BlobError::Failed {
                        url: url.to_owned(),
                        detail,
                    }),
                )
            }
            HostManner::Flaky { .. } => (Some(honest), answer(&hosted.content)),
            HostManner::Lying => {
                let served = answer(&hosted.content).map(|bytes| {
                    let mut bytes = Vec::from(bytes);
                    // A size is stated truly: who asks for one reads no range.
                    if length > 0 {
                        let wrong = usize::try_from(draw.below(length)).expect("a range that was read fits");
                        bytes[wrong] ^= 1;
                    }
                    Bytes::from(bytes)
                });
                (Some(honest), served)
            }
            HostManner::Selective { nodes } if nodes.contains(&node) => {
                (Some(honest), answer(&hosted.content))
            }
            HostManner::Selective { .. } => (Some(round_trip), missing()),
        }
    }
}
