//! How a user signs.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::address::{Address, Flag};
use crate::bytes::{FixedBytes, InvalidBytes};
use crate::ed25519::{Ed25519PublicKey, Ed25519SecretKey, Ed25519Signature};
use crate::intent::IntentMessage;
use crate::multisig::MultiSig;
use crate::scheme::SignatureError;

/// A user's signature over `H(BCS(IntentMessage))`.
///
/// Bytes: `0x00 ‖ signature (64) ‖ key (32)`, or `0x02 ‖ BCS(MultiSig)`. BCS: those as a byte vector.
#[derive(Clone, PartialEq, Eq)]
pub enum UserSignature {
    /// By one key.
    Ed25519 {
        /// The signature.
        signature: Ed25519Signature,
        /// The key it was made with.
        public: Ed25519PublicKey,
    },
    /// By several.
    MultiSig(MultiSig),
}

impl UserSignature {
    /// No signature has more bytes: ten members of a multisig, all signing, need 997.
    pub const MAX_LENGTH: usize = 1024;

    /// Signs with one key.
    pub fn sign<T: Serialize>(message: &IntentMessage<T>, secret: &Ed25519SecretKey) -> Self {
        let signature = secret.sign(message.digest().as_bytes());
        Self::Ed25519 {
            signature,
            public: secret.public(),
        }
    }

    /// Whose signature this is said to be.
    pub fn address(&self) -> Address {
        match self {
            Self::Ed25519 { public, .. } => Address::from(public),
            Self::MultiSig(multisig) => multisig.address(),
        }
    }

    /// Whether `signer` signed the message.
    ///
    /// # Errors
    /// [`SignatureError::WrongSigner`], [`SignatureError::Invalid`], and [`SignatureError::BelowThreshold`] for
    /// a multisig.
    pub fn verify<T: Serialize>(
        &self,
        message: &IntentMessage<T>,
        signer: Address,
    ) -> Result<(), SignatureError> {
        let found = self.address();
        if found != signer {
            return Err(SignatureError::WrongSigner {
                expected: signer,
                found,
            });
        }
        let digest = message.digest();
        match self {
            Self::Ed25519 { signature, public } => public.verify(digest.as_bytes(), signature),
            Self::MultiSig(multisig) => multisig.verify(digest.as_bytes()),
        }
    }

    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ed25519 { signature, public } => {
                [&[Flag::Ed25519 as u8], signature.as_ref(), public.as_ref()].concat()
            }
            Self::MultiSig(multisig) => {
                let mut bytes = vec![Flag::MultiSig as u8];
                bcs::serialize_into(&mut bytes, multisig)
                    .expect("a multisig has at most ten members and no floats");
                bytes
            }
        }
    }

    /// The signature with these bytes.
    ///
    /// # Errors
    /// [`InvalidBytes`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        if bytes.len() > Self::MAX_LENGTH {
            return Err(InvalidBytes::Length {
                expected: Self::MAX_LENGTH,
                found: bytes.len(),
            });
        }
        match bytes.split_first() {
            Some((&flag, rest)) if flag == Flag::Ed25519 as u8 => {
                let (signature, public) =
                    rest.split_at_checked(Ed25519Signature::LENGTH)
                        .ok_or(InvalidBytes::Length {
                            expected: 97,
                            found: bytes.len(),
                        })?;
                Ok(Self::Ed25519 {
                    signature: Ed25519Signature::from_slice(signature)?,
                    public: Ed25519PublicKey::from_slice(public)?,
                })
            }
            Some((&flag, rest)) if flag == Flag::MultiSig as u8 => bcs::from_bytes(rest)
                .map(Self::MultiSig)
                .map_err(|_| InvalidBytes::Value("well-formed multisig")),
            _ => Err(InvalidBytes::Value("user signature of a known kind")),
        }
    }
}

impl fmt::Debug for UserSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserSignature(of {})", self.address())
    }
}

