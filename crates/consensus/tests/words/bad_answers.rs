//! Answers of which one thing is wrong. Member 1 answers member 2.

use consensus::messages::{LatestAnswer, MAX_ANSWER_BLOCKS, MAX_ANSWER_COMMITS, MAX_FRAME_BYTES};
use consensus::{AnswerError, BlockError, Production, Request};
use crypto::{Digest, Ed25519Scheme, SignatureError};
use types::{Bounded, ChainId, Commit, CommitDigest, CommitIndex, DecodeError, Epoch, Round, SignedHeader};

use crate::answers::{
    before, block, blocks_request, chain, commits_answer, decode, frames, latest_answer, reference, refused,
    vote,
};
use crate::kit::{COMPACT, PLAIN, Parts, index};

fn header(author: u16, round: u32, why: &'static str) -> AnswerError {
    AnswerError::Header {
        author: index(author),
        round: Round::new(round),
        why,
    }
}

const FORGED: AnswerError = AnswerError::Signature(SignatureError::Invalid);

fn is_malformed(error: &AnswerError) -> bool {
    matches!(error, AnswerError::Decode(DecodeError::Malformed(_)))
}

fn commits_request(first: u64, most: u16) -> Request {
    Request::Commits {
        first: CommitIndex::new(first),
        most,
    }
}

#[test]
fn bytes_that_are_no_answer_are_refused() {
    let requests = [blocks_request(), commits_request(1, 3), Request::Latest];
    for request in &requests {
        let too_long = DecodeError::TooLong {
            limit: MAX_FRAME_BYTES,
            found: MAX_FRAME_BYTES + 1,
        };
        let found = refused(&vec![0; MAX_FRAME_BYTES + 1], request);
        assert_eq!(found, AnswerError::Decode(too_long));
        for bytes in [&b""[..], &[0xff; 9], &[0xff, 0xff, 0xff, 0xff, 0x07], &[0; 9]] {
            let found = refused(bytes, request);
            assert!(is_malformed(&found), "{request:?}, {bytes:?}: {found:?}");
        }
    }
    // The answer to another question.
    let commits = types::encode(&commits_answer(chain(1, 1), Vec::new()));
    assert!(is_malformed(&refused(&commits, &Request::Latest)));
    assert!(decode(&frames(&[block(0)]), &commits_request(1, 3)).is_err());
}

#[test]
fn blocks_that_were_not_asked_for_are_refused() {
    let unasked = |parts: &Parts| AnswerError::Unasked(reference(parts));
    let request = blocks_request();
    let elsewhere = block(2);
    let other = |author| Parts {
        timestamp: 9,
        ..block(author)
    };
    let cases = [
        (vec![block(0), elsewhere.clone()], unasked(&elsewhere)),
        // Member 0's block was asked for by name, and it is another one.
        (vec![other(0)], unasked(&other(0))),
        (vec![block(0), block(0)], unasked(&block(0))),
        (vec![block(1), block(0), block(1)], unasked(&block(1))),
    ];
    for (blocks, expected) in cases {
        assert_eq!(refused(&frames(&blocks), &request), expected);
    }
    // Member 1's was asked for by place: whichever it is.
    assert!(decode(&frames(&[block(0), other(1)]), &request).is_ok());
    // Nothing was asked for.
    let nothing = Request::Blocks {
        names: Bounded::new(Vec::new()).unwrap(),
        slots: Bounded::new(Vec::new()).unwrap(),
    };
    assert_eq!(refused(&frames(&[block(1)]), &nothing), unasked(&block(1)));
    assert!(decode(&frames(&[]), &nothing).is_ok());
}

#[test]
fn blocks_that_are_none_are_refused() {
    let request = blocks_request();
    let wrong = Parts { epoch: 6, ..block(1) };
    let expected = BlockError::WrongEpoch {
        expected: Epoch::new(7),
        found: Epoch::new(6),
    };
    assert_eq!(refused(&frames(&[block(0), wrong]), &request), expected.into());
    let forged = Parts {
        signer: 2,
        ..block(1)
    };
    let expected = BlockError::Signature(SignatureError::Invalid);
    assert_eq!(refused(&frames(&[block(0), forged]), &request), expected.into());
    let short = BlockError::Malformed("too few bytes");
    assert_eq!(
        refused(&types::encode(&vec![bytes::Bytes::new()]), &request),
        short.into()
    );
    // In short, whoever answers could have changed it.
    let short = Parts::new(COMPACT, PLAIN);
    assert_eq!(
        refused(&frames(std::slice::from_ref(&short)), &request),
        AnswerError::InShort(reference(&short))
    );
    let many = vec![block(1); MAX_ANSWER_BLOCKS + 1];
    assert!(is_malformed(&refused(&frames(&many), &request)));
}

