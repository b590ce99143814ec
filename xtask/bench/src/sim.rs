//! Raw deliveries per second of our simulator beside others, in turns: ten nodes send 64-byte messages to each other.
//! No cryptography, no disk.
//!
//! Each turn of a contestant is a process of its own, which measures its own processor time: neither the features that
//! one of them asks of a shared dependency nor its leftovers reach another.

pub mod endpoint;
pub mod ours;
pub mod workload;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

use crate::measure::executable;
use workload::Workload;

/// How much is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Turns of each contestant; the median counts
    #[arg(long, default_value_t = 7)]
    turns: usize,
    #[command(flatten)]
    workload: Workload,
}

/// One turn of a contestant of this binary.
#[derive(clap::Subcommand)]
pub enum Contestant {
    /// `env::Network` in our simulator
    Soma(Workload),
    /// madsim's `Endpoint`
    Madsim(Workload),
}

/// Runs one turn in this process.
pub fn turn(contestant: &Contestant) -> anyhow::Result<()> {
    match contestant {
        Contestant::Soma(workload) => workload::measure(*workload, ours::run),
        Contestant::Madsim(workload) => workload::measure(*workload, endpoint::run),
    }
}

/// A simulator beside ours: the command of one turn, and how often ours has to be as fast.
struct Side {
    name: &'static str,
    goal: f64,
    program: PathBuf,
    arguments: &'static [&'static str],
    seconds: Vec<f64>,
}

/// Runs the comparison and prints it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let peers = executable(&folder, &["--release", "--locked"])?;
    let this = env::current_exe()?;
    let side = |name, goal, program: &Path, arguments| Side {
        name,
        goal,
        program: program.to_owned(),
        arguments,
        seconds: Vec::new(),
    };
    let mut sides = [
        side("soma", 1.0, &this, &["contestant", "soma"]),
        side("madsim Endpoint", 2.0, &this, &["contestant", "madsim"]),
        side("turmoil", 4.0, &peers, &["turmoil"]),
        side("commonware", 8.0, &peers, &["commonware"]),
    ];
    for _ in 0..arguments.turns {
        for side in &mut sides {
            let seconds = side.turn(&arguments.workload)?;
            side.seconds.push(seconds);
        }
    }
    print(&mut sides, arguments);
    Ok(())
}

impl Side {
    /// Seconds of processor time for the whole work.
    fn turn(&self, workload: &Workload) -> anyhow::Result<f64> {
        let output = Command::new(&self.program)
            .args(self.arguments)
            .args(["--windows", &workload.windows.to_string()])
            .args(["--window", &workload.window.to_string()])
            .args(["--bytes", &workload.bytes.to_string()])
            .output()?;
        ensure!(
            output.status.success(),
            "{} ended with {}: {}",
            self.name,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }
}

fn print(sides: &mut [Side], arguments: &Arguments) {
    let deliveries = arguments.workload.deliveries();
    println!(
        "{deliveries} deliveries of {} bytes each turn, {} in a window, {} turns",
        arguments.workload.bytes, arguments.workload.window, arguments.turns
    );
    println!(
        "{:<16} {:>12} {:>12} {:>12} {:>10} {:>6}",
        "M deliveries/s", "median", "least", "most", "soma is", "goal"
    );
    let mut ours = None;
    for side in sides {
        side.seconds.sort_by(f64::total_cmp);
        let rate = |place: usize| deliveries as f64 / side.seconds[place] / 1e6;
        let last = side.seconds.len() - 1;
        let median = rate(last / 2);
        let ours = *ours.get_or_insert(median);
        println!(
            "{:<16} {median:>12.3} {:>12.3} {:>12.3} {:>9.2}x {:>5}x",
            side.name,
            rate(last),
            rate(0),
            ours / median,
            side.goal
        );
    }
}
