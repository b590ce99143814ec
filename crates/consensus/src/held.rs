//! Blocks that wait for their parents, within bounds for each author: what a peer sends cannot make more of them.

use std::collections::{BTreeMap, BTreeSet};

use crypto::Verified;
use types::{AuthorityIndex, BlockRef, Round, Slot};

use crate::block::SignedBlock;
use crate::dag::Want;
use crate::members::Suite;

struct Waiting<S: Suite> {
    block: Verified<SignedBlock<S>>,
    from: AuthorityIndex,
    missing: BTreeSet<Want>,
    /// It names its parents in short, and is wanted in full.
    in_full: bool,
    /// On whose share it is held: whoever needs it pays where its author has filled its own.
    payer: usize,
}

/// The blocks that wait.
pub struct Held<S: Suite> {
    /// By name, so by round first.
    blocks: BTreeMap<BlockRef, Waiting<S>>,
    /// Which blocks wait for it.
    wanted: BTreeMap<Want, BTreeSet<BlockRef>>,
    authors: Vec<Share>,
    most: Share,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    blocks: usize,
    bytes: usize,
}

/// Whether a block is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is.
    Held,
    /// It was before.
    Known,
    /// Its author has its share already, of lower rounds.
    Full,
}

impl<S: Suite> Held<S> {
    /// Nothing, and room for so many blocks and bytes of each author.
    pub fn new(members: usize, blocks: usize, bytes: usize) -> Self {
        Self {
            blocks: BTreeMap::new(),
            wanted: BTreeMap::new(),
            authors: vec![Share::default(); members],
            most: Share { blocks, bytes },
            bytes: 0,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Their bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether any block waits for it, or it is one that is wanted in full.
    pub fn is_wanted(&self, want: &Want) -> bool {
        let in_full = |name| self.blocks.get(name).is_some_and(|waiting| waiting.in_full);
        self.wanted.contains_key(want) || matches!(want, Want::Name(name) if in_full(name))
    }

    /// What an author's blocks wait for, those of the lowest rounds first, and which of them are wanted in full; and who sent
    /// them.
    pub fn wants_of(&self, author: AuthorityIndex) -> impl Iterator<Item = (Want, AuthorityIndex)> + '_ {
        let blocks = self.blocks.iter().filter(move |(name, _)| name.author == author);
        blocks.flat_map(|(name, waiting)| {
            let in_full = waiting.in_full.then_some(Want::Name(*name));
            let wants = waiting.missing.iter().copied().chain(in_full);
            wants.map(|want| (want, waiting.from))
        })
    }

    /// Whether a block is held.
    pub fn has(&self, name: &BlockRef) -> bool {
        self.blocks.contains_key(name)
    }

    /// The blocks that wait for a block by its name.
    pub fn children(&self, name: &BlockRef) -> impl Iterator<Item = BlockRef> + '_ {
        self.wanted.get(&Want::Name(*name)).into_iter().flatten().copied()
    }

    /// Holds a block until what it misses is there. Where its author's share is taken, blocks of the highest rounds go
    /// first: they are worth nothing before the others.
    pub fn hold(
        &mut self,
        block: Verified<SignedBlock<S>>,
        from: AuthorityIndex,
        missing: Vec<Want>,
    ) -> Admission {
        let name = block.reference();
        if let Some(waiting) = self.blocks.get(&name) {
            if waiting.missing.iter().eq(&missing) {
                return Admission::Known;
            }
            self.remove(&name);
        }
        let bytes = block.frame().len();
        let has_room = |payer: &usize| {
            let share = &self.authors[*payer];
            share.blocks < self.most.blocks && share.bytes + bytes <= self.most.bytes
        };
        let needed = self.children(&name).filter_map(|child| self.blocks.get(&child));
        let payers = std::iter::once(slot(name.author)).chain(needed.map(|child| child.payer));
        let payer = payers.into_iter().find(has_room).unwrap_or(slot(name.author));
        while self.authors[payer].blocks + 1 > self.most.blocks
            || self.authors[payer].bytes + bytes > self.most.bytes
        {
            let highest = self.blocks.iter().rev().find(|(_, held)| held.payer == payer);
            match highest.map(|(name, _)| *name) {
                Some(highest) if highest > name => self.remove(&highest),
                _ => return Admission::Full,
            };
        }
        for want in &missing {
            self.wanted.entry(*want).or_default().insert(name);
        }
        self.authors[payer].blocks += 1;
        self.authors[payer].bytes += bytes;
        self.bytes += bytes;
        let waiting = Waiting {
            block,
            from,
            missing: missing.into_iter().collect(),
            in_full: false,
            payer,
        };
        self.blocks.insert(name, waiting);
        Admission::Held
    }

