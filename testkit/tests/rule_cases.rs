//! Each way in which a slot is decided or is not, as a drawing, for committees of several sizes.

use testkit::rule::drawing::{decisions, name, parse};
use testkit::rule::{Graph, Rule, Slot, Verdict, decide, equal_stakes, linearize, round_robin, verdicts};

/// The decided prefix of a drawing with equal stakes, where the authors lead in turn.
fn decided(authors: u16, slots: usize, drawing: &str) -> String {
    by(
        &Rule::three_rounds(round_robin(authors.into(), slots)),
        authors,
        drawing,
    )
}

fn by(rule: &Rule, authors: u16, drawing: &str) -> String {
    let graph = parse(equal_stakes(authors), drawing).expect("a drawing");
    graph
        .check_quorums(rule.quorum)
        .expect("a graph that honest authors accept");
    decisions(&graph, rule, &decide(&graph, rule).expect("no conflict"))
}

fn check(table: &[(&str, u16, usize, &str, &str)]) {
    for &(what, authors, slots, drawing, expected) in table {
        assert_eq!(
            decided(authors, slots, drawing),
            expected,
            "{what}, {authors} authors, {slots} slots"
        );
    }
}

#[test]
fn a_quorum_of_certificates_commits() {
    check(&[
        ("all certify", 4, 1, "1-3: *", "A1"),
        ("a quorum certifies", 4, 1, "1-2: *; 3: A B C", "A1"),
        ("one less than a quorum certifies", 4, 1, "1-2: *; 3: A B", ""),
        ("a twin counts once", 4, 1, "1-2: *; 3: A B; B3': -A", ""),
        ("a quorum votes", 4, 1, "1: *; 2: A B C; D2: -A; 3: *", "A1"),
        (
            "nobody sees a quorum of votes",
            4,
            1,
            "1: *; 2: A B C; D2: -A; A3: -B; B3: -C; C3: -A; D3: -B",
            "",
        ),
        (
            "a quorum of seven",
            7,
            1,
            "1: *; 2: A B C D E; 3: C D E F G",
            "A1",
        ),
        ("less of seven", 7, 1, "1: *; 2: A B C D E; 3: D E F G", ""),
        (
            "five of seven vote",
            7,
            1,
            "1: *; 2: * -F -G; F2: -A; G2: -A; 3: *",
            "A1",
        ),
        (
            "four of seven vote",
            7,
            1,
            "1: *; 2: * -E -F -G; E2: -A; F2: -A; G2: -A; 3: *",
            "",
        ),
        ("a quorum of ten", 10, 1, "1-2: *; 3: * -A -B -C", "A1"),
        ("less of ten", 10, 1, "1-2: *; 3: * -A -B -C -D", ""),
        ("two slots", 4, 2, "1-3: *", "A1 B1"),
        ("four slots", 4, 4, "1-4: *", "A1 B1 C1 D1 B2 C2 D2 A2"),
        ("seven slots", 7, 7, "1-2: *; 3: * -C -D", "A1 B1 C1 D1 E1 F1 G1"),
        ("ten slots", 10, 10, "1-3: *", "A1 B1 C1 D1 E1 F1 G1 H1 I1 J1"),
        ("two slots of ten", 10, 2, "1-4: *", "A1 B1 B2 C2"),
    ]);
}

#[test]
fn a_quorum_of_blames_skips() {
    check(&[
        ("no block", 4, 1, "1: B C D; 2: B C D", "-A1"),
        ("no block, and few speak", 4, 1, "1: B C D; 2: B C", ""),
        (
            "no child but the own",
            4,
            1,
            "1: *; 2: A; B2: -A; C2: -A; D2: -A",
            "-A1",
        ),
        (
            "one less than a quorum blames",
            4,
            1,
            "1: *; 2: A; B2: -A; C2: -A",
            "",
        ),
        (
            "a twin counts once",
            4,
            1,
            "1: *; 2: A; B2: -A; C2: -A; C2': -A",
            "",
        ),
        (
            "an older block of the author is no block of the slot",
            4,
            1,
            "1-4: *; 5: B C D; 6: B C D; B6': +A4; C6': +A4; D6': +A4",
            "A1 B2 C3 D4 -A5",
        ),
        ("no block of seven", 7, 1, "1: * -A; 2: B C D E F", "-A1"),
        ("few of seven speak", 7, 1, "1: * -A; 2: B C D E", ""),
        ("no block of ten", 10, 1, "1: * -A; 2: * -A -B -C", "-A1"),
        ("few of ten speak", 10, 1, "1: * -A; 2: * -A -B -C -D", ""),
        ("the first of two slots", 4, 2, "1: B C D; 2-3: B C D", "-A1 B1"),
        (
            "the second of two slots",
            4,
            2,
            "1: A C D; 2-3: A C D",
            "A1 -B1 -B2",
        ),
        (
            "the first of two slots is open",
            4,
            2,
            "1: *; 2: A B; C2: -A; D2: -A; 3: *",
            "",
        ),
        ("one of four slots", 4, 4, "1: * -C; 2-3: *", "A1 B1 -C1 D1"),
        (
            "one of seven slots",
            7,
            7,
            "1: * -G; 2-3: *",
            "A1 B1 C1 D1 E1 F1 -G1",
        ),
        (
            "two of ten slots",
            10,
            10,
            "1: * -A -J; 2-3: *",
            "-A1 B1 C1 D1 E1 F1 G1 H1 I1 -J1",
        ),
    ]);
}

