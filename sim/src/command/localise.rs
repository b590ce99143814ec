//! Where two runs part: the first different event, found by ladders and one windowed run again of each.

use std::io::{Cursor, Read, Seek};
use std::ops::Range;

use anyhow::{Result, bail};
use sim::oracle::Class;
use sim::recipe::Recipe;
use sim::trace::{Comparison, Difference, Entry, Record, Trace, Which, locate};
use sim::verdict::{Ending, Failure};
use sim::worker::{self, Assignment, Factor, WorkerConfig, WorkerOutcome};

/// Equal events that are shown before a difference.
pub const CONTEXT: u64 = 8;

/// Where a trace is read from.
pub trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

/// A trace of a file, or of memory.
pub type AnyTrace = Trace<Box<dyn Source>>;

/// Runs `assignment` again and yields its trace of `window`.
pub fn window(
    recipe: &Recipe,
    config: &WorkerConfig,
    assignment: &Assignment,
    window: &Range<u64>,
) -> Result<AnyTrace> {
    let job = |seed| recipe.window(seed, window.clone());
    let report = worker::run(config, assignment.clone(), job)?;
    match report.outcome {
        WorkerOutcome::Finished { result } => {
            Ok(Trace::open(Box::new(Cursor::new(result)) as Box<dyn Source>)?)
        }
        outcome => bail!(
            "seed {} did not come to its end again: {outcome}",
            assignment.seed
        ),
    }
}

/// The failure that the two runs of a check are: what makes them differ, and the first different event, if it can be
/// found.
pub fn difference(recipe: &Recipe, config: &WorkerConfig, found: &worker::Difference) -> Failure {
    let by = by(&found.factors);
    let mut failure = Failure {
        class: Class::NonDeterminism,
        oracle: "check".to_owned(),
        node: None,
        at_ns: 0,
        event: None,
        what: format!("two runs differ by {by}"),
        story: Vec::new(),
        place: None,
        backtrace: Vec::new(),
    };
    let endings = [&found.plain, &found.perturbed].map(Ending::of);
    let [Some(plain), Some(perturbed)] = endings else {
        failure.at_ns = found.perturbed.beat.now;
        failure.what += &format!("; the perturbed run {}", found.perturbed.outcome);
        return failure;
    };
    let again = |which, range| {
        let report = match which {
            Which::Left => &found.plain,
            Which::Right => &found.perturbed,
        };
        window(recipe, config, &report.assignment, &range)
    };
    match locate(&plain.ladder, &perturbed.ladder, CONTEXT, again) {
        Err(error) => failure.what += &format!("; where was not found: {error:#}"),
        Ok(None) => failure.what += "; every event is equal, only what the runs say at their end is not",
        Ok(Some((_, Comparison::At(first)))) => {
            if let Some(Entry { record, .. }) = first.left.entry.or(first.right.entry) {
                failure.at_ns = record.time;
                failure.node = Some(record.node)
                    .filter(|node| *node != Record::WORLD)
                    .map(usize::from);
            }
            failure.event = Some(first.seq);
            failure.story = lines(&first, ["plain", "perturbed"]);
        }
        Ok(Some((range, _))) => {
            failure.what += &format!(
                "; they part among events {}..{}, and did not differ there when they ran again: it is by chance",
                range.start, range.end
            );
        }
    }
    failure
}

/// A difference as lines of a story.
pub fn lines(difference: &Difference, names: [&str; 2]) -> Vec<String> {
    difference.text(names).lines().map(str::to_owned).collect()
}

fn by(factors: &[Factor]) -> String {
    match factors {
        [] => "several things together, or chance".to_owned(),
        factors => {
            let names: Vec<String> = factors.iter().map(ToString::to_string).collect();
            names.join(", or ")
        }
    }
}
