//! How validators sign: BLS over `BCS(IntentMessage) ‖ epoch as u64 LE`, so that a signature of one epoch's
//! committee is worth nothing in the next.

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::bitmap::Bitmap;
use crate::bls::{BlsAggregate, BlsPublicKey, BlsSecretKey, BlsSignature};
use crate::intent::{Intent, IntentMessage, Scope};
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

/// That whoever registers a BLS key has its secret half, and registers it for this address: without it, keys made
/// up from those of others would pass for them in an aggregate. BCS: 48 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProofOfPossession(BlsSignature);

impl ProofOfPossession {
    /// Proves it, for this address.
    pub fn prove(secret: &BlsSecretKey, address: Address) -> Self {
        Self(secret.sign(&Self::message(&secret.public(), address)))
    }

    /// Whether it proves it for this key and address.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify(&self, public: &BlsPublicKey, address: Address) -> Result<(), SignatureError> {
        public.verify(&Self::message(public, address), &self.0)
    }

    /// Scope 8 over the byte vector `key ‖ address`, in epoch 0.
    fn message(public: &BlsPublicKey, address: Address) -> Vec<u8> {
        let value = [public.as_ref(), address.as_ref()].concat();
        message_bytes(
            &IntentMessage::new(Intent::soma(Scope::ProofOfPossession), value),
            0,
        )
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
    use crate::bytes::{FixedBytes, hex};

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
    fn possession_is_proved_for_one_key_and_one_address() {
        let (me, other) = (Address::new([1; 32]), Address::new([2; 32]));
        let proof = ProofOfPossession::prove(&secret(1), me);
        assert_eq!(proof.verify(&secret(1).public(), me), Ok(()));
        assert_eq!(
            proof.verify(&secret(1).public(), other),
            Err(SignatureError::Invalid)
        );
        assert_eq!(
            proof.verify(&secret(2).public(), me),
            Err(SignatureError::Invalid)
        );
        let message = ProofOfPossession::message(&secret(1).public(), me);
        // Intent, length 128 in ULEB128, key, address, epoch.
        assert_eq!(
            (&message[..5], message.len()),
            (&[8, 0, 1, 0x80, 1][..], 5 + 96 + 32 + 8)
        );
        assert_eq!(
            hex::encode(&bcs::to_bytes(&proof).unwrap()),
            "0x966f01f99715b82d748d29624858a1a96898afd9a9ab13b9c74e3dad39123efdc6b16a9d1143d7bcb4af8eb0a6c1583d"
        );
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