#[test]
fn commits_that_are_no_chain_are_refused() {
    let bad = |index, why| AnswerError::Commit {
        index: CommitIndex::new(index),
        why,
    };
    let gap = |expected, found| AnswerError::Chain {
        expected: CommitIndex::new(expected),
        found: CommitIndex::new(found),
    };
    type Spoil = fn(&mut Vec<Commit>);
    let cases: Vec<(&str, u64, Spoil, AnswerError)> = vec![
        ("a gap", 1, |c| drop(c.remove(1)), gap(2, 3)),
        ("a later start", 1, |c| drop(c.remove(0)), gap(1, 2)),
        ("the same twice", 1, |c| c.insert(1, c[0].clone()), gap(2, 1)),
        ("backwards", 1, |c| c.reverse(), gap(1, 3)),
        ("commit 0", 1, |c| c[0].index = CommitIndex::ZERO, gap(1, 0)),
        (
            "the last number",
            1,
            |c| c[1].index = CommitIndex::MAX,
            gap(2, u64::MAX),
        ),
        (
            "one behind the last number",
            u64::MAX - 2,
            |c| c.push(chain(u64::MAX - 2, 3).remove(0)),
            gap(u64::MAX, u64::MAX - 2),
        ),
        (
            "the last number twice",
            u64::MAX - 2,
            |c| {
                let mut last = c[2].clone();
                last.previous = last.digest();
                c.push(last);
            },
            gap(u64::MAX, u64::MAX),
        ),
        (
            "another root",
            1,
            |c| c[0].previous = CommitDigest::new(Digest::ZERO),
            bad(1, "does not name the one before"),
        ),
        (
            "a broken link",
            1,
            |c| c[2].previous = c[0].digest(),
            bad(3, "does not name the one before"),
        ),
        (
            "no blocks",
            1,
            |c| c[0].blocks.clear(),
            bad(1, "does not end with its leader"),
        ),
        (
            "another leader",
            1,
            |c| c[0].leader = c[0].blocks[0],
            bad(1, "does not end with its leader"),
        ),
        (
            "out of order",
            1,
            |c| c[0].blocks.swap(0, 1),
            bad(1, "has blocks out of order"),
        ),
        (
            "a block twice",
            1,
            |c| c[0].blocks[0] = c[0].blocks[1],
            bad(1, "has blocks out of order"),
        ),
        (
            "no member's block",
            1,
            |c| c[0].blocks[1].author = index(4),
            bad(1, "has a block that is no member's"),
        ),
        (
            "the last author's block",
            1,
            |c| c[0].blocks[1].author = index(1_023),
            bad(1, "has a block that is no member's"),
        ),
    ];
    for (what, first, spoil, expected) in cases {
        let mut commits = chain(first, 3);
        spoil(&mut commits);
        let bytes = types::encode(&commits_answer(commits, Vec::new()));
        assert_eq!(refused(&bytes, &commits_request(first, 9)), expected, "{what}");
    }
}

#[test]
fn more_commits_than_were_asked_for_are_refused() {
    let bytes = types::encode(&commits_answer(chain(1, 3), Vec::new()));
    for most in [0, 1, 2] {
        let expected = AnswerError::TooMany {
            found: 3,
            limit: most,
        };
        assert_eq!(refused(&bytes, &commits_request(1, most)), expected);
    }
    assert!(decode(&bytes, &commits_request(1, 3)).is_ok());
    let many = chain(1, u64::try_from(MAX_ANSWER_COMMITS).unwrap() + 1);
    let bytes = types::encode(&(many, Vec::<SignedHeader<Ed25519Scheme>>::new()));
    assert!(is_malformed(&refused(&bytes, &commits_request(1, u16::MAX))));
}

#[test]
fn votes_that_are_none_are_refused() {
    let commits = chain(1, 3);
    let voting = |author| {
        let mut parts = block(author);
        parts.vote = (3, *commits[2].digest().get().as_bytes());
        parts
    };
    type Spoil = fn(&mut Parts);
    let cases: Vec<(&str, Spoil, AnswerError)> = vec![
        (
            "nothing",
            |p| p.vote_flag = 0,
            header(1, PLAIN, "votes for nothing"),
        ),
        ("epoch", |p| p.epoch = 6, header(1, PLAIN, "is of another epoch")),
        (
            "epoch",
            |p| p.epoch = u64::MAX,
            header(1, PLAIN, "is of another epoch"),
        ),
        ("author", |p| p.author = 4, header(4, PLAIN, "is no member's")),
        (
            "author",
            |p| p.author = 1_023,
            header(1_023, PLAIN, "is no member's"),
        ),
        (
            "round",
            |p| p.round = 0,
            header(1, 0, "is of a round without signed blocks"),
        ),
        (
            "round",
            |p| p.round = u32::MAX,
            header(1, u32::MAX, "is of a round without signed blocks"),
        ),
        (
            "the second of an author",
            |p| (p.author, p.signer) = (0, 0),
            header(0, PLAIN, "is the second of its author"),
        ),
        ("signature", |p| p.signer = 2, FORGED),
        ("chain", |p| p.chain = ChainId::new(Digest::of(b"amos")), FORGED),
    ];
    for (what, spoil, expected) in cases {
        let mut parts = voting(1);
        spoil(&mut parts);
        let votes = vec![vote(0, &commits[2]), parts.signed(), vote(3, &commits[2])];
        let bytes = types::encode(&commits_answer(commits.clone(), votes));
        assert_eq!(refused(&bytes, &commits_request(1, 3)), expected, "{what}");
    }
    // Signatures of two headers in each other's place.
    let mut votes = [0, 1].map(|author| vote(author, &commits[2]));
    (votes[0].signature, votes[1].signature) = (votes[1].signature, votes[0].signature);
    let bytes = types::encode(&commits_answer(commits.clone(), votes.into()));
    assert_eq!(refused(&bytes, &commits_request(1, 3)), FORGED);
    // More than there can be members.
    let many = vec![vote(0, &commits[2]); 1_025];
    assert!(is_malformed(&refused(
        &types::encode(&(commits, many)),
        &commits_request(1, 3)
    )));
}

