//! Our simulator, as it ships: `env::Network` on the kernel of every run, a room's network with its jitter, and every
//! event hashed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use env::{Channel, Clock, Env, Inbound, Listener, Network, NetworkError, PeerAddress, Scope, Spawner};
use sim::Seed;
use sim::adversary::Strategies;
use sim::handle::SimEnv;
use sim::kernel::Madsim;
use sim::plan::Plan;
use sim::run::{Outcome, Simulation};
use sim::scenario::{NetPreset, Scenario, Schedule};
use sim::time::VirtualTime;
use sim::trace::{Header, Options};
use sim::world::NodeSpec;
use types::PeerId;

use super::workload::{NODES, PERIOD, Workload};

const CHANNEL: Channel = Channel {
    id: 1,
    label: "bench",
    max_frame: 64 << 10,
    queue: 256,
    concurrency: 1,
};

/// Virtual time for the handshakes before the first window.
const HANDSHAKES: Duration = Duration::from_secs(1);

/// The same, and the time that the last window may take.
const MARGIN_MS: u64 = 2_000;

/// Runs the work and counts what was received.
pub fn run(workload: Workload) -> anyhow::Result<u64> {
    Ok(simulate(workload)?.0)
}

/// Runs the work; what was received, and what came of the run.
pub fn simulate(workload: Workload) -> anyhow::Result<(u64, Outcome)> {
    let seed = Seed::new(1);
    let received = Arc::new(AtomicU64::new(0));
    let members: Vec<PeerAddress> = (0..NODES as u8)
        .map(|node| PeerAddress {
            id: PeerId::new([node + 1; 32]),
            address: String::new(),
        })
        .collect();
    let nodes = members.iter().enumerate().map(|(node, member)| {
        let (members, received) = (members.clone(), received.clone());
        NodeSpec {
            name: format!("n{node}"),
            id: member.id,
            program: Arc::new(move |env| boxed(env, members.clone(), received.clone(), workload)),
        }
    });
    let scenario = Scenario {
        name: "bench".to_owned(),
        nodes: NODES,
        net: NetPreset::Lan,
        schedule: Schedule::Fixed(Default::default()),
        faults: Vec::new(),
        buggify: false,
        ..Scenario::default()
    };
    let period_ms = u64::try_from(PERIOD.as_millis()).context("a period is short")?;
    let outcome = Simulation {
        seed,
        config: scenario.world(seed),
        nodes: nodes.collect(),
        blobs: Vec::new(),
        stakes: scenario.stakes(seed),
        strategies: Strategies::default(),
        plan: Plan::default(),
        until: VirtualTime::from_millis(u64::from(workload.windows) * period_ms + MARGIN_MS),
        oracles: Vec::new(),
        header: Header::default(),
        options: Options::default(),
        sink: None,
        pulse: Box::new(|_, _| {}),
    }
    .run::<Madsim>()?;
    ensure!(outcome.violation.is_none(), "the run failed: {outcome:?}");
    Ok((received.load(Ordering::Relaxed), outcome))
}

fn boxed(
    env: SimEnv,
    members: Vec<PeerAddress>,
    received: Arc<AtomicU64>,
    workload: Workload,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        // What a node did not do shows in the count.
        drop(node(env, members, received, workload).await);
    })
}

async fn node(
    env: SimEnv,
    members: Vec<PeerAddress>,
    received: Arc<AtomicU64>,
    workload: Workload,
) -> Result<(), NetworkError> {
    let network = env.network().clone();
    let mut listener = network.listen(CHANNEL)?;
    network.set_peers(members.clone());
    let mut connected = network.connected();
    while connected.borrow_and_update().len() < NODES - 1 {
        connected.changed().await.map_err(|_| NetworkError::Closed)?;
    }
    // A session stands at its two ends one after the other; what is sent in between is lost.
    env.clock().sleep(HANDSHAKES).await;
    let scope = env.spawner().scope("bench");
    drop(scope.spawn("sender", send(env.clone(), members, workload)));
    loop {
        if let Inbound::Message { body, .. } = listener.accept().await?
            && body.len() == workload.bytes
        {
            received.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn send(env: SimEnv, members: Vec<PeerAddress>, workload: Workload) -> Result<(), NetworkError> {
    let network = env.network();
    let message = Bytes::from(vec![7; workload.bytes]);
    let mut peers = members;
    peers.retain(|member| member.id != network.id());
    for _ in 0..workload.windows {
        for member in &peers {
            for _ in 0..workload.window {
                network.send(member.id, CHANNEL, message.clone())?;
            }
        }
        env.clock().sleep(PERIOD).await;
    }
    Ok(())
}
