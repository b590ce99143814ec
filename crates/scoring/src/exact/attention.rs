//! What a position takes from the positions up to it.
//!
//! Source: `EXACT.md` 6 and 7. Every scale, maximum and shift here belongs to one position and one head, or is a maximum over the
//! positions up to one: whatever positions shared beyond that would let bytes change what comes before them.

use super::Invalid;
use super::round::{Quantised, bits, check, dot, quantise, scale, shift_right};
use super::tables::{Rotations, TABLES};

/// Turns each pair of a head by its angle. The first of a pair is in the first half of the head, the second in the other.
///
/// # Errors
/// [`Invalid::OutOfRange`].
pub fn rotate(head: &[i32], angles: &[(i32, i32)]) -> Result<Vec<i32>, Invalid> {
    let (firsts, seconds) = head.split_at(head.len() / 2);
    debug_assert!(firsts.len() == angles.len(), "an angle for each pair");
    let turned = |sign: i64, one: &[i32], other: &[i32]| {
        let entry = |((one, other), (cos, sin)): ((&i32, &i32), &(i32, i32))| {
            let sum = i64::from(*one) * i64::from(*cos) + sign * i64::from(*other) * i64::from(*sin);
            check(shift_right(sum, 30))
        };
        one.iter().zip(other).zip(angles).map(entry).collect::<Vec<_>>()
    };
    let first = turned(-1, firsts, seconds);
    first.into_iter().chain(turned(1, seconds, firsts)).collect()
}

/// What attention needs of a position, for one head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Turned and quantised.
    pub query: Quantised,
    /// Turned and quantised.
    pub key: Quantised,
    /// Quantised.
    pub value: Quantised,
}

impl Head {
    /// From its parts of the rows of queries, keys and values at `position`.
    ///
    /// # Errors
    /// [`Invalid::OutOfRange`].
    pub fn new(
        position: usize,
        query: &[i32],
        key: &[i32],
        value: &[i32],
        rotations: &Rotations,
    ) -> Result<Self, Invalid> {
        Ok(Self {
            query: quantise(&rotate(query, rotations.query(position))?),
            key: quantise(&rotate(key, rotations.key(position))?),
            value: quantise(value),
        })
    }
}

/// What the last of these positions takes from all of them: Q16.
///
/// # Errors
/// [`Invalid::OutOfRange`].
pub fn attend(heads: &[Head]) -> Result<Vec<i32>, Invalid> {
    let (last, _) = heads.split_last().expect("a position sees itself");
    let logit = |head: &Head| {
        let product = dot(&last.query.values, head.key.values.iter().copied());
        debug_assert!(product.unsigned_abs() < 1 << 38, "256 products of 2^30");
        scale(product, 16 - last.query.shift - head.key.shift)
    };
    let logits = heads.iter().map(logit).collect::<Result<Vec<_>, _>>()?;
    let shifts: Vec<_> = heads.iter().map(|head| head.value.shift).collect();
    let weights = Weighing::new(&logits, &shifts);
    let entry = |entry: usize| {
        let terms = weights.scaled.iter().zip(heads);
        let sum = terms
            .map(|(weight, head)| weight * i64::from(head.value.values[entry]))
            .sum();
        weights.finish(sum)
    };
    (0..last.value.values.len()).map(entry).collect()
}

/// How much a position takes from each up to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighing {
    /// Weights times the powers of two by which the values were divided, over the largest of these: up to 127·2^16.
    pub scaled: Vec<i64>,
    /// The sum of the weights as they were before: from 2^22 to 2^33.
    total: i64,
    /// The exponent of that largest power.
    shift: u32,
}

impl Weighing {
    /// From the logits of the positions up to one, base 2 and Q16, and the shifts of their values.
    pub fn new(logits: &[i32], shifts: &[i32]) -> Self {
        let max = *logits.iter().max().expect("a position sees itself");
        let shift = shifts
            .iter()
            .max()
            .expect("a position sees itself")
            .unsigned_abs();
        let mut scaled = Vec::with_capacity(logits.len());
        let mut total = 0;
        for (logit, own) in logits.iter().zip(shifts) {
            let below = (i64::from(max) - i64::from(*logit)).unsigned_abs();
            let (power, halvings) = power(below);
            total += shift_right(power, halvings);
            scaled.push(shift_right(power, halvings + shift - own.unsigned_abs()));
        }
        debug_assert!(
            (1 << 22..1 << 33).contains(&total),
            "the largest weight is 127·2^16"
        );
        Self { scaled, total, shift }
    }

