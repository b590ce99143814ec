//! One run: a world, a plan, oracles, and what came of it.

use std::collections::BTreeMap;
use std::io::Write;

use bytes::Bytes;

use crate::draw::Seed;
use crate::kernel::Kernel;
use crate::oracle::{Class, Oracle, Violation};
use crate::plan::{Plan, PlanError};
use crate::time::VirtualTime;
use crate::trace::{Header, Kind, Ladder, Options, Record, Recorder, Summary, causal_slice, text};
use crate::world::{self, End, NodeSpec, Pulse, World, WorldConfig};

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
    /// The plan does not fit the nodes or the time.
    pub fn run<K: Kernel>(self) -> Result<Outcome, PlanError> {
        self.plan.check(self.nodes.len(), self.until)?;
        let recorder = Recorder::new(self.header, self.options, self.sink);
        let world = World::new(self.seed, self.config, self.nodes, recorder, self.pulse);
        {
            let mut state = world.lock();
            for (url, content) in self.blobs {
                state.hosts.put(&url, content);
            }
            state.oracles = self.oracles;
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
        let code = violation
            .as_ref()
            .map_or(0, |violation| u64::from(violation.class.exit_code()));
        let name = state
            .recorder
            .name(violation.as_ref().map_or("pass", |violation| violation.oracle));
        let verdict = state.note(Kind::Verdict, usize::from(Record::WORLD), name, code, 0);
        let recent = state.recorder.recent();
        let slice = match &violation {
            Some(violation) => {
                let from = violation.seq.unwrap_or(verdict);
                text(&causal_slice(&recent, from, SLICE), state.recorder.names())
            }
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
        let line = if code == 0 { "PASS" } else { "FAIL" };
        let counters = sites
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect();
        let trace_error = recorder
            .finish(line, counters)
            .err()
            .map(|error| error.to_string());
        Ok(Outcome {
            violation,
            slice,
            summary,
            ladder,
            ended: now,
            sites,
            faults: self.plan.steps.len(),
            trace_error,
        })
    }
}
