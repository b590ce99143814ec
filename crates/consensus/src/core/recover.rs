//! A member that has lost its store, and does not know what it has signed.
//!
//! It asks the others until members with a quorum of the power have answered, itself not counted; one that is recovering does
//! not answer, nor one that has made no block since it recovered. Each answer proves a round that the answerer has reached:
//! its latest own block, with the signed headers of a quorum of parents. If the asker has ever signed a block of round `r`,
//! a quorum had made blocks of round `r - 1`. Of those others, at least one is honest and among the answerers; its latest own
//! block is of round `r - 1` or higher. So whoever makes blocks only from two rounds above the highest answer on makes
//! none that it made before. That a round was reached is proven by a quorum, so no faulty answerer can name one that is
//! more than one round ahead of the honest.
//!
//! The round is written into the marker before any own block is (see [`crate::restore`]).

use types::{AuthorityIndex, BlockRef, Mono, Round};

use super::Core;
use crate::block::SignedBlock;
use crate::dag::Want;
use crate::machine::{Action, AskId, Now};
use crate::members::{Suite, is_quorum};
use crate::messages::{Answer, LatestAnswer, Request};
use crate::restore::marker;
use crate::set::AuthoritySet;

/// What was heard so far.
pub(super) struct Recovery {
    /// Who has answered.
    heard: AuthoritySet,
    /// The highest round of an answer.
    round: Round,
    /// Questions under way.
    asked: Vec<(u64, AuthorityIndex)>,
    /// When those who did not answer are asked again.
    due: Mono,
}

impl Recovery {
    pub fn new() -> Self {
        Self {
            heard: AuthoritySet::EMPTY,
            round: Round::ZERO,
            asked: Vec::new(),
            due: Mono::ZERO,
        }
    }
}

impl<S: Suite> Core<S> {
    /// When the next questions are due.
    pub(super) fn latest_at(&self) -> Option<Mono> {
        self.recovery
            .as_ref()
            .filter(|recovery| recovery.asked.is_empty())
            .map(|recovery| recovery.due)
    }

    pub(super) fn ask_latest(&mut self, now: Now) {
        let Some(recovery) = &self.recovery else { return };
        if !recovery.asked.is_empty() || now.mono < recovery.due {
            return;
        }
        let own = self.signer.index;
        let silent: Vec<AuthorityIndex> = self
            .members
            .indices()
            .filter(|member| *member != own && !recovery.heard.contains(*member))
            .collect();
        for member in silent {
            let id = self.question(member, Request::Latest);
            if let Some(recovery) = &mut self.recovery {
                recovery.asked.push((id, member));
            }
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.due = now.mono + self.pace.fetch_timeout;
        }
    }

    /// The answer to a question for the latest blocks; `None` when the question was another.
    pub(super) fn heard_latest(
        &mut self,
        ask: AskId,
        answer: &Option<Answer<S>>,
        now: Now,
    ) -> Option<AuthorityIndex> {
        let recovery = self.recovery.as_mut()?;
        let position = recovery.asked.iter().position(|(id, _)| *id == ask.0)?;
        let (_, from) = recovery.asked.swap_remove(position);
        let Some(Answer::Latest { yours, round }) = answer else {
            return Some(from);
        };
        recovery.heard.insert(from);
        recovery.round = recovery.round.max(*round);
        if let Some(yours) = yours {
            recovery.round = recovery.round.max(yours.round);
            // The next own block names it as the one before, if it comes in time.
            if yours.round > self.dag.floor() && !self.dag.contains(yours) {
                self.fetcher.search(Want::Name(*yours), from, now.mono);
            }
        }
        if is_quorum(self.members.weight(&recovery.heard)) || planted!(RecoveryByOne) {
            let above = if planted!(RecoveryTooLow) { 0 } else { 2 };
            let floor = Round::new(recovery.round.get().saturating_add(above)).max(self.own.floor);
            self.recovery = None;
            self.own.floor = floor;
            self.actions.push(Action::Store(marker(floor)));
        }
        Some(from)
    }

    pub(super) fn tell_latest(&self, of: AuthorityIndex) -> Option<LatestAnswer<S>> {
        // The latest that others may hear of: the one before the first that is not durable.
        let own = match self.own.undurable.first() {
            None => self.own.latest,
            Some(first) => self.dag.own_before(first)?,
        };
        if self.recovery.is_some() || own.round < self.own.floor {
            return None;
        }
        let highest = types::Slot {
            round: self.dag.highest(of),
            author: of,
        };
        let yours = self
            .dag
            .names(highest)
            .next()
            .and_then(|name| self.dag.header(&name));
        let (mut mine, mut parents) = (None, Vec::new());
        if own.round > Round::ZERO {
            mine = Some(self.dag.header(&own)?);
            let vertex = self.dag.get(&own)?;
            let before = Round::new(own.round.get() - 1);
            if before > Round::ZERO {
                for place in vertex.parents_before().iter() {
                    parents.push(self.dag.header(&self.dag.name_at(before, place)?)?);
                }
            }
        }
        Some(LatestAnswer {
            yours,
            mine,
            parents: types::Bounded::new(parents)?,
        })
    }

    /// A block of this member's own that it does not know of: its store has lost it without a word, or somebody else has
    /// the key. Nothing is signed before it is clear what was.
    pub(super) fn meet_own(&mut self, block: &SignedBlock<S>, parents: &[BlockRef], now: Now) {
        let name = block.reference();
        if name.round > self.own.latest.round {
            if self.recovery.is_none() && name.round >= self.own.floor {
                self.recovery = Some(Recovery::new());
            }
            self.link(parents, block);
            self.own.latest = name;
            self.own.timestamp = self.own.timestamp.max(block.timestamp());
            self.own.at = now.mono;
        }
    }
}
