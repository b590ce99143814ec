//! Byzantine members of a consensus: within the budget they stop nobody and are found out; beyond it an oracle objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use sim::Seed;
use sim::adversary::Manner;
use sim::consensus;
use sim::disk::{DiskFault, Survivors};
use sim::kernel::Madsim;
use sim::oracle::{Class, Fact, Oracle, Violation};
use sim::plan::{Action, Direction, Plan, Step};
use sim::run::{Outcome, Simulation};
use sim::scenario::Scenario;
use sim::time::VirtualTime;
use sim::trace::{Header, Options};

fn run(scenario: &Scenario, seed: Seed, plan: Plan, more: Vec<Box<dyn Oracle>>) -> Outcome {
    let mut oracles = consensus::oracles(seed, scenario, &plan);
    oracles.extend(more);
    let simulation = Simulation {
        seed,
        config: scenario.world(seed),
        nodes: consensus::build(seed, scenario),
        blobs: Vec::new(),
        stakes: scenario.stakes(seed),
        strategies: consensus::strategies(),
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
    simulation.run::<Madsim>().expect("the plan fits the scenario")
}

/// Four members in one room without any fault.
fn calm(fault_ms: u64) -> Scenario {
    Scenario {
        nodes: 4,
        pause_ms: 500,
        fault_ms,
        heal_ms: 30_000,
        faults: Vec::new(),
        buggify: false,
        ..Scenario::built_in("calm").expect("it is built in")
    }
}

const BYZANTINE: usize = 1;

/// Node 1 is Byzantine from `at_ms` on, and never again honest.
fn turned(strategy: &str, at_ms: u64, heal_ms: u64, with: Manner) -> Plan {
    let turn = Action::Byzantine {
        node: BYZANTINE,
        strategy: strategy.to_owned(),
        with,
    };
    let steps = vec![Step::new(at_ms, turn), Step::new(heal_ms, Action::HealAll)];
    Plan { steps }
}

/// What honest nodes said of the Byzantine one.
#[derive(Clone, Default)]
struct Accusations(Arc<Mutex<BTreeSet<&'static str>>>);

impl Oracle for Accusations {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        if let Fact::Said { node, event, .. } = fact
            && *node != BYZANTINE
            && matches!(
                event.kind,
                "bad_block" | "bad_request" | "bad_preamble" | "equivocation" | "peer_blamed"
            )
        {
            assert_eq!(
                event.a, BYZANTINE as u64,
                "nobody else has broken a rule: {event:?}"
            );
            self.0.lock().expect("one thread runs").insert(event.kind);
        }
        Ok(())
    }

    fn finish(&mut self, _: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

#[test]
fn one_byzantine_member_of_four_stops_nobody_and_who_breaks_a_rule_is_found_out() {
    const ALL_WORDS: &[&str] = &["bad_block", "bad_request", "bad_preamble"];
    let found: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("garble", ALL_WORDS),
        ("oversize", ALL_WORDS),
        ("truncate", ALL_WORDS),
        ("replay", &["bad_block"]),
        ("phantom", &["peer_blamed"]),
        ("echo", &["bad_block"]),
        ("equivocate", &["equivocation"]),
        ("equivocate_each", &["equivocation"]),
        ("equivocate_one", &["equivocation"]),
        ("collude", &["equivocation"]),
        ("false_share", &["bad_block"]),
        ("foreign", &["bad_block"]),
        ("mutate", &["bad_block"]),
        ("mutate_each", &["bad_block"]),
        ("split_vote", &["equivocation"]),
        ("too_bulky", &["bad_block"]),
    ]);
    let scenario = calm(5_000);
    for (strategy, _) in consensus::strategies().iter() {
        let accusations = Accusations::default();
        let more: Vec<Box<dyn Oracle>> = vec![Box::new(accusations.clone())];
        let plan = turned(strategy, 0, 5_000, Manner::default());
        let outcome = run(&scenario, Seed::new(1), plan, more);
        assert_eq!(outcome.violation, None, "{strategy}");
        if let Some(expected) = found.get(strategy) {
            let said = accusations.0.lock().expect("the run is over");
            let is_said = |kind: &&str| said.contains(kind);
            assert!(expected.iter().all(is_said), "{strategy}: {said:?}");
        }
    }
}

fn file(text: &str) -> Scenario {
    Scenario::parse("file", text).expect("it is a scenario")
}

#[test]
fn a_member_that_runs_twice_stops_nobody() {
    let scenario = file(include_str!("../../config/sim/twins.toml"));
    for seed in (0..3).map(Seed::new) {
        let outcome = run(&scenario, seed, scenario.plan(seed), Vec::new());
        assert_eq!(outcome.violation, None, "seed {seed}");
    }
}

/// Each half of the others and one of each pair of twins are a quorum, and hear nothing of each other.
#[test]
fn two_members_of_four_that_run_twice_are_one_too_many() {
    let scenario = Scenario {
        nodes: 6,
        twins: 2,
        ..calm(5_000)
    };
    for seed in (0..3).map(Seed::new) {
        let mut plan = scenario.plan(seed);
        let part = Action::Partition {
            side: vec![0, 1, 2],
            direction: Direction::Both,
        };
        plan.steps.insert(0, Step::new(0, part));
        let violation = run(&scenario, seed, plan, Vec::new()).violation;
        let violation = violation.expect("a fork");
        let found = (violation.class, violation.oracle);
        assert_eq!(found, (Class::Safety, "one_chain"), "{violation:?}");
    }
}

#[test]
fn a_committee_whose_disks_all_forget_decides_twice() {
    let scenario = calm(12_000);
    let nodes = 0..scenario.nodes;
    let lie = |node| {
        let fault = DiskFault::LyingSync;
        Step::new(2_000, Action::Disk { node, fault })
    };
    let crash = |node| {
        let survivors = Survivors::Nothing;
        Step::new(10_000, Action::Crash { node, survivors })
    };
    let mut steps: Vec<Step> = nodes.clone().map(lie).chain(nodes.map(crash)).collect();
    steps.push(Step::new(12_000, Action::HealAll));
    let violation = run(&scenario, Seed::new(1), Plan { steps }, Vec::new()).violation;
    let violation = violation.expect("a fork");
    assert_eq!(
        (violation.class, violation.oracle),
        (Class::Safety, "one_chain"),
        "{violation:?}"
    );
}

/// A beacon: the leader's round, the leader, and the value.
type Beacon = (u64, u64, [u8; 32]);

/// The beacons that node 0 was given, in order.
#[derive(Clone, Default)]
struct Beacons(Arc<Mutex<Vec<Beacon>>>);

impl Oracle for Beacons {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        if let Fact::Said { node: 0, event, .. } = fact
            && event.kind == "beacon"
        {
            let digest = *event.digest.expect("a beacon's event carries it");
            self.0
                .lock()
                .expect("one thread runs")
                .push((event.a, event.b, digest));
        }
        Ok(())
    }

    fn finish(&mut self, _: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

/// The beacons of a run in which node 1 does what `strategy` says.
fn beacons(strategy: &str, with: Manner) -> Vec<Beacon> {
    let (beacons, scenario) = (Beacons::default(), calm(8_000));
    let plan = turned(strategy, 0, 8_000, with);
    let outcome = run(&scenario, Seed::new(7), plan, vec![Box::new(beacons.clone())]);
    assert_eq!(outcome.violation, None, "{strategy}");
    std::mem::take(&mut *beacons.0.lock().expect("the run is over"))
}

/// What an author may choose for its block in a round that has a beacon: payloads, clock, parents; when and to whom it is
/// said, twice or never. All of it together reaches two beacons, the one with its share and the one without.
#[test]
fn a_leader_that_grinds_chooses_one_of_two_beacons() {
    let ground = beacons("twin", Manner::default());
    let leads = |(_, leader, _): &&Beacon| *leader == BYZANTINE as u64;
    let (round, ..) = *ground.iter().find(leads).expect("node 1 leads one of the rounds");
    let choice = |bytes| Manner {
        bytes,
        ..Manner::default()
    };
    let late = |ms| Manner {
        ms,
        ..Manner::default()
    };
    let mut choices: Vec<(&str, Manner)> = (0..12).map(|bytes| ("grind", choice(bytes))).collect();
    choices.extend([100, 240, 600, 1_000, 3_000].map(|ms| ("late", late(ms))));
    choices.extend(
        ["lurk", "equivocate", "omit", "hide_from_few", "hide_from_many"].map(|name| (name, choice(0))),
    );
    let reached: BTreeSet<[u8; 32]> = choices
        .into_iter()
        .map(|(strategy, with)| {
            let beacons = beacons(strategy, with);
            let until = beacons.iter().take_while(|(led, ..)| *led <= round);
            until.last().map_or([0; 32], |(_, _, value)| *value)
        })
        .collect();
    assert_eq!(reached.len(), 2, "round {round}");
}
