//! Coins, fees and failures.

use crate::kit::{PRICES, World, chain, coin_id, list, user};
use ledger::{Context, Outcome, Reject};
use types::{
    Epoch, Event, Failure, Fee, ObjectRef, Shannons, Status, TransactionError, TransactionKind, Version,
};

fn transfer(coin: ObjectRef, amount: Option<u64>, to: u8) -> TransactionKind {
    TransactionKind::TransferCoin {
        coin,
        amount: amount.map(Shannons::new),
        recipient: user(to),
    }
}

fn failure(outcome: &Outcome) -> &Failure {
    match &outcome.effects.status {
        Status::Failure(failure) => failure,
        Status::Success => panic!("it fails"),
    }
}

/// What a transaction of these bytes costs that writes so many objects and moves so much.
fn cost(outcome: &Outcome, written: u64, moved: u64) -> Fee {
    Fee {
        base: PRICES.base,
        write: Shannons::new(300 * written),
        value: Shannons::new(moved.div_ceil(1_000)),
        bytes: outcome.effects.fee.bytes,
    }
}

#[test]
fn an_amount_of_the_gas_coin_goes_to_its_recipient_and_the_fee_from_the_rest() {
    let mut world = World::new(&[(1, 1_000_000)]);
    let kind = transfer(world.coin(100), Some(500_001), 2);
    let transaction = world.transaction(1, &[world.coin(100)], kind);
    let bytes = types::encode(&transaction).len() as u64;
    let outcome = world.run(1, transaction).unwrap();
    let effects = &outcome.effects;
    assert_eq!(effects.status, Status::Success);
    assert_eq!(effects.fee, cost(&outcome, 2, 500_001));
    assert_eq!(effects.fee.bytes, Shannons::new(bytes));
    let fee = effects.fee.total().get();
    assert_eq!(world.coins_of(1), [1_000_000 - 500_001 - fee]);
    assert_eq!(world.coins_of(2), [500_001]);
    let paid = Event::Paid {
        from: user(1),
        to: user(2),
        amount: Shannons::new(500_001),
    };
    assert_eq!(effects.events, [paid]);
    assert_eq!(effects.version, Version::new(2));
    assert_eq!(effects.changes.len(), 2);
}

#[test]
fn a_gas_coin_that_is_given_away_pays_first() {
    let mut world = World::new(&[(1, 1_000_000)]);
    let kind = transfer(world.coin(100), None, 2);
    let outcome = world
        .run(1, world.transaction(1, &[world.coin(100)], kind))
        .unwrap();
    let fee = outcome.effects.fee.total().get();
    assert_eq!(
        (world.coins_of(1), world.coins_of(2)),
        (vec![], vec![1_000_000 - fee])
    );
    assert_eq!(world.coin(100).version, Version::new(2));
}

#[test]
fn several_are_paid_from_several_coins_and_the_rest_stays_in_the_gas_coin() {
    let mut world = World::new(&[(1, 90_000), (1, 70_000), (1, 50_000)]);
    let coins = [world.coin(101), world.coin(100), world.coin(102)];
    let kind = TransactionKind::PayCoins {
        coins: list(coins),
        amounts: Some(list([60_000, 80_000].map(Shannons::new))),
        recipients: list([user(2), user(3)]),
    };
    let outcome = world
        .run(1, world.transaction(1, &[world.coin(100)], kind))
        .unwrap();
    assert_eq!(outcome.effects.status, Status::Success);
    assert_eq!(outcome.effects.fee, cost(&outcome, 3, 140_000));
    let fee = outcome.effects.fee.total().get();
    assert_eq!(world.coins_of(1), [70_000 - fee]);
    assert_eq!(
        (world.coins_of(2), world.coins_of(3)),
        (vec![60_000], vec![80_000])
    );
    assert_eq!(world.coin(100).version, Version::new(2));
}

