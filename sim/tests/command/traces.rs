//! What is done with traces: replay, diff, bisect, view, export.

use std::collections::BTreeSet;
use std::iter;

use serde_json::Value;
use sim::trace::Kind;

use super::place::Place;

#[test]
fn a_trace_replays_to_the_same_run_at_every_level() {
    let place = Place::new();
    for level in ["L0", "L1", "L2", "L3"] {
        let run = place.ends(
            0,
            &format!("--seed 3 --scenario small.toml --trace {level} --out {level}"),
        );
        assert!(
            run.out.contains(&format!("wrote: {level}/seed-3.simtrace\n")),
            "{}",
            run.out
        );
        let replay = place.ends(0, &format!("replay {level}/seed-3.simtrace"));
        assert!(
            replay.last().starts_with("EQUAL seed=3 recorded=pass "),
            "{}",
            replay.out
        );
        assert_eq!(replay.field("hash"), run.field("hash"));
        assert_eq!(replay.err, "", "the same program says nothing of programs");
    }
    place.ends(0, "replay --seed 3 --scenario small.toml");
    place.ends(0, "diff L0/seed-3.simtrace L2/seed-3.simtrace");
    let other = place.ends(0, "--seed 4 --scenario small.toml --trace L2 --out L2");
    assert!(other.last().starts_with("PASS"));
    let diff = place.ends(17, "diff L2/seed-3.simtrace L2/seed-4.simtrace");
    assert!(diff.err.contains("different seeds: 3 and 4"), "{}", diff.err);
}

#[test]
fn a_replay_that_differs_names_the_event_or_where_it_lies() {
    let place = Place::new();
    place.ends(
        0,
        "--seed 3 --scenario small.toml --trace L2 --out full --perturb-event 400",
    );
    place.ends(
        0,
        "--seed 3 --scenario small.toml --trace L0 --out hashes --perturb-event 400",
    );
    let full = place.ends(17, "replay full/seed-3.simtrace");
    assert!(full.last().starts_with("DIFFERENT seed=3 "), "{}", full.out);
    assert_eq!(full.field("event"), "400");
    let hashes = place.ends(17, "replay hashes/seed-3.simtrace");
    assert!(hashes.field("events").starts_with("0.."), "{}", hashes.out);
    assert!(
        hashes.out.contains("next: record the seed with --trace L2"),
        "{}",
        hashes.out
    );
    let value = &place.ends(17, "replay full/seed-3.simtrace --format json").json()[0];
    assert_eq!(
        (&value["verdict"], &value["event"]),
        (&"different".into(), &400.into())
    );
}

#[test]
fn a_damaged_trace_is_refused_and_a_cut_one_is_replayed_as_far_as_it_goes() {
    let place = Place::new();
    place.ends(0, "--seed 3 --scenario small.toml --trace L2 --out a");
    let bytes = place.read("a/seed-3.simtrace");
    let mut wrong = bytes.clone();
    let plan = wrong
        .windows(8)
        .position(|window| window == b"heal_all")
        .expect("the header has the plan");
    wrong[plan] = b'H';
    place.write("plan.simtrace", wrong);
    let refused = place.ends(2, "replay plan.simtrace");
    assert!(
        refused
            .err
            .contains("plan.simtrace: the trace is damaged at byte 12"),
        "{}",
        refused.err
    );
    place.write("cut.simtrace", &bytes[..bytes.len() - 40]);
    let cut = place.ends(0, "replay cut.simtrace");
    assert!(
        cut.last().starts_with("EQUAL seed=3 recorded=cut events="),
        "{}",
        cut.out
    );
    let diff = place.ends(0, "diff a/seed-3.simtrace cut.simtrace");
    assert!(diff.out.contains("one was cut short"), "{}", diff.out);
    for seed in [3, 4] {
        place.ends(
            0,
            &format!("--seed {seed} --scenario small.toml --trace L0 --out b"),
        );
        let bytes = place.read(&format!("b/seed-{seed}.simtrace"));
        place.write(&format!("cut-{seed}.simtrace"), &bytes[..bytes.len() - 40]);
    }
    let nothing = place.ends(2, "diff cut-3.simtrace cut-4.simtrace");
    assert!(
        nothing.err.contains("there is nothing to compare"),
        "{}",
        nothing.err
    );
    assert!(
        nothing.err.contains("different seeds: 3 and 4"),
        "{}",
        nothing.err
    );
    let bisect = place.ends(2, "bisect a/seed-3.simtrace cut.simtrace");
    assert!(
        bisect.err.contains("cut.simtrace was cut short"),
        "{}",
        bisect.err
    );
}

