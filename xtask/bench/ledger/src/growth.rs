//! What a transfer takes over the number of objects that there are.
//!
//! The transfers are the same in number, and their coins are spread over all that there are. What the map of `Memory` takes is measured
//! beside: so many lookups and writes as the transfers do, and nothing else.

use std::hint::black_box;
use std::time::Instant;

use anyhow::ensure;
use ledger::{Application, Memory, Objects};
use types::ObjectId;

use crate::machine::{median, name};
use crate::world::World;

/// How much is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Objects
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    objects: Vec<usize>,
    /// Transfers of a turn, in one commit
    #[arg(long, default_value_t = 1_000)]
    transfers: usize,
    /// Turns; the median counts
    #[arg(long, default_value_t = 9)]
    turns: usize,
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut worlds = Vec::new();
    for objects in &arguments.objects {
        worlds.push((
            World::new(*objects, 1, arguments.transfers)?,
            [Vec::new(), Vec::new()],
        ));
    }
    for _ in 0..arguments.turns {
        for (world, times) in &mut worlds {
            let [whole, map] = turn(world)?;
            times[0].push(whole);
            times[1].push(map);
        }
    }
    println!(
        "{}, one core; {} transfers, {} turns",
        name(),
        arguments.transfers,
        arguments.turns
    );
    println!(
        "{:>12} {:>16} {:>10} {:>16} {:>16}",
        "objects", "ns per transfer", "ratio", "of it the map", "without the map"
    );
    let mut first = None;
    for ((_, times), objects) in worlds.iter_mut().zip(&arguments.objects) {
        let [whole, map] = times.each_mut().map(|times| median(times));
        let first = *first.get_or_insert(whole);
        println!(
            "{objects:>12} {whole:>16.0} {:>10.2} {map:>16.0} {:>16.0}",
            whole / first,
            whole - map
        );
    }
    Ok(())
}

/// What a transfer takes, and what the map takes of it, in nanoseconds.
fn turn(world: &World) -> anyhow::Result<[f64; 2]> {
    let mut state = world.state.clone();
    let commit = &world.commits[0];
    let start = Instant::now();
    let applied = Application::new(world.context, &state, commit).run_all()?;
    let execution = start.elapsed();
    let (ids, writes): (Vec<ObjectId>, _) =
        (applied.writes.keys().copied().collect(), applied.writes.clone());
    let start = Instant::now();
    state.apply(applied.writes);
    let whole = execution + start.elapsed();
    ensure!(applied.results.iter().all(Result::is_ok), "a transfer failed");
    let per_transfer = |spent: std::time::Duration| spent.as_secs_f64() * 1e9 / commit.len() as f64;
    let mut other: Memory = world.state.clone();
    let start = Instant::now();
    // A transfer looks for its coin, and the root for what was there before each write.
    for transaction in commit {
        black_box(other.get(&transaction.gas[0].id));
    }
    for id in &ids {
        black_box(other.get(id));
    }
    other.apply(writes);
    Ok([per_transfer(whole), per_transfer(start.elapsed())])
}
