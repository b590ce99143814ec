//! Normalisation of a token's vector.
//!
//! Source: `EXACT.md` 5.

use super::Invalid;
use super::round::{bits, check, shift_right};

/// The numbers that a layer's normalisation learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Norm {
    /// Factors, Q20. |gamma| < 2^30.
    pub gamma: Vec<i32>,
    /// Summands, Q16. |beta| < 2^30.
    pub beta: Vec<i32>,
}

/// What a step of [`normalise`] that all entries share comes to.
fn epsilon(log_width: u32, up: u32, down: u32) -> u64 {
    // 10^-5 in the format of the sum of squares: Q32 of the width, times the squares of both shifts. At most 2^59.
    let scaled = 1u64 << (log_width + 32 + 2 * up - 2 * down);
    let (floor, rest) = (scaled / 100_000, scaled % 100_000);
    let up = 2 * rest > 100_000 || 2 * rest == 100_000 && floor % 2 == 1;
    (floor + u64::from(up)).max(1)
}

/// `row`, less its mean and divided by its standard deviation, times gamma, plus beta. Q16 in and out.
///
/// # Errors
/// [`Invalid::OutOfRange`].
pub fn normalise(row: &[i32], norm: &Norm) -> Result<Vec<i32>, Invalid> {
    let log_width = row.len().ilog2();
    debug_assert!(
        row.len() == 1 << log_width && log_width <= 11,
        "a power of two up to 2048"
    );
    let max = row.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0);
    // Small vectors use the bits that large ones need: at most 2^30 afterwards.
    let up = (30 - bits(u64::from(max))).min(8);
    let raised = || row.iter().map(|value| i64::from(*value) << up);
    let mean = shift_right(raised().sum(), log_width);
    let away: Vec<i64> = raised().map(|value| value - mean).collect();
    let farthest = away.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0);
    debug_assert!(
        farthest < 1 << 31,
        "two values below 2^30 differ by less than 2^31"
    );
    let down = bits(farthest).saturating_sub(20);
    // Squares of at most 2^40, up to 2^11 of them.
    let squares: u64 = away
        .iter()
        .map(|value| shift_right(*value, down).unsigned_abs().pow(2))
        .sum();
    let total = squares + epsilon(log_width, up, down);
    debug_assert!(
        total < 1 << 52,
        "the sum of squares and what is added to it fit 52 bits"
    );
    let mut raise = 62 - bits(total);
    if (raise + log_width) % 2 == 1 {
        raise -= 1;
    }
    let root = (total << raise).isqrt();
    debug_assert!((1 << 30..1 << 31).contains(&root), "the root of 2^60 to 2^62");
    let inverse = i64::try_from((1u64 << 60) / root).expect("at most 2^30");
    let shift = 36 + down - (raise + log_width) / 2;
    debug_assert!((12..=43).contains(&shift), "bound 7 of EXACT.md");
    let entry = |(value, (gamma, beta)): (i64, (&i32, &i32))| {
        let unit = shift_right(value * inverse, shift);
        debug_assert!(
            unit.unsigned_abs() < 1 << 30,
            "no entry is beyond the root of the width"
        );
        let scaled = check(shift_right(unit * i64::from(*gamma), 28))?;
        check(i64::from(scaled) + i64::from(*beta))
    };
    let learned = norm.gamma.iter().zip(&norm.beta);
    away.into_iter().zip(learned).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::exact::round::RANGE;

    fn plain(width: usize, beta: i32) -> Norm {
        Norm {
            gamma: vec![1 << 20; width],
            beta: vec![beta; width],
        }
    }

    #[test]
    fn vectors_of_the_document() {
        let row = [65_536, -131_072, 3, 70_000, 0, 0, 1, -5];
        let expected = vec![74_168, -150_246, -633, 79_263, -637, -637, -636, -642];
        assert_eq!(normalise(&row, &plain(8, 0)), Ok(expected));
        let expected = vec![1_351, -1_179, -230, 86];
        assert_eq!(normalise(&[5, -3, 0, 1], &plain(4, 7)), Ok(expected));
    }

    #[test]
    fn a_constant_vector_becomes_beta() {
        for value in [0, 1, -7, RANGE, -RANGE] {
            assert_eq!(normalise(&[value; 16], &plain(16, 5)), Ok(vec![5; 16]), "{value}");
        }
    }

    #[test]
    fn a_factor_that_is_too_large_is_invalid() {
        let mut norm = plain(2_048, 0);
        norm.gamma[0] = RANGE;
        let mut row = vec![0; 2_048];
        row[0] = RANGE;
        assert_eq!(normalise(&row, &norm), Err(Invalid::OutOfRange));
    }

    proptest! {
        #[test]
        fn the_extremes_keep_every_bound(
            log_width in 2..=11u32,
            entries in vec(prop_oneof![Just(0), Just(RANGE), Just(-RANGE), -3..=3i32, -RANGE..=RANGE], 4..40),
        ) {
            let width = 1usize << log_width;
            let row: Vec<_> = (0..width).map(|at| entries[at % entries.len()]).collect();
            let found = normalise(&row, &plain(width, 0)).unwrap();
            let negated: Vec<_> = row.iter().map(|value| -value).collect();
            let mirrored: Vec<_> = found.iter().map(|value| -value).collect();
            prop_assert_eq!(normalise(&negated, &plain(width, 0)).unwrap(), mirrored);
        }
    }
}
