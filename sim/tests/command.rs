//! The command line from outside: what it prints, which files it writes, with which exit code it ends.

#[path = "command/place.rs"]
mod place;
#[path = "command/traces.rs"]
mod traces;

use place::Place;
use sim::plan::{Action, Plan, Step};

#[test]
fn a_seed_is_printed_first_its_verdict_last_and_both_come_again() {
    let place = Place::new();
    let [first, again] = [(); 2].map(|()| place.ends(0, "--seed 3 --scenario small.toml"));
    assert!(
        first.out.starts_with("seed=3 scenario=small.toml nodes=3 "),
        "{}",
        first.out
    );
    assert!(first.last().starts_with("PASS seed=3 hash="), "{}", first.out);
    assert_eq!(first.out.lines().count(), 2);
    assert_eq!(first.field("hash"), again.field("hash"));
    let other = place.ends(0, "--seed 4 --scenario small.toml");
    assert_ne!(first.field("hash"), other.field("hash"));
    let drawn = place.ends(0, "--scenario small.toml");
    let seed = drawn.field("seed").to_owned();
    assert!(drawn.out.starts_with(&format!("seed={seed} ")), "{}", drawn.out);
    let drawn_again = place.ends(0, &format!("--scenario small.toml --seed {seed}"));
    assert_eq!(drawn.field("hash"), drawn_again.field("hash"));
}

#[test]
fn a_run_that_must_fail_names_who_objected_and_fails_when_nobody_does() {
    let place = Place::new();
    let slow = "load = \"rounds\"\nnodes = 4\nfault_ms = 100\nheal_ms = 31000\nnet = \"lan\"\npause_ms = 1000\nfaults = []\nmust_fail = true\n";
    place.write("withhold.toml", format!("{slow}strategies = [\"withhold\"]\n"));
    // What is sent twice is no lie.
    place.write("replay.toml", format!("{slow}strategies = [\"replay\"]\n"));
    let objected = (0..8).find_map(|seed| {
        let ended = place.sim(&format!("--seed {seed} --scenario withhold.toml"));
        (ended.code == 0).then(|| ended.field("objection").to_owned())
    });
    assert_eq!(objected.as_deref(), Some("liveness/progress_after_heal"));
    let silent = place.ends(12, "--seed 1 --scenario replay.toml");
    assert_eq!(silent.field("oracle"), "must_fail");
}

