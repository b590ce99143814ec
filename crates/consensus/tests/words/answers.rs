//! Sound requests and answers, and the parts that the wrong ones are made of.

use bytes::Bytes;
use consensus::messages::{CommitsAnswer, LatestAnswer, MAX_ANSWER_BLOCKS, MAX_REQUEST_BYTES};
use consensus::{Answer, AnswerError, Production, Request};
use crypto::Ed25519Scheme;
use proptest::prelude::*;
use types::{BlockRef, Bounded, Commit, CommitIndex, DecodeError, Round, SignedHeader, Slot, UnixMillis};

use crate::kit::{FULL, NET, PLAIN, Parts, index, name};

/// Member 1's answer to member 2.
pub fn decode(bytes: &[u8], request: &Request) -> Result<Answer<Production>, AnswerError> {
    Answer::decode(bytes, request, index(1), index(2), &NET.rules, &NET.members)
}

/// An error instead of an answer.
pub fn refused(bytes: &[u8], request: &Request) -> AnswerError {
    decode(bytes, request).expect_err("the answer is wrong")
}

/// A block of this author in full.
pub fn block(author: u16) -> Parts {
    let mut parts = Parts::new(FULL, PLAIN);
    (parts.author, parts.signer) = (author, usize::from(author));
    // The own parent comes first, the others by author.
    let before = [0, 1, 2].into_iter().filter(|other| *other != author);
    for (place, other) in std::iter::once(author).chain(before).enumerate() {
        let parent = name(PLAIN - 1, other);
        parts.names[place] = (PLAIN - 1, other, *parent.digest.get().as_bytes());
    }
    parts
}

pub fn reference(parts: &Parts) -> BlockRef {
    parts.header().unwrap().reference()
}

pub fn frames(blocks: &[Parts]) -> Vec<u8> {
    let frames: Vec<Bytes> = blocks.iter().map(Parts::frame).collect();
    types::encode(&frames)
}

/// Asks for the block of member 0 by name and for that of member 1 by place.
pub fn blocks_request() -> Request {
    Request::Blocks {
        names: Bounded::new(vec![reference(&block(0))]).unwrap(),
        slots: Bounded::new(vec![reference(&block(1)).slot()]).unwrap(),
    }
}

/// A chain of commits from this one on; the first ones have a root that is known.
pub fn chain(first: u64, count: u64) -> Vec<Commit> {
    let mut previous = Commit::root(NET.rules.chain, NET.rules.epoch);
    let commits = (0..count).map(|position| {
        let round = 2 * u32::try_from(position).unwrap() + 2;
        let commit = Commit {
            index: CommitIndex::new(first + position),
            previous,
            leader: name(round, 2),
            timestamp: UnixMillis::new(1_000),
            beacon: None,
            blocks: vec![name(round - 1, 0), name(round - 1, 3), name(round, 2)],
        };
        previous = commit.digest();
        commit
    });
    commits.collect()
}

/// A header of this author that votes for the commit.
pub fn vote(author: u16, commit: &Commit) -> SignedHeader<Ed25519Scheme> {
    let mut parts = block(author);
    parts.vote = (commit.index.get(), *commit.digest().get().as_bytes());
    parts.signed()
}

pub fn commits_answer(
    commits: Vec<Commit>,
    votes: Vec<SignedHeader<Ed25519Scheme>>,
) -> CommitsAnswer<Production> {
    CommitsAnswer {
        commits: Bounded::new(commits).unwrap(),
        votes: Bounded::new(votes).unwrap(),
    }
}

/// Member 1's block, and its parents in the round before.
pub fn latest_answer() -> LatestAnswer<Production> {
    let parents: Vec<_> = [0, 1].map(|author| before(author).signed()).into();
    let mut mine = block(1);
    for parent in &parents {
        let named = mine
            .names
            .iter_mut()
            .find(|name| name.1 == parent.header.author.get());
        named.unwrap().2 = *parent.header.digest().get().as_bytes();
    }
    LatestAnswer {
        yours: Some(block(2).signed()),
        mine: Some(mine.signed()),
        parents: Bounded::new(parents).unwrap(),
    }
}

/// A block of the round before.
pub fn before(author: u16) -> Parts {
    Parts {
        round: PLAIN - 1,
        beacon_flag: 1,
        beacon: vec![1; 48],
        ..block(author)
    }
}

#[test]
fn blocks_come_by_name_and_by_place() {
    let answer = decode(&frames(&[block(0), block(1)]), &blocks_request()).unwrap();
    let Answer::Blocks(blocks) = answer else {
        panic!("not blocks: {answer:?}");
    };
    let names: Vec<_> = blocks.iter().map(|block| block.reference()).collect();
    assert_eq!(names, [reference(&block(0)), reference(&block(1))]);
    assert_eq!(
        decode(&frames(&[]), &blocks_request()),
        Ok(Answer::Blocks(Vec::new()))
    );
}

