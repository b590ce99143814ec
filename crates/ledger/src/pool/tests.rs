//! What a pool does, case by case. Random histories are in [`history`] and [`retold`].

mod history;
mod reading;
mod retold;

use proptest::prelude::*;
use types::{AmountError, Cohort, Epoch, ObjectId, Pool, SOMA, Shannons, Shares, Stake, StakedSoma};

use super::*;

const UNBONDING: u64 = 3;

/// This many SOMA.
fn soma(amount: u64) -> Shannons {
    Shannons::new(amount * SOMA.get())
}

fn new_pool() -> Pool {
    Pool::new(ObjectId::from_low(9))
}

/// Closes an epoch, of which nothing is left behind.
fn settle_epoch(pool: &mut Pool, epoch: u64) {
    assert_eq!(settle(pool, Epoch::new(epoch), UNBONDING), Ok(Shannons::ZERO));
}

/// A pool in epoch 1 with a receipt of each amount, in SOMA.
fn staked(amounts: &[u64]) -> (Pool, Vec<StakedSoma>) {
    let mut pool = new_pool();
    let receipts = amounts.iter().map(|amount| deposit(&mut pool, soma(*amount)));
    let receipts = receipts.collect::<Result<_, _>>().unwrap();
    settle_epoch(&mut pool, 0);
    (pool, receipts)
}

fn paid(pool: &mut Pool, receipt: &StakedSoma, epoch: u64) -> Shannons {
    match withdraw(pool, receipt.clone(), Epoch::new(epoch)) {
        Ok(Withdrawal::Paid(amount)) => amount,
        other => panic!("{other:?}"),
    }
}

fn leave(pool: &mut Pool, receipt: &StakedSoma, epoch: u64) -> StakedSoma {
    match withdraw(pool, receipt.clone(), Epoch::new(epoch)) {
        Ok(Withdrawal::Leaving(receipt)) => receipt,
        other => panic!("{other:?}"),
    }
}

/// What the receipts are worth.
fn values<const N: usize>(pool: &Pool, receipts: [&StakedSoma; N]) -> [Shannons; N] {
    receipts.map(|receipt| value(pool, receipt).unwrap())
}

#[test]
fn a_deposit_earns_from_the_next_epoch_on() {
    let (mut pool, old) = staked(&[100]);
    let young = deposit(&mut pool, soma(100)).unwrap();
    assert_eq!(reward(&mut pool, soma(100)), Shannons::ZERO);
    settle_epoch(&mut pool, 1);
    assert_eq!(
        values(&pool, [&old[0], &young]),
        [soma(200), soma(100)].map(less_dust)
    );
    assert_eq!(reward(&mut pool, soma(30)), Shannons::ZERO);
    settle_epoch(&mut pool, 2);
    assert_eq!(
        values(&pool, [&old[0], &young]),
        [less_dust(less_dust(soma(220))), less_dust(soma(110))]
    );
}

/// What rounding down and the virtual shares leave of an amount in these small stories: a shannon less.
fn less_dust(amount: Shannons) -> Shannons {
    Shannons::new(amount.get() - 1)
}

#[test]
fn a_deposit_taken_back_before_the_close_neither_gains_nor_loses() {
    let (mut pool, _) = staked(&[100]);
    let before = pool.clone();
    let receipt = deposit(&mut pool, soma(7)).unwrap();
    assert_eq!(paid(&mut pool, &receipt, 1), soma(7));
    assert_eq!(pool, before);
    // Whatever else happens in between.
    let receipt = deposit(&mut pool, soma(7)).unwrap();
    assert_eq!(reward(&mut pool, soma(50)), Shannons::ZERO);
    assert_eq!(slash(&mut pool, 3_000, Epoch::new(1)), soma(45));
    assert_eq!(paid(&mut pool, &receipt, 1), soma(7));
    // The pool that nobody has joined yet is no exception, and with nobody left it is closed.
    let mut pool = new_pool();
    let receipt = deposit(&mut pool, soma(7)).unwrap();
    assert_eq!(paid(&mut pool, &receipt, 0), soma(7));
    settle_epoch(&mut pool, 0);
    assert!(pool.closed);
}

