//! Amounts to the shannon and limits to the last one below: where a rule that is a little wrong would still look right.

use types::{Content, Economy, Event, ObjectId, Shannons, Stage, Standing, Status, Targets, TransactionKind};

use crate::faults::evidence;
use crate::kit::chain;
use crate::models::{self, model};
use crate::network::{Network, params, soma, validator_id};
use crate::targets::{self, VALID, audit, filled, target};

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
