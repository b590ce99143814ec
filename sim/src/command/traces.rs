//! What is done with trace files: replay, diff, bisect, view, export.
// tidy: allow std-env in this file: a replay of a trace that was cut short writes to the host's folder for such files

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use sim::Seed;
use sim::kernel::{Kernel as _, Madsim};
use sim::oracle::Class;
use sim::recipe::{Build, Recipe, file_sink};
use sim::trace::{
    Comparison, Difference, Entry, Header, Ladder, Level, Options, Record, Trace, Which, diff,
    first_divergence, locate, ndjson, perfetto, text, view,
};
use sim::verdict::{Ending, Verdict};
use sim::worker::{self, Assignment, Perturbation, WorkerConfig};

use super::arguments::{BisectArguments, ExportArguments, Format, ReplayArguments, TestArguments};
use super::localise::{self, AnyTrace, CONTEXT, Source};
use super::output::Output;
use super::{Refusal, runner, setup};

/// Opens a trace that the command line names.
fn open(path: &Path) -> Result<AnyTrace> {
    let refused = |error: &dyn std::fmt::Display| Refusal(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(|error| refused(&error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(refused(&"this is a folder; name a .simtrace file in it").into());
    }
    let trace = Trace::open(Box::new(file) as Box<dyn Source>);
    Ok(trace.map_err(|error| refused(&error))?)
}

/// Writes the page of the trace at `path`.
pub fn write_page(path: &Path, page: &Path) -> Result<()> {
    let mut trace = open(path)?;
    let text = view(&mut trace).with_context(|| path.display().to_string())?;
    std::fs::write(page, text).with_context(|| format!("{} cannot be written", page.display()))
}

/// Makes a page.
pub fn make_page(path: &Path, page: &Path) -> Result<u8> {
    if path == page {
        return Err(
            Refusal("the page would replace the trace: name another file after -o".to_owned()).into(),
        );
    }
    let trace = open(path)?;
    if trace.blocks().is_empty() {
        eprintln!(
            "note: the trace keeps no events, so the page shows its header; record with --trace L1 or more"
        );
    }
    drop(trace);
    drop(setup::create(page)?);
    write_page(path, page)?;
    Ok(0)
}

/// Writes a trace for other tools.
pub fn export(arguments: &ExportArguments) -> Result<u8> {
    let mut trace = open(&arguments.trace)?;
    if arguments.out.as_ref() == Some(&arguments.trace) {
        return Err(
            Refusal("the export would replace the trace: name another file after -o".to_owned()).into(),
        );
    }
    let mut out: BufWriter<Box<dyn Write>> = BufWriter::new(match &arguments.out {
        Some(path) => Box::new(setup::create(path)?),
        None => Box::new(io::stdout().lock()),
    });
    if arguments.ndjson {
        ndjson(&mut trace, &mut out)?;
    } else {
        perfetto(&mut trace, &mut out)?;
    }
    out.flush()?;
    Ok(0)
}

/// What a comparison came to, for [`answer`].
enum Answer {
    /// Equal, and of how many events that is known.
    Equal { events: u64, note: Option<String> },
    /// Different, and at which event.
    At(Box<Difference>),
    /// Different, somewhere in a range, and why no more is known.
    Within(Range<u64>, String),
}

/// Prints what came of comparing the runs that are called `names`; `key` is what the last
/// line says first.
fn answer(output: &mut Output, found: &Answer, names: [&str; 2], key: &str) -> Result<u8> {
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

/// Compares two files.
pub fn compare(left: &Path, right: &Path, format: Format) -> Result<u8> {
    let (mut one, mut other) = (open(left)?, open(right)?);
    let mut output = Output::new(format);
    tell_runs_apart(&mut output, one.header(), other.header());
    let ends = [&one, &other].map(|trace| trace.footer().map(|footer| footer.summary.events));
    let kept = [&one, &other].map(kept_until);
    let found = match diff(&mut one, &mut other, CONTEXT)? {
        Comparison::Equal => Answer::Equal {
            events: ends[0].unwrap_or_default(),
            note: None,
        },
        Comparison::At(first) => Answer::At(first),
        // Only what both files keep was compared, and that is equal.
        Comparison::NotKept(range) if ends.contains(&None) => Answer::Equal {
            events: range.start.min(kept[0]).min(kept[1]),
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

/// One past the last event that a file keeps.
fn kept_until(trace: &AnyTrace) -> u64 {
    let last = trace.blocks().last();
    last.map_or(0, |block| block.first_seq + u64::from(block.events))
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

/// Says in what the program that made a trace differs from this one.
fn tell_build(output: &mut Output, header: &Header, build: &Build) {
    if header.kernel != Madsim::NAME {
        output.note(&format!(
            "note: the trace was made on kernel `{}`, this is `{}`: events can be equal, run hashes cannot",
            header.kernel,
            Madsim::NAME
        ));
    }
    if header.binary != build.binary {
        let made = match header.commit.as_str() {
            "" => header.binary.clone(),
            commit => format!("{} of commit {commit}", header.binary),
        };
        output.note(&format!(
            "note: the trace was made by program {made}, this is {}: a difference can be a change of the code",
            build.binary
        ));
    }
}

/// One of two runs that are compared, and how it is made again.
struct Side {
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

fn recipe_of(path: &Path, header: &Header, build: &Build) -> Result<Recipe> {
    let recipe = Recipe::of(header, build.clone());
    Ok(recipe.map_err(|error| Refusal(format!("{}: {error}", path.display())))?)
}

/// Finds the first different event of two runs.
pub fn bisect(arguments: &BisectArguments) -> Result<u8> {
    let config = setup::workers(Some(1))?;
    let mut output = Output::new(arguments.format.format);
    let TestArguments { perturb_event } = arguments.test;
    let sides = match (&arguments.left, &arguments.right, arguments.seed) {
        (Some(left), Some(right), _) => {
            let build = setup::this_build()?;
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
fn of_seed(
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

fn compare_sides(
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

/// Runs what a trace records again, or a seed twice.
pub fn replay(arguments: &ReplayArguments) -> Result<u8> {
    let config = setup::workers(Some(1))?;
    let mut output = Output::new(arguments.format.format);
    let TestArguments { perturb_event } = arguments.test;
    let others = perturb_event.map(|_| runner::only_other_keys());
    if let Some(seed) = arguments.seed {
        let recipe = Recipe {
            perturb: perturb_event,
            ..setup::recipe(&arguments.what, Build::default())?
        };
        let side = |perturbation| of_seed(&recipe, &config, Seed::new(seed), perturbation);
        let sides = [side(None)?, side(others)?];
        return compare_sides(&mut output, &config, &sides, ["first", "again"]);
    }
    let path = arguments.trace.as_deref().context("a trace is named")?;
    let build = setup::this_build()?;
    let trace = open(path)?;
    let header = trace.header().clone();
    output.say(&format!("seed={} trace={}\n", header.seed, path.display()))?;
    tell_build(&mut output, &header, &build);
    let recipe = Recipe {
        perturb: perturb_event,
        ..recipe_of(path, &header, &build)?
    };
    let assignment = Assignment {
        seed: Seed::new(header.seed),
        perturbation: others,
    };
    let Some(ladder) = trace.ladder().cloned() else {
        return replay_cut(&mut output, &config, path, trace, &recipe, &assignment);
    };
    let recorded = trace.footer().map(|footer| footer.summary.run_hash);
    let job = |seed| recipe.job(seed, Options::default(), None);
    let report = worker::run(&config, assignment.clone(), job)?;
    output.say(&Verdict::of(&report).story())?;
    let Some(ending) = Ending::of(&report) else {
        let at = report.beat.events;
        let why = format!(
            "the trace's run came to its end, this one did not: it {}",
            report.outcome
        );
        let found = Answer::Within(at..ladder.events.max(at + 1), why);
        return answer(
            &mut output,
            &found,
            ["recorded", "again"],
            &key_of(&header, &trace),
        );
    };
    let key = format!("{}hash={} ", key_of(&header, &trace), ending.hash);
    let Some(range) = first_divergence(&ladder, &ending.ladder) else {
        let same = recorded == Some(ending.hash);
        let note = (!same)
            .then(|| "every event is equal; the run hashes are not, for the headers differ".to_owned());
        let found = Answer::Equal {
            events: ladder.events,
            note,
        };
        return answer(&mut output, &found, ["recorded", "again"], &key);
    };
    let window = range.start.saturating_sub(CONTEXT)..range.end;
    let mut again = localise::window(&recipe, &config, &assignment, &window)?;
    let mut trace = trace;
    let found = match diff(&mut trace, &mut again, CONTEXT)? {
        Comparison::At(first) if trace.has_all(&range) || trace.level() >= Level::L1 => Answer::At(first),
        _ => Answer::Within(range.clone(), not_kept(&mut again, &range, trace.level())?),
    };
    answer(&mut output, &found, ["recorded", "again"], &key)
}

fn key_of(header: &Header, trace: &AnyTrace) -> String {
    let recorded = trace.footer().map_or("", |footer| &footer.verdict);
    let word = recorded.split(' ').next().unwrap_or_default();
    format!("seed={} recorded={} ", header.seed, word.to_lowercase())
}

/// What can be said of a difference whose events the trace does not keep: what this run has there.
fn not_kept(again: &mut AnyTrace, range: &Range<u64>, level: Level) -> Result<String> {
    let entries = again.read(range.clone(), usize::MAX)?;
    let ends: Vec<Entry> = entries
        .first()
        .into_iter()
        .chain(entries.last())
        .copied()
        .collect();
    Ok(format!(
        "the trace keeps too little to name the event (level {level:?}). This run has there, first and last:\n{}next: \
         record the seed with --trace L2 by the program that made this trace, and replay that",
        text(&ends, again.names())
    ))
}

/// Replays a trace whose writer died: the run again is written to a file and compared as far as the trace goes.
fn replay_cut(
    output: &mut Output,
    config: &WorkerConfig,
    path: &Path,
    mut trace: AnyTrace,
    recipe: &Recipe,
    assignment: &Assignment,
) -> Result<u8> {
    let end = kept_until(&trace);
    output.note("note: the trace was cut short; it is compared as far as it goes");
    if end == 0 {
        let path = path.display();
        return Err(Refusal(format!(
            "{path} was cut short before its first event: there is nothing to compare"
        ))
        .into());
    }
    let again = std::env::temp_dir().join(format!("soma-replay-{}.simtrace", std::process::id()));
    setup::create(&again)?;
    let options = Options {
        level: trace.level(),
        hasty_from: end.saturating_sub(64),
        ..Options::default()
    };
    let job = |seed| {
        let sink = file_sink(&again).expect("the parent has just created it");
        recipe.job(seed, options.clone(), Some(sink))
    };
    let found = worker::run(config, assignment.clone(), job)
        .map_err(anyhow::Error::from)
        .and_then(|report| {
            output.say(&Verdict::of(&report).story())?;
            let mut again = open(&again)?;
            Ok(diff(&mut trace, &mut again, CONTEXT)?)
        });
    // It may be gone already; then it is where it should be.
    let _ = std::fs::remove_file(&again);
    let found = match found? {
        Comparison::At(first) => Answer::At(first),
        Comparison::Equal | Comparison::NotKept(_) => Answer::Equal {
            events: end,
            note: None,
        },
    };
    let key = format!("seed={} recorded=cut ", assignment.seed);
    answer(output, &found, ["recorded", "again"], &key)
}