/// Round 1 to 3, where A3 alone certifies A1, and nothing is decided directly.
const ONE_OF_FOUR: &str = "1: *; 2: A B C; D2: -A; 3: A; B3: -C; C3: -B; D3: -B;";
/// The same without any certificate.
const NONE_OF_FOUR: &str = "1: *; 2: A B C; D2: -A; A3: -B; B3: -C; C3: -B; D3: -B;";
/// Five of seven vote, and A3 alone sees them all.
const ONE_OF_SEVEN: &str =
    "1: *; 2: * -F -G; F2: -A; G2: -A; 3: A; B3: -A; C3: -A; D3: -A; E3: -A; F3: -A; G3: -A;";
/// Seven of ten vote, and A3 alone sees them all.
const ONE_OF_TEN: &str = "1: *; 2: * -H -I -J; H2: -A; I2: -A; J2: -A; 3: A;
    B3: -A; C3: -A; D3: -A; E3: -A; F3: -A; G3: -A; H3: -A; I3: -A; J3: -A;";

#[test]
fn an_anchor_commits_what_its_history_certifies() {
    let table = [
        (
            "the anchor sees the certificate",
            4,
            1,
            ONE_OF_FOUR,
            "4-6: *",
            "A1",
        ),
        (
            "the rest of the wave follows",
            4,
            1,
            ONE_OF_FOUR,
            "4-7: *",
            "A1 -B2 C3 D4 A5",
        ),
        (
            "the first anchor is skipped",
            4,
            1,
            ONE_OF_FOUR,
            "4: A B C; 5: A B C; 6-7: A B C",
            "A1 -B2 C3 -D4 A5",
        ),
        ("the anchor of seven", 7, 1, ONE_OF_SEVEN, "4-6: *", "A1 B2 C3 D4"),
        ("the anchor of ten", 10, 1, ONE_OF_TEN, "4-6: *", "A1 B2 C3 D4"),
        (
            "the anchor names the certificate as an older block",
            7,
            1,
            ONE_OF_SEVEN,
            "B4: -A; C4: -A; E4: -A; F4: -A; G4: -A; 5: * -E; E5: +A3; 6-7: *",
            "A1 B2 C3 -D4 E5",
        ),
        ("the first of two anchors", 4, 2, ONE_OF_FOUR, "4-6: *", "A1 B1"),
        (
            "the second of two anchors",
            4,
            2,
            ONE_OF_FOUR,
            "4: A B C; 5-6: A B C",
            "A1 B1",
        ),
        (
            "ten slots of ten",
            10,
            10,
            ONE_OF_TEN,
            "4-6: *",
            "A1 B1 C1 D1 E1 F1 G1 H1 I1 J1 B2 C2 D2 E2 F2 G2 H2 I2 J2 -A2 C3 D3 E3 F3 G3 H3 I3 J3 A3 B3 \
             D4 E4 F4 G4 H4 I4 J4 A4 B4 C4",
        ),
    ];
    for (what, authors, slots, below, above, expected) in table {
        assert_eq!(
            decided(authors, slots, &format!("{below}{above}")),
            expected,
            "{what}"
        );
        assert_eq!(decided(authors, slots, below), "", "{what}, before the anchor");
    }
}

