//! Planted leaks: small functions that do, inside a run, what no run may, to prove that each would be seen.
//!
//! A canary's bytes stand for a run's hash. It is caught by a tripwire of the guard, by a panic, or because a perturbed
//! second run returns other bytes. A tripwire that the host refuses is reported as not armed, never as a pass.
//!
//! The leaks that need crates or features which a run must not have are behind the feature `canary`, which
//! `cargo xtask doctor` builds: no other build has them.

#[cfg(feature = "canary")]
mod crates;
mod host;
mod process;

use std::{fmt, future::Future, pin::Pin};

use crate::{
    draw::Seed,
    guard::{Armed, Policy},
    worker::{
        Checked, Factor, Perturbation, Place, Run, WorkerConfig, WorkerError, WorkerOutcome, WorkerReport,
        check,
    },
};

type Body = Pin<Box<dyn Future<Output = Vec<u8>>>>;

/// A planted leak.
#[derive(Debug)]
pub struct Canary {
    /// Its name.
    pub name: &'static str,
    /// How it must be caught.
    pub expected: Expected,
    body: fn() -> Body,
}

/// How a canary must be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// By this tripwire, in a report that starts with this text.
    Trip(Tripwire, &'static str),
    /// By a panic whose message holds this text.
    Panic(&'static str),
    /// By the second run, because of this factor.
    Difference(Factor),
    /// Not at all: a run may do this.
    Nothing,
}

/// A tripwire of [`Armed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tripwire {
    /// System calls.
    Seccomp,
    /// The time-stamp counter.
    Tsc,
    /// Library functions.
    Functions,
}

/// What became of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Caught as it must be; or let be, if it is no leak.
    Pass,
    /// Not caught, or otherwise than it must be.
    Missed,
    /// The host refused the tripwire that would catch it.
    NotArmed,
}

/// What became of a canary, and where it sat.
#[derive(Clone, Debug)]
pub struct Report {
    /// The canary.
    pub canary: &'static Canary,
    /// What became of it.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// The first offending place, for what stops the run there. A difference has its cause in `seen`.
    pub place: Option<Place>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.verdict, self.canary.expected) {
            (Verdict::Pass, Expected::Nothing) => "clean",
            (Verdict::Pass, _) => "caught",
            (Verdict::Missed, _) => "MISSED",
            (Verdict::NotArmed, _) => "not armed",
        };
        let seen = self.seen.lines().next().unwrap_or_default();
        write!(f, "{:<20} {verdict:<9} {seen}", self.canary.name)?;
        self.place
            .as_ref()
            .map_or(Ok(()), |place| write!(f, ", in {place}"))
    }
}

/// Every canary of this build.
pub fn canaries() -> impl Iterator<Item = &'static Canary> {
    let canaries = process::CANARIES.iter().chain(&host::CANARIES);
    #[cfg(feature = "canary")]
    let canaries = canaries.chain(&crates::CANARIES);
    canaries
}

/// Lets every canary loose, each in workers of its own.
pub fn run_all() -> Result<Vec<Report>, WorkerError> {
    canaries().map(Canary::run).collect()
}

impl Canary {
    /// Lets it loose, in a worker, twice unless the first one ends it.
    pub fn run(&'static self) -> Result<Report, WorkerError> {
        let config = WorkerConfig {
            guard: Some(Policy::default()),
            quiet: true,
            ..WorkerConfig::default()
        };
        let job = |seed: Seed| {
            move |_: &Run<'_>| {
                let config = madsim::Config::default();
                madsim::runtime::Runtime::with_seed_and_config(seed.get(), config).block_on((self.body)())
            }
        };
        let checked = check(&config, Seed::new(1), &Perturbation::draw(2), job)?;
        Ok(self.judge(&checked))
    }

    fn judge(&'static self, checked: &Checked) -> Report {
        let (report, seen, factors): (&WorkerReport, String, &[Factor]) = match checked {
            Checked::Same(report) => (report, String::from("two runs are equal"), &[]),
            Checked::Failed(report) => (report, report.outcome.to_string(), &[]),
            Checked::Different(difference) => (
                &difference.plain,
                format!("two runs differ by {:?}", difference.factors),
                &difference.factors,
            ),
        };
        let outcome = &report.outcome;
        let pass = match (self.expected, outcome) {
            (Expected::Trip(_, text), WorkerOutcome::Tripped { what, .. }) => {
                what.to_string().starts_with(text)
            }
            (Expected::Panic(text), WorkerOutcome::Panicked { message, .. }) => message.contains(text),
            (Expected::Difference(factor), _) => factors.contains(&factor),
            (Expected::Nothing, _) => matches!(checked, Checked::Same(_)),
            _ => false,
        };
        let verdict = match self.expected {
            _ if pass => Verdict::Pass,
            Expected::Trip(wire, _) if !wire.is_in(report.armed) => Verdict::NotArmed,
            _ => Verdict::Missed,
        };
        Report {
            canary: self,
            verdict,
            seen,
            place: outcome.backtrace().and_then(|backtrace| backtrace.culprit()),
        }
    }
}

impl Tripwire {
    fn is_in(self, armed: Armed) -> bool {
        match self {
            Self::Seccomp => armed.seccomp,
            Self::Tsc => armed.tsc,
            Self::Functions => armed.functions,
        }
    }
}

/// The canary `name`, whose body is the async function `$leak`.
macro_rules! canary {
    ($name:literal, $expected:expr, $leak:path) => {
        $crate::canary::Canary {
            name: $name,
            expected: $expected,
            body: || Box::pin($leak()),
        }
    };
}
use canary;
