//! What the fee for value becomes from epoch to epoch.

use types::{ProtocolParams, Shannons};

/// The fee for value of the next epoch, in ten-thousandths: it goes up where an epoch brought more fees than are aimed at and
/// down where it brought less, by at most `value_fee_rate_bps` of itself, and by one at least, so that it stands nowhere else
/// than where it should, or at its bounds.
pub fn next_value_fee(params: &ProtocolParams, now: u16, fees: Shannons) -> u16 {
    let target = u128::from(params.target_epoch_fees.get());
    let (now_wide, fees) = (u128::from(now), u128::from(fees.get()));
    let most = now_wide * u128::from(params.value_fee_rate_bps) / 10_000;
    // Rounded down; what a step is short of its right length, the next one makes up for.
    let off = now_wide * fees.abs_diff(target) / target.max(1);
    let step = u16::try_from(off.min(most).max(1)).unwrap_or(u16::MAX);
    let next = match fees.cmp(&target) {
        std::cmp::Ordering::Greater => now.saturating_add(step),
        std::cmp::Ordering::Less => now.saturating_sub(step),
        std::cmp::Ordering::Equal => now,
    };
    next.clamp(params.min_value_fee_bps, params.max_value_fee_bps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(now: u16, thousandths: u64) -> u16 {
        let target = ProtocolParams::V1.target_epoch_fees.get();
        next_value_fee(
            &ProtocolParams::V1,
            now,
            Shannons::new(target / 1_000 * thousandths),
        )
    }

    #[test]
    fn the_fee_moves_by_one_at_least_both_ways_and_stays_within_its_bounds() {
        // W-M1: rounding held every fee of seven or less where it was.
        for (now, thousandths, then) in [
            (10, 1_000, 10),
            (10, 1_001, 11),
            (10, 999, 9),
            (7, 0, 6),
            (2, 0, 1),
            (1, 0, 1),
            (1, 5_000, 2),
            (40, 5_000, 45),
            (40, 1_050, 42),
            (49, 9_000, 50),
            (50, 9_000, 50),
        ] {
            assert_eq!(next(now, thousandths), then, "{now} after {thousandths}");
        }
    }

    proptest! {
        #[test]
        fn the_fee_follows_the_fees(now in 1u16..=50, fees: u64) {
            let then = next_value_fee(&ProtocolParams::V1, now, Shannons::new(fees));
            let target = ProtocolParams::V1.target_epoch_fees.get();
            prop_assert!((1..=50).contains(&then));
            let follows = match fees.cmp(&target) {
                std::cmp::Ordering::Greater => then > now || now == 50,
                std::cmp::Ordering::Less => then < now || now == 1,
                std::cmp::Ordering::Equal => then == now,
            };
            prop_assert!(follows, "{} after {}", then, now);
        }
    }
}
