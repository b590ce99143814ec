use std::collections::BTreeMap;

use crypto::Digest;
use types::{BlockDigest, Commit, CommitIndex, Round, UnixMillis};

use super::*;
use crate::kit::{Made, block as made, core, genesis, index, members, now};
use crate::set::AuthoritySet;
use crate::{Answer, AskId, Event, Members, Pace, Production, Request, Restored};

const MEMBERS: u8 = 28;

/// Members above are Byzantine: as many as may be.
const HONEST: u8 = 19;

#[path = "attacks.rs"]
mod attacks;
#[path = "halts.rs"]
mod halts;

fn block_with(
    members: &Members<Production>,
    slot: (u8, u32, u64),
    parents: Vec<BlockRef>,
    plain: &AuthoritySet,
) -> Made {
    let block = made(slot, parents, plain);
    SignedBlock::decode(block.frame(), &crate::kit::rules(), members).expect("it is one that peers can send");
    block.verify(members).unwrap()
}

fn block(members: &Members<Production>, author: u8, round: u32, parents: Vec<BlockRef>) -> Made {
    block_with(members, (author, round, 0), parents, &AuthoritySet::EMPTY)
}

/// The own one first, the others ascending.
fn parents(author: u8, of: impl Fn(u8) -> BlockRef) -> Vec<BlockRef> {
    let others = (0..HONEST).filter(|other| *other != author);
    std::iter::once(author).chain(others).map(of).collect()
}

fn made_up(round: u32, author: u8, salt: u32) -> BlockRef {
    let digest = Digest::of_value("made up", &(round, author, salt));
    BlockRef {
        round: Round::new(round),
        author: index(author),
        digest: BlockDigest::new(digest),
    }
}

/// A member, and what the others know.
struct World {
    members: std::sync::Arc<Members<Production>>,
    core: Core<Production>,
    actions: Vec<Action<Production>>,
    ms: u64,
    /// What honest members tell when they are asked.
    told: BTreeMap<BlockRef, Made>,
    /// How long Byzantine members take to answer that they have nothing.
    late: u64,
    /// Answers under way.
    answers: BTreeMap<(u64, u64), Vec<Made>>,
    /// What Byzantine members tell.
    bad: BTreeMap<BlockRef, Made>,
    /// Blocks in answers.
    sent: usize,
    /// What a quorum says when it is asked for commits.
    commit: Option<Commit>,
}

impl World {
    fn new(late: u64) -> Self {
        let (core, actions) = core(MEMBERS, Restored::default());
        Self {
            members: members(MEMBERS),
            core,
            actions,
            // Behind the clocks of all blocks here.
            ms: 1_000,
            told: BTreeMap::new(),
            late,
            answers: BTreeMap::new(),
            bad: BTreeMap::new(),
            sent: 0,
            commit: None,
        }
    }

    fn handle(&mut self, event: Event<Production>) {
        let actions = self.core.handle(now(self.ms), event);
        self.actions.extend(actions);
    }

    /// Sends it, as its author does.
    fn send(&mut self, block: &Made) {
        self.handle(Event::Block {
            from: block.reference().author,
            block: block.clone(),
        });
    }

    fn has(&self, block: &Made) -> bool {
        self.core.dag.contains(&block.reference())
    }

    /// Full rows of honest blocks, which everybody but this member has, from round 1 on.
    fn rows(&mut self, rows: u32) -> Vec<Made> {
        let mut below: Vec<BlockRef> = (0..MEMBERS).map(genesis).collect();
        let mut last = Vec::new();
        for round in 1..=rows {
            let make = |author| {
                let parents = parents(author, |parent| below[usize::from(parent)]);
                block(&self.members, author, round, parents)
            };
            last = (1..HONEST).chain(0..1).map(make).collect();
            last.rotate_right(1);
            below = last.iter().map(|block| block.reference()).collect();
            let known = last.iter().map(|block| (block.reference(), block.clone()));
            self.told.extend(known);
        }
        last
    }

    /// As many held blocks with made-up parents as there is room for, of each Byzantine member.
    fn make_up(&mut self) {
        for by in HONEST..MEMBERS {
            for round in 2..2 + Pace::default().held_blocks as u32 {
                let parents = parents(by, |author| made_up(round - 1, author, u32::from(by)));
                let block = block(&self.members, by, round, parents);
                self.send(&block);
            }
        }
    }

