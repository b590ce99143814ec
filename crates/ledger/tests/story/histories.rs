//! Long histories of whatever users may ask for, beside a model of plain numbers.

use std::collections::{BTreeMap, BTreeSet};

use crypto::Verified;
use ledger::{Application, Memory, root};
use proptest::prelude::*;
use types::{ObjectRef, Owner, Shannons, Status, Transaction, TransactionKind, Version};

use crate::kit::{self, PRICES, World, list, signed, user};

const USERS: u8 = 4;

/// One wish. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
struct Wish {
    sender: u8,
    gas: Vec<u8>,
    uses: Vec<u8>,
    /// Uses a version that is gone, in place of one of the latest.
    is_stale: bool,
    /// Names things as often as they come, which means nothing.
    is_careless: bool,
    kind: u8,
    payments: Vec<(u64, u8)>,
}

fn wishes() -> impl Strategy<Value = Wish> {
    let amount = prop_oneof![8 => 1..20_000u64, 1 => 0..3u64, 1 => any::<u64>()];
    (
        0..USERS,
        prop::collection::vec(any::<u8>(), 1..4),
        prop::collection::vec(any::<u8>(), 0..4),
        prop::bool::weighted(0.05),
        prop::bool::weighted(0.05),
        0..4u8,
        prop::collection::vec((amount, any::<u8>()), 1..4),
    )
        .prop_map(
            |(sender, gas, uses, is_stale, is_careless, kind, payments)| Wish {
                sender,
                gas,
                uses,
                is_stale,
                is_careless,
                kind,
                payments,
            },
        )
}

/// Mostly the sender's own coins, sometimes anybody's.
fn pick(world: &World, sender: u8, number: u8) -> ObjectRef {
    let all: Vec<_> = world
        .state
        .iter()
        .filter(|live| live.object().owner != Owner::Shared)
        .collect();
    let own: Vec<_> = all
        .iter()
        .filter(|live| live.object().owner == Owner::Address(user(sender)))
        .collect();
    let number = usize::from(number);
    if own.is_empty() || number % 16 == 15 {
        all[number % all.len()].reference()
    } else {
        own[number % own.len()].reference()
    }
}

fn kind(world: &World, wish: &Wish, gas: &[ObjectRef]) -> TransactionKind {
    let mut used: Vec<ObjectRef> = wish
        .uses
        .iter()
        .map(|number| pick(world, wish.sender, *number))
        .collect();
    if wish.is_stale
        && let Some(first) = used.first_mut()
    {
        first.version = Version::new(first.version.get() / 2);
    }
    if !wish.is_careless {
        let mut seen: BTreeSet<_> = gas.iter().skip(1).map(|coin| coin.id).collect();
        used.retain(|coin| seen.insert(coin.id));
    }
    let skipped = usize::from(wish.is_careless);
    let to: Vec<_> = wish
        .payments
        .iter()
        .skip(skipped)
        .map(|(_, number)| user(number % USERS))
        .collect();
    let amounts = wish.payments.iter().map(|(amount, _)| Shannons::new(*amount));
    let first = to.first().copied().unwrap_or(user(0));
    let coin = used
        .first()
        .copied()
        .unwrap_or_else(|| pick(world, wish.sender, wish.gas[0]));
    match wish.kind {
        0 => TransactionKind::TransferCoin {
            coin,
            amount: amounts.clone().next(),
            recipient: first,
        },
        1 => TransactionKind::PayCoins {
            coins: list(used),
            amounts: Some(list(amounts)),
            recipients: list(to),
        },
        2 => TransactionKind::PayCoins {
            coins: list(used),
            amounts: None,
            recipients: list([first]),
        },
        _ => TransactionKind::TransferObjects {
            objects: list(used),
            recipient: first,
        },
    }
}

/// What each has in the end, by plain numbers; `None` where the sender cannot do or pay that.
fn predict(state: &Memory, sender: u8, kind: &TransactionKind, fee: u64) -> BTreeMap<types::Address, i128> {
    let mut change = BTreeMap::<types::Address, i128>::new();
    let mut go = |to: types::Address, amount: u64| {
        *change.entry(to).or_default() += i128::from(amount);
        *change.entry(user(sender)).or_default() -= i128::from(amount);
    };
    let money = |named: &ObjectRef| money_in(state, named);
    // A gas coin that is given away pays its new owner's fee.
    match kind {
        TransactionKind::TransferCoin {
            coin,
            amount,
            recipient,
        } => {
            go(*recipient, amount.map_or_else(|| money(coin), Shannons::get));
        }
        TransactionKind::PayCoins {
            coins,
            amounts,
            recipients,
        } => match amounts {
            Some(amounts) => amounts
                .iter()
                .zip(recipients.iter())
                .for_each(|(amount, to)| go(*to, amount.get())),
            None => coins.iter().for_each(|coin| go(recipients[0], money(coin))),
        },
        TransactionKind::TransferObjects { objects, recipient } => {
            objects.iter().for_each(|object| go(*recipient, money(object)));
        }
        _ => panic!("nobody here wishes for anything else"),
    }
    *change.entry(user(sender)).or_default() -= i128::from(fee);
    change
}

fn totals(world: &World) -> BTreeMap<types::Address, i128> {
    let balances = world.balances();
    let sum = |coins: Vec<u64>| coins.into_iter().map(i128::from).sum();
    balances
        .into_iter()
        .map(|(owner, coins)| (owner, sum(coins)))
        .collect()
}

