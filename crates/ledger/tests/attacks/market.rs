//! Owners who submit to themselves, stake that is split among validators, and claims of others.

use ledger::emission::Emission;
use types::Shannons;

use crate::document::{Row, grouped, states};
use crate::network::{params, soma};
use crate::play::{
    INVALID, VALID, active, audit, bond, claim, data, fill, population, spawn, together, wealth,
};

/// What the owner of the only model is richer by who fills a target with data that the model is best at, or is said to be.
fn own_win(is_attacked: bool, is_true: bool) -> (i128, u64) {
    let mut network = population(&[100_000; 4], &[300; 3]);
    let model = active(&mut network, &[(0, 10)])[0];
    let targets = &spawn(&mut network, 1)[..1];
    let before = wealth(&network, &[0]);
    if is_attacked {
        fill(&mut network, 0, (targets[0], model, &data(1, 1_000)));
    }
    network.tick(2);
    network.close();
    if is_attacked && is_true {
        audit(&mut network, targets, &together(4, VALID));
        claim(&mut network, 0, targets[0]);
    } else if is_attacked {
        (0..2).for_each(|_| drop(audit(&mut network, targets, &together(4, INVALID))));
    }
    (wealth(&network, &[0]) - before, bond(&network, 1_000))
}

#[test]
fn an_owner_who_feeds_the_own_model_is_paid_twice_where_it_is_best() {
    let ((change, put_in), (baseline, _)) = (own_win(true, true), own_win(false, true));
    Row {
        attack: "self-dealing owner, true",
        who: "an owner with data that the own model is best at",
        put_in,
        change,
        baseline,
        test: "an_owner_who_feeds_the_own_model_is_paid_twice_where_it_is_best",
    }
    .is_stated();
}

#[test]
fn an_owner_who_says_that_the_own_model_wins_loses_the_bond() {
    let ((change, put_in), (baseline, _)) = (own_win(true, false), own_win(false, false));
    Row {
        attack: "self-dealing owner, false",
        who: "an owner who names the own model where another is better",
        put_in,
        change,
        baseline,
        test: "an_owner_who_says_that_the_own_model_wins_loses_the_bond",
    }
    .is_stated();
}

/// What forty of a hundred parts of all stake earn in an epoch, in this many validators.
fn earned(parts: u8) -> (i128, u64) {
    let part = 40_000 / u64::from(parts);
    let own = (0..parts).map(|_| part);
    let stakes: Vec<u64> = own.chain([20_000; 3]).collect();
    let mut network = population(&stakes, &[300]);
    let accounts: Vec<u8> = (20..20 + parts).collect();
    let members = network.set().members.into_values().take(parts.into());
    let power = members.map(|power| u64::from(power.get())).sum();
    let before = wealth(&network, &accounts);
    network.close();
    (wealth(&network, &accounts) - before, power)
}

#[test]
fn stake_that_is_split_among_validators_escapes_the_cap() {
    let ((change, split), (baseline, whole)) = (earned(4), earned(1));
    Row {
        attack: "split stake, validators",
        who: "a holder of 40 % of all stake beside three of 20 %",
        put_in: soma(40_000).get(),
        change,
        baseline,
        test: "stake_that_is_split_among_validators_escapes_the_cap",
    }
    .is_stated();
    states(&format!(
        "power {} as one validator, {} as four",
        grouped(whole.into()),
        grouped(split.into())
    ));
    let (emission, _) = Emission::draw(&params(), Shannons::SUPPLY);
    let by_stake = emission.validators.get() * 40 / 100;
    states(&format!(
        "divided by stake, both earn {}",
        grouped(by_stake.into())
    ));
}

/// Somebody else claims what a submitter has forgotten for an epoch.
fn sniped(is_attacked: bool) -> i128 {
    let mut network = population(&[100_000; 4], &[300; 3]);
    let model = active(&mut network, &[(0, 10)])[0];
    let targets = &spawn(&mut network, 1)[..1];
    let before = wealth(&network, &[2]);
    fill(&mut network, 1, (targets[0], model, &data(1, 1_000)));
    network.tick(2);
    network.close();
    audit(&mut network, targets, &together(4, VALID));
    network.close();
    if is_attacked {
        claim(&mut network, 2, targets[0]);
    }
    wealth(&network, &[2]) - before
}

#[test]
fn a_claim_that_is_left_for_an_epoch_pays_a_finder() {
    Row {
        attack: "claim sniping",
        who: "whoever claims first for a submitter who is an epoch late",
        put_in: 0,
        change: sniped(true),
        baseline: sniped(false),
        test: "a_claim_that_is_left_for_an_epoch_pays_a_finder",
    }
    .is_stated();
}
