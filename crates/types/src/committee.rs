//! Who decides in an epoch.

use std::collections::BTreeSet;

use crypto::{Address, Bitmap, BlsPublicKey, Ed25519PublicKey};
use serde::{Deserialize, Serialize};

use crate::decode::Bounded;
use crate::{AuthorityIndex, Epoch, PeerId, VotingPower};

/// One member of a committee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// The validator's account.
    pub address: Address,
    /// The key of its connections.
    pub network_key: Ed25519PublicKey,
    /// The key that signs its blocks.
    pub consensus_key: Ed25519PublicKey,
    /// The key that signs checkpoints and the beacon. Its possession was proved when it was registered.
    pub bls_key: BlsPublicKey,
    /// Its share of the votes.
    pub power: VotingPower,
}

impl Authority {
    /// Its identity on the network.
    pub fn peer(&self) -> PeerId {
        PeerId::new(self.network_key.to_bytes())
    }
}

/// The authorities of an epoch, in the order of their BLS keys' bytes.
///
/// By construction: at least one authority and at most [`Bitmap::CAPACITY`]; no two share an address or a key of one
/// kind; their power is exactly [`VotingPower::TOTAL`]. BCS: epoch, then the authorities as a vector in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawCommittee", into = "RawCommittee")]
pub struct Committee {
    epoch: Epoch,
    authorities: Vec<Authority>,
}

const CAPACITY: usize = Bitmap::CAPACITY as usize;

#[derive(Serialize, Deserialize)]
#[serde(rename = "Committee")]
struct RawCommittee {
    epoch: Epoch,
    authorities: Bounded<Authority, CAPACITY>,
}

/// Why authorities are not a committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitteeError {
    /// Nobody, or more than a bitmap has places for.
    #[error("{found} authorities, not between 1 and {CAPACITY}")]
    Size {
        /// How many there are.
        found: usize,
    },
    /// Two authorities share an address or a key of one kind.
    #[error("{0} belongs to two authorities")]
    Shared(&'static str),
    /// The voting power does not add up.
    #[error("voting power is {found} in total")]
    Power {
        /// What it adds up to.
        found: u64,
    },
}

impl Committee {
    /// The committee of these authorities, in any order.
    ///
    /// # Errors
    /// [`CommitteeError`].
    pub fn new(epoch: Epoch, mut authorities: Vec<Authority>) -> Result<Self, CommitteeError> {
        let found = authorities.len();
        if !(1..=CAPACITY).contains(&found) {
            return Err(CommitteeError::Size { found });
        }
        authorities.sort_by(|a, b| a.bls_key.cmp(&b.bls_key));
        let distinct = |name, bytes: fn(&Authority) -> &[u8]| {
            let all: BTreeSet<_> = authorities.iter().map(bytes).collect();
            if all.len() == found {
                Ok(())
            } else {
                Err(CommitteeError::Shared(name))
            }
        };
        distinct("address", |authority| authority.address.as_ref())?;
        distinct("network key", |authority| authority.network_key.as_ref())?;
        distinct("consensus key", |authority| authority.consensus_key.as_ref())?;
        distinct("BLS key", |authority| authority.bls_key.as_ref())?;
        let power = authorities
            .iter()
            .map(|authority| u64::from(authority.power.get()))
            .sum();
        if power != u64::from(VotingPower::TOTAL.get()) {
            return Err(CommitteeError::Power { found: power });
        }
        Ok(Self { epoch, authorities })
    }

    /// The epoch in which it decides.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How many authorities.
    pub fn size(&self) -> usize {
        self.authorities.len()
    }

    /// The authority at this position; `None` beyond the last: the index may come from a peer.
    pub fn authority(&self, index: AuthorityIndex) -> Option<&Authority> {
        self.authorities.get(usize::from(index.get()))
    }

    /// All authorities with their positions, ascending.
    pub fn authorities(&self) -> impl ExactSizeIterator<Item = (AuthorityIndex, &Authority)> + Clone {
        self.authorities
            .iter()
            .enumerate()
            .map(|(position, authority)| (index_of(position), authority))
    }

    /// The position of the authority with this address.
    pub fn by_address(&self, address: Address) -> Option<AuthorityIndex> {
        self.authorities
            .iter()
            .position(|authority| authority.address == address)
            .map(index_of)
    }

    /// The position of the authority at the other end of a connection.
    pub fn by_peer(&self, peer: PeerId) -> Option<AuthorityIndex> {
        self.authorities
            .iter()
            .position(|authority| authority.peer() == peer)
            .map(index_of)
    }
}

fn index_of(position: usize) -> AuthorityIndex {
    u16::try_from(position)
        .ok()
        .and_then(AuthorityIndex::new)
        .expect("a committee has no more authorities than indices")
}

impl TryFrom<RawCommittee> for Committee {
    type Error = CommitteeError;

    fn try_from(raw: RawCommittee) -> Result<Self, CommitteeError> {
        Self::new(raw.epoch, raw.authorities.into_inner())
    }
}

