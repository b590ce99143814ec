//! `soma-sim`: runs seeds, compares and shows what they did, and says whether this machine can be trusted with them.

mod command;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Parser as _;
use sim::worker::{WorkerError, fix_layout};

use command::{Arguments, INTERRUPTED, REFUSED, Refusal};

fn main() -> ExitCode {
    if let Err(error) = fix_layout() {
        eprintln!(
            "warning: addresses are random here, so a run that depends on them will not repeat: {error}"
        );
    }
    let error = match command::run(&Arguments::parse()) {
        Ok(code) => return ExitCode::from(code),
        Err(error) => error,
    };
    let closed = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe);
    if !closed {
        eprintln!("error: {error:#}");
    }
    let interrupted = matches!(error.downcast_ref(), Some(WorkerError::Interrupted));
    ExitCode::from(match interrupted {
        true => INTERRUPTED,
        false if error.is::<Refusal>() => REFUSED,
        false => 1,
    })
}
