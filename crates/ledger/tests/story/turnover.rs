//! Long histories in which validators come, go, quarrel and cheat while others stake with them.

use std::collections::BTreeSet;

use crypto::Verified;
use ledger::{Application, root};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use types::{
    Authority, Bounded, Committee, Content, Event, Failure, Line, ObjectId, ObjectRef, Shannons, Standing,
    Status, Transaction, TransactionKind, Validator, decode, encode,
};

use crate::faults::evidence;
use crate::kit::{signed, user};
use crate::network::{Network, consensus_key, keys_for, soma};

/// Who wishes: three founders, and others with as many coins. The fourth founder stays, so that somebody does.
const USERS: [u8; 6] = [20, 21, 22, 24, 25, 26];

/// One wish. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
struct Wish {
    sender: u8,
    kind: u8,
    one: u8,
    other: u8,
    amount: u64,
}

fn wishes() -> impl Strategy<Value = Wish> {
    let amount = prop_oneof![4 => 1_000..60_000u64, 2 => 1..1_000u64, 1 => 0..2u64];
    (
        prop::sample::select(&USERS[..]),
        0..12u8,
        any::<u8>(),
        any::<u8>(),
        amount,
    )
        .prop_map(|(sender, kind, one, other, amount)| Wish {
            sender,
            kind,
            one,
            other,
            amount,
        })
}

impl Network {
    /// All validators there are, in order of their ids.
    fn validators(&self) -> Vec<(ObjectId, Validator)> {
        let contents = self.state.iter().map(ledger::Live::object);
        let validators = contents.filter_map(|object| match &object.content {
            Content::Validator(validator) => Some((object.id, (**validator).clone())),
            _ => None,
        });
        validators.collect()
    }

    fn kind(&self, wish: &Wish, purse: ObjectRef) -> TransactionKind {
        let (chain, epoch) = (self.system().chain, self.system().epoch.get());
        let all = self.validators();
        let pick = |number: u8| all[usize::from(number) % all.len()].0;
        // Mostly the sender's own.
        let own = all
            .iter()
            .filter(|(_, validator)| validator.address == user(wish.sender));
        let own = own.map(|(id, _)| *id).last();
        let validator = own
            .filter(|_| wish.one % 8 != 7)
            .unwrap_or_else(|| pick(wish.one));
        let (other, amount) = (pick(wish.other), Some(soma(wish.amount)));
        // Many have something against the one that stays.
        let reported = if wish.other.is_multiple_of(4) {
            other
        } else {
            self.validator_of(23)
        };
        let keyed = USERS[0] + wish.other % 16;
        let keyed = if keyed == 23 { 36 } else { keyed };
        let keys = Box::new(keys_for(chain, wish.sender, keyed));
        match wish.kind {
            0 | 1 => TransactionKind::AddStake {
                validator: pick(wish.one),
                coin: purse,
                amount,
            },
            2 | 3 => {
                let receipts = self.of(wish.sender, false);
                let Some(stake) = receipts.get(usize::from(wish.one) % receipts.len().max(1)) else {
                    return TransactionKind::RemoveValidator { validator };
                };
                let Content::StakedSoma(staked) = self.content(stake.id) else {
                    panic!("it is a receipt")
                };
                TransactionKind::WithdrawStake {
                    validator: staked.pool,
                    stake: *stake,
                    amount: amount.filter(|_| wish.other.is_multiple_of(2)),
                }
            }
            4 | 5 => TransactionKind::AddValidator {
                keys,
                metadata: Box::default(),
                commission_bps: Some(u16::from(wish.one) * 41),
                coin: purse,
                amount,
            },
            6 if wish.other.is_multiple_of(3) => TransactionKind::RemoveValidator { validator },
            6 | 7 => TransactionKind::ReportValidator { validator, reported },
            8 => TransactionKind::UndoReportValidator { validator, reported },
            9 => TransactionKind::UpdateValidatorMetadata {
                validator,
                name: Line::try_from(wish.amount.to_string()).ok(),
                network_address: None,
                proxy_address: None,
                keys: wish.one.is_multiple_of(2).then_some(keys),
            },
            10 => TransactionKind::SetCommissionRate {
                validator,
                commission_bps: u16::from(wish.other) * 41,
            },
            _ => TransactionKind::ReportEquivocation {
                validator: other,
                evidence: {
                    // Mostly by the right key, and mostly of now.
                    let signs = self.validator_at(other).keys.consensus;
                    let right = (20..37).filter(|n| *n != 23 && !wish.one.is_multiple_of(4));
                    let right = right.into_iter().find(|n| consensus_key(*n).public() == signs);
                    let ago = u64::from(wish.amount.is_multiple_of(2)) * u64::from(wish.one % 5);
                    evidence(chain, right.unwrap_or(keyed), epoch.saturating_sub(ago))
                },
            },
        }
    }

