//! What a block costs on the wire besides its payloads.

use bytes::Bytes;
use consensus::{Member, Members, Production, Rules, SignedBlock};
use types::VotingPower;

use crate::kit::{BEACON, COMPACT, FULL, NET, PLAIN, Parts, name};

/// A committee of this size, of one set of keys: they have no say in sizes.
fn members(size: u16) -> Members<Production> {
    let power = |n: u16| 10_000 / size + u16::from(n < 10_000 % size);
    let member = |n| Member {
        power: VotingPower::new(power(n)),
        block_key: NET.blocks[0].public(),
        beacon_key: NET.beacons[0].public(),
    };
    Members::new(NET.rules.epoch, (0..size).map(member).collect()).unwrap()
}

/// A frame of member 1 of a committee of this size, with all parents, of which so many have to be named.
fn frame(size: u16, named: u16, round: u32) -> Bytes {
    let mut parts = Parts::new(COMPACT, round);
    parts.previous = vec![0; usize::from(size.div_ceil(8))];
    for author in (0..size).filter(|author| *author < 2 || *author >= 2 + named) {
        parts.previous[usize::from(author / 8)] |= 1 << (author % 8);
    }
    let names = (2..2 + named).map(|author| {
        let parent = name(round - 2, author);
        (round - 2, author, *parent.digest.get().as_bytes())
    });
    parts.names = names.collect();
    parts.set_payloads(&[&[7; 90], &[8; 90]]);
    parts.frame()
}

/// Bytes of the frame that are neither payloads nor their lengths.
fn metadata(size: u16, named: u16, round: u32) -> usize {
    let frame = frame(size, named, round);
    let rules = Rules {
        beacon_stride: NET.rules.beacon_stride,
        ..Rules::new(NET.rules.chain, NET.rules.epoch, NET.rules.start)
    };
    let block = SignedBlock::decode(&frame, &rules, &members(size)).unwrap();
    frame.len() - block.payloads().bytes()
}

/// The table in the doc of `consensus::wire`.
#[test]
fn a_block_of_a_hundred_members_that_names_up_to_four_parents_costs_less_than_400_bytes() {
    let row = |size| [0, 1, 3].map(|named| [PLAIN, BEACON].map(|round| metadata(size, named, round)));
    assert_eq!(row(100), [[181, 229], [219, 267], [295, 343]]);
    assert_eq!(row(120), [[183, 231], [221, 269], [297, 345]]);
    assert_eq!(
        [4, 5, 6].map(|named| metadata(100, named, PLAIN)),
        [333, 371, 409]
    );
    assert!([100, 120].into_iter().all(|size| metadata(size, 4, BEACON) < 400));
}

#[test]
fn a_block_of_the_largest_committee_is_read_in_both_forms() {
    const SIZE: u16 = 1_024;
    assert_eq!(metadata(SIZE, 0, PLAIN), 181 - 13 + 128);
    let mut parts = Parts::new(FULL, PLAIN);
    let own_first = std::iter::once(1).chain((0..SIZE).filter(|author| *author != 1));
    let names = own_first.map(|author| {
        let parent = name(PLAIN - 1, author);
        (PLAIN - 1, author, *parent.digest.get().as_bytes())
    });
    parts.names = names.collect();
    let block = SignedBlock::decode(&parts.frame(), &NET.rules, &members(SIZE)).unwrap();
    assert_eq!(block.reference(), parts.header().unwrap().reference());
}
