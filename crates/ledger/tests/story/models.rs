//! Who makes a model, commits to its weights and reveals them, and what becomes of it.

use crypto::Digest;
use crypto::segments::sealed_length;
use ledger::{Objects, Reject};
use types::{
    Attestation, Content, Custody, Direction, Event, Failure, Line, Manifest, Model, ModelKey, Models,
    ObjectId, Rejection, Reveal, Shannons, Stage, Status, TransactionKind,
};

use crate::kit::user;
use crate::network::{Network, params, soma, validator_id};

/// Four members of equal stake with coins to pay from, and two users with many.
pub fn network() -> Network {
    let mut network = Network::new(&[100_000; 4], &[300_000, 300_000]);
    (20..24).for_each(|number| network.pay(0, number, soma(1_000)));
    network.close();
    network
}

fn failure(failure: Failure) -> Status {
    Status::Failure(failure)
}

pub fn creation(network: &Network, number: u8, amount: Shannons) -> TransactionKind {
    TransactionKind::CreateModel {
        architecture: params().model_architecture,
        commission_bps: 500,
        coin: network.purse(number),
        amount: Some(amount),
    }
}

pub fn create(network: &mut Network, number: u8, amount: Shannons) -> ObjectId {
    let kind = creation(network, number, amount);
    assert_eq!(network.ask(number, kind), Status::Success);
    let created = network.events.iter().find_map(|event| match event {
        Event::ModelCreated { model, .. } => Some(*model),
        _ => None,
    });
    created.unwrap()
}

pub fn manifest() -> Manifest {
    Manifest {
        url: Line::try_from("https://a.example/model".to_owned()).unwrap(),
        checksum: Digest::of(b"file"),
        bytes: sealed_length(params().model_weight_bytes + 1_000),
    }
}

fn shown(seed: u8) -> Reveal {
    let mut embedding = vec![0; params().embedding_dim as usize];
    embedding[usize::from(seed)] = 7;
    Reveal {
        key: ModelKey::new([seed; 32]),
        weights: Digest::of(&[seed]),
        embedding: Direction::new(embedding).unwrap(),
    }
}

pub fn commitment(network: &Network, number: u8, model: ObjectId, seed: u8) -> TransactionKind {
    TransactionKind::CommitModel {
        model,
        manifest: Box::new(manifest()),
        commitment: shown(seed).commitment(model, user(number), network.system().epoch),
        coin: network.purse(number),
    }
}

pub fn commit(network: &mut Network, number: u8, model: ObjectId, seed: u8) {
    let kind = commitment(network, number, model, seed);
    assert_eq!(network.ask(number, kind), Status::Success);
}

pub fn revelation(model: ObjectId, seed: u8) -> TransactionKind {
    TransactionKind::RevealModel {
        model,
        reveal: Box::new(shown(seed)),
    }
}

pub fn reveal(network: &mut Network, number: u8, model: ObjectId, seed: u8) -> Status {
    network.ask(number, revelation(model, seed))
}

pub fn attest(
    network: &mut Network,
    by: u8,
    model: ObjectId,
    attestation: Attestation,
) -> Result<(), Reject> {
    let kind = TransactionKind::AttestCustody {
        validator: validator_id(by),
        model,
        attestation,
    };
    network.serve(20 + by, kind)
}

pub fn model(network: &Network, id: ObjectId) -> Box<Model> {
    let Content::Model(model) = network.content(id) else {
        panic!("it is a model")
    };
    model
}

pub const REJECTED: Attestation = Attestation::Rejected(Rejection::Tensors);

/// A model of user 0 that is revealed, with all four members in custody.
fn revealed(network: &mut Network, seed: u8) -> ObjectId {
    let id = create(network, 0, soma(10));
    offer(network, id, seed);
    id
}

/// Commits and reveals, one epoch later.
fn offer(network: &mut Network, id: ObjectId, seed: u8) {
    commit(network, 0, id, seed);
    network.tick(seed);
    network.close();
    assert_eq!(reveal(network, 0, id, seed), Status::Success);
}

pub fn active(network: &mut Network, seed: u8) -> ObjectId {
    let id = revealed(network, seed);
    for by in 0..4 {
        attest(network, by, id, Attestation::Held).unwrap();
    }
    network.close();
    id
}