    /// The blocks that wait for any block of a slot.
    pub fn of_slot(&self, at: Slot) -> BTreeSet<BlockRef> {
        self.wanted.get(&Want::Slot(at)).cloned().unwrap_or_default()
    }

    /// The blocks that wait for any block of any slot of an author.
    pub fn of_author(&self, author: AuthorityIndex) -> BTreeSet<BlockRef> {
        let of_author = |want: &&Want| matches!(want, Want::Slot(at) if at.author == author);
        let slots = self.wanted.keys().filter(of_author);
        slots.flat_map(|slot| &self.wanted[slot]).copied().collect()
    }

    /// A held block is wanted in full from now on. Yields who sent it, when that is new.
    pub fn want_in_full(&mut self, name: &BlockRef) -> Option<AuthorityIndex> {
        let held = self.blocks.get_mut(name)?;
        (!std::mem::replace(&mut held.in_full, true)).then_some(held.from)
    }

    /// A block was accepted: those that waited for nothing else come free, ascending.
    pub fn free(&mut self, name: &BlockRef) -> Vec<(AuthorityIndex, Verified<SignedBlock<S>>)> {
        let mut ready = BTreeSet::new();
        for want in [Want::Name(*name), Want::Slot(name.slot())] {
            for waiting in self.wanted.remove(&want).unwrap_or_default() {
                let held = self.blocks.get_mut(&waiting).expect("who waits is held");
                held.missing.remove(&want);
                if held.missing.is_empty() {
                    ready.insert(waiting);
                }
            }
        }
        ready.iter().filter_map(|name| self.remove(name)).collect()
    }

    /// Takes out what lies at or below the floor, and frees what waited for blocks there.
    pub fn raise(&mut self, floor: Round) -> Vec<(AuthorityIndex, Verified<SignedBlock<S>>)> {
        while let Some(name) = self
            .blocks
            .keys()
            .next()
            .copied()
            .filter(|name| name.round <= floor)
        {
            self.remove(&name);
        }
        let is_below = |want: &&Want| match want {
            Want::Name(name) => name.round <= floor,
            Want::Slot(at) => at.round <= floor,
        };
        let moot: Vec<Want> = self.wanted.keys().filter(is_below).copied().collect();
        if planted!(NeverFreed) {
            return Vec::new();
        }
        let mut ready = BTreeSet::new();
        for want in moot {
            for waiting in self.wanted.remove(&want).unwrap_or_default() {
                let held = self.blocks.get_mut(&waiting).expect("who waits is held");
                held.missing.remove(&want);
                if held.missing.is_empty() {
                    ready.insert(waiting);
                }
            }
        }
        ready.iter().filter_map(|name| self.remove(name)).collect()
    }

    fn remove(&mut self, name: &BlockRef) -> Option<(AuthorityIndex, Verified<SignedBlock<S>>)> {
        let Waiting {
            block,
            from,
            missing,
            payer,
            ..
        } = self.blocks.remove(name)?;
        for want in missing {
            if let Some(waiting) = self.wanted.get_mut(&want) {
                waiting.remove(name);
                if waiting.is_empty() {
                    self.wanted.remove(&want);
                }
            }
        }
        let share = &mut self.authors[payer];
        share.blocks -= 1;
        share.bytes -= block.frame().len();
        self.bytes -= block.frame().len();
        Some((from, block))
    }
}

fn slot(author: AuthorityIndex) -> usize {
    usize::from(author.get())
}
