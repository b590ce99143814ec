//! Several keys with weights, any sufficient part of which signs for one address.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::address::{Address, PublicKey};
use crate::bytes::InvalidBytes;
use crate::ed25519::Ed25519Signature;
use crate::scheme::SignatureError;

/// The keys, weights and threshold of a multisig address. Well-formed by construction: 1 to 10 distinct keys, every
/// weight at least 1, and `1 ≤ threshold ≤ Σ weights`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawKey", into = "RawKey")]
pub struct MultiSigKey {
    members: Vec<(PublicKey, u8)>,
    threshold: u16,
}

/// The layout of [`MultiSigKey`]: BCS `{pk_map, threshold}`.
#[derive(Serialize, Deserialize)]
#[serde(rename = "MultiSigKey")]
struct RawKey {
    #[serde(deserialize_with = "few")]
    pk_map: Vec<(PublicKey, u8)>,
    threshold: u16,
}

impl MultiSigKey {
    /// Keys a multisig can have.
    pub const MAX_MEMBERS: usize = 10;

    /// The multisig of these keys, in this order.
    ///
    /// # Errors
    /// [`InvalidBytes::Value`] unless it is well-formed.
    pub fn new(members: Vec<(PublicKey, u8)>, threshold: u16) -> Result<Self, InvalidBytes> {
        let malformed = InvalidBytes::Value("well-formed multisig key");
        if members.len() > Self::MAX_MEMBERS {
            return Err(malformed);
        }
        let total: u16 = members.iter().map(|(_, weight)| u16::from(*weight)).sum();
        let distinct = members
            .iter()
            .enumerate()
            .all(|(n, (key, _))| members[..n].iter().all(|(other, _)| other != key));
        let fits = (1..=total).contains(&threshold);
        if !fits || !distinct || members.iter().any(|(_, weight)| *weight == 0) {
            return Err(malformed);
        }
        Ok(Self { members, threshold })
    }

    /// The keys with their weights, in the order that the bitmap and the signatures follow.
    pub fn members(&self) -> &[(PublicKey, u8)] {
        &self.members
    }

    /// The weight that must sign.
    pub const fn threshold(&self) -> u16 {
        self.threshold
    }
}

impl TryFrom<RawKey> for MultiSigKey {
    type Error = InvalidBytes;

    fn try_from(raw: RawKey) -> Result<Self, InvalidBytes> {
        Self::new(raw.pk_map, raw.threshold)
    }
}

impl From<MultiSigKey> for RawKey {
    fn from(key: MultiSigKey) -> Self {
        Self {
            pk_map: key.members,
            threshold: key.threshold,
        }
    }
}

/// A signature of some of the keys of a multisig. Well-formed by construction: the bitmap names only members, and
/// there is one signature for each bit, in the order of the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawMultiSig", into = "RawMultiSig")]
pub struct MultiSig {
    signatures: Vec<MemberSignature>,
    bitmap: u16,
    key: MultiSigKey,
}

/// The layout of [`MultiSig`]: BCS `{sigs, bitmap, multisig_pk}`.
#[derive(Serialize, Deserialize)]
#[serde(rename = "MultiSig")]
struct RawMultiSig {
    #[serde(deserialize_with = "few")]
    sigs: Vec<MemberSignature>,
    bitmap: u16,
    multisig_pk: MultiSigKey,
}

/// A member's signature, tagged like its [`PublicKey`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum MemberSignature {
    Ed25519(Ed25519Signature),
}

impl MultiSig {
    /// Joins signatures, each with the position of its key, ascending.
    ///
    /// # Errors
    /// [`InvalidBytes::Value`] when positions repeat, descend, or lie beyond the keys, or there is none. Whether
    /// they weigh enough shows in [`verify`](Self::verify).
    pub fn new(key: MultiSigKey, signatures: &[(usize, Ed25519Signature)]) -> Result<Self, InvalidBytes> {
        let ascending = signatures.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !ascending
            || signatures
                .iter()
                .any(|(position, _)| *position >= key.members.len())
        {
            return Err(InvalidBytes::Value("list of multisig signatures"));
        }
        let bitmap = signatures
            .iter()
            .fold(0, |bitmap, (position, _)| bitmap | 1 << position);
        let sigs = signatures
            .iter()
            .map(|(_, signature)| MemberSignature::Ed25519(*signature))
            .collect();
        RawMultiSig {
            sigs,
            bitmap,
            multisig_pk: key,
        }
        .try_into()
    }

