//! Who fills a target, what auditors say of it, and who is paid.

use crypto::Digest;
use ledger::{Objects, Reject};
use types::{
    Content, Distance, Embedding, Event, Failure, Line, Loss, Manifest, ObjectId, ObjectRef, Opening, Score,
    Shannons, Status, Target, Targets, TransactionKind, Verdict, receipt_id,
};

use crate::kit::user;
use crate::models;
use crate::network::{Network, params, validator_id};

/// Four members, and an active model of user 0's, in an epoch that has a budget for targets.
pub fn network() -> (Network, ObjectId) {
    let mut network = models::network();
    let model = models::active(&mut network, 1);
    (network, model)
}

fn failure(failure: Failure) -> Status {
    Status::Failure(failure)
}

fn common(network: &Network) -> Targets {
    let Content::Targets(targets) = network.content(Targets::ID) else {
        panic!("it is what belongs to all")
    };
    targets
}

pub fn target(network: &Network, id: ObjectId) -> Box<Target> {
    let Content::Target(target) = network.content(id) else {
        panic!("it is a target")
    };
    target
}

/// The targets that a beacon brings.
pub fn spawn(network: &mut Network) -> Vec<ObjectId> {
    let events = network.tick(9);
    let spawned = events.into_iter().filter_map(|event| match event {
        Event::TargetSpawned { target, .. } => Some(target),
        _ => None,
    });
    spawned.collect()
}

pub fn data(seed: u8) -> Manifest {
    Manifest {
        url: Line::try_from("https://a.example/data".to_owned()).unwrap(),
        checksum: Digest::of(&[seed]),
        bytes: 10_000,
    }
}

/// What fits a target best.
pub fn score(network: &Network, id: ObjectId, winner: ObjectId) -> Score {
    let embedding = target(network, id).embedding.coordinates().to_vec();
    Score {
        winner,
        loss: Loss::new(1 << 24, 10_000).unwrap(),
        embedding: Embedding::new(embedding).unwrap(),
        distance: Distance::ZERO,
    }
}

const SALT: [u8; 32] = [7; 32];

pub fn bond() -> Shannons {
    Shannons::new(100_000_000)
}

pub fn purchase(
    network: &Network,
    number: u8,
    id: ObjectId,
    score: &Score,
    data: &Manifest,
) -> TransactionKind {
    TransactionKind::CommitSubmission {
        target: id,
        commitment: score.commitment(user(number), id, data.checksum, SALT),
        bond: bond(),
        coin: network.purse(number),
    }
}

fn ticket(network: &Network, number: u8) -> ObjectRef {
    let tickets = network.of(number, false).into_iter();
    let mut tickets = tickets.filter(|object| matches!(network.content(object.id), Content::Ticket(_)));
    tickets.next().unwrap()
}

pub fn opened(
    network: &Network,
    number: u8,
    id: ObjectId,
    score: &Score,
    data: &Manifest,
) -> TransactionKind {
    TransactionKind::SubmitData {
        target: id,
        ticket: ticket(network, number),
        data: Box::new(data.clone()),
        score: Box::new(score.clone()),
        salt: SALT,
    }
}

/// Buys a ticket, waits, and opens it.
pub fn submit(network: &mut Network, number: u8, id: ObjectId, score: &Score, data: &Manifest) -> Status {
    let kind = purchase(network, number, id, score, data);
    assert_eq!(network.ask(number, kind), Status::Success);
    network.clock += params().ticket_age_ms;
    let kind = opened(network, number, id, score, data);
    network.ask(number, kind)
}

/// A target that user 1 has filled, with all four members in its seats, one epoch later.
pub fn filled(network: &mut Network, model: ObjectId) -> ObjectId {
    let id = spawn(network)[0];
    let score = score(network, id, model);
    assert_eq!(submit(network, 1, id, &score, &data(1)), Status::Success);
    network.tick(10);
    network.close();
    id
}

pub fn said(verdict: Verdict, trace: u8) -> Opening {
    Opening {
        verdict,
        trace: Digest::of(&[trace]),
    }
}

pub fn seal(network: &mut Network, by: u8, id: ObjectId, opening: Opening) -> Result<(), Reject> {
    let kind = TransactionKind::SealVerdict {
        validator: validator_id(by),
        target: id,
        seal: opening.seal(validator_id(by), id, [by; 32]),
    };
    network.serve(20 + by, kind)
}

