//! A recipe: what runs are made from, so that any process can make one again: the one that draws it, a worker, or
//! somebody who has nothing but the header of a trace.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::adversary::Strategies;
use crate::consensus;
use crate::draw::Seed;
use crate::kernel::{Kernel, Madsim};
use crate::load;
use crate::plan::{Plan, PlanError};
use crate::run::Simulation;
use crate::scenario::{Load, Scenario, ScenarioError};
use crate::trace::{Header, Options};
use crate::verdict::Ending;
use crate::worker::Run;

/// The signatures that runs of this build make.
pub const CRYPTO: &str = "fast";

/// Where a trace goes.
pub type Sink = Box<dyn Write + Send>;

/// A trace's file, made anew, for a run in a worker. It is closed when the worker ends: closing a file asks the host
/// for its state first, which no run may.
///
/// # Errors
/// The host's.
pub fn file_sink(path: &Path) -> io::Result<Sink> {
    let file: &File = Box::leak(Box::new(File::create(path)?));
    // Blocks are large, and what is written must not wait in a buffer: the worker may die.
    Ok(Box::new(file))
}

/// Which program makes a run. It has no part in the run's hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// Hash of the program.
    pub binary: String,
    /// Commit of its source, if known.
    pub commit: String,
}

/// What runs are made from, but for the seed.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The network, the load and the faults.
    pub scenario: Scenario,
    /// What goes wrong. `None` is what each seed draws.
    pub plan: Option<Plan>,
    /// What the header says of the program.
    pub build: Build,
    /// For tests of `--check`, `bisect` and `replay`: in a worker whose hasher keys are perturbed, the event with this
    /// number comes out different.
    pub perturb: Option<u64>,
}

/// What Byzantine nodes of a load may do.
pub fn strategies(load: Load) -> Strategies {
    match load {
        Load::Consensus => consensus::strategies(),
        Load::Rounds => load::strategies(),
    }
}

/// Why a trace's run cannot be made again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// This build does not take its scenario.
    #[error("the trace's scenario does not fit this build: {0}. Replay it with the build that made it")]
    Scenario(#[from] ScenarioError),
    /// This build does not take its plan.
    #[error("the trace's plan does not fit this build: {0}. Replay it with the build that made it")]
    Plan(#[from] PlanError),
    /// It was signed otherwise.
    #[error(
        "the trace's run made `{found}` signatures and this build makes `{CRYPTO}` ones. Replay it with a build that makes those"
    )]
    Crypto {
        /// What the header says.
        found: String,
    },
}

impl Recipe {
    /// The recipe of the run that `header` describes.
    ///
    /// # Errors
    /// [`RecipeError`], if this build cannot make the run.
    pub fn of(header: &Header, build: Build) -> Result<Self, RecipeError> {
        if header.crypto != CRYPTO {
            return Err(RecipeError::Crypto {
                found: header.crypto.clone(),
            });
        }
        let scenario = Scenario::parse("trace", &header.scenario)?;
        let plan = Plan::parse(&header.plan)?;
        plan.check(scenario.nodes, scenario.until())?;
        strategies(scenario.load).check(&plan)?;
        Ok(Self {
            scenario,
            plan: Some(plan),
            build,
            perturb: None,
        })
    }

    /// The plan of `seed`.
    pub fn plan(&self, seed: Seed) -> Plan {
        self.plan
            .clone()
            .unwrap_or_else(|| self.scenario.drawn(seed).plan(seed))
    }

    /// What a trace of `seed` says first.
    pub fn header(&self, seed: Seed) -> Header {
        Header {
            binary: self.build.binary.clone(),
            commit: self.build.commit.clone(),
            kernel: Madsim::NAME.to_owned(),
            scenario: self.scenario.drawn(seed).to_text(),
            plan: self.plan(seed).to_text(),
            seed: seed.get(),
            crypto: CRYPTO.to_owned(),
        }
    }

