//! How a chain goes over to other rules, and what a node makes of them.

use ledger::Reject;
use ledger::upgrade::{RulesError, in_force, known};
use types::{
    Digest, Event, Failure, GenesisParams, ProtocolParams, ProtocolVersion, Rules, System, Transaction,
    TransactionError, TransactionKind, VotingPower,
};

use crate::network::{Network, params, soma, validator_id};

fn rules(version: u64, params: u8) -> Rules {
    Rules {
        version: ProtocolVersion::new(version),
        params: Digest::new([params; 32]),
    }
}

fn vote(network: &mut Network, number: u8, rules: Option<Rules>) -> Result<(), Reject> {
    let validator = validator_id(number);
    network.serve(20 + number, TransactionKind::VoteUpgrade { validator, rules })
}

/// Seven founders: six have the power for an upgrade together, five have not, though they are a quorum.
fn seven() -> Network {
    let mut network = Network::new(&[1_000; 7], &[10]);
    network.close();
    network
}

fn none(failure: Failure) -> Result<(), Reject> {
    Err(Reject::NoDuty(failure))
}

#[test]
fn an_upgrade_comes_with_the_epoch_after_enough_power_wants_it() {
    let mut network = seven();
    let (first, wanted) = (network.system().rules, rules(3, 7));
    for number in 0..5 {
        assert_eq!(vote(&mut network, number, Some(wanted)), Ok(()));
        let told = Event::UpgradeVoted {
            validator: validator_id(number),
            rules: Some(wanted),
        };
        assert_eq!(network.events, [told]);
    }
    network.close();
    assert_eq!(network.system().rules, first, "a quorum alone is not enough");
    assert_eq!(
        vote(&mut network, 5, Some(wanted)),
        Ok(()),
        "votes stand meanwhile"
    );
    assert_eq!(network.system().rules, first, "nothing changes within an epoch");
    let events = network.close();
    assert_eq!(network.system().rules, wanted);
    let members = network.set().members;
    let power: u16 = (0..6).map(|number| members[&validator_id(number)].get()).sum();
    let power = VotingPower::new(power);
    let told = |event: &&Event| matches!(event, Event::Upgraded { .. });
    let told: Vec<_> = events.iter().filter(told).collect();
    assert_eq!(told, [&Event::Upgraded { rules: wanted, power }]);
    assert!((0..7).all(|number| network.validator(number).vote.is_none()));
}

#[test]
fn votes_for_one_version_with_other_parameters_do_not_add_up() {
    let mut network = seven();
    let first = network.system().rules;
    for number in 0..7 {
        let params = u8::from(number < 3);
        assert_eq!(vote(&mut network, number, Some(rules(2, params))), Ok(()));
    }
    network.close();
    assert_eq!(network.system().rules, first);
}

#[test]
fn a_vote_changes_once_in_an_epoch_and_can_be_taken_back() {
    let mut network = seven();
    let (first, wanted) = (network.system().rules, rules(2, 1));
    for number in 0..5 {
        assert_eq!(vote(&mut network, number, Some(wanted)), Ok(()));
    }
    let twice = vote(&mut network, 0, None);
    assert_eq!(twice, none(Failure::AlreadyVoted(validator_id(0))));
    network.close();
    assert_eq!(vote(&mut network, 0, None), Ok(()));
    assert_eq!(vote(&mut network, 5, Some(wanted)), Ok(()));
    network.close();
    assert_eq!(network.system().rules, first, "five of seven are left");
    assert_eq!(vote(&mut network, 0, Some(wanted)), Ok(()));
    network.close();
    assert_eq!(network.system().rules, wanted);
}

/// Duties use up no coin: whoever had seen one could bring it again when it meant something else, such as that weights are held
/// which nobody has seen.
#[test]
fn a_duty_is_for_one_epoch_and_does_not_come_again() {
    let mut network = seven();
    let kind = |rules| TransactionKind::VoteUpgrade {
        validator: validator_id(0),
        rules,
    };
    let old = network.request(20, vec![], kind(Some(rules(2, 1))));
    let epoch = network.system().epoch;
    assert_eq!(old.expiry, Some(epoch));
    assert_eq!(network.serve_again(20, old.clone()), Ok(()));
    network.close();
    assert_eq!(vote(&mut network, 0, None), Ok(()));
    network.close();
    assert_eq!(network.serve_again(20, old.clone()), Err(Reject::Expired(epoch)));
    let endless = Transaction {
        expiry: None,
        ..old.clone()
    };
    let refused = Err(Reject::Malformed(TransactionError::DutyWithoutEpoch));
    assert_eq!(network.serve_again(20, endless), refused);
    let later = network.system().epoch.next();
    let early = Transaction { expiry: later, ..old };
    assert_eq!(
        network.serve_again(20, early),
        Err(Reject::DutyTooEarly(later.unwrap()))
    );
    assert_eq!(network.validator(0).vote.unwrap().rules, None);
}

