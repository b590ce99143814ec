//! Commits from others, when the committee is so far ahead that its blocks cannot be followed one by one.
//!
//! A member says in its blocks which commit it has made; a vote for a commit is one for all before, since each holds the
//! digest of the one before. An answer is a chain of commits, and headers of blocks that vote for some of them. Commits
//! are *proven* up to the last one that a quorum votes for, or for a later one of the chain. Of a proven commit the blocks
//! are fetched by name; once its leader is in the graph, it is committed like any other, and has to come out the same.

use std::collections::{BTreeSet, VecDeque};

use types::{AuthorityIndex, BlockRef, Commit, CommitIndex, CommitRef, Mono};

use super::Core;
use crate::dag::Want;
use crate::machine::{Action, AskId, Fault, Now};
use crate::members::{Suite, is_quorum, is_validity};
use crate::messages::{Answer, MAX_ANSWER_COMMITS, Request};

/// What is being caught up with.
pub(super) struct CatchUp {
    /// The question under way, and whom it was asked of.
    asked: Option<(u64, AuthorityIndex)>,
    /// Whom to ask next.
    next: AuthorityIndex,
    /// Not before.
    due: Mono,
    /// Proven commits that are not made yet, in order, and who told them.
    proven: VecDeque<(Commit, AuthorityIndex)>,
    /// Blocks of those that are not in the graph.
    missing: BTreeSet<BlockRef>,
}

impl CatchUp {
    pub fn new(own: AuthorityIndex) -> Self {
        Self {
            asked: None,
            next: own,
            due: Mono::ZERO,
            proven: VecDeque::new(),
            missing: BTreeSet::new(),
        }
    }

    /// Whether a proven commit holds the block, and the graph does not.
    pub fn wants(&self, name: &BlockRef) -> bool {
        self.missing.contains(name)
    }

    fn clear(&mut self) {
        self.proven.clear();
        self.missing.clear();
    }
}

impl<S: Suite> Core<S> {
    /// Whether the committee is far ahead: an honest member at least votes for commits that are. No commit is made that a
    /// quorum has not proven.
    pub(super) fn is_behind(&self) -> bool {
        let own = self.chain.last.index.get();
        let far = own.saturating_add(self.pace.commit_lag);
        if self.heard.iter().all(|index| index.get() <= far) {
            return false;
        }
        let ahead = self
            .members
            .indices()
            .filter(|member| self.heard[slot(*member)].get() > far);
        is_validity(ahead.map(|member| self.members.power(member)).sum())
    }

    /// When commits are to be asked for: at once by who is far behind. Who makes none for a while asks too: the others may have
    /// closed the epoch, and say nothing any more.
    pub(super) fn commits_at(&self) -> Option<Mono> {
        let has_room = self.catch_up.asked.is_none() && self.catch_up.proven.len() < MAX_ANSWER_COMMITS / 2;
        if self.is_over() || !has_room {
            return None;
        }
        let stalled = self.progress_at + self.pace.stall;
        let due = if self.is_behind() {
            self.catch_up.due
        } else {
            stalled.max(self.catch_up.due)
        };
        Some(due)
    }

    pub(super) fn ask_commits(&mut self, now: Now) {
        if self.commits_at().is_none_or(|due| now.mono < due) {
            return;
        }
        self.progress_at = now.mono;
        let known = self
            .catch_up
            .proven
            .back()
            .map_or(self.chain.last.index, |(commit, _)| commit.index);
        let Some(first) = known.next() else { return };
        let to = self.next_ahead(first);
        if to == self.signer.index {
            return;
        }
        let most = self.pace.fetch_commits.clamp(1, MAX_ANSWER_COMMITS as u64);
        let request = Request::Commits {
            first,
            most: u16::try_from(most).expect("an answer has few commits"),
        };
        let id = self.question(to, request);
        self.catch_up.asked = Some((id, to));
    }

