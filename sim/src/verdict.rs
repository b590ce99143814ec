//! What became of a seed: a line, a story, a JSON object and an exit code.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::draw::Seed;
use crate::oracle::Class;
use crate::run::Outcome;
use crate::time::VirtualTime;
use crate::trace::{Ladder, RunHash};
use crate::worker::{Backtrace, WorkerOutcome, WorkerReport};
use crate::world::NodeIndex;

/// What a run says of itself when it ends: the result of its worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The hash of the whole run.
    pub hash: RunHash,
    /// Where its events are compared.
    pub ladder: Ladder,
    /// When it ended, in virtual nanoseconds.
    pub virtual_ns: u64,
    /// Faults of its plan.
    pub faults: usize,
    /// How often each marked place was reached.
    pub sites: BTreeMap<String, u64>,
    /// Figures of the run, by name: how many commits, how many epochs.
    pub figures: Vec<(String, u64)>,
    /// What broke, if anything did.
    pub failure: Option<Failure>,
    /// Who objected, in a run that an oracle has to object to.
    pub objection: Option<String>,
    /// Why its trace could not be written, if it could not.
    pub trace_error: Option<String>,
}

/// What broke in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of promise.
    pub class: Class,
    /// Who objects.
    pub oracle: String,
    /// At which node, if it is one's fault.
    pub node: Option<NodeIndex>,
    /// When, in virtual nanoseconds.
    pub at_ns: u64,
    /// The event that shows it.
    pub event: Option<u64>,
    /// What was promised and what was seen.
    pub what: String,
    /// What led to it, as lines.
    pub story: Vec<String>,
    /// Where in the source, if it broke there.
    pub place: Option<String>,
    /// The way to that place, innermost first.
    pub backtrace: Vec<String>,
}

/// What became of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The seed.
    pub seed: Seed,
    /// How long it took.
    pub wall: Duration,
    /// How many events there were.
    pub events: u64,
    /// How far virtual time came.
    pub virtual_ns: u64,
    /// What the run said, unless it did not return.
    pub hash: Option<RunHash>,
    /// Faults of its plan, if the run returned.
    pub faults: usize,
    /// How often each marked place was reached.
    pub sites: BTreeMap<String, u64>,
    /// Figures of the run, by name.
    pub figures: Vec<(String, u64)>,
    /// What broke, if anything did.
    pub failure: Option<Failure>,
    /// Who objected, in a run that an oracle has to object to.
    pub objection: Option<String>,
    /// Why the trace could not be written, if it could not.
    pub trace_error: Option<String>,
    /// The command that shows it again.
    pub repro: String,
    /// Files that show it.
    pub files: Vec<String>,
}

/// Frames of a backtrace that are shown.
const FRAMES: usize = 20;

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        let slice = outcome.slice;
        Self {
            hash: outcome.summary.run_hash,
            ladder: outcome.ladder,
            virtual_ns: outcome.ended.as_nanos(),
            faults: outcome.faults,
            sites: outcome
                .sites
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            figures: outcome
                .figures
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            failure: outcome.violation.map(|violation| Failure {
                class: violation.class,
                oracle: violation.oracle.to_owned(),
                node: violation.node,
                at_ns: violation.at.as_nanos(),
                event: violation.seq,
                what: violation.what,
                story: slice.lines().map(str::to_owned).collect(),
                place: None,
                backtrace: Vec::new(),
            }),
            objection: None,
            trace_error: outcome.trace_error,
        }
    }
}

impl Ending {
    /// The ending of a run that an oracle has to object to: it fails if none does.
    #[must_use]
    pub fn must_fail(mut self) -> Self {
        let is_objection =
            |failure: &Failure| matches!(failure.class, Class::Safety | Class::Liveness | Class::Invariant);
        match self.failure.take() {
            Some(failure) if is_objection(&failure) => {
                self.objection = Some(format!("{}/{}", failure.class.name(), failure.oracle));
            }
            Some(failure) => self.failure = Some(failure),
            None => {
                self.failure = Some(Failure {
                    class: Class::Invariant,
                    oracle: "must_fail".to_owned(),
                    node: None,
                    at_ns: self.virtual_ns,
                    event: None,
                    what: "no oracle objected to a run that one has to object to".to_owned(),
                    story: Vec::new(),
                    place: None,
                    backtrace: Vec::new(),
                });
            }
        }
        self
    }

