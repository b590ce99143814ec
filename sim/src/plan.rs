//! A plan: every fault of a run, with its time and its parameters. Faults are data, so a plan can be printed, edited,
//! stored and shrunk, and outlives the generator that made it.

mod range;

use serde::{Deserialize, Serialize};

use crate::adversary::{Assignment, Installed, Manner};
use crate::clock::NodeClock;
use crate::disk::{Disk, DiskFault, FaultKind, Harm, Survivors};
use crate::hosts::HostManner;
use crate::network::LinkFault;
use crate::oracle::Fact;
use crate::time::VirtualTime;
use crate::world::{Event, NodeIndex, State};

/// What happens to the world, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The steps. Those of one instant happen in this order.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// One fault, or the end of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Microseconds of virtual time.
    pub at_us: u64,
    /// What.
    pub action: Action,
}

impl Step {
    /// `action`, at `millis` milliseconds.
    pub fn new(millis: u64, action: Action) -> Self {
        Self {
            at_us: millis * 1_000,
            action,
        }
    }

    /// When.
    pub fn at(&self) -> VirtualTime {
        VirtualTime::from_nanos(self.at_us.saturating_mul(1_000))
    }
}

/// Which packets a cut stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Both ways.
    Both,
    /// Those that leave the side.
    Out,
    /// Those that come to the side.
    In,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the fields are named for what they are; the variants say what happens"
)]
pub enum Action {
    /// The node loses power; of what was not synced, `survivors` are left.
    Crash { node: NodeIndex, survivors: Survivors },
    /// The node starts again, if it is down.
    Restart { node: NodeIndex },
    /// The node's processor stops; its network card goes on.
    Pause { node: NodeIndex },
    /// The node's processor goes on.
    Resume { node: NodeIndex },
    /// All work of the node takes `percent` hundredths of its time; 100 is as built.
    Slow { node: NodeIndex, percent: u64 },
    /// The nodes of `side` are cut off from all others.
    Partition {
        side: Vec<NodeIndex>,
        direction: Direction,
    },
    /// Ends an equal partition.
    Heal {
        side: Vec<NodeIndex>,
        direction: Direction,
    },
    /// One direction of one link is cut.
    Cut { from: NodeIndex, to: NodeIndex },
    /// Ends an equal cut.
    Mend { from: NodeIndex, to: NodeIndex },
    /// Links from `from` to `to` (every node when absent) have exactly these faults.
    Link {
        from: Option<NodeIndex>,
        to: Option<NodeIndex>,
        fault: LinkFault,
    },
    /// Node `from` resets its session with `to`; the reset crosses the network.
    Reset { from: NodeIndex, to: NodeIndex },
    /// The node's clocks run fast by `ppb` billionths.
    ClockDrift { node: NodeIndex, ppb: i64 },
    /// The node's wall clock jumps.
    ClockStep { node: NodeIndex, ms: i64 },
    /// The node's clocks are set right.
    ClockRepair { node: NodeIndex },
    /// The node's disk gets a fault.
    Disk { node: NodeIndex, fault: DiskFault },
    /// The node's disk loses a fault.
    DiskClear { node: NodeIndex, kind: FaultKind },
    /// Two nodes get each other's disk. Both should be down.
    SwapDisks { a: NodeIndex, b: NodeIndex },
    /// Every blob whose URL starts with `prefix` is served like this.
    Host { prefix: String, manner: HostManner },
    /// From here on what the node's program sends passes through an adversary, in place of an earlier one.
    Byzantine {
        node: NodeIndex,
        strategy: String,
        #[serde(default, skip_serializing_if = "Manner::is_usual")]
        with: Manner,
    },
    /// From here on the node sends what its program does.
    Honest { node: NodeIndex },
    /// The node's process is gone, and no heal brings it back: only `Restart` does. At the very beginning, it does not
    /// even start.
    Absent { node: NodeIndex },
    /// Every fault ends and every node that is down starts, but for absent ones. Byzantine nodes stay so.
    HealAll,
}