impl Serialize for UserSignature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for UserSignature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_slice(&Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::address::PublicKey;
    use crate::intent::{Intent, Scope};
    use crate::multisig::MultiSigKey;

    fn secret(n: u8) -> Ed25519SecretKey {
        Ed25519SecretKey::from_seed(&[n; 32])
    }

    fn message(value: u64) -> IntentMessage<u64> {
        IntentMessage::new(Intent::soma(Scope::TransactionData), value)
    }

    /// Signed by as many members as there are positions.
    fn multisig(members: u8, positions: &[u8]) -> UserSignature {
        let keys = (0..members)
            .map(|n| (PublicKey::Ed25519(secret(n).public()), 1))
            .collect();
        let key = MultiSigKey::new(keys, 2).unwrap();
        let digest = message(7).digest();
        let signatures: Vec<_> = positions
            .iter()
            .map(|n| (usize::from(*n), secret(*n).sign(digest.as_bytes())))
            .collect();
        UserSignature::MultiSig(MultiSig::new(key, &signatures).unwrap())
    }

    #[test]
    fn a_user_signs_one_message_for_one_address_and_one_intent() {
        let signature = UserSignature::sign(&message(7), &secret(1));
        let (me, other) = (
            Address::from(&secret(1).public()),
            Address::from(&secret(2).public()),
        );
        assert_eq!(signature.verify(&message(7), me), Ok(()));
        assert_eq!(signature.verify(&message(8), me), Err(SignatureError::Invalid));
        let elsewhere = IntentMessage::new(Intent::soma(Scope::CheckpointSummary), 7u64);
        assert_eq!(signature.verify(&elsewhere, me), Err(SignatureError::Invalid));
        assert_eq!(
            signature.verify(&message(7), other),
            Err(SignatureError::WrongSigner {
                expected: other,
                found: me
            })
        );
    }

    #[test]
    fn a_multisig_signs_for_its_address() {
        let signature = multisig(3, &[0, 2]);
        assert_eq!(signature.verify(&message(7), signature.address()), Ok(()));
        assert_eq!(
            multisig(3, &[1]).verify(&message(7), signature.address()),
            Err(SignatureError::BelowThreshold {
                weight: 1,
                threshold: 2
            })
        );
        assert_eq!(UserSignature::from_slice(&signature.to_bytes()), Ok(signature));
    }

    #[test]
    fn the_largest_multisig_fits_the_limit() {
        let largest = multisig(10, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).to_bytes();
        assert_eq!((largest.len(), largest[0]), (997, 2));
        assert!(UserSignature::from_slice(&largest).is_ok());
        let found = UserSignature::MAX_LENGTH + 1;
        assert_eq!(
            UserSignature::from_slice(&vec![2; found]),
            Err(InvalidBytes::Length {
                expected: UserSignature::MAX_LENGTH,
                found
            })
        );
    }

    #[test]
    fn unknown_kinds_and_odd_lengths_are_refused() {
        let good = UserSignature::sign(&message(7), &secret(1)).to_bytes();
        assert_eq!(good.len(), 97);
        assert!(UserSignature::from_slice(&good).is_ok());
        assert!(UserSignature::from_slice(&[]).is_err());
        assert!(UserSignature::from_slice(&good[..96]).is_err());
        assert!(UserSignature::from_slice(&[&good[..], &[0]].concat()).is_err());
        for flag in [1, 3, 0xff] {
            assert!(UserSignature::from_slice(&[&[flag], &good[1..]].concat()).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_signature_with_these_bytes_or_none(
            kind in prop_oneof![Just(0u8), Just(2u8), any::<u8>()],
            rest in prop_oneof![
                proptest::collection::vec(any::<u8>(), 96),
                proptest::collection::vec(any::<u8>(), 0..200),
            ],
        ) {
            let bytes = [vec![kind], rest].concat();
            if let Ok(signature) = UserSignature::from_slice(&bytes) {
                prop_assert_eq!(signature.to_bytes(), bytes);
            }
        }
    }
}
