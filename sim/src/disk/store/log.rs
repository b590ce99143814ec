//! The way of a batch: taken in, seen, safe; or taken back.

use std::ops::Bound;

use bytes::Bytes;
use env::storage::{Batch, KeyRange, Operation};

use super::{Applied, Mark, Queued, Replaced, Store, Trick, family_of};
use crate::Draw;
use crate::disk::bounds;

impl Store {
    /// Takes in a batch that reads see from `visible_at` on.
    pub(in crate::disk) fn push(&mut self, batch: Batch, visible_at: u64, trick: Trick) {
        if batch.is_empty() {
            return;
        }
        self.queued_bytes += batch.bytes() as u64;
        self.dirty_bytes += batch.bytes() as u64;
        self.queue.push_back(Queued {
            batch,
            visible_at,
            trick,
        });
    }

    /// Makes every batch so far durable at `at`.
    pub(in crate::disk) fn push_barrier(&mut self, at: u64) {
        let next = self.next();
        if let Some((last_at, last)) = self.barriers.back() {
            assert!(
                *last_at <= at,
                "barriers are answered in the order of their calls"
            );
            if *last == next {
                return;
            }
        }
        self.barriers.push_back((at, next));
    }

    /// Does what was due by `now`.
    pub(in crate::disk) fn advance(&mut self, now: u64, writeback_bytes: u64) {
        while self.queue.front().is_some_and(|queued| queued.visible_at <= now) {
            self.apply_next();
        }
        while let Some((at, below)) = self.barriers.front() {
            if *at > now {
                break;
            }
            let below = *below;
            self.barriers.pop_front();
            self.settle(below);
        }
        while self.log_bytes > writeback_bytes && !self.applied.is_empty() {
            self.settle(self.durable + 1);
        }
    }

    /// Makes what reads see below a batch durable.
    fn settle(&mut self, below: u64) {
        while self.durable < below {
            let applied = self
                .applied
                .pop_front()
                .expect("a batch is visible before its barrier answers");
            self.replaced.drain(..applied.replaced);
            self.log_bytes -= applied.bytes;
            self.durable += 1;
        }
    }

    /// Leaves exactly the batches below `below`, and nothing on its way.
    pub(in crate::disk) fn truncate(&mut self, below: u64) {
        assert!(
            (self.durable..=self.next()).contains(&below),
            "what is durable stays, and nothing comes from nowhere"
        );
        while self.durable + (self.applied.len() as u64) < below {
            self.apply_next();
        }
        self.queue.clear();
        self.queued_bytes = 0;
        while self.durable + self.applied.len() as u64 > below {
            let applied = self
                .applied
                .pop_back()
                .expect("there are more batches than are kept");
            self.log_bytes -= applied.bytes;
            for _ in 0..applied.replaced {
                let replaced = self.replaced.pop_back().expect("a batch counts what it replaced");
                self.restore(replaced);
            }
        }
        self.barriers.retain(|(_, promised)| *promised <= below);
    }

    /// What power loss does: batches below `below` are left, and what phantoms hid comes to light. Answers at how
    /// many keys.
    pub(in crate::disk) fn lose_power(&mut self, below: u64) -> u64 {
        self.truncate(below);
        self.settle(below);
        self.barriers.clear();
        self.visible_at = 0;
        self.dirty_bytes = 0;
        self.opening = None;
        self.failed = None;
        let mut forgotten = 0;
        for ((shelf, key), mark) in std::mem::take(&mut self.marks) {
            match mark {
                Mark::Rotten => {
                    self.marks.insert((shelf, key), mark);
                }
                Mark::Phantom(value) => {
                    self.set(shelf, key, value);
                    forgotten += 1;
                }
            }
        }
        forgotten
    }

    /// What an open finds after a failed write, without a crash.
    pub(in crate::disk) fn reopen(&mut self) {
        if let Some(below) = self.failed.take() {
            self.truncate(below.clamp(self.durable, self.next()));
        }
        self.opening = None;
    }

