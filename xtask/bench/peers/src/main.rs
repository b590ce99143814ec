//! Other simulators at the work that `cargo xtask bench sim` measures ours with, each in a process of its own.

mod commonware;
mod turmoil;
#[path = "../../src/sim/workload.rs"]
mod workload;

use clap::{Parser, Subcommand};

use workload::Workload;

#[derive(Parser)]
#[command(name = "soma-peers")]
struct Arguments {
    #[command(subcommand)]
    peer: Peer,
}

#[derive(Subcommand)]
enum Peer {
    /// `commonware-p2p`'s simulated network on `commonware-runtime`'s deterministic runtime
    Commonware(Workload),
    /// turmoil's UDP
    Turmoil(Workload),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().peer {
        Peer::Commonware(workload) => workload::measure(workload, commonware::run),
        Peer::Turmoil(workload) => workload::measure(workload, turmoil::run),
    }
}
