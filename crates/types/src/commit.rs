//! What consensus decides: a chain of commits.

use crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::{BlockRef, ChainId, CommitDigest, CommitIndex, CommitRef, Epoch, UnixMillis};

/// A leader's block and what it brings into the order: the next link of the epoch's chain. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its position, from 1.
    pub index: CommitIndex,
    /// The commit before; for the first one [`Commit::root`].
    pub previous: CommitDigest,
    /// The leader's block.
    pub leader: BlockRef,
    /// The stake-weighted median of the clocks of those below the leader, never before the commit before.
    pub timestamp: UnixMillis,
    /// The beacon, new with this commit.
    pub beacon: Option<Digest>,
    /// What is ordered now: ascending by round, author, digest; the leader's block is the last.
    pub blocks: Vec<BlockRef>,
}

impl Commit {
    /// What stands before the first commit of an epoch.
    pub fn root(chain: ChainId, epoch: Epoch) -> CommitDigest {
        CommitDigest::new(Digest::of_value("CommitRoot", &(chain, epoch)))
    }

    /// `H(Commit:: ‖ BCS)`.
    pub fn digest(&self) -> CommitDigest {
        CommitDigest::new(Digest::of_value("Commit", self))
    }

    /// Its name.
    pub fn reference(&self) -> CommitRef {
        CommitRef {
            index: self.index,
            digest: self.digest(),
        }
    }
}
