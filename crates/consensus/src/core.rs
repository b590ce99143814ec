//! The machine: one member's consensus in one epoch.
//!
//! `handle(now, event)` is all there is to it. The parts, each in a file of its own:
//! - `accept`: a block comes in, waits for its parents, and enters the graph;
//! - `order`: leader slots are decided, and commits made and delivered;
//! - `propose`: own blocks are made;
//! - `catch_up`: commits are fetched when blocks are too far away;
//! - `recover`: a member that has lost its store finds out what it has signed.

mod accept;
mod catch_up;
mod order;
mod propose;
mod recover;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use crypto::Verified;
use types::{AuthorityIndex, BlockHeader, BlockRef, CommitIndex, CommitRef, Mono, Round, UnixMillis};

use self::catch_up::CatchUp;
use self::recover::Recovery;
use crate::block::{Payloads, SignedBlock};
use crate::committer::Committer;
use crate::credit::Credit;
use crate::dag::{Dag, Resolved, Want};
use crate::fetcher::{Brought, Fetcher};
use crate::held::Held;
use crate::linearizer::{Chain, Led};
use crate::machine::{Action, AskId, Event, Fault, Now, Refused, Status, Unanswered};
use crate::members::{Members, Signer, Suite};
use crate::messages::{Answer, LatestAnswer};
use crate::restore::Restored;
use crate::rules::{Pace, Rules};
use crate::schedule::{Schedule, Scores, Swaps};
use crate::set::AuthoritySet;

/// What a machine is made from.
#[derive(Debug)]
pub struct Config<S: Suite> {
    /// What all members agree on.
    pub rules: Rules,
    /// What this one chooses.
    pub pace: Pace,
    /// Everybody.
    pub members: Arc<Members<S>>,
    /// This one's keys.
    pub signer: Signer<S>,
}

/// Why a machine cannot go on from what its store holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The store does not hold what it should. Start with an empty one: what was signed is asked of the others.
    #[error("the store is damaged: {0}")]
    Damaged(&'static str),
}

/// One member's consensus in one epoch.
pub struct Core<S: Suite> {
    rules: Rules,
    pace: Pace,
    members: Arc<Members<S>>,
    signer: Signer<S>,

    dag: Dag<S>,
    schedule: Schedule<S>,
    committer: Committer<S>,
    chain: Chain,
    scores: Scores,
    led: Led,
    /// Commits whose leaders lie above the floor, ascending, and their leaders' rounds.
    recent: VecDeque<(CommitRef, Round)>,

    held: Held<S>,
    fetcher: Fetcher<S>,
    credit: Credit,
    /// Blocks whose authors' clocks are ahead, until then.
    early: BTreeMap<BlockRef, (Mono, AuthorityIndex, Verified<SignedBlock<S>>)>,
    /// Authors of whom two blocks for one slot are known.
    equivocators: AuthoritySet,
    /// Those of them of whom it was shown.
    accused: AuthoritySet,

    /// Each author's latest vote in the graph, and the block that it stands in.
    votes: Vec<Option<(CommitRef, BlockRef)>>,
    /// The latest commit that each author was heard to vote for.
    heard: Vec<CommitIndex>,
    /// The last own commit that a quorum votes for.
    certified: CommitIndex,

    own: Own,
    /// Payloads for own blocks.
    queue: VecDeque<Bytes>,
    queue_bytes: usize,
    /// When the round was reached for which the next block is made.
    round_at: Mono,
    /// Whether all is here that it waits for.
    is_ready: bool,
    /// Whether that is a quorum without those that have equivocated.
    has_quorum: bool,
    /// Whether the last block was made without one: the next need not wait for it as long.
    is_short: bool,

    catch_up: CatchUp,
    recovery: Option<Recovery>,
    /// When the last commit was made, or asked for.
    progress_at: Mono,
    /// The last commit of the epoch, once it is known.
    last: Option<CommitIndex>,
    is_closed: bool,

    asked: u64,
    actions: Vec<Action<S>>,
}

/// What is known of own blocks.
struct Own {
    /// The latest.
    latest: BlockRef,
    /// Its clock.
    timestamp: UnixMillis,
    /// When it was made.
    at: Mono,
    /// None is made for lower rounds.
    floor: Round,
    /// Made and not known to be durable.
    undurable: BTreeSet<BlockRef>,
    /// The last commit that one votes for.
    voted: CommitIndex,
    /// The highest round of each author that one names, or that its parents lead to as far as was looked for.
    linked: Vec<Round>,
}