impl From<Committee> for RawCommittee {
    fn from(committee: Committee) -> Self {
        let authorities = Bounded::new(committee.authorities).expect("a committee is within its bound");
        Self {
            epoch: committee.epoch,
            authorities,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use crypto::{BlsSecretKey, Ed25519SecretKey};
    use proptest::prelude::*;

    use super::*;
    use crate::{DecodeError, decode, encode};

    /// Authority `n` of every test, with its BLS secret.
    pub(crate) fn authority(n: u8, power: u16) -> (Authority, BlsSecretKey) {
        let key = |salt| Ed25519SecretKey::from_seed(&[n, salt].repeat(16).try_into().unwrap()).public();
        let secret = BlsSecretKey::from_seed(&[n; 32]);
        let authority = Authority {
            address: Address::from(&key(0)),
            network_key: key(1),
            consensus_key: key(2),
            bls_key: secret.public(),
            power: VotingPower::new(power),
        };
        (authority, secret)
    }

    /// Four authorities with these powers in committee order, and their secrets in the same order.
    pub(crate) fn committee(powers: [u16; 4]) -> (Committee, Vec<BlsSecretKey>) {
        let mut members: Vec<_> = (0..4).map(|n| authority(n, 0)).collect();
        members.sort_by(|(a, _), (b, _)| a.bls_key.cmp(&b.bls_key));
        members
            .iter_mut()
            .zip(powers)
            .for_each(|((member, _), power)| member.power = VotingPower::new(power));
        let (authorities, secrets) = members.into_iter().unzip();
        (Committee::new(Epoch::new(3), authorities).unwrap(), secrets)
    }

    fn parts() -> Vec<Authority> {
        committee([2_500; 4]).0.authorities
    }

    fn refused(change: impl FnOnce(&mut Vec<Authority>)) -> CommitteeError {
        let mut parts = parts();
        change(&mut parts);
        Committee::new(Epoch::ZERO, parts).unwrap_err()
    }

    #[test]
    fn authorities_that_do_not_fit_together_are_no_committee() {
        assert_eq!(refused(Vec::clear), CommitteeError::Size { found: 0 });
        assert_eq!(
            refused(|parts| parts[0].power = VotingPower::ZERO),
            CommitteeError::Power { found: 7_500 }
        );
        assert_eq!(
            refused(|parts| parts[0].address = parts[1].address),
            CommitteeError::Shared("address")
        );
        assert_eq!(
            refused(|parts| parts[0].network_key = parts[1].network_key.clone()),
            CommitteeError::Shared("network key")
        );
        assert_eq!(
            refused(|parts| parts[0].consensus_key = parts[1].consensus_key.clone()),
            CommitteeError::Shared("consensus key")
        );
        assert_eq!(
            refused(|parts| parts[0].bls_key = parts[1].bls_key.clone()),
            CommitteeError::Shared("BLS key")
        );
    }

    #[test]
    fn the_order_given_does_not_matter() {
        let mut reversed = parts();
        reversed.reverse();
        let committee = Committee::new(Epoch::ZERO, reversed).unwrap();
        assert_eq!(committee.authorities, parts());
        assert!(
            committee
                .authorities
                .is_sorted_by_key(|authority| &authority.bls_key)
        );
    }

    #[test]
    fn an_authority_is_found_by_index_address_and_peer() {
        let (committee, _) = committee([2_500; 4]);
        for (index, authority) in committee.authorities() {
            assert_eq!(committee.authority(index), Some(authority));
            assert_eq!(committee.by_address(authority.address), Some(index));
            assert_eq!(committee.by_peer(authority.peer()), Some(index));
        }
        assert_eq!(committee.authorities().len(), committee.size());
        assert_eq!(committee.authority(AuthorityIndex::new(4).unwrap()), None);
        assert_eq!(committee.by_address(Address::ZERO), None);
        assert_eq!(committee.by_peer(PeerId::new([0; 32])), None);
    }

    #[test]
    fn an_encoding_in_another_order_is_refused() {
        let (committee, _) = committee([2_500; 4]);
        let good = encode(&committee);
        assert_eq!(decode(&good, 4096), Ok(committee.clone()));
        let mut swapped = committee.authorities.clone();
        swapped.swap(0, 1);
        let bad = encode(&RawCommittee {
            epoch: Epoch::new(3),
            authorities: Bounded::new(swapped).unwrap(),
        });
        assert_eq!(decode::<Committee>(&bad, 4096), Err(DecodeError::NotCanonical));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_damaged_committee_is_itself_or_none(at: prop::sample::Index, with: u8) {
            let mut bytes = encode(&committee([2_500; 4]).0);
            let at = at.index(bytes.len());
            bytes[at] = with;
            if let Ok(committee) = decode::<Committee>(&bytes, 4096) {
                prop_assert_eq!(encode(&committee), bytes);
            }
        }
    }
}
