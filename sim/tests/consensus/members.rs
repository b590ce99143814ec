//! Members that crash, come late, never come, or lose what they had.

use std::collections::BTreeSet;

use sim::disk::{DiskFault, Survivors};
use sim::plan::{Action, Step};
use sim::scenario::NetPreset;
use sim::world::NodeIndex;

use crate::{committee, run};

fn crash(millis: u64, node: NodeIndex, survivors: Survivors) -> Step {
    Step::new(millis, Action::Crash { node, survivors })
}

fn restart(millis: u64, node: NodeIndex) -> Step {
    Step::new(millis, Action::Restart { node })
}

#[test]
fn a_member_in_a_crash_loop_stops_nobody_and_signs_nothing_twice() {
    for survivors in [Survivors::Nothing, Survivors::Prefix, Survivors::Everything] {
        let turns = (0..10u64).flat_map(|turn| {
            let at = 2_000 + turn * 1_000;
            [crash(at, 1, survivors), restart(at + 400, 1)]
        });
        let ran = run(&committee(4), turns.collect());
        let active = ran.active(4_000, 12_000);
        assert!(active.is_superset(&[0, 2, 3].into_iter().collect()), "{active:?}");
        assert_eq!(
            ran.count(1, "recovering"),
            0,
            "its own blocks are on its disk before others hear of them"
        );
        assert!(ran.count(1, "block_made") > 40, "{}", ran.count(1, "block_made"));
    }
}

#[test]
fn all_members_lose_power_at_once_and_the_tails_of_their_stores() {
    let crashes = (0..4).map(|node| crash(5_000, node, Survivors::Nothing));
    let restarts = (0..4).map(|node| restart(6_000 + 300 * node as u64, node));
    let ran = run(&committee(4), crashes.chain(restarts).collect());
    assert_eq!(ran.active(5_000, 6_000), BTreeSet::new());
    assert_eq!(ran.active(8_000, 12_000), (0..4).collect());
}

#[test]
fn a_member_that_comes_late_is_given_everything() {
    let steps = vec![Step::new(0, Action::Absent { node: 3 }), restart(9_000, 3)];
    let ran = run(&committee(4), steps);
    assert_eq!(ran.given(3, 0, 9_000), 0);
    let (all, late) = (ran.given(0, 0, 34_000), ran.given(3, 0, 34_000));
    assert!(all.abs_diff(late) <= 2, "{late} of {all}");
}

#[test]
fn a_wiped_member_asks_what_it_has_signed_before_it_signs() {
    let steps = vec![
        crash(5_000, 2, Survivors::Nothing),
        Step::new(
            5_100,
            Action::Disk {
                node: 2,
                fault: DiskFault::Wipe,
            },
        ),
        restart(6_000, 2),
    ];
    let ran = run(&committee(4), steps);
    assert_eq!((ran.count(2, "recovering"), ran.count(2, "recovered")), (1, 1));
    let after = ran
        .said
        .iter()
        .skip_while(|said| (said.node, said.kind) != (2, "recovered"));
    assert!(
        after
            .filter(|said| (said.node, said.kind) == (2, "block_made"))
            .count()
            > 50
    );
    assert_eq!(
        ran.said.iter().filter(|said| said.kind == "equivocation").count(),
        0
    );
}

#[test]
fn two_wiped_members_of_seven_recover_one_after_the_other_and_at_once() {
    for gap in [0, 2_000] {
        let wipe = |millis: u64, node: NodeIndex| {
            let fault = DiskFault::Wipe;
            [
                crash(millis, node, Survivors::Nothing),
                Step::new(millis + 100, Action::Disk { node, fault }),
                restart(millis + 500, node),
            ]
        };
        let mut steps = [wipe(4_000, 2), wipe(4_000 + gap, 5)].concat();
        steps.sort_by_key(|step| step.at_us);
        let ran = run(&committee(7), steps);
        for node in [2, 5] {
            assert_eq!(ran.count(node, "recovered"), 1, "node {node} with a gap of {gap}");
        }
    }
}

#[test]
fn a_hundred_members_of_whom_thirty_three_are_down_go_on() {
    let mut scenario = committee(100);
    (scenario.fault_ms, scenario.heal_ms) = (100, 5_900);
    scenario.net = NetPreset::Wan10;
    scenario.pause_ms = 1_000;
    let steps = (0..33).map(|number| Step::new(0, Action::Absent { node: 3 * number + 1 }));
    let ran = run(&scenario, steps.collect());
    assert_eq!(ran.active(0, 6_000).len(), 67);
    // Rounds take 1 to 1.25 s, and three of them a commit.
    assert!(ran.figure("commits") >= 2, "{}", ran.figure("commits"));
}