#[test]
fn weights_are_committed_to_revealed_and_checked_before_they_count() {
    let mut network = network();
    let id = create(&mut network, 0, soma(10));
    assert!(matches!(model(&network, id).stage, Stage::Created(_)));
    // The beacon of the commit that holds the cause is known too early.
    network.beacon = Some(Digest::of(b"too early"));
    commit(&mut network, 0, id, 1);
    let custody = |network: &Network| model(network, id).offer().unwrap().custody.clone();
    assert_eq!(custody(&network), Custody::Undrawn);
    let drawn = network.tick(1);
    let all: Vec<ObjectId> = (0..4).map(validator_id).collect();
    let [
        Event::CustodyDrawn {
            model: of,
            custodians,
        },
    ] = &drawn[..]
    else {
        panic!("custodians are drawn: {drawn:?}")
    };
    let mut sorted = custodians.clone();
    sorted.sort_unstable();
    assert_eq!((*of, sorted), (id, all));
    assert_eq!(network.tick(2), [], "they are drawn once");

    let due = network.system().epoch.next().unwrap();
    assert_eq!(
        reveal(&mut network, 0, id, 1),
        failure(Failure::NotRevealEpoch(due))
    );
    assert_eq!(
        attest(&mut network, 0, id, Attestation::Held),
        Err(Reject::NoDuty(Failure::NothingToAttest(validator_id(0)))),
        "there is nothing to see yet"
    );
    network.close();
    assert_eq!(reveal(&mut network, 0, id, 2), failure(Failure::RevealMismatch));
    assert_eq!(reveal(&mut network, 0, id, 1), Status::Success);
    assert_eq!(reveal(&mut network, 0, id, 1), failure(Failure::WrongStage(id)));

    for by in 0..3 {
        attest(&mut network, by, id, Attestation::Held).unwrap();
        assert_eq!(
            attest(&mut network, by, id, Attestation::Held),
            Err(Reject::NoDuty(Failure::NothingToAttest(validator_id(by))))
        );
    }
    let before: Vec<u64> = (0..4)
        .map(|by| network.validator(by).pool.balance.get())
        .collect();
    let events = network.close();
    let weights = shown(1).weights;
    assert!(events.contains(&Event::ModelActive { model: id, weights }));
    let stage = model(&network, id);
    let weights = stage.weights().unwrap();
    assert_eq!(
        (&weights.reveal, weights.since),
        (&shown(1), network.system().epoch)
    );
    // Those who attested share the fee.
    let gained = |by: u8| network.validator(by).pool.balance.get() - before[usize::from(by)];
    let third = params().reveal_fee.get() / 3;
    assert_eq!(gained(0) - gained(3), third);
}

#[test]
fn w_h7_a_commitment_that_is_copied_is_worth_nothing() {
    let mut network = network();
    let id = create(&mut network, 0, soma(10));
    let copy = create(&mut network, 1, soma(10));
    commit(&mut network, 0, id, 1);
    let TransactionKind::CommitModel { commitment, .. } = commitment(&network, 0, id, 1) else {
        panic!("it commits")
    };
    let kind = TransactionKind::CommitModel {
        model: copy,
        manifest: Box::new(manifest()),
        commitment,
        coin: network.purse(1),
    };
    assert_eq!(network.ask(1, kind), Status::Success);
    network.close();
    assert_eq!(reveal(&mut network, 0, id, 1), Status::Success);
    assert_eq!(reveal(&mut network, 1, copy, 1), failure(Failure::RevealMismatch));
    // Nor is it for the same model in another epoch, as `Reveal::commitment` binds it.
    let (this, next) = (network.system().epoch, network.system().epoch.next().unwrap());
    assert_ne!(
        shown(1).commitment(id, user(0), this),
        shown(1).commitment(id, user(0), next)
    );
}

