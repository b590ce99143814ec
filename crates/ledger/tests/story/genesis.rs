//! How a chain begins.

use std::collections::BTreeMap;

use crypto::segments::sealed_length;
use ledger::genesis::{Allocation, Founder, Genesis, GenesisError, SeedModel, StakedWith, UNNAMED};
use ledger::{Memory, money, root};
use types::{
    Content, Digest, Direction, Epoch, Event, Failure, GenesisParams, Line, Manifest, Metadata, ModelKey,
    Models, Object, ProtocolVersion, Reveal, SOMA, Shannons, Status, Targets, UnixMillis, decode, encode,
};

use crate::kit::user;
use crate::network::{Network, keys_for, soma};

pub fn founder(number: u8) -> Founder {
    Founder {
        address: user(number),
        keys: keys_for(UNNAMED, number, number),
        metadata: Metadata::default(),
        commission_bps: 200,
    }
}

pub fn allocation(recipient: u8, amount: u64, staked_with: Option<u8>) -> Allocation {
    Allocation {
        recipient: user(recipient),
        amount: soma(amount),
        staked_with: staked_with.map(user).map(StakedWith::Founder),
    }
}

/// As the reference's local network: four validators with stake and coins, five users with five coins.
pub fn local() -> Genesis {
    let mut schedule = Vec::new();
    for validator in 20..24 {
        schedule.push(allocation(validator, 20_000, Some(validator)));
        schedule.push(allocation(validator, 300_000, None));
    }
    for user in 0..5 {
        schedule.extend([allocation(user, 300_000, None); 5]);
    }
    Genesis {
        version: ProtocolVersion::new(1),
        params: GenesisParams::default(),
        started: UnixMillis::new(1_700_000_000_000),
        founders: (20..24).map(founder).collect(),
        models: Vec::new(),
        schedule,
        emission: soma(10_000_000 - 4 * 320_000 - 25 * 300_000),
    }
}

fn supply(objects: &[Object]) -> u64 {
    objects
        .iter()
        .map(|object| money(&object.content).unwrap().get())
        .sum()
}

#[test]
fn one_genesis_is_one_chain_and_one_golden_state() {
    let genesis = local();
    let objects = genesis.objects().unwrap();
    assert_eq!(supply(&objects), Shannons::SUPPLY.get());
    let bytes = encode(&genesis);
    let read: Genesis = decode(&bytes, bytes.len()).unwrap();
    assert_eq!(read.objects(), Ok(objects.clone()));
    let state: Memory = objects.iter().cloned().collect();
    assert_eq!(state.iter().count(), objects.len(), "each object once");
    let digests = format!(
        "chain  {}\nstate  {}\nobjects  {}\n",
        genesis.chain(),
        root::root(state.iter()).digest(),
        objects.len()
    );
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../../fixtures/genesis");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("local", digests));
    let later = Genesis {
        started: UnixMillis::new(1_700_000_000_001),
        ..genesis.clone()
    };
    assert_ne!(later.chain(), genesis.chain());
}

#[test]
fn a_chain_goes_on_from_its_genesis() {
    let mut network = Network::begin(&local());
    assert_eq!(network.set().members.len(), 4);
    let validator = network.validator_of(20);
    let kind = types::TransactionKind::AddStake {
        validator,
        coin: network.purse(0),
        amount: Some(SOMA),
    };
    assert_eq!(network.ask(0, kind), Status::Success);
    let before = network.validator_at(validator).pool.balance;
    network.close();
    let earned = network.validator_at(validator).pool.balance.get() - before.get();
    assert!(
        earned > soma(274).get() / 4,
        "the first committee earns in the first epoch"
    );
    let receipt = network.of(20, false)[0];
    let Content::StakedSoma(staked) = network.content(receipt.id) else {
        panic!("it is a receipt")
    };
    assert_eq!(staked.pool, validator);
}

