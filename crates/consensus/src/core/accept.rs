//! From a block that comes in to a vertex of the graph.

use std::collections::BTreeSet;

use bytes::Bytes;
use crypto::Verified;
use types::{AuthorityIndex, BlockRef, Equivocation};

use super::Core;
use crate::block::{Parents, SignedBlock};
use crate::dag::{MAX_IN_SLOT, MAX_NEEDED_IN_SLOT, Place, Resolved, Vertex, Want};
use crate::held::Admission;
use crate::machine::{Action, Fault, Now, Record, Table};
use crate::members::Suite;
use crate::restore::block_key;

/// Blocks of one author that wait because its clock is ahead, at most; the next ones do not wait.
const EARLY: usize = 16;

/// Why a further block of a slot is accepted.
enum Reason {
    /// A commit holds it.
    Commit,
    /// A block of this author waits for it.
    Block(AuthorityIndex),
}

impl<S: Suite> Core<S> {
    /// A block came on a stream.
    pub(super) fn receive(&mut self, from: AuthorityIndex, block: Verified<SignedBlock<S>>, now: Now) {
        self.hear(&block);
        let name = block.reference();
        if self.is_known(&name) {
            return;
        }
        if name.round.get() > self.dag.top().get().saturating_add(self.pace.horizon) {
            return self.blame(from, Fault::FarAhead);
        }
        let ahead = block.timestamp().get().saturating_sub(now.wall.get());
        let wait = std::time::Duration::from_millis(ahead).min(self.pace.max_clock_wait);
        let is_wanted =
            self.held.is_wanted(&Want::Name(name)) || self.held.is_wanted(&Want::Slot(name.slot()));
        let waiting = || {
            self.early
                .keys()
                .filter(|early| early.author == name.author)
                .count()
        };
        if !wait.is_zero() && !is_wanted && waiting() < EARLY {
            self.early.insert(name, (now.mono + wait, from, block));
            return;
        }
        self.admit(from, block, now);
    }

    /// Takes note of a vote that is signed, whatever becomes of its block.
    pub(super) fn hear(&mut self, block: &SignedBlock<S>) {
        if let Some(vote) = block.vote() {
            let heard = &mut self.heard[slot(block.reference().author)];
            *heard = (*heard).max(vote.index);
        }
    }

    fn is_known(&self, name: &BlockRef) -> bool {
        name.round <= self.dag.floor() || self.dag.contains(name) || self.early.contains_key(name)
    }

    /// Blocks whose time has come.
    pub(super) fn release(&mut self, now: Now) {
        let due = |entry: (
            &BlockRef,
            &(types::Mono, AuthorityIndex, Verified<SignedBlock<S>>),
        )| { (entry.1.0 <= now.mono).then_some(*entry.0) };
        let names: Vec<BlockRef> = self.early.iter().filter_map(due).collect();
        for name in names {
            let (_, from, block) = self.early.remove(&name).expect("it was just seen there");
            self.admit(from, block, now);
        }
    }

    /// Accepts a block, and all that waited for it, or holds it.
    pub(super) fn admit(&mut self, from: AuthorityIndex, block: Verified<SignedBlock<S>>, now: Now) {
        let mut work = vec![(from, block)];
        while let Some((from, block)) = work.pop() {
            let name = block.reference();
            if name.round <= self.dag.floor() || self.dag.contains(&name) {
                continue;
            }
            match self.dag.resolve(&block) {
                Resolved::Parents(parents) => {
                    let known = self.dag.names(name.slot()).len();
                    let mut reason = None;
                    let bytes = block.frame().len();
                    if known > 0 {
                        self.accuse(&block, &parents, now);
                        reason = match self.reason(&name, bytes) {
                            Some(Reason::Commit) if known < MAX_IN_SLOT => Some(Reason::Commit),
                            Some(block @ Reason::Block(_)) if known < MAX_NEEDED_IN_SLOT => Some(block),
                            _ => continue,
                        };
                    }
                    if name.author == self.signer.index {
                        self.meet_own(&block, &parents, now);
                    }
                    let reached = self.dag.quorum_round();
                    self.accept(block.into_inner(), &parents);
                    match reason {
                        Some(Reason::Block(author)) => self.credit.charge(name, Some(author), bytes),
                        None if self.equivocators.contains(name.author) => {
                            self.credit.charge(name, None, bytes);
                        }
                        None | Some(Reason::Commit) => self.settle(parents),
                    }
                    if self.dag.quorum_round() > reached {
                        self.round_at = now.mono;
                    }
                    let mut freed = self.held.free(&name);
                    freed.reverse();
                    work.append(&mut freed);
                }
                Resolved::Missing(wants) => self.hold(from, block, wants, now, &mut work),
                Resolved::NeedsFull => self.hold(from, block, vec![Want::Name(name)], now, &mut work),
                Resolved::Foreign => self.blame(name.author, Fault::ForeignParent),
            }
        }
    }

