//! Who becomes a validator, what it says of itself, and who goes.

use crypto::{BlsSecretKey, Digest, Ed25519SecretKey};
use ledger::schedule::waves;
use ledger::{Application, Objects};
use types::{
    Bounded, ChainId, Content, Event, Failure, Line, Metadata, ObjectId, ObjectRef, ProvedKeys, Shannons,
    Standing, Status, Transaction, TransactionError, TransactionKind, VotingPower,
};

use crate::kit::{chain, signed, user};
use crate::network::{Network, consensus_key, keys, params, soma, validator_id};

/// Three members of equal stake, each with coins to pay from, and two users with many.
pub fn network() -> Network {
    let mut network = Network::new(&[100_000; 3], &[300_000, 300_000]);
    (20..23).for_each(|number| network.pay(0, number, soma(1_000)));
    network.close();
    network
}

fn line(text: &str) -> Line {
    Line::try_from(text.to_owned()).unwrap()
}

fn failure(failure: Failure) -> Status {
    Status::Failure(failure)
}

/// Keys by the numbers of their seeds, proved by a user.
fn mixed(prover: u8, network: u8, consensus: u8, bls: u8) -> Box<ProvedKeys> {
    let secret = |seed| Ed25519SecretKey::from_seed(&[seed; 32]);
    let bls = BlsSecretKey::from_seed(&[bls; 32]);
    let (network, consensus) = (secret(network), secret(consensus));
    Box::new(ProvedKeys::prove(
        chain(1),
        user(prover),
        &network,
        &consensus,
        &bls,
    ))
}

/// The registration of a user with these keys.
fn registration(network: &Network, number: u8, proved: Box<ProvedKeys>) -> TransactionKind {
    let mut kind = network.registration(number, 0, soma(1_000));
    if let TransactionKind::AddValidator { keys, .. } = &mut kind {
        *keys = proved;
    }
    kind
}

fn update(validator: ObjectId, keys: Option<Box<ProvedKeys>>) -> TransactionKind {
    TransactionKind::UpdateValidatorMetadata {
        validator,
        name: Some(line("soma")),
        network_address: Some(line("a.example:1")),
        proxy_address: Some(line("b.example:2")),
        keys,
    }
}

#[test]
fn a_candidate_with_stake_enough_comes_in_with_the_next_epoch() {
    let mut network = network();
    assert_eq!(network.register(0, 60, soma(100_000)), Status::Success);
    let id = network.validator_of(0);
    let staked = Event::Staked {
        pool: id,
        owner: user(0),
        amount: soma(100_000),
    };
    let candidate = Event::Candidate {
        validator: id,
        address: user(0),
    };
    assert_eq!(network.events, [staked, candidate]);
    let value_bps = u64::from(network.economy().value_fee_bps);
    let half = soma(100_000).get() * value_bps / 20_000;
    assert_eq!(network.fee.value, Shannons::new(half));
    assert!(network.set().pending.contains(&id));
    let validator = network.validator_at(id);
    assert_eq!(
        (validator.standing, validator.commission_bps),
        (Standing::Candidate, 10)
    );
    for claim in validator.claims() {
        assert_eq!(network.content(claim), Content::Claim(id));
    }
    let events = network.close();
    let member = Event::Member {
        validator: id,
        power: VotingPower::new(2_500),
    };
    assert!(events.contains(&member), "{events:?}");
    let validator = network.validator_at(id);
    assert_eq!(validator.standing, Standing::Member);
    let epoch = network.system().epoch;
    assert_eq!(
        validator.signed_with,
        [(epoch, Some(consensus_key(60).public()))].into()
    );
}

