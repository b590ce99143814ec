//! Validators, and what belongs to all of them.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Address, BlsPublicKey, Ed25519PublicKey};
use serde::{Deserialize, Serialize};

use crate::{ObjectId, Pool, Shannons, VotingPower};

/// A validator with its stake: a shared object. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    /// Its account.
    pub address: Address,
    /// The key of its connections.
    pub network_key: Ed25519PublicKey,
    /// The key that signs its blocks.
    pub consensus_key: Ed25519PublicKey,
    /// The key that signs checkpoints and the beacon.
    pub bls_key: BlsPublicKey,
    /// Its part of what its stakers earn, in ten-thousandths.
    pub commission_bps: u16,
    /// What is staked with it.
    pub pool: Pool,
}

/// The set of validators: the object `0x6`, which no transaction of a user names. BCS: the fields in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The committee, with its power.
    pub members: BTreeMap<ObjectId, VotingPower>,
    /// Who comes in with the first epoch for which its stake suffices.
    pub pending: BTreeSet<ObjectId>,
    /// Who goes when this epoch closes.
    pub leaving: BTreeSet<ObjectId>,
    /// Who has gone, and still holds stake.
    pub retired: BTreeSet<ObjectId>,
}

impl Validators {
    /// Its id.
    pub const ID: ObjectId = ObjectId::from_low(6);
}

/// What there is once: the object `0x7`, which no transaction of a user names. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Economy {
    /// What is not handed out yet.
    pub emission: Shannons,
    /// Fees of this epoch.
    pub fees: Shannons,
    /// For the value that is moved, in this epoch.
    pub value_fee_bps: u16,
    /// Whether the last epoch could not be closed but for its end.
    pub is_safe_mode: bool,
}

impl Economy {
    /// Its id.
    pub const ID: ObjectId = ObjectId::from_low(7);
}