#[test]
fn only_a_later_version_can_be_voted_for_and_only_with_an_own_validator() {
    let mut network = seven();
    let now = network.system().rules.version;
    for rules in [network.system().rules, rules(0, 1), rules(1, 1)] {
        assert_eq!(
            vote(&mut network, 0, Some(rules)),
            none(Failure::NotAnUpgrade(now))
        );
    }
    let foreign = TransactionKind::VoteUpgrade {
        validator: validator_id(1),
        rules: Some(rules(2, 1)),
    };
    let refused = none(Failure::NotOwner(validator_id(1)));
    assert_eq!(network.serve(20, foreign), refused);
    let nobody = TransactionKind::VoteUpgrade {
        validator: System::ID,
        rules: None,
    };
    assert_eq!(
        network.serve(20, nobody),
        none(Failure::NotAValidator(System::ID))
    );
}

/// Those decide who are going to run it: one that leaves has no say, one that comes in has.
#[test]
fn the_next_committee_decides() {
    let mut network = Network::new(&[1_000; 7], &[10]);
    network.close();
    let (first, wanted) = (network.system().rules, rules(2, 1));
    for number in 0..6 {
        assert_eq!(vote(&mut network, number, Some(wanted)), Ok(()));
    }
    for number in 0..2 {
        network.pay(0, 20 + number, soma(1));
        let validator = validator_id(number);
        let leave = TransactionKind::RemoveValidator { validator };
        assert_eq!(network.ask(20 + number, leave), types::Status::Success);
        let late = vote(&mut network, number, None);
        assert_eq!(late, none(Failure::ValidatorLeaving(validator)));
    }
    network.close();
    assert_eq!(network.system().rules, first, "four of the five that stay");
    assert!(
        network.validator(0).vote.is_none(),
        "one that has gone wants nothing"
    );

    let mut network = Network::new(&[1_000; 7], &[]);
    for number in 0..6 {
        assert_eq!(
            vote(&mut network, number, Some(wanted)),
            Ok(()),
            "they wait to come in"
        );
    }
    network.close();
    assert_eq!(network.set().members.len(), 7);
    assert_eq!(network.system().rules, wanted);
}

/// W-H22: a new version took away what genesis had fixed, and applied to the epoch that had ended.
#[test]
fn what_genesis_has_fixed_is_laid_over_the_rules_in_force() {
    let fixed = GenesisParams {
        epoch_duration_ms: Some(60_000),
        ..GenesisParams::default()
    };
    let system = seven().system();
    let params = in_force(&system, &fixed).unwrap();
    assert_eq!(params.epoch_duration_ms, 60_000);
    assert_eq!(in_force(&system, &GenesisParams::default()), Ok(self::params()));
}

#[test]
fn a_node_that_has_not_the_rules_in_force_stops_and_says_what_to_do() {
    let fixed = GenesisParams::default();
    let of = |rules| System {
        rules,
        ..seven().system()
    };
    let unknown = in_force(&of(rules(2, 1)), &fixed).unwrap_err();
    assert_eq!(unknown, RulesError::Unknown(ProtocolVersion::new(2)));
    assert_eq!(
        unknown.to_string(),
        "version 2 of the protocol is in force, which this program does not know: install a release that does, and start it on \
         the same store"
    );
    let version = ProtocolVersion::new(1);
    let own = ProtocolParams::of(version).unwrap().digest();
    let others = in_force(&of(rules(1, 1)), &fixed).unwrap_err();
    let chain = Digest::new([1; 32]);
    assert_eq!(others, RulesError::Others { version, own, chain });
    let told = format!("version 1 have the digest {own}, and {chain} was voted for");
    assert!(others.to_string().contains(&told), "{others}");
    let impossible = GenesisParams {
        epoch_duration_ms: Some(0),
        ..fixed
    };
    let system = seven().system();
    let error = in_force(&system, &impossible).unwrap_err();
    assert_eq!(
        error.to_string(),
        "version 1 of the protocol does not go with the genesis of this chain: the parameter `epoch_duration_ms` is 0, and has \
         to be between 1 and 31622400000"
    );
    assert_eq!(known(version, &fixed), Ok(system.rules));
    assert_eq!(known(version, &impossible), Err(error));
    let next = ProtocolVersion::new(2);
    assert_eq!(known(next, &fixed), Err(RulesError::Unknown(next)));
}
