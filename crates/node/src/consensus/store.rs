//! The store of one epoch: its opening, what is read from it, and what is written.
//!
//! A store that turns out to be damaged is never used again, not even if its next reading finds nothing wrong: what it
//! shows then may be older than what was signed. So each epoch has *generations* of stores. A generation but the first
//! counts once it has been begun, and makes all before it void.

use std::sync::Arc;

use bytes::Bytes;
use consensus::restore::{self, CommitState, block_key, commit_key};
use consensus::{Members, Record, Restored, Rules, SignedBlock, SubDag, Suite, Table};
use env::{Batch, Direction, Durability, Env, Family, KeyRange, Reader, Storage, StorageError, Store};
use types::block::MAX_PARENTS;
use types::{AuthorityIndex, BlockRef, Bounded, Commit, CommitIndex, Epoch, Round};

const BLOCKS: Family = Family::new("blocks");
const COMMITS: Family = Family::new("commits");
const CERTIFICATES: Family = Family::new("certificates");
const STATE: Family = Family::new("state");
const FAMILIES: &[Family] = &[BLOCKS, COMMITS, CERTIFICATES, STATE];

/// Key in [`STATE`] of a generation that has been begun.
const BEGUN: &[u8] = b"begun";
/// The most stores of one epoch. A disk that has damaged as many is no disk.
pub(crate) const MAX_GENERATIONS: u32 = 16;

/// Entries that are read at a time; a block has a megabyte at most.
const PAGE: usize = 64;
/// The most bytes of a commit or a state in a store.
const MAX_VALUE_BYTES: usize = 16 << 20;

/// What a table is called in a store.
pub(crate) const fn family(table: Table) -> Family {
    match table {
        Table::Blocks => BLOCKS,
        Table::Commits => COMMITS,
        Table::Certificates => CERTIFICATES,
        Table::State => STATE,
    }
}

/// Adds a record to a batch.
pub(crate) fn put(batch: &mut Batch, record: Record) {
    batch.put(family(record.table), record.key, record.value);
}

/// An open store of an epoch that is in use.
pub(crate) struct EpochStore<E: Env> {
    pub store: Arc<<E::Storage as Storage>::Store>,
    pub generation: u32,
}

impl<E: Env> Clone for EpochStore<E> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            generation: self.generation,
        }
    }
}

/// Why a store cannot be gone on from.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It is damaged: the next generation is begun.
    Damaged(&'static str),
    /// It cannot be read at the moment.
    Storage(StorageError),
}

impl From<StorageError> for Unreadable {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Corrupt { .. } => Self::Damaged("the store is corrupt"),
            error => Self::Storage(error),
        }
    }
}

fn name(epoch: Epoch, generation: u32) -> String {
    match generation {
        0 => format!("consensus-{epoch}"),
        _ => format!("consensus-{epoch}-{generation}"),
    }
}

/// Opens the store of `epoch` that is in use: the last generation that was begun, `at_least` or a later one. `None`
/// when all of them are damaged.
pub(crate) async fn open<E: Env>(
    env: &E,
    epoch: Epoch,
    at_least: u32,
) -> Result<Option<EpochStore<E>>, StorageError> {
    let mut current = None;
    for generation in 0..MAX_GENERATIONS {
        let opened = env.storage().open(&name(epoch, generation), FAMILIES).await;
        let begun = match &opened {
            Ok(store) => store.get(STATE, BEGUN).await,
            Err(error) => Err(error.clone()),
        };
        match (opened, begun) {
            // The first is in use until another is; a damaged one makes all before it void, for it may have been begun.
            (Ok(store), Ok(begun)) if begun.is_some() || generation == 0 => {
                current = (generation >= at_least).then_some((store, generation));
            }
            (Ok(store), Ok(_)) => {
                if current.is_none() {
                    let mut batch = Batch::default();
                    batch.put(STATE, BEGUN, Bytes::new());
                    store.write(batch, Durability::Synced).await?;
                    current = Some((store, generation));
                }
                break;
            }
            (_, Err(StorageError::Corrupt { .. })) | (Err(StorageError::Corrupt { .. }), _) => current = None,
            (_, Err(error)) | (Err(error), _) => return Err(error),
        }
    }
    Ok(current.map(|(store, generation)| EpochStore {
        store: Arc::new(store),
        generation,
    }))
}

