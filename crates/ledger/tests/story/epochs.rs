//! Stake, rewards, and the ends of epochs.

use std::collections::BTreeMap;

use crypto::Digest;
use ledger::schedule::waves;
use ledger::{CloseError, Memory, Objects, close};
use proptest::prelude::*;
use types::{
    Bounded, Content, Economy, Epoch, Event, Failure, Object, ObjectId, Owner, SOMA, Shannons, Stake, Status,
    System, Targets, Transaction, TransactionDigest, TransactionKind, UnixMillis, Validators, Version,
    VotingPower,
};

use crate::kit::{chain, user};
use crate::network::{Network, no_targets, params, soma, validator_id};

#[test]
fn an_epoch_divides_fees_and_a_fifth_of_the_emission_by_power() {
    let mut network = Network::new(&[300_000, 100_000], &[1_000]);
    network.close();
    let members = network.set().members;
    assert_eq!(
        members.values().map(|power| power.get()).collect::<Vec<_>>(),
        [5_000, 5_000]
    );
    let before = network.economy().emission;
    assert_eq!(network.stake(0, 0, soma(10)), Status::Success);
    // An epoch without fees has made value cheaper, to nine ten-thousandths; stake pays half of them.
    assert_eq!(network.fee.value, Shannons::new(soma(10).get() * 9 / 20_000));
    let fees = network.economy().fees;
    assert!(fees > Shannons::ZERO);
    let events = network.close();
    // 274 SOMA and the fees, half to each, and a tenth of that to its owner.
    let half = (soma(274).get() + fees.get()) / 2;
    let rewarded = |number| Event::Rewarded {
        pool: validator_id(number),
        amount: Shannons::new(half - half / 10),
        commission: Shannons::new(half / 10),
    };
    assert_eq!(events[..2], [rewarded(0), rewarded(1)]);
    let spent = soma(274).get() - (soma(274).get() + fees.get()) % 2;
    assert_eq!(network.economy().emission.get(), before.get() - spent);
    assert_eq!(network.economy().fees, Shannons::ZERO);
    let staked = network.validator(0).pool.balance.get();
    assert_eq!(staked, soma(300_010).get() + half);
    assert_eq!(network.of(20, false).len(), 2, "the commission is stake");
    assert_eq!(network.system().epoch, Epoch::new(2));
}

#[test]
fn a_staker_earns_from_the_next_epoch_on_and_is_paid_three_after_it_left() {
    let mut network = Network::new(&[100_000, 100_000], &[200_000]);
    network.close();
    assert_eq!(network.stake(0, 1, soma(100_000)), Status::Success);
    network.close();
    let receipt = network.of(0, false)[0];
    network.close();
    assert_eq!(network.withdraw(0, 1, receipt, None), Status::Success);
    let fees = network.economy().fees.get();
    for due in [
        None,
        Some(Epoch::new(7)),
        Some(Epoch::new(7)),
        Some(Epoch::new(7)),
    ] {
        let receipt = network.of(0, false)[0];
        let early = network.withdraw(0, 1, receipt, None);
        assert_eq!(early, Status::Failure(Failure::NotDue(due)));
        network.close();
    }
    let (before, fee) = (network.money(0), network.economy().fees.get());
    assert_eq!(
        network.withdraw(0, 1, network.of(0, false)[0], None),
        Status::Success
    );
    assert_eq!(network.of(0, false), []);
    let paid = network.money(0) + network.economy().fees.get() - fee - before;
    // Two epochs with half of the pool, less a little for commissions that became stake; the pool has half of 274 SOMA, and of
    // the fees of the second.
    let earned = paid - soma(100_000).get();
    let most = (2 * soma(274).get() + fees) / 2 * 9 / 10 / 2;
    assert!(
        earned <= most && earned > most / 1_000 * 990,
        "{earned} of {most}"
    );
}

