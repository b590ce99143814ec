//! What has happened too long ago to be kept.

use types::checkpoint::Summary;
use types::{Epoch, TransactionDigest};

use super::{CheckpointKey, CommitKey, Family, Head, Key, StoreError, Write, value};
use crate::checkpoint::Executed;

/// The deletion of one epoch's history. A page of entries after the other is handed over, from the start of the
/// [range](Self::range) of each [family](Self::FAMILIES) until its pages have nothing more to delete; then the
/// state [says so](super::State::pruned). Whatever is interrupted begins anew: what is deleted twice is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruning(Epoch);

impl Pruning {
    /// What is gone through. Transactions go with their commits.
    pub const FAMILIES: [Family; 3] = [Family::Commits, Family::Checkpoints, Family::Contents];

    /// The oldest epoch that is to go, if those before the current one are kept for so many epochs; the one before the current
    /// one is always kept, which needs its commits for the checkpoints in the making.
    pub fn due(head: &Head, kept_epochs: u64) -> Option<Self> {
        let first_kept = head.epoch.get().saturating_sub(kept_epochs.max(1));
        (head.unpruned.get() < first_kept).then_some(Self(head.unpruned))
    }

    /// The keys of its epoch: from the first up to below the second.
    pub fn range(self) -> (Vec<u8>, Vec<u8>) {
        let start = |epoch: Epoch| [epoch.get().to_be_bytes(), [0; 8]].concat();
        (start(self.0), start(self.next()))
    }

    /// What goes of some entries of a family, ascending: nothing, once all is gone that is to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn page<'a>(
        self,
        family: Family,
        entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Vec<Write>, StoreError> {
        let mut writes = Vec::new();
        for (key, bytes) in entries {
            match family {
                Family::Commits => {
                    let commit = CommitKey::read(family, key)?;
                    let executed: Executed = value(family, key, bytes)?;
                    for entry in executed.entries {
                        let digest: TransactionDigest = entry.transaction;
                        writes.push(Write::delete(Family::Transactions, &digest));
                        writes.push(Write::delete(Family::Places, &digest));
                    }
                    writes.push(Write::delete(family, &commit));
                }
                Family::Checkpoints => {
                    let checkpoint = CheckpointKey::read(family, key)?;
                    let summary: Summary = value(family, key, bytes)?;
                    // A light client goes from the last of an epoch to that of the next.
                    if summary.snapshot.is_none() {
                        writes.push(Write::delete(family, &checkpoint));
                    }
                }
                Family::Contents => {
                    writes.push(Write::delete(family, &CheckpointKey::read(family, key)?));
                }
                Family::Head
                | Family::Objects
                | Family::Unsettled
                | Family::Chunks
                | Family::Transactions
                | Family::Places => {}
            }
        }
        Ok(writes)
    }

    /// The epoch behind it.
    pub(super) fn next(self) -> Epoch {
        Epoch::new(self.0.get().saturating_add(1))
    }
}
