//! Every fault does what it says: each test fails when its fault does nothing.
//!
//! The `const`s below match every kind of fault with its test, so that a new kind does not compile without one.

mod byzantine;
mod clock;
mod disk;
mod ended;
mod host;
mod network;
mod process;
mod work;

use std::time::Duration;

use bytes::Bytes;
use env::{Channel, Clock, Env, Inbound, Listener, Network};
use sim::costs::Costs;
use sim::handle::SimEnv;
use sim::kernel::Madsim;
use sim::lab::{Lab, Played, Stage};
use sim::network::{LinkProfile, NetConfig, SimListener};
use sim::plan::Action;

/// The test of each action.
const _: fn(&Action) -> fn() = |action| match action {
    Action::Crash { .. } => process::a_crash_drops_the_tasks_and_closes_the_handles,
    Action::Restart { .. } => process::a_restart_begins_the_next_incarnation,
    Action::Pause { .. } | Action::Resume { .. } => process::a_paused_node_does_nothing_until_it_goes_on,
    Action::Slow { .. } => process::a_slow_node_takes_as_many_times_longer,
    Action::SwapDisks { .. } => process::swapped_disks_follow_the_power_cut,
    Action::HealAll => process::heal_all_ends_every_fault,
    Action::Byzantine { .. } | Action::Honest { .. } => {
        byzantine::what_is_withheld_never_leaves_and_takes_no_room
    }
    Action::Absent { .. } => process::an_absent_node_is_started_by_nothing_but_a_restart,
    Action::Partition { .. } | Action::Heal { .. } => network::a_partition_stops_exactly_its_direction,
    Action::Cut { .. } | Action::Mend { .. } => network::a_cut_stops_one_direction_of_one_link,
    Action::Link { .. } => network::a_fault_strikes_the_links_that_it_names,
    Action::Reset { .. } => network::a_reset_breaks_what_stands_at_both_ends,
    Action::ClockDrift { .. } => clock::a_drifting_clock_gains,
    Action::ClockStep { .. } => clock::a_step_moves_the_date_alone,
    Action::ClockRepair { .. } => clock::a_repair_sets_both_clocks_right,
    Action::Disk { .. } | Action::DiskClear { .. } => disk::a_cleared_fault_is_over,
    Action::Host { .. } => host::a_manner_is_that_of_the_blobs_with_its_prefix,
};

/// A moment on a link of the lab.
const LATENCY: Duration = Duration::from_millis(1);

const CHANNEL: Channel = Channel {
    id: 1,
    label: "faults",
    max_frame: 64 << 10,
    queue: 64,
    concurrency: 8,
};

/// A world in which everything but what a fault costs is free, and each packet takes exactly [`LATENCY`].
fn lab(nodes: usize) -> Lab {
    let mut lab = Lab::new(nodes);
    lab.config.costs = Costs::FREE;
    lab.config.net = NetConfig {
        egress_bytes_per_second: u64::MAX,
        // Sessions neither ping nor die of silence unless a test wants it.
        idle_ms: 3_600_000,
        keepalive_ms: 3_600_000,
        ..NetConfig::uniform(LinkProfile {
            latency_us: 1_000,
            ..LinkProfile::default()
        })
    };
    lab
}

/// Runs a play in such a world.
fn play<T, F, Fut>(nodes: usize, play: F) -> Played<T>
where
    T: Send + 'static,
    F: FnOnce(Stage) -> Fut + Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    lab(nodes).run::<Madsim, _, _, _>(play)
}

/// Makes the nodes known to each other, waits until they are connected, and listens on each.
async fn connect(stage: &Stage, nodes: usize) -> Vec<SimListener> {
    let mut listeners = Vec::new();
    for node in 0..nodes {
        introduce(stage, node, nodes);
        let listener = stage.env(node).network().listen(CHANNEL);
        listeners.push(listener.expect("the channel is free"));
    }
    while (0..nodes).any(|node| connected(stage, node) < nodes - 1) {
        stage.wait(LATENCY).await;
    }
    listeners
}

/// Tells one node of all the others.
fn introduce(stage: &Stage, node: usize, nodes: usize) {
    let peers = (0..nodes).filter(|other| *other != node);
    let network = stage.env(node).network();
    network.set_peers(peers.map(|other| stage.address(other)).collect());
}

fn connected(stage: &Stage, node: usize) -> usize {
    stage.env(node).network().connected().borrow().len()
}

fn send(stage: &Stage, from: usize, to: usize, message: &[u8]) {
    let message = Bytes::copy_from_slice(message);
    let sent = stage
        .env(from)
        .network()
        .send(stage.address(to).id, CHANNEL, message);
    assert_eq!(sent, Ok(()));
}

/// The next message, if one comes within `limit`.
async fn message_within(stage: &Stage, listener: &mut SimListener, limit: Duration) -> Option<Bytes> {
    match stage.hand().clock().timeout(limit, listener.accept()).await {
        Err(env::Elapsed) => None,
        Ok(Ok(Inbound::Message { body, .. })) => Some(body),
        Ok(_) => panic!("something other than a message arrived"),
    }
}

/// How long a message takes from node to node.
async fn crossing(
    stage: &Stage,
    listener: &mut SimListener,
    from: usize,
    to: usize,
    message: &[u8],
) -> Duration {
    let start = stage.hand().clock().now();
    send(stage, from, to, message);
    let arrived = message_within(stage, listener, Duration::from_secs(60)).await;
    assert_eq!(
        arrived.as_deref(),
        Some(message),
        "a message arrives as it was sent"
    );
    took(stage.hand(), start)
}

/// The time since `start`.
fn took(env: &SimEnv, start: types::Mono) -> Duration {
    env.clock().now().since(start)
}
