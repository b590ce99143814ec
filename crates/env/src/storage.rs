//! A node's disk: ordered maps from bytes to bytes, in families, changed by atomic batches.
//!
//! What is promised:
//! - A batch is applied whole or not at all, across families, across a crash.
//! - Batches take effect in the order in which [`Store::write`] was *called*; a crash keeps a prefix of that order.
//! - Once a write with [`Durability::Synced`] has answered `Ok`, it and every batch before it survive a crash.
//! - A [`Durability::Buffered`] batch is visible when its write answers, and survives a crash only once a later
//!   barrier has answered.
//! - After any failed write the store takes no more of them ([`StorageError::Failed`]): what a failed sync left on
//!   the disk is unknown, and only reopening shows it.
//! - What cannot be read as it was written is [`StorageError::Corrupt`], never other bytes.

use std::fmt;
use std::future::Future;
use std::ops::Bound;

use bytes::Bytes;

/// Opens stores.
pub trait Storage: Clone + Send + Sync + 'static {
    /// See [`Store`].
    type Store: Store;

    /// Opens or creates the store `name` with these families. Families that exist and are not listed are kept and
    /// cannot be reached. One store can be open once. Dropping the future closes what it has opened, perhaps a moment
    /// later; until then the store is [`StorageError::Locked`].
    ///
    /// # Errors
    /// [`StorageError::Locked`], [`StorageError::Corrupt`], [`StorageError::Full`], [`StorageError::Io`],
    /// [`StorageError::Closed`].
    fn open(
        &self,
        name: &str,
        families: &[Family],
    ) -> impl Future<Output = Result<Self::Store, StorageError>> + Send;
}

/// A named ordered map inside a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Family(&'static str);

impl Family {
    /// The family called `name`: lower-case letters, digits and `_`.
    ///
    /// # Panics
    /// On any other name: it is a constant of the program.
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "a family has a name");
        let mut index = 0;
        while index < bytes.len() {
            assert!(
                bytes[index].is_ascii_lowercase() || bytes[index].is_ascii_digit() || bytes[index] == b'_',
                "a family's name is made of a-z, 0-9 and _"
            );
            index += 1;
        }
        Self(name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One key with its value.
pub type Entry = (Bytes, Bytes);

/// Reads of one consistent state: of a snapshot, or of a store as it is when the read is first polled or later.
pub trait Reader: Send + Sync + 'static {
    /// The value at `key`.
    ///
    /// # Errors
    /// [`StorageError::UnknownFamily`], [`StorageError::Corrupt`], [`StorageError::Io`], [`StorageError::Closed`].
    fn get(
        &self,
        family: Family,
        key: &[u8],
    ) -> impl Future<Output = Result<Option<Bytes>, StorageError>> + Send;

    /// At most `limit` entries of `range`, from its start or from its end.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn scan(
        &self,
        family: Family,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Entry>, StorageError>> + Send;
}

/// An open store. Its own reads see every write that has answered. Dropping the last handle closes it without a
/// barrier.
pub trait Store: Reader + Clone {
    /// A state that later writes do not change. It holds resources: keep it for seconds, not for hours.
    type Snapshot: Reader;

    /// Applies the batch. Its place in the order is taken by the call, before the future is first polled; dropping
    /// the future does not withdraw the batch.
    ///
    /// # Errors
    /// [`StorageError::Full`], [`StorageError::Io`] and [`StorageError::Failed`], after each of which the store
    /// takes no more writes; [`StorageError::UnknownFamily`] and [`StorageError::TooLarge`], which change nothing;
    /// [`StorageError::Closed`].
    fn write(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// The state at the first poll or later.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::Closed`].
    fn snapshot(&self) -> impl Future<Output = Result<Self::Snapshot, StorageError>> + Send;

    /// A barrier without a batch of its own, behind every batch whose write was called before.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn sync(&self) -> impl Future<Output = Result<(), StorageError>> + Send {
        self.write(Batch::default(), Durability::Synced)
    }
}

/// When a write may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As soon as reads see it.
    Buffered,
    /// Once it and everything before it is on the disk.
    Synced,
}

/// The end of a range at which a scan starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Reverse,
}

/// A range of keys, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Where it starts.
    pub start: Bound<Bytes>,
    /// Where it ends.
    pub end: Bound<Bytes>,
}

impl KeyRange {
    /// Every key.
    pub const ALL: Self = Self {
        start: Bound::Unbounded,
        end: Bound::Unbounded,
    };

    /// Every key that starts with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let start = Bound::Included(Bytes::copy_from_slice(prefix));
        let end = match prefix.iter().rposition(|byte| *byte != u8::MAX) {
            None => Bound::Unbounded,
            Some(last) => {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                Bound::Excluded(Bytes::from(end))
            }
        };
        Self { start, end }
    }

    /// Every key from `start` on.
    pub fn from(start: &[u8]) -> Self {
        Self {
            start: Bound::Included(Bytes::copy_from_slice(start)),
            end: Bound::Unbounded,
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        let after_start = match &self.start {
            Bound::Included(start) => key >= &start[..],
            Bound::Excluded(start) => key > &start[..],
            Bound::Unbounded => true,
        };
        let before_end = match &self.end {
            Bound::Included(end) => key <= &end[..],
            Bound::Excluded(end) => key < &end[..],
            Bound::Unbounded => true,
        };
        after_start && before_end
    }

    /// Whether no key can lie in the range.
    pub fn is_empty(&self) -> bool {
        match (&self.start, &self.end) {
            (Bound::Unbounded, Bound::Excluded(end)) => end.is_empty(),
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (Bound::Included(start), Bound::Excluded(end)) => start >= end,
            (Bound::Excluded(start), Bound::Included(end)) => start >= end,
            // The key after `start` is `start` with a zero byte: nothing lies between them.
            (Bound::Excluded(start), Bound::Excluded(end)) => {
                start >= end
                    || (end.len() == start.len() + 1 && end.starts_with(start) && end.last() == Some(&0))
            }
        }
    }
}

