//! What is ordered, seen from above all members: the consumer of each member says what it gets, and whether it fits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use consensus::{Rules, SubDag};
use crypto::Digest;
use env::{Durability, StorageError};
use node::consensus::{Consumer, Flow, Log};
use types::{AuthorityIndex, BlockRef, CommitRef, Epoch, Round, UnixMillis};

use super::meter::Gauge;
use crate::handle::SimEnv;

/// The beacon that follows one, by the share of a member in a round of the epoch with these rules.
pub type NextBeacon = Arc<dyn Fn(&Rules, &Digest, AuthorityIndex, Round) -> Digest + Send + Sync>;

/// What the members of one network have been given, all together.
#[derive(Clone)]
pub struct Audit {
    ledger: Arc<Mutex<Ledger>>,
    next_beacon: NextBeacon,
}

struct Ledger {
    /// The first epoch that is not over.
    open: u64,
    epochs: BTreeMap<Epoch, Order>,
}

struct Order {
    rules: Rules,
    beacon: Digest,
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
    /// Nothing yet, under these rules of all epochs.
    pub fn new(rules: impl Iterator<Item = Rules>, next_beacon: NextBeacon) -> Self {
        let order = |rules: Rules| Order {
            beacon: rules.beacon,
            index: 0,
            leader: None,
            timestamp: rules.start,
            blocks: BTreeSet::new(),
            rules,
        };
        let epochs = rules.map(|rules| (rules.epoch, order(rules))).collect();
        Self {
            ledger: Arc::new(Mutex::new(Ledger { open: 0, epochs })),
            next_beacon,
        }
    }

    /// The first epoch that nobody has seen the end of.
    pub fn open(&self) -> u64 {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).open
    }

    /// Takes note of a commit of an epoch.
    fn take(&self, epoch: Epoch, dag: &SubDag) -> Place {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if dag.is_last {
            ledger.open = ledger.open.max(epoch.get() + 1);
        }
        let order = ledger.epochs.get_mut(&epoch).expect("a member is of some epoch");
        if dag.commit.index.get() != order.index + 1 {
            return Place::Elsewhere;
        }
        order.index += 1;
        order
            .check(dag, &self.next_beacon)
            .map_or(Place::Next, Place::Wrong)
    }
}

impl Order {
    /// What is wrong with the next commit, if anything is.
    fn check(&mut self, dag: &SubDag, next_beacon: &NextBeacon) -> Option<Wrong> {
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
        let has_beacon = self.rules.has_beacon(leader.0);
        let beacon = has_beacon.then(|| next_beacon(&self.rules, &self.beacon, leader.1, leader.0));
        if commit.beacon != beacon {
            return Some(Wrong::Beacon);
        }
        self.beacon = beacon.unwrap_or(self.beacon);
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
    /// Its beacon is not what the one before and its leader's share make: the leader has had a choice.
    Beacon,
}

/// The consumer of one member.
pub struct Auditor {
    env: SimEnv,
    log: Log<SimEnv>,
    audit: Audit,
    epoch: Epoch,
    gauge: Option<Gauge>,
}

impl Auditor {
    /// A consumer that forgets what a crash takes from it: it is given that again.
    pub fn new(env: SimEnv, audit: Audit, gauge: Option<Gauge>) -> Self {
        Self {
            log: Log::new(env.clone(), "log", Durability::Buffered),
            env,
            audit,
            epoch: Epoch::new(0),
            gauge,
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
        if let Some(gauge) = &self.gauge {
            gauge.delivered(self.env.instant(), &commit);
        }
        env::event!(self.env, "handled", index, timestamp, digest.as_bytes());
        if let Some(beacon) = commit.commit.beacon {
            let leader = commit.commit.leader;
            let (round, author) = (u64::from(leader.round.get()), u64::from(leader.author.get()));
            env::event!(self.env, "beacon", round, author, beacon.as_bytes());
        }
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