#[test]
fn a_withdrawal_is_paid_three_epochs_after_the_close_and_earns_no_more() {
    let (mut pool, receipts) = staked(&[100, 100]);
    let exit = leave(&mut pool, &receipts[0], 1);
    assert_eq!(
        withdraw(&mut pool, exit.clone(), Epoch::new(1)),
        Err(PoolError::NotDue(None))
    );
    // Still of this epoch: it earns.
    assert_eq!(reward(&mut pool, soma(20)), Shannons::ZERO);
    settle_epoch(&mut pool, 1);
    for epoch in 2..5 {
        assert_eq!(reward(&mut pool, soma(20)), Shannons::ZERO);
        let early = withdraw(&mut pool, exit.clone(), Epoch::new(epoch));
        assert_eq!(early, Err(PoolError::NotDue(Some(Epoch::new(5)))));
        settle_epoch(&mut pool, epoch);
    }
    assert_eq!(paid(&mut pool, &exit, 5), less_dust(soma(110)));
    assert_eq!(value(&pool, &receipts[1]), Ok(soma(170)));
    let again = withdraw(&mut pool, exit, Epoch::new(5));
    assert_eq!(again, Err(PoolError::NoSuchStake));
}

/// W-C8: a receipt was worth all of its principal, whatever was slashed.
#[test]
fn a_slash_lowers_what_is_staked_leaving_or_not_due_and_nothing_else() {
    let (mut pool, receipts) = staked(&[100, 100, 100, 100]);
    let due = leave(&mut pool, &receipts[0], 1);
    settle_epoch(&mut pool, 1);
    let unbonding = leave(&mut pool, &receipts[1], 2);
    settle_epoch(&mut pool, 2);
    let leaving = leave(&mut pool, &receipts[2], 5);
    let waiting = deposit(&mut pool, soma(100)).unwrap();
    let all = [&due, &unbonding, &leaving, &receipts[3], &waiting];
    assert_eq!(values(&pool, all), [soma(100); 5]);
    // Half of the three that are at risk in epoch 5.
    assert_eq!(slash(&mut pool, 5_000, Epoch::new(5)), soma(150));
    assert_eq!(values(&pool, all), [100, 50, 50, 50, 100].map(soma));
    settle_epoch(&mut pool, 5);
    assert_eq!(values(&pool, all), [100, 50, 50, 50, 100].map(soma));
    assert_eq!(held(&pool), Ok(soma(350)));
    assert_eq!(paid(&mut pool, &unbonding, 6), soma(50));
}

#[test]
fn leaving_before_the_slash_saves_nobody() {
    let (mut pool, receipts) = staked(&[100, 100]);
    let fled = leave(&mut pool, &receipts[0], 1);
    settle_epoch(&mut pool, 1);
    settle_epoch(&mut pool, 2);
    settle_epoch(&mut pool, 3);
    assert_eq!(slash(&mut pool, 9_500, Epoch::new(4)), soma(190));
    settle_epoch(&mut pool, 4);
    assert_eq!(paid(&mut pool, &fled, 5), soma(5));
    assert_eq!(value(&pool, &receipts[1]), Ok(soma(5)));
}

#[test]
fn a_slash_takes_the_remainder_and_never_more_than_there_is() {
    let (mut pool, receipts) = staked(&[1]);
    assert_eq!(slash(&mut pool, 0, Epoch::new(1)), Shannons::ZERO);
    assert_eq!(slash(&mut pool, 1, Epoch::new(1)), Shannons::new(100_000));
    assert_eq!(slash(&mut pool, 9_999, Epoch::new(1)), Shannons::new(999_800_010));
    assert_eq!(slash(&mut pool, 1, Epoch::new(1)), Shannons::new(10));
    assert_eq!(pool.balance, Shannons::new(99_980));
    assert_eq!(slash(&mut pool, u16::MAX, Epoch::new(1)), Shannons::new(99_980));
    assert_eq!(slash(&mut pool, 10_000, Epoch::new(1)), Shannons::ZERO);
    assert_eq!(value(&pool, &receipts[0]), Ok(Shannons::ZERO));
}

