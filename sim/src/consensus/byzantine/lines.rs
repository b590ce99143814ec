//! Byzantine authors: what becomes of a node's own blocks on their way to each of the others.
//!
//! Receivers stand in *lines*. Those of one line get the same blocks, each of which has the line's block before as its own
//! parent: so what a line is told is a history as whole as that of the node's program, and another one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use node::consensus::BLOCKS;
use types::{AuthorityIndex, BlockRef, Round, Slot};

use super::draft::Draft;
use super::witness::Witness;
use crate::adversary::{Adversary, Assignment, Content, Deed, Manner, Shape};
use crate::draw::{Domain, Draw, Seed};
use crate::world::NodeIndex;

/// Rounds below the highest one of which own blocks are remembered.
const KEPT_ROUNDS: u32 = 400;

/// Which line of history a receiver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// All are told one that the program did not make.
    All,
    /// Receivers with an odd number are told another one than the others.
    Halves,
    /// One receiver is told another one than all others.
    One,
    /// Each is told its own.
    Each,
}

impl Side {
    /// The line of a receiver; 0 is what the program made.
    fn line(self, node: NodeIndex, to: NodeIndex, nodes: usize) -> usize {
        match self {
            Self::All => 1,
            Self::Halves => to % 2,
            Self::One => usize::from(to == (node + 1) % nodes),
            Self::Each => 1 + to,
        }
    }
}

/// What became of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twisted {
    /// Nothing.
    No,
    /// It is a block that nobody may refuse.
    Valid,
    /// It is none, or its parents do not exist: the line goes on without it.
    Broken,
}

/// What a strategy makes of an own block.
pub(super) type Twist = fn(&mut Draft, &Scene<'_>, &mut Draw) -> Twisted;

/// What a twist may look at.
pub(super) struct Scene<'a> {
    pub witness: &'a Witness,
    pub manner: &'a Manner,
    pub line: usize,
    pub partners: &'a Partners,
}

/// What the colluding nodes of a run tell each line, by slot.
#[derive(Clone, Default)]
pub(super) struct Partners(Arc<Mutex<BTreeMap<(Slot, usize), BlockRef>>>);

impl Partners {
    /// The block of a slot that a line is told.
    pub fn told(&self, slot: Slot, line: usize) -> Option<BlockRef> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(&(slot, line)).copied()
    }

    fn tell(&self, name: BlockRef, line: usize) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert((name.slot(), line), name);
        let floor = name.round.get().saturating_sub(KEPT_ROUNDS);
        told.retain(|(slot, _), _| slot.round.get() >= floor);
    }
}

/// An author who tells others what a twist makes of its blocks.
pub(super) struct Lines {
    witness: Witness,
    side: Side,
    twist: Twist,
    seed: Seed,
    node: NodeIndex,
    nodes: usize,
    manner: Manner,
    partners: Partners,
    told: BTreeMap<(Round, usize), Option<(BlockRef, Bytes)>>,
    /// Broken blocks that a receiver has got: when it asks again it gets what the program made.
    broken: BTreeSet<(Round, NodeIndex)>,
}

impl Lines {
    pub fn new(side: Side, twist: Twist, partners: Partners, assignment: &Assignment<'_>) -> Self {
        Self {
            witness: Witness::new(assignment),
            side,
            twist,
            seed: assignment.seed,
            node: assignment.node,
            nodes: assignment.stakes.len(),
            manner: assignment.manner.clone(),
            partners,
            told: BTreeMap::new(),
            broken: BTreeSet::new(),
        }
    }

    fn tell(&mut self, packet: &Content<'_>) -> Option<Deed> {
        let block = self.witness.read(packet.bytes)?;
        let (name, line) = (
            block.reference(),
            self.side.line(self.node, packet.to, self.nodes),
        );
        if name.author != self.witness.own {
            return None;
        }
        if line == 0 {
            self.partners.tell(name, line);
            return None;
        }
        if let Some(told) = self.told.get(&(name.round, line)) {
            return told.clone().map(|(_, frame)| Deed::replace(frame));
        }
        let mut draft = self.witness.draft(&block)?;
        let mut draw = self.seed.draw(
            Domain::Adversary,
            self.node as u64,
            (1 << 32) + line as u64,
            name.round.get().into(),
        );
        self.follow(&mut draft, line);
        let scene = Scene {
            witness: &self.witness,
            manner: &self.manner,
            line,
            partners: &self.partners,
        };
        let twisted = (self.twist)(&mut draft, &scene, &mut draw);
        let (made, frame) = draft.sign(&self.witness.keys);
        match twisted {
            Twisted::Broken if self.broken.insert((name.round, packet.to)) => {
                return Some(Deed::replace(frame));
            }
            Twisted::Broken => return None,
            Twisted::No | Twisted::Valid => {}
        }
        let told = (made != name).then_some((made, frame));
        self.partners.tell(made, line);
        self.told.insert((name.round, line), told.clone());
        let floor = name.round.get().saturating_sub(KEPT_ROUNDS);
        self.told.retain(|(round, _), _| round.get() >= floor);
        self.broken.retain(|(round, _)| round.get() >= floor);
        told.map(|(_, frame)| Deed::replace(frame))
    }

    /// Puts the line's own block before in the place of the program's.
    fn follow(&self, draft: &mut Draft, line: usize) {
        for parent in draft
            .parents
            .iter_mut()
            .filter(|parent| parent.author == draft.author)
        {
            if let Some(Some((told, _))) = self.told.get(&(parent.round, line)) {
                *parent = *told;
            }
        }
    }
}

impl Adversary for Lines {
    fn meet(&mut self, packet: &Content<'_>, _draw: &mut Draw) -> Deed {
        if packet.shape == Shape::Frame && packet.channel == BLOCKS.id {
            return self.tell(packet).unwrap_or(Deed::Pass);
        }
        Deed::Pass
    }

    fn see(&mut self, packet: &Content<'_>) {
        self.witness.note(packet);
    }

    fn hear(&mut self, packet: &Content<'_>) {
        self.witness.note(packet);
    }
}

/// The authors of a bare quorum of the parents in the round before `draft`, its own first and those of `unwanted` last.
pub(super) fn bare_quorum(
    draft: &Draft,
    witness: &Witness,
    unwanted: &[AuthorityIndex],
) -> BTreeSet<AuthorityIndex> {
    let mut authors: Vec<AuthorityIndex> = draft
        .parents
        .iter()
        .filter(|parent| parent.round.next() == Some(draft.round))
        .map(|parent| parent.author)
        .collect();
    authors.sort_by_key(|author| (*author != draft.author, unwanted.contains(author)));
    let mut power = 0;
    let needed = authors.into_iter().take_while(|author| {
        let is_needed = !consensus::members::is_quorum(power);
        power += witness.members.power(*author);
        is_needed
    });
    needed.collect()
}
