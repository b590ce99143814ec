//! Attacks on the money of others, and on all money, that the reference does not withstand. `WEAKNESSES.md` lists them.

use crypto::Digest;
use ledger::{Application, Live, Objects, Reject};
use types::{
    Attestation, Content, Economy, Event, Failure, Models, Object, ObjectId, ObjectRef, Owner, Shannons,
    Status, System, Targets, Transaction, TransactionDigest, TransactionError, TransactionKind, Validators,
    Verdict, Version,
};

use crate::kit::{chain, list, signed, user};
use crate::margins::{accuse, pot, sum};
use crate::models;
use crate::network::{Network, soma, validator_id};
use crate::targets::{self, INVALID, VALID, audit, bond, claim, filled, target};

/// Why a transaction of user 0's is as if it had never been.
fn reject(network: &Network, gas: Vec<ObjectRef>, kind: TransactionKind) -> Option<Reject> {
    let transaction = Transaction {
        chain: chain(1),
        expiry: None,
        sender: user(0),
        gas: list(gas),
        kind,
    };
    let transactions = [signed(0, transaction)];
    let application = Application::new(network.context(), &network.state, &transactions);
    application.run_all().unwrap().results[0].clone().err()
}

/// Everything that can be done with a coin.
fn uses(network: &Network, coin: ObjectRef) -> Vec<TransactionKind> {
    let (id, amount) = (ObjectId::from_low(99), None);
    let mut registration = network.registration(0, 60, soma(1_000));
    if let TransactionKind::AddValidator { coin: from, .. } = &mut registration {
        *from = coin;
    }
    let recipient = user(1);
    vec![
        registration,
        TransactionKind::TransferCoin {
            coin,
            amount,
            recipient,
        },
        TransactionKind::PayCoins {
            coins: list([coin]),
            amounts: None,
            recipients: list([recipient]),
        },
        TransactionKind::TransferObjects {
            objects: list([coin]),
            recipient,
        },
        TransactionKind::AddStake {
            validator: validator_id(0),
            coin,
            amount,
        },
        TransactionKind::AddStakeToModel {
            model: id,
            coin,
            amount,
        },
        TransactionKind::CreateModel {
            architecture: 1,
            commission_bps: 0,
            coin,
            amount,
        },
        TransactionKind::CommitModel {
            model: id,
            manifest: Box::new(models::manifest()),
            commitment: Digest::ZERO,
            coin,
        },
        TransactionKind::CommitSubmission {
            target: id,
            commitment: Digest::ZERO,
            bond: bond(),
            coin,
        },
    ]
}

/// A network in which user 0 has two coins: that with the more is the first.
fn two_coins() -> (Network, [ObjectRef; 2]) {
    let mut network = models::network();
    network.pay(0, 0, soma(5_000));
    let first = network.purse(0);
    let other = network.of(0, true).into_iter().find(|coin| *coin != first);
    (network, [first, other.unwrap()])
}

/// Everything that names an object, with this one in place of what is meant.
fn in_place_of_another(network: &Network, named: ObjectRef) -> Vec<TransactionKind> {
    let (id, coin, amount) = (named.id, network.purse(0), Some(soma(1)));
    let mut kinds = uses(network, named);
    kinds.extend([
        TransactionKind::AddStake {
            validator: id,
            coin,
            amount,
        },
        TransactionKind::AddStakeToModel {
            model: id,
            coin,
            amount,
        },
        TransactionKind::WithdrawStake {
            validator: id,
            stake: named,
            amount: None,
        },
        TransactionKind::RemoveValidator { validator: id },
        TransactionKind::DeactivateModel { model: id },
        TransactionKind::ClaimRewards { target: id },
        TransactionKind::ReturnTicket { ticket: named },
    ]);
    kinds
}