#[test]
fn a_pool_slashed_to_nothing_is_closed_and_gives_back_what_was_on_its_way() {
    let (mut pool, receipts) = staked(&[100]);
    let waiting = deposit(&mut pool, soma(7)).unwrap();
    assert_eq!(slash(&mut pool, 10_000, Epoch::new(1)), soma(100));
    assert_eq!(deposit(&mut pool, soma(7)), Err(PoolError::Closed));
    assert_eq!(reward(&mut pool, soma(7)), soma(7));
    settle_epoch(&mut pool, 1);
    assert_eq!(paid(&mut pool, &waiting, 2), soma(7));
    let exit = leave(&mut pool, &receipts[0], 2);
    settle_epoch(&mut pool, 2);
    assert_eq!(paid(&mut pool, &exit, 6), Shannons::ZERO);
    assert!(!is_waiting(&pool) && pool.left.is_empty() && pool.at_par.is_empty());
}

#[test]
fn a_closed_pool_loses_nothing_that_is_in_flight() {
    let (mut pool, receipts) = staked(&[100, 100]);
    let waiting = deposit(&mut pool, soma(50)).unwrap();
    let leaving = leave(&mut pool, &receipts[0], 1);
    close(&mut pool);
    assert_eq!(deposit(&mut pool, soma(1)), Err(PoolError::Closed));
    assert_eq!(restake(&mut pool, soma(1)), Err(PoolError::Closed));
    assert_eq!(reward(&mut pool, soma(1)), soma(1));
    assert!(is_waiting(&pool));
    settle_epoch(&mut pool, 1);
    assert!(!is_waiting(&pool));
    assert_eq!(paid(&mut pool, &waiting, 2), soma(50));
    assert_eq!(paid(&mut pool, &leaving, 5), soma(100));
    // Years later, and slashable as long as it stays.
    assert_eq!(slash(&mut pool, 1_000, Epoch::new(5)), soma(10));
    let late = leave(&mut pool, &receipts[1], 5_000);
    settle_epoch(&mut pool, 5_000);
    assert_eq!(paid(&mut pool, &late, 5_004), soma(90));
    assert_eq!(held(&pool), Ok(Shannons::ZERO));
}

#[test]
fn an_epoch_without_a_settlement_goes_on_in_the_next() {
    let (mut pool, receipts) = staked(&[100]);
    let first = deposit(&mut pool, soma(10)).unwrap();
    let leaving = leave(&mut pool, &receipts[0], 1);
    // The close of epoch 1 went without settlements.
    let second = deposit(&mut pool, soma(20)).unwrap();
    assert_eq!(reward(&mut pool, soma(100)), Shannons::ZERO);
    settle_epoch(&mut pool, 2);
    assert_eq!(
        values(&pool, [&first, &second]),
        [soma(10), soma(20)].map(less_dust)
    );
    assert_eq!(paid(&mut pool, &leaving, 6), less_dust(soma(200)));
}

#[test]
fn no_stake_below_the_least_is_made_taken_or_left() {
    let (mut pool, receipts) = staked(&[3]);
    let almost = less_dust(SOMA);
    let mut refuse = |amount, error| {
        let before = pool.clone();
        assert_eq!(
            split(&mut pool, receipts[0].clone(), amount),
            Err(error),
            "{amount}"
        );
        assert_eq!(deposit(&mut pool, amount.min(almost)), Err(PoolError::TooSmall));
        assert_eq!(pool, before);
    };
    for amount in [
        Shannons::ZERO,
        almost,
        Shannons::new(soma(2).get() + 1),
        soma(3),
        soma(4),
        Shannons::SUPPLY,
    ] {
        refuse(amount, PoolError::TooSmall);
    }
    let waiting = deposit(&mut pool, soma(3)).unwrap();
    for amount in [almost, Shannons::new(soma(2).get() + 1), soma(4)] {
        assert_eq!(
            split(&mut pool, waiting.clone(), amount),
            Err(PoolError::TooSmall)
        );
    }
    for receipt in [receipts[0].clone(), waiting] {
        let (taken, rest) = split(&mut pool, receipt, soma(1)).unwrap();
        assert_eq!(values(&pool, [&taken, &rest]), [soma(1), soma(2)]);
        let (half, other_half) = split(&mut pool, rest, soma(1)).unwrap();
        assert_eq!(values(&pool, [&half, &other_half]), [soma(1), soma(1)]);
    }
    // What a slash made smaller goes as a whole.
    assert_eq!(
        slash(&mut pool, 9_000, Epoch::new(1)),
        Shannons::new(2_700_000_000)
    );
    let everything = receipt(&pool, Stake::Shares(pool.shares));
    let small = leave(&mut pool, &everything, 1);
    settle_epoch(&mut pool, 1);
    assert_eq!(paid(&mut pool, &small, 5), Shannons::new(300_000_000));
}