#[test]
fn w_m5_who_does_not_reveal_is_slashed_once_and_goes() {
    for is_committed in [false, true] {
        let mut network = network();
        let id = create(&mut network, 0, soma(10));
        let receipt = network.of(0, false)[0];
        if is_committed {
            commit(&mut network, 0, id, 1);
        }
        network.close();
        let emission = network.economy().emission;
        let events = network.close();
        let amount = soma(5);
        assert!(events.contains(&Event::Slashed { pool: id, amount }));
        assert!(events.contains(&Event::ModelInactive { model: id }));
        assert_eq!(model(&network, id).stage, Stage::Inactive);
        let fee = if is_committed {
            params().reveal_fee.get()
        } else {
            0
        };
        let handed_out = params().epoch_emission.get() / 5;
        let expected = emission.get() - handed_out + amount.get() + fee;
        let dust = network.economy().emission.get() - expected;
        assert!(dust < 10_000, "{dust} shannons are left over");
        assert_eq!(
            network.ask(0, commitment(&network, 0, id, 2)),
            failure(Failure::WrongStage(id))
        );
        let kind = TransactionKind::AddStakeToModel {
            model: id,
            coin: network.purse(0),
            amount: Some(soma(1)),
        };
        assert_eq!(network.ask(0, kind), failure(Failure::PoolClosed(id)));
        network.close();
        assert!(
            !network
                .close()
                .iter()
                .any(|event| matches!(event, Event::Slashed { .. }))
        );
        // Half of the stake is there, and when it has left the model is forgotten.
        let before = network.money(0);
        for stake in [receipt.id; 2] {
            let stake = network.state.get(&stake).unwrap().reference();
            let kind = TransactionKind::WithdrawStake {
                validator: id,
                stake,
                amount: None,
            };
            assert_eq!(network.ask(0, kind), Status::Success);
            (0..4).for_each(|_| drop(network.close()));
        }
        let back = network.money(0) - before;
        let fees = 5_000_000;
        assert!((soma(5).get() - fees..=soma(5).get()).contains(&back), "{back}");
        assert!(network.is_gone(id));
        assert_eq!(network.content(Models::ID), Content::Models(Models::default()));
    }
}

/// W-H8: nobody compared weights with what had been committed to.
#[test]
fn what_custodians_reject_the_whole_committee_judges() {
    for is_rejected in [false, true] {
        let mut network = network();
        let id = revealed(&mut network, 1);
        attest(&mut network, 0, id, Attestation::Held).unwrap();
        for by in 1..4 {
            attest(&mut network, by, id, REJECTED).unwrap();
        }
        let events = network.close();
        assert!(!events.iter().any(|event| matches!(event, Event::Slashed { .. })));
        let custody = model(&network, id).offer().unwrap().custody.clone();
        let Custody::Committee(custodians) = custody else {
            panic!("all are asked: {custody:?}")
        };
        assert_eq!(custodians.len(), 4);
        let found = if is_rejected { REJECTED } else { Attestation::Held };
        for by in 0..3 {
            attest(&mut network, by, id, found).unwrap();
        }
        let events = network.close();
        let amount = soma(5);
        assert_eq!(events.contains(&Event::Slashed { pool: id, amount }), is_rejected);
        assert_eq!(model(&network, id).weights().is_some(), !is_rejected);
    }
}

#[test]
fn where_no_beacon_draws_in_time_the_whole_committee_judges() {
    let mut network = network();
    let id = create(&mut network, 0, soma(10));
    commit(&mut network, 0, id, 1);
    network.close();
    assert_eq!(reveal(&mut network, 0, id, 1), Status::Success);
    network.close();
    assert_eq!(network.tick(1), [], "it is too late to draw anybody");
    for by in 0..3 {
        attest(&mut network, by, id, Attestation::Held).unwrap();
    }
    network.close();
    assert!(model(&network, id).weights().is_some());
    // Nor is anybody drawn for an offer that is no more.
    commit(&mut network, 0, id, 2);
    let kind = TransactionKind::DeactivateModel { model: id };
    assert_eq!(network.ask(0, kind), Status::Success);
    assert_eq!(network.tick(1), []);
}

#[test]
fn what_nobody_judges_can_be_committed_to_again() {
    let mut network = network();
    let id = revealed(&mut network, 1);
    for _ in 0..2 {
        // Half is less than two thirds.
        attest(&mut network, 0, id, Attestation::Held).unwrap();
        attest(&mut network, 1, id, Attestation::Held).unwrap();
        attest(&mut network, 2, id, REJECTED).unwrap();
        let now = network.system().epoch;
        let events = network.close();
        assert!(!events.iter().any(|event| matches!(event, Event::Slashed { .. })));
        let stage = model(&network, id).stage.clone();
        match stage {
            Stage::Offered(_) => {}
            Stage::Created(since) => assert_eq!(since, now.next().unwrap()),
            Stage::Active { .. } | Stage::Inactive => panic!("nobody has said so: {stage:?}"),
        }
    }
    assert!(matches!(model(&network, id).stage, Stage::Created(_)));
    offer(&mut network, id, 2);
}

