//! Amounts to the shannon and limits to the last one below: where a rule that is a little wrong would still look right.

use ledger::difficulty;
use types::{
    Attestation, Content, Economy, Event, ObjectId, Shannons, Stage, Standing, Status, Target, Targets,
    TransactionKind,
};

use crate::faults::evidence;
use crate::kit::chain;
use crate::models::{self, model};
use crate::network::{Network, params, soma, validator_id};
use crate::targets::{self, INVALID, VALID, audit, filled, target};

/// Accuses validator 1 of two blocks in one slot.
pub fn accuse(network: &mut Network, epoch: u64) -> Status {
    let kind = TransactionKind::ReportEquivocation {
        validator: validator_id(1),
        evidence: evidence(chain(1), 21, epoch),
    };
    network.ask(0, kind)
}

/// What an end of an epoch gave to a pool, with the commission.
pub fn rewarded(events: &[Event], of: ObjectId) -> (u64, u64) {
    let found = events.iter().find_map(|event| match event {
        Event::Rewarded {
            pool,
            amount,
            commission,
        } if *pool == of => Some((amount.get(), commission.get())),
        _ => None,
    });
    found.unwrap()
}

/// What is to be emitted, and what of it is for targets in this epoch.
pub fn pot(network: &Network) -> u64 {
    let Content::Targets(targets) = network.content(Targets::ID) else {
        panic!("it is what belongs to all targets")
    };
    network.economy().emission.get() + targets.budget.get()
}

/// What these validators got at an end of an epoch.
pub fn sum<const N: usize>(events: &[Event], validators: [u8; N]) -> u64 {
    let parts = validators.map(|number| rewarded(events, validator_id(number)));
    parts.iter().map(|(amount, commission)| amount + commission).sum()
}

#[test]
fn a_validator_whose_pool_has_closed_in_its_epoch_earns_for_the_emission_pool() {
    let mut network = models::network();
    network.params.equivocation_slash_bps = 10_000;
    assert_eq!(accuse(&mut network, 1), Status::Success);
    let pool = network.validator(1).pool;
    assert!(pool.closed && pool.shares.get() > 0 && pool.balance == Shannons::ZERO);
    let (before, fees) = (pot(&network), network.economy().fees.get());
    let events = network.close();
    let (amount, commission) = rewarded(&events, validator_id(1));
    assert!(amount > 0 && commission > 0, "it was a member until now");
    assert_eq!(network.validator(1).pool.balance, Shannons::ZERO);
    assert_eq!(network.validator(1).standing, Standing::Retired);
    let paid = sum(&events, [0, 2, 3]) + commission;
    assert_eq!(pot(&network) + paid, before + fees);
}

#[test]
fn a_model_whose_pool_has_closed_earns_for_the_emission_pool() {
    let (mut network, id) = targets::network();
    let target_id = filled(&mut network, id);
    let half = target(&network, target_id).reward.get().div_ceil(2);
    let kind = TransactionKind::DeactivateModel { model: id };
    assert_eq!(network.ask(0, kind), Status::Success);
    let pool = model(&network, id).pool;
    assert!(pool.closed && pool.shares.get() > 0);
    let (before, fees) = (pot(&network), network.economy().fees.get());
    let events = audit(&mut network, target_id, &[VALID(); 4]);
    let (amount, commission) = rewarded(&events, id);
    assert_eq!((amount + commission, commission), (half, half / 20));
    assert_eq!(model(&network, id).pool, pool, "nothing of it is the stakers'");
    assert_eq!(pot(&network) + sum(&events, [0, 1, 2, 3]), before + fees + amount);
}

#[test]
fn a_model_with_a_shannon_less_than_the_least_stake_goes() {
    for missing in [0, 1] {
        let mut network = models::network();
        let id = models::active(&mut network, 1);
        network.params.model_min_stake = Shannons::new(soma(10).get() + missing);
        let events = network.close();
        assert_eq!(
            events.contains(&Event::ModelInactive { model: id }),
            missing == 1,
            "{missing}"
        );
        assert_eq!(model(&network, id).stage == Stage::Inactive, missing == 1);
        assert_eq!(model(&network, id).pool.closed, missing == 1);
    }
}

