//! The pump: takes the next event, applies it, and gives nodes their turns.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::{Event, NodeIndex, World};
use crate::handle::{NodeHandle, SimEnv};
use crate::kernel::Kernel;
use crate::oracle::{Fact, Violation};
use crate::plan::{Action, Plan};
use crate::tasks::Runnable;
use crate::time::VirtualTime;
use crate::trace::{Kind, Name};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The time of the scenario passed.
    Time,
    /// An oracle objected.
    Violation(Violation),
    /// Nothing was left to happen.
    Stalled,
}

enum Next {
    Turn(NodeIndex, u32),
    Step(usize),
    Act(Box<Action>),
    End(End),
    Again,
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
            // What else happens at the last instant still belongs to the run.
            state.events.insert(until, u32::MAX, Event::End);
            for (number, step) in self.plan.steps.iter().enumerate() {
                // Steps of one instant come in their order, and before whatever else happens then.
                if step.at() > VirtualTime::ZERO {
                    state.events.insert(step.at(), 0, Event::Step(number));
                }
            }
        }
        for node in 0..self.drivers.len() {
            self.start(node);
        }
        for (number, step) in self.plan.steps.iter().enumerate() {
            if step.at() == VirtualTime::ZERO {
                self.step(number);
            }
        }
        loop {
            match self.next() {
                Next::Turn(node, incarnation) => self.give_turn(node, incarnation).await,
                Next::Step(number) => self.step(number),
                Next::Act(action) => self.act(*action, u64::MAX),
                Next::End(end) => return end,
                Next::Again => {}
            }
        }
    }

    /// Applies events until a node can run or the pump itself has something to do.
    fn next(&self) -> Next {
        let mut dead = Vec::new();
        let mut state = self.world.lock();
        let next = loop {
            if let Some(violation) = state.violation.take() {
                break Next::End(End::Violation(violation));
            }
            state.sort_woken(&self.world.woken, &mut dead);
            if !dead.is_empty() {
                break Next::Again;
            }
            if let Some(node) = state.ready.pop_front() {
                if state.nodes[node].alive && !state.nodes[node].paused {
                    let incarnation = state.nodes[node].incarnation;
                    break Next::Turn(node, incarnation);
                }
                state.nodes[node].waiting = false;
                continue;
            }
            let Some((at, event)) = state.events.pop() else {
                break Next::End(End::Stalled);
            };
            assert!(at >= state.now, "time does not run backwards");
            state.now = at;
            state.cause = None;
            match event {
                Event::Wake(waker, cause) => {
                    state.cause = cause;
                    waker.wake();
                }
                Event::Free { node } => {
                    state.nodes[node].waiting = false;
                    state.settle(node);
                }
                Event::Net(event) => state.on_net(event),
                Event::Step(number) => break Next::Step(number),
                Event::Act(action) => break Next::Act(action),
                Event::End => break Next::End(End::Time),
            }
        };
        drop(state);
        drop(dead);
        next
    }

    async fn give_turn(&self, node: NodeIndex, incarnation: u32) {
        let now = {
            let state = self.world.lock();
            (state.pulse)(state.recorder.next_seq(), state.now.as_nanos());
            state.now
        };
        self.kernel.advance_to(now.elapsed());
        {
            let mut baton = self.world.baton();
            baton.turn = Some((node, incarnation));
            if let Some(driver) = &baton.drivers[node] {
                driver.wake_by_ref();
            }
        }
        poll_fn(|cx| {
            let mut baton = self.world.baton();
            if baton.turn.is_none() {
                return Poll::Ready(());
            }
            baton.pump = Some(cx.waker().clone());
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
        self.drivers[index] = Some(
            self.kernel
                .spawn(&name, self.world.clone().drive(index, incarnation)),
        );
        handle.spawn_root(program(SimEnv::new(handle.clone())));
    }

    /// Ends the living incarnation of a node: first it is cut off from every device, then its tasks are dropped in
    /// the order in which they were spawned, then its disk loses what was not safe.
    fn crash(&mut self, index: NodeIndex, survivors: crate::disk::Survivors) {
        let (tasks, queue) = {
            let mut state = self.world.lock();
            if !state.nodes[index].alive {
                return;
            }
            let now = state.now;
            state.note(Kind::Crash, index, Name::NONE, 0, 0);
            let node = &mut state.nodes[index];
            node.alive = false;
            node.waiting = false;
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
            self.drop_dead();
        }
        drop(queue);
        self.drop_dead();
        if let Some(driver) = self.drivers[index].take() {
            self.kernel.kill(&driver);
        }
        self.world.baton().drivers[index] = None;
        let mut state = self.world.lock();
        let now = state.now.as_nanos().max(state.nodes[index].disk.now_ns());
        let report = state.nodes[index].disk.crash(now, survivors);
        let (lost, kept) = report.stores.iter().fold((0, 0), |(lost, kept), store| {
            (
                lost + store.unsynced - store.kept.min(store.unsynced),
                kept + store.kept,
            )
        });
        let name = state.recorder.name("disk_lost");
        state.note(Kind::Fault, index, name, lost, kept);
    }

    fn drop_dead(&self) {
        let mut dead: Vec<Runnable> = Vec::new();
        self.world.lock().sort_woken(&self.world.woken, &mut dead);
        drop(dead);
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
            Action::Restart { node } => self.start(node),
            Action::HealAll => {
                self.world.lock().heal_all();
                for node in 0..self.drivers.len() {
                    self.start(node);
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
                let node = &mut state.nodes[index];
                node.alive = false;
                (node.scopes.cancel_all(), node.queue.drain())
            };
            drop(tasks);
            self.drop_dead();
            if let Some(driver) = self.drivers[index].take() {
                self.kernel.kill(&driver);
            }
        }
    }
}
