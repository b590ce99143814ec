//! Models, targets, and what is asked for them.

use crypto::{Address, Digest};
use types::{
    Attestation, Audit, AuditRound, Contender, Content, Custodian, Custody, Difficulty, Direction, Distance,
    Embedding, Epoch, Fill, Line, Loss, Manifest, Model, ModelKey, Models, ObjectDigest, ObjectId, ObjectRef,
    Offer, Opening, Pace, Pool, ProtocolVersion, Rejection, Reveal, Rules, SOMA, Score, Seat, Stage, Target,
    Targets, Ticket, TransactionKind, UnixMillis, Verdict, Version, VotingPower, Weights, receipt_id,
};

use super::{key, row};

pub fn models() -> String {
    let (model, owner) = (ObjectId::from_low(30), Address::from(&key(1).public()));
    let reveal = Reveal {
        key: ModelKey::new([3; 32]),
        weights: Digest::of(b"weights"),
        embedding: Direction::new(vec![1, -1]).unwrap(),
    };
    let manifest = Manifest {
        url: Line::try_from("https://a.example/model".to_owned()).unwrap(),
        checksum: Digest::of(b"file"),
        bytes: 1 << 20,
    };
    let offer = |custody| Offer {
        manifest: manifest.clone(),
        commitment: reveal.commitment(model, owner, Epoch::new(4)),
        epoch: Epoch::new(4),
        fee: SOMA,
        reveal: None,
        custody,
    };
    let custodian = |attestation| Custodian {
        power: VotingPower::new(2_500),
        attestation,
    };
    let found = [
        Attestation::Held,
        Attestation::Rejected(Rejection::Unavailable),
        Attestation::Rejected(Rejection::NotFinite),
    ];
    let drawn = (0u8..).zip(found.map(Some).into_iter().chain([None]));
    let drawn = drawn.map(|(number, found)| (ObjectId::from_low(20 + number), custodian(found)));
    let update = Offer {
        reveal: Some(reveal.clone()),
        ..offer(Custody::Drawn(drawn.collect()))
    };
    let stages = [
        Stage::Created(Epoch::new(3)),
        Stage::Offered(offer(Custody::Undrawn)),
        Stage::Active {
            weights: Weights {
                manifest: manifest.clone(),
                reveal: reveal.clone(),
                since: Epoch::new(6),
            },
            update: Some(update),
        },
        Stage::Offered(offer(Custody::Committee(
            [(ObjectId::from_low(20), custodian(None))].into(),
        ))),
        Stage::Inactive,
    ];
    let models = stages.map(|stage| {
        Content::Model(Box::new(Model {
            owner,
            architecture: 1,
            commission_bps: 500,
            next_commission_bps: 600,
            pool: Pool::new(model),
            stage,
        }))
    });
    let all = Models {
        all: [model].into(),
        undrawn: [model].into(),
    };
    let coin = ObjectRef {
        id: ObjectId::from_low(9),
        version: Version::new(1),
        digest: ObjectDigest::new(Digest::of(b"coin")),
    };
    let kinds = [
        TransactionKind::CreateModel {
            architecture: 1,
            commission_bps: 500,
            coin,
            amount: Some(SOMA),
        },
        TransactionKind::CommitModel {
            model,
            manifest: Box::new(manifest.clone()),
            commitment: reveal.commitment(model, owner, Epoch::new(4)),
            coin,
        },
        TransactionKind::RevealModel {
            model,
            reveal: Box::new(reveal.clone()),
        },
        TransactionKind::SetModelCommissionRate {
            model,
            commission_bps: 600,
        },
        TransactionKind::DeactivateModel { model },
        TransactionKind::AddStakeToModel {
            model,
            coin,
            amount: None,
        },
        TransactionKind::AttestCustody {
            validator: ObjectId::from_low(20),
            model,
            attestation: Attestation::Held,
        },
    ];
    [
        row("Content::Model", &models.to_vec()),
        row("Content::Models", &Content::Models(all)),
        row("TransactionKind::OfModels", &kinds.to_vec()),
    ]
    .concat()
}

