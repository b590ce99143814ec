//! Sound blocks.

use bytes::Bytes;
use consensus::{BlockError, Parents, SignedBlock};
use crypto::{SignatureError, Verified};
use types::block::parents_digest;
use types::{CommitIndex, Round, UnixMillis};

use crate::kit::{BEACON, COMPACT, FULL, NET, PLAIN, Parts, decode, name, share};

#[test]
fn a_block_is_read_as_it_was_meant_in_both_forms() {
    for round in [PLAIN, BEACON] {
        for form in [COMPACT, FULL] {
            let parts = Parts::new(form, round);
            let frame = parts.frame();
            let block = decode(&frame).unwrap().verify(&NET.members).unwrap();
            let header = parts.header().unwrap();
            assert_eq!(block.reference(), header.reference());
            assert_eq!(
                (block.timestamp(), block.vote(), block.frame()),
                (UnixMillis::new(1_234), header.vote, &frame)
            );
            let payloads: Vec<_> = block.payloads().iter().collect();
            assert_eq!(payloads, [&b"one"[..], b"", b"three"]);
            let late = name(round - 2, 3);
            match block.parents() {
                Parents::Full(names) => {
                    let before = [1, 0, 2].map(|author| name(round - 1, author));
                    assert_eq!(names, &[&before[..], &[late]].concat());
                }
                Parents::Compact { previous, others } => {
                    let previous: Vec<_> = previous.iter().map(types::AuthorityIndex::get).collect();
                    assert_eq!((previous, others), (vec![0, 1, 2], &vec![late]));
                }
            }
        }
    }
}

#[test]
fn both_forms_of_a_block_have_one_name_and_one_signature() {
    let both = [COMPACT, FULL].map(|form| Parts::new(form, BEACON).frame());
    assert_ne!(both[0], both[1]);
    let names = both.map(|frame| decode(&frame).unwrap().reference());
    assert_eq!(names[0], names[1]);
}

#[test]
fn blocks_of_round_1_stand_on_those_that_nobody_signed() {
    let genesis = [1, 0, 2, 3].map(|author| name(0, author));
    for form in [COMPACT, FULL] {
        let mut parts = Parts::new(form, PLAIN);
        parts.round = 1;
        parts.names.clear();
        if form == FULL {
            let written = genesis.map(|name| (0, name.author.get(), *name.digest.get().as_bytes()));
            parts.names.extend(written);
        } else {
            parts.previous = vec![0b1111];
        }
        let block = decode(&parts.frame()).unwrap().verify(&NET.members).unwrap();
        let header = parts.header().unwrap();
        assert_eq!(header.parents[..], genesis);
        assert_eq!(block.reference(), header.reference());
    }
}

#[test]
fn what_no_rule_limits_may_take_any_value() {
    for form in [COMPACT, FULL] {
        let mut parts = Parts::new(form, PLAIN);
        parts.timestamp = u64::MAX;
        parts.vote = (u64::MAX, [0xff; 32]);
        let block = decode(&parts.frame()).unwrap().verify(&NET.members).unwrap();
        assert_eq!(block.timestamp(), UnixMillis::new(u64::MAX));
        assert_eq!(block.vote().map(|vote| vote.index), Some(CommitIndex::MAX));
        parts.round = u32::MAX - 1;
        parts.names = parts
            .names
            .iter()
            .map(|(round, author, digest)| (round + (u32::MAX - 1 - PLAIN), *author, *digest))
            .collect();
        let block = decode(&parts.frame()).unwrap().verify(&NET.members).unwrap();
        assert_eq!(block.reference().round.next(), Some(Round::MAX));
    }
}

#[test]
fn a_block_may_be_as_large_as_the_rules_say() {
    let mut parts = Parts::new(COMPACT, PLAIN);
    // 5 payloads, one of 100 bytes, 300 bytes with four for the length of each.
    parts.set_payloads(&[&[1; 100], &[2; 90], &[3; 90], b"", b""]);
    let block = decode(&parts.frame()).unwrap();
    assert_eq!((block.payloads().len(), block.payloads().bytes()), (5, 300));
    let shared: Vec<Bytes> = block.payloads().shared().collect();
    assert_eq!(shared[1], vec![2; 90]);
}

#[test]
fn of_many_blocks_checked_at_once_the_false_ones_fall_alone() {
    let sound = |author: u16| {
        let mut parts = Parts::new(COMPACT, BEACON);
        (parts.author, parts.signer) = (author, usize::from(author));
        parts.beacon = share(usize::from(author), NET.rules.chain, 7, BEACON);
        parts
    };
    let mut forged = sound(1);
    forged.signer = 2;
    let mut foreign = sound(2);
    foreign.beacon = share(1, NET.rules.chain, 7, BEACON);
    let blocks: Vec<SignedBlock<_>> = [&sound(0), &forged, &sound(1), &foreign, &sound(2)]
        .map(|parts| decode(&parts.frame()).unwrap())
        .into();
    let verdicts: Vec<_> = SignedBlock::verify_all(blocks.clone(), &NET.members)
        .into_iter()
        .map(|verdict| verdict.map(Verified::into_inner))
        .collect();
    let expected = [
        Ok(blocks[0].clone()),
        Err(BlockError::Signature(SignatureError::Invalid)),
        Ok(blocks[2].clone()),
        Err(BlockError::Share(SignatureError::Invalid)),
        Ok(blocks[4].clone()),
    ];
    assert_eq!(verdicts, expected);
    assert!(SignedBlock::verify_all(Vec::new(), &NET.members).is_empty());
}

#[test]
fn whoever_passes_a_block_on_can_change_nothing_but_parents_in_short() {
    for form in [COMPACT, FULL] {
        let sound = Parts::new(form, PLAIN);
        let signed = sound.header().unwrap();
        let changes: [fn(&mut Parts); 4] = [
            |p| p.timestamp = 9,
            |p| p.vote.0 = u64::MAX,
            |p| p.vote_flag = 0,
            |p| p.set_payloads(&[b"two"]),
        ];
        for change in changes {
            let mut parts = sound.clone();
            change(&mut parts);
            parts.digest = Some(signed.digest());
            let block = decode(&parts.frame()).unwrap();
            assert_ne!(block.reference(), signed.reference());
            assert!(block.verify(&NET.members).is_err());
        }
        // Other parents beside the digest of the right ones.
        let mut parts = sound.clone();
        parts.names.last_mut().unwrap().2 = [9; 32];
        parts.digest = Some(signed.digest());
        parts.parents_digest = Some(*parents_digest(&signed.parents).as_bytes());
        let block = decode(&parts.frame()).unwrap();
        assert_eq!(block.reference() == signed.reference(), form == COMPACT);
        assert_eq!(block.verify(&NET.members).is_ok(), form == COMPACT);
    }
}