#[test]
fn commits_come_as_a_chain_with_votes() {
    for first in [1, 40, u64::MAX - 2] {
        let commits = chain(first, 3);
        let votes = [0, 1, 3].map(|author| vote(author, &commits[2]));
        let request = Request::Commits {
            first: CommitIndex::new(first),
            most: 3,
        };
        let bytes = types::encode(&commits_answer(commits.clone(), votes.into()));
        let last = commits[2].reference();
        let expected = Answer::Commits {
            votes: [0, 1, 3].map(|author| (index(author), last)).into(),
            commits,
        };
        assert_eq!(decode(&bytes, &request), Ok(expected));
    }
}

#[test]
fn the_latest_blocks_come_with_a_proof_of_their_round() {
    let bytes = types::encode(&latest_answer());
    let latest = |yours, round| {
        Ok(Answer::Latest {
            yours,
            round: Round::new(round),
        })
    };
    assert_eq!(
        decode(&bytes, &Request::Latest),
        latest(Some(reference(&block(2))), PLAIN)
    );
    let nothing = LatestAnswer::<Production> {
        yours: None,
        mine: None,
        parents: Bounded::new(Vec::new()).unwrap(),
    };
    assert_eq!(
        decode(&types::encode(&nothing), &Request::Latest),
        latest(None, 0)
    );
    // Of round 1, whose parents everybody knows.
    let first = Parts { round: 1, ..block(1) };
    let first = LatestAnswer {
        mine: Some(first.signed()),
        ..nothing
    };
    assert_eq!(decode(&types::encode(&first), &Request::Latest), latest(None, 1));
}

#[test]
fn the_largest_request_is_within_its_limit() {
    let slot = name(1, 1).slot();
    let request = Request::Blocks {
        names: Bounded::new(vec![name(u32::MAX, 1_023); MAX_ANSWER_BLOCKS]).unwrap(),
        slots: Bounded::new(vec![slot; MAX_ANSWER_BLOCKS]).unwrap(),
    };
    let bytes = request.encode();
    assert!(bytes.len() <= MAX_REQUEST_BYTES);
    assert_eq!(Request::decode(&bytes), Ok(request));
    for request in [
        Request::Latest,
        Request::Commits {
            first: CommitIndex::MAX,
            most: u16::MAX,
        },
    ] {
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
}

#[test]
fn a_request_that_is_none_is_refused() {
    let too_long = DecodeError::TooLong {
        limit: MAX_REQUEST_BYTES,
        found: MAX_REQUEST_BYTES + 1,
    };
    assert_eq!(Request::decode(&[0; MAX_REQUEST_BYTES + 1]), Err(too_long));
    let names = |count: usize| vec![name(1, 1); count];
    let slots = |count: usize| vec![Slot::default(); count];
    let malformed = [
        Vec::new(),
        vec![3],
        // One name and one place too many.
        [
            &[0][..],
            &types::encode(&(names(MAX_ANSWER_BLOCKS + 1), slots(0))),
        ]
        .concat(),
        [
            &[0][..],
            &types::encode(&(names(0), slots(MAX_ANSWER_BLOCKS + 1))),
        ]
        .concat(),
        // An author beyond all members.
        [&[0, 0, 1][..], &[0, 0, 0, 0], &1_024u16.to_le_bytes()].concat(),
        // A length that nobody could send.
        vec![0, 0xff, 0xff, 0xff, 0xff, 0x07],
        // Bytes behind the end, and too few.
        vec![2, 0],
        [&[1][..], &[0; 11]].concat(),
        [&[1][..], &[0; 9]].concat(),
    ];
    for bytes in malformed {
        let found = Request::decode(&bytes);
        assert!(
            matches!(found, Err(DecodeError::Malformed(_))),
            "{bytes:?}: {found:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_bytes_are_a_request_with_these_bytes_or_none(kind in 0u8..4, bytes in prop::collection::vec(0u8..4, 0..60)) {
        let bytes = [&[kind], &bytes[..]].concat();
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert_eq!(request.encode(), bytes);
        }
    }

    #[test]
    fn any_bytes_in_an_answer_are_no_panic(kind in 0..3, at: prop::sample::Index, cut: prop::sample::Index, with: u8) {
        let (request, mut bytes) = match kind {
            0 => (blocks_request(), frames(&[block(0), block(1)])),
            1 => {
                let commits = chain(1, 3);
                let votes = vec![vote(0, &commits[2])];
                let request = Request::Commits { first: CommitIndex::new(1), most: 3 };
                (request, types::encode(&commits_answer(commits, votes)))
            }
            _ => (Request::Latest, types::encode(&latest_answer())),
        };
        let sound = decode(&bytes, &request);
        prop_assert!(sound.is_ok());
        let at = at.index(bytes.len());
        let is_same = bytes[at] == with;
        bytes[at] = with;
        // Whatever still is an answer is another one: every byte means something.
        let changed = decode(&bytes, &request);
        prop_assert_eq!(changed == sound, is_same);
        prop_assert!(decode(&bytes[..cut.index(bytes.len())], &request).is_err());
    }
}
