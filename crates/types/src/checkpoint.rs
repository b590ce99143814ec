//! What a committee certifies: what a range of commits has done.

use crypto::{Digest, Intent, IntentMessage, Scope, UserSignature};
use serde::{Deserialize, Serialize};

use crate::merkle::Tree;
use crate::{
    CheckpointDigest, CheckpointSequence, CommitIndex, EffectsDigest, Epoch, Shannons, TransactionDigest,
    UnixMillis,
};

/// One transaction of a checkpoint. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub transaction: TransactionDigest,
    /// What it did.
    pub effects: EffectsDigest,
    /// Who signed it: `H(UserSignature:: ‖ BCS)`, so that an archive cannot exchange the signature for another.
    pub signature: Digest,
}

impl Entry {
    /// The digest of a signature in an entry.
    pub fn signature_digest(signature: &UserSignature) -> Digest {
        Digest::of_value("UserSignature", signature)
    }
}

/// The transactions of a checkpoint, in the order in which they were executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents(pub Vec<Entry>);

impl Contents {
    /// Their tree, from which the summary has its root and clients have their proofs.
    pub fn tree(&self) -> Tree {
        Tree::new(&self.0)
    }
}

/// A checkpoint. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The epoch, whose committee certifies it.
    pub epoch: Epoch,
    /// Its position in the chain.
    pub sequence: CheckpointSequence,
    /// The one before; none before the first.
    pub previous: Option<CheckpointDigest>,
    /// The last commit that it takes in.
    pub commit: CommitIndex,
    /// That commit's timestamp.
    pub timestamp: UnixMillis,
    /// The root of its [`Contents`].
    pub contents: Digest,
    /// Transactions up to its end, since genesis.
    pub transactions: u64,
    /// Fees of the epoch up to its end.
    pub fees: Shannons,
    /// The multiset of all objects after it.
    pub state: Digest,
    /// Behind the last of an epoch: the root of all objects as a list, in which clients find what is current.
    pub snapshot: Option<Digest>,
}

impl Summary {
    /// `H(CheckpointSummary:: ‖ BCS)`.
    pub fn digest(&self) -> CheckpointDigest {
        CheckpointDigest::new(Digest::of_value("CheckpointSummary", self))
    }

    /// What validators sign.
    pub const fn message(self) -> IntentMessage<Self> {
        IntentMessage::new(Intent::soma(Scope::CheckpointSummary), self)
    }
}
