//! One run: a world, a plan, oracles, and what came of it.

use std::collections::BTreeMap;
use std::io::Write;

use bytes::Bytes;

use crate::adversary::Strategies;
use crate::budget;
use crate::draw::Seed;
use crate::kernel::Kernel;
use crate::network::Tap;
use crate::oracle::{Class, Fact, Oracle, Violation};
use crate::plan::{Plan, PlanError};
use crate::time::VirtualTime;
use crate::trace::{Header, Kind, Ladder, Options, Record, Recorder, Summary, causal_slice, text};
use crate::world::{self, End, NodeIndex, NodeSpec, Pulse, World, WorldConfig};

/// Everything that a run is made from.
pub struct Simulation {
    /// The seed.
    pub seed: Seed,
    /// How nodes are built and scheduled.
    pub config: WorldConfig,
    /// The nodes.
    pub nodes: Vec<NodeSpec>,
    /// Blobs by URL.
    pub blobs: Vec<(String, Bytes)>,
    /// The stake of each node.
    pub stakes: Vec<u64>,
    /// What Byzantine nodes may do.
    pub strategies: Strategies,
    /// What goes wrong.
    pub plan: Plan,
    /// When the run ends.
    pub until: VirtualTime,
    /// Who watches.
    pub oracles: Vec<Box<dyn Oracle>>,
    /// What the trace says of the run.
    pub header: Header,
    /// What the trace keeps.
    pub options: Options,
    /// Where the trace goes.
    pub sink: Option<Box<dyn Write + Send>>,
    /// Called whenever a node gets a turn.
    pub pulse: Pulse,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What broke, if anything did.
    pub violation: Option<Violation>,
    /// The last events that led to it, for a terminal.
    pub slice: String,
    /// The hashes.
    pub summary: Summary,
    /// The prefix ladder.
    pub ladder: Ladder,
    /// When the run ended.
    pub ended: VirtualTime,
    /// How often each marked place was reached.
    pub sites: BTreeMap<&'static str, u64>,
    /// Figures of the run, by name, as its oracles count them.
    pub figures: Vec<(&'static str, u64)>,
    /// Steps of the plan.
    pub faults: usize,
    /// Why the trace file could not be written, if it could not.
    pub trace_error: Option<String>,
}

/// Events of a causal slice in a report.
const SLICE: usize = 20;

impl Simulation {
    /// Runs to the end on kernel `K`.
    ///
    /// # Errors
    /// The plan does not fit the nodes, the time or the strategies.
    pub fn run<K: Kernel>(self) -> Result<Outcome, PlanError> {
        self.run_tapped::<K>(None)
    }

