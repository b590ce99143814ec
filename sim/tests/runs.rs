//! Whole runs of the load: equal on both kernels, and every stored plan passes.

use std::path::Path;

use serde::Deserialize;
use sim::Seed;
use sim::kernel::{Kernel, Madsim, Plain};
use sim::load;
use sim::plan::Plan;
use sim::run::{Outcome, Simulation};
use sim::scenario::Scenario;
use sim::trace::{Header, Options};

/// Runs the load of `scenario` under `plan` on kernel `K`.
fn run<K: Kernel>(scenario: &Scenario, seed: Seed, plan: Plan) -> Outcome {
    let (nodes, blobs) = load::build(seed, scenario.nodes, scenario.pause(), scenario.payload);
    let simulation = Simulation {
        seed,
        config: scenario.world(seed),
        nodes,
        blobs,
        until: scenario.until(),
        oracles: load::oracles(scenario.nodes),
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

#[test]
fn a_run_is_the_same_on_both_kernels() {
    let scenario = Scenario {
        fault_ms: 6_000,
        heal_ms: 2_000,
        fault_gap_ms: 250,
        ..Scenario::built_in("swarm").expect("it is built in")
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
        for seed in stored.seeds.iter().copied().map(Seed::new) {
            let outcome = run::<Madsim>(&scenario, seed, plan.clone());
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
