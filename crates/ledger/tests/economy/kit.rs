//! A chain with accounts that have everything, its draws from a seed, and its steps beside the model's.

use std::collections::{BTreeMap, BTreeSet};

use crypto::segments::sealed_length;
use crypto::{Address, BlsSecretKey, Digest, Ed25519SecretKey, UserSignature, Verified};
use ledger::genesis::{Allocation, Founder, SeedModel, StakedWith, UNNAMED};
use ledger::{Application, CloseError, Context, Genesis, Live, Memory, Objects, Prices, Reject, close};
use types::{
    ChainId, CommitIndex, Content, Economy, Event, GenesisParams, Line, Manifest, Metadata, ObjectId,
    ProtocolParams, ProtocolVersion, ProvedKeys, SOMA, Shannons, SignedTransaction, Status, System,
    Transaction, UnixMillis,
};

use crate::made::shown;
use crate::model::Model;
use crate::pools::Pool;
use crate::view::{Money, Target, read};

/// Accounts: users, the first four validators, and some who want to be one.
pub const USERS: [u8; 4] = [0, 1, 2, 3];
pub const FOUNDERS: [u8; 4] = [20, 21, 22, 23];
pub const OTHERS: [u8; 2] = [24, 25];

/// Numbers from a seed.
pub struct Draw(pub u64);

impl Draw {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub fn pick<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let at = usize::try_from(self.below(all.len().max(1) as u64)).unwrap();
        all.get(at).cloned()
    }
}

pub fn key(number: u8) -> Ed25519SecretKey {
    Ed25519SecretKey::from_seed(&[number; 32])
}

pub fn account(number: u8) -> Address {
    Address::from(&key(number).public())
}

pub fn consensus_key(number: u8) -> Ed25519SecretKey {
    Ed25519SecretKey::from_seed(&[100 + number; 32])
}

pub fn keys(chain: ChainId, owner: u8, number: u8) -> ProvedKeys {
    let bls = BlsSecretKey::from_seed(&[number; 32]);
    ProvedKeys::prove(
        chain,
        account(owner),
        &key(50 + number),
        &consensus_key(number),
        &bls,
    )
}

pub fn soma(amount: u64) -> Shannons {
    Shannons::new(amount * SOMA.get())
}

pub fn signed(signer: u8, transaction: Transaction) -> Verified<Transaction> {
    let message = SignedTransaction::message(transaction);
    let signature = UserSignature::sign(&message, &key(signer));
    let transaction = message.value;
    let signed = SignedTransaction {
        transaction,
        signature,
    };
    signed.verify().unwrap()
}

fn genesis() -> Genesis {
    let founders = FOUNDERS.map(|number| Founder {
        address: account(number),
        keys: keys(UNNAMED, number, number),
        metadata: Metadata::default(),
        commission_bps: 333 * u16::from(number - 19),
    });
    let mut schedule = Vec::new();
    for number in USERS.into_iter().chain(FOUNDERS).chain(OTHERS) {
        for coin in 0..3 {
            schedule.push(Allocation {
                recipient: account(number),
                amount: Shannons::new(100_000_000_000_007 + coin),
                staked_with: None,
            });
        }
    }
    for (more, number) in (0u64..).zip(FOUNDERS) {
        schedule.push(Allocation {
            recipient: account(number),
            amount: Shannons::new(20_000_000_000_001 + more * 3_000_000_000_003),
            staked_with: Some(StakedWith::Founder(account(number))),
        });
    }
    let model = SeedModel {
        owner: account(USERS[3]),
        commission_bps: 1_234,
        manifest: Manifest {
            url: Line::try_from("https://a.example/model".to_owned()).unwrap(),
            checksum: Digest::ZERO,
            bytes: sealed_length(1_000),
        },
        reveal: shown(ObjectId::from_low(9), 0),
    };
    for (more, number) in (0u64..).zip(USERS) {
        schedule.push(Allocation {
            recipient: account(number),
            amount: Shannons::new(3_000_000_001 + more * 1_000_000_007),
            staked_with: Some(StakedWith::Model(0)),
        });
    }
    let given: u64 = schedule.iter().map(|row| row.amount.get()).sum();
    Genesis {
        version: ProtocolVersion::new(1),
        params: GenesisParams {
            wanted_epoch_hits: Some(43),
            embedding_dim: Some(4),
            model_weight_bytes: Some(1_000),
            ..GenesisParams::default()
        },
        started: UnixMillis::new(1_000),
        founders: founders.into(),
        models: vec![model],
        schedule,
        emission: Shannons::new(Shannons::SUPPLY.get() - given),
    }
}

