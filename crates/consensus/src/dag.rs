//! The graph: accepted blocks, each with all of its parents, by round and author.
//!
//! A block is *accepted* when every parent is, but for parents at or below the *floor*: those count as accepted whoever
//! has them, since nothing that commits from now on can order them (see [`crate::linearizer`]). Rows below the floor are
//! dropped; the floor's own row stays, for blocks above it name parents there in short.
//!
//! The first accepted block of a slot is the one that members vote for. Others of the slot are its *siblings*: its author
//! has equivocated. They are accepted only when a block of somebody else needs them, so that an equivocator alone
//! cannot fill the graph.

mod places;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use types::{AuthorityIndex, BlockHeader, BlockRef, Round, SignedHeader, Slot, UnixMillis};

pub use self::places::{Place, Places};
use crate::block::{Parents, Payloads, SignedBlock};
use crate::members::{Members, Suite, is_quorum};
use crate::rules::Rules;
use crate::set::AuthoritySet;

/// A block with known parents.
#[derive(Clone, Debug)]
pub struct Vertex<S: Suite> {
    block: SignedBlock<S>,
    /// Authors of the parents in the round before.
    previous: AuthoritySet,
    /// Which of those parents are not the first block of their slot, ascending.
    siblings: Vec<Place>,
    /// Parents of earlier rounds.
    older: Vec<BlockRef>,
    is_committed: bool,
}

impl<S: Suite> Vertex<S> {
    /// Its name.
    pub const fn name(&self) -> BlockRef {
        self.block.reference
    }

    /// The block.
    pub const fn block(&self) -> &SignedBlock<S> {
        &self.block
    }

    /// Its author's clock.
    pub const fn timestamp(&self) -> UnixMillis {
        self.block.timestamp
    }

    /// What it carries.
    pub const fn payloads(&self) -> &Payloads {
        &self.block.payloads
    }

    /// Whether a commit has it.
    pub const fn is_committed(&self) -> bool {
        self.is_committed
    }

    /// Which block of `author` in the round before is its parent.
    pub fn parent(&self, author: AuthorityIndex) -> Option<Place> {
        if !self.previous.contains(author) {
            return None;
        }
        let sibling = self.siblings.iter().find(|place| place.author == author);
        Some(sibling.copied().unwrap_or(Place::first(author)))
    }

    /// Authors of its parents in the round before.
    pub const fn previous(&self) -> &AuthoritySet {
        &self.previous
    }

    /// Its parents in the round before.
    pub fn parents_before(&self) -> Places {
        let mut first = self.previous;
        for place in &self.siblings {
            first.remove(place.author);
        }
        Places {
            first,
            siblings: self.siblings.clone(),
        }
    }

    /// Its parents of earlier rounds.
    pub fn older(&self) -> &[BlockRef] {
        &self.older
    }

    /// The power of its parents in the round before that are among `places`.
    pub fn support(&self, places: &Places, members: &Members<S>) -> u32 {
        let mut first = self.previous.and(&places.first);
        let mut power = 0;
        for sibling in &self.siblings {
            first.remove(sibling.author);
            if places.contains(*sibling) {
                power += members.power(sibling.author);
            }
        }
        power + members.weight(&first)
    }
}

struct Entry<S: Suite> {
    name: BlockRef,
    /// Genesis blocks are names only.
    vertex: Option<Box<Vertex<S>>>,
}

struct Row<S: Suite> {
    /// By author. Nearly all have one block, whose name stands in the row itself.
    slots: Vec<SmallVec<[Entry<S>; 1]>>,
    authors: AuthoritySet,
    /// Those of them with several blocks.
    doubled: AuthoritySet,
    power: u32,
}

impl<S: Suite> Row<S> {
    fn new(members: usize) -> Self {
        Self {
            slots: (0..members).map(|_| SmallVec::new()).collect(),
            authors: AuthoritySet::EMPTY,
            doubled: AuthoritySet::EMPTY,
            power: 0,
        }
    }

    /// Puts a block behind those of its slot.
    fn push(&mut self, entry: Entry<S>) -> usize {
        let author = entry.name.author;
        let entries = &mut self.slots[slot(author)];
        let position = entries.len();
        entries.push(entry);
        if position > 0 {
            self.doubled.insert(author);
        }
        position
    }
}

/// What a block lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// This block.
    Name(BlockRef),
    /// Some block of this slot.
    Slot(Slot),
}

/// Whether a block can be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// With these parents: the own one first, the others ascending by author.
    Parents(Vec<BlockRef>),
    /// Not before these are accepted; ascending, at least one.
    Missing(Vec<Want>),
    /// Its parents in short are none that give its digest: the author means other blocks of some slot, or is wrong.
    /// In full it can be told.
    NeedsFull,
    /// It names a genesis block that is none.
    Foreign,
}

