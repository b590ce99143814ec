//! Where checkpoints are cut, and what stands in them: a function of the commits and of nothing else.

use crypto::Digest;
use serde::{Deserialize, Serialize};
use types::checkpoint::{Contents, Entry, Summary};
use types::{CheckpointDigest, CheckpointSequence, CommitIndex, Epoch, ProtocolParams, Shannons, UnixMillis};

/// When a checkpoint is cut. The values are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutting {
    /// Commit time since the last one was cut, in milliseconds, after which the next commit ends one.
    pub interval_ms: u64,
    /// Transactions that end one however soon.
    pub transactions: usize,
}

impl Cutting {
    /// As the protocol has it.
    pub fn new(params: &ProtocolParams) -> Self {
        Self {
            interval_ms: params.checkpoint_interval_ms,
            transactions: params.max_checkpoint_transactions as usize,
        }
    }
}

/// A commit that was executed, as checkpoints see it. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// Which.
    pub index: CommitIndex,
    /// When it was made.
    pub timestamp: UnixMillis,
    /// The root of the [snapshot](crate::snapshot) behind it, which the epoch's last commit has.
    pub snapshot: Option<Digest>,
    /// What had effects, in order.
    pub entries: Vec<Entry>,
    /// Fees that were paid.
    pub fees: Shannons,
    /// The digest of the [root](mod@crate::root) behind it.
    pub state: Digest,
}

/// The checkpoint in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builder {
    cutting: Cutting,
    epoch: Epoch,
    next: CheckpointSequence,
    previous: Option<CheckpointDigest>,
    /// Commit time when the last one was cut.
    cut: UnixMillis,
    transactions: u64,
    fees: Shannons,
    contents: Contents,
}

/// Why a commit is not the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// More fees than there is money, or more checkpoints or transactions than are counted: a bug in what executed it.
    #[error("`{0}` exceeds what is counted")]
    Overflow(&'static str),
}

impl Builder {
    /// Behind a checkpoint of an epoch; the first of an epoch counts its fees from nothing.
    ///
    /// # Errors
    /// [`BuildError`], behind the last checkpoint that is counted.
    pub fn behind(cutting: Cutting, epoch: Epoch, last: &Summary) -> Result<Self, BuildError> {
        let next = last.sequence.next().ok_or(BuildError::Overflow("sequence"))?;
        Ok(Self {
            cutting,
            epoch,
            next,
            previous: Some(last.digest()),
            cut: last.timestamp,
            transactions: last.transactions,
            fees: if last.epoch == epoch {
                last.fees
            } else {
                Shannons::ZERO
            },
            contents: Contents::default(),
        })
    }

    /// Takes in the next commit, and yields a checkpoint where one ends with it.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn add(&mut self, commit: Executed) -> Result<Option<(Summary, Contents)>, BuildError> {
        let more = commit.entries.len() as u64;
        let transactions = self.transactions.checked_add(more);
        self.transactions = transactions.ok_or(BuildError::Overflow("transactions"))?;
        let fees = self.fees.checked_add(commit.fees);
        self.fees = fees.map_err(|_| BuildError::Overflow("fees"))?;
        self.contents.0.extend(commit.entries);
        let since = commit.timestamp.get().saturating_sub(self.cut.get());
        let is_full = self.contents.0.len() >= self.cutting.transactions;
        if since < self.cutting.interval_ms && !is_full && commit.snapshot.is_none() {
            return Ok(None);
        }
        let contents = std::mem::take(&mut self.contents);
        let summary = Summary {
            epoch: self.epoch,
            sequence: self.next,
            previous: self.previous,
            commit: commit.index,
            timestamp: commit.timestamp,
            contents: contents.tree().root(),
            transactions: self.transactions,
            fees: self.fees,
            state: commit.state,
            snapshot: commit.snapshot,
        };
        self.next = self.next.next().ok_or(BuildError::Overflow("sequence"))?;
        self.previous = Some(summary.digest());
        self.cut = commit.timestamp;
        Ok(Some((summary, contents)))
    }
}

#[cfg(test)]
mod tests {
    use types::{EffectsDigest, ProtocolVersion, TransactionDigest};

