//! Two runs side by side: `diff` by what their traces keep, `bisect` by running them again.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde_json::json;
use sim::Seed;
use sim::oracle::Class;
use sim::recipe::{Build, Recipe};
use sim::trace::{Comparison, Difference, Entry, Header, Ladder, Options, Record, Which, diff, locate};
use sim::verdict::Ending;
use sim::worker::{self, Assignment, Perturbation, WorkerConfig};

use super::arguments::{BisectArguments, Format, TestArguments};
use super::files::{open, recipe_of};
use super::localise::{self, AnyTrace, CONTEXT};
use super::output::Output;
use super::{Refusal, runner, setup};

/// What a comparison came to, for [`answer`].
pub enum Answer {
    /// Equal, and of how many events that is known.
    Equal { events: u64, note: Option<String> },
    /// Different, and at which event.
    At(Box<Difference>),
    /// Different, somewhere in a range, and why no more is known.
    Within(Range<u64>, String),
}

/// Prints what came of comparing the runs that are called `names`; `key` is what the last
/// line says first.
pub fn answer(output: &mut Output, found: &Answer, names: [&str; 2], key: &str) -> Result<u8> {
    let (mut lines, line, mut value) = match found {
        Answer::Equal { events, note } => {
            let lines: Vec<String> = note.iter().cloned().collect();
            let value = json!({ "verdict": "equal", "events": events });
            (lines, format!("EQUAL {key}events={events}"), value)
        }
        Answer::At(first) => {
            let entry = first.left.entry.or(first.right.entry);
            let mut line = format!("DIFFERENT {key}event={}", first.seq);
            let mut value = json!({ "verdict": "different", "event": first.seq });
            if let Some(Entry { record, .. }) = entry {
                let (seconds, nanos) = (record.time / 1_000_000_000, record.time % 1_000_000_000);
                line += &format!(" at={seconds}.{nanos:09}s");
                value["at_ns"] = record.time.into();
                if record.node != Record::WORLD {
                    line += &format!(" node=n{}", record.node);
                    value["node"] = record.node.into();
                }
            }
            (localise::lines(first, names), line, value)
        }
        Answer::Within(range, why) => {
            let line = format!("DIFFERENT {key}events={}..{}", range.start, range.end);
            let value = json!({ "verdict": "different", "from": range.start, "to": range.end });
            (vec![why.clone()], line, value)
        }
    };
    value["type"] = "comparison".into();
    value["text"] = lines.clone().into();
    lines.push(line);
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    output.put(&text, &value)?;
    Ok(match found {
        Answer::Equal { .. } => 0,
        _ => Class::Mismatch.exit_code(),
    })
}

/// What is said of runs whose events are equal and whose hashes are not.
pub const OTHER_HEADERS: &str = "every event is equal; the run hashes are not, for the headers differ";

/// Compares two files.
pub fn compare(left: &Path, right: &Path, format: Format) -> Result<u8> {
    let (mut one, mut other) = (open(left)?, open(right)?);
    let mut output = Output::new(format);
    tell_runs_apart(&mut output, one.header(), other.header());
    let found = match diff(&mut one, &mut other, CONTEXT)? {
        Comparison::Equal => {
            let hashes = [&one, &other].map(|trace| trace.footer().map(|footer| footer.summary.run_hash));
            Answer::Equal {
                events: one.footer().map_or(0, |footer| footer.summary.events),
                note: (hashes[0] != hashes[1]).then(|| OTHER_HEADERS.to_owned()),
            }
        }
        Comparison::At(first) => Answer::At(first),
        Comparison::Cut { compared: 0, .. } => {
            let [left, right] = [left, right].map(|path| path.display());
            return Err(Refusal(format!(
                "{left} and {right} have no event in common, one of them was cut short: there is nothing to compare"
            ))
            .into());
        }
        Comparison::Cut { until, .. } => Answer::Equal {
            events: until,
            note: Some(
                "equal as far as both files go: one was cut short, and what came later is not known"
                    .to_owned(),
            ),
        },
        Comparison::NotKept(range) => {
            let [left, right] = [left, right].map(|path| setup::quoted(&path.display().to_string()));
            let why = format!(
                "the files do not keep the first different event; `cargo xtask bisect {left} {right}` runs both again \
                 and names it"
            );
            Answer::Within(range, why)
        }
    };
    answer(&mut output, &found, ["left", "right"], "")
}

/// Says in what the runs differ that two headers describe.
fn tell_runs_apart(output: &mut Output, left: &Header, right: &Header) {
    let pairs = [
        ("seeds", left.seed.to_string(), right.seed.to_string()),
        ("kernels", left.kernel.clone(), right.kernel.clone()),
        ("signatures", left.crypto.clone(), right.crypto.clone()),
        ("commits", left.commit.clone(), right.commit.clone()),
        ("programs", left.binary.clone(), right.binary.clone()),
    ];
    for (what, one, other) in pairs {
        if one != other {
            output.note(&format!(
                "note: the traces are of different {what}: {one} and {other}"
            ));
        }
    }
    for (what, same) in [
        ("scenarios", left.scenario == right.scenario),
        ("plans", left.plan == right.plan),
    ] {
        if !same {
            output.note(&format!("note: the traces are of different {what}"));
        }
    }
}

