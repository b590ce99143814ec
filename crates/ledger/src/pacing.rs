//! When targets are spawned: at beacon commits, within the epoch's budget, and no faster than the budget lasts.
//!
//! An epoch's budget becomes available evenly over its commit time. What is available and not used is kept for as many
//! targets as are wanted open, and no more: a burst of hits is answered with one such set at once and then at the even pace
//! (W-H10), after however long a quiet time. What is never used comes back to the pool when the epoch closes.

use types::{Pace, ProtocolParams};

/// The start of an epoch whose budget pays for so many targets. A full set may be spawned at once.
pub fn begin(params: &ProtocolParams, budget: u64) -> Pace {
    Pace {
        budget,
        spawned: 0,
        elapsed_ms: 0,
        credit: most_credit(params),
        open: 0,
        open_ms: 0,
    }
}

/// How many targets to spawn now, after the transactions of a commit. To be called at every commit; the number counts as
/// spawned.
///
/// `elapsed_ms` is the commit's time since the epoch's start, `open` how many targets it leaves open, and `may_spawn`
/// whether it has a beacon and there is a model to compete. At most as many are spawned as are wanted open.
pub fn at_commit(
    pace: &mut Pace,
    params: &ProtocolParams,
    elapsed_ms: u64,
    open: u64,
    may_spawn: bool,
) -> u64 {
    let passed_ms = elapsed_ms.saturating_sub(pace.elapsed_ms);
    pace.elapsed_ms = pace.elapsed_ms.max(elapsed_ms);
    pace.open_ms = pace
        .open_ms
        .saturating_add(u128::from(pace.open) * u128::from(passed_ms));
    let more = u128::from(pace.budget) * u128::from(passed_ms);
    pace.credit = pace.credit.saturating_add(more).min(most_credit(params));

    let spawn = if may_spawn {
        may_spawn_now(pace, params, open)
    } else {
        0
    };
    pace.spawned += spawn;
    pace.credit -= u128::from(spawn) * target_credit(params);
    pace.open = open.saturating_add(spawn);
    spawn
}

/// The least of what is missing, what is left of the budget and what is available by now. The part of a target that is
/// available stays so.
fn may_spawn_now(pace: &Pace, params: &ProtocolParams, open: u64) -> u64 {
    let missing = u64::from(params.wanted_open_targets).saturating_sub(open);
    let available = u64::try_from(pace.credit / target_credit(params)).unwrap_or(u64::MAX);
    missing.min(pace.budget - pace.spawned).min(available)
}

/// What a target takes of the credit: above zero.
fn target_credit(params: &ProtocolParams) -> u128 {
    u128::from(params.epoch_duration_ms.max(1))
}

fn most_credit(params: &ProtocolParams) -> u128 {
    target_credit(params) * u128::from(params.wanted_open_targets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::ProtocolVersion;

    use super::*;

    /// A thousand targets in a thousand seconds, of which ten are open.
    fn params() -> ProtocolParams {
        ProtocolParams {
            epoch_duration_ms: 1_000_000,
            wanted_open_targets: 10,
            ..ProtocolParams::of(ProtocolVersion::new(1)).unwrap()
        }
    }

    fn pace() -> Pace {
        begin(&params(), 1_000)
    }

    #[test]
    fn an_epoch_starts_with_a_full_set() {
        let mut pace = pace();
        assert_eq!(at_commit(&mut pace, &params(), 0, 0, false), 0, "no beacon yet");
        assert_eq!(at_commit(&mut pace, &params(), 100, 0, true), 10);
        assert_eq!(at_commit(&mut pace, &params(), 200, 10, true), 0);
    }

    #[test]
    fn a_burst_takes_one_set_and_then_what_the_pace_gives() {
        let mut pace = pace();
        // All targets are filled at each of ten commits per second.
        let spawned: Vec<u64> = (0..=600)
            .map(|commit| at_commit(&mut pace, &params(), commit * 100, 0, true))
            .collect();
        assert_eq!(spawned[0], 10);
        assert!(spawned[1..].iter().all(|spawn| *spawn <= 1));
        assert_eq!(pace.spawned, 10 + 60, "a minute has a minute's share");
    }

    #[test]
    fn a_quiet_time_is_worth_one_set_however_long_it_was() {
        let mut pace = pace();
        assert_eq!(at_commit(&mut pace, &params(), 0, 0, true), 10);
        for commit in 1..=9_000 {
            assert_eq!(at_commit(&mut pace, &params(), commit * 100, 10, true), 0);
        }
        // Now all are filled at every commit.
        let spawned: Vec<u64> = (9_001..=9_600)
            .map(|commit| at_commit(&mut pace, &params(), commit * 100, 0, true))
            .collect();
        assert_eq!(spawned[0], 10);
        assert_eq!(spawned.iter().sum::<u64>(), 10 + 59);
        assert_eq!(pace.open_ms, 10 * 900_100 + u128::from(pace.spawned - 10) * 100);
    }

    #[test]
    fn a_budget_ends_with_the_epoch_and_not_with_its_duration() {
        let mut pace = pace();
        for second in 0..=2_000 {
            at_commit(&mut pace, &params(), second * 1_000, 0, true);
        }
        assert_eq!(pace.spawned, 1_000);
        let mut poor = begin(&params(), 3);
        assert_eq!(at_commit(&mut poor, &params(), 0, 0, true), 3);
        assert_eq!(at_commit(&mut poor, &params(), 1_000_000, 0, true), 0);
    }

    proptest! {
        #[test]
        fn no_interval_spawns_more_than_a_set_and_its_share(
            commits in proptest::collection::vec((0..5_000u64, 0..12u64, any::<bool>()), 1..200),
            budget in 0..3_000u64,
        ) {
            let mut pace = begin(&params(), budget);
            let mut spawns = vec![];
            let mut now = 0;
            for (passed, open, may_spawn) in commits {
                now += passed;
                let spawn = at_commit(&mut pace, &params(), now, open, may_spawn);
                prop_assert!(may_spawn || spawn == 0);
                prop_assert!(spawn + open <= 10 || spawn == 0);
                spawns.push((now, spawn));
            }
            prop_assert!(pace.spawned <= budget);
            for (first, (start, _)) in spawns.iter().enumerate() {
                let mut sum = 0;
                for (end, spawn) in &spawns[first..] {
                    sum += spawn;
                    // In parts of a target, so that nothing is rounded.
                    prop_assert!(sum * 1_000_000 <= 10 * 1_000_000 + (end - start) * budget);
                }
            }
        }

        #[test]
        fn any_commit_has_a_result(budget: u64, commits: Vec<(u64, u64)>, duration: u64, wanted: u32) {
            let any = ProtocolParams { epoch_duration_ms: duration, wanted_open_targets: wanted, ..params() };
            let mut pace = begin(&any, budget);
            for (elapsed_ms, open) in commits {
                at_commit(&mut pace, &any, elapsed_ms, open, true);
            }
            prop_assert!(pace.spawned <= budget);
        }
    }
}
