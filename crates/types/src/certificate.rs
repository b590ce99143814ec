//! That enough of a committee agrees.

use crypto::{AuthoritySignature, Bitmap, BlsAggregate, IntentMessage, SignatureError, Verified};
use serde::{Deserialize, Serialize};

use crate::{AuthorityIndex, Committee, Epoch, VotingPower};

/// Adds up the power of those who were heard, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PowerAggregator {
    heard: Bitmap,
    power: VotingPower,
}

impl PowerAggregator {
    /// Nobody was heard.
    pub const fn new() -> Self {
        Self {
            heard: Bitmap::new(),
            power: VotingPower::ZERO,
        }
    }

    /// Hears an authority. `true` when it was not heard before; `false` when it was, or is no member.
    pub fn hear(&mut self, index: AuthorityIndex, committee: &Committee) -> bool {
        let Some(authority) = committee.authority(index) else {
            return false;
        };
        let fresh = self.heard.insert(index.get());
        if fresh {
            self.power = self.power.saturating_add(authority.power);
        }
        fresh
    }

    /// The power of all who were heard.
    pub const fn power(&self) -> VotingPower {
        self.power
    }

    /// Who was heard.
    pub const fn heard(&self) -> &Bitmap {
        &self.heard
    }

    /// Whether they are a quorum: 6,667 or more.
    pub fn has_quorum(&self) -> bool {
        self.power >= VotingPower::QUORUM
    }

    /// Whether one of them is honest: 3,334 or more.
    pub fn has_validity(&self) -> bool {
        self.power >= VotingPower::VALIDITY
    }
}

/// A quorum's signature: who signed, and the sum of their signatures. What they signed stands elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    epoch: Epoch,
    signers: Bitmap,
    aggregate: BlsAggregate,
}

/// Why a certificate proves nothing, or cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Another committee's: ask for that one.
    #[error("certificate of epoch {found}, committee of epoch {expected}")]
    WrongEpoch {
        /// The committee's.
        expected: Epoch,
        /// The certificate's.
        found: Epoch,
    },
    /// An authority that is no member, or that stands twice in the list.
    #[error("signer {0} is no member, or signed twice")]
    Signer(AuthorityIndex),
    /// The signers are too few, unknown, or did not sign this.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl Certificate {
    /// Joins the votes of a quorum, each of which the caller has verified: one false vote spoils the certificate.
    ///
    /// # Errors
    /// [`CertificateError::Signer`], or [`SignatureError::BelowThreshold`] inside.
    pub fn gather(
        committee: &Committee,
        votes: &[(AuthorityIndex, AuthoritySignature)],
    ) -> Result<Self, CertificateError> {
        let mut aggregator = PowerAggregator::new();
        for (index, _) in votes {
            if !aggregator.hear(*index, committee) {
                return Err(CertificateError::Signer(*index));
            }
        }
        if !aggregator.has_quorum() {
            let (weight, threshold) = (aggregator.power().get(), VotingPower::QUORUM.get());
            let (weight, threshold) = (u64::from(weight), u64::from(threshold));
            return Err(SignatureError::BelowThreshold { weight, threshold }.into());
        }
        let aggregate = BlsAggregate::sum(votes.iter().map(|(_, signature)| signature.as_bls()))?;
        Ok(Self {
            epoch: committee.epoch(),
            signers: aggregator.heard,
            aggregate,
        })
    }

    /// The epoch whose committee signed.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Who signed.
    pub const fn signers(&self) -> &Bitmap {
        &self.signers
    }

    /// Whether a quorum of the committee signed the message. One pairing check.
    ///
    /// # Errors
    /// [`CertificateError::WrongEpoch`], [`CertificateError::Signature`].
    pub fn verify<T: Serialize>(
        &self,
        message: IntentMessage<T>,
        committee: &Committee,
    ) -> Result<Verified<T>, CertificateError> {
        let (expected, found) = (committee.epoch(), self.epoch);
        if expected != found {
            return Err(CertificateError::WrongEpoch { expected, found });
        }
        let keys: Vec<_> = committee
            .authorities()
            .map(|(_, authority)| (authority.bls_key.clone(), u64::from(authority.power.get())))
            .collect();
        let threshold = u64::from(VotingPower::QUORUM.get());
        let verified = Verified::by_quorum(
            message,
            found.get(),
            &keys,
            &self.signers,
            &self.aggregate,
            threshold,
        )?;
        Ok(verified)
    }
}

#[cfg(test)]
mod tests {
    use crypto::{BlsSecretKey, Intent, Scope};
    use proptest::prelude::*;

    use super::*;
    use crate::committee::tests::committee;
    use crate::{decode, encode};

    fn message(value: u64) -> IntentMessage<u64> {
        IntentMessage::new(Intent::soma(Scope::CheckpointSummary), value)
    }

