//! Members with too little stake, whom others report, and who signed two blocks for one slot.

use crypto::{Digest, Ed25519Scheme};
use ledger::{Live, close};
use types::block::block_message;
use types::{
    AuthorityIndex, BlockHeader, ChainId, Content, Economy, Epoch, Equivocation, Event, Failure, Object,
    ObjectId, Owner, Pool, ProtocolParams, Shannons, SignedHeader, Standing, Status, TransactionDigest,
    TransactionKind, UnixMillis, Validator, Validators, Version, VotingPower,
};

use crate::kit::{chain, user};
use crate::network::{Network, consensus_key, keys, params, soma, validator_id};

/// Four members of equal stake, each with coins to pay from, and a user with many.
fn network() -> Network {
    let mut network = Network::new(&[100_000; 4], &[300_000]);
    (20..24).for_each(|number| network.pay(0, number, soma(1_000)));
    network.close();
    network
}

fn failure(failure: Failure) -> Status {
    Status::Failure(failure)
}

fn report(by: u8, reported: u8) -> TransactionKind {
    TransactionKind::ReportValidator {
        validator: validator_id(by),
        reported: validator_id(reported),
    }
}

fn undo(by: u8, reported: u8) -> TransactionKind {
    TransactionKind::UndoReportValidator {
        validator: validator_id(by),
        reported: validator_id(reported),
    }
}

fn remove(number: u8) -> TransactionKind {
    let validator = validator_id(number);
    TransactionKind::RemoveValidator { validator }
}

/// Evidence by the key of this number.
pub fn evidence(chain: ChainId, keyed: u8, epoch: u64) -> Box<Equivocation<Ed25519Scheme>> {
    let [one, other] = [1, 2].map(|at| {
        let author = AuthorityIndex::new(0).unwrap();
        let header = BlockHeader::genesis(Epoch::new(epoch), author, UnixMillis::new(at));
        SignedHeader {
            signature: consensus_key(keyed).sign(&block_message(chain, header.digest())),
            header,
        }
    });
    Box::new(Equivocation::new(one, other).unwrap())
}

fn accuse(number: u8, keyed: u8, epoch: u64) -> TransactionKind {
    TransactionKind::ReportEquivocation {
        validator: validator_id(number),
        evidence: evidence(chain(1), keyed, epoch),
    }
}

/// So much comes in elsewhere, without fees that would make up for it.
fn dilute(network: &mut Network, amount: u64) {
    let free = Economy {
        value_fee_bps: 0,
        ..network.economy()
    };
    network.change(Economy::ID, Content::Economy(free));
    assert_eq!(network.stake(0, 0, soma(amount)), Status::Success);
}

/// What each member has from an epoch with its commission, and what was withheld from it.
fn earned(events: &[Event]) -> Vec<(u64, u64)> {
    let mut earned = Vec::new();
    for event in events {
        match event {
            Event::Rewarded {
                amount, commission, ..
            } => earned.push((amount.get() + commission.get(), 0)),
            Event::Withheld { amount, .. } => earned.last_mut().unwrap().1 = amount.get(),
            _ => {}
        }
    }
    earned
}

/// The reference's flow: 0.20 % joins, 0.10 % is fine, 0.07 % is at risk and goes after seven more epochs.
#[test]
fn a_member_with_too_little_stake_goes_after_seven_more_epochs() {
    let mut network = Network::new(&[1_600_000, 1_600_000, 5_000], &[4_700_000]);
    network.close();
    assert!(network.set().members.contains_key(&validator_id(2)));
    network.close();
    assert_eq!(network.validator(2).short_epochs, 0);
    dilute(&mut network, 4_600_000);
    for epochs in 1..=7 {
        network.close();
        assert_eq!(network.validator(2).short_epochs, epochs);
        assert!(network.set().members.contains_key(&validator_id(2)));
    }
    let events = network.close();
    let gone = Event::Member {
        validator: validator_id(2),
        power: VotingPower::ZERO,
    };
    assert!(events.contains(&gone));
    assert_eq!(network.validator(2).standing, Standing::Retired);
    let set = network.set();
    assert_eq!((set.members.len(), set.retired), (2, [validator_id(2)].into()));
}

#[test]
fn a_member_that_has_enough_again_is_at_no_risk() {
    let mut network = Network::new(&[1_600_000, 1_600_000, 5_000], &[4_700_000]);
    network.close();
    dilute(&mut network, 4_600_000);
    (0..7).for_each(|_| drop(network.close()));
    assert_eq!(network.validator(2).short_epochs, 7);
    assert_eq!(network.stake(0, 2, soma(2_000)), Status::Success);
    network.close();
    assert_eq!(network.validator(2).short_epochs, 0);
    assert_eq!(network.validator(2).standing, Standing::Member);
}

