//! What a forked worker costs per seed: empty runs, one at a time, with every guard armed.

use std::time::Duration;

use sim::worker;

use crate::measure::median;
use crate::sim::workload::processor_time;

/// How much is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Batches; the median counts
    #[arg(long, default_value_t = 9)]
    turns: usize,
    /// Seeds in a batch
    #[arg(long, default_value_t = 200)]
    seeds: u32,
}

/// Milliseconds per seed that the goal allows.
const GOAL_MS: f64 = 2.0;

/// Processor time of this process and of the workers that have ended.
fn spent() -> Duration {
    processor_time(libc::RUSAGE_SELF) + processor_time(libc::RUSAGE_CHILDREN)
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (mut wall, mut processor) = (Vec::new(), Vec::new());
    for _ in 0..arguments.turns {
        let before = spent();
        wall.push(worker::overhead(arguments.seeds)?.as_secs_f64() * 1e3);
        processor.push((spent() - before).as_secs_f64() * 1e3 / f64::from(arguments.seeds));
    }
    println!(
        "ms per seed, medians of {} turns: {:.3} of the wall's time, {:.3} of processor time; goal {GOAL_MS}",
        arguments.turns,
        median(&mut wall),
        median(&mut processor),
    );
    Ok(())
}