    /// As a worker's result.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and lists have a JSON form")
    }

    /// What a worker's run said, if it returned.
    pub fn of(report: &WorkerReport) -> Option<Self> {
        match &report.outcome {
            WorkerOutcome::Finished { result } => serde_json::from_slice(result).ok(),
            _ => None,
        }
    }
}

impl Failure {
    /// How a worker broke that did not return.
    fn of(report: &WorkerReport) -> Self {
        let (class, oracle) = match &report.outcome {
            WorkerOutcome::Panicked { .. } | WorkerOutcome::Killed { .. } => (Class::Panic, "process"),
            WorkerOutcome::Hang { .. } => (Class::Hang, "watchdog"),
            WorkerOutcome::Tripped { .. } => (Class::Tripwire, "guard"),
            WorkerOutcome::Exited { .. } | WorkerOutcome::Finished { .. } => (Class::Harness, "worker"),
        };
        let backtrace = report.outcome.backtrace();
        let frames = backtrace.map(Backtrace::relevant).unwrap_or_default();
        Self {
            class,
            oracle: oracle.to_owned(),
            node: None,
            at_ns: report.beat.now,
            event: None,
            what: report.outcome.to_string(),
            story: Vec::new(),
            place: backtrace
                .and_then(Backtrace::culprit)
                .map(|place| place.to_string()),
            backtrace: frames.iter().take(FRAMES).map(ToString::to_string).collect(),
        }
    }

    /// Whether `other` is the same failure, perhaps at another time.
    pub fn is_like(&self, other: &Self) -> bool {
        let key = |failure: &Self| (failure.class, failure.oracle.clone(), failure.place.clone());
        key(self) == key(other)
    }
}

impl Verdict {
    /// What became of the seed of `report`.
    pub fn of(report: &WorkerReport) -> Self {
        let verdict = Self {
            seed: report.assignment.seed,
            wall: report.wall,
            events: report.beat.events,
            virtual_ns: report.beat.now,
            hash: None,
            faults: 0,
            sites: BTreeMap::new(),
            figures: Vec::new(),
            failure: None,
            objection: None,
            trace_error: None,
            repro: String::new(),
            files: Vec::new(),
        };
        match Ending::of(report) {
            Some(ending) => Self {
                events: ending.ladder.events,
                virtual_ns: ending.virtual_ns,
                hash: Some(ending.hash),
                faults: ending.faults,
                sites: ending.sites,
                figures: ending.figures,
                failure: ending.failure,
                objection: ending.objection,
                trace_error: ending.trace_error,
                ..verdict
            },
            None => Self {
                failure: Some(Failure::of(report)),
                ..verdict
            },
        }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        self.failure
            .as_ref()
            .map_or(0, |failure| failure.class.exit_code())
    }

    /// The verdict line.
    pub fn line(&self) -> String {
        let figures = self.figures();
        let Some(failure) = &self.failure else {
            return format!("PASS seed={} {figures}", self.seed);
        };
        let mut line = format!(
            "FAIL seed={} class={} oracle={}",
            self.seed,
            failure.class.name(),
            failure.oracle
        );
        if let Some(node) = failure.node {
            line += &format!(" node=n{node}");
        }
        line += &format!(" at={}", VirtualTime::from_nanos(failure.at_ns));
        if let Some(event) = failure.event {
            line += &format!(" event={event}");
        }
        line + &format!(" {figures} what=\"{}\"", failure.what.escape_debug())
    }

    fn figures(&self) -> String {
        let hash = self.hash.map_or("-".to_owned(), |hash| hash.to_string());
        let objection = self.objection.as_ref();
        let objection = objection.map_or(String::new(), |objection| format!(" objection={objection}"));
        format!(
            "hash={hash} events={} {}{} faults={}{objection}",
            self.events,
            speed(self.virtual_ns, self.wall),
            words(&self.figures),
            self.faults
        )
    }

    /// What a person needs to know of a failure, before its line; empty if there is none.
    pub fn story(&self) -> String {
        let mut lines = Vec::new();
        if let Some(error) = &self.trace_error {
            lines.push(format!("warning: {error}"));
        }
        if let Some(failure) = &self.failure {
            for (title, part) in [
                ("what led to it", &failure.story),
                ("backtrace", &failure.backtrace),
            ] {
                if !part.is_empty() {
                    lines.push(format!("{title}:"));
                    lines.extend(part.iter().map(|line| format!("  {line}")));
                }
            }
            if let Some(place) = &failure.place {
                lines.push(format!("place: {place}"));
            }
        }
        lines.extend(self.files.iter().map(|file| format!("wrote: {file}")));
        if self.failure.is_some() {
            lines.push(format!("repro: {}", self.repro));
        }
        lines.into_iter().map(|line| line + "\n").collect()
    }

