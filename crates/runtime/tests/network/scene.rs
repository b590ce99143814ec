//! A node, a friend of it, and a raw node that it has on its list.

use std::time::Duration;

use bytes::Bytes;
use env::{Channel, Env, Inbound, Listener, Network, NetworkError, PeerAddress, Reply, Scope, Spawner};
use runtime::network::{QuicReply, QuicStream};
use runtime::{Config, TaskScope};
use tempfile::TempDir;
use testkit::contract::network::Member;
use testkit::contract::{PATIENCE, soon};
use tokio::sync::mpsc;
use types::PeerId;

use crate::raw::{self, REQUEST, Raw, frame, header};
use crate::world::{TestEnv, block_on, config, started};

pub type Arrival = Inbound<QuicStream, QuicReply>;

/// The node answers each request on this channel with its own bytes, and hands everything else to the test.
pub const SERVED: Channel = Channel {
    id: 7,
    label: "served",
    max_frame: 64 << 10,
    queue: 16,
    concurrency: 4,
};

/// Nobody listens here until the test does.
pub const QUIET: Channel = Channel {
    id: 8,
    label: "quiet",
    ..SERVED
};

/// The node, and who talks to it.
pub struct Scene {
    pub node: Member<TestEnv>,
    pub friend: Member<TestEnv>,
    pub raw: Raw,
    /// Messages and streams on [`SERVED`].
    pub arrivals: mpsc::Receiver<Arrival>,
    _serving: TaskScope,
}

/// Runs `case` with a node whose configuration `adjust` has changed.
pub fn on_scene(adjust: impl FnOnce(&mut Config), case: impl AsyncFnOnce(&mut Scene)) {
    let folders = [(); 2].map(|()| TempDir::new().expect("a folder"));
    block_on(async {
        let mut adjusted = config(1, folders[0].path());
        // Only a machine at a standstill gets there.
        adjusted.network.handshake = PATIENCE;
        adjust(&mut adjusted);
        let node = started(&adjusted);
        let friend = started(&config(2, folders[1].path()));
        let raw = Raw::new(3);
        let listed = PeerAddress {
            id: raw.identity.id,
            address: raw.address().to_string(),
        };
        node.env.network().set_peers(vec![friend.address.clone(), listed]);
        friend.env.network().set_peers(vec![node.address.clone()]);
        let mut listener = node.env.network().listen(SERVED).expect("the channel is free");
        let (hand, arrivals) = mpsc::channel(64);
        let serving = node.env.spawner().scope("serving");
        drop(serving.spawn("serving", async move {
            while let Ok(arrival) = listener.accept().await {
                match arrival {
                    Inbound::Request { body, reply, .. } => drop(reply.send(body)),
                    other => drop(hand.send(other).await),
                }
            }
        }));
        let mut scene = Scene {
            node,
            friend,
            raw,
            arrivals,
            _serving: serving,
        };
        case(&mut scene).await;
        scene.friend.env.shutdown().await;
        scene.node.env.shutdown().await;
    });
}

/// Waits until `peer` is, or is not, connected to the node `env`.
pub async fn connected(env: &TestEnv, peer: PeerId, wanted: bool) {
    let mut connected = env.network().connected();
    let change = async {
        let known = connected.wait_for(|connected| connected.contains(&peer) == wanted);
        drop(known.await.expect("the node is up"));
    };
    soon(env, "a change of the connected peers", change).await;
}

impl Scene {
    /// A connection that the raw node has dialled.
    pub async fn connect(&self) -> quinn::Connection {
        let node = self.node.env.network();
        let address = node.local_address().expect("the node listens");
        let connection = soon(&self.node.env, "a connection", self.raw.connect(address)).await;
        self.known(true).await;
        connection
    }

    /// Waits until the node has, or has not, a connection to the raw node.
    pub async fn known(&self, wanted: bool) {
        connected(&self.node.env, self.raw.identity.id, wanted).await;
    }

    /// The raw node is served on this connection, and the friend on its own.
    pub async fn serves(&self, connection: &quinn::Connection) {
        let exchange = async {
            let said = [header(REQUEST, SERVED.id), frame(b"still there?")].concat();
            let (mut send, mut receive) = raw::ask(connection, &said).await;
            send.finish().expect("the stream stands");
            receive.read_to_end(100).await
        };
        let answer = soon(&self.node.env, "an answer", exchange).await;
        assert_eq!(answer, Ok(frame(b"still there?")));
        self.serves_the_friend().await;
    }

    /// The friend is served.
    pub async fn serves_the_friend(&self) {
        let body = Bytes::from_static(b"hello");
        let network = self.friend.env.network();
        let answer = network
            .request(self.node.address.id, SERVED, body.clone(), PATIENCE)
            .await;
        assert_eq!(answer, Ok(body));
    }

    /// What the node answers when it asks the raw node something on [`QUIET`].
    pub async fn node_asks(&self, body: &'static [u8], limit: Duration) -> Result<Bytes, NetworkError> {
        let network = self.node.env.network();
        network
            .request(self.raw.identity.id, QUIET, Bytes::from_static(body), limit)
            .await
    }

    /// The next message or stream on [`SERVED`].
    pub async fn arrival(&mut self) -> Arrival {
        let arrival = soon(&self.node.env, "an arrival", self.arrivals.recv()).await;
        arrival.expect("the node serves")
    }

    /// The next message on [`SERVED`].
    pub async fn message(&mut self) -> Bytes {
        match self.arrival().await {
            Inbound::Message { from, body } => {
                assert_eq!(from, self.raw.identity.id);
                body
            }
            other => panic!("not a message: {other:?}"),
        }
    }

    /// The next stream on [`SERVED`].
    pub async fn stream(&mut self) -> QuicStream {
        match self.arrival().await {
            Inbound::Stream { from, stream, .. } => {
                assert_eq!(from, self.raw.identity.id);
                stream
            }
            other => panic!("not a stream: {other:?}"),
        }
    }
}