/// Wishes of one commit, which may use what another of them creates or gives away.
fn commit(world: &mut World, wishes: &[Wish]) -> Vec<Verified<Transaction>> {
    let mut transactions = Vec::new();
    let mut ahead = World::with(world.context, world.state.clone());
    for wish in wishes {
        // Some see what those before them have done, and others do not.
        let seen = if wish.payments[0].1.is_multiple_of(2) {
            &ahead
        } else {
            &*world
        };
        let gas: Vec<ObjectRef> = wish
            .gas
            .iter()
            .map(|number| pick(seen, wish.sender, *number))
            .collect();
        let kind = kind(seen, wish, &gas);
        let transaction = seen.transaction(wish.sender, &gas, kind);
        transactions.push(signed(wish.sender, transaction.clone()));
        drop(ahead.run(wish.sender, transaction));
    }
    transactions
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn waves_come_to_the_same_as_one_after_the_other(commits in prop::collection::vec(prop::collection::vec(wishes(), 1..20), 1..8)) {
        let coins: Vec<(u8, u64)> = (0..16).map(|coin| (coin % USERS, 30_000 * u64::from(coin + 1))).collect();
        let mut world = World::new(&coins);
        let mut root = root::root(world.state.iter());
        for wishes in commits {
            let transactions = commit(&mut world, &wishes);
            let applied = Application::new(world.context, &world.state, &transactions).run_all().unwrap();
            let mut other = Application::new(world.context, &world.state, &transactions);
            for wave in other.waves() {
                // The last of a wave is the first to be done.
                let results: Vec<_> = wave.into_iter().rev().map(|position| (position, other.run(position))).collect();
                for (position, result) in results {
                    other.absorb(position, result);
                }
            }
            prop_assert_eq!(&other.finish().unwrap(), &applied);
            let supply = world.supply();
            root.unite(&applied.change);
            world.state.apply(applied.writes);
            prop_assert_eq!(&root, &root::root(world.state.iter()));
            prop_assert_eq!(world.supply(), supply);
        }
    }

    #[test]
    fn whatever_is_asked_for_comes_out_as_plain_numbers_say(wishes in prop::collection::vec(wishes(), 1..100)) {
        let coins: Vec<(u8, u64)> = (0..12).map(|coin| (coin % USERS, 30_000 * u64::from(coin + 1))).collect();
        let mut world = World::new(&coins);
        let mut written = BTreeSet::new();
        for wish in wishes {
            let mut gas: Vec<ObjectRef> = wish.gas.iter().map(|number| pick(&world, wish.sender, *number)).collect();
            let mut seen = BTreeSet::new();
            gas.retain(|coin| seen.insert(coin.id) || wish.is_careless);
            let kind = kind(&world, &wish, &gas);
            let transaction = world.transaction(wish.sender, &gas, kind.clone());
            let tried = world.try_out(wish.sender, transaction.clone());
            let (before, state) = (totals(&world), world.state.clone());
            let Ok(outcome) = world.run(wish.sender, transaction.clone()) else {
                prop_assert_eq!(&world.state, &state);
                continue;
            };
            prop_assert_eq!(tried.as_ref(), Ok(&outcome));
            let effects = &outcome.effects;
            for change in &effects.changes {
                if let Some(after) = change.after {
                    prop_assert_eq!(after.version, effects.version);
                    prop_assert!(written.insert((change.id, after.version)), "a version is written once");
                    prop_assert!(change.before.is_none_or(|before| before.version < after.version));
                }
            }
            for live in world.state.iter().filter(|live| live.object().owner != Owner::Shared) {
                prop_assert!(kit::money_in(live.object()) > 0, "no coin holds nothing");
            }
            let fee = effects.fee.total().get();
            let gives_gas = kind.owned().iter().any(|used| used.id == gas[0].id)
                && world.state.iter().find(|live| live.object().id == gas[0].id).is_some_and(|live| live.object().owner != Owner::Address(user(wish.sender)));
            let mut expected = before;
            match &effects.status {
                Status::Success => {
                    for (owner, change) in predict(&state, wish.sender, &kind, fee) {
                        *expected.entry(owner).or_default() += change;
                    }
                    if gives_gas {
                        // The other gas coins go along with the first, and the fee is its new owner's.
                        let to = world.state.iter().find(|live| live.object().id == gas[0].id).map(|live| live.object().owner);
                        let merged: u64 = gas[1..].iter().map(|coin| money_in(&state, coin)).sum();
                        if let Some(Owner::Address(to)) = to {
                            *expected.entry(to).or_default() += i128::from(merged) - i128::from(fee);
                            *expected.entry(user(wish.sender)).or_default() += i128::from(fee) - i128::from(merged);
                        }
                    }
                }
                Status::Failure(_) => {
                    prop_assert!(fee <= PRICES.admission(types::encode(&transaction).len() as u64).get());
                    prop_assert_eq!(&effects.events, &vec![]);
                    *expected.entry(user(wish.sender)).or_default() -= i128::from(fee);
                }
            }
            expected.retain(|_, total| *total != 0);
            prop_assert_eq!(totals(&world), expected, "{:?}", effects);
        }
    }
}

fn money_in(state: &Memory, named: &ObjectRef) -> u64 {
    let live = state.iter().find(|live| live.object().id == named.id);
    kit::money_in(live.unwrap().object())
}
