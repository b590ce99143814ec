//! What is ordered, seen from above all members: the consumer of each member says what it gets, and whether it fits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use consensus::SubDag;
use env::{Durability, StorageError};
use node::consensus::{Consumer, Flow, Log};
use types::{AuthorityIndex, BlockRef, CommitRef, Epoch, Round, UnixMillis};

use crate::handle::SimEnv;

/// What the members of one network have been given, all together.
#[derive(Clone, Default)]
pub struct Audit(Arc<Mutex<Ledger>>);

#[derive(Default)]
struct Ledger {
    /// The first epoch that is not over.
    open: u64,
    epochs: BTreeMap<Epoch, Order>,
}

#[derive(Default)]
struct Order {
    /// The end of the longest chain.
    index: u64,
    leader: Option<(Round, AuthorityIndex)>,
    timestamp: UnixMillis,
    blocks: BTreeSet<BlockRef>,
}

/// What a commit is to the longest chain of its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Its next one.
    Next,
    /// Its next one, and it must not be.
    Wrong(Wrong),
    /// One that it has, or one beyond its end.
    Elsewhere,
}

impl Audit {
    /// The first epoch that nobody has seen the end of.
    pub fn open(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open
    }

    /// Takes note of a commit of an epoch.
    fn take(&self, epoch: Epoch, dag: &SubDag) -> Place {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if dag.is_last {
            ledger.open = ledger.open.max(epoch.get() + 1);
        }
        let order = ledger.epochs.entry(epoch).or_default();
        if dag.commit.index.get() != order.index + 1 {
            return Place::Elsewhere;
        }
        order.index += 1;
        order.check(dag).map_or(Place::Next, Place::Wrong)
    }
}

impl Order {
    /// What is wrong with the next commit, if anything is.
    fn check(&mut self, dag: &SubDag) -> Option<Wrong> {
        let commit = &dag.commit;
        let leader = (commit.leader.round, commit.leader.author);
        if self.leader.is_some_and(|(round, _)| leader.0 < round) || self.leader == Some(leader) {
            return Some(Wrong::Leader);
        }
        self.leader = Some(leader);
        if commit.timestamp < self.timestamp {
            return Some(Wrong::Timestamp);
        }
        self.timestamp = commit.timestamp;
        if !commit.blocks.is_sorted() || commit.blocks.last().is_none_or(|last| last.round != leader.0) {
            return Some(Wrong::Order);
        }
        let mut twice = commit.blocks.iter().filter(|block| !self.blocks.insert(**block));
        twice.next().map(|_| Wrong::Twice)
    }
}

/// What a commit can be that it must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// Its leader's round is below the one before, or its leader the same.
    Leader,
    /// Its timestamp is below the one before.
    Timestamp,
    /// Its blocks stand in another order than their names.
    Order,
    /// It holds a block that an earlier one holds.
    Twice,
}

/// The consumer of one member.
pub struct Auditor {
    env: SimEnv,
    log: Log<SimEnv>,
    audit: Audit,
    epoch: Epoch,
}

impl Auditor {
    /// A consumer that forgets what a crash takes from it: it is given that again.
    pub fn new(env: SimEnv, audit: Audit) -> Self {
        Self {
            log: Log::new(env.clone(), "log", Durability::Buffered),
            env,
            audit,
            epoch: Epoch::new(0),
        }
    }

    /// Says what a commit brings into the order of all.
    fn tell(&self, dag: &SubDag) {
        let place = |block: &BlockRef| (u64::from(block.round.get()), u64::from(block.author.get()));
        let (round, author) = place(&dag.commit.leader);
        let digest = dag.commit.leader.digest.get();
        env::event!(self.env, "leader_ordered", round, author, digest.as_bytes());
        for (block, payloads) in dag.commit.blocks.iter().zip(&dag.payloads) {
            let (round, author) = place(block);
            env::event!(
                self.env,
                "block_ordered",
                round,
                author,
                block.digest.get().as_bytes()
            );
            // What a Byzantine node has made up may be shorter than a name.
            for name in payloads.iter().filter_map(|payload| payload.first_chunk()) {
                env::event!(self.env, "payload_ordered", round, author, name);
            }
        }
    }
}

impl Consumer for Auditor {
    async fn start(&mut self, epoch: Epoch) -> Result<Option<CommitRef>, StorageError> {
        self.epoch = epoch;
        let last = self.log.start(epoch).await?;
        let index = last.map_or(0, |last| last.index.get());
        env::event!(self.env, "consumer_started", index, epoch.get());
        Ok(last)
    }

    async fn handle(&mut self, commit: SubDag) -> Result<Flow, StorageError> {
        let (index, digest) = (commit.commit.index.get(), commit.digest.get());
        let timestamp = commit.commit.timestamp.get();
        env::event!(self.env, "handled", index, timestamp, digest.as_bytes());
        match self.audit.take(self.epoch, &commit) {
            Place::Next => self.tell(&commit),
            Place::Wrong(wrong) => env::event!(self.env, "order_broken", index, wrong as u64),
            Place::Elsewhere => {}
        }
        if commit.is_last {
            env::event!(self.env, "epoch_over", index, self.epoch.get(), digest.as_bytes());
        }
        self.log.handle(commit).await
    }
}
