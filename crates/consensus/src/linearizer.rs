//! From committed leaders to commits (arXiv 2310.14821, section III.D, with a floor).
//!
//! - A leader's *sub-DAG* is it and all of its ancestors above the floor that no earlier commit has, in the order of round,
//!   author, digest.
//! - The *floor* before the first commit is round 0, and after a commit it is the leader's round less `gc_depth`, if that is
//!   higher. So it follows from the commits alone: what a member happens to hold in memory decides nothing.
//! - The timestamp is the median, by power, of the clocks of the leader's parents in the round before: in the order of
//!   (timestamp, author), the first at which more than half of their power is reached. It never goes back.
//! - The commit of a leader whose round has a beacon makes a new one of the old one and the leader's share.

use bytes::Bytes;
use crypto::{Digest, Hasher};
use types::{BlockRef, Commit, CommitDigest, CommitIndex, CommitRef, Round, UnixMillis};

use crate::dag::{Dag, Place, Places, Vertex};
use crate::machine::SubDag;
use crate::members::{Members, Suite};
use crate::rules::Rules;
use crate::schedule::Scores;

/// The end of the chain of commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The last commit.
    pub last: CommitRef,
    /// The round of its leader.
    pub round: Round,
    /// Its timestamp.
    pub timestamp: UnixMillis,
    /// The latest beacon.
    pub beacon: Digest,
    /// Rounds at or below are not ordered any more.
    pub floor: Round,
}

impl Chain {
    /// Before the first commit of an epoch.
    pub fn new(rules: &Rules) -> Self {
        Self {
            last: CommitRef {
                index: CommitIndex::ZERO,
                digest: Commit::root(rules.chain, rules.epoch),
            },
            round: Round::ZERO,
            timestamp: rules.start,
            beacon: rules.beacon,
            floor: Round::ZERO,
        }
    }

    /// Goes on behind a commit that is known.
    pub fn extend(&mut self, commit: &Commit, digest: CommitDigest, rules: &Rules) {
        self.last = CommitRef {
            index: commit.index,
            digest,
        };
        self.round = commit.leader.round;
        self.timestamp = commit.timestamp;
        self.beacon = commit.beacon.unwrap_or(self.beacon);
        let floor = commit.leader.round.get().saturating_sub(rules.gc_depth);
        self.floor = self.floor.max(Round::new(floor));
    }

    /// Commits a leader's block: marks its sub-DAG in the graph and goes on behind the commit. Yields its encoding as well.
    ///
    /// # Panics
    /// When an ancestor above the floor is not in the graph: the graph accepts no block before its parents.
    pub fn commit<S: Suite>(
        &mut self,
        leader: &BlockRef,
        dag: &mut Dag<S>,
        rules: &Rules,
        members: &Members<S>,
    ) -> (SubDag, Bytes) {
        let mut floor = self.floor;
        if planted!(LocalFloor) {
            let local = dag.quorum_round().get().saturating_sub(rules.gc_depth);
            floor = floor.max(Round::new(local));
        }
        let mut blocks = collect(leader, floor, dag);
        if !planted!(WalkOrder) {
            blocks.sort_unstable();
        }
        let payloads = blocks
            .iter()
            .map(|name| {
                dag.get(name)
                    .expect("a collected block is in the graph")
                    .payloads()
                    .clone()
            })
            .collect();
        let vertex = dag.get(leader).expect("a decided leader is in the graph");
        let beacon = vertex
            .block()
            .beacon
            .as_ref()
            .map(|share| next_beacon(&self.beacon, share.as_ref()));
        let median = median(vertex, dag, rules, members);
        let commit = Commit {
            index: self
                .last
                .index
                .next()
                .expect("an epoch has fewer commits than 64 bits count"),
            previous: self.last.digest,
            leader: *leader,
            timestamp: if planted!(TimeGoesBack) {
                median
            } else {
                self.timestamp.max(median)
            },
            beacon,
            blocks,
        };
        let encoded = Bytes::from(types::encode(&commit));
        let digest = Commit::digest_of(&encoded);
        self.extend(&commit, digest, rules);
        let is_last = rules.end.is_some_and(|end| commit.timestamp >= end);
        let dag = SubDag {
            commit,
            digest,
            payloads,
            is_last,
        };
        (dag, encoded)
    }
}

/// `H("soma.beacon:" ‖ beacon before ‖ share)`.
pub fn next_beacon(before: &Digest, share: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.bytes(b"soma.beacon:");
    hasher.bytes(before.as_bytes());
    hasher.bytes(share);
    hasher.finish()
}

