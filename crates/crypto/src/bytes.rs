//! Values of a fixed number of bytes: one binary form, one text form.
//!
//! In BCS such a value is its bytes and nothing else, without a length. In human-readable formats it is text:
//! [`base58`] for digests, [`hex`] (with `0x`) for addresses and object ids, [`base64`] for keys and signatures.

use std::fmt;

use fastcrypto::encoding::{Base58, Base64, Encoding, Hex};
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serializer};

/// Why bytes or text are not a value. The input is at fault; asking again cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBytes {
    /// The input has another length than the type.
    #[error("{found} bytes instead of {expected}")]
    Length {
        /// What the type needs.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// The length is right, but no value has these bytes.
    #[error("not a {0}")]
    Value(&'static str),
    /// The text is longer than any text of the type, or has characters outside its alphabet.
    #[error("not {0} text of the right length")]
    Text(&'static str),
}

/// A value with exactly [`LENGTH`](FixedBytes::LENGTH) bytes, which `as_ref` shows.
///
/// Contract: `from_slice` never panics, accepts at most one slice per value, and `as_ref` gives that slice back.
pub trait FixedBytes: AsRef<[u8]> + Sized {
    /// Bytes of the encoding.
    const LENGTH: usize;

    /// The value with these bytes.
    ///
    /// # Errors
    /// [`InvalidBytes::Length`] or [`InvalidBytes::Value`].
    fn from_slice(bytes: &[u8]) -> Result<Self, InvalidBytes>;
}

/// The array with the bytes of the slice.
///
/// # Errors
/// [`InvalidBytes::Length`].
pub fn to_array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], InvalidBytes> {
    bytes.try_into().map_err(|_| InvalidBytes::Length {
        expected: N,
        found: bytes.len(),
    })
}

macro_rules! text_form {
    ($(#[$doc:meta])* $module:ident, $codec:ty, $encode:expr) => {
        $(#[$doc])*
        pub mod $module {
            use super::*;

            /// The text of the bytes.
            pub fn encode(bytes: &[u8]) -> String {
                $encode(bytes)
            }

            /// The bytes of the text; work is bounded by `N`, not by the length of the text.
            ///
            /// # Errors
            /// [`InvalidBytes::Text`] or [`InvalidBytes::Length`].
            pub fn decode<const N: usize>(text: &str) -> Result<[u8; N], InvalidBytes> {
                if text.len() > 2 * N + 2 {
                    return Err(InvalidBytes::Text(stringify!($module)));
                }
                let bytes = <$codec>::decode(text).map_err(|_| InvalidBytes::Text(stringify!($module)))?;
                to_array(&bytes)
            }

            /// For `#[serde(with = …)]`: raw bytes, or this text in human-readable formats.
            ///
            /// # Errors
            /// The serializer's.
            pub fn serialize<S: Serializer>(bytes: impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
                let bytes = bytes.as_ref();
                if serializer.is_human_readable() {
                    return serializer.serialize_str(&encode(bytes));
                }
                raw(bytes, serializer)
            }

            /// For `#[serde(with = …)]`: the inverse of [`serialize`].
            ///
            /// # Errors
            /// The deserializer's, and [`InvalidBytes`] as its custom error.
            pub fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<[u8; N], D::Error> {
                if deserializer.is_human_readable() {
                    return decode(&String::deserialize(deserializer)?).map_err(D::Error::custom);
                }
                deserializer.deserialize_tuple(N, ArrayVisitor)
            }
        }
    };
}

text_form! {
    /// Base58 with the Bitcoin alphabet.
    base58, Base58, Base58::encode
}
text_form! {
    /// Base64 with the standard alphabet and padding.
    base64, Base64, Base64::encode
}
text_form! {
    /// Lower-case hexadecimal after `0x`; upper case and a missing `0x` are accepted when reading.
    hex, Hex, Hex::encode_with_format
}

/// The bytes and nothing else. BCS writes a number as its bytes from the lowest on, so sixteen of them are one number to it:
/// two calls for a digest instead of 32.
fn raw<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let (numbers, rest) = bytes.as_chunks::<16>();
    let mut tuple = serializer.serialize_tuple(numbers.len() + rest.len())?;
    for number in numbers {
        tuple.serialize_element(&u128::from_le_bytes(*number))?;
    }
    rest.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
    tuple.end()
}

struct ArrayVisitor<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for ArrayVisitor<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
        let mut bytes = [0; N];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = seq
                .next_element()?
                .ok_or_else(|| A::Error::invalid_length(index, &self))?;
        }
        Ok(bytes)
    }
}

/// Everything that follows from [`FixedBytes`] for keys and signatures: comparison by bytes, serde, and base64 as
/// text.
macro_rules! impl_by_bytes {
    ($type:ty) => {
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.as_ref() == other.as_ref()
            }
        }

        impl Eq for $type {}

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $type {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_ref().cmp(other.as_ref())
            }
        }

        impl std::hash::Hash for $type {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.as_ref().hash(state);
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::bytes::base64::encode(self.as_ref()))
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self)
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::bytes::InvalidBytes;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                const LENGTH: usize = <$type as $crate::bytes::FixedBytes>::LENGTH;
                $crate::bytes::FixedBytes::from_slice(&$crate::bytes::base64::decode::<LENGTH>(text)?)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::bytes::base64::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const LENGTH: usize = <$type as $crate::bytes::FixedBytes>::LENGTH;
                let bytes = $crate::bytes::base64::deserialize::<LENGTH, D>(deserializer)?;
                $crate::bytes::FixedBytes::from_slice(&bytes).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use impl_by_bytes;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_of_another_length_is_refused_before_it_is_decoded() {
        assert_eq!(
            base58::decode::<32>(&"1".repeat(67)),
            Err(InvalidBytes::Text("base58"))
        );
        assert_eq!(hex::decode::<2>("0x0102"), Ok([1, 2]));
        assert_eq!(
            hex::decode::<2>("0x01"),
            Err(InvalidBytes::Length {
                expected: 2,
                found: 1
            })
        );
        assert_eq!(base64::decode::<2>("AQI="), Ok([1, 2]));
        assert_eq!(base64::decode::<2>("AQI"), Err(InvalidBytes::Text("base64")));
    }

    #[derive(serde::Serialize)]
    struct Raw<const N: usize>(#[serde(with = "hex")] [u8; N]);

    #[test]
    fn bytes_of_any_number_are_themselves_in_bcs() {
        fn check<const N: usize>() {
            let bytes = std::array::from_fn(|place| place as u8 + 1);
            assert_eq!(bcs::to_bytes(&Raw::<N>(bytes)), Ok(bytes.to_vec()));
        }
        check::<1>();
        check::<15>();
        check::<16>();
        check::<33>();
        check::<96>();
    }

    proptest! {
        #[test]
        fn every_array_survives_each_text(bytes: [u8; 32]) {
            prop_assert_eq!(base58::decode(&base58::encode(&bytes)), Ok(bytes));
            prop_assert_eq!(base64::decode(&base64::encode(&bytes)), Ok(bytes));
            prop_assert_eq!(hex::decode(&hex::encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            let _ = (base58::decode::<32>(&text), base64::decode::<32>(&text), hex::decode::<32>(&text));
        }
    }
}
