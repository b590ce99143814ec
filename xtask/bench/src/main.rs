//! Benchmarks that compare two things in one run. `cargo run --release -p soma-bench -- quic`.

mod quic;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "soma-bench", about = "Benchmarks that compare two things in one run")]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// The node's network over loopback, beside a bare quinn echo.
    Quic(quic::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().bench {
        Bench::Quic(arguments) => quic::run(&arguments),
    }
}
