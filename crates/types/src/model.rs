//! Models, and what their owners bind themselves to.
//!
//! The weights of a model come in two steps, so that nobody can copy what a rival is about to show: its owner commits to them
//! while only the encrypted file can be fetched, and reveals key and embedding in the next epoch. A commitment names the model, its
//! owner and the epoch, and is salted by the key, which is made anew for each: it is worth nothing to anybody else, or later. Then
//! validators decrypt the file, and the weights count if they are what was committed to.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Address, Digest};
use serde::{Deserialize, Serialize};

use crate::score::Direction;
use crate::{Epoch, Line, ObjectId, Pool, Shannons, VotingPower};

/// The key of an encrypted file. BCS: 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelKey([u8; 32]);

impl ModelKey {
    /// The key with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A file that somebody serves. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Where it is fetched.
    pub url: Line,
    /// The digest of its bytes.
    pub checksum: Digest,
    /// How many bytes it has.
    pub bytes: u64,
}

/// What is shown at a reveal. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reveal {
    /// Opens the file.
    pub key: ModelKey,
    /// The digest of the weights in the clear.
    pub weights: Digest,
    /// What the model says it is good at.
    pub embedding: Direction,
}

impl Reveal {
    /// What an owner commits to in an epoch who is going to show this in the next one:
    /// `H(ModelCommitment:: ‖ BCS of the model, its owner, the epoch, the salt, the weights, H(ModelKey:: ‖ key), the embedding)`,
    /// where the salt is `H(ModelSalt:: ‖ key)`.
    pub fn commitment(&self, model: ObjectId, owner: Address, epoch: Epoch) -> Digest {
        let salt = Digest::of_value("ModelSalt", &self.key);
        let key = Digest::of_value("ModelKey", &self.key);
        let bound = (model, owner, epoch, salt, self.weights, key, &self.embedding);
        Digest::of_value("ModelCommitment", &bound)
    }
}

/// What a validator has found who decrypted the file of a reveal. BCS: variants 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attestation {
    /// It has the weights, and they are as they should be.
    Held,
    /// They are not.
    Rejected(Rejection),
}

/// What is wrong with revealed weights. BCS: the variants from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// The file could not be fetched.
    Unavailable,
    /// Its bytes are not those of the manifest.
    Checksum,
    /// The key does not open it.
    Key,
    /// What is in it is not what was committed to.
    Weights,
    /// It does not hold the tensors of the architecture, in their shapes.
    Tensors,
    /// Some number in it is none, or infinite.
    NotFinite,
}

/// A validator that is to attest. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custodian {
    /// Its power when it was drawn.
    pub power: VotingPower,
    /// What it has found.
    pub attestation: Option<Attestation>,
}

/// Who is to attest what is revealed. BCS: the variants from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Custody {
    /// Those that the first beacon draws of a later commit.
    Undrawn,
    /// These. They can fetch the file before the key is shown.
    Drawn(BTreeMap<ObjectId, Custodian>),
    /// The whole committee, since too few of those drawn, if any were, have attested in time.
    Committee(BTreeMap<ObjectId, Custodian>),
}

/// Weights that an owner is committed to. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The encrypted file.
    pub manifest: Manifest,
    /// As [`Reveal::commitment`] says.
    pub commitment: Digest,
    /// When it was made. The next epoch is for the reveal.
    pub epoch: Epoch,
    /// What those are paid who attest.
    pub fee: Shannons,
    /// What was shown.
    pub reveal: Option<Reveal>,
    /// Who checks it.
    pub custody: Custody,
}

/// Weights that count. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// The encrypted file.
    pub manifest: Manifest,
    /// What opens it, and what is in it.
    pub reveal: Reveal,
    /// From when on.
    pub since: Epoch,
}

/// How far a model is. BCS: the variants from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It has no weights yet. They are committed to in this epoch, or in the next.
    Created(Epoch),
    /// Its first weights are committed to or revealed.
    Offered(Offer),
    /// It competes.
    Active {
        /// With these weights.
        weights: Weights,
        /// From some boundary on with these.
        update: Option<Offer>,
    },
    /// It does not any more. Its stakers can leave for ever.
    Inactive,
}

/// A model with its stake: a shared object. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Whose it is.
    pub owner: Address,
    /// What its weights are the weights of.
    pub architecture: u32,
    /// The owner's part of what its stakers earn, in ten-thousandths.
    pub commission_bps: u16,
    /// That of the next epoch.
    pub next_commission_bps: u16,
    /// What is staked with it.
    pub pool: Pool,
    /// How far it is.
    pub stage: Stage,
}

impl Model {
    /// The weights that it competes with.
    pub const fn weights(&self) -> Option<&Weights> {
        match &self.stage {
            Stage::Active { weights, .. } => Some(weights),
            Stage::Created(_) | Stage::Offered(_) | Stage::Inactive => None,
        }
    }

    /// The weights that its owner is committed to.
    pub const fn offer(&self) -> Option<&Offer> {
        match &self.stage {
            Stage::Offered(offer) => Some(offer),
            Stage::Active { update, .. } => update.as_ref(),
            Stage::Created(_) | Stage::Inactive => None,
        }
    }

    /// The same, to be changed.
    pub const fn offer_mut(&mut self) -> Option<&mut Offer> {
        match &mut self.stage {
            Stage::Offered(offer) => Some(offer),
            Stage::Active { update, .. } => update.as_mut(),
            Stage::Created(_) | Stage::Inactive => None,
        }
    }
}

/// Which models there are: the object `0x8`, which no transaction of a user names. BCS: the fields in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Models {
    /// All of them, those included that only hold stake any more.
    pub all: BTreeSet<ObjectId>,
    /// Those whose custodians are to be drawn.
    pub undrawn: BTreeSet<ObjectId>,
}

impl Models {
    /// Its id.
    pub const ID: ObjectId = ObjectId::from_low(8);
}