    /// As [`run`](Self::run), with somebody who hears what is sent.
    ///
    /// # Errors
    /// As there.
    pub fn run_tapped<K: Kernel>(self, tap: Option<Box<dyn Tap>>) -> Result<Outcome, PlanError> {
        self.plan.check(self.nodes.len(), self.until)?;
        self.strategies.check(&self.plan)?;
        let recorder = Recorder::new(self.header, self.options, self.sink);
        let world = World::new(self.seed, self.config, self.nodes, recorder, self.pulse);
        {
            let mut state = world.lock();
            for (url, content) in self.blobs {
                state.hosts.put(&url, content);
            }
            state.strategies = self.strategies;
            state.oracles = self.oracles;
            state.tap = tap;
            let zone = budget::zone(&self.plan, &self.stakes);
            state.stakes = self.stakes;
            state.tell(&Fact::Owed { zone });
        }
        let end = world::run::<K>(&world, &self.plan, self.until);
        let mut state = world.lock();
        let now = state.now;
        let mut violation = match end {
            End::Violation(violation) => Some(violation),
            End::Time => None,
            End::Stalled => Some(Violation {
                class: Class::Stalled,
                oracle: "pump",
                node: None,
                at: now,
                seq: None,
                what: "no task is ready and nothing is going to happen".to_owned(),
            }),
        };
        let mut oracles = std::mem::take(&mut state.oracles);
        for oracle in &mut oracles {
            if violation.is_none() {
                violation = oracle.finish(now).err();
            }
        }
        let figures = oracles.iter().flat_map(|oracle| oracle.figures()).collect();
        let code = violation
            .as_ref()
            .map_or(0, |violation| u64::from(violation.class.exit_code()));
        let name = state
            .recorder
            .name(violation.as_ref().map_or("pass", |violation| violation.oracle));
        // What the verdict is about caused it, so its causes are the story of the failure. Where nothing happened that
        // should have, it is what the node did last.
        let recent = state.recorder.recent();
        let last_of = |node: NodeIndex| {
            let own = recent
                .iter()
                .rfind(|entry| usize::from(entry.record.node) == node);
            own.map(|entry| entry.seq)
        };
        state.cause = violation
            .as_ref()
            .and_then(|violation| violation.seq.or_else(|| violation.node.and_then(last_of)));
        let verdict = state.note(Kind::Verdict, usize::from(Record::WORLD), name, code, 0);
        let recent = state.recorder.recent();
        let slice = match &violation {
            Some(_) => text(&causal_slice(&recent, verdict, SLICE), state.recorder.names()),
            None => String::new(),
        };
        let (summary, ladder) = (state.recorder.summary(), state.recorder.ladder());
        let sites = std::mem::take(&mut state.sites);
        let empty = Recorder::new(
            Header::default(),
            Options {
                ring: 1,
                ..Options::default()
            },
            None,
        );
        let recorder = std::mem::replace(&mut state.recorder, empty);
        let line = match &violation {
            None => "PASS".to_owned(),
            Some(Violation {
                class, oracle, what, ..
            }) => format!("FAIL {} {oracle}: {what}", class.name()),
        };
        let counters = sites
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect();
        let trace_error = recorder
            .finish(&line, counters)
            .err()
            .map(|error| error.to_string());
        Ok(Outcome {
            violation,
            slice,
            summary,
            ladder,
            ended: now,
            sites,
            figures,
            faults: self.plan.steps.iter().filter(|step| !step.action.heals()).count(),
            trace_error,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::time::Duration;

    use env::{Clock, Env};

    use super::*;
    use crate::handle::SimEnv;
    use crate::kernel::Plain;
    use crate::load;
    use crate::plan::{Action, Step};
    use crate::scenario::Scenario;

    /// Objects to the first block of another member that node 0 sees after the third round.
    struct SeesNothing;

    impl Oracle for SeesNothing {
        fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
            match fact {
                Fact::Said {
                    node: 0,
                    at,
                    event,
                    seq,
                } if event.kind == "block_seen" && event.a > 3 && event.b == 1 => Err(Violation {
                    class: Class::Safety,
                    oracle: "sees_nothing",
                    node: Some(0),
                    at: *at,
                    seq: Some(*seq),
                    what: "a block was seen".to_owned(),
                }),
                _ => Ok(()),
            }
        }

        fn finish(&mut self, _: VirtualTime) -> Result<(), Violation> {
            Ok(())
        }
    }

    /// Panics at the first block that is seen, in whatever state the world is.
    struct Panics;

    impl Oracle for Panics {
        fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
            let is_seen = matches!(fact, Fact::Said { event, .. } if event.kind == "block_seen");
            assert!(!is_seen, "no block is seen");
            Ok(())
        }

        fn finish(&mut self, _: VirtualTime) -> Result<(), Violation> {
            Ok(())
        }
    }

    fn simulation(oracle: impl Oracle + 'static) -> Simulation {
        let scenario = Scenario {
            nodes: 2,
            faults: Vec::new(),
            ..Scenario::default()
        };
        let seed = Seed::new(4);
        let (nodes, blobs) = load::build(seed, scenario.nodes, scenario.pause(), scenario.payload);
        Simulation {
            seed,
            config: scenario.world(seed),
            nodes,
            blobs,
            stakes: scenario.stakes(seed),
            strategies: Strategies::default(),
            plan: scenario.plan(seed),
            until: scenario.until(),
            oracles: vec![Box::new(oracle)],
            header: Header::default(),
            options: Options::default(),
            sink: None,
            pulse: Box::new(|_, _| ()),
        }
    }

    #[test]
    fn a_panic_is_not_hidden_by_the_destructors_that_it_runs() {
        let run = std::panic::AssertUnwindSafe(|| simulation(Panics).run::<Plain>());
        let panic = std::panic::catch_unwind(run).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"no block is seen"));
    }

    /// How a world ended in which every node does nothing but wait, to which nothing happens but a step at one second.
    fn waiting(wait: fn(SimEnv) -> Pin<Box<dyn Future<Output = ()> + Send>>) -> (Option<Class>, VirtualTime) {
        let mut simulation = simulation(SeesNothing);
        for node in &mut simulation.nodes {
            node.program = Arc::new(wait);
        }
        let action = Action::ClockStep { node: 0, ms: 1 };
        simulation.plan.steps = vec![Step::new(1_000, action)];
        simulation.until = VirtualTime::from_millis(5_000);
        let outcome = simulation.run::<Plain>().unwrap();
        (outcome.violation.map(|violation| violation.class), outcome.ended)
    }

    #[test]
    fn a_world_to_which_nothing_more_can_happen_has_stalled() {
        let for_ever = waiting(|_| Box::pin(std::future::pending()));
        assert_eq!(for_ever, (Some(Class::Stalled), VirtualTime::from_millis(1_000)));
        let longer = waiting(|env| Box::pin(async move { env.clock().sleep(Duration::from_secs(9)).await }));
        assert_eq!(longer, (None, VirtualTime::from_millis(5_000)));
    }

    #[test]
    fn the_story_of_a_failure_goes_back_through_messages_polls_and_timers() {
        let outcome = simulation(SeesNothing).run::<Plain>().unwrap();
        assert_eq!(outcome.violation.unwrap().oracle, "sees_nothing");
        let lines: Vec<Vec<&str>> = outcome
            .slice
            .lines()
            .map(|line| line.split_whitespace().skip(2).take(3).collect())
            .collect();
        let end = [
            ["n0", "event", "block_seen"],
            ["world", "verdict", "sees_nothing"],
        ];
        assert!(lines.ends_with(&end.map(Vec::from)), "{}", outcome.slice);
        let message = [["n1", "send", "to=0"], ["n0", "deliver", "from=1"]].map(Vec::from);
        assert!(lines.windows(2).any(|pair| pair == message), "{}", outcome.slice);
        assert!(lines.len() > 10, "{}", outcome.slice);
    }
}
