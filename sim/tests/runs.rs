//! Whole runs of the load: equal on both kernels, every stored plan passes, and each oracle objects to what breaks its
//! promise.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use sim::Seed;
use sim::adversary::Manner;
use sim::budget::Stakes;
use sim::consensus;
use sim::disk::{DiskFault, FaultKind, Survivors};
use sim::kernel::{Kernel, Madsim, Plain};
use sim::load;
use sim::oracle::{Class, Fact, Oracle, Violation};
use sim::plan::{Action, Direction, Plan, Step};
use sim::run::{Outcome, Simulation};
use sim::scenario::{Load, Scenario};
use sim::time::VirtualTime;
use sim::trace::{Header, Options};

/// Runs the load of `scenario` under `plan` on kernel `K`.
fn run<K: Kernel>(scenario: &Scenario, seed: Seed, plan: Plan) -> Outcome {
    watched::<K>(scenario, seed, plan, load::oracles(scenario.nodes))
}

/// As [`run`], watched by `oracles`.
fn watched<K: Kernel>(scenario: &Scenario, seed: Seed, plan: Plan, oracles: Vec<Box<dyn Oracle>>) -> Outcome {
    let (nodes, blobs) = load::build(seed, scenario.nodes, scenario.pause(), scenario.payload);
    let simulation = Simulation {
        seed,
        config: scenario.world(seed),
        nodes,
        blobs,
        stakes: scenario.stakes(seed),
        strategies: load::strategies(),
        until: scenario.until(),
        oracles,
        header: Header {
            scenario: scenario.to_text(),
            plan: plan.to_text(),
            seed: seed.get(),
            ..Header::default()
        },
        plan,
        options: Options::default(),
        sink: None,
        pulse: Box::new(|_, _| {}),
    };
    simulation.run::<K>().expect("the plan fits the scenario")
}

/// Runs members of a consensus under `plan`.
fn members(scenario: &Scenario, seed: Seed, plan: Plan) -> Outcome {
    let simulation = Simulation {
        seed,
        config: scenario.world(seed),
        nodes: consensus::build(seed, scenario),
        blobs: Vec::new(),
        stakes: scenario.stakes(seed),
        strategies: consensus::strategies(),
        until: scenario.until(),
        oracles: consensus::oracles(seed, scenario, &plan),
        header: Header::default(),
        plan,
        options: Options::default(),
        sink: None,
        pulse: Box::new(|_, _| {}),
    };
    simulation.run::<Madsim>().expect("the plan fits the scenario")
}

#[test]
fn a_run_is_the_same_on_both_kernels() {
    let scenario = Scenario {
        nodes: 4,
        fault_ms: 6_000,
        heal_ms: 2_000,
        fault_gap_ms: 250,
        ..Scenario::default()
    };
    for seed in (0..12).map(Seed::new) {
        let plan = scenario.plan(seed);
        let madsim = run::<Madsim>(&scenario, seed, plan.clone());
        let plain = run::<Plain>(&scenario, seed, plan);
        assert!(madsim.summary.events > 1_000, "{:?}", madsim.summary);
        // The header of both is the same, so the run hash is too.
        assert_eq!(
            (&madsim.summary, &madsim.ladder),
            (&plain.summary, &plain.ladder),
            "seed {seed}"
        );
        assert_eq!(
            (&madsim.violation, &madsim.sites),
            (&plain.violation, &plain.sites),
            "seed {seed}"
        );
    }
}

#[test]
fn one_byzantine_node_of_four_stops_nobody_and_its_run_is_the_same_on_both_kernels() {
    let scenario = Scenario {
        nodes: 4,
        fault_ms: 2_000,
        heal_ms: 31_000,
        pause_ms: 1_000,
        faults: Vec::new(),
        ..Scenario::default()
    };
    let seed = Seed::new(3);
    let mut ends = Vec::new();
    for (strategy, _) in load::strategies().iter() {
        let turn = Action::Byzantine {
            node: 1,
            strategy: strategy.to_owned(),
            with: Manner::default(),
        };
        let steps = vec![Step::new(1_500, turn), Step::new(2_000, Action::HealAll)];
        let plan = Plan { steps };
        let madsim = run::<Madsim>(&scenario, seed, plan.clone());
        let plain = run::<Plain>(&scenario, seed, plan);
        assert_eq!(madsim.violation, None, "{strategy}");
        assert_eq!(
            (&madsim.summary, &madsim.ladder),
            (&plain.summary, &plain.ladder),
            "{strategy}"
        );
        assert!(
            !ends.contains(&madsim.summary.last),
            "{strategy} does what another one does"
        );
        ends.push(madsim.summary.last);
    }
}

/// `fixtures/plans/verdicts.toml`: in which runs each stored plan is replayed, and what must come of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdicts {
    runs: Vec<Stored>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// The plan's file.
    plan: String,
    /// A built-in scenario.
    scenario: String,
    /// What the nodes run.
    load: Load,
    /// How many nodes it has.
    nodes: usize,
    /// A plan that showed a bug under one seed is rarely alone in it.
    seeds: Vec<u64>,
    /// `pass`, or the class and the rule that objects.
    verdict: String,
}

