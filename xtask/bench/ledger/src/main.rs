//! How fast the ledger is, and what its rules come to: `cargo xtask bench ledger` names the parts and
//! `cargo xtask bench ledger PART` runs one. A program of its own, for it needs a twentieth of what other benchmarks do.

mod audits;
mod chart;
mod close;
mod difficulty;
mod emission;
mod growth;
mod machine;
mod numbers;
mod pacing;
mod plots;
mod transfers;
mod world;

use clap::{CommandFactory, Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask bench ledger",
    about = "How fast the ledger is, and what its rules come to"
)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// Write the plots of `figures` as SVG
    Plots(plots::Arguments),
    /// What difficulty, emission and pacing come to, as tables: the same on every machine
    Figures,
    /// What auditors have to run in the worst case: the same on every machine
    Audits,
    /// Transfers per second of one core without signatures, and what each piece of one takes
    Transfers(transfers::Arguments),
    /// The end of an epoch
    Close(close::Arguments),
    /// What a transfer takes over the number of objects
    Growth(growth::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().part {
        None => Ok(Arguments::command().print_help()?),
        Some(Part::Plots(arguments)) => plots::run(&arguments),
        Some(Part::Figures) => {
            println!("{}", difficulty::table());
            println!("{}", emission::table());
            print!("{}", pacing::table());
            Ok(())
        }
        Some(Part::Audits) => audits::run(),
        Some(Part::Transfers(arguments)) => transfers::run(&arguments),
        Some(Part::Close(arguments)) => close::run(&arguments),
        Some(Part::Growth(arguments)) => growth::run(&arguments),
    }
}
