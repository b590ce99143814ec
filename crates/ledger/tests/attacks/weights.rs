//! Weights that do not come, and stake that leaves before it is slashed.

use types::{Attestation, Event, Rejection};

use crate::document::Row;
use crate::network::{Network, soma, validator_id};
use crate::play::{
    INVALID, VALID, active, attest, audit, commit, create, data, fill, leave, population, reveal, said,
    spawn, wealth,
};

/// What is put into a model: its stake and the fee of a reveal.
fn put_in() -> u64 {
    soma(10).get() + soma(1).get()
}

/// A model of user 2's that is committed to, and one epoch later.
fn committed(network: &mut Network) -> types::ObjectId {
    let model = create(network, 2, soma(10));
    commit(network, 2, model, 5);
    network.tick(1);
    network.close();
    model
}

fn row(attack: &'static str, who: &'static str, change: i128, test: &'static str) {
    Row {
        attack,
        who,
        put_in: put_in(),
        change,
        baseline: 0,
        test,
    }
    .is_stated();
}

#[test]
fn weights_that_are_never_shown_cost_half_of_the_stake() {
    let mut network = population(&[100_000; 4], &[300; 3]);
    let before = wealth(&network, &[2]);
    committed(&mut network);
    network.close();
    row(
        "vanished weights, not shown",
        "an owner who commits and shows nothing",
        wealth(&network, &[2]) - before,
        "weights_that_are_never_shown_cost_half_of_the_stake",
    );
}

/// Reveals weights that so many of four validators have, and has all be asked twice.
fn shown_to(holders: u8) -> i128 {
    let mut network = population(&[100_000; 4], &[300; 3]);
    let before = wealth(&network, &[2]);
    let model = committed(&mut network);
    reveal(&mut network, 2, model, 5);
    for _ in 0..2 {
        for by in 0..4 {
            let found = match by < holders {
                true => Attestation::Held,
                false => Attestation::Rejected(Rejection::Unavailable),
            };
            attest(&mut network, by, model, found);
        }
        network.close();
    }
    wealth(&network, &[2]) - before
}

#[test]
fn weights_that_nobody_can_fetch_cost_half_of_the_stake() {
    row(
        "vanished weights, shown and not served",
        "an owner whose file cannot be fetched after the reveal",
        shown_to(0),
        "weights_that_nobody_can_fetch_cost_half_of_the_stake",
    );
}

#[test]
fn weights_that_half_of_the_committee_has_cost_the_reveal_fee() {
    row(
        "vanished weights, served to half",
        "an owner who serves the file to half of the power",
        shown_to(2),
        "weights_that_half_of_the_committee_has_cost_the_reveal_fee",
    );
}

#[test]
fn an_owner_whose_stake_leaves_before_the_reveal_is_slashed_all_the_same() {
    let mut network = population(&[100_000; 4], &[300; 3]);
    let before = wealth(&network, &[2]);
    let model = create(&mut network, 2, soma(10));
    network.close();
    commit(&mut network, 2, model, 5);
    leave(&mut network, 2, model);
    network.tick(1);
    (0..3).for_each(|_| drop(network.close()));
    row(
        "run before slash, owner",
        "an owner who commits, withdraws all stake and shows nothing",
        wealth(&network, &[2]) - before,
        "an_owner_whose_stake_leaves_before_the_reveal_is_slashed_all_the_same",
    );
}

/// What a validator is richer by that has spoken falsely or not, and has then withdrawn its stake or not.
fn auditor(is_false: bool, runs: bool) -> i128 {
    let mut network = population(&[100_000; 5], &[300; 3]);
    network.pay(2, 24, soma(100));
    let model = active(&mut network, &[(0, 10)])[0];
    let targets = &spawn(&mut network, 1)[..1];
    let before = wealth(&network, &[24]);
    fill(&mut network, 1, (targets[0], model, &data(1, 1_000)));
    network.tick(2);
    network.close();
    if runs {
        leave(&mut network, 24, validator_id(4));
    }
    let mut openings: Vec<_> = (0..4).map(|by| (by, said(VALID, 1))).collect();
    let verdict = if is_false { INVALID } else { VALID };
    openings.push((4, said(verdict, 1)));
    audit(&mut network, targets, &openings);
    if is_false {
        let events = audit(&mut network, targets, &openings[..4]);
        let is_slashed = |event: &Event| matches!(event, Event::FalseVerdict { .. });
        assert!(events.iter().any(is_slashed));
    } else {
        network.close();
    }
    wealth(&network, &[24]) - before
}

#[test]
fn an_auditor_whose_stake_leaves_is_slashed_for_what_it_said() {
    Row {
        attack: "run before slash, auditor",
        who: "a validator that opens a false verdict and withdraws at once",
        put_in: soma(100_000).get(),
        change: auditor(true, true),
        baseline: auditor(false, true),
        test: "an_auditor_whose_stake_leaves_is_slashed_for_what_it_said",
    }
    .is_stated();
}
