//! Blocks that wait for their parents, within bounds for each author: what a peer sends cannot make more of them.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Digest, Verified};
use types::{AuthorityIndex, BlockDigest, BlockRef, Round};

use crate::block::SignedBlock;
use crate::dag::Want;
use crate::members::Suite;

struct Waiting<S: Suite> {
    block: Verified<SignedBlock<S>>,
    from: AuthorityIndex,
    missing: BTreeSet<Want>,
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

    /// Whether any block waits for it.
    pub fn is_wanted(&self, want: &Want) -> bool {
        self.wanted.contains_key(want)
    }

    /// What an author's blocks wait for, those of the lowest rounds first, and who sent them.
    pub fn wants_of(&self, author: AuthorityIndex) -> impl Iterator<Item = (Want, AuthorityIndex)> + '_ {
        let blocks = self.blocks.iter().filter(move |(name, _)| name.author == author);
        blocks.flat_map(|(_, waiting)| waiting.missing.iter().map(|want| (*want, waiting.from)))
    }

    /// Whether a block is held that would do for it.
    pub fn has(&self, want: &Want) -> bool {
        match want {
            Want::Name(name) => self.blocks.contains_key(name),
            Want::Slot(at) => {
                let lowest = BlockRef {
                    round: at.round,
                    author: at.author,
                    digest: BlockDigest::new(Digest::ZERO),
                };
                let first = self.blocks.range(lowest..).next();
                first.is_some_and(|(name, _)| name.slot() == *at)
            }
        }
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
        let author = slot(name.author);
        while self.authors[author].blocks + 1 > self.most.blocks
            || self.authors[author].bytes + bytes > self.most.bytes
        {
            let highest = self
                .blocks
                .keys()
                .rev()
                .find(|held| held.author == name.author)
                .copied();
            match highest {
                Some(highest) if highest > name => self.remove(&highest),
                _ => return Admission::Full,
            };
        }
        for want in &missing {
            self.wanted.entry(*want).or_default().insert(name);
        }
        self.authors[author].blocks += 1;
        self.authors[author].bytes += bytes;
        self.bytes += bytes;
        let missing = missing.into_iter().collect();
        self.blocks.insert(name, Waiting { block, from, missing });
        Admission::Held
    }

    /// The blocks that wait for any block of a slot of this author wait for themselves in full from now on. Yields them, and who
    /// sent them.
    pub fn in_full(&mut self, author: AuthorityIndex) -> Vec<(BlockRef, AuthorityIndex)> {
        let of_author = |want: &&Want| matches!(want, Want::Slot(at) if at.author == author);
        let slots = self.wanted.keys().filter(of_author);
        let names: BTreeSet<BlockRef> = slots.flat_map(|slot| &self.wanted[slot]).copied().collect();
        let mut turned = Vec::new();
        for name in names {
            let held = self.blocks.get_mut(&name).expect("who waits is held");
            let full = Want::Name(name);
            let missing = std::mem::replace(&mut held.missing, BTreeSet::from([full]));
            turned.push((name, held.from));
            self.forget(&name, missing);
            self.wanted.entry(full).or_default().insert(name);
        }
        turned
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
        let Waiting { block, from, missing } = self.blocks.remove(name)?;
        self.forget(name, missing);
        let share = &mut self.authors[slot(name.author)];
        share.blocks -= 1;
        share.bytes -= block.frame().len();
        self.bytes -= block.frame().len();
        Some((from, block))
    }

    /// A block waits for these no more.
    fn forget(&mut self, name: &BlockRef, missing: BTreeSet<Want>) {
        for want in missing {
            if let Some(waiting) = self.wanted.get_mut(&want) {
                waiting.remove(name);
                if waiting.is_empty() {
                    self.wanted.remove(&want);
                }
            }
        }
    }
}

fn slot(author: AuthorityIndex) -> usize {
    usize::from(author.get())
}
