//! Blocks of which one field is wrong.

use consensus::BlockError;
use crypto::{Digest, SignatureError};
use types::{ChainId, Epoch, Round};

use crate::kit::{BEACON, COMPACT, FULL, NET, PLAIN, Parts, decode, index, share};

const SHORT: BlockError = BlockError::Malformed("too few bytes");

/// Names what is wrong, makes it so, and what it is refused with.
type Case = (&'static str, Spoil, BlockError);

type Spoil = fn(&mut Parts);

fn refuse(form: u8, round: u32, cases: Vec<Case>) {
    for (what, spoil, expected) in cases {
        let mut parts = Parts::new(form, round);
        assert!(decode(&parts.frame()).is_ok());
        spoil(&mut parts);
        assert_eq!(
            decode(&parts.frame()).map(|_| ()),
            Err(expected),
            "{what}, form {form}"
        );
    }
}

fn unknown_author(author: u16) -> BlockError {
    BlockError::UnknownAuthor { author, members: 4 }
}

fn wrong_epoch(found: u64) -> BlockError {
    BlockError::WrongEpoch {
        expected: Epoch::new(7),
        found: Epoch::new(found),
    }
}

fn parent(round: u32, author: u16, why: &'static str) -> BlockError {
    BlockError::Parent {
        parent: index(author),
        round: Round::new(round),
        why,
    }
}

/// Puts a parent at the end.
fn add(parts: &mut Parts, round: u32, author: u16) {
    parts.names.push((round, author, [7; 32]));
}

/// Gives the last of the named parents, member 3's, another round and author.
fn change(parts: &mut Parts, round: u32, author: u16) {
    parts.names.pop();
    add(parts, round, author);
}

#[test]
fn every_field_out_of_range_is_refused_by_name() {
    for form in [COMPACT, FULL] {
        refuse(
            form,
            PLAIN,
            vec![
                ("another epoch", |p| p.epoch = 6, wrong_epoch(6)),
                ("the last epoch", |p| p.epoch = u64::MAX, wrong_epoch(u64::MAX)),
                ("round 0", |p| p.round = 0, BlockError::Round(Round::ZERO)),
                (
                    "the last round",
                    |p| p.round = u32::MAX,
                    BlockError::Round(Round::MAX),
                ),
                (
                    "author behind the last member",
                    |p| p.author = 4,
                    unknown_author(4),
                ),
                ("the last author", |p| p.author = 1_023, unknown_author(1_023)),
                ("author beyond all", |p| p.author = 1_024, unknown_author(1_024)),
                (
                    "the last number",
                    |p| p.author = u16::MAX,
                    unknown_author(u16::MAX),
                ),
                (
                    "flag of the vote",
                    |p| p.vote_flag = 2,
                    BlockError::Malformed("a flag that is neither 0 nor 1"),
                ),
                (
                    "flag of the beacon",
                    |p| p.beacon_flag = 2,
                    BlockError::Malformed("a flag that is neither 0 nor 1"),
                ),
                (
                    "a share in a round without",
                    |p| {
                        p.beacon_flag = 1;
                        p.beacon = share(1, NET.rules.chain, 7, PLAIN);
                    },
                    BlockError::Beacon(Round::new(PLAIN)),
                ),
            ],
        );
        refuse(
            form,
            BEACON,
            vec![
                (
                    "no share in a round with one",
                    |p| {
                        p.beacon_flag = 0;
                        p.beacon.clear();
                    },
                    BlockError::Beacon(Round::new(BEACON)),
                ),
                (
                    "a share that is no point",
                    |p| p.beacon = vec![0xff; 48],
                    BlockError::Malformed("bytes that are no share of the beacon"),
                ),
            ],
        );
    }
    for form in [2, u8::MAX] {
        let parts = Parts {
            form,
            ..Parts::new(COMPACT, PLAIN)
        };
        assert_eq!(
            decode(&parts.frame()).map(|_| ()),
            Err(BlockError::Malformed("a form that is neither 0 nor 1"))
        );
    }
}

#[test]
fn parents_that_are_not_allowed_are_refused_by_name() {
    for form in [COMPACT, FULL] {
        refuse(
            form,
            PLAIN,
            vec![
                (
                    "of the same round",
                    |p| change(p, PLAIN, 3),
                    parent(PLAIN, 3, "is not of an earlier round"),
                ),
                (
                    "of the last round",
                    |p| change(p, u32::MAX, 3),
                    parent(u32::MAX, 3, "is not of an earlier round"),
                ),
                (
                    "of nobody",
                    |p| change(p, PLAIN - 1, 4),
                    parent(PLAIN - 1, 4, "is no member's"),
                ),
                (
                    "of the last author",
                    |p| change(p, PLAIN - 1, 1_023),
                    parent(PLAIN - 1, 1_023, "is no member's"),
                ),
                (
                    "beyond all authors",
                    |p| change(p, PLAIN - 1, 1_024),
                    BlockError::Malformed("a parent beyond all members"),
                ),
                (
                    "the last number",
                    |p| change(p, PLAIN - 1, u16::MAX),
                    BlockError::Malformed("a parent beyond all members"),
                ),
                (
                    "the second of its author",
                    |p| change(p, PLAIN - 2, 2),
                    parent(PLAIN - 2, 2, "is the second of its author"),
                ),
                (
                    "twice the same",
                    |p| p.names.push(*p.names.last().unwrap()),
                    parent(PLAIN - 2, 3, "is the second of its author"),
                ),
                (
                    "the own one again",
                    |p| change(p, PLAIN - 2, 1),
                    parent(PLAIN - 2, 1, "is the second of its author"),
                ),
                ("fewer than announced", |p| p.names_count = Some(1_024), SHORT),
                (
                    "more than there can be",
                    |p| p.names_count = Some(1_025),
                    BlockError::Malformed("more parents than there can be members"),
                ),
                (
                    "as many as can be announced",
                    |p| p.names_count = Some(u16::MAX),
                    BlockError::Malformed("more parents than there can be members"),
                ),
            ],
        );
    }
}

#[test]
fn parents_in_full_are_complete_and_in_order() {
    refuse(
        FULL,
        PLAIN,
        vec![
            ("none", |p| p.names.clear(), BlockError::NoOwnParent),
            (
                "more than announced",
                |p| p.names_count = Some(0),
                BlockError::NoOwnParent,
            ),
            (
                "without the own one",
                |p| {
                    p.names.remove(0);
                },
                BlockError::NoOwnParent,
            ),
            (
                "the own one second",
                |p| p.names.swap(0, 1),
                BlockError::NoOwnParent,
            ),
            (
                "out of order",
                |p| p.names.swap(1, 2),
                parent(PLAIN - 1, 0, "is out of order"),
            ),
            (
                "one vote too few",
                // 3,333 and 3,332 and 1: the block of member 0 is of the round before that.
                |p| {
                    p.names[1].0 = PLAIN - 2;
                    p.names[3].0 = PLAIN - 1;
                },
                BlockError::NoQuorum { found: 6_666 },
            ),
            (
                "genesis blocks only",
                |p| p.names.iter_mut().for_each(|name| name.0 = 0),
                BlockError::NoQuorum { found: 0 },
            ),
        ],
    );
}

#[test]
fn parents_in_short_are_complete_and_in_order() {
    refuse(
        COMPACT,
        PLAIN,
        vec![
            (
                "none",
                |p| {
                    p.previous.clear();
                    p.names.clear();
                },
                BlockError::NoOwnParent,
            ),
            // What is left of the names is read as payloads.
            ("more than announced", |p| p.names_count = Some(0), SHORT),
            (
                "without the own one",
                |p| p.previous = vec![0b101],
                BlockError::NoOwnParent,
            ),
            (
                "out of order",
                |p| {
                    p.previous = vec![0b011];
                    add(p, PLAIN - 1, 2);
                },
                parent(PLAIN - 1, 2, "is out of order"),
            ),
            (
                "one vote too few",
                |p| {
                    p.previous = vec![0b1110];
                    p.names.clear();
                },
                BlockError::NoQuorum { found: 6_666 },
            ),
            (
                "a set beyond the members",
                |p| p.previous = vec![0b1_0111],
                parent(PLAIN - 1, 4, "is no member's"),
            ),
            (
                "the last bit of the longest set",
                |p| {
                    p.previous = vec![0; 128];
                    p.previous[0] = 0b111;
                    p.previous[127] = 0x80;
                },
                parent(PLAIN - 1, 1_023, "is no member's"),
            ),
            (
                "a set beyond all",
                |p| p.previous = vec![1; 129],
                BlockError::Malformed("bytes that are no set of authors"),
            ),
            (
                "a set with a zero at its end",
                |p| p.previous = vec![0b111, 0],
                BlockError::Malformed("bytes that are no set of authors"),
            ),
            (
                "an empty set of one byte",
                |p| p.previous = vec![0],
                BlockError::Malformed("bytes that are no set of authors"),
            ),
        ],
    );
}

#[test]
fn payloads_beyond_a_limit_are_refused_by_name() {
    for form in [COMPACT, FULL] {
        refuse(
            form,
            PLAIN,
            vec![
                (
                    "one too many",
                    |p| p.set_payloads(&[&[][..]; 6]),
                    BlockError::TooManyPayloads { found: 6, limit: 5 },
                ),
                (
                    "as many as can be announced",
                    |p| p.payloads_count = Some(u32::MAX),
                    BlockError::TooManyPayloads {
                        found: u32::MAX,
                        limit: 5,
                    },
                ),
                (
                    "one byte too long",
                    |p| p.set_payloads(&[&[1; 101]]),
                    BlockError::PayloadTooLong {
                        found: 101,
                        limit: 100,
                    },
                ),
                (
                    "one byte too much",
                    |p| p.set_payloads(&[&[1; 100], &[2; 100], &[3; 89]]),
                    BlockError::TooManyBytes {
                        found: 301,
                        limit: 300,
                    },
                ),
                ("a length beyond the end", |p| p.section[0] = 100, SHORT),
                ("the greatest length", |p| p.section[..4].fill(0xff), SHORT),
                ("more than there are", |p| p.payloads_count = Some(4), SHORT),
                (
                    "fewer than there are",
                    |p| p.payloads_count = Some(2),
                    BlockError::Malformed("bytes behind the last payload"),
                ),
                (
                    "a byte behind them",
                    |p| p.section.push(0),
                    BlockError::Malformed("bytes behind the last payload"),
                ),
                (
                    "bytes of no payload",
                    |p| p.payloads_count = Some(0),
                    BlockError::Malformed("bytes behind the last payload"),
                ),
            ],
        );
    }
}

#[test]
fn a_frame_cut_anywhere_is_too_short() {
    for (form, round) in [(COMPACT, PLAIN), (FULL, PLAIN), (COMPACT, BEACON), (FULL, BEACON)] {
        let frame = Parts::new(form, round).frame();
        for end in 0..frame.len() {
            assert_eq!(decode(&frame.slice(..end)).map(|_| ()), Err(SHORT), "at {end}");
        }
    }
}

#[test]
fn a_changed_byte_is_noticed_but_in_parents_in_short() {
    // Form, place, time, digest, signature, vote and flag; then one byte of the set and one name.
    let start = 1 + 14 + 8 + 32 + 64 + 41 + 1;
    let parents = start..start + 2 + 2 + 38;
    for (form, unsigned) in [(FULL, 0..0), (COMPACT, parents)] {
        let frame = Parts::new(form, PLAIN).frame();
        for at in (0..frame.len()).filter(|at| !unsigned.contains(at)) {
            let mut changed = frame.to_vec();
            changed[at] ^= 1 << (at % 8);
            let verdict = decode(&changed.into()).and_then(|block| block.verify(&NET.members));
            assert!(verdict.is_err(), "form {form}, at {at}");
        }
    }
}

#[test]
fn a_signature_holds_for_its_author_chain_and_block_only() {
    for form in [COMPACT, FULL] {
        let cases: [(&str, Spoil); 6] = [
            ("of another member", |p| p.signer = 2),
            ("of another chain", |p| {
                p.chain = ChainId::new(Digest::of(b"amos"))
            }),
            ("of the block of another epoch", |p| {
                sign_other(p, |other| other.epoch = 6)
            }),
            ("of the block of another author", |p| {
                sign_other(p, |other| other.author = 2)
            }),
            ("of the block of another round", |p| {
                sign_other(p, |other| other.round = 6)
            }),
            ("of another block", |p| sign_other(p, |other| other.timestamp = 9)),
        ];
        for (what, spoil) in cases {
            let mut parts = Parts::new(form, PLAIN);
            spoil(&mut parts);
            let block = decode(&parts.frame()).unwrap();
            assert_eq!(
                block.verify(&NET.members).map(|_| ()),
                Err(BlockError::Signature(SignatureError::Invalid)),
                "{what}"
            );
        }
    }
    // Of a block with other parents, in short.
    let parts = Parts {
        parents_digest: Some([9; 32]),
        ..Parts::new(COMPACT, PLAIN)
    };
    let verdict = decode(&parts.frame()).unwrap().verify(&NET.members);
    assert_eq!(
        verdict.map(|_| ()),
        Err(BlockError::Signature(SignatureError::Invalid))
    );
}

/// Takes the signature of another block.
fn sign_other(parts: &mut Parts, change: fn(&mut Parts)) {
    let mut other = parts.clone();
    change(&mut other);
    parts.digest = other.header().map(|header| header.digest());
}

#[test]
fn a_share_of_the_beacon_is_its_authors_for_its_round_epoch_and_chain() {
    let soma = NET.rules.chain;
    let shares = [
        share(2, soma, 7, BEACON),
        share(1, ChainId::new(Digest::of(b"amos")), 7, BEACON),
        share(1, soma, 6, BEACON),
        share(1, soma, 7, 2 * BEACON),
    ];
    for form in [COMPACT, FULL] {
        for beacon in shares.clone() {
            let parts = Parts {
                beacon,
                ..Parts::new(form, BEACON)
            };
            let verdict = decode(&parts.frame()).unwrap().verify(&NET.members);
            assert_eq!(
                verdict.map(|_| ()),
                Err(BlockError::Share(SignatureError::Invalid))
            );
        }
    }
    // Nobody computes a pairing for a block that its author did not sign.
    let parts = Parts {
        signer: 2,
        beacon: shares[0].clone(),
        ..Parts::new(FULL, BEACON)
    };
    let verdict = decode(&parts.frame()).unwrap().verify(&NET.members);
    assert_eq!(
        verdict.map(|_| ()),
        Err(BlockError::Signature(SignatureError::Invalid))
    );
}
