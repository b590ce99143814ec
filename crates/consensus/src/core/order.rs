//! Commits.

use types::{BlockRef, CommitIndex};

use super::Core;
use crate::dag::Want;
use crate::linearizer::weigh;
use crate::machine::{Action, Now, Record, Table};
use crate::members::{Suite, is_quorum};
use crate::restore::{COMMIT, CommitState, commit_key};
use crate::schedule::Scores;

impl<S: Suite> Core<S> {
    /// Commits what can be committed. Whether anything was.
    pub(super) fn order(&mut self, now: Now) -> bool {
        let before = self.chain.last.index;
        loop {
            if self.last.is_some_and(|last| self.chain.last.index >= last) {
                break;
            }
            if self.commit_proven(now) {
                continue;
            }
            let Some(decision) = self.committer.decide(&self.dag) else {
                break;
            };
            if let Some(block) = decision.block {
                self.commit(&block, now);
            }
        }
        let has_committed = self.chain.last.index > before;
        if has_committed || self.last.is_some() {
            self.certify();
        }
        has_committed
    }

    /// Commits a leader's block, with all that follows.
    pub(super) fn commit(&mut self, leader: &BlockRef, now: Now) {
        let floor = self.chain.floor;
        let dag = self
            .chain
            .commit(leader, &mut self.dag, &self.rules, &self.members);
        weigh(
            &dag.commit,
            floor,
            &self.led,
            &self.dag,
            &self.members,
            &mut self.scores,
        );
        self.led.push(*leader, floor);
        self.recent.push_back((dag.commit.index, leader.round));
        let has_new_leaders =
            self.scores.commits >= self.rules.commits_per_schedule && !planted!(FixedLeaders);
        if has_new_leaders {
            let swaps = self.scores.swaps(&self.members, self.rules.swapped_power);
            self.schedule.replace(swaps);
            self.scores = Scores::new(self.members.size());
        }
        if dag.is_last {
            self.last = Some(dag.commit.index);
        }
        self.actions.push(Action::Store(Record {
            table: Table::Commits,
            key: commit_key(dag.commit.index),
            value: types::encode(&dag.commit).into(),
        }));
        self.actions.push(Action::Deliver(dag));
        if has_new_leaders && !planted!(NotRecounted) {
            self.committer.begin(leader.round, &self.dag, &mut self.schedule);
        }
        self.raise(now);
        self.store_state();
    }

    fn store_state(&mut self) {
        let swaps = self.schedule.swaps();
        let state = CommitState {
            last: self.chain.last,
            oldest: self
                .recent
                .front()
                .map_or(self.chain.last.index, |(index, _)| *index),
            floor: self.chain.floor,
            beacon: self.chain.beacon,
            scores: self.scores.scores.clone(),
            scored: self.scores.commits,
            bad: swaps.bad.clone(),
            good: swaps.good.clone(),
        };
        self.actions.push(Action::Store(Record {
            table: Table::State,
            key: COMMIT.to_vec(),
            value: types::encode(&state).into(),
        }));
    }

    /// The graph forgets what can no longer be ordered. Own payloads among it are tried again.
    fn raise(&mut self, now: Now) {
        let floor = self.chain.floor;
        if floor <= self.dag.floor() {
            return;
        }
        while self
            .recent
            .front()
            .is_some_and(|(index, round)| *round <= floor && *index < self.chain.last.index)
        {
            self.recent.pop_front();
        }
        let lost = self.dag.raise(floor);
        let own = self.signer.index;
        for (_, payloads) in lost.iter().rev().filter(|(name, _)| name.author == own) {
            self.requeue(payloads);
        }
        self.early.retain(|name, _| name.round > floor);
        for (from, block) in self.held.raise(floor) {
            self.admit(from, block, now);
        }
        let (held, catch_up) = (&self.held, &self.catch_up);
        self.fetcher.retain(|want| match want {
            Want::Name(name) => held.is_wanted(want) || catch_up.wants(name),
            Want::Slot(_) => held.is_wanted(want),
        });
    }

    /// Finds the last own commit that a quorum votes for, and writes down who.
    pub(super) fn certify(&mut self) {
        let known = self.chain.last.index;
        let mut votes: Vec<(CommitIndex, BlockRef)> = self
            .votes
            .iter()
            .flatten()
            .filter(|(vote, _)| vote.index <= known && vote.index > self.certified)
            .map(|(vote, name)| (vote.index, *name))
            .collect();
        votes.sort_unstable_by(|one, other| other.cmp(one));
        let mut power = 0;
        let proven = votes.iter().position(|(_, name)| {
            power += self.members.power(name.author);
            is_quorum(power)
        });
        let Some(proven) = proven else { return };
        self.certified = votes[proven].0;
        let names: Vec<BlockRef> = votes[..=proven].iter().map(|(_, name)| *name).collect();
        self.actions.push(Action::Store(Record {
            table: Table::Certificates,
            key: commit_key(self.certified),
            value: types::encode(&names).into(),
        }));
    }
}
