//! BLS12-381 with small signatures (48 bytes in G1) and keys in G2 (96 bytes): authorities, certificates, beacon.
//!
//! A signature is unique: for one key and message exactly one value verifies, so a signer has nothing to grind.
//! Aggregates are sound only over keys whose holders proved possession of the secret half, under
//! [`Scope::ProofOfPossession`](crate::Scope::ProofOfPossession).

use std::fmt;

use fastcrypto::bls12381::min_sig as inner;
use fastcrypto::traits::{AggregateAuthenticator, KeyPair, Signer, ToFromBytes, VerifyingKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::bitmap::Bitmap;
use crate::bytes::{FixedBytes, InvalidBytes, impl_by_bytes, to_array};
use crate::scheme::{Scheme, SignatureError, Work};

/// A point of G2, in the prime-order subgroup and not the identity: decoding checks both (0.2 ms).
#[derive(Clone)]
pub struct BlsPublicKey(inner::BLS12381PublicKey);

impl BlsPublicKey {
    /// Whether the holder of this key signed `message`.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify(&self, message: &[u8], signature: &BlsSignature) -> Result<(), SignatureError> {
        self.0
            .verify(message, &signature.0)
            .map_err(|_| SignatureError::Invalid)
    }
}

impl AsRef<[u8]> for BlsPublicKey {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl FixedBytes for BlsPublicKey {
    const LENGTH: usize = 96;

    fn from_slice(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        let bytes: [u8; 96] = to_array(bytes)?;
        let invalid = |_| InvalidBytes::Value("BLS public key");
        let key = inner::BLS12381PublicKey::from_bytes(&bytes).map_err(invalid)?;
        key.validate().map_err(invalid)?;
        Ok(Self(key))
    }
}

impl_by_bytes!(BlsPublicKey);

/// A point of G1. Decoding checks that it is on the curve; verification checks the subgroup.
#[derive(Clone)]
pub struct BlsSignature(inner::BLS12381Signature);

impl AsRef<[u8]> for BlsSignature {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl FixedBytes for BlsSignature {
    const LENGTH: usize = 48;

    fn from_slice(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        let bytes: [u8; 48] = to_array(bytes)?;
        inner::BLS12381Signature::from_bytes(&bytes)
            .map(Self)
            .map_err(|_| InvalidBytes::Value("BLS signature"))
    }
}

impl_by_bytes!(BlsSignature);

/// The sum of signatures by different keys over one message. As large as one signature.
#[derive(Clone)]
pub struct BlsAggregate(inner::BLS12381AggregateSignature);

impl BlsAggregate {
    /// Adds up the signatures, which the caller has verified: one false summand spoils the sum.
    ///
    /// # Errors
    /// [`SignatureError::UnknownSigner`] when there is none.
    pub fn sum<'a>(signatures: impl IntoIterator<Item = &'a BlsSignature>) -> Result<Self, SignatureError> {
        let signatures: Vec<_> = signatures.into_iter().map(|signature| &signature.0).collect();
        inner::BLS12381AggregateSignature::aggregate(signatures)
            .map(Self)
            .map_err(|_| SignatureError::UnknownSigner { keys: 0 })
    }

    /// Whether every key that `signers` names signed `message`. One pairing check, whatever their number. All keys
    /// must have proved possession.
    ///
    /// # Errors
    /// [`SignatureError::UnknownSigner`] when `signers` is empty or names a position beyond the keys,
    /// [`SignatureError::Invalid`] when the aggregate is not theirs.
    pub fn verify(
        &self,
        keys: &[BlsPublicKey],
        signers: &Bitmap,
        message: &[u8],
    ) -> Result<(), SignatureError> {
        let unknown = SignatureError::UnknownSigner { keys: keys.len() };
        let signing = signers
            .iter()
            .map(|position| keys.get(usize::from(position)).map(|key| key.0.clone()))
            .collect::<Option<Vec<_>>>()
            .ok_or(unknown)?;
        if signing.is_empty() {
            return Err(unknown);
        }
        self.0
            .verify(&signing, message)
            .map_err(|_| SignatureError::Invalid)
    }
}

impl AsRef<[u8]> for BlsAggregate {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl FixedBytes for BlsAggregate {
    const LENGTH: usize = 48;

