//! What is measured of one member.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use consensus::SubDag;
use env::{Clock, Env, StorageError};
use node::consensus::{Consumer, Flow, Handle, Log};
use serde::Serialize;
use types::{CommitRef, Epoch, Mono};

use super::load::made_at;
use super::notes::Notes;

/// Latencies that are kept between two lines.
const MAX_LATENCIES: usize = 1 << 20;

/// Sums since the start, and latencies since the last line.
#[derive(Debug, Default)]
pub struct Stats(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    submitted: u64,
    refused: u64,
    commits: u64,
    payloads: u64,
    payload_bytes: u64,
    last: u64,
    digest: String,
    /// In microseconds, of payloads that this member made.
    latencies: Vec<u64>,
    told: Told,
}

/// What the last line said.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    at: Mono,
    payloads: u64,
}

/// One line of figures.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Which member.
    pub member: u16,
    /// Seconds since the start.
    pub seconds: f64,
    /// The round that the graph has reached.
    pub round: u32,
    /// The last own block.
    pub own_round: u32,
    /// The last commit that the consumer has.
    pub commit: u64,
    /// Its digest.
    pub digest: String,
    /// The last commit that a quorum has voted for.
    pub certified: u64,
    /// Whether the member is finding out what it has signed.
    pub is_recovering: bool,
    /// Payloads per second since the last line.
    pub payloads_per_second: f64,
    /// Payloads since the start.
    pub payloads: u64,
    /// Their bytes.
    pub payload_bytes: u64,
    /// From submission to the commit at the same member, in milliseconds, since the last line.
    pub latency_ms: Latency,
    /// Payloads that were made up and handed over.
    pub submitted: u64,
    /// Payloads that were made up and refused.
    pub refused: u64,
    /// Blocks in memory.
    pub blocks: usize,
    /// Blocks that wait for their parents.
    pub held: usize,
    /// Own payloads that wait for a block.
    pub queued: usize,
    /// What the member counts itself.
    pub counters: std::collections::BTreeMap<&'static str, u64>,
}

/// A few ranks of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// The middle.
    pub p50: f64,
    /// Of a hundred the ninety-ninth.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Latency {
    fn of(mut micros: Vec<u64>) -> Self {
        micros.sort_unstable();
        let at = |hundredth: usize| {
            let rank = (micros.len() * hundredth).div_ceil(100).saturating_sub(1);
            micros.get(rank).map_or(0.0, |micros| *micros as f64 / 1_000.0)
        };
        Self {
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

impl Stats {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Sums are sound between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A payload was handed over.
    pub fn submitted(&self) {
        self.lock().submitted += 1;
    }

    /// So many payloads were refused.
    pub fn refused(&self, count: u64) {
        self.lock().refused += count;
    }

    /// A commit was handled.
    fn committed(&self, commit: &SubDag, maker: u64, now: Mono) {
        let mut inner = self.lock();
        inner.commits += 1;
        inner.last = commit.commit.index.get();
        inner.digest = commit.digest.to_string();
        for payloads in &commit.payloads {
            inner.payloads += payloads.len() as u64;
            for payload in payloads.iter() {
                inner.payload_bytes += payload.len() as u64;
                if let Some(made) = made_at(payload, maker)
                    && inner.latencies.len() < MAX_LATENCIES
                {
                    let micros = u64::try_from(now.since(made).as_micros());
                    inner.latencies.push(micros.unwrap_or(u64::MAX));
                }
            }
        }
    }

    /// The figures now; latencies begin anew.
    pub fn line(&self, member: u16, now: Mono, handle: &Handle) -> Line {
        let status = handle.status();
        let mut inner = self.lock();
        let passed = now.since(inner.told.at).max(Duration::from_micros(1));
        let rate = (inner.payloads - inner.told.payloads) as f64 / passed.as_secs_f64();
        inner.told = Told {
            at: now,
            payloads: inner.payloads,
        };
        Line {
            member,
            seconds: now.since(Mono::ZERO).as_secs_f64(),
            round: status.round.get(),
            own_round: status.own.get(),
            commit: inner.last,
            digest: inner.digest.clone(),
            certified: status.certified.get(),
            is_recovering: status.is_recovering,
            payloads_per_second: rate,
            payloads: inner.payloads,
            payload_bytes: inner.payload_bytes,
            latency_ms: Latency::of(std::mem::take(&mut inner.latencies)),
            submitted: inner.submitted,
            refused: inner.refused,
            blocks: status.blocks,
            held: status.held,
            queued: status.queued,
            counters: handle.metrics().rows().into_iter().collect(),
        }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            member,
            seconds,
            round,
            own_round,
            commit,
            payloads_per_second,
            latency_ms,
            ..
        } = self;
        write!(
            f,
            "{seconds:8.1}s member {member}: round {round} (own {own_round}), commit {commit}, "
        )?;
        write!(f, "{payloads_per_second:.0} payloads/s, ")?;
        write!(
            f,
            "{:.1} ms median, {:.1} ms at 99 %",
            latency_ms.p50, latency_ms.p99
        )?;
        match self.is_recovering {
            true => f.write_str(", recovering"),
            false => Ok(()),
        }
    }
}

/// Where a consumer remembers what it has handled.
pub enum Record<E: Env> {
    /// The last commit, in a store of its own.
    Log(Log<E>),
    /// Every commit, in a file.
    Notes(Notes),
}

/// A record that measures what it is given.
pub struct Measured<E: Env> {
    pub record: Record<E>,
    pub env: E,
    pub maker: u64,
    pub stats: std::sync::Arc<Stats>,
}

impl<E: Env> Consumer for Measured<E> {
    async fn start(&mut self, epoch: Epoch) -> Result<Option<CommitRef>, StorageError> {
        match &mut self.record {
            Record::Log(log) => log.start(epoch).await,
            Record::Notes(notes) => notes.start(epoch).await,
        }
    }

    async fn handle(&mut self, commit: SubDag) -> Result<Flow, StorageError> {
        self.stats.committed(&commit, self.maker, self.env.clock().now());
        match &mut self.record {
            Record::Log(log) => log.handle(commit).await,
            Record::Notes(notes) => notes.handle(commit).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_of_the_values_that_were_there() {
        assert_eq!(Latency::of(vec![]), Latency::default());
        let latency = Latency::of((1..=200).rev().map(|milli| milli * 1_000).collect());
        let expected = Latency {
            p50: 100.0,
            p99: 198.0,
            max: 200.0,
        };
        assert_eq!(latency, expected);
    }
}
