//! Own blocks: when, and of what.
//!
//! What the liveness proof needs of an honest member (arXiv 2310.14821, appendix; the counterexample to an earlier proof is
//! Qiu, Xiao and Shao, S&P 2026):
//! 1. It makes a block in *every* round, one after the other, for as long as the round can still matter. A member that was
//!    cut off and hears of a higher round fills the rounds between: if members jump, rounds stay without a quorum
//!    of votes or certificates for ever, and nothing commits.
//! 2. It waits for the leaders of the round before, or until a timeout, so that a leader's block that came in time is voted
//!    for by all honest members.
//! 3. It waits, until the same timeout, for as many votes as make its block a certificate of each leader of the round
//!    before that, unless the slot is blamed: the first quorum of blocks may hold too few of the votes.
//!
//! A leader that has not been heard of for [`ABSENT`] rounds is not waited for: it has nothing to lose by being skipped, and
//! the others would lose a timeout in each round that it leads. Nor is one that has equivocated.
//!
//! Blocks of members that have equivocated are parents only where there is no quorum without them, which is waited for as long
//! as a stall lasts, once: each member may know others of them, and would have to fetch all that they stand on.

use std::time::Duration;

use types::{BlockRef, CommitIndex, Mono, Round};

use super::Core;
use crate::block::{Draft, Payloads, SignedBlock};
use crate::dag::Place;
use crate::machine::{Action, Now, Record, Table};
use crate::members::{Suite, is_quorum};
use crate::restore::OWN;
use crate::set::AuthoritySet;

/// Rounds without a block of a leader after which it is not waited for.
const ABSENT: u32 = 12;

/// Rounds below an own block's parents in which late blocks are looked for.
const SEARCHED: u32 = 8;

/// Rounds behind the committee's in which own blocks carry no payload yet: it would come late.
const BEHIND: u32 = 3;

impl<S: Suite> Core<S> {
    /// Makes the next own block, if it is time. Whether it did.
    pub(super) fn propose(&mut self, now: Now) -> bool {
        self.look_for_leaders();
        let Some((round, at)) = self.next_block() else {
            return false;
        };
        if at.is_some_and(|at| now.mono < at) {
            return false;
        }
        if round > self.dag.quorum_round() {
            self.is_short = !self.has_quorum;
        }
        self.make(round, now);
        true
    }

    /// When [`propose`](Self::propose) is to be called again; `None` when only an event can change that.
    pub(super) fn propose_at(&self) -> Option<Mono> {
        let (_, at) = self.next_block()?;
        Some(at.unwrap_or(Mono::ZERO))
    }

    /// The round of the next own block, and when it is to be made; `None` for at once.
    fn next_block(&self) -> Option<(Round, Option<Mono>)> {
        let is_over = self.is_closed || self.recovery.is_some();
        if is_over || self.own.undurable.len() >= self.pace.undurable {
            return None;
        }
        let reached = Round::new(self.dag.quorum_round().get() + 1);
        let above = |round: Round| Round::new(round.get() + 1);
        let next = above(self.own.latest.round)
            .max(self.own.floor)
            .max(above(self.dag.floor()))
            .max(if planted!(SkippedRounds) {
                reached
            } else {
                Round::ZERO
            });
        if next > reached {
            return None;
        }
        if next < reached {
            // Rounds that the others have committed long ago are no use to anybody.
            return (!self.is_behind()).then_some((next, None));
        }
        let is_idle = self.queue.is_empty() && self.dag.unordered() == 0 && self.last.is_none();
        let pause = if is_idle {
            self.pace.idle_round
        } else {
            self.pace.min_round
        };
        let earliest = self.own.at + pause;
        if planted!(EndlessWait) && !self.is_ready {
            return None;
        }
        if !self.has_quorum {
            let patience = match self.is_short {
                true => self.pace.leader_timeout,
                false => self.pace.stall,
            };
            return Some((next, Some(earliest.max(self.round_at + patience))));
        }
        if self.is_ready {
            return Some((next, Some(earliest)));
        }
        let patience = self.pace.leader_timeout
            + if is_idle {
                self.pace.idle_round
            } else {
                Duration::ZERO
            };
        Some((next, Some(earliest.max(self.round_at + patience))))
    }