    fn from_slice(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        let bytes: [u8; 48] = to_array(bytes)?;
        inner::BLS12381AggregateSignature::from_bytes(&bytes)
            .map(Self)
            .map_err(|_| InvalidBytes::Value("BLS aggregate"))
    }
}

impl_by_bytes!(BlsAggregate);

/// A secret key and its public half. Wiped when dropped.
pub struct BlsSecretKey(inner::BLS12381KeyPair);

impl BlsSecretKey {
    /// The key that a generator seeded with `seed` draws first (key generation of the BLS signature draft).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::generate(&mut StdRng::from_seed(*seed))
    }

    /// The next key of a generator that the caller has seeded.
    pub fn generate(rng: &mut StdRng) -> Self {
        Self(inner::BLS12381KeyPair::generate(rng))
    }

    /// The key whose secret scalar is `bytes`, big endian: what a key file holds.
    ///
    /// # Errors
    /// [`InvalidBytes::Value`] for zero and for scalars beyond the group order.
    pub fn from_secret_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidBytes> {
        inner::BLS12381KeyPair::from_bytes(bytes)
            .map(Self)
            .map_err(|_| InvalidBytes::Value("BLS secret key"))
    }

    /// The public half.
    pub fn public(&self) -> BlsPublicKey {
        BlsPublicKey(self.0.public().clone())
    }

    /// Signs the message as it is.
    pub fn sign(&self, message: &[u8]) -> BlsSignature {
        BlsSignature(self.0.sign(message))
    }
}

impl fmt::Debug for BlsSecretKey {
    /// The public half only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlsSecretKey(of {})", self.public())
    }
}

/// BLS as a [`Scheme`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlsScheme;

impl Scheme for BlsScheme {
    const SIGN_WORK: Work = Work::BlsSign;
    const VERIFY_WORK: Work = Work::BlsVerify;

    type PublicKey = BlsPublicKey;
    type SecretKey = BlsSecretKey;
    type Signature = BlsSignature;

    fn secret(seed: &[u8; 32]) -> BlsSecretKey {
        BlsSecretKey::from_seed(seed)
    }

    fn public(secret: &BlsSecretKey) -> BlsPublicKey {
        secret.public()
    }

    fn sign(secret: &BlsSecretKey, message: &[u8]) -> BlsSignature {
        secret.sign(message)
    }

    fn verify(public: &BlsPublicKey, message: &[u8], signature: &BlsSignature) -> Result<(), SignatureError> {
        public.verify(message, signature)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bytes::hex;

    fn committee() -> (Vec<BlsSecretKey>, Vec<BlsPublicKey>) {
        let secrets: Vec<_> = (0..5).map(|n| BlsSecretKey::from_seed(&[n; 32])).collect();
        let keys = secrets.iter().map(BlsSecretKey::public).collect();
        (secrets, keys)
    }

    #[test]
    fn keys_signatures_and_aggregates_are_pinned() {
        let (secrets, keys) = committee();
        let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(b"soma")).collect();
        assert_eq!(
            hex::encode(keys[1].as_ref()),
            "0xa57feae28362201f657ccf6cdaba629758beb0214942804d2c084967d76908fe46ce355e0e735bdde2705620c7cf4b3903177f62ba43ba39277d952d80afee4fdc439a3ce2ce6fd113196d7de7aff7d1683ed507a21e6920119c91980329925b"
        );
        assert_eq!(
            hex::encode(signatures[1].as_ref()),
            "0x8fcd430e445af28abc72d896999278b7db852ac563481921acf7409e199e036fcab61d29bdfedf110d750990c8316f0d"
        );
        let aggregate = BlsAggregate::sum(&signatures[1..4]).unwrap();
        assert_eq!(
            hex::encode(aggregate.as_ref()),
            "0xa939a4113fb5638eb2b1354f77019efe83f7252caa713b0819bad04129c313a3e6c3de6ed56766564883a46abd9604fd"
        );
    }

