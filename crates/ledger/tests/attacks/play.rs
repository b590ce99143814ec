//! What the people of a population do: models, submissions, audits, and what each is worth.

use crypto::Digest;
use crypto::segments::sealed_length;
use ledger::{Application, Objects, pool};
use types::{
    Attestation, Content, Direction, Distance, Embedding, Event, Line, Loss, Manifest, ModelKey, ObjectId,
    ObjectRef, Opening, Owner, Reveal, Score, Shannons, Status, Target, TransactionKind, Verdict,
};

use crate::kit::user;
use crate::network::{Network, soma, validator_id};

const SALT: [u8; 32] = [7; 32];

/// Validators by stake and users by coins, with the numbers of version 1 but for short embeddings and few open targets.
pub fn population(stakes: &[u64], coins: &[u64]) -> Network {
    let mut network = Network::new(stakes, coins);
    network.params.embedding_dim = 4;
    network.params.wanted_open_targets = 3;
    network.close();
    network
}

/// What these accounts have: coins, tickets, and stake as it could be withdrawn now.
pub fn wealth(network: &Network, numbers: &[u8]) -> i128 {
    let owners: Vec<Owner> = numbers
        .iter()
        .map(|number| Owner::Address(user(*number)))
        .collect();
    let own = network
        .state
        .iter()
        .filter(|live| owners.contains(&live.object().owner));
    let worth = own.map(|live| match &live.object().content {
        Content::Coin(amount) => amount.get(),
        Content::Ticket(ticket) => ticket.bond.get(),
        Content::StakedSoma(receipt) => {
            let pool = match network.content(receipt.pool) {
                Content::Validator(validator) => validator.pool,
                Content::Model(model) => model.pool,
                other => panic!("{other:?} has no pool"),
            };
            pool::value(&pool, receipt).unwrap().get()
        }
        other => panic!("{other:?} is not known to be worth anything"),
    });
    worth.map(i128::from).sum()
}

pub fn done(network: &mut Network, number: u8, kind: TransactionKind) {
    assert_eq!(network.ask(number, kind), Status::Success);
}

pub fn create(network: &mut Network, number: u8, amount: Shannons) -> ObjectId {
    let kind = TransactionKind::CreateModel {
        architecture: network.params.model_architecture,
        commission_bps: 10_000,
        coin: network.purse(number),
        amount: Some(amount),
    };
    done(network, number, kind);
    let created = network.events.iter().find_map(|event| match event {
        Event::ModelCreated { model, .. } => Some(*model),
        _ => None,
    });
    created.unwrap()
}

fn shown(seed: u8) -> Reveal {
    Reveal {
        key: ModelKey::new([seed; 32]),
        weights: Digest::of(&[seed]),
        embedding: Direction::new(vec![1 + i32::from(seed), 3, -20, 5]).unwrap(),
    }
}

pub fn commit(network: &mut Network, number: u8, model: ObjectId, seed: u8) {
    let manifest = Manifest {
        url: Line::try_from("https://a.example/model".to_owned()).unwrap(),
        checksum: Digest::of(b"file"),
        bytes: sealed_length(network.params.model_weight_bytes),
    };
    let kind = TransactionKind::CommitModel {
        model,
        manifest: Box::new(manifest),
        commitment: shown(seed).commitment(model, user(number), network.system().epoch),
        coin: network.purse(number),
    };
    done(network, number, kind);
}

pub fn reveal(network: &mut Network, number: u8, model: ObjectId, seed: u8) {
    let reveal = Box::new(shown(seed));
    done(network, number, TransactionKind::RevealModel { model, reveal });
}

/// What this validator says of weights, if it is asked.
pub fn attest(network: &mut Network, by: u8, model: ObjectId, attestation: Attestation) {
    let kind = TransactionKind::AttestCustody {
        validator: validator_id(by),
        model,
        attestation,
    };
    network.serve(20 + by, kind).unwrap();
}

/// Active models by owner and stake in SOMA, two epochs later. All validators attest.
pub fn active(network: &mut Network, owners: &[(u8, u64)]) -> Vec<ObjectId> {
    let mut models = Vec::new();
    for (seed, (owner, stake)) in (0u8..).zip(owners) {
        let model = create(network, *owner, soma(*stake));
        commit(network, *owner, model, seed);
        models.push(model);
    }
    network.tick(200);
    network.close();
    for (seed, ((owner, _), model)) in (0u8..).zip(owners.iter().zip(&models)) {
        reveal(network, *owner, *model, seed);
        for by in (0..).take(network.set().members.len()) {
            attest(network, by, *model, Attestation::Held);
        }
    }
    network.close();
    models
}

/// The targets that a beacon brings.
pub fn spawn(network: &mut Network, beacon: u8) -> Vec<ObjectId> {
    let spawned = network.tick(beacon).into_iter().filter_map(|event| match event {
        Event::TargetSpawned { target, .. } => Some(target),
        _ => None,
    });
    spawned.collect()
}