#[test]
fn every_stored_plan_comes_to_its_stored_verdict() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/plans");
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name));
        text.unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let verdicts: Verdicts = toml::from_str(&read("verdicts.toml")).expect("the verdicts are a table");
    let mut named: Vec<&str> = verdicts.runs.iter().map(|stored| stored.plan.as_str()).collect();
    named.push("verdicts.toml");
    named.sort_unstable();
    named.dedup();
    let entries = folder.read_dir().expect("the folder is part of the repository");
    let mut files: Vec<String> = entries
        .map(|entry| entry.expect("an entry of the folder").file_name())
        .map(|name| name.into_string().expect("names are text"))
        .collect();
    files.sort_unstable();
    assert_eq!(files, named, "every plan has a verdict");
    for stored in &verdicts.runs {
        let name = &stored.plan;
        let plan = Plan::parse(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let scenario = Scenario::built_in(&stored.scenario).unwrap_or_else(|error| panic!("{name}: {error}"));
        let scenario = Scenario {
            load: stored.load,
            nodes: stored.nodes,
            stakes: Stakes::Equal,
            ..scenario
        };
        for seed in stored.seeds.iter().copied().map(Seed::new) {
            let outcome = match stored.load {
                Load::Rounds => run::<Madsim>(&scenario, seed, plan.clone()),
                Load::Consensus => members(&scenario, seed, plan.clone()),
            };
            let verdict = match &outcome.violation {
                None => "pass".to_owned(),
                Some(violation) => format!("{} {}", violation.class.name(), violation.oracle),
            };
            assert_eq!(
                verdict, stored.verdict,
                "{name} with seed {seed}: {:?}",
                outcome.violation
            );
        }
    }
}

/// An oracle that excuses no one: it is not told what a disk may have lost.
struct Unforgiving(Box<dyn Oracle>);

impl Oracle for Unforgiving {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Damaged { .. } => Ok(()),
            _ => self.0.observe(fact),
        }
    }

    fn finish(&mut self, at: VirtualTime) -> Result<(), Violation> {
        self.0.finish(at)
    }
}

/// Oracle number `number` of the load, told of damage or not.
fn oracle(number: usize, nodes: usize, forgives: bool) -> Vec<Box<dyn Oracle>> {
    let oracle = load::oracles(nodes).swap_remove(number);
    if forgives {
        vec![oracle]
    } else {
        vec![Box::new(Unforgiving(oracle))]
    }
}

/// What node 0 of the load makes of a disk whose barriers lie, when all lose their power.
fn after_lies(number: usize, forgives: bool) -> Option<(Class, &'static str)> {
    let scenario = Scenario {
        nodes: 4,
        faults: Vec::new(),
        ..Scenario::default()
    };
    let nodes = 0..scenario.nodes;
    let lie = |node| {
        let fault = DiskFault::LyingSync;
        Step::new(1_000, Action::Disk { node, fault })
    };
    let crash = |node| {
        let survivors = Survivors::Nothing;
        Step::new(5_000, Action::Crash { node, survivors })
    };
    let mut steps: Vec<Step> = nodes.clone().map(lie).chain(nodes.map(crash)).collect();
    steps.push(Step::new(6_000, Action::HealAll));
    let oracles = oracle(number, scenario.nodes, forgives);
    let outcome = watched::<Madsim>(&scenario, Seed::new(1), Plan { steps }, oracles);
    outcome
        .violation
        .map(|violation| (violation.class, violation.oracle))
}

#[test]
fn a_member_that_makes_two_blocks_of_a_round_is_found_out() {
    assert_eq!(after_lies(0, true), None);
    assert_eq!(after_lies(0, false), Some((Class::Safety, "one_block_per_round")));
}

#[test]
fn a_member_that_forgets_what_it_made_is_found_out() {
    assert_eq!(after_lies(1, true), None);
    assert_eq!(after_lies(1, false), Some((Class::Safety, "nothing_forgotten")));
}

/// Keeps what it is told of damage: `+` and the node, or `-` and the node that was spared.
#[derive(Clone, Default)]
struct Damage(Arc<Mutex<Vec<String>>>);

