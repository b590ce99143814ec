//! How near a submission must come: the distance threshold of the next epoch, from the hits of the last.
//!
//! What is controlled is the rate at which targets are filled. An epoch's budget bounds its hits, so the hits alone do not
//! tell a threshold that is a little too easy from one that anything passes; how long the targets stayed open does. Both
//! together say how many hits an epoch would have had with all wanted targets open all the time, and that number can miss
//! the wanted one by any factor, up or down.
//!
//! A step goes by the logarithm of that factor, divided by the slope that the tail of a normal distribution has at the
//! present threshold. Targets have random directions, so the distance of any data to them is normal with a deviation of
//! 1/√dimension: who tries harder only tries more often. A gain of a half, at first, halves the error per epoch. No step is
//! longer than one deviation.
//!
//! But where embeddings have much in common, easy targets are filled at once and hard ones stay, and their number answers
//! to the threshold far more steeply. So the gain is halved whenever an error comes back on the other side, and grows again
//! while one stays.

use types::{Difficulty, ProtocolParams};

/// That of the first epoch.
pub const fn first(params: &ProtocolParams) -> Difficulty {
    Difficulty {
        distance_billionths: params.initial_distance_billionths,
        gain_bps: params.difficulty_gain_bps as u32,
        error: 0,
    }
}

/// That of the next epoch, after one with so many hits, and targets that were open for `open_ms` milliseconds, summed
/// over all of them ([`Pace::open_ms`](types::Pace::open_ms)).
///
/// Each side of the comparison has half a hit more than was counted. So an epoch without hits makes the next one easier
/// by as much as it should have had some, one in which nothing was open changes nothing, and neither is a special case
/// (W-H10).
///
/// Total: whatever it is given, the threshold is within the bounds. What is less than a billionth of a step is not made.
#[must_use]
pub fn after(before: &Difficulty, params: &ProtocolParams, hits: u64, open_ms: u128) -> Difficulty {
    let error = error(params, hits, open_ms);
    let gain = next_gain(before, params, error);
    let most = i128::from(params.distance_sigma_billionths);
    let step = newton(params, before.distance_billionths.into(), error) * gain / 10_000;
    let distance = (i128::from(before.distance_billionths) - step.clamp(-most, most))
        .min(params.max_distance_billionths.into())
        .max(params.min_distance_billionths.into());
    Difficulty {
        distance_billionths: u32::try_from(distance).unwrap_or(params.max_distance_billionths),
        gain_bps: u32::try_from(gain).unwrap_or(u32::MAX),
        error: i32::try_from(error).unwrap_or(0),
    }
}

/// Half of the gain after an error that came back on the other side with half its size at least, three halves of it
/// after one of which two thirds stayed, and the same otherwise; from an eighth to four times the first gain. What is
/// below a tenth of the wanted hits is no error, and one that a whole step does not make good teaches nothing.
fn next_gain(before: &Difficulty, params: &ProtocolParams, error: i128) -> i128 {
    let (gain, last) = (i128::from(before.gain_bps), i128::from(before.error));
    let first = i128::from(params.difficulty_gain_bps);
    let other_side = (error > 0) != (last > 0);
    let newton = newton(params, before.distance_billionths.into(), error) * gain / 10_000;
    let whole = newton.abs() >= i128::from(params.distance_sigma_billionths);
    let next = if error.abs().min(last.abs()) < LOG2_ONE / 8 {
        gain
    } else if other_side && 2 * error.abs() >= last.abs() {
        gain / 2
    } else if !other_side && 3 * error.abs() >= 2 * last.abs() && !whole {
        gain * 3 / 2
    } else {
        gain
    };
    next.clamp((first / 8).max(1), (first * 4).max(1))
}
/// Binary logarithm of hits by wanted hits, in 65,536ths.
fn error(params: &ProtocolParams, hits: u64, open_ms: u128) -> i128 {
    // The most that the wanted targets can have been open, by which hits are wanted in full; below 2^96, as the hits are
    // below 2^32, so that no product comes near 2^128.
    let full_ms = u128::from(params.wanted_open_targets.max(1)) * u128::from(params.epoch_duration_ms.max(1));
    let hits = u128::from(hits.min(u64::from(u32::MAX) / 2));
    let wanted_ms = u128::from(params.wanted_epoch_hits) * open_ms.min(1 << 90);
    log2((2 * hits + 1).saturating_mul(full_ms)) - log2((2 * wanted_ms).saturating_add(full_ms))
}

/// By how many billionths the threshold must fall to make the whole error good, if nothing is alike.
fn newton(params: &ProtocolParams, distance: i128, error: i128) -> i128 {
    let sigma = i128::from(params.distance_sigma_billionths.max(1));
    let nearer = 1_000_000_000 - distance;
    // The hazard of the normal distribution is near (z + √(z² + 8/π)) / 2, from below by at most 6 % where z > 0.
    let root = (nearer * nearer + sigma * sigma * 25_465 / 10_000).isqrt();
    // The binary logarithm of e is 1.4427.
    let slope = LOG2_ONE * 14_427 * (nearer + root).max(1);
    20_000 * error * sigma * sigma / slope
}

const LOG2_ONE: i128 = 1 << 16;

