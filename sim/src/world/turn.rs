//! A node's turn: its driver polls one of its ready tasks, then finds out who is next.

use std::future::poll_fn;
use std::sync::{Arc, MutexGuard};
use std::task::{Poll, Waker};

use super::{End, Event, NodeIndex, State, World};
use crate::kernel::Kernel;
use crate::plan::Action;
use crate::tasks::Runnable;
use crate::trace::Kind;

/// What happens next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An incarnation of a node polls a task.
    Turn(NodeIndex, u32),
    /// The plan's step with this number.
    Step(usize),
    /// What a program asked the world for.
    Act(Box<Action>),
    /// The run is over.
    End(End),
}

/// Who may poll: the pump, or the one driver that was named last.
pub(crate) struct Baton {
    turn: Option<(NodeIndex, u32)>,
    pub(super) drivers: Vec<Option<Waker>>,
    pub(super) pump: Option<Waker>,
    /// What a driver left for the pump to do.
    pub(super) found: Option<Next>,
}

impl Baton {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            turn: None,
            drivers: vec![None; nodes],
            pump: None,
            found: None,
        }
    }

    /// Wakes whoever `next` is for.
    pub(super) fn pass(&mut self, next: Next) {
        if let Next::Turn(node, incarnation) = next {
            self.turn = Some((node, incarnation));
            // A driver that was never polled is about to be.
            if let Some(driver) = &self.drivers[node] {
                driver.wake_by_ref();
            }
            return;
        }
        self.turn = None;
        self.found = Some(next);
        if let Some(pump) = self.pump.take() {
            pump.wake();
        }
    }

    /// Whether it is this incarnation's turn. Its driver's waker is kept for when it will be.
    fn is_with(&mut self, node: NodeIndex, incarnation: u32, driver: &Waker) -> bool {
        let known = &mut self.drivers[node];
        if !known.as_ref().is_some_and(|known| known.will_wake(driver)) {
            *known = Some(driver.clone());
        }
        self.turn == Some((node, incarnation))
    }
}

impl World {
    /// The future that a kernel polls for one incarnation. It takes a turn whenever it is named, and goes on as long as
    /// its node is the next one too.
    pub(super) async fn drive<K: Kernel>(self: Arc<Self>, kernel: K, node: NodeIndex, incarnation: u32) {
        poll_fn(move |cx| {
            let mut state = self.lock();
            if !state.baton.is_with(node, incarnation, cx.waker()) {
                return Poll::Pending;
            }
            let mut next;
            loop {
                state = self.take_turn(state, node, incarnation);
                (state, next) = self.next(&kernel, state);
                if next != Next::Turn(node, incarnation) {
                    state.baton.pass(next);
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    fn take_turn<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        node: NodeIndex,
        incarnation: u32,
    ) -> MutexGuard<'a, State> {
        if let Some(runnable) = state.begin_poll(node, incarnation) {
            drop(state);
            runnable.run();
            state = self.lock();
            state.end_poll(node);
            state = self.sort_woken(state);
            state.cause = None;
        }
        state.nodes[node].waiting = false;
        state.settle(node);
        state
    }

    /// Applies events until a node can run or the pump has something to do.
    pub(super) fn next<'a, K: Kernel>(
        &'a self,
        kernel: &K,
        mut state: MutexGuard<'a, State>,
    ) -> (MutexGuard<'a, State>, Next) {
        loop {
            if let Some(violation) = state.violation.take() {
                return (state, Next::End(End::Violation(violation)));
            }
            state = self.sort_woken(state);
            if let Some(index) = state.ready.pop_front() {
                let node = &mut state.nodes[index];
                if node.alive && !node.paused {
                    let turn = Next::Turn(index, node.incarnation);
                    (state.pulse)(state.recorder.next_seq(), state.now.as_nanos());
                    kernel.advance_to(state.now.elapsed());
                    return (state, turn);
                }
                node.waiting = false;
                continue;
            }
            let until = state.until;
            let Some((at, event)) = state.events.pop_until(until) else {
                if state.now < until && state.events.is_empty() {
                    return (state, Next::End(End::Stalled));
                }
                state.now = until;
                return (state, Next::End(End::Time));
            };
            assert!(at >= state.now, "time does not run backwards");
            state.now = at;
            state.cause = None;
            match event {
                Event::Wake { task, cause, .. } => {
                    state.cause = cause;
                    task.wake();
                }
                Event::Free { node } => {
                    state.nodes[node].waiting = false;
                    state.settle(node);
                }
                Event::Net(event) => state.on_net(event),
                Event::Step(number) => return (state, Next::Step(number)),
                Event::Act(action) => return (state, Next::Act(action)),
            }
        }
    }

    /// Sorts woken tasks into the queues of their nodes, and drops those of dead incarnations with the lock free.
    pub(super) fn sort_woken<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while !self.woken.is_empty() {
            let dead = state.sort_woken(&self.woken);
            if !dead.is_empty() {
                drop(state);
                drop(dead);
                state = self.lock();
            }
        }
        state
    }
}

impl State {
    fn begin_poll(&mut self, index: NodeIndex, incarnation: u32) -> Option<Runnable> {
        let (seed, now) = (self.seed, self.now);
        let node = &mut self.nodes[index];
        if !node.lives(incarnation) || node.paused {
            return None;
        }
        let ready = node.queue.len();
        let (runnable, cause) = node.queue.pick(&self.config.policy, seed, index, incarnation)?;
        node.local = node.busy_until.max(now);
        node.charged_ns = 0;
        let meta = *runnable.metadata();
        self.cause = cause;
        let seq = self.note(Kind::Choose, index, meta.name, meta.id, ready as u64);
        self.cause = Some(seq);
        Some(runnable)
    }

    fn end_poll(&mut self, index: NodeIndex) {
        let poll_ns = self.config.costs.poll_ns;
        let node = &mut self.nodes[index];
        let charged_ns = std::mem::take(&mut node.charged_ns);
        let spent = node.slowed(poll_ns.saturating_add(charged_ns));
        node.busy_until = node.local.after(spent);
    }
}