/// W-M21: what was wrong with a genesis was found when the chain ran, or never.
#[test]
fn what_no_chain_can_begin_with_is_named() {
    type Spoil = fn(&mut Genesis);
    let cases: [(Spoil, GenesisError); 17] = [
        (
            |genesis| genesis.version = ProtocolVersion::new(9),
            GenesisError::UnknownVersion(ProtocolVersion::new(9)),
        ),
        (
            |genesis| genesis.params.epoch_duration_ms = Some(0),
            GenesisError::Params(types::ParamsError {
                parameter: "epoch_duration_ms",
                value: 0,
                low: 1,
                high: 366 * 24 * 60 * 60 * 1_000,
            }),
        ),
        (|genesis| genesis.founders.clear(), GenesisError::Founders(0)),
        (
            |genesis| genesis.founders = vec![founder(20); 1_025],
            GenesisError::Founders(1_025),
        ),
        (
            |genesis| genesis.founders.push(founder(20)),
            GenesisError::Shared(user(20)),
        ),
        (
            |genesis| {
                genesis.founders[1].keys = keys_for(UNNAMED, 21, 20);
            },
            GenesisError::Shared(user(21)),
        ),
        (
            |genesis| genesis.founders[1].keys = keys_for(UNNAMED, 20, 21),
            GenesisError::InvalidProofOfPossession(user(21)),
        ),
        (
            |genesis| genesis.founders[1].keys = crate::network::keys(21, 21),
            GenesisError::InvalidProofOfPossession(user(21)),
        ),
        (
            |genesis| genesis.founders[2].commission_bps = 10_001,
            GenesisError::CommissionTooHigh(user(22)),
        ),
        (
            |genesis| genesis.schedule[0].staked_with = Some(StakedWith::Founder(user(21))),
            GenesisError::StakeTooLittle(user(20)),
        ),
        (
            |genesis| {
                // Less than 12 ten-thousandths of 60,070 SOMA.
                genesis.schedule[0].amount = soma(70);
                genesis.emission = soma(10_000_000 - 4 * 320_000 - 25 * 300_000 + 19_930);
            },
            GenesisError::StakeTooLittle(user(20)),
        ),
        (
            |genesis| {
                genesis.schedule[1].amount = Shannons::ZERO;
                genesis.emission = soma(10_000_000 - 4 * 320_000 - 25 * 300_000 + 300_000);
            },
            GenesisError::AmountTooLittle(1),
        ),
        (
            |genesis| {
                genesis.schedule[1] = allocation(20, 300_000, Some(20));
                genesis.schedule[1].amount = Shannons::new(SOMA.get() - 1);
                genesis.emission = soma(10_000_000 - 4 * 320_000 - 25 * 300_000 + 299_999);
                genesis.emission = Shannons::new(genesis.emission.get() + 1);
            },
            GenesisError::AmountTooLittle(1),
        ),
        (
            |genesis| genesis.schedule[1].staked_with = Some(StakedWith::Founder(user(0))),
            GenesisError::NoPool(1),
        ),
        (
            |genesis| genesis.emission = Shannons::new(genesis.emission.get() + 1),
            GenesisError::Supply(u128::from(Shannons::SUPPLY.get()) + 1),
        ),
        (
            |genesis| genesis.emission = Shannons::new(genesis.emission.get() - 1),
            GenesisError::Supply(u128::from(Shannons::SUPPLY.get()) - 1),
        ),
        (
            |genesis| {
                genesis.schedule = [Allocation {
                    amount: Shannons::new(u64::MAX),
                    ..allocation(0, 0, None)
                }; 2]
                    .to_vec();
                genesis.emission = Shannons::ZERO;
            },
            GenesisError::Supply(2 * u128::from(u64::MAX)),
        ),
    ];
    for (spoil, error) in cases {
        let mut genesis = local();
        spoil(&mut genesis);
        assert_eq!(genesis.objects(), Err(error));
    }
}

/// The local network with a model of each of two users, staked by them and another.
fn seeded() -> Genesis {
    let seed = |owner: u8| SeedModel {
        owner: user(owner),
        commission_bps: 1_000,
        manifest: Manifest {
            url: Line::try_from(format!("https://{owner}.example/model")).unwrap(),
            checksum: Digest::of(&[owner]),
            bytes: sealed_length(1_000),
        },
        reveal: Reveal {
            key: ModelKey::new([owner; 32]),
            weights: Digest::of(&[owner, owner]),
            embedding: Direction::new(vec![1, 0, -3, i32::from(owner)]).unwrap(),
        },
    };
    let stake = |recipient: u8, position| Allocation {
        staked_with: Some(StakedWith::Model(position)),
        ..allocation(recipient, 10, None)
    };
    let mut genesis = local();
    genesis.params.embedding_dim = Some(4);
    genesis.params.model_weight_bytes = Some(1_000);
    genesis.models = vec![seed(0), seed(1)];
    genesis.schedule.extend([stake(0, 0), stake(1, 1), stake(2, 1)]);
    genesis.emission = Shannons::new(genesis.emission.get() - soma(30).get());
    genesis
}

