use proptest::prelude::*;

use super::*;
use crate::{SOMA, decode, encode};

const REST: u64 = 3;

fn owner(number: u8) -> Address {
    Address::new([number; 32])
}

fn soma(amount: u64) -> Shannons {
    Shannons::new(amount * SOMA.get())
}

fn receipt(deposited: u64, principal: Shannons) -> StakedSoma {
    StakedSoma {
        pool: ObjectId::from_low(9),
        deposited: Epoch::new(deposited),
        principal,
    }
}

/// A pool in epoch 1, into which these deposits went in epoch 0.
fn pool(deposits: &[u64]) -> Pool {
    let mut pool = Pool::default();
    for deposit in deposits {
        pool.deposit(soma(*deposit), Epoch::ZERO, SOMA).unwrap();
    }
    assert_eq!(pool.close_epoch(Epoch::ZERO, REST), Released::default());
    pool
}

fn paid(released: &Released) -> Vec<(u8, u64)> {
    let paid = released.payouts.iter();
    paid.map(|(to, amount)| (to.as_bytes()[0], amount.get()))
        .collect()
}

#[test]
fn rewards_are_divided_by_what_was_staked_before_them() {
    let mut pool = pool(&[100, 300]);
    pool.deposit(soma(400), Epoch::new(1), SOMA).unwrap();
    assert_eq!(pool.reward(soma(40)), Shannons::ZERO);
    assert_eq!(pool.close_epoch(Epoch::new(1), REST), Released::default());
    let value = |deposited, principal| pool.value(&receipt(deposited, soma(principal))).unwrap();
    // Virtual shares have a millionth of a shannon's worth.
    assert_eq!(value(0, 100).get().abs_diff(soma(110).get()), 1);
    assert_eq!(value(0, 300).get().abs_diff(soma(330).get()), 1);
    assert!(value(1, 400).get().abs_diff(soma(400).get()) <= 1);
    assert_eq!(pool.balance(), soma(840));
}

#[test]
fn what_is_withdrawn_earns_until_the_boundary_and_is_paid_three_epochs_after_it() {
    // W-H15: stake was paid at once, before what it stood for had come out.
    let mut pool = pool(&[100, 100]);
    let (how, rest) = pool
        .withdraw(&receipt(0, soma(100)), soma(60), owner(1), SOMA)
        .unwrap();
    assert_eq!((how, rest), (Withdrawal::Unbonding, Some(receipt(0, soma(40)))));
    pool.reward(soma(20));
    assert_eq!(paid(&pool.close_epoch(Epoch::new(1), REST)), []);
    pool.reward(soma(10));
    assert_eq!(paid(&pool.close_epoch(Epoch::new(2), REST)), []);
    assert_eq!(paid(&pool.close_epoch(Epoch::new(3), REST)), []);
    let released = paid(&pool.close_epoch(Epoch::new(4), REST));
    assert_eq!(released, [(1, soma(66).get() - 1)]);
    assert_eq!(pool.money().get(), soma(164).get() + 1);
}

#[test]
fn a_slash_takes_from_what_is_staked_and_what_rests_and_from_nothing_else() {
    // W-C8: a slashed pool paid every staker in full.
    let mut pool = pool(&[100, 100]);
    let withdraw = |pool: &mut Pool, who| {
        pool.withdraw(&receipt(0, soma(100)), soma(100), owner(who), SOMA)
            .unwrap()
    };
    withdraw(&mut pool, 1);
    pool.close_epoch(Epoch::new(1), REST);
    pool.deposit(soma(50), Epoch::new(2), SOMA).unwrap();
    assert_eq!(pool.slash(5_000), soma(100));
    withdraw(&mut pool, 2);
    pool.close_epoch(Epoch::new(2), REST);
    pool.close_epoch(Epoch::new(3), REST);
    let first = paid(&pool.close_epoch(Epoch::new(4), REST));
    let second = paid(&pool.close_epoch(Epoch::new(5), REST));
    for (released, who) in [(first, 1), (second, 2)] {
        assert_eq!((released.len(), released[0].0), (1, who));
        assert!(released[0].1.abs_diff(soma(50).get()) <= 2, "{released:?}");
    }
    let value = pool.value(&receipt(2, soma(50))).unwrap();
    assert!(soma(50).get() - value.get() <= 1, "{value}");
}

