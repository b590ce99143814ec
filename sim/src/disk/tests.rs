//! The disk's tests. `operations`: the contract without a crash. `durability`: random histories against a naive
//! model. `faults`: each fault does what it says.

use bytes::Bytes;
use env::storage::{Batch, Direction, Durability, Entry, Family, KeyRange, StorageError};

use super::*;

mod durability;
mod faults;
mod operations;

const A: Family = Family::new("a");
const B: Family = Family::new("b");

/// A disk with one open store, used at one place in time.
struct Bench {
    disk: Disk,
    now: u64,
    id: StoreId,
}

impl Bench {
    fn new(profile: Profile) -> Self {
        Self::seeded(1, profile)
    }

    fn seeded(seed: u64, profile: Profile) -> Self {
        Self::of(Disk::new(Seed::new(seed), 0, profile))
    }

    fn of(mut disk: Disk) -> Self {
        let opened = disk.open(0, "s", &[A, B]);
        Self {
            disk,
            now: opened.at_ns,
            id: opened.result.expect("a new store opens"),
        }
    }

    /// Writes and waits for the answer.
    fn write(&mut self, batch: Batch, durability: Durability) -> Result<(), StorageError> {
        let answer = self.disk.write(self.now, self.id, batch, durability);
        assert!(answer.at_ns < NEVER, "a write is answered");
        self.now = answer.at_ns;
        answer.result
    }

    fn put(&mut self, key: &str, value: &str, durability: Durability) -> Result<(), StorageError> {
        self.write(put(key, value), durability)
    }

    fn get(&mut self, key: &str) -> Result<Option<Bytes>, StorageError> {
        let answer = self.disk.get(self.now, self.id, A, key.as_bytes());
        self.now = answer.at_ns;
        answer.result
    }

    /// Everything in family `a`, as `key=value` words.
    fn words(&mut self) -> String {
        let answer = self.disk.scan(
            self.now,
            self.id,
            A,
            &KeyRange::ALL,
            Direction::Forward,
            usize::MAX,
        );
        words(&answer.result.expect("the scan answers"))
    }

    fn crash(&mut self, survivors: Survivors) -> StoreLoss {
        self.disk.crash(self.now, survivors).stores[0]
    }

    fn reopen(&mut self) -> Result<(), StorageError> {
        self.disk.close(self.id);
        let answer = self.disk.open(self.now, "s", &[A, B]);
        assert!(answer.at_ns < NEVER, "an open is answered");
        self.now = answer.at_ns;
        self.id = answer.result?;
        Ok(())
    }

    fn crash_and_reopen(&mut self, survivors: Survivors) -> String {
        self.crash(survivors);
        self.reopen().expect("the store opens after a crash");
        self.words()
    }
}

fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(A, key.to_owned(), value.to_owned());
    batch
}

fn words(entries: &[Entry]) -> String {
    let word = |(key, value): &Entry| format!("{}={}", key.escape_ascii(), value.escape_ascii());
    entries.iter().map(word).collect::<Vec<_>>().join(" ")
}
