//! What a committee of four may be told: the one of `crates/consensus/tests/words`, of which the seeds are.

use std::sync::LazyLock;

use ::consensus::{Answer, Member, Members, Parents, Production, Request, Rules, SignedBlock};
use bytes::Bytes;
use crypto::{BlsSecretKey, Digest, Ed25519SecretKey};
use types::{AuthorityIndex, Bounded, ChainId, CommitIndex, Epoch, Round, Slot, UnixMillis, VotingPower};

static MEMBERS: LazyLock<Members<Production>> = LazyLock::new(|| {
    let member = |(n, power)| Member {
        power: VotingPower::new(power),
        block_key: Ed25519SecretKey::from_seed(&[n; 32]).public(),
        beacon_key: BlsSecretKey::from_seed(&[n + 100; 32]).public(),
    };
    let powers = (0..).zip([3_334, 3_333, 3_332, 1]);
    Members::new(Epoch::new(7), powers.map(member).collect()).expect("the power is 10,000")
});

fn rules() -> Rules {
    Rules {
        beacon_stride: 4,
        max_payload_bytes: 100,
        max_block_payloads: 5,
        max_block_bytes: 300,
        ..Rules::new(
            ChainId::new(Digest::of(b"soma")),
            Epoch::new(7),
            UnixMillis::new(1_000),
        )
    }
}

/// Any bytes are a block that is laid out as them and keeps the rules, or an error.
pub fn block_frame(bytes: &[u8]) {
    let (rules, frame) = (rules(), Bytes::copy_from_slice(bytes));
    let Ok(block) = SignedBlock::decode(&frame, &rules, &MEMBERS) else {
        return;
    };
    assert_eq!(block.laid_out(), frame);
    let payloads: Vec<_> = block.payloads().iter().collect();
    assert_eq!(payloads.len(), block.payloads().len());
    assert!(payloads.len() <= 5 && payloads.iter().all(|payload| payload.len() <= 100));
    let round = block.reference().round;
    let (set, names) = match block.parents() {
        Parents::Full(names) => (Default::default(), names),
        Parents::Compact { previous, others } => (*previous, others),
    };
    let mut before = set;
    for name in names {
        assert!(name.round < round && MEMBERS.get(name.author).is_some());
        if name.round.next() == Some(round) {
            assert!(before.insert(name.author));
        }
    }
    assert!(MEMBERS.is_quorum(&before));
    drop(block.verify(&MEMBERS));
}

fn answer(bytes: &[u8], request: &Request) -> Option<Answer<Production>> {
    let author = |number| AuthorityIndex::new(number).expect("there are four members");
    Answer::decode(bytes, request, author(1), author(2), &rules(), &MEMBERS).ok()
}

/// Any bytes are blocks of the slots that were asked for, or an error.
pub fn blocks_answer(bytes: &[u8]) {
    let slots = (0..4).map(|number| Slot {
        round: Round::new(5),
        author: AuthorityIndex::new(number).expect("there are four members"),
    });
    let request = Request::Blocks {
        names: Bounded::new(Vec::new()).expect("none is not too many"),
        slots: Bounded::new(slots.collect()).expect("four are not too many"),
    };
    if let Some(Answer::Blocks(blocks)) = answer(bytes, &request) {
        assert!(
            blocks
                .iter()
                .all(|block| block.reference().round == Round::new(5))
        );
    }
}

/// Any bytes are a chain of the commits that were asked for, or an error.
pub fn commits_answer(bytes: &[u8]) {
    let request = Request::Commits {
        first: CommitIndex::new(1),
        most: 9,
    };
    if let Some(Answer::Commits { commits, votes }) = answer(bytes, &request) {
        assert!(commits.len() <= 9 && votes.len() <= 4);
        for pair in commits.windows(2) {
            assert_eq!(pair[1].previous, pair[0].digest());
        }
    }
}

/// Any bytes say how far asker and answerer have been, or are an error.
pub fn latest_answer(bytes: &[u8]) {
    if let Some(Answer::Latest { yours, round }) = answer(bytes, &Request::Latest) {
        assert!(yours.is_none_or(|block| block.author.get() == 2));
        assert!(round < Round::MAX);
    }
}

/// Any bytes are a request that encodes to them, or an error.
pub fn request(bytes: &[u8]) {
    if let Ok(request) = Request::decode(bytes) {
        assert_eq!(request.encode(), bytes);
    }
}
