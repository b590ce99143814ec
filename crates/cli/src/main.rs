//! The command `soma`.

mod consensus;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

// With the feature `planted` this would not be constant, and would not compile.
const _: () = assert!(!::consensus::planted!(Amnesia), "nobody ships planted bugs");

/// Runs nodes of a SOMA network
#[derive(Parser)]
#[command(name = "soma", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A node that orders payloads and executes none of them
    Consensus(consensus::Arguments),
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let result = match command {
        Command::Consensus(arguments) => consensus::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soma: {error:#}");
            ExitCode::FAILURE
        }
    }
}