pub fn open(network: &mut Network, by: u8, id: ObjectId, opening: Opening) -> Result<(), Reject> {
    let kind = TransactionKind::OpenVerdict {
        validator: validator_id(by),
        target: id,
        opening,
        salt: [by; 32],
    };
    network.serve(20 + by, kind)
}

/// These seal and open what they say, and the epoch closes.
pub fn audit(network: &mut Network, id: ObjectId, openings: &[Opening]) -> Vec<Event> {
    for (by, opening) in (0u8..).zip(openings) {
        seal(network, by, id, *opening).unwrap();
    }
    network.clock = params().epoch_duration_ms / 2;
    for (by, opening) in (0u8..).zip(openings) {
        open(network, by, id, *opening).unwrap();
    }
    network.close()
}

pub fn claim(network: &mut Network, number: u8, target: ObjectId) -> Status {
    network.ask(number, TransactionKind::ClaimRewards { target })
}

pub const VALID: fn() -> Opening = || said(Verdict::Valid, 1);
pub const INVALID: fn() -> Opening = || said(Verdict::Invalid, 2);

#[test]
fn a_target_is_filled_audited_and_paid() {
    let (mut network, model) = network();
    assert_eq!(network.clock, 0);
    let spawned = spawn(&mut network);
    assert_eq!(spawned.len(), params().wanted_open_targets as usize);
    let reward = target(&network, spawned[0]).reward;
    assert_eq!(
        common(&network).budget.get(),
        params().epoch_emission.get() / 10 * 8
            - 100 * reward.get()
            - params().epoch_emission.get() / 10 * 8 % reward.get()
    );
    let id = spawned[0];
    assert_eq!(target(&network, id).contenders[0].model, model);

    let (score, data) = (score(&network, id, model), data(1));
    let kind = purchase(&network, 1, id, &score, &data);
    assert_eq!(network.ask(1, kind), Status::Success);
    network.clock = params().ticket_age_ms - 1;
    let ready = types::UnixMillis::new(network.at + params().ticket_age_ms);
    let kind = opened(&network, 1, id, &score, &data);
    assert_eq!(network.ask(1, kind), failure(Failure::TicketTooYoung(ready)));
    network.clock += 1;
    let kind = opened(&network, 1, id, &score, &data);
    assert_eq!(network.ask(1, kind), Status::Success);
    assert_eq!(common(&network).hits, 1);
    assert_eq!(
        network.content(receipt_id(data.checksum)),
        Content::DataReceipt(id)
    );
    let locked = reward.get() + 65 * data.bytes;
    assert_eq!(target(&network, id).fill.as_ref().unwrap().bond.get(), locked);

    let events = network.tick(10);
    assert_eq!(
        seal(&mut network, 0, id, VALID()),
        Err(Reject::NoDuty(Failure::NothingToAudit(validator_id(0)))),
        "in the next epoch"
    );
    let drawn = events
        .iter()
        .any(|event| matches!(event, Event::SeatsDrawn { target, .. } if *target == id));
    assert!(drawn, "{events:?}");
    let events = network.close();
    let unfilled = events
        .iter()
        .filter(|event| matches!(event, Event::TargetUnfilled { .. }));
    assert_eq!(unfilled.count(), 100, "all the others, and one in place of it");
    assert_eq!(claim(&mut network, 1, id), failure(Failure::NotSettled(id)));
    let next = common(&network);
    assert_eq!((next.hits, next.pace.open), (0, 0), "the next epoch begins anew");
    assert!(
        next.difficulty.distance_billionths != params().initial_distance_billionths,
        "it learns from the one before"
    );

    let staked = models::model(&network, model).pool.balance;
    let events = audit(&mut network, id, &[VALID(); 3]);
    let outcome = Some(Verdict::Valid);
    assert!(events.contains(&Event::Settled { target: id, outcome }));
    let half = reward.get() - reward.get() / 2;
    let earned = models::model(&network, model).pool.balance.get() - staked.get();
    assert_eq!(earned, half, "commission and all");

    let before = network.money(1);
    assert_eq!(claim(&mut network, 1, id), Status::Success);
    let paid = network.money(1) + network.fee.total().get() - before;
    assert!((reward.get() / 2 + locked..reward.get() / 2 + locked + 10_000).contains(&paid));
    assert!(network.is_gone(id));
    assert_eq!(claim(&mut network, 1, id), failure(Failure::NotATarget(id)));
}