    /// The next member after the one asked last, of those that were heard to have made the commit if there are any.
    fn next_ahead(&mut self, first: CommitIndex) -> AuthorityIndex {
        let size = self.members.size();
        let last = slot(self.catch_up.next);
        let others = || {
            (1..=size)
                .map(|step| (last + step) % size)
                .filter(|member| *member != slot(self.signer.index))
        };
        let next = others()
            .find(|member| self.heard[*member] >= first)
            .or_else(|| others().next());
        let next = next
            .and_then(|member| u16::try_from(member).ok())
            .and_then(AuthorityIndex::new);
        self.catch_up.next = next.unwrap_or(self.catch_up.next);
        self.catch_up.next
    }

    /// The answer to a question for commits; `None` when the question was another.
    pub(super) fn heard_commits(
        &mut self,
        ask: AskId,
        answer: &Option<Answer<S>>,
        now: Now,
    ) -> Option<AuthorityIndex> {
        let (_, to) = self.catch_up.asked.filter(|(id, _)| *id == ask.0)?;
        self.catch_up.asked = None;
        self.catch_up.due = now.mono + self.pace.fetch_timeout / 4;
        let Some(Answer::Commits { commits, votes }) = answer else {
            return Some(to);
        };
        let known = self.catch_up.proven.back();
        let last = known.map_or(self.chain.last, |(commit, _)| commit.reference());
        // Commits were made here meanwhile, or none came.
        let behind = commits
            .iter()
            .position(|commit| last.index.next() == Some(commit.index));
        let Some(first) = behind else { return Some(to) };
        let chain = &commits[first..];
        let proven = self.proven(last, chain, votes);
        if proven == 0 {
            self.blame(to, Fault::UnprovenCommits);
            return Some(to);
        }
        self.catch_up.due = now.mono;
        for commit in &chain[..proven] {
            for name in commit
                .blocks
                .iter()
                .filter(|name| !self.dag.contains(name) && name.round > self.dag.floor())
            {
                self.catch_up.missing.insert(*name);
                self.fetcher.search(Want::Name(*name), to, now.mono);
            }
            self.catch_up.proven.push_back((commit.clone(), to));
        }
        Some(to)
    }

    /// How many commits of a chain behind `last` a quorum has voted for.
    fn proven(&self, last: CommitRef, chain: &[Commit], votes: &[(AuthorityIndex, CommitRef)]) -> usize {
        let mut before = last.digest;
        let mut names = Vec::with_capacity(chain.len());
        for commit in chain {
            if commit.previous != before {
                break;
            }
            before = commit.digest();
            names.push(CommitRef {
                index: commit.index,
                digest: before,
            });
        }
        let mut power = 0;
        for (position, name) in names.iter().enumerate().rev() {
            let for_it = votes.iter().filter(|(_, vote)| vote == name);
            power += for_it.map(|(voter, _)| self.members.power(*voter)).sum::<u32>();
            if is_quorum(power) {
                return position + 1;
            }
        }
        0
    }

    /// Makes the next proven commit, if its leader's block is in the graph.
    pub(super) fn commit_proven(&mut self, now: Now) -> bool {
        while let Some((commit, _)) = self.catch_up.proven.front()
            && commit.index <= self.chain.last.index
        {
            self.forget_proven();
        }
        let Some((commit, from)) = self.catch_up.proven.front() else {
            return false;
        };
        let (leader, proven, from) = (commit.leader, commit.reference(), *from);
        if !self.dag.contains(&leader) {
            return false;
        }
        if !self.committer.jump(&leader, &mut self.schedule) {
            self.fork(from, proven);
            return false;
        }
        self.forget_proven();
        self.commit(&leader, now);
        if self.chain.last != proven {
            self.fork(from, proven);
        }
        true
    }

    fn forget_proven(&mut self) {
        let (commit, _) = self.catch_up.proven.pop_front().expect("its caller has seen it");
        for name in &commit.blocks {
            self.catch_up.missing.remove(name);
        }
    }

    /// A quorum has voted for other commits than this member makes: more members are faulty than any rule allows for. The
    /// machine stops where it is; an operator has to look.
    fn fork(&mut self, from: AuthorityIndex, proven: CommitRef) {
        self.catch_up.clear();
        self.last = Some(self.chain.last.index);
        self.is_closed = true;
        self.blame(from, Fault::Fork);
        self.actions.push(Action::Forked {
            own: self.chain.last,
            proven,
        });
    }
}

fn slot(author: AuthorityIndex) -> usize {
    usize::from(author.get())
}
