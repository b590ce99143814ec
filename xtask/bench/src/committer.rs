//! The commit rule alone: nanoseconds for each block that it is told of, over the number of members.
//!
//! The graphs are what machines make of each other's blocks, in two forms: each block has all of the round before as parents,
//! or one of ten is heard a round late by each member. They are told block by block, in an order in which members
//! hear them; what enters the graph does so before the clock starts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use consensus::SignedBlock;
use consensus::committer::Committer;
use consensus::dag::{Dag, Place, Resolved};
use consensus::schedule::{Schedule, Swaps};
use sim::consensus::SimSuite;
use types::Round;

use crate::machine::lockstep::{IsLate, Lockstep};
use crate::measure::{exponent, median};

/// How much is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Members
    #[arg(long, value_delimiter = ',', default_values_t = [10, 50, 100, 200])]
    nodes: Vec<usize>,
    /// Rounds of a graph
    #[arg(long, default_value_t = 30)]
    rounds: u64,
    /// Leader slots of a round; the protocol's when it is left out
    #[arg(long)]
    leaders: Option<u16>,
    /// Turns; the median counts
    #[arg(long, default_value_t = 9)]
    turns: usize,
}

/// By how much the cost of a block may grow with the members, as an exponent.
const GOAL: f64 = 1.2;

/// One of ten, by a hash that anybody can compute.
fn tenth(round: u64, author: usize, hearer: usize) -> bool {
    let mixed = (round << 32 ^ (author as u64) << 16 ^ hearer as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32).is_multiple_of(10)
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let forms: [(&str, IsLate); 2] = [("all links", |_, _, _| false), ("one of ten late", tenth)];
    println!(
        "{:<20} {:>8} {:>10} {:>14} {:>14} {:>10}",
        "", "members", "blocks", "slots decided", "committed", "ns/block"
    );
    for (form, is_late) in forms {
        let mut records = Vec::new();
        for nodes in &arguments.nodes {
            records.push(Recorded::new(*nodes, arguments, is_late)?);
        }
        let mut times = vec![Vec::new(); records.len()];
        for _ in 0..arguments.turns {
            for (record, times) in records.iter().zip(&mut times) {
                times.push(record.replay()?.ns);
            }
        }
        let mut points = Vec::new();
        for ((record, times), nodes) in records.iter().zip(&mut times).zip(&arguments.nodes) {
            let ns = median(times);
            points.push((*nodes as f64, ns));
            let Replay {
                decided, committed, ..
            } = record.replay()?;
            let blocks = record.blocks.len();
            println!("{form:<20} {nodes:>8} {blocks:>10} {decided:>14} {committed:>14} {ns:>10.0}");
        }
        println!(
            "{form:<20} grows with the members to the power of {:.2}; goal {GOAL}",
            exponent(&points)
        );
    }
    Ok(())
}

/// A graph, block by block.
struct Recorded {
    machines: Lockstep<SimSuite>,
    blocks: Vec<SignedBlock<SimSuite>>,
}

struct Replay {
    ns: f64,
    decided: usize,
    committed: usize,
}

impl Recorded {
    fn new(nodes: usize, arguments: &Arguments, is_late: IsLate) -> anyhow::Result<Self> {
        let mut machines = Lockstep::new(nodes, arguments.leaders)?;
        let mut frames = Vec::new();
        for _ in 0..arguments.rounds {
            frames.extend(machines.round(&[], is_late)?);
        }
        machines.forget();
        let decode = |frame| SignedBlock::decode(frame, &machines.rules, &machines.members);
        let blocks = frames
            .iter()
            .map(|frame| decode(&frame.bytes))
            .collect::<Result<_, _>>()?;
        Ok(Self { machines, blocks })
    }

    fn replay(&self) -> anyhow::Result<Replay> {
        let (rules, members) = (&self.machines.rules, &self.machines.members);
        let mut dag = Dag::new(rules, members.clone(), Round::ZERO);
        let mut schedule = Schedule::new(rules, members.clone(), Swaps::default());
        let mut committer = Committer::new(members.clone(), Round::new(1), 0);
        let (mut spent, mut decided, mut committed) = (Duration::ZERO, 0, 0);
        // Blocks of one round do not need each other.
        let mut rounds = BTreeMap::<Round, Vec<&SignedBlock<SimSuite>>>::new();
        for block in &self.blocks {
            rounds.entry(block.reference().round).or_default().push(block);
        }
        for (round, blocks) in rounds {
            let mut places: Vec<Place> = Vec::new();
            for block in blocks {
                let Resolved::Parents(parents) = dag.resolve(block) else {
                    bail!("{:?} lacks a parent", block.reference());
                };
                places.push(dag.insert(block.clone(), &parents));
            }
            let start = Instant::now();
            for place in places {
                let vertex = dag.at(round, place).expect("it was just put there");
                committer.observe(vertex, place, &mut schedule);
                while let Some(decision) = committer.decide(&dag) {
                    decided += 1;
                    committed += usize::from(decision.block.is_some());
                }
            }
            spent += start.elapsed();
        }
        ensure!(committed > 0, "nothing was committed");
        Ok(Replay {
            ns: spent.as_secs_f64() * 1e9 / self.blocks.len() as f64,
            decided,
            committed,
        })
    }
}
