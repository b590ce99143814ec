//! `soma consensus`: a consensus-only node, and a committee of them on this machine.
//!
//! Modules in reading order: [`config`] (the file of a node), [`localnet`] (a committee on this machine), [`load`]
//! (payloads made up for a measurement), [`notes`] (a record of what was committed), [`stats`] (what is measured), [`member`]
//! (one node, from start to end).

mod config;
mod load;
mod localnet;
mod member;
mod notes;
mod stats;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};

use self::load::Load;
use self::member::Startup;
use self::notes::Notes;

/// What to run.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The node's file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// This member's keys have never signed in this epoch: needed where its data folder is new, and only then
    #[arg(long)]
    first_start: bool,
    /// Where every commit is noted: a line of epoch, index, digest and number of payloads. The file grows with the chain
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
    #[command(flatten)]
    measure: Measure,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the files of a committee on this machine, and runs it
    Localnet(localnet::Arguments),
}

/// What is measured, and for how long.
#[derive(Args, Clone, Debug)]
pub struct Measure {
    /// Payloads that each node makes up, per second
    #[arg(long, value_name = "TPS", default_value_t = 0)]
    load: u64,
    /// Bytes of such a payload
    #[arg(long, value_name = "BYTES", default_value_t = 512)]
    size: usize,
    /// Ends after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// Time between two lines of figures
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    status_ms: u64,
    /// Where the lines go as JSON, one a line
    #[arg(long, value_name = "FILE")]
    stats_file: Option<PathBuf>,
}

impl Measure {
    fn load(&self) -> anyhow::Result<Option<Load>> {
        Ok(match self.load {
            0 => None,
            rate => Some(Load::new(rate, self.size)?),
        })
    }

    fn period(&self) -> Duration {
        Duration::from_millis(self.status_ms.max(1))
    }
}

/// Runs the command until it is interrupted.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("tokio does not start")?;
    runtime.block_on(async {
        match (arguments.command, arguments.config) {
            (Some(Command::Localnet(arguments)), _) => localnet::run(arguments).await,
            (None, Some(file)) => {
                let startup = Startup {
                    config: config::load(&file)?,
                    is_first: arguments.first_start,
                    notes: arguments.notes.as_deref().map(Notes::open).transpose()?,
                };
                member::run_all(vec![startup], &arguments.measure).await
            }
            (None, None) => anyhow::bail!("name a node's file with --config FILE, or say `localnet`"),
        }
    })
}