    /// All of it, for programs.
    pub fn json(&self) -> serde_json::Value {
        let failed = self.failure.is_some();
        let mut value = serde_json::json!({
            "type": "seed",
            "verdict": if failed { "fail" } else { "pass" },
            "seed": self.seed.get(),
            "hash": self.hash,
            "events": self.events,
            "virtual_ns": self.virtual_ns,
            "wall_ms": millis(self.wall),
            "faults": self.faults,
            "sites": self.sites,
            "figures": self.figures.iter().cloned().collect::<BTreeMap<_, _>>(),
            "files": self.files,
            "trace_error": self.trace_error,
        });
        if let Some(objection) = &self.objection {
            value["objection"] = objection.clone().into();
        }
        if let Some(failure) = &self.failure {
            value["failure"] = serde_json::json!(failure);
            value["repro"] = self.repro.clone().into();
        }
        value
    }
}

/// Figures as words of a line, each behind a space.
pub(crate) fn words<'a>(figures: impl IntoIterator<Item = &'a (String, u64)>) -> String {
    let words = figures
        .into_iter()
        .map(|(name, count)| format!(" {name}={count}"));
    words.collect()
}

/// Virtual time, wall time, and their ratio.
pub(crate) fn speed(virtual_ns: u64, wall: Duration) -> String {
    let (virtual_ms, wall_ms) = (virtual_ns / 1_000_000, millis(wall));
    format!(
        "vtime={}.{:03}s wall={wall_ms}ms speed={}x",
        virtual_ms / 1_000,
        virtual_ms % 1_000,
        virtual_ms / wall_ms.max(1)
    )
}

pub(crate) fn millis(wall: Duration) -> u64 {
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}