impl Action {
    /// Its name in traces.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::Restart { .. } => "restart",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Slow { .. } => "slow",
            Self::Partition { .. } => "partition",
            Self::Heal { .. } => "heal",
            Self::Cut { .. } => "cut",
            Self::Mend { .. } => "mend",
            Self::Link { .. } => "link",
            Self::Reset { .. } => "reset",
            Self::ClockDrift { .. } => "clock_drift",
            Self::ClockStep { .. } => "clock_step",
            Self::ClockRepair { .. } => "clock_repair",
            Self::Disk { .. } => "disk",
            Self::DiskClear { .. } => "disk_clear",
            Self::SwapDisks { .. } => "swap_disks",
            Self::Host { .. } => "host",
            Self::Byzantine { .. } => "byzantine",
            Self::Honest { .. } => "honest",
            Self::Absent { .. } => "absent",
            Self::HealAll => "heal_all",
        }
    }

    /// The node that it strikes, if it is one.
    pub fn node(&self) -> Option<NodeIndex> {
        match self {
            Self::Crash { node, .. }
            | Self::Restart { node }
            | Self::Pause { node }
            | Self::Resume { node }
            | Self::Slow { node, .. }
            | Self::ClockDrift { node, .. }
            | Self::ClockStep { node, .. }
            | Self::ClockRepair { node }
            | Self::Disk { node, .. }
            | Self::DiskClear { node, .. }
            | Self::Byzantine { node, .. }
            | Self::Honest { node }
            | Self::Absent { node } => Some(*node),
            Self::Cut { from, .. } | Self::Mend { from, .. } | Self::Reset { from, .. } => Some(*from),
            Self::Partition { side, .. } | Self::Heal { side, .. } if side.len() == 1 => Some(side[0]),
            _ => None,
        }
    }

    /// Every node that it names.
    pub fn nodes(&self) -> Vec<NodeIndex> {
        match self {
            Self::Partition { side, .. } | Self::Heal { side, .. } => side.clone(),
            Self::Cut { from, to } | Self::Mend { from, to } | Self::Reset { from, to } => vec![*from, *to],
            Self::SwapDisks { a, b } => vec![*a, *b],
            Self::Link { from, to, .. } => from.iter().chain(to).copied().collect(),
            Self::Host {
                manner: HostManner::Selective { nodes },
                ..
            } => nodes.clone(),
            Self::Byzantine { node, with, .. } => Vec::from_iter([*node].iter().chain(&with.to).copied()),
            _ => self.node().into_iter().collect(),
        }
    }

    /// Whether it ends a fault.
    pub fn heals(&self) -> bool {
        match self {
            Self::Restart { .. }
            | Self::Resume { .. }
            | Self::Heal { .. }
            | Self::Mend { .. }
            | Self::ClockRepair { .. }
            | Self::DiskClear { .. }
            | Self::Honest { .. }
            | Self::HealAll => true,
            Self::Slow { percent, .. } => *percent == 100,
            Self::Link { fault, .. } => *fault == LinkFault::default(),
            Self::Host { manner, .. } => *manner == HostManner::Honest,
            Self::Crash { .. }
            | Self::Pause { .. }
            | Self::Partition { .. }
            | Self::Cut { .. }
            | Self::Reset { .. }
            | Self::ClockDrift { .. }
            | Self::ClockStep { .. }
            | Self::Disk { .. }
            | Self::SwapDisks { .. }
            | Self::Byzantine { .. }
            | Self::Absent { .. } => false,
        }
    }

    /// A number for the trace: how strong it is.
    pub(crate) fn value(&self) -> u64 {
        match self {
            Self::Slow { percent, .. } => *percent,
            Self::Partition { side, .. } | Self::Heal { side, .. } => side.len() as u64,
            Self::Cut { to, .. } | Self::Mend { to, .. } | Self::Reset { to, .. } => *to as u64,
            Self::ClockDrift { ppb, .. } => ppb.unsigned_abs(),
            Self::ClockStep { ms, .. } => ms.unsigned_abs(),
            _ => 0,
        }
    }
}