/// The targets that a beacon would bring. Nothing is written.
pub fn would_spawn(network: &Network, beacon: u64) -> Vec<Target> {
    let context = ledger::Context {
        beacon: Some(Digest::of(&beacon.to_le_bytes())),
        ..network.context()
    };
    let applied = Application::new(context, &network.state, &[]).run_all().unwrap();
    let written = applied.writes.into_values().flatten();
    let targets = written.filter_map(|live| match &live.object().content {
        Content::Target(target) => Some(*target.clone()),
        _ => None,
    });
    targets.collect()
}

pub fn target(network: &Network, id: ObjectId) -> Box<Target> {
    let Content::Target(target) = network.content(id) else {
        panic!("it is a target")
    };
    target
}

pub fn data(seed: u8, bytes: u64) -> Manifest {
    Manifest {
        url: Line::try_from("https://a.example/data".to_owned()).unwrap(),
        checksum: Digest::of(&[seed]),
        bytes,
    }
}

/// What lies right at a target. Whether the winner is right only the audit finds.
fn score(network: &Network, id: ObjectId, winner: ObjectId) -> Score {
    Score {
        winner,
        loss: Loss::new(1 << 24, 10_000).unwrap(),
        embedding: Embedding::new(target(network, id).embedding.coordinates().to_vec()).unwrap(),
        distance: Distance::ZERO,
    }
}

/// What has to be locked for data of so many bytes.
pub fn bond(network: &Network, bytes: u64) -> u64 {
    ledger::emission::target_reward(&network.params).get() + network.params.bond_byte_fee.get() * bytes
}

/// A submission: its target, the model that it says wins, the data.
pub type Said<'a> = (ObjectId, ObjectId, &'a Manifest);

pub fn buy(network: &mut Network, number: u8, (id, winner, data): Said<'_>) {
    let score = score(network, id, winner);
    let kind = TransactionKind::CommitSubmission {
        target: id,
        commitment: score.commitment(user(number), id, data.checksum, SALT),
        bond: Shannons::new(bond(network, data.bytes)),
        coin: network.purse(number),
    };
    done(network, number, kind);
}

pub fn ticket(network: &Network, number: u8) -> ObjectRef {
    let tickets = network.of(number, false).into_iter();
    let mut tickets = tickets.filter(|object| matches!(network.content(object.id), Content::Ticket(_)));
    tickets.next().unwrap()
}

pub fn submit(network: &mut Network, number: u8, (id, winner, data): Said<'_>) -> Status {
    let kind = TransactionKind::SubmitData {
        target: id,
        ticket: ticket(network, number),
        data: Box::new(data.clone()),
        score: Box::new(score(network, id, winner)),
        salt: SALT,
    };
    network.ask(number, kind)
}

pub fn give_back(network: &mut Network, number: u8) {
    let ticket = ticket(network, number);
    done(network, number, TransactionKind::ReturnTicket { ticket });
}

/// Buys a ticket, waits, and fills the target.
pub fn fill(network: &mut Network, number: u8, said: Said<'_>) {
    buy(network, number, said);
    network.clock += network.params.ticket_age_ms;
    assert_eq!(submit(network, number, said), Status::Success);
}

pub const VALID: Verdict = Verdict::Valid;
pub const INVALID: Verdict = Verdict::Invalid;

pub fn said(verdict: Verdict, trace: u8) -> Opening {
    let trace = Digest::of(&[trace]);
    Opening { verdict, trace }
}

/// The validators with these numbers seal and open what they say of targets, and the epoch closes.
pub fn audit(network: &mut Network, targets: &[ObjectId], openings: &[(u8, Opening)]) -> Vec<Event> {
    let each = || {
        targets
            .iter()
            .flat_map(|id| openings.iter().map(move |said| (*id, *said)))
    };
    network.clock = 0;
    for (target, (by, opening)) in each() {
        let validator = validator_id(by);
        let seal = opening.seal(validator, target, [by; 32]);
        let kind = TransactionKind::SealVerdict {
            validator,
            target,
            seal,
        };
        network.serve(20 + by, kind).unwrap();
    }
    network.clock = network.params.epoch_duration_ms / 2;
    for (target, (by, opening)) in each() {
        let kind = TransactionKind::OpenVerdict {
            validator: validator_id(by),
            target,
            opening,
            salt: [by; 32],
        };
        network.serve(20 + by, kind).unwrap();
    }
    network.close()
}

/// All of so many validators say the same.
pub fn together(validators: u8, verdict: Verdict) -> Vec<(u8, Opening)> {
    (0..validators).map(|by| (by, said(verdict, 1))).collect()
}

/// Whether there is no such object.
pub fn is_gone(network: &Network, id: ObjectId) -> bool {
    network.state.get(&id).is_none()
}

/// Pays the submitter of a target; this user asks for it.
pub fn claim(network: &mut Network, number: u8, target: ObjectId) {
    done(network, number, TransactionKind::ClaimRewards { target });
}

/// Withdraws all that this user has staked in a pool.
pub fn leave(network: &mut Network, number: u8, pool: ObjectId) {
    let is_stake = |object: &ObjectRef| match network.content(object.id) {
        Content::StakedSoma(staked) => staked.pool == pool,
        _ => false,
    };
    let stake = network.of(number, false).into_iter().find(is_stake).unwrap();
    let kind = TransactionKind::WithdrawStake {
        validator: pool,
        stake,
        amount: None,
    };
    done(network, number, kind);
}