    /// The address that this can sign for.
    pub fn address(&self) -> Address {
        Address::from(&self.key)
    }

    /// Whether members of enough weight signed `message`, and everyone that the bitmap names did.
    ///
    /// # Errors
    /// [`SignatureError::BelowThreshold`] or [`SignatureError::Invalid`].
    pub fn verify(&self, message: &[u8]) -> Result<(), SignatureError> {
        let members = (0..).zip(&self.key.members);
        let signing: Vec<_> = members
            .filter(|(position, _)| self.bitmap & (1 << position) != 0)
            .map(|(_, member)| member)
            .collect();
        // The weight is counted first: it is what costs nothing.
        let weight = signing.iter().map(|(_, share)| u64::from(*share)).sum();
        let threshold = u64::from(self.key.threshold);
        if weight < threshold {
            return Err(SignatureError::BelowThreshold { weight, threshold });
        }
        for ((PublicKey::Ed25519(key), _), MemberSignature::Ed25519(signature)) in
            signing.into_iter().zip(&self.signatures)
        {
            key.verify(message, signature)?;
        }
        Ok(())
    }
}

impl TryFrom<RawMultiSig> for MultiSig {
    type Error = InvalidBytes;

    fn try_from(raw: RawMultiSig) -> Result<Self, InvalidBytes> {
        let beyond = u32::from(raw.bitmap) >> raw.multisig_pk.members.len();
        if beyond != 0 || raw.sigs.is_empty() || raw.bitmap.count_ones() as usize != raw.sigs.len() {
            return Err(InvalidBytes::Value("well-formed multisig"));
        }
        Ok(Self {
            signatures: raw.sigs,
            bitmap: raw.bitmap,
            key: raw.multisig_pk,
        })
    }
}

impl From<MultiSig> for RawMultiSig {
    fn from(multisig: MultiSig) -> Self {
        Self {
            sigs: multisig.signatures,
            bitmap: multisig.bitmap,
            multisig_pk: multisig.key,
        }
    }
}

