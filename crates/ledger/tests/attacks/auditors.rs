//! Auditors who say what they are paid for, or what others have said.

use types::{Event, Verdict};

use crate::document::{Row, grouped, states};
use crate::network::{Network, soma, validator_id};
use crate::play::{INVALID, VALID, active, audit, bond, data, fill, population, said, spawn, wealth};

/// Two of six validators whose powers add up to this.
fn bribed(network: &Network, power: u16) -> [u8; 2] {
    let powers: Vec<u16> = (0..6)
        .map(|by| network.set().members[&validator_id(by)].get())
        .collect();
    let pairs = (0..6u8).flat_map(|one| (one + 1..6).map(move |other| [one, other]));
    let mut pairs = pairs.filter(|pair| pair.iter().map(|by| powers[usize::from(*by)]).sum::<u16>() == power);
    pairs.next().unwrap()
}

/// User 1 fills a target falsely, and those two open what user 1 asks for; they are one purse. Without the attack the target stays open.
fn bribery(power: u16, is_attacked: bool) -> (i128, Option<Option<Verdict>>) {
    let mut network = population(&[100_000; 6], &[300; 3]);
    let model = active(&mut network, &[(0, 10)])[0];
    let targets = &spawn(&mut network, 1)[..1];
    let those = bribed(&network, power);
    let purse = [1, 20 + those[0], 20 + those[1]];
    let before = wealth(&network, &purse);
    if is_attacked {
        fill(&mut network, 1, (targets[0], model, &data(1, 1_000)));
    }
    network.tick(2);
    network.close();
    let openings: Vec<_> = (0..6)
        .map(|by| (by, said(if those.contains(&by) { VALID } else { INVALID }, 1)))
        .collect();
    let mut outcome = None;
    for _ in 0..2 {
        let audited = if is_attacked { targets } else { &[] };
        let events = audit(&mut network, audited, &openings);
        outcome = outcome.or(events.iter().find_map(|event| match event {
            Event::Settled { outcome, .. } => Some(*outcome),
            _ => None,
        }));
    }
    (wealth(&network, &purse) - before, outcome)
}

/// Two pools, and the bond.
fn put_in() -> u64 {
    let network = population(&[100_000; 6], &[300; 3]);
    soma(200_000).get() + bond(&network, 1_000)
}

#[test]
fn a_bribed_third_is_outvoted_and_slashed() {
    let ((change, outcome), (baseline, _)) = (bribery(3_333, true), bribery(3_333, false));
    assert_eq!(outcome, Some(Some(INVALID)));
    Row {
        attack: "bribed auditors, one third",
        who: "a submitter of false data with power 3,333",
        put_in: put_in(),
        change,
        baseline,
        test: "a_bribed_third_is_outvoted_and_slashed",
    }
    .is_stated();
}

#[test]
fn more_than_a_bribed_third_make_an_audit_void() {
    let ((change, outcome), (baseline, _)) = (bribery(3_334, true), bribery(3_334, false));
    assert_eq!(outcome, Some(None));
    Row {
        attack: "bribed auditors, more than one third",
        who: "a submitter of false data with power 3,334",
        put_in: put_in(),
        change,
        baseline,
        test: "more_than_a_bribed_third_make_an_audit_void",
    }
    .is_stated();
}

/// What the last of six validators does: says nothing, says in the second round what was opened in the first, or audits both times.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lazy {
    Silent,
    Copies,
    Audits,
}

/// What the last validator is richer by in two rounds, and what the first one's objection costs it.
fn copying(lazy: Lazy) -> (i128, u64) {
    let mut network = population(&[100_000; 6], &[300; 3]);
    let model = active(&mut network, &[(0, 10)])[0];
    let targets = &spawn(&mut network, 1)[..1];
    fill(&mut network, 1, (targets[0], model, &data(1, 1_000)));
    network.tick(2);
    network.close();
    let before = wealth(&network, &[25]);
    let truth = said(VALID, 1);
    let mut openings: Vec<_> = (1..5).map(|by| (by, truth)).collect();
    openings.push((0, said(INVALID, 9)));
    if lazy == Lazy::Audits {
        openings.push((5, truth));
    }
    audit(&mut network, targets, &openings);
    let mut openings: Vec<_> = (0..5).map(|by| (by, truth)).collect();
    if lazy != Lazy::Silent {
        openings.push((5, truth));
    }
    let events = audit(&mut network, targets, &openings);
    let lost = events.iter().find_map(|event| match event {
        Event::FalseVerdict { by, amount, .. } if *by == validator_id(0) => Some(amount.get()),
        _ => None,
    });
    (wealth(&network, &[25]) - before, lost.unwrap())
}

#[test]
fn a_verdict_that_is_copied_when_all_are_asked_earns_like_work() {
    let ((silent, lost), (copied, _), (honest, _)) = (
        copying(Lazy::Silent),
        copying(Lazy::Copies),
        copying(Lazy::Audits),
    );
    Row {
        attack: "copied verdicts",
        who: "one of six validators, which runs no model, in an escalated audit",
        put_in: soma(100_000).get(),
        change: copied,
        baseline: silent,
        test: "a_verdict_that_is_copied_when_all_are_asked_earns_like_work",
    }
    .is_stated();
    states(&format!("one that audits both times earns {}", grouped(honest)));
    states(&format!(
        "whoever objects falsely to cause it loses {}",
        grouped(lost.into())
    ));
}
