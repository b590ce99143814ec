//! How validators sign: BLS over `BCS(IntentMessage) ‖ epoch as u64 LE`, so that a signature of one epoch's
//! committee is worth nothing in the next.

use serde::{Deserialize, Serialize};

use crate::bitmap::Bitmap;
use crate::bls::{BlsAggregate, BlsPublicKey, BlsSecretKey, BlsSignature};
use crate::intent::IntentMessage;
use crate::scheme::SignatureError;

/// The bytes that an authority signs.
pub fn message_bytes<T: Serialize>(message: &IntentMessage<T>, epoch: u64) -> Vec<u8> {
    let mut bytes = message.to_bytes();
    bytes.extend_from_slice(&epoch.to_le_bytes());
    bytes
}

/// One authority's signature over a message in an epoch. BCS: 48 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AuthoritySignature(BlsSignature);

impl AuthoritySignature {
    /// Signs the message for this epoch.
    pub fn sign<T: Serialize>(message: &IntentMessage<T>, epoch: u64, secret: &BlsSecretKey) -> Self {
        Self(secret.sign(&message_bytes(message, epoch)))
    }

    /// Whether the holder of `public` signed the message for this epoch.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify<T: Serialize>(
        &self,
        message: &IntentMessage<T>,
        epoch: u64,
        public: &BlsPublicKey,
    ) -> Result<(), SignatureError> {
        public.verify(&message_bytes(message, epoch), &self.0)
    }

    /// The signature, to be added to an aggregate.
    pub const fn as_bls(&self) -> &BlsSignature {
        &self.0
    }
}

/// Whether the keys that `signers` names weigh at least `threshold` and signed the message for this epoch. The
/// weight is counted first: it is what costs nothing.
///
/// # Errors
/// [`SignatureError::UnknownSigner`], [`SignatureError::BelowThreshold`], [`SignatureError::Invalid`].
pub fn verify_quorum<T: Serialize>(
    message: &IntentMessage<T>,
    epoch: u64,
    keys: &[(BlsPublicKey, u64)],
    signers: &Bitmap,
    aggregate: &BlsAggregate,
    threshold: u64,
) -> Result<(), SignatureError> {
    let mut weight = 0u64;
    for position in signers.iter() {
        let unknown = SignatureError::UnknownSigner { keys: keys.len() };
        let (_, share) = keys.get(usize::from(position)).ok_or(unknown)?;
        weight = weight.saturating_add(*share);
    }
    if weight < threshold {
        return Err(SignatureError::BelowThreshold { weight, threshold });
    }
    let keys: Vec<_> = keys.iter().map(|(key, _)| key.clone()).collect();
    aggregate.verify(&keys, signers, &message_bytes(message, epoch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::FixedBytes;
    use crate::intent::{Intent, Scope};

    fn secret(n: u8) -> BlsSecretKey {
        BlsSecretKey::from_seed(&[n; 32])
    }

    fn message() -> IntentMessage<u16> {
        IntentMessage::new(Intent::soma(Scope::CheckpointSummary), 5)
    }

    #[test]
    fn an_authority_signs_for_one_epoch() {
        assert_eq!(
            message_bytes(&message(), 3),
            [7, 0, 1, 5, 0, 3, 0, 0, 0, 0, 0, 0, 0]
        );
        let signature = AuthoritySignature::sign(&message(), 3, &secret(1));
        assert_eq!(signature.verify(&message(), 3, &secret(1).public()), Ok(()));
        assert_eq!(
            signature.verify(&message(), 4, &secret(1).public()),
            Err(SignatureError::Invalid)
        );
        assert_eq!(
            signature.verify(&message(), 3, &secret(2).public()),
            Err(SignatureError::Invalid)
        );
        assert_eq!(bcs::to_bytes(&signature).unwrap(), signature.as_bls().as_ref());
    }

    #[test]
    fn a_quorum_needs_weight_and_the_right_aggregate() {
        let keys: Vec<_> = (0..4).map(|n| (secret(n).public(), u64::from(n) + 1)).collect();
        let sign = |n| AuthoritySignature::sign(&message(), 3, &secret(n));
        let signatures: Vec<_> = [1, 3].map(sign).to_vec();
        let aggregate = BlsAggregate::sum(signatures.iter().map(AuthoritySignature::as_bls)).unwrap();
        let check = |signers: &[u16], epoch, threshold| {
            verify_quorum(
                &message(),
                epoch,
                &keys,
                &signers.iter().copied().collect(),
                &aggregate,
                threshold,
            )
        };
        assert_eq!(check(&[1, 3], 3, 6), Ok(()));
        assert_eq!(
            check(&[1, 3], 3, 7),
            Err(SignatureError::BelowThreshold {
                weight: 6,
                threshold: 7
            })
        );
        assert_eq!(check(&[1, 3], 4, 6), Err(SignatureError::Invalid));
        assert_eq!(check(&[2, 3], 3, 6), Err(SignatureError::Invalid));
        assert_eq!(
            check(&[1, 4], 3, 1),
            Err(SignatureError::UnknownSigner { keys: 4 })
        );
        assert_eq!(check(&[], 3, 0), Err(SignatureError::UnknownSigner { keys: 4 }));
        assert!(BlsAggregate::from_slice(aggregate.as_ref()).is_ok());
    }
}