#[test]
fn a_deposit_of_this_epoch_comes_back_as_it_was() {
    // W-C10: a withdrawal before the first boundary was taken from what was not there.
    let mut pool = pool(&[100]);
    pool.deposit(soma(50), Epoch::new(1), SOMA).unwrap();
    pool.slash(10_000);
    let (how, rest) = pool
        .withdraw(&receipt(1, soma(50)), soma(50), owner(1), SOMA)
        .unwrap();
    assert_eq!((how, rest), (Withdrawal::Now(soma(50)), None));
    let again = pool.withdraw(&receipt(1, soma(50)), soma(50), owner(1), SOMA);
    assert_eq!(again, Err(StakeError::UnknownReceipt(receipt(1, soma(50)))));
}

#[test]
fn a_retired_pool_loses_nobodys_stake() {
    // W-C9: what was under way when a pool was closed was never taken in.
    let mut pool = pool(&[100]);
    pool.deposit(soma(30), Epoch::new(1), SOMA).unwrap();
    pool.withdraw(&receipt(0, soma(100)), soma(40), owner(1), SOMA)
        .unwrap();
    pool.retire();
    assert_eq!(
        pool.deposit(soma(1), Epoch::new(1), SOMA),
        Err(StakeError::Closed)
    );
    assert_eq!(pool.reward(soma(1)), soma(1));
    for epoch in 1..4 {
        assert_eq!(paid(&pool.close_epoch(Epoch::new(epoch), REST)), []);
    }
    assert_eq!(
        paid(&pool.close_epoch(Epoch::new(4), REST)),
        [(1, soma(40).get())]
    );
    let (how, _) = pool
        .withdraw(&receipt(1, soma(30)), soma(30), owner(2), SOMA)
        .unwrap();
    assert_eq!(how, Withdrawal::Now(soma(30)));
    pool.withdraw(&receipt(0, soma(60)), soma(60), owner(1), SOMA)
        .unwrap();
    for epoch in 5..8 {
        pool.close_epoch(Epoch::new(epoch), REST);
    }
    assert_eq!(
        paid(&pool.close_epoch(Epoch::new(8), REST)),
        [(1, soma(60).get())]
    );
    assert!(pool.is_empty());
}

#[test]
fn a_pool_that_has_lost_nearly_everything_takes_no_deposits() {
    let mut pool = pool(&[100]);
    pool.deposit(soma(5), Epoch::new(1), SOMA).unwrap();
    for _ in 0..7 {
        pool.slash(9_000);
    }
    assert_eq!(
        pool.deposit(soma(5), Epoch::new(1), SOMA),
        Err(StakeError::Closed)
    );
    pool.close_epoch(Epoch::new(1), REST);
    let (how, _) = pool
        .withdraw(&receipt(1, soma(5)), soma(5), owner(2), SOMA)
        .unwrap();
    assert_eq!(
        how,
        Withdrawal::Now(soma(5)),
        "what came before the slash is idle"
    );
}

#[test]
fn too_little_and_too_much_are_refused_and_change_nothing() {
    let mut pool = pool(&[10]);
    let before = pool.clone();
    let held = receipt(0, soma(10));
    let mut withdraw = |amount: Shannons| pool.withdraw(&held, amount, owner(1), SOMA).map(drop);
    let half = Shannons::new(SOMA.get() / 2);
    let too_little = Err(StakeError::TooLittle {
        found: half,
        least: SOMA,
    });
    assert_eq!(withdraw(half), too_little);
    assert_eq!(withdraw(Shannons::new(soma(10).get() - half.get())), too_little);
    assert_eq!(
        withdraw(soma(11)),
        Err(StakeError::TooMuch {
            asked: soma(11),
            held: soma(10)
        })
    );
    assert_eq!(pool.deposit(half, Epoch::new(1), SOMA), too_little);
    assert_eq!(pool, before);
}

#[test]
fn whoever_comes_first_cannot_take_what_the_second_brings() {
    // One staker takes all but the least out, and whatever it can be rewarded with is in the pool when the next one comes.
    let mut pool = pool(&[2]);
    pool.withdraw(&receipt(0, soma(2)), soma(1), owner(1), SOMA)
        .unwrap();
    pool.close_epoch(Epoch::new(1), REST);
    pool.reward(soma(1_000_000));
    pool.deposit(soma(1), Epoch::new(2), SOMA).unwrap();
    pool.close_epoch(Epoch::new(2), REST);
    let second = pool.value(&receipt(2, soma(1))).unwrap();
    assert!(SOMA.get() - second.get() <= 2, "{second}");
}