#[test]
fn the_parts_of_a_cohort_add_up_and_the_last_takes_the_rest() {
    let mut pool = new_pool();
    let amounts = [1_000_000_007, 1_000_000_009, 1_999_999_973].map(Shannons::new);
    let first = deposit(&mut pool, soma(2)).unwrap();
    settle_epoch(&mut pool, 0);
    // A share costs no round number.
    assert_eq!(reward(&mut pool, Shannons::new(77_777_777)), Shannons::ZERO);
    let receipts = amounts.map(|amount| deposit(&mut pool, amount).unwrap());
    settle_epoch(&mut pool, 1);
    let joined = pool.joined[&Cohort::new(1)];
    let shares_before = pool.shares;
    let exits = receipts.map(|receipt| leave(&mut pool, &receipt, 2));
    assert_eq!(pool.leaving, joined.shares);
    assert_eq!(pool.shares, shares_before);
    assert_eq!(pool.joined.keys().collect::<Vec<_>>(), [&Cohort::ZERO]);
    settle_epoch(&mut pool, 2);
    let amount = pool.left[&Cohort::new(2)].amount;
    let payments = exits.map(|exit| paid(&mut pool, &exit, 6));
    assert_eq!(Shannons::checked_sum(payments), Ok(amount));
    assert!(pool.left.is_empty());
    for (payment, principal) in payments.iter().zip(amounts) {
        // A shannon less, or what the two before left: a shannon each.
        let difference = payment.get().abs_diff(principal.get());
        assert!(difference <= 2, "{payment} of {principal}");
    }
    assert!(value(&pool, &first).unwrap() > soma(2));
}

#[test]
fn receipts_of_one_kind_merge_and_others_wait() {
    let (mut pool, receipts) = staked(&[10]);
    let [one, two] = [1, 2].map(|amount| deposit(&mut pool, soma(amount)).unwrap());
    let unlike = merge(&mut pool, receipts[0].clone(), one.clone());
    assert_eq!(unlike, Err(PoolError::Unlike));
    let three = merge(&mut pool, one, two).unwrap();
    assert_eq!(value(&pool, &three), Ok(soma(3)));
    settle_epoch(&mut pool, 1);
    let more = deposit(&mut pool, soma(4)).unwrap();
    settle_epoch(&mut pool, 2);
    let all = merge(&mut pool, receipts[0].clone(), three).unwrap();
    let all = merge(&mut pool, more, all).unwrap();
    assert_eq!(value(&pool, &all), Ok(soma(17)));
    assert!(pool.joined.is_empty());

    let (first, rest) = split(&mut pool, all, soma(5)).unwrap();
    let (second, rest) = split(&mut pool, rest, soma(6)).unwrap();
    let exits = [&first, &second].map(|receipt| leave(&mut pool, receipt, 3));
    let [first, second] = exits;
    assert_eq!(split(&mut pool, first.clone(), soma(1)), Err(PoolError::Leaving));
    let both = merge(&mut pool, first, second).unwrap();
    settle_epoch(&mut pool, 3);
    let later = leave(&mut pool, &rest, 4);
    assert_eq!(merge(&mut pool, both.clone(), later), Err(PoolError::Unlike));
    assert_eq!(paid(&mut pool, &both, 7), soma(11));
}