#[test]
fn what_cannot_be_staked_or_withdrawn_says_why() {
    let mut network = Network::new(&[100_000, 100_000], &[100, 100]);
    network.close();
    let half = Shannons::new(SOMA.get() / 2);
    let too_little = Status::Failure(Failure::StakeTooLittle(SOMA));
    assert_eq!(network.stake(0, 0, half), too_little.clone());
    let nobody = Status::Failure(Failure::NotAValidator(validator_id(7)));
    assert_eq!(network.stake(0, 7, soma(5)), nobody);
    assert_eq!(network.stake(0, 0, soma(5)), Status::Success);
    let receipt = network.of(0, false)[0];
    assert_eq!(network.withdraw(0, 0, receipt, Some(half)), too_little.clone());
    let most = Shannons::new(soma(5).get() - half.get());
    assert_eq!(
        network.withdraw(0, 0, network.of(0, false)[0], Some(most)),
        too_little.clone()
    );
    assert_eq!(
        network.withdraw(0, 0, network.of(0, false)[0], Some(soma(6))),
        too_little
    );
    assert_eq!(
        network.withdraw(1, 0, network.of(0, false)[0], None),
        Status::Failure(Failure::NotOwner(receipt.id))
    );
    let coin = network.of(0, true)[0];
    assert_eq!(
        network.withdraw(0, 1, network.of(0, false)[0], None),
        Status::Failure(Failure::NotItsStake(receipt.id))
    );
    let gas = network.of(1, true)[0];
    let kind = TransactionKind::WithdrawStake {
        validator: validator_id(0),
        stake: gas,
        amount: None,
    };
    assert_eq!(
        network.run(1, gas, kind),
        Status::Failure(Failure::NotItsStake(gas.id))
    );
    let kind = TransactionKind::PayCoins {
        coins: Bounded::new(vec![network.of(0, false)[0]]).unwrap(),
        amounts: None,
        recipients: Bounded::new(vec![user(1)]).unwrap(),
    };
    let gas = network.of(0, true)[0];
    assert_eq!(gas.id, coin.id);
    assert_eq!(
        network.run(0, gas, kind),
        Status::Failure(Failure::NotACoin(receipt.id))
    );
}

#[test]
fn who_stakes_with_one_validator_waits_for_nobody_who_stakes_with_another() {
    let network = Network::new(&[100_000, 100_000], &[100, 100, 100]);
    let stake = |number: u8, validator| {
        let coin = network.of(number, true)[0];
        Transaction {
            chain: chain(1),
            expiry: None,
            sender: user(number),
            gas: Bounded::new(vec![coin]).unwrap(),
            kind: TransactionKind::AddStake {
                validator: validator_id(validator),
                coin,
                amount: Some(soma(5)),
            },
        }
    };
    let all = [stake(0, 0), stake(1, 0), stake(2, 1)];
    let waves = waves(all.iter().map(|transaction| (transaction, transaction.digest())));
    assert_eq!(waves, [vec![0, 2], vec![1]]);
}

#[test]
fn half_of_what_storing_costs_comes_back_when_the_object_is_gone() {
    let mut network = Network::new(&[100_000], &[100]);
    network.prices.free_bytes = 130;
    assert_eq!(network.stake(0, 0, soma(5)), Status::Success);
    let receipt = network.state.get(&network.of(0, false)[0].id).unwrap();
    let stored = 10 * (types::encode(receipt.object()).len() as u64 - 130);
    assert_eq!(receipt.object().deposit, Shannons::new(stored / 2));
    let staked = network.fee;
    let before = network.money(0);
    assert_eq!(network.withdraw(0, 0, receipt.reference(), None), Status::Success);
    let paid = network.fee.total().get();
    assert_eq!(network.money(0), before + soma(5).get() + stored / 2 - paid);
    // The two transactions differ in their kind only, and both kinds have the same length but for the amount.
    let words = staked.bytes.get() - network.fee.bytes.get();
    assert_eq!(words, stored.div_ceil(2) + 10 * 8);
}

#[test]
fn a_receipt_that_was_given_away_is_its_new_owners() {
    let mut network = Network::new(&[100_000], &[100, 100]);
    network.close();
    assert_eq!(network.stake(0, 0, soma(5)), Status::Success);
    let receipt = network.of(0, false)[0];
    let kind = TransactionKind::TransferObjects {
        objects: Bounded::new(vec![receipt]).unwrap(),
        recipient: user(1),
    };
    let gas = network.of(0, true)[0];
    assert_eq!(network.run(0, gas, kind), Status::Success);
    network.close();
    let receipt = network.of(1, false)[0];
    assert_eq!(network.withdraw(1, 0, receipt, Some(soma(2))), Status::Success);
    let two = network.of(1, false);
    assert_eq!(two.len(), 2, "one for what leaves, and one for the rest");
    (0..4).for_each(|_| drop(network.close()));
    let (before, fee) = (network.money(1), network.economy().fees.get());
    let left = network.of(1, false);
    let leaving = left
        .into_iter()
        .find(|receipt| receipt.id != two[0].id && receipt.id != two[1].id);
    assert_eq!(leaving, None);
    let paid: Vec<Status> = two
        .iter()
        .map(|receipt| network.state.get(&receipt.id).unwrap().reference())
        .collect::<Vec<_>>()
        .into_iter()
        .filter(|receipt| {
            let Content::StakedSoma(staked) = network.content(receipt.id) else {
                panic!("it is a receipt")
            };
            matches!(staked.stake, Stake::Exit { .. })
        })
        .collect::<Vec<_>>()
        .into_iter()
        .map(|receipt| network.withdraw(1, 0, receipt, None))
        .collect();
    assert_eq!(paid, [Status::Success]);
    let gained = network.money(1) + network.economy().fees.get() - fee - before;
    assert!(gained >= soma(2).get(), "{gained}");
    assert_eq!(network.of(1, false).len(), 1, "the rest stays staked");
}

