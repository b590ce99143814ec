//! One seed, one forked process: a small single-threaded parent forks a worker per seed, watches its heartbeat,
//! measures its wall time and collects its result.
//!
//! A worker starts from the parent's memory, so whatever the parent has built (scenario, genesis, tables) is there at
//! no cost, and no static, cache or counter of one seed reaches another. The run gets a thread of its own, an empty
//! environment, and the guard ([`crate::guard`]) armed. It never reads the real clock.
//!
//! The parent must have one thread: a child of `fork` inherits the locks of threads it does not have.
//!
//! In reading order: [`Run`] is what a run sees; [`WorkerReport`] is how it ended; [`run`], [`run_many`] and
//! [`run_watched`] fork;
//! [`check()`] and [`check_many`] run seeds twice under a [`Perturbation`]; [`fix_layout`] gives every worker the same addresses.

mod backtrace;
mod board;
mod check;
mod child;
mod layout;
mod outcome;
mod perturbation;
mod pool;
mod process;
mod wire;

use std::{ops::ControlFlow, time::Duration};

pub(crate) use self::{
    backtrace::Frames,
    board::Slot,
    wire::{Kind, write as report},
};
pub use self::{
    backtrace::{Backtrace, Place},
    board::{Beat, Heartbeat},
    check::{Checked, Difference, Factor, check, check_many},
    layout::{Layout, fix_layout, layout, random_layout_command},
    outcome::{WorkerOutcome, WorkerReport},
    perturbation::Perturbation,
    pool::{Assignment, Batch, InFlight, News, overhead, run_many, run_watched},
    process::WallClock,
};
use crate::{draw::Seed, guard::Policy};

/// Most workers that live at one time.
pub const MAX_JOBS: usize = board::SLOTS;

/// How workers are run.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Workers that live at one time, `1..=MAX_JOBS`.
    pub jobs: usize,
    /// Processor time without a heartbeat after which a worker is hung. One that waits for what does not come uses
    /// none: six times as long on the wall is a hang too.
    pub hang_after: Duration,
    /// Bytes of private memory that a worker may have. More is an abort.
    pub max_memory: u64,
    /// Longest result in bytes. A run that returns more has panicked.
    pub max_result: usize,
    /// Stack of the run's thread, in bytes.
    pub stack: usize,
    /// What the guard does. `None` runs without it.
    pub guard: Option<Policy>,
    /// Standard output and error go nowhere.
    pub quiet: bool,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            jobs: 1,
            hang_after: Duration::from_secs(10),
            max_memory: 8 << 30,
            max_result: 256 << 20,
            stack: 16 << 20,
            guard: Some(Policy::default()),
            quiet: false,
        }
    }
}

/// What a run sees of its worker.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    seed: Seed,
    heartbeat: Heartbeat,
    perturbation: Option<&'a Perturbation>,
}

impl Run<'_> {
    /// The seed.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Where the run shows that it is alive. Copy it into the event loop.
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat
    }

    /// What is changed about the process, if this is the second run of a check.
    pub fn perturbation(&self) -> Option<&Perturbation> {
        self.perturbation
    }
}

/// Why no worker could be started.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The host refused a resource.
    #[error("the host refused {what}: {source}")]
    Refused {
        /// The resource.
        what: &'static str,
        /// Its answer.
        source: std::io::Error,
    },
    /// More workers were asked for than can live at one time.
    #[error("{jobs} jobs: 1 to {MAX_JOBS} workers can live at one time")]
    Jobs {
        /// How many.
        jobs: usize,
    },
    /// Ctrl-C came before the workers had ended.
    #[error("interrupted")]
    Interrupted,
}

/// Runs one seed in a worker. See [`run_many`].
pub fn run<J>(
    config: &WorkerConfig,
    assignment: impl Into<Assignment>,
    job: impl Fn(Seed) -> J,
) -> Result<WorkerReport, WorkerError>
where
    J: FnOnce(&Run<'_>) -> Vec<u8> + Send,
{
    let mut report = None;
    run_many(config, [assignment.into()], job, |ended| {
        report = Some(ended);
        ControlFlow::Continue(())
    })
    .and_then(|_| report.ok_or(WorkerError::Interrupted))
}
