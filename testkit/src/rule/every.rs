//! All graphs of four authors with equal stakes, of which at most one equivocates, up to symmetry.
//!
//! Parents are those of the round below, three authors or four of them, the own block with them; an author that has no
//! block there names its latest one besides. Round 1 names all genesis blocks. An author makes at most two blocks in a
//! round, and only one author two.
//!
//! The rule knows a block by its slot and its parents, and a slot that no leader has by nothing at all. So two graphs are
//! the same case when the one becomes the other by exchanging, in each round by itself, slots that have no leader, and
//! the two blocks of the equivocator; leaders and the equivocator go with their slots. One graph of each case is visited.
//! Its authors are then put so that all own blocks fit, with a table of leaders that belongs to that graph.
//!
//! A round is added to a case in all ways, up to the symmetries that the rounds below still have (its automorphisms);
//! so each case is reached once and nothing that was visited has to be remembered.

use std::collections::BTreeSet;
use std::slice;

use super::{Block, Graph, equal_stakes};

const AUTHORS: usize = 4;
const QUORUM: usize = 3;
const EQUIVOCATOR: usize = 3;
const START_MS: u64 = 1_000;

/// How many graphs there are to visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What varies in round 1, in round 2 and so on.
    pub rounds: Vec<Freedom>,
    /// Leader slots in each round.
    pub leaders: usize,
    /// In how many rounds the equivocator may have two blocks.
    pub twins: usize,
}

/// What varies in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freedom {
    /// Which blocks there are, and the parents of each.
    All,
    /// The parents of each of four blocks.
    Parents,
    /// The parents of the leaders' blocks. The others are there and name all slots, with the first block of each.
    Leaders,
    /// Nothing: four blocks that name all slots, with the first block of each.
    None,
}

/// Shows each case, and those with fewer rounds, to `visit` with the leaders of each of its rounds.
pub fn for_each_graph(limits: &Limits, mut visit: impl FnMut(&Graph, &[Vec<usize>])) {
    let genesis = Level {
        slots: vec![vec![0]; AUTHORS],
        symmetries: BTreeSet::from([IDENTITY]),
        seatings: SEATINGS.to_vec(),
    };
    extend(limits, &mut vec![genesis], 0, &mut visit);
}

/// One round: for each slot its blocks, and of each block its parents as a set of the blocks of the round below, which
/// are numbered slot by slot. The first slots are the leaders'.
#[derive(Clone)]
struct Level {
    slots: Vec<Vec<u8>>,
    /// How its blocks can be exchanged so that the rounds up to it stay what they are.
    symmetries: BTreeSet<Exchange>,
    /// Which author can sit at each of its slots.
    seatings: Vec<[usize; AUTHORS]>,
}

/// Where each block of a round goes. A round has five blocks at most.
type Exchange = [u8; 5];

const IDENTITY: Exchange = [0, 1, 2, 3, 4];

fn extend(
    limits: &Limits,
    levels: &mut Vec<Level>,
    twins: usize,
    visit: &mut impl FnMut(&Graph, &[Vec<usize>]),
) {
    if levels.len() > 1 {
        let (graph, leaders) = build(limits, levels);
        visit(&graph, &leaders);
    }
    let top = levels[levels.len() - 1].clone();
    let present = top.slots.iter().filter(|slot| !slot.is_empty()).count();
    let Some(&freedom) = limits.rounds.get(levels.len() - 1) else {
        return;
    };
    if present < QUORUM {
        return;
    }
    // What is at the top is not extended: any seating will do, and no slot of it can be decided, so none is a leader's.
    let is_last = levels.len() == limits.rounds.len();
    let leaders = if is_last { 0 } else { limits.leaders };
    let first_round = levels.len() == 1;
    for slots in rounds_above(leaders, &top, freedom, first_round, twins < limits.twins) {
        if !is_first_of_its_case(&top, &slots, leaders) {
            continue;
        }
        let seatings = fitting(&top, &slots, if is_last { 1 } else { SEATINGS.len() });
        if seatings.is_empty() {
            continue;
        }
        let symmetries = match is_last {
            true => BTreeSet::new(),
            false => symmetries(&top, &slots, leaders),
        };
        let more = usize::from(slots.iter().any(|slot| slot.len() == 2));
        levels.push(Level {
            slots,
            symmetries,
            seatings,
        });
        extend(limits, levels, twins + more, visit);
        levels.pop();
    }
}

