//! `--shrink`: the smallest plan that fails as a seed did, each candidate in a worker of its own.

use anyhow::Result;
use sim::recipe::Recipe;
use sim::scenario::Scenario;
use sim::shrink::{Candidate, Shrunk, shrink};
use sim::time::VirtualTime;
use sim::trace::Options;
use sim::verdict::Verdict;
use sim::worker::{self, WorkerConfig};

use super::output::Output;

/// The smallest plan that fails as `verdict` says, in at most `limit` runs. It says what it did.
pub fn smallest(
    recipe: &Recipe,
    config: &WorkerConfig,
    verdict: &Verdict,
    limit: u32,
    output: &mut Output,
) -> Result<Candidate> {
    let start = Candidate {
        plan: recipe.plan(verdict.seed),
        nodes: recipe.scenario.drawn(verdict.seed).nodes,
    };
    let Some(failure) = &verdict.failure else {
        return Ok(start);
    };
    let mut runs = 0;
    let fails = |candidate: &Candidate| -> Result<bool> {
        runs += 1;
        output.progress(|| format!("shrinking: run {runs}, {} steps", candidate.plan.steps.len()));
        let recipe = Recipe {
            scenario: Scenario {
                nodes: candidate.nodes,
                ..recipe.scenario.drawn(verdict.seed)
            },
            plan: Some(candidate.plan.clone()),
            ..recipe.clone()
        };
        let job = |seed| recipe.job(seed, Options::default(), None);
        let report = worker::run(config, verdict.seed, job)?;
        let again = Verdict::of(&report).failure;
        Ok(again.is_some_and(|again| again.is_like(failure)))
    };
    let (steps, nodes) = (start.plan.steps.len(), start.nodes);
    let Shrunk {
        smallest,
        runs,
        is_minimal,
    } = shrink(start, VirtualTime::from_nanos(failure.at_ns), limit, fails)?;
    let how = match is_minimal {
        true => "nothing smaller fails",
        false => "the limit ended it: --shrink=RUNS raises it",
    };
    let text = format!(
        "shrunk: {steps} steps to {}, {nodes} nodes to {}, in {runs} runs; {how}\n",
        smallest.plan.steps.len(),
        smallest.nodes
    );
    let value = serde_json::json!({
        "type": "shrunk",
        "seed": verdict.seed.get(),
        "steps": smallest.plan.steps.len(),
        "steps_before": steps,
        "nodes": smallest.nodes,
        "nodes_before": nodes,
        "runs": runs,
        "is_minimal": is_minimal,
        "plan": smallest.plan.to_text(),
    });
    output.put(&text, &value)?;
    Ok(smallest)
}