#[test]
fn a_perturbed_event_is_found_by_diff_by_bisect_and_by_check() {
    let place = Place::new();
    for (folder, more) in [("a", ""), ("b", "--perturb-event 444")] {
        place.ends(
            0,
            &format!("--seed 3 --scenario small.toml --trace L0 --out {folder} {more}"),
        );
        place.ends(
            0,
            &format!("--seed 3 --scenario small.toml --trace L2 --out {folder}2 {more}"),
        );
    }
    let diff = place.ends(17, "diff a/seed-3.simtrace b/seed-3.simtrace");
    assert!(
        diff.out
            .contains("`cargo xtask bisect a/seed-3.simtrace b/seed-3.simtrace`"),
        "{}",
        diff.out
    );
    let files = place.ends(
        17,
        "bisect a/seed-3.simtrace b/seed-3.simtrace --perturb-event 444",
    );
    let kept = place.ends(17, "diff a2/seed-3.simtrace b2/seed-3.simtrace");
    place.ends(
        0,
        "--seed 3 --scenario small.toml --trace L3 --out b3 --perturb-event 444",
    );
    let one_kept = place.ends(17, "bisect a/seed-3.simtrace b3/seed-3.simtrace");
    let seed = place.ends(17, "bisect --seed 3 --scenario small.toml --perturb-event 444");
    for found in [&files, &kept, &one_kept, &seed] {
        assert_eq!(found.field("event"), "444", "{}", found.out);
        assert!(found.out.contains("before it, in both:"), "{}", found.out);
    }
    let reruns = [&files, &one_kept, &seed].map(|found| found.field("reruns"));
    assert_eq!(reruns, ["2", "1", "2"]);
    let gone = place.ends(1, "bisect a/seed-3.simtrace b/seed-3.simtrace");
    assert!(
        gone.err.contains("b/seed-3.simtrace does not come out the same"),
        "{}",
        gone.err
    );
    let check = place.ends(
        14,
        "--seed 3 --scenario small.toml --check --perturb-event 444 --out c",
    );
    assert!(
        check
            .last()
            .starts_with("FAIL seed=3 class=nondeterminism oracle=check "),
        "{}",
        check.out
    );
    assert_eq!(check.field("event"), "444");
    let repro = "repro: cargo xtask sim --seed 3 --scenario small.toml --check\n";
    assert!(check.out.contains(repro), "{}", check.out);
    assert!(
        check.last().ends_with("what=\"two runs differ by hasher keys\""),
        "{}",
        check.out
    );
    let written = place.ends(17, "diff c/seed-3.simtrace c/seed-3.perturbed.simtrace");
    assert_eq!(written.field("event"), "444");
}

#[test]
fn a_trace_is_shown_as_a_page_and_exported() {
    let place = Place::new();
    let run = place.ends(0, "--seed 3 --scenario small.toml --trace L3 --out a");
    place.ends(0, "view a/seed-3.simtrace -o page.html");
    let page = place.text("page.html");
    assert!(page.starts_with("<!doctype html>") && page.contains("block_made"));
    let lines = place.ends(0, "export a/seed-3.simtrace --ndjson");
    assert_eq!(lines.json().len().to_string(), run.field("events"));
    place.ends(0, "export a/seed-3.simtrace --perfetto -o perfetto.json");
    let value: Value = serde_json::from_slice(&place.read("perfetto.json")).unwrap();
    assert!(
        value["traceEvents"]
            .as_array()
            .is_some_and(|events| events.len() > 100)
    );
    let before = place.read("a/seed-3.simtrace");
    place.ends(2, "view a/seed-3.simtrace -o a/seed-3.simtrace");
    assert_eq!(place.read("a/seed-3.simtrace"), before);
}