/// The largest [`Batch::size`].
pub const MAX_BATCH: usize = 64 << 20;

/// What a change counts beside its bytes, so that changes without any have a bound too.
const OPERATION_BYTES: usize = 64;

/// Changes that are applied together, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    operations: Vec<Operation>,
    bytes: usize,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets the value at a key.
    Put {
        /// Where.
        family: Family,
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
    },
    /// Removes a key, if it is there.
    Delete {
        /// Where.
        family: Family,
        /// The key.
        key: Bytes,
    },
    /// Removes every key of a range.
    DeleteRange {
        /// Where.
        family: Family,
        /// The keys.
        range: KeyRange,
    },
}

impl Batch {
    /// Adds a [`Operation::Put`].
    pub fn put(&mut self, family: Family, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len();
        self.operations.push(Operation::Put { family, key, value });
        self
    }

    /// Adds a [`Operation::Delete`].
    pub fn delete(&mut self, family: Family, key: impl Into<Bytes>) -> &mut Self {
        let key = key.into();
        self.bytes += key.len();
        self.operations.push(Operation::Delete { family, key });
        self
    }

    /// Adds a [`Operation::DeleteRange`].
    pub fn delete_range(&mut self, family: Family, range: KeyRange) -> &mut Self {
        for bound in [&range.start, &range.end] {
            if let Bound::Included(key) | Bound::Excluded(key) = bound {
                self.bytes += key.len();
            }
        }
        self.operations.push(Operation::DeleteRange { family, range });
        self
    }

    /// The changes in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The changes in order, by value.
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    /// Bytes of keys, values and the ends of ranges.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it counts wherever batches have a bound: its bytes, and 64 for each change.
    pub fn size(&self) -> usize {
        self.bytes + self.operations.len() * OPERATION_BYTES
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The disk is full. Free space and reopen.
    #[error("the disk of store `{store}` is full")]
    Full {
        /// Which store.
        store: String,
    },
    /// Bytes on the disk are not what was written. Restore the store or sync it anew from peers.
    #[error("store `{store}` is corrupt: {detail}")]
    Corrupt {
        /// Which store.
        store: String,
        /// Where, for a log line.
        detail: String,
    },
    /// The operating system refused. Look at the disk, then reopen.
    #[error("store `{store}` failed: {detail}")]
    Io {
        /// Which store.
        store: String,
        /// Its answer, for a log line.
        detail: String,
    },
    /// An earlier write failed, so this one was not tried. Reopen.
    #[error("store `{store}` takes no writes after an earlier one failed")]
    Failed {
        /// Which store.
        store: String,
    },
    /// Another process or handle has the store open.
    #[error("store `{store}` is open elsewhere")]
    Locked {
        /// Which store.
        store: String,
    },
    /// The family was not named when the store was opened. A programming error of the caller.
    #[error("store `{store}` was opened without family `{family}`")]
    UnknownFamily {
        /// Which store.
        store: String,
        /// Which family.
        family: Family,
    },
    /// The batch is over [`MAX_BATCH`]. Split it.
    #[error("a batch of size {bytes} is over the limit of {limit}")]
    TooLarge {
        /// The batch's [`size`](Batch::size).
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Closed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_exactly_the_keys_that_start_with_it() {
        let range = KeyRange::prefix(&[7, 255]);
        assert_eq!(range.end, Bound::Excluded(Bytes::from_static(&[8])));
        assert!(range.contains(&[7, 255]) && range.contains(&[7, 255, 255, 1]));
        assert!(!range.contains(&[7, 254]) && !range.contains(&[8]));
        assert_eq!(KeyRange::prefix(&[255, 255]).end, Bound::Unbounded);
    }

    #[test]
    fn a_range_between_neighbours_is_empty() {
        let range = KeyRange {
            start: Bound::Excluded(Bytes::from_static(b"a")),
            end: Bound::Excluded(Bytes::from_static(b"a\0")),
        };
        assert!(range.is_empty());
        assert!(!KeyRange::from(b"a").is_empty() && !KeyRange::ALL.is_empty());
    }

    #[test]
    fn a_batch_counts_the_bytes_it_carries() {
        let mut batch = Batch::default();
        batch
            .put(Family::new("f"), &b"key"[..], &b"value"[..])
            .delete(Family::new("f"), &b"k"[..])
            .delete_range(Family::new("f"), KeyRange::prefix(b"ab"));
        assert_eq!(
            (batch.bytes(), batch.operations().len(), batch.is_empty()),
            (13, 3, false)
        );
    }

    #[test]
    fn changes_without_bytes_have_a_size() {
        let mut batch = Batch::default();
        assert_eq!(batch.size(), 0);
        for _ in 0..10 {
            batch.delete_range(Family::new("f"), KeyRange::ALL);
            batch.put(Family::new("f"), Bytes::new(), Bytes::new());
        }
        assert_eq!((batch.bytes(), batch.size()), (0, 20 * OPERATION_BYTES));
    }
}
