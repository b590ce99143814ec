//! What a restart needs, and in what order it is read.
//!
//! The store of an epoch holds a *marker* from the moment on at which its owner is entitled to sign in the epoch. A
//! store without one is a store that was lost: what was signed before is asked of the others (see
//! the crate's `core::recover`).

use bytes::Bytes;
use crypto::Digest;
use serde::{Deserialize, Serialize};
use types::{AuthorityIndex, BlockRef, CommitIndex, CommitRef, Round};

use crate::machine::{Record, Table};
use crate::schedule::Swaps;

/// Key of the marker in [`Table::State`]. Its value is a round, little endian: own blocks of lower rounds may have been
/// signed by an owner that has forgotten it, so none is signed again.
pub const MARKER: &[u8] = b"marker";
/// Key of the latest own block's [`BlockRef`] in [`Table::State`].
pub const OWN: &[u8] = b"own";
/// Key of [`CommitState`] in [`Table::State`].
pub const COMMIT: &[u8] = b"commit";

/// What follows from the commits so far and is not worth following from them again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitState {
    /// The last commit.
    pub last: CommitRef,
    /// The first commit that may hold blocks above the floor.
    pub oldest: CommitIndex,
    /// Rounds at or below are not ordered any more.
    pub floor: Round,
    /// The latest beacon.
    pub beacon: Digest,
    /// Reputation since the last schedule, by author.
    pub scores: Vec<u64>,
    /// Commits in those scores.
    pub scored: u64,
    /// Whose leader slots go to others: the authors that lose theirs, ascending.
    pub bad: Vec<AuthorityIndex>,
    /// And those who take them, ascending.
    pub good: Vec<AuthorityIndex>,
}

impl CommitState {
    /// The swaps in force.
    pub fn swaps(&self) -> Swaps {
        Swaps {
            bad: self.bad.clone(),
            good: self.good.clone(),
        }
    }
}

/// Everything that a machine starts from. In a store that was never used, all of it is empty.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// The round in the marker, if there is a marker.
    pub marker: Option<Round>,
    /// The value of [`OWN`].
    pub own: Option<BlockRef>,
    /// The value of [`COMMIT`].
    pub state: Option<CommitState>,
    /// The commits from [`CommitState::oldest`] to the last, in order.
    pub commits: Vec<types::Commit>,
    /// The frames of [`Table::Blocks`] from the round [`CommitState::floor`] on, in the order of their keys, and the
    /// own latest block if it lies below.
    pub blocks: Vec<Bytes>,
}

/// The record that entitles its owner to sign in the epoch, from `round` on. In a store that nobody used before in the
/// epoch, which its owner alone can know, `round` is 0.
pub fn marker(round: Round) -> Record {
    Record {
        table: Table::State,
        key: MARKER.to_vec(),
        value: Bytes::copy_from_slice(&round.get().to_le_bytes()),
    }
}

/// The key of a block.
pub fn block_key(block: &BlockRef) -> Vec<u8> {
    let mut key = block.round.get().to_be_bytes().to_vec();
    key.extend(block.author.get().to_be_bytes());
    key.extend(block.digest.get().as_bytes());
    key
}

/// The key of a commit or a certificate.
pub fn commit_key(index: CommitIndex) -> Vec<u8> {
    index.get().to_be_bytes().to_vec()
}
