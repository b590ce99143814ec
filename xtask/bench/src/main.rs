//! Benchmarks that compare two things in one run: `cargo xtask bench` names them, `cargo xtask bench NAME` runs one.

mod allocations;
mod committer;
mod consensus;
mod machine;
mod measure;
mod quic;
mod seeds;
mod sim;
mod trace;
mod wan;
mod worker;

use clap::{CommandFactory, Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "soma-bench",
    about = "Benchmarks that compare two things in one run",
    after_help = "`cargo xtask bench ledger` has the ledger's, in a program of its own."
)]
struct Arguments {
    #[command(subcommand)]
    bench: Option<Bench>,
}

#[derive(Subcommand)]
enum Bench {
    /// Our simulator beside madsim's Endpoint, turmoil and commonware: raw deliveries per second
    Sim(sim::Arguments),
    /// Seeds per hour and virtual seconds per second of one core, with the simulator that developers run
    Seeds(seeds::Arguments),
    /// What hashing every event takes of a run
    Trace(trace::Arguments),
    /// What a forked worker costs per seed
    Worker(worker::Arguments),
    /// The node's network over loopback, beside a bare quinn echo
    Quic(quic::Arguments),
    /// A committee in this process over loopback: processor time per transaction, saturation, idleness
    Consensus(consensus::Arguments),
    /// The machine alone: instructions, allocations and nanoseconds per committed transaction
    Machine(machine::Arguments),
    /// The commit rule alone: nanoseconds per block over the number of members
    Committer(committer::Arguments),
    /// Members in ten regions, in virtual time, and the simulator's speed, beside the goals
    Wan(wan::Arguments),
    /// One turn of one side of `sim`
    #[command(hide = true, subcommand)]
    Contestant(sim::Contestant),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().bench {
        None => Ok(Arguments::command().print_help()?),
        Some(Bench::Sim(arguments)) => sim::run(&arguments),
        Some(Bench::Seeds(arguments)) => seeds::run(&arguments),
        Some(Bench::Trace(arguments)) => trace::run(&arguments),
        Some(Bench::Worker(arguments)) => worker::run(&arguments),
        Some(Bench::Quic(arguments)) => quic::run(&arguments),
        Some(Bench::Consensus(arguments)) => consensus::run(&arguments),
        Some(Bench::Machine(arguments)) => machine::run(&arguments),
        Some(Bench::Committer(arguments)) => committer::run(&arguments),
        Some(Bench::Wan(arguments)) => wan::run(&arguments),
        Some(Bench::Contestant(contestant)) => sim::turn(&contestant),
    }
}