    /// Time goes on by a millisecond.
    fn step(&mut self) {
        for action in std::mem::take(&mut self.actions) {
            let Action::Ask { id, to, request, .. } = action else {
                continue;
            };
            let (names, slots) = match request {
                Request::Blocks { names, slots } => (names, slots),
                Request::Commits { .. } if self.commit.is_some() => {
                    self.tell_commit(id);
                    continue;
                }
                Request::Commits { .. } | Request::Latest => continue,
            };
            let is_honest = to.get() < HONEST.into();
            let is_meant = |name: &BlockRef| names.contains(name) || slots.contains(&name.slot());
            let known = self.told.iter().filter(|(name, _)| is_honest && is_meant(name));
            let bad = self.bad.iter().filter(|(name, _)| !is_honest && is_meant(name));
            let blocks: Vec<Made> = known.chain(bad).map(|(_, block)| block.clone()).collect();
            let latency = if is_honest { HOP } else { self.late };
            self.sent += blocks.len();
            self.answers.insert((self.ms + latency, id.0), blocks);
        }
        self.ms += 1;
        while let Some(answer) = self
            .answers
            .first_entry()
            .filter(|answer| answer.key().0 <= self.ms)
        {
            let ((_, id), blocks) = answer.remove_entry();
            self.handle(Event::Answer {
                ask: AskId(id),
                answer: Ok(Answer::Blocks(blocks)),
            });
        }
        self.handle(Event::Tick);
    }

    fn tell_commit(&mut self, id: AskId) {
        let commit = self.commit.take().unwrap();
        let votes = (0..HONEST).map(|voter| (index(voter), commit.reference()));
        let answer = Ok(Answer::Commits {
            votes: votes.collect(),
            commits: vec![commit],
        });
        self.handle(Event::Answer { ask: id, answer });
    }

    /// How long it takes until it is accepted, in milliseconds.
    fn wait(&mut self, block: &Made) -> u64 {
        let start = self.ms;
        while !self.has(block) {
            assert!(
                self.ms < start + 20_000,
                "what is there is found within 20 seconds"
            );
            self.step();
        }
        self.ms - start
    }
}

/// From a question to its answer, in milliseconds.
const HOP: u64 = 50;

/// How long it takes to catch up with so many rows, and how many blocks are sent for it.
fn rows_found(rows: u32, late: Option<u64>) -> (u64, usize) {
    let mut world = World::new(late.unwrap_or_default());
    if late.is_some() {
        world.make_up();
    }
    let last = world.rows(rows);
    let below = parents(1, |author| last[usize::from(author)].reference());
    let above = block(&world.members, 1, rows + 1, below);
    world.send(&above);
    (world.wait(&above), world.sent)
}

#[test]
fn parents_that_are_made_up_stand_in_nobodys_way() {
    let (alone, _) = rows_found(4, None);
    assert!(alone <= 4 * (20 + HOP) + 20, "a hop for each row: {alone} ms");
    for late in [1, 499, 1_900] {
        let (beside, _) = rows_found(4, Some(late));
        assert!(beside <= alone + 5, "{beside} ms in place of {alone} ms");
    }
}

#[test]
fn what_came_and_waits_is_not_sent_again() {
    let rows = 40;
    let (_, sent) = rows_found(rows, None);
    let least = usize::from(HONEST) * rows as usize;
    assert!(sent <= 2 * least, "{sent} blocks were sent for {least}");
}

/// The last member, which signs several blocks for a slot, one that does so too, and one that makes up parents for them.
const EQUIVOCATOR: u8 = MEMBERS - 1;
const ANOTHER: u8 = MEMBERS - 2;
const LIAR: u8 = MEMBERS - 3;

/// One block of everybody in the first two rounds, all of them here.
struct Rows {
    world: World,
    first: Vec<BlockRef>,
    second: Vec<BlockRef>,
}

impl Rows {
    fn new() -> Self {
        let mut world = World::new(1);
        let members = world.members.clone();
        let mut row = |round, below: &[BlockRef]| {
            let make = |author| {
                block(
                    &members,
                    author,
                    round,
                    parents(author, |parent| below[usize::from(parent)]),
                )
            };
            let blocks: Vec<Made> = (0..MEMBERS).map(make).collect();
            blocks.iter().for_each(|block| world.send(block));
            assert!(blocks.iter().all(|block| world.has(block)));
            blocks.iter().map(|block| block.reference()).collect()
        };
        let genesis: Vec<BlockRef> = (0..MEMBERS).map(genesis).collect();
        let first: Vec<BlockRef> = row(1, &genesis);
        let second = row(2, &first);
        Self { world, first, second }
    }

    /// Another block of the second round.
    fn sibling(&self, author: u8, salt: u64) -> Made {
        let parents = parents(author, |parent| self.first[usize::from(parent)]);
        block_with(
            &self.world.members,
            (author, 2, salt),
            parents,
            &AuthoritySet::EMPTY,
        )
    }

    /// A block above the second row, with the honest parents there and these, which may be the own one.
    fn third(&self, author: u8, others: &[BlockRef]) -> Made {
        let mut parents = parents(author, |parent| self.second[usize::from(parent)]);
        for other in others {
            parents.retain(|parent| parent.author != other.author);
            parents.push(*other);
        }
        parents.sort_unstable_by_key(|parent| (parent.author != index(author), parent.author));
        block(&self.world.members, author, 3, parents)
    }

    fn in_slot(&self, author: u8) -> usize {
        self.world
            .core
            .dag
            .names(self.second[usize::from(author)].slot())
            .len()
    }

