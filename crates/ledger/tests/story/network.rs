//! Validators with stake, users with coins, and what they ask for.

use crypto::{BlsSecretKey, Digest, Ed25519SecretKey, Verified};
use std::collections::BTreeSet;

use ledger::{
    Application, Applied, CloseError, Context, Genesis, Memory, Objects, Prices, Reject, close, difficulty,
    pool, root,
};
use types::{
    Bounded, ChainId, CommitIndex, Content, Economy, Epoch, Event, Fee, Metadata, Models, Object, ObjectId,
    ObjectRef, Owner, Pace, Pool, ProtocolParams, ProtocolVersion, ProvedKeys, Rules, SOMA, Shannons, Status,
    System, Targets, Transaction, TransactionDigest, TransactionKind, UnixMillis, Validator, Validators,
    Version,
};

use crate::kit::{chain, money_in, signed, user};

pub fn params() -> ProtocolParams {
    ProtocolParams::of(ProtocolVersion::new(1)).unwrap()
}

pub fn soma(amount: u64) -> Shannons {
    Shannons::new(amount * SOMA.get())
}

pub fn validator_id(number: u8) -> ObjectId {
    ObjectId::from_low(20 + number)
}

pub fn consensus_key(number: u8) -> Ed25519SecretKey {
    Ed25519SecretKey::from_seed(&[100 + number; 32])
}

/// The keys with this number, proved by a user.
pub fn keys(prover: u8, number: u8) -> ProvedKeys {
    keys_for(chain(1), prover, number)
}

pub fn keys_for(chain: ChainId, prover: u8, number: u8) -> ProvedKeys {
    let network = Ed25519SecretKey::from_seed(&[number; 32]);
    let bls = BlsSecretKey::from_seed(&[number; 32]);
    ProvedKeys::prove(chain, user(prover), &network, &consensus_key(number), &bls)
}

/// What there is of targets before the first epoch ends.
pub fn no_targets() -> Targets {
    Targets {
        budget: Shannons::ZERO,
        pace: Pace::default(),
        difficulty: difficulty::first(&params()),
        hits: 0,
        undrawn: BTreeSet::new(),
    }
}

/// A network of validators with stake of their own, and users with coins. Validators are the users from 20 on.
pub struct Network {
    pub state: Memory,
    pub prices: Prices,
    /// What the last transaction cost.
    pub fee: Fee,
    /// What it says that happened.
    pub events: Vec<Event>,
    pub commit: u64,
    pub at: u64,
    pub params: ProtocolParams,
    /// Why the last epoch ended in safe mode.
    pub trouble: Option<CloseError>,
    /// Milliseconds since the epoch's start.
    pub clock: u64,
    /// The beacon of the next commit.
    pub beacon: Option<Digest>,
}

impl Network {
    /// Validators by stake, and users by coins, in SOMA.
    pub fn new(stakes: &[u64], coins: &[u64]) -> Self {
        let object = |id, owner, content| Object {
            id,
            version: Version::new(1),
            owner,
            deposit: Shannons::ZERO,
            previous: TransactionDigest::new(Digest::ZERO),
            content,
        };
        let system = System {
            chain: chain(1),
            epoch: Epoch::ZERO,
            rules: Rules::of(&params()),
            started: UnixMillis::new(0),
        };
        let mut set = Validators::default();
        let mut objects = Vec::new();
        for (number, stake) in (0u8..).zip(stakes) {
            let id = validator_id(number);
            let mut pool = Pool::new(id);
            if *stake > 0 {
                let receipt = Content::StakedSoma(pool::deposit(&mut pool, soma(*stake)).unwrap());
                let owner = Owner::Address(user(20 + number));
                objects.push(object(ObjectId::from_low(40 + number), owner, receipt));
            }
            let keys = keys(20 + number, 20 + number).keys;
            let validator = Validator::candidate(user(20 + number), keys, Metadata::default(), 1_000, pool);
            let claims = validator.claims();
            objects.extend(claims.map(|claim| object(claim, Owner::Shared, Content::Claim(id))));
            set.pending.insert(id);
            objects.push(object(id, Owner::Shared, Content::Validator(Box::new(validator))));
        }
        for (number, amount) in (0u8..).zip(coins) {
            let (id, owner) = (ObjectId::from_low(100 + number), Owner::Address(user(number)));
            objects.push(object(id, owner, Content::Coin(soma(*amount))));
        }
        let held: u64 = objects.iter().map(money_in).sum();
        let economy = Economy {
            emission: Shannons::new(Shannons::SUPPLY.get() - held),
            fees: Shannons::ZERO,
            value_fee_bps: params().initial_value_fee_bps,
            is_safe_mode: false,
        };
        objects.push(object(System::ID, Owner::Shared, Content::System(system)));
        objects.push(object(Validators::ID, Owner::Shared, Content::Validators(set)));
        objects.push(object(Economy::ID, Owner::Shared, Content::Economy(economy)));
        objects.push(object(
            Models::ID,
            Owner::Shared,
            Content::Models(Models::default()),
        ));
        objects.push(object(Targets::ID, Owner::Shared, Content::Targets(no_targets())));
        Self::with(objects)
    }

