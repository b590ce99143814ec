//! What developers run: the simulator, the tests, the checks. Every workflow and script is one line that calls it.
//!
//! Not here: anything of the network. This crate uses none of ours; it builds them and runs their binaries.
//!
//! Invariants:
//! - No build is ever `--workspace`: features would unify, and the simulator would get tokio's network and timers.
//! - Every child gets `--cfg madsim`, also where an environment's RUSTFLAGS replaces the repository's own.
//! - `sim` ends with the simulator's exit code and passes its arguments on untouched.
//!
//! Modules in reading order: [`workspace`], [`layers`], [`cargo`], [`tools`], [`sim`], [`planted`], [`bench`](mod@bench),
//! [`fuzz`], [`mutants`], [`test`](mod@test), [`readme`], [`fixtures`], [`tidy`], [`rocksdb`], [`ci`].

mod bench;
mod cargo;
mod ci;
mod fixtures;
mod fuzz;
mod layers;
mod mutants;
mod planted;
mod readme;
mod rocksdb;
mod sim;
mod test;
mod tidy;
mod tools;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "What developers run",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the simulator and run it: `cargo xtask sim --seed 1`, `cargo xtask sim --help`
    #[command(disable_help_flag = true)]
    Sim(Forwarded),
    /// Run what a trace records again: `sim replay`
    #[command(disable_help_flag = true)]
    Replay(Forwarded),
    /// Compare two traces: `sim diff`
    #[command(disable_help_flag = true)]
    Diff(Forwarded),
    /// Find the first different event of two runs: `sim bisect`
    #[command(disable_help_flag = true)]
    Bisect(Forwarded),
    /// Make a page of a trace: `sim view`
    #[command(disable_help_flag = true)]
    View(Forwarded),
    /// Say what this machine lets the simulator watch: `sim doctor`
    #[command(disable_help_flag = true)]
    Doctor(Forwarded),
    /// Plant one bug after the other, and write how many runs find it into sim/PLANTED.md
    #[command(disable_help_flag = true)]
    Planted(Forwarded),
    /// Run many seeds; for ten minutes unless the arguments say how many or how long
    #[command(disable_help_flag = true)]
    Swarm(Forwarded),
    /// Run the tests and the doc tests
    Test(test::Arguments),
    /// Run everything that a change must pass, and stop at the first failure
    Ci(ci::Arguments),
    /// Build the benchmarks optimised and run them: `cargo xtask bench [NAME]`
    #[command(disable_help_flag = true)]
    Bench(Forwarded),
    /// Try decoders with made-up words for a while: `cargo xtask fuzz block_frame --seconds 600`
    Fuzz(fuzz::Arguments),
    /// Put small faults into a copy of the ledger, one at a time, and say which its tests do not notice
    Mutants(mutants::Arguments),
    /// Compare what programs wrote into the repository (fixtures, the run in README.md) with what they write now
    Fixtures(fixtures::Arguments),
    /// Check what no compiler checks: layers, the simulator's tree, banned words, files and documents
    Tidy,
}

#[derive(clap::Args)]
struct Forwarded {
    /// Passed on as they are; a leading `--dev` builds the simulator without optimisation, `--planted` with planted bugs
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    match command {
        Command::Sim(forwarded) => sim::run(&workspace, None, forwarded.arguments),
        Command::Replay(forwarded) => sim::run(&workspace, Some("replay"), forwarded.arguments),
        Command::Diff(forwarded) => sim::run(&workspace, Some("diff"), forwarded.arguments),
        Command::Bisect(forwarded) => sim::run(&workspace, Some("bisect"), forwarded.arguments),
        Command::View(forwarded) => sim::run(&workspace, Some("view"), forwarded.arguments),
        Command::Doctor(forwarded) => sim::doctor(&workspace, forwarded.arguments),
        Command::Planted(forwarded) => planted::run(&workspace, forwarded.arguments),
        Command::Swarm(forwarded) => sim::swarm(&workspace, forwarded.arguments),
        Command::Test(arguments) => test::run(&workspace, &arguments),
        Command::Ci(arguments) => ci::run(&workspace, &arguments),
        Command::Bench(forwarded) => bench::run(&workspace, forwarded.arguments),
        Command::Fuzz(arguments) => fuzz::run(&workspace, &arguments),
        Command::Mutants(arguments) => mutants::run(&workspace, &arguments),
        Command::Fixtures(arguments) => fixtures::run(&workspace, &arguments),
        Command::Tidy => tidy::run(&workspace),
    }
}
