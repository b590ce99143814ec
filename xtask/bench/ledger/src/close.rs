//! The end of an epoch, with as many validators, models and delegations as there may be.
//!
//! A part of the models competes, a part is about to, and the rest waits, or only holds stake any more. Every pool has stake that
//! is converted at this end, beside stake that was.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, ensure};
use crypto::{Address, BlsSecretKey, Digest, Ed25519SecretKey};
use ledger::draw::{Domain, Draws};
use ledger::emission::target_reward;
use ledger::{Memory, close, money, pool};
use types::{
    Attestation, Audit, AuditRound, Contender, Content, Custodian, Custody, Direction, Distance, Embedding,
    Epoch, Fill, Line, Loss, Manifest, Metadata, Model, ModelKey, Models, Object, ObjectId, Offer, Opening,
    Owner, Pool, Reveal, SOMA, Score, Seat, Shannons, Stage, Standing, Target, UnixMillis, Validator,
    ValidatorKeys, Validators, Verdict, VotingPower, Weights,
};

use crate::machine::{best, median, name};
use crate::world::{id, object, params, single, soma};

/// How much is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Validators
    #[arg(long, default_value_t = 100)]
    validators: u64,
    /// Models
    #[arg(long, default_value_t = 10_000)]
    models: u64,
    /// Receipts for stake, half of them with validators
    #[arg(long, default_value_t = 100_000)]
    delegations: u64,
    /// Targets of the epoch before, filled and audited by sixteen seats: 86,400 is a whole day's
    #[arg(long, default_value_t = 0)]
    targets: u64,
    /// Ends; the best counts
    #[arg(long, default_value_t = 9)]
    turns: usize,
}

/// Seconds that an end may take.
const GOAL: f64 = 1.0;
const EPOCH: Epoch = Epoch::new(1);

/// Measures and prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (params, state) = (params(), state(arguments)?);
    let (mut times, mut roots, mut written, mut events) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..arguments.turns {
        let at = UnixMillis::new(params.epoch_duration_ms);
        let start = Instant::now();
        let end = close(&params, &state, at)?;
        let middle = Instant::now();
        black_box(ledger::root::change([&end.effects]));
        times.push((middle - start).as_secs_f64());
        roots.push(middle.elapsed().as_secs_f64());
        ensure!(end.trouble.is_none(), "safe mode: {:?}", end.trouble);
        (written, events) = (end.writes.len(), end.effects.events.len());
    }
    println!(
        "{}, one core; {} validators, {} models, {} delegations, {} targets, {} ends",
        name(),
        arguments.validators,
        arguments.models,
        arguments.delegations,
        arguments.targets,
        arguments.turns
    );
    println!("{written} objects written, {events} events");
    for (what, seconds) in [("the end", &mut times), ("change of the root", &mut roots)] {
        let (least, middle) = (best(seconds), median(seconds));
        println!(
            "{what:<20} best {:>8.1} ms, median {:>8.1} ms",
            least * 1e3,
            middle * 1e3
        );
    }
    println!("goal: {:.0} ms for both", GOAL * 1e3);
    Ok(())
}

/// Objects in the making, and the receipts among them.
struct New {
    objects: Vec<Object>,
    receipts: u64,
}

impl New {
    /// Stakes so often with a pool: what is behind it already at a price of one, what is not behind it yet.
    fn stake(&mut self, pool: &mut Pool, before: u64, now: u64) -> anyhow::Result<()> {
        for number in 0..before + now {
            let receipt = pool::deposit(pool, SOMA)?;
            let owner = Owner::Address(Address::from(Digest::of_value("Staker", &self.receipts)));
            let id = id("Receipt", self.receipts);
            self.receipts += 1;
            self.objects.push(object(id, owner, Content::StakedSoma(receipt)));
            if number + 1 == before {
                pool::settle(pool, Epoch::ZERO, params().unbonding_epochs)?;
            }
        }
        Ok(())
    }
}