#[test]
fn coins_that_are_paid_out_without_a_rest_are_gone() {
    let mut world = World::new(&[(1, 90_000), (1, 70_000), (1, 50_000)]);
    let pay = |coins: Vec<ObjectRef>, amounts: Option<Vec<u64>>, to: u8| TransactionKind::PayCoins {
        coins: list(coins),
        amounts: amounts.map(|amounts| list(amounts.into_iter().map(Shannons::new))),
        recipients: list([user(to)]),
    };
    let kind = pay(vec![world.coin(101)], Some(vec![70_000]), 2);
    world
        .run(1, world.transaction(1, &[world.coin(100)], kind))
        .unwrap();
    assert_eq!((world.coins_of(1).len(), world.coins_of(2)), (2, vec![70_000]));
    let kind = pay(vec![world.coin(102), world.coin(100)], None, 3);
    let before: u64 = world.coins_of(1).iter().sum();
    let outcome = world
        .run(1, world.transaction(1, &[world.coin(100)], kind))
        .unwrap();
    let fee = outcome.effects.fee.total().get();
    assert_eq!(
        (world.coins_of(1), world.coins_of(3)),
        (vec![], vec![before - fee])
    );
}

#[test]
fn what_is_given_away_as_an_object_costs_as_much_as_what_is_paid() {
    // W-M2: coins that moved as objects cost nothing for their value.
    let mut world = World::new(&[(1, 90_000), (1, 70_000)]);
    let kind = TransactionKind::TransferObjects {
        objects: list([world.coin(101)]),
        recipient: user(2),
    };
    let outcome = world
        .run(1, world.transaction(1, &[world.coin(100)], kind))
        .unwrap();
    assert_eq!(outcome.effects.fee, cost(&outcome, 2, 70_000));
    assert_eq!(world.coins_of(2), [70_000]);
}

#[test]
fn several_coins_that_are_given_away_cost_as_much_as_one_of_their_sum() {
    let mut world = World::new(&[(1, 90_000), (1, 70_000), (1, 50_001)]);
    let kind = TransactionKind::TransferObjects {
        objects: list([world.coin(101), world.coin(102)]),
        recipient: user(2),
    };
    let outcome = world
        .run(1, world.transaction(1, &[world.coin(100)], kind))
        .unwrap();
    assert_eq!(outcome.effects.fee, cost(&outcome, 3, 120_001));
    assert_eq!(world.coins_of(2), [50_001, 70_000]);
}

#[test]
fn what_means_nothing_is_refused_before_the_state_is_looked_at() {
    let world = World::new(&[(1, 90_000), (1, 70_000)]);
    let (gas, other) = (world.coin(100), world.coin(101));
    let pay = |amounts: &[u64], recipients: &[u8]| TransactionKind::PayCoins {
        coins: list([other]),
        amounts: Some(list(amounts.iter().copied().map(Shannons::new))),
        recipients: list(recipients.iter().copied().map(user)),
    };
    for (gas, kind, error) in [
        (vec![], transfer(other, None, 2), TransactionError::NoGas),
        // W-C2: money was made from a gas coin that was named twice.
        (
            vec![gas, gas],
            transfer(gas, None, 2),
            TransactionError::Repeated(gas.id),
        ),
        // W-C3: money was made from a gas coin that was merged away and used as well.
        (
            vec![gas, other],
            transfer(other, None, 2),
            TransactionError::Repeated(other.id),
        ),
        (
            vec![gas],
            TransactionKind::TransferObjects {
                objects: list([other, other]),
                recipient: user(2),
            },
            TransactionError::Repeated(other.id),
        ),
        (
            vec![gas],
            transfer(other, Some(0), 2),
            TransactionError::NothingPaid(0),
        ),
        (vec![gas], pay(&[5, 0], &[2, 3]), TransactionError::NothingPaid(1)),
        (
            vec![gas],
            pay(&[5], &[2, 3]),
            TransactionError::Unmatched {
                amounts: 1,
                recipients: 2,
            },
        ),
        (vec![gas], pay(&[], &[]), TransactionError::Empty("recipients")),
        (
            vec![gas],
            TransactionKind::TransferObjects {
                objects: list([]),
                recipient: user(2),
            },
            TransactionError::Empty("objects"),
        ),
    ] {
        let found = world.try_out(1, world.transaction(1, &gas, kind));
        assert_eq!(found, Err(Reject::Malformed(error)));
    }
    let stale = ObjectRef {
        version: Version::new(7),
        ..gas
    };
    let found = world.try_out(1, world.transaction(1, &[gas], transfer(stale, None, 2)));
    assert_eq!(
        found,
        Err(Reject::Malformed(TransactionError::Repeated(gas.id))),
        "the gas coin is used in the version in which it pays"
    );
}

