//! commonware: the simulated network of `commonware-p2p` on the deterministic runtime. A window is sent by
//! `Recipients::All`, one call for nine messages, which is the cheapest way that it has.

use std::num::NonZeroU32;

use commonware_cryptography::{Signer as _, ed25519::PrivateKey};
use commonware_p2p::simulated::{Config, Link, Network};
use commonware_p2p::{Receiver as _, Recipients, Sender as _};
use commonware_runtime::{
    Clock as _, IoBuf, Quota, Runner as _, Spawner as _, Supervisor as _, deterministic,
};
use commonware_utils::{NZUsize, probability};

use crate::workload::{LATENCY, NODES, PERIOD, Workload};

/// Runs the work and counts what was received.
pub fn run(workload: Workload) -> anyhow::Result<u64> {
    let runner = deterministic::Runner::seeded(1);
    runner.start(|context| async move {
        let config = Config {
            max_size: 1 << 20,
            max_peers_per_set: NZUsize!(NODES),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let peers: Vec<_> = (0..NODES as u64)
            .map(|node| PrivateKey::from_seed(node).public_key())
            .collect();
        let (network, oracle) =
            Network::new_with_peers(context.child("network"), config, peers.clone()).await;
        let network = network.start();
        let mut ends = Vec::new();
        for peer in &peers {
            let quota = Quota::per_second(NonZeroU32::MAX);
            ends.push(
                oracle
                    .control(peer.clone())
                    .register(0, quota)
                    .await
                    .expect("a new channel"),
            );
        }
        for from in &peers {
            for to in peers.iter().filter(|to| *to != from) {
                let link = Link {
                    latency: LATENCY * 3 / 2,
                    jitter: LATENCY / 4,
                    success_rate: probability!(1.0),
                };
                oracle
                    .add_link(from.clone(), to.clone(), link)
                    .await
                    .expect("a new link");
            }
        }
        let mut nodes = Vec::new();
        for (mut sender, mut receiver) in ends {
            context.child("sender").spawn(move |context| async move {
                let message = IoBuf::from(vec![7; workload.bytes]);
                for _ in 0..workload.windows {
                    for _ in 0..workload.window {
                        let sent = sender.send(Recipients::All, message.clone(), false);
                        assert_eq!(sent.len(), NODES - 1, "nobody is over a limit");
                    }
                    context.sleep(PERIOD).await;
                }
            });
            nodes.push(context.child("receiver").spawn(move |_| async move {
                let mut received = 0;
                while received < workload.per_node() {
                    let (_, message) = receiver.recv().await.expect("the network stands");
                    assert_eq!(message.len(), workload.bytes, "a whole message");
                    received += 1;
                }
                received
            }));
        }
        let mut received = 0;
        for node in nodes {
            received += node.await?;
        }
        network.abort();
        Ok(received)
    })
}
