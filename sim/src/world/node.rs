//! One node: its clock, processor, disk and tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use env::sync::Semaphore;
use types::PeerId;

use super::{NodeIndex, NodeSpec, Program, WorldConfig};
use crate::adversary::Installed;
use crate::clock::NodeClock;
use crate::disk::Disk;
use crate::draw::Seed;
use crate::tasks::{RunQueue, Scopes};
use crate::time::VirtualTime;

/// A node's processor speed, in thousandths of the calibrated costs.
const FULL_SPEED: u64 = 1_000;

/// One machine with at most one living incarnation.
pub(crate) struct Node {
    pub name: String,
    pub id: PeerId,
    pub program: Program,
    /// Counts starts; the first incarnation is 1.
    pub incarnation: u32,
    pub alive: bool,
    pub paused: bool,
    /// In the world's `ready` list, or waiting for the processor.
    pub waiting: bool,
    pub clock: NodeClock,
    /// The clock of each incarnation that has ended, and the instant at which it stands.
    ended: Vec<(NodeClock, VirtualTime)>,
    pub busy_until: VirtualTime,
    /// The instant that the task being polled sees.
    pub local: VirtualTime,
    /// Processor time that the task being polled has charged.
    pub charged_ns: u64,
    /// Cost factor in thousandths: 1,000 is the calibrated speed, more is slower.
    pub slowness: u64,
    /// When each core is free.
    cores: Vec<VirtualTime>,
    /// Held by the job that gets the next core; the others wait for it in the order of their calls.
    pub next_job: Arc<Semaphore>,
    pub disk: Disk,
    pub queue: RunQueue,
    pub scopes: Scopes,
    /// Blocks drawn by each incarnation from each entropy domain.
    pub entropy: BTreeMap<(u32, &'static str), u64>,
    /// Visits of each buggify site.
    pub visits: BTreeMap<&'static str, u64>,
    /// Events of this node that have drawn their place among those of one instant.
    pub ties: u64,
    /// What stands between its program and its links, if it is Byzantine.
    pub adversary: Option<Installed>,
    /// No heal starts it.
    pub absent: bool,
}

impl Node {
    pub fn new(seed: Seed, index: NodeIndex, spec: NodeSpec, config: &WorldConfig) -> Self {
        Self {
            name: spec.name,
            id: spec.id,
            program: spec.program,
            incarnation: 0,
            alive: false,
            paused: false,
            waiting: false,
            clock: NodeClock::default(),
            ended: Vec::new(),
            busy_until: VirtualTime::ZERO,
            local: VirtualTime::ZERO,
            charged_ns: 0,
            slowness: FULL_SPEED,
            cores: vec![VirtualTime::ZERO; config.costs.cores as usize],
            next_job: Arc::new(Semaphore::new(1)),
            disk: Disk::new(seed, index as u64, config.disk),
            queue: RunQueue::default(),
            scopes: Scopes::default(),
            entropy: BTreeMap::new(),
            visits: BTreeMap::new(),
            ties: 0,
            adversary: None,
            absent: false,
        }
    }

    /// Becomes the next incarnation, at `now`.
    pub fn begin(&mut self, now: VirtualTime) {
        assert!(!self.alive, "a node has one living incarnation");
        self.incarnation += 1;
        self.alive = true;
        self.waiting = false;
        self.clock.restart(now);
        self.busy_until = now;
        self.local = now;
        self.charged_ns = 0;
        self.cores.fill(now);
        self.next_job = Arc::new(Semaphore::new(1));
    }

    /// Ends the living incarnation, at `now`.
    pub fn end(&mut self, now: VirtualTime) {
        assert!(self.alive, "what ends has lived");
        self.alive = false;
        self.waiting = false;
        self.ended.push((self.clock.clone(), self.local.max(now)));
    }

    /// The clock that a handle of `incarnation` reads at `local`, and when: it stands still when that has ended.
    pub fn clock_of(&self, incarnation: u32, local: VirtualTime) -> (&NodeClock, VirtualTime) {
        match self.ended.get(incarnation as usize - 1) {
            Some((clock, at)) => (clock, *at),
            None => (&self.clock, local),
        }
    }

    /// Whether a handle of `incarnation` still reaches the world.
    pub fn lives(&self, incarnation: u32) -> bool {
        self.alive && self.incarnation == incarnation
    }

    /// The core that is free first.
    pub fn free_core(&mut self) -> &mut VirtualTime {
        self.cores.iter_mut().min().expect("a node has a core")
    }

    /// What `ns` of calibrated work takes here.
    pub fn slowed(&self, ns: u64) -> u64 {
        ns.saturating_mul(self.slowness) / FULL_SPEED
    }
}