/// Why a plan cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It is not TOML, or not a plan.
    #[error("this is not a plan: {0}")]
    Syntax(String),
    /// A step names a node that the scenario does not have.
    #[error(
        "step {step} ({action}) names node {node}, and the scenario has {nodes}: nodes are numbered from 0"
    )]
    NoSuchNode {
        /// The step, from 0.
        step: usize,
        /// What it does.
        action: &'static str,
        /// The node that it names.
        node: NodeIndex,
        /// How many there are.
        nodes: usize,
    },
    /// A number of a step is outside of what can be run.
    #[error("step {step} ({action}): `{field}` is {value}, and has to lie within {low} and {high}")]
    Range {
        /// The step, from 0.
        step: usize,
        /// What it does.
        action: &'static str,
        /// The field.
        field: &'static str,
        /// Its value.
        value: i128,
        /// The least.
        low: i128,
        /// The most.
        high: i128,
    },
    /// A step names a strategy that the load does not have.
    #[error("step {step} (byzantine) names the strategy `{strategy}`, and there are: {known}")]
    NoSuchStrategy {
        /// The step, from 0.
        step: usize,
        /// What it names.
        strategy: String,
        /// What it may name.
        known: String,
    },
    /// A step lies after the end of the scenario.
    #[error("step {step} ({action}) is at {at_us} us, and the scenario ends at {end_us} us")]
    AfterEnd {
        /// The step, from 0.
        step: usize,
        /// What it does.
        action: &'static str,
        /// Its time.
        at_us: u64,
        /// The end.
        end_us: u64,
    },
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// [`PlanError::Syntax`].
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        toml::from_str(text).map_err(|error| PlanError::Syntax(error.to_string()))
    }

    /// Its text, which [`parse`](Self::parse) reads back.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("a plan is made of tables, numbers and strings")
    }

    /// Checks every step against a scenario of `nodes` nodes that ends at `end`.
    ///
    /// # Errors
    /// [`PlanError::NoSuchNode`], [`PlanError::Range`], [`PlanError::AfterEnd`].
    pub fn check(&self, nodes: usize, end: VirtualTime) -> Result<(), PlanError> {
        for (step, Step { at_us, action }) in self.steps.iter().enumerate() {
            if let Some(node) = action.nodes().into_iter().find(|node| *node >= nodes) {
                return Err(PlanError::NoSuchNode {
                    step,
                    action: action.name(),
                    node,
                    nodes,
                });
            }
            let mut numbers = action.numbers().into_iter();
            if let Some(number) = numbers.find(|number| !number.is_within()) {
                return Err(PlanError::Range {
                    step,
                    action: action.name(),
                    field: number.field,
                    value: number.value,
                    low: number.low,
                    high: number.high,
                });
            }
            let end_us = end.as_nanos() / 1_000;
            if *at_us > end_us {
                return Err(PlanError::AfterEnd {
                    step,
                    action: action.name(),
                    at_us: *at_us,
                    end_us,
                });
            }
        }
        Ok(())
    }
}

impl State {
    /// Applies a step that starts and ends no process.
    pub(crate) fn apply(&mut self, action: &Action) {
        let now = self.now;
        match action {
            Action::Crash { .. } | Action::Restart { .. } | Action::Absent { .. } | Action::HealAll => {
                unreachable!("the pump starts and ends processes")
            }
            Action::Pause { node } => self.nodes[*node].paused = true,
            Action::Resume { node } => {
                self.nodes[*node].paused = false;
                self.settle(*node);
            }
            Action::Slow { node, percent } => self.nodes[*node].slowness = percent.saturating_mul(10).max(1),
            Action::Partition { side, direction } => self.partition(side, *direction, Self::block),
            Action::Heal { side, direction } => self.partition(side, *direction, Self::unblock),
            Action::Cut { from, to } => self.block(*from, *to),
            Action::Mend { from, to } => self.unblock(*from, *to),
            Action::Link { from, to, fault } => {
                for link in 0..self.net.links.len() {
                    let (a, b) = (link / self.nodes.len(), link % self.nodes.len());
                    if from.is_none_or(|from| from == a) && to.is_none_or(|to| to == b) {
                        self.net.links[link].fault = fault.clone();
                    }
                }
            }
            Action::Reset { from, to } => self.reset_session(*from, *to),
            Action::ClockDrift { node, ppb } => self.set_clock(*node, |clock| clock.set_drift(now, *ppb)),
            Action::ClockStep { node, ms } => self.set_clock(*node, |clock| clock.step(now, *ms)),
            Action::ClockRepair { node } => self.set_clock(*node, |clock| clock.repair(now)),
            Action::Disk { node, fault } => {
                if *fault == DiskFault::Wipe {
                    self.tell(&Fact::Wiped { node: *node, at: now });
                }
                let harm = self.nodes[*node].disk.harm(fault.kind());
                if harm >= Harm::Damage {
                    self.tell(&Fact::Damaged {
                        node: *node,
                        unnoticed: harm == Harm::Amnesia,
                    });
                }
                self.nodes[*node].disk.apply(*fault);
            }
            Action::DiskClear { node, kind } => self.clear_disk(*node, *kind),
            Action::SwapDisks { a, b } => {
                for node in [*a, *b] {
                    self.nodes[node].disk.strike();
                    self.tell(&Fact::Damaged {
                        node,
                        unnoticed: true,
                    });
                }
                if a != b {
                    let (low, high) = ((*a).min(*b), (*a).max(*b));
                    let (left, right) = self.nodes.split_at_mut(high);
                    std::mem::swap(&mut left[low].disk, &mut right[0].disk);
                }
            }
            Action::Host { prefix, manner } => self.hosts.set_manner(prefix, manner),
            Action::Byzantine { node, strategy, with } => self.turn(*node, strategy, with),
            Action::Honest { node } => {
                self.nodes[*node].adversary = None;
                self.tell(&Fact::Honest { node: *node, at: now });
            }
        }
    }

