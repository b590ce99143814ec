//! Where a state and what has happened stand in an ordered store.
//!
//! Nothing here reads or writes. A node asks its store for what [`State`] lacks and hands over the bytes; what a commit has done
//! becomes one [`batch`], which the store applies whole or not at all.
//!
//! | family | key | value | kept |
//! |---|---|---|---|
//! | `head` | none | [`Head`]: layout, chain, last commit, state root | for ever |
//! | `objects` | id | [`Object`], its latest version | while it is there |
//! | `unsettled` | id of a target that is not settled | nothing | until it is |
//! | `chunks` | number of a chunk | its root in the last [snapshot]; none where something of it has changed since | for ever |
//! | `commits` | epoch, commit | [`Executed`]: what a checkpoint takes from it | some epochs |
//! | `transactions` | digest | [`Record`]: the signed transaction and its effects | some epochs |
//! | `places` | digest | [`Place`]: the checkpoint and the position in it | some epochs |
//! | `checkpoints` | epoch, sequence | [`Summary`] | some epochs; the last of an epoch for ever |
//! | `contents` | epoch, sequence | [`Contents`] | some epochs |
//!
//! Numbers in keys are big-endian, so that keys ascend as they do. Only `objects`, `unsettled` and `head` are read by rules; the rest
//! is for those who ask what has happened, and for the checkpoint in the making, which a node builds anew from `commits` behind its
//! last checkpoint. No digest has to be kept for a transaction to be executed once: it uses up the version of the coin that pays, and a
//! duty is owed once.
//!
//! [snapshot]: crate::snapshot

mod key;
mod pruning;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crypto::{Digest, MultisetHash};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use types::checkpoint::{Contents, Summary};
use types::{
    ChainId, CheckpointSequence, CommitIndex, Content, DecodeError, Effects, Epoch, Object, ObjectId,
    SignedTransaction, TransactionDigest, decode, encode,
};

use crate::checkpoint::Executed;
use crate::execute::Writes;
use crate::snapshot::chunk_of;
use crate::state::is_unsettled;

pub use key::{CheckpointKey, CommitKey, Key};
pub use pruning::Pruning;
pub use state::State;

/// The layout that this program writes. Another one is read by another program.
pub const LAYOUT: u32 = 1;

/// A named ordered map of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// One value: how far the state is.
    Head,
    /// The latest version of each object.
    Objects,
    /// The targets that are not settled.
    Unsettled,
    /// The roots of the chunks in which nothing has changed since the last snapshot.
    Chunks,
    /// What checkpoints take from each commit.
    Commits,
    /// What was asked for, and what came of it.
    Transactions,
    /// Where a transaction stands in a checkpoint.
    Places,
    /// Summaries.
    Checkpoints,
    /// The contents of checkpoints.
    Contents,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Head,
        Self::Objects,
        Self::Unsettled,
        Self::Chunks,
        Self::Commits,
        Self::Transactions,
        Self::Places,
        Self::Checkpoints,
        Self::Contents,
    ];

    /// What the store calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Objects => "objects",
            Self::Unsettled => "unsettled",
            Self::Chunks => "chunks",
            Self::Commits => "commits",
            Self::Transactions => "transactions",
            Self::Places => "places",
            Self::Checkpoints => "checkpoints",
            Self::Contents => "contents",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One change of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub family: Family,
    /// At which key.
    pub key: Vec<u8>,
    /// What stands there from now on; nothing where it is deleted.
    pub value: Option<Vec<u8>>,
}

impl Write {
    fn put<K: Key, T: Serialize>(family: Family, key: &K, value: &T) -> Self {
        let (key, value) = (key.bytes(), Some(encode(value)));
        Self { family, key, value }
    }

    fn delete<K: Key>(family: Family, key: &K) -> Self {
        let (key, value) = (key.bytes(), None);
        Self { family, key, value }
    }
}

/// How far a state is. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`LAYOUT`].
    pub layout: u32,
    /// The chain.
    pub chain: ChainId,
    /// The epoch.
    pub epoch: Epoch,
    /// The last commit of it that the state has taken in; 0 before the first.
    pub commit: CommitIndex,
    /// The multiset of all objects.
    pub root: MultisetHash,
    /// The first epoch of which not everything has been pruned.
    pub unpruned: Epoch,
}

/// A transaction with what came of it. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What was signed; nothing where a commit or an epoch has done something by itself.
    pub signed: Option<SignedTransaction>,
    /// What it did.
    pub effects: Effects,
}

/// Where a transaction stands in a checkpoint. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The checkpoint's epoch.
    pub epoch: Epoch,
    /// Which checkpoint.
    pub checkpoint: CheckpointSequence,
    /// At which position of it.
    pub position: u32,
}

/// What stands in a store is not what a ledger has written, or a ledger of another kind wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A key is none of its family.
    #[error("`{family}` has the key {key}, which is none: the store is damaged; restore it from a snapshot")]
    Key {
        /// Where.
        family: Family,
        /// In hexadecimal digits.
        key: String,
    },
    /// A value is none of its family.
    #[error(
        "`{family}` has no valid value at {key}: {error}; the store is damaged; restore it from a snapshot"
    )]
    Value {
        /// Where.
        family: Family,
        /// In hexadecimal digits.
        key: String,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// Another object stands at an id.
    #[error("object {found} stands at {expected}: the store is damaged; restore it from a snapshot")]
    OtherObject {
        /// The id.
        expected: ObjectId,
        /// Whose object it is.
        found: ObjectId,
    },
    /// Another program wrote it.
    #[error(
        "the store has layout {found}, and this program reads layout {LAYOUT}: start the release that wrote it"
    )]
    OtherLayout {
        /// Its layout.
        found: u32,
    },
    /// It belongs to another chain.
    #[error("the store is that of chain {found}, not of {expected}: name another directory")]
    OtherChain {
        /// The chain that was expected.
        expected: ChainId,
        /// Its chain.
        found: ChainId,
    },
}

