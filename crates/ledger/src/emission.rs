//! How the emission pool empties.
//!
//! Every epoch draws the same from the pool when it starts, the first as the last, until the pool is empty (W-H11, W-H12).
//! One part is what targets may be given in that epoch, the other is what its validators earn. What is not spent comes back
//! when the epoch closes. An epoch that follows a minimal close draws nothing, and the one before it gives back all that it
//! has not given to targets (W-H21).

use types::{AmountError, ProtocolParams, Shannons};

/// What an epoch draws from the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Emission {
    /// The target budget.
    pub targets: Shannons,
    /// The validators' part, beside all fees.
    pub validators: Shannons,
}

impl Emission {
    /// What the next epoch draws, and what the pool holds then. Of a pool with less than an epoch's emission, all is drawn.
    /// What the division leaves goes to the validators.
    pub fn draw(params: &ProtocolParams, pool: Shannons) -> (Self, Shannons) {
        let drawn = params.epoch_emission.min(pool);
        let targets = budget(params, drawn);
        let emission = Self {
            targets: Shannons::new(targets),
            validators: Shannons::new(drawn.get() - targets),
        };
        (emission, Shannons::new(pool.get() - drawn.get()))
    }

    /// How many targets it pays for, and what is left to come back to the pool.
    pub fn affords(&self, reward: Shannons) -> (u64, Shannons) {
        match self.targets.get().checked_div(reward.get()) {
            Some(targets) => (targets, Shannons::new(self.targets.get() % reward.get())),
            None => (0, self.targets),
        }
    }

    /// The pool with all of it again: what was not spent, or all after a minimal close.
    ///
    /// # Errors
    /// [`AmountError::Overflow`], which no pool reaches that is a part of the supply.
    pub fn put_back(self, pool: Shannons) -> Result<Shannons, AmountError> {
        Shannons::checked_sum([pool, self.targets, self.validators])
    }
}

/// The reward of every target, whatever the pool holds: a full epoch's target budget, divided by the hits that are wanted.
/// What the division leaves is never drawn from the budget, so it comes back to the pool.
pub fn target_reward(params: &ProtocolParams) -> Shannons {
    let budget = budget(params, params.epoch_emission);
    let reward = budget.checked_div(params.wanted_epoch_hits.into());
    Shannons::new(reward.unwrap_or(budget))
}

/// The part of so much emission that is for targets, at most all of it, rounded down.
fn budget(params: &ProtocolParams, emission: Shannons) -> u64 {
    let part = u128::from(emission.get()) * u128::from(params.target_emission_bps) / 10_000;
    u64::try_from(part).map_or(emission.get(), |part| part.min(emission.get()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{ProtocolVersion, SOMA};

    use super::*;

    fn params() -> ProtocolParams {
        ProtocolParams::of(ProtocolVersion::new(1)).unwrap()
    }

    /// What a run over the pool's life has given away.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Schedule {
        /// Epochs with the full emission.
        full: u64,
        /// Epochs after them that drew something.
        tail: u64,
        targets: u64,
        paid_to_targets: u64,
        paid_to_validators: u64,
        pool: u64,
    }

    /// Runs epochs in which at most so many targets are filled.
    fn run(epochs: u64, hits: u64) -> Schedule {
        let (params, mut schedule) = (params(), Schedule::default());
        let (mut pool, reward) = (Shannons::SUPPLY, target_reward(&params));
        for _ in 0..epochs {
            let (drawn, rest) = Emission::draw(&params, pool);
            let total = drawn.targets.get() + drawn.validators.get();
            match total {
                0 => {}
                full if full == params.epoch_emission.get() => schedule.full += 1,
                _ => schedule.tail += 1,
            }
            let filled = drawn.affords(reward).0.min(hits);
            schedule.targets += filled;
            schedule.paid_to_targets += filled * reward.get();
            schedule.paid_to_validators += drawn.validators.get();
            let unspent = Emission {
                targets: Shannons::new(drawn.targets.get() - filled * reward.get()),
                validators: Shannons::ZERO,
            };
            pool = unspent.put_back(rest).unwrap();
            let sum = pool.get() + schedule.paid_to_targets + schedule.paid_to_validators;
            assert_eq!(sum, Shannons::SUPPLY.get(), "after each epoch");
        }
        schedule.pool = pool.get();
        schedule
    }

    /// W-H12: the first targets were worth 432 times as much as later ones.
    #[test]
    fn a_reward_is_the_same_from_the_first_target_to_the_last() {
        let reward = target_reward(&params());
        assert_eq!(reward, Shannons::new(12_685_185));
        let (first, _) = Emission::draw(&params(), Shannons::SUPPLY);
        assert_eq!(first.targets, Shannons::new(1_096 * SOMA.get()));
        assert_eq!(first.validators, Shannons::new(274 * SOMA.get()));
        assert_eq!(first.affords(reward), (86_400, Shannons::new(16_000)));
        let (last, rest) = Emission::draw(&params(), Shannons::new(20_000_000));
        assert_eq!(last.affords(reward), (1, Shannons::new(3_314_815)));
        assert_eq!(rest, Shannons::ZERO);
    }

    /// 10,000,000 = 7,299 · 1,370 + 370 SOMA.
    /// W-H11: the pool emptied faster than it was said to.
    #[test]
    fn twenty_years_of_full_epochs_empty_the_pool() {
        let schedule = run(7_300, 86_400);
        let expected = Schedule {
            full: 7_299,
            tail: 1,
            targets: 7_299 * 86_400 + 23_341,
            paid_to_targets: (7_299 * 86_400 + 23_341) * 12_685_185,
            paid_to_validators: 7_299 * 274 * SOMA.get() + 74_023_356_800,
            pool: 8_524_115,
        };
        assert_eq!(schedule, expected);
        // What no target can be paid from any more is less each epoch, by the validators' part.
        let end = run(7_400, 86_400);
        assert_eq!((end.targets, end.pool), (expected.targets, 0));
        assert_eq!(end.tail, 69);
    }

    #[test]
    fn what_targets_do_not_take_makes_the_pool_last_longer() {
        let half = run(7_300, 43_200);
        assert_eq!((half.full, half.tail), (7_300, 0));
        assert_eq!(
            half.paid_to_targets + half.paid_to_validators + half.pool,
            Shannons::SUPPLY.get()
        );
        let none = run(7_300, 0);
        assert_eq!(none.pool, Shannons::SUPPLY.get() - 7_300 * 274 * SOMA.get());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_between_pool_targets_and_validators(pool: u64, emission: u64, bps: u16, hits: u32) {
            let any = ProtocolParams {
                epoch_emission: Shannons::new(emission),
                target_emission_bps: bps,
                wanted_epoch_hits: hits,
                ..params()
            };
            let pool = Shannons::new(pool);
            let (drawn, rest) = Emission::draw(&any, pool);
            prop_assert_eq!(drawn.put_back(rest), Ok(pool));
            prop_assert!(pool.get() - rest.get() <= emission);
            let reward = target_reward(&any);
            let (targets, left) = drawn.affords(reward);
            prop_assert_eq!(targets * reward.get() + left.get(), drawn.targets.get());
        }
    }
}