#[test]
fn seed_models_compete_from_the_first_epoch_on_and_the_emission_pays() {
    let genesis = seeded();
    let objects = genesis.objects().unwrap();
    assert_eq!(supply(&objects), Shannons::SUPPLY.get());
    let mut network = Network::begin(&genesis);
    let version = types::ProtocolParams::of(genesis.version).unwrap();
    network.params = genesis.params.over(version).unwrap();
    let Content::Models(models) = network.content(Models::ID) else {
        panic!("it is the models")
    };
    assert_eq!(models.all.len(), 2);
    let stakes = models.all.iter().map(|id| {
        let Content::Model(model) = network.content(*id) else {
            panic!("it is a model")
        };
        assert!(
            model
                .weights()
                .is_some_and(|weights| weights.since == Epoch::ZERO)
        );
        (model.owner, model.pool.balance)
    });
    let stakes: BTreeMap<_, _> = stakes.collect();
    assert_eq!(stakes, [(user(0), soma(10)), (user(1), soma(20))].into());
    let Content::Targets(targets) = network.content(Targets::ID) else {
        panic!("it is the targets")
    };
    // 80 % of 1,370 SOMA, less what 86,400 equal rewards leave.
    assert_eq!(targets.budget, Shannons::new(12_685_185 * 86_400));
    let left = network.economy().emission.get();
    assert_eq!(left, genesis.emission.get() - 12_685_185 * 86_400);
    let spawned = network.tick(1);
    let spawned = spawned
        .iter()
        .filter(|event| matches!(event, Event::TargetSpawned { .. }));
    assert_eq!(spawned.count(), 100, "as many as are wanted open");
    network.close();
    assert_eq!(network.trouble, None);
}

#[test]
fn a_seed_model_is_one_that_its_owner_could_have_made() {
    type Spoil = fn(&mut Genesis);
    let size = Failure::WrongFileSize {
        low: sealed_length(1_000),
        high: sealed_length(1_000 + (1 << 20)),
    };
    let cases: [(Spoil, GenesisError); 7] = [
        (
            |genesis| genesis.models[1].manifest.url = Line::default(),
            GenesisError::NoUrl(1),
        ),
        (
            |genesis| genesis.models[1].commission_bps = 10_001,
            GenesisError::SeedModel(1, Failure::CommissionTooHigh(10_000)),
        ),
        (
            |genesis| genesis.models[1].manifest.bytes = 1_000,
            GenesisError::SeedModel(1, size),
        ),
        (
            |genesis| genesis.models[0].reveal.embedding = Direction::new(vec![1]).unwrap(),
            GenesisError::SeedModel(0, Failure::WrongDimension(4)),
        ),
        (
            |genesis| {
                let rows = genesis.schedule.len();
                genesis.schedule[rows - 3].staked_with = Some(StakedWith::Model(1));
            },
            GenesisError::SeedModel(0, Failure::StakeTooLittle(SOMA)),
        ),
        (
            |genesis| genesis.schedule[0].staked_with = Some(StakedWith::Model(2)),
            GenesisError::NoPool(0),
        ),
        (
            |genesis| genesis.models = vec![genesis.models[0].clone(); 1_025],
            GenesisError::SeedModels(1_025, 1_024),
        ),
    ];
    for (spoil, error) in cases {
        let mut genesis = seeded();
        spoil(&mut genesis);
        assert_eq!(genesis.objects(), Err(error));
    }
    let error = GenesisError::SeedModel(0, Failure::WrongDimension(4));
    assert_eq!(
        error.to_string(),
        "seed model 0: an embedding has 4 coordinates: give as many"
    );
}
