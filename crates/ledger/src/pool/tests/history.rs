//! Random histories of a pool: against a plain reading of the rules, and against themselves told in other words.

use std::collections::BTreeMap;

use proptest::prelude::*;
use types::{Epoch, Pool, SOMA, Shannons, Shares, Stake, StakedSoma};

use super::super::price::{VIRTUAL_SHARES, mul_div};
use super::super::*;
use super::reading::Reading;
use super::{UNBONDING, new_pool};

/// What may happen. Receipts are picked by their position modulo their number, amounts are what is left of all money at most.
#[derive(Clone, Debug)]
enum Step {
    Deposit(u64),
    /// Withdraws, of one receipt, this amount or all.
    Withdraw(usize, Option<u64>),
    /// Divides one receipt by these permille of its value.
    Split(usize, u64),
    Merge(usize, usize),
    Reward(u64),
    Slash(u16),
    /// The close of an epoch, with a commission.
    Close(u64),
    /// The close of an epoch that does without settlements.
    Skip,
    /// The pool is closed for good.
    Retire,
}

fn amount() -> impl Strategy<Value = u64> {
    let soma = SOMA.get();
    prop_oneof![
        2 => Just(soma),
        6 => soma..10 * soma,
        4 => soma..1_000_000 * soma,
        2 => 0..soma,
        1 => 0..=Shannons::SUPPLY.get(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let bps = prop_oneof![6 => 0..1_000u16, 2 => 0..10_000u16, 1 => 9_990..=10_001u16];
    prop_oneof![
        10 => amount().prop_map(Step::Deposit),
        12 => (any::<usize>(), proptest::option::weighted(0.2, amount())).prop_map(|(n, amount)| Step::Withdraw(n, amount)),
        4 => (any::<usize>(), 0..1_001u64).prop_map(|(n, permille)| Step::Split(n, permille)),
        4 => (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Step::Merge(one, other)),
        6 => amount().prop_map(Step::Reward),
        3 => bps.prop_map(Step::Slash),
        14 => (0..2 * SOMA.get()).prop_map(Step::Close),
        1 => Just(Step::Skip),
    ]
}

/// About sixty steps, in one history of three with the end of the pool among them.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let steps = proptest::collection::vec(step(), 50..70);
    (steps, proptest::option::weighted(0.3, 20..50usize)).prop_map(|(mut steps, retire)| {
        steps.extend(retire.map(|_| Step::Retire));
        let last = steps.len() - 1;
        steps.swap(retire.unwrap_or(last), last);
        steps
    })
}

/// A pool, its reading, and what went in and out.
struct World {
    pool: Pool,
    receipts: Vec<StakedSoma>,
    reading: Reading,
    epoch: u64,
    paid_in: u64,
    paid_out: u64,
    /// What each cohort of withdrawals came to at the close.
    converted: BTreeMap<u64, u64>,
    collected: BTreeMap<u64, u64>,
}

impl World {
    fn new() -> Self {
        let reading = Reading::default();
        Self {
            pool: new_pool(),
            receipts: vec![],
            reading,
            epoch: 0,
            paid_in: 0,
            paid_out: 0,
            converted: BTreeMap::new(),
            collected: BTreeMap::new(),
        }
    }

    /// As much of the amount as is not in the pool.
    fn afford(&self, amount: u64) -> u64 {
        amount.min(Shannons::SUPPLY.get() - held(&self.pool).unwrap().get())
    }

    fn pick(&self, n: usize) -> Option<usize> {
        n.checked_rem(self.receipts.len())
    }

    /// Takes a step in both worlds, which must agree whether it is allowed.
    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Deposit(amount) => {
                let amount = self.afford(amount);
                let receipt = deposit(&mut self.pool, Shannons::new(amount));
                prop_assert_eq!(receipt.is_ok(), self.reading.deposit(amount), "{:?}", receipt);
                self.paid_in += if receipt.is_ok() { amount } else { 0 };
                self.receipts.extend(receipt);
            }
            Step::Withdraw(n, amount) => {
                let Some(n) = self.pick(n) else { return Ok(()) };
                if amount.is_none_or(|amount| self.split(n, amount).is_ok_and(|split| split)) {
                    self.withdraw(n)?;
                }
            }
            Step::Split(n, permille) => {
                let Some(n) = self.pick(n) else { return Ok(()) };
                self.split(
                    n,
                    (u128::from(self.reading.value(n)) * u128::from(permille) / 1_000) as u64,
                )?;
            }
            Step::Merge(one, other) => {
                let (Some(one), Some(other)) = (self.pick(one), self.pick(other)) else {
                    return Ok(());
                };
                let (one, other) = (one.min(other), one.max(other));
                let pair = [one, other].map(|n| self.receipts[n].clone());
                let [first, second] = pair;
                if one == other {
                    return Ok(());
                }
                let merged = merge(&mut self.pool, first, second);
                prop_assert_eq!(merged.is_ok(), self.reading.merge(one, other), "{:?}", merged);
                if let Ok(merged) = merged {
                    self.receipts[one] = merged;
                    self.receipts.swap_remove(other);
                }
            }
            Step::Reward(amount) => {
                let amount = self.afford(amount);
                let refused = reward(&mut self.pool, Shannons::new(amount)).get();
                let accepted = self.reading.reward(amount);
                prop_assert_eq!(refused, if accepted { 0 } else { amount });
                self.paid_in += amount - refused;
            }
            Step::Slash(bps) => {
                let taken = slash(&mut self.pool, bps, Epoch::new(self.epoch)).get();
                prop_assert_eq!(taken, self.reading.slash(bps, self.epoch));
                self.paid_out += taken;
            }
            Step::Close(commission) => {
                let left = settle(&mut self.pool, Epoch::new(self.epoch), UNBONDING);
                let cohort = self.reading.closes;
                prop_assert_eq!(left, Ok(Shannons::new(self.reading.settle(self.epoch))));
                self.paid_out += left.unwrap().get();
                if let Some((amount, _)) = self.reading.unpaid.get(&cohort) {
                    self.converted.entry(cohort).or_insert(*amount);
                }
                let commission = self.afford(commission);
                let receipt = restake(&mut self.pool, Shannons::new(commission));
                prop_assert_eq!(receipt.is_ok(), self.reading.restake(commission), "{:?}", receipt);
                self.paid_in += if receipt.is_ok() { commission } else { 0 };
                self.receipts.extend(receipt);
                self.epoch += 1;
            }
            Step::Skip => self.epoch += 1,
            Step::Retire => {
                close(&mut self.pool);
                self.reading.closed = true;
            }
        }
        Ok(())
    }

    fn split(&mut self, n: usize, amount: u64) -> Result<bool, TestCaseError> {
        let parts = split(&mut self.pool, self.receipts[n].clone(), Shannons::new(amount));
        prop_assert_eq!(parts.is_ok(), self.reading.split(n, amount), "{:?}", parts);
        let Ok((part, rest)) = parts else { return Ok(false) };
        self.receipts[n] = part;
        self.receipts.push(rest);
        Ok(true)
    }

    fn withdraw(&mut self, n: usize) -> Result<(), TestCaseError> {
        let receipt = self.receipts[n].clone();
        let outcome = withdraw(&mut self.pool, receipt.clone(), Epoch::new(self.epoch));
        match (outcome, self.reading.withdraw(n, self.epoch)) {
            (Ok(Withdrawal::Paid(amount)), Some(Some(expected))) => {
                prop_assert_eq!(amount.get(), expected);
                self.paid_out += expected;
                self.receipts.swap_remove(n);
                if let Stake::Exit { cohort, .. } = receipt.stake {
                    *self.collected.entry(cohort.get()).or_default() += expected;
                }
            }
            (Ok(Withdrawal::Leaving(exit)), Some(None)) => self.receipts[n] = exit,
            (Err(PoolError::NotDue(_)), None) => {}
            (outcome, expected) => prop_assert!(false, "{:?} where {:?} was expected", outcome, expected),
        }
        Ok(())
    }

    /// What holds between any two steps.
    fn check(&self) -> Result<(), TestCaseError> {
        let (pool, reading) = (&self.pool, &self.reading);
        prop_assert_eq!(
            held(pool).unwrap().get(),
            self.paid_in - self.paid_out,
            "conservation"
        );
        prop_assert_eq!(held(pool).unwrap().get(), reading.held());
        prop_assert_eq!(pool.balance.get(), reading.balance);
        prop_assert_eq!(pool.shares.get(), reading.shares());
        prop_assert_eq!(pool.leaving.get(), reading.exits_of(reading.closes));
        prop_assert_eq!(pool.closed, reading.closed);
        let mut claims = 0;
        for (n, receipt) in self.receipts.iter().enumerate() {
            let value = value(pool, receipt).unwrap().get();
            prop_assert_eq!(value, reading.value(n));
            claims += value;
        }
        prop_assert!(claims <= held(pool).unwrap().get(), "no claim exceeds the pool");
        let cohorts = pool.at_par.len() + pool.joined.len() + pool.left.len();
        prop_assert!(cohorts <= self.receipts.len(), "growth is bounded by receipts");
        for (cohort, collected) in &self.collected {
            prop_assert!(
                *collected <= self.converted[cohort],
                "nobody is paid more than was converted"
            );
        }
        Ok(())
    }
}

