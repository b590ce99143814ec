//! What the ledger holds: objects, each with an owner, a version and a content.
//!
//! An object has a new version whenever a transaction writes it, and a digest that names that version. An *owned* object is
//! named in full by whoever uses it, so that a transaction uses the version that its sender has seen or none. A *shared* one is
//! named by its id, and used as it is when the transaction's turn comes.

use crypto::{Address, Digest};
use serde::{Deserialize, Serialize};

use crate::{
    ChainId, Economy, Epoch, Model, Models, ObjectDigest, ObjectId, Rules, Shannons, StakedSoma, Target,
    Targets, Ticket, TransactionDigest, UnixMillis, Validator, Validators, Version,
};

/// Who may use an object. BCS: variants 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// Whoever signs for this address.
    Address(Address),
    /// Everybody, as far as the rules of its content allow.
    Shared,
}

/// The system as transactions see it: the object `0x5`, which none of them writes. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// The chain.
    pub chain: ChainId,
    /// The epoch.
    pub epoch: Epoch,
    /// The rules in force. A node that has none or others of this version stops.
    pub rules: Rules,
    /// When the epoch started, in commit time.
    pub started: UnixMillis,
}

impl System {
    /// Its id.
    pub const ID: ObjectId = ObjectId::from_low(5);
}

/// What an object is. BCS: the variants from 0, as in the reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// The system.
    System(System),
    /// Money. A coin that is left with nothing is deleted, so none holds nothing.
    Coin(Shannons),
    /// A receipt for stake.
    StakedSoma(StakedSoma),
    /// The set of validators.
    Validators(Validators),
    /// What there is once.
    Economy(Economy),
    /// A validator.
    Validator(Box<Validator>),
    /// That an account or a key, of which the object's id is the hash, is this validator's and nobody else's.
    Claim(ObjectId),
    /// Which models there are.
    Models(Models),
    /// A model.
    Model(Box<Model>),
    /// What belongs to all targets.
    Targets(Targets),
    /// A target.
    Target(Box<Target>),
    /// The right to fill a target.
    Ticket(Ticket),
    /// Data has filled this target.
    DataReceipt(ObjectId),
}

/// One version of an object. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its name for good.
    pub id: ObjectId,
    /// How often it was written, by Lamport's rule: above the versions of all that the transaction used.
    pub version: Version,
    /// Who may use it.
    pub owner: Owner,
    /// What is paid back when it is deleted.
    pub deposit: Shannons,
    /// Which transaction wrote it.
    pub previous: TransactionDigest,
    /// What it is.
    pub content: Content,
}

impl Object {
    /// Bytes of the encoding of a coin, whatever it holds.
    pub const COIN_BYTES: u32 = 122;

    /// `H(Object:: ‖ BCS)`.
    pub fn digest(&self) -> ObjectDigest {
        ObjectDigest::new(Digest::of_value("Object", self))
    }

    /// Names this version.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            id: self.id,
            version: self.version,
            digest: self.digest(),
        }
    }
}

/// Names one version of an object. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The object.
    pub id: ObjectId,
    /// Its version.
    pub version: Version,
    /// What it is then.
    pub digest: ObjectDigest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coin_has_one_length() {
        for (balance, owner) in [(0, 0), (u64::MAX, 255)] {
            let coin = Object {
                id: ObjectId::from_low(1),
                version: Version::MAX,
                owner: Owner::Address(Address::new([owner; 32])),
                deposit: Shannons::ZERO,
                previous: TransactionDigest::new(Digest::ZERO),
                content: Content::Coin(Shannons::new(balance)),
            };
            assert_eq!(crate::encode(&coin).len(), Object::COIN_BYTES as usize);
        }
    }
}
