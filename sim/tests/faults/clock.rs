//! Faults of clocks, as their node reads them.

use std::time::Duration;

use env::{Clock, Env, Scope, Spawner};
use sim::clock::WALL_EPOCH_MS;
use sim::kernel::Madsim;
use sim::lab::Stage;
use sim::plan::{Action, Step};

use crate::{lab, play, took};

/// Milliseconds that the clocks of node 0 and of the stage show.
fn read(stage: &Stage) -> [[u64; 2]; 2] {
    [stage.env(0), stage.hand()].map(|env| {
        let clock = env.clock();
        [
            clock.now().as_nanos() / 1_000_000,
            clock.wall().get() - WALL_EPOCH_MS,
        ]
    })
}

#[test]
pub fn a_drifting_clock_gains() {
    play(1, |stage| async move {
        stage
            .act(Action::ClockDrift {
                node: 0,
                ppb: 100_000_000,
            })
            .await;
        stage.wait(Duration::from_secs(10)).await;
        assert_eq!(read(&stage), [[11_000, 11_000], [10_000, 10_000]]);
        let start = stage.hand().clock().now();
        stage.env(0).clock().sleep(Duration::from_secs(11)).await;
        // A fast clock wakes early.
        assert_eq!(took(stage.hand(), start), Duration::from_secs(10));
    });
}

#[test]
pub fn a_step_moves_the_date_alone() {
    play(1, |stage| async move {
        stage.wait(Duration::from_secs(10)).await;
        stage.act(Action::ClockStep { node: 0, ms: -4_000 }).await;
        assert_eq!(read(&stage), [[10_000, 6_000], [10_000, 10_000]]);
        stage.wait(Duration::from_secs(1)).await;
        assert_eq!(read(&stage), [[11_000, 7_000], [11_000, 11_000]]);
    });
}

#[test]
pub fn a_repair_sets_both_clocks_right() {
    play(1, |stage| async move {
        stage.act(Action::ClockStep { node: 0, ms: 50_000 }).await;
        stage
            .act(Action::ClockDrift {
                node: 0,
                ppb: -500_000_000,
            })
            .await;
        stage.wait(Duration::from_secs(10)).await;
        assert_eq!(read(&stage), [[5_000, 55_000], [10_000, 10_000]]);
        stage.act(Action::ClockRepair { node: 0 }).await;
        stage.wait(Duration::from_secs(1)).await;
        // What the monotone clock has missed is not made up for: it never jumps.
        assert_eq!(read(&stage), [[6_000, 11_000], [11_000, 11_000]]);
    });
}

#[test]
fn a_sleeper_keeps_to_a_clock_whose_rate_changes_under_it() {
    let drift = |ppb: i64| Action::ClockDrift { node: 0, ppb };
    for (ppb, change, slept_ms) in [
        (-500_000_000, Action::ClockRepair { node: 0 }, 10_500),
        (-500_000_000, Action::HealAll, 10_500),
        (0, drift(500_000_000), 7_000),
        (0, drift(-500_000_000), 19_000),
    ] {
        play(1, move |stage| async move {
            stage.act(drift(ppb)).await;
            let start = stage.hand().clock().now();
            let clock = stage.env(0).clock().clone();
            let scope = stage.env(0).spawner().scope("sleeps");
            let sleeper = scope.spawn("sleeps", async move {
                clock.sleep(Duration::from_secs(10)).await;
            });
            stage.wait(Duration::from_secs(1)).await;
            stage.act(change).await;
            assert_eq!(sleeper.await, Ok(()));
            assert_eq!(took(stage.hand(), start), Duration::from_millis(slept_ms));
        });
    }
}

#[test]
fn a_step_at_the_very_beginning_is_an_offset_that_a_node_never_knows_it_had() {
    let mut lab = lab(1);
    lab.steps = vec![Step::new(0, Action::ClockStep { node: 0, ms: 700 })];
    let played = lab.run::<Madsim, _, _, _>(|stage| async move { read(&stage) });
    assert_eq!(played.value, [[0, 700], [0, 0]]);
}
