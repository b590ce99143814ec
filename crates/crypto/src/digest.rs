//! Blake2b-256 digests, and BLAKE3 for what is long and only hashed to be compared.
//!
//! A value of a named type is hashed as `H(Name:: ‖ BCS(value))`, so that no two types share a digest for the same
//! bytes.

use std::{fmt, io, str};

use fastcrypto::hash::{Blake2b256, HashFunction};
use serde::{Deserialize, Serialize};

use crate::bytes::{FixedBytes, InvalidBytes, base58, to_array};

/// 32 bytes of Blake2b-256, or of BLAKE3 where [`of_long`](Self::of_long) made it. BCS: the bytes. Text: base58.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "base58")] [u8; 32]);

impl Digest {
    /// The digest that stands where there is no predecessor. No known input hashes to it.
    pub const ZERO: Self = Self([0; 32]);

    /// A digest that was computed elsewhere.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Digest of the bytes as they are.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Blake2b256::digest(bytes).digest)
    }

    /// `H(name:: ‖ BCS(value))`. Streams, so the encoding is never held in memory.
    pub fn of_value<T: Serialize + ?Sized>(name: &str, value: &T) -> Self {
        let mut hasher = Hasher::named(name);
        hasher.value(value);
        hasher.finish()
    }

    /// `BLAKE3(name:: ‖ parts)`: for lists and payloads, of which each member hashes every byte. Several times as fast as
    /// [`of`](Self::of) on a kilobyte.
    pub fn of_long(name: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(name.as_bytes());
        hasher.update(b"::");
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FixedBytes for Digest {
    const LENGTH: usize = 32;

    fn from_slice(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        to_array(bytes).map(Self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base58::encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl str::FromStr for Digest {
    type Err = InvalidBytes;

    fn from_str(text: &str) -> Result<Self, InvalidBytes> {
        base58::decode(text).map(Self)
    }
}

/// What is gathered of an encoding before it is hashed.
const PIECE_BYTES: usize = 512;

/// A digest in the making: feed it with [`io::Write`], which never fails here.
#[derive(Default)]
pub struct Hasher(Blake2b256);

impl Hasher {
    /// Starts with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with `name::`.
    pub fn named(name: &str) -> Self {
        let mut hasher = Self::new();
        hasher.bytes(name.as_bytes());
        hasher.bytes(b"::");
        hasher
    }

    /// Appends the bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Appends `BCS(value)`.
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        let mut pieces = Pieces {
            hasher: self,
            gathered: [0; PIECE_BYTES],
            length: 0,
        };
        bcs::serialize_into(&mut pieces, value)
            .expect("a hasher takes every write, and our types have no floats and no unbounded nesting");
        pieces.hand_on();
    }

    /// The digest of everything appended.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().digest)
    }
}

/// Gathers what is written, for each write has a price for the hash function and the encoder writes field by field.
struct Pieces<'a> {
    hasher: &'a mut Hasher,
    gathered: [u8; PIECE_BYTES],
    length: usize,
}

impl Pieces<'_> {
    fn hand_on(&mut self) {
        self.hasher.bytes(&self.gathered[..self.length]);
        self.length = 0;
    }
}

impl io::Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > PIECE_BYTES - self.length {
            self.hand_on();
        }
        if bytes.len() > PIECE_BYTES {
            self.hasher.bytes(bytes);
        } else {
            self.gathered[self.length..self.length + bytes.len()].copy_from_slice(bytes);
            self.length += bytes.len();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bytes::hex;

    #[test]
    fn blake2b_256_known_answers_hold() {
        // BLAKE2b with a 32-byte output, no key, of "" and "abc".
        let empty = "0x0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8";
        let abc = "0xbddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319";
        assert_eq!(hex::encode(Digest::of(b"").as_bytes()), empty);
        assert_eq!(hex::encode(Digest::of(b"abc").as_bytes()), abc);
    }

    #[test]
    fn a_long_value_is_hashed_by_blake3_behind_its_name() {
        let parts: [&[u8]; 3] = [b"a", b"", b"bc"];
        assert_eq!(
            Digest::of_long("Name", &parts),
            Digest(blake3::hash(b"Name::abc").into())
        );
    }

    #[test]
    fn a_named_value_hashes_as_its_name_then_its_encoding() {
        let value = (7u16, vec![1u8, 2]);
        let expected = Digest::of(b"Object::\x07\x00\x02\x01\x02");
        assert_eq!(Digest::of_value("Object", &value), expected);
        assert_ne!(Digest::of_value("Effects", &value), expected);
    }

    #[test]
    fn a_value_of_any_length_hashes_as_its_encoding() {
        for length in [
            0,
            1,
            PIECE_BYTES - 1,
            PIECE_BYTES,
            PIECE_BYTES + 1,
            5 * PIECE_BYTES,
        ] {
            let value = (vec![7u8; length], vec![[8u8; 32]; length / 8], 9u8);
            let mut hasher = Hasher::new();
            hasher.value(&value);
            hasher.bytes(&[1]);
            let expected = [bcs::to_bytes(&value).unwrap(), vec![1]].concat();
            assert_eq!(hasher.finish(), Digest::of(&expected));
        }
    }

    #[test]
    fn a_digest_is_raw_in_bcs_and_base58_in_json() {
        let digest = Digest::of(b"abc");
        assert_eq!(bcs::to_bytes(&digest).unwrap(), digest.as_bytes());
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(text, "\"Dn9xPBUXJFekp781C1MnMWkiXGJ3aB3H5Cca37nUWBSp\"");
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
    }

    proptest! {
        #[test]
        fn hashing_in_pieces_equals_hashing_at_once(pieces: Vec<Vec<u8>>) {
            let mut hasher = Hasher::new();
            pieces.iter().for_each(|piece| hasher.bytes(piece));
            prop_assert_eq!(hasher.finish(), Digest::of(&pieces.concat()));
        }

        #[test]
        fn a_digest_survives_its_text(bytes: [u8; 32]) {
            prop_assert_eq!(Digest::new(bytes).to_string().parse(), Ok(Digest::new(bytes)));
        }
    }
}
