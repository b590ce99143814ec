//! The world: every node, everything that is going to happen, and the loop that makes it happen.
//!
//! All state lies behind one lock that is never held while a task is polled or dropped. Waking a task under the lock is
//! fine: wakers only push into `Woken`, which has a lock of its own.

mod node;
mod pump;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use types::PeerId;

pub(crate) use self::node::Node;
pub use self::pump::End;
pub(crate) use self::pump::run;
use self::turn::Baton;
use crate::adversary::Strategies;
use crate::costs::Costs;
use crate::disk::Profile;
use crate::draw::{Domain, Seed};
use crate::handle::SimEnv;
use crate::hosts::Hosts;
use crate::network::{Net, NetConfig, NetEvent, Tap};
use crate::oracle::{Fact, Oracle, Violation};
use crate::plan::Action;
use crate::queue::{EventKey, EventQueue};
use crate::tasks::{Policy, Runnable, Woken};
use crate::time::VirtualTime;
use crate::trace::{Kind, Name, Record, Recorder};

/// Called with the number of records and the virtual nanoseconds so far, whenever a node gets a turn: a watcher
/// outside sees that the run still moves.
pub type Pulse = Box<dyn Fn(u64, u64) + Send>;

/// The number of a node, from 0.
pub type NodeIndex = usize;

/// What a node runs: made anew for every incarnation.
pub type Program = Arc<dyn Fn(SimEnv) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// How nodes are built and scheduled.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldConfig {
    /// The network.
    pub net: NetConfig,
    /// Every node's disk.
    pub disk: Profile,
    /// Virtual nanoseconds per unit of work.
    pub costs: Costs,
    /// Which ready task runs next.
    pub policy: Policy,
    /// Whether events of one instant come in drawn order instead of the order in which they were made.
    pub shuffle_ties: bool,
    /// Whether `buggify!` sites may fire.
    pub buggify: bool,
}

/// One node to be.
#[derive(Clone)]
pub struct NodeSpec {
    /// Its name in traces.
    pub name: String,
    /// Its network identity.
    pub id: PeerId,
    /// What it runs.
    pub program: Program,
}

/// Something that is going to happen.
pub(crate) enum Event {
    /// A timer of a task.
    Wake {
        task: Waker,
        /// The record of the poll that set it.
        cause: Option<u64>,
        /// Whose clock it waits on; `None` when it waits for an instant of the world.
        clock: Option<NodeIndex>,
    },
    /// The processor of a node is free again.
    Free { node: NodeIndex },
    /// Something in the network.
    Net(NetEvent),
    /// The plan's step with this number.
    Step(usize),
    /// What a program asked the world for.
    Act(Box<Action>),
}

/// Shared by the pump, the drivers and every handle.
pub(crate) struct World {
    state: Mutex<State>,
    pub(crate) woken: Woken,
}

/// Everything but the tasks in flight.
pub(crate) struct State {
    pub seed: Seed,
    pub now: VirtualTime,
    /// The last instant of the run. What happens at it still belongs to the run.
    pub until: VirtualTime,
    pub config: WorldConfig,
    pub events: EventQueue<Event>,
    pub nodes: Vec<Node>,
    /// Nodes with a ready task and a free processor, in the order in which they got there.
    pub ready: VecDeque<NodeIndex>,
    pub net: Net,
    pub hosts: Hosts,
    pub stakes: Vec<u64>,
    pub strategies: Strategies,
    pub recorder: Recorder,
    pub oracles: Vec<Box<dyn Oracle>>,
    pub tap: Option<Box<dyn Tap>>,
    pub violation: Option<Violation>,
    /// How often each marked place was reached (and, for `sometimes!`, held).
    pub sites: BTreeMap<&'static str, u64>,
    /// The record that caused what happens now.
    pub cause: Option<u64>,
    pub names: Names,
    pub pulse: Pulse,
    pub baton: Baton,
}

/// Names that hot paths write into records.
pub(crate) struct Names {
    pub tasks: BTreeMap<&'static str, Name>,
    pub drops: BTreeMap<&'static str, Name>,
}