impl Oracle for Damage {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        let mut facts = self.0.lock().expect("one thread runs");
        match fact {
            Fact::Damaged { node, .. } => facts.push(format!("+{node}")),
            Fact::Spared { node } => facts.push(format!("-{node}")),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

/// Keeps what it is told of who takes part, and when, in seconds.
#[derive(Clone, Default)]
struct Members(Arc<Mutex<Vec<String>>>);

impl Oracle for Members {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        let (word, node, at) = match fact {
            Fact::Owed { zone } => (format!("{zone:?}"), 0, VirtualTime::ZERO),
            Fact::Started { node, at, .. } => ("start".to_owned(), *node, *at),
            Fact::Crashed { node, at, .. } => ("crash".to_owned(), *node, *at),
            Fact::Absent { node, at } => ("absent".to_owned(), *node, *at),
            Fact::Byzantine { node, at } => ("byzantine".to_owned(), *node, *at),
            Fact::Honest { node, at } => ("honest".to_owned(), *node, *at),
            Fact::Wiped { node, at } => ("wiped".to_owned(), *node, *at),
            _ => return Ok(()),
        };
        let mut facts = self.0.lock().expect("one thread runs");
        facts.push(format!("{word} {node} {}", at.as_nanos() / 1_000_000_000));
        Ok(())
    }

    fn finish(&mut self, _: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

#[test]
fn oracles_are_told_who_takes_part_and_the_late_and_the_wiped_catch_up() {
    let scenario = Scenario {
        nodes: 4,
        fault_ms: 20_000,
        heal_ms: 31_000,
        pause_ms: 500,
        faults: Vec::new(),
        ..Scenario::default()
    };
    let turn = Action::Byzantine {
        node: 0,
        strategy: "withhold".to_owned(),
        with: Manner::default(),
    };
    let crash = Action::Crash {
        node: 3,
        survivors: Survivors::Everything,
    };
    let wipe = Action::Disk {
        node: 3,
        fault: DiskFault::Wipe,
    };
    let steps = [
        (0, Action::Absent { node: 3 }),
        (3_000, Action::HealAll),
        (4_000, Action::Restart { node: 3 }),
        (5_000, turn),
        (7_000, Action::Honest { node: 0 }),
        (9_000, crash),
        (9_000, wipe),
        (10_000, Action::HealAll),
        (19_000, Action::Absent { node: 2 }),
        (20_000, Action::HealAll),
    ];
    let steps = steps.map(|(at_ms, action)| Step::new(at_ms, action));
    let (plan, members) = (Plan { steps: steps.into() }, Members::default());
    let mut oracles = load::oracles(scenario.nodes);
    oracles.push(Box::new(members.clone()));
    let outcome = watched::<Madsim>(&scenario, Seed::new(2), plan, oracles);
    assert_eq!(outcome.violation, None);
    let told = members.0.lock().expect("the run is over").join(", ");
    // Node 0 has lied and node 3 forgotten everything: of four, that is one too many.
    let expected = "Nothing 0 0, start 0 0, start 1 0, start 2 0, absent 3 0, start 3 4, byzantine 0 5, honest 0 7, \
                    crash 3 9, wiped 3 9, start 3 10, absent 2 19, crash 2 19";
    assert_eq!(told, expected);
}

#[test]
fn a_node_is_spared_when_no_fault_of_its_disk_has_struck() {
    let scenario = Scenario {
        nodes: 4,
        fault_ms: 5_000,
        heal_ms: 1_000,
        faults: Vec::new(),
        ..Scenario::default()
    };
    let lie = |at_ms, node| {
        let fault = DiskFault::LyingSync;
        Step::new(at_ms, Action::Disk { node, fault })
    };
    let clear = |node| {
        let kind = FaultKind::LyingSync;
        Step::new(3_000, Action::DiskClear { node, kind })
    };
    let crash = Action::Crash {
        node: 0,
        survivors: Survivors::Nothing,
    };
    // A node that is down uses no disk. The others go on.
    let steps = vec![
        Step::new(1_000, crash),
        lie(2_000, 0),
        lie(2_000, 1),
        clear(0),
        clear(1),
        lie(4_000, 0),
        Step::new(5_000, Action::HealAll),
    ];
    let damage = Damage::default();
    let oracles: Vec<Box<dyn Oracle>> = vec![Box::new(damage.clone())];
    watched::<Madsim>(&scenario, Seed::new(1), Plan { steps }, oracles);
    let facts = damage.0.lock().expect("the run is over").join(" ");
    assert_eq!(facts, "+0 +1 -0 +0 -0");
}

#[test]
fn a_quorum_that_stays_cut_off_after_the_heal_is_found_out() {
    let scenario = Scenario {
        nodes: 4,
        faults: Vec::new(),
        ..Scenario::default()
    };
    let partition = |after_ms: u64| Plan {
        steps: vec![
            Step::new(1_000, Action::HealAll),
            Step::new(
                1_000 + after_ms,
                Action::Partition {
                    side: (0..scenario.nodes / 2).collect(),
                    direction: Direction::Both,
                },
            ),
        ],
    };
    let found = |plan| run::<Madsim>(&scenario, Seed::new(1), plan).violation;
    let violation = found(partition(1)).expect("no quorum is left");
    assert_eq!(
        (violation.class, violation.oracle),
        (Class::Liveness, "progress_after_heal")
    );
    assert_eq!(found(partition(30_000)), None, "by then everyone had gone on");
}
