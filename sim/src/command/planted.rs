//! `planted`: how many runs it takes until an oracle objects to a bug, and the page that says so.
//!
//! Seed by seed, each in every network of [`COURSE`], one run after the other, until one of them fails that passes without
//! the bug. A row of the page is what a run can be made from again.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser as _;
use consensus::planted::Bug;
use sim::Seed;
use sim::recipe::{Build, Recipe};
use sim::time::VirtualTime;
use sim::trace::Options;
use sim::verdict::{Failure, Verdict};
use sim::worker::{self, WorkerConfig};

use super::arguments::{Arguments, Format, PlantedArguments, WhatArguments};
use super::output::Output;
use super::{minimise, setup};

/// The networks in which each seed is tried, as command lines say them.
const COURSE: [&str; 5] = [
    "--scenario brief --nodes 4",
    "--scenario brief",
    "--scenario equivocators",
    "--scenario absent",
    "--scenario swarm",
];

const BEGIN: &str = "<!-- planted: begin -->\n";
const END: &str = "<!-- planted: end -->\n";
const HEAD: &str = "| bug | what it is | from | objection | run | runs | at | smallest plan |\n\
                    |---|---|---|---|---|---|---|---|\n";

/// Rows that `--check` runs again: as many different oracles, those first that needed the fewest runs.
const CHECKED: usize = 3;

/// Does what the arguments say, and yields the exit code.
pub fn run(arguments: &PlantedArguments) -> Result<u8> {
    let config = setup::workers(Some(1), false)?;
    let mut output = Output::new(Format::Text);
    if arguments.check {
        return check(&arguments.page, &config, &mut output);
    }
    let mut page = Page::read(&arguments.page)?;
    for bug in Bug::ALL {
        if !arguments.only.is_empty() && !arguments.only.contains(bug) {
            continue;
        }
        let row = seek(*bug, arguments, &config, &mut output)?;
        output.say(&row.line())?;
        page.put(row);
        page.write(&arguments.page)?;
    }
    Ok(0)
}

/// One bug, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    bug: Bug,
    /// Who objected.
    oracle: String,
    /// The command line that shows it, but for the bug.
    run: String,
    /// Runs that it took.
    runs: u64,
    /// When in that run, in words.
    at: String,
    /// Steps of the smallest plan, in words.
    steps: String,
}

/// What stands where there is nothing to say.
const NONE: &str = "-";
/// Who objected when nobody did.
const NOT_FOUND: &str = "**not found**";

impl Row {
    fn line(&self) -> String {
        let Self {
            bug,
            oracle,
            run,
            runs,
            at,
            steps,
        } = self;
        let (name, what, from) = (bug.name(), bug.what().trim(), bug.source());
        format!("| `{name}` | {what} | {from} | {oracle} | `{run}` | {runs} | {at} | {steps} |\n")
    }

    /// The row that a line is; `None` for a line that is another, or of a bug that is no more.
    fn parse(line: &str) -> Option<Self> {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, _, oracle, run, runs, at, steps] = cells[..] else {
            return None;
        };
        let name = name.trim_matches('`');
        Some(Self {
            bug: *Bug::ALL.iter().find(|bug| bug.name() == name)?,
            oracle: oracle.to_owned(),
            run: run.trim_matches('`').to_owned(),
            runs: runs.parse().ok()?,
            at: at.to_owned(),
            steps: steps.to_owned(),
        })
    }
}

/// Runs until somebody objects.
fn seek(bug: Bug, arguments: &PlantedArguments, config: &WorkerConfig, output: &mut Output) -> Result<Row> {
    let mut runs = 0;
    for seed in (1..=arguments.seeds).map(Seed::new) {
        for network in COURSE {
            runs += 1;
            output.progress(|| format!("{}: run {runs}, seed {seed}", bug.name()));
            let run = format!("{network} --seed {seed}");
            let (recipe, verdict) = one(&run, Some(bug), config)?;
            let Some(failure) = &verdict.failure else {
                continue;
            };
            if let (
                _,
                Verdict {
                    failure: Some(own), ..
                },
            ) = one(&run, None, config)?
            {
                output.note(&format!("note: {run} fails without a bug too: {}", own.what));
                continue;
            }
            let steps = match arguments.shrink {
                Some(limit) => {
                    let smallest = minimise::smallest(&recipe, config, &verdict, limit, output)?;
                    smallest.plan.steps.len().to_string()
                }
                None => NONE.to_owned(),
            };
            return Ok(Row {
                bug,
                oracle: failure.oracle.clone(),
                run,
                runs,
                at: moment(failure),
                steps,
            });
        }
    }
    Ok(Row {
        bug,
        oracle: NOT_FOUND.to_owned(),
        run: NONE.to_owned(),
        runs,
        at: NONE.to_owned(),
        steps: NONE.to_owned(),
    })
}

fn moment(failure: &Failure) -> String {
    let at = VirtualTime::from_nanos(failure.at_ns).as_nanos() / 1_000_000;
    format!("{}.{} s", at / 1_000, at % 1_000 / 100)
}

/// Runs what a command line says.
fn one(run: &str, bug: Option<Bug>, config: &WorkerConfig) -> Result<(Recipe, Verdict)> {
    let words = std::iter::once("sim").chain(run.split_whitespace());
    let arguments = Arguments::try_parse_from(words).with_context(|| format!("`{run}` is no run"))?;
    let seed = arguments
        .run
        .seed
        .with_context(|| format!("`{run}` has no seed"))?;
    let what = WhatArguments {
        bug,
        ..arguments.run.what
    };
    let recipe = setup::recipe(&what, Build::default())?;
    let report = worker::run(config, Seed::new(seed), |seed| {
        recipe.job(seed, Options::default(), None)
    })?;
    Ok((recipe.clone(), Verdict::of(&report)))
}