#[test]
fn an_epoch_with_nearly_the_wanted_fees_moves_the_value_fee_by_little() {
    // Of 40 bps: a twentieth more or less, and at most an eighth.
    for (percent, next) in [(105, 42), (95, 38), (100, 40), (300, 45), (0, 35)] {
        let mut network = Network::new(&[100_000], &[]);
        network.close();
        let before = network.economy();
        let fees = params().wanted_epoch_fees.get() / 100 * percent;
        let economy = Economy {
            fees: Shannons::new(fees),
            emission: Shannons::new(before.emission.get() - fees),
            value_fee_bps: 40,
            ..before
        };
        network.change(Economy::ID, Content::Economy(economy));
        network.close();
        assert_eq!(network.economy().value_fee_bps, next, "{percent} %");
    }
}

#[test]
fn a_reward_is_in_proportion_to_power_and_its_odd_shannon_is_emitted_later() {
    let mut network = Network::new(&[100_000, 100_000, 1_000], &[]);
    network.close();
    let powers: Vec<u16> = network.set().members.values().map(|power| power.get()).collect();
    assert_eq!(powers, [3_334, 3_334, 3_332]);
    let before = pot(&network);
    let events = network.close();
    let share = soma(274).get();
    for (number, power) in (0..).zip(powers) {
        let part = share * u64::from(power) / 10_000;
        let commission = part / 10;
        let expected = (part - commission, commission);
        assert_eq!(rewarded(&events, validator_id(number)), expected);
    }
    assert_eq!(pot(&network) + sum(&events, [0, 1, 2]), before);
}

#[test]
fn half_of_the_committee_against_weights_drops_and_does_not_slash() {
    let mut network = models::network();
    let id = models::create(&mut network, 0, soma(10));
    models::commit(&mut network, 0, id, 1);
    network.tick(1);
    network.close();
    assert_eq!(models::reveal(&mut network, 0, id, 1), Status::Success);
    network.close();
    for by in 0..2 {
        models::attest(&mut network, by, id, models::REJECTED).unwrap();
    }
    let events = network.close();
    assert!(events.contains(&Event::OfferDropped { model: id }), "{events:?}");
    assert_eq!(model(&network, id).pool.balance, soma(10));
}

#[test]
fn what_a_custodian_earns_that_has_left_is_emitted_again() {
    let mut network = models::network();
    let id = models::create(&mut network, 0, soma(10));
    models::commit(&mut network, 0, id, 1);
    network.tick(1);
    let validator = validator_id(3);
    let kind = TransactionKind::RemoveValidator { validator };
    assert_eq!(network.ask(23, kind), Status::Success);
    network.close();
    assert_eq!(network.validator(3).standing, Standing::Retired);
    assert_eq!(models::reveal(&mut network, 0, id, 1), Status::Success);
    for by in 0..4 {
        models::attest(&mut network, by, id, Attestation::Held).unwrap();
    }
    let (before, fees) = (pot(&network), network.economy().fees.get());
    let events = network.close();
    assert!(!events.contains(&Event::SafeMode));
    let fee = params().reveal_fee.get();
    assert_eq!(
        pot(&network) + sum(&events, [0, 1, 2]),
        before + fees + fee,
        "a quarter of the fee was for who has left"
    );
    // Of the emission and the fees, a third is for each of those who are there.
    let (amount, commission) = rewarded(&events, validator_id(0));
    let part = (soma(274).get() + fees) / 10_000 * 3_334 + fee / 4;
    assert!(
        (amount + commission).abs_diff(part) < 10_000,
        "{amount} {commission}"
    );
}

