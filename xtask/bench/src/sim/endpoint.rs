//! madsim's own network: `Endpoint`, a node per address, datagrams with a tag.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use madsim::net::Endpoint;
use madsim::runtime::{Handle, Runtime};
use madsim::time::sleep;

use super::workload::{LATENCY, NODES, PERIOD, Workload};

const TAG: u64 = 1;

/// Runs the work and counts what was received.
pub fn run(workload: Workload) -> anyhow::Result<u64> {
    let mut config = madsim::Config::default();
    config.net.send_latency = LATENCY..LATENCY * 2;
    let runtime = Runtime::with_seed_and_config(1, config);
    runtime.block_on(async {
        let nodes: Vec<_> = (0..NODES)
            .map(|node| {
                let machine = Handle::current().create_node().ip(address(node).ip()).build();
                machine.spawn(run_node(node, workload))
            })
            .collect();
        let mut received = 0;
        for node in nodes {
            received += node.await.context("a node ends by itself")??;
        }
        Ok(received)
    })
}

async fn run_node(node: usize, workload: Workload) -> anyhow::Result<u64> {
    let endpoint = Arc::new(Endpoint::bind(address(node)).await?);
    // Everyone is bound before the first window leaves.
    sleep(PERIOD).await;
    let sender = endpoint.clone();
    let sending = madsim::task::spawn(async move {
        let message = vec![7; workload.bytes];
        for _ in 0..workload.windows {
            for peer in (0..NODES).filter(|peer| *peer != node) {
                for _ in 0..workload.window {
                    sender.send_to(address(peer), TAG, &message).await?;
                }
            }
            sleep(PERIOD).await;
        }
        anyhow::Ok(())
    });
    let mut buffer = vec![0; workload.bytes];
    let mut received = 0;
    while received < workload.per_node() {
        let (bytes, _) = endpoint.recv_from(TAG, &mut buffer).await?;
        anyhow::ensure!(bytes == workload.bytes, "a whole message");
        received += 1;
    }
    sending.await.context("the sender ends by itself")??;
    Ok(received)
}

fn address(node: usize) -> SocketAddr {
    let last = u8::try_from(node + 1).expect("ten nodes have small numbers");
    SocketAddr::from(([10, 0, 0, last], 1_000))
}