#[test]
fn an_anchor_skips_what_its_history_does_not_certify() {
    let table = [
        (
            "there is no certificate",
            4,
            1,
            NONE_OF_FOUR,
            "4-6: *",
            "-A1 -B2 C3 D4",
        ),
        (
            "the anchor does not see the certificate",
            4,
            1,
            ONE_OF_FOUR,
            "4: A B C; D4: -A; 5-6: *",
            "-A1",
        ),
        (
            "the anchor of seven does not see it",
            7,
            1,
            ONE_OF_SEVEN,
            "4: * -D; D4: -A; 5-6: *",
            "-A1 B2 C3 D4",
        ),
        (
            "nobody below the anchor names the certificate",
            7,
            1,
            ONE_OF_SEVEN,
            "B4: -A; C4: -A; E4: -A; F4: -A; G4: -A; 5: *; 6-7: *",
            "-A1 B2 C3 -D4 E5",
        ),
        (
            "the anchor of ten does not see it",
            10,
            1,
            ONE_OF_TEN,
            "4: * -D; D4: -A; 5-6: *",
            "-A1 B2 C3 D4",
        ),
        (
            "the first anchor decides, not the second",
            4,
            2,
            ONE_OF_FOUR,
            "4: A B C; D4: -A; 5-6: *",
            "-A1 B1",
        ),
    ];
    for (what, authors, slots, below, above, expected) in table {
        assert_eq!(
            decided(authors, slots, &format!("{below}{above}")),
            expected,
            "{what}"
        );
    }
}

