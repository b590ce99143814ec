//! Ed25519 with the verification rules of ZIP-215: users, blocks and network identities.
//!
//! ZIP-215 multiplies by the cofactor and accepts non-canonical points, so single and batch verification accept the
//! same signatures on every machine.

use std::fmt;

use ed25519_consensus::{VerificationKeyBytes, batch};
use fastcrypto::ed25519 as inner;
use fastcrypto::traits::{KeyPair, Signer, ToFromBytes, VerifyingKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::bytes::{FixedBytes, InvalidBytes, impl_by_bytes, to_array};
use crate::digest::Hasher;
use crate::scheme::{Claim, InvalidClaim, Scheme, SignatureError, Work, verify_each};

/// A point on the curve with its 32 bytes, which may be non-canonical (ZIP-215).
#[derive(Clone)]
pub struct Ed25519PublicKey(inner::Ed25519PublicKey);

impl Ed25519PublicKey {
    /// The 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.0.to_bytes()
    }

    /// Whether the holder of this key signed `message`.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify(&self, message: &[u8], signature: &Ed25519Signature) -> Result<(), SignatureError> {
        let signature =
            inner::Ed25519Signature::from_bytes(&signature.0).map_err(|_| SignatureError::Invalid)?;
        self.0
            .verify(message, &signature)
            .map_err(|_| SignatureError::Invalid)
    }
}

impl AsRef<[u8]> for Ed25519PublicKey {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl FixedBytes for Ed25519PublicKey {
    const LENGTH: usize = 32;

    fn from_slice(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        let bytes: [u8; 32] = to_array(bytes)?;
        inner::Ed25519PublicKey::from_bytes(&bytes)
            .map(Self)
            .map_err(|_| InvalidBytes::Value("point of ed25519"))
    }
}

impl_by_bytes!(Ed25519PublicKey);

/// 64 bytes `R ‖ s`. Any bytes decode; whether they mean anything shows in verification.
#[derive(Clone, Copy)]
pub struct Ed25519Signature([u8; 64]);

impl Ed25519Signature {
    /// The signature with these bytes.
    pub const fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Ed25519Signature {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FixedBytes for Ed25519Signature {
    const LENGTH: usize = 64;

    fn from_slice(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        to_array(bytes).map(Self)
    }
}

impl_by_bytes!(Ed25519Signature);

/// A secret key and its public half. Wiped when dropped.
pub struct Ed25519SecretKey(inner::Ed25519KeyPair);

impl Ed25519SecretKey {
    /// The key whose 32-byte secret (RFC 8032's "private key") is the seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = inner::Ed25519KeyPair::from_bytes(seed);
        Self(pair.expect("every 32 bytes are a private key of RFC 8032"))
    }

    /// The next key of a generator that the caller has seeded.
    pub fn generate(rng: &mut StdRng) -> Self {
        Self(inner::Ed25519KeyPair::generate(rng))
    }

    /// The public half.
    pub fn public(&self) -> Ed25519PublicKey {
        Ed25519PublicKey(self.0.public().clone())
    }

    /// Signs the message as it is (RFC 8032, deterministic).
    pub fn sign(&self, message: &[u8]) -> Ed25519Signature {
        Ed25519Signature(self.0.sign(message).sig.to_bytes())
    }

    /// The seed that [`from_seed`](Self::from_seed) takes: for the text form of a key file.
    pub(crate) fn secret_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl fmt::Debug for Ed25519SecretKey {
    /// The public half only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519SecretKey(of {})", self.public())
    }
}

/// Ed25519 as a [`Scheme`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ed25519Scheme;

impl Scheme for Ed25519Scheme {
    const SIGN_WORK: Work = Work::Ed25519Sign;
    const VERIFY_WORK: Work = Work::Ed25519Verify;

    type PublicKey = Ed25519PublicKey;
    type SecretKey = Ed25519SecretKey;
    type Signature = Ed25519Signature;

    fn secret(seed: &[u8; 32]) -> Ed25519SecretKey {
        Ed25519SecretKey::from_seed(seed)
    }

    fn public(secret: &Ed25519SecretKey) -> Ed25519PublicKey {
        secret.public()
    }

    fn sign(secret: &Ed25519SecretKey, message: &[u8]) -> Ed25519Signature {
        secret.sign(message)
    }

    fn verify(
        public: &Ed25519PublicKey,
        message: &[u8],
        signature: &Ed25519Signature,
    ) -> Result<(), SignatureError> {
        public.verify(message, signature)
    }

