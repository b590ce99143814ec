//! turmoil: one client per node, UDP, a tick of a millisecond.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::anyhow;
use turmoil::net::UdpSocket;

use crate::workload::{LATENCY, NODES, PERIOD, Workload};

const PORT: u16 = 1_000;

/// Runs the work and counts what was received.
pub fn run(workload: Workload) -> anyhow::Result<u64> {
    let received = Rc::new(Cell::new(0));
    let mut sim = turmoil::Builder::new()
        .rng_seed(1)
        .simulation_duration(Duration::from_secs(1 << 20))
        .min_message_latency(LATENCY)
        .max_message_latency(LATENCY * 2)
        // What does not fit is lost: room for several windows from everyone.
        .udp_capacity(1 << 16)
        .build();
    for node in 0..NODES {
        let received = received.clone();
        sim.client(name(node), async move {
            let socket = Rc::new(UdpSocket::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), PORT)).await?);
            let peers: Vec<_> = (0..NODES)
                .filter(|peer| *peer != node)
                .map(|peer| (turmoil::lookup(name(peer)), PORT))
                .collect();
            let sender = socket.clone();
            let send = async move {
                let message = vec![7; workload.bytes];
                for _ in 0..workload.windows {
                    for peer in &peers {
                        for _ in 0..workload.window {
                            sender.send_to(&message, *peer).await?;
                        }
                    }
                    tokio::time::sleep(PERIOD).await;
                }
                Ok::<_, std::io::Error>(())
            };
            let receive = async move {
                let mut buffer = vec![0; workload.bytes];
                for _ in 0..workload.per_node() {
                    let (bytes, _) = socket.recv_from(&mut buffer).await?;
                    assert_eq!(bytes, workload.bytes, "a whole message");
                    received.set(received.get() + 1);
                }
                Ok(())
            };
            tokio::try_join!(send, receive)?;
            Ok(())
        });
    }
    sim.run().map_err(|error| anyhow!("a node failed: {error}"))?;
    Ok(received.get())
}

fn name(node: usize) -> String {
    format!("n{node}")
}