    fn owes_nothing(&self, author: u8) -> bool {
        self.world.core.credit.owes(index(author)) == 0
    }
}

#[test]
fn who_makes_up_parents_takes_nobodys_credit() {
    let mut rows = Rows::new();
    let siblings = 200;
    let names = |rows: &Rows, salt| {
        let mut names = [ANOTHER, EQUIVOCATOR].map(|author| rows.sibling(author, salt).reference());
        names.sort_unstable();
        names
    };
    for salt in 1..=siblings {
        let [another, equivocator] = names(&rows, salt);
        let parent = made_up(2, LIAR - 1, salt as u32);
        let child = rows.third(LIAR, &[parent, another, equivocator]);
        rows.world.send(&child);
    }
    for salt in 1..=siblings {
        for author in [ANOTHER, EQUIVOCATOR] {
            let sibling = rows.sibling(author, salt);
            rows.world.send(&sibling);
        }
    }
    assert_eq!(
        rows.in_slot(ANOTHER) + rows.in_slot(EQUIVOCATOR),
        2 + 256,
        "the liar has its credit and no more"
    );
    let needed = rows.sibling(EQUIVOCATOR, siblings + 1);
    let honest = rows.third(1, &[needed.reference()]);
    rows.world.send(&honest);
    rows.world.send(&needed);
    assert!(rows.world.has(&needed) && rows.world.has(&honest));
    assert!(rows.owes_nothing(1), "what it needed was needed");
    assert!(!rows.owes_nothing(LIAR));
}

#[test]
fn what_a_block_is_owed_for_is_settled_down_to_the_last_sibling() {
    let mut rows = Rows::new();
    let low = rows.sibling(EQUIVOCATOR, 1);
    let high = rows.third(EQUIVOCATOR, &[low.reference()]);
    let other = rows.third(EQUIVOCATOR, &[]);
    rows.world.send(&other);
    assert!(rows.world.has(&other));
    let thirds: Vec<Made> = (0..HONEST).map(|author| rows.third(author, &[])).collect();
    thirds.iter().for_each(|block| rows.world.send(block));
    let mut parents = parents(1, |parent| thirds[usize::from(parent)].reference());
    parents.push(high.reference());
    let honest = block(&rows.world.members, 1, 4, parents);
    rows.world.send(&honest);
    rows.world.send(&high);
    rows.world.send(&low);
    assert!(rows.world.has(&honest));
    assert!(rows.owes_nothing(1));
}

#[test]
fn what_a_commit_holds_is_accepted_without_credit() {
    let mut rows = Rows::new();
    let sibling = rows.sibling(EQUIVOCATOR, 1);
    rows.world.send(&sibling);
    assert!(!rows.world.has(&sibling), "nobody needs it");
    let leader = made_up(3, 1, 0);
    let commit = Commit {
        index: CommitIndex::new(1),
        previous: rows.world.core.chain.last.digest,
        leader,
        timestamp: UnixMillis::new(0),
        beacon: None,
        blocks: vec![sibling.reference(), leader],
    };
    rows.world.commit = Some(commit);
    rows.world.told.insert(sibling.reference(), sibling.clone());
    rows.world.wait(&sibling);
}

/// A block that names an equivocator's slot in short, whose block there builds on a sibling. `is_known` says whether it is
/// known before that its author equivocates.
fn named_in_short(is_known: bool) {
    let mut rows = Rows::new();
    let low = rows.sibling(EQUIVOCATOR, 1);
    let high = rows.third(EQUIVOCATOR, &[low.reference()]);
    let thirds: Vec<Made> = (0..HONEST).map(|author| rows.third(author, &[])).collect();
    thirds.iter().for_each(|block| rows.world.send(block));
    let mut parents = parents(1, |parent| thirds[usize::from(parent)].reference());
    parents.push(high.reference());
    let plain: AuthoritySet = parents.iter().map(|parent| parent.author).collect();
    let members = rows.world.members.clone();
    let in_short = block_with(&members, (1, 4, 0), parents.clone(), &plain);
    let in_full = block_with(&members, (1, 4, 0), parents, &AuthoritySet::EMPTY);
    if is_known {
        let other = rows.sibling(EQUIVOCATOR, 2);
        rows.world.send(&other);
        assert!(rows.world.core.equivocators.contains(index(EQUIVOCATOR)));
    }
    for block in [&low, &high, &in_full] {
        rows.world.told.insert(block.reference(), block.clone());
    }
    rows.world.send(&in_short);
    let waited = rows.world.wait(&in_short);
    assert!(waited < 1_000, "{waited} ms");
}

#[test]
fn a_block_that_names_an_equivocators_slot_in_short_is_wanted_in_full() {
    named_in_short(true);
}

#[test]
fn a_block_that_waits_for_a_slot_of_whom_turns_out_to_equivocate_is_wanted_in_full() {
    named_in_short(false);
}