#[test]
fn what_makes_no_validator_says_why() {
    let mut network = network();
    let least = soma(1_000);
    let short = Shannons::new(least.get() - 1);
    assert_eq!(
        network.register(0, 60, short),
        failure(Failure::StakeTooLittle(least))
    );
    let not_proved = failure(Failure::InvalidProofOfPossession);
    let kind = registration(&network, 0, Box::new(keys(1, 60)));
    assert_eq!(
        network.ask(0, kind),
        not_proved.clone(),
        "proved by somebody else"
    );
    let elsewhere = ChainId::new(Digest::of(b"elsewhere"));
    let secret = Ed25519SecretKey::from_seed(&[60; 32]);
    let bls = BlsSecretKey::from_seed(&[60; 32]);
    let proved = ProvedKeys::prove(elsewhere, user(0), &secret, &consensus_key(60), &bls);
    let kind = registration(&network, 0, Box::new(proved));
    assert_eq!(network.ask(0, kind), not_proved, "proved on another chain");
    let mut kind = network.registration(0, 60, least);
    if let TransactionKind::AddValidator { commission_bps, .. } = &mut kind {
        *commission_bps = Some(10_001);
    }
    assert_eq!(network.ask(0, kind), failure(Failure::CommissionTooHigh(10_000)));
    assert_eq!(network.set().pending, [].into());
    assert_eq!(network.register(0, 60, least), Status::Success);
}

#[test]
fn an_account_and_each_key_is_one_validators_only() {
    let mut network = network();
    assert_eq!(network.register(0, 60, soma(1_000)), Status::Success);
    let id = network.validator_of(0);
    let claimed = failure(Failure::Claimed(id));
    assert_eq!(
        network.register(0, 61, soma(1_000)),
        claimed.clone(),
        "the account"
    );
    // The keys of 60 have the seeds 60, 160 and 60.
    let taken = [
        (60, 62, 61),
        (61, 160, 61),
        (61, 62, 60),
        (160, 62, 61),
        (61, 60, 61),
    ];
    for (connections, blocks, bls) in taken {
        let kind = registration(&network, 1, mixed(1, connections, blocks, bls));
        assert_eq!(network.ask(1, kind), claimed.clone());
    }
    let members = network.register(1, 21, soma(1_000));
    assert_eq!(members, failure(Failure::Claimed(validator_id(1))));
    assert_eq!(network.register(1, 61, soma(1_000)), Status::Success);
    assert_eq!(network.set().pending.len(), 2);
}

#[test]
fn of_two_in_one_commit_with_one_key_the_first_wins() {
    let network = network();
    let transaction = |number, keyed| Transaction {
        chain: chain(1),
        expiry: None,
        sender: user(number),
        gas: Bounded::new(vec![network.of(number, true)[0]]).unwrap(),
        kind: network.registration(number, keyed, soma(1_000)),
    };
    let scheduled = |all: &[Transaction; 2]| waves(all.iter().map(|one| (one, one.digest())));
    let apart = [transaction(0, 60), transaction(1, 61)];
    assert_eq!(scheduled(&apart), [vec![0, 1]]);
    let alike = [transaction(0, 60), transaction(1, 60)];
    assert_eq!(scheduled(&alike), [vec![0], vec![1]]);
    let [one, other] = alike;
    let transactions = [signed(0, one), signed(1, other)];
    let application = Application::new(network.context(), &network.state, &transactions);
    let applied = application.run_all().unwrap();
    let [one, other] = [0, 1].map(|position| applied.results[position].as_ref().unwrap());
    assert_eq!(one.effects.status, Status::Success);
    let first = *one.accrual.pending.first().unwrap();
    assert_eq!(other.effects.status, failure(Failure::Claimed(first)));
    assert_eq!(applied.accrual.pending, [first].into());
}

#[test]
fn who_uses_what_a_registration_creates_comes_in_a_later_wave() {
    let network = network();
    let transaction = |number, kind| Transaction {
        chain: chain(1),
        expiry: None,
        sender: user(number),
        gas: Bounded::new(vec![network.purse(number)]).unwrap(),
        kind,
    };
    let add = transaction(0, network.registration(0, 60, soma(1_000)));
    let [validator, receipt] = [0, 1].map(|number| ObjectId::created(add.digest(), number));
    let stake = transaction(
        1,
        TransactionKind::AddStake {
            validator,
            coin: network.purse(1),
            amount: Some(soma(1)),
        },
    );
    let give = transaction(
        20,
        TransactionKind::TransferObjects {
            objects: Bounded::new(vec![ObjectRef {
                id: receipt,
                ..network.purse(20)
            }])
            .unwrap(),
            recipient: user(0),
        },
    );
    let all = [add, stake, give];
    let waves = waves(all.iter().map(|one| (one, one.digest())));
    assert_eq!(waves, [vec![0], vec![1, 2]]);
    let transactions = [signed(0, all[0].clone()), signed(1, all[1].clone())];
    let application = Application::new(network.context(), &network.state, &transactions);
    let applied = application.run_all().unwrap();
    let statuses = applied
        .results
        .iter()
        .map(|result| &result.as_ref().unwrap().effects.status);
    assert!(statuses.into_iter().all(|status| *status == Status::Success));
}