#[test]
fn a_model_that_wins_twice_in_an_epoch_is_paid_twice() {
    let (mut network, id) = targets::network();
    let targets: Vec<ObjectId> = targets::spawn(&mut network).into_iter().take(2).collect();
    for (seed, target_id) in (1..).zip(&targets) {
        let score = targets::score(&network, *target_id, id);
        let status = targets::submit(&mut network, 1, *target_id, &score, &targets::data(seed));
        assert_eq!(status, Status::Success);
    }
    network.tick(10);
    network.close();
    let half = target(&network, targets[0]).reward.get().div_ceil(2);
    for target_id in &targets {
        for by in 0..4 {
            targets::seal(&mut network, by, *target_id, VALID()).unwrap();
        }
    }
    network.clock = params().epoch_duration_ms / 2;
    for target_id in &targets {
        for by in 0..4 {
            targets::open(&mut network, by, *target_id, VALID()).unwrap();
        }
    }
    let (amount, commission) = rewarded(&network.close(), id);
    assert_eq!(amount + commission, 2 * half);
}

#[test]
fn the_difficulty_goes_by_the_hits_and_by_how_long_targets_were_open() {
    let (mut network, id) = targets::network();
    let target_id = targets::spawn(&mut network)[0];
    let score = targets::score(&network, target_id, id);
    let status = targets::submit(&mut network, 1, target_id, &score, &targets::data(1));
    assert_eq!(status, Status::Success);
    network.clock += 60_000;
    network.tick(10);
    let common = |network: &Network| {
        let Content::Targets(targets) = network.content(Targets::ID) else {
            panic!("it is what belongs to all targets")
        };
        targets
    };
    let before = common(&network);
    assert!(before.hits == 1 && before.pace.open_ms > 0);
    network.close();
    let next = difficulty::after(&before.difficulty, &params(), 1, before.pace.open_ms);
    assert_eq!(common(&network).difficulty, next);
}

#[test]
fn data_exactly_at_the_threshold_is_near_enough() {
    let (mut network, id) = targets::network();
    let target_id = targets::spawn(&mut network)[0];
    let score = targets::score(&network, target_id, id);
    let exact = Target {
        threshold: score.distance,
        ..*target(&network, target_id)
    };
    network.change(target_id, Content::Target(Box::new(exact)));
    let status = targets::submit(&mut network, 1, target_id, &score, &targets::data(1));
    assert_eq!(status, Status::Success);
}

#[test]
fn a_false_verdict_costs_a_hundredth_of_the_pool_and_its_remainder() {
    let (mut network, id) = targets::network();
    let target_id = filled(&mut network, id);
    audit(&mut network, target_id, &[INVALID(); 4]);
    let before = network.validator(3).pool.balance.get();
    let events = audit(
        &mut network,
        target_id,
        &[INVALID(), INVALID(), INVALID(), VALID()],
    );
    let amount = Shannons::new(before - before * 99 / 100);
    let (target, by) = (target_id, validator_id(3));
    assert!(
        events.contains(&Event::FalseVerdict { target, by, amount }),
        "{events:?}"
    );
}

#[test]
fn a_target_is_given_to_models_in_proportion_to_their_stake() {
    let mut network = models::network();
    let rich = models::active(&mut network, 1);
    let kind = TransactionKind::AddStakeToModel {
        model: rich,
        coin: network.purse(0),
        amount: Some(soma(290)),
    };
    assert_eq!(network.ask(0, kind), Status::Success);
    let poor = models::active(&mut network, 2);
    let stake = |id| model(&network, id).pool.balance;
    assert_eq!((stake(rich), stake(poor)), (soma(300), soma(10)));
    network.params.models_per_target = 1;
    let spawned = targets::spawn(&mut network);
    let of_rich = spawned
        .iter()
        .filter(|id| target(&network, **id).contenders[0].model == rich);
    let (of_rich, all) = (of_rich.count(), spawned.len());
    assert!(
        all == 100 && of_rich > 85 && of_rich < 100,
        "{of_rich} of {all}, of which 97 are expected"
    );
}
