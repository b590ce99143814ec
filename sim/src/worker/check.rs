//! The same seed twice, in two processes that differ in all that must not matter.

use super::{
    Assignment, Perturbation, Run, WorkerConfig, WorkerError, WorkerOutcome, WorkerReport, pool::run_many,
    run,
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
    /// The log level.
    Logging,
}

impl Factor {
    /// Every factor.
    pub const ALL: [Self; 5] = [
        Self::HasherKeys,
        Self::Addresses,
        Self::History,
        Self::Environment,
        Self::Logging,
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
            Self::Logging => Perturbation {
                verbose: perturbation.verbose,
                ..none
            },
        }
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

/// Runs `seed` plain and under `perturbation`, and compares the results byte for byte. When they differ, each factor is
/// tried alone to name the cause.
pub fn check<J>(
    config: &WorkerConfig,
    seed: Seed,
    perturbation: &Perturbation,
    job: impl Fn(Seed) -> J,
) -> Result<Checked, WorkerError>
where
    J: FnOnce(&Run<'_>) -> Vec<u8> + Send,
{
    let under = |perturbation: Perturbation| Assignment {
        seed,
        perturbation: Some(perturbation),
    };
    let plain = run(config, seed, &job)?;
    let WorkerOutcome::Finished { result } = &plain.outcome else {
        return Ok(Checked::Failed(plain));
    };
    let perturbed = run(config, under(perturbation.clone()), &job)?;
    if perturbed.outcome == plain.outcome {
        return Ok(Checked::Same(plain));
    }
    let at = match &perturbed.outcome {
        WorkerOutcome::Finished { result: other } => Some(first_difference(result, other)),
        _ => None,
    };
    let mut factors = Vec::new();
    let alone = Factor::ALL.map(|factor| under(factor.of(perturbation)));
    run_many(config, alone, &job, |report| {
        if report.outcome != plain.outcome {
            let factor = Factor::ALL
                .into_iter()
                .find(|factor| report.assignment.perturbation == Some(factor.of(perturbation)));
            factors.extend(factor);
        }
        std::ops::ControlFlow::Continue(())
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