/// Marks and names the ancestors above the floor that no commit has, and the block itself.
fn collect<S: Suite>(leader: &BlockRef, floor: Round, dag: &mut Dag<S>) -> Vec<BlockRef> {
    let (mut blocks, mut ahead) = (Vec::new(), vec![*leader]);
    while let Some(name) = ahead.pop() {
        if !dag.commit(&name) {
            continue;
        }
        blocks.push(name);
        let vertex = dag
            .get(&name)
            .expect("a block that was just marked is in the graph");
        let before = Round::new(name.round.get() - 1);
        if before > floor {
            for place in vertex.parents_before().iter() {
                let parent = dag
                    .at(before, place)
                    .expect("a parent above the floor is in the graph");
                if !parent.is_committed() {
                    ahead.push(parent.name());
                }
            }
        }
        for parent in vertex.older().iter().filter(|parent| parent.round > floor) {
            assert!(dag.contains(parent), "a parent above the floor is in the graph");
            ahead.push(*parent);
        }
    }
    blocks
}

fn median<S: Suite>(vertex: &Vertex<S>, dag: &Dag<S>, rules: &Rules, members: &Members<S>) -> UnixMillis {
    let before = Round::new(vertex.name().round.get() - 1);
    if before == Round::ZERO {
        return rules.start;
    }
    let mut places = vertex.parents_before();
    if planted!(LocalClocks) {
        for (place, _) in dag.round(before) {
            places.insert(place);
        }
    }
    let mut clocks: Vec<_> = places
        .iter()
        .filter_map(|place| Some((dag.at(before, place)?.timestamp(), place.author)))
        .collect();
    clocks.sort_unstable();
    let total: u32 = clocks.iter().map(|(_, author)| members.power(*author)).sum();
    let mut below = 0;
    let middle = clocks.iter().find(|(_, author)| {
        below += members.power(*author);
        2 * below > total
    });
    middle.map_or(rules.start, |(timestamp, _)| *timestamp)
}

/// Leaders that were committed above the floor, for reputation.
#[derive(Clone, Debug, Default)]
pub struct Led {
    /// Ascending by round, in the order of commits.
    blocks: Vec<BlockRef>,
}

impl Led {
    /// Remembers a committed leader.
    pub fn push(&mut self, leader: BlockRef, floor: Round) {
        self.blocks.retain(|block| block.round > floor);
        self.blocks.push(leader);
    }

    fn of(&self, round: Round) -> impl Iterator<Item = &BlockRef> {
        self.blocks.iter().filter(move |block| block.round == round)
    }
}

/// Weighs a commit's blocks (see [`crate::schedule`]). `floor` is the one that the commit was collected above.
pub fn weigh<S: Suite>(
    commit: &Commit,
    floor: Round,
    led: &Led,
    dag: &Dag<S>,
    members: &Members<S>,
    scores: &mut Scores,
) {
    for blocks in commit.blocks.chunk_by(|one, other| one.round == other.round) {
        let round = blocks[0].round.get();
        let Some(led_round) = round.checked_sub(2).map(Round::new).filter(|led| *led > floor) else {
            continue;
        };
        let vote_round = Round::new(round - 1);
        for leader in led.of(led_round) {
            let votes = votes(leader, vote_round, dag);
            for name in blocks {
                let vertex = dag.get(name).expect("a committed block is in the graph");
                let power = members.power(name.author);
                for place in vertex
                    .parents_before()
                    .iter()
                    .filter(|place| votes.contains(*place))
                {
                    scores.add(place.author, power);
                }
            }
        }
    }
    scores.commits += 1;
}

/// The blocks of `round` that vote for a leader of the round before.
fn votes<S: Suite>(leader: &BlockRef, round: Round, dag: &Dag<S>) -> Places {
    let position = dag.position(leader);
    let led = Place {
        author: leader.author,
        position: position.expect("a committed leader above the floor is in the graph"),
    };
    let mut votes = Places::default();
    for (place, vertex) in dag.round(round) {
        if vertex.parent(leader.author) == Some(led) {
            votes.insert(place);
        }
    }
    votes
}

/// Rebuilds, after a restart, which leaders are remembered.
pub fn led(commits: &[Commit], floor: Round) -> Led {
    let blocks = commits.iter().map(|commit| commit.leader);
    Led {
        blocks: blocks.filter(|leader| leader.round > floor).collect(),
    }
}
