//! What auditors say of a submission, and what becomes of it and of them.

use crypto::Digest;
use ledger::Reject;
use types::{Audit, Event, Failure, ObjectId, Status, TransactionKind, UnixMillis, Verdict, receipt_id};

use crate::network::{Network, params, validator_id};
use crate::targets::{
    INVALID, VALID, audit, claim, data, filled, network, open, said, score, seal, spawn, submit, target,
};

#[test]
fn a_submission_that_is_false_loses_its_bond() {
    let (mut network, model) = network();
    let id = filled(&mut network, model);
    // One that objects is enough for all to be asked.
    let events = audit(&mut network, id, &[VALID(), VALID(), VALID(), INVALID()]);
    assert!(!events.iter().any(|event| matches!(event, Event::Settled { .. })));
    let stake = |network: &Network, by| network.validator(by).pool.balance.get();
    let before: Vec<u64> = (0..4).map(|by| stake(&network, by)).collect();
    let events = audit(&mut network, id, &[VALID(), INVALID(), INVALID(), INVALID()]);
    let outcome = Some(Verdict::Invalid);
    assert!(events.contains(&Event::Settled { target: id, outcome }));
    assert!(network.is_gone(id) && network.is_gone(receipt_id(data(1).checksum)));
    // Three have said something else at first, and one of them still does.
    for by in 0..4 {
        let lost = events
            .iter()
            .any(|event| matches!(event, Event::FalseVerdict { by: who, .. } if *who == validator_id(by)));
        assert_eq!(lost, by < 3, "{by}");
        let less = stake(&network, by) < before[usize::from(by)];
        assert_eq!(less, by < 3, "{by}: a hundredth is more than a day's reward");
    }
}

#[test]
fn who_is_right_is_paid_when_all_were_asked() {
    let (mut network, model) = network();
    let id = filled(&mut network, model);
    audit(&mut network, id, &[VALID(), VALID(), INVALID()]);
    let events = audit(
        &mut network,
        id,
        &[VALID(), VALID(), VALID(), said(Verdict::Valid, 9)],
    );
    assert!(events.contains(&Event::Settled {
        target: id,
        outcome: Some(Verdict::Valid)
    }));
    let is_false = |by| {
        events
            .iter()
            .any(|event| matches!(event, Event::FalseVerdict { by: who, .. } if *who == validator_id(by)))
    };
    let found: Vec<bool> = (0..4).map(is_false).collect();
    // Another trace is another verdict.
    assert_eq!(found, [false, false, true, true]);
    assert_eq!(claim(&mut network, 1, id), Status::Success);
}

#[test]
fn what_nobody_audits_is_nobodys_fault_and_nobodys_money() {
    let (mut network, model) = network();
    let id = filled(&mut network, model);
    let before = network.money(1);
    network.close();
    let round = |network: &Network| {
        let fill = target(network, id).fill.unwrap();
        matches!(fill.audit, Audit::Committee { .. })
    };
    assert!(round(&network));
    // Half of the committee is no quorum.
    let events = audit(&mut network, id, &[VALID(); 2]);
    assert!(events.contains(&Event::Settled {
        target: id,
        outcome: None
    }));
    let bond = network.money(1) - before;
    assert!(bond > 650_000, "{bond} came back");
    assert!(network.is_gone(id) && network.is_gone(receipt_id(data(1).checksum)));
}

#[test]
fn data_that_nobody_can_have_settles_as_false_by_a_quorum_only() {
    let (mut network, model) = network();
    let id = filled(&mut network, model);
    let unavailable = said(Verdict::Unavailable, 0);
    let events = audit(&mut network, id, &[unavailable; 4]);
    assert!(
        !events.iter().any(|event| matches!(event, Event::Settled { .. })),
        "not at first"
    );
    let events = audit(&mut network, id, &[unavailable; 3]);
    let outcome = Some(Verdict::Unavailable);
    assert!(events.contains(&Event::Settled { target: id, outcome }));
}

#[test]
fn who_has_a_seat_and_says_nothing_earns_no_emission() {
    let (mut network, model) = network();
    let id = filled(&mut network, model);
    let before: Vec<u64> = (0..4)
        .map(|by| network.validator(by).pool.balance.get())
        .collect();
    // One that has another trace has not run the models, or not well.
    audit(
        &mut network,
        id,
        &[VALID(), said(Verdict::Valid, 9), VALID(), VALID()],
    );
    let gained: Vec<u64> = (0..4u8)
        .map(|by| network.validator(by).pool.balance.get() - before[usize::from(by)])
        .collect();
    assert_eq!(gained[0], gained[2]);
    let share = params().epoch_emission.get() / 5 / 4;
    assert!(gained[0] - gained[1] >= share - 10, "{gained:?}");
}

