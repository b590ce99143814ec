//! Work on a node's virtual cores.

use std::sync::Arc;

use env::{Compute, ComputeError, Cost};

use super::NodeHandle;
use crate::trace::{Kind, Name};

/// Starts jobs in the order of their calls, each on the first free core. A job runs inline when it starts, and its value
/// comes once the time that it costs has passed.
#[derive(Clone)]
pub struct SimCompute(pub(crate) NodeHandle);

impl Compute for SimCompute {
    async fn run<T, F>(&self, cost: Cost, job: F) -> Result<T, ComputeError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let index = self.0.node();
        let asked = self.0.with(|state| {
            let at = state.acts_at(index);
            (at, Arc::clone(&state.nodes[index].next_job))
        });
        let (asked, next) = asked.ok_or(ComputeError::Closed)?;
        let turn = next.acquire_owned().await.map_err(|_| ComputeError::Closed)?;
        // Only the job whose turn it is takes a core, so the first one that is free now is still the first one then.
        let free = self.0.with(|state| *state.nodes[index].free_core());
        self.0.sleep_until(free.ok_or(ComputeError::Closed)?).await;
        let end = self.0.with(|state| {
            let ns = state.config.costs.of(cost);
            let node = &mut state.nodes[index];
            let ns = node.slowed(ns);
            let core = node.free_core();
            // The cores do not wait for the processor that looks after them.
            let start = asked.max(*core);
            *core = start.after(ns);
            let end = *core;
            state.note(Kind::Compute, index, Name::NONE, ns, start.since(asked));
            end
        });
        drop(turn);
        let end = end.ok_or(ComputeError::Closed)?;
        let value = job();
        self.0.sleep_until(end).await;
        Ok(value)
    }

    fn charge(&self, cost: Cost) {
        let index = self.0.node();
        self.0.with(|state| {
            let ns = state.config.costs.of(cost);
            state.nodes[index].charged_ns += ns;
        });
    }
}
