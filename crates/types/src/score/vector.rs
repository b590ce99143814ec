//! Points of the embedding space, and directions in it.

use serde::{Deserialize, Serialize, Serializer};

use crate::Bounded;

/// The most dimensions a vector has.
pub const MAX_DIM: usize = 4_096;

/// What a model makes of data: the mean of its last layer over all positions. |x| < 2^30.
pub type Embedding = Vector<{ (1 << 30) - 1 }>;

/// Where a target lies, or what a model declares to be good at. |x| ≤ 2^19. Only its direction matters.
pub type Direction = Vector<{ 1 << 19 }>;

/// From 1 to [`MAX_DIM`] coordinates in Q16, none further from zero than `MAX`, and not all of them zero, so that
/// there is an angle between any two.
///
/// BCS: a vector of i32. Bytes that announce more coordinates are refused before any is read. Source: `PROTOCOL.md` 7.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "Bounded<i32, MAX_DIM>")]
pub struct Vector<const MAX: u32>(Vec<i32>);

/// Why coordinates are not a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// More coordinates than any vector has.
    #[error("{found} coordinates, more than {MAX_DIM}")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// A coordinate is too far from zero.
    #[error("coordinate {position} is {value}, further from zero than {max}")]
    OutOfRange {
        /// Where the first such coordinate stands, from 0.
        position: usize,
        /// What it is.
        value: i32,
        /// What this kind of vector admits.
        max: u32,
    },
    /// There is no coordinate but zeros, or none at all: no direction.
    #[error("all {found} coordinates are zero")]
    Zero {
        /// How many there are.
        found: usize,
    },
}

impl<const MAX: u32> Vector<MAX> {
    /// The vector with these coordinates in Q16.
    ///
    /// # Errors
    /// [`VectorError`], for the first coordinate that is out of range.
    pub fn new(coordinates: Vec<i32>) -> Result<Self, VectorError> {
        let found = coordinates.len();
        if found > MAX_DIM {
            return Err(VectorError::TooMany { found });
        }
        let outside = |value: &i32| value.unsigned_abs() > MAX;
        if let Some(position) = coordinates.iter().position(outside) {
            return Err(VectorError::OutOfRange {
                position,
                value: coordinates[position],
                max: MAX,
            });
        }
        if coordinates.iter().all(|value| *value == 0) {
            return Err(VectorError::Zero { found });
        }
        Ok(Self(coordinates))
    }

    /// How many coordinates it has.
    pub const fn dim(&self) -> usize {
        self.0.len()
    }

    /// Its coordinates in Q16.
    pub const fn coordinates(&self) -> &[i32] {
        self.0.as_slice()
    }
}

impl<const MAX: u32> TryFrom<Bounded<i32, MAX_DIM>> for Vector<MAX> {
    type Error = VectorError;

    fn try_from(coordinates: Bounded<i32, MAX_DIM>) -> Result<Self, VectorError> {
        Self::new(coordinates.into_inner())
    }
}

