//! `soma-sim`: runs seeds, prints plans, and says whether this machine can be trusted with them.
// tidy: allow std-env in this file: the command line and the size of the machine are read before any run begins

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::{Deserialize, Serialize};
use sim::Seed;
use sim::kernel::{Kernel, Madsim};
use sim::oracle::Class;
use sim::plan::Plan;
use sim::run::Simulation;
use sim::scenario::{BUILT_IN, Scenario};
use sim::trace::{Header, Options};
use sim::worker::{
    Checked, Perturbation, Run, WorkerConfig, WorkerOutcome, WorkerReport, check, fix_layout, run_many,
};
use sim::{doctor, load};

/// Runs a whole network in one process, from one seed.
#[derive(Parser)]
#[command(name = "sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The seed to run.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// The seeds A..B to run, without B.
    #[arg(long, value_parser = parse_range)]
    seeds: Option<(u64, u64)>,
    /// A built-in scenario, or a TOML file.
    #[arg(long, default_value = "swarm", global = true)]
    scenario: String,
    /// Nodes, instead of the scenario's.
    #[arg(long, global = true)]
    nodes: Option<usize>,
    /// Runs this plan instead of the one that the seed draws.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Runs each seed twice, the second time with other hasher keys, addresses, environment and history.
    #[arg(long)]
    check: bool,
    /// Seeds that run at a time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

#[derive(Subcommand)]
enum Command {
    /// Says what this machine lets the simulator watch, and whether each planted leak is caught.
    Doctor,
    /// Names the built-in scenarios.
    List,
    /// Prints the plan that a seed draws.
    Plan {
        /// The seed.
        #[arg(long)]
        seed: u64,
    },
}

fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let parts = text
        .split_once("..")
        .and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    parts
        .filter(|(from, to)| from < to)
        .ok_or_else(|| format!("`{text}` is not a range A..B with A below B"))
}

/// What a worker says of its run.
#[derive(Serialize, Deserialize)]
struct Said {
    hash: String,
    events: u64,
    virtual_ns: u64,
    faults: usize,
    failure: Option<Failure>,
}

#[derive(Serialize, Deserialize)]
struct Failure {
    code: u8,
    text: String,
    slice: String,
}