    fn apply_next(&mut self) {
        let Queued { batch, trick, .. } = self.queue.pop_front().expect("a batch is on its way");
        self.queued_bytes -= batch.bytes() as u64;
        let before = self.replaced.len();
        let mut bytes = batch.size() as u64;
        let phantom = matches!(trick, Trick::Phantom);
        let mut put = None;
        for operation in batch.into_operations() {
            let family = family_of(&operation);
            let place = self
                .place(family)
                .expect("the families of a batch were looked up when it came");
            let shelf = self.by_family[place];
            match operation {
                Operation::Put { key, value, .. } => {
                    if matches!(trick, Trick::Misdirected(_)) {
                        put = Some((shelf, key.clone()));
                    }
                    bytes += self.replace(shelf, key, Some(value), phantom);
                }
                Operation::Delete { key, .. } => bytes += self.replace(shelf, key, None, phantom),
                Operation::DeleteRange { range, .. } => {
                    for key in self.keys(shelf, &range) {
                        bytes += self.replace(shelf, key, None, phantom);
                    }
                }
            }
        }
        if let (Trick::Misdirected(draw), Some((shelf, key))) = (trick, put) {
            self.misdirect(shelf, key, draw);
        }
        self.log_bytes += bytes;
        self.applied.push_back(Applied {
            replaced: self.replaced.len() - before,
            bytes,
        });
    }

    /// The keys of `range` that a delete would change.
    fn keys(&self, shelf: usize, range: &KeyRange) -> Vec<Bytes> {
        if range.is_empty() {
            return Vec::new();
        }
        let found = self.map(shelf).range::<_, [u8]>(bounds(range));
        let mut keys: Vec<Bytes> = found.map(|(key, _)| key.clone()).collect();
        // A key that a phantom deleted is on the medium still.
        keys.extend(
            self.marks
                .keys()
                .filter(|(marked, key)| *marked == shelf && range.contains(key))
                .filter(|(_, key)| !self.shelves[shelf].map.contains_key(key))
                .map(|(_, key)| key.clone()),
        );
        keys
    }

    /// Sets a key and remembers what was there. Answers how many bytes that holds.
    fn replace(&mut self, shelf: usize, key: Bytes, value: Option<Bytes>, phantom: bool) -> u64 {
        let old = self.set(shelf, key.clone(), value);
        let held = (key.len() + old.as_ref().map_or(0, Bytes::len)) as u64;
        let mut mark = None;
        if phantom || !self.marks.is_empty() {
            let place = (shelf, key.clone());
            mark = self.marks.remove(&place);
            if phantom {
                let on_medium = match &mark {
                    Some(Mark::Phantom(value)) => value.clone(),
                    _ => old.clone(),
                };
                self.marks.insert(place, Mark::Phantom(on_medium));
            }
        }
        self.replaced.push_back(Replaced {
            shelf,
            key,
            value: old,
            mark: mark.map(Box::new),
        });
        held
    }

    fn restore(&mut self, replaced: Replaced) {
        let Replaced {
            shelf,
            key,
            value,
            mark,
        } = replaced;
        match mark {
            Some(mark) => {
                self.marks.insert((shelf, key.clone()), *mark);
            }
            None if self.marks.is_empty() => {}
            None => {
                self.marks.remove(&(shelf, key.clone()));
            }
        }
        self.set(shelf, key, value);
    }

    /// Sets a key, and answers what was there.
    fn set(&mut self, shelf: usize, key: Bytes, value: Option<Bytes>) -> Option<Bytes> {
        let key_bytes = key.len() as u64;
        let map = &mut self.shelves[shelf].map;
        let old = match value {
            Some(value) => {
                self.live_bytes += key_bytes + value.len() as u64;
                map.insert(key, value)
            }
            None => map.remove(&key[..]),
        };
        if let Some(old) = &old {
            self.live_bytes -= key_bytes + old.len() as u64;
        }
        old
    }

    /// The value just put at `key` went over another one: neither is where it should be.
    fn misdirect(&mut self, shelf: usize, key: Bytes, mut draw: Draw) {
        let start = usize::try_from(draw.below(self.shelves.len() as u64)).expect("an index fits");
        let probe = draw.bits().to_be_bytes();
        let victim = (0..self.shelves.len()).find_map(|step| {
            let other = (start + step) % self.shelves.len();
            let map = &self.shelves[other].map;
            let from = map.range::<_, [u8]>((Bound::Included(&probe[..]), Bound::Unbounded));
            from.map(|(found, _)| found)
                .find(|found| other != shelf || **found != key)
                .or_else(|| map.keys().find(|found| other != shelf || **found != key))
                .map(|found| (other, found.clone()))
        });
        for (shelf, key) in victim.into_iter().chain([(shelf, key)]) {
            if let Some(value) = self.map(shelf).get(&key[..]).cloned() {
                self.replace(shelf, key.clone(), Some(value), false);
                self.marks.insert((shelf, key), Mark::Rotten);
            }
        }
    }
}