    fn hold(
        &mut self,
        from: AuthorityIndex,
        block: Verified<SignedBlock<S>>,
        wants: Vec<Want>,
        now: Now,
        work: &mut Vec<(AuthorityIndex, Verified<SignedBlock<S>>)>,
    ) {
        let name = block.reference();
        let due = now.mono + self.pace.fetch_wait;
        let admission = self.held.hold(block, from, wants.clone());
        if admission == Admission::Full {
            // Who waits for any block of the slot may wait for this one, and would hold it on its own share.
            self.want_in_full(self.held.of_slot(name.slot()), now.mono);
            return self.blame(name.author, Fault::TooManyHeld);
        }
        let equivocators = self.equivocators;
        // Each member may know another block of such a slot: only in full does a block say which it means.
        let is_ambiguous = |want: &Want| matches!(want, Want::Slot(at) if equivocators.contains(at.author));
        if wants.iter().any(is_ambiguous) {
            self.want_in_full(BTreeSet::from([name]), due);
        }
        if !self.held.is_wanted(&Want::Name(name)) && !self.catch_up.wants(&name) {
            // It was searched for in full, and came so.
            self.fetcher.stop(&Want::Name(name));
        }
        for want in wants {
            if !is_ambiguous(&want) {
                self.fetcher.search_for(name.author, want, from, due);
            }
            if admission == Admission::Known {
                continue;
            }
            // A parent that only waits for its time waits no longer.
            let early: Vec<BlockRef> = match want {
                Want::Name(name) => self.early.get(&name).map(|_| name).into_iter().collect(),
                Want::Slot(at) => self
                    .early
                    .keys()
                    .filter(|name| name.slot() == at)
                    .copied()
                    .collect(),
            };
            for name in early {
                let (_, from, block) = self.early.remove(&name).expect("it was just seen there");
                work.push((from, block));
            }
        }
    }

    /// Has held blocks told in full. They come free as well when those come that they mean.
    fn want_in_full(&mut self, names: BTreeSet<BlockRef>, due: types::Mono) {
        for name in names {
            if let Some(from) = self.held.want_in_full(&name) {
                self.fetcher.search_for(name.author, Want::Name(name), from, due);
            }
        }
    }

    /// Why a further block of a slot, of so many bytes, is accepted: a commit holds it, or a block waits for it, or for one that
    /// does so, whose author has not equivocated and may owe it. What only equivocators build on is needed by nobody.
    fn reason(&self, name: &BlockRef, bytes: usize) -> Option<Reason> {
        let (mut seen, mut ahead) = (BTreeSet::new(), vec![*name]);
        while let Some(name) = ahead.pop() {
            if self.catch_up.wants(&name) {
                return Some(Reason::Commit);
            }
            for child in self.held.children(&name) {
                let author = child.author;
                if !self.equivocators.contains(author) && self.credit.has_room(author, bytes) {
                    return Some(Reason::Block(author));
                }
                if seen.insert(child) {
                    ahead.push(child);
                }
            }
        }
        None
    }