#[test]
fn a_pool_knows_its_own_receipts() {
    let (mut pool, receipts) = staked(&[10]);
    let exit = leave(&mut pool, &receipts[0], 1);
    let waiting = deposit(&mut pool, soma(5)).unwrap();
    let before = pool.clone();
    let other = StakedSoma {
        pool: ObjectId::from_low(8),
        stake: receipts[0].stake,
    };
    let error = PoolError::OtherPool(ObjectId::from_low(8));
    assert_eq!(value(&pool, &other), Err(error));
    assert_eq!(withdraw(&mut pool, other.clone(), Epoch::new(1)), Err(error));
    assert_eq!(split(&mut pool, other.clone(), soma(1)), Err(error));
    assert_eq!(merge(&mut pool, waiting.clone(), other), Err(error));

    let (cohort, principal) = (pool.cohort, soma(6));
    let forged = [
        receipts[0].stake,
        Stake::Deposit { cohort, principal },
        Stake::Deposit {
            cohort,
            principal: Shannons::ZERO,
        },
        Stake::Deposit {
            cohort: Cohort::new(7),
            principal,
        },
        Stake::Shares(Shares::ZERO),
        Stake::Shares(Shares::new(u128::MAX)),
        Stake::Exit {
            cohort,
            shares: Shares::new(u128::MAX),
        },
        Stake::Exit {
            cohort,
            shares: Shares::ZERO,
        },
        Stake::Exit {
            cohort: Cohort::new(7),
            shares: Shares::new(1),
        },
    ];
    for stake in forged {
        let forged = receipt(&pool, stake);
        let outcome = withdraw(&mut pool, forged.clone(), Epoch::new(9));
        assert_eq!(outcome, Err(PoolError::NoSuchStake), "{stake:?}");
        assert_eq!(
            split(&mut pool, forged.clone(), soma(1)),
            Err(PoolError::NoSuchStake)
        );
        assert!(merge(&mut pool, waiting.clone(), forged).is_err());
    }
    // Shares that are leaving already are not to be had twice, and a receipt does not merge with itself.
    let twice = receipt(&pool, Stake::Shares(Shares::new(1)));
    assert_eq!(
        withdraw(&mut pool, twice, Epoch::new(1)),
        Err(PoolError::NoSuchStake)
    );
    assert_eq!(
        merge(&mut pool, waiting.clone(), waiting),
        Err(PoolError::NoSuchStake)
    );
    assert_eq!(merge(&mut pool, exit.clone(), exit), Err(PoolError::NoSuchStake));
    assert_eq!(pool, before);
}

#[test]
fn an_empty_pool_accepts_no_reward_and_what_the_last_leaves_behind_is_not_lost() {
    let mut pool = new_pool();
    let receipt = deposit(&mut pool, soma(1)).unwrap();
    assert_eq!(reward(&mut pool, soma(5)), soma(5));
    settle_epoch(&mut pool, 0);
    assert_eq!(reward(&mut pool, soma(1_000)), Shannons::ZERO);
    let exit = leave(&mut pool, &receipt, 1);
    // The virtual shares are a billionth of the stake of a SOMA, and so is what falls to them.
    assert_eq!(
        settle(&mut pool, Epoch::new(1), UNBONDING),
        Ok(Shannons::new(1_000))
    );
    assert!(pool.closed);
    assert_eq!(paid(&mut pool, &exit, 5).get(), soma(1_001).get() - 1_000);
    assert_eq!(held(&pool), Ok(Shannons::ZERO));
}

#[test]
fn the_last_to_leave_hands_over_to_who_comes_at_the_same_close() {
    let (mut pool, receipts) = staked(&[10]);
    assert_eq!(reward(&mut pool, soma(10)), Shannons::ZERO);
    let exit = leave(&mut pool, &receipts[0], 1);
    let young = deposit(&mut pool, soma(10)).unwrap();
    settle_epoch(&mut pool, 1);
    assert!(!pool.closed);
    assert_eq!(values(&pool, [&exit, &young]), [less_dust(soma(20)), soma(10)]);
}

#[test]
fn a_commission_in_every_epoch_leaves_nothing_behind_but_one_receipt() {
    let (mut pool, receipts) = staked(&[100]);
    let mut all: Option<StakedSoma> = None;
    for epoch in 1..1_000 {
        assert_eq!(reward(&mut pool, Shannons::new(900)), Shannons::ZERO);
        let passing = deposit(&mut pool, soma(1)).unwrap();
        let part = receipt(&pool, Stake::Shares(Shares::new(1_000)));
        let exit = leave(&mut pool, &part, epoch);
        settle_epoch(&mut pool, epoch);
        let commission = restake(&mut pool, Shannons::new(100)).unwrap();
        assert!((99..=100).contains(&value(&pool, &commission).unwrap().get()));
        all = Some(match all {
            Some(all) => merge(&mut pool, all, commission).unwrap(),
            None => commission,
        });
        let all = all.clone().unwrap();
        merge(&mut pool, all, passing).map(drop).unwrap();
        paid(&mut pool, &exit, epoch + 4);
    }
    assert!(value(&pool, &all.unwrap()).unwrap().get() > 999 * 99);
    assert!(value(&pool, &receipts[0]).unwrap() > soma(100));
    assert_eq!((pool.joined.len(), pool.left.len()), (1, 0));
}