    use super::*;

    fn genesis() -> Summary {
        Summary {
            epoch: Epoch::ZERO,
            sequence: CheckpointSequence::ZERO,
            previous: None,
            commit: CommitIndex::ZERO,
            timestamp: UnixMillis::new(1_000),
            contents: Contents::default().tree().root(),
            transactions: 1,
            fees: Shannons::ZERO,
            state: Digest::ZERO,
            snapshot: None,
        }
    }

    fn commit(index: u64, ms: u64, transactions: u8) -> Executed {
        let entry = |number: u8| Entry {
            transaction: TransactionDigest::new(Digest::of(&[number])),
            effects: EffectsDigest::new(Digest::of(&index.to_le_bytes())),
            signature: Digest::ZERO,
        };
        Executed {
            index: CommitIndex::new(index),
            timestamp: UnixMillis::new(ms),
            snapshot: None,
            entries: (0..transactions).map(entry).collect(),
            fees: Shannons::new(10 * u64::from(transactions)),
            state: Digest::of(&index.to_le_bytes()),
        }
    }

    const CUTTING: Cutting = Cutting {
        interval_ms: 200,
        transactions: 5,
    };

    #[test]
    fn the_protocol_cuts_after_two_hundred_milliseconds_or_twenty_thousand_transactions() {
        let params = ProtocolParams::of(ProtocolVersion::new(1)).unwrap();
        let cutting = Cutting {
            interval_ms: 200,
            transactions: 20_000,
        };
        assert_eq!(Cutting::new(&params), cutting);
    }

    #[test]
    fn checkpoints_are_cut_by_commit_time_by_number_and_at_the_end() {
        let mut builder = Builder::behind(CUTTING, Epoch::ZERO, &genesis()).unwrap();
        let mut cuts = Vec::new();
        let mut previous = genesis().digest();
        for (commit, is_last) in [
            (commit(1, 1_199, 1), false),
            (commit(2, 1_200, 1), false),
            (commit(3, 1_210, 4), false),
            (commit(4, 1_211, 1), false),
            (commit(5, 1_211, 0), false),
            (commit(6, 1_300, 0), true),
        ] {
            let snapshot = is_last.then_some(Digest::ZERO);
            let commit = Executed { snapshot, ..commit };
            let Some((summary, contents)) = builder.add(commit).unwrap() else {
                continue;
            };
            assert_eq!(summary.previous, Some(previous));
            assert_eq!(summary.contents, contents.tree().root());
            assert_eq!(summary.snapshot, snapshot);
            previous = summary.digest();
            let counts = (contents.0.len(), summary.transactions, summary.fees.get());
            cuts.push((summary.sequence.get(), summary.commit.get(), counts));
        }
        assert_eq!(cuts, [(1, 2, (2, 3, 20)), (2, 4, (5, 8, 70)), (3, 6, (0, 8, 70))]);
    }

    #[test]
    fn the_fees_of_an_epoch_are_counted_from_its_start() {
        let mut last = genesis();
        last.fees = Shannons::new(7);
        for (epoch, fees) in [(0, 17), (1, 10)] {
            let mut builder = Builder::behind(CUTTING, Epoch::new(epoch), &last).unwrap();
            let (summary, _) = builder.add(commit(1, 2_000, 1)).unwrap().unwrap();
            assert_eq!((summary.epoch.get(), summary.fees.get()), (epoch, fees));
        }
    }

    /// W-H25: what was certified did not hold the signatures of transactions, which could be replaced.
    #[test]
    fn what_is_proved_of_a_checkpoint_stands_in_it() {
        let mut builder = Builder::behind(CUTTING, Epoch::ZERO, &genesis()).unwrap();
        let (summary, contents) = builder.add(commit(1, 2_000, 5)).unwrap().unwrap();
        let proof = contents.tree().prove(3).unwrap();
        assert!(proof.holds(&contents.0[3], &summary.contents));
        let other = Entry {
            signature: Digest::of(b"another"),
            ..contents.0[3]
        };
        assert!(
            !proof.holds(&other, &summary.contents),
            "signatures are certified, too"
        );
    }
}
