//! A few users with coins, and what they ask for.

use std::collections::BTreeMap;

use crypto::{Address, Digest, Ed25519SecretKey, UserSignature, Verified};
use ledger::{Context, Memory, Objects, Outcome, Prices, Reject, execute, money};
use types::{
    Bounded, ChainId, CommitIndex, Content, Economy, Epoch, Object, ObjectId, ObjectRef, Owner,
    ProtocolParams, ProtocolVersion, Rules, Shannons, SignedTransaction, System, Targets, Transaction,
    TransactionDigest, TransactionKind, UnixMillis, Version,
};

use crate::network::no_targets;

pub const PRICES: Prices = Prices {
    base: Shannons::new(1_000),
    object: Shannons::new(300),
    byte: Shannons::new(1),
    free_bytes: 256,
    refund_bps: 5_000,
    value_bps: 10,
};

pub fn user(number: u8) -> Address {
    Address::from(&key(number).public())
}

fn key(number: u8) -> Ed25519SecretKey {
    Ed25519SecretKey::from_seed(&[number; 32])
}

pub fn chain(number: u8) -> ChainId {
    ChainId::new(Digest::new([number; 32]))
}

/// The n-th coin that there is at first.
pub fn coin_id(number: u8) -> ObjectId {
    ObjectId::from_low(number)
}

pub fn list<T, const N: usize>(elements: impl IntoIterator<Item = T>) -> Bounded<T, N> {
    Bounded::new(elements.into_iter().collect()).unwrap()
}

pub struct World {
    pub context: Context,
    pub state: Memory,
    pub fees: Shannons,
}

impl World {
    /// Coins by owner and balance, with the ids from `0x64` on.
    pub fn new(coins: &[(u8, u64)]) -> Self {
        let coins = (100u8..).zip(coins).map(|(number, (owner, balance))| Object {
            id: coin_id(number),
            version: Version::new(1),
            owner: Owner::Address(user(*owner)),
            deposit: Shannons::ZERO,
            previous: TransactionDigest::new(Digest::ZERO),
            content: Content::Coin(Shannons::new(*balance)),
        });
        let system = System {
            chain: chain(1),
            epoch: Epoch::new(5),
            rules: Rules::of(&ProtocolParams::of(ProtocolVersion::new(1)).unwrap()),
            started: UnixMillis::new(0),
        };
        let economy = Object {
            id: Economy::ID,
            version: Version::new(1),
            owner: Owner::Shared,
            deposit: Shannons::ZERO,
            previous: TransactionDigest::new(Digest::ZERO),
            content: Content::Economy(Economy {
                emission: Shannons::ZERO,
                fees: Shannons::ZERO,
                value_fee_bps: 10,
                is_safe_mode: false,
            }),
        };
        let targets = Object {
            id: Targets::ID,
            content: Content::Targets(no_targets()),
            ..economy.clone()
        };
        Self {
            context: Context {
                system,
                commit: CommitIndex::new(7),
                prices: PRICES,
                params: ProtocolParams::of(ProtocolVersion::new(1)).unwrap(),
                beacon: None,
                at: UnixMillis::new(0),
            },
            state: coins.chain([economy, targets]).collect(),
            fees: Shannons::ZERO,
        }
    }

    /// A state that is there already.
    pub const fn with(context: Context, state: Memory) -> Self {
        let fees = Shannons::ZERO;
        Self { context, state, fees }
    }

    /// The latest version of the coin with this number.
    pub fn coin(&self, number: u8) -> ObjectRef {
        self.state.get(&coin_id(number)).unwrap().reference()
    }

    pub fn transaction(&self, sender: u8, gas: &[ObjectRef], kind: TransactionKind) -> Transaction {
        Transaction {
            chain: self.context.system.chain,
            expiry: None,
            sender: user(sender),
            gas: list(gas.iter().copied()),
            kind,
        }
    }

    /// Executes without writing anything down.
    pub fn try_out(&self, signer: u8, transaction: Transaction) -> Result<Outcome, Reject> {
        let digest = transaction.digest();
        execute(&self.context, &self.state, &signed(signer, transaction), digest)
    }

    pub fn run(&mut self, signer: u8, transaction: Transaction) -> Result<Outcome, Reject> {
        let supply = self.supply();
        let outcome = self.try_out(signer, transaction)?;
        self.state.apply(outcome.writes.clone());
        // Outside of a commit the fee is nowhere else.
        self.fees = self.fees.checked_add(outcome.accrual.fees).unwrap();
        assert_eq!(self.supply(), supply, "{:?}", outcome.effects.status);
        Ok(outcome)
    }

    /// All the money there is.
    pub fn supply(&self) -> u64 {
        let held = self.state.iter().map(|live| {
            let object = live.object();
            money_in(object) + object.deposit.get()
        });
        held.sum::<u64>() + self.fees.get()
    }

    /// What each has in coins, in order of the addresses.
    pub fn balances(&self) -> BTreeMap<Address, Vec<u64>> {
        let mut balances = BTreeMap::<Address, Vec<u64>>::new();
        for live in self.state.iter() {
            if let Owner::Address(owner) = live.object().owner {
                balances.entry(owner).or_default().push(money_in(live.object()));
            }
        }
        balances.values_mut().for_each(|coins| coins.sort_unstable());
        balances
    }

    pub fn coins_of(&self, owner: u8) -> Vec<u64> {
        self.balances().remove(&user(owner)).unwrap_or_default()
    }
}

pub fn signed(signer: u8, transaction: Transaction) -> Verified<Transaction> {
    let message = SignedTransaction::message(transaction);
    let signature = UserSignature::sign(&message, &key(signer));
    let transaction = message.value;
    SignedTransaction {
        transaction,
        signature,
    }
    .verify()
    .unwrap()
}

/// The money in an object, its deposit left out.
pub fn money_in(object: &Object) -> u64 {
    money(&object.content).unwrap().get()
}