#[test]
fn every_kind_of_event_that_a_trace_can_have_is_in_some_trace() {
    let place = Place::new();
    let withhold = "[[steps]]\nat_us = 1\naction = { byzantine = { node = 0, strategy = \"withhold\" } }\n";
    place.write("withhold.toml", withhold);
    let mut missing: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let plans = iter::once(" --plan withhold.toml").chain(iter::repeat(""));
    // Members of a consensus read no blobs yet, and compute nothing.
    let scenarios = ["small.toml", "rounds.toml"].into_iter().cycle();
    for ((seed, plan), scenario) in (0..40).zip(plans).zip(scenarios) {
        place.ends(
            0,
            &format!("--seed {seed} --scenario {scenario} --trace L3 --out a{plan}"),
        );
        for line in place
            .ends(0, &format!("export a/seed-{seed}.simtrace --ndjson"))
            .json()
        {
            missing.remove(line["kind"].as_str().expect("every event has a kind"));
        }
        if missing.is_empty() {
            break;
        }
    }
    assert!(missing.is_empty(), "nothing records {missing:?}");
}

#[test]
fn the_blocks_of_a_trace_are_exported_and_other_commit_rules_are_tried_on_them() {
    let place = Place::new();
    place.write(
        "calm.toml",
        "nodes = 4\nfault_ms = 0\nheal_ms = 30000\nnet = \"lan\"\npause_ms = 1000\nfaults = []\n",
    );
    let run = place.ends(0, "--seed 3 --scenario calm.toml --trace L3 --out L3");
    place.ends(0, "export --dag L3/seed-3.simtrace -o dag.ndjson");
    let text = place.ends(0, "export --dag L3/seed-3.simtrace").out;
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is a JSON object"))
        .collect();
    assert_eq!(
        (&lines[0]["type"], lines[0]["members"].as_array().map(Vec::len)),
        (&"epoch".into(), Some(4))
    );
    let blocks = &lines[1..];
    assert!(blocks.len() > 100, "{} blocks", blocks.len());
    let names: BTreeSet<String> = blocks
        .iter()
        .map(|block| format!("[{},{},{}]", block["round"], block["author"], block["digest"]))
        .collect();
    for block in blocks {
        let parents = block["parents"].as_array().expect("a block has parents");
        assert!(parents.len() >= 3 && block["at_ns"].is_u64(), "{block}");
        let is_known = |parent: &Value| parent[0] == 0 || names.contains(&parent.to_string());
        assert!(parents.iter().all(is_known), "{block}");
    }
    let commits = blocks
        .iter()
        .filter(|block| block["leader"] == "committed")
        .count();
    assert_eq!(commits.to_string(), run.field("commits"));
    let compared = place.ends(
        0,
        "replay dag.ndjson --rule leaders=2,wave=3 --rule leaders=1 --rule rule=two-round",
    );
    let rows: Vec<Vec<&str>> = compared
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 4);
    let figure = |row: usize, column: usize| rows[row][column].parse::<f64>().expect("a figure");
    assert!(
        figure(1, 2) > figure(2, 2) && figure(2, 2) > 20.0,
        "{}",
        compared.out
    );
    assert!(
        figure(3, 4) < figure(1, 4),
        "two rounds are fewer than three: {}",
        compared.out
    );
    let few = place.ends(2, "export --dag L2/seed-3.simtrace");
    assert!(few.err.contains("L2/seed-3.simtrace"), "{}", few.err);
    place.ends(0, "--seed 3 --scenario calm.toml --trace L2 --out L2");
    let few = place.ends(2, "export --dag L2/seed-3.simtrace");
    assert!(few.err.contains("record with --trace L3"), "{}", few.err);
    let wrong = place.ends(2, "replay calm.toml --rule leaders=2");
    assert!(wrong.err.contains("line 1 is neither"), "{}", wrong.err);
}