#[test]
fn who_leaves_earns_this_epoch_and_no_other_and_who_has_too_little_waits() {
    let mut network = Network::new(&[100_000, 100_000, 50], &[1_000]);
    let events = network.close();
    assert_eq!(
        events
            .iter()
            .filter(|event| matches!(event, Event::Member { .. }))
            .count(),
        2
    );
    let mut set = network.set();
    assert_eq!(set.pending.iter().copied().collect::<Vec<_>>(), [validator_id(2)]);
    set.leaving.insert(validator_id(1));
    network.change(Validators::ID, Content::Validators(set));
    let events = network.close();
    let left = Event::Member {
        validator: validator_id(1),
        power: VotingPower::ZERO,
    };
    assert!(events.contains(&left));
    let set = network.set();
    assert_eq!(
        set.members,
        BTreeMap::from([(validator_id(0), VotingPower::TOTAL)])
    );
    assert!(set.retired.contains(&validator_id(1)));
    let balance = network.validator(1).pool.balance;
    assert!(balance > soma(100_000));
    network.close();
    assert_eq!(network.validator(1).pool.balance, balance);
    let closed = Status::Failure(Failure::PoolClosed(validator_id(1)));
    assert_eq!(network.stake(0, 1, soma(5)), closed);
    assert_eq!(network.stake(0, 2, soma(300)), Status::Success);
    network.close();
    assert!(
        network.set().members.contains_key(&validator_id(2)),
        "its stake suffices"
    );
}

#[test]
fn a_validator_whose_stake_has_all_left_is_gone_and_its_rest_is_the_emission_pools() {
    let mut network = Network::new(&[100_000, 100_000], &[1_000]);
    network.close();
    network.close();
    let coin = network.of(0, true)[0];
    let kind = TransactionKind::TransferCoin {
        coin,
        amount: Some(soma(500)),
        recipient: user(21),
    };
    assert_eq!(network.run(0, coin, kind), Status::Success);
    let receipts = network.of(21, false);
    assert_eq!(receipts.len(), 2, "its own stake and its commission");
    for receipt in receipts {
        assert_eq!(network.withdraw(21, 1, receipt, None), Status::Success);
    }
    let before = network.money(21);
    let events = network.close();
    let gone = Event::Member {
        validator: validator_id(1),
        power: VotingPower::ZERO,
    };
    assert!(
        events.contains(&gone) && !events.contains(&Event::SafeMode),
        "{events:?}"
    );
    assert_eq!(network.set().members.len(), 1);
    assert!(
        network.money(21) > before,
        "there is nothing to stake its last commission with"
    );
    (0..4).for_each(|_| drop(network.close()));
    for receipt in network.of(21, false) {
        assert_eq!(network.withdraw(21, 1, receipt, None), Status::Success);
    }
    assert!(!network.close().contains(&Event::SafeMode));
    assert_eq!(network.state.get(&validator_id(1)), None);
}

/// W-H21, W-C7(g): whatever went wrong at the end of an epoch stopped every node.
#[test]
fn an_epoch_that_cannot_be_closed_ends_in_safe_mode_and_the_next_hands_out_what_was_left() {
    let mut network = Network::new(&[100_000], &[1_000]);
    network.close();
    let whole = network.set();
    let mut broken = whole.clone();
    broken.members.insert(validator_id(9), VotingPower::new(1));
    network.change(Validators::ID, Content::Validators(broken));
    assert_eq!(network.stake(0, 0, soma(5)), Status::Success);
    let before = network.economy();
    assert_eq!(network.close(), [Event::SafeMode]);
    assert_eq!(network.trouble, Some(CloseError::Missing(validator_id(9))));
    let after = network.economy();
    assert!(after.is_safe_mode);
    assert_eq!((after.emission, after.fees), (before.emission, before.fees));
    assert_eq!(network.system().epoch, Epoch::new(2));
    network.change(Validators::ID, Content::Validators(whole));
    let events = network.close();
    assert!(matches!(events[0], Event::Rewarded { .. }));
    assert!(!network.economy().is_safe_mode);
    // What was staked in the epoch that failed is stake now.
    assert_eq!(
        network.validator(0).pool.balance.get() / SOMA.get(),
        100_005 + 274
    );
}

