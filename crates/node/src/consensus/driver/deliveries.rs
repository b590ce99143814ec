//! Commits on their way to the consumer.

use std::collections::VecDeque;

use consensus::{Payloads, SubDag};
use types::{CommitIndex, CommitRef};

use crate::consensus::run::Stop;

/// Fresh commits that wait beyond which the machine is given nothing new.
const MAX_COMMITS: usize = 64;
/// Their bytes.
const MAX_BYTES: usize = 64 << 20;

/// First the commits that the store had at the start and the consumer does not know, then those that the machine makes.
pub(crate) struct Deliveries {
    /// The next one to read from the store, up to the last there.
    next: CommitIndex,
    stored: CommitIndex,
    read: VecDeque<SubDag>,
    fresh: VecDeque<SubDag>,
    fresh_bytes: usize,
    /// The last one that the consumer knew at the start.
    handled: Option<CommitRef>,
    has_ended: bool,
}

/// The bytes of a commit's payloads.
pub(crate) fn bytes(commit: &SubDag) -> usize {
    commit.payloads.iter().map(Payloads::bytes).sum()
}

impl Deliveries {
    /// Nothing but what the store has up to the commit `stored` and the consumer, at `handled`, does not.
    pub fn new(stored: CommitIndex, handled: Option<CommitRef>) -> Self {
        let known = handled.map_or(CommitIndex::ZERO, |handled| handled.index);
        let is_again = consensus::planted!(DeliveredTwice) && known > CommitIndex::ZERO && known <= stored;
        let lost = u64::from(consensus::planted!(LastCommitLost));
        Self {
            // No commit has the highest index, which would have no next.
            next: if is_again {
                known
            } else {
                known.next().unwrap_or(CommitIndex::MAX)
            },
            stored: CommitIndex::new(stored.get().saturating_sub(lost)),
            read: VecDeque::new(),
            fresh: VecDeque::new(),
            fresh_bytes: 0,
            handled,
            has_ended: false,
        }
    }

    /// Whether what comes next is still in the store.
    pub fn must_read(&self) -> bool {
        self.read.is_empty() && self.next <= self.stored
    }

    /// The first commit to read.
    pub const fn next_stored(&self) -> CommitIndex {
        self.next
    }

    /// Takes commits that were read, the first of them [`next_stored`](Self::next_stored).
    pub fn push_stored(&mut self, mut commits: Vec<SubDag>) -> Result<(), Stop> {
        commits.retain(|commit| commit.commit.index <= self.stored);
        let last = commits.last().ok_or(Stop::Damaged("a commit is missing"))?;
        let next = last.commit.index.next();
        self.next = next.ok_or(Stop::Damaged("a commit without a next"))?;
        self.read.extend(commits);
        Ok(())
    }

