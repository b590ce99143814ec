//! Whatever bytes say, nothing panics and no money comes or goes.

use std::sync::OnceLock;

use crypto::Verified;
use ledger::{Application, Memory, money};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use types::{Shannons, SignedTransaction, Transaction, decode, encode};

use crate::drive::Driver;
use crate::kit::{Chain, Draw, account, signed};
use crate::made::everybody;

/// A state with everything in it, and transactions that are asked for in it.
fn scene() -> (Driver, Vec<Verified<Transaction>>) {
    let mut driver = Driver {
        chain: Chain::begin(),
        draw: Draw(77),
    };
    (0..4).for_each(|_| driver.epoch());
    let mut asked: Vec<Verified<Transaction>> = (0..40).flat_map(|_| driver.wishes()).collect();
    asked.extend((0..8).flat_map(|turn| driver.routine(turn)));
    (driver, asked)
}

fn once() -> &'static (Driver, Vec<Verified<Transaction>>) {
    static SCENE: OnceLock<(Driver, Vec<Verified<Transaction>>)> = OnceLock::new();
    SCENE.get_or_init(scene)
}

fn supply(state: &Memory) -> u64 {
    let held = state.iter().map(ledger::Live::object);
    held.map(|object| money(&object.content).unwrap().get() + object.deposit.get())
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    /// W-C7(a): bytes that no tensor had stopped every node that read them.
    #[test]
    fn any_bytes_are_a_transaction_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for limit in [600, 100] {
            if let Ok(found) = decode::<Transaction>(&bytes, limit) {
                prop_assert_eq!(encode(&found), bytes.clone());
            }
            if let Ok(found) = decode::<SignedTransaction>(&bytes, limit) {
                prop_assert!(found.verify().is_err(), "nobody signs by chance");
            }
        }
    }

    /// W-C7(b): what was ordered and made no sense stopped every node.
    #[test]
    fn whatever_a_damaged_transaction_says_no_money_comes_or_goes(
        which: prop::sample::Index,
        swap: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        by: prop::sample::Index,
    ) {
        let (driver, asked) = once();
        // The kind of one, with the gas of another.
        let mut transaction = (**which.get(asked)).clone();
        if damage.len() == 2 {
            transaction.gas = swap.get(asked).gas.clone();
        }
        let mut bytes = encode(&transaction);
        for (at, with) in damage {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        let Ok(mut damaged) = decode::<Transaction>(&bytes, 1 << 18) else { return Ok(()) };
        prop_assert_eq!(encode(&damaged), bytes);
        let signer = everybody().into_iter().find(|number| account(*number) == damaged.sender);
        let signer = signer.unwrap_or_else(|| *by.get(&everybody()));
        damaged.sender = account(signer);
        let mut state = driver.chain.state.clone();
        let context = driver.chain.context(None);
        let applied = Application::new(context, &state, &[signed(signer, damaged)]).run_all().unwrap();
        if applied.results[0].is_err() {
            prop_assert!(applied.accrual.fees == Shannons::ZERO);
        }
        state.apply(applied.writes);
        prop_assert_eq!(supply(&state), Shannons::SUPPLY.get());
    }
}