impl<E: Env> EpochStore<E> {
    /// Everything that the machine starts from. What is read is durable: a barrier comes first, for a write that failed
    /// may be there and not on the disk.
    pub async fn restore(&self) -> Result<Restored, Unreadable> {
        if !consensus::planted!(ReadUnsynced) {
            self.store.sync().await?;
        }
        let marker = self.state(restore::MARKER).await?;
        let marker = match marker {
            None => None,
            Some(bytes) => {
                let round = bytes[..]
                    .try_into()
                    .map_err(|_| Unreadable::Damaged("a marker"))?;
                Some(Round::new(u32::from_le_bytes(round)))
            }
        };
        let own = self.own().await?;
        let state: Option<CommitState> = self.decoded_state(restore::COMMIT).await?;
        let mut commits = Vec::new();
        if let Some(state) = &state {
            let mut next = state.oldest;
            while next <= state.last.index {
                let page = self.commits(next, PAGE).await?;
                let Some(last) = page.last() else { break };
                next = last
                    .index
                    .next()
                    .ok_or(Unreadable::Damaged("a commit without a next"))?;
                commits.extend(page);
            }
            commits.retain(|commit| commit.index <= state.last.index);
        }
        let floor = state.as_ref().map_or(Round::ZERO, |state| state.floor);
        let mut blocks = Vec::new();
        if let Some(own) = own.filter(|own| own.round < floor) {
            blocks.extend(self.store.get(BLOCKS, &block_key(&own)).await?);
        }
        let mut range = KeyRange::from(&floor.get().to_be_bytes());
        loop {
            let page = self.store.scan(BLOCKS, range, Direction::Forward, PAGE).await?;
            let is_last = page.len() < PAGE;
            range = match page.last() {
                Some((key, _)) => KeyRange {
                    start: std::ops::Bound::Excluded(key.clone()),
                    end: std::ops::Bound::Unbounded,
                },
                None => break,
            };
            blocks.extend(page.into_iter().map(|(_, frame)| frame));
            if is_last {
                break;
            }
        }
        Ok(Restored {
            marker,
            own,
            state,
            commits,
            blocks,
        })
    }

    /// The latest own block's name.
    pub async fn own(&self) -> Result<Option<BlockRef>, Unreadable> {
        self.decoded_state(restore::OWN).await
    }

    async fn state(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.store.get(STATE, key).await
    }

    async fn decoded_state<T: serde::Serialize + serde::de::DeserializeOwned>(
        &self,
        key: &[u8],
    ) -> Result<Option<T>, Unreadable> {
        let bytes = self.state(key).await?;
        let decoded = bytes
            .map(|bytes| types::decode(&bytes, MAX_VALUE_BYTES))
            .transpose();
        decoded.map_err(|_| Unreadable::Damaged("a state"))
    }

    /// The commits from `first` on without a gap, `most` of them at most.
    pub async fn commits(&self, first: CommitIndex, most: usize) -> Result<Vec<Commit>, Unreadable> {
        let range = KeyRange::from(&commit_key(first));
        let entries = self.store.scan(COMMITS, range, Direction::Forward, most).await?;
        let mut commits = Vec::with_capacity(entries.len());
        let mut expected = first;
        for (_, value) in entries {
            let commit: Commit =
                types::decode(&value, MAX_VALUE_BYTES).map_err(|_| Unreadable::Damaged("a commit"))?;
            if commit.index != expected {
                break;
            }
            expected = expected
                .next()
                .ok_or(Unreadable::Damaged("a commit without a next"))?;
            commits.push(commit);
        }
        Ok(commits)
    }

