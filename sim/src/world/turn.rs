//! A node's turn: its driver polls some of its ready tasks.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::{NodeIndex, State, World};
use crate::tasks::Runnable;
use crate::trace::Kind;

impl World {
    /// The future that a kernel polls for one incarnation: it takes a turn whenever the pump names it.
    pub(super) async fn drive(self: Arc<Self>, node: NodeIndex, incarnation: u32) {
        poll_fn(move |cx| {
            {
                let mut baton = self.baton();
                if !baton.drivers[node]
                    .as_ref()
                    .is_some_and(|known| known.will_wake(cx.waker()))
                {
                    baton.drivers[node] = Some(cx.waker().clone());
                }
                if baton.turn != Some((node, incarnation)) {
                    return Poll::Pending;
                }
            }
            self.take_turn(node, incarnation);
            let mut baton = self.baton();
            baton.turn = None;
            if let Some(pump) = baton.pump.take() {
                pump.wake();
            }
            Poll::Pending
        })
        .await
    }

    fn take_turn(&self, node: NodeIndex, incarnation: u32) {
        let mut dead = Vec::new();
        let mut next = {
            let mut state = self.lock();
            state.begin_poll(node, incarnation)
        };
        let mut polls = 0;
        while let Some(runnable) = next {
            runnable.run();
            polls += 1;
            let mut state = self.lock();
            state.end_poll(node);
            state.sort_woken(&self.woken, &mut dead);
            state.cause = None;
            let goes_on = polls < state.config.batch && state.violation.is_none();
            next = if goes_on {
                state.begin_poll(node, incarnation)
            } else {
                None
            };
        }
        let mut state = self.lock();
        state.nodes[node].waiting = false;
        state.settle(node);
        drop(state);
        drop(dead);
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
        let name = self.task_name(meta.label);
        self.cause = cause;
        let seq = self.note(Kind::Choose, index, name, meta.id, ready as u64);
        self.cause = Some(seq);
        Some(runnable)
    }

    fn end_poll(&mut self, index: NodeIndex) {
        let poll_ns = self.config.costs.poll_ns;
        let node = &mut self.nodes[index];
        let spent = node.slowed(poll_ns.saturating_add(node.charged_ns));
        node.busy_until = node.local.after(spent);
    }
}
