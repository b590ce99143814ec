//! Two nodes of the production environment.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use env::{
    Channel, Env, Inbound, Listener, Network, PeerAddress, Reply, Scope, Spawner, Stream, StreamReceiver,
    StreamSender,
};
use runtime::{Config, NoBlobs, RedbStorage, Runtime};
use tempfile::TempDir;
use types::PeerId;

use super::{FRAME, IN_FLIGHT, Side};

type Node = Runtime<RedbStorage, NoBlobs>;

const CHANNEL: Channel = Channel {
    id: 1,
    label: "bench",
    max_frame: FRAME as u32,
    queue: 64,
    concurrency: IN_FLIGHT as u32,
};

const LIMIT: Duration = Duration::from_secs(60);

/// A client node and the key of its server.
#[derive(Clone)]
pub struct Ours(Arc<Pair>);

struct Pair {
    client: Node,
    server: Node,
    to: PeerId,
    _scope: <<Node as Env>::Spawner as Spawner>::Scope,
    _folders: [TempDir; 2],
}

/// Starts both nodes and connects them.
pub async fn start() -> anyhow::Result<Ours> {
    let folders = [TempDir::new()?, TempDir::new()?];
    let node = |key: u8| {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let data = folders[usize::from(key) - 1].path().to_owned();
        Node::start(&Config::new([key; 32], listen, b"bench".to_vec(), data), NoBlobs)
    };
    let (client, server) = (node(1)?, node(2)?);
    for (node, other) in [(&client, &server), (&server, &client)] {
        let address = other.network().local_address()?.to_string();
        node.network().set_peers(vec![PeerAddress {
            id: other.network().id(),
            address,
        }]);
    }
    client
        .network()
        .connected()
        .wait_for(|peers| !peers.is_empty())
        .await?;
    let mut listener = server.network().listen(CHANNEL)?;
    let scope = server.spawner().scope("server");
    let streams = scope.child("streams");
    drop(scope.spawn("server", async move {
        while let Ok(arrival) = listener.accept().await {
            match arrival {
                Inbound::Request { body, reply, .. } => drop(reply.send(body)),
                Inbound::Stream { stream, .. } => drop(streams.spawn("stream", drain(stream))),
                Inbound::Message { .. } => {}
            }
        }
    }));
    let to = server.network().id();
    Ok(Ours(Arc::new(Pair {
        client,
        server,
        to,
        _scope: scope,
        _folders: folders,
    })))
}

/// Reads a stream to its end and says so.
async fn drain<S: Stream>(stream: S) {
    let (sender, mut receiver) = stream.split();
    while let Ok(Some(_)) = receiver.recv().await {}
    sender.finish();
}

impl Ours {
    /// Ends both nodes.
    pub async fn shutdown(&self) {
        self.0.client.shutdown().await;
        self.0.server.shutdown().await;
    }
}

impl Side for Ours {
    async fn echo(&self) -> anyhow::Result<()> {
        let Pair { client, to, .. } = &*self.0;
        let answer = client
            .network()
            .request(*to, CHANNEL, Bytes::from_static(&[7; 64]), LIMIT)
            .await?;
        ensure!(answer[..] == [7; 64], "another answer");
        Ok(())
    }

    async fn pour(&self, frames: usize) -> anyhow::Result<()> {
        let Pair { client, to, .. } = &*self.0;
        let stream = client.network().open(*to, CHANNEL, Bytes::new(), LIMIT).await?;
        let (mut sender, mut receiver) = stream.split();
        let frame = Bytes::from(vec![7; FRAME]);
        for _ in 0..frames {
            sender.send(frame.clone()).await?;
        }
        sender.finish();
        ensure!(receiver.recv().await?.is_none(), "the end of the stream");
        Ok(())
    }
}
