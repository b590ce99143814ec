//! Connections that end are made again, with pauses, and the end of an incarnation leaves nothing of them.

use std::net::SocketAddr;
use std::time::Duration;

use env::{
    Clock, Env, Listener, Network, NetworkError, PeerAddress, Reply, Stream, StreamReceiver, StreamSender,
};
use tempfile::TempDir;
use testkit::contract::network::Member;
use testkit::contract::{PATIENCE, poll_once, soon};

use crate::raw::{HELLO, PROTOCOL, Raw, header};
use crate::scene::{SERVED, connected};
use crate::world::{TestEnv, block_on, config, started};

/// Two started nodes that know each other, and their folders.
async fn pair() -> ([Member<TestEnv>; 2], [TempDir; 2]) {
    let folders = [(); 2].map(|()| TempDir::new().expect("a folder"));
    let nodes = [1, 2].map(|node: u8| started(&config(node, folders[usize::from(node) - 1].path())));
    nodes[0].env.network().set_peers(vec![nodes[1].address.clone()]);
    nodes[1].env.network().set_peers(vec![nodes[0].address.clone()]);
    for (node, other) in [(0, 1), (1, 0)] {
        connected(&nodes[node].env, nodes[other].address.id, true).await;
    }
    (nodes, folders)
}

#[test]
fn a_peer_that_starts_again_at_its_address_is_connected_again() {
    block_on(async {
        let ([node, mut other], folders) = pair().await;
        let mut listener = node.env.network().listen(SERVED).expect("a free channel");
        for round in 0..3 {
            let address: SocketAddr = other.address.address.parse().expect("an address");
            other.env.shutdown().await;
            connected(&node.env, other.address.id, false).await;
            let mut again = config(2, folders[1].path());
            again.listen = address;
            other = started(&again);
            other.env.network().set_peers(vec![node.address.clone()]);
            let asked = other
                .env
                .network()
                .request(node.address.id, SERVED, "again".into(), PATIENCE);
            let answer = async {
                match listener.accept().await.expect("the node is up") {
                    env::Inbound::Request { reply, body, .. } => reply.send(body).expect("the node is up"),
                    _ => panic!("not a request"),
                }
            };
            let (answered, ()) = async { tokio::join!(asked, answer) }.await;
            assert_eq!(answered, Ok("again".into()), "round {round}");
            connected(&node.env, other.address.id, true).await;
        }
        other.env.shutdown().await;
        node.env.shutdown().await;
    });
}

#[test]
fn a_peer_that_shows_out_whom_it_lets_in_is_dialled_with_growing_pauses() {
    let folder = TempDir::new().expect("a folder");
    block_on(async {
        let mut configuration = config(1, folder.path());
        configuration.network.backoff = (Duration::from_millis(20), Duration::from_secs(10));
        configuration.network.head_start = Duration::ZERO;
        let node = started(&configuration);
        let raw = Raw::listening(9, PROTOCOL);
        node.env.network().set_peers(vec![PeerAddress {
            id: raw.identity.id,
            address: raw.address().to_string(),
        }]);
        let mut dialled = Vec::new();
        while dialled.len() < 6 {
            let incoming = soon(&node.env, "the node to dial", raw.endpoint.accept()).await;
            let connection = incoming.expect("the socket is open").await.expect("a handshake");
            dialled.push(node.env.clock().now());
            let mut hello = connection.open_uni().await.expect("the connection stands");
            hello.write_all(&header(HELLO, 0)).await.expect("it fits");
            hello.finish().expect("the stream stands");
            // Once the node has read it, and taken the connection into use.
            let mut known = node.env.network().connected();
            drop(
                known
                    .wait_for(|known| !known.is_empty())
                    .await
                    .expect("the node is up"),
            );
            connection.close(3_u32.into(), b"go away");
        }
        let pauses: Vec<_> = dialled.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (pause, round) in pauses.iter().zip(0..) {
            // Half of it at least, by the jitter.
            let least = Duration::from_millis(20) * 2_u32.pow(round) / 2;
            assert!(*pause >= least, "pause {round}: {pauses:?}");
        }
        node.env.shutdown().await;
    });
}