#[test]
fn w_c1_nobody_does_what_only_the_system_does() {
    let mut network = models::network();
    let common = [System::ID, Validators::ID, Economy::ID, Models::ID, Targets::ID];
    for id in common {
        for number in 0.. {
            // The coin, and what the fees are added to, have other versions each time.
            let before = network.state.get(&id).unwrap();
            let named = before.reference();
            let Some(kind) = in_place_of_another(&network, named).into_iter().nth(number) else {
                break;
            };
            assert!(reject(&network, vec![named], kind.clone()).is_some(), "{kind:?}");
            assert!(reject(&network, vec![], kind.clone()).is_some(), "{kind:?}");
            let (purse, emission) = (network.purse(0), network.economy().emission);
            let is_refused = reject(&network, vec![purse], kind.clone()).is_some();
            assert!(
                is_refused || matches!(network.ask(0, kind.clone()), Status::Failure(_)),
                "{kind:?}"
            );
            let after = network.state.get(&id).unwrap();
            assert_eq!(after.object().owner, Owner::Shared, "{kind:?}");
            match id {
                Economy::ID => {
                    let now = network.economy().emission;
                    assert_eq!(now, emission, "only fees come in: {kind:?}");
                }
                // Every commit writes down its time.
                Targets::ID => assert_eq!(after.object().content, before.object().content),
                _ => assert_eq!(after, before, "{kind:?}"),
            }
        }
        let duty = TransactionKind::AttestCustody {
            validator: id,
            model: id,
            attestation: Attestation::Held,
        };
        assert_eq!(
            network.serve(0, duty),
            Err(Reject::NoDuty(Failure::NotAValidator(id)))
        );
    }
}

#[test]
fn w_c2_a_gas_coin_that_is_named_twice_pays_nothing() {
    let (network, [first, other]) = two_coins();
    let stale = ObjectRef {
        version: Version::new(7),
        ..first
    };
    let repeated = Some(Reject::Malformed(TransactionError::Repeated(first.id)));
    for again in [first, stale] {
        for used in [first, other] {
            for kind in uses(&network, used) {
                assert_eq!(
                    reject(&network, vec![first, again], kind.clone()),
                    repeated,
                    "{kind:?}"
                );
            }
        }
    }
    let twice = TransactionKind::PayCoins {
        coins: list([other, other]),
        amounts: None,
        recipients: list([user(1)]),
    };
    let repeated = Reject::Malformed(TransactionError::Repeated(other.id));
    assert_eq!(reject(&network, vec![first], twice), Some(repeated));
}

#[test]
fn w_c3_a_coin_that_was_merged_away_is_not_used_again() {
    let (network, [first, other]) = two_coins();
    let repeated = Some(Reject::Malformed(TransactionError::Repeated(other.id)));
    for kind in uses(&network, other) {
        assert_eq!(
            reject(&network, vec![first, other], kind.clone()),
            repeated,
            "{kind:?}"
        );
    }
}

#[test]
fn w_c3_who_stakes_all_of_the_coin_that_pays_cannot_pay() {
    let (mut network, model) = targets::network();
    let kinds = |coin| {
        let amount = None;
        [
            TransactionKind::AddStakeToModel { model, coin, amount },
            TransactionKind::AddStake {
                validator: validator_id(0),
                coin,
                amount,
            },
            TransactionKind::CreateModel {
                architecture: 1,
                commission_bps: 0,
                coin,
                amount,
            },
        ]
    };
    for number in 0..3 {
        let (coin, before) = (network.purse(1), network.money(1));
        let status = network.run(1, coin, kinds(coin)[number].clone());
        assert!(
            matches!(status, Status::Failure(Failure::InsufficientGas { have, .. }) if have == Shannons::ZERO),
            "{status:?}"
        );
        assert_eq!(network.money(1), before - network.fee.total().get());
        assert_eq!(network.of(1, false), [], "there is no receipt");
    }
}