#[test]
fn byzantine_nodes_and_their_share_of_seeds_are_asked_for_on_the_command_line() {
    let place = Place::new();
    let plan = |byz: &str| place.ends(0, &format!("plan --seed 3 --scenario calm {byz}")).out;
    assert!(!plan("").contains("byzantine"));
    assert!(!plan("--byz 0").contains("byzantine"));
    assert_eq!(plan("--byz 100,1").matches("[steps.action.byzantine]").count(), 1);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let place = Place::new();
    place.write("sly.toml", "strategies = [\"sly\"]");
    place.write("cut.simtrace", "simtrace");
    place.write("not.toml", "nodes = [");
    place.write("odd.toml", [0xff, 0xfe]);
    let table = [
        ("--seed 1 --seeds 1..3", "cannot be used with"),
        ("--seeds 3..1", "is not a range"),
        ("--seeds 1..3 --count 2", "cannot be used with"),
        ("--seed 18446744073709551615", "the last seed there is"),
        ("--count 0", "0 is not in"),
        ("--seed 1 --duration 5", "is not a time"),
        ("--seed 1 --trace L2", "--out"),
        ("--seed 1 --trace L7 --out x", "is not one of L0"),
        ("--seed 1 --check --trace L2 --out x", "cannot be used with"),
        ("--seed 1 --check --shrink", "cannot be used with"),
        ("--seed 1 --hang-after 5", "is not a time"),
        ("--seed 1 --jobs 0", "--jobs 0: 1 to 256"),
        ("--seed 1 --jobs 1000", "--jobs 1000: 1 to 256"),
        ("--seed 1 --byz 101", "is not a share of a hundred"),
        ("--seed 1 --byz 100,257", "`byzantine_most` is 257"),
        ("--seed 1 --byz 10 --plan a.toml", "cannot be used with"),
        (
            "--seed 1 --scenario sly.toml",
            "names the strategy `sly`, and there are: bulky,",
        ),
        ("--seed 1 --faults disc", "no family of faults is called `disc`"),
        ("--seed 1 --faults crash,-crash", "both adds and removes `crash`"),
        ("--seed 1 --faults crash,none", "come first"),
        ("--seed 1 --faults crash --plan a.toml", "cannot be used with"),
        (
            "--seed 1 --scenario calm --faults crash",
            "has no time for faults",
        ),
        ("--seed 1 --scenario nowhere", "no scenario `nowhere`"),
        ("--seed 1 --scenario nowhere.toml", "nowhere.toml: "),
        ("--seed 1 --scenario not.toml", "`not.toml` is not a scenario"),
        ("--seed 1 --scenario odd.toml", "odd.toml: "),
        ("--seed 1 --scenario . --nodes 0", "no scenario `.`"),
        ("--seed 1 --nodes 0", "`nodes` is 0"),
        ("--seed 1 --plan nowhere.toml", "nowhere.toml: "),
        ("--seed 1 --plan not.toml", "not.toml: this is not a plan"),
        ("--seed 1 --out small.toml", "--out small.toml: "),
        (
            "--seed 1 --junit nowhere/a.xml",
            "nowhere/a.xml cannot be written",
        ),
        ("--seed 1 doctor", "cannot be used with"),
        ("replay", "required"),
        ("replay nowhere.simtrace", "nowhere.simtrace: "),
        ("replay small.toml", "this is not a .simtrace file"),
        ("replay .", "this is a folder"),
        ("replay cut.simtrace", "this is not a .simtrace file"),
        ("replay small.toml --seed 3", "cannot be used with"),
        ("replay small.toml --nodes 3", "a trace says them itself"),
        (
            "bisect small.toml slow.toml --scenario swarm",
            "a trace says them itself",
        ),
        ("--seed 1 --junit a.xml --summary a.xml", "name one file"),
        ("--seed 1 --shrink=0", "0 is not in"),
        ("diff small.toml", "required"),
        ("diff small.toml slow.toml", "small.toml: this is not"),
        ("bisect small.toml", "required"),
        ("bisect small.toml slow.toml", "small.toml: this is not"),
        ("view small.toml -o a.html", "small.toml: this is not"),
        ("view small.toml -o small.toml", "would replace the trace"),
        ("export small.toml --ndjson", "small.toml: this is not"),
        ("export small.toml", "required"),
        ("export small.toml --ndjson --perfetto", "cannot be used with"),
    ];
    for (line, reason) in table {
        let ended = place.ends(2, line);
        assert!(ended.err.contains(reason), "{line}\n{}", ended.err);
        assert_eq!(ended.out, "", "{line}");
        assert!(!ended.err.contains("panicked"), "{line}\n{}", ended.err);
    }
}

#[test]
fn a_plan_that_does_not_fit_names_its_step() {
    let place = Place::new();
    let plan = |steps| place.write("plan.toml", Plan { steps }.to_text());
    plan(vec![Step::new(1, Action::Pause { node: 3 })]);
    let node = place.ends(2, "--seed 1 --scenario small.toml --plan plan.toml");
    assert!(
        node.err.contains("plan.toml: step 0 (pause) names node 3"),
        "{}",
        node.err
    );
    plan(vec![Step::new(40_000, Action::Pause { node: 0 })]);
    let late = place.ends(2, "--seed 1 --scenario small.toml --plan plan.toml");
    assert!(
        late.err.contains("step 0 (pause) is at 40000000 us"),
        "{}",
        late.err
    );
}

#[test]
fn families_are_added_to_what_a_seed_draws_from_and_taken_away() {
    let place = Place::new();
    let drawn = |faults: &str| {
        let text: String = (1..6)
            .map(|seed| {
                place
                    .ends(
                        0,
                        &format!("plan --seed {seed} --scenario small.toml --faults {faults}"),
                    )
                    .out
            })
            .collect();
        text.contains("partition")
    };
    assert!(drawn("none,partition") && !drawn("-partition") && !drawn("none,clock"));
    let [plain, other] = ["", "--faults -link"]
        .map(|faults| place.ends(0, &format!("--seed 1 --scenario small.toml {faults}")));
    assert_ne!(
        plain.field("hash"),
        other.field("hash"),
        "the scenario is part of the run"
    );
}