    /// One commit with all that is wished for, each by what there was before it, which may be gone by then.
    fn commit(&mut self, wishes: &[Wish]) {
        let mut paying = BTreeSet::new();
        let transactions: Vec<Verified<Transaction>> = wishes
            .iter()
            .filter_map(|wish| {
                let purse = self.purse(wish.sender);
                let transaction = Transaction {
                    chain: self.system().chain,
                    expiry: None,
                    sender: user(wish.sender),
                    gas: Bounded::new(vec![purse]).unwrap(),
                    kind: self.kind(wish, purse),
                };
                let is_new = paying.insert(wish.sender) && transaction.check().is_ok();
                is_new.then(|| signed(wish.sender, transaction))
            })
            .collect();
        self.commit += 1;
        let context = self.context();
        let one_by_one = Application::new(context, &self.state, &transactions)
            .run_all()
            .unwrap();
        let mut in_waves = Application::new(context, &self.state, &transactions);
        for wave in in_waves.waves() {
            let results: Vec<_> = wave.into_iter().rev().map(|at| (at, in_waves.run(at))).collect();
            for (at, result) in results {
                in_waves.absorb(at, result);
            }
        }
        assert_eq!(in_waves.finish().unwrap(), one_by_one);
        let mut root = root::root(self.state.iter());
        root.unite(&one_by_one.change);
        self.state.apply(one_by_one.writes);
        assert_eq!(root, root::root(self.state.iter()));
        self.check_supply();
        for result in one_by_one.results {
            let status = result.unwrap().effects.status;
            assert_ne!(status, Status::Failure(Failure::InvariantViolated));
        }
    }

