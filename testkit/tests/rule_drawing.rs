//! Drawings are read, refused and drawn again.

use testkit::rule::drawing::{DrawingError, START_MS, Why, draw, name, parse};
use testkit::rule::{Graph, Misfit, equal_stakes};

fn parents(graph: &Graph, of: &str) -> String {
    let all = 0..graph.blocks().len();
    let found = all
        .into_iter()
        .find(|&block| name(graph, block) == of)
        .expect("a block that is drawn");
    let mut names: Vec<String> = graph.blocks()[found]
        .parents
        .iter()
        .map(|&parent| name(graph, parent))
        .collect();
    names.sort();
    names.join(" ")
}

#[test]
fn parents_are_the_usual_ones_but_for_what_is_said() {
    let drawing = "
        1-2: *               # A remark.
        B2': -A
        3: A C
        B3: +B'
        5: * -A -B -C -D; 4: A B
        C4: A B' D2";
    let drawing = drawing.replace("B' D2", "B D2");
    let graph = parse(equal_stakes(4), &drawing).unwrap();
    for (block, expected) in [
        ("A1", "A0 B0 C0 D0"),
        ("D2", "A1 B1 C1 D1"),
        ("B2'", "B1 C1 D1"),
        ("C3", "A2 B2 C2 D2"),
        ("B3", "A2 B2' C2 D2"),
        ("A4", "A3 B3 C3"),
        ("C4", "A3 B3 D2"),
    ] {
        assert_eq!(parents(&graph, block), expected, "{block}");
    }
    let late = parse(equal_stakes(4), "1: *; 2-3: A B C; 4: *").unwrap();
    assert_eq!(parents(&late, "D4"), "A3 B3 C3 D1");
}

#[test]
fn a_drawing_that_makes_no_sense_is_refused_with_its_statement() {
    let name = |text: &str| Why::Name(text.to_owned());
    let missing = |text: &str| Why::Missing(text.to_owned());
    for (drawing, statement, why) in [
        ("1: *; nothing", "nothing", Why::Begin),
        ("x-2: *", "x-2: *", Why::Begin),
        ("E1: ", "E1:", Why::Begin),
        ("A1@soon: ", "A1@soon:", Why::Begin),
        ("1: A E", "1: A E", name("E")),
        ("1: * -E", "1: * -E", name("-E")),
        ("1: *; A2: A E", "A2: A E", name("E")),
        ("1: *; A2: A ?", "A2: A ?", name("?")),
        ("1: A B C; A2: A B D", "A2: A B D", missing("D")),
        ("1: *; A2: +B'", "A2: +B'", missing("B'")),
        ("1-2: *; A3: -B1", "A3: -B1", Why::Unusual("B1".to_owned())),
        ("1: *; A2: A -B", "A2: A -B", Why::Mixed),
        ("A1': ", "A1':", Why::Primes(0)),
        ("1: *; A1: ", "A1:", Why::Primes(1)),
        ("0: A", "0: A", Why::Misfit(Misfit::Genesis)),
        (
            "1: *; A2: A B B0",
            "A2: A B B0",
            Why::Misfit(Misfit::Parents { author: 1 }),
        ),
        (
            "1: *; A1': B1",
            "A1': B1",
            Why::Misfit(Misfit::Round { parent: 5 }),
        ),
    ] {
        let expected = DrawingError {
            statement: statement.to_owned(),
            why,
        };
        assert_eq!(parse(equal_stakes(4), drawing), Err(expected));
    }
}

#[test]
fn a_block_that_lacks_a_quorum_of_parents_is_found() {
    let graph = parse(equal_stakes(4), "1: *; A2: A B; B2: ").unwrap();
    let lack = Misfit::Quorum {
        stake: 5_000,
        quorum: 6_667,
    };
    assert_eq!(graph.check_quorums(6_667), Err((8, lack)));
    assert_eq!(graph.check_quorums(5_000), Ok(()));
}

#[test]
fn what_is_drawn_is_read_as_the_same_graph() {
    for drawing in [
        "1: A B C D\n2: A B C D",
        "1: A B C D\nB1':\n2: A C\nB2: +B'\nD2@7: -A",
        "1: A B C\n2: A B C D\nA2':\nA2'': -C",
        "1: A B C D\n2: A B C D\n3: B C D\n4: B C D\nA4: -B",
    ] {
        let graph = parse(equal_stakes(4), drawing).unwrap();
        assert_eq!(draw(&graph), drawing);
        assert_eq!(parse(equal_stakes(4), &draw(&graph)), Ok(graph));
    }
    assert_eq!(
        parse(equal_stakes(4), "1: *").unwrap().blocks()[4].timestamp_ms,
        START_MS + 100
    );
}

#[test]
fn a_view_holds_blocks_and_their_ancestors_and_nothing_else() {
    let graph = parse(equal_stakes(4), "1: *; 2: A B C; D2: -A; 3: A; B3: -D").unwrap();
    let last = graph.blocks().len() - 1;
    let view = graph.view([last]);
    assert_eq!(draw(&view), "1: A B C D\n2: A B C\n3: B");
    assert_eq!(graph.view(0..=last), graph);
}