#[test]
fn w_h4_who_sees_a_submission_cannot_be_faster() {
    let (mut network, model) = network();
    let id = spawn(&mut network)[0];
    let (score, data) = (score(&network, id, model), data(1));
    let kind = purchase(&network, 1, id, &score, &data);
    assert_eq!(network.ask(1, kind), Status::Success);
    network.clock += params().ticket_age_ms;
    // What user 1 shows, user 0 repeats before it is ordered; and its ticket is too young.
    let kind = purchase(&network, 0, id, &score, &data);
    assert_eq!(network.ask(0, kind), Status::Success);
    let kind = opened(&network, 0, id, &score, &data);
    assert!(matches!(
        network.ask(0, kind),
        Status::Failure(Failure::TicketTooYoung(_))
    ));
    let kind = opened(&network, 1, id, &score, &data);
    assert_eq!(network.ask(1, kind), Status::Success);
    network.clock += params().ticket_age_ms;
    let kind = opened(&network, 0, id, &score, &data);
    assert_eq!(network.ask(0, kind), failure(Failure::TargetFilled(id)));
    // A ticket is for its buyer: bought with another's commitment, it opens nothing.
    let other = spawn(&mut network)[0];
    let ticket = ticket(&network, 0);
    assert_eq!(
        network.ask(0, TransactionKind::ReturnTicket { ticket }),
        Status::Success
    );
    let mut kind = purchase(&network, 0, other, &score, &data);
    if let TransactionKind::CommitSubmission { commitment, .. } = &mut kind {
        *commitment = score.commitment(user(1), other, data.checksum, SALT);
    }
    assert_eq!(network.ask(0, kind), Status::Success);
    network.clock += params().ticket_age_ms;
    let kind = opened(&network, 0, other, &score, &data);
    assert_eq!(network.ask(0, kind), failure(Failure::SubmissionMismatch));
}

#[test]
fn w_h2_what_can_be_checked_is_checked() {
    let (mut network, model) = network();
    let id = spawn(&mut network)[0];
    let right = score(&network, id, model);
    let far: Vec<i32> = right.embedding.coordinates().iter().map(|x| -x).collect();
    let far = Score {
        embedding: Embedding::new(far).unwrap(),
        distance: Distance::MAX,
        ..right.clone()
    };
    let near = Score {
        distance: Distance::ZERO,
        ..far.clone()
    };
    let short = Score {
        embedding: Embedding::new(vec![1; 3]).unwrap(),
        ..right.clone()
    };
    let other = Score {
        winner: ObjectId::from_low(99),
        ..right.clone()
    };
    let threshold = target(&network, id).threshold;
    let limit = params().max_submission_bytes;
    let sized = |bytes| Manifest { bytes, ..data(1) };
    let dim = params().embedding_dim;
    for (score, data, expected) in [
        (&far, data(1), Failure::TooFar(threshold)),
        (&near, data(1), Failure::WrongDistance(Distance::MAX)),
        (&short, data(1), Failure::WrongDimension(dim)),
        (&other, data(1), Failure::NotAContender(ObjectId::from_low(99))),
        (&right, sized(0), Failure::WrongDataSize(limit)),
        (&right, sized(u64::from(limit) + 1), Failure::WrongDataSize(limit)),
    ] {
        assert_eq!(submit(&mut network, 1, id, score, &data), failure(expected));
        let ticket = ticket(&network, 1);
        assert_eq!(
            network.ask(1, TransactionKind::ReturnTicket { ticket }),
            Status::Success
        );
    }
    let least = Shannons::new(target(&network, id).reward.get() + 65);
    let too_little = Shannons::new(least.get() - 1);
    let too_small = failure(Failure::BondTooSmall(least));
    for (locked, expected) in [(too_little, too_small), (least, Status::Success)] {
        let mut kind = purchase(&network, 1, id, &right, &data(1));
        if let TransactionKind::CommitSubmission { bond, .. } = &mut kind {
            *bond = locked;
        }
        assert_eq!(network.ask(1, kind), expected);
    }
    network.clock += params().ticket_age_ms;
    let need = Shannons::new(target(&network, id).reward.get() + 650_000);
    let kind = opened(&network, 1, id, &right, &data(1));
    assert_eq!(network.ask(1, kind), failure(Failure::BondTooSmall(need)));
}

