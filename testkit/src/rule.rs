//! The commit rule, read from the papers and written as plainly as it can be.
//!
//! It stands beside `consensus` and not below it: the two were written apart, share no type, and tests compare them. Here
//! nothing is fast: no bitmaps, no memory of what was asked before, and every question is asked of the whole graph.
//!
//! The rule is Mysticeti-C (arXiv 2310.14821, section 3), with a leader slot, or several in order, in each round from 1 on:
//! - a block *votes* for a leader's block of the round below if that is one of its parents, and *blames* the slot if none
//!   of its parents lies there;
//! - a block *certifies* a leader's block two rounds below if a quorum of its ancestors one round above the leader votes for it;
//! - a slot is committed directly by a quorum that certifies one block of it, and skipped directly by a quorum that blames;
//! - else the first slot after the wave that is not skipped, its *anchor*, decides: as long as that is undecided, so is the
//!   slot; a committed anchor commits what something in its history certifies, and skips the slot if nothing does.
//!
//! The two-round rule (Odontoceti, arXiv 2510.01216) is the same with larger quorums, and with votes in place of certificates.
//!
//! Modules in reading order: [`graph`], what is decided on; [`drawing`], graphs as text; [`every`], all small graphs;
//! [`random`], large ones.

pub mod drawing;
pub mod every;
pub mod graph;
pub mod random;

use std::collections::{BTreeMap, BTreeSet};

pub use graph::{Block, Graph, Misfit, TOTAL_STAKE, equal_stakes};

/// What one protocol decides by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The leaders of round 1, of round 2 and so on, in the order of their slots; after the last row comes the first again.
    pub leaders: Vec<Vec<usize>>,
    /// Rounds from a leader to what decides on it directly, both counted.
    pub wave: u32,
    /// The stake that parents, blames and direct evidence need.
    pub quorum: u32,
    /// The stake of evidence that an anchor's history needs.
    pub link: u32,
    /// How many rounds below the last committed leader a block may be to be ordered.
    pub gc_depth: u32,
}

/// Where a leader may have a block. The order is that of decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The round.
    pub round: u32,
    /// The place among the leaders of that round.
    pub offset: usize,
}

/// What is known of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This block of the slot is ordered.
    Commit(usize),
    /// No block of the slot ever will be.
    Skip,
    /// More blocks are needed.
    Undecided,
}

/// A slot that is decided, and all before it are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The slot.
    pub slot: Slot,
    /// The block that is committed, or none if the slot is skipped.
    pub block: Option<usize>,
}

/// What one committed leader orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubDag {
    /// The leader's block.
    pub leader: usize,
    /// It and the ancestors that no earlier leader ordered, by round, author and digest.
    pub blocks: Vec<usize>,
    /// When, by the clocks of a majority, and never before an earlier commit or the epoch's start.
    pub timestamp_ms: u64,
}

/// Evidence for two outcomes of one slot: more than a third of the stake (a fifth with two rounds) equivocates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two outcomes of the slot {} of round {}", slot.offset, slot.round)]
pub struct Conflict {
    /// The slot.
    pub slot: Slot,
}

impl Rule {
    /// Mysticeti-C: three rounds, and less than a third of the stake is faulty.
    pub fn three_rounds(leaders: Vec<Vec<usize>>) -> Self {
        Self {
            leaders,
            wave: 3,
            quorum: 6_667,
            link: 1, // a certificate holds a quorum already, so one is enough
            gc_depth: 60,
        }
    }

    /// Odontoceti: two rounds, and less than a fifth of the stake is faulty.
    ///
    /// With at most f = 1,999 faulty, quorums q = 8,000 and a link l = 4,000: after a direct skip votes are at most
    /// 10,000 - q + f < l; after a direct commit every history two rounds on holds at least 2q - 10,000 - f >= l votes.
    pub fn two_rounds(leaders: Vec<Vec<usize>>) -> Self {
        Self {
            leaders,
            wave: 2,
            quorum: 8_000,
            link: 4_000,
            gc_depth: 60,
        }
    }

    /// The leaders of a round from 1 on.
    pub fn leaders_of(&self, round: u32) -> &[usize] {
        &self.leaders[(round as usize - 1) % self.leaders.len()]
    }
}

/// The table in which the authors lead in turn, `slots` of them in each round.
pub fn round_robin(authors: usize, slots: usize) -> Vec<Vec<usize>> {
    let row = |first| (0..slots).map(|offset| (first + offset) % authors).collect();
    (0..authors).map(row).collect()
}

/// The longest prefix of slots that are all decided.
///
/// # Errors
/// When the graph holds evidence for two outcomes of one slot.
pub fn decide(graph: &Graph, rule: &Rule) -> Result<Vec<Decision>, Conflict> {
    let decided = verdicts(graph, rule)?
        .into_iter()
        .map_while(|(slot, verdict)| match verdict {
            Verdict::Commit(block) => Some(Decision {
                slot,
                block: Some(block),
            }),
            Verdict::Skip => Some(Decision { slot, block: None }),
            Verdict::Undecided => None,
        });
    Ok(decided.collect())
}

/// What is known of each slot up to the highest round.
///
/// # Errors
/// When the graph holds evidence for two outcomes of one slot.
pub fn verdicts(graph: &Graph, rule: &Rule) -> Result<BTreeMap<Slot, Verdict>, Conflict> {
    let mut later = BTreeMap::new();
    for round in (1..=graph.highest_round()).rev() {
        for offset in (0..rule.leaders_of(round).len()).rev() {
            let slot = Slot { round, offset };
            let verdict = match direct(graph, rule, slot)? {
                Verdict::Undecided => indirect(graph, rule, slot, &later)?,
                decided => decided,
            };
            later.insert(slot, verdict);
        }
    }
    Ok(later)
}