#[test]
fn checks_of_many_seeds_use_every_job_and_come_in_order() {
    let place = Place::new();
    let checked = place.ends(0, "--seeds 3..9 --scenario small.toml --check --jobs 3 -v");
    let seeds: Vec<&str> = checked
        .out
        .lines()
        .filter_map(|line| line.strip_prefix("PASS seed=")?.split(' ').next())
        .collect();
    assert_eq!(seeds, ["3", "4", "5", "6", "7", "8"]);
    assert!(
        checked.last().starts_with("PASS seeds=6 passed=6 failed=0 "),
        "{}",
        checked.out
    );
    let timed = place.ends(0, "--seed 5 --scenario small.toml --check --duration 200ms");
    assert!(timed.out.starts_with("seeds=5.. "), "{}", timed.out);
    assert!(timed.last().starts_with("PASS seeds="), "{}", timed.out);
}

#[test]
fn a_batch_counts_and_says_more_on_demand() {
    let place = Place::new();
    let quiet = place.ends(0, "--seed 5 --count 4 --scenario small.toml");
    assert_eq!(quiet.out.lines().count(), 2, "{}", quiet.out);
    assert!(
        quiet.last().starts_with("PASS seeds=4 passed=4 failed=0 events="),
        "{}",
        quiet.out
    );
    let timed = place.ends(0, "--seeds 1..3 --duration 10m --scenario small.toml");
    assert!(timed.last().starts_with("PASS seeds=2 "), "{}", timed.out);
    let verbose = place.ends(0, "--seed 3 --scenario small.toml -v");
    assert!(verbose.out.contains("plan:\n[[steps]]") && verbose.out.contains("marked places reached:\n"));
}

#[test]
fn every_line_of_json_is_an_object_of_a_type() {
    let place = Place::new();
    place.write_stuck_plan();
    let line = "--seeds 1..3 --scenario slow.toml --plan stuck.toml --format json";
    let values = place.ends(11, line).json();
    let types: Vec<&str> = values.iter().filter_map(|value| value["type"].as_str()).collect();
    assert_eq!(types, ["begin", "seed", "seed", "batch"]);
    let seed = &values[1];
    assert_eq!((&seed["seed"], &seed["verdict"]), (&1.into(), &"fail".into()));
    assert_eq!(seed["faults"], 3, "what heals is no fault");
    assert_eq!(seed["failure"]["class"], "liveness");
    assert_eq!(seed["failure"]["oracle"], "progress_after_heal");
    assert_eq!(values[3]["classes"]["liveness"], 2);
    assert_eq!(values[3]["failing"], serde_json::json!([1, 2]));
}

#[test]
fn failing_seeds_of_a_batch_leave_evidence_that_shows_them_again() {
    let place = Place::new();
    place.write_stuck_plan();
    let line = "--seeds 1..3 --scenario slow.toml --plan stuck.toml --out evidence --junit junit.xml --summary all.md";
    let batch = place.ends(11, line);
    assert!(
        batch
            .last()
            .starts_with("FAIL seeds=2 passed=0 failed=2 liveness=2 first_failed=1 "),
        "{}",
        batch.out
    );
    let again = place.ends(0, "replay evidence/seed-2.simtrace");
    assert!(
        again.last().starts_with("EQUAL seed=2 recorded=fail "),
        "{}",
        again.out
    );
    assert_eq!(place.text("evidence/seed-1.plan.toml"), place.text("stuck.toml"));
    assert!(place.text("evidence/seed-1.html").contains("progress_after_heal"));
    let repro = "repro: cargo xtask sim --seed 2 --scenario slow.toml --plan stuck.toml";
    assert!(batch.out.lines().any(|line| line == repro), "{}", batch.out);
    let summary = place.text("all.md");
    assert!(
        summary.contains("| 2 | liveness | progress_after_heal |"),
        "{summary}"
    );
    assert_well_formed(&place.text("junit.xml"), 2);
}