/// How many transactions came to what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    succeeded: u64,
    failed: u64,
    rejected: u64,
    /// Epochs that ended in safe mode, since nobody would have been left.
    safe_ends: u64,
}

impl Asked {
    pub const fn add(&mut self, more: Self) {
        self.succeeded += more.succeeded;
        self.failed += more.failed;
        self.rejected += more.rejected;
        self.safe_ends += more.safe_ends;
    }
}

pub struct Chain {
    pub asked: Asked,
    pub state: Memory,
    pub model: Model,
    pub params: ProtocolParams,
    pub statuses: BTreeSet<&'static str>,
    /// What happened, by name, and what of it matters.
    pub events: BTreeSet<String>,
    /// Of this epoch.
    commits: u64,
    pub elapsed_ms: u64,
}

impl Chain {
    pub fn begin() -> Self {
        let genesis = genesis();
        let version = ProtocolParams::of(ProtocolVersion::new(1)).unwrap();
        let params = ProtocolParams {
            wanted_open_targets: 7,
            free_object_bytes: types::Object::COIN_BYTES,
            ..genesis.params.over(version).unwrap()
        };
        let state: Memory = genesis.objects().unwrap().into_iter().collect();
        let mut chain = Self {
            model: founded(params, &genesis, &state),
            state,
            params,
            statuses: BTreeSet::new(),
            events: BTreeSet::new(),
            commits: 0,
            elapsed_ms: 0,
            asked: Asked::default(),
        };
        chain.compare("genesis");
        chain
    }

    pub fn content(&self, id: ObjectId) -> Content {
        self.state.get(&id).unwrap().object().content.clone()
    }

    pub fn system(&self) -> System {
        match self.content(System::ID) {
            Content::System(system) => system,
            other => panic!("{other:?} is no system"),
        }
    }

    pub fn context(&self, beacon: Option<Digest>) -> Context {
        let Content::Economy(economy) = self.content(Economy::ID) else {
            panic!("it is the economy")
        };
        let system = self.system();
        Context {
            system,
            commit: CommitIndex::new(self.commits + 1),
            at: UnixMillis::new(system.started.get() + self.elapsed_ms),
            prices: Prices::new(&self.params, economy.value_fee_bps),
            params: self.params,
            beacon,
        }
    }

    /// One commit, of the state and of the model, and what each transaction came to.
    pub fn commit(
        &mut self,
        asked: &[Verified<Transaction>],
        beacon: Option<Digest>,
    ) -> Vec<Result<Status, Reject>> {
        let context = self.context(beacon);
        self.commits += 1;
        let applied = Application::new(context, &self.state, asked).run_all().unwrap();
        let (mut rolling, epoch) = (self.state.clone(), context.system.epoch.get());
        let mut statuses = Vec::new();
        for (transaction, result) in asked.iter().zip(&applied.results) {
            let outcome = match result {
                Ok(outcome) => outcome,
                Err(reject) => {
                    self.asked.rejected += 1;
                    if let Reject::NoDuty(failure) = reject {
                        let status = Status::Failure(failure.clone());
                        self.statuses.insert(crate::statuses::name(&status));
                    }
                    statuses.push(Err(reject.clone()));
                    continue;
                }
            };
            let status = outcome.effects.status.clone();
            match status {
                Status::Success => self.asked.succeeded += 1,
                Status::Failure(_) => self.asked.failed += 1,
            }
            let step = format!("{status:?} of {:?}", transaction.kind);
            self.statuses.insert(crate::statuses::name(&status));
            self.model.execute(&rolling, transaction, outcome, epoch);
            rolling.apply(outcome.writes.clone());
            self.differ(&rolling, &step, true);
            statuses.push(Ok(status));
        }
        let done = applied
            .results
            .iter()
            .flatten()
            .flat_map(|outcome| &outcome.effects.events);
        self.events.extend(done.filter_map(crate::statuses::happened));
        for event in applied.end.iter().flat_map(|end| &end.events) {
            if let Event::TargetSpawned { target, .. } = event {
                let reward = self.model.whole_reward();
                self.model.budget = self.model.budget.checked_sub(reward).unwrap();
                self.model.targets.insert(
                    *target,
                    Target {
                        reward,
                        epoch,
                        fill: None,
                    },
                );
            }
        }
        self.state.apply(applied.writes);
        self.compare("the end of a commit");
        statuses
    }