    /// Finds out whether nothing is left to wait for before a block of the next round.
    fn look_for_leaders(&mut self) {
        let before = self.dag.quorum_round();
        let dag = &self.dag;
        let is_here = |leader: &types::AuthorityIndex| {
            let slot = types::Slot {
                round: before,
                author: *leader,
            };
            dag.names(slot).len() > 0
                || self.equivocators.contains(*leader)
                || (dag.highest(*leader).get().saturating_add(ABSENT) < before.get()
                    && !planted!(FixedLeaders))
        };
        let are_here = before == Round::ZERO || self.schedule.leaders(before).iter().all(is_here);
        self.is_ready = are_here
            && before
                .get()
                .checked_sub(1)
                .is_none_or(|led| self.committer.is_settled(Round::new(led)));
        let (heard, suspects) = (dag.authors(before), &self.equivocators);
        let trusted = self.members.weight(&heard) - self.members.weight(&heard.and(suspects));
        self.has_quorum = is_quorum(trusted);
    }

    fn make(&mut self, round: Round, now: Now) {
        let before = Round::new(round.get() - 1);
        let mut parents = vec![self.own.latest];
        let mut heard = AuthoritySet::EMPTY;
        if self.own.latest.round == before {
            heard.insert(self.signer.index);
        }
        let (mut suspects, mut late) = (Vec::new(), Vec::new());
        for author in self
            .members
            .indices()
            .filter(|author| *author != self.signer.index)
        {
            let parent = self.dag.name_at(before, Place::first(author));
            if self.equivocators.contains(author) {
                suspects.extend(parent);
                continue;
            }
            if let Some(parent) = parent {
                parents.push(parent);
                heard.insert(author);
                continue;
            }
            let highest = self.dag.highest(author);
            let is_new =
                highest > self.own.linked[slot(author)] && highest > self.dag.floor() && highest < before;
            if is_new {
                late.extend(self.dag.name_at(highest, Place::first(author)));
            }
        }
        for name in &late {
            self.own.linked[slot(name.author)] = name.round;
        }
        parents.extend(self.unreached(before, heard, late));
        // Whoever signs two blocks for a slot is left out, unless there is no quorum without it.
        if !is_quorum(self.members.weight(&heard)) {
            parents.extend(suspects);
        }
        parents[1..].sort_unstable_by_key(|parent| parent.author);
        // Of an equivocator's blocks each member may know another.
        let is_plain = |parent: &&BlockRef| {
            let is_single = self.dag.names(parent.slot()).len() == 1;
            parent.round == before && is_single && !self.equivocators.contains(parent.author)
        };
        let plain: AuthoritySet = parents
            .iter()
            .filter(is_plain)
            .map(|parent| parent.author)
            .collect();
        let behind = self.dag.quorum_round().get().saturating_sub(round.get());
        let payloads = if behind < BEHIND && self.last.is_none() {
            self.take_payloads()
        } else {
            Payloads::default()
        };
        let draft = Draft {
            round,
            timestamp: self.own.timestamp.max(now.wall),
            vote: (self.chain.last.index > self.own.voted).then_some(self.chain.last),
            parents: parents.clone(),
            payloads,
        };
        let block = SignedBlock::make(draft, &plain, &self.rules, &self.signer);
        let (name, frame) = (block.reference(), block.frame().clone());
        self.link(&parents, &block);
        self.own.latest = name;
        self.own.timestamp = block.timestamp();
        self.own.at = now.mono;
        self.own.undurable.insert(name);
        let reached = self.dag.quorum_round();
        self.store(&name, frame.clone());
        self.enter(block, &parents);
        if self.dag.quorum_round() > reached {
            self.round_at = now.mono;
        }
        self.actions.push(Action::Store(Record {
            table: Table::State,
            key: OWN.to_vec(),
            value: types::encode(&name).into(),
        }));
        self.actions.push(Action::Publish { block: name, frame });
        if planted!(OwnRecordLate) {
            let last = self.actions.len() - 1;
            self.actions.swap(last - 1, last);
        }
        for (from, block) in self.held.free(&name) {
            self.admit(from, block, now);
        }
    }