#[test]
fn data_fills_one_target() {
    let (mut network, model) = network();
    let targets = spawn(&mut network);
    let first = score(&network, targets[0], model);
    assert_eq!(
        submit(&mut network, 1, targets[0], &first, &data(1)),
        Status::Success
    );
    let second = score(&network, targets[1], model);
    assert_eq!(
        submit(&mut network, 0, targets[1], &second, &data(1)),
        failure(Failure::DataUsed(targets[0]))
    );
    assert_eq!(
        submit(&mut network, 1, targets[1], &second, &data(2)),
        Status::Success
    );
}

#[test]
fn a_ticket_is_for_one_target_and_epoch_and_comes_back_for_less() {
    let (mut network, model) = network();
    let targets = spawn(&mut network);
    let (score, data) = (score(&network, targets[0], model), data(1));
    let kind = purchase(&network, 1, targets[0], &score, &data);
    assert_eq!(network.ask(1, kind), Status::Success);
    network.clock += params().ticket_age_ms;
    let kind = opened(&network, 1, targets[1], &score, &data);
    assert_eq!(network.ask(1, kind), failure(Failure::WrongTicket(targets[0])));
    let epoch = network.system().epoch;
    network.close();
    network.clock += params().ticket_age_ms;
    let kind = opened(&network, 1, targets[0], &score, &data);
    assert_eq!(network.ask(1, kind), failure(Failure::TicketExpired(epoch)));
    let ticket = ticket(&network, 1);
    let emission = network.economy().emission;
    assert_eq!(
        network.ask(1, TransactionKind::ReturnTicket { ticket }),
        Status::Success
    );
    let lost = network.economy().emission.get() - emission.get();
    assert_eq!(lost, params().ticket_fee.get());
    let coin = network.of(1, true)[0].id;
    let kind = TransactionKind::ReturnTicket {
        ticket: network.state.get(&coin).unwrap().reference(),
    };
    assert_eq!(network.ask(1, kind), failure(Failure::NotATicket(coin)));
}

#[test]
fn somebody_else_can_claim_later_for_a_part() {
    let (mut network, model) = network();
    let id = filled(&mut network, model);
    audit(&mut network, id, &[VALID(); 4]);
    let (epoch, reward) = (network.system().epoch, target(&network, id).reward);
    let due = epoch.next().unwrap();
    assert_eq!(claim(&mut network, 20, id), failure(Failure::NotClaimable(due)));
    network.close();
    let before = network.money(1);
    assert_eq!(claim(&mut network, 20, id), Status::Success);
    let finder_fee = Shannons::new(reward.get() / 200);
    let paid = network.money(1) - before;
    let submitter = user(1);
    assert!(network.events.contains(&Event::Claimed {
        target: id,
        submitter,
        amount: Shannons::new(paid),
        finder_fee,
    }));
}

#[test]
fn targets_are_spawned_at_beacons_for_those_that_were_filled() {
    let (mut network, model) = network();
    let targets = spawn(&mut network);
    assert_eq!(spawn(&mut network), [], "as many as are wanted are open");
    for (number, id) in (0u8..).zip(&targets[..3]) {
        let score = score(&network, *id, model);
        assert_eq!(
            submit(&mut network, 1, *id, &score, &data(number)),
            Status::Success
        );
    }
    // At an even pace, one in a second.
    network.clock += 3_000;
    let replaced = spawn(&mut network);
    assert_eq!(replaced.len(), 3);
    // Without a model that competes there are none.
    let kind = TransactionKind::DeactivateModel { model };
    assert_eq!(network.ask(0, kind), Status::Success);
    let score = score(&network, targets[4], model);
    assert_eq!(
        submit(&mut network, 1, targets[4], &score, &data(9)),
        Status::Success,
        "it was chosen before"
    );
    network.clock += 10_000;
    assert_eq!(spawn(&mut network), []);
}

#[test]
fn what_a_model_earns_that_takes_nothing_any_more_stays_in_the_pool() {
    let (mut network, model) = network();
    let id = filled(&mut network, model);
    let kind = TransactionKind::DeactivateModel { model };
    assert_eq!(network.ask(0, kind), Status::Success);
    let staked = models::model(&network, model).pool.balance;
    let events = audit(&mut network, id, &[VALID(); 4]);
    let outcome = Some(Verdict::Valid);
    assert!(events.contains(&Event::Settled { target: id, outcome }));
    assert_eq!(models::model(&network, model).pool.balance, staked);
    // Its owner is paid a commission all the same, as a coin.
    assert_eq!(claim(&mut network, 0, id), Status::Success);
}