#[test]
fn a_share_is_as_exact_as_long_division() {
    for (part, amount, whole, share) in [
        (1u128, 10u64, 3u128, 3u64),
        (2, 10, 3, 6),
        (3, 10, 3, 10),
        (0, 10, 3, 0),
        (0, 10, 0, 0),
        ((1 << 124) - 1, u64::MAX, 1 << 124, u64::MAX - 1),
        (1 << 124, u64::MAX, 1 << 124, u64::MAX),
        (
            10u128.pow(22),
            10u64.pow(16),
            3 * 10u128.pow(22),
            3_333_333_333_333_333,
        ),
    ] {
        assert_eq!(share_of(part, amount, whole), share);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Deposit(u8, u64),
    Withdraw(usize, u64),
    Reward(u64),
    Slash(u16),
    Retire,
    Close,
}

fn steps() -> impl Strategy<Value = Step> {
    let amount = prop_oneof![1..20u64, 1..2_000_000u64];
    let amount = (amount, 0..SOMA.get()).prop_map(|(soma, odd)| soma * SOMA.get() + odd);
    prop_oneof![
        4 => (0..5u8, amount.clone()).prop_map(|(who, amount)| Step::Deposit(who, amount)),
        4 => (any::<usize>(), any::<u64>()).prop_map(|(which, part)| Step::Withdraw(which, part)),
        3 => (0..3_000 * SOMA.get()).prop_map(Step::Reward),
        1 => (0..=10_000u16).prop_map(Step::Slash),
        1 => (0..=500u16).prop_map(Step::Slash),
        5 => Just(Step::Close),
        1 => prop::bool::weighted(0.1).prop_map(|retire| if retire { Step::Retire } else { Step::Close }),
    ]
}

/// A staker as plain numbers see one: real amounts, in shannons, and what roundings may have cost.
#[derive(Clone, Debug)]
struct Plain {
    owner: u8,
    receipt: StakedSoma,
    /// What it is worth now, exactly; `f64` would not do, so numerator over 2^16.
    worth: u128,
}

const ONE: u128 = 1 << 16;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn money_goes_where_plain_numbers_say_and_none_is_made_or_lost(steps in prop::collection::vec(steps(), 1..60)) {
        let mut pool = Pool::default();
        let mut now = Epoch::new(7);
        let (mut put_in, mut taken_out) = (0u128, 0u128);
        let mut stakers: Vec<Plain> = Vec::new();
        // By owner: what rests or leaves, by the epoch with which it is paid.
        let mut resting: Vec<(u8, Epoch, u128)> = Vec::new();
        let mut is_retired = false;
        let mut has_lost = false;
        for step in steps {
            match step {
                Step::Deposit(who, amount) => {
                    let amount = Shannons::new(amount);
                    let done = pool.deposit(amount, now, SOMA);
                    prop_assert_eq!(done.is_ok(), pool.is_open());
                    if done.is_ok() {
                        put_in += u128::from(amount.get());
                        let receipt = StakedSoma { deposited: now, ..receipt(0, amount) };
                        stakers.push(Plain { owner: who, receipt, worth: u128::from(amount.get()) * ONE });
                    }
                }
                Step::Withdraw(which, part) if !stakers.is_empty() => {
                    let at = which % stakers.len();
                    let Plain { owner: who, receipt, worth } = stakers[at].clone();
                    let held = receipt.principal.get();
                    let asked = if part % 3 == 0 { held } else { SOMA.get() + part % held };
                    let Ok((how, rest)) = pool.withdraw(&receipt, Shannons::new(asked), owner(who), SOMA) else {
                        prop_assert!(asked > held || held - asked < SOMA.get());
                        continue;
                    };
                    let part = worth * u128::from(asked) / u128::from(held);
                    match how {
                        Withdrawal::Now(amount) => taken_out += u128::from(amount.get()),
                        Withdrawal::Unbonding => resting.push((who, Epoch::new(now.get() + 1 + REST), part)),
                    }
                    match rest {
                        Some(receipt) => stakers[at] = Plain { owner: who, receipt, worth: worth - part },
                        None => drop(stakers.swap_remove(at)),
                    }
                }
                Step::Withdraw(..) => {}
                Step::Reward(amount) => {
                    let left = pool.reward(Shannons::new(amount));
                    prop_assert!(left.get() == 0 || left.get() == amount);
                    if left.get() == 0 && amount > 0 {
                        put_in += u128::from(amount);
                        let balance = u128::from(pool.balance().get() - amount);
                        let earns = |deposited: Epoch| deposited < now;
                        for staker in stakers.iter_mut().filter(|staker| earns(staker.receipt.deposited)) {
                            staker.worth += staker.worth * u128::from(amount) / balance.max(1);
                        }
                        for (_, due, worth) in &mut resting {
                            if due.get() == now.get() + 1 + REST {
                                *worth += *worth * u128::from(amount) / balance.max(1);
                            }
                        }
                    }
                }
                Step::Slash(bps) => {
                    let before = pool.money();
                    let taken = pool.slash(bps);
                    prop_assert_eq!(pool.money().checked_add(taken), Ok(before));
                    taken_out += u128::from(taken.get());
                    has_lost |= bps > 0;
                    let keep = 10_000 - u128::from(bps);
                    for staker in stakers.iter_mut().filter(|staker| staker.receipt.deposited < now) {
                        staker.worth = staker.worth * keep / 10_000;
                    }
                    resting.iter_mut().for_each(|(_, _, worth)| *worth = *worth * keep / 10_000);
                }
                Step::Retire => {
                    pool.retire();
                    is_retired = true;
                }
                Step::Close => {
                    let released = pool.close_epoch(now, REST);
                    now = now.next().unwrap();
                    taken_out += u128::from(released.dust.get());
                    let mut owed = BTreeMap::<u8, u128>::new();
                    resting.retain(|(who, due, worth)| {
                        if *due <= now {
                            *owed.entry(*who).or_default() += *worth;
                        }
                        *due > now
                    });
                    for (who, amount) in &released.payouts {
                        taken_out += u128::from(amount.get());
                        // Nothing is idle here, so nobody has more than plain numbers say, but for what others' roundings leave.
                        let owed = owed.remove(&who.as_bytes()[0]).unwrap_or_default() / ONE;
                        let paid = u128::from(amount.get());
                        if !is_retired && !has_lost {
                            prop_assert!(paid <= owed + 500, "{} for {}", paid, owed);
                            prop_assert!(paid + owed / 1_000_000 + 500 >= owed, "{} for {}", paid, owed);
                        }
                    }
                }
            }
            prop_assert_eq!(u128::from(pool.money().get()) + taken_out, put_in);
            for staker in &stakers {
                let value = pool.value(&staker.receipt);
                prop_assert!(value.is_ok(), "{:?}", staker);
            }
            let bytes = encode(&pool);
            prop_assert_eq!(&decode::<Pool>(&bytes, 1 << 20).unwrap(), &pool);
        }
        // Everybody can leave, and is paid.
        for Plain { owner: who, receipt, .. } in std::mem::take(&mut stakers) {
            let (how, _) = pool.withdraw(&receipt, receipt.principal, owner(who), SOMA).unwrap();
            if let Withdrawal::Now(amount) = how {
                taken_out += u128::from(amount.get());
            }
        }
        for _ in 0..=REST + 1 {
            let released = pool.close_epoch(now, REST);
            now = now.next().unwrap();
            let payouts = released.payouts.iter().map(|(_, amount)| u128::from(amount.get()));
            taken_out += payouts.sum::<u128>() + u128::from(released.dust.get());
        }
        prop_assert!(pool.is_empty(), "{:?}", pool);
        prop_assert_eq!(taken_out, put_in);
    }

    #[test]
    fn a_share_is_never_more_than_exact(part in 0u128..1 << 60, more in 0u128..1 << 60, amount: u64) {
        let whole = part + more;
        let share = share_of(part, amount, whole);
        let product = part * u128::from(amount);
        prop_assert!(u128::from(share) * whole <= product);
        prop_assert!(whole == 0 || product < (u128::from(share) + 1) * whole);
    }
}
