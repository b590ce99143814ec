//! Work for auditors and custodians that nobody wants, and targets that are held to keep others from them.

use crypto::segments::sealed_length;
use ledger::emission::{Emission, target_reward};
use types::{SOMA, Shannons};

use crate::document::{Row, grouped, states};
use crate::network::{params, soma};
use crate::play::{
    INVALID, active, audit, bond, commit, create, data, fill, leave, population, spawn, together, wealth,
};

/// The epochs of the population have so many targets, and so much less emission.
const TARGETS: u8 = 4;
/// Bytes that a model scores at a time.
const CHUNK_BYTES: u64 = 1_024;

/// How many targets an epoch pays for.
fn all_targets() -> u64 {
    let (emission, _) = Emission::draw(&params(), Shannons::SUPPLY);
    emission.affords(target_reward(&params())).0
}

/// User 2 fills every target of an epoch falsely with data of this length, and everybody says so, twice. Yields the loss of an epoch with
/// all its targets.
fn held(bytes: u64) -> (i128, u64) {
    let mut network = population(&[100_000; 4], &[300; 3]);
    let whole = network.params.epoch_emission.get();
    let times = all_targets() / u64::from(TARGETS);
    network.params.wanted_open_targets = TARGETS.into();
    network.params.wanted_epoch_hits = TARGETS.into();
    network.params.epoch_emission = Shannons::new(whole / times);
    assert_eq!(target_reward(&network.params), target_reward(&params()));
    let model = active(&mut network, &[(0, 10)])[0];
    let targets = spawn(&mut network, 1);
    assert_eq!(targets.len(), usize::from(TARGETS));
    let before = wealth(&network, &[2]);
    for (seed, id) in (0u8..).zip(&targets) {
        fill(&mut network, 2, (*id, model, &data(seed, bytes)));
    }
    assert!(
        spawn(&mut network, 2).is_empty(),
        "the budget of the epoch is spent"
    );
    network.close();
    (0..2).for_each(|_| drop(audit(&mut network, &targets, &together(4, INVALID))));
    let change = wealth(&network, &[2]) - before;
    (change * i128::from(times), bond(&network, bytes) * all_targets())
}

#[test]
fn to_hold_every_target_of_an_epoch_costs_its_budget_at_least() {
    let (change, put_in) = held(1);
    let (emission, _) = Emission::draw(&params(), Shannons::SUPPLY);
    assert!(put_in >= emission.targets.get());
    Row {
        attack: "holding every target",
        who: "who fills all targets of an epoch falsely, with one byte",
        put_in,
        change,
        baseline: 0,
        test: "to_hold_every_target_of_an_epoch_costs_its_budget_at_least",
    }
    .is_stated();
    states(&format!(
        "{} are forfeited, and the budget is {}",
        grouped(put_in.into()),
        grouped(emission.targets.get().into())
    ));
}

#[test]
fn the_longest_false_data_costs_more_and_auditors_have_a_bound() {
    let params = params();
    let bytes = u64::from(params.max_submission_bytes);
    let (change, put_in) = held(bytes);
    Row {
        attack: "audit flood",
        who: "who fills all targets of an epoch falsely, with the longest data",
        put_in,
        change,
        baseline: 0,
        test: "the_longest_false_data_costs_more_and_auditors_have_a_bound",
    }
    .is_stated();
    let seat = u64::from(params.models_per_target) * bytes.div_ceil(CHUNK_BYTES);
    let once = seat * all_targets();
    let seats = once * u64::from(params.audit_seats);
    let stated = [
        ("one seat of one audit", seat),
        ("all seats of all audits of an epoch", seats),
        ("one of 100 equal validators", seats / 100),
        ("one validator, more, were every audit escalated", once),
    ];
    for (what, chunks) in stated {
        states(&format!("| {what} | {} |", grouped(chunks.into())));
    }
}

#[test]
fn an_offer_that_is_left_behind_costs_its_reveal_fee() {
    let mut network = population(&[100_000; 4], &[300; 3]);
    let before = wealth(&network, &[2]);
    let model = create(&mut network, 2, soma(1));
    commit(&mut network, 2, model, 5);
    leave(&mut network, 2, model);
    network.tick(1);
    (0..3).for_each(|_| drop(network.close()));
    Row {
        attack: "reveal flood",
        who: "who commits to weights and takes the stake back before the epoch closes, once",
        put_in: 2 * SOMA.get(),
        change: wealth(&network, &[2]) - before,
        baseline: 0,
        test: "an_offer_that_is_left_behind_costs_its_reveal_fee",
    }
    .is_stated();
    let bytes = u64::from(params().custodians) * sealed_length(params().model_weight_bytes);
    states(&format!("{} bytes for each SOMA", grouped(bytes.into())));
}