/// A sequence of no more elements than a multisig has members. Decoding stops where there are more.
fn few<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Few<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {} elements", MultiSigKey::MAX_MEMBERS)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let too_many = |count: &usize| *count > MultiSigKey::MAX_MEMBERS;
            if let Some(announced) = seq.size_hint().filter(too_many) {
                return Err(A::Error::invalid_length(announced, &self));
            }
            let mut elements = Vec::new();
            while let Some(element) = seq.next_element()? {
                elements.push(element);
                if too_many(&elements.len()) {
                    return Err(A::Error::invalid_length(elements.len(), &self));
                }
            }
            Ok(elements)
        }
    }

    deserializer.deserialize_seq(Few(PhantomData))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digest;
    use crate::ed25519::Ed25519SecretKey;

    fn secret(n: u8) -> Ed25519SecretKey {
        Ed25519SecretKey::from_seed(&[n; 32])
    }

    fn key(weights: &[u8], threshold: u16) -> Result<MultiSigKey, InvalidBytes> {
        let members = (0..)
            .zip(weights)
            .map(|(n, weight)| (PublicKey::Ed25519(secret(n).public()), *weight));
        MultiSigKey::new(members.collect(), threshold)
    }

    fn signed(key: &MultiSigKey, positions: &[u8], message: &[u8]) -> Result<MultiSig, InvalidBytes> {
        let signatures: Vec<_> = positions
            .iter()
            .map(|n| (usize::from(*n), secret(*n).sign(message)))
            .collect();
        MultiSig::new(key.clone(), &signatures)
    }

    #[test]
    fn a_multisig_key_is_well_formed_or_none() {
        assert!(key(&[1; 10], 10).is_ok());
        assert!(key(&[255; 10], 2550).is_ok());
        for (weights, threshold) in [
            (&[1; 11][..], 2),
            (&[1; 10], 11),
            (&[1, 2], 0),
            (&[1, 0], 1),
            (&[], 0),
            (&[], 1),
        ] {
            assert!(key(weights, threshold).is_err(), "{weights:?} {threshold}");
        }
        let twice = vec![(PublicKey::Ed25519(secret(1).public()), 1); 2];
        assert!(MultiSigKey::new(twice, 2).is_err());
    }

    #[test]
    fn enough_weight_signs_and_less_does_not() {
        let key = key(&[1, 2, 3], 4).unwrap();
        let check = |positions| signed(&key, positions, b"message").unwrap().verify(b"message");
        assert_eq!(check(&[0, 2]), Ok(()));
        assert_eq!(check(&[0, 1, 2]), Ok(()));
        assert_eq!(
            check(&[0, 1]),
            Err(SignatureError::BelowThreshold {
                weight: 3,
                threshold: 4
            })
        );
        assert_eq!(
            signed(&key, &[0, 2], b"other").unwrap().verify(b"message"),
            Err(SignatureError::Invalid)
        );
        // What weighs too little is not looked at.
        assert_eq!(
            signed(&key, &[0, 1], b"other").unwrap().verify(b"message"),
            Err(SignatureError::BelowThreshold {
                weight: 3,
                threshold: 4
            })
        );
    }

    #[test]
    fn decoding_ends_at_the_announcement_of_one_member_too_many() {
        let error = |bytes: &[u8]| bcs::from_bytes::<MultiSigKey>(bytes).unwrap_err();
        assert_eq!(error(&[10]), bcs::Error::Eof);
        assert!(matches!(error(&[11]), bcs::Error::Custom(_)));
        let signatures = |bytes: &[u8]| bcs::from_bytes::<MultiSig>(bytes).unwrap_err();
        assert_eq!(signatures(&[10]), bcs::Error::Eof);
        assert!(matches!(signatures(&[11]), bcs::Error::Custom(_)));
    }

    #[test]
    fn signatures_follow_the_order_of_the_keys() {
        let key = key(&[1, 1, 1], 2).unwrap();
        for positions in [&[1, 0][..], &[1, 1], &[0, 3], &[]] {
            assert!(signed(&key, positions, b"message").is_err(), "{positions:?}");
        }
        let swapped = [(0, secret(1).sign(b"message")), (1, secret(0).sign(b"message"))];
        let swapped = MultiSig::new(key, &swapped).unwrap();
        assert_eq!(swapped.verify(b"message"), Err(SignatureError::Invalid));
    }

    #[test]
    fn the_multisig_address_is_pinned() {
        let key = key(&[1, 2], 0x0102 - 0x0100).unwrap();
        let (one, two) = (secret(0).public(), secret(1).public());
        let preimage = [&[2, 2, 0, 0][..], one.as_ref(), &[1, 0], two.as_ref(), &[2]].concat();
        assert_eq!(Address::from(&key), Digest::of(&preimage).into());
        assert_eq!(
            Address::from(&key).to_string(),
            "0x119d98e289d4b110af60787152ba5c422e4d6b29f08abd83daa7a7401877b856"
        );
    }

    #[test]
    fn a_bitmap_that_disagrees_with_the_signatures_is_refused() {
        let good = bcs::to_bytes(&signed(&key(&[1, 1], 1).unwrap(), &[1], b"message").unwrap()).unwrap();
        let bitmap_at = 1 + 65;
        assert_eq!(good[bitmap_at..bitmap_at + 2], [2, 0]);
        assert!(bcs::from_bytes::<MultiSig>(&good).is_ok());
        for bitmap in [[0, 0], [3, 0], [4, 0], [0, 0x80]] {
            let mut bad = good.clone();
            bad[bitmap_at..bitmap_at + 2].copy_from_slice(&bitmap);
            assert!(bcs::from_bytes::<MultiSig>(&bad).is_err(), "{bitmap:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_damaged_multisig_is_itself_or_none(at in 0usize..200, with: u8) {
            let multisig = signed(&key(&[1, 2], 2).unwrap(), &[0, 1], b"message").unwrap();
            let mut bytes = bcs::to_bytes(&multisig).unwrap();
            prop_assert_eq!(&bcs::from_bytes::<MultiSig>(&bytes).unwrap(), &multisig);
            let at = at % bytes.len();
            bytes[at] = with;
            if let Ok(decoded) = bcs::from_bytes::<MultiSig>(&bytes) {
                prop_assert_eq!(bcs::to_bytes(&decoded).unwrap(), bytes);
            }
        }
    }
}
