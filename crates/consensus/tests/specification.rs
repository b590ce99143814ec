//! The committer and the linearizer against the specification: the rule as `testkit::rule` reads it from the paper.
//!
//! Both see the same graphs: every small one up to symmetry, and large random ones. Consensus hears the blocks in orders
//! drawn at random and decides after each block, and must come to what the specification says of the whole graph.

mod specification {
    pub mod machine;
}

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use specification::machine::{Blocks, Seeds, leaders, listen, members, rules, run, some_order, specified};
use testkit::rule::drawing::{decisions, draw, parse};
use testkit::rule::every::{Freedom, Limits, for_each_graph};
use testkit::rule::random::{Size, random_graph, random_slots, random_stakes, smallest};
use testkit::rule::{Block, Graph, Rule, SubDag, equal_stakes, round_robin};
use types::UnixMillis;

/// An optimised build has the time for all cases: `cargo test --release -p soma-consensus --test specification`.
const HAS_TIME: bool = !cfg!(debug_assertions);

/// Compares one graph, told in this order of blocks. Answers how many slots are decided, or what differs.
fn compare(graph: &Graph, rule: &Rule, seed: u64, order_seed: u64) -> Result<usize, String> {
    let members = members(graph.stakes());
    let slots = rule.leaders_of(1).len();
    let mut rules = rules(seed, slots, rule.gc_depth, graph.start_ms());
    rules.start = UnixMillis::new(graph.start_ms());
    let mut graph = graph.clone();
    let blocks = Blocks::lay_out(&mut graph, &rules, &members);
    let order = some_order(&graph, &mut StdRng::seed_from_u64(order_seed));
    let found = run(&blocks, &order, &rules, &members);
    let expected = specified(&graph, rule);
    if found == expected {
        return Ok(found.0.len());
    }
    Err(format!(
        "{}\nspecified: {}\nfound:     {}\nspecified: {:?}\nfound:     {:?}",
        draw(&graph),
        decisions(&graph, rule, &expected.0),
        decisions(&graph, rule, &found.0),
        expected.1,
        found.1,
    ))
}

/// Compares all cases of as many rounds; answers how many there are.
fn compare_every(rounds: &[Freedom], slots: usize, twins: usize) -> u64 {
    let limits = Limits {
        rounds: rounds.to_vec(),
        leaders: slots,
        twins,
    };
    let mut seeds = Seeds::new(members(&equal_stakes(4)), slots);
    let (mut cases, mut decided) = (0, 0);
    for_each_graph(&limits, |graph, table| {
        if table.len() < rounds.len() {
            return;
        }
        cases += 1;
        // No slot of the last round can be decided, whoever leads there.
        let seed = seeds.find(&table[..table.len() - 1]);
        let rule = Rule::three_rounds(table.to_vec());
        match compare(graph, &rule, seed, cases) {
            Ok(slots) => decided += slots,
            Err(difference) => panic!("case {cases}:\n{difference}"),
        }
    });
    println!("{rounds:?}, {slots} slots, {twins} twins: {cases} cases, {decided} slots decided");
    assert!(decided > 0);
    cases
}

use Freedom::{All, Leaders, None as Usual, Parents};

#[test]
fn every_graph_of_three_rounds_is_decided_alike() {
    assert_eq!(compare_every(&[All, All, All], 1, 0), 4_250);
    if HAS_TIME {
        assert_eq!(compare_every(&[All, All, All], 1, 1), 256_803);
        assert_eq!(compare_every(&[All, All, All], 2, 0), 23_908);
        assert_eq!(compare_every(&[Usual, Parents, Parents, Parents], 1, 0), 229_110);
    }
}

/// Rounds above the exhaustive ones commit an anchor, so that the indirect rule decides.
#[test]
fn every_graph_below_an_anchor_is_decided_alike() {
    compare_every(&[Usual, Parents, Parents, Usual, Usual, Usual], 1, 0);
    if HAS_TIME {
        compare_every(&[All, All, All, Leaders, Usual, Usual], 1, 0);
        compare_every(&[Usual, Parents, Leaders, Leaders, Usual, Usual], 2, 0);
    }
}

#[test]
fn every_graph_with_an_equivocator_is_decided_alike() {
    compare_every(&[All, All, Usual, Usual, Usual, Usual], 1, 1);
    // Without an anchor: one would often decide as a miscounted quorum does.
    compare_every(&[Usual, Leaders, All], 1, 1);
    compare_every(&[Usual, Leaders, All, Usual, Usual, Usual], 1, 1);
    if HAS_TIME {
        compare_every(&[All, All, Leaders, Leaders, Usual, Usual], 1, 1);
        compare_every(&[Usual, Parents, All, Leaders, Usual, Usual], 1, 1);
    }
}

#[test]
fn every_graph_with_several_slots_is_decided_alike() {
    compare_every(&[Usual, Parents, Leaders], 2, 0);
    compare_every(&[Usual, Parents, Usual, Usual], 4, 0);
    if HAS_TIME {
        compare_every(&[Usual, Parents, Parents], 4, 0);
        compare_every(&[All, All, Usual, Usual, Usual, Usual], 2, 1);
    }
}