    /// The run of `seed`, for a worker. The result is an [`Ending`]; the trace goes to `sink`.
    ///
    /// # Panics
    /// In the worker, if the plan does not fit the scenario: check it before.
    pub fn job(
        &self,
        seed: Seed,
        options: Options,
        sink: Option<Sink>,
    ) -> impl FnOnce(&Run<'_>) -> Vec<u8> + Send + use<> {
        let recipe = self.clone();
        move |run| recipe.run(seed, options, sink, run).encode()
    }

    /// The run of `seed`, for a worker. The result is the bytes of a trace that keeps `window`.
    pub fn window(&self, seed: Seed, window: Range<u64>) -> impl FnOnce(&Run<'_>) -> Vec<u8> + Send + use<> {
        let recipe = self.clone();
        let options = Options {
            window,
            ..Options::default()
        };
        move |run| {
            let memory = Memory::default();
            recipe.run(seed, options, Some(Box::new(memory.clone())), run);
            memory.take()
        }
    }

    fn run(&self, seed: Seed, mut options: Options, sink: Option<Sink>, run: &Run<'_>) -> Ending {
        let keys_are_others = run
            .perturbation()
            .is_some_and(|perturbation| perturbation.hasher_key.is_some());
        options.perturb = self.perturb.filter(|_| keys_are_others);
        let scenario = &self.scenario.drawn(seed);
        #[cfg(feature = "planted")]
        if let Some(bug) = scenario.bug {
            ::consensus::planted::plant(bug);
        }
        let (nodes, blobs, oracles) = match scenario.load {
            Load::Consensus => (
                consensus::build(seed, scenario),
                Vec::new(),
                consensus::oracles(seed, scenario, &self.plan(seed)),
            ),
            Load::Rounds => {
                let (nodes, blobs) = load::build(seed, scenario.nodes, scenario.pause(), scenario.payload);
                (nodes, blobs, load::oracles(scenario.nodes))
            }
        };
        let heartbeat = run.heartbeat();
        let simulation = Simulation {
            seed,
            config: scenario.world(seed),
            nodes,
            blobs,
            stakes: scenario.stakes(seed),
            strategies: strategies(scenario.load),
            plan: self.plan(seed),
            until: scenario.until(),
            oracles,
            header: self.header(seed),
            options,
            sink,
            pulse: Box::new(move |events, now| heartbeat.beat(events, now)),
        };
        let outcome = simulation.run::<Madsim>();
        let ending = Ending::from(outcome.expect("the parent has checked the plan"));
        if scenario.must_fail {
            ending.must_fail()
        } else {
            ending
        }
    }
}

/// A trace that a worker hands back instead of writing it to a file.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            scenario: Scenario::built_in("swarm").unwrap(),
            plan: None,
            build: Build::default(),
            perturb: None,
        }
    }

    #[test]
    fn a_header_is_enough_to_make_the_run_again() {
        let seed = Seed::new(5);
        let header = recipe().header(seed);
        let again = Recipe::of(&header, Build::default()).unwrap();
        assert_eq!(again.scenario, recipe().scenario.drawn(seed));
        assert_eq!(again.plan, Some(recipe().plan(seed)));
        assert_eq!(again.header(seed), header);
    }

    #[test]
    fn a_header_that_this_build_cannot_run_is_refused() {
        let header = recipe().header(Seed::new(5));
        let refused = |change: fn(&mut Header)| {
            let mut header = header.clone();
            change(&mut header);
            Recipe::of(&header, Build::default()).unwrap_err()
        };
        let crypto = refused(|header| header.crypto = "real".to_owned());
        assert!(matches!(crypto, RecipeError::Crypto { found } if found == "real"));
        let scenario = refused(|header| header.scenario = "nodes = 0".to_owned());
        assert!(matches!(scenario, RecipeError::Scenario(_)));
        let syntax = refused(|header| header.plan = "steps = 3".to_owned());
        assert!(matches!(syntax, RecipeError::Plan(PlanError::Syntax(_))));
        let plan = "[[steps]]\nat_us = 1\naction = { pause = { node = 9 } }";
        let mut header = header;
        header.plan = plan.to_owned();
        let node = Recipe::of(&header, Build::default()).unwrap_err();
        assert!(matches!(
            node,
            RecipeError::Plan(PlanError::NoSuchNode { node: 9, .. })
        ));
    }
}