    /// Whether none can be taken at the moment.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && (self.next <= self.stored || self.fresh.is_empty())
    }

    /// Whether none waits, in memory or in the store.
    pub fn is_done(&self) -> bool {
        self.read.is_empty() && self.next > self.stored && self.fresh.is_empty()
    }

    /// Whether the machine should wait.
    pub fn is_full(&self) -> bool {
        self.fresh.len() >= MAX_COMMITS || self.fresh_bytes >= MAX_BYTES
    }

    /// The next commit for the consumer.
    pub fn pop(&mut self) -> Option<SubDag> {
        if let Some(commit) = self.read.pop_front() {
            return Some(commit);
        }
        if self.next <= self.stored {
            return None;
        }
        let commit = self.fresh.pop_front()?;
        self.fresh_bytes -= bytes(&commit);
        Some(commit)
    }

    /// Takes a commit that the machine has made, unless the consumer knows it: a store that lost its tail leads to the
    /// same commits once more.
    pub fn push(&mut self, commit: SubDag) -> Result<(), Stop> {
        let (index, found) = (commit.commit.index, commit.digest);
        match self.handled {
            _ if self.has_ended => Ok(()),
            Some(handled) if index == handled.index && found != handled.digest => Err(Stop::Forked {
                index,
                handled: handled.digest,
                found,
            }),
            Some(handled) if index <= handled.index => Ok(()),
            _ => {
                self.fresh_bytes += bytes(&commit);
                self.fresh.push_back(commit);
                Ok(())
            }
        }
    }

    /// The consumer takes no more: what waits and what comes is forgotten.
    pub fn end(&mut self) {
        self.has_ended = true;
        (self.next, self.stored) = (CommitIndex::MAX, CommitIndex::ZERO);
        self.read.clear();
        self.fresh.clear();
        self.fresh_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use crypto::Digest;
    use types::{BlockRef, Commit, CommitDigest, Round, UnixMillis};

    use super::*;

    fn commit(index: u64, payload: usize) -> SubDag {
        let leader = BlockRef {
            round: Round::new(1),
            author: types::AuthorityIndex::default(),
            digest: types::BlockDigest::new(Digest::ZERO),
        };
        let commit = Commit {
            index: CommitIndex::new(index),
            previous: CommitDigest::new(Digest::ZERO),
            leader,
            timestamp: UnixMillis::new(0),
            beacon: None,
            blocks: vec![leader],
        };
        SubDag {
            digest: commit.digest(),
            commit,
            payloads: vec![Payloads::new([&vec![0; payload][..]])],
            is_last: false,
        }
    }

    fn drain(deliveries: &mut Deliveries) -> Vec<u64> {
        std::iter::from_fn(|| deliveries.pop())
            .map(|commit| commit.commit.index.get())
            .collect()
    }

    #[test]
    fn commits_in_the_store_come_before_fresh_ones() {
        let handled = Some(commit(1, 0).commit.reference());
        let mut deliveries = Deliveries::new(CommitIndex::new(4), handled);
        deliveries.push(commit(5, 0)).expect("a fresh one");
        assert!(deliveries.must_read() && deliveries.is_empty() && !deliveries.is_done());
        assert_eq!(deliveries.next_stored(), CommitIndex::new(2));
        deliveries
            .push_stored(vec![commit(2, 0), commit(3, 0)])
            .expect("commits");
        assert_eq!(drain(&mut deliveries), [2, 3]);
        assert!(deliveries.must_read() && deliveries.is_empty());
        // The store may have grown since; what is fresh comes from the machine.
        deliveries
            .push_stored(vec![commit(4, 0), commit(5, 0)])
            .expect("commits");
        assert_eq!(drain(&mut deliveries), [4, 5]);
        assert!(deliveries.is_done());
        assert!(matches!(deliveries.push_stored(vec![]), Err(Stop::Damaged(_))));
    }

    #[test]
    fn a_consumer_ahead_of_the_store_gets_nothing_twice() {
        let handled = Some(commit(3, 0).commit.reference());
        let mut deliveries = Deliveries::new(CommitIndex::new(1), handled);
        for index in 2..=4 {
            deliveries.push(commit(index, 0)).expect("the same chain");
        }
        assert_eq!(drain(&mut deliveries), [4]);
    }

    #[test]
    fn another_commit_than_the_consumer_handled_is_a_fork() {
        let mut other = commit(3, 0).commit;
        other.timestamp = UnixMillis::new(9);
        let mut deliveries = Deliveries::new(CommitIndex::ZERO, Some(other.reference()));
        deliveries.push(commit(2, 0)).expect("nobody knows");
        let forked = deliveries.push(commit(3, 0));
        let expected = (CommitIndex::new(3), other.digest(), commit(3, 0).digest);
        match forked {
            Err(Stop::Forked {
                index,
                handled,
                found,
            }) => assert_eq!((index, handled, found), expected),
            _ => panic!("a fork is an error"),
        }
    }

    #[test]
    fn the_machine_waits_for_a_consumer_that_is_behind_in_commits_or_bytes() {
        let mut deliveries = Deliveries::new(CommitIndex::ZERO, None);
        for index in 1..=MAX_COMMITS as u64 {
            assert!(!deliveries.is_full());
            deliveries.push(commit(index, 0)).expect("a fresh one");
        }
        assert!(deliveries.is_full());
        assert_eq!(drain(&mut deliveries).len(), MAX_COMMITS);
        deliveries.push(commit(65, MAX_BYTES)).expect("a fresh one");
        assert!(deliveries.is_full());
        deliveries.end();
        deliveries.push(commit(66, MAX_BYTES)).expect("one for nobody");
        assert!(!deliveries.is_full() && deliveries.is_done());
    }
}
