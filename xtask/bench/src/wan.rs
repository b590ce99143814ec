//! Members in the ten regions, in virtual time, beside the goals: latency, what losses and crashes cost, what is sent besides
//! payloads, and how fast the simulator itself is.
//!
//! Runs have the rules and the pace that nodes ship with, the calibrated costs of the virtual processor, and good disks.
//! What is measured does not depend on the host; the processor time beside it does. `loss` runs twice: without faults
//! first. Each run measures after a warm-up, in which members meet and the order begins to flow.

pub mod goals;

use std::time::Duration;

use anyhow::{bail, ensure};
use sim::Seed;
use sim::consensus::measure::{Measured, measure};
use sim::disk::Survivors;
use sim::network::LinkFault;
use sim::plan::{Action, Plan, Step};
use sim::scenario::{NetPreset, Scenario, Schedule};
use sim::time::VirtualTime;
use sim::wan::Table;

use self::goals::{Goal, print};
use crate::seeds;
use crate::sim::workload::processor_time;

/// What is measured, and with which settings.
#[derive(clap::Args)]
pub struct Arguments {
    /// One of the measurements instead of all
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Members; each measurement has a number of its own
    #[arg(long)]
    nodes: Option<usize>,
    /// Transactions a second of all members together; each measurement has a rate of its own
    #[arg(long, value_name = "TRANSACTIONS")]
    rate: Option<u64>,
    /// Virtual seconds that are measured; each measurement has a number of its own
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: Option<u64>,
    /// Virtual seconds before those
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    warmup: u64,
    /// The seed of the runs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leader slots of a round, one variant each; 0 is what ships
    #[arg(long, value_delimiter = ',', default_value = "0")]
    leaders: Vec<u64>,
    /// The least milliseconds between two blocks of a member, one variant each; 0 is what ships
    #[arg(long, value_delimiter = ',', default_value = "0")]
    min_round: Vec<u64>,
    /// Milliseconds that a round waits for its leaders, one variant each; 0 is what ships
    #[arg(long, value_delimiter = ',', default_value = "0")]
    leader_timeout: Vec<u64>,
    /// Virtual processors whose work takes no time
    #[arg(long)]
    free: bool,
    /// Seeds that `exploration` runs
    #[arg(long, default_value_t = 20)]
    seeds: u64,
}

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// C4: 50 members, 5,000 transactions a second: latencies beside the floor of three hops
    Latency,
    /// C5: of 100 members 5 lose a hundredth of what they send: the median beside that without losses
    Loss,
    /// C6: of 100 members 33 crash: the longest gap between commits from ten seconds after it
    Crash,
    /// C7: 100 members, 20,000 transactions a second: what is sent besides payloads
    Metadata,
    /// S2: virtual seconds per second of a core without faults
    Speed,
    /// S7: seeds per hour and core
    Exploration,
}

const ALL: [Part; 6] = [
    Part::Latency,
    Part::Loss,
    Part::Crash,
    Part::Metadata,
    Part::Speed,
    Part::Exploration,
];

/// Bytes of a transaction.
const TRANSACTION: usize = 512;
/// Hops from a member's block to its commit at the best.
const HOPS: u32 = 3;
/// From the crash until gaps count.
const AFTER_CRASH: Duration = Duration::from_secs(10);

/// The values that one variant has instead of those that ship; 0 is none.
#[derive(Clone, Copy, Debug)]
struct Variant {
    leaders: u64,
    min_round: u64,
    leader_timeout: u64,
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let parts = arguments.only.map_or(ALL.to_vec(), |part| vec![part]);
    for part in parts {
        match part {
            Part::Speed => seeds::speed()?,
            Part::Exploration => seeds::exploration(arguments.seeds)?,
            _ => {
                for variant in variants(arguments) {
                    arguments.part(part, variant)?;
                }
            }
        }
    }
    Ok(())
}

/// Each of the leaders with each of the pauses and each of the timeouts.
fn variants(arguments: &Arguments) -> Vec<Variant> {
    let mut variants = Vec::new();
    for leaders in &arguments.leaders {
        for min_round in &arguments.min_round {
            for leader_timeout in &arguments.leader_timeout {
                variants.push(Variant {
                    leaders: *leaders,
                    min_round: *min_round,
                    leader_timeout: *leader_timeout,
                });
            }
        }
    }
    variants
}

impl Arguments {
    fn part(&self, part: Part, variant: Variant) -> anyhow::Result<()> {
        match part {
            Part::Latency => self.latency(variant),
            Part::Loss => self.loss(variant),
            Part::Crash => self.crash(variant),
            Part::Metadata => self.metadata(variant),
            Part::Speed | Part::Exploration => bail!("{part:?} has no variants"),
        }
    }

    fn latency(&self, variant: Variant) -> anyhow::Result<()> {
        let scenario = self.scenario(variant, 50, 5_000)?;
        let floor = Table::ten_regions().floor(scenario.nodes, HOPS, 67);
        let measured = self.measure("C4", &scenario, &[], self.warmup, 10)?;
        let of = |hundredth| measured.readings.latencies.percentile(hundredth);
        println!("     floor of {HOPS} hops {:.2} ms", millis(floor));
        for (hundredth, bound) in [(50, 1.35), (99, 1.8)] {
            let what = format!("p{hundredth} {:.1} ms, over the floor", millis(of(hundredth)));
            let value = of(hundredth).as_secs_f64() / floor.as_secs_f64();
            print("C4", &what, value, Goal::AtMost(bound), "x");
        }
        Ok(())
    }