#[test]
fn after_the_shutdown_every_handle_answers_closed_and_the_address_is_free() {
    block_on(async {
        let ([node, other], folders) = pair().await;
        let mut listener = node.env.network().listen(SERVED).expect("a free channel");
        let network = node.env.network();
        let theirs = other.env.network();
        let mut hub = theirs.listen(SERVED).expect("a free channel");
        let opened = network
            .open(other.address.id, SERVED, "preamble".into(), PATIENCE)
            .await;
        let (mut sender, mut receiver) = opened.expect("a connection stands").split();
        let arrival = soon(&other.env, "the stream", hub.accept())
            .await
            .expect("the node is up");
        let asked = theirs.request(node.address.id, SERVED, "question".into(), PATIENCE);
        let (asked, reply) = async {
            tokio::join!(asked, async {
                let arrival = listener.accept().await.expect("the node is up");
                let waiting = network.request(other.address.id, SERVED, "question".into(), PATIENCE);
                let accept = listener.accept();
                let received = receiver.recv();
                let (waiting, accepted, received, ()) =
                    tokio::join!(waiting, accept, received, node.env.shutdown());
                assert_eq!(waiting, Err(NetworkError::Closed));
                assert_eq!(accepted.err(), Some(NetworkError::Closed));
                assert_eq!(received, Err(NetworkError::Closed));
                match arrival {
                    env::Inbound::Request { reply, .. } => reply,
                    _ => panic!("not a request"),
                }
            })
        }
        .await;
        assert_eq!(
            asked,
            Err(NetworkError::Reset {
                peer: node.address.id
            })
        );
        assert_eq!(reply.send("answer".into()), Err(NetworkError::Closed));
        assert_eq!(sender.send("frame".into()).await, Err(NetworkError::Closed));
        assert_eq!(receiver.recv().await, Err(NetworkError::Closed));
        assert_eq!(listener.accept().await.err(), Some(NetworkError::Closed));
        assert_eq!(network.listen(SERVED).err(), Some(NetworkError::Closed));
        let to = other.address.id;
        assert_eq!(
            network.send(to, SERVED, "message".into()),
            Err(NetworkError::Closed)
        );
        let asked = network.request(to, SERVED, "question".into(), PATIENCE).await;
        assert_eq!(asked, Err(NetworkError::Closed));
        let opened = network.open(to, SERVED, "preamble".into(), PATIENCE).await;
        assert_eq!(opened.err(), Some(NetworkError::Closed));
        network.set_peers(vec![other.address.clone()]);
        assert!(network.connected().borrow().is_empty());
        drop(arrival);
        // The handles are still here, and the next incarnation takes their address.
        let mut again = config(1, folders[0].path());
        again.listen = node.address.address.parse().expect("an address");
        drop((sender, receiver));
        let next = started(&again);
        next.env.network().set_peers(vec![other.address.clone()]);
        connected(&next.env, other.address.id, true).await;
        next.env.shutdown().await;
        other.env.shutdown().await;
        drop(node);
    });
}

#[test]
fn a_shutdown_that_was_dropped_is_done_by_the_next_one() {
    block_on(async {
        let ([node, other], folders) = pair().await;
        let mut dropped = Box::pin(node.env.shutdown());
        assert!(poll_once(&mut dropped).await.is_pending());
        drop(dropped);
        // Both of them return when all is done.
        async { tokio::join!(node.env.shutdown(), node.env.shutdown()) }.await;
        let mut again = config(1, folders[0].path());
        again.listen = node.address.address.parse().expect("an address");
        let next = started(&again);
        next.env.shutdown().await;
        other.env.shutdown().await;
    });
}
