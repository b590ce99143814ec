//! Which positions of a committee: one bit each.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bytes::InvalidBytes;

/// A set of positions `0..1024`, ordered. BCS: a byte vector, position `8i + j` in bit `j` of byte `i`, without
/// trailing zero bytes, so that a set has one encoding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bitmap(Vec<u8>);

impl Bitmap {
    /// Positions a bitmap can hold; more than any committee has members.
    pub const CAPACITY: u16 = 1024;

    /// The empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The set with these bytes.
    ///
    /// # Errors
    /// [`InvalidBytes::Length`] beyond 128 bytes, [`InvalidBytes::Value`] with a trailing zero byte.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        let limit = usize::from(Self::CAPACITY) / 8;
        if bytes.len() > limit {
            return Err(InvalidBytes::Length {
                expected: limit,
                found: bytes.len(),
            });
        }
        if bytes.last() == Some(&0) {
            return Err(InvalidBytes::Value("bitmap without trailing zero bytes"));
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a position; `false` when it was there already.
    ///
    /// # Panics
    /// Beyond [`CAPACITY`](Self::CAPACITY): the caller checks positions against a committee first.
    pub fn insert(&mut self, position: u16) -> bool {
        assert!(
            position < Self::CAPACITY,
            "a position is checked against the committee before it is inserted"
        );
        let (byte, bit) = (usize::from(position / 8), 1 << (position % 8));
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        let fresh = self.0[byte] & bit == 0;
        self.0[byte] |= bit;
        fresh
    }

    /// Whether the position is in the set.
    pub fn contains(&self, position: u16) -> bool {
        self.0
            .get(usize::from(position / 8))
            .is_some_and(|byte| byte & (1 << (position % 8)) != 0)
    }

    /// The positions, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0u16..).zip(&self.0).flat_map(|(index, byte)| {
            (0..8)
                .filter(move |bit| byte & (1 << bit) != 0)
                .map(move |bit| index * 8 + bit)
        })
    }

    /// How many positions.
    pub fn len(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u16> for Bitmap {
    fn from_iter<I: IntoIterator<Item = u16>>(positions: I) -> Self {
        let mut bitmap = Self::new();
        for position in positions {
            bitmap.insert(position);
        }
        bitmap
    }
}

impl fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Bitmap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bitmap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_slice(&Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_set_has_one_encoding() {
        let bitmap: Bitmap = [9, 0].into_iter().collect();
        assert_eq!(bitmap.as_bytes(), [0b1, 0b10]);
        assert_eq!(bcs::to_bytes(&bitmap).unwrap(), [2, 0b1, 0b10]);
        assert_eq!(
            Bitmap::from_slice(&[1, 0]),
            Err(InvalidBytes::Value("bitmap without trailing zero bytes"))
        );
        assert_eq!(
            Bitmap::from_slice(&[1; 129]),
            Err(InvalidBytes::Length {
                expected: 128,
                found: 129
            })
        );
        assert!(bcs::from_bytes::<Bitmap>(&[1, 0]).is_err());
    }

    proptest! {
        #[test]
        fn a_bitmap_is_a_set(positions in proptest::collection::vec(0..Bitmap::CAPACITY, 0..50)) {
            let bitmap: Bitmap = positions.iter().copied().collect();
            let set: BTreeSet<u16> = positions.into_iter().collect();
            prop_assert_eq!(bitmap.len(), set.len());
            prop_assert_eq!(bitmap.is_empty(), set.is_empty());
            prop_assert!((0..Bitmap::CAPACITY).all(|position| bitmap.contains(position) == set.contains(&position)));
            prop_assert_eq!(bitmap.iter().collect::<Vec<_>>(), set.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(bcs::from_bytes::<Bitmap>(&bcs::to_bytes(&bitmap).unwrap()).unwrap(), bitmap);
        }

        #[test]
        fn any_bytes_are_a_bitmap_with_these_bytes_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..140)) {
            if let Ok(bitmap) = bcs::from_bytes::<Bitmap>(&bytes) {
                prop_assert_eq!(bcs::to_bytes(&bitmap).unwrap(), bytes);
            }
        }
    }
}