    fn index(n: u16) -> AuthorityIndex {
        AuthorityIndex::new(n).unwrap()
    }

    fn votes(secrets: &[BlsSecretKey], who: &[u16]) -> Vec<(AuthorityIndex, AuthoritySignature)> {
        let vote = |n: &u16| {
            let secret = &secrets[usize::from(*n) % secrets.len()];
            (index(*n), AuthoritySignature::sign(&message(7), 3, secret))
        };
        who.iter().map(vote).collect()
    }

    #[test]
    fn a_quorum_certifies_one_message_for_one_epoch() {
        let (members, secrets) = committee([2_000, 2_000, 2_666, 3_334]);
        let certificate = Certificate::gather(&members, &votes(&secrets, &[0, 2, 3])).unwrap();
        assert_eq!(certificate.signers().iter().collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(*certificate.verify(message(7), &members).unwrap(), 7);
        assert_eq!(
            certificate.verify(message(8), &members),
            Err(CertificateError::Signature(SignatureError::Invalid))
        );
        let authorities = members.authorities().map(|(_, authority)| authority.clone());
        let authorities: Vec<_> = authorities.collect();
        for epoch in [2, 4] {
            let others = Committee::new(Epoch::new(epoch), authorities.clone()).unwrap();
            assert_eq!(
                certificate.verify(message(7), &others),
                Err(CertificateError::WrongEpoch {
                    expected: Epoch::new(epoch),
                    found: Epoch::new(3)
                })
            );
        }
    }

    #[test]
    fn a_vote_less_than_a_quorum_certifies_nothing() {
        // 2,000 + 1,332 + 3,334 is one short of 6,667.
        let (members, secrets) = committee([2_000, 1_332, 3_334, 3_334]);
        let below = SignatureError::BelowThreshold {
            weight: 6_666,
            threshold: 6_667,
        };
        let few = votes(&secrets, &[0, 1, 2]);
        assert_eq!(Certificate::gather(&members, &few), Err(below.into()));
        // Nor when a peer claims it does.
        let aggregate = BlsAggregate::sum(few.iter().map(|(_, vote)| vote.as_bls())).unwrap();
        let signers = [0, 1, 2].into_iter().collect();
        let forged = Certificate {
            epoch: Epoch::new(3),
            signers,
            aggregate: aggregate.clone(),
        };
        assert_eq!(forged.verify(message(7), &members), Err(below.into()));
        let forged = Certificate {
            signers: [0, 1, 2, 3].into_iter().collect(),
            ..forged
        };
        assert_eq!(
            forged.verify(message(7), &members),
            Err(SignatureError::Invalid.into())
        );
        let forged = Certificate {
            signers: [2, 3, 9].into_iter().collect(),
            ..forged
        };
        assert_eq!(
            forged.verify(message(7), &members),
            Err(SignatureError::UnknownSigner { keys: 4 }.into())
        );
    }

    #[test]
    fn strangers_and_repeats_are_not_gathered() {
        let (members, secrets) = committee([2_500; 4]);
        for who in [[0, 1, 1], [0, 1, 4]] {
            let error = CertificateError::Signer(index(who[2]));
            assert_eq!(Certificate::gather(&members, &votes(&secrets, &who)), Err(error));
        }
    }

    #[test]
    fn power_is_heard_once() {
        let (members, _) = committee([1, 3_333, 3_333, 3_333]);
        let mut aggregator = PowerAggregator::new();
        assert!(aggregator.hear(index(1), &members));
        assert!(!aggregator.hear(index(1), &members));
        assert!(!aggregator.hear(index(4), &members));
        assert!(!aggregator.has_validity());
        assert!(aggregator.hear(index(0), &members));
        assert_eq!(
            (aggregator.has_validity(), aggregator.power()),
            (true, VotingPower::VALIDITY)
        );
        assert!(!aggregator.has_quorum());
        assert!(aggregator.hear(index(2), &members));
        assert_eq!(
            (aggregator.has_quorum(), aggregator.power()),
            (true, VotingPower::QUORUM)
        );
        assert_eq!(aggregator.heard().len(), 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_damaged_certificate_is_itself_or_none(at: prop::sample::Index, with: u8) {
            let (members, secrets) = committee([2_500; 4]);
            let certificate = Certificate::gather(&members, &votes(&secrets, &[0, 2, 3])).unwrap();
            let mut bytes = encode(&certificate);
            prop_assert_eq!(&decode::<Certificate>(&bytes, 1024).unwrap(), &certificate);
            let at = at.index(bytes.len());
            bytes[at] = with;
            if let Ok(decoded) = decode::<Certificate>(&bytes, 1024) {
                prop_assert_eq!(encode(&decoded), bytes);
            }
        }
    }
}
