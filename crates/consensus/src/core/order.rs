//! Commits.

use types::{BlockRef, CommitIndex, CommitRef};

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
            if self.is_over() {
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
        let (dag, encoded) = self
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
        self.recent.push_back((self.chain.last, leader.round));
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
            value: encoded,
        }));
        // What others agreed on is not delivered behind the commit that somebody has judged to be the last.
        if self.last.is_none_or(|last| dag.commit.index <= last) {
            self.actions.push(Action::Deliver(dag));
        }
        if has_new_leaders && !planted!(NotRecounted) {
            self.committer.begin(leader.round, &self.dag, &mut self.schedule);
        }
        let floor = self.chain.floor;
        while self
            .recent
            .front()
            .is_some_and(|(commit, round)| *round <= floor && commit.index < self.chain.last.index)
        {
            self.recent.pop_front();
        }
        // Blocks that come free at the new floor are stored behind it: they may name parents there that are not.
        self.store_state();
        self.progress_at = now.mono;
        self.raise(now);
    }

    fn store_state(&mut self) {
        let swaps = self.schedule.swaps();
        let state = CommitState {
            last: self.chain.last,
            oldest: self
                .recent
                .front()
                .map_or(self.chain.last.index, |(commit, _)| commit.index),
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
        let lost = self.dag.raise(floor);
        let own = self.signer.index;
        for (_, payloads) in lost.iter().rev().filter(|(name, _)| name.author == own) {
            self.requeue(payloads);
        }
        self.early.retain(|name, _| name.round > floor);
        self.credit.raise(floor);
        for (from, block) in self.held.raise(floor) {
            self.admit(from, block, now);
        }
        let (held, catch_up) = (&self.held, &self.catch_up);
        self.fetcher.retain(|want| match want {
            Want::Name(name) => held.is_wanted(want) || catch_up.wants(name),
            Want::Slot(_) => held.is_wanted(want),
        });
    }

    /// Finds the last own commit that a quorum votes for, and writes down who. A vote for another commit of some index is
    /// none for any of this member's.
    pub(super) fn certify(&mut self) {
        let mut votes: Vec<(CommitIndex, BlockRef)> = self
            .votes
            .iter()
            .flatten()
            .filter(|(vote, name)| vote.index > self.certified && self.has_made(vote) && self.is_told(name))
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

    /// Whether the epoch's last commit is made, and it follows from the rules that it is: then nobody makes another.
    pub(super) fn is_over(&self) -> bool {
        let has_end = self.rules.end.is_some_and(|end| self.chain.timestamp >= end);
        self.is_closed || has_end && self.chain.last.index > CommitIndex::ZERO
    }

    /// Whether it is one of the recent commits.
    fn has_made(&self, commit: &CommitRef) -> bool {
        let place = self
            .recent
            .binary_search_by_key(&commit.index, |(recent, _)| recent.index);
        place.is_ok_and(|place| self.recent[place].0 == *commit)
    }
}

#[cfg(test)]
mod tests {
    use crypto::Digest;
    use types::{BlockDigest, CommitDigest, Round};

    use super::*;
    use crate::Restored;
    use crate::kit::index;

    #[test]
    fn a_vote_for_another_commit_of_an_index_certifies_nothing() {
        let commit = |index, byte| CommitRef {
            index: CommitIndex::new(index),
            digest: CommitDigest::new(Digest::new([byte; 32])),
        };
        let vote = |member, commit| {
            let name = BlockRef {
                round: Round::new(9),
                author: index(member),
                digest: BlockDigest::new(Digest::ZERO),
            };
            Some((commit, name))
        };
        let (mut core, _) = crate::kit::core(4, Restored::default());
        core.recent = [(commit(1, 1), Round::new(1)), (commit(2, 2), Round::new(2))].into();
        core.chain.last = commit(2, 2);
        core.votes = vec![
            vote(0, commit(1, 1)),
            vote(1, commit(2, 2)),
            vote(2, commit(1, 9)),
            None,
        ];
        core.certify();
        assert_eq!(core.certified, CommitIndex::ZERO);
        core.votes[3] = vote(3, commit(1, 1));
        core.certify();
        assert_eq!(core.certified, CommitIndex::new(1));
    }

    #[test]
    fn what_is_owed_goes_with_the_floor() {
        let (mut core, _) = crate::kit::core(4, Restored::default());
        let name = |round| BlockRef {
            round: Round::new(round),
            author: index(3),
            digest: BlockDigest::new(Digest::ZERO),
        };
        for round in [5, 6] {
            core.credit.charge(name(round), Some(index(1)), 10);
        }
        core.chain.floor = Round::new(5);
        core.raise(crate::kit::now(0));
        assert_eq!(core.credit.owes(index(1)), 1);
    }
}
