//! Epoch after epoch: committees rotate, and who is late gets the epoch before from those who have left it.

use std::collections::BTreeMap;

use sim::disk::Survivors;
use sim::plan::{Action, Direction, Step};
use sim::scenario::Scenario;

use crate::{Ran, committee, run};

fn rotating(epochs: u64) -> Scenario {
    Scenario {
        epochs,
        epoch_ms: 5_000,
        ..committee(7)
    }
}

/// How many nodes have begun each epoch and seen its end.
fn sums(ran: &Ran, kind: &str) -> BTreeMap<u64, usize> {
    let mut nodes = BTreeMap::<u64, Vec<usize>>::new();
    let mut epochs = [0; 7];
    for said in &ran.said {
        if said.kind == "epoch_started" {
            epochs[said.node] = said.a;
        }
        if said.kind == kind {
            nodes.entry(epochs[said.node]).or_default().push(said.node);
        }
    }
    let distinct = |mut nodes: Vec<usize>| {
        nodes.sort_unstable();
        nodes.dedup();
        nodes.len()
    };
    nodes
        .into_iter()
        .map(|(epoch, nodes)| (epoch, distinct(nodes)))
        .collect()
}

#[test]
fn another_member_rests_in_each_epoch_and_all_see_the_same_ends() {
    let ran = run(&rotating(5), Vec::new());
    assert_eq!(
        sums(&ran, "epoch_started"),
        (0..5).map(|epoch| (epoch, 6)).collect()
    );
    assert_eq!(sums(&ran, "epoch_over"), (0..4).map(|epoch| (epoch, 6)).collect());
    assert_eq!(ran.figure("epochs"), 5);
}

#[test]
fn a_member_that_misses_the_end_of_an_epoch_is_given_it_by_those_who_have_left() {
    let side = vec![3];
    let direction = Direction::Both;
    let part = Action::Partition {
        side: side.clone(),
        direction,
    };
    let steps = vec![
        Step::new(4_000, part),
        Step::new(7_000, Action::Heal { side, direction }),
    ];
    let ran = run(&rotating(3), steps);
    assert_eq!(sums(&ran, "epoch_over").get(&0), Some(&6));
    assert_eq!(ran.count(3, "left_behind"), 0);
}

#[test]
fn a_member_that_is_away_for_two_epochs_goes_on_with_the_latest() {
    let part = Action::Partition {
        side: vec![6],
        direction: Direction::Both,
    };
    let mut scenario = rotating(4);
    (scenario.fault_ms, scenario.heal_ms) = (18_000, 25_000);
    let ran = run(&scenario, vec![Step::new(2_000, part)]);
    assert_eq!((ran.figure("epochs"), ran.count(6, "left_behind")), (4, 1));
    assert_eq!(sums(&ran, "epoch_started").get(&3), Some(&6));
    assert!(ran.given(6, 18_000, 43_000) > 50);
}

#[test]
fn a_whole_committee_that_restarts_at_the_end_of_an_epoch_goes_on() {
    for at in [4_800, 5_100, 5_400] {
        let survivors = Survivors::Nothing;
        let crashes = (0..7).map(|node| Step::new(at, Action::Crash { node, survivors }));
        let restarts = (0..7).map(|node| Step::new(at + 500, Action::Restart { node }));
        let ran = run(&rotating(3), crashes.chain(restarts).collect());
        assert_eq!(
            (ran.figure("epochs"), sums(&ran, "epoch_over").len()),
            (3, 2),
            "at {at} ms"
        );
    }
}
