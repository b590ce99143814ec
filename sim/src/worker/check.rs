//! The same seed twice, in two processes that differ in all that must not matter.

use std::{fmt, ops::ControlFlow};

use super::{
    Assignment, Batch, News, Perturbation, Run, WorkerConfig, WorkerError, WorkerOutcome, WorkerReport,
    pool::{run_many, run_watched},
};
use crate::draw::Seed;

/// What a run must not depend on, one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// The keys of default hashers.
    HasherKeys,
    /// The addresses of stack and heap.
    Addresses,
    /// What the process did before.
    History,
    /// The environment.
    Environment,
}

impl Factor {
    /// Every factor.
    pub const ALL: [Self; 4] = [
        Self::HasherKeys,
        Self::Addresses,
        Self::History,
        Self::Environment,
    ];

    /// `perturbation` with nothing but this factor.
    pub fn of(self, perturbation: &Perturbation) -> Perturbation {
        let none = Perturbation::default();
        match self {
            Self::HasherKeys => Perturbation {
                hasher_key: perturbation.hasher_key,
                ..none
            },
            Self::Addresses => Perturbation {
                shift: perturbation.shift,
                stack_offset: perturbation.stack_offset,
                alloc_padding: perturbation.alloc_padding,
                ..none
            },
            Self::History => Perturbation {
                history: perturbation.history,
                ..none
            },
            Self::Environment => Perturbation {
                environment: perturbation.environment.clone(),
                ..none
            },
        }
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HasherKeys => "hasher keys",
            Self::Addresses => "addresses",
            Self::History => "history of the process",
            Self::Environment => "environment",
        })
    }
}

/// What a double run found.
#[derive(Clone, Debug)]
pub enum Checked {
    /// Both runs returned the same bytes. The report is the first run's.
    Same(WorkerReport),
    /// The first run did not return: there is nothing to compare.
    Failed(WorkerReport),
    /// The runs differ: class non-determinism.
    Different(Box<Difference>),
}

/// How two runs of a seed differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The first run.
    pub plain: WorkerReport,
    /// The perturbed one.
    pub perturbed: WorkerReport,
    /// Where the results first differ, if both returned.
    pub at: Option<usize>,
    /// What makes them differ, each tried alone. A run that shows addresses may differ by hasher keys and history too,
    /// which both move its heap. Empty when only a combination does, or chance.
    pub factors: Vec<Factor>,
}

/// Runs `seed` plain and under `perturbation`. See [`check_many`].
pub fn check<J>(
    config: &WorkerConfig,
    seed: Seed,
    perturbation: &Perturbation,
    job: impl Fn(Seed) -> J,
) -> Result<Checked, WorkerError>
where
    J: FnOnce(&Run<'_>) -> Vec<u8> + Send,
{
    let mut found = None;
    check_many(
        config,
        [seed],
        |_| perturbation.clone(),
        job,
        |news| {
            if let News::Ended(checked) = news {
                found = Some(checked);
            }
            ControlFlow::Continue(())
        },
    )?;
    found.ok_or(WorkerError::Interrupted)
}

/// Runs each seed plain and under its perturbation, `config.jobs` runs at a time, and compares the results byte for
/// byte. When they differ, each factor is tried alone to name the cause. Answers come in the order of the seeds.
pub fn check_many<J>(
    config: &WorkerConfig,
    seeds: impl IntoIterator<Item = Seed>,
    perturbation: impl Fn(Seed) -> Perturbation,
    job: impl Fn(Seed) -> J,
    mut on_news: impl FnMut(News<Checked>) -> ControlFlow<()>,
) -> Result<Batch, WorkerError>
where
    J: FnOnce(&Run<'_>) -> Vec<u8> + Send,
{
    let assignments = seeds.into_iter().flat_map(|seed| {
        let perturbed = Assignment {
            seed,
            perturbation: Some(perturbation(seed)),
        };
        [Assignment::from(seed), perturbed]
    });
    let mut plain = None;
    let mut refused = None;
    let mut batch = run_watched(config, assignments, &job, |news| {
        let report = match news {
            News::Ended(report) => report,
            News::Running(in_flight) => return on_news(News::Running(in_flight)),
        };
        let Some(first) = plain.take() else {
            plain = Some(report);
            return ControlFlow::Continue(());
        };
        match compare(config, first, report, &job) {
            Ok(checked) => on_news(News::Ended(checked)),
            Err(error) => {
                refused = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    batch.reported /= 2;
    batch.in_flight.dedup();
    refused.map_or(Ok(batch), Err)
}

fn compare<J>(
    config: &WorkerConfig,
    plain: WorkerReport,
    perturbed: WorkerReport,
    job: impl Fn(Seed) -> J,
) -> Result<Checked, WorkerError>
where
    J: FnOnce(&Run<'_>) -> Vec<u8> + Send,
{
    let WorkerOutcome::Finished { result } = &plain.outcome else {
        return Ok(Checked::Failed(plain));
    };
    if perturbed.outcome == plain.outcome {
        return Ok(Checked::Same(plain));
    }
    let at = match &perturbed.outcome {
        WorkerOutcome::Finished { result: other } => Some(first_difference(result, other)),
        _ => None,
    };
    let perturbation = perturbed.assignment.perturbation.clone().unwrap_or_default();
    let alone = Factor::ALL.map(|factor| Assignment {
        seed: plain.assignment.seed,
        perturbation: Some(factor.of(&perturbation)),
    });
    let mut factors = Vec::new();
    run_many(config, alone, job, |report| {
        if report.outcome != plain.outcome {
            let factor = Factor::ALL
                .into_iter()
                .find(|factor| report.assignment.perturbation == Some(factor.of(&perturbation)));
            factors.extend(factor);
        }
        ControlFlow::Continue(())
    })?;
    Ok(Checked::Different(Box::new(Difference {
        plain,
        perturbed,
        at,
        factors,
    })))
}

/// The first index at which `a` and `b`, which are not equal, differ.
fn first_difference(a: &[u8], b: &[u8]) -> usize {
    let common = a.iter().zip(b).position(|(a, b)| a != b);
    common.unwrap_or(a.len().min(b.len()))
}