#[test]
fn a_state_without_a_system_has_no_epochs() {
    let none = Memory::default();
    let end = close(&params(), &none, UnixMillis::new(0));
    assert_eq!(end, Err(CloseError::Missing(System::ID)));
}

#[test]
fn the_emission_lasts_for_its_years_and_ends_with_nothing_left_out() {
    // Validators have a fifth of 1,370 SOMA a day, and without models there are no targets.
    let mut network = Network::new(&[1_000, 1_000, 1_000], &[]);
    let all = network.economy().emission.get();
    for _ in 0..100 {
        network.close();
    }
    let Content::Targets(targets) = network.content(Targets::ID) else {
        panic!("it is what belongs to all targets")
    };
    let left = network.economy().emission.get() + targets.budget.get();
    let handed_out = all - left;
    // The first end had nobody to give to; less than a shannon for each member is left each day.
    let most = 99 * soma(274).get();
    assert!(
        handed_out <= most && handed_out >= most - 100 * 3,
        "{handed_out} of {most}"
    );
    let last = Economy {
        emission: Shannons::new(1_001),
        ..network.economy()
    };
    let rest = Shannons::new(left - 1_001);
    network.change(Economy::ID, Content::Economy(last));
    network.change(Targets::ID, Content::Targets(no_targets()));
    let id = ObjectId::from_low(99);
    let coin = Object {
        id,
        version: Version::new(1),
        owner: Owner::Address(user(0)),
        deposit: Shannons::ZERO,
        previous: TransactionDigest::new(Digest::ZERO),
        content: Content::Coin(rest),
    };
    network.state.apply([(id, Some(ledger::Live::new(coin)))]);
    network.close();
    // 800 are the targets', 201 the validators', of which 67, 66 and 66 can be divided by power.
    assert_eq!(network.economy().emission.get(), 800 + 201 - (67 + 66 + 66));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_stakers_do_the_supply_stays_and_everybody_can_leave(steps in prop::collection::vec((0..6u8, 0..3u8, 0..3u8, 1..500u64, any::<u8>()), 1..60)) {
        let mut network = Network::new(&[50_000, 20_000, 500], &[5_000, 5_000, 5_000]);
        network.close();
        for (what, who, validator, amount, which) in steps {
            match what {
                0 | 1 => {
                    network.stake(who, validator, soma(amount));
                }
                2 | 3 => {
                    let receipts = network.of(who, false);
                    if !receipts.is_empty() {
                        let receipt = receipts[usize::from(which) % receipts.len()];
                        let part = (which % 2 == 0).then_some(soma(amount));
                        network.withdraw(who, validator, receipt, part);
                    }
                }
                4 if which < 20 => {
                    let mut set = network.set();
                    // Somebody stays.
                    let stay = set.members.keys().filter(|id| !set.leaving.contains(*id)).count();
                    if stay > 1 && set.members.contains_key(&validator_id(validator)) {
                        set.leaving.insert(validator_id(validator));
                        network.change(Validators::ID, Content::Validators(set));
                    }
                }
                _ => {
                    network.close();
                    prop_assert_eq!(&network.trouble, &None);
                }
            }
        }
        for turn in 0..3 {
            for who in 0..3 {
                for receipt in network.of(who, false) {
                    let Content::StakedSoma(stake) = network.content(receipt.id) else { panic!("it is a receipt") };
                    let validator = stake.pool.as_bytes()[31] - 20;
                    let done = network.withdraw(who, validator, receipt, None);
                    let waits = matches!(done, Status::Failure(Failure::NotDue(_)));
                    prop_assert!(done == Status::Success || waits && turn < 2, "{:?}", done);
                }
            }
            (0..5).for_each(|_| drop(network.close()));
        }
        for who in 0..3 {
            prop_assert_eq!(network.of(who, false), vec![]);
            // Fees are the only loss, and each step pays little.
            prop_assert!(network.money(who) > soma(4_980).get(), "{}", network.money(who));
        }
    }
}
