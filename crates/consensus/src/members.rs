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
    /// Of each; side by side, for they are summed up for every block.
    powers: Vec<u16>,
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
        let powers = members.iter().map(|member| member.power.get()).collect();
        Ok(Self {
            epoch,
            members,
            powers,
        })
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
        u32::from(self.powers[usize::from(index.get())])
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
pub fn is_quorum(power: u32) -> bool {
    if planted!(RoundedQuorum) {
        return (power + 500) / 1_000 >= 6;
    }
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

#[cfg(test)]
mod tests {
    use crypto::{BlsSecretKey, Ed25519SecretKey};

    use super::*;

    fn members(powers: &[u16]) -> Result<Members<Production>, MembersError> {
        let block_key = Ed25519SecretKey::from_seed(&[1; 32]).public();
        let beacon_key = BlsSecretKey::from_seed(&[1; 32]).public();
        let member = |power: &u16| Member {
            power: VotingPower::new(*power),
            block_key: block_key.clone(),
            beacon_key: beacon_key.clone(),
        };
        Members::new(Epoch::new(7), powers.iter().map(member).collect())
    }

    fn index(number: u16) -> AuthorityIndex {
        AuthorityIndex::new(number).unwrap()
    }

    #[test]
    fn members_that_do_not_fit_together_are_none() {
        let cases: [(&[u16], MembersError); 5] = [
            (&[], MembersError::Size { found: 0 }),
            (&[9; 1_025], MembersError::Size { found: 1_025 }),
            (&[5_000, 4_999], MembersError::Power { found: 9_999 }),
            (&[5_000, 5_001], MembersError::Power { found: 10_001 }),
            (&[u16::MAX; 1_024], MembersError::Power { found: 67_107_840 }),
        ];
        for (powers, expected) in cases {
            assert_eq!(members(powers).map(|_| ()), Err(expected));
        }
        assert!(members(&[10_000]).is_ok());
        let largest = [&[10; 976][..], &[5; 48]].concat();
        assert_eq!(
            members(&largest).unwrap().indices().next_back(),
            Some(index(1_023))
        );
    }

    #[test]
    fn nobody_beyond_the_last_member_is_one() {
        let members = members(&[5_000, 3_000, 2_000]).unwrap();
        let all: Vec<_> = members
            .indices()
            .map(|index| (index.get(), members.power(index)))
            .collect();
        assert_eq!(all, [(0, 5_000), (1, 3_000), (2, 2_000)]);
        assert!([3, 1_023].iter().all(|n| members.get(index(*n)).is_none()));
    }

    #[test]
    fn a_quorum_and_a_validity_begin_at_their_vote() {
        assert_eq!([6_666, 6_667, 10_000].map(is_quorum), [false, true, true]);
        assert_eq!([0, 3_333, 3_334].map(is_validity), [false, false, true]);
        let members = members(&[3_334, 3_333, 3_332, 1]).unwrap();
        let quorum = |set: &[u16]| members.is_quorum(&set.iter().map(|n| index(*n)).collect());
        assert_eq!(
            [quorum(&[0, 1]), quorum(&[0, 2]), quorum(&[0, 2, 3])],
            [true, false, true]
        );
        assert_eq!([quorum(&[1, 2, 3]), quorum(&[])], [false, false]);
    }

    #[test]
    fn a_signer_never_shows_its_secrets() {
        let signer = Signer::<Production> {
            index: index(3),
            block: Ed25519SecretKey::from_seed(&[1; 32]),
            beacon: BlsSecretKey::from_seed(&[1; 32]),
        };
        assert_eq!(format!("{signer:?}"), "Signer(of 3)");
    }
}
