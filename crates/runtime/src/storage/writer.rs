//! The queue of a store and the thread that empties it: one commit, and at most one barrier, for all that waits.
//!
//! A call of `write` takes its batch's place in the order, so it can neither wait nor give the batch back: it queues
//! without a bound, and a caller that waits for its answers keeps the queue short.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use env::storage::MAX_BATCH;
use env::{Batch, Durability, StorageError};
use tokio::sync::oneshot;

use super::engine::Fault;

/// Batches in the order of their calls.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something is queued, or the queue is closed.
    work: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    closed: bool,
    failed: bool,
}

pub(super) type Answer = oneshot::Receiver<Result<(), StorageError>>;

struct Waiting {
    batch: Batch,
    durability: Durability,
    answer: oneshot::Sender<Result<(), StorageError>>,
}

/// What a batch adds to its group, beside its bytes.
const OVERHEAD: usize = 256;

impl Waiting {
    fn cost(&self) -> usize {
        self.batch.bytes() + self.batch.operations().len() * OVERHEAD + OVERHEAD
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and the state is sound between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next place in the order.
    pub(super) fn push(
        &self,
        store: &str,
        batch: Batch,
        durability: Durability,
    ) -> Result<Answer, StorageError> {
        let (answer, outcome) = oneshot::channel();
        let waiting = Waiting {
            batch,
            durability,
            answer,
        };
        let mut state = self.lock();
        if state.closed {
            return Err(StorageError::Closed);
        }
        if state.failed {
            return Err(StorageError::Failed {
                store: store.to_owned(),
            });
        }
        state.waiting.push_back(waiting);
        drop(state);
        self.work.notify_one();
        Ok(outcome)
    }

    /// Takes nothing more; what is queued is still written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Everything that waits, up to the size of the largest batch; `None` when the queue is closed and empty.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(next) = state.waiting.front() {
            bytes += next.cost();
            if !group.is_empty() && bytes > MAX_BATCH {
                break;
            }
            group.extend(state.waiting.pop_front());
        }
        drop(state);
        Some(group)
    }

    /// Marks the store as failed and gives up what waits.
    fn fail(&self, store: &str) {
        let waiting = {
            let mut state = self.lock();
            state.failed = true;
            std::mem::take(&mut state.waiting)
        };
        for waiting in waiting {
            // Whoever dropped its future does not want to know.
            drop(waiting.answer.send(Err(StorageError::Failed {
                store: store.to_owned(),
            })));
        }
    }

    /// Writes groups with `apply` until the queue is closed and empty.
    pub(super) fn run(
        &self,
        store: &str,
        unsynced_limit: usize,
        apply: impl Fn(&[Batch], bool) -> Result<(), Fault>,
    ) {
        let mut unsynced = 0;
        while let Some(group) = self.take() {
            let mut batches = Vec::with_capacity(group.len());
            let mut answers = Vec::with_capacity(group.len());
            let mut synced = false;
            for waiting in group {
                synced |= waiting.durability == Durability::Synced;
                unsynced += waiting.batch.size();
                batches.push(waiting.batch);
                answers.push(waiting.answer);
            }
            synced |= unsynced > unsynced_limit;
            let outcome = apply(&batches, synced).map_err(|fault| fault.of(store));
            if let Err(error) = &outcome {
                tracing::error!(store, %error, "a write failed; the store takes no more of them");
                self.fail(store);
            }
            if synced {
                unsynced = 0;
            }
            for answer in answers {
                drop(answer.send(outcome.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use env::Family;

    use super::*;

    #[test]
    fn a_call_takes_its_place_at_once_and_groups_follow_the_order_of_the_calls() {
        // The batches share these bytes, so all of them together cost as much memory as one.
        let large = Bytes::from(vec![7; MAX_BATCH / 2]);
        let batch = |number: u8| {
            let value = if number % 3 == 2 {
                Bytes::new()
            } else {
                large.clone()
            };
            let mut batch = Batch::default();
            batch.put(Family::new("family"), vec![number], value);
            batch
        };
        let queue = Queue::default();
        let answers: Vec<_> = (0..30)
            .map(|number| queue.push("store", batch(number), Durability::Synced))
            .collect();
        queue.close();
        let written = Mutex::new(Vec::new());
        queue.run("store", usize::MAX, |group, synced| {
            assert!(synced && group.iter().map(Batch::bytes).sum::<usize>() <= MAX_BATCH);
            written.lock().expect("one thread").extend_from_slice(group);
            Ok(())
        });
        let expected: Vec<_> = (0..30).map(batch).collect();
        assert!(*written.lock().expect("one thread") == expected, "another order");
        for answer in answers {
            assert_eq!(answer.expect("the queue is open").try_recv(), Ok(Ok(())));
        }
    }
}