#[test]
fn a_member_with_hardly_any_stake_goes_at_once() {
    let mut network = Network::new(&[800_000, 800_000, 2_500], &[5_100_000]);
    network.close();
    dilute(&mut network, 5_000_000);
    network.close();
    assert_eq!(network.validator(2).standing, Standing::Retired);
}

/// W-H27: a candidate without the stake to come in waited for ever, and cost nothing.
#[test]
fn a_candidate_without_the_stake_waits_for_seven_epochs() {
    let mut network = Network::new(&[1_600_000, 1_600_000], &[4_000]);
    network.close();
    assert_eq!(network.register(0, 60, soma(1_000)), Status::Success);
    let candidate = network.validator_of(0);
    for epochs in 1..=7 {
        network.close();
        assert_eq!(network.validator_at(candidate).short_epochs, epochs);
        assert!(network.set().pending.contains(&candidate));
    }
    network.close();
    assert_eq!(network.validator_at(candidate).standing, Standing::Retired);
    assert_eq!(network.set().pending, [].into());
    assert_eq!(network.register(0, 60, soma(1_000)), Status::Success);
}

#[test]
fn of_more_than_a_committee_has_room_for_those_with_the_most_stake_come_in() {
    let mut network = Network::new(&[], &[]);
    let mut set = Validators::default();
    let shared = keys(20, 20).keys;
    let mut staked = 0;
    for number in 0..1_030u16 {
        let mut bytes = [7; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let id = ObjectId::new(bytes);
        let mut pool = Pool::new(id);
        let amount = Shannons::new(soma(1_000).get() + u64::from(number));
        ledger::pool::deposit(&mut pool, amount).unwrap();
        staked += amount.get();
        let validator = Validator::candidate(user(0), shared.clone(), Default::default(), 0, pool);
        let object = Object {
            id,
            version: Version::new(1),
            owner: Owner::Shared,
            deposit: Shannons::ZERO,
            previous: TransactionDigest::new(Digest::ZERO),
            content: Content::Validator(Box::new(validator)),
        };
        network.state.apply([(id, Some(Live::new(object)))]);
        set.pending.insert(id);
    }
    network.change(Validators::ID, Content::Validators(set.clone()));
    let mut economy = network.economy();
    economy.emission = Shannons::new(economy.emission.get() - staked);
    network.change(Economy::ID, Content::Economy(economy));
    let easy = ProtocolParams {
        join_power: VotingPower::new(1),
        low_power: VotingPower::new(1),
        ..params()
    };
    let end = close(&easy, &network.state, UnixMillis::new(1)).unwrap();
    network.state.apply(end.writes);
    let now = network.set();
    let out: Vec<_> = set.pending.iter().take(6).copied().collect();
    assert_eq!(now.pending.into_iter().collect::<Vec<_>>(), out);
    assert_eq!(now.members.len(), 1_024);
}

/// W-H16: whom a quorum reported lost half of its reward to those who had reported it.
#[test]
fn a_quorum_of_reports_withholds_half_a_reward_for_the_emission_pool() {
    let mut network = network();
    for by in [0, 1] {
        assert_eq!(network.ask(20 + by, report(by, 3)), Status::Success);
    }
    let parts = earned(&network.close());
    assert!(
        parts.iter().all(|part| *part == (parts[0].0, 0)),
        "half of the power is none"
    );
    assert_eq!(network.ask(22, report(2, 3)), Status::Success);
    let reported = Event::Reported {
        validator: validator_id(3),
        by: validator_id(2),
        is_undone: false,
    };
    assert_eq!(network.events, [reported]);
    let before = network.economy();
    let pot = soma(274).get() + before.fees.get();
    let parts = earned(&network.close());
    let part = pot / 4;
    assert_eq!(
        parts,
        [(part, 0), (part, 0), (part, 0), (part - part / 2, part / 2)]
    );
    let spent = pot - pot % 4 - part / 2 - before.fees.get();
    assert_eq!(network.economy().emission.get(), before.emission.get() - spent);
    // It goes on until it is undone.
    let parts = earned(&network.close());
    assert!(parts[3].1 > 0);
    assert_eq!(network.ask(20, undo(0, 3)), Status::Success);
    let parts = earned(&network.close());
    assert_eq!(parts[3], (parts[0].0, 0));
    assert_eq!(
        network.ask(20, undo(0, 3)),
        failure(Failure::NotReported(validator_id(3)))
    );
}

#[test]
fn only_members_report_and_are_reported() {
    let mut network = network();
    assert_eq!(network.register(0, 60, soma(1_000)), Status::Success);
    let candidate = network.validator_of(0);
    let by_candidate = TransactionKind::ReportValidator {
        validator: candidate,
        reported: validator_id(0),
    };
    let against_candidate = TransactionKind::ReportValidator {
        validator: validator_id(0),
        reported: candidate,
    };
    let no_member = failure(Failure::NotAMember(candidate));
    assert_eq!(network.ask(0, by_candidate), no_member.clone());
    assert_eq!(network.ask(20, against_candidate), no_member);
    assert_eq!(
        network.ask(0, report(0, 1)),
        failure(Failure::NotOwner(validator_id(0)))
    );
    assert_eq!(
        network.ask(0, undo(0, 1)),
        failure(Failure::NotOwner(validator_id(0)))
    );
    let nobody = failure(Failure::NotAValidator(validator_id(9)));
    assert_eq!(network.ask(20, report(0, 9)), nobody);
    assert_eq!(network.ask(21, remove(1)), Status::Success);
    let leaving = failure(Failure::NotAMember(validator_id(1)));
    assert_eq!(network.ask(21, report(1, 0)), leaving);
    assert_eq!(
        network.ask(20, report(0, 1)),
        Status::Success,
        "nobody escapes by leaving"
    );
    network.close();
    assert_eq!(network.validator(0).reports, [].into(), "it has gone");
    assert_eq!(
        network.ask(20, report(0, 1)),
        failure(Failure::NotAMember(validator_id(1)))
    );
}

/// W-H13: a report weighed what its reporter did later.
#[test]
fn a_report_counts_for_as_long_as_its_reporter_is_a_member() {
    let mut network = network();
    for by in [0, 1, 2] {
        assert_eq!(network.ask(20 + by, report(by, 3)), Status::Success);
    }
    for number in [0, 1] {
        assert_eq!(network.ask(20 + number, remove(number)), Status::Success);
    }
    let parts = earned(&network.close());
    assert!(parts[3].1 > 0, "they were members in this epoch");
    assert_eq!(network.validator(0).reports, [].into());
    let parts = earned(&network.close());
    assert_eq!(parts[1], (parts[0].0, 0), "one of two is left");
}

/// W-H17: validators had nothing to lose.
#[test]
fn two_blocks_of_one_slot_cost_a_twentieth_of_the_pool_and_the_seat() {
    let mut network = network();
    network.close();
    let (pool, economy) = (network.validator(1).pool, network.economy());
    assert_eq!(network.ask(0, accuse(1, 21, 2)), Status::Success);
    let kept = pool.balance.get() * 19 / 20;
    let amount = Shannons::new(pool.balance.get() - kept);
    let (pool, validator) = (validator_id(1), validator_id(1));
    let expected = [Event::Slashed { pool, amount }, Event::Resigned { validator }];
    assert_eq!(network.events, expected);
    assert_eq!(network.validator(1).pool.balance.get(), kept);
    assert_eq!(
        network.economy().emission.get(),
        economy.emission.get() + amount.get()
    );
    assert_eq!(
        network.ask(20, accuse(1, 21, 2)),
        failure(Failure::AlreadySlashed(Epoch::new(2)))
    );
    assert_eq!(
        network.ask(20, accuse(1, 21, 1)),
        Status::Success,
        "another epoch"
    );
    assert_eq!(network.validator(1).pool.balance.get(), kept * 19 / 20);
    network.close();
    assert_eq!(network.validator(1).standing, Standing::Retired);
    assert!(!network.set().members.contains_key(&validator_id(1)));
}

#[test]
fn evidence_is_accepted_for_three_epochs_of_a_member() {
    let mut network = network();
    let refused = |epoch| failure(Failure::EvidenceNotAccepted(Epoch::new(epoch)));
    assert_eq!(network.ask(0, accuse(1, 21, 0)), refused(0), "it was no member");
    assert_eq!(network.ask(0, accuse(1, 21, 2)), refused(2), "it is not over");
    (0..3).for_each(|_| drop(network.close()));
    assert_eq!(network.ask(0, accuse(1, 21, 1)), Status::Success);
    network.close();
    assert_eq!(network.ask(0, accuse(2, 22, 1)), refused(1), "too long ago");
    assert_eq!(network.ask(0, accuse(2, 22, u64::MAX)), refused(u64::MAX));
    assert_eq!(
        network.ask(0, accuse(1, 21, 2)),
        Status::Success,
        "though it has gone"
    );
    assert_eq!(network.validator(1).standing, Standing::Retired);
    assert_eq!(network.set().leaving, [].into());
    assert_eq!(network.ask(0, accuse(1, 21, 5)), refused(5), "it has gone");
    network.close();
    assert_eq!(network.register(0, 60, soma(1_000)), Status::Success);
    let candidate = TransactionKind::ReportEquivocation {
        validator: network.validator_of(0),
        evidence: evidence(chain(1), 60, 5),
    };
    assert_eq!(network.ask(0, candidate), refused(5), "no member yet");
}

#[test]
fn evidence_against_others_proves_nothing() {
    let mut network = network();
    let invalid = failure(Failure::InvalidEvidence);
    assert_eq!(network.ask(0, accuse(1, 22, 1)), invalid.clone());
    let elsewhere = TransactionKind::ReportEquivocation {
        validator: validator_id(1),
        evidence: evidence(chain(2), 21, 1),
    };
    assert_eq!(network.ask(0, elsewhere), invalid);
    let nobody = failure(Failure::NotAValidator(validator_id(9)));
    assert_eq!(network.ask(0, accuse(9, 21, 1)), nobody);
}

#[test]
fn who_changes_its_key_answers_for_the_blocks_of_the_old_one() {
    let mut network = network();
    let change = TransactionKind::UpdateValidatorMetadata {
        validator: validator_id(1),
        name: None,
        network_address: None,
        proxy_address: None,
        keys: Some(Box::new(keys(21, 60))),
    };
    assert_eq!(network.ask(21, change), Status::Success);
    network.close();
    let invalid = failure(Failure::InvalidEvidence);
    assert_eq!(network.ask(0, accuse(1, 60, 1)), invalid.clone());
    assert_eq!(network.ask(0, accuse(1, 21, 2)), invalid);
    (0..2).for_each(|_| drop(network.close()));
    assert_eq!(network.ask(0, accuse(1, 21, 1)), Status::Success);
    assert_eq!(network.ask(0, accuse(1, 60, 2)), Status::Success);
}

#[test]
fn what_is_too_long_ago_is_forgotten() {
    let mut network = network();
    let change = |keyed| TransactionKind::UpdateValidatorMetadata {
        validator: validator_id(1),
        name: None,
        network_address: None,
        proxy_address: None,
        keys: Some(Box::new(keys(21, keyed))),
    };
    for keyed in 60..70 {
        assert_eq!(network.ask(21, change(keyed)), Status::Success);
        network.close();
    }
    let epochs: Vec<_> = network.validator(1).signed_with.into_keys().collect();
    assert_eq!(epochs, [8, 9, 10, 11].map(Epoch::new));
}

#[test]
fn a_validator_that_has_gone_answers_for_the_epochs_in_which_it_was_a_member() {
    let mut network = network();
    assert_eq!(network.ask(21, remove(1)), Status::Success);
    network.close();
    assert_eq!(network.ask(0, accuse(1, 21, 1)), Status::Success);
    // A key that is of no use any more is somebody's to sell.
    let refused = failure(Failure::EvidenceNotAccepted(Epoch::new(2)));
    assert_eq!(network.ask(0, accuse(1, 21, 2)), refused);
}

/// W-H15: stake was gone before the slash came.
#[test]
fn stake_that_is_leaving_is_slashed_with_the_rest() {
    let mut network = network();
    assert_eq!(network.stake(0, 1, soma(1_000)), Status::Success);
    network.close();
    let receipt = network.of(0, false)[0];
    assert_eq!(network.withdraw(0, 1, receipt, None), Status::Success);
    network.close();
    assert_eq!(network.ask(20, accuse(1, 21, 2)), Status::Success);
    (0..3).for_each(|_| drop(network.close()));
    let (before, receipt) = (network.money(0), network.of(0, false)[0]);
    assert_eq!(network.withdraw(0, 1, receipt, None), Status::Success);
    let paid = network.money(0) - before;
    assert!(
        paid < soma(952).get() && paid > soma(949).get(),
        "{paid} and a little reward"
    );
}

/// W-C7(g): an epoch that nobody was left in stopped every node.
#[test]
fn the_last_members_stay_until_somebody_else_comes() {
    let mut network = network();
    for number in 0..4 {
        assert_eq!(network.ask(20 + number, remove(number)), Status::Success);
    }
    assert_eq!(network.close(), [Event::SafeMode]);
    assert_eq!(network.set().members.len(), 4);
    assert_eq!(network.register(0, 60, soma(1_000)), Status::Success);
    let next = network.validator_of(0);
    assert!(!network.close().contains(&Event::SafeMode));
    assert_eq!(network.set().members, [(next, VotingPower::TOTAL)].into());
}
