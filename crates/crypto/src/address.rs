//! Who owns something: an address is the digest of what it takes to sign for it.

use std::{fmt, str};

use serde::{Deserialize, Serialize};

use crate::bytes::{FixedBytes, InvalidBytes, hex, to_array};
use crate::digest::{Digest, Hasher};
use crate::ed25519::Ed25519PublicKey;
use crate::multisig::MultiSigKey;

/// The first byte of a public key, a user signature or a secret key: which kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Flag {
    /// One ed25519 key.
    Ed25519 = 0x00,
    /// Several keys with weights and a threshold.
    MultiSig = 0x02,
}

/// 32 bytes that name an owner. BCS: the bytes. Text: hexadecimal with `0x`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address(#[serde(with = "hex")] [u8; 32]);

impl Address {
    /// Nobody: the sender of system transactions. Nobody can sign for it.
    pub const ZERO: Self = Self([0; 32]);

    /// The address with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<Digest> for Address {
    fn from(digest: Digest) -> Self {
        Self(*digest.as_bytes())
    }
}

impl From<&Ed25519PublicKey> for Address {
    /// `H(0x00 ‖ key)`.
    fn from(key: &Ed25519PublicKey) -> Self {
        let mut hasher = Hasher::new();
        hasher.bytes(&[Flag::Ed25519 as u8]);
        hasher.bytes(key.as_ref());
        hasher.finish().into()
    }
}

impl From<&MultiSigKey> for Address {
    /// `H(0x02 ‖ threshold as u16 LE ‖ flag, key and weight of each member)`.
    fn from(key: &MultiSigKey) -> Self {
        let mut hasher = Hasher::new();
        hasher.bytes(&[Flag::MultiSig as u8]);
        hasher.bytes(&key.threshold().to_le_bytes());
        for (PublicKey::Ed25519(member), weight) in key.members() {
            hasher.bytes(&[Flag::Ed25519 as u8]);
            hasher.bytes(member.as_ref());
            hasher.bytes(&[*weight]);
        }
        hasher.finish().into()
    }
}

impl AsRef<[u8]> for Address {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FixedBytes for Address {
    const LENGTH: usize = 32;

    fn from_slice(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        to_array(bytes).map(Self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl str::FromStr for Address {
    type Err = InvalidBytes;

    fn from_str(text: &str) -> Result<Self, InvalidBytes> {
        hex::decode(text).map(Self)
    }
}

/// A key that can sign for a user, tagged with its kind. BCS: an enum, so other kinds can join.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PublicKey {
    /// The only kind there is.
    Ed25519(Ed25519PublicKey),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ed25519::Ed25519SecretKey;

    #[test]
    fn the_address_of_a_key_is_pinned() {
        let key = Ed25519SecretKey::from_seed(&[1; 32]).public();
        let address = Address::from(&key);
        assert_eq!(address, Digest::of(&[&[0][..], key.as_ref()].concat()).into());
        assert_eq!(
            address.to_string(),
            "0x29dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f"
        );
    }

    proptest! {
        #[test]
        fn an_address_survives_text_json_and_bcs(bytes: [u8; 32]) {
            let address = Address::new(bytes);
            prop_assert_eq!(address.to_string().parse(), Ok(address));
            let json = serde_json::to_string(&address).unwrap();
            prop_assert_eq!(serde_json::from_str::<Address>(&json).unwrap(), address);
            prop_assert_eq!(bcs::to_bytes(&address).unwrap(), bytes);
            prop_assert_eq!(bcs::from_bytes::<Address>(&bytes).unwrap(), address);
        }
    }
}