    pub fn close(&mut self) {
        let system = self.system();
        let at = system.started.get() + self.params.epoch_duration_ms;
        let change = close(&self.params, &self.state, UnixMillis::new(at)).unwrap();
        if change.trouble == Some(CloseError::NobodyLeft) {
            // The last members go: nobody's balance changes.
            self.state.apply(change.writes);
            (self.elapsed_ms, self.commits) = (0, 0);
            self.compare("the end of an epoch in safe mode");
            self.asked.safe_ends += 1;
            return;
        }
        assert_eq!(change.trouble, None);
        let before = self.state.clone();
        self.state.apply(change.writes);
        (self.elapsed_ms, self.commits) = (0, 0);
        let (digest, epoch) = (change.effects.transaction, system.epoch.get());
        self.model.close(&before, &self.state, digest, epoch);
        self.compare("the end of an epoch");
        self.events
            .extend(change.effects.events.iter().filter_map(crate::statuses::happened));
    }

    fn compare(&mut self, step: &str) {
        self.differ(&self.state, step, false);
    }

    /// What a commit adds up to is written at its end only: until then that is not compared.
    fn differ(&self, state: &Memory, step: &str, is_within: bool) {
        let (mut found, mut foretold) = (read(state), self.model.all());
        if is_within {
            found.remove(&Economy::ID);
            foretold.remove(&Economy::ID);
        }
        if found == foretold {
            return;
        }
        let ids = found.keys().chain(foretold.keys());
        let differing = ids.filter(|id| found.get(id) != foretold.get(id));
        let (epoch, commit) = (self.system().epoch, self.commits);
        let list: BTreeMap<&ObjectId, (Option<&Money>, Option<&Money>)> = differing
            .map(|id| (id, (found.get(id), foretold.get(id))))
            .collect();
        panic!("epoch {epoch}, commit {commit}, {step}: found and foretold differ\n{list:#?}");
    }

    /// Objects, ascending by their ids.
    pub fn live(&self, is_meant: impl Fn(&Content) -> bool) -> Vec<Live> {
        let live = self.state.iter().filter(|live| is_meant(&live.object().content));
        live.cloned().collect()
    }
}

/// The model of a beginning: rows of the schedule become coins and receipts in their order.
fn founded(params: ProtocolParams, genesis: &Genesis, state: &Memory) -> Model {
    let mut model = Model {
        params,
        coins: BTreeMap::new(),
        owners: BTreeMap::new(),
        pools: BTreeMap::new(),
        tickets: BTreeMap::new(),
        targets: BTreeMap::new(),
        deposits: BTreeMap::new(),
        offers: BTreeMap::new(),
        emission: genesis.emission.get().into(),
        fees: 0,
        budget: 0,
        value_bps: params.initial_value_fee_bps.into(),
    };
    let digest = types::TransactionDigest::new(genesis.chain().get());
    let mut pools = BTreeMap::new();
    for (number, founder) in (0u64..).zip(&genesis.founders) {
        let commission_bps = founder.commission_bps.into();
        let pool = Pool {
            commission_bps,
            ..Pool::default()
        };
        let id = ObjectId::created(digest, number);
        assert!(state.get(&id).is_some());
        pools.insert(StakedWith::Founder(founder.address), id);
        model.pools.insert(id, pool);
    }
    let seeds = (genesis.founders.len() as u64..).zip(0u16..);
    for ((number, position), seed) in seeds.zip(&genesis.models) {
        let commission_bps = seed.commission_bps.into();
        let pool = Pool {
            commission_bps,
            ..Pool::default()
        };
        let id = ObjectId::created(digest, number);
        assert!(state.get(&id).is_some());
        pools.insert(StakedWith::Model(position), id);
        model.pools.insert(id, pool);
    }
    // What whole rewards leave stays in the emission pool.
    let for_targets =
        u128::from(params.epoch_emission.get()) * u128::from(params.target_emission_bps) / 10_000;
    model.budget = for_targets / model.whole_reward() * model.whole_reward();
    model.emission -= model.budget;
    let made = genesis.founders.len() + genesis.models.len();
    for (number, row) in (made as u64..).zip(&genesis.schedule) {
        let (id, amount) = (ObjectId::created(digest, number), u128::from(row.amount.get()));
        match row.staked_with {
            None => drop(model.coins.insert(id, (row.recipient, amount))),
            Some(with) => {
                let pool = model.pools.get_mut(&pools[&with]).unwrap();
                let stake = pool.restake(amount).unwrap();
                pool.receipts.insert(id, stake);
                model.owners.insert(id, row.recipient);
            }
        }
    }
    model
}