#[test]
fn latest_blocks_that_prove_nothing_are_refused() {
    type Spoil = fn(&mut LatestAnswer<Production>);
    const ALIEN: &str = "is no parent in the round before";
    let cases: Vec<(&str, Spoil, AnswerError)> = vec![
        (
            "another member's block for the asker's",
            |a| a.yours = Some(block(0).signed()),
            header(0, PLAIN, "is not the asker's"),
        ),
        (
            "another member's block for the answerer's",
            |a| a.mine = Some(block(0).signed()),
            header(0, PLAIN, "is not the answerer's"),
        ),
        (
            "nobody's block for the asker's",
            |a| a.yours = Some(changed(2, |p| p.author = 4)),
            header(4, PLAIN, "is no member's"),
        ),
        (
            "another epoch's block for the asker's",
            |a| a.yours = Some(changed(2, |p| p.epoch = 8)),
            header(2, PLAIN, "is of another epoch"),
        ),
        (
            "the last round for the asker's",
            |a| a.yours = Some(changed(2, |p| p.round = u32::MAX)),
            header(2, u32::MAX, "is of a round without signed blocks"),
        ),
        (
            "another epoch's block for the answerer's",
            |a| a.mine = Some(changed(1, |p| p.epoch = 8)),
            header(1, PLAIN, "is of another epoch"),
        ),
        (
            "a block that the asker did not sign",
            |a| a.yours = Some(changed(2, |p| p.signer = 1)),
            FORGED,
        ),
        (
            "no proof",
            |a| a.parents = Bounded::new(Vec::new()).unwrap(),
            header(1, PLAIN, "comes without a quorum of parents"),
        ),
        (
            "a proof without a quorum",
            |a| parents(a, |parents| drop(parents.pop())),
            header(1, PLAIN, "comes without a quorum of parents"),
        ),
        (
            "a parent twice",
            |a| parents(a, |parents| parents.push(parents[0].clone())),
            header(0, PLAIN - 1, "is the second of its author"),
        ),
        (
            "a block that is no parent",
            |a| parents(a, |parents| parents.push(before(2).signed())),
            header(2, PLAIN - 1, ALIEN),
        ),
        (
            "a parent of an earlier round",
            |a| {
                let early = Parts {
                    round: PLAIN - 2,
                    ..before(3)
                };
                let mut mine = block(1);
                mine.names[3].2 = *reference(&early).digest.get().as_bytes();
                a.mine = Some(mine.signed());
                a.parents = Bounded::new(vec![early.signed()]).unwrap();
            },
            header(3, PLAIN - 2, ALIEN),
        ),
        (
            "parents of no block",
            |a| a.mine = None,
            header(0, PLAIN - 1, ALIEN),
        ),
        (
            "parents of a block of round 1",
            |a| a.mine = Some(changed(1, |p| p.round = 1)),
            header(0, PLAIN - 1, ALIEN),
        ),
        (
            "a parent of nobody",
            |a| {
                parents(a, |parents| {
                    parents[0] = Parts {
                        author: 4,
                        ..before(0)
                    }
                    .signed()
                })
            },
            header(4, PLAIN - 1, "is no member's"),
        ),
        (
            "a parent that its author did not sign",
            |a| parents(a, |parents| parents[1].signature = parents[0].signature),
            FORGED,
        ),
    ];
    for (what, spoil, expected) in cases {
        let mut answer = latest_answer();
        spoil(&mut answer);
        assert_eq!(
            refused(&types::encode(&answer), &Request::Latest),
            expected,
            "{what}"
        );
    }
}

fn changed(author: u16, change: fn(&mut Parts)) -> SignedHeader<Ed25519Scheme> {
    let mut parts = block(author);
    change(&mut parts);
    parts.signed()
}

fn parents(
    answer: &mut LatestAnswer<Production>,
    change: impl FnOnce(&mut Vec<SignedHeader<Ed25519Scheme>>),
) {
    let mut parents = answer.parents.to_vec();
    change(&mut parents);
    answer.parents = Bounded::new(parents).unwrap();
}
