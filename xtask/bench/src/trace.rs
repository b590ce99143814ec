//! What the trace takes of a run that keeps none: each event is hashed into the chain and kept in a ring.
//!
//! In turns: a run of the test load, and a recorder alone that takes as many records of the same kinds.

use std::hint::black_box;

use anyhow::ensure;
use sim::kernel::Madsim;
use sim::plan::Plan;
use sim::run::Simulation;
use sim::scenario::Scenario;
use sim::trace::{Header, Kind, Options, Record, Recorder};
use sim::{Seed, load};

use crate::measure::median;
use crate::sim::ours;
use crate::sim::workload::{Workload, processor_time};

/// How much is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Turns; the median counts
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Nodes of the load
    #[arg(long, default_value_t = 10)]
    nodes: usize,
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let raw = Workload {
        windows: 1_000,
        window: 1,
        bytes: 64,
    };
    println!(
        "{:<24} {:>10} {:>12} {:>14} {:>8}",
        "medians", "events", "ns/event", "ns/record", "share"
    );
    report("load (goal 2%)", arguments.turns, || calm(arguments.nodes))?;
    report("raw messages", arguments.turns, || {
        Ok(ours::simulate(raw)?.1.summary.events)
    })
}

/// Compares runs, which say how many events they had, with the recorder alone.
fn report(name: &str, turns: usize, run: impl Fn() -> anyhow::Result<u64>) -> anyhow::Result<()> {
    let (mut whole, mut records) = (Vec::new(), Vec::new());
    let mut events = 0;
    for _ in 0..turns {
        let start = processor_time(libc::RUSAGE_SELF);
        events = run()?;
        let middle = processor_time(libc::RUSAGE_SELF);
        record(events);
        let per_event = |span: std::time::Duration| span.as_secs_f64() * 1e9 / events as f64;
        whole.push(per_event(middle - start));
        records.push(per_event(processor_time(libc::RUSAGE_SELF) - middle));
    }
    let (whole, records) = (median(&mut whole), median(&mut records));
    println!(
        "{name:<24} {events:>10} {whole:>12.1} {records:>14.1} {:>7.1}%",
        100.0 * records / whole
    );
    Ok(())
}

/// One run of the test load without faults; its events.
fn calm(nodes: usize) -> anyhow::Result<u64> {
    let seed = Seed::new(1);
    let scenario = Scenario {
        nodes,
        ..Scenario::built_in("calm")?
    };
    let (specs, blobs) = load::build(seed, nodes, scenario.pause(), scenario.payload);
    let simulation = Simulation {
        seed,
        config: scenario.world(seed),
        nodes: specs,
        blobs,
        stakes: scenario.stakes(seed),
        strategies: load::strategies(),
        plan: Plan::default(),
        until: scenario.until(),
        oracles: load::oracles(nodes),
        header: Header::default(),
        options: Options::default(),
        sink: None,
        pulse: Box::new(|_, _| {}),
    };
    let outcome = simulation.run::<Madsim>()?;
    ensure!(outcome.violation.is_none(), "the run failed: {outcome:?}");
    Ok(outcome.summary.events)
}

/// A recorder that takes this many records and nothing else.
fn record(events: u64) {
    const KINDS: [Kind; 4] = [Kind::Send, Kind::Deliver, Kind::Choose, Kind::DiskStart];
    let mut recorder = Recorder::new(Header::default(), Options::default(), None);
    for event in 0..events {
        let node = u16::try_from(event % 10).expect("a small number");
        let kind = KINDS[usize::from(node) % KINDS.len()];
        let record = Record {
            a: event % 7,
            b: 124,
            cause: 1,
            ..Record::new(event * 1_000, node, kind)
        };
        black_box(recorder.record(black_box(record)));
    }
    black_box(recorder.summary());
}
