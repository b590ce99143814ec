//! `replay`: what a trace records, once more.
// tidy: allow std-env in this file: a replay of a trace that was cut short writes to the host's folder for such files

use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result};
use sim::Seed;
use sim::kernel::{Kernel as _, Madsim};
use sim::recipe::{Build, Recipe, file_sink};
use sim::trace::{Comparison, Entry, Header, Level, Options, diff, first_divergence, text};
use sim::verdict::{Ending, Verdict};
use sim::worker::{self, Assignment, WorkerConfig, WorkerReport};

use super::arguments::{ReplayArguments, TestArguments};
use super::compare::{Answer, OTHER_HEADERS, answer, compare_sides, of_seed};
use super::files::{open, recipe_of};
use super::localise::{self, AnyTrace, CONTEXT};
use super::output::Output;
use super::{Refusal, rules, runner, setup};

/// Runs what a trace records again, or a seed twice.
pub fn replay(arguments: &ReplayArguments) -> Result<u8> {
    let config = setup::workers(Some(1), false)?;
    let mut output = Output::new(arguments.format.format);
    let TestArguments { perturb_event } = arguments.test;
    let others = perturb_event.map(|_| runner::only_other_keys());
    if let (Some(path), false) = (&arguments.trace, arguments.rule.is_empty()) {
        setup::refuse_what(&arguments.what)?;
        return rules::replay(&mut output, path, &arguments.rule);
    }
    if let Some(seed) = arguments.seed {
        let recipe = Recipe {
            perturb: perturb_event,
            ..setup::recipe(&arguments.what, Build::default())?
        };
        let side = |perturbation| of_seed(&recipe, &config, Seed::new(seed), perturbation);
        let sides = [side(None)?, side(others)?];
        return compare_sides(&mut output, &config, &sides, ["first", "again"]);
    }
    setup::refuse_what(&arguments.what)?;
    let path = arguments.trace.as_deref().context("a trace is named")?;
    let build = setup::this_build()?;
    let trace = open(path)?;
    let header = trace.header().clone();
    output.say(&format!("seed={} trace={}\n", header.seed, path.display()))?;
    for note in build_notes(&header, &build) {
        output.note(&note);
    }
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
    output.say(&story(&report, path))?;
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
        let note = (!same).then(|| OTHER_HEADERS.to_owned());
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
        Comparison::At(first) if trace.has_all(&range) || trace.level() >= Level::L1 => {
            if !trace.has_all(&range) {
                output.note(&format!(
                    "note: the trace keeps {:?} only: an event that it does not keep may differ before",
                    trace.level()
                ));
            }
            Answer::At(first)
        }
        _ => Answer::Within(range.clone(), not_kept(&mut again, &range, trace.level())?),
    };
    answer(&mut output, &found, ["recorded", "again"], &key)
}

/// What broke in the run again, if anything did.
fn story(report: &WorkerReport, path: &Path) -> String {
    let mut verdict = Verdict::of(report);
    verdict.repro = format!(
        "cargo xtask replay {}",
        setup::quoted(&path.display().to_string())
    );
    verdict.story()
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
    let end = trace.kept_until()?;
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
            output.say(&story(&report, path))?;
            let mut again = open(&again)?;
            let found = diff(&mut trace, &mut again, CONTEXT)?;
            Ok(of_cut(found, end, &report.outcome.to_string()))
        });
    // It may be gone already; then it is where it should be.
    let _ = std::fs::remove_file(&again);
    let key = format!("seed={} recorded=cut ", assignment.seed);
    answer(output, &found?, ["recorded", "again"], &key)
}

/// What comes of comparing a trace that was cut before event `end` with its run again, which `ended` so.
fn of_cut(found: Comparison, end: u64, ended: &str) -> Answer {
    match found {
        Comparison::At(first) => Answer::At(first),
        Comparison::Cut { until, .. } if until < end => Answer::Within(
            until..end,
            format!("the trace goes on to event {end}, this run did not come that far: it {ended}"),
        ),
        Comparison::Equal | Comparison::Cut { .. } | Comparison::NotKept(_) => Answer::Equal {
            events: end,
            note: None,
        },
    }
}

/// What is to be known of a trace that another program made.
fn build_notes(header: &Header, build: &Build) -> Vec<String> {
    let mut notes = Vec::new();
    if header.kernel != Madsim::NAME {
        notes.push(format!(
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
        notes.push(format!(
            "note: the trace was made by program {made}, this is {}: a difference can be a change of the code",
            build.binary
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_ends_before_the_cut_of_its_trace_is_not_equal_to_it() {
        let cut = |until| Comparison::Cut { compared: 9, until };
        let short = of_cut(cut(40), 50, "hung");
        assert!(
            matches!(&short, Answer::Within(range, why) if *range == (40..50) && why.ends_with("it hung")),
            "another end"
        );
        assert!(matches!(
            of_cut(cut(50), 50, ""),
            Answer::Equal { events: 50, .. }
        ));
    }

    #[test]
    fn a_trace_of_another_program_or_kernel_is_said_to_be_one() {
        let build = Build {
            binary: "b1".to_owned(),
            commit: "c1".to_owned(),
        };
        let header = Header {
            kernel: Madsim::NAME.to_owned(),
            binary: "b1".to_owned(),
            commit: "c0".to_owned(),
            ..Header::default()
        };
        assert_eq!(build_notes(&header, &build), Vec::<String>::new());
        let other = Header {
            kernel: "plain".to_owned(),
            binary: "b0".to_owned(),
            ..header
        };
        let notes = build_notes(&other, &build);
        assert_eq!(notes.len(), 2);
        assert!(notes[0].contains("kernel `plain`"), "{}", notes[0]);
        assert!(
            notes[1].contains("program b0 of commit c0, this is b1"),
            "{}",
            notes[1]
        );
    }
}