    /// The mean whose sum of scaled weights times values this is: Q16.
    ///
    /// # Errors
    /// [`Invalid::OutOfRange`].
    pub fn finish(&self, sum: i64) -> Result<i32, Invalid> {
        debug_assert!(sum.unsigned_abs() < 1 << 48, "2^33 times 2^15");
        let length = bits(self.total.unsigned_abs());
        let short = shift_right(sum, length - 15);
        debug_assert!(short.unsigned_abs() <= 1 << 30, "the mean of numbers of 15 bits");
        let inverse = (1i64 << (length + 29)) / self.total;
        check(shift_right(short * inverse, 44 - self.shift))
    }
}

/// The power `2^-below`, of a number in Q16, as one of 32 bits and by how many bits it is to be rounded to Q23.
fn power(below: u64) -> (i64, u32) {
    let (whole, high, low) = (below >> 16, (below >> 8) & 255, below & 255);
    let whole = u32::try_from(whole).expect("logits differ by less than 2^31");
    let product =
        u64::from(TABLES.attention_high[high as usize]) * u64::from(TABLES.attention_low[low as usize]);
    (product.cast_signed(), 9 + whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::round::{LIMIT, RANGE};
    use crate::shape::Shape;

    #[test]
    fn powers_of_the_document() {
        for (below, expected) in [
            (0, 8_323_072),
            (1, 8_322_945),
            (256, 8_300_544),
            (65_535, 4_161_530),
            (65_536, 4_161_536),
            (100_000, 2_890_328),
            (1_500_000, 1),
            ((1 << 31) - 2, 0),
        ] {
            let (power, halvings) = power(below);
            assert_eq!(shift_right(power, halvings), expected, "{below}");
        }
    }

    #[test]
    fn the_first_position_is_not_turned() {
        let rotations = Rotations::new(&Shape::SMALL);
        let head = [1_000, -2_000, 3_000, RANGE];
        assert_eq!(rotate(&head, rotations.key(0)), Ok(head.to_vec()));
    }

    #[test]
    fn a_turn_that_leaves_the_range_is_invalid() {
        let rotations = Rotations::new(&Shape::SMALL);
        let head = [RANGE, 0, -RANGE, 0];
        assert_eq!(rotate(&head, rotations.key(1)), Err(Invalid::OutOfRange));
    }

    fn head(query: i32, key: i32, value: i32) -> Head {
        let [query, key, value] = [query, key, value].map(|value| quantise(&[value; 4]));
        Head { query, key, value }
    }

    #[test]
    fn a_position_alone_takes_its_own_value() {
        for value in [0, 1, -5, 32_639, -32_640, 1_000_000] {
            let found = attend(&[head(3, 4, value)]).unwrap();
            // The quotient of two integers of 30 bits is a little less than one.
            let error = found[0].abs_diff(value);
            assert!(error <= (1 + value.unsigned_abs()) >> 15, "{value} {}", found[0]);
        }
    }

    #[test]
    fn equal_logits_give_the_mean_whatever_the_scales() {
        let found = attend(&[
            head(0, 1, 1 << 29),
            head(0, 5, 2),
            head(0, 0, -(1 << 29)),
            head(0, -9, -2),
        ]);
        assert_eq!(found, Ok(vec![0; 4]));
    }

    #[test]
    fn the_largest_sums_keep_every_bound() {
        let value = LIMIT << 15; // the largest numbers that quantisation gives, and a little below the range
        let all = vec![head(RANGE >> 9, RANGE >> 9, value); 1_024];
        assert_eq!(all[0].value.values[0], 32_639);
        let found = attend(&all).unwrap();
        assert!(
            found[0] <= value && found[0] > value - (value >> 14),
            "{}",
            found[0]
        );
    }

    #[test]
    fn logits_beyond_their_range_are_invalid() {
        assert_eq!(attend(&[head(RANGE, RANGE, 1)]), Err(Invalid::OutOfRange));
    }
}