fn state(arguments: &Arguments) -> anyhow::Result<Memory> {
    let mut new = New {
        objects: Vec::new(),
        receipts: 0,
    };
    let mut set = Validators::default();
    let with_each = arguments.delegations / 2 / arguments.validators.max(1);
    for number in 0..arguments.validators {
        let (pool_id, seed) = (id("Validator", number), Digest::of_value("Seed", &number));
        let mut pool = Pool::new(pool_id);
        new.stake(&mut pool, with_each.div_ceil(2), with_each / 2)?;
        let key = |kind: &str| Ed25519SecretKey::from_seed(Digest::of_value(kind, &seed).as_bytes()).public();
        let keys = ValidatorKeys {
            network: key("network"),
            consensus: key("consensus"),
            bls: BlsSecretKey::from_seed(seed.as_bytes()).public(),
        };
        let mut validator = Validator::candidate(seed.into(), keys, Metadata::default(), 1_000, pool);
        validator.standing = Standing::Member;
        let power = u64::from(VotingPower::TOTAL.get()) / arguments.validators;
        set.members
            .insert(pool_id, VotingPower::new(u16::try_from(power)?));
        let claims = validator.claims();
        new.objects
            .extend(claims.map(|claim| object(claim, Owner::Shared, Content::Claim(pool_id))));
        let content = Content::Validator(Box::new(validator));
        new.objects.push(object(pool_id, Owner::Shared, content));
    }
    let mut models = Models::default();
    let left = arguments.delegations - new.receipts;
    for number in 0..arguments.models {
        let pool_id = id("Model", number);
        let mut pool = Pool::new(pool_id);
        let each = (left / arguments.models).max(1);
        new.stake(&mut pool, each.div_ceil(2), each / 2)?;
        let model = Model {
            owner: Digest::of_value("Owner", &number).into(),
            architecture: params().model_architecture,
            commission_bps: 500,
            next_commission_bps: 500,
            pool,
            stage: stage(number, &set)?,
        };
        models.all.insert(pool_id);
        new.objects
            .push(object(pool_id, Owner::Shared, Content::Model(Box::new(model))));
    }
    for number in 0..arguments.targets {
        let content = Content::Target(Box::new(target(number, &set)?));
        new.objects
            .push(object(id("Target", number), Owner::Shared, content));
    }
    let held = new.objects.iter().map(|object| money(&object.content));
    let held = Shannons::checked_sum(held.collect::<Result<Vec<_>, _>>()?)?;
    let rest = Shannons::SUPPLY.checked_sub(held)?;
    ensure!(rest > soma(1_000_000), "the emission pool has something");
    Ok(new
        .objects
        .into_iter()
        .chain(single(EPOCH, rest, set, models))
        .collect())
}

/// A target that is filled with data from which one of the first models sees it right, as sixteen seats agree.
fn target(number: u64, set: &Validators) -> anyhow::Result<Target> {
    let reward = target_reward(&params());
    let embedding = reveal(number % 1_024)?.embedding;
    let sees = Embedding::new(embedding.coordinates().to_vec())?;
    let contender = |place: u64| Contender {
        model: id("Model", (number + place) % 1_024),
        owner: Digest::of_value("Owner", &((number + place) % 1_024)).into(),
        weights: Digest::of_value("Weights", &number),
    };
    let trace = Digest::of_value("Trace", &number);
    let verdict = Verdict::Valid;
    let seat = |(member, power): (&ObjectId, &VotingPower)| {
        let seat = Seat {
            seal: Some(trace),
            opening: Some(Opening { verdict, trace }),
            ..Seat::new(*power)
        };
        (*member, seat)
    };
    let members = set.members.iter().cycle();
    let first = usize::try_from(number % set.members.len().max(1) as u64)?;
    let seats = members.skip(first).take(params().audit_seats.into()).map(seat);
    let fill = Fill {
        submitter: Digest::of_value("Submitter", &number).into(),
        data: Manifest {
            url: Line::try_from("https://data.example/some".to_owned())?,
            checksum: Digest::of_value("Data", &number),
            bytes: 1 << 10,
        },
        score: Score {
            winner: contender(0).model,
            loss: Loss::new(1 << 30, 1 << 10)?,
            embedding: sees,
            distance: Distance::ZERO,
        },
        bond: reward,
        audit: Audit::Seats(AuditRound {
            epoch: EPOCH,
            seats: seats.collect(),
        }),
    };
    Ok(Target {
        embedding,
        contenders: (0..3).map(contender).collect(),
        threshold: Distance::ZERO,
        reward,
        epoch: Epoch::ZERO,
        fill: Some(Box::new(fill)),
    })
}

/// 1,024 models compete, a thousand have revealed what they offer, a thousand have offered only, a thousand are new, and the
/// others only hold stake any more.
fn stage(number: u64, set: &Validators) -> anyhow::Result<Stage> {
    let manifest = Manifest {
        url: Line::try_from("https://weights.example/model".to_owned())?,
        checksum: Digest::of_value("File", &number),
        bytes: params().model_weight_bytes,
    };
    Ok(match number {
        0..1_024 => Stage::Active {
            weights: Weights {
                manifest,
                reveal: reveal(number)?,
                since: Epoch::ZERO,
            },
            update: None,
        },
        1_024..3_024 => {
            let is_revealed = number < 2_024;
            let most = usize::from(params().custodians);
            let custodians = set.members.iter().take(most).map(|(member, power)| {
                let attestation = is_revealed.then_some(Attestation::Held);
                let power = *power;
                (*member, Custodian { power, attestation })
            });
            let custodians: BTreeMap<ObjectId, Custodian> = custodians.collect();
            Stage::Offered(Offer {
                manifest,
                commitment: Digest::of_value("Commitment", &number),
                epoch: if is_revealed { Epoch::ZERO } else { EPOCH },
                fee: Shannons::ZERO,
                reveal: is_revealed.then(|| reveal(number)).transpose()?,
                custody: Custody::Drawn(custodians),
            })
        }
        3_024..4_024 => Stage::Created(EPOCH),
        _ => Stage::Inactive,
    })
}

fn reveal(number: u64) -> anyhow::Result<Reveal> {
    let beacon = Digest::of_value("Embedding", &number);
    let mut draws = Draws::new(Domain::TargetEmbedding, &beacon, b"");
    let embedding = Direction::new(draws.direction(params().embedding_dim as usize));
    Ok(Reveal {
        key: ModelKey::new(*beacon.as_bytes()),
        weights: Digest::of_value("Weights", &number),
        embedding: embedding.context("a direction that was drawn")?,
    })
}