#[test]
fn verdicts_are_sealed_before_they_are_opened_and_by_those_who_have_seats() {
    let (mut network, model) = network();
    let id = filled(&mut network, model);
    let refused = |failure| Err(Reject::NoDuty(failure));
    let turn = UnixMillis::new(network.at + params().epoch_duration_ms / 2);
    assert_eq!(
        open(&mut network, 0, id, VALID()),
        refused(Failure::WrongHalf(turn))
    );
    seal(&mut network, 0, id, VALID()).unwrap();
    let nothing = Failure::NothingToAudit(validator_id(0));
    assert_eq!(seal(&mut network, 0, id, INVALID()), refused(nothing.clone()));
    // Another's seal can be repeated and not be opened: it is the other's.
    let kind = TransactionKind::SealVerdict {
        validator: validator_id(1),
        target: id,
        seal: VALID().seal(validator_id(0), id, [0; 32]),
    };
    network.serve(21, kind).unwrap();
    let kind = TransactionKind::SealVerdict {
        validator: validator_id(2),
        target: id,
        seal: Digest::of(b"seal"),
    };
    assert_eq!(
        network.serve(23, kind),
        refused(Failure::NotOwner(validator_id(2)))
    );
    network.clock = params().epoch_duration_ms / 2;
    assert_eq!(
        seal(&mut network, 3, id, VALID()),
        refused(Failure::WrongHalf(turn))
    );
    assert_eq!(
        open(&mut network, 3, id, VALID()),
        refused(Failure::NothingToAudit(validator_id(3)))
    );
    let kind = TransactionKind::OpenVerdict {
        validator: validator_id(1),
        target: id,
        opening: VALID(),
        salt: [0; 32],
    };
    assert_eq!(network.serve(21, kind), refused(Failure::SealMismatch));
    assert_eq!(
        open(&mut network, 0, id, INVALID()),
        refused(Failure::SealMismatch)
    );
    open(&mut network, 0, id, VALID()).unwrap();
    assert_eq!(open(&mut network, 0, id, VALID()), refused(nothing));
    let elsewhere = ObjectId::from_low(250);
    assert_eq!(
        open(&mut network, 0, elsewhere, VALID()),
        refused(Failure::NotATarget(elsewhere))
    );
}

#[test]
fn a_seat_that_no_beacon_draws_is_everybodys() {
    let (mut network, model) = network();
    let id = spawn(&mut network)[0];
    let score = score(&network, id, model);
    assert_eq!(submit(&mut network, 1, id, &score, &data(1)), Status::Success);
    network.close();
    assert_eq!(
        network
            .tick(3)
            .iter()
            .filter(|event| matches!(event, Event::SeatsDrawn { .. }))
            .count(),
        0
    );
    let events = audit(&mut network, id, &[VALID(); 3]);
    assert!(events.contains(&Event::Settled {
        target: id,
        outcome: Some(Verdict::Valid)
    }));
}

#[test]
fn where_there_are_more_validators_than_seats_some_are_drawn() {
    let (mut network, model) = network();
    network.params.audit_seats = 2;
    let id = spawn(&mut network)[0];
    let score = score(&network, id, model);
    assert_eq!(submit(&mut network, 1, id, &score, &data(1)), Status::Success);
    network.tick(10);
    let Audit::Seats(round) = target(&network, id).fill.unwrap().audit else {
        panic!("seats are drawn")
    };
    assert_eq!(round.seats.len(), 2);
    network.close();
    let seated: Vec<u8> = (0..4)
        .filter(|by| round.seats.contains_key(&validator_id(*by)))
        .collect();
    let other = (0..4).find(|by| !seated.contains(by)).unwrap();
    assert_eq!(
        seal(&mut network, other, id, VALID()),
        Err(Reject::NoDuty(Failure::NothingToAudit(validator_id(other))))
    );
    for by in &seated {
        seal(&mut network, *by, id, VALID()).unwrap();
    }
    network.clock = params().epoch_duration_ms / 2;
    // Half of the seats are not two thirds.
    open(&mut network, seated[0], id, VALID()).unwrap();
    let events = network.close();
    assert!(!events.iter().any(|event| matches!(event, Event::Settled { .. })));
}