/// The exit code that decides, of two: the first in this order.
pub fn worse(one: u8, other: u8) -> u8 {
    const ORDER: [u8; 7] = [10, 12, 14, 19, 13, 11, 18];
    let rank = |code: u8| {
        ORDER
            .iter()
            .position(|known| *known == code)
            .unwrap_or(ORDER.len())
    };
    match (one, other) {
        (0, code) | (code, 0) => code,
        _ if rank(one) <= rank(other) => one,
        _ => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Armed;
    use crate::worker::{Assignment, Beat};

    fn report(outcome: WorkerOutcome) -> WorkerReport {
        WorkerReport {
            assignment: Assignment::from(Seed::new(7)),
            outcome,
            wall: Duration::from_millis(20),
            armed: Armed::default(),
            os_draws: 0,
            beat: Beat {
                events: 42,
                now: 1_500_000_000,
            },
        }
    }

    fn ending(failure: Option<Failure>) -> Ending {
        Ending {
            hash: RunHash::default(),
            ladder: Ladder {
                events: 99,
                ..Ladder::default()
            },
            virtual_ns: 35_000_000_000,
            faults: 3,
            sites: BTreeMap::from([("somewhere".to_owned(), 2)]),
            figures: vec![("commits".to_owned(), 40), ("epochs".to_owned(), 2)],
            failure,
            objection: None,
            trace_error: None,
        }
    }

    fn failure() -> Failure {
        Failure {
            class: Class::Safety,
            oracle: "agreement".to_owned(),
            node: Some(2),
            at_ns: 1_234_567_000,
            event: Some(17),
            what: "two \"blocks\"\nof one round".to_owned(),
            story: vec!["it began".to_owned()],
            place: None,
            backtrace: Vec::new(),
        }
    }

    #[test]
    fn a_pass_is_one_line() {
        let result = ending(None).encode();
        let verdict = Verdict::of(&report(WorkerOutcome::Finished { result }));
        let line = "PASS seed=7 hash=00000000000000000000000000000000 events=99 vtime=35.000s wall=20ms speed=1750x \
                    commits=40 epochs=2 faults=3";
        assert_eq!(verdict.line(), line);
        assert_eq!((verdict.exit_code(), verdict.story()), (0, String::new()));
        assert_eq!(verdict.json()["verdict"], "pass");
        assert_eq!(verdict.json()["sites"]["somewhere"], 2);
        assert_eq!(verdict.json()["figures"]["commits"], 40);
    }

    #[test]
    fn a_failure_names_rule_node_time_and_event_on_one_line_after_its_story() {
        let result = ending(Some(failure())).encode();
        let mut verdict = Verdict::of(&report(WorkerOutcome::Finished { result }));
        verdict.repro = "cargo xtask sim --seed 7".to_owned();
        let line = "FAIL seed=7 class=safety oracle=agreement node=n2 at=1.234567s event=17 \
                    hash=00000000000000000000000000000000 events=99 vtime=35.000s wall=20ms speed=1750x commits=40 \
                    epochs=2 faults=3 \
                    what=\"two \\\"blocks\\\"\\nof one round\"";
        assert_eq!(verdict.line(), line);
        let story = "what led to it:\n  it began\nrepro: cargo xtask sim --seed 7\n";
        assert_eq!(verdict.story(), story);
        assert_eq!(verdict.exit_code(), 10);
        assert_eq!(verdict.json()["failure"]["class"], Class::Safety.name());
    }

    #[test]
    fn a_run_that_must_fail_passes_when_an_oracle_objects_and_fails_when_none_does() {
        let of = |ending: Ending| {
            let result = ending.must_fail().encode();
            Verdict::of(&report(WorkerOutcome::Finished { result }))
        };
        let objected = of(ending(Some(failure())));
        assert!(
            objected.line().ends_with(" faults=3 objection=safety/agreement"),
            "{}",
            objected.line()
        );
        assert_eq!(
            (objected.exit_code(), &objected.json()["objection"]),
            (0, &"safety/agreement".into())
        );
        let silent = of(ending(None));
        assert!(
            silent
                .line()
                .starts_with("FAIL seed=7 class=invariant oracle=must_fail")
        );
        let panicked = Failure {
            class: Class::Panic,
            ..failure()
        };
        assert_eq!(of(ending(Some(panicked))).exit_code(), Class::Panic.exit_code());
    }

    #[test]
    fn a_worker_that_died_fails_in_the_same_shape() {
        let table = [
            (WorkerOutcome::Exited { code: 3 }, Class::Harness, "worker"),
            (
                WorkerOutcome::Finished {
                    result: b"no ending".to_vec(),
                },
                Class::Harness,
                "worker",
            ),
            (
                WorkerOutcome::Killed {
                    signal: 9,
                    backtrace: None,
                },
                Class::Panic,
                "process",
            ),
            (
                WorkerOutcome::Hang {
                    last_heartbeat: Beat::default(),
                    backtrace: None,
                },
                Class::Hang,
                "watchdog",
            ),
        ];
        for (outcome, class, oracle) in table {
            let verdict = Verdict::of(&report(outcome));
            let start = format!(
                "FAIL seed=7 class={} oracle={oracle} at=1.500000s hash=- events=42 vtime=1.500s",
                class.name()
            );
            assert!(verdict.line().starts_with(&start), "{}", verdict.line());
            assert_eq!(verdict.exit_code(), class.exit_code());
        }
    }

    #[test]
    fn failures_are_alike_when_class_rule_and_place_are() {
        let later = Failure {
            at_ns: 9,
            node: None,
            what: "other blocks".to_owned(),
            ..failure()
        };
        assert!(failure().is_like(&later));
        let others = [
            Failure {
                class: Class::Liveness,
                ..failure()
            },
            Failure {
                oracle: "progress".to_owned(),
                ..failure()
            },
            Failure {
                place: Some("sim/src/run.rs:1".to_owned()),
                ..failure()
            },
        ];
        assert!(others.iter().all(|other| !failure().is_like(other)));
    }

    #[test]
    fn every_class_is_called_alike_in_lines_and_in_json() {
        use Class::*;
        for class in [
            Safety,
            Liveness,
            Invariant,
            Panic,
            NonDeterminism,
            Stalled,
            Mismatch,
            Hang,
            Tripwire,
            Harness,
        ] {
            assert_eq!(serde_json::json!(class), class.name());
        }
    }

    #[test]
    fn of_two_exit_codes_the_graver_one_decides() {
        let order = [10, 12, 14, 19, 13, 11, 18, 15, 0];
        for (index, one) in order.iter().enumerate() {
            for other in &order[index..] {
                assert_eq!((worse(*one, *other), worse(*other, *one)), (*one, *one));
            }
        }
    }
}
