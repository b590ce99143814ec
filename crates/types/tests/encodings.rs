//! Every encoded type, one fixed value each, against `fixtures/encoding/words.snap`. A change of that file is a change
//! of the protocol. To make one on purpose, run `cargo xtask fixtures --accept` and say so in CHANGELOG.md.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use crypto::bytes::hex;
use crypto::{
    Address, AuthoritySignature, BlsSecretKey, Digest, Ed25519Scheme, Ed25519SecretKey, Intent,
    IntentMessage, MultiSig, MultiSigKey, ProofOfPossession, PublicKey, Scope, UserSignature,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::block::block_message;
use types::{
    Authority, AuthorityIndex, BlockDigest, BlockHeader, BlockRef, Bounded, Certificate, ChainId,
    CheckpointDigest, CheckpointSequence, Commit, CommitDigest, CommitIndex, CommitRef, Committee, Direction,
    Distance, EffectsDigest, Embedding, Epoch, Equivocation, Loss, ObjectDigest, ObjectId, ProtocolVersion,
    Round, Shannons, SignedHeader, TransactionDigest, UnixMillis, Version, VotingPower, decode, encode,
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
        row(
            "ProofOfPossession",
            &ProofOfPossession::prove(&bls, Address::from(&one.public())),
        ),
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
        scores(),
    ]
    .concat();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../fixtures/encoding");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("words", now));
}
