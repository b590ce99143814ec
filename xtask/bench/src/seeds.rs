//! How fast the simulator explores: virtual seconds per second of one core, and seeds per hour. Measured with the
//! program that developers run, its workers and its guard, in turns.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::measure::{executable, median};
use crate::sim::workload::processor_time;
use crate::wan::goals::{Goal, print};

/// How much is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Turns of each row; the median counts
    #[arg(long, default_value_t = 3)]
    turns: u64,
    /// Seeds of a turn of the swarm
    #[arg(long, default_value_t = 20)]
    seeds: u64,
}

/// Virtual seconds that the goal counts for one seed, and the seeds per hour and core that it asks for at ten nodes.
const SEED_SECONDS: f64 = 30.0;
const GOAL: f64 = 10_000.0;

struct Row {
    scenario: &'static str,
    nodes: usize,
    seeds: u64,
    speeds: Vec<f64>,
}

/// The program whose speed is measured.
fn program() -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sim");
    executable(&folder, &["--profile", "sim", "--bin", "soma-sim", "--locked"])
}

/// Prints how fast calm runs of 4, 10 and 50 members are, beside the goals.
pub fn speed() -> anyhow::Result<()> {
    let program = program()?;
    for (nodes, goal) in [(4, 1_000.0), (10, 400.0), (50, 10.0)] {
        let row = Row::new("calm", nodes, 1);
        let mut speeds = Vec::new();
        for turn in 0..3 {
            speeds.push(row.turn(&program, 1 + turn)?);
        }
        let what = format!("{nodes} members, virtual s per core s");
        print("S2", &what, median(&mut speeds), Goal::AtLeast(goal), "");
    }
    Ok(())
}

/// Prints how many seeds of 30 virtual seconds the swarm explores with ten members in four regions, beside the goal.
pub fn exploration(seeds: u64) -> anyhow::Result<()> {
    let speed = Row::new("wan", 10, seeds).turn(&program()?, 1)?;
    let per_hour = speed * 3_600.0 / SEED_SECONDS;
    print("S7", "seeds per hour and core", per_hour, Goal::AtLeast(GOAL), "");
    Ok(())
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let program = program()?;
    let row = Row::new;
    let mut rows = [
        row("calm", 4, 1),
        row("calm", 10, 1),
        row("calm", 50, 1),
        row("swarm", 4, arguments.seeds),
        row("swarm", 10, arguments.seeds),
    ];
    for turn in 0..arguments.turns {
        for row in &mut rows {
            let speed = row.turn(&program, 1 + turn * row.seeds)?;
            row.speeds.push(speed);
        }
    }
    println!(
        "{:<8} {:>6} {:>24} {:>24} {:>8}",
        "", "nodes", "virtual s per core s", "seeds of 30 s/h/core", "goal"
    );
    for row in &mut rows {
        let speed = median(&mut row.speeds);
        let goal = match (row.scenario, row.nodes) {
            ("swarm", 10) => GOAL.to_string(),
            _ => String::new(),
        };
        let seeds = speed * 3_600.0 / SEED_SECONDS;
        println!(
            "{:<8} {:>6} {speed:>24.1} {seeds:>24.0} {goal:>8}",
            row.scenario, row.nodes
        );
    }
    Ok(())
}

impl Row {
    const fn new(scenario: &'static str, nodes: usize, seeds: u64) -> Self {
        Self {
            scenario,
            nodes,
            seeds,
            speeds: Vec::new(),
        }
    }

    /// Virtual seconds of all seeds from `first` on, per second of processor time.
    fn turn(&self, program: &Path, first: u64) -> anyhow::Result<f64> {
        let before = processor_time(libc::RUSAGE_CHILDREN);
        let output = Command::new(program)
            .args(["--scenario", self.scenario, "--nodes", &self.nodes.to_string()])
            .args(["--seeds", &format!("{first}..{}", first + self.seeds)])
            .output()?;
        let spent = processor_time(libc::RUSAGE_CHILDREN) - before;
        let said = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "a seed failed:\n{said}");
        // The line before the verdict says what runs, and has none.
        let verdict = said.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            words.find_map(|word| word.strip_prefix("vtime=")?.strip_suffix('s'))
        });
        let seconds: f64 = verdict.context("a verdict has its virtual time")?.parse()?;
        Ok(seconds / spent.as_secs_f64())
    }
}
