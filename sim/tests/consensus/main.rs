//! A committee in good and bad weather: who must go on, who must stop, and that all agree after the heal. Each run is watched
//! by every oracle of the load.

mod epochs;
mod members;
mod partitions;
mod weather;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use sim::Seed;
use sim::consensus;
use sim::kernel::Madsim;
use sim::oracle::{Fact, Oracle, Violation};
use sim::plan::{Action, Plan, Step};
use sim::run::{Outcome, Simulation};
use sim::scenario::{NetPreset, Scenario};
use sim::time::VirtualTime;
use sim::trace::{Header, Options};
use sim::world::NodeIndex;

/// A committee of equals in one room that makes four blocks a second each.
fn committee(nodes: usize) -> Scenario {
    Scenario {
        nodes,
        fault_ms: 12_000,
        heal_ms: 22_000,
        net: NetPreset::Lan,
        pause_ms: 250,
        faults: Vec::new(),
        buggify: false,
        ..Scenario::default()
    }
}

/// What a node was given, and when.
#[derive(Clone, Copy, Debug)]
struct Given {
    at: VirtualTime,
    node: NodeIndex,
    round: u64,
}

/// Something that a node said of itself.
#[derive(Clone, Copy, Debug)]
struct Said {
    node: NodeIndex,
    kind: &'static str,
    a: u64,
}

/// A run that is over.
struct Ran {
    outcome: Outcome,
    given: Vec<Given>,
    said: Vec<Said>,
}

impl Ran {
    /// The nodes that were given something between two times, in milliseconds, and how often.
    fn given(&self, node: NodeIndex, from_ms: u64, to_ms: u64) -> usize {
        let (from, to) = (VirtualTime::from_millis(from_ms), VirtualTime::from_millis(to_ms));
        let within = |given: &&Given| given.node == node && (from..to).contains(&given.at);
        self.given.iter().filter(within).count()
    }

    /// Everybody who was given something between two times.
    fn active(&self, from_ms: u64, to_ms: u64) -> BTreeSet<NodeIndex> {
        let nodes: BTreeSet<NodeIndex> = self.given.iter().map(|given| given.node).collect();
        nodes
            .into_iter()
            .filter(|node| self.given(*node, from_ms, to_ms) > 0)
            .collect()
    }

    /// How often a node said something.
    fn count(&self, node: NodeIndex, kind: &str) -> usize {
        self.said
            .iter()
            .filter(|said| said.node == node && said.kind == kind)
            .count()
    }

    fn figure(&self, name: &str) -> u64 {
        let figures = self.outcome.figures.iter();
        figures
            .filter(|(known, _)| *known == name)
            .map(|(_, count)| count)
            .sum()
    }
}

/// Runs `steps` on seed 1, and checks that no oracle objects.
fn run(scenario: &Scenario, steps: Vec<Step>) -> Ran {
    let ran = watch(scenario, Seed::new(1), steps);
    assert_eq!(ran.outcome.violation, None, "{}", ran.outcome.slice);
    ran
}

/// Runs `steps`, healed at the end of the time for faults.
fn watch(scenario: &Scenario, seed: Seed, mut steps: Vec<Step>) -> Ran {
    steps.push(Step::new(scenario.fault_ms, Action::HealAll));
    let notes = Notes::default();
    let plan = Plan { steps };
    let mut oracles = consensus::oracles(seed, scenario, &plan);
    oracles.push(Box::new(notes.clone()));
    let simulation = Simulation {
        seed,
        config: scenario.world(seed),
        nodes: consensus::build(seed, scenario),
        blobs: Vec::new(),
        stakes: scenario.stakes(seed),
        strategies: consensus::strategies(),
        plan,
        until: scenario.until(),
        oracles,
        header: Header::default(),
        options: Options::default(),
        sink: None,
        pulse: Box::new(|_, _| {}),
    };
    let outcome = simulation.run::<Madsim>().expect("the plan fits the scenario");
    let (given, said) = std::mem::take(&mut *notes.0.lock().expect("the run is over"));
    Ran { outcome, given, said }
}

/// Writes down what tests ask for.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<(Vec<Given>, Vec<Said>)>>);

impl Oracle for Notes {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        if let Fact::Said { node, at, event, .. } = fact {
            let mut notes = self.0.lock().expect("one thread runs");
            match event.kind {
                "committed" => notes.0.push(Given {
                    at: *at,
                    node: *node,
                    round: event.b,
                }),
                kind @ ("recovering" | "recovered" | "epoch_started" | "epoch_over" | "left_behind"
                | "block_made" | "peer_blamed" | "equivocation") => notes.1.push(Said {
                    node: *node,
                    kind,
                    a: event.a,
                }),
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

#[test]
fn a_committee_that_nothing_happens_to_commits_in_every_round() {
    let ran = run(&committee(4), Vec::new());
    let last = ran
        .given
        .iter()
        .map(|given| given.round)
        .max()
        .expect("something was committed");
    // Four rounds a second, but for the first ones.
    assert!((120..=136).contains(&last), "round {last}");
    // Two leaders a round, and both are committed.
    assert!(
        ran.figure("commits") >= 2 * last - 6,
        "{} of round {last}",
        ran.figure("commits")
    );
    assert_eq!(ran.figure("epochs"), 1);
}
