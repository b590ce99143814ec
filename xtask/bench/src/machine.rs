//! The machine alone: what a committed transaction takes of each member without store, network and driver, in instructions
//! (callgrind), allocations and nanoseconds.
//!
//! Members make a block in every round, lay it out, and hear the frames of all others, which they decode and check. With
//! the simulator's signatures what signatures take is left out; beside it stand those of production. Instructions are the
//! difference between two runs of which one has more rounds, so that what is done once is left out.

pub mod lockstep;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use bytes::Bytes;
use consensus::{Production, Suite};
use sim::consensus::SimSuite;

use self::lockstep::Lockstep;
use crate::allocations;

/// How much is measured.
#[derive(clap::Args, Clone)]
pub struct Arguments {
    /// Members
    #[arg(long, default_value_t = 4)]
    nodes: usize,
    /// Rounds that are measured
    #[arg(long, default_value_t = 200)]
    rounds: u64,
    /// Transactions in a block
    #[arg(long, default_value_t = 64)]
    transactions: usize,
    /// Bytes of a transaction
    #[arg(long, default_value_t = 512)]
    bytes: usize,
    /// Where callgrind's account of the run with the simulator's signatures is kept, for callgrind_annotate
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// One run and nothing said: what callgrind watches
    #[arg(long, hide = true, value_enum)]
    once: Option<Signatures>,
}

/// Which signatures are made and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Signatures {
    /// A keyed hash.
    Sim,
    /// Ed25519 and BLS.
    Production,
}

/// Rounds before those that are measured: more than the graph is high.
const WARMUP: u64 = 80;
/// Rounds in which what is under way is ordered.
const DRAIN: u64 = 10;

/// What one transaction takes of one member.
struct Figures {
    instructions: Option<f64>,
    allocations: f64,
    ns: f64,
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(signatures) = arguments.once {
        return signatures.turn(arguments).map(drop);
    }
    let sim = Signatures::Sim.figures(arguments)?;
    let production = Signatures::Production.figures(arguments)?;
    println!(
        "{} machines, {} transactions of {} bytes in each block, {} rounds",
        arguments.nodes, arguments.transactions, arguments.bytes, arguments.rounds
    );
    println!(
        "{:<32} {:>16} {:>16} {:>8}",
        "per transaction and member", "no signatures", "ed25519, BLS", "goal"
    );
    let instructions = |figures: &Figures| {
        figures
            .instructions
            .map_or("-".to_owned(), |count| format!("{count:.0}"))
    };
    println!(
        "{:<32} {:>16} {:>16} {:>8}",
        "instructions",
        instructions(&sim),
        instructions(&production),
        "<= 8000"
    );
    println!(
        "{:<32} {:>16.3} {:>16.3} {:>8}",
        "allocations", sim.allocations, production.allocations, "<= 1"
    );
    println!("{:<32} {:>16.0} {:>16.0}", "ns", sim.ns, production.ns);
    if sim.instructions.is_none() {
        println!("without valgrind nobody counts instructions");
    }
    Ok(())
}

impl Signatures {
    fn turn(self, arguments: &Arguments) -> anyhow::Result<Figures> {
        match self {
            Self::Sim => turn::<SimSuite>(arguments),
            Self::Production => turn::<Production>(arguments),
        }
    }

    fn figures(self, arguments: &Arguments) -> anyhow::Result<Figures> {
        let mut figures = self.turn(arguments)?;
        let few = self.watched(arguments, arguments.rounds, None)?;
        let profile = arguments.profile.as_ref().filter(|_| self == Self::Sim);
        let many = self.watched(arguments, 2 * arguments.rounds, profile)?;
        figures.instructions = few
            .zip(many)
            .map(|(few, many)| (many - few) as f64 / arguments.committed(arguments.rounds));
        Ok(figures)
    }

    /// Instructions of one run with so many rounds; `None` where there is no valgrind.
    fn watched(
        self,
        arguments: &Arguments,
        rounds: u64,
        profile: Option<&PathBuf>,
    ) -> anyhow::Result<Option<u64>> {
        let folder = tempfile::tempdir()?;
        let file = profile
            .cloned()
            .unwrap_or_else(|| folder.path().join("callgrind.out"));
        let command = Command::new("valgrind")
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(std::env::current_exe()?)
            .arg("machine")
            .args(["--nodes", &arguments.nodes.to_string()])
            .args(["--rounds", &rounds.to_string()])
            .args(["--transactions", &arguments.transactions.to_string()])
            .args(["--bytes", &arguments.bytes.to_string()])
            .args(["--once", if self == Self::Sim { "sim" } else { "production" }])
            .output();
        let Ok(output) = command else { return Ok(None) };
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "callgrind failed:\n{said}");
        let count = said
            .lines()
            .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
        Ok(Some(count.context("callgrind says how much it counted")?))
    }
}

impl Arguments {
    /// Transactions of so many rounds, once for each member.
    fn committed(&self, rounds: u64) -> f64 {
        (rounds * self.nodes as u64 * self.transactions as u64 * self.nodes as u64) as f64
    }
}

fn turn<S: Suite>(arguments: &Arguments) -> anyhow::Result<Figures> {
    let mut machines = Lockstep::<S>::new(arguments.nodes, None)?;
    // One piece of memory for all of them: making payloads is not measured.
    let bytes = Bytes::from(vec![7; arguments.bytes * arguments.transactions]);
    let payloads: Vec<Bytes> = (0..arguments.transactions)
        .map(|place| bytes.slice(place * arguments.bytes..(place + 1) * arguments.bytes))
        .collect();
    let never = |_, _, _| false;
    for _ in 0..WARMUP {
        machines.round(&payloads, never)?;
    }
    let (start, before) = (Instant::now(), allocations::count());
    for _ in 0..arguments.rounds {
        machines.round(&payloads, never)?;
    }
    let (spent, asked) = (start.elapsed(), allocations::count() - before);
    for _ in 0..DRAIN {
        machines.round(&[], never)?;
    }
    let each = arguments.nodes as u64 * arguments.transactions as u64;
    machines.check((WARMUP + arguments.rounds) * each)?;
    let committed = arguments.committed(arguments.rounds);
    Ok(Figures {
        instructions: None,
        allocations: asked as f64 / committed,
        ns: spent.as_secs_f64() * 1e9 / committed,
    })
}
