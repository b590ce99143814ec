//! The primitives: rounding, ranges, and scales that are powers of two.
//!
//! Source: `EXACT.md` 1.

use super::Invalid;

/// The largest size of what is multiplied: 127·256 + 127, so that it splits into two slices of 8 bits.
pub const LIMIT: i32 = 32_639;

/// The largest size of anything computed.
pub const RANGE: i32 = (1 << 30) - 1;

/// How many bits `value` needs: 0 for 0.
pub const fn bits(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// `value / 2^shift`, rounded to the nearest, ties to even. The size of `value` is at most 2^62.
pub fn shift_right(value: i64, shift: u32) -> i64 {
    debug_assert!(
        value.unsigned_abs() <= 1 << 62,
        "no operand of a rounding exceeds 2^62"
    );
    match shift {
        0 => value,
        // Half of 2^shift at most, and the tie of 2^62 / 2^63 goes to the even zero.
        63.. => 0,
        _ => {
            let odd = (value >> shift) & 1;
            (value + (1 << (shift - 1)) - 1 + odd) >> shift
        }
    }
}

/// The same for products of two numbers in Q62.
pub fn shift_right_wide(value: i128, shift: u32) -> i128 {
    debug_assert!(0 < shift && shift < 126, "only tables are rounded like this");
    let odd = (value >> shift) & 1;
    (value + (1 << (shift - 1)) - 1 + odd) >> shift
}

/// `value`, if it is within [`RANGE`].
///
/// # Errors
/// [`Invalid::OutOfRange`].
pub fn check(value: i64) -> Result<i32, Invalid> {
    match i32::try_from(value) {
        Ok(value) if value.unsigned_abs() <= RANGE.unsigned_abs() => Ok(value),
        _ => Err(Invalid::OutOfRange),
    }
}

/// `value / 2^shift`, rounded, within [`RANGE`]. A negative shift multiplies.
///
/// # Errors
/// [`Invalid::OutOfRange`].
pub fn scale(value: i64, shift: i32) -> Result<i32, Invalid> {
    if shift >= 0 {
        return check(shift_right(value, shift.unsigned_abs()));
    }
    let up = shift.unsigned_abs();
    debug_assert!(up < 31, "exponents differ by less than the bits of a range");
    if value.unsigned_abs() > u64::from(RANGE.unsigned_abs() >> up) {
        return Err(Invalid::OutOfRange);
    }
    check(value << up)
}

/// Numbers divided by a power of two that they share, so that none is larger than [`LIMIT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantised {
    /// The rounded quotients.
    pub values: Vec<i16>,
    /// The exponent of the divisor, at most 16.
    pub shift: i32,
}

/// Divides `row`, all of it within [`RANGE`], by the smallest power of two that will do.
pub fn quantise(row: &[i32]) -> Quantised {
    let max = row.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0);
    debug_assert!(max <= RANGE.unsigned_abs(), "what is quantised was checked");
    let max = i64::from(max);
    let mut shift = bits(max.unsigned_abs()).saturating_sub(15);
    if shift_right(max, shift) > i64::from(LIMIT) {
        shift += 1;
    }
    let quotient = |value: &i32| {
        let quotient = shift_right(i64::from(*value), shift);
        debug_assert!(quotient.abs() <= i64::from(LIMIT), "rounding keeps the order");
        i16::try_from(quotient).expect("no larger than the largest")
    };
    Quantised {
        values: row.iter().map(quotient).collect(),
        shift: shift.cast_signed(),
    }
}

/// The sum of the products of two rows: exact, whatever the order.
pub fn dot(one: &[i16], other: impl IntoIterator<Item = i16>) -> i64 {
    one.iter()
        .zip(other)
        .map(|(a, b)| i64::from(*a) * i64::from(b))
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ties_go_to_even() {
        for (value, shift, rounded) in [
            (5, 1, 2),
            (7, 1, 4),
            (-5, 1, -2),
            (6, 2, 2),
            (10, 2, 2),
            (-7, 1, -4),
            (9, 0, 9),
            (1 << 62, 62, 1),
            (1 << 62, 63, 0),
            ((1 << 61) + 1, 62, 1),
            (-1, 200, 0),
        ] {
            assert_eq!(shift_right(value, shift), rounded, "{value} >> {shift}");
        }
    }

    #[test]
    fn a_scale_is_the_smallest_that_fits() {
        for (max, shift) in [
            (0, 0),
            (32_639, 0),
            (32_640, 1),
            (65_278, 1),
            (65_279, 2),
            (RANGE, 16),
        ] {
            let found = quantise(&[max, 1, -max]);
            assert_eq!(found.shift, shift, "{max}");
            assert_eq!(found.values[0], -found.values[2], "{max}");
        }
        assert_eq!(quantise(&[65_279, 6, 10]).values, [16_320, 2, 2]);
    }

    #[test]
    fn what_leaves_its_range_is_invalid() {
        let range = i64::from(RANGE);
        assert_eq!(check(range), Ok(RANGE));
        assert_eq!(check(-range), Ok(-RANGE));
        for value in [range + 1, -range - 1, i64::MAX, i64::MIN] {
            assert_eq!(check(value), Err(Invalid::OutOfRange));
        }
        assert_eq!(scale(range, 0), Ok(RANGE));
        assert_eq!(scale(range >> 3, -3), Ok(RANGE - 7));
        assert_eq!(scale(-(range >> 3) - 1, -3), Err(Invalid::OutOfRange));
        assert_eq!(scale(2 * range + 1, 1), Err(Invalid::OutOfRange));
        assert_eq!(scale(2 * range, 1), Ok(RANGE));
    }

    proptest! {
        #[test]
        fn rounding_is_to_the_nearest_and_symmetric(value in -(1i64 << 62)..=1 << 62, shift in 0..70u32) {
            let rounded = i128::from(shift_right(value, shift));
            let error = (i128::from(value) - (rounded << shift)).abs();
            prop_assert!(2 * error <= 1 << shift);
            if shift > 0 && 2 * error == 1 << shift {
                prop_assert_eq!(rounded & 1, 0);
            }
            prop_assert_eq!(shift_right(-value, shift), -shift_right(value, shift));
            if 0 < shift {
                prop_assert_eq!(shift_right_wide(i128::from(value), shift), rounded);
            }
        }
    }
}
