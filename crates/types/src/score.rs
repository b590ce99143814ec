//! What a score is made of: vectors in fixed point, the distance between them, and the loss.
//!
//! Not here: how a model computes its embedding and its loss (`scoring`), and who wins or is paid (`ledger`).
//!
//! Source: `EXACT.md` 1, 4.7 and 4.8, `PROTOCOL.md` 7. `Qf` means a number times 2^f, as an integer. The floor of a
//! square root, `isqrt` there, is the standard library's [`u128::isqrt`].
//!
//! Modules in reading order: [`vector`], [`mod@distance`], [`loss`].

pub mod distance;
pub mod loss;
pub mod vector;

pub use distance::{DimensionMismatch, Distance, distance};
pub use loss::{Loss, LossError};
pub use vector::{Direction, Embedding, MAX_DIM, Vector, VectorError};

/// `dividend / divisor`, rounded to the nearest integer, the half of one up: `⌊(2·dividend + divisor) / (2·divisor)⌋`.
///
/// Up is towards positive infinity, so `rdiv(-1, 2)` is 0. No dividend is too large. Source: `EXACT.md` 1.
///
/// # Panics
/// Unless the divisor is positive.
pub const fn rdiv(dividend: i128, divisor: i128) -> i128 {
    assert!(divisor > 0, "a rounded division is by a positive number");
    let (floor, rest) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    // Not `2·rest`, which may not fit. Where anything is left, the divisor is at least 2 and the floor can grow.
    floor + (rest >= divisor - rest) as i128
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_division_rounds_to_the_nearest_and_halves_up() {
        for (dividend, divisor, quotient) in [
            (0, 1, 0),
            (6, 3, 2),
            (7, 3, 2),
            (8, 3, 3),
            (-7, 3, -2),
            (-8, 3, -3),
            (1, 2, 1),
            (3, 2, 2),
            (5, 2, 3),
            (-1, 2, 0),
            (-3, 2, -1),
            (-5, 2, -2),
            (49, 100, 0),
            (50, 100, 1),
            (-50, 100, 0),
            (-51, 100, -1),
        ] {
            assert_eq!(rdiv(dividend, divisor), quotient, "{dividend} / {divisor}");
        }
    }

    #[test]
    fn no_dividend_is_too_large() {
        assert_eq!(rdiv(i128::MAX, 1), i128::MAX);
        assert_eq!(rdiv(i128::MIN, 1), i128::MIN);
        assert_eq!(rdiv(i128::MAX, i128::MAX), 1);
        assert_eq!(rdiv(i128::MIN, i128::MAX), -1);
        assert_eq!(rdiv(i128::MAX, 2), i128::MAX / 2 + 1);
        assert_eq!(rdiv(i128::MAX / 2, i128::MAX), 0);
        assert_eq!(rdiv(i128::MAX / 2 + 1, i128::MAX), 1);
    }

    #[test]
    #[should_panic(expected = "by a positive number")]
    fn a_division_by_zero_is_a_mistake_of_the_caller() {
        rdiv(1, 0);
    }

    proptest! {
        #[test]
        fn a_division_is_the_formula_where_that_fits(dividend: i64, divisor in 1..=i64::MAX) {
            let (dividend, divisor) = (i128::from(dividend), i128::from(divisor));
            let formula = (2 * dividend + divisor).div_euclid(2 * divisor);
            prop_assert_eq!(rdiv(dividend, divisor), formula);
        }

        #[test]
        fn small_divisions_are_the_formula_too(dividend in -100..100i128, divisor in 1..20i128) {
            let formula = (2 * dividend + divisor).div_euclid(2 * divisor);
            prop_assert_eq!(rdiv(dividend, divisor), formula);
        }
    }
}
