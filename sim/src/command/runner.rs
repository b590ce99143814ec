//! Runs seeds, one or many, and shows what became of them.

use std::fs::File;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sim::Seed;
use sim::kernel::{Kernel as _, Madsim};
use sim::recipe::{CRYPTO, Recipe, Sink, file_sink};
use sim::swarm::Family;
use sim::tally::Tally;
use sim::time::VirtualTime;
use sim::trace::{Level, Options};
use sim::verdict::Verdict;
use sim::worker::{
    self, Assignment, Checked, InFlight, News, Perturbation, WorkerConfig, WorkerReport, check_many,
    run_watched,
};

use super::arguments::RunArguments;
use super::output::{Output, short};
use super::setup::{self, Seeds};
use super::{INTERRUPTED, Refusal, files, localise, minimise};

/// Failing seeds of a batch whose traces, plans and pages are written.
const EVIDENCE: u32 = 10;

/// Runs what the arguments say.
pub fn run(arguments: &RunArguments) -> Result<u8> {
    let seeds = Seeds::of(arguments)?;
    let build = match &arguments.out {
        Some(_) => setup::this_build()?,
        None => Default::default(),
    };
    let recipe = Recipe {
        perturb: arguments.test.perturb_event,
        ..setup::recipe(&arguments.what, build)?
    };
    let runner = Runner {
        config: WorkerConfig {
            hang_after: arguments.hang_after,
            ..setup::workers(arguments.jobs, arguments.verbose)?
        },
        folder: arguments.out.as_deref().map(setup::folder).transpose()?,
        output: Output::new(arguments.format.format),
        tally: Tally::default(),
        evidence_left: EVIDENCE,
        without_evidence: 0,
        has_shrunk: false,
        has_warned: false,
        arguments,
        recipe,
        seeds,
    };
    if arguments.junit.is_some() && arguments.junit == arguments.summary {
        return Err(Refusal("--junit and --summary name one file: name two".to_owned()).into());
    }
    let junit = arguments.junit.as_deref().map(setup::create).transpose()?;
    let summary = arguments.summary.as_deref().map(setup::create).transpose()?;
    runner.run(junit, summary)
}

struct Runner<'a> {
    arguments: &'a RunArguments,
    recipe: Recipe,
    seeds: Seeds,
    config: WorkerConfig,
    folder: Option<PathBuf>,
    output: Output,
    tally: Tally,
    evidence_left: u32,
    /// Failing seeds that came too late for evidence.
    without_evidence: u64,
    has_shrunk: bool,
    has_warned: bool,
}

