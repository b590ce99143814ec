//! What consensus decides: a chain of commits.

use crypto::{Digest, Hasher};
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
        Self::digest_of(&crate::encode(self))
    }

    /// The digest of the commit that has this encoding.
    pub fn digest_of(encoded: &[u8]) -> CommitDigest {
        let mut hasher = Hasher::named("Commit");
        hasher.bytes(encoded);
        CommitDigest::new(hasher.finish())
    }

    /// Its name.
    pub fn reference(&self) -> CommitRef {
        CommitRef {
            index: self.index,
            digest: self.digest(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{AuthorityIndex, BlockDigest, Round, decode, encode};

    #[test]
    fn every_chain_and_epoch_has_a_root_of_its_own() {
        let root = |chain: u8, epoch| Commit::root(ChainId::new(Digest::new([chain; 32])), Epoch::new(epoch));
        assert_ne!(root(1, 1), root(2, 1));
        assert_ne!(root(1, 1), root(1, 2));
    }

    prop_compose! {
        fn commits()(
            index: u64,
            previous: [u8; 32],
            timestamp: u64,
            beacon: Option<[u8; 32]>,
            blocks in prop::collection::vec((any::<u32>(), 0u16..1024, any::<[u8; 32]>()), 1..20),
        ) -> Commit {
            let blocks: Vec<_> = blocks
                .into_iter()
                .map(|(round, author, digest)| BlockRef {
                    round: Round::new(round),
                    author: AuthorityIndex::new(author).unwrap(),
                    digest: BlockDigest::new(Digest::new(digest)),
                })
                .collect();
            Commit {
                index: CommitIndex::new(index),
                previous: CommitDigest::new(Digest::new(previous)),
                leader: blocks[0],
                timestamp: UnixMillis::new(timestamp),
                beacon: beacon.map(Digest::new),
                blocks,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_damaged_commit_is_another_one_or_none(commit in commits(), at: prop::sample::Index, with: u8) {
            let mut bytes = encode(&commit);
            prop_assert_eq!(&decode::<Commit>(&bytes, 1 << 12).unwrap(), &commit);
            let at = at.index(bytes.len());
            let is_same = bytes[at] == with;
            bytes[at] = with;
            if let Ok(decoded) = decode::<Commit>(&bytes, 1 << 12) {
                prop_assert_eq!(decoded.reference().digest == commit.digest(), is_same);
                prop_assert_eq!(encode(&decoded), bytes);
            }
        }
    }
}