    /// Whether the set, the validators and the claims say the same.
    fn check_validators(&self) {
        let set = self.set();
        let validators = self.validators();
        let mut claims = BTreeSet::new();
        for (id, validator) in &validators {
            let is_leaving = validator.standing == Standing::Leaving;
            let is_retired = validator.standing == Standing::Retired;
            let is_member = set.members.contains_key(id);
            let is_pending = set.pending.contains(id);
            assert_eq!(is_retired, set.retired.contains(id));
            assert_eq!(is_leaving, set.leaving.contains(id) && !is_retired);
            assert!(is_member || validator.standing != Standing::Member);
            assert!(is_pending || validator.standing != Standing::Candidate);
            assert_eq!(
                u8::from(is_member) + u8::from(is_pending) + u8::from(is_retired),
                1
            );
            assert!(validator.signed_with.len() <= 5 && validator.slashed_for.len() <= 4);
            if !is_retired {
                let mut own: BTreeSet<_> = validator.claims().collect();
                for claim in &own {
                    assert_eq!(self.content(*claim), Content::Claim(*id));
                }
                let length = claims.len() + own.len();
                claims.append(&mut own);
                assert_eq!(claims.len(), length, "what is one's is not another's");
            }
        }
        let authorities = set.members.iter().map(|(id, power)| {
            let validator = self.validator_at(*id);
            Authority {
                address: validator.address,
                network_key: validator.keys.network,
                consensus_key: validator.keys.consensus,
                bls_key: validator.keys.bls,
                power: *power,
            }
        });
        let committee = Committee::new(self.system().epoch, authorities.collect());
        assert!(committee.is_ok(), "{committee:?}");
        let known = [set.members.len(), set.pending.len(), set.retired.len()];
        assert_eq!(known.into_iter().sum::<usize>(), validators.len());
        let contents = self.state.iter().map(|live| &live.object().content);
        let there = contents.filter(|content| matches!(content, Content::Claim(_)));
        assert_eq!(there.count(), claims.len(), "no claim is left over");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn whoever_comes_and_goes_the_supply_stays_and_the_set_is_whole(
        epochs in prop::collection::vec(prop::collection::vec(prop::collection::vec(wishes(), 2..8), 1..6), 4..12),
    ) {
        let mut network = Network::begin(&crate::genesis::local());
        (24..27).for_each(|number| network.pay(0, number, soma(250_000)));
        for commits in epochs {
            for wishes in commits {
                network.commit(&wishes);
                network.check_validators();
            }
            prop_assert!(!network.close().contains(&Event::SafeMode));
            network.check_validators();
            let members = network.set().members;
            prop_assert!(members.contains_key(&network.validator_of(23)));
        }
        // Everybody can leave, whatever has happened.
        for turn in 0..3 {
            for who in USERS {
                for receipt in network.of(who, false) {
                    let Content::StakedSoma(staked) = network.content(receipt.id) else { panic!("it is a receipt") };
                    let kind = TransactionKind::WithdrawStake { validator: staked.pool, stake: receipt, amount: None };
                    let done = network.ask(who, kind);
                    let waits = matches!(done, Status::Failure(Failure::NotDue(_)));
                    prop_assert!(done == Status::Success || waits && turn < 2, "{:?}", done);
                }
            }
            if turn < 2 {
                (0..5).for_each(|_| drop(network.close()));
            }
        }
        for who in USERS {
            prop_assert_eq!(network.of(who, false), vec![]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_named_nothing_panics(
        kinds in prop::collection::vec((0..7u8, any::<[prop::sample::Index; 3]>(), any::<u16>(), any::<u64>()), 1..40),
    ) {
        let mut network = Network::begin(&crate::genesis::local());
        let register = network.registration(0, 60, soma(1_000));
        prop_assert_eq!(network.ask(0, register), Status::Success);
        for (kind, at, bps, number) in kinds {
            let all: Vec<_> = network.state.iter().map(ledger::Live::reference).collect();
            let [validator, reported, coin] = at.map(|at| *at.get(&all));
            let (validator, reported) = (validator.id, reported.id);
            let keyed = 60 + (bps % 8) as u8;
            let keys = Box::new(keys_for(network.system().chain, 0, keyed));
            let kind = match kind {
                0 => TransactionKind::AddValidator {
                    keys,
                    metadata: Box::default(),
                    commission_bps: Some(bps),
                    coin,
                    amount: bps.is_multiple_of(2).then_some(Shannons::new(number)),
                },
                1 => TransactionKind::RemoveValidator { validator },
                2 => TransactionKind::ReportValidator { validator, reported },
                3 => TransactionKind::UndoReportValidator { validator, reported },
                4 => TransactionKind::UpdateValidatorMetadata {
                    validator,
                    name: Some(Line::default()),
                    network_address: None,
                    proxy_address: None,
                    keys: Some(keys),
                },
                5 => TransactionKind::SetCommissionRate { validator, commission_bps: bps },
                _ => TransactionKind::ReportEquivocation {
                    validator,
                    evidence: evidence(network.system().chain, keyed, number % (1 + u64::from(bps))),
                },
            };
            let sender = [0, 20, 21][usize::from(bps) % 3];
            let (gas, before) = (network.purse(sender), network.state.clone());
            let transaction = Transaction {
                chain: network.system().chain,
                expiry: None,
                sender: user(sender),
                gas: Bounded::new(vec![gas]).unwrap(),
                kind,
            };
            let transactions = [signed(sender, transaction)];
            let context = network.context();
            let applied = Application::new(context, &network.state, &transactions).run_all().unwrap();
            network.state.apply(applied.writes);
            network.check_supply();
            network.check_validators();
            if applied.results[0].is_err() {
                prop_assert_eq!(&network.state, &before);
            }
        }
    }

    #[test]
    fn a_damaged_transaction_is_another_one_or_none(
        kind in 0..4usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut network = Network::begin(&crate::genesis::local());
        let (chain, validator) = (network.system().chain, network.validator_of(20));
        let kinds = [
            network.registration(20, 60, soma(1_000)),
            TransactionKind::UpdateValidatorMetadata {
                validator,
                name: Line::try_from("soma".to_owned()).ok(),
                network_address: Some(Line::default()),
                proxy_address: None,
                keys: Some(Box::new(keys_for(chain, 20, 60))),
            },
            TransactionKind::ReportValidator { validator, reported: network.validator_of(21) },
            TransactionKind::ReportEquivocation { validator, evidence: evidence(chain, 20, 0) },
        ];
        let transaction = Transaction {
            chain,
            expiry: None,
            sender: user(20),
            gas: Bounded::new(vec![network.purse(20)]).unwrap(),
            kind: kinds[kind].clone(),
        };
        let mut bytes = encode(&transaction);
        for (at, with) in damage {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        if let Ok(damaged) = decode::<Transaction>(&bytes, 1 << 18) {
            prop_assert_eq!(encode(&damaged), bytes);
            if damaged.sender == user(20) {
                let transactions = [signed(20, damaged)];
                let applied = Application::new(network.context(), &network.state, &transactions).run_all().unwrap();
                network.state.apply(applied.writes);
                network.check_supply();
                network.check_validators();
            }
        }
    }
}
