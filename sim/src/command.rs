//! The command line: what each word of it does, and with which exit code it ends.

mod arguments;
mod compare;
mod files;
mod localise;
mod minimise;
mod output;
#[cfg(feature = "planted")]
mod planted;
mod replay;
mod rules;
mod runner;
mod setup;

use std::io::Write as _;

use anyhow::Result;
use sim::recipe::{Build, Recipe};
use sim::scenario::BUILT_IN;
use sim::wan::Table;
use sim::{Seed, consensus, doctor};

pub use arguments::Arguments;
use arguments::Command;

/// The command line, or a file that it names, is wrong. Everything else that goes wrong is the simulator's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// The exit code of a command line that is refused.
pub const REFUSED: u8 = 2;

/// The exit code of a command that was interrupted before anything failed.
pub const INTERRUPTED: u8 = 130;

/// Does what the arguments say, and yields the exit code.
pub fn run(arguments: &Arguments) -> Result<u8> {
    match &arguments.command {
        None => runner::run(&arguments.run),
        Some(Command::Replay(arguments)) => replay::replay(arguments),
        Some(Command::Diff { left, right, format }) => compare::compare(left, right, format.format),
        Some(Command::Bisect(arguments)) => compare::bisect(arguments),
        Some(Command::View { trace, out }) => files::make_page(trace, out),
        Some(Command::Export(arguments)) => files::export(arguments),
        Some(Command::Plan { seed, what }) => {
            let recipe: Recipe = setup::recipe(what, Build::default())?;
            write!(std::io::stdout(), "{}", recipe.plan(Seed::new(*seed)).to_text())?;
            Ok(0)
        }
        Some(Command::List) => {
            let mut out = std::io::stdout().lock();
            for (name, text) in BUILT_IN {
                let summary = text.lines().next().unwrap_or_default().trim_start_matches("# ");
                writeln!(out, "{name:12} {summary}")?;
            }
            for (name, summary) in consensus::strategies().iter() {
                writeln!(out, "strategy {name:16} {summary}")?;
            }
            let table = Table::ten_regions();
            let floor = |hops| table.floor(50, hops, 67).as_millis();
            writeln!(
                out,
                "net = \"{}\": {} regions; 50 nodes of equal stake hear 67 % of each other {} ms after a leader began, \
                 and again after {} ms",
                table.name,
                table.regions.len(),
                floor(2),
                floor(3)
            )?;
            Ok(0)
        }
        Some(Command::Doctor) => {
            let report = doctor::report()?;
            writeln!(std::io::stdout(), "{report}")?;
            Ok(u8::from(!report.is_healthy()))
        }
        #[cfg(feature = "planted")]
        Some(Command::Planted(arguments)) => planted::run(arguments),
    }
}
