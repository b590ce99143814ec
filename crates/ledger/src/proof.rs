//! Proofs of what happened, against a summary that its committee has certified.
//!
//! Not here: whether it has (`types::certificate`), and what is current (`snapshot`).

use serde::{Deserialize, Serialize};
use types::checkpoint::{Contents, Entry, Summary};
use types::merkle::Proof;
use types::{Effects, Event, Object, TransactionDigest};

/// A proof does not show it: whoever gave it lies, or means another checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The transaction does not stand there.
    #[error("transaction {0} does not stand at that place of the checkpoint: ask another node")]
    NotInCheckpoint(TransactionDigest),
    /// The effects are those of another transaction, or made up.
    #[error("these are not the effects of transaction {0}: ask another node")]
    OtherEffects(TransactionDigest),
    /// The transaction wrote no such object.
    #[error("transaction {0} did not write this object: ask another node")]
    NotWritten(TransactionDigest),
    /// The transaction caused less.
    #[error("transaction {0} has no event {1}: ask another node")]
    NoEvent(TransactionDigest, u32),
}

/// That a transaction was executed: where it stands in a checkpoint. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutedProof {
    /// What stands there.
    pub entry: Entry,
    /// Where.
    pub place: Proof,
}

impl ExecutedProof {
    /// Of what stands at this position; `None` beyond the last.
    pub fn new(contents: &Contents, position: u32) -> Option<Self> {
        Some(Self {
            entry: *contents.0.get(usize::try_from(position).ok()?)?,
            place: contents.tree().prove(position.into())?,
        })
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`ProofError::NotInCheckpoint`].
    pub fn verify(&self, summary: &Summary) -> Result<(), ProofError> {
        let holds = self.place.holds(&self.entry, &summary.contents);
        let transaction = self.entry.transaction;
        holds
            .then_some(())
            .ok_or(ProofError::NotInCheckpoint(transaction))
    }
}

/// What a transaction did. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectsProof {
    /// What it did.
    pub effects: Effects,
    /// That it was executed.
    pub executed: ExecutedProof,
}

impl EffectsProof {
    /// Checks it.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify(&self, summary: &Summary) -> Result<&Effects, ProofError> {
        self.executed.verify(summary)?;
        let Entry {
            transaction, effects, ..
        } = self.executed.entry;
        let are_its = self.effects.transaction == transaction && self.effects.digest() == effects;
        let error = ProofError::OtherEffects(transaction);
        are_its.then_some(&self.effects).ok_or(error)
    }

    /// One of its events, counted from 0.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn event(&self, summary: &Summary, number: u32) -> Result<&Event, ProofError> {
        let effects = self.verify(summary)?;
        let event = usize::try_from(number).ok().and_then(|at| effects.events.get(at));
        event.ok_or(ProofError::NoEvent(effects.transaction, number))
    }

    /// Checks that the transaction wrote this version of an object.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn wrote(&self, summary: &Summary, object: &Object) -> Result<(), ProofError> {
        let effects = self.verify(summary)?;
        let digest = object.digest();
        let is_it = |after: &types::ObjectState| after.version == object.version && after.digest == digest;
        let mut changes = effects.changes.iter();
        let found = changes.any(|change| change.id == object.id && change.after.as_ref().is_some_and(is_it));
        let error = ProofError::NotWritten(effects.transaction);
        found.then_some(()).ok_or(error)
    }
}