fn main() -> ExitCode {
    if let Err(error) = fix_layout() {
        eprintln!(
            "warning: addresses are random here, so a run that depends on them will not repeat: {error}"
        );
    }
    match answer(&Arguments::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

type AnyError = Box<dyn std::error::Error>;

fn answer(arguments: &Arguments) -> Result<u8, AnyError> {
    let mut out = std::io::stdout().lock();
    match &arguments.command {
        Some(Command::Doctor) => {
            let report = doctor::report()?;
            writeln!(out, "{report}")?;
            Ok(u8::from(!report.is_healthy()))
        }
        Some(Command::List) => {
            for (name, text) in BUILT_IN {
                let summary = text.lines().next().unwrap_or_default().trim_start_matches("# ");
                writeln!(out, "{name:8} {summary}")?;
            }
            Ok(0)
        }
        Some(Command::Plan { seed }) => {
            write!(out, "{}", scenario(arguments)?.plan(Seed::new(*seed)).to_text())?;
            Ok(0)
        }
        None => run_seeds(arguments, &mut out),
    }
}

fn scenario(arguments: &Arguments) -> Result<Scenario, AnyError> {
    let mut scenario = if arguments.scenario.ends_with(".toml") {
        let text = std::fs::read_to_string(&arguments.scenario)
            .map_err(|error| format!("{}: {error}", arguments.scenario))?;
        Scenario::parse(&arguments.scenario, &text)?
    } else {
        Scenario::built_in(&arguments.scenario)?
    };
    if let Some(nodes) = arguments.nodes {
        scenario.nodes = nodes;
        scenario.check()?;
    }
    Ok(scenario)
}

fn run_seeds(arguments: &Arguments, out: &mut impl std::io::Write) -> Result<u8, AnyError> {
    let scenario = scenario(arguments)?;
    let fixed = match &arguments.plan {
        None => None,
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let plan = Plan::parse(&text)?;
            plan.check(scenario.nodes, scenario.until())?;
            Some(plan)
        }
    };
    let (from, to) = match (arguments.seed, arguments.seeds) {
        (Some(seed), _) => (seed, seed.checked_add(1).ok_or("the last seed is 2^64 - 2")?),
        (None, Some(range)) => range,
        (None, None) => return Err("say which seed: --seed N or --seeds A..B".into()),
    };
    let config = WorkerConfig {
        jobs: arguments.jobs,
        ..WorkerConfig::default()
    };
    let job = |seed: Seed| {
        let (scenario, fixed) = (scenario.clone(), fixed.clone());
        move |run: &Run<'_>| one(&scenario, fixed, seed, run)
    };
    let mut worst = 0;
    if arguments.check {
        for seed in from..to {
            let report = match check(&config, Seed::new(seed), &Perturbation::draw(seed), job)? {
                Checked::Same(report) | Checked::Failed(report) => report,
                Checked::Different(difference) => {
                    let factors = &difference.factors;
                    writeln!(
                        out,
                        "FAIL seed={seed} class=nondeterminism changed_by={factors:?}"
                    )?;
                    worst = Class::NonDeterminism.exit_code();
                    continue;
                }
            };
            worst = worse(worst, print(&report, arguments, out)?);
        }
        return Ok(worst);
    }
    let mut failed = None;
    let seeds = (from..to).map(|seed| sim::worker::Assignment::from(Seed::new(seed)));
    run_many(&config, seeds, job, |report| {
        match print(&report, arguments, out) {
            Ok(code) => {
                worst = worse(worst, code);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(worst), Err)
}

/// The exit code that decides, of two: the first in this order.
fn worse(one: u8, other: u8) -> u8 {
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

/// Runs one seed, inside a worker.
fn one(scenario: &Scenario, fixed: Option<Plan>, seed: Seed, run: &Run<'_>) -> Vec<u8> {
    let plan = fixed.unwrap_or_else(|| scenario.plan(seed));
    let (nodes, blobs) = load::build(seed, scenario.nodes, scenario.pause(), scenario.payload);
    let header = Header {
        kernel: Madsim::NAME.to_owned(),
        scenario: scenario.to_text(),
        plan: plan.to_text(),
        seed: seed.get(),
        crypto: "fast".to_owned(),
        ..Header::default()
    };
    let heartbeat = run.heartbeat();
    let simulation = Simulation {
        seed,
        config: scenario.world(seed),
        nodes,
        blobs,
        plan,
        until: scenario.until(),
        oracles: load::oracles(scenario.nodes),
        header,
        options: Options::default(),
        sink: None,
        pulse: Box::new(move |events, now| heartbeat.beat(events, now)),
    };
    let outcome = simulation
        .run::<Madsim>()
        .expect("the parent has checked the plan");
    let failure = outcome.violation.map(|violation| {
        let node = violation.node.map_or("-".to_owned(), |node| format!("n{node}"));
        let text = format!(
            "class={} oracle={} node={node} vtime={} what=\"{}\"",
            violation.class.name(),
            violation.oracle,
            violation.at,
            violation.what
        );
        Failure {
            code: violation.class.exit_code(),
            text,
            slice: outcome.slice,
        }
    });
    let said = Said {
        hash: outcome.summary.run_hash.to_string(),
        events: outcome.summary.events,
        virtual_ns: outcome.ended.as_nanos(),
        faults: outcome.faults,
        failure,
    };
    serde_json::to_vec(&said).expect("strings and numbers encode")
}

/// Prints the verdict of one seed and yields its exit code.
fn print(
    report: &WorkerReport,
    arguments: &Arguments,
    out: &mut impl std::io::Write,
) -> Result<u8, AnyError> {
    let seed = report.assignment.seed;
    let repro = format!("cargo xtask sim --seed {seed} --scenario {}", arguments.scenario);
    let WorkerOutcome::Finished { result } = &report.outcome else {
        writeln!(out, "FAIL seed={seed} {:?}\nrepro: {repro}", report.outcome)?;
        return Ok(report.outcome.exit_code().unwrap_or(1));
    };
    let said: Said = serde_json::from_slice(result)?;
    let (virtual_ms, wall_ms) = (said.virtual_ns / 1_000_000, report.wall.as_millis());
    let speed = u128::from(virtual_ms) / wall_ms.max(1);
    let figures = format!(
        "seed={seed} hash={} events={} vtime={}.{:03}s wall={wall_ms}ms speed={speed}x faults={}",
        said.hash,
        said.events,
        virtual_ms / 1_000,
        virtual_ms % 1_000,
        said.faults
    );
    match said.failure {
        None => {
            writeln!(out, "PASS {figures}")?;
            Ok(0)
        }
        Some(failure) => {
            write!(out, "{}", failure.slice)?;
            writeln!(out, "repro: {repro}\nFAIL {figures} {}", failure.text)?;
            Ok(failure.code)
        }
    }
}
