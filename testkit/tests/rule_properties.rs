//! What must hold of the rule on any graph, so that a mistake in the specification cannot hide in what it is compared with.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::rule::drawing::draw;
use testkit::rule::every::{Freedom, Limits, for_each_graph};
use testkit::rule::random::{Size, random_graph, random_leaders, random_stakes, smallest};
use testkit::rule::{
    Conflict, Graph, Rule, Slot, Verdict, decide, direct, equal_stakes, linearize, round_robin, verdicts,
};

/// 80 blocks of 4 to 10 authors.
const SMALL: Shape = Shape {
    authors: 10,
    size: Size {
        blocks: 80,
        faulty: 3_333,
    },
};
/// 400 blocks of 4 to 40 authors.
const LARGE: Shape = Shape {
    authors: 40,
    size: Size {
        blocks: 400,
        faulty: 3_333,
    },
};

#[derive(Clone, Copy)]
struct Shape {
    authors: usize,
    size: Size,
}

impl Shape {
    const fn with_faulty(self, faulty: u32) -> Self {
        let size = Size { faulty, ..self.size };
        Self { size, ..self }
    }

    fn graph(self, seed: u64, rule: impl Fn(Vec<Vec<usize>>) -> Rule) -> (Graph, Rule) {
        let stakes = random_stakes(seed, self.authors);
        let mut rule = rule(random_leaders(seed, stakes.len()));
        rule.gc_depth = [1, 3, 60][seed as usize % 3];
        (random_graph(seed, self.size, &rule, stakes), rule)
    }
}

/// How many times as much an optimised build looks at.
const MORE: u64 = if cfg!(debug_assertions) { 1 } else { 50 };

/// Round, author and digest: what names a block in every view.
type Key = (u32, usize, [u8; 32]);

fn key(graph: &Graph, block: usize) -> Key {
    let block = &graph.blocks()[block];
    (block.round, block.author, block.digest)
}

fn decided(graph: &Graph, rule: &Rule) -> Result<Vec<(Slot, Option<Key>)>, Conflict> {
    let decisions = decide(graph, rule)?.into_iter();
    Ok(decisions
        .map(|decision| (decision.slot, decision.block.map(|block| key(graph, block))))
        .collect())
}

/// What somebody knows who has seen each block with this probability, and all ancestors of what was seen.
fn view(graph: &Graph, drawn: &mut StdRng) -> Graph {
    let share = drawn.gen_range(0.0..1.0);
    let last = drawn.gen_range(0..graph.blocks().len());
    graph.view((0..=last).filter(|_| drawn.gen_bool(share)).collect::<Vec<_>>())
}

/// Whether what is decided in a view is decided alike in the whole graph.
fn agrees(graph: &Graph, rule: &Rule, view: &Graph) -> bool {
    match (decided(graph, rule), decided(view, rule)) {
        (Ok(all), Ok(some)) => all.starts_with(&some),
        _ => false,
    }
}

fn check_views(shape: Shape, seeds: u64, rule: fn(Vec<Vec<usize>>) -> Rule) -> u64 {
    let mut disagreements = 0;
    for seed in 0..seeds {
        let (graph, rule) = shape.graph(seed, rule);
        let mut drawn = StdRng::seed_from_u64(seed);
        for _ in 0..4 {
            let view = view(&graph, &mut drawn);
            if !agrees(&graph, &rule, &view) {
                disagreements += 1;
                if shape.size.faulty < 3_334 {
                    let failing = smallest(&graph, |less| !agrees(&graph, &rule, less));
                    panic!(
                        "seed {seed}: a view and the whole graph disagree, for example\n{}\nof\n{}",
                        draw(&failing),
                        draw(&graph)
                    );
                }
            }
        }
    }
    disagreements
}

#[test]
fn views_within_the_fault_bound_agree() {
    check_views(SMALL, 300 * MORE.min(10), Rule::three_rounds);
    check_views(LARGE, MORE, Rule::three_rounds);
}

#[test]
fn views_of_two_round_graphs_agree_with_less_than_a_fifth_of_equivocators() {
    check_views(SMALL.with_faulty(1_999), 60 * MORE, Rule::two_rounds);
}

#[test]
fn beyond_the_fault_bound_views_disagree_or_a_conflict_is_said() {
    let beyond = SMALL.with_faulty(9_000);
    assert!(check_views(beyond, 40, Rule::three_rounds) > 0);
}

#[test]
fn a_block_more_takes_no_decision_back() {
    let limits = Limits {
        rounds: [
            vec![Freedom::None],
            vec![Freedom::Parents; 2],
            vec![Freedom::None; if MORE > 1 { 3 } else { 1 }],
        ]
        .concat(),
        leaders: 1,
        twins: 0,
    };
    let mut decisions = 0;
    for_each_graph(&limits, |graph, leaders| {
        let rule = Rule::three_rounds(leaders.to_vec());
        let last = graph.blocks().len() - 1;
        let before = graph.view(0..last);
        assert!(agrees(graph, &rule, &before), "{}", draw(graph));
        decisions += decided(graph, &rule).expect("no conflict").len();
    });
    assert!(decisions > 1_000, "{decisions}");
}