#[test]
fn w_c5_a_gas_coin_with_nothing_in_it_holds_nobody_up() {
    let mut network = models::network();
    let empty = Object {
        id: ObjectId::from_low(200),
        version: Version::new(1),
        owner: Owner::Address(user(1)),
        deposit: Shannons::ZERO,
        previous: TransactionDigest::new(Digest::ZERO),
        content: Content::Coin(Shannons::ZERO),
    };
    let (id, live) = (empty.id, Live::new(empty));
    let gas = live.reference();
    network.state.apply([(id, Some(live))]);
    let before = network.state.get(&validator_id(0)).unwrap();
    let kind = |network: &Network| TransactionKind::AddStake {
        validator: validator_id(0),
        coin: network.purse(1),
        amount: Some(soma(1)),
    };
    let stake = kind(&network);
    let status = network.run(1, gas, stake);
    assert!(
        matches!(status, Status::Failure(Failure::InsufficientGas { have, .. }) if have == Shannons::ZERO),
        "{status:?}"
    );
    assert!(network.is_gone(id));
    assert_eq!(network.state.get(&validator_id(0)), Some(before));
    let stake = kind(&network);
    assert_eq!(network.ask(1, stake), Status::Success);
    assert!(!network.close().contains(&Event::SafeMode));
}

#[test]
fn w_c6_what_was_locked_for_a_fraud_is_emitted_once_and_claimed_by_nobody() {
    let (mut network, model) = targets::network();
    let id = filled(&mut network, model);
    audit(&mut network, id, &[VALID(), VALID(), VALID(), INVALID()]);
    let found = target(&network, id);
    let locked = found.reward.get() + found.fill.unwrap().bond.get();
    let (before, fees) = (pot(&network), network.economy().fees.get());
    let events = audit(&mut network, id, &[INVALID(); 4]);
    let outcome = Some(Verdict::Invalid);
    assert!(events.contains(&Event::Settled { target: id, outcome }));
    let slashed = events.iter().map(|event| match event {
        Event::FalseVerdict { amount, .. } => amount.get(),
        _ => 0,
    });
    let slashed: u64 = slashed.sum();
    assert!(slashed > 0, "three had found it valid");
    assert_eq!(
        pot(&network) + sum(&events, [0, 1, 2, 3]),
        before + fees + locked + slashed
    );
    for _ in 0..3 {
        for number in [0, 1, 20] {
            let status = claim(&mut network, number, id);
            assert_eq!(status, Status::Failure(Failure::NotATarget(id)));
        }
        network.close();
    }
}

#[test]
fn w_c8_who_stays_alone_with_a_slashed_pool_has_what_is_left_of_it() {
    let mut network = models::network();
    network.params.equivocation_slash_bps = 9_500;
    assert_eq!(network.stake(0, 1, soma(1_000)), Status::Success);
    network.close();
    let (pool, emission) = (network.validator(1).pool, network.economy().emission);
    assert_eq!(accuse(&mut network, 1), Status::Success);
    let left = network.validator(1).pool.balance.get();
    assert_eq!(left, pool.balance.get() / 20);
    let taken = pool.balance.get() - left;
    assert_eq!(network.economy().emission.get(), emission.get() + taken);
    let withdraw = |network: &mut Network, number| {
        let receipts = network.of(number, false);
        let receipts = receipts.into_iter().filter(|receipt| {
            matches!(network.content(receipt.id), Content::StakedSoma(staked) if staked.pool == validator_id(1))
        });
        for receipt in receipts.collect::<Vec<_>>() {
            assert_eq!(network.withdraw(number, 1, receipt, None), Status::Success);
        }
    };
    withdraw(&mut network, 0);
    withdraw(&mut network, 21);
    (0..4).for_each(|_| drop(network.close()));
    let before = network.money(0);
    withdraw(&mut network, 0);
    let paid = network.money(0) - before;
    // A twentieth, and its part of what the pool earned until the epoch closed.
    assert!((soma(50).get()..soma(51).get()).contains(&paid), "{paid}");
    withdraw(&mut network, 21);
    network.close();
    assert!(network.is_gone(validator_id(1)), "nothing is owed to anybody");
}