/// Binary logarithm in 65,536ths, rounded down; 0 of 0.
fn log2(number: u128) -> i128 {
    let Some(whole) = number.checked_ilog2() else {
        return 0;
    };
    // From 1 to 2, with 63 binary places. Squaring doubles the logarithm, whose next place is whether that reaches 2.
    let mut mantissa = if whole > 63 {
        number >> (whole - 63)
    } else {
        number << (63 - whole)
    };
    let mut log = i128::from(whole);
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 63;
        let place = mantissa >> 64;
        mantissa >>= place;
        log = 2 * log + i128::from(place == 1);
    }
    log
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::ProtocolVersion;

    use super::*;

    fn params() -> ProtocolParams {
        ProtocolParams::of(ProtocolVersion::new(1)).unwrap()
    }

    /// All wanted targets, all day.
    const FULL_MS: u128 = 100 * 86_400_000;

    #[test]
    fn a_logarithm_has_sixteen_places() {
        let logs = [
            (0, 0),
            (1, 0),
            (2, 1 << 16),
            (3, 103_872),
            (1 << 127, 127 << 16),
            (u128::MAX, (128 << 16) - 1),
        ];
        for (number, log) in logs {
            assert_eq!(log2(number), log, "{number}");
        }
    }

    fn at(distance_billionths: u32) -> Difficulty {
        Difficulty {
            distance_billionths,
            ..first(&params())
        }
    }

    #[test]
    fn the_wanted_hits_leave_the_threshold_where_it_is() {
        for distance in [800_000_000, 950_000_000, 1_050_000_000] {
            assert_eq!(after(&at(distance), &params(), 86_400, FULL_MS), at(distance));
            // Half of the hits while half of the targets were open is as many as are wanted.
            assert_eq!(after(&at(distance), &params(), 43_200, FULL_MS / 2), at(distance));
            assert_eq!(
                after(&at(distance), &params(), 0, 0),
                at(distance),
                "nothing was open"
            );
        }
    }

    #[test]
    fn more_hits_than_wanted_make_it_harder_and_fewer_easier() {
        let next = |hits, open_ms| after(&at(956_000_000), &params(), hits, open_ms).distance_billionths;
        assert_eq!(next(172_800, FULL_MS), 952_654_914);
        assert_eq!(next(43_200, FULL_MS), 959_345_137);
        // All of the budget, but no target was open for more than two seconds: fifty times as many hits.
        assert_eq!(next(86_400, FULL_MS / 50), 937_121_893);
        assert_eq!(next(0, FULL_MS), 978_000_000, "the most that a step may be");
        assert_eq!(next(u64::MAX, FULL_MS), 934_000_000);
    }

    #[test]
    fn an_error_that_comes_back_halves_the_gain_and_one_that_stays_raises_it() {
        let easy = after(&at(950_000_000), &params(), 86_400 * 2, FULL_MS);
        assert_eq!(easy.gain_bps, 5_000, "the first error teaches nothing");
        let gain = |hits| after(&easy, &params(), hits, FULL_MS).gain_bps;
        assert_eq!(gain(86_400 * 3 / 2), 5_000, "it is halved, or nearly");
        assert_eq!(gain(86_400 * 15 / 8), 7_500);
        assert_eq!(gain(86_400 * 7 / 8), 5_000);
        assert_eq!(gain(86_400 / 2), 2_500);
        assert_eq!(gain(0), 2_500);
    }

    proptest! {
        #[test]
        fn any_epoch_leads_to_a_threshold_within_its_bounds(
            (distance_billionths, gain_bps, error) in any::<(u32, u32, i32)>(),
            hits: u64,
            open_ms: u128,
        ) {
            let any = Difficulty { distance_billionths, gain_bps, error };
            let next = after(&any, &params(), hits, open_ms);
            let bounds = params().min_distance_billionths..=params().max_distance_billionths;
            prop_assert!(bounds.contains(&next.distance_billionths));
            prop_assert!((625..=20_000).contains(&next.gain_bps));
        }

        #[test]
        fn any_parameters_have_a_result(
            (low, high, sigma) in any::<(u32, u32, u32)>(),
            (duration, wanted, open, gain) in any::<(u64, u32, u32, u16)>(),
            (distance_billionths, gain_bps, error) in any::<(u32, u32, i32)>(),
            (hits, open_ms) in any::<(u64, u128)>(),
        ) {
            let any = ProtocolParams {
                min_distance_billionths: low,
                max_distance_billionths: high,
                distance_sigma_billionths: sigma,
                difficulty_gain_bps: gain,
                epoch_duration_ms: duration,
                wanted_epoch_hits: wanted,
                wanted_open_targets: open,
                ..params()
            };
            let _ = after(&Difficulty { distance_billionths, gain_bps, error }, &any, hits, open_ms);
        }

        #[test]
        fn more_hits_never_make_it_easier(
            distance in 800_000_000..2_000_000_000u32,
            hits in 0..1_000_000u64,
            more in 0..1_000_000u64,
        ) {
            let next = |hits| after(&at(distance), &params(), hits, FULL_MS).distance_billionths;
            prop_assert!(next(hits + more) <= next(hits));
        }
    }
}