    /// What begins with a genesis.
    pub fn begin(genesis: &Genesis) -> Self {
        Self::with(genesis.objects().unwrap())
    }

    fn with(objects: Vec<Object>) -> Self {
        Self {
            state: objects.into_iter().collect(),
            prices: Prices::new(&params(), 0),
            fee: Fee::default(),
            events: Vec::new(),
            commit: 0,
            at: 0,
            params: params(),
            trouble: None,
            clock: 0,
            beacon: None,
        }
    }

    pub fn content(&self, id: ObjectId) -> Content {
        self.state.get(&id).unwrap().object().content.clone()
    }

    pub fn system(&self) -> System {
        let Content::System(system) = self.content(System::ID) else {
            panic!("it is the system")
        };
        system
    }

    pub fn economy(&self) -> Economy {
        let Content::Economy(economy) = self.content(Economy::ID) else {
            panic!("it is the economy")
        };
        economy
    }

    pub fn set(&self) -> Validators {
        let Content::Validators(set) = self.content(Validators::ID) else {
            panic!("it is the set")
        };
        set
    }

    pub fn validator(&self, number: u8) -> Box<Validator> {
        self.validator_at(validator_id(number))
    }

    pub fn validator_at(&self, id: ObjectId) -> Box<Validator> {
        let Content::Validator(validator) = self.content(id) else {
            panic!("it is one")
        };
        validator
    }

    /// The validator of a user that has not gone.
    pub fn validator_of(&self, number: u8) -> ObjectId {
        let Content::Claim(validator) = self.content(Validator::claim(user(number))) else {
            panic!("it is a claim")
        };
        validator
    }

    pub fn change(&mut self, id: ObjectId, content: Content) {
        let object = Object {
            content,
            ..self.state.get(&id).unwrap().object().clone()
        };
        self.state.apply([(id, Some(ledger::Live::new(object)))]);
    }

    /// The objects of a user of one sort, in order of their ids.
    pub fn of(&self, number: u8, is_coin: bool) -> Vec<ObjectRef> {
        let owned = self.state.iter().filter(|live| {
            let object = live.object();
            object.owner == Owner::Address(user(number))
                && matches!(object.content, Content::Coin(_)) == is_coin
        });
        owned.map(ledger::Live::reference).collect()
    }

    pub fn money(&self, number: u8) -> u64 {
        let coins = self.of(number, true);
        coins
            .iter()
            .map(|coin| money_in(self.state.get(&coin.id).unwrap().object()))
            .sum()
    }

    /// Whether there is no such object.
    pub fn is_gone(&self, id: ObjectId) -> bool {
        self.state.get(&id).is_none()
    }

    /// What the transactions of the next commit see.
    pub fn context(&self) -> Context {
        let economy = self.economy();
        Context {
            system: self.system(),
            commit: CommitIndex::new(self.commit),
            prices: Prices {
                value_bps: economy.value_fee_bps,
                ..self.prices
            },
            params: self.params,
            at: UnixMillis::new(self.at + self.clock),
            beacon: self.beacon,
        }
    }

    /// The coin of a user that holds the most.
    pub fn purse(&self, number: u8) -> ObjectRef {
        let coins = self.of(number, true).into_iter();
        let held = |coin: &ObjectRef| money_in(self.state.get(&coin.id).unwrap().object());
        coins.max_by_key(held).unwrap()
    }

    /// What a user asks for who pays with that coin.
    pub fn ask(&mut self, number: u8, kind: TransactionKind) -> Status {
        self.run(number, self.purse(number), kind)
    }

    /// Pays from one user to another.
    pub fn pay(&mut self, from: u8, to: u8, amount: Shannons) {
        let kind = TransactionKind::TransferCoin {
            coin: self.purse(from),
            amount: Some(amount),
            recipient: user(to),
        };
        assert_eq!(self.ask(from, kind), Status::Success);
    }

