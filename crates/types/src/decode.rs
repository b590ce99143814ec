//! BCS at the door: total, bounded, canonical.

use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How deep named types may nest in an encoding.
pub const MAX_DEPTH: usize = 32;

/// Why bytes are not a value. The sender is at fault; asking for the same bytes again cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than the door admits. Nothing was looked at.
    #[error("{found} bytes where {limit} are admitted")]
    TooLong {
        /// What is admitted.
        limit: usize,
        /// What came.
        found: usize,
    },
    /// No value has these bytes: they end early, go on behind the end, nest too deep, or break a rule of the type.
    #[error("malformed: {0}")]
    Malformed(#[from] bcs::Error),
    /// The bytes mean a value that is encoded differently.
    #[error("not the one encoding of the value")]
    NotCanonical,
}

/// The value with these bytes, of which at most `limit` are admitted.
///
/// Contract: never panics; memory in proportion to the input plus at most 1 MiB per level of nested sequences
/// (the most that serde reserves on the word of a length prefix); `decode(encode(x)) == x`, and whatever decodes
/// encodes to the same bytes. The type must not hold sequences of elements that take no bytes, since a length prefix
/// alone would keep the decoder busy.
///
/// # Errors
/// [`DecodeError`].
pub fn decode<T: DeserializeOwned + Serialize>(bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong {
            limit,
            found: bytes.len(),
        });
    }
    let value: T = bcs::from_bytes_with_limit(bytes, MAX_DEPTH)?;
    let mut rest = Expected(bytes);
    match bcs::serialize_into(&mut rest, &value) {
        Ok(()) if rest.0.is_empty() => Ok(value),
        _ => Err(DecodeError::NotCanonical),
    }
}

/// The one encoding of the value.
///
/// # Panics
/// If the type has no encoding (floats, sequences without a length, nesting beyond [`MAX_DEPTH`]): a mistake in the
/// type, not in the value.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    bcs::to_bytes_with_limit(value, MAX_DEPTH).expect(
        "encoded types have no floats, no sequences of unknown length, and nest no deeper than is decoded",
    )
}

/// How many bytes [`encode`] makes of a value. None of them is written.
///
/// # Panics
/// As [`encode`].
pub fn encoded_bytes<T: Serialize + ?Sized>(value: &T) -> u64 {
    let bytes = bcs::serialized_size_with_limit(value, MAX_DEPTH).expect(
        "encoded types have no floats, no sequences of unknown length, and nest no deeper than is decoded",
    );
    bytes as u64
}

/// Takes exactly these bytes, in order.
struct Expected<'a>(&'a [u8]);

impl Write for Expected<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// At most `N` elements. Decoding stops at the first one too many. BCS: as a vector.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bounded<T, const N: usize>(Vec<T>);

impl<T, const N: usize> Bounded<T, N> {
    /// The elements, if they are not too many.
    pub fn new(elements: Vec<T>) -> Option<Self> {
        (elements.len() <= N).then_some(Self(elements))
    }

    /// The elements, no longer bounded.
    pub fn into_inner(self) -> Vec<T> {
        self.0
    }
}

impl<T, const N: usize> Deref for Bounded<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Bounded<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize, const N: usize> Serialize for Bounded<T, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Bounded<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor(PhantomData))
    }
}

