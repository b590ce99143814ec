//! What a trace keeps of a disk operation.

use std::ops::Bound;

use bytes::Bytes;
use env::storage::{Batch, Entry, Operation, StorageError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// One operation, small enough to keep of every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskEvent {
    /// What was asked.
    pub kind: OperationKind,
    /// How it ended.
    pub outcome: Outcome,
    /// Which store of the disk, by order of creation.
    pub store: u32,
    /// Bytes of keys and values read or written.
    pub bytes: u64,
    /// xxh3-64 over them.
    pub digest: u64,
    /// From the call to the answer; [`NEVER`](super::NEVER) if there is none.
    pub latency_ns: u64,
}

/// What was asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OperationKind {
    /// To open a store.
    Open,
    /// For a value.
    Get,
    /// For a range.
    Scan,
    /// For a snapshot.
    Snapshot,
    /// To apply a batch.
    Write,
    /// To apply a batch, with a barrier.
    Sync,
}

impl OperationKind {
    /// Its name in traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Get => "get",
            Self::Scan => "scan",
            Self::Snapshot => "snapshot",
            Self::Write => "write",
            Self::Sync => "sync",
        }
    }
}

/// How an operation ended: `Done`, or the error of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the variants of StorageError say it")]
pub enum Outcome {
    Done,
    Full,
    Corrupt,
    Io,
    Failed,
    Locked,
    UnknownFamily,
    TooLarge,
    Closed,
}

impl Outcome {
    pub(super) fn of<T>(result: &Result<T, StorageError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(StorageError::Full { .. }) => Self::Full,
            Err(StorageError::Corrupt { .. }) => Self::Corrupt,
            Err(StorageError::Io { .. }) => Self::Io,
            Err(StorageError::Failed { .. }) => Self::Failed,
            Err(StorageError::Locked { .. }) => Self::Locked,
            Err(StorageError::UnknownFamily { .. }) => Self::UnknownFamily,
            Err(StorageError::TooLarge { .. }) => Self::TooLarge,
            Err(StorageError::Closed) => Self::Closed,
        }
    }
}

impl DiskEvent {
    /// The event in 30 bytes, little-endian, in the order of the fields, for a hash chain.
    pub fn encode(&self) -> [u8; 30] {
        let mut bytes = [0; 30];
        bytes[0] = self.kind as u8;
        bytes[1] = self.outcome as u8;
        bytes[2..6].copy_from_slice(&self.store.to_le_bytes());
        bytes[6..14].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[14..22].copy_from_slice(&self.digest.to_le_bytes());
        bytes[22..].copy_from_slice(&self.latency_ns.to_le_bytes());
        bytes
    }
}

/// A digest of a list of byte strings: each is hashed with the digest so far as the seed, so where one ends counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    pub(super) fn get(self) -> u64 {
        self.0
    }

    pub(super) fn of_entries(entries: &[Entry]) -> (u64, u64) {
        let (mut digest, mut bytes) = (Self::default(), 0);
        for (key, value) in entries {
            digest.add(key);
            digest.add(value);
            bytes += (key.len() + value.len()) as u64;
        }
        (digest.0, bytes)
    }

    pub(super) fn of_batch(batch: &Batch) -> u64 {
        let mut digest = Self::default();
        for operation in batch.operations() {
            match operation {
                Operation::Put { family, key, value } => {
                    digest.add(family.name().as_bytes());
                    digest.add(key);
                    digest.add(value);
                }
                Operation::Delete { family, key } => {
                    digest.0 ^= 1;
                    digest.add(family.name().as_bytes());
                    digest.add(key);
                }
                Operation::DeleteRange { family, range } => {
                    digest.0 ^= 2;
                    digest.add(family.name().as_bytes());
                    digest.add_bound(&range.start);
                    digest.add_bound(&range.end);
                }
            }
        }
        digest.0
    }

    fn add_bound(&mut self, bound: &Bound<Bytes>) {
        match bound {
            Bound::Unbounded => self.0 ^= 1,
            Bound::Included(key) => self.add(key),
            Bound::Excluded(key) => {
                self.0 ^= 2;
                self.add(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use env::storage::{Family, KeyRange};

    use super::*;

    #[test]
    fn different_batches_have_different_digests() {
        let (a, b) = (Family::new("a"), Family::new("b"));
        let mut batches = vec![Batch::default(); 7];
        batches[1].put(a, &b"k"[..], &b"v"[..]);
        batches[2].put(b, &b"k"[..], &b"v"[..]);
        batches[3].put(a, &b"kv"[..], &b""[..]);
        batches[4].delete(a, &b"k"[..]);
        batches[5].delete_range(a, KeyRange::from(b"k"));
        batches[6].delete_range(a, KeyRange::prefix(b"k"));
        let mut digests: Vec<u64> = batches.iter().map(Digest::of_batch).collect();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 7);
    }

    #[test]
    fn every_field_of_an_event_is_in_its_encoding() {
        let event = DiskEvent {
            kind: OperationKind::Sync,
            outcome: Outcome::Closed,
            store: 0x0302_0100,
            bytes: 7,
            digest: 8,
            latency_ns: u64::MAX,
        };
        let mut expected = vec![5, 8, 0, 1, 2, 3, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([255; 8]);
        assert_eq!(event.encode().to_vec(), expected);
    }
}
