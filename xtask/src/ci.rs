//! Everything that a change must pass, one step after the other, until the first failure.

use std::env;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::ValueEnum;

use crate::workspace::Workspace;
use crate::{cargo, planted, readme, rocksdb, sim, test, tidy, tools};

/// The command line of `cargo xtask ci`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Whether RocksDB is built and tested; without a word: always. SOMA_ROCKSDB says the same
    #[arg(long, value_name = "WHEN", num_args = 0..=1, default_missing_value = "always")]
    rocksdb: Option<rocksdb::When>,
}

/// How a step ended that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With what it said last, or nothing.
    Passed(String),
    /// Why it did not run.
    Skipped(String),
}

/// Runs every step; the error of the first that fails names it.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> anyhow::Result<()> {
    let rocksdb = match arguments.rocksdb {
        Some(when) => when,
        None => rocksdb_from_environment()?,
    };
    let groups = test::groups(workspace);
    let mut report = Report::new();
    report.step("format", || {
        passed(cargo(workspace, &["fmt", "--all", "--check"], &[]))
    })?;
    report.step("tidy", || passed(tidy::run(workspace)))?;
    for group in &groups {
        let arguments = ["clippy", "--locked", "--all-targets"];
        report.step(&format!("lint {}", group.name), || {
            let mut clippy = cargo::command(&workspace.root);
            clippy
                .args(arguments)
                .args(group.selection())
                .args(["--", "-D", "warnings"]);
            passed(cargo::check(&mut clippy))
        })?;
    }
    for group in &groups {
        report.step(&format!("build {}", group.name), || {
            passed(cargo(workspace, &["build", "--locked"], &group.selection()))
        })?;
    }
    for group in &groups {
        report.step(&format!("test {}", group.name), || {
            test::tests(workspace, group, &["--locked"], &[], &[]).map(Outcome::Passed)
        })?;
    }
    for group in &groups {
        report.step(&format!("doc tests {}", group.name), || {
            passed(test::doc_tests(workspace, group))
        })?;
    }
    for group in &groups {
        report.step(&format!("document {}", group.name), || {
            let mut rustdoc = cargo::documentation(&workspace.root);
            rustdoc.args(["doc", "--locked", "--no-deps"]);
            rustdoc.arg("--document-private-items").args(group.selection());
            passed(cargo::check(&mut rustdoc))
        })?;
    }
    report.step("simulate", || match sim::smoke(workspace)? {
        Some(mut simulator) => passed(cargo::check(&mut simulator)),
        None => Ok(Outcome::Skipped("there is no simulator to run".to_owned())),
    })?;
    report.step("canaries", || {
        passed(cargo::check(&mut sim::canaries(workspace)?))
    })?;
    report.step("planted bugs", || {
        passed(cargo::check(&mut planted::check(workspace)?))
    })?;
    report.step("the run in README.md", || passed(readme::check(workspace, false)))?;
    report.step("deny", || deny(workspace))?;
    let elapsed = report.started.elapsed();
    report.step("rocksdb", || rocksdb::run(workspace, rocksdb, elapsed))?;
    println!("{report}");
    Ok(())
}

fn cargo(workspace: &Workspace, arguments: &[&str], selection: &[&str]) -> anyhow::Result<()> {
    cargo::check(cargo::command(&workspace.root).args(arguments).args(selection))
}

fn deny(workspace: &Workspace) -> anyhow::Result<Outcome> {
    if !tools::DENY.is_there()? {
        return Ok(Outcome::Skipped(
            "cargo-deny is not there and could not be installed".to_owned(),
        ));
    }
    // Not its advisories: they need a database from the network, and change while the code does not.
    passed(cargo(
        workspace,
        &[
            "deny",
            "--log-level",
            "error",
            "check",
            "bans",
            "licenses",
            "sources",
        ],
        &[],
    ))
}

fn rocksdb_from_environment() -> anyhow::Result<rocksdb::When> {
    match env::var("SOMA_ROCKSDB") {
        Ok(word) => rocksdb::When::from_str(&word, true)
            .map_err(|_| anyhow!("SOMA_ROCKSDB is `{word}`; it can be auto, always or never")),
        Err(_) => Ok(rocksdb::When::Auto),
    }
}

fn passed(result: anyhow::Result<()>) -> anyhow::Result<Outcome> {
    result.map(|()| Outcome::Passed(String::new()))
}

/// The steps so far.
struct Report {
    started: Instant,
    steps: Vec<(String, Duration, Outcome)>,
}

impl Report {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            steps: Vec::new(),
        }
    }

    fn step(&mut self, name: &str, run: impl FnOnce() -> anyhow::Result<Outcome>) -> anyhow::Result<()> {
        println!("==> {name}");
        let started = Instant::now();
        let outcome = run();
        let took = started.elapsed();
        match outcome {
            Ok(outcome) => {
                println!("    {}", Line(name, took, &outcome));
                self.steps.push((name.to_owned(), took, outcome));
                Ok(())
            }
            Err(error) => {
                println!("{self}");
                Err(error).with_context(|| format!("ci FAILED at `{name}` after {}", Seconds(took)))
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "==> summary")?;
        for (name, took, outcome) in &self.steps {
            writeln!(f, "    {}", Line(name, *took, outcome))?;
        }
        let skipped = self
            .steps
            .iter()
            .filter(|(_, _, outcome)| matches!(outcome, Outcome::Skipped(_)))
            .count();
        let passed = self.steps.len() - skipped;
        let took = Seconds(self.started.elapsed());
        write!(f, "ci: {passed} steps passed, {skipped} skipped, in {took}")
    }
}

struct Line<'a>(&'a str, Duration, &'a Outcome);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, took, outcome) = self;
        let took = Seconds(*took).to_string();
        match outcome {
            Outcome::Passed(said) if said.is_empty() => write!(f, "{name:<22}{took:>9}  ok"),
            Outcome::Passed(said) => write!(f, "{name:<22}{took:>9}  ok: {said}"),
            Outcome::Skipped(why) => write!(f, "{name:<22}{took:>9}  skipped: {why}"),
        }
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_named_and_the_rest_does_not_run() {
        let mut report = Report::new();
        report.step("one", || passed(Ok(()))).unwrap();
        report
            .step("two", || Ok(Outcome::Skipped("no time".to_owned())))
            .unwrap();
        let error = report.step("three", || Err(anyhow!("it broke"))).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.starts_with("ci FAILED at `three` after ") && error.ends_with("s: it broke"),
            "{error}"
        );
        let report = report.to_string();
        assert!(
            report.contains("ok\n") && report.contains("skipped: no time\n"),
            "{report}"
        );
        assert!(report.contains("ci: 1 steps passed, 1 skipped, in "), "{report}");
    }
}