impl StoreError {
    fn key(family: Family, key: &[u8]) -> Self {
        let key = hex(key);
        Self::Key { family, key }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("0x".to_owned()).chain(digits).collect()
}

/// The value that stands at a key.
///
/// # Errors
/// [`StoreError::Value`].
pub fn value<T: DeserializeOwned + Serialize>(
    family: Family,
    key: &[u8],
    bytes: &[u8],
) -> Result<T, StoreError> {
    decode(bytes, bytes.len()).map_err(|error| StoreError::Value {
        family,
        key: hex(key),
        error,
    })
}

impl Head {
    /// What stands in the `head` of a store, which must be this chain's.
    ///
    /// # Errors
    /// [`StoreError::OtherLayout`], [`StoreError::OtherChain`], [`StoreError::Value`].
    pub fn read(bytes: &[u8], chain: ChainId) -> Result<Self, StoreError> {
        // Layouts differ in what comes behind their number.
        if let Some((number, _)) = bytes.split_first_chunk() {
            let found = u32::from_le_bytes(*number);
            if found != LAYOUT {
                return Err(StoreError::OtherLayout { found });
            }
        }
        let head: Self = value(Family::Head, &().bytes(), bytes)?;
        if head.chain != chain {
            return Err(StoreError::OtherChain {
                expected: chain,
                found: head.chain,
            });
        }
        Ok(head)
    }

    /// Puts it down.
    pub fn write(&self) -> Write {
        Write::put(Family::Head, &(), self)
    }
}

/// What a genesis, a commit or the end of an epoch has done: one batch, behind which the state is at `head`.
///
/// A commit is put down with what checkpoints take from it, and its epoch; the last one of an epoch
/// [once more](snapshot), when the epoch has ended.
pub fn batch(
    head: &Head,
    writes: &Writes,
    commit: Option<(Epoch, &Executed)>,
    records: &[Record],
) -> Vec<Write> {
    let mut batch = Vec::with_capacity(writes.len() * 2 + records.len() + 2);
    let chunks: BTreeSet<u16> = writes.keys().map(chunk_of).collect();
    batch.extend(chunks.iter().map(|chunk| Write::delete(Family::Chunks, chunk)));
    for (id, after) in writes {
        let Some(live) = after else {
            batch.push(Write::delete(Family::Objects, id));
            batch.push(Write::delete(Family::Unsettled, id));
            continue;
        };
        let object = live.object();
        batch.push(Write::put(Family::Objects, id, object));
        if is_unsettled(&object.content) {
            batch.push(Write::put(Family::Unsettled, id, &()));
        } else if let Content::Target(_) = object.content {
            batch.push(Write::delete(Family::Unsettled, id));
        }
    }
    batch.extend(commit.map(|(epoch, executed)| put_commit(epoch, executed)));
    for record in records {
        let digest = record.effects.transaction;
        batch.push(Write::put(Family::Transactions, &digest, record));
    }
    batch.push(head.write());
    batch
}

fn put_commit(epoch: Epoch, executed: &Executed) -> Write {
    let commit = executed.index;
    Write::put(Family::Commits, &CommitKey { epoch, commit }, executed)
}

/// The snapshot behind the end of an epoch: the roots that were missing of its chunks, and the epoch's last commit, which has the
/// snapshot's root now, and what the end of the epoch has done as its last entry.
pub fn snapshot(roots: &BTreeMap<u16, Digest>, epoch: Epoch, last: &Executed) -> Vec<Write> {
    let roots = roots
        .iter()
        .map(|(chunk, root)| Write::put(Family::Chunks, chunk, root));
    roots.chain([put_commit(epoch, last)]).collect()
}

/// What a checkpoint that was cut puts down.
pub fn checkpoint(summary: &Summary, contents: &Contents) -> Vec<Write> {
    let key = CheckpointKey {
        epoch: summary.epoch,
        sequence: summary.sequence,
    };
    let place = |(position, digest): (u32, TransactionDigest)| {
        let place = Place {
            epoch: summary.epoch,
            checkpoint: summary.sequence,
            position,
        };
        Write::put(Family::Places, &digest, &place)
    };
    let digests = contents.0.iter().map(|entry| entry.transaction);
    let places = (0..).zip(digests).map(place);
    let whole = [
        Write::put(Family::Checkpoints, &key, summary),
        Write::put(Family::Contents, &key, contents),
    ];
    whole.into_iter().chain(places).collect()
}

/// The object that stands at an id.
///
/// # Errors
/// [`StoreError::Value`], [`StoreError::OtherObject`].
pub fn object(id: &ObjectId, bytes: &[u8]) -> Result<Object, StoreError> {
    let object: Object = value(Family::Objects, &id.bytes(), bytes)?;
    if object.id != *id {
        return Err(StoreError::OtherObject {
            expected: *id,
            found: object.id,
        });
    }
    Ok(object)
}