    /// Makes a node Byzantine.
    fn turn(&mut self, node: NodeIndex, strategy: &str, manner: &Manner) {
        let assignment = Assignment {
            seed: self.seed,
            node,
            stakes: &self.stakes,
            manner,
        };
        let adversary = self.strategies.make(strategy, &assignment);
        let adversary = adversary.expect("a run begins with a look at the strategies of its plan");
        let name = self.recorder.name(strategy);
        self.nodes[node].adversary = Some(Installed::new(adversary, manner.clone(), name));
        let at = self.now;
        self.tell(&Fact::Byzantine { node, at });
    }

    /// Ends every fault but the lack of processes.
    pub(crate) fn heal_all(&mut self) {
        let (now, nodes) = (self.now, self.nodes.len());
        for index in 0..nodes {
            let node = &mut self.nodes[index];
            node.paused = false;
            node.slowness = 1_000;
            let kinds: Vec<FaultKind> = node.disk.faults().map(DiskFault::kind).collect();
            for kind in kinds {
                self.clear_disk(index, kind);
            }
            self.set_clock(index, |clock| clock.repair(now));
            self.settle(index);
        }
        for link in 0..self.net.links.len() {
            self.net.links[link].fault = LinkFault::default();
            while self.net.links[link].blocks > 0 {
                self.unblock(link / nodes, link % nodes);
            }
        }
        self.hosts.set_manner("", &HostManner::Honest);
    }

    /// Changes a node's clock. Who waits on it looks again how long that takes, if its rate has changed.
    fn set_clock(&mut self, node: NodeIndex, change: impl FnOnce(&mut NodeClock)) {
        let clock = &mut self.nodes[node].clock;
        let before = clock.drift_ppb();
        change(clock);
        if clock.drift_ppb() == before {
            return;
        }
        for event in self.events.iter() {
            if let Event::Wake { task, clock, .. } = event
                && *clock == Some(node)
            {
                task.wake_by_ref();
            }
        }
    }

    fn clear_disk(&mut self, node: NodeIndex, kind: FaultKind) {
        let disk = &mut self.nodes[node].disk;
        let harms = |disk: &Disk, kind| disk.harm(kind) >= Harm::Damage;
        let was_threat = disk.clear(kind) && harms(disk, kind);
        let is_threat = disk.faults().any(|fault| harms(disk, fault.kind()));
        if was_threat && !is_threat && !disk.is_struck() {
            self.tell(&Fact::Spared { node });
        }
    }

    fn partition(
        &mut self,
        side: &[NodeIndex],
        direction: Direction,
        change: fn(&mut Self, NodeIndex, NodeIndex),
    ) {
        for other in (0..self.nodes.len()).filter(|node| !side.contains(node)) {
            for node in side {
                if direction != Direction::In {
                    change(self, *node, other);
                }
                if direction != Direction::Out {
                    change(self, other, *node);
                }
            }
        }
    }
}