/// One of two runs that are compared, and how it is made again.
pub struct Side {
    file: Option<PathBuf>,
    ladder: Ladder,
    recipe: Recipe,
    assignment: Assignment,
}

impl Side {
    /// The run that the trace at `path` records.
    fn of_file(path: &Path, build: &Build, perturbation: Option<Perturbation>) -> Result<Self> {
        let trace = open(path)?;
        let Some(ladder) = trace.ladder().cloned() else {
            let path = path.display();
            return Err(Refusal(format!(
                "{path} was cut short and has no ladder: `diff` compares what it keeps"
            ))
            .into());
        };
        Ok(Self {
            file: Some(path.to_owned()),
            ladder,
            recipe: recipe_of(path, trace.header(), build)?,
            assignment: Assignment {
                seed: Seed::new(trace.header().seed),
                perturbation,
            },
        })
    }

    /// A trace of `window`: its file, or its run again. `reruns` counts the latter.
    fn keep(&self, config: &WorkerConfig, window: &Range<u64>, reruns: &mut u32) -> Result<AnyTrace> {
        if let Some(path) = &self.file {
            let trace = open(path)?;
            if trace.has_all(window) {
                return Ok(trace);
            }
        }
        *reruns += 1;
        let trace = localise::window(&self.recipe, config, &self.assignment, window)?;
        if trace.ladder() != Some(&self.ladder) {
            let name = match &self.file {
                Some(path) => path.display().to_string(),
                None => format!("seed {}", self.assignment.seed),
            };
            bail!(
                "{name} does not come out the same when it runs again: use the program that made it, or record it with \
                 --trace L2"
            );
        }
        Ok(trace)
    }
}

/// Finds the first different event of two runs.
pub fn bisect(arguments: &BisectArguments) -> Result<u8> {
    let config = setup::workers(Some(1), false)?;
    let mut output = Output::new(arguments.format.format);
    let TestArguments { perturb_event } = arguments.test;
    let sides = match (&arguments.left, &arguments.right, arguments.seed) {
        (Some(left), Some(right), _) => {
            setup::refuse_what(&arguments.what)?;
            let build = setup::this_build()?;
            tell_runs_apart(&mut output, open(left)?.header(), open(right)?.header());
            let others = perturb_event.map(|_| runner::only_other_keys());
            let mut sides = [
                Side::of_file(left, &build, None)?,
                Side::of_file(right, &build, others)?,
            ];
            sides[1].recipe.perturb = perturb_event;
            sides
        }
        (_, _, Some(seed)) => {
            let recipe = Recipe {
                perturb: perturb_event,
                ..setup::recipe(&arguments.what, Build::default())?
            };
            let side = |perturbation| of_seed(&recipe, &config, Seed::new(seed), perturbation);
            [side(None)?, side(Some(Perturbation::draw(seed)))?]
        }
        _ => return Err(Refusal("name two traces, or a seed".to_owned()).into()),
    };
    let names = match arguments.seed {
        Some(_) => ["plain", "perturbed"],
        None => ["left", "right"],
    };
    compare_sides(&mut output, &config, &sides, names)
}

/// The run of a seed.
pub fn of_seed(
    recipe: &Recipe,
    config: &WorkerConfig,
    seed: Seed,
    perturbation: Option<Perturbation>,
) -> Result<Side> {
    let assignment = Assignment { seed, perturbation };
    let job = |seed| recipe.job(seed, Options::default(), None);
    let report = worker::run(config, assignment.clone(), job)?;
    let Some(ending) = Ending::of(&report) else {
        bail!("seed {seed} did not come to its end: {}", report.outcome);
    };
    Ok(Side {
        file: None,
        ladder: ending.ladder,
        recipe: recipe.clone(),
        assignment,
    })
}

/// Finds the first different event of two runs, and says what came of it.
pub fn compare_sides(
    output: &mut Output,
    config: &WorkerConfig,
    sides: &[Side; 2],
    names: [&str; 2],
) -> Result<u8> {
    let mut reruns = 0;
    let found = locate(&sides[0].ladder, &sides[1].ladder, CONTEXT, |which, window| {
        let side = match which {
            Which::Left => &sides[0],
            Which::Right => &sides[1],
        };
        side.keep(config, &window, &mut reruns)
    })?;
    let found = match found {
        None => Answer::Equal {
            events: sides[0].ladder.events,
            note: None,
        },
        Some((_, Comparison::At(first))) => Answer::At(first),
        Some((range, _)) => {
            let why = "the traces do not keep all that differs: record them with --trace L3".to_owned();
            Answer::Within(range, why)
        }
    };
    let key = format!(
        "runs={},{} reruns={reruns} ",
        sides[0].ladder.events, sides[1].ladder.events
    );
    answer(output, &found, names, &key)
}
