//! How far apart two vectors point.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Direction, MAX_DIM, Vector, rdiv};

/// One less the cosine of an angle, in units of 10^-9: 0 for one direction, 10^9 for a right angle, 2·10^9 for
/// opposite directions. BCS: u32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Distance(u32);

/// Units of a distance of one.
const ONE: u32 = 1_000_000_000;

impl Distance {
    /// That of one direction to itself.
    pub const ZERO: Self = Self(0);
    /// That of opposite directions.
    pub const MAX: Self = Self(2 * ONE);

    /// This many units of 10^-9; `None` beyond [`MAX`](Self::MAX).
    pub const fn new(units: u32) -> Option<Self> {
        if units <= Self::MAX.0 {
            Some(Self(units))
        } else {
            None
        }
    }

    /// How many units of 10^-9.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Distance {
    type Error = &'static str;

    fn try_from(units: u32) -> Result<Self, &'static str> {
        Self::new(units).ok_or("distance beyond that of opposite directions")
    }
}

impl From<Distance> for u32 {
    fn from(distance: Distance) -> Self {
        distance.0
    }
}

impl fmt::Display for Distance {
    /// With all nine decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / ONE, self.0 % ONE)
    }
}

/// Two vectors are not of one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{from} dimensions against {to}")]
pub struct DimensionMismatch {
    /// Those of the first vector.
    pub from: usize,
    /// Those of the second one.
    pub to: usize,
}

/// How far `from` points away from `to`: `10^9 - rdiv(10^9·dot, ⌊√(‖from‖²·‖to‖²)⌋)`.
///
/// Equal on every machine, and the same from either end. Flooring the root makes short vectors look better aligned
/// than they are; once the root exceeds 10^9, which is both vectors being some 0.5 long, scaling either moves the
/// distance by one unit at most. Source: `EXACT.md` 4.8. The clamp there never acts: by Cauchy and Schwarz the dot
/// product is no larger than the root, and as an integer no larger than its floor.
///
/// # Errors
/// [`DimensionMismatch`].
pub fn distance<const MAX: u32>(from: &Vector<MAX>, to: &Direction) -> Result<Distance, DimensionMismatch> {
    // Embeddings are the longest vectors. With them ‖from‖² ≤ 2^12·2^60, ‖to‖² ≤ 2^12·2^38 and |dot| ≤ 2^12·2^49, so
    // that the dot product fits an i64 and the product of the squares a u128.
    const { assert!(MAX < 1 << 30 && MAX_DIM <= 1 << 12, "no sum overflows") };
    if from.dim() != to.dim() {
        return Err(DimensionMismatch {
            from: from.dim(),
            to: to.dim(),
        });
    }
    let pairs = from.coordinates().iter().zip(to.coordinates());
    let dot: i64 = pairs.map(|(a, b)| i64::from(*a) * i64::from(*b)).sum();
    // Neither vector is zero, so the root is at least 1.
    let root = (squared_length(from) * squared_length(to)).isqrt();
    let root = i128::try_from(root).expect("the root of a u128 has half its bits");
    let one = i128::from(ONE);
    let units = one - rdiv(one * i128::from(dot), root);
    Ok(Distance(
        u32::try_from(units).expect("the dot product is between the root and its opposite"),
    ))
}

