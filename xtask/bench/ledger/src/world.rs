//! A state with coins, and what their owners ask for.

use anyhow::Context as _;
use crypto::{Address, Digest, Ed25519SecretKey, UserSignature, Verified};
use ledger::{Context, Memory, Objects, Prices, difficulty};
use types::{
    Bounded, ChainId, CommitIndex, Content, Economy, Epoch, Models, Object, ObjectId, Owner, Pace,
    ProtocolParams, ProtocolVersion, Rules, SOMA, Shannons, SignedTransaction, System, Targets, Transaction,
    TransactionDigest, TransactionKind, UnixMillis, Validators, Version,
};

/// The parameters in force.
pub fn params() -> ProtocolParams {
    ProtocolParams::of(ProtocolVersion::new(1)).expect("this program knows the first version")
}

/// So many SOMA.
pub const fn soma(amount: u64) -> Shannons {
    Shannons::new(amount * SOMA.get())
}

/// The chain of all benchmarks.
pub fn chain() -> ChainId {
    ChainId::new(Digest::of(b"soma-ledger-bench"))
}

/// The n-th id of a kind, as far from the one before as ids are that hashes make.
pub fn id(kind: &str, number: u64) -> ObjectId {
    Digest::of_value(kind, &number).into()
}

/// An object in its first version.
pub fn object(id: ObjectId, owner: Owner, content: Content) -> Object {
    Object {
        id,
        version: Version::new(1),
        owner,
        deposit: Shannons::ZERO,
        previous: TransactionDigest::new(Digest::ZERO),
        content,
    }
}

/// What there is once, with so much in the emission pool and these validators and models.
pub fn single(epoch: Epoch, emission: Shannons, validators: Validators, models: Models) -> Vec<Object> {
    let params = params();
    let system = System {
        chain: chain(),
        epoch,
        rules: Rules::of(&params),
        started: UnixMillis::new(0),
    };
    let economy = Economy {
        emission,
        fees: Shannons::ZERO,
        value_fee_bps: params.initial_value_fee_bps,
        is_safe_mode: false,
    };
    let targets = Targets {
        budget: Shannons::ZERO,
        pace: Pace::default(),
        difficulty: difficulty::first(&params),
        hits: 0,
        undrawn: std::collections::BTreeSet::new(),
    };
    [
        (System::ID, Content::System(system)),
        (Economy::ID, Content::Economy(economy)),
        (Validators::ID, Content::Validators(validators)),
        (Models::ID, Content::Models(models)),
        (Targets::ID, Content::Targets(targets)),
    ]
    .map(|(id, content)| object(id, Owner::Shared, content))
    .into()
}

/// A state with coins, and commits of transfers between their owners.
pub struct World {
    /// What all transactions see.
    pub context: Context,
    /// What there is at first.
    pub state: Memory,
    /// Each transaction pays with a coin of its own, an amount from that coin.
    pub commits: Vec<Vec<Verified<Transaction>>>,
}

impl World {
    /// So many objects, nearly all of them coins, and so many commits of so many transfers.
    pub fn new(objects: usize, commits: usize, each: usize) -> anyhow::Result<Self> {
        let transfers = commits * each;
        anyhow::ensure!(transfers <= objects, "each transfer has a coin of its own");
        let owners: Vec<(Ed25519SecretKey, Address)> = (0..OWNERS)
            .map(|number| {
                let key = Ed25519SecretKey::from_seed(&[number; 32]);
                let address = Address::from(&key.public());
                (key, address)
            })
            .collect();
        let owner = |number: usize| &owners[number % owners.len()];
        let coins = (0..objects).map(|number| {
            let owner = Owner::Address(owner(number).1);
            object(id("Coin", number as u64), owner, Content::Coin(soma(1)))
        });
        let single = single(
            Epoch::new(5),
            soma(1_000),
            Validators::default(),
            Models::default(),
        );
        let state: Memory = coins.chain(single).collect();
        let mut signed = (0..transfers).map(|number| {
            // Spread over all coins, so that few of them are near each other in memory.
            let payer = number * (objects / transfers.max(1));
            let (key, sender) = owner(payer);
            let coin = state
                .get(&id("Coin", payer as u64))
                .context("a coin that was made")?;
            let transaction = Transaction {
                chain: chain(),
                expiry: None,
                sender: *sender,
                gas: Bounded::new(vec![coin.reference()]).context("one coin is no long list")?,
                kind: TransactionKind::TransferCoin {
                    coin: coin.reference(),
                    amount: Some(Shannons::new(1_000_000)),
                    recipient: owner(payer + 1).1,
                },
            };
            sign(key, transaction)
        });
        let mut all = Vec::new();
        for _ in 0..commits {
            all.push(signed.by_ref().take(each).collect::<anyhow::Result<_>>()?);
        }
        drop(signed);
        let params = params();
        let context = Context {
            system: System {
                chain: chain(),
                epoch: Epoch::new(5),
                rules: Rules::of(&params),
                started: UnixMillis::new(0),
            },
            commit: CommitIndex::new(7),
            at: UnixMillis::new(1_000),
            prices: Prices::new(&params, params.initial_value_fee_bps),
            params,
            beacon: None,
        };
        Ok(Self {
            context,
            state,
            commits: all,
        })
    }

    /// Transfers in all commits together.
    pub fn transfers(&self) -> usize {
        self.commits.iter().map(Vec::len).sum()
    }
}

/// How many own the coins.
const OWNERS: u8 = 250;

fn sign(key: &Ed25519SecretKey, transaction: Transaction) -> anyhow::Result<Verified<Transaction>> {
    let message = SignedTransaction::message(transaction);
    let signature = UserSignature::sign(&message, key);
    let transaction = message.value;
    let signed = SignedTransaction {
        transaction,
        signature,
    };
    Ok(signed.verify()?)
}
