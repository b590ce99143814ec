//! Work on a node's virtual cores.

use env::{Compute, ComputeError, Cost};

use super::NodeHandle;
use crate::trace::{Kind, Name};

/// Runs jobs inline, after the virtual time that they cost on the first free core.
#[derive(Clone)]
pub struct SimCompute(pub(crate) NodeHandle);

impl Compute for SimCompute {
    async fn run<T, F>(&self, cost: Cost, job: F) -> Result<T, ComputeError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let index = self.0.node();
        let until = self.0.with(|state| {
            let ns = state.config.costs.of(cost);
            let local = state.local(index);
            let node = &mut state.nodes[index];
            let ns = node.slowed(ns);
            let core = node.cores.iter_mut().min().expect("a node has a core");
            let start = local.max(*core);
            *core = start.after(ns);
            let until = *core;
            state.note(Kind::Compute, index, Name::NONE, ns, start.since(local));
            until
        });
        let until = until.ok_or(ComputeError::Closed)?;
        self.0.sleep_until(until).await;
        Ok(job())
    }

    fn charge(&self, cost: Cost) {
        let index = self.0.node();
        self.0.with(|state| {
            let ns = state.config.costs.of(cost);
            state.nodes[index].charged_ns += ns;
        });
    }
}