#[test]
fn what_cannot_pay_has_no_effects() {
    let world = World::new(&[(1, 90_000), (2, 70_000)]);
    let (own, other) = (world.coin(100), world.coin(101));
    let stale = ObjectRef {
        version: Version::new(7),
        ..own
    };
    let plain = world.transaction(1, &[own], transfer(own, Some(5), 2));
    let mut elsewhere = plain.clone();
    elsewhere.chain = chain(2);
    assert_eq!(world.try_out(1, elsewhere), Err(Reject::WrongChain(chain(2))));
    let mut late = plain;
    late.expiry = Some(Epoch::new(4));
    assert_eq!(
        world.try_out(1, late.clone()),
        Err(Reject::Expired(Epoch::new(4)))
    );
    late.expiry = Some(Epoch::new(5));
    assert!(world.try_out(1, late).is_ok());
    let with = |gas: ObjectRef| world.transaction(1, &[gas], transfer(own, Some(5), 2));
    assert_eq!(
        world.try_out(1, world.transaction(1, &[stale], transfer(other, Some(5), 2))),
        Err(Reject::GasNotLive(stale))
    );
    assert_eq!(world.try_out(1, with(other)), Err(Reject::GasNotOwned(other.id)));
}

/// W-C4: what failed late left objects that were neither as before nor as after.
#[test]
fn a_failure_pays_for_being_executed_and_gives_new_versions_and_does_nothing_else() {
    let mut world = World::new(&[(1, 9_000), (1, 70_000), (2, 5)]);
    let kind = transfer(world.coin(101), Some(70_001), 2);
    let transaction = world.transaction(1, &[world.coin(100)], kind);
    let bytes = types::encode(&transaction).len() as u64;
    let outcome = world.run(1, transaction).unwrap();
    assert_eq!(
        failure(&outcome),
        &Failure::InsufficientBalance {
            have: Shannons::new(70_000),
            need: Shannons::new(70_001)
        }
    );
    let admission = Fee {
        base: PRICES.base,
        bytes: Shannons::new(bytes),
        ..Fee::default()
    };
    assert_eq!(
        (outcome.effects.fee, outcome.effects.events.len()),
        (admission, 0)
    );
    assert_eq!(
        (world.coins_of(1), world.coins_of(2)),
        (vec![8_000 - bytes, 70_000], vec![5])
    );
    for coin in [100, 101] {
        assert_eq!(world.coin(coin).version, Version::new(2));
    }
    // One that can do what it is asked for, and not pay for it.
    let kind = TransactionKind::PayCoins {
        coins: list([world.coin(101)]),
        amounts: Some(list([1; 30].map(Shannons::new))),
        recipients: list([user(2); 30]),
    };
    let transaction = world.transaction(1, &[world.coin(100)], kind);
    let rest = 7_000 - bytes - types::encode(&transaction).len() as u64;
    let outcome = world.run(1, transaction).unwrap();
    assert!(matches!(failure(&outcome), Failure::InsufficientGas { have, .. } if have.get() == rest));
    assert_eq!(
        (world.coins_of(1), world.coins_of(2)),
        (vec![rest, 70_000], vec![5])
    );
    assert_eq!(world.coin(101).version, Version::new(3));
}