/// What the two rounds above a slot (the one, with two rounds) say of it.
///
/// # Errors
/// When they hold evidence for two outcomes.
pub fn direct(graph: &Graph, rule: &Rule, slot: Slot) -> Result<Verdict, Conflict> {
    let author = rule.leaders_of(slot.round)[slot.offset];
    let voters = graph.round(slot.round + 1).iter().copied();
    let skipped =
        graph.stake(voters.filter(|&voter| blames(graph, voter, slot.round, author))) >= rule.quorum;
    let deciders = graph.round(slot.round + rule.wave - 1);
    let mut committed = graph.slot(slot.round, author);
    committed.retain(|&leader| {
        let evidence = deciders.iter().copied();
        graph.stake(evidence.filter(|&block| is_evidence(graph, rule, block, leader))) >= rule.quorum
    });
    match (committed.as_slice(), skipped) {
        ([], false) => Ok(Verdict::Undecided),
        ([], true) => Ok(Verdict::Skip),
        (&[leader], false) => Ok(Verdict::Commit(leader)),
        _ => Err(Conflict { slot }),
    }
}

/// What the anchor of a slot says of it.
fn indirect(
    graph: &Graph,
    rule: &Rule,
    slot: Slot,
    later: &BTreeMap<Slot, Verdict>,
) -> Result<Verdict, Conflict> {
    let after_wave = later
        .iter()
        .filter(|(other, _)| other.round >= slot.round + rule.wave);
    let anchor = after_wave
        .map(|(_, &verdict)| verdict)
        .find(|&verdict| verdict != Verdict::Skip);
    let Some(Verdict::Commit(anchor)) = anchor else {
        return Ok(Verdict::Undecided);
    };
    let history = graph.history(anchor);
    let deciders = graph.round(slot.round + rule.wave - 1);
    let mut linked = graph.slot(slot.round, rule.leaders_of(slot.round)[slot.offset]);
    linked.retain(|&leader| {
        let seen = deciders.iter().copied().filter(|block| history.contains(block));
        graph.stake(seen.filter(|&block| is_evidence(graph, rule, block, leader))) >= rule.link
    });
    match linked.as_slice() {
        [] => Ok(Verdict::Skip),
        &[leader] => Ok(Verdict::Commit(leader)),
        // With two rounds an equivocator can do this within the fault bound: votes are not certificates.
        _ if rule.wave == 2 => {
            linked.sort_by_key(|&leader| graph.blocks()[leader].digest);
            Ok(Verdict::Commit(linked[0]))
        }
        _ => Err(Conflict { slot }),
    }
}

/// Whether a block of a leader's decision round speaks for the leader's block.
fn is_evidence(graph: &Graph, rule: &Rule, block: usize, leader: usize) -> bool {
    if rule.wave == 2 {
        return votes(graph, block, leader);
    }
    let voters = graph.ancestors_at(block, graph.blocks()[leader].round + 1);
    let voters = voters.into_iter();
    graph.stake(voters.filter(|&voter| votes(graph, voter, leader))) >= rule.quorum
}

fn votes(graph: &Graph, block: usize, leader: usize) -> bool {
    graph.blocks()[block].parents.contains(&leader)
}

fn blames(graph: &Graph, block: usize, round: u32, author: usize) -> bool {
    let lies_there = |&parent: &usize| {
        let parent = &graph.blocks()[parent];
        (parent.round, parent.author) == (round, author)
    };
    !graph.blocks()[block].parents.iter().any(lies_there)
}

/// What each committed leader orders. Genesis blocks are in no sub-DAG.
pub fn linearize(graph: &Graph, rule: &Rule, decisions: &[Decision]) -> Vec<SubDag> {
    let mut ordered: BTreeSet<usize> = BTreeSet::new();
    let mut gc_round = 0;
    let mut timestamp_ms = graph.start_ms();
    let mut sub_dags = Vec::new();
    for leader in decisions.iter().filter_map(|decision| decision.block) {
        let is_new = |&block: &usize| graph.blocks()[block].round > gc_round && !ordered.contains(&block);
        let mut blocks: Vec<usize> = graph.history(leader).into_iter().filter(is_new).collect();
        blocks.sort_by_key(|&block| {
            let block = &graph.blocks()[block];
            (block.round, block.author, block.digest)
        });
        ordered.extend(&blocks);
        gc_round = graph.blocks()[leader].round.saturating_sub(rule.gc_depth);
        timestamp_ms = median(graph, leader).max(timestamp_ms);
        sub_dags.push(SubDag {
            leader,
            blocks,
            timestamp_ms,
        });
    }
    sub_dags
}

/// The first timestamp of the leader's parents of the round below, by time and author, with more than half of their
/// stake up to it.
fn median(graph: &Graph, leader: usize) -> u64 {
    let leader = &graph.blocks()[leader];
    let parents = leader.parents.iter().map(|&parent| &graph.blocks()[parent]);
    let mut parents: Vec<&Block> = parents
        .filter(|parent| parent.round + 1 == leader.round)
        .collect();
    parents.sort_by_key(|parent| (parent.timestamp_ms, parent.author));
    let stake = |parent: &Block| u32::from(graph.stakes()[parent.author]);
    let present: u32 = parents.iter().map(|parent| stake(parent)).sum();
    let mut passed = 0;
    for parent in parents {
        passed += stake(parent);
        if 2 * passed > present {
            return parent.timestamp_ms;
        }
    }
    graph.start_ms()
}