/// Whether a share costs no less in `after` than in `before`.
fn no_cheaper(before: &Pool, after: &Pool) -> bool {
    let shares = |pool: &Pool| pool.shares.get() + VIRTUAL_SHARES;
    // Multiplied out, which stays below 2^128 but for pools that were slashed to almost nothing: those pass.
    let product =
        |shares_of: &Pool, balance_of: &Pool| mul_div(shares(shares_of), balance_of.balance.get() + 1, 1);
    match (product(before, after), product(after, before)) {
        (Some((after, _)), Some((before, _))) => after >= before,
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_500))]

    #[test]
    fn a_pool_does_what_a_plain_reading_of_the_rules_does(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            let before = world.pool.clone();
            world.take(step)?;
            world.check()?;
            let emptied = world.pool.shares == Shares::ZERO;
            prop_assert!(matches!(step, Step::Slash(_)) || emptied || no_cheaper(&before, &world.pool));
        }
        // Then everybody leaves, and nothing remains.
        for _ in 0..=UNBONDING + 2 {
            for n in (0..world.receipts.len()).rev() {
                world.withdraw(n)?;
            }
            world.take(&Step::Close(0))?;
            world.check()?;
        }
        prop_assert_eq!(world.receipts.len(), 0);
        prop_assert_eq!(held(&world.pool), Ok(Shannons::ZERO));
        let cohort = world.pool.cohort;
        prop_assert_eq!(world.pool, Pool { closed: true, cohort, ..new_pool() });
    }

    #[test]
    fn what_is_refused_changes_nothing(steps in steps(), amount in amount(), n: usize) {
        let mut world = World::new();
        for step in &steps {
            world.take(step)?;
            let before = world.pool.clone();
            let Some(n) = world.pick(n) else { continue };
            let staked = world.receipts[n].clone();
            let (amount, epoch) = (Shannons::new(amount), Epoch::new(world.epoch));
            for act in [
                |pool: &mut Pool, _: StakedSoma, amount, _: Epoch| deposit(pool, amount).map(drop),
                |pool: &mut Pool, _, amount, _| restake(pool, amount).map(drop),
                |pool: &mut Pool, staked, amount, _| split(pool, staked, amount).map(drop),
                |pool: &mut Pool, staked: StakedSoma, _, _| merge(pool, staked.clone(), staked).map(drop),
                |pool: &mut Pool, staked, _, epoch| withdraw(pool, staked, epoch).map(drop),
            ] {
                let mut pool = before.clone();
                if act(&mut pool, staked.clone(), amount, epoch).is_err() {
                    prop_assert_eq!(&pool, &before);
                }
            }
        }
    }
}