impl<const MAX: u32> Serialize for Vector<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::{decode, encode};

    /// More than any vector takes.
    const LIMIT: usize = 5 * MAX_DIM;

    #[test]
    fn a_vector_reaches_its_bounds_and_no_further() {
        let (far, near) = ((1 << 30) - 1, 1 << 19);
        assert!(Embedding::new(vec![far, -far]).is_ok());
        assert!(Direction::new(vec![near, -near]).is_ok());
        for value in [far + 1, -far - 1, i32::MAX, i32::MIN] {
            let (position, max) = (2, 1_073_741_823);
            let error = VectorError::OutOfRange { position, value, max };
            assert_eq!(Embedding::new(vec![0, 1, value, value]), Err(error));
        }
        for value in [near + 1, -near - 1] {
            let (position, max) = (0, 524_288);
            let error = VectorError::OutOfRange { position, value, max };
            assert_eq!(Direction::new(vec![value, 0]), Err(error));
        }
    }

    #[test]
    fn a_vector_has_from_one_to_4096_coordinates() {
        assert_eq!(Direction::new(vec![-1]).map(|vector| vector.dim()), Ok(1));
        assert_eq!(
            Direction::new(vec![1; 4_096]).map(|vector| vector.dim()),
            Ok(4_096)
        );
        assert_eq!(
            Direction::new(vec![1; 4_097]),
            Err(VectorError::TooMany { found: 4_097 })
        );
        assert_eq!(Direction::new(vec![]), Err(VectorError::Zero { found: 0 }));
    }

    #[test]
    fn zeros_alone_have_no_direction() {
        assert_eq!(Embedding::new(vec![0; 3]), Err(VectorError::Zero { found: 3 }));
        assert!(Embedding::new(vec![0, 0, 1]).is_ok());
    }

    #[test]
    fn a_coordinate_is_four_bytes_little_endian() {
        let vector = Direction::new(vec![0x0001_0203, -2]).unwrap();
        assert_eq!(encode(&vector), [2, 3, 2, 1, 0, 0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(serde_json::to_string(&vector).unwrap(), "[66051,-2]");
    }

    fn refusal(bytes: &[u8]) -> String {
        decode::<Direction>(bytes, LIMIT).unwrap_err().to_string()
    }

    #[test]
    fn bytes_that_are_no_vector_say_why() {
        assert!(refusal(&encode(&vec![0i32; 2])).ends_with("all 2 coordinates are zero"));
        assert!(refusal(&[0]).ends_with("all 0 coordinates are zero"));
        let far = encode(&vec![1, 524_289]);
        assert!(refusal(&far).ends_with("coordinate 1 is 524289, further from zero than 524288"));
        assert!(decode::<Embedding>(&far, LIMIT).is_ok());
    }

    #[test]
    fn the_number_of_coordinates_is_judged_before_they_are_read() {
        // 4,097 and 4,096 announced, and nothing behind: only the one that could be goes on to miss its coordinates.
        assert!(refusal(&[0x81, 0x20]).contains("expected at most 4096 elements"));
        assert!(refusal(&[0x80, 0x20]).contains("unexpected end of input"));
    }

    proptest! {
        #[test]
        fn a_vector_survives_its_encoding(coordinates in vec(-(1 << 19)..=1 << 19, 1..50)) {
            prop_assume!(coordinates.iter().any(|value| *value != 0));
            let embedding = Embedding::new(coordinates.clone()).unwrap();
            let direction = Direction::new(coordinates).unwrap();
            prop_assert_eq!(encode(&embedding), encode(&direction));
            prop_assert_eq!(decode(&encode(&embedding), LIMIT), Ok(embedding));
            prop_assert_eq!(decode(&encode(&direction), LIMIT), Ok(direction));
        }

        #[test]
        fn any_bytes_are_a_vector_or_an_error(mut bytes in vec(any::<u8>(), 0..60), announced: Option<bool>) {
            // Most random lengths do not fit: often, let the first byte be the right one.
            if let (Some(_), Some(first)) = (announced, bytes.len().checked_sub(1)) {
                bytes[0] = u8::try_from(first / 4).unwrap();
                bytes.truncate(1 + first / 4 * 4);
            }
            if let Ok(vector) = decode::<Embedding>(&bytes, LIMIT) {
                prop_assert_eq!(encode(&vector), bytes.clone());
            }
            if let Ok(vector) = decode::<Direction>(&bytes, LIMIT) {
                prop_assert_eq!(encode(&vector), bytes);
            }
        }

        #[test]
        fn any_coordinates_are_a_vector_or_an_error(coordinates: Vec<i32>) {
            let fits = |max| {
                coordinates.iter().all(|value| value.unsigned_abs() <= max) && coordinates.iter().any(|value| *value != 0)
            };
            prop_assert_eq!(Embedding::new(coordinates.clone()).is_ok(), fits((1 << 30) - 1));
            prop_assert_eq!(Direction::new(coordinates.clone()).is_ok(), fits(1 << 19));
        }
    }
}