#[test]
fn the_largest_numbers_of_a_plan_make_no_run_panic_and_larger_ones_are_refused() {
    let place = Place::new();
    let plan = "\
[[steps]]
at_us = 100000
action = { link = { from = 1, fault = { reorder_ppm = 1000000, detour_us = 3600000000, loss_ppm = 1000000 } } }
[[steps]]
at_us = 200000
action = { link = { from = 2, fault = { extra_latency_us = 3600000000, bytes_per_second = 1 } } }
[[steps]]
at_us = 300000
action = { disk = { node = 0, fault = { stall = { until_ns = 31622400000000000 } } } }
[[steps]]
at_us = 400000
action = { disk = { node = 1, fault = { slow = { percent = 1000000 } } } }
[[steps]]
at_us = 500000
action = { clock_step = { node = 2, ms = -3162240000000 } }
[[steps]]
at_us = 600000
action = { clock_drift = { node = 2, ppb = 500000000 } }
[[steps]]
at_us = 700000
action = { slow = { node = 2, percent = 1000000 } }
";
    place.write("largest.toml", plan);
    let ended = place.ends(0, "--seeds 1..9 --scenario small.toml --plan largest.toml");
    assert!(ended.last().starts_with("PASS seeds=8 "), "{}", ended.out);
    place.write(
        "larger.toml",
        plan.replace("= 500000000 ", "= -9223372036854775808 "),
    );
    let refused = place.ends(2, "--seed 1 --scenario small.toml --plan larger.toml");
    let why = "larger.toml: step 5 (clock_drift): `ppb` is -9223372036854775808, and has to lie within -500000000 and";
    assert!(refused.err.contains(why), "{}", refused.err);
}

/// Checks that `text` is one element, in which every element is closed, and counts its cases.
fn assert_well_formed(text: &str, cases: usize) {
    let body = text
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
        .expect("it begins as XML does");
    let mut open = Vec::new();
    for part in body.split('<').skip(1) {
        let (tag, rest) = part.split_once('>').expect("every tag is closed");
        let name = tag
            .split([' ', '/'])
            .find(|word| !word.is_empty())
            .expect("a tag has a name");
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name), "{text}"),
            (false, false) => open.push(name),
            (false, true) => {}
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        assert!(
            !rest.contains('>') && !open.is_empty() || rest.trim().is_empty(),
            "{text}"
        );
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(text.matches("<testcase ").count(), cases);
}

#[test]
fn a_failure_is_counted_and_reported_though_its_files_cannot_be_written() {
    let place = Place::new();
    place.write_stuck_plan();
    std::fs::create_dir_all(place.path("evidence/seed-1.simtrace")).expect("the host has room for a folder");
    let line = "--seeds 1..3 --scenario slow.toml --plan stuck.toml --out evidence --junit junit.xml";
    let batch = place.ends(11, line);
    assert!(
        batch
            .last()
            .starts_with("FAIL seeds=2 passed=0 failed=2 liveness=2 first_failed=1 "),
        "{}",
        batch.out
    );
    assert!(
        batch
            .err
            .contains("note: not all files of its failure were written: "),
        "{}",
        batch.err
    );
    assert_well_formed(&place.text("junit.xml"), 2);
}

#[test]
fn a_failing_plan_shrinks_to_its_minimum_which_fails_alike() {
    let place = Place::new();
    place.write_stuck_plan();
    let line = "--seed 1 --scenario slow.toml --plan stuck.toml --shrink --out small";
    let shrunk = place.ends(11, line);
    assert!(
        shrunk.out.contains("shrunk: 5 steps to 2, 3 nodes to 2, in "),
        "{}",
        shrunk.out
    );
    let plan = Plan::parse(&place.text("small/seed-1.min.toml")).unwrap();
    let actions: Vec<Action> = plan.steps.into_iter().map(|step| step.action).collect();
    assert_eq!(actions, [Action::HealAll, Action::Pause { node: 0 }]);
    let repro = shrunk
        .out
        .lines()
        .find_map(|line| line.strip_prefix("repro: cargo xtask sim "));
    let again = place.ends(11, repro.expect("a failure has a repro"));
    assert!(
        again
            .last()
            .contains(" class=liveness oracle=progress_after_heal "),
        "{}",
        again.out
    );
    let cut = place.ends(11, "--seed 1 --scenario slow.toml --plan stuck.toml --shrink=1");
    assert!(cut.out.contains("in 1 runs; the limit ended it"), "{}", cut.out);
}

#[test]
fn the_exit_codes_are_in_the_help() {
    let place = Place::new();
    let help = place.ends(0, "--help").out;
    for code in [
        "10  safety",
        "14  non-determinism",
        "17  mismatch",
        "19  tripwire",
    ] {
        assert!(help.contains(code), "{help}");
    }
    assert!(
        !help.contains("perturb-event"),
        "a switch of tests is not for people"
    );
}