/// Runs a few rows again.
fn check(page: &Path, config: &WorkerConfig, output: &mut Output) -> Result<u8> {
    let rows = Page::read(page)?.cheapest(CHECKED);
    ensure!(!rows.is_empty(), "{} has no rows to run again", page.display());
    let mut code = 0;
    for row in rows {
        let (_, verdict) = one(&row.run, Some(row.bug), config)?;
        let found = verdict
            .failure
            .map_or("nobody".to_owned(), |failure| failure.oracle);
        let is_same = found == row.oracle;
        code |= u8::from(!is_same);
        let name = row.bug.name();
        let word = if is_same { "ok" } else { "MISSED" };
        output.say(&format!(
            "{word} {name}: {found} objects in `{}`, and {} is to\n",
            row.run, row.oracle
        ))?;
    }
    Ok(code)
}

/// The page: what stands around the table, and its rows.
struct Page {
    before: String,
    rows: Vec<Row>,
    after: String,
}

impl Page {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no page of planted bugs", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let split = |text: &str, mark: &str| {
            let parts = text.split_once(mark);
            parts.map(|(before, after)| (before.to_owned(), after.to_owned()))
        };
        let Some((before, rest)) = split(text, BEGIN) else {
            bail!("it lacks the line {}", BEGIN.trim());
        };
        let Some((table, after)) = split(&rest, END) else {
            bail!("it lacks the line {}", END.trim());
        };
        let rows = table.lines().filter_map(Row::parse).collect();
        Ok(Self { before, rows, after })
    }

    /// Puts a row where the bug's was, or where it belongs.
    fn put(&mut self, row: Row) {
        self.rows.retain(|other| other.bug != row.bug);
        self.rows.push(row);
        self.rows.sort_by_key(|row| row.bug);
    }

    fn text(&self) -> String {
        let rows: String = self.rows.iter().map(Row::line).collect();
        let mut needed: Vec<u64> = self.found().map(|row| row.runs).collect();
        needed.sort_unstable();
        let median = needed.get(needed.len() / 2).copied().unwrap_or(0);
        let (found, all) = (needed.len(), self.rows.len());
        let most = needed.last().copied().unwrap_or(0);
        let summary = format!("{found} of {all} found, in {median} runs (median) and {most} at most.\n\n");
        format!(
            "{}{BEGIN}\n{summary}{HEAD}{rows}\n{END}{}",
            self.before, self.after
        )
    }

    fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.text()).with_context(|| format!("{} cannot be written", path.display()))
    }

    fn found(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.oracle != NOT_FOUND)
    }

    /// The rows of so many oracles that needed the fewest runs, one for each.
    fn cheapest(&self, most: usize) -> Vec<Row> {
        let mut rows: Vec<&Row> = self.found().collect();
        rows.sort_by_key(|row| (row.runs, row.bug));
        let mut chosen = Vec::<Row>::new();
        for row in rows {
            if chosen.len() < most && chosen.iter().all(|other| other.oracle != row.oracle) {
                chosen.push(row.clone());
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bug: Bug, oracle: &str, runs: u64) -> Row {
        Row {
            bug,
            oracle: oracle.to_owned(),
            run: format!("{} --seed 1", COURSE[0]),
            runs,
            at: "3.4 s".to_owned(),
            steps: NONE.to_owned(),
        }
    }

    #[test]
    fn a_page_keeps_its_rows_and_what_stands_around_them() {
        let mut page = Page::parse(&format!("a\n{BEGIN}b\n{END}c\n")).unwrap();
        page.put(row(Bug::Amnesia, "slot", 3));
        page.put(row(Bug::SkippedRounds, NOT_FOUND, 9));
        page.put(row(Bug::Amnesia, "slot", 1));
        let text = page.text();
        assert!(
            text.contains("1 of 2 found, in 1 runs (median) and 1 at most.\n"),
            "{text}"
        );
        let again = Page::parse(&text).unwrap();
        assert_eq!(
            again.rows,
            [
                row(Bug::SkippedRounds, NOT_FOUND, 9),
                row(Bug::Amnesia, "slot", 1)
            ]
        );
        assert_eq!(again.text(), text);
        assert!(Page::parse("a\nb\n").is_err());
    }

    #[test]
    fn what_is_run_again_is_cheap_and_of_different_oracles() {
        let mut page = Page::parse(&format!("{BEGIN}{END}")).unwrap();
        page.put(row(Bug::SkippedRounds, NOT_FOUND, 1));
        page.put(row(Bug::Amnesia, "slot", 3));
        page.put(row(Bug::SentEarly, "slot", 2));
        page.put(row(Bug::LocalFloor, "chain", 4));
        let chosen = page.cheapest(2);
        assert_eq!(
            chosen,
            [row(Bug::SentEarly, "slot", 2), row(Bug::LocalFloor, "chain", 4)]
        );
    }

    #[test]
    fn every_network_of_the_course_is_one() {
        for network in COURSE {
            let words = ["sim"].into_iter().chain(network.split_whitespace());
            let arguments = Arguments::try_parse_from(words).unwrap();
            assert!(setup::scenario(&arguments.run.what).is_ok(), "{network}");
        }
    }
}