#[test]
fn an_update_counts_from_a_boundary_on() {
    let mut network = network();
    let id = active(&mut network, 1);
    offer(&mut network, id, 2);
    for by in 0..3 {
        attest(&mut network, by, id, Attestation::Held).unwrap();
    }
    assert_eq!(model(&network, id).weights().unwrap().reveal, shown(1));
    network.close();
    assert_eq!(model(&network, id).weights().unwrap().reveal, shown(2));
    // One that is not revealed changes nothing, and costs its fee only.
    commit(&mut network, 0, id, 3);
    assert_eq!(
        network.ask(0, commitment(&network, 0, id, 4)),
        failure(Failure::OfferUnderWay(id))
    );
    network.close();
    let events = network.close();
    assert!(events.contains(&Event::OfferDropped { model: id }));
    let same = model(&network, id);
    assert_eq!(same.weights().unwrap().reveal, shown(2));
    assert_eq!(same.offer(), None);
    assert_eq!(same.pool.balance, soma(10));
}

#[test]
fn w_c9_stake_that_is_on_its_way_is_not_lost_when_a_model_goes() {
    let mut network = network();
    let id = active(&mut network, 1);
    let kind = TransactionKind::AddStakeToModel {
        model: id,
        coin: network.purse(1),
        amount: Some(soma(3)),
    };
    assert_eq!(network.ask(1, kind), Status::Success);
    commit(&mut network, 0, id, 2);
    let kind = TransactionKind::DeactivateModel { model: id };
    assert_eq!(network.ask(1, kind.clone()), failure(Failure::NotOwner(id)));
    assert_eq!(network.ask(0, kind.clone()), Status::Success);
    assert_eq!(network.ask(0, kind), failure(Failure::WrongStage(id)));
    let before = network.money(1);
    let kind = TransactionKind::WithdrawStake {
        validator: id,
        stake: network.of(1, false)[0],
        amount: None,
    };
    assert_eq!(network.ask(1, kind), Status::Success);
    let back = network.money(1) + network.fee.total().get() - before;
    assert!((soma(3).get()..soma(3).get() + 10_000).contains(&back), "{back}");
    network.close();
    assert_eq!(model(&network, id).pool.balance, soma(10));
}

#[test]
fn whoever_is_committed_cannot_escape_the_reveal() {
    let mut network = network();
    let id = create(&mut network, 0, soma(10));
    let kind = TransactionKind::DeactivateModel { model: id };
    assert_eq!(network.ask(0, kind.clone()), failure(Failure::WrongStage(id)));
    commit(&mut network, 0, id, 1);
    assert_eq!(network.ask(0, kind), failure(Failure::WrongStage(id)));
}

#[test]
fn w_h15_the_least_stake_is_maintained() {
    let mut network = network();
    let id = active(&mut network, 1);
    network.params.model_min_stake = soma(5);
    for (left, is_enough) in [(5, true), (4, false)] {
        let amount = model(&network, id).pool.balance.get() - soma(left).get();
        // One of the receipts stands for what leaves already.
        let done = network.of(0, false).into_iter().any(|stake| {
            let kind = TransactionKind::WithdrawStake {
                validator: id,
                stake: network.state.get(&stake.id).unwrap().reference(),
                amount: Some(Shannons::new(amount)),
            };
            network.ask(0, kind) == Status::Success
        });
        assert!(done);
        if !is_enough {
            // What was paid for an update goes where forfeited money goes.
            commit(&mut network, 0, id, 2);
        }
        assert!(model(&network, id).weights().is_some(), "until the epoch closes");
        let events = network.close();
        assert_eq!(events.contains(&Event::ModelInactive { model: id }), !is_enough);
    }
}