    /// These parents are in the graph because they are needed, and so is what they have needed.
    fn settle(&mut self, parents: Vec<BlockRef>) {
        let mut ahead = parents;
        while let Some(name) = ahead.pop() {
            if self.credit.settle(&name)
                && let Some(vertex) = self.dag.get(&name)
            {
                ahead.extend(self.dag.parents(vertex).unwrap_or_default());
            }
        }
    }

    /// Writes a block down and puts it into the graph.
    fn accept(&mut self, block: SignedBlock<S>, parents: &[BlockRef]) {
        let name = block.reference();
        // In short a block can be read again as long as no slot of its parents has several.
        let in_short = match block.parents() {
            Parents::Full(_) => None,
            Parents::Compact { previous, .. } => {
                let before = types::Round::new(name.round.get() - 1);
                let is_plain = self.dag.are_single(before, previous);
                is_plain.then(|| block.frame().clone())
            }
        };
        let place = self.enter(block, parents);
        if place.position == 1 {
            self.store_in_full(name);
        }
        let frame = in_short
            .or_else(|| self.dag.frame(&name))
            .expect("a block that was just accepted is in the graph");
        self.store(&name, frame);
        self.fetcher.stop(&Want::Name(name));
        self.fetcher.stop(&Want::Slot(name.slot()));
    }

    /// A slot has a second block: those above that name the first in short are written down in full from now on, so that they can be
    /// read however many more there will be. They come before it in the store, where nothing is ambiguous yet.
    fn store_in_full(&mut self, second: BlockRef) {
        let above = types::Round::new(second.round.get() + 1);
        let of_author = |vertex: &Vertex<S>| vertex.previous().contains(second.author).then(|| vertex.name());
        let names: Vec<BlockRef> = self
            .dag
            .round(above)
            .filter_map(|(_, vertex)| of_author(vertex))
            .collect();
        for name in names {
            if let Some(value) = self.dag.frame(&name) {
                let (table, key) = (Table::Blocks, block_key(&name));
                self.actions.push(Action::Rewrite(Record { table, key, value }));
            }
        }
    }

    pub(super) fn store(&mut self, name: &BlockRef, frame: Bytes) {
        self.actions.push(Action::Store(Record {
            table: Table::Blocks,
            key: block_key(name),
            value: frame,
        }));
    }

    /// Puts a block into the graph and counts what it says.
    pub(super) fn enter(&mut self, block: SignedBlock<S>, parents: &[BlockRef]) -> Place {
        let (name, vote) = (block.reference(), block.vote());
        let place = self.dag.insert(block, parents);
        let vertex = self
            .dag
            .at(name.round, place)
            .expect("a block that was just accepted is in the graph");
        self.committer.observe(vertex, place, &mut self.schedule);
        if let Some(vote) = vote {
            let latest = &mut self.votes[slot(name.author)];
            if latest.is_none_or(|(known, _)| known.index < vote.index) {
                *latest = Some((vote, name));
            }
        }
        place
    }

    /// Two blocks of one slot: shown once for each author.
    pub(super) fn accuse(&mut self, block: &SignedBlock<S>, parents: &[BlockRef], now: Now) {
        let name = block.reference();
        if self.equivocators.insert(name.author) {
            self.blame(name.author, Fault::Equivocated);
            // Blocks that name its slots in short are wanted in full now.
            self.want_in_full(self.held.of_author(name.author), now.mono);
        }
        if self.accused.contains(name.author) {
            return;
        }
        let first = self
            .dag
            .names(name.slot())
            .find_map(|first| self.dag.header(&first));
        let second = block.signed_header(parents);
        if let Some(Ok(proof)) = first.map(|first| Equivocation::new(first, second)) {
            self.accused.insert(name.author);
            self.actions.push(Action::Accuse(Box::new(proof)));
        }
    }
}

fn slot(author: AuthorityIndex) -> usize {
    usize::from(author.get())
}

#[cfg(test)]
mod tests;