    /// About twice as fast as one by one. The coefficients come from a generator seeded with the digest of the
    /// whole batch, so the caller needs no entropy and a forger would have to find a digest: the chance to pass a
    /// false batch is 2^-128. A batch that fails is gone through one by one to name the first false claim.
    fn verify_batch(claims: &[Claim<'_, Self>]) -> Result<(), InvalidClaim> {
        let mut transcript = Hasher::named("Ed25519Batch");
        let mut verifier = batch::Verifier::new();
        for claim in claims {
            transcript.bytes(claim.public.as_ref());
            transcript.bytes(claim.signature.as_ref());
            transcript.value(claim.message);
            let key = VerificationKeyBytes::from(claim.public.0.0);
            let signature = ed25519_consensus::Signature::from(claim.signature.0);
            verifier.queue((key, signature, claim.message));
        }
        let rng = StdRng::from_seed(*transcript.finish().as_bytes());
        if verifier.verify(rng).is_ok() {
            Ok(())
        } else {
            verify_each(claims)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bytes::hex;

    #[test]
    fn rfc_8032_vectors_hold() {
        // RFC 8032 section 7.1, tests 1, 2 and 3: secret, public, message, signature.
        let vectors: [(&str, &str, &[u8], &str); 3] = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                b"",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                b"\x72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                b"\xaf\x82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ];
        for (secret, public, message, signature) in vectors {
            let key = Ed25519SecretKey::from_seed(&hex::decode(secret).unwrap());
            assert_eq!(key.public().to_bytes(), hex::decode(public).unwrap());
            assert_eq!(key.sign(message).0, hex::decode(signature).unwrap());
            assert_eq!(key.public().verify(message, &key.sign(message)), Ok(()));
        }
    }

    /// Encodings of points of small order; the last two are non-canonical (y ≥ p).
    const SMALL_ORDER: [&str; 5] = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000080",
    ];

    #[test]
    fn zip_215_edge_cases_are_accepted_alone_and_in_a_batch() {
        // With s = 0 and R, A of small order, [8](R + kA) is the identity for every message: ZIP-215 accepts, and
        // rules without the cofactor or with canonical points only would not.
        for public in SMALL_ORDER {
            for r in SMALL_ORDER {
                let public: [u8; 32] = hex::decode(public).unwrap();
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&hex::decode::<32>(r).unwrap());
                let key = Ed25519PublicKey::from_slice(&public).unwrap();
                assert_eq!(key.as_ref(), public, "non-canonical bytes are kept");
                let signature = Ed25519Signature(signature);
                let claim = Claim {
                    public: &key,
                    message: b"Zcash",
                    signature: &signature,
                };
                assert_eq!(key.verify(b"Zcash", &signature), Ok(()));
                assert_eq!(Ed25519Scheme::verify_batch(&[claim, claim]), Ok(()));
            }
        }
    }

    #[test]
    fn an_s_beyond_the_group_order_is_refused_alone_and_in_a_batch() {
        // ℓ + 0 instead of 0 for s: the same residue, but malleable.
        let order =
            hex::decode::<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        let public = hex::decode::<32>(SMALL_ORDER[0]).unwrap();
        let key = Ed25519PublicKey::from_slice(&public).unwrap();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&public);
        assert_eq!(key.verify(b"", &Ed25519Signature(signature)), Ok(()));
        signature[32..].copy_from_slice(&order);
        let signature = Ed25519Signature(signature);
        assert_eq!(key.verify(b"", &signature), Err(SignatureError::Invalid));
        let claim = Claim {
            public: &key,
            message: b"",
            signature: &signature,
        };
        assert_eq!(
            Ed25519Scheme::verify_batch(&[claim]),
            Err(InvalidClaim { index: 0 })
        );
    }

    #[test]
    fn a_secret_key_never_shows_its_secret() {
        let key = Ed25519SecretKey::from_seed(&[7; 32]);
        assert_eq!(
            format!("{key:?}"),
            format!("Ed25519SecretKey(of {})", key.public())
        );
    }

    #[test]
    fn a_seeded_generator_gives_the_same_keys() {
        let draw = || Ed25519SecretKey::generate(&mut StdRng::from_seed([3; 32])).public();
        assert_eq!(draw(), draw());
        assert_eq!(draw().to_string(), "i8qUNuWzfHsyEy5vU0+dFhMsTA2UfnlmWiP9whsJYHg=");
    }

    proptest! {
        #[test]
        fn any_32_bytes_are_a_key_with_these_bytes_or_none(bytes: [u8; 32]) {
            if let Ok(key) = bcs::from_bytes::<Ed25519PublicKey>(&bytes) {
                prop_assert_eq!(bcs::to_bytes(&key).unwrap(), bytes);
            }
        }

        #[test]
        fn a_flipped_bit_breaks_a_signature(seed: [u8; 32], message: Vec<u8>, bit in 0usize..512) {
            let key = Ed25519SecretKey::from_seed(&seed);
            let mut signature = key.sign(&message);
            prop_assert_eq!(key.public().verify(&message, &signature), Ok(()));
            signature.0[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(key.public().verify(&message, &signature), Err(SignatureError::Invalid));
        }
    }
}
