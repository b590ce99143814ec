//! Names of things: object ids, and digests told apart by what they are the digest of.

use std::{fmt, str};

use crypto::bytes::{InvalidBytes, hex};
use crypto::{Address, Digest};
use serde::{Deserialize, Serialize};

/// 32 bytes that name an object for good. BCS: the bytes. Text: hexadecimal with `0x`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId(#[serde(with = "hex")] [u8; 32]);

impl ObjectId {
    /// The id with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A system object's id: `0x5` is `from_low(5)`.
    pub const fn from_low(low: u8) -> Self {
        let mut bytes = [0; 32];
        bytes[31] = low;
        Self(bytes)
    }

    /// The id of the `number`-th object, from 0, that a transaction creates: `H(transaction ‖ u64 of the number)`.
    pub fn created(transaction: TransactionDigest, number: u64) -> Self {
        let transaction = transaction.get();
        let bytes = [transaction.as_bytes().as_slice(), &number.to_le_bytes()].concat();
        Self::from(Digest::of(&bytes))
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<Address> for ObjectId {
    fn from(address: Address) -> Self {
        Self(*address.as_bytes())
    }
}

impl From<Digest> for ObjectId {
    fn from(digest: Digest) -> Self {
        Self(*digest.as_bytes())
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

impl str::FromStr for ObjectId {
    type Err = InvalidBytes;

    fn from_str(text: &str) -> Result<Self, InvalidBytes> {
        hex::decode(text).map(Self)
    }
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Digest);

        impl $name {
            /// Names a digest for what it is.
            pub const fn new(digest: Digest) -> Self {
                Self(digest)
            }

            /// The digest, no longer told apart.
            pub const fn get(self) -> Digest {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl str::FromStr for $name {
            type Err = InvalidBytes;

            fn from_str(text: &str) -> Result<Self, InvalidBytes> {
                text.parse().map(Self)
            }
        }
    };
}

digest! {
    /// `H(Transaction:: ‖ BCS)`: names a transaction, whoever signs it.
    TransactionDigest
}
digest! {
    /// `H(Effects:: ‖ BCS)`: what a transaction did.
    EffectsDigest
}
digest! {
    /// `H(Object:: ‖ BCS)`: one version of an object.
    ObjectDigest
}
digest! {
    /// `H(CheckpointSummary:: ‖ BCS)`: a checkpoint and, by its predecessors, all history.
    CheckpointDigest
}
digest! {
    /// A block of consensus, over its signed bytes.
    BlockDigest
}
digest! {
    /// A commit of consensus and, by its predecessors, all before it in the epoch.
    CommitDigest
}
digest! {
    /// A chain: the digest of its genesis.
    ChainId
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{decode, encode};

    #[test]
    fn ids_are_hexadecimal_and_digests_base58() {
        let five = "0x0000000000000000000000000000000000000000000000000000000000000005";
        assert_eq!(ObjectId::from_low(5).to_string(), five);
        assert_eq!(five.parse(), Ok(ObjectId::from_low(5)));
        assert_eq!(
            serde_json::to_string(&ObjectId::from_low(5)).unwrap(),
            format!("\"{five}\"")
        );
        let testnet = "964EDrEzfvQT7HjVsjfXYcM1ubi3qhqB41zV7LLbCxxd";
        let chain: ChainId = testnet.parse().unwrap();
        assert_eq!(chain.to_string(), testnet);
        assert_eq!(format!("{chain:?}"), format!("ChainId({testnet})"));
    }

    proptest! {
        #[test]
        fn ids_and_digests_are_their_bytes(bytes: [u8; 32]) {
            let (id, digest) = (ObjectId::new(bytes), TransactionDigest::new(Digest::new(bytes)));
            prop_assert_eq!(encode(&id), bytes);
            prop_assert_eq!(encode(&digest), bytes);
            prop_assert_eq!(decode(&bytes, 32), Ok(id));
            prop_assert_eq!(decode(&bytes, 32), Ok(digest));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_string(&(id, digest)).unwrap();
            prop_assert_eq!(serde_json::from_str::<(ObjectId, TransactionDigest)>(&json).unwrap(), (id, digest));
        }
    }
}