#[test]
fn what_everyone_sees_at_once_is_all_committed() {
    for slots in [1, 2, 4, 7] {
        let mut graph = Graph::new(equal_stakes(7), 0);
        for round in 1..=9 {
            let below = graph.round(round - 1).to_vec();
            for author in 0..7 {
                graph
                    .add(testkit::rule::Block {
                        round,
                        author,
                        digest: [1; 32],
                        timestamp_ms: 0,
                        parents: below.clone(),
                    })
                    .unwrap();
            }
        }
        let rule = Rule::three_rounds(round_robin(7, slots));
        let decisions = decide(&graph, &rule).unwrap();
        assert_eq!(decisions.len(), 7 * slots);
        assert!(decisions.iter().all(|decision| decision.block.is_some()));
    }
}

#[test]
fn sub_dags_order_each_block_once_after_its_ancestors() {
    for seed in 0..60 * MORE {
        let (graph, rule) = SMALL.graph(seed, Rule::three_rounds);
        let sub_dags = linearize(&graph, &rule, &decide(&graph, &rule).unwrap());
        let mut ordered = BTreeSet::new();
        let mut gc_round = 0;
        let mut time = 0;
        for sub_dag in sub_dags {
            assert_eq!(sub_dag.blocks.last(), Some(&sub_dag.leader), "seed {seed}");
            assert!(sub_dag.timestamp_ms >= time, "seed {seed}");
            time = sub_dag.timestamp_ms;
            for block in sub_dag.blocks {
                assert!(ordered.insert(block), "seed {seed}: {block} is ordered twice");
                for &parent in &graph.blocks()[block].parents {
                    let is_old = graph.blocks()[parent].round <= gc_round;
                    assert!(
                        is_old || ordered.contains(&parent),
                        "seed {seed}: {parent} is left out"
                    );
                }
            }
            gc_round = graph.blocks()[sub_dag.leader].round.saturating_sub(rule.gc_depth);
        }
    }
}

#[test]
fn random_graphs_show_every_way_to_decide() {
    let mut direct_commits = 0;
    let mut direct_skips = 0;
    let mut indirect_commits = 0;
    let mut indirect_skips = 0;
    let mut open = 0;
    let mut equivocators_committed = 0;
    for seed in 0..100 {
        let (graph, rule) = SMALL.graph(seed, Rule::three_rounds);
        graph.check_quorums(6_667).unwrap();
        for (slot, verdict) in verdicts(&graph, &rule).unwrap() {
            let at_once = direct(&graph, &rule, slot).unwrap() != Verdict::Undecided;
            let counter = match (verdict, at_once) {
                (Verdict::Commit(_), true) => &mut direct_commits,
                (Verdict::Commit(_), false) => &mut indirect_commits,
                (Verdict::Skip, true) => &mut direct_skips,
                (Verdict::Skip, false) => &mut indirect_skips,
                (Verdict::Undecided, _) => &mut open,
            };
            *counter += 1;
            if let Verdict::Commit(block) = verdict {
                let author = graph.blocks()[block].author;
                equivocators_committed += usize::from(graph.slot(slot.round, author).len() > 1);
            }
        }
    }
    for (what, count) in [
        ("direct commits", direct_commits),
        ("direct skips", direct_skips),
        ("indirect commits", indirect_commits),
        ("indirect skips", indirect_skips),
        ("open slots", open),
        ("equivocators committed", equivocators_committed),
    ] {
        assert!(count >= 20, "{count} {what}");
    }
}

#[test]
fn every_case_is_visited_once() {
    let cases = |rounds: Vec<Freedom>, leaders, twins| {
        let mut drawn = BTreeSet::new();
        let mut visits = 0;
        for_each_graph(
            &Limits {
                rounds,
                leaders,
                twins,
            },
            |graph, leaders| {
                visits += 1;
                drawn.insert((draw(graph), leaders[..leaders.len() - 1].to_vec()));
                let quorum = graph.check_quorums(6_667);
                assert_eq!(quorum, Ok(()), "{}", draw(graph));
            },
        );
        assert_eq!(drawn.len(), visits, "no graph is visited twice");
        visits
    };
    // No slot is told from another in the last round: from one block to four of them.
    assert_eq!(cases(vec![Freedom::All], 1, 0), 4);
    // And with two blocks in one slot, beside none to three others.
    assert_eq!(cases(vec![Freedom::All], 1, 1), 4 + 4);
    assert_eq!(cases(vec![Freedom::All; 3], 1, 0), 4_383);
}