/// All rounds above `below`, with slots that no leader has in ascending order.
fn rounds_above(
    leaders: usize,
    below: &Level,
    freedom: Freedom,
    first_round: bool,
    may_twin: bool,
) -> Vec<Vec<Vec<u8>>> {
    let choices = choices(below);
    let usual = &choices[..1];
    let contents = |choices: &[u8], free: bool| {
        let mut contents: Vec<Vec<u8>> = choices.iter().map(|&choice| vec![choice]).collect();
        if free {
            contents.push(Vec::new());
        }
        if free && may_twin {
            for (place, &first) in choices.iter().enumerate() {
                contents.extend(choices[place..].iter().map(|&second| vec![first, second]));
            }
        }
        contents.sort();
        contents
    };
    let all = match first_round {
        true => usual,
        false => &choices,
    };
    let (of_leaders, of_others) = match freedom {
        Freedom::All => (contents(all, true), contents(all, true)),
        Freedom::Parents => (contents(all, false), contents(all, false)),
        Freedom::Leaders => (contents(all, false), contents(usual, false)),
        Freedom::None => (contents(usual, false), contents(usual, false)),
    };
    let mut rounds = vec![Vec::new()];
    for place in 0..AUTHORS {
        let contents = match place < leaders {
            true => &of_leaders,
            false => &of_others,
        };
        rounds = rounds
            .iter()
            .flat_map(|round: &Vec<Vec<u8>>| contents.iter().map(move |slot| (round, slot)))
            .filter(|(round, slot)| place <= leaders || round[place - 1] <= **slot)
            .filter(|(round, slot)| slot.len() < 2 || round.iter().all(|other| other.len() < 2))
            .map(|(round, slot)| [round.as_slice(), slice::from_ref(slot)].concat())
            .collect();
    }
    rounds.retain(|round| round.iter().any(|slot| !slot.is_empty()));
    rounds
}

/// The sets of parents that a block can have. The first one is the usual one: all slots, and the first block of each.
fn choices(below: &Level) -> Vec<u8> {
    let mut choices: Vec<(u8, usize)> = vec![(0, 0)];
    let mut next = 0;
    for slot in &below.slots {
        let blocks: Vec<u8> = (next..next + slot.len()).map(|block| 1 << block).collect();
        next += slot.len();
        let longer = choices.iter().flat_map(|&(set, authors)| {
            let with = blocks.iter().map(move |block| (set | block, authors + 1));
            with.chain([(set, authors)])
        });
        choices = longer.collect();
    }
    choices.retain(|&(_, authors)| authors >= QUORUM);
    choices.into_iter().map(|(set, _)| set).collect()
}

/// Whether no exchange below makes a round of the same case that comes before this one.
fn is_first_of_its_case(below: &Level, slots: &[Vec<u8>], leaders: usize) -> bool {
    let itself = in_order(&IDENTITY, slots, leaders);
    let mut others = below.symmetries.iter().filter(|&symmetry| *symmetry != IDENTITY);
    others.all(|symmetry| in_order(symmetry, slots, leaders) >= itself)
}

/// A round after an exchange below, with what can be exchanged in it in ascending order.
fn in_order(symmetry: &Exchange, slots: &[Vec<u8>], leaders: usize) -> Vec<Vec<u8>> {
    let mut image = slots.to_vec();
    for slot in &mut image {
        slot.iter_mut().for_each(|set| *set = exchange(symmetry, *set));
        slot.sort();
    }
    image[leaders..].sort();
    image
}

/// The ways to exchange the blocks of a new round that an exchange below undoes.
fn symmetries(below: &Level, slots: &[Vec<u8>], leaders: usize) -> BTreeSet<Exchange> {
    let mut found = BTreeSet::new();
    let firsts: Vec<usize> = (0..AUTHORS)
        .map(|place| slots[..place].iter().map(Vec::len).sum())
        .collect();
    for seating in SEATINGS {
        let keeps_leaders = (0..leaders).all(|place| seating[place] == place);
        let keeps_sizes = (0..AUTHORS).all(|place| slots[place].len() == slots[seating[place]].len());
        if !keeps_leaders || !keeps_sizes {
            continue;
        }
        for swap in [0, 1] {
            let mut to = IDENTITY;
            let mut moves = Vec::new();
            for (place, slot) in slots.iter().enumerate() {
                for (number, &set) in slot.iter().enumerate() {
                    let other = if slot.len() == 2 { number ^ swap } else { number };
                    moves.push((set, slots[seating[place]][other]));
                    to[firsts[place] + number] = (firsts[seating[place]] + other) as u8;
                }
            }
            let undoes =
                |symmetry: &Exchange| moves.iter().all(|&(set, image)| exchange(symmetry, set) == image);
            if below.symmetries.iter().any(undoes) {
                found.insert(to);
            }
        }
    }
    found
}

