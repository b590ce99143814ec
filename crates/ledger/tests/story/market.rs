//! Long histories of models, targets and audits, in which nobody is sure to do what is expected.

use proptest::prelude::*;
use types::{
    Attestation, Content, Event, ObjectId, Opening, Rejection, Shannons, Stage, Status, TransactionKind,
    Verdict,
};

use crate::models;
use crate::network::{Network, params, soma, validator_id};
use crate::targets;

/// What somebody tries: a number that says what, and others that say who and which.
type Step = (u8, u8, u8, u8);

fn ids(network: &Network, is_meant: impl Fn(&Content) -> bool) -> Vec<ObjectId> {
    let meant = network
        .state
        .iter()
        .filter(|live| is_meant(&live.object().content));
    meant.map(|live| live.object().id).collect()
}

fn pick(ids: &[ObjectId], which: u8) -> Option<ObjectId> {
    ids.get(usize::from(which).checked_rem(ids.len())?).copied()
}

fn all_models(network: &Network) -> Vec<ObjectId> {
    ids(network, |content| matches!(content, Content::Model(_)))
}

fn all_targets(network: &Network) -> Vec<ObjectId> {
    ids(network, |content| matches!(content, Content::Target(_)))
}

/// Tries it. Whatever comes of it, the network checks the supply and the root.
fn try_it(network: &mut Network, (what, who, which, seed): Step) -> Option<Status> {
    let user = who % 2;
    let by = who % 4;
    let kind = match what % 14 {
        0 => models::creation(
            network,
            user,
            Shannons::new(400_000_000 * u64::from(1 + seed % 9)),
        ),
        1 => models::commitment(network, user, pick(&all_models(network), which)?, seed % 3),
        2 => models::revelation(pick(&all_models(network), which)?, seed % 3),
        3 => {
            let found = match seed % 3 {
                0 => Attestation::Rejected(Rejection::Weights),
                _ => Attestation::Held,
            };
            let model = pick(&all_models(network), which)?;
            drop(models::attest(network, by, model, found));
            return None;
        }
        4 => TransactionKind::AddStakeToModel {
            model: pick(&all_models(network), which)?,
            coin: network.purse(user),
            amount: Some(soma(1 + u64::from(seed % 5))),
        },
        5 => {
            let receipts = ids(network, |content| matches!(content, Content::StakedSoma(_)));
            let receipt = pick(&receipts, which)?;
            let Content::StakedSoma(staked) = network.content(receipt) else {
                return None;
            };
            TransactionKind::WithdrawStake {
                validator: staked.pool,
                stake: ledger::Objects::get(&network.state, &receipt)?.reference(),
                amount: (seed % 2 == 0).then_some(soma(1)),
            }
        }
        6 if seed < 40 => TransactionKind::DeactivateModel {
            model: pick(&all_models(network), which)?,
        },
        7 | 8 => {
            let target = pick(&all_targets(network), which)?;
            let contenders = targets::target(network, target).contenders;
            let contenders: Vec<ObjectId> = contenders.iter().map(|contender| contender.model).collect();
            let winner = match seed % 8 {
                0 => pick(&all_models(network), which)?,
                _ => pick(&contenders, seed)?,
            };
            let score = targets::score(network, target, winner);
            return Some(targets::submit(
                network,
                user,
                target,
                &score,
                &targets::data(seed),
            ));
        }
        9 => {
            let tickets = network.of(user, false).into_iter();
            let mut tickets =
                tickets.filter(|object| matches!(network.content(object.id), Content::Ticket(_)));
            TransactionKind::ReturnTicket {
                ticket: tickets.next()?,
            }
        }
        10 => TransactionKind::ClaimRewards {
            target: pick(&all_targets(network), which)?,
        },
        11 => {
            let verdict = [
                Verdict::Valid,
                Verdict::Valid,
                Verdict::Invalid,
                Verdict::Unavailable,
            ];
            let opening: Opening = targets::said(verdict[usize::from(seed % 4)], seed % 2);
            let target = pick(&all_targets(network), which)?;
            let clock = network.clock;
            network.clock = 0;
            drop(targets::seal(network, by, target, opening));
            network.clock = params().epoch_duration_ms / 2;
            drop(targets::open(network, by, target, opening));
            network.clock = clock;
            return None;
        }
        12 => {
            network.clock += u64::from(seed) * 10;
            network.tick(seed);
            return None;
        }
        _ if seed < 100 => {
            let events = network.close();
            assert!(!events.contains(&Event::SafeMode), "{what} {who} {which} {seed}");
            return None;
        }
        _ => return None,
    };
    Some(network.ask(user, kind))
}

/// What the indices say is what there is.
fn check_indices(network: &Network) {
    let Content::Models(models) = network.content(types::Models::ID) else {
        panic!("it is the models")
    };
    assert_eq!(models.all.into_iter().collect::<Vec<_>>(), all_models(network));
    for id in models.undrawn {
        let model = models::model(network, id);
        let is_undrawn = model
            .offer()
            .is_some_and(|offer| offer.custody == types::Custody::Undrawn);
        assert!(is_undrawn || model.stage == Stage::Inactive, "{model:?}");
    }
    let Content::Targets(common) = network.content(types::Targets::ID) else {
        panic!("it is what belongs to all targets")
    };
    let open = all_targets(network).into_iter();
    let open = open.filter(|id| targets::target(network, *id).fill.is_none());
    assert_eq!(common.pace.open, open.count() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_owners_submitters_and_auditors_do_no_money_is_made_or_lost(
        steps in prop::collection::vec(any::<Step>(), 50..160),
    ) {
        let mut network = models::network();
        network.params.wanted_open_targets = 5;
        models::active(&mut network, 1);
        for step in steps {
            if let Some(Status::Failure(failure)) = try_it(&mut network, step) {
                prop_assert_ne!(failure, types::Failure::InvariantViolated);
            }
            check_indices(&network);
        }
        for _ in 0..3 {
            prop_assert!(!network.close().contains(&Event::SafeMode));
            check_indices(&network);
        }
    }
}

/// Each of those steps comes to something: else the histories are about nothing.
#[test]
fn a_history_holds_what_it_is_meant_to() {
    let mut network = models::network();
    models::active(&mut network, 1);
    network.tick(1);
    let done = [(0, 0, 0, 8), (4, 0, 0, 1), (7, 1, 0, 1)].map(|step| try_it(&mut network, step));
    assert_eq!(
        done,
        [
            Some(Status::Success),
            Some(Status::Success),
            Some(Status::Success)
        ]
    );
    assert_eq!(network.validator_of(20), validator_id(0));
}
