//! What a position loses: how surprised the model is by the next token.
//!
//! Source: `EXACT.md` 9.

use super::round::{bits, shift_right};
use super::tables::TABLES;

/// log2(e) in Q30.
const LOG2_E: i64 = 1_549_082_005;
/// ln(2) in Q30.
const LN_2: i64 = 744_261_118;

/// `-ln` of the probability that these logits, Q16, give to `target`: in nats, Q24, at most 2^39 + 2^27.
pub fn surprise(logits: &[i32], target: u16) -> u64 {
    let max = *logits.iter().max().expect("there are tokens");
    let below = |logit: i32| i64::from(max) - i64::from(logit);
    let sum: u64 = logits.iter().map(|logit| exponential(below(*logit))).sum();
    debug_assert!(
        (1 << 22..1 << 31).contains(&sum),
        "264 terms up to 2^22, one of which is that"
    );
    let from_sum = shift_right(logarithm(sum) * LN_2, 30);
    let from_target = below(logits[usize::from(target)]) << 8;
    (from_sum + from_target).unsigned_abs()
}

/// `e^-below`, Q22, of a number in Q16.
fn exponential(below: i64) -> u64 {
    let halvings = shift_right(below * LOG2_E, 30);
    if halvings >= 63 << 16 {
        return 0;
    }
    let (whole, high, low) = ((halvings >> 16) as u32, (halvings >> 8) & 255, halvings & 255);
    let (high, low) = (TABLES.token_high[high as usize], TABLES.token_low[low as usize]);
    let fraction = (u64::from(high) * u64::from(low)) >> 31;
    shift_right(fraction.cast_signed(), 8 + whole).unsigned_abs()
}

/// `log2(sum) - 22`, Q24, rounded down, of a number of at most 32 bits: one bit of it for each squaring.
fn logarithm(sum: u64) -> i64 {
    let length = bits(sum);
    debug_assert!((23..=32).contains(&length), "a sum of probabilities");
    let mut mantissa = sum << (32 - length);
    let mut fraction = 0;
    for _ in 0..24 {
        mantissa = (mantissa * mantissa) >> 31;
        fraction *= 2;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            fraction += 1;
        }
    }
    (i64::from(length) - 23) * (1 << 24) + fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::round::RANGE;

    #[test]
    fn logarithms_of_the_document() {
        for (sum, expected) in [
            (1 << 22, 0),
            ((1 << 22) + 1, 5),
            (5_000_000, 4_252_968),
            (264 << 22, 134_962_537),
        ] {
            assert_eq!(logarithm(sum), expected, "{sum}");
        }
    }

    #[test]
    fn equal_logits_lose_the_logarithm_of_their_number() {
        // ln(264)·2^24 is 93548901.6, and 93548902 is what the roundings leave of it.
        for logit in [0, RANGE, -RANGE] {
            let loss = surprise(&[logit; 264], 7);
            assert!(loss.abs_diff(93_548_902) < 4, "{loss}");
        }
    }

    #[test]
    fn the_worst_loss_is_within_its_bound() {
        let mut logits = [RANGE; 264];
        logits[3] = -RANGE;
        let loss = surprise(&logits, 3);
        assert!(
            loss > 1 << 39 && loss <= types::score::Loss::MAX_PER_POSITION,
            "{loss}"
        );
    }

    #[test]
    fn a_certain_token_loses_nothing() {
        let mut logits = [-RANGE; 264];
        logits[5] = 0;
        assert_eq!(surprise(&logits, 5), 0);
    }
}
