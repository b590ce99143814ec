//! Attacks on the game of models, submitters and auditors that the reference does not withstand. `WEAKNESSES.md` lists them.

use crypto::Digest;
use ledger::pool;
use ledger::schedule::waves;
use types::{
    Attestation, Content, Event, Failure, Line, Manifest, ObjectId, Shannons, Status, Target, Transaction,
    TransactionKind, Verdict,
};

use crate::kit::{chain, list, user};
use crate::margins::{pot, rewarded, sum};
use crate::models;
use crate::network::{Network, params, soma};
use crate::targets::{
    INVALID, VALID, audit, claim, data, filled, network, opened, purchase, score, spawn, submit, target,
};

#[test]
fn w_h1_what_nobody_has_audited_is_paid_to_nobody() {
    let (mut network, model) = network();
    let id = filled(&mut network, model);
    let reward = target(&network, id).reward.get();
    let pool = models::model(&network, model).pool;
    for number in [0, 1, 20] {
        let status = claim(&mut network, number, id);
        assert_eq!(
            status,
            Status::Failure(Failure::NotSettled(id)),
            "nobody has looked"
        );
    }
    network.close();
    for number in [0, 1, 20] {
        let status = claim(&mut network, number, id);
        assert_eq!(status, Status::Failure(Failure::NotSettled(id)), "all are asked");
    }
    let (before, fees) = (pot(&network), network.economy().fees.get());
    let events = network.close();
    assert!(events.contains(&Event::Settled {
        target: id,
        outcome: None
    }));
    assert_eq!(pot(&network) + sum(&events, [0, 1, 2, 3]), before + fees + reward);
    assert_eq!(models::model(&network, model).pool, pool);
    let status = claim(&mut network, 1, id);
    assert_eq!(status, Status::Failure(Failure::NotATarget(id)));
}

#[test]
fn w_h3_a_winner_that_has_not_won_earns_nothing_and_costs_the_bond() {
    let (mut network, best) = network();
    let other = models::active(&mut network, 2);
    // Whoever has run all contenders finds `best`; the submitter names `other`.
    let id = filled(&mut network, other);
    let contenders = target(&network, id).contenders;
    let contenders: Vec<ObjectId> = contenders.iter().map(|contender| contender.model).collect();
    assert!(contenders.contains(&best) && contenders.contains(&other));
    let pools = |network: &Network| [best, other].map(|id| models::model(network, id).pool);
    let (before, money) = (pools(&network), network.money(1));
    audit(&mut network, id, &[INVALID(); 4]);
    let events = audit(&mut network, id, &[INVALID(); 4]);
    let outcome = Some(Verdict::Invalid);
    assert!(events.contains(&Event::Settled { target: id, outcome }));
    assert_eq!(pools(&network), before);
    assert_eq!(network.money(1), money, "nothing of the bond is back");
}

/// Fills a target with data at this address, and waits for a beacon.
fn replaced(url: &str) -> (usize, Vec<Target>) {
    let (mut network, model) = network();
    let id = spawn(&mut network)[0];
    let targets = |network: &Network| {
        let all = network.state.iter();
        all.filter(|live| matches!(live.object().content, Content::Target(_)))
            .count()
    };
    let before = targets(&network);
    let score = score(&network, id, model);
    let data = Manifest {
        url: Line::try_from(url.to_owned()).unwrap(),
        ..data(1)
    };
    assert_eq!(submit(&mut network, 1, id, &score, &data), Status::Success);
    let at_once = targets(&network) - before;
    network.clock += 10_000;
    let spawned = spawn(&mut network);
    (
        at_once,
        spawned.into_iter().map(|id| *target(&network, id)).collect(),
    )
}

#[test]
fn w_h5_no_byte_of_a_submission_decides_what_comes_next() {
    let (at_once, next) = replaced("https://a.example/one");
    assert_eq!((at_once, next.len()), (0, 1), "it waits for a beacon");
    assert_eq!(replaced("https://a.example/two"), (at_once, next));
}

#[test]
fn w_h5_who_knows_a_beacon_before_its_commit_gets_no_target_from_it() {
    let (mut network, model) = network();
    let id = spawn(&mut network)[0];
    let score = score(&network, id, model);
    let kind = purchase(&network, 1, id, &score, &data(1));
    assert_eq!(network.ask(1, kind), Status::Success);
    network.clock += 10_000;
    let kind = opened(&network, 1, id, &score, &data(1));
    let open = |network: &Network| {
        let all = network.state.iter();
        let targets = all.filter_map(|live| match &live.object().content {
            Content::Target(target) => Some(target.fill.is_none()),
            _ => None,
        });
        targets.filter(|is_open| *is_open).count()
    };
    let before = open(&network);
    network.beacon = Some(Digest::of(b"what its leader will sign"));
    assert_eq!(network.ask(1, kind), Status::Success);
    assert_eq!(open(&network), before - 1, "the next beacon replaces it");
    spawn(&mut network);
    assert_eq!(open(&network), before);
}

