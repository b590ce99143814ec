//! The consumer of one member: it counts, and keeps nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use consensus::SubDag;
use env::StorageError;
use node::consensus::{Consumer, Flow};
use types::{CommitRef, Epoch};

use super::load::Mark;

/// What one member was given.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Transactions.
    count: AtomicU64,
    /// Those that this member brought in.
    own: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// A bit for each transaction by its number.
    seen: Vec<u64>,
    wrong: Option<&'static str>,
    /// Of all numbers in their order.
    hash: u64,
    /// Of own transactions, in microseconds.
    latencies_us: Vec<u32>,
}

impl Delivered {
    /// Transactions so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Those among them that this member brought in.
    pub fn own(&self) -> u64 {
        self.own.load(Ordering::Relaxed)
    }

    /// How long own transactions took since the last call, in microseconds.
    pub fn take_latencies(&self) -> Vec<u32> {
        std::mem::take(&mut self.lock().latencies_us)
    }

    /// What was wrong with a transaction, if anything was.
    pub fn wrong(&self) -> Option<&'static str> {
        self.lock().wrong
    }

    /// A hash of all transactions in their order.
    pub fn order(&self) -> u64 {
        self.lock().hash
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Sums are sound between any two statements.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, commit: &SubDag, maker: u64, start: Instant) {
        let now = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (mut count, mut own) = (0, 0);
        let mut inner = self.lock();
        for payload in commit.payloads.iter().flat_map(|payloads| payloads.iter()) {
            let Some(mark) = Mark::read(payload) else {
                inner.wrong = Some("a payload that nobody made");
                continue;
            };
            inner.note(mark.number);
            count += 1;
            if mark.maker == maker {
                own += 1;
                let took = now.saturating_sub(mark.due_us);
                inner.latencies_us.push(u32::try_from(took).unwrap_or(u32::MAX));
            }
        }
        drop(inner);
        self.count.fetch_add(count, Ordering::Relaxed);
        self.own.fetch_add(own, Ordering::Relaxed);
    }
}

impl Inner {
    fn note(&mut self, number: u64) {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.seen.len() {
            self.seen.resize(2 * word + 64, 0);
        }
        if self.seen[word] & bit != 0 {
            self.wrong = Some("a transaction that came twice");
        }
        self.seen[word] |= bit;
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Counts what one member is given.
pub struct Counter {
    pub maker: u64,
    pub start: Instant,
    pub delivered: Arc<Delivered>,
}

impl Consumer for Counter {
    async fn start(&mut self, _epoch: Epoch) -> Result<Option<CommitRef>, StorageError> {
        Ok(None)
    }

    async fn handle(&mut self, commit: SubDag) -> Result<Flow, StorageError> {
        self.delivered.take(&commit, self.maker, self.start);
        Ok(Flow::Continue)
    }
}