pub fn targets() -> String {
    let (id, sender) = (ObjectId::from_low(40), Address::from(&key(1).public()));
    let [model, auditor] = [30, 20].map(ObjectId::from_low);
    let data = Manifest {
        url: Line::try_from("https://a.example/data".to_owned()).unwrap(),
        checksum: Digest::of(b"data"),
        bytes: 10_000,
    };
    let score = Score {
        winner: model,
        loss: Loss::new(1 << 24, 10_000).unwrap(),
        embedding: Embedding::new(vec![5, -5]).unwrap(),
        distance: Distance::new(978_000_000).unwrap(),
    };
    let commitment = score.commitment(sender, id, data.checksum, [7; 32]);
    let opening = Opening {
        verdict: Verdict::Valid,
        trace: Digest::of(b"trace"),
    };
    let seal = opening.seal(auditor, id, [8; 32]);
    let power = VotingPower::new(2_500);
    let seats = [
        Seat::new(power),
        Seat {
            power,
            seal: Some(seal),
            opening: Some(opening),
        },
    ];
    let round = AuditRound {
        epoch: Epoch::new(6),
        seats: [ObjectId::from_low(20), ObjectId::from_low(21)]
            .into_iter()
            .zip(seats)
            .collect(),
    };
    let audits = [
        Audit::Undrawn,
        Audit::Seats(round.clone()),
        Audit::Committee {
            before: round.clone(),
            now: round,
        },
        Audit::Valid,
    ];
    let fills = audits.map(|audit| {
        Some(Box::new(Fill {
            submitter: sender,
            data: data.clone(),
            score: score.clone(),
            bond: SOMA,
            audit,
        }))
    });
    let all = [None].into_iter().chain(fills).map(|fill| {
        Content::Target(Box::new(Target {
            embedding: Direction::new(vec![1, 2]).unwrap(),
            contenders: vec![Contender {
                model,
                owner: sender,
                weights: Digest::of(b"weights"),
            }],
            threshold: Distance::new(978_000_000).unwrap(),
            reward: SOMA,
            epoch: Epoch::new(5),
            fill,
        }))
    });
    let all: Vec<Content> = all.collect();
    let ticket = Content::Ticket(Ticket {
        target: id,
        commitment,
        bond: SOMA,
        epoch: Epoch::new(5),
        at: UnixMillis::new(7),
    });
    let common = Content::Targets(Targets {
        budget: SOMA,
        pace: Pace {
            budget: 1,
            spawned: 2,
            elapsed_ms: 3,
            credit: 4,
            open: 5,
            open_ms: 6,
        },
        difficulty: Difficulty {
            distance_billionths: 7,
            gain_bps: 8,
            error: -9,
        },
        hits: 10,
        undrawn: [id].into(),
    });
    let owned = ObjectRef {
        id: ObjectId::from_low(9),
        version: Version::new(1),
        digest: ObjectDigest::new(Digest::of(b"owned")),
    };
    let kinds = [
        TransactionKind::CommitSubmission {
            target: id,
            commitment,
            bond: SOMA,
            coin: owned,
        },
        TransactionKind::SubmitData {
            target: id,
            ticket: owned,
            data: Box::new(data.clone()),
            score: Box::new(score),
            salt: [7; 32],
        },
        TransactionKind::ReturnTicket { ticket: owned },
        TransactionKind::ClaimRewards { target: id },
        TransactionKind::SealVerdict {
            validator: auditor,
            target: id,
            seal,
        },
        TransactionKind::OpenVerdict {
            validator: auditor,
            target: id,
            opening,
            salt: [8; 32],
        },
    ];
    let vote = |rules| TransactionKind::VoteUpgrade {
        validator: auditor,
        rules,
    };
    let later = Rules {
        version: ProtocolVersion::new(2),
        params: Digest::of(b"params"),
    };
    [
        row(
            "Content::DataReceipt",
            &Content::DataReceipt(receipt_id(data.checksum)),
        ),
        row("Content::Target", &all),
        row("Content::Targets", &common),
        row("Content::Ticket", &ticket),
        row("TransactionKind::OfTargets", &kinds.to_vec()),
        row(
            "TransactionKind::VoteUpgrade",
            &[None, Some(later)].map(vote).to_vec(),
        ),
    ]
    .concat()
}