#[test]
fn a_slot_waits_for_its_anchor() {
    let table = [
        ("no anchor yet", 1, "", ""),
        ("the anchor has no votes", 1, "4: *", ""),
        ("the anchor has votes", 1, "4-5: *", ""),
        ("the anchor has too few certificates", 1, "4-5: *; 6: A B", ""),
        ("the anchor is committed", 1, "4-5: *; 6: A B C", "A1"),
        ("both anchors are committed", 2, "4-5: *; 6: A B C", "A1 B1"),
        (
            "the first anchor is open, though the second is committed",
            2,
            "4: *; 5: D A; B5: -D; C5: -D; 6: *",
            "",
        ),
        (
            "the first anchor is skipped by an anchor of its own, and the second is committed",
            2,
            "4: *; 5: D A; B5: -D; C5: -D; 6-9: *",
            "A1 B1 -B2 C2 C3 D3 -D4 A4 A5 B5 B6 C6 C7 D7",
        ),
    ];
    for (what, slots, above, expected) in table {
        let found = decided(4, slots, &format!("{ONE_OF_FOUR}{above}"));
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn of_equivocating_leaders_the_certified_one_commits() {
    check(&[
        (
            "the first block",
            4,
            1,
            "1: *; A1':; 2: A B C; D2: +A'; 3: *",
            "A1",
        ),
        (
            "the other block",
            4,
            1,
            "1: *; A1':; 2: A; B2: +A'; C2: +A'; D2: +A'; 3: *",
            "A1'",
        ),
        ("neither", 4, 1, "1: *; A1':; 2: A B; C2: +A'; D2: +A'; 3: *", ""),
        (
            "neither, and an anchor",
            4,
            1,
            "1: *; A1':; 2: A B; C2: +A'; D2: +A'; 3-6: *",
            "-A1 B2 C3 D4",
        ),
        (
            "votes for two blocks are no blames",
            4,
            1,
            "1: *; A1':; A2: -B; B2: +A'; C2: -A; D2: -A",
            "",
        ),
        (
            "the other block, by an anchor",
            4,
            1,
            "1: *; A1':; 2: D; A2: +A'; B2: +A'; C2: +A'; 3: A; B3: -C; C3: -B; D3: -B; 4-6: *",
            "A1'",
        ),
        (
            "both get their author's vote, one a quorum",
            4,
            1,
            "1: *; A1':; 2: A B C; A2': +A'; D2: +A'; A3: -D; B3: -D; C3: -D",
            "A1",
        ),
        (
            "of seven",
            7,
            2,
            "1: *; A1':; 2: F G; A2: +A'; B2: +A'; C2: +A'; D2: +A'; E2: +A'; 3: *",
            "A1' B1",
        ),
        (
            "of ten, neither",
            10,
            2,
            "1: *; A1':; 2: * -A -B -C -D; A2: +A'; B2: +A'; C2: +A'; D2: +A'; 3-6: *",
            "-A1 B1 B2 C2 C3 D3 D4 E4",
        ),
    ]);
}

/// Appendix A of arXiv 2310.14821, where the paper's `L2b` is the block of round 2 whose leader slot is the second one.
///
/// The paper's text says that the first slot of round 4 decides on L1b; but it is skipped, as the text says too, so the
/// second one does, with the outcome that the paper gives.
#[test]
fn the_example_of_the_paper_is_decided_as_the_paper_says() {
    let drawing = "
        1: *
        A2: A B C; B2: A B D; C2: A C D; D2: A C D
        A3: A B C; B3: A B D; D3: A B C D
        A4: A B D; B4: A B D; C4: A B D; D4: A B D
        A5: A C D; B5: A B C D; C5: A C D; D5: A C D
        A6: A B C D; B6: B C D; C6: B C D";
    let leaders = [
        [0, 1, 2, 3],
        [1, 2, 3, 0],
        [2, 3, 0, 1],
        [1, 2, 3, 0],
        [2, 3, 0, 1],
        [3, 0, 1, 2],
    ];
    let rule = Rule::three_rounds(leaders.map(Vec::from).to_vec());
    assert_eq!(by(&rule, 4, drawing), "A1 -B1 C1 D1 B2");

    let graph = parse(equal_stakes(4), drawing).unwrap();
    let row = |round: u32| {
        let verdicts = verdicts(&graph, &rule).unwrap();
        let of_round = (0..4).map(|offset| verdicts[&Slot { round, offset }]);
        of_round.map(|verdict| tell(&graph, verdict)).collect::<String>()
    };
    assert_eq!(row(1), "A1 skip C1 D1 ");
    assert_eq!(row(2), "B2 open open A2 ");
    assert_eq!(row(3), "skip D3 A3 B3 ");
    assert_eq!(row(4), "skip C4 D4 A4 ");
    assert_eq!(row(5), "open open open open ");
    assert_eq!(row(6), "open open open open ");
}

fn tell(graph: &Graph, verdict: Verdict) -> String {
    match verdict {
        Verdict::Commit(block) => name(graph, block) + " ",
        Verdict::Skip => "skip ".to_owned(),
        Verdict::Undecided => "open ".to_owned(),
    }
}

#[test]
fn more_than_a_third_of_equivocators_is_said_and_not_decided() {
    // A, B and C vote for both blocks of A, each with a block of its own, and everyone certifies one of them.
    let drawing = "1: *; A1':
        2: A B C D; A2': +A'; B2': +A'; C2': +A'
        3: A B D; A3': +A' +B' +C'; B3': +A' +B' +C'; C3: +A' +B' +C'";
    let graph = parse(equal_stakes(4), drawing).unwrap();
    let rule = Rule::three_rounds(round_robin(4, 1));
    let slot = Slot { round: 1, offset: 0 };
    assert_eq!(decide(&graph, &rule).unwrap_err().slot, slot);

    // One certificate for each, and an anchor that sees both.
    let drawing = "1: *; A1':; 2: A B C D; A2': +A'; B2': +A'; C2': +A'
        A3: -D; B3: -B +A' +B'; C3: +A' +B' +C'; D3: +A'; 4-6: *";
    let graph = parse(equal_stakes(4), drawing).unwrap();
    assert_eq!(decide(&graph, &rule).unwrap_err().slot, slot);

    // A quorum votes, and a quorum blames.
    let drawing = "1: *; 2: A B C; B2': -A; C2': -A; D2: -A; 3: A B C";
    let graph = parse(equal_stakes(4), drawing).unwrap();
    assert_eq!(decide(&graph, &rule).unwrap_err().slot, slot);
}

#[test]
fn two_rounds_decide_by_larger_quorums() {
    let table = [
        ("five of six vote", 6, "1: *; 2: A B C D E", "A1"),
        ("four of six vote", 6, "1: *; 2: A B C D", ""),
        ("five of six blame", 6, "1: * -A; 2: * -F", "-A1"),
        ("four of six blame", 6, "1: * -A; 2: * -E -F", ""),
        (
            "three of six vote, and the anchor sees them",
            6,
            "1: *; 2: A B C; D2: -A; E2: -A; F2: -A; 3-4: *",
            "A1 B2 C3",
        ),
        (
            "three of six vote, and the anchor misses one",
            6,
            "1: *; 2: A B C; D2: -A; E2: -A; F2: -A; 3: * -C; C3: -A; 4: *",
            "-A1 B2 C3",
        ),
        (
            "two of six vote",
            6,
            "1: *; 2: A B; C2: -A; D2: -A; E2: -A; F2: -A; 3-4: *",
            "-A1 B2 C3",
        ),
        (
            "three of six vote for each twin, and the lower digest commits",
            6,
            "1: *; A1':; 2: A B C; D2: +A'; E2: +A'; F2: +A'; 3-4: *",
            "A1 B2 C3",
        ),
        (
            "three of six vote for the other twin, two for the first",
            6,
            "1: *; A1':; 2: A B; C2: -A; D2: +A'; E2: +A'; F2: +A'; 3-4: *",
            "A1' B2 C3",
        ),
        ("nine of eleven vote", 11, "1: *; 2: * -J -K", "A1"),
        ("eight of eleven vote", 11, "1: *; 2: * -I -J -K", ""),
    ];
    for (what, authors, drawing, expected) in table {
        let rule = Rule::two_rounds(round_robin(authors.into(), 1));
        assert!(by(&rule, authors, drawing).starts_with(expected), "{what}");
        assert_eq!(by(&rule, authors, drawing), expected, "{what}");
    }
}

#[test]
fn longer_waves_gather_votes_through_ancestors() {
    let rule = Rule {
        wave: 4,
        ..Rule::three_rounds(round_robin(4, 1))
    };
    assert_eq!(by(&rule, 4, "1-3: *"), "");
    assert_eq!(by(&rule, 4, "1-4: *"), "A1");
    // No block of round 3 sees all three votes, and all of round 4 do.
    let below = "1: *; 2: A B C; D2: -A; A3: -B; B3: -C; C3: -A; D3: -B;";
    assert_eq!(by(&rule, 4, &format!("{below} 4: *")), "A1");
}

#[test]
fn a_sub_dag_is_what_no_earlier_leader_has_ordered() {
    let told = |gc_depth, drawing: &str| {
        let graph = parse(equal_stakes(4), drawing).unwrap();
        let rule = Rule {
            gc_depth,
            ..Rule::three_rounds(round_robin(4, 1))
        };
        let sub_dags = linearize(&graph, &rule, &decide(&graph, &rule).unwrap());
        let told = sub_dags.iter().map(|sub_dag| {
            let names: Vec<String> = sub_dag.blocks.iter().map(|&block| name(&graph, block)).collect();
            names.join(" ")
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(
        told(60, "1-5: *"),
        ["A1", "B1 C1 D1 B2", "A2 C2 D2 C3"],
        "each leader orders what is new"
    );
    assert_eq!(
        told(60, "1: *; A1':; 2: A B C; D2: +A'; 3-4: *; 5: *"),
        ["A1", "B1 C1 D1 B2", "A1' A2 C2 D2 C3"],
        "both blocks of an equivocator are ordered, by digest"
    );
    // D1 is seen first by D7, long after its round.
    let late = "1: *; 2-3: A B C; D2: ; A2': -D; B2': -D; C2': -D";
    assert_eq!(told(60, late).len(), 1);
    let late = "1: *; A2: -D; B2: -D; C2: -D; 3-4: A B C; 5: * -D; D5: +D1; 6-9: *";
    let all = told(60, late);
    assert!(all.iter().any(|blocks| blocks.starts_with("D1 ")), "{all:?}");
    let recent = told(2, late);
    assert!(!recent.iter().any(|blocks| blocks.contains("D1")), "{recent:?}");
}

#[test]
fn a_commit_happens_at_the_median_of_its_parents_and_never_earlier_than_another() {
    let times = |stakes: Vec<u16>, drawing: &str| {
        let graph = parse(stakes, drawing).unwrap();
        let rule = Rule::three_rounds(round_robin(graph.stakes().len(), 1));
        let sub_dags = linearize(&graph, &rule, &decide(&graph, &rule).unwrap());
        sub_dags
            .iter()
            .map(|sub_dag| sub_dag.timestamp_ms)
            .collect::<Vec<_>>()
    };
    assert_eq!(times(equal_stakes(4), "1-5: *"), [1_000, 1_100, 1_200]);
    let clocks = "A1@5: ; B1@6: ; C1@7000: ; D1@7001: ; 2-4: *";
    assert_eq!(
        times(equal_stakes(4), clocks),
        [1_000, 7_000],
        "half of the stake is not more than half"
    );
    assert_eq!(times(vec![2_501, 2_500, 2_500, 2_499], clocks), [1_000, 1_000]);
    let early = "1: *; A2@5: ; B2@5: ; C2@5: ; D2@5: ; 3-5: *";
    assert_eq!(
        times(equal_stakes(4), early),
        [1_000, 1_100, 1_100],
        "time does not run back"
    );
    let absent = "A1@1: ; B1@2: ; C1@3: ; D1@4: ; B2: -A; 2: A C D; 3-4: *";
    assert_eq!(
        times(equal_stakes(4), absent),
        [1_000, 1_000],
        "only parents are asked"
    );
}