#[test]
fn w_h6_who_stakes_with_a_model_earns_what_it_wins() {
    let (mut network, model) = network();
    let kind = TransactionKind::AddStakeToModel {
        model,
        coin: network.purse(1),
        amount: Some(soma(30)),
    };
    assert_eq!(network.ask(1, kind), Status::Success);
    let receipt = network.of(1, false)[0].id;
    let id = filled(&mut network, model);
    let half = target(&network, id).reward.get().div_ceil(2);
    let events = audit(&mut network, id, &[VALID(); 4]);
    let commission = half / 20;
    assert_eq!(rewarded(&events, model), (half - commission, commission));
    let Content::StakedSoma(staked) = network.content(receipt) else {
        panic!("it is a receipt")
    };
    let worth = pool::value(&models::model(&network, model).pool, &staked).unwrap();
    // Three of four parts are this user's.
    let earned = worth.get() - soma(30).get();
    let expected = (half - commission) * 3 / 4;
    assert!(
        earned <= expected && earned + 3 > expected,
        "{earned} of {expected}"
    );
}

#[test]
fn w_h14_an_update_does_not_change_what_was_competed_with() {
    let (mut network, model) = network();
    models::commit(&mut network, 0, model, 2);
    let id = filled(&mut network, model);
    assert_eq!(models::reveal(&mut network, 0, model, 2), Status::Success);
    for by in 0..4 {
        models::attest(&mut network, by, model, Attestation::Held).unwrap();
    }
    network.close();
    let now = models::model(&network, model);
    assert_eq!(now.weights().unwrap().reveal.weights, Digest::of(&[2]));
    let asked = target(&network, id);
    assert_eq!(asked.contenders[0].model, model);
    assert_eq!(
        asked.contenders[0].weights,
        Digest::of(&[1]),
        "those that audits are of"
    );
}

#[test]
fn w_h19_who_fills_one_target_waits_for_nobody_who_fills_another() {
    let (mut network, model) = network();
    let targets = spawn(&mut network);
    let ask = |number: u8, kind: TransactionKind, network: &Network| Transaction {
        chain: chain(1),
        expiry: None,
        sender: user(number),
        gas: list([network.purse(number)]),
        kind,
    };
    let scheduled = |all: &[Transaction; 2]| waves(all.iter().map(|one| (one, one.digest())));
    let works = [(0, targets[0]), (1, targets[1])].map(|(number, id)| {
        let score = score(&network, id, model);
        (number, id, score, data(number))
    });
    let bought = works.each_ref().map(|(number, id, score, data)| {
        ask(*number, purchase(&network, *number, *id, score, data), &network)
    });
    assert_eq!(scheduled(&bought), [vec![0, 1]]);
    for (number, transaction) in (0..).zip(bought) {
        assert_eq!(network.ask(number, transaction.kind), Status::Success);
    }
    let shown = works
        .each_ref()
        .map(|(number, id, score, data)| ask(*number, opened(&network, *number, *id, score, data), &network));
    assert_eq!(scheduled(&shown), [vec![0, 1]]);
    let kinds = shown.map(|transaction| transaction.kind);
    network.clock += params().ticket_age_ms;
    for (number, kind) in (0..).zip(kinds) {
        assert_eq!(network.ask(number, kind), Status::Success);
    }
}

#[test]
fn w_h23_who_makes_a_long_transaction_fail_has_paid_for_its_bytes() {
    let (mut network, model) = network();
    let mut fee = |length: usize| {
        let mut kind = models::commitment(&network, 1, model, 3);
        if let TransactionKind::CommitModel { manifest, .. } = &mut kind {
            manifest.url = Line::try_from("x".repeat(length)).unwrap();
        }
        let before = network.money(1);
        let status = network.ask(1, kind);
        assert_eq!(status, Status::Failure(Failure::NotOwner(model)));
        assert_eq!(network.money(1), before - network.fee.total().get());
        network.fee
    };
    let (short, long) = (fee(10), fee(110));
    assert_eq!((short.base, long.base), (params().base_fee, params().base_fee));
    let more = Shannons::new(100 * params().byte_fee.get());
    assert_eq!(long.bytes.get() - short.bytes.get(), more.get());
}