/// What small graphs cannot show: with four authors nobody can leave out both a leader and a certificate.
#[test]
fn an_anchor_sees_a_certificate_that_only_an_older_parent_names() {
    let members = members(&equal_stakes(7));
    let seed = Seeds::new(members, 1).find(&round_robin(7, 1)[..5]);
    let rule = Rule::three_rounds(round_robin(7, 1));
    for (anchor, decided) in [
        ("5: * -E; E5: +A3", "A1 B2 C3 -D4 E5"),
        ("5: *", "-A1 B2 C3 -D4 E5"),
    ] {
        let drawing = format!(
            "1: *; 2: * -F -G; F2: -A; G2: -A; 3: A; B3: -A; C3: -A; D3: -A; E3: -A; F3: -A; G3: -A;
             B4: -A; C4: -A; E4: -A; F4: -A; G4: -A; {anchor}; 6-7: *"
        );
        let graph = parse(equal_stakes(7), &drawing).unwrap();
        assert_eq!(
            decisions(&graph, &rule, &specified(&graph, &rule).0),
            decided,
            "{drawing}"
        );
        assert_eq!(compare(&graph, &rule, seed, 0), Ok(5));
    }
}

#[test]
fn random_graphs_in_random_orders() {
    let (mut decided, count) = (0, if HAS_TIME { 5_000 } else { 150 });
    for seed in 0..count {
        let (authors, blocks) = if seed % 10 == 0 { (40, 400) } else { (10, 100) };
        let stakes = random_stakes(seed, authors);
        let committee = members(&stakes);
        let slots = random_slots(seed, stakes.len());
        let rounds = u32::try_from(blocks).expect("few blocks");
        let rule = Rule {
            gc_depth: [2, 4, 60][seed as usize % 3],
            ..Rule::three_rounds(leaders(&rules(seed, slots, 60, 0), &committee, rounds))
        };
        let size = Size {
            blocks,
            faulty: 3_333,
        };
        let graph = random_graph(seed, size, &rule, stakes);
        for order in 0..2 {
            match compare(&graph, &rule, seed, order) {
                Ok(slots) => decided += slots,
                Err(_) => {
                    let differs = |graph: &Graph| compare(graph, &rule, seed, order).is_err();
                    let difference = compare(&smallest(&graph, differs), &rule, seed, order);
                    panic!("seed {seed}, order {order}:\n{}", difference.unwrap_err());
                }
            }
        }
    }
    println!("{count} graphs, {decided} slots decided");
}

/// The whole machine: blocks come signed, before their parents, and more than once.
#[test]
fn a_member_that_only_listens_delivers_what_is_specified() {
    let mut delivered = 0;
    for seed in 0..if HAS_TIME { 1_000 } else { 40 } {
        let stakes = random_stakes(seed, 10);
        // The one that listens comes last and has no power.
        let committee = members(&[stakes.as_slice(), &[0]].concat());
        let slots = random_slots(seed, stakes.len());
        let mut rules = rules(seed, slots, [2, 4, 60][seed as usize % 3], 1_000);
        rules.commits_per_schedule = u64::MAX;
        let rule = Rule {
            gc_depth: rules.gc_depth,
            ..Rule::three_rounds(leaders(&rules, &committee, 100))
        };
        let size = Size {
            blocks: 60,
            faulty: 3_333,
        };
        let mut graph = random_graph(seed, size, &rule, stakes);
        let blocks = Blocks::lay_out(&mut graph, &rules, &committee);
        let mut order = some_order(&graph, &mut StdRng::seed_from_u64(seed));
        order.shuffle(&mut StdRng::seed_from_u64(seed));
        let found = listen(&blocks, &order, &rules, &committee);

        // Of several blocks of a slot that nobody names it has one at most, whichever came first.
        let parents: BTreeSet<usize> = graph
            .blocks()
            .iter()
            .flat_map(|block| block.parents.clone())
            .collect();
        let is_sure = |&block: &usize| {
            let Block { round, author, .. } = graph.blocks()[block];
            parents.contains(&block) || graph.slot(round, author).len() == 1
        };
        let names = |graph: &Graph, sub_dags: &[SubDag]| {
            let name = |&block: &usize| graph.blocks()[block].digest;
            let named = sub_dags.iter().map(|sub_dag| {
                let blocks: Vec<_> = sub_dag.blocks.iter().map(name).collect();
                (name(&sub_dag.leader), blocks, sub_dag.timestamp_ms)
            });
            named.collect::<Vec<_>>()
        };
        let sure = graph.view((0..graph.blocks().len()).filter(is_sure));
        let least = names(&sure, &specified(&sure, &rule).1);
        let most = names(&graph, &specified(&graph, &rule).1);
        let found = names(&graph, &found);
        assert!(
            found.starts_with(&least),
            "seed {seed}: less than is sure\n{}",
            draw(&graph)
        );
        assert!(
            most.starts_with(&found),
            "seed {seed}: other than specified\n{}",
            draw(&graph)
        );
        delivered += found.len();
    }
    assert!(delivered > 100, "{delivered}");
}