/// `‖vector‖²` in Q32.
fn squared_length<const MAX: u32>(vector: &Vector<MAX>) -> u128 {
    let square = |value: &i32| u128::from(u64::from(value.unsigned_abs()).pow(2));
    vector.coordinates().iter().map(square).sum()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::score::Embedding;
    use crate::{decode, encode};

    /// `name | distance | embedding | direction`, written by `generate.py` beside it.
    const DISTANCES: &str = include_str!("../../../../fixtures/score/distances.txt");

    /// `3 -1*2` is 3, -1, -1.
    fn coordinates(text: &str) -> Vec<i32> {
        let run = |word: &str| {
            let (value, count) = word.split_once('*').unwrap_or((word, "1"));
            vec![value.parse().unwrap(); count.parse().unwrap()]
        };
        text.split_whitespace().flat_map(run).collect()
    }

    fn embedding(coordinates: &[i32]) -> Embedding {
        Embedding::new(coordinates.to_vec()).unwrap()
    }

    fn direction(coordinates: &[i32]) -> Direction {
        Direction::new(coordinates.to_vec()).unwrap()
    }

    /// From an embedding to a direction, in units.
    fn between(from: &[i32], to: &[i32]) -> u32 {
        distance(&embedding(from), &direction(to)).unwrap().get()
    }

    #[test]
    fn distances_are_those_of_another_implementation() {
        let rows: Vec<_> = DISTANCES.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(rows.len() > 40, "{} rows", rows.len());
        for row in rows {
            let [name, units, from, to] = row.split(" | ").collect::<Vec<_>>()[..] else {
                panic!("not four fields: {row}")
            };
            let (units, from, to) = (units.parse::<u32>().unwrap(), coordinates(from), coordinates(to));
            assert_eq!(between(&from, &to), units, "{name}");
            // Where the embedding could as well be a direction, the ends can be exchanged.
            if let Ok(from) = Direction::new(from) {
                let to = direction(&to);
                assert_eq!(distance(&from, &to).unwrap().get(), units, "{name}");
                assert_eq!(distance(&to, &from).unwrap().get(), units, "{name}, from its end");
            }
        }
    }

    #[test]
    fn vectors_of_two_spaces_have_no_distance() {
        let error = DimensionMismatch { from: 2, to: 3 };
        assert_eq!(distance(&embedding(&[1, 1]), &direction(&[1, 1, 1])), Err(error));
    }

    #[test]
    fn a_distance_is_at_most_two() {
        assert_eq!(Distance::new(2_000_000_000), Some(Distance::MAX));
        assert_eq!(Distance::new(2_000_000_001), None);
        assert_eq!(decode(&encode(&Distance::MAX), 4), Ok(Distance::MAX));
        let error = decode::<Distance>(&encode(&2_000_000_001u32), 4).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("distance beyond that of opposite directions")
        );
    }

    #[test]
    fn a_distance_prints_all_its_decimals() {
        assert_eq!(Distance(978_000_000).to_string(), "0.978000000");
        assert_eq!(Distance(1_000_000_001).to_string(), "1.000000001");
        assert_eq!(Distance::MAX.to_string(), "2.000000000");
    }

    fn nonzero(coordinates: &[i32]) -> bool {
        coordinates.iter().any(|value| *value != 0)
    }

    /// Two vectors of one dimension, each within its bound, often at it or near zero.
    fn pairs(far: i32, near: i32) -> impl Strategy<Value = (Vec<i32>, Vec<i32>)> {
        let within = |max: i32| prop_oneof![-max..=max, -3..=3, Just(max), Just(-max)];
        vec((within(far), within(near)), 1..40)
            .prop_map(|pairs| pairs.into_iter().unzip())
            .prop_filter("two directions", |(from, to): &(Vec<_>, Vec<_>)| {
                nonzero(from) && nonzero(to)
            })
    }

    const FAR: i32 = (1 << 30) - 1;
    const NEAR: i32 = 1 << 19;

    proptest! {
        #[test]
        fn a_distance_is_the_same_from_either_end((one, other) in pairs(NEAR, NEAR)) {
            let (one, other) = (direction(&one), direction(&other));
            prop_assert_eq!(distance(&one, &other), distance(&other, &one));
        }

        #[test]
        fn parallel_vectors_are_at_zero_and_opposite_ones_at_two(
            to in vec(-NEAR..=NEAR, 1..40),
            factor in 1..FAR / NEAR,
        ) {
            prop_assume!(nonzero(&to));
            let scaled = |factor: i32| to.iter().map(|value| value * factor).collect::<Vec<_>>();
            prop_assert_eq!(between(&scaled(factor), &to), 0);
            prop_assert_eq!(between(&scaled(-factor), &to), 2 * ONE);
        }

        #[test]
        fn vectors_at_right_angles_are_at_one(pairs in vec((-NEAR..=NEAR, -NEAR..=NEAR), 1..20)) {
            let from: Vec<_> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
            let to: Vec<_> = pairs.iter().flat_map(|(a, b)| [-*b, *a]).collect();
            prop_assume!(nonzero(&from));
            prop_assert_eq!(between(&from, &to), ONE);
        }

        #[test]
        fn scaling_by_a_power_of_two_moves_long_vectors_by_a_unit_at_most(
            (from, to) in pairs(NEAR, NEAR),
            shift in 0..=10,
        ) {
            let root = (squared_length(&embedding(&from)) * squared_length(&direction(&to))).isqrt();
            prop_assume!(root > u128::from(ONE));
            let scaled: Vec<_> = from.iter().map(|value| value << shift).collect();
            prop_assert!(between(&scaled, &to).abs_diff(between(&from, &to)) <= 1);
        }

        #[test]
        fn turning_a_vector_around_mirrors_its_distance_but_for_a_half((from, to) in pairs(FAR, NEAR)) {
            let turned: Vec<_> = to.iter().map(|value| -value).collect();
            let sum = between(&from, &to) + between(&from, &turned);
            prop_assert!([2 * ONE - 1, 2 * ONE].contains(&sum), "{}", sum);
        }

        #[test]
        fn a_distance_does_not_depend_on_the_order_of_dimensions((mut from, mut to) in pairs(FAR, NEAR)) {
            let expected = between(&from, &to);
            from.reverse();
            to.reverse();
            prop_assert_eq!(between(&from, &to), expected);
        }

        #[test]
        fn any_two_vectors_have_a_distance_or_two_dimensions(
            from in vec(-FAR..=FAR, 1..6).prop_filter("a direction", |from| nonzero(from)),
            to in vec(-NEAR..=NEAR, 1..6).prop_filter("a direction", |to| nonzero(to)),
        ) {
            match distance(&embedding(&from), &direction(&to)) {
                Ok(distance) => prop_assert!(distance <= Distance::MAX),
                Err(error) => prop_assert_eq!((error.from, error.to), (from.len(), to.len())),
            }
            prop_assert_eq!(distance(&embedding(&from), &direction(&to)).is_ok(), from.len() == to.len());
        }
    }
}