    /// The commits at `after` and behind with what they bring into the order, `most` of them at most.
    pub async fn sub_dags<S: Suite>(
        &self,
        first: CommitIndex,
        most: usize,
        rules: &Rules,
        members: &Members<S>,
    ) -> Result<Vec<SubDag>, Unreadable> {
        let mut sub_dags = Vec::new();
        for commit in self.commits(first, most).await? {
            let mut payloads = Vec::with_capacity(commit.blocks.len());
            for name in &commit.blocks {
                let frame = self.store.get(BLOCKS, &block_key(name)).await?;
                let frame = frame.ok_or(Unreadable::Damaged("a committed block is missing"))?;
                let block = SignedBlock::decode(&frame, rules, members)
                    .map_err(|_| Unreadable::Damaged("a block"))?;
                payloads.push(block.payloads().clone());
            }
            sub_dags.push(SubDag {
                digest: commit.digest(),
                is_last: rules.end.is_some_and(|end| commit.timestamp >= end),
                payloads,
                commit,
            });
        }
        Ok(sub_dags)
    }

    /// The frame of a block.
    pub async fn block(&self, name: &BlockRef) -> Result<Option<Bytes>, StorageError> {
        self.store.get(BLOCKS, &block_key(name)).await
    }

    /// Frames of blocks at a place, `most` of them at most.
    pub async fn blocks_at(
        &self,
        round: Round,
        author: AuthorityIndex,
        most: usize,
    ) -> Result<Vec<Bytes>, StorageError> {
        let mut prefix = round.get().to_be_bytes().to_vec();
        prefix.extend(author.get().to_be_bytes());
        let range = KeyRange::prefix(&prefix);
        let entries = self.store.scan(BLOCKS, range, Direction::Forward, most).await?;
        Ok(entries.into_iter().map(|(_, frame)| frame).collect())
    }

    /// The blocks of a round, `most` of them at most.
    pub async fn row(&self, round: Round, most: usize) -> Result<Vec<(BlockRef, Bytes)>, StorageError> {
        let range = KeyRange::prefix(&round.get().to_be_bytes());
        let entries = self.store.scan(BLOCKS, range, Direction::Forward, most).await?;
        let named = entries
            .into_iter()
            .filter_map(|(key, frame)| Some((block_name(&key)?, frame)));
        Ok(named.collect())
    }

    /// The certificates with indices from `first` to below `end`, the highest first, `most` of them at most.
    pub async fn certificates(
        &self,
        first: CommitIndex,
        end: CommitIndex,
        most: usize,
    ) -> Result<Vec<Vec<BlockRef>>, StorageError> {
        let range = KeyRange {
            start: std::ops::Bound::Included(commit_key(first).into()),
            end: std::ops::Bound::Excluded(commit_key(end).into()),
        };
        let entries = self
            .store
            .scan(CERTIFICATES, range, Direction::Reverse, most)
            .await?;
        let decoded = entries.iter().filter_map(|(_, value)| {
            let names: Bounded<BlockRef, MAX_PARENTS> = types::decode(value, MAX_VALUE_BYTES).ok()?;
            Some(names.into_inner())
        });
        Ok(decoded.collect())
    }
}

/// The name that a key of [`Table::Blocks`] is made of.
pub(crate) fn block_name(key: &[u8]) -> Option<BlockRef> {
    let (round, rest) = key.split_first_chunk()?;
    let (author, digest) = rest.split_first_chunk()?;
    Some(BlockRef {
        round: Round::new(u32::from_be_bytes(*round)),
        author: AuthorityIndex::new(u16::from_be_bytes(*author))?,
        digest: types::BlockDigest::new(crypto::Digest::new(digest.try_into().ok()?)),
    })
}

#[cfg(test)]
mod tests {
    use crypto::Digest;
    use types::BlockDigest;

    use super::*;

    #[test]
    fn the_key_of_a_block_gives_its_name_back() {
        let name = BlockRef {
            round: Round::new(0x0102_0304),
            author: AuthorityIndex::new(513).expect("an index"),
            digest: BlockDigest::new(Digest::new([7; 32])),
        };
        let key = block_key(&name);
        assert_eq!(block_name(&key), Some(name));
        assert_eq!(block_name(&key[1..]), None);
        assert_eq!(block_name(&[255; 38]), None);
    }

    #[test]
    fn generations_of_a_store_have_names_of_their_own() {
        let epoch = Epoch::new(3);
        let names = [name(epoch, 0), name(epoch, 1), name(Epoch::new(31), 0)];
        assert_eq!(names, ["consensus-3", "consensus-3-1", "consensus-31"]);
    }
}
