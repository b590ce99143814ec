//! What is ordered, seen from above all members: the consumer of each member says what it gets, and whether it fits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use consensus::{Rules, SubDag};
use crypto::Digest;
use env::{Durability, StorageError};
use node::consensus::{Consumer, Flow, Log};
use types::{AuthorityIndex, BlockRef, CommitRef, Epoch, Round, UnixMillis};

use crate::handle::SimEnv;

/// The beacon that follows one, by the share of a member in a round.
pub type NextBeacon = Arc<dyn Fn(&Digest, AuthorityIndex, Round) -> Digest + Send + Sync>;

/// What the members of one network have been given, all together.
#[derive(Clone)]
pub struct Audit {
    order: Arc<Mutex<Order>>,
    /// How many rounds lie between two that have a beacon.
    stride: u32,
    next_beacon: NextBeacon,
}

struct Order {
    /// The end of the longest chain.
    index: u64,
    leader: Option<(Round, AuthorityIndex)>,
    timestamp: UnixMillis,
    blocks: BTreeSet<BlockRef>,
    /// Payloads of the longest chain, by author.
    payloads: BTreeMap<AuthorityIndex, u64>,
    beacon: Digest,
}

impl Audit {
    /// Nothing yet, under these rules.
    pub fn new(rules: &Rules, next_beacon: NextBeacon) -> Self {
        let order = Order {
            index: 0,
            leader: None,
            timestamp: rules.start,
            blocks: BTreeSet::new(),
            payloads: BTreeMap::new(),
            beacon: rules.beacon,
        };
        Self {
            order: Arc::new(Mutex::new(order)),
            stride: rules.beacon_stride,
            next_beacon,
        }
    }

    /// What is wrong with a commit, if it is the longest chain's next.
    fn take(&self, dag: &SubDag) -> Option<Wrong> {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let commit = &dag.commit;
        if commit.index.get() != order.index + 1 {
            return None;
        }
        order.index += 1;
        let leader = (commit.leader.round, commit.leader.author);
        if order.leader.is_some_and(|(round, _)| leader.0 < round) || order.leader == Some(leader) {
            return Some(Wrong::Leader);
        }
        order.leader = Some(leader);
        if commit.timestamp < order.timestamp {
            return Some(Wrong::Timestamp);
        }
        order.timestamp = commit.timestamp;
        let has_beacon = leader.0.get().is_multiple_of(self.stride);
        let beacon = has_beacon.then(|| (self.next_beacon)(&order.beacon, leader.1, leader.0));
        if commit.beacon != beacon {
            return Some(Wrong::Beacon);
        }
        order.beacon = beacon.unwrap_or(order.beacon);
        if !commit.blocks.is_sorted() || commit.blocks.last().is_none_or(|last| last.round != leader.0) {
            return Some(Wrong::Order);
        }
        for (block, payloads) in commit.blocks.iter().zip(&dag.payloads) {
            if !order.blocks.insert(*block) {
                return Some(Wrong::Twice);
            }
            *order.payloads.entry(block.author).or_default() += payloads.len() as u64;
        }
        None
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
    own: AuthorityIndex,
}

impl Auditor {
    /// A consumer that forgets what a crash takes from it: it is given that again.
    pub fn new(env: SimEnv, audit: Audit, own: AuthorityIndex) -> Self {
        Self {
            log: Log::new(env.clone(), "log", Durability::Buffered),
            env,
            audit,
            own,
        }
    }
}

impl Consumer for Auditor {
    async fn start(&mut self, epoch: Epoch) -> Result<Option<CommitRef>, StorageError> {
        let last = self.log.start(epoch).await?;
        let index = last.map_or(0, |last| last.index.get());
        env::event!(self.env, "consumer_started", index, u64::from(self.own.get()));
        Ok(last)
    }

    async fn handle(&mut self, commit: SubDag) -> Result<Flow, StorageError> {
        let index = commit.commit.index.get();
        env::event!(
            self.env,
            "handled",
            index,
            commit.commit.timestamp.get(),
            commit.digest.get().as_bytes()
        );
        if let Some(beacon) = commit.commit.beacon {
            let leader = commit.commit.leader;
            let (round, author) = (u64::from(leader.round.get()), u64::from(leader.author.get()));
            env::event!(self.env, "beacon", round, author, beacon.as_bytes());
        }
        if let Some(wrong) = self.audit.take(&commit) {
            env::event!(self.env, "order_broken", index, wrong as u64);
        }
        self.log.handle(commit).await
    }
}