#[test]
fn what_means_nothing_about_validators_is_refused() {
    let network = network();
    let (validator, reported) = (validator_id(0), validator_id(0));
    let nothing = TransactionKind::UpdateValidatorMetadata {
        validator,
        name: None,
        network_address: None,
        proxy_address: None,
        keys: None,
    };
    let same = || mixed(0, 60, 60, 60);
    for (kind, error) in [
        (registration(&network, 0, same()), TransactionError::SameKey),
        (update(validator, Some(same())), TransactionError::SameKey),
        (nothing, TransactionError::Empty("changes")),
        (
            TransactionKind::ReportValidator { validator, reported },
            TransactionError::ReportsItself,
        ),
        (
            TransactionKind::UndoReportValidator { validator, reported },
            TransactionError::ReportsItself,
        ),
        (
            network.registration(0, 60, Shannons::ZERO),
            TransactionError::NothingPaid(0),
        ),
    ] {
        let transaction = Transaction {
            chain: chain(1),
            expiry: None,
            sender: user(0),
            gas: Bounded::new(vec![network.of(0, true)[0]]).unwrap(),
            kind,
        };
        assert_eq!(transaction.check(), Err(error));
    }
}

/// W-M4, W-H27: who had not come in yet could not go, and who was to go was named and not looked at.
#[test]
fn members_and_candidates_go_when_their_account_says_so_and_only_then() {
    let mut network = network();
    assert_eq!(network.register(0, 60, soma(1_000)), Status::Success);
    let candidate = network.validator_of(0);
    let remove = |validator| TransactionKind::RemoveValidator { validator };
    assert_eq!(
        network.ask(1, remove(candidate)),
        failure(Failure::NotOwner(candidate))
    );
    assert_eq!(network.ask(0, remove(candidate)), Status::Success);
    let resigned = Event::Resigned { validator: candidate };
    assert_eq!(network.events, [resigned]);
    let again = failure(Failure::ValidatorLeaving(candidate));
    assert_eq!(network.ask(0, remove(candidate)), again.clone());
    let nobody = ObjectId::from_low(99);
    let none = failure(Failure::NotAValidator(nobody));
    assert_eq!(network.ask(0, remove(nobody)), none);
    assert_eq!(network.ask(22, remove(validator_id(2))), Status::Success);
    assert_eq!(network.set().leaving, [candidate, validator_id(2)].into());
    let claims: Vec<_> = network.validator(2).claims().collect();
    network.close();
    let set = network.set();
    assert_eq!(set.leaving, [].into());
    assert_eq!(
        set.members.into_keys().collect::<Vec<_>>(),
        [validator_id(0), validator_id(1)]
    );
    assert_eq!(network.validator(2).standing, Standing::Retired);
    assert_eq!(network.validator_at(candidate).standing, Standing::Retired);
    assert!(claims.into_iter().all(|claim| network.is_gone(claim)));
    assert_eq!(network.ask(0, remove(candidate)), again);
}

/// W-C7(f): a receipt of the pool that a validator had before it came again stopped every node.
#[test]
fn who_comes_again_has_another_pool_and_the_old_one_is_paid() {
    let mut network = network();
    assert_eq!(network.stake(1, 2, soma(500)), Status::Success);
    network.close();
    let validator = validator_id(2);
    let remove = TransactionKind::RemoveValidator { validator };
    assert_eq!(network.ask(22, remove), Status::Success);
    network.close();
    network.pay(0, 22, soma(100_000));
    assert_eq!(network.register(22, 22, soma(90_000)), Status::Success);
    let again = network.validator_of(22);
    assert_ne!(again, validator);
    network.close();
    assert_eq!(network.validator_at(again).standing, Standing::Member);
    let receipt = network.of(1, false)[0];
    assert_eq!(network.withdraw(1, 2, receipt, None), Status::Success);
    (0..4).for_each(|_| drop(network.close()));
    let (before, receipt) = (network.money(1), network.of(1, false)[0]);
    assert_eq!(network.withdraw(1, 2, receipt, None), Status::Success);
    assert!(network.money(1) > before + soma(499).get());
}

