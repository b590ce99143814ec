//! Every encoded type, one fixed value each, against `fixtures/encoding/words.snap`. A change of that file is a change
//! of the protocol. To make one on purpose, run `cargo xtask fixtures --accept` and say so in CHANGELOG.md.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

mod market;

use crypto::bytes::hex;
use crypto::{
    Address, AuthoritySignature, BlsSecretKey, Digest, Ed25519Scheme, Ed25519SecretKey, Intent,
    IntentMessage, MultiSig, MultiSigKey, PublicKey, Scope, UserSignature,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::block::block_message;
use types::checkpoint::{Contents, Entry, Summary};
use types::{
    Authority, AuthorityIndex, BlockDigest, BlockHeader, BlockRef, Bounded, Certificate, ChainId, Change,
    CheckpointDigest, CheckpointSequence, Cohort, Commit, CommitDigest, CommitIndex, CommitRef, Committee,
    Content, Direction, Distance, Economy, Effects, EffectsDigest, Embedding, Epoch, Equivocation, Event,
    Failure, Fee, Joined, Left, Line, Loss, Metadata, Object, ObjectDigest, ObjectId, ObjectState, Owner,
    Pool, ProtocolParams, ProtocolVersion, ProvedKeys, Round, Rules, SOMA, Shannons, Shares, SignedHeader,
    SignedTransaction, Staged, Stake, StakedSoma, Standing, Status, System, Transaction, TransactionDigest,
    TransactionKind, UnixMillis, UpgradeVote, Validator, Validators, Version, VotingPower, decode, encode,
};

/// `name  Blake2b-256 of the bytes  the bytes`, after checking that the bytes decode to the value.
fn row<T: Serialize + DeserializeOwned>(name: &str, value: &T) -> String {
    let bytes = encode(value);
    let decoded: T = decode(&bytes, bytes.len()).unwrap();
    assert_eq!(encode(&decoded), bytes, "{name} decodes to itself");
    format!(
        "{name}  {}  {}\n",
        hex::encode(Digest::of(&bytes).as_bytes()),
        hex::encode(&bytes)
    )
}

fn key(n: u8) -> Ed25519SecretKey {
    Ed25519SecretKey::from_seed(&[n; 32])
}

fn authority(n: u8) -> (Authority, BlsSecretKey) {
    let secret = BlsSecretKey::from_seed(&[n; 32]);
    let authority = Authority {
        address: Address::from(&key(n).public()),
        network_key: key(n + 10).public(),
        consensus_key: key(n + 20).public(),
        bls_key: secret.public(),
        power: VotingPower::new(2_500),
    };
    (authority, secret)
}

fn keys_and_signatures() -> String {
    let message = IntentMessage::new(Intent::soma(Scope::TransactionData), 7u64);
    let (one, two) = (key(1), key(2));
    let members = vec![
        (PublicKey::Ed25519(one.public()), 1),
        (PublicKey::Ed25519(two.public()), 2),
    ];
    let multisig_key = MultiSigKey::new(members, 3).unwrap();
    let signed = [&one, &two].map(|key| key.sign(message.digest().as_bytes()));
    let multisig = MultiSig::new(multisig_key.clone(), &[(0, signed[0]), (1, signed[1])]).unwrap();
    let bls = BlsSecretKey::from_seed(&[1; 32]);
    [
        row("Address", &Address::from(&one.public())),
        row("AuthoritySignature", &AuthoritySignature::sign(&message, 3, &bls)),
        row("Bitmap", &[0u16, 9, 23].into_iter().collect::<types::Bitmap>()),
        row("BlsPublicKey", &bls.public()),
        row("BlsSignature", &bls.sign(b"soma")),
        row("Digest", &Digest::of(b"soma")),
        row("Ed25519PublicKey", &one.public()),
        row("Ed25519Signature", &one.sign(b"soma")),
        row("Intent", &Intent::consensus(Scope::ConsensusBlock)),
        row("IntentMessage", &message),
        row("MultiSig", &multisig),
        row("MultiSigKey", &multisig_key),
        row("PublicKey", &PublicKey::Ed25519(one.public())),
        row("UserSignature::Ed25519", &UserSignature::sign(&message, &one)),
        row("UserSignature::MultiSig", &UserSignature::MultiSig(multisig)),
    ]
    .concat()
}

fn committee_and_certificate() -> String {
    let (authorities, secrets): (Vec<_>, Vec<_>) = (1..5).map(authority).unzip();
    let committee = Committee::new(Epoch::new(3), authorities).unwrap();
    let message = IntentMessage::new(Intent::soma(Scope::CheckpointSummary), 7u64);
    let votes: Vec<_> = committee
        .authorities()
        .skip(1)
        .map(|(index, authority)| {
            let secret = secrets
                .iter()
                .find(|secret| secret.public() == authority.bls_key)
                .unwrap();
            (index, AuthoritySignature::sign(&message, 3, secret))
        })
        .collect();
    let certificate = Certificate::gather(&committee, &votes).unwrap();
    assert!(certificate.verify(message, &committee).is_ok());
    [
        row("Authority", committee.authorities().next().unwrap().1),
        row("Certificate", &certificate),
        row("Committee", &committee),
    ]
    .concat()
}

fn ids_and_numbers() -> String {
    let digest = Digest::of(b"soma");
    [
        row("AuthorityIndex", &AuthorityIndex::new(258).unwrap()),
        row("BlockDigest", &BlockDigest::new(digest)),
        row("ChainId", &ChainId::new(digest)),
        row("CheckpointDigest", &CheckpointDigest::new(digest)),
        row(
            "CheckpointSequence",
            &CheckpointSequence::new(0x0102_0304_0506_0708),
        ),
        row("CommitDigest", &CommitDigest::new(digest)),
        row("CommitIndex", &CommitIndex::new(0x0102_0304_0506_0708)),
        row("EffectsDigest", &EffectsDigest::new(digest)),
        row("Epoch", &Epoch::new(0x0102_0304_0506_0708)),
        row("ObjectDigest", &ObjectDigest::new(digest)),
        row("ObjectId", &ObjectId::from_low(5)),
        row("ProtocolVersion", &ProtocolVersion::new(0x0102_0304_0506_0708)),
        row("Round", &Round::new(0x0102_0304)),
        row("Shannons", &Shannons::SUPPLY),
        row("TransactionDigest", &TransactionDigest::new(digest)),
        row("UnixMillis", &UnixMillis::new(1_700_000_000_000)),
        row("Version", &Version::new(0x0102_0304_0506_0708)),
        row("VotingPower", &VotingPower::QUORUM),
    ]
    .concat()
}

fn blocks_and_commits() -> String {
    let digest = Digest::of(b"soma");
    let parent = BlockRef {
        round: Round::new(6),
        author: AuthorityIndex::new(258).unwrap(),
        digest: BlockDigest::new(digest),
    };
    let vote = CommitRef {
        index: CommitIndex::new(0x0102_0304_0506_0708),
        digest: CommitDigest::new(digest),
    };
    let genesis = BlockHeader::genesis(Epoch::new(3), parent.author, UnixMillis::new(1_700_000_000_000));
    let header = |beacon: &[u8]| BlockHeader {
        round: Round::new(7),
        parents: Bounded::new(vec![parent]).unwrap(),
        vote: Some(vote),
        beacon: Bounded::new(beacon.to_vec()),
        ..genesis.clone()
    };
    let signed = |header: BlockHeader| SignedHeader::<Ed25519Scheme> {
        signature: key(1).sign(&block_message(ChainId::new(digest), header.digest())),
        header,
    };
    let equivocation = Equivocation::new(signed(header(&[1])), signed(header(&[2]))).unwrap();
    assert_eq!(
        equivocation.verify(ChainId::new(digest), &key(1).public()),
        Ok(())
    );
    let commit = Commit {
        index: CommitIndex::new(1),
        previous: Commit::root(ChainId::new(digest), Epoch::new(3)),
        leader: header(&[1]).reference(),
        timestamp: UnixMillis::new(1_700_000_000_000),
        beacon: Some(digest),
        blocks: vec![parent, header(&[1]).reference()],
    };
    [
        row("BlockHeader", &header(&[1, 2, 3])),
        row("BlockHeader::Genesis", &genesis),
        row("BlockRef", &parent),
        row("Commit", &commit),
        row("CommitRef", &commit.reference()),
        row("Equivocation", &equivocation),
        row("SignedHeader", &signed(genesis)),
        row("Slot", &parent.slot()),
    ]
    .concat()
}

/// Two blocks of one slot, by the key that signs blocks.
fn equivocation() -> Equivocation<Ed25519Scheme> {
    let chain = ChainId::new(Digest::of(b"soma"));
    let author = AuthorityIndex::new(258).unwrap();
    let [one, other] = [1, 2].map(|at| {
        let header = BlockHeader::genesis(Epoch::new(3), author, UnixMillis::new(at));
        SignedHeader {
            signature: key(21).sign(&block_message(chain, header.digest())),
            header,
        }
    });
    Equivocation::new(one, other).unwrap()
}

fn ledger() -> String {
    let digest = Digest::of(b"soma");
    let (sender, recipient) = (Address::from(&key(1).public()), Address::from(&key(2).public()));
    let coin = Object {
        id: ObjectId::from_low(9),
        version: Version::new(0x0102_0304_0506_0708),
        owner: Owner::Address(sender),
        deposit: Shannons::new(3),
        previous: TransactionDigest::new(digest),
        content: Content::Coin(Shannons::SUPPLY),
    };
    let system = Object {
        id: System::ID,
        owner: Owner::Shared,
        content: Content::System(System {
            chain: ChainId::new(digest),
            epoch: Epoch::new(3),
            rules: Rules {
                version: ProtocolVersion::new(1),
                params: digest,
            },
            started: UnixMillis::new(1_700_000_000_000),
        }),
        ..coin.clone()
    };
    let refs = || Bounded::new(vec![coin.reference()]).unwrap();
    let transaction = |kind| Transaction {
        chain: ChainId::new(digest),
        expiry: Some(Epoch::new(4)),
        sender,
        gas: refs(),
        kind,
    };
    let transfer = transaction(TransactionKind::TransferCoin {
        coin: coin.reference(),
        amount: Some(Shannons::new(5)),
        recipient,
    });
    let pay = transaction(TransactionKind::PayCoins {
        coins: refs(),
        amounts: Bounded::new(vec![Shannons::new(5)]),
        recipients: Bounded::new(vec![recipient]).unwrap(),
    });
    let give = transaction(TransactionKind::TransferObjects {
        objects: refs(),
        recipient,
    });
    let stake = transaction(TransactionKind::AddStake {
        validator: ObjectId::from_low(20),
        coin: coin.reference(),
        amount: None,
    });
    let withdraw = transaction(TransactionKind::WithdrawStake {
        validator: ObjectId::from_low(20),
        stake: coin.reference(),
        amount: Some(Shannons::new(5)),
    });
    let pool = Pool {
        balance: Shannons::new(7),
        shares: Shares::new(9_000_000),
        cohort: Cohort::new(4),
        at_par: [(Cohort::new(4), SOMA)].into(),
        joined: [(
            Cohort::new(3),
            Joined {
                principal: SOMA,
                shares: Shares::new(5),
            },
        )]
        .into(),
        leaving: Shares::new(2),
        left: [(
            Cohort::new(2),
            Left {
                shares: Shares::new(3),
                amount: SOMA,
                due: Epoch::new(9),
            },
        )]
        .into(),
        ..Pool::new(ObjectId::from_low(20))
    };
    let other = |id, content| Object {
        id,
        owner: Owner::Shared,
        content,
        ..coin.clone()
    };
    let bls = BlsSecretKey::from_seed(&[1; 32]);
    let proved = ProvedKeys::prove(ChainId::new(digest), sender, &key(11), &key(21), &bls);
    assert_eq!(proved.verify(ChainId::new(digest), sender), Ok(()));
    let line = |text: &str| Line::try_from(text.to_owned()).unwrap();
    let metadata = Metadata {
        name: line("soma"),
        network_address: line("a.example:1"),
        proxy_address: line("b.example:2"),
    };
    let rules = Rules {
        version: ProtocolVersion::new(2),
        params: digest,
    };
    let vote = UpgradeVote {
        rules: Some(rules),
        epoch: Epoch::new(2),
    };
    let validator = Validator {
        staged: Staged {
            keys: Some(proved.keys.clone()),
            network_address: Some(line("c.example:3")),
            commission_bps: Some(300),
        },
        standing: Standing::Member,
        short_epochs: 1,
        signed_with: [(Epoch::new(2), Some(key(21).public())), (Epoch::new(3), None)].into(),
        slashed_for: [Epoch::new(3)].into(),
        reports: [ObjectId::from_low(22)].into(),
        vote: Some(vote),
        ..Validator::candidate(sender, proved.keys.clone(), metadata.clone(), 200, pool)
    };
    let add = transaction(TransactionKind::AddValidator {
        keys: Box::new(proved.clone()),
        metadata: Box::new(metadata),
        commission_bps: Some(200),
        coin: coin.reference(),
        amount: Some(SOMA),
    });
    let own = ObjectId::from_low(20);
    let reported = ObjectId::from_low(21);
    let others = [
        TransactionKind::RemoveValidator { validator: own },
        TransactionKind::ReportValidator {
            validator: own,
            reported,
        },
        TransactionKind::UndoReportValidator {
            validator: own,
            reported,
        },
        TransactionKind::UpdateValidatorMetadata {
            validator: own,
            name: Some(line("amos")),
            network_address: None,
            proxy_address: None,
            keys: Some(Box::new(proved.clone())),
        },
        TransactionKind::SetCommissionRate {
            validator: own,
            commission_bps: 300,
        },
        TransactionKind::ReportEquivocation {
            validator: own,
            evidence: Box::new(equivocation()),
        },
    ]
    .to_vec();
    let validators = Validators {
        members: [(ObjectId::from_low(20), VotingPower::TOTAL)].into(),
        pending: [ObjectId::from_low(21)].into(),
        leaving: [ObjectId::from_low(20)].into(),
        retired: [ObjectId::from_low(22)].into(),
    };
    let economy = Economy {
        emission: Shannons::new(1),
        fees: Shannons::new(2),
        value_fee_bps: 10,
        is_safe_mode: true,
    };
    let receipt = |stake| {
        let pool = ObjectId::from_low(20);
        Content::StakedSoma(StakedSoma { pool, stake })
    };
    let cohort = Cohort::new(3);
    let principal = Shannons::new(5);
    let shares = Shares::new(6);
    let message = SignedTransaction::message(transfer.clone());
    let signed = SignedTransaction {
        transaction: transfer.clone(),
        signature: UserSignature::sign(&message, &key(1)),
    };
    assert!(signed.clone().verify().is_ok());
    let state = ObjectState {
        version: coin.version,
        digest: coin.digest(),
        owner: coin.owner,
    };
    let effects = Effects {
        transaction: transfer.digest(),
        epoch: Epoch::new(3),
        status: Status::Success,
        fee: Fee {
            base: Shannons::new(1),
            write: Shannons::new(2),
            value: Shannons::new(3),
            bytes: Shannons::new(4),
        },
        version: coin.version,
        changes: vec![Change {
            id: coin.id,
            before: Some(state),
            after: None,
        }],
        dependencies: vec![coin.previous],
        events: vec![
            Event::Paid {
                from: sender,
                to: recipient,
                amount: Shannons::new(5),
            },
            Event::Given {
                object: coin.id,
                from: sender,
                to: recipient,
            },
            Event::Staked {
                pool: coin.id,
                owner: sender,
                amount: Shannons::new(5),
            },
            Event::Leaving {
                pool: coin.id,
                owner: sender,
                amount: Shannons::new(5),
            },
            Event::Withdrawn {
                pool: coin.id,
                owner: sender,
                amount: Shannons::new(5),
            },
            Event::Rewarded {
                pool: coin.id,
                amount: Shannons::new(5),
                commission: Shannons::new(1),
            },
            Event::Member {
                validator: coin.id,
                power: VotingPower::TOTAL,
            },
            Event::SafeMode,
            Event::Candidate {
                validator: coin.id,
                address: sender,
            },
            Event::Resigned { validator: coin.id },
            Event::Reported {
                validator: coin.id,
                by: own,
                is_undone: true,
            },
            Event::Updated { validator: coin.id },
            Event::Slashed {
                pool: coin.id,
                amount: Shannons::new(5),
            },
            Event::Withheld {
                pool: coin.id,
                amount: Shannons::new(5),
            },
        ],
    };
    let (have, need) = (Shannons::new(1), Shannons::new(2));
    let failures = vec![
        Failure::InsufficientGas { have, need },
        Failure::NotLive(coin.reference()),
        Failure::NotOwner(coin.id),
        Failure::NotACoin(coin.id),
        Failure::InsufficientBalance { have, need },
        Failure::NotAValidator(coin.id),
        Failure::NotItsStake(coin.id),
        Failure::StakeTooLittle(need),
        Failure::StakeLeaving(coin.id),
        Failure::NotDue(Some(Epoch::new(9))),
        Failure::PoolClosed(coin.id),
        Failure::Overflow,
        Failure::InvariantViolated,
        Failure::Claimed(coin.id),
        Failure::InvalidProofOfPossession,
        Failure::CommissionTooHigh(10_000),
        Failure::NotAMember(coin.id),
        Failure::ValidatorLeaving(coin.id),
        Failure::NotReported(coin.id),
        Failure::KeysStaged(coin.id),
        Failure::InvalidEvidence,
        Failure::EvidenceNotAccepted(Epoch::new(9)),
        Failure::AlreadySlashed(Epoch::new(9)),
    ];
    let entry = Entry {
        transaction: transfer.digest(),
        effects: effects.digest(),
        signature: Entry::signature_digest(&signed.signature),
    };
    let contents = Contents(vec![entry; 3]);
    let summary = Summary {
        epoch: Epoch::new(3),
        sequence: CheckpointSequence::new(1),
        previous: Some(CheckpointDigest::new(digest)),
        commit: CommitIndex::new(2),
        timestamp: UnixMillis::new(1_700_000_000_000),
        contents: contents.tree().root(),
        transactions: 3,
        fees: Shannons::new(10),
        state: digest,
        snapshot: Some(digest),
    };
    [
        row("Contents", &contents),
        row("Effects", &effects),
        row("Failure", &failures),
        row("Object::Claim", &other(coin.id, Content::Claim(own))),
        row("Object::Coin", &coin),
        row("Object::Economy", &other(Economy::ID, Content::Economy(economy))),
        row(
            "Object::StakedSoma::Deposit",
            &other(coin.id, receipt(Stake::Deposit { cohort, principal })),
        ),
        row(
            "Object::StakedSoma::Exit",
            &other(coin.id, receipt(Stake::Exit { cohort, shares })),
        ),
        row(
            "Object::StakedSoma::Shares",
            &other(coin.id, receipt(Stake::Shares(shares))),
        ),
        row("Object::System", &system),
        row(
            "Object::Validator",
            &other(coin.id, Content::Validator(Box::new(validator))),
        ),
        row(
            "Object::Validators",
            &other(Validators::ID, Content::Validators(validators)),
        ),
        row(
            "ProtocolParams",
            &ProtocolParams::of(ProtocolVersion::new(1)).unwrap(),
        ),
        row("ProvedKeys", &proved),
        row("Proof", &contents.tree().prove(1).unwrap()),
        row("SignedTransaction", &signed),
        row("Status::Failure", &Status::Failure(Failure::Overflow)),
        row("Summary", &summary),
        row("Transaction::AddStake", &stake),
        row("Transaction::AddValidator", &add),
        row("Transaction::PayCoins", &pay),
        row("Transaction::TransferObjects", &give),
        row("Transaction::WithdrawStake", &withdraw),
        row("TransactionKind::OfValidators", &others),
    ]
    .concat()
}

fn scores() -> String {
    let far = (1 << 30) - 1;
    [
        row(
            "Direction",
            &Direction::new(vec![1 << 19, 0, -(1 << 19)]).unwrap(),
        ),
        row("Distance", &Distance::new(978_000_000).unwrap()),
        row(
            "Embedding",
            &Embedding::new(vec![far, 0x0102_0304, -far]).unwrap(),
        ),
        row("Loss", &Loss::new(0x0102_0304_0506, 0x0001_0203).unwrap()),
    ]
    .concat()
}

#[test]
fn every_encoding_is_the_golden_one() {
    let now = [
        keys_and_signatures(),
        committee_and_certificate(),
        ids_and_numbers(),
        blocks_and_commits(),
        ledger(),
        market::models(),
        market::targets(),
        scores(),
    ]
    .concat();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../../fixtures/encoding");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("words", now));
}