/// The graph of one epoch.
pub struct Dag<S: Suite> {
    members: Arc<Members<S>>,
    start: UnixMillis,
    rows: VecDeque<Row<S>>,
    /// The round of the first row, which is the floor.
    floor: Round,
    /// The highest round with blocks of a quorum.
    quorum_round: Round,
    /// Each author's highest accepted round.
    highest: Vec<Round>,
    blocks: usize,
    /// Blocks with payloads that are not committed.
    unordered: usize,
}

/// Blocks of one slot that are accepted at most, whatever needs them: as many as there are positions.
pub const MAX_IN_SLOT: usize = u16::MAX as usize + 1;

/// Blocks of one slot that are accepted at most because blocks need them: looking one up takes as long as there are many.
pub const MAX_NEEDED_IN_SLOT: usize = 4_096;

/// How many ways to read parents in short are tried when authors have several blocks in a slot.
const MAX_READINGS: usize = 16;

impl<S: Suite> Dag<S> {
    /// The genesis blocks of an epoch, or, above `floor`, nothing.
    pub fn new(rules: &Rules, members: Arc<Members<S>>, floor: Round) -> Self {
        let size = members.size();
        let mut row = Row::new(size);
        if floor == Round::ZERO {
            for author in members.indices() {
                let name = BlockHeader::genesis(rules.epoch, author, rules.start).reference();
                row.push(Entry { name, vertex: None });
                row.authors.insert(author);
                row.power += members.power(author);
            }
        }
        Self {
            start: rules.start,
            rows: VecDeque::from([row]),
            floor,
            quorum_round: floor,
            highest: vec![Round::ZERO; size],
            blocks: 0,
            unordered: 0,
            members,
        }
    }

    /// Rounds at or below are not ordered any more.
    pub const fn floor(&self) -> Round {
        self.floor
    }

    /// The highest round with blocks of a quorum: blocks of the round after can be made.
    pub const fn quorum_round(&self) -> Round {
        self.quorum_round
    }

    /// The highest round with a block.
    pub fn top(&self) -> Round {
        Round::new(self.floor.get() + u32::try_from(self.rows.len() - 1).expect("rows are counted by rounds"))
    }

    /// The highest accepted round of an author.
    pub fn highest(&self, author: AuthorityIndex) -> Round {
        self.highest[slot(author)]
    }

    /// How many blocks are in memory.
    pub const fn size(&self) -> usize {
        self.blocks
    }

    /// Blocks with payloads that no commit has.
    pub const fn unordered(&self) -> usize {
        self.unordered
    }

    fn row(&self, round: Round) -> Option<&Row<S>> {
        let index = round.get().checked_sub(self.floor.get())?;
        self.rows.get(index as usize)
    }

    fn entries(&self, at: Slot) -> &[Entry<S>] {
        // Places come from peers, too.
        let row = self.row(at.round).and_then(|row| row.slots.get(slot(at.author)));
        row.map_or(&[], SmallVec::as_slice)
    }

    /// Authors with a block in a round.
    pub fn authors(&self, round: Round) -> AuthoritySet {
        self.row(round).map_or(AuthoritySet::EMPTY, |row| row.authors)
    }

    /// Whether each of the authors has at most one block in a round.
    pub fn are_single(&self, round: Round, authors: &AuthoritySet) -> bool {
        self.row(round)
            .is_none_or(|row| row.doubled.is_empty() || row.doubled.and(authors).is_empty())
    }

