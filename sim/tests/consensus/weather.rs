//! Far away, lossy, slow, and with wrong clocks.

use sim::disk::DiskFault;
use sim::network::LinkFault;
use sim::plan::{Action, Step};
use sim::scenario::NetPreset;

use crate::{committee, run};

#[test]
fn ten_members_in_ten_regions_commit_in_every_round() {
    let mut scenario = committee(10);
    scenario.net = NetPreset::Wan10;
    let ran = run(&scenario, Vec::new());
    let last = ran
        .given
        .iter()
        .map(|given| given.round)
        .max()
        .expect("something was committed");
    assert!(last > 70, "round {last}");
    assert!(
        ran.figure("commits") > last,
        "{} of round {last}",
        ran.figure("commits")
    );
    assert_eq!(ran.active(30_000, 34_000), (0..10).collect());
}

#[test]
fn lossy_links_slow_a_committee_down_and_stop_nobody() {
    let fault = LinkFault {
        loss_ppm: 100_000,
        vanish_ppm: 50_000,
        duplicate_ppm: 50_000,
        corrupt_ppm: 20_000,
        reorder_ppm: 200_000,
        detour_us: 300_000,
        ..LinkFault::default()
    };
    let (from, to) = (None, None);
    let ran = run(
        &committee(4),
        vec![Step::new(1_000, Action::Link { from, to, fault })],
    );
    for node in 0..4 {
        assert!(ran.given(node, 4_000, 12_000) >= 10, "node {node}");
    }
}

#[test]
fn a_slow_disk_slows_its_member_and_nobody_else() {
    let slow = |node, percent| {
        let fault = DiskFault::Slow { percent };
        Step::new(1_000, Action::Disk { node, fault })
    };
    let ran = run(&committee(4), vec![slow(1, 20_000)]);
    for node in [0, 2, 3] {
        assert!(ran.given(node, 2_000, 12_000) >= 40, "node {node}");
    }
}

#[test]
fn a_disk_that_answers_nothing_for_a_while_is_waited_for() {
    let until_ns = 9_000_000_000;
    let fault = DiskFault::Stall { until_ns };
    let ran = run(
        &committee(4),
        vec![Step::new(3_000, Action::Disk { node: 0, fault })],
    );
    assert_eq!(ran.given(0, 5_000, 9_000), 0);
    assert!(
        ran.given(0, 9_000, 20_000) > ran.given(1, 9_000, 20_000),
        "it makes up for it"
    );
}

#[test]
fn clocks_that_differ_by_more_than_anybody_waits_for_stop_nobody() {
    for (node, ms) in [(0, 3_600_000), (1, -3_600_000), (2, 200)] {
        let ran = run(
            &committee(4),
            vec![Step::new(2_000, Action::ClockStep { node, ms })],
        );
        for node in 0..4 {
            assert!(
                ran.given(node, 3_000, 12_000) >= 20,
                "node {node} with a step of {ms}"
            );
        }
    }
    let drift = |node, ppb| Step::new(1_000, Action::ClockDrift { node, ppb });
    let ran = run(&committee(4), vec![drift(0, 200_000_000), drift(1, -200_000_000)]);
    assert_eq!(ran.active(10_000, 12_000), (0..4).collect());
}