    /// What a user asks for who wants to be a validator with the keys of this number.
    pub fn registration(&self, number: u8, keyed: u8, amount: Shannons) -> TransactionKind {
        TransactionKind::AddValidator {
            keys: Box::new(keys_for(self.system().chain, number, keyed)),
            metadata: Box::default(),
            commission_bps: None,
            coin: self.purse(number),
            amount: Some(amount),
        }
    }

    pub fn register(&mut self, number: u8, keyed: u8, amount: Shannons) -> Status {
        let kind = self.registration(number, keyed, amount);
        self.ask(number, kind)
    }

    /// What a user signs who pays with these coins.
    pub fn request(&self, number: u8, gas: Vec<ObjectRef>, kind: TransactionKind) -> Transaction {
        Transaction {
            chain: self.system().chain,
            // A duty is for one epoch.
            expiry: kind.is_duty().then(|| self.system().epoch),
            sender: user(number),
            gas: Bounded::new(gas).unwrap(),
            kind,
        }
    }

    /// A commit with one transaction, and what it came to.
    pub fn run(&mut self, number: u8, gas: ObjectRef, kind: TransactionKind) -> Status {
        let result = self.apply(&[signed(number, self.request(number, vec![gas], kind))]);
        let effects = result.results[0].as_ref().unwrap().effects.clone();
        self.fee = effects.fee;
        self.events = effects.events;
        effects.status
    }

    /// A commit with one duty.
    pub fn serve(&mut self, number: u8, kind: TransactionKind) -> Result<(), Reject> {
        let duty = self.request(number, vec![], kind);
        self.serve_again(number, duty)
    }

    /// A commit with this duty, which may have been in another one.
    pub fn serve_again(&mut self, number: u8, duty: Transaction) -> Result<(), Reject> {
        let result = self.apply(&[signed(number, duty)]);
        let outcome = result.results[0].clone()?;
        self.events = outcome.effects.events;
        assert_eq!(outcome.effects.fee, Fee::default());
        Ok(())
    }

    /// A commit without transactions that has a beacon, and what it did by itself.
    pub fn tick(&mut self, beacon: u8) -> Vec<Event> {
        self.beacon = Some(Digest::of(&[beacon]));
        let applied = self.apply(&[]);
        applied.end.map(|end| end.events).unwrap_or_default()
    }

    /// A commit.
    fn apply(&mut self, transactions: &[Verified<Transaction>]) -> Applied {
        self.commit += 1;
        let context = self.context();
        self.beacon = None;
        let applied = Application::new(context, &self.state, transactions)
            .run_all()
            .unwrap();
        let mut root = root::root(self.state.iter());
        root.unite(&applied.change);
        self.state.apply(applied.writes.clone());
        assert_eq!(root, root::root(self.state.iter()));
        self.check_supply();
        applied
    }

    pub fn stake(&mut self, number: u8, validator: u8, amount: Shannons) -> Status {
        let coin = self.of(number, true)[0];
        let kind = TransactionKind::AddStake {
            validator: validator_id(validator),
            coin,
            amount: Some(amount),
        };
        self.run(number, coin, kind)
    }

    pub fn withdraw(
        &mut self,
        number: u8,
        validator: u8,
        stake: ObjectRef,
        amount: Option<Shannons>,
    ) -> Status {
        let gas = self.of(number, true)[0];
        let kind = TransactionKind::WithdrawStake {
            validator: validator_id(validator),
            stake,
            amount,
        };
        self.run(number, gas, kind)
    }

    pub fn close(&mut self) -> Vec<Event> {
        self.at += 86_400_000;
        self.clock = 0;
        let end = close(&self.params, &self.state, UnixMillis::new(self.at)).unwrap();
        let mut root = root::root(self.state.iter());
        root.unite(&root::change([&end.effects]));
        self.state.apply(end.writes);
        assert_eq!(root, root::root(self.state.iter()));
        self.check_supply();
        assert_eq!(
            end.trouble.is_some(),
            end.effects.events.contains(&Event::SafeMode)
        );
        self.trouble = end.trouble;
        end.effects.events
    }

    pub fn check_supply(&self) {
        let held = self.state.iter().map(|live| {
            let object = live.object();
            money_in(object) + object.deposit.get()
        });
        assert_eq!(held.sum::<u64>(), Shannons::SUPPLY.get());
    }
}
