//! The pump: starts and ends incarnations and takes the steps of the plan. What happens in between, the drivers hand
//! from one to the next.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::turn::Next;
use super::{Event, NodeIndex, World};
use crate::disk::Survivors;
use crate::handle::{NodeHandle, SimEnv};
use crate::kernel::Kernel;
use crate::oracle::{Fact, Violation};
use crate::plan::{Action, Plan};
use crate::time::VirtualTime;
use crate::trace::{Kind, Name, Record};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The time of the scenario passed.
    Time,
    /// An oracle objected.
    Violation(Violation),
    /// Nothing was left to happen, and the time had not passed.
    Stalled,
}

/// Runs `plan` in `world` until `until`, on kernel `K`.
pub(crate) fn run<K: Kernel>(world: &Arc<World>, plan: &Plan, until: VirtualTime) -> End {
    let seed = world.lock().seed;
    K::run(seed, |kernel| async move {
        let mut pump = Pump {
            world,
            kernel,
            plan,
            drivers: Vec::new(),
        };
        pump.drivers.resize_with(world.lock().nodes.len(), || None);
        let end = pump.run(until).await;
        pump.shut_down();
        end
    })
}

struct Pump<'a, K: Kernel> {
    world: &'a Arc<World>,
    kernel: K,
    plan: &'a Plan,
    drivers: Vec<Option<K::Driver>>,
}

impl<K: Kernel> Pump<'_, K> {
    async fn run(&mut self, until: VirtualTime) -> End {
        {
            let mut state = self.world.lock();
            state.until = until;
            for (number, step) in self.plan.steps.iter().enumerate() {
                // Steps of one instant come in their order, and before whatever else happens then.
                if step.at() > VirtualTime::ZERO {
                    state.events.insert(step.at(), 0, Event::Step(number));
                }
            }
        }
        let late = |node: NodeIndex| {
            let mut first = self
                .plan
                .steps
                .iter()
                .take_while(|step| step.at() == VirtualTime::ZERO);
            first.any(|step| step.action == Action::Absent { node })
        };
        let punctual: Vec<NodeIndex> = (0..self.drivers.len()).filter(|node| !late(*node)).collect();
        for node in punctual {
            self.start(node);
        }
        for (number, step) in self.plan.steps.iter().enumerate() {
            if step.at() == VirtualTime::ZERO {
                self.step(number);
            }
        }
        loop {
            match self.next() {
                turn @ Next::Turn(..) => self.give_turn(turn).await,
                Next::Step(number) => self.step(number),
                Next::Act(action) => self.act(*action, Record::NO_STEP),
                Next::End(end) => return end,
            }
        }
    }

    /// What a driver left to do, or else whatever comes next.
    fn next(&self) -> Next {
        let mut state = self.world.lock();
        match state.baton.found.take() {
            Some(found) => found,
            None => self.world.next(&self.kernel, state).1,
        }
    }

    /// Lets the drivers run until one of them finds something that is the pump's to do.
    async fn give_turn(&self, turn: Next) {
        self.world.lock().baton.pass(turn);
        poll_fn(|cx| {
            let mut state = self.world.lock();
            if state.baton.found.is_some() {
                return Poll::Ready(());
            }
            state.baton.pump = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Starts the next incarnation of a node, if none lives.
    fn start(&mut self, index: NodeIndex) {
        let (program, handle) = {
            let mut state = self.world.lock();
            if state.nodes[index].alive {
                return;
            }
            let now = state.now;
            state.nodes[index].begin(now);
            state.net_start(index);
            let incarnation = state.nodes[index].incarnation;
            state.note(Kind::Restart, index, Name::NONE, u64::from(incarnation), 0);
            state.tell(&Fact::Started {
                node: index,
                incarnation,
                at: now,
            });
            (
                state.nodes[index].program.clone(),
                NodeHandle::new(self.world.clone(), index, incarnation),
            )
        };
        let name = self.world.lock().nodes[index].name.clone();
        let incarnation = handle.incarnation();
        self.drivers[index] = Some(self.kernel.spawn(
            &name,
            self.world.clone().drive(self.kernel.clone(), index, incarnation),
        ));
        handle.spawn_root(program(SimEnv::new(handle.clone())));
    }

    /// Ends the living incarnation of a node: first it is cut off from every device, then its tasks are dropped in
    /// the order in which they were spawned, then its disk loses what was not safe.
    fn crash(&mut self, index: NodeIndex, survivors: Survivors) {
        let (tasks, queue) = {
            let mut state = self.world.lock();
            if !state.nodes[index].alive {
                return;
            }
            let now = state.now;
            state.note(Kind::Crash, index, Name::NONE, 0, 0);
            let node = &mut state.nodes[index];
            node.end(now);
            let (tasks, queue) = (node.scopes.cancel_all(), node.queue.drain());
            let incarnation = node.incarnation;
            state.net_crash(index);
            state.tell(&Fact::Crashed {
                node: index,
                incarnation,
                at: now,
            });
            (tasks, queue)
        };
        for task in tasks {
            drop(task);
            drop(self.world.sort_woken(self.world.lock()));
        }
        drop(queue);
        drop(self.world.sort_woken(self.world.lock()));
        if let Some(driver) = self.drivers[index].take() {
            self.kernel.kill(&driver);
        }
        let mut state = self.world.lock();
        state.baton.drivers[index] = None;
        let now = state.now.as_nanos().max(state.nodes[index].disk.now_ns());
        let report = state.nodes[index].disk.crash(now, survivors);
        let (lost, kept) = report.stores.iter().fold((0, 0), |(lost, kept), store| {
            (
                lost + store.unsynced - store.kept.min(store.unsynced),
                kept + store.kept,
            )
        });
        state.note(Kind::DiskLoss, index, Name::NONE, lost, kept);
    }

    fn step(&mut self, number: usize) {
        let action = self.plan.steps[number].action.clone();
        self.act(action, number as u64);
    }

    fn act(&mut self, action: Action, step: u64) {
        {
            let mut state = self.world.lock();
            let name = state.recorder.name(action.name());
            let node = action.node().unwrap_or(usize::MAX);
            let kind = if action.heals() { Kind::Heal } else { Kind::Fault };
            let seq = state.note(kind, node, name, step, action.value());
            state.cause = Some(seq);
        }
        match action {
            Action::Crash { node, survivors } => self.crash(node, survivors),
            Action::Restart { node } => {
                self.world.lock().nodes[node].absent = false;
                self.start(node);
            }
            Action::Absent { node } => {
                {
                    let mut state = self.world.lock();
                    state.nodes[node].absent = true;
                    let at = state.now;
                    state.tell(&Fact::Absent { node, at });
                }
                self.crash(node, Survivors::Everything);
            }
            Action::HealAll => {
                self.world.lock().heal_all();
                for node in 0..self.drivers.len() {
                    if !self.world.lock().nodes[node].absent {
                        self.start(node);
                    }
                }
                let mut state = self.world.lock();
                let now = state.now;
                state.tell(&Fact::Healed { at: now });
            }
            other => self.world.lock().apply(&other),
        }
    }

    /// Drops every task, so that nothing of the run outlives it.
    fn shut_down(&mut self) {
        for index in 0..self.drivers.len() {
            let tasks = {
                let mut state = self.world.lock();
                let now = state.now;
                let node = &mut state.nodes[index];
                if node.alive {
                    node.end(now);
                }
                (node.scopes.cancel_all(), node.queue.drain())
            };
            drop(tasks);
            drop(self.world.sort_woken(self.world.lock()));
            if let Some(driver) = self.drivers[index].take() {
                self.kernel.kill(&driver);
            }
        }
    }
}