    /// The names in a slot: the one to vote for first.
    pub fn names(&self, at: Slot) -> impl ExactSizeIterator<Item = BlockRef> + '_ {
        self.entries(at).iter().map(|entry| entry.name)
    }

    /// The position of a block in its slot.
    pub fn position(&self, name: &BlockRef) -> Option<u16> {
        let position = self.names(name.slot()).position(|other| other == *name)?;
        u16::try_from(position).ok()
    }

    /// Whether a block is accepted, above the floor or in its row.
    pub fn contains(&self, name: &BlockRef) -> bool {
        self.position(name).is_some()
    }

    /// The block at a place; `None` for genesis blocks too.
    pub fn at(&self, round: Round, place: Place) -> Option<&Vertex<S>> {
        let at = Slot {
            round,
            author: place.author,
        };
        self.entries(at)
            .get(usize::from(place.position))?
            .vertex
            .as_deref()
    }

    /// The name of the block at a place.
    pub fn name_at(&self, round: Round, place: Place) -> Option<BlockRef> {
        let at = Slot {
            round,
            author: place.author,
        };
        self.entries(at)
            .get(usize::from(place.position))
            .map(|entry| entry.name)
    }

    /// A block by name.
    pub fn get(&self, name: &BlockRef) -> Option<&Vertex<S>> {
        let entries = self.entries(name.slot());
        entries
            .iter()
            .find(|entry| entry.name == *name)?
            .vertex
            .as_deref()
    }

    /// The clock of a block or, in round 0, of genesis.
    pub fn timestamp(&self, name: &BlockRef) -> Option<UnixMillis> {
        if name.round == Round::ZERO {
            return Some(self.start);
        }
        self.get(name).map(Vertex::timestamp)
    }

    /// Every block of a round, by author and position.
    pub fn round(&self, round: Round) -> impl Iterator<Item = (Place, &Vertex<S>)> {
        let slots = self.row(round).into_iter().flat_map(|row| row.slots.iter());
        self.members.indices().zip(slots).flat_map(|(author, entries)| {
            (0u16..).zip(entries).filter_map(move |(position, entry)| {
                let vertex = entry.vertex.as_deref()?;
                Some((Place { author, position }, vertex))
            })
        })
    }

    /// Whether a block can be accepted.
    pub fn resolve(&self, block: &SignedBlock<S>) -> Resolved {
        let (round, author) = (block.reference.round, block.reference.author);
        let (previous, names) = match &block.parents {
            Parents::Full(names) => (AuthoritySet::EMPTY, names),
            Parents::Compact { previous, others } => (*previous, others),
        };
        let mut missing = Vec::new();
        for name in names {
            if name.round == Round::ZERO && self.floor == Round::ZERO && !self.contains(name) {
                return Resolved::Foreign;
            }
            if name.round > self.floor && !self.contains(name) {
                missing.push(Want::Name(*name));
            }
        }
        if let Parents::Full(_) = &block.parents {
            missing.sort_unstable();
            return if missing.is_empty() {
                Resolved::Parents(names.clone())
            } else {
                Resolved::Missing(missing)
            };
        }
        let before = Round::new(round.get() - 1);
        if before < self.floor && !previous.is_empty() {
            return Resolved::NeedsFull;
        }
        let mut list = Vec::with_capacity(previous.len() + names.len());
        let mut several = Vec::new();
        for author in previous.iter() {
            let at = Slot {
                round: before,
                author,
            };
            match self.entries(at) {
                // Nobody asks for blocks at the floor any more.
                [] if before == self.floor => return Resolved::NeedsFull,
                [] => missing.push(Want::Slot(at)),
                [one, rest @ ..] => {
                    if !rest.is_empty() {
                        several.push(at);
                    }
                    list.push(one.name);
                }
            }
        }
        if !missing.is_empty() {
            missing.sort_unstable();
            return Resolved::Missing(missing);
        }
        list.extend(names);
        list.sort_unstable_by_key(|name| (name.author != author, name.author));
        if block.digest_with(&list) == block.reference.digest {
            return Resolved::Parents(list);
        }
        self.read_otherwise(block, list, &several)
    }

    /// Tries the other blocks of slots that have several.
    fn read_otherwise(&self, block: &SignedBlock<S>, mut list: Vec<BlockRef>, several: &[Slot]) -> Resolved {
        let mut choice = vec![0; several.len()];
        for _ in 1..MAX_READINGS {
            let mut turned = false;
            for (at, chosen) in several.iter().zip(&mut choice) {
                let entries = self.entries(*at);
                *chosen = (*chosen + 1) % entries.len();
                let name = entries[*chosen].name;
                let place = list.iter_mut().find(|name| name.slot() == *at);
                *place.expect("a slot of the list has its name there") = name;
                if *chosen > 0 {
                    turned = true;
                    break;
                }
            }
            if !turned {
                break;
            }
            if block.digest_with(&list) == block.reference.digest {
                return Resolved::Parents(list);
            }
        }
        Resolved::NeedsFull
    }

    /// Accepts a block with the parents that [`resolve`](Self::resolve) found.
    ///
    /// # Panics
    /// When it is accepted already, or at or below the floor.
    pub fn insert(&mut self, mut block: SignedBlock<S>, parents: &[BlockRef]) -> Place {
        let name = block.reference;
        assert!(name.round > self.floor, "what is accepted lies above the floor");
        assert!(!self.contains(&name), "a block is accepted once");
        let (mut previous, mut siblings, mut older) = (AuthoritySet::EMPTY, Vec::new(), Vec::new());
        for parent in parents {
            // A parent at the floor that nobody has was named in full, and stays a name.
            match self.position(parent) {
                Some(position) if parent.round.next() == Some(name.round) => {
                    previous.insert(parent.author);
                    if position > 0 {
                        let author = parent.author;
                        siblings.push(Place { author, position });
                    }
                }
                _ => older.push(*parent),
            }
        }
        siblings.sort_unstable();
        // From here on the parents are those of the vertex.
        block.parents = Parents::Full(Vec::new());
        while self.top() < name.round {
            self.rows.push_back(Row::new(self.members.size()));
        }
        self.blocks += 1;
        self.unordered += usize::from(!block.payloads.is_empty());
        let index = (name.round.get() - self.floor.get()) as usize;
        let row = &mut self.rows[index];
        let vertex = Some(Box::new(Vertex {
            block,
            previous,
            siblings,
            older,
            is_committed: false,
        }));
        let position = row.push(Entry { name, vertex });
        let position = u16::try_from(position).expect("its caller accepts no more than so many");
        if row.authors.insert(name.author) {
            row.power += self.members.power(name.author);
            if is_quorum(row.power) {
                self.quorum_round = self.quorum_round.max(name.round);
            }
        }
        let highest = &mut self.highest[slot(name.author)];
        *highest = (*highest).max(name.round);
        Place {
            author: name.author,
            position,
        }
    }

    /// Remembers the name of a block in the row of the floor, whose parents nobody asks for any more.
    pub fn note_floor(&mut self, name: BlockRef) {
        assert!(name.round == self.floor, "it lies in the row of the floor");
        if self.contains(&name) {
            return;
        }
        let row = &mut self.rows[0];
        row.push(Entry { name, vertex: None });
        row.authors.insert(name.author);
        let highest = &mut self.highest[slot(name.author)];
        *highest = (*highest).max(name.round);
    }

    /// Marks a block as ordered; `false` when it was, or is not here.
    pub fn commit(&mut self, name: &BlockRef) -> bool {
        let Some(index) = name.round.get().checked_sub(self.floor.get()) else {
            return false;
        };
        let Some(row) = self.rows.get_mut(index as usize) else {
            return false;
        };
        let mut entries = row.slots[slot(name.author)].iter_mut();
        let Some(vertex) = entries
            .find(|entry| entry.name == *name)
            .and_then(|entry| entry.vertex.as_deref_mut())
        else {
            return false;
        };
        if vertex.is_committed {
            return false;
        }
        vertex.is_committed = true;
        self.unordered -= usize::from(!vertex.block.payloads.is_empty());
        true
    }

    /// Raises the floor. Yields the blocks at or below the new one that were above the old one and were never ordered.
    pub fn raise(&mut self, floor: Round) -> Vec<(BlockRef, Payloads)> {
        let mut lost = Vec::new();
        while self.floor < floor {
            let next = Round::new(self.floor.get() + 1);
            for (_, vertex) in self.round(next) {
                if !vertex.is_committed && !vertex.block.payloads.is_empty() {
                    lost.push((vertex.name(), vertex.block.payloads.clone()));
                }
            }
            let dropped = self.rows.pop_front().expect("the floor has a row");
            let vertices = dropped
                .slots
                .iter()
                .flatten()
                .filter(|entry| entry.vertex.is_some());
            self.blocks -= vertices.count();
            if self.rows.is_empty() {
                self.rows.push_back(Row::new(self.members.size()));
            }
            self.floor = next;
        }
        self.unordered -= lost.len();
        self.quorum_round = self.quorum_round.max(floor);
        lost
    }

    /// The parents of a block in full, the own one first; `None` when a name has gone with its row.
    pub fn parents(&self, vertex: &Vertex<S>) -> Option<Vec<BlockRef>> {
        let name = vertex.name();
        let before = Round::new(name.round.get() - 1);
        let mut list = vertex.older.clone();
        for place in vertex.parents_before().iter() {
            list.push(self.name_at(before, place)?);
        }
        list.sort_unstable_by_key(|parent| (parent.author != name.author, parent.author));
        Some(list)
    }

    /// The block of the same author that a block names as the one before.
    pub fn own_before(&self, name: &BlockRef) -> Option<BlockRef> {
        let vertex = self.get(name)?;
        let older = vertex.older.iter().find(|parent| parent.author == name.author);
        let before = Round::new(name.round.get() - 1);
        older
            .copied()
            .or_else(|| self.name_at(before, vertex.parent(name.author)?))
    }

    /// The frame of a block with its parents in full.
    pub fn frame(&self, name: &BlockRef) -> Option<Bytes> {
        let vertex = self.get(name)?;
        let parents = self.parents(vertex)?;
        Some(vertex.block.frame_in_full(parents))
    }

    /// The header of a block with its signature.
    pub fn header(&self, name: &BlockRef) -> Option<SignedHeader<S::Block>> {
        let vertex = self.get(name)?;
        Some(vertex.block.signed_header(&self.parents(vertex)?))
    }
}

fn slot(author: AuthorityIndex) -> usize {
    usize::from(author.get())
}