/// W-C5: a gas coin with nothing in it stopped every transaction behind it.
#[test]
fn a_gas_coin_that_holds_too_little_is_taken_whole_and_stops_nothing() {
    let mut world = World::new(&[(1, 999), (1, 70_000)]);
    let kind = transfer(world.coin(101), None, 2);
    let outcome = world
        .run(1, world.transaction(1, &[world.coin(100)], kind))
        .unwrap();
    assert!(matches!(failure(&outcome), Failure::InsufficientGas { have, .. } if have.get() == 999));
    assert_eq!(world.fees, Shannons::new(999));
    assert_eq!(world.coins_of(1), [70_000]);
    let kind = transfer(world.coin(101), None, 2);
    assert!(
        world
            .run(1, world.transaction(1, &[world.coin(101)], kind))
            .is_ok()
    );
}

/// W-C3: a gas coin that the fee had used up was there to be used again.
#[test]
fn a_gas_coin_of_exactly_what_being_executed_costs_is_gone_with_it() {
    let mut world = World::new(&[(1, 1_244), (1, 70_000)]);
    let kind = transfer(world.coin(101), None, 2);
    let outcome = world
        .run(1, world.transaction(1, &[world.coin(100)], kind))
        .unwrap();
    assert!(matches!(failure(&outcome), Failure::InsufficientGas { .. }));
    assert_eq!((world.coins_of(1), world.coins_of(2)), (vec![70_000], vec![]));
}

#[test]
fn gas_coins_are_merged_whatever_becomes_of_the_transaction() {
    let mut world = World::new(&[(1, 700), (1, 700), (1, 9), (2, 50_000)]);
    let gas = [world.coin(100), world.coin(101), world.coin(103)];
    let kind = transfer(world.coin(102), None, 2);
    let outcome = world.run(1, world.transaction(1, &gas, kind)).unwrap();
    assert_eq!(failure(&outcome), &Failure::NotOwner(coin_id(103)));
    let rest = 1_400 - outcome.effects.fee.total().get();
    assert_eq!(
        (world.coins_of(1), world.coins_of(2)),
        (vec![9, rest], vec![50_000])
    );
}

/// W-H24: the object of a rejected transaction stayed locked until the end of the epoch.
#[test]
fn of_two_that_use_one_version_the_first_wins_and_nothing_stays_locked() {
    let mut world = World::new(&[(1, 90_000), (1, 70_000), (1, 50_000)]);
    let one = world.transaction(1, &[world.coin(100)], transfer(world.coin(101), None, 2));
    let other = world.transaction(1, &[world.coin(102)], transfer(world.coin(101), None, 3));
    let named = world.coin(101);
    assert_eq!(world.run(1, one.clone()).unwrap().effects.status, Status::Success);
    assert_eq!(failure(&world.run(1, other).unwrap()), &Failure::NotLive(named));
    assert!(
        matches!(world.run(1, one), Err(Reject::GasNotLive(_))),
        "none is executed twice"
    );
    let kind = transfer(world.coin(102), Some(5), 2);
    let again = world
        .run(1, world.transaction(1, &[world.coin(102)], kind))
        .unwrap();
    assert_eq!(again.effects.status, Status::Success);
}

#[test]
fn what_no_coin_can_pay_takes_the_coin_and_nothing_else() {
    let mut world = World::new(&[(1, u64::MAX / 2)]);
    world.context = Context {
        prices: ledger::Prices {
            byte: Shannons::new(u64::MAX / 2),
            ..PRICES
        },
        ..world.context
    };
    let kind = transfer(world.coin(100), Some(1), 2);
    let outcome = world
        .run(1, world.transaction(1, &[world.coin(100)], kind))
        .unwrap();
    assert!(matches!(failure(&outcome), Failure::InsufficientGas { .. }));
    assert_eq!((world.fees.get(), world.coins_of(1)), (u64::MAX / 2, vec![]));
}