impl<S: Suite> Core<S> {
    /// The machine that goes on from `restored`, and what it does first.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn new(
        config: Config<S>,
        restored: Restored,
        now: Now,
    ) -> Result<(Self, Vec<Action<S>>), RestoreError> {
        let Config {
            rules,
            pace,
            members,
            signer,
        } = config;
        let size = members.size();
        let genesis = BlockHeader::genesis(rules.epoch, signer.index, rules.start).reference();
        let state = restored.state.as_ref();
        let floor = state.map_or(Round::ZERO, |state| state.floor);
        let swaps = state.map_or_else(Swaps::default, |state| state.swaps());
        let held_bytes = (pace.held_bytes / size).max(4 * rules.max_block_bytes as usize);
        let mut core = Self {
            dag: Dag::new(&rules, members.clone(), floor),
            schedule: Schedule::new(&rules, members.clone(), swaps),
            committer: Committer::new(members.clone(), Round::new(1), 0),
            chain: Chain::new(&rules),
            scores: Scores::new(size),
            led: Led::default(),
            recent: VecDeque::new(),
            held: Held::new(size, pace.held_blocks, held_bytes),
            fetcher: Fetcher::new(members.clone(), signer.index),
            credit: Credit::new(size, pace.held_bytes),
            early: BTreeMap::new(),
            equivocators: AuthoritySet::EMPTY,
            accused: AuthoritySet::EMPTY,
            votes: vec![None; size],
            heard: vec![CommitIndex::ZERO; size],
            certified: CommitIndex::ZERO,
            own: Own {
                latest: restored.own.unwrap_or(genesis),
                timestamp: rules.start,
                at: now.mono,
                floor: restored.marker.unwrap_or(Round::ZERO),
                undurable: BTreeSet::new(),
                voted: CommitIndex::ZERO,
                linked: vec![Round::ZERO; size],
            },
            queue: VecDeque::new(),
            queue_bytes: 0,
            round_at: now.mono,
            is_ready: false,
            has_quorum: false,
            is_short: false,
            progress_at: now.mono,
            catch_up: CatchUp::new(signer.index),
            recovery: restored.marker.is_none().then(Recovery::new),
            last: None,
            is_closed: false,
            asked: 0,
            actions: Vec::new(),
            rules,
            pace,
            members,
            signer,
        };
        core.restore(restored, now)?;
        core.turn(now);
        let actions = std::mem::take(&mut core.actions);
        Ok((core, actions))
    }

    fn restore(&mut self, restored: Restored, now: Now) -> Result<(), RestoreError> {
        if let Some(state) = &restored.state {
            let (Some(last), true) = (restored.commits.last(), state.scores.len() == self.members.size())
            else {
                return Err(RestoreError::Damaged("the last commit is gone"));
            };
            let digest = last.digest();
            if (last.index, digest) != (state.last.index, state.last.digest) {
                return Err(RestoreError::Damaged("the last commit is another"));
            }
            self.chain.extend(last, digest, &self.rules);
            self.chain.floor = if planted!(FloorLost) {
                Round::ZERO
            } else {
                state.floor
            };
            self.chain.beacon = state.beacon;
            self.scores = Scores {
                scores: state.scores.clone(),
                commits: state.scored,
            };
            if planted!(ReputationLost) {
                self.scores = Scores::new(self.members.size());
            }
            self.led = crate::linearizer::led(&restored.commits, state.floor);
            let recent = restored
                .commits
                .iter()
                .map(|commit| (commit.reference(), commit.leader.round));
            self.recent = recent.filter(|(_, round)| *round > state.floor).collect();
            self.committer = Committer::new(self.members.clone(), last.leader.round, 0);
            self.certified = CommitIndex::ZERO;
            let is_last = self.rules.end.is_some_and(|end| last.timestamp >= end);
            self.last = is_last.then_some(last.index);
        }
        for frame in &restored.blocks {
            let block = SignedBlock::decode(frame, &self.rules, &self.members)
                .map_err(|_| RestoreError::Damaged("a block is none"))?;
            self.restore_block(block, now)?;
        }
        for commit in &restored.commits {
            for name in &commit.blocks {
                self.dag.commit(name);
            }
        }
        if let Some(last) = restored.commits.last() {
            if self.scores.commits == 0 {
                // The last commit has changed the leaders: its own was elected by another schedule.
                self.committer
                    .begin(last.leader.round, &self.dag, &mut self.schedule);
            } else if !self.committer.jump(&last.leader, &mut self.schedule) {
                return Err(RestoreError::Damaged("the last commit's leader has no slot"));
            }
        }
        let own = self.own.latest;
        if own.round > self.dag.floor() && !self.dag.contains(&own) {
            return Err(RestoreError::Damaged("the latest own block is gone"));
        }
        self.certify();
        Ok(())
    }

    fn restore_block(&mut self, block: SignedBlock<S>, now: Now) -> Result<(), RestoreError> {
        let name = block.reference();
        if name.round < self.dag.floor() {
            return Ok(());
        }
        if name.round == self.dag.floor() {
            self.dag.note_floor(name);
            return Ok(());
        }
        if self.dag.contains(&name) {
            return Ok(());
        }
        match self.dag.resolve(&block) {
            Resolved::Parents(parents) => {
                if self.dag.names(name.slot()).len() > 0 {
                    self.accuse(&block, &parents, now);
                }
                if name.author == self.signer.index {
                    // A crash may have come between the block and the note that it is the latest.
                    self.own.latest = self.own.latest.max(name);
                    self.own.timestamp = self.own.timestamp.max(block.timestamp());
                    self.link(&parents, &block);
                }
                self.enter(block, &parents);
                Ok(())
            }
            // It was read with a block of an equivocator that came first then: somebody will tell it in full.
            Resolved::NeedsFull => Ok(()),
            Resolved::Missing(_) | Resolved::Foreign => {
                Err(RestoreError::Damaged("a block's parents are gone"))
            }
        }
    }

    /// Takes an event.
    pub fn handle(&mut self, now: Now, event: Event<S>) -> Vec<Action<S>> {
        match event {
            Event::Tick => {}
            Event::Block { from, block } => self.receive(from, block, now),
            Event::Answer { ask, answer } => self.answered(ask, answer, now),
            Event::Durable { block } => {
                // Whatever was stored before is durable as well.
                self.own.undurable.retain(|own| *own > block);
            }
        }
        self.release(now);
        self.turn(now);
        std::mem::take(&mut self.actions)
    }

    fn turn(&mut self, now: Now) {
        while self.order(now) | self.propose(now) {}
        self.close();
        self.ask(now);
    }

    fn ask(&mut self, now: Now) {
        self.ask_latest(now);
        self.ask_commits(now);
        while let Some(author) = self.fetcher.has_room_again() {
            for (want, from) in self.held.wants_of(author) {
                self.fetcher.search_for(author, want, from, now.mono);
            }
        }
        self.fetcher.overtake(now.mono, &self.pace);
        while let Some((to, request)) = self.fetcher.ask(self.asked, now.mono, &self.pace) {
            self.question(to, request);
        }
    }

    fn question(&mut self, to: AuthorityIndex, request: crate::messages::Request) -> u64 {
        let id = self.asked;
        self.asked += 1;
        self.actions.push(Action::Ask {
            id: AskId(id),
            to,
            request,
            limit: self.pace.fetch_timeout,
        });
        id
    }

    fn answered(&mut self, ask: AskId, answer: Result<Answer<S>, Unanswered>, now: Now) {
        let blame = matches!(answer, Err(Unanswered::Wrong(_)));
        let answer = answer.ok();
        let to = if let Some(to) = self.heard_latest(ask, &answer, now) {
            Some(to)
        } else if let Some(to) = self.heard_commits(ask, &answer, now) {
            Some(to)
        } else {
            let to = self.fetcher.whom(ask.0);
            let is_silent = answer.is_none();
            let blocks = match answer {
                Some(Answer::Blocks(blocks)) => blocks,
                _ => Vec::new(),
            };
            let pause = if blocks.is_empty() {
                self.pace.fetch_timeout / 4
            } else {
                self.pace.fetch_wait
            };
            let brought: Vec<BlockRef> = blocks.iter().map(|block| block.reference()).collect();
            for block in blocks {
                self.hear(&block);
                // Whoever has a block has its parents.
                let from = to.unwrap_or(block.reference().author);
                self.admit(from, block, now);
            }
            let brought = |want: &Want| match want {
                Want::Name(name) if brought.contains(name) && self.held.has(name) => Brought::Held,
                Want::Slot(at) if brought.iter().any(|name| name.slot() == *at) => Brought::Other,
                Want::Name(_) | Want::Slot(_) => Brought::Nothing,
            };
            self.fetcher
                .answered(ask.0, now.mono, pause, &self.pace, is_silent, brought);
            to
        };
        if let (true, Some(peer)) = (blame, to) {
            self.blame(peer, Fault::WrongAnswer);
        }
    }

    fn blame(&mut self, peer: AuthorityIndex, fault: Fault) {
        self.actions.push(Action::Blame { peer, fault });
    }

    /// Queues a payload of this member for its next block, which the next event may bring.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn submit(&mut self, payload: Bytes) -> Result<(), Refused> {
        if self.last.is_some() {
            return Err(Refused::Closed);
        }
        if payload.len() > self.rules.max_payload_bytes as usize {
            return Err(Refused::TooLong {
                found: payload.len(),
                limit: self.rules.max_payload_bytes,
            });
        }
        if self.queue.len() >= self.pace.queued_payloads
            || self.queue_bytes + payload.len() > self.pace.queued_bytes
        {
            return Err(Refused::Busy {
                payloads: self.queue.len(),
                bytes: self.queue_bytes,
            });
        }
        self.queue_bytes += payload.len();
        self.queue.push_back(payload);
        Ok(())
    }

    /// The epoch ends with this commit, by somebody else's judgement: blocks are made until a quorum votes for it.
    pub fn end(&mut self, last: CommitIndex) {
        self.last.get_or_insert(last);
    }

    fn close(&mut self) {
        let Some(last) = self.last else { return };
        // Who cannot make a block in the rounds that there are is not waited for by anybody.
        let reached = self.dag.quorum_round().get().saturating_add(1);
        let is_mute = self.recovery.is_some() || self.own.floor.get() > reached;
        let has_voted = is_mute || self.own.voted >= last && self.own.undurable.is_empty();
        if !self.is_closed && self.certified >= last && has_voted {
            self.is_closed = true;
            self.actions.push(Action::Closed);
        }
    }

    /// Whether a block is one that others may hear of: an own one is not before it is durable.
    fn is_told(&self, name: &BlockRef) -> bool {
        !self.own.undurable.contains(name)
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let early = self.early.values().map(|(due, ..)| *due).min();
        let fetch = self.fetcher.deadline(&self.pace);
        [
            early,
            fetch,
            self.propose_at(),
            self.commits_at(),
            self.latest_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The highest round of which a block of `author` is accepted: its stream goes on behind it.
    pub fn known(&self, author: AuthorityIndex) -> Round {
        self.dag.highest(author).max(self.dag.floor())
    }

    /// A block in memory, its parents in full.
    pub fn frame(&self, block: &BlockRef) -> Option<Bytes> {
        if self.is_told(block) {
            self.dag.frame(block)
        } else {
            None
        }
    }

    /// The names of the blocks in a slot, as far as they are in memory and others may hear of them.
    pub fn names(&self, slot: types::Slot) -> Vec<BlockRef> {
        self.dag.names(slot).filter(|name| self.is_told(name)).collect()
    }

    /// Whether what is in a slot may be told: nothing of an own block may be before it is durable.
    pub fn is_told_at(&self, slot: types::Slot) -> bool {
        self.own.undurable.iter().all(|own| own.slot() != slot)
    }

    /// What this member can tell one that has lost its store. `None` while it cannot vouch for what it has signed itself.
    pub fn latest(&self, of: AuthorityIndex) -> Option<LatestAnswer<S>> {
        self.tell_latest(of)
    }

    /// What an operator wants to see.
    pub fn status(&self) -> Status {
        Status {
            round: self.dag.quorum_round(),
            own: self.own.latest.round,
            commit: self.chain.last.index,
            certified: self.certified,
            blocks: self.dag.size(),
            held: self.held.len() + self.early.len(),
            held_bytes: self.held.bytes(),
            queued: self.queue.len(),
            asked: self.fetcher.asked(),
            is_recovering: self.recovery.is_some(),
        }
    }

    fn requeue(&mut self, payloads: &Payloads) {
        for payload in payloads.shared().collect::<Vec<_>>().into_iter().rev() {
            self.queue_bytes += payload.len();
            self.queue.push_front(payload);
        }
    }
}
