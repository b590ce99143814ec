//! How stake becomes voting power.

use std::cmp::Reverse;
use std::fmt;

use crypto::Address;
use serde::{Deserialize, Serialize};

use crate::Shannons;

/// A share of a committee's 10,000 votes. BCS: u16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VotingPower(u16);

impl VotingPower {
    /// None.
    pub const ZERO: Self = Self(0);
    /// What a whole committee has.
    pub const TOTAL: Self = Self(10_000);
    /// More than two thirds: two quorums share an honest authority.
    pub const QUORUM: Self = Self(6_667);
    /// More than one third: among as many is an honest authority.
    pub const VALIDITY: Self = Self(3_334);
    /// What one authority has at most, unless there are fewer than ten.
    pub const CAP: Self = Self(1_000);

    /// This much.
    pub const fn new(power: u16) -> Self {
        Self(power)
    }

    /// How much.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Both together; no committee has more than [`TOTAL`](Self::TOTAL), so what exceeds `u16` stays there.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for VotingPower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The voting power of each staker, in the order given. Its sum is exactly 10,000, unless there is nobody.
///
/// Nobody gets more than `cap = max(1,000, ⌈10,000 / n⌉)`. What that takes from the largest goes to the others in
/// proportion to their stake, again and again until nobody exceeds the cap (at most `n` passes). Shares are rounded
/// down and what is left goes one by one to the largest remainders, ties to the lower address. Where all who could
/// take a share have no stake, they share equally: somebody must hold the votes.
///
/// It follows that more stake never gives less power, and that equal stakes differ by at most one vote.
pub fn voting_power(stakes: &[(Address, Shannons)]) -> Vec<VotingPower> {
    if stakes.is_empty() {
        return Vec::new();
    }
    let total = u128::from(VotingPower::TOTAL.0);
    let cap = u128::from(VotingPower::CAP.0).max(total.div_ceil(stakes.len() as u128));

    let mut capped = vec![false; stakes.len()];
    let (mut weights, mut rest) = weigh(stakes, &capped, cap);
    for _ in 0..stakes.len() {
        let sum: u128 = weights.iter().sum();
        let over: Vec<_> = weights.iter().map(|weight| rest * weight > cap * sum).collect();
        if !over.contains(&true) {
            break;
        }
        capped
            .iter_mut()
            .zip(over)
            .for_each(|(capped, over)| *capped |= over);
        (weights, rest) = weigh(stakes, &capped, cap);
    }

    // Nobody is over the cap now, and whoever sits exactly at it has no remainder, so adding one keeps below it.
    // Everybody being capped leaves a sum of 0 and nothing to share.
    let sum = weights.iter().sum::<u128>().max(1);
    let mut powers: Vec<u128> = weights.iter().map(|weight| rest * weight / sum).collect();
    let left = rest - powers.iter().sum::<u128>();
    let mut by_remainder: Vec<usize> = (0..stakes.len()).filter(|n| !capped[*n]).collect();
    by_remainder.sort_by_key(|n| (Reverse(rest * weights[*n] % sum), stakes[*n].0, *n));
    by_remainder
        .into_iter()
        .zip(0..left)
        .for_each(|(n, _)| powers[n] += 1);

    let powers = powers
        .into_iter()
        .zip(capped)
        .map(|(power, capped)| if capped { cap } else { power });
    powers
        .map(|power| VotingPower(u16::try_from(power).expect("a share of 10,000 fits 16 bits")))
        .collect()
}

/// The weights by which those who are not capped share, 0 for the others, and what they share.
fn weigh(stakes: &[(Address, Shannons)], capped: &[bool], cap: u128) -> (Vec<u128>, u128) {
    let uncapped = |n: usize| !capped[n];
    let stake = |n: usize| u128::from(stakes[n].1.get());
    let nothing = (0..stakes.len()).filter(|n| uncapped(*n)).all(|n| stake(n) == 0);
    let weights = (0..stakes.len()).map(|n| match (uncapped(n), nothing) {
        (false, _) => 0,
        (true, true) => 1,
        (true, false) => stake(n),
    });
    let taken = cap * capped.iter().filter(|capped| **capped).count() as u128;
    // At most nine can exceed a cap of a tenth, and fewer than n a cap of an n-th: something is always left.
    (
        weights.collect(),
        u128::from(VotingPower::TOTAL.0).saturating_sub(taken),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Address `n` has the n-th stake.
    fn stakes(amounts: &[u64]) -> Vec<(Address, Shannons)> {
        let address = |n: u16| {
            let mut bytes = [0; 32];
            bytes[..2].copy_from_slice(&n.to_be_bytes());
            Address::new(bytes)
        };
        (0..)
            .map(address)
            .zip(amounts.iter().copied().map(Shannons::new))
            .collect()
    }

    fn powers(amounts: &[u64]) -> Vec<u16> {
        voting_power(&stakes(amounts))
            .into_iter()
            .map(VotingPower::get)
            .collect()
    }

    #[test]
    fn few_authorities_share_equally_up_to_the_rounding() {
        assert_eq!(powers(&[5]), [10_000]);
        assert_eq!(powers(&[5, 100]), [5_000, 5_000]);
        // Cap 3,334: the two large ones reach it, the small one gets the rest.
        assert_eq!(powers(&[100, 100, 1]), [3_334, 3_334, 3_332]);
        assert_eq!(powers(&[0, 0, 0]), [3_334, 3_333, 3_333]);
        assert_eq!(powers(&[]), [0; 0]);
    }

    /// W-H18: what the cap takes went to all others alike, so that many small ones had the most power.
    #[test]
    fn the_excess_goes_to_the_others_in_proportion_to_their_stake() {
        // 1,000 is the cap of the giant; the other 9,000 are split 1 : 2 : 2 : … without reaching the cap.
        let mut amounts = vec![2; 19];
        amounts[0] = 1;
        amounts.push(1_000_000);
        let powers = powers(&amounts);
        assert_eq!(powers[19], 1_000);
        assert_eq!(powers[0], 243);
        assert!(
            powers[1..19].iter().all(|power| [486, 487].contains(power)),
            "{powers:?}"
        );
    }

    #[test]
    fn a_second_pass_caps_whom_the_first_one_lifted() {
        // 900 of 10,000 is below the cap, but its share of what the giant leaves is not.
        let mut amounts = vec![100; 20];
        (amounts[0], amounts[1]) = (100_000, 900);
        let powers = powers(&amounts);
        assert_eq!(powers[..2], [1_000, 1_000]);
        assert_eq!(powers[2..].iter().sum::<u16>(), 8_000);
    }

    #[test]
    fn a_fraction_of_a_vote_above_the_cap_is_above_the_cap() {
        // 1,000.9 against eleven times 818.1: rounding alone would give 1,001.
        let powers = powers(&[[81_810; 11].as_slice(), &[100_090]].concat());
        assert_eq!(powers[11], 1_000);
        assert_eq!(powers[..3], [819, 819, 818]);
    }

    #[test]
    fn zero_stake_has_no_power_while_others_can_take_it() {
        assert_eq!(powers(&[[1; 12].as_slice(), &[0; 2]].concat())[12..], [0, 0]);
        // One giant and nobody else: the votes beyond the cap must still go somewhere.
        let powers = powers(&[[0; 19].as_slice(), &[7]].concat());
        assert_eq!((powers[0], powers[18], powers[19]), (474, 473, 1_000));
    }

    #[test]
    fn the_last_vote_goes_to_the_largest_remainder_then_to_the_lower_address() {
        // 12 equal stakes: 833 each and 4 left.
        assert_eq!(
            powers(&[1; 12]),
            [834, 834, 834, 834, 833, 833, 833, 833, 833, 833, 833, 833]
        );
        let mut reversed = stakes(&[1; 12]);
        reversed.reverse();
        assert_eq!(voting_power(&reversed)[11], VotingPower(834));
        // 11 of 7 and one of 6: the remainders differ, and the address does not matter.
        let mut amounts = [7; 12];
        amounts[0] = 6;
        let powers = powers(&amounts);
        // 10,000 · 6/83 = 722 + 74/83, 10,000 · 7/83 = 843 + 31/83.
        assert_eq!(
            (powers[0], powers[1..6].to_vec()),
            (723, vec![844, 844, 844, 844, 843])
        );
    }

    fn amounts() -> impl Strategy<Value = Vec<u64>> {
        let amount = prop_oneof![
            Just(0),
            0..10u64,
            0..1_000_000_000_000u64,
            any::<u64>(),
            Just(u64::MAX)
        ];
        proptest::collection::vec(amount, 1..=150)
    }

    proptest! {
        /// W-H18: what the cap had taken lifted others above it.
        #[test]
        fn the_sum_is_ten_thousand_and_nobody_exceeds_the_cap(amounts in amounts()) {
            let powers = powers(&amounts);
            let cap = 10_000usize.div_ceil(amounts.len()).max(1_000);
            prop_assert_eq!(powers.len(), amounts.len());
            prop_assert_eq!(powers.iter().map(|power| usize::from(*power)).sum::<usize>(), 10_000);
            prop_assert!(powers.iter().all(|power| usize::from(*power) <= cap), "{:?}", powers);
        }

        #[test]
        fn more_stake_never_has_less_power(amounts in amounts()) {
            let mut pairs: Vec<_> = amounts.iter().copied().zip(powers(&amounts)).collect();
            pairs.sort_unstable();
            for pair in pairs.windows(2) {
                prop_assert!(pair[0].1 <= pair[1].1 + u16::from(pair[0].0 == pair[1].0), "{:?}", pair);
            }
        }

        #[test]
        fn below_the_cap_power_is_proportional_to_stake(amounts in amounts()) {
            let powers = powers(&amounts);
            let cap = u16::try_from(10_000usize.div_ceil(amounts.len()).max(1_000)).unwrap();
            let below: Vec<_> = amounts.iter().zip(powers).filter(|(_, power)| *power < cap).collect();
            for ((one, power), (other, other_power)) in below.iter().zip(below.iter().skip(1)) {
                // Each is within one vote of its exact share, so the ratios cross by less than the stakes' sum.
                let (one, other) = (u128::from(**one), u128::from(**other));
                let (left, right) = (u128::from(*power) * other, u128::from(*other_power) * one);
                prop_assert!(left.abs_diff(right) <= one + other, "{} {} {} {}", one, power, other, other_power);
            }
        }

        #[test]
        fn the_order_of_the_list_does_not_matter(amounts in amounts(), turn in 0usize..150) {
            let mut stakes = stakes(&amounts);
            let mut expected = voting_power(&stakes);
            let turn = turn % stakes.len();
            stakes.rotate_left(turn);
            expected.rotate_left(turn);
            prop_assert_eq!(voting_power(&stakes), expected);
        }
    }
}