impl World {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        match self.state.lock() {
            Ok(state) => state,
            // Destructors run while a panic ends the run: one that panicked as well would hide the first.
            Err(poisoned) if std::thread::panicking() => poisoned.into_inner(),
            Err(_) => panic!("a panic under the world's lock ends the run"),
        }
    }

    pub(crate) fn new(
        seed: Seed,
        config: WorldConfig,
        specs: Vec<NodeSpec>,
        recorder: Recorder,
        pulse: Pulse,
    ) -> Arc<Self> {
        let ids: Vec<PeerId> = specs.iter().map(|spec| spec.id).collect();
        let nodes: Vec<Node> = specs
            .into_iter()
            .enumerate()
            .map(|(index, spec)| Node::new(seed, index, spec, &config))
            .collect();
        let state = State {
            seed,
            now: VirtualTime::ZERO,
            until: VirtualTime::ZERO,
            events: EventQueue::default(),
            ready: VecDeque::new(),
            net: Net::new(config.net.clone(), &ids),
            hosts: Hosts::default(),
            stakes: Vec::new(),
            strategies: Strategies::default(),
            recorder,
            oracles: Vec::new(),
            tap: None,
            violation: None,
            sites: BTreeMap::new(),
            cause: None,
            names: Names {
                tasks: BTreeMap::new(),
                drops: BTreeMap::new(),
            },
            pulse,
            baton: Baton::new(nodes.len()),
            nodes,
            config,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            woken: Woken::default(),
        })
    }
}

impl State {
    /// Adds an event that belongs to `node`.
    pub fn schedule(&mut self, at: VirtualTime, node: NodeIndex, event: Event) -> EventKey {
        let tie = if self.config.shuffle_ties {
            let ties = &mut self.nodes[node].ties;
            *ties += 1;
            // The low half of a draw: a tie key needs no more.
            self.seed.draw(Domain::Tie, node as u64, 0, *ties).bits() as u32
        } else {
            0
        };
        self.events.insert(at, tie, event)
    }

    /// What is now for node `index`: ahead of the world while its processor works. A handle that another node uses
    /// finds its node's last poll long past.
    pub fn local(&self, index: NodeIndex) -> VirtualTime {
        self.nodes[index].local.max(self.now)
    }

    /// When something leaves node `index` that its task does now: after the work that the task has charged.
    pub fn acts_at(&self, index: NodeIndex) -> VirtualTime {
        let node = &self.nodes[index];
        self.local(index).after(node.slowed(node.charged_ns))
    }

    /// Writes one record of `node`, at this instant, caused by what is going on.
    pub fn note(&mut self, kind: Kind, node: NodeIndex, name: Name, a: u64, b: u64) -> u64 {
        let record = self.record_of(kind, node, name, a, b);
        self.recorder.record(record)
    }

    pub fn record_of(&self, kind: Kind, node: NodeIndex, name: Name, a: u64, b: u64) -> Record {
        let cause = self.cause.map_or(0, |seq| self.recorder.since(seq));
        let index = u16::try_from(node).unwrap_or(Record::WORLD);
        // A record counts the starts before.
        let incarnation = self
            .nodes
            .get(node)
            .map_or(0, |node| node.incarnation.saturating_sub(1));
        Record {
            a,
            b,
            cause,
            name,
            incarnation: u16::try_from(incarnation).unwrap_or(u16::MAX),
            ..Record::new(self.now.as_nanos(), index, kind)
        }
    }

    /// The name of a task's label.
    pub fn task_name(&mut self, label: &'static str) -> Name {
        if let Some(name) = self.names.tasks.get(label) {
            return *name;
        }
        let name = self.recorder.name(label);
        self.names.tasks.insert(label, name);
        name
    }

    /// The name of a reason for a loss.
    pub fn drop_name(&mut self, reason: &'static str) -> Name {
        if let Some(name) = self.names.drops.get(reason) {
            return *name;
        }
        let name = self.recorder.name(reason);
        self.names.drops.insert(reason, name);
        name
    }

    /// Shows a fact to the oracles; the first violation ends the run.
    pub fn tell(&mut self, fact: &Fact<'_>) {
        for oracle in &mut self.oracles {
            if let Err(violation) = oracle.observe(fact)
                && self.violation.is_none()
            {
                self.violation = Some(violation);
            }
        }
    }

    /// Sorts woken tasks into the queues of their nodes. Tasks of dead incarnations come back, to be dropped once the
    /// lock is free.
    fn sort_woken(&mut self, woken: &Woken) -> Vec<Runnable> {
        let cause = self.cause;
        let mut dead = Vec::new();
        while let Some(runnable) = woken.pop() {
            let (index, incarnation) = (runnable.metadata().node, runnable.metadata().incarnation);
            let node = &mut self.nodes[index];
            if node.lives(incarnation) {
                node.queue.push(runnable, cause);
                self.settle(index);
            } else {
                dead.push(runnable);
            }
        }
        dead
    }

    /// Sees to it that a node with a ready task gets its turn: now, or when its processor is free.
    pub fn settle(&mut self, index: NodeIndex) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.waiting || !node.alive || node.paused || node.queue.len() == 0 {
            return;
        }
        node.waiting = true;
        if node.busy_until <= now {
            self.ready.push_back(index);
        } else {
            let at = node.busy_until;
            self.schedule(at, index, Event::Free { node: index });
        }
    }
}