/// W-C10: stake with a candidate, taken back in its epoch, was taken from stake that had not come in.
#[test]
fn stake_with_a_candidate_is_taken_back_as_it_was() {
    let mut network = network();
    assert_eq!(network.register(0, 60, soma(1_000)), Status::Success);
    let validator = network.validator_of(0);
    let coin = network.purse(1);
    let stake = TransactionKind::AddStake {
        validator,
        coin,
        amount: Some(soma(700)),
    };
    assert_eq!(network.ask(1, stake), Status::Success);
    let withdraw = |network: &Network, number: u8| TransactionKind::WithdrawStake {
        validator,
        stake: network.of(number, false)[0],
        amount: None,
    };
    let kind = withdraw(&network, 1);
    assert_eq!(network.ask(1, kind), Status::Success);
    let back = Event::Withdrawn {
        pool: validator,
        owner: user(1),
        amount: soma(700),
    };
    assert_eq!(network.events, [back]);
    let kind = withdraw(&network, 0);
    assert_eq!(network.ask(0, kind), Status::Success, "its own as well");
    network.close();
    assert!(
        network.is_gone(validator),
        "it has no stake, and nobody waits for it"
    );
    assert_eq!(network.register(0, 60, soma(1_000)), Status::Success);
}

/// W-C9: stake that came in when its validator went was paid from the stake of others.
#[test]
fn stake_that_comes_when_its_validator_goes_is_taken_back_as_it_was() {
    let mut network = network();
    let validator = validator_id(2);
    let remove = TransactionKind::RemoveValidator { validator };
    assert_eq!(network.ask(22, remove), Status::Success);
    assert_eq!(network.stake(1, 2, soma(700)), Status::Success);
    network.close();
    let before = network.validator(2).pool.balance;
    let receipt = network.of(1, false)[0];
    assert_eq!(network.withdraw(1, 2, receipt, None), Status::Success);
    let back = Event::Withdrawn {
        pool: validator,
        owner: user(1),
        amount: soma(700),
    };
    assert_eq!(network.events, [back]);
    assert_eq!(network.validator(2).pool.balance, before);
}

#[test]
fn what_is_gone_and_comes_again_never_has_a_version_twice() {
    let mut network = network();
    (0..9).for_each(|_| network.pay(0, 20, soma(1)));
    assert_eq!(network.register(0, 60, soma(1_000)), Status::Success);
    let claim = keys(0, 60).keys.claims()[0];
    let version = |network: &Network| network.state.get(&claim).unwrap().object().version;
    let before = version(&network);
    let remove = TransactionKind::RemoveValidator {
        validator: network.validator_of(0),
    };
    assert_eq!(network.ask(0, remove), Status::Success);
    network.close();
    // This coin was never used.
    assert_eq!(network.register(1, 60, soma(1_000)), Status::Success);
    assert!(version(&network) > before);
}

