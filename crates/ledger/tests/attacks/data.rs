//! Who submits what others have found, or keeps them from submitting it.

use types::{Failure, Status, receipt_id};

use crate::document::Row;
use crate::play::{
    INVALID, VALID, active, audit, bond, buy, claim, data, fill, give_back, is_gone, population, spawn,
    submit, together, wealth,
};

/// The copyist sees an opening before it is ordered and buys a ticket in front of it.
fn copied(is_attacked: bool) -> (i128, u64) {
    let mut network = population(&[100_000; 4], &[300; 3]);
    let model = active(&mut network, &[(0, 10)])[0];
    let (id, data) = (spawn(&mut network, 1)[0], data(1, 1_000));
    let (before, said) = (wealth(&network, &[2]), (id, model, &data));
    buy(&mut network, 1, said);
    network.clock += network.params.ticket_age_ms;
    if is_attacked {
        buy(&mut network, 2, said);
        let young = submit(&mut network, 2, said);
        assert!(matches!(young, Status::Failure(Failure::TicketTooYoung(_))));
    }
    assert_eq!(submit(&mut network, 1, said), Status::Success);
    if is_attacked {
        network.clock += network.params.ticket_age_ms;
        let late = submit(&mut network, 2, said);
        assert_eq!(late, Status::Failure(Failure::TargetFilled(id)));
        give_back(&mut network, 2);
    }
    (wealth(&network, &[2]) - before, bond(&network, data.bytes))
}

#[test]
fn a_copied_submission_comes_too_late_and_costs_its_ticket() {
    let ((change, put_in), (baseline, _)) = (copied(true), copied(false));
    Row {
        attack: "copied submission",
        who: "who watches what is submitted",
        put_in,
        change,
        baseline,
        test: "a_copied_submission_comes_too_late_and_costs_its_ticket",
    }
    .is_stated();
}

/// The squatter fills a target with data that is public before the other does it with another one; the squatter's score is made up.
fn squatted(is_attacked: bool) -> (i128, u64) {
    let mut network = population(&[100_000; 4], &[300; 3]);
    let model = active(&mut network, &[(0, 10)])[0];
    let (targets, data) = (spawn(&mut network, 1), data(1, 1));
    let before = wealth(&network, &[2]);
    if is_attacked {
        fill(&mut network, 2, (targets[0], model, &data));
        let said = (targets[1], model, &data);
        buy(&mut network, 1, said);
        network.clock += network.params.ticket_age_ms;
        let used = Status::Failure(Failure::DataUsed(targets[0]));
        assert_eq!(submit(&mut network, 1, said), used);
        network.tick(2);
        network.close();
        (0..2).for_each(|_| drop(audit(&mut network, &targets[..1], &together(4, INVALID))));
        assert!(
            is_gone(&network, receipt_id(data.checksum)),
            "it can be used again"
        );
    }
    (wealth(&network, &[2]) - before, bond(&network, data.bytes))
}

#[test]
fn who_squats_on_a_checksum_loses_the_bond() {
    let ((change, put_in), (baseline, _)) = (squatted(true), squatted(false));
    Row {
        attack: "checksum squatting",
        who: "who claims public data first, with a false score",
        put_in,
        change,
        baseline,
        test: "who_squats_on_a_checksum_loses_the_bond",
    }
    .is_stated();
}

/// One byte of what has filled a target is changed, and fills the next one.
fn near(is_attacked: bool) -> (i128, u64) {
    let mut network = population(&[100_000; 4], &[300; 3]);
    let model = active(&mut network, &[(0, 10)])[0];
    let targets = spawn(&mut network, 1);
    let before = wealth(&network, &[2]);
    fill(&mut network, 1, (targets[0], model, &data(1, 1_000)));
    if is_attacked {
        fill(&mut network, 2, (targets[1], model, &data(2, 1_000)));
    }
    network.tick(2);
    network.close();
    let filled = if is_attacked { 2 } else { 1 };
    audit(&mut network, &targets[..filled], &together(4, VALID));
    if is_attacked {
        claim(&mut network, 2, targets[1]);
    }
    (wealth(&network, &[2]) - before, bond(&network, 1_000))
}

#[test]
fn data_with_one_byte_changed_is_other_data() {
    let ((change, put_in), (baseline, _)) = (near(true), near(false));
    Row {
        attack: "near-copied data",
        who: "who changes a byte of data that has filled a target",
        put_in,
        change,
        baseline,
        test: "data_with_one_byte_changed_is_other_data",
    }
    .is_stated();
}