fn exchange(symmetry: &Exchange, set: u8) -> u8 {
    let bits = symmetry.iter().enumerate();
    bits.filter(|(from, _)| set & (1 << from) != 0)
        .fold(0, |image, (_, to)| image | (1 << to))
}

/// All ways in which four authors sit at four slots.
const SEATINGS: [[usize; AUTHORS]; 24] = {
    let mut all = [[0; AUTHORS]; 24];
    let (mut found, mut number) = (0, 0);
    while number < 256 {
        let seating = [number / 64, number / 16 % 4, number / 4 % 4, number % 4];
        if (1 << seating[0] | 1 << seating[1] | 1 << seating[2] | 1 << seating[3]) == 0b1111 {
            all[found] = seating;
            found += 1;
        }
        number += 1;
    }
    all
};

/// The seatings of a new round for which one below fits, up to `most` of them.
fn fitting(below: &Level, slots: &[Vec<u8>], most: usize) -> Vec<[usize; AUTHORS]> {
    let twins = slots.iter().position(|slot| slot.len() == 2);
    let may_be = |seating: &[usize; AUTHORS]| {
        let mut under = below.seatings.iter();
        twins.is_none_or(|place| seating[place] == EQUIVOCATOR)
            && under.any(|under| fits(below, under, slots, seating))
    };
    SEATINGS.into_iter().filter(may_be).take(most).collect()
}

/// Whether each author that has blocks in both rounds names an own one.
fn fits(below: &Level, under: &[usize; AUTHORS], slots: &[Vec<u8>], seating: &[usize; AUTHORS]) -> bool {
    let mut own = [0; AUTHORS];
    let mut next = 0;
    for (place, slot) in below.slots.iter().enumerate() {
        for _ in slot {
            own[under[place]] |= 1_u8 << next;
            next += 1;
        }
    }
    let names_own = |(slot, &author): (&Vec<u8>, &usize)| {
        own[author] == 0 || slot.iter().all(|set| set & own[author] != 0)
    };
    slots.iter().zip(seating).all(names_own)
}

/// The graph of a case and the leaders of its rounds.
fn build(limits: &Limits, levels: &[Level]) -> (Graph, Vec<Vec<usize>>) {
    let mut seated: Vec<[usize; AUTHORS]> = vec![levels[levels.len() - 1].seatings[0]];
    for pair in levels.windows(2).rev() {
        let above = seated[seated.len() - 1];
        let under = pair[0]
            .seatings
            .iter()
            .find(|under| fits(&pair[0], under, &pair[1].slots, &above));
        seated.push(*under.expect("a seating is kept only if one below fits"));
    }
    seated.reverse();

    let mut graph = Graph::new(equal_stakes(4), START_MS);
    let mut below: Vec<usize> = seated[0].to_vec();
    let mut latest: Vec<usize> = (0..AUTHORS).collect();
    for (round, (level, seating)) in levels.iter().zip(&seated).enumerate().skip(1) {
        let mut blocks = Vec::new();
        for (slot, &author) in level.slots.iter().zip(seating) {
            for (twin, set) in slot.iter().enumerate() {
                let named = below.iter().enumerate();
                let mut parents: Vec<usize> = named
                    .filter(|(place, _)| set & (1 << place) != 0)
                    .map(|(_, &block)| block)
                    .collect();
                if graph.slot(round as u32 - 1, author).is_empty() {
                    parents.push(latest[author]);
                }
                let block = Block {
                    round: round as u32,
                    author,
                    digest: [twin as u8; 32],
                    timestamp_ms: START_MS + 100 * round as u64 + 7 * author as u64,
                    parents,
                };
                blocks.push(graph.add(block).expect("cases are made of blocks that fit"));
            }
        }
        for &block in blocks.iter().rev() {
            latest[graph.blocks()[block].author] = block;
        }
        below = blocks;
    }
    let leaders = seated[1..]
        .iter()
        .map(|seating| seating[..limits.leaders].to_vec());
    (graph, leaders.collect())
}