    #[test]
    fn an_aggregate_verifies_for_exactly_its_signers() {
        let (secrets, keys) = committee();
        let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(b"soma")).collect();
        let aggregate = BlsAggregate::sum(&signatures[1..4]).unwrap();
        let check =
            |signers: &[u16], message| aggregate.verify(&keys, &signers.iter().copied().collect(), message);
        assert_eq!(check(&[1, 2, 3], b"soma"), Ok(()));
        assert_eq!(check(&[1, 2, 3], b"sema"), Err(SignatureError::Invalid));
        assert_eq!(check(&[1, 2], b"soma"), Err(SignatureError::Invalid));
        assert_eq!(check(&[1, 2, 3, 4], b"soma"), Err(SignatureError::Invalid));
        assert_eq!(
            check(&[1, 2, 5], b"soma"),
            Err(SignatureError::UnknownSigner { keys: 5 })
        );
        assert_eq!(
            check(&[], b"soma"),
            Err(SignatureError::UnknownSigner { keys: 5 })
        );
        assert_eq!(
            BlsAggregate::sum([]),
            Err(SignatureError::UnknownSigner { keys: 0 })
        );
    }

    #[test]
    fn the_identity_is_no_key_and_verifies_nothing() {
        let mut identity = [0; 96];
        identity[0] = 0xc0;
        assert_eq!(
            BlsPublicKey::from_slice(&identity),
            Err(InvalidBytes::Value("BLS public key"))
        );
        let (_, keys) = committee();
        let nothing = BlsSignature::from_slice(&identity[..48]).unwrap();
        assert_eq!(keys[0].verify(b"soma", &nothing), Err(SignatureError::Invalid));
        let nothing = BlsAggregate::from_slice(&identity[..48]).unwrap();
        assert_eq!(
            nothing.verify(&keys, &[0].into_iter().collect(), b"soma"),
            Err(SignatureError::Invalid)
        );
    }

    #[test]
    fn a_curve_point_outside_the_subgroup_is_no_key() {
        // Compressed points of G2 with small x: almost none lies in the subgroup, and decoding must say so itself.
        let mut on_curve = 0;
        for x in 0..40u8 {
            let mut bytes = [0; 96];
            (bytes[0], bytes[95]) = (0x80, x);
            on_curve += usize::from(inner::BLS12381PublicKey::from_bytes(&bytes).is_ok());
            assert!(BlsPublicKey::from_slice(&bytes).is_err());
        }
        assert!(
            on_curve > 10,
            "the test must meet points on the curve, met {on_curve}"
        );
    }

    #[test]
    fn zero_and_too_large_scalars_are_no_secret() {
        assert!(BlsSecretKey::from_secret_bytes(&[0; 32]).is_err());
        assert!(BlsSecretKey::from_secret_bytes(&[0xff; 32]).is_err());
        assert!(BlsSecretKey::from_secret_bytes(&[1; 32]).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_signature_with_these_bytes_or_none(mut bytes in proptest::array::uniform32(any::<u8>()), sign: bool) {
            // Flags of a compressed point and an x below the field's order, so that half of the inputs decode.
            let mut long = [0; 48];
            bytes[0] &= 0x0f;
            long[16..].copy_from_slice(&bytes);
            long[0] = if sign { 0xa0 } else { 0x80 };
            if let Ok(signature) = bcs::from_bytes::<BlsSignature>(&long) {
                prop_assert_eq!(bcs::to_bytes(&signature).unwrap(), long);
            }
        }

        #[test]
        fn any_bytes_are_a_key_with_these_bytes_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(key) = BlsPublicKey::from_slice(&bytes) {
                prop_assert_eq!(key.as_ref(), bytes);
            }
        }
    }
}