struct BoundedVisitor<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for BoundedVisitor<T, N> {
    type Value = Bounded<T, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {N} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        if let Some(announced) = seq.size_hint().filter(|announced| *announced > N) {
            return Err(A::Error::invalid_length(announced, &self));
        }
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            if elements.len() == N {
                return Err(A::Error::invalid_length(N + 1, &self));
            }
            elements.push(element);
        }
        Ok(Bounded(elements))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    enum Nest {
        Leaf,
        Inner(Box<Nest>),
    }

    #[test]
    fn a_limit_admits_its_length_and_no_more() {
        assert_eq!(decode::<u32>(&[1, 0, 0, 0], 4), Ok(1));
        assert_eq!(
            decode::<u32>(&[1, 0, 0, 0], 3),
            Err(DecodeError::TooLong { limit: 3, found: 4 })
        );
    }

    proptest! {
        #[test]
        fn the_bytes_of_an_encoding_are_counted_without_it(value: (Vec<u64>, String, Option<[u8; 32]>)) {
            prop_assert_eq!(encoded_bytes(&value), encode(&value).len() as u64);
        }
    }

    #[test]
    fn missing_and_trailing_bytes_are_malformed() {
        assert_eq!(
            decode::<u32>(&[1, 0, 0], 9),
            Err(DecodeError::Malformed(bcs::Error::Eof))
        );
        assert_eq!(
            decode::<u32>(&[1, 0, 0, 0, 0], 9),
            Err(DecodeError::Malformed(bcs::Error::RemainingInput))
        );
    }

    #[test]
    fn a_value_has_one_encoding() {
        // A long form of the length 1; booleans beyond 1; maps out of order: the format's own rules.
        assert!(matches!(
            decode::<Vec<u8>>(&[0x81, 0, 7], 9),
            Err(DecodeError::Malformed(_))
        ));
        assert!(matches!(decode::<bool>(&[2], 9), Err(DecodeError::Malformed(_))));
        assert!(matches!(
            decode::<BTreeMap<u8, u8>>(&[2, 2, 0, 1, 0], 9),
            Err(DecodeError::Malformed(_))
        ));
        // Sets out of order or with repeats: only encoding again tells.
        assert_eq!(decode::<BTreeSet<u8>>(&[2, 1, 2], 9), Ok([1, 2].into()));
        assert_eq!(
            decode::<BTreeSet<u8>>(&[2, 2, 1], 9),
            Err(DecodeError::NotCanonical)
        );
        assert_eq!(
            decode::<BTreeSet<u8>>(&[2, 1, 1], 9),
            Err(DecodeError::NotCanonical)
        );
    }

    #[test]
    fn nesting_ends_before_the_stack_does() {
        let nested = |depth: usize| [vec![1; depth - 1], vec![0]].concat();
        assert!(decode::<Nest>(&nested(MAX_DEPTH), usize::MAX).is_ok());
        let error = DecodeError::Malformed(bcs::Error::ExceededContainerDepthLimit("Nest"));
        assert_eq!(
            decode::<Nest>(&nested(MAX_DEPTH + 1), usize::MAX),
            Err(error.clone())
        );
        assert_eq!(decode::<Nest>(&nested(10_000_000), usize::MAX), Err(error));
    }

    fn nest(depth: usize) -> Nest {
        (1..depth).fold(Nest::Leaf, |inner, _| Nest::Inner(Box::new(inner)))
    }

    #[test]
    fn what_nests_as_deep_as_is_decoded_survives() {
        let deepest = nest(MAX_DEPTH);
        assert_eq!(decode(&encode(&deepest), usize::MAX), Ok(deepest));
    }

    #[test]
    #[should_panic(expected = "nest no deeper than is decoded")]
    fn what_would_not_decode_is_not_encoded() {
        encode(&nest(MAX_DEPTH + 1));
    }

    #[test]
    fn a_bounded_list_refuses_one_element_too_many() {
        assert_eq!(
            decode::<Bounded<u8, 2>>(&[2, 7, 8], 9).unwrap().into_inner(),
            [7, 8]
        );
        assert!(decode::<Bounded<u8, 2>>(&[3, 7, 8, 9], 9).is_err());
        assert_eq!(Bounded::<u8, 2>::new(vec![1, 2, 3]), None);
        // Not even elements that take no bytes get beyond the bound.
        assert!(decode::<Bounded<(), 2>>(&[0xff, 0xff, 0xff, 0xff, 0x07], 9).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_themselves_or_not_at_all(bytes in proptest::collection::vec(0u8..6, 0..40)) {
            type Everything = (Option<u16>, Vec<BTreeSet<u8>>, BTreeMap<u8, String>, Bounded<Nest, 3>, Vec<(bool, Nest)>);
            if let Ok(value) = decode::<Everything>(&bytes, 64) {
                prop_assert_eq!(encode(&value), bytes);
            }
        }

        #[test]
        fn every_value_survives(sets: Vec<BTreeSet<u16>>, map: BTreeMap<String, Option<u64>>) {
            let value = (sets, map);
            prop_assert_eq!(decode(&encode(&value), usize::MAX), Ok(value));
        }
    }
}
