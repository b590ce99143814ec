//! What is drawn by beacons: stake that is split among models, and beacons that are withheld.

use ledger::emission::{Emission, target_reward};
use types::{ObjectId, Shannons, Target};

use crate::document::{Row, grouped, states};
use crate::kit::user;
use crate::network::{Network, params, soma};
use crate::play::{active, population, would_spawn};

/// From one beacon to the next at a hundred milliseconds per round: 32 rounds.
const BEACON_MS: u64 = 3_200;

/// The model's half of a reward, and how many targets an epoch pays for.
fn half_and_count() -> (u64, u64) {
    let (reward, (emission, _)) = (
        target_reward(&params()),
        Emission::draw(&params(), Shannons::SUPPLY),
    );
    let submitters = reward.get() * u64::from(params().submitter_reward_bps) / 10_000;
    (reward.get() - submitters, emission.affords(reward).0)
}

/// Models by owner and stake, in an epoch that spawns a hundred targets at its first beacon.
fn competing(models: &[(u8, u64)]) -> (Network, Vec<ObjectId>) {
    let mut network = population(&[100_000; 4], &[3_000; 2]);
    network.params.wanted_open_targets = 100;
    let models = active(&mut network, models);
    (network, models)
}

/// How often models of user 1 compete for one of these targets.
fn seats(targets: &[Target]) -> u64 {
    let all = targets.iter().flat_map(|target| &target.contenders);
    all.filter(|contender| contender.owner == user(1)).count() as u64
}

/// The seats that user 1 has in a thousand targets.
fn of_thousand(own: &[(u8, u64)]) -> u64 {
    let models: Vec<_> = [(0, 10); 6].iter().chain(own).copied().collect();
    let (network, _) = competing(&models);
    (0..10).map(|beacon| seats(&would_spawn(&network, beacon))).sum()
}

#[test]
fn stake_that_is_split_among_models_competes_with_several_of_them() {
    let (whole, split) = (of_thousand(&[(1, 40)]), of_thousand(&[(1, 10); 4]));
    let (half, count) = half_and_count();
    let places = u64::from(params().models_per_target);
    // All models are equally good, so each place wins as often as another.
    let earned = |seats: u64| i128::from(half * count * seats / (1_000 * places));
    let reveals = i128::from(soma(3).get());
    Row {
        attack: "split stake, models",
        who: "a holder of 40 of 100 SOMA in models, as four of ten, for an epoch",
        put_in: soma(44).get(),
        change: earned(split) - reveals,
        baseline: earned(whole),
        test: "stake_that_is_split_among_models_competes_with_several_of_them",
    }
    .is_stated();
    states(&format!(
        "{} places of 3,000 as one model, {} as four",
        grouped(whole.into()),
        grouped(split.into())
    ));
    let linear = 1_000 * places * 40 / 100;
    states(&format!(
        "drawn with replacement, both have {} on average",
        grouped(linear.into())
    ));
}

#[test]
fn who_withholds_a_beacon_chooses_the_better_of_two() {
    const PAIRS: u64 = 50;
    let models: Vec<_> = [(0, 10); 9].into_iter().chain([(1, 10)]).collect();
    let (network, _) = competing(&models);
    let drawn: Vec<u64> = (0..2 * PAIRS)
        .map(|beacon| seats(&would_spawn(&network, beacon)))
        .collect();
    let (half, _) = half_and_count();
    let places = u64::from(params().models_per_target);
    let honest: u64 = drawn.iter().sum();
    let better: u64 = drawn.chunks(2).filter_map(|pair| pair.iter().max()).sum();
    let earned = |seats: u64, draws: u64| i128::from(half * seats / (draws * places));
    Row {
        attack: "leader grinding",
        who: "a leader with a tenth of the model stake, at one beacon for 100 targets",
        put_in: 0,
        change: earned(better, PAIRS),
        baseline: earned(honest, 2 * PAIRS),
        test: "who_withholds_a_beacon_chooses_the_better_of_two",
    }
    .is_stated();
    let (emission, _) = Emission::draw(&params(), Shannons::SUPPLY);
    let beacons = params().epoch_duration_ms / BEACON_MS;
    let missed = emission.validators.get() / beacons;
    assert!(i128::from(missed) > earned(better, PAIRS) - earned(honest, 2 * PAIRS));
    states(&format!(
        "{} beacons an epoch each is worth {}",
        grouped(beacons.into()),
        grouped(missed.into())
    ));
}