#[test]
fn where_there_are_too_many_models_those_with_the_least_stake_go() {
    let mut network = network();
    let one = active(&mut network, 1);
    network.params.max_active_models = 1;
    network.params.models_per_target = 1;
    let other = create(&mut network, 0, soma(11));
    offer(&mut network, other, 2);
    for by in 0..4 {
        attest(&mut network, by, other, Attestation::Held).unwrap();
    }
    let events = network.close();
    assert!(events.contains(&Event::ModelInactive { model: one }));
    assert!(model(&network, one).weights().is_none());
    assert!(model(&network, other).weights().is_some());
}

/// There may be ten thousand models, of most of which nothing changes.
#[test]
fn an_end_of_an_epoch_writes_no_model_that_is_as_it_was() {
    let mut network = network();
    let id = active(&mut network, 1);
    network.close();
    let before = network.state.get(&id).unwrap().reference();
    network.close();
    assert_eq!(network.trouble, None);
    assert_eq!(network.state.get(&id).unwrap().reference(), before);
}

#[test]
fn a_commission_changes_with_the_epoch() {
    let mut network = network();
    let id = active(&mut network, 1);
    let set = |commission_bps| TransactionKind::SetModelCommissionRate {
        model: id,
        commission_bps,
    };
    assert_eq!(network.ask(1, set(1)), failure(Failure::NotOwner(id)));
    assert_eq!(
        network.ask(0, set(10_001)),
        failure(Failure::CommissionTooHigh(10_000))
    );
    assert_eq!(network.ask(0, set(10_000)), Status::Success);
    assert_eq!(model(&network, id).commission_bps, 500);
    network.close();
    assert_eq!(model(&network, id).commission_bps, 10_000);
}

#[test]
fn what_is_asked_wrongly_is_refused_by_name() {
    let mut network = network();
    let id = create(&mut network, 0, soma(10));
    let mut kind = creation(&network, 0, soma(10));
    if let TransactionKind::CreateModel { architecture, .. } = &mut kind {
        *architecture = 2;
    }
    assert_eq!(network.ask(0, kind), failure(Failure::WrongArchitecture(1)));
    let least = params().model_min_stake;
    let little = creation(&network, 0, Shannons::new(least.get() - 1));
    assert_eq!(network.ask(0, little), failure(Failure::StakeTooLittle(least)));

    let low = sealed_length(params().model_weight_bytes);
    let high = sealed_length(params().model_weight_bytes + u64::from(params().max_model_header_bytes));
    for (bytes, is_right) in [
        (low - 1, false),
        (high + 1, false),
        (u64::MAX, false),
        (low, true),
    ] {
        let mut kind = commitment(&network, 0, id, 1);
        if let TransactionKind::CommitModel { manifest, .. } = &mut kind {
            manifest.bytes = bytes;
        }
        let expected = match is_right {
            true => Status::Success,
            false => failure(Failure::WrongFileSize { low, high }),
        };
        assert_eq!(network.ask(0, kind), expected, "{bytes}");
    }
    let validator = validator_id(0);
    let kind = TransactionKind::DeactivateModel { model: validator };
    assert_eq!(network.ask(0, kind), failure(Failure::NotAModel(validator)));
    let kind = TransactionKind::AddStakeToModel {
        model: ObjectId::from_low(250),
        coin: network.purse(0),
        amount: Some(soma(1)),
    };
    let missing = Failure::NotAModel(ObjectId::from_low(250));
    assert_eq!(network.ask(0, kind), failure(missing));

    network.tick(1);
    network.close();
    let mut short = shown(1);
    short.embedding = Direction::new(vec![1; 10]).unwrap();
    let kind = TransactionKind::RevealModel {
        model: id,
        reveal: Box::new(short),
    };
    // W-C7 (d): an embedding of another dimension is a failure, and no panic later.
    let dim = params().embedding_dim;
    assert_eq!(network.ask(0, kind), failure(Failure::WrongDimension(dim)));
    assert_eq!(reveal(&mut network, 0, id, 1), Status::Success);
    let kind = TransactionKind::AttestCustody {
        validator,
        model: id,
        attestation: Attestation::Held,
    };
    assert_eq!(
        network.serve(0, kind),
        Err(Reject::NoDuty(Failure::NotOwner(validator))),
        "it is another's validator"
    );
}