    fn loss(&self, variant: Variant) -> anyhow::Result<()> {
        let scenario = self.scenario(variant, 100, 5_000)?;
        let median = |measured: &Measured| measured.readings.latencies.percentile(50);
        let calm = self.measure("C5 without losses", &scenario, &[], self.warmup, 5)?;
        let fault = LinkFault {
            loss_ppm: 10_000,
            ..LinkFault::default()
        };
        // As far apart as they can be, and of several regions.
        let lossy = (0..scenario.nodes)
            .step_by((scenario.nodes / 5).max(1) + 1)
            .take(5);
        let steps: Vec<Step> = lossy
            .map(|node| {
                let (from, to, fault) = (Some(node), None, fault.clone());
                Step::new(0, Action::Link { from, to, fault })
            })
            .collect();
        let measured = self.measure("C5 with losses", &scenario, &steps, self.warmup, 5)?;
        let what = format!(
            "p50 {:.1} ms, over {:.1} ms without losses",
            millis(median(&measured)),
            millis(median(&calm))
        );
        let value = median(&measured).as_secs_f64() / median(&calm).as_secs_f64();
        print("C5", &what, value, Goal::AtMost(1.5), "x");
        Ok(())
    }

    fn crash(&self, variant: Variant) -> anyhow::Result<()> {
        let scenario = self.scenario(variant, 100, 1_000)?;
        let count = scenario.nodes / 3;
        let survivors = Survivors::Nothing;
        let steps: Vec<Step> = (0..count)
            .map(|turn| {
                Step::new(
                    self.warmup * 1_000,
                    Action::Crash {
                        node: 3 * turn,
                        survivors,
                    },
                )
            })
            .collect();
        let warmup = self.warmup + AFTER_CRASH.as_secs();
        let measured = self.measure("C6", &scenario, &steps, warmup, 10)?;
        let what = format!("{count} of {} crash, longest gap", scenario.nodes);
        let value = measured.readings.gap.as_secs_f64();
        print("C6", &what, value, Goal::AtMost(2.0), "s");
        Ok(())
    }

    fn metadata(&self, variant: Variant) -> anyhow::Result<()> {
        let scenario = self.scenario(variant, 100, 20_000)?;
        let traffic = self.measure("C7", &scenario, &[], self.warmup, 3)?.traffic;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "     sent: payloads {:.1} MiB, other bytes of blocks {:.1} MiB, all else {:.1} MiB",
            mib(traffic.payload_bytes),
            mib(traffic.block_bytes),
            mib(traffic.other_bytes)
        );
        let share = 100.0 * traffic.metadata_share();
        print("C7", "bytes that are no payload", share, Goal::AtMost(4.0), "%");
        let bytes = traffic.bytes_per_block();
        print(
            "C7",
            "bytes of a block but payloads",
            bytes,
            Goal::AtMost(400.0),
            " B",
        );
        Ok(())
    }

    /// The scenario of a measurement, with what the arguments say instead.
    fn scenario(&self, variant: Variant, nodes: usize, rate: u64) -> anyhow::Result<Scenario> {
        let mut scenario = Scenario {
            name: "wan bench".to_owned(),
            nodes: self.nodes.unwrap_or(nodes),
            net: NetPreset::Wan10,
            schedule: Schedule::Fixed(sim::Policy::Fifo),
            payload: TRANSACTION,
            faults: Vec::new(),
            buggify: false,
            transactions_per_second: self.rate.unwrap_or(rate),
            leaders_per_round: variant.leaders,
            leader_timeout_ms: variant.leader_timeout,
            min_round_ms: variant.min_round,
            shipped: true,
            ..Scenario::default()
        };
        if self.free {
            scenario.costs = sim::costs::Costs::FREE;
        }
        scenario.check()?;
        Ok(scenario)
    }

    /// Measures `seconds` seconds, or what the arguments say, after `warmup` seconds, and prints what every run has to say.
    fn measure(
        &self,
        name: &str,
        scenario: &Scenario,
        steps: &[Step],
        warmup: u64,
        seconds: u64,
    ) -> anyhow::Result<Measured> {
        let seconds = self.seconds.unwrap_or(seconds);
        let plan = Plan {
            steps: steps.to_vec(),
        };
        let at = |second: u64| VirtualTime::from_millis(second * 1_000);
        let before = processor_time(libc::RUSAGE_SELF);
        let window = at(warmup)..at(warmup + seconds);
        let measured = measure(Seed::new(self.seed), scenario, &plan, window)?;
        let spent = processor_time(libc::RUSAGE_SELF) - before;
        ensure!(
            measured.violation.is_none(),
            "the run failed: {:?}",
            measured.violation
        );
        let readings = &measured.readings;
        let rate = |count: u64| count as f64 / seconds as f64;
        println!(
            "{name}: {} members, {} tx/s, {warmup} + {seconds} virtual s, leaders {}, min round {}, leader timeout {} (0 ships), \
             {:.0} core s",
            scenario.nodes,
            scenario.transactions_per_second,
            scenario.leaders_per_round,
            scenario.min_round_ms,
            scenario.leader_timeout_ms,
            spent.as_secs_f64()
        );
        println!(
            "     {:.2} rounds/s, {:.1} blocks/s, submitted {:.0}/s, refused {:.0}/s, committed {:.0}/s, p50 {:.1} ms, p99 {:.1} ms, \
             longest gap {:.0} ms",
            rate(readings.rounds),
            rate(readings.blocks),
            rate(readings.submitted),
            rate(readings.refused),
            rate(readings.committed),
            millis(readings.latencies.percentile(50)),
            millis(readings.latencies.percentile(99)),
            millis(readings.gap)
        );
        Ok(measured)
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