impl Runner<'_> {
    fn run(mut self, junit: Option<File>, summary: Option<File>) -> Result<u8> {
        self.begin()?;
        let (batch, ran) = match self.run_all() {
            Ok(batch) => (batch, Ok(())),
            Err(error) => (worker::Batch::default(), Err(error)),
        };
        let told = self.tell(&batch, junit, summary);
        match (self.tally.exit_code(), ran.and(told)) {
            (0, Err(error)) => Err(error),
            (0, Ok(())) if batch.interrupted => Ok(INTERRUPTED),
            (code, Ok(())) => Ok(code),
            // What failed decides, whatever else went wrong.
            (code, Err(error)) => {
                self.output.note(&format!("error: {error:#}"));
                Ok(code)
            }
        }
    }

    /// Writes the reports and the last line.
    fn tell(&mut self, batch: &worker::Batch, junit: Option<File>, summary: Option<File>) -> Result<()> {
        let wall = self.output.elapsed();
        let name = format!("sim {} {}", self.arguments.what.scenario(), self.seeds.text());
        let put = |file: Option<File>, text: String| match file {
            Some(mut file) => file
                .write_all(text.as_bytes())
                .context("a report cannot be written"),
            None => Ok(()),
        };
        put(junit, self.tally.junit(&name, wall))?;
        put(summary, self.tally.markdown(&name, wall, &marked_places()))?;
        let untold = self.tally.failed.saturating_sub(sim::tally::KEPT as u64);
        if untold > 0 && !self.output.is_json() && !self.arguments.verbose {
            self.output.note(&format!(
                "note: {untold} more seeds failed than are told of: -v tells of all"
            ));
        }
        if self.without_evidence > 0 {
            self.output.note(&format!(
                "note: the first {EVIDENCE} failing seeds left files, {} more did not: run those by --seed",
                self.without_evidence
            ));
        }
        if self.seeds.are_many || batch.interrupted {
            let line = self.tally.line(wall, &batch.in_flight) + "\n";
            self.output.put(&line, &self.tally.json(wall, &batch.in_flight))?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        let Recipe { scenario, plan, .. } = &self.recipe;
        let faults: Vec<&str> = scenario.faults.iter().copied().map(Family::name).collect();
        let faults = match plan {
            Some(_) => "plan".to_owned(),
            None if faults.is_empty() => "none".to_owned(),
            None => faults.join(","),
        };
        let until = scenario.until();
        let nodes = match (scenario.nodes_most > scenario.nodes, self.seeds.are_many) {
            (true, true) => format!("{}..{}", scenario.nodes, scenario.nodes_most + 1),
            _ => scenario.drawn(Seed::new(self.seeds.first)).nodes.to_string(),
        };
        let text = format!(
            "{} scenario={} nodes={nodes} faults={faults} until={until} kernel=\"{}\" crypto={CRYPTO}\n",
            self.seeds.text(),
            setup::quoted(self.arguments.what.scenario()),
            Madsim::NAME
        );
        let value = serde_json::json!({
            "type": "begin",
            "first": self.seeds.first,
            "end": self.seeds.end,
            "scenario": self.arguments.what.scenario(),
            "nodes": scenario.nodes,
            "nodes_most": scenario.nodes_most.max(scenario.nodes),
            "faults": faults,
            "until_ns": until.as_nanos(),
            "kernel": Madsim::NAME,
            "crypto": CRYPTO,
        });
        self.output.put(&text, &value)?;
        if self.arguments.verbose && !self.seeds.are_many {
            let plan = self.recipe.plan(Seed::new(self.seeds.first)).to_text();
            self.output.say(&format!("plan:\n{plan}"))?;
        }
        Ok(())
    }

    fn run_all(&mut self) -> Result<worker::Batch> {
        let Seeds {
            first, end, duration, ..
        } = self.seeds;
        let (config, recipe) = (self.config.clone(), self.recipe.clone());
        let started = worker::WallClock::now();
        let seeds = (first..end.unwrap_or(u64::MAX))
            .map(Seed::new)
            .take_while(|_| duration.is_none_or(|duration| started.elapsed() < duration));
        // The trace of a single seed is written as it runs.
        let trace = match (self.seeds.are_many, &self.folder, self.arguments.trace) {
            (false, Some(folder), Some(level)) => Some((trace_path(folder, Seed::new(first)), level)),
            _ => None,
        };
        if let Some((path, _)) = &trace {
            setup::create(path)?;
        }
        let job = |seed| match &trace {
            Some((path, level)) => recipe.job(seed, keeping(*level), Some(open(path))),
            None => recipe.job(seed, Options::default(), None),
        };
        let mut failed = None;
        let mut go_on = |result: Result<()>| match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        };
        let batch = if self.arguments.check {
            let perturbation = |seed: Seed| Perturbation::draw(seed.get());
            check_many(&config, seeds, perturbation, job, |news| match news {
                News::Ended(checked) => go_on(self.checked(checked)),
                News::Running(in_flight) => {
                    self.running(in_flight);
                    ControlFlow::Continue(())
                }
            })?
        } else {
            let perturbation = self.recipe.perturb.map(|_| only_other_keys());
            let assignments = seeds.map(|seed| Assignment {
                seed,
                perturbation: perturbation.clone(),
            });
            run_watched(&config, assignments, job, |news| match news {
                News::Ended(report) => go_on(self.ended(&report, trace.is_some())),
                News::Running(in_flight) => {
                    self.running(in_flight);
                    ControlFlow::Continue(())
                }
            })?
        };
        failed.map_or(Ok(batch), Err)
    }

    /// Shows how far things are.
    fn running(&mut self, in_flight: InFlight) {
        let Self {
            output,
            tally,
            seeds,
            recipe,
            ..
        } = self;
        let elapsed = output.elapsed();
        let now = VirtualTime::from_nanos(in_flight.now);
        output.progress(|| {
            let until = recipe.scenario.until();
            if !seeds.are_many {
                return format!("{} events, {now} of {until} virtual", in_flight.events);
            }
            let rate = tally.seeds as f64 / elapsed.as_secs_f64().max(0.001);
            let by_time = seeds.duration.map(|duration| duration.saturating_sub(elapsed));
            let by_count = seeds.end.filter(|_| tally.seeds > 0).map(|end| {
                let left = (end - seeds.first).saturating_sub(tally.seeds);
                Duration::try_from_secs_f64(left as f64 / rate).unwrap_or(Duration::MAX)
            });
            let left = match (by_time, by_count) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let left = left.map_or(String::new(), |left| format!(", {} left", short(left)));
            let virtual_time = short(Duration::from_nanos(tally.virtual_ns));
            format!(
                "{} seeds, {} failed, {rate:.1} seeds/s, {virtual_time} virtual{left}",
                tally.seeds, tally.failed
            )
        });
    }

    fn checked(&mut self, checked: Checked) -> Result<()> {
        let difference = match checked {
            Checked::Same(report) | Checked::Failed(report) => return self.ended(&report, false),
            Checked::Different(difference) => difference,
        };
        let mut verdict = Verdict::of(&difference.plain);
        verdict.failure = Some(localise::difference(&self.recipe, &self.config, &difference));
        self.show(verdict, &[&difference.plain, &difference.perturbed], false)
    }

    fn ended(&mut self, report: &WorkerReport, is_traced: bool) -> Result<()> {
        if !report.armed.fully() && !self.has_warned && report.outcome.exit_code().is_none() {
            self.has_warned = true;
            self.output
                .note("warning: this machine does not arm every tripwire; `cargo xtask doctor` says which");
        }
        self.show(Verdict::of(report), &[report], is_traced)
    }

    /// Shows what became of a seed, and keeps what shows its failure.
    fn show(&mut self, mut verdict: Verdict, reports: &[&WorkerReport], is_traced: bool) -> Result<()> {
        let what = &self.arguments.what;
        verdict.repro = setup::repro(what, verdict.seed, None, None);
        if self.arguments.check {
            verdict.repro += " --check";
        }
        if let (true, Some(folder)) = (is_traced, &self.folder) {
            verdict.files.push(name_of(&trace_path(folder, verdict.seed)));
        }
        if verdict.failure.is_some() {
            // Whatever goes wrong here, the seed has failed, and that is counted and said.
            let kept = self.keep_evidence(&mut verdict, reports, is_traced);
            self.note_trouble("not all files of its failure were written", kept);
            let shrunk = self.shrink(&mut verdict);
            self.note_trouble("its plan is not as small as can be", shrunk);
        }
        self.tally.add(&verdict);
        let is_told = self.tally.failed <= sim::tally::KEPT as u64;
        if self.output.is_json() || !self.seeds.are_many || self.arguments.verbose {
            let text = verdict.story() + &self.places(&verdict) + &verdict.line() + "\n";
            self.output.put(&text, &verdict.json())?;
        } else if verdict.failure.is_some() && is_told {
            self.output.say(&(verdict.story() + &verdict.line() + "\n"))?;
        }
        match &verdict.trace_error {
            Some(error) if is_traced && verdict.failure.is_none() => bail!("{error}"),
            _ => Ok(()),
        }
    }

    fn note_trouble(&mut self, what: &str, result: Result<()>) {
        if let Err(error) = result {
            self.output.note(&format!("note: {what}: {error:#}"));
        }
    }

    /// The marked places that one seed reached, for those who want to know.
    fn places(&self, verdict: &Verdict) -> String {
        if !self.arguments.verbose || self.seeds.are_many {
            return String::new();
        }
        let counts: Vec<String> = verdict
            .sites
            .iter()
            .map(|(site, count)| format!("  {site} {count}\n"))
            .collect();
        format!("marked places reached:\n{}", counts.concat())
    }

    /// Writes the plan, the trace and the page of a failing seed, if there is a folder for them.
    fn keep_evidence(
        &mut self,
        verdict: &mut Verdict,
        reports: &[&WorkerReport],
        is_traced: bool,
    ) -> Result<()> {
        let Some(folder) = self.folder.clone() else {
            return Ok(());
        };
        if self.evidence_left == 0 {
            self.without_evidence += 1;
            return Ok(());
        }
        self.evidence_left -= 1;
        let mut kept = Vec::new();
        let written = self.write_evidence(&folder, verdict.seed, reports, is_traced, &mut kept);
        verdict.files = kept.iter().map(|file| name_of(file)).collect();
        written
    }

    /// Adds every file that it has written to `kept`.
    fn write_evidence(
        &self,
        folder: &Path,
        seed: Seed,
        reports: &[&WorkerReport],
        is_traced: bool,
        kept: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let plan = folder.join(format!("seed-{seed}.plan.toml"));
        write(&plan, &self.recipe.plan(seed).to_text())?;
        kept.push(plan);
        for (index, report) in reports.iter().enumerate() {
            let path = match index {
                0 => trace_path(folder, seed),
                _ => folder.join(format!("seed-{seed}.perturbed.simtrace")),
            };
            let died = report.outcome.exit_code().is_some();
            if !is_traced || died {
                let level = self.arguments.trace.unwrap_or(Level::L2);
                let options = Options {
                    // What a run says just before it dies must not wait in its memory.
                    hasty_from: if died {
                        report.beat.events.saturating_sub(64)
                    } else {
                        u64::MAX
                    },
                    ..keeping(level)
                };
                self.trace_again(report, &path, &options)?;
            }
            let page = path.with_extension("html");
            kept.push(path.clone());
            files::write_page(&path, &page)?;
            kept.push(page);
        }
        Ok(())
    }

    fn trace_again(&self, report: &WorkerReport, path: &Path, options: &Options) -> Result<()> {
        setup::create(path)?;
        let job = |seed| self.recipe.job(seed, options.clone(), Some(open(path)));
        worker::run(&self.config, report.assignment.clone(), job)?;
        Ok(())
    }

    /// Makes the plan of the first failing seed small.
    fn shrink(&mut self, verdict: &mut Verdict) -> Result<()> {
        let (Some(limit), false) = (self.arguments.shrink, self.has_shrunk) else {
            return Ok(());
        };
        self.has_shrunk = true;
        let smallest = minimise::smallest(&self.recipe, &self.config, verdict, limit, &mut self.output)?;
        let text = smallest.plan.to_text();
        let mut saved = None;
        if let Some(folder) = &self.folder {
            let path = folder.join(format!("seed-{}.min.toml", verdict.seed));
            write(&path, &text)?;
            verdict.files.push(name_of(&path));
            saved = Some(path);
        }
        self.output.say(&format!("smallest plan:\n{text}"))?;
        if saved.is_some() {
            let nodes = Some(smallest.nodes);
            verdict.repro = setup::repro(&self.arguments.what, verdict.seed, nodes, saved.as_deref());
        }
        Ok(())
    }
}

/// What a test changes when it asks for an event that comes out different.
pub fn only_other_keys() -> Perturbation {
    Perturbation {
        hasher_key: Some(1),
        ..Perturbation::default()
    }
}

fn keeping(level: Level) -> Options {
    Options {
        level,
        ..Options::default()
    }
}

fn trace_path(folder: &Path, seed: Seed) -> PathBuf {
    folder.join(format!("seed-{seed}.simtrace"))
}

fn name_of(path: &Path) -> String {
    path.display().to_string()
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

/// A trace's file, inside a worker.
fn open(path: &Path) -> Sink {
    file_sink(path).expect("the parent has just created it")
}

/// Every marked place that a run should reach.
fn marked_places() -> Vec<&'static str> {
    let mut places: Vec<&str> = env::probe::SITES.iter().map(|site| site.name).collect();
    places.sort_unstable();
    places.dedup();
    places
}