/// W-M3: the address for everybody was taken, and not changed.
#[test]
fn what_is_said_changes_at_once_and_how_members_meet_with_the_next_epoch() {
    let mut network = network();
    let validator = validator_id(0);
    let by = |keyed: u8| update(validator, Some(Box::new(keys(20, keyed))));
    assert_eq!(
        network.ask(0, update(validator, None)),
        failure(Failure::NotOwner(validator))
    );
    let unproved = update(validator, Some(Box::new(keys(21, 60))));
    assert_eq!(
        network.ask(20, unproved),
        failure(Failure::InvalidProofOfPossession)
    );
    assert_eq!(network.ask(20, by(60)), Status::Success);
    assert_eq!(network.events, [Event::Updated { validator }]);
    let now = network.validator(0);
    let said = Metadata {
        name: line("soma"),
        network_address: Line::default(),
        proxy_address: line("b.example:2"),
    };
    assert_eq!((now.metadata, &now.keys), (said, &keys(20, 20).keys));
    assert_eq!(network.ask(20, by(61)), failure(Failure::KeysStaged(validator)));
    let claimed = failure(Failure::Claimed(validator));
    assert_eq!(
        network.register(1, 60, soma(1_000)),
        claimed.clone(),
        "keys to come"
    );
    assert_eq!(network.register(1, 20, soma(1_000)), claimed, "keys in force");
    let before = network.system().epoch;
    network.close();
    let then = network.validator(0);
    assert_eq!(then.metadata.network_address, line("a.example:1"));
    assert_eq!(then.keys, keys(20, 60).keys);
    assert_eq!(then.signs_with(before), Some(&consensus_key(20).public()));
    let next = network.system().epoch;
    assert_eq!(then.signs_with(next), Some(&consensus_key(60).public()));
    assert!(now.keys.claims().into_iter().all(|claim| network.is_gone(claim)));
    assert_eq!(network.register(1, 20, soma(1_000)), Status::Success);
}

#[test]
fn no_key_of_another_validator_is_staged() {
    let mut network = network();
    let claimed = failure(Failure::Claimed(validator_id(1)));
    // The keys of 21 have the seeds 21, 121 and 21.
    for (connections, blocks, bls) in [(21, 60, 60), (60, 121, 60), (60, 61, 21)] {
        let proved = mixed(20, connections, blocks, bls);
        let kind = update(validator_id(0), Some(proved));
        assert_eq!(network.ask(20, kind), claimed.clone());
    }
    assert_eq!(
        network.validator(0).metadata,
        Metadata::default(),
        "nothing of it was done"
    );
}

#[test]
fn a_key_that_stays_is_named_again_and_kept() {
    let mut network = network();
    let proved = mixed(20, 60, 120, 20);
    assert_eq!(
        network.ask(20, update(validator_id(0), Some(proved.clone()))),
        Status::Success
    );
    let [gone, ..] = network.validator(0).keys.claims();
    network.close();
    assert!(network.is_gone(gone));
    for claim in proved.keys.claims() {
        assert_eq!(network.content(claim), Content::Claim(validator_id(0)));
    }
    assert_eq!(network.validator(0).signed_with.len(), 1, "it signs as before");
}

#[test]
fn staged_keys_of_who_goes_are_free_as_well() {
    let mut network = network();
    let validator = validator_id(0);
    let kind = update(validator, Some(Box::new(keys(20, 60))));
    assert_eq!(network.ask(20, kind.clone()), Status::Success);
    let remove = TransactionKind::RemoveValidator { validator };
    assert_eq!(network.ask(20, remove), Status::Success);
    let leaving = failure(Failure::ValidatorLeaving(validator));
    assert_eq!(network.ask(20, kind), leaving);
    network.close();
    assert_eq!(network.register(1, 60, soma(1_000)), Status::Success);
}

/// W-M4: a commission changed without notice.
#[test]
fn a_commission_changes_with_the_next_epoch() {
    let mut network = network();
    let validator = validator_id(0);
    let set = |commission_bps| TransactionKind::SetCommissionRate {
        validator,
        commission_bps,
    };
    assert_eq!(network.ask(0, set(5_000)), failure(Failure::NotOwner(validator)));
    let most = params().max_commission_bps;
    assert_eq!(
        network.ask(20, set(most + 1)),
        failure(Failure::CommissionTooHigh(most))
    );
    assert_eq!(network.ask(20, set(5_000)), Status::Success);
    let shares = |events: Vec<Event>| {
        let found = events.into_iter().find_map(|event| match event {
            Event::Rewarded {
                pool,
                amount,
                commission,
            } if pool == validator => Some((amount.get(), commission.get())),
            _ => None,
        });
        found.unwrap()
    };
    let (amount, commission) = shares(network.close());
    assert!(commission.abs_diff(amount / 9) <= 1, "a tenth as before");
    let (amount, commission) = shares(network.close());
    assert!(commission.abs_diff(amount) <= 1, "a half");
}
