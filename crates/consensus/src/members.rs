//! Who takes part in an epoch, and by what keys.

use std::fmt;

use crypto::{BlsScheme, Ed25519Scheme, Scheme};
use types::{AuthorityIndex, Committee, Epoch, VotingPower};

use crate::set::AuthoritySet;

/// The signature schemes of a consensus. There is one in production; the simulator has cheaper ones.
pub trait Suite: Copy + fmt::Debug + Default + Eq + Send + Sync + 'static {
    /// Signs blocks.
    type Block: Scheme;
    /// Signs shares of the beacon: one signature for each key and message, so that a signer has nothing to choose.
    type Beacon: Scheme;
}

/// A signature over a block.
pub type BlockSignature<S> = <<S as Suite>::Block as Scheme>::Signature;
/// A key that signs blocks, its public half.
pub type BlockKey<S> = <<S as Suite>::Block as Scheme>::PublicKey;
/// A share of the beacon.
pub type BeaconShare<S> = <<S as Suite>::Beacon as Scheme>::Signature;
/// A key that signs shares of the beacon, its public half.
pub type BeaconKey<S> = <<S as Suite>::Beacon as Scheme>::PublicKey;

/// Ed25519 for blocks, BLS12-381 for the beacon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Production;

impl Suite for Production {
    type Block = Ed25519Scheme;
    type Beacon = BlsScheme;
}

/// One member.
#[derive(Clone, Debug)]
pub struct Member<S: Suite> {
    /// Its share of the votes.
    pub power: VotingPower,
    /// Checks its blocks.
    pub block_key: BlockKey<S>,
    /// Checks its shares of the beacon.
    pub beacon_key: BeaconKey<S>,
}

/// The members of an epoch by position.
///
/// By construction: one at least, as many as there are indices at most, and their power is exactly
/// [`VotingPower::TOTAL`].
#[derive(Clone, Debug)]
pub struct Members<S: Suite> {
    epoch: Epoch,
    members: Vec<Member<S>>,
}

/// Why members are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// Nobody, or more than there are indices.
    #[error("{found} members, not between 1 and {}", crypto::Bitmap::CAPACITY)]
    Size {
        /// How many there are.
        found: usize,
    },
    /// The power does not add up to 10,000.
    #[error("the members' power is {found} in total")]
    Power {
        /// What it adds up to.
        found: u64,
    },
}

impl<S: Suite> Members<S> {
    /// These members, in the order of their indices.
    ///
    /// # Errors
    /// [`MembersError`].
    pub fn new(epoch: Epoch, members: Vec<Member<S>>) -> Result<Self, MembersError> {
        let found = members.len();
        if !(1..=usize::from(crypto::Bitmap::CAPACITY)).contains(&found) {
            return Err(MembersError::Size { found });
        }
        let power = members.iter().map(|member| u64::from(member.power.get())).sum();
        if power != u64::from(VotingPower::TOTAL.get()) {
            return Err(MembersError::Power { found: power });
        }
        Ok(Self { epoch, members })
    }

    /// The epoch.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How many.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// The member at this position; `None` beyond the last: the index may come from a peer.
    pub fn get(&self, index: AuthorityIndex) -> Option<&Member<S>> {
        self.members.get(usize::from(index.get()))
    }

    /// Every index, ascending.
    pub fn indices(
        &self,
    ) -> impl DoubleEndedIterator<Item = AuthorityIndex> + ExactSizeIterator + Clone + use<S> {
        (0..self.members.len()).map(|position| {
            u16::try_from(position)
                .ok()
                .and_then(AuthorityIndex::new)
                .expect("there are no more members than indices")
        })
    }

    /// The power of a member.
    ///
    /// # Panics
    /// For an index that is no member's: whoever takes one from a peer asks [`get`](Self::get) first.
    pub fn power(&self, index: AuthorityIndex) -> u32 {
        u32::from(self.members[usize::from(index.get())].power.get())
    }

    /// The power of all in the set.
    pub fn weight(&self, set: &AuthoritySet) -> u32 {
        set.iter().map(|index| self.power(index)).sum()
    }

    /// Whether the set is a quorum.
    pub fn is_quorum(&self, set: &AuthoritySet) -> bool {
        is_quorum(self.weight(set))
    }
}

impl Members<Production> {
    /// The members that a committee is made of.
    pub fn of(committee: &Committee) -> Self {
        let members = committee.authorities().map(|(_, authority)| Member {
            power: authority.power,
            block_key: authority.consensus_key.clone(),
            beacon_key: authority.bls_key.clone(),
        });
        Self::new(committee.epoch(), members.collect()).expect("a committee has its size and its power")
    }
}

/// Whether as much power is a quorum: 6,667 or more.
pub const fn is_quorum(power: u32) -> bool {
    power >= VotingPower::QUORUM.get() as u32
}

/// Whether among as much power is an honest member: 3,334 or more.
pub const fn is_validity(power: u32) -> bool {
    power >= VotingPower::VALIDITY.get() as u32
}

/// The secret keys of one member.
pub struct Signer<S: Suite> {
    /// Which member.
    pub index: AuthorityIndex,
    /// Signs its blocks.
    pub block: <S::Block as Scheme>::SecretKey,
    /// Signs its shares of the beacon.
    pub beacon: <S::Beacon as Scheme>::SecretKey,
}

impl<S: Suite> fmt::Debug for Signer<S> {
    /// Whose, nothing more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer(of {})", self.index)
    }
}