    /// Of blocks that came late those that no parent in the round before leads to: what a parent has behind it need not be
    /// named. Slots with several blocks lead nowhere here, so too many may be named, and never too few.
    fn unreached(&self, before: Round, parents: AuthoritySet, mut late: Vec<BlockRef>) -> Vec<BlockRef> {
        let (mut round, mut reached) = (before, parents);
        for _ in 0..SEARCHED {
            if late.iter().all(|name| name.round >= round) {
                break;
            }
            let mut below = AuthoritySet::EMPTY;
            for author in reached.iter() {
                let at = types::Slot { round, author };
                if self.dag.names(at).len() > 1 {
                    continue;
                }
                if let Some(vertex) = self.dag.at(round, Place::first(author)) {
                    below.add(vertex.previous());
                    late.retain(|name| !vertex.older().contains(name));
                }
            }
            (round, reached) = (Round::new(round.get().saturating_sub(1)), below);
            late.retain(|name| {
                let is_single = self.dag.names(name.slot()).len() == 1;
                !(name.round == round && is_single && reached.contains(name.author))
            });
        }
        late
    }

    /// Remembers what an own block says, so that the next one need not say it again.
    pub(super) fn link(&mut self, parents: &[BlockRef], block: &SignedBlock<S>) {
        for parent in parents {
            let linked = &mut self.own.linked[slot(parent.author)];
            *linked = (*linked).max(parent.round);
        }
        let voted = block.vote().map_or(CommitIndex::ZERO, |vote| vote.index);
        self.own.voted = self.own.voted.max(voted);
    }

    fn take_payloads(&mut self) -> Payloads {
        let (mut bytes, mut count) = (0, 0);
        let fits = |payload: &&bytes::Bytes| {
            bytes += payload.len() + 4;
            count += 1;
            bytes <= self.rules.max_block_bytes as usize && count <= self.rules.max_block_payloads
        };
        let taken = self.queue.iter().take_while(fits).count();
        let payloads = Payloads::new(self.queue.iter().take(taken).map(|payload| &payload[..]));
        for payload in self.queue.drain(..taken) {
            self.queue_bytes -= payload.len();
        }
        payloads
    }
}

fn slot(author: types::AuthorityIndex) -> usize {
    usize::from(author.get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::kit::{block, core, genesis, index, members, now};
    use crate::{Production, Restored};

    #[test]
    fn a_quorum_without_equivocators_is_waited_for_as_long_as_a_stall_lasts() {
        let restored = || Restored {
            marker: Some(Round::ZERO),
            ..Restored::default()
        };
        for is_late in [false, true] {
            let (mut core, _) = core(4, restored());
            assert_eq!(core.own.latest.round, Round::ZERO, "nothing is to be ordered");
            core.submit(bytes::Bytes::from_static(b"payload")).unwrap();
            core.handle(now(10), Event::Tick);
            assert_eq!(core.own.latest.round, Round::new(1));
            let send = |core: &mut Core<Production>, author: u8, clock, ms| {
                let others = (0..4).filter(|other| *other != author);
                let parents = std::iter::once(author).chain(others).map(genesis).collect();
                let block = block((author, 1, clock), parents, &AuthoritySet::EMPTY);
                let block = block.verify(&members(4)).unwrap();
                let from = index(author);
                core.handle(now(ms), Event::Block { from, block });
            };
            send(&mut core, 3, 0, 20);
            send(&mut core, 3, 1, 20);
            send(&mut core, 1, 0, 30);
            assert_eq!(core.dag.quorum_round(), Round::new(1));
            let stall = 30 + core.pace.stall.as_millis() as u64;
            core.handle(now(stall - 1), Event::Tick);
            assert_eq!(core.own.latest.round, Round::new(1));
            if is_late {
                core.handle(now(stall), Event::Tick);
            } else {
                send(&mut core, 2, 0, stall - 1);
            }
            assert_eq!(core.own.latest.round, Round::new(2));
            let parents = core.dag.get(&core.own.latest).unwrap().previous();
            assert_eq!(parents.contains(index(3)), is_late);
        }
    }
}