#[test]
fn amounts_beyond_all_money_are_errors() {
    let mut pool = new_pool();
    deposit(&mut pool, Shannons::new(u64::MAX)).unwrap();
    let error = PoolError::Amount(AmountError::Overflow);
    assert_eq!(deposit(&mut pool, SOMA), Err(error));
    settle_epoch(&mut pool, 0);
    assert_eq!(reward(&mut pool, SOMA), SOMA);
    assert_eq!(restake(&mut pool, SOMA), Err(error));
    assert_eq!(slash(&mut pool, 10_000, Epoch::MAX), Shannons::new(u64::MAX));
    settle_epoch(&mut pool, u64::MAX);
}

#[test]
fn numbers_that_contradict_each_other_are_errors() {
    let (mut pool, _) = staked(&[1]);
    pool.leaving = Shares::new(u128::MAX);
    let before = pool.clone();
    assert!(settle(&mut pool, Epoch::new(1), UNBONDING).is_err());
    assert_eq!(pool, before);
    pool.leaving = Shares::ZERO;
    pool.cohort = Cohort::new(u64::MAX);
    assert_eq!(
        settle(&mut pool, Epoch::new(1), UNBONDING),
        Err(PoolError::NoSuchStake)
    );
}

#[test]
fn deposits_stop_before_a_share_costs_a_soma() {
    // Nobody can afford this: it takes more rewards than there is money. But the rule is total.
    let mut pool = Pool {
        balance: Shannons::SUPPLY,
        shares: Shares::new(1),
        ..new_pool()
    };
    assert_eq!(deposit(&mut pool, soma(1)), Err(PoolError::NoShares));
    assert_eq!(restake(&mut pool, Shannons::new(5)), Err(PoolError::NoShares));
    // A deposit that the price overtakes before the close stays what it is.
    pool.balance = soma(1);
    let waiting = deposit(&mut pool, soma(1)).unwrap();
    pool.balance = Shannons::SUPPLY;
    settle_epoch(&mut pool, 1);
    settle_epoch(&mut pool, 2);
    assert_eq!(paid(&mut pool, &waiting, 3), soma(1));
    // The other end: shares that are too many to count.
    let mut pool = Pool {
        balance: Shannons::new(1),
        shares: Shares::new(u128::MAX / 2),
        ..new_pool()
    };
    assert_eq!(deposit(&mut pool, soma(1)), Err(PoolError::NoShares));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// The attacker is alone in the pool, makes shares as dear as it can by rewards and by leaving all but the least,
    /// again and again, waits for a victim, and leaves.
    #[test]
    fn making_shares_dear_costs_a_million_times_what_it_takes(
        first in SOMA.get()..=10 * SOMA.get(),
        rewards in proptest::collection::vec(1..=Shannons::SUPPLY.get(), 0..5),
        victim in SOMA.get()..=1_000 * SOMA.get(),
    ) {
        let mut pool = new_pool();
        let mut attacker = deposit(&mut pool, Shannons::new(first)).unwrap();
        settle(&mut pool, Epoch::ZERO, UNBONDING).unwrap();
        let (mut spent, mut exits, mut epoch) = (i128::from(first), vec![], 0);
        for amount in rewards {
            let amount = amount.min(Shannons::SUPPLY.get() - held(&pool).unwrap().get());
            prop_assert_eq!(reward(&mut pool, Shannons::new(amount)), Shannons::ZERO);
            spent += i128::from(amount);
            if let Ok((least, rest)) = split(&mut pool, attacker.clone(), SOMA) {
                attacker = least;
                exits.push(leave(&mut pool, &rest, epoch));
            }
            settle(&mut pool, Epoch::new(epoch), UNBONDING).unwrap();
            epoch += 1;
            for exit in exits.drain(..) {
                spent -= i128::from(paid(&mut pool, &exit, epoch + UNBONDING).get());
            }
        }
        let Ok(receipt) = deposit(&mut pool, Shannons::new(victim)) else { return Ok(()) };
        settle(&mut pool, Epoch::new(epoch), UNBONDING).unwrap();
        let taken = victim - value(&pool, &receipt).unwrap().get();
        spent -= i128::from(value(&pool, &attacker).unwrap().get());
        prop_assert!(spent >= 0, "the attacker gained {}", -spent);
        prop_assert!(spent + 2 >= (i128::from(taken) - 2) * 999_999, "{} taken for {}", taken, spent);
    }
}
