//! Connections: made, accepted, and made again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use env::Entropy;
use env::sync::watch;
use quinn::{Connection, Endpoint, Incoming};
use tokio::sync::Semaphore;

use super::Shared;
use super::fault::{Counts, Fault};
use super::identity::peer_of;
use super::peer::Peer;
use super::wire::{FrameReader, Header, Kind, code};
use crate::entropy::OsEntropy;

/// Keeps a connection to `peer` for as long as it is on the list.
pub(super) async fn keep(shared: Arc<Shared>, peer: Arc<Peer>) {
    env::select! {
        () = peer.listed.over() => {}
        () = dial_again(&shared, &peer) => {}
    }
}

async fn dial_again(shared: &Arc<Shared>, peer: &Arc<Peer>) {
    let (first, longest) = shared.limits.backoff;
    let mut pause = first;
    let mut current = peer.current.subscribe();
    let mut address = peer.address.subscribe();
    loop {
        if current.wait_for(Option::is_none).await.is_err() {
            return;
        }
        if peer.waits_for_their_dial() && connected_within(&mut current, shared.limits.head_start).await {
            pause = first;
            continue;
        }
        let to = address.borrow_and_update().clone();
        match dial(shared, peer, &to).await {
            Ok(()) => {
                let connected_at = tokio::time::Instant::now();
                // The sender lives in `peer`, so the wait ends by the value only.
                drop(current.wait_for(Option::is_none).await);
                if connected_at.elapsed() >= longest {
                    pause = first;
                    continue;
                }
                // Who lets us in and shows us out again does not get a new handshake at once.
            }
            Err(fault) => {
                tracing::debug!(peer = %peer.id, address = to, %fault, "no connection");
                peer.note(Some(fault));
            }
        }
        env::select! {
            _ = address.changed() => pause = first,
            connected = connected_within(&mut current, jittered(pause)) => {
                pause = if connected { first } else { longest.min(pause.saturating_mul(2)) };
            }
        }
    }
}

async fn connected_within(current: &mut watch::Receiver<Option<Connection>>, limit: Duration) -> bool {
    tokio::time::timeout(limit, current.wait_for(Option::is_some))
        .await
        .is_ok()
}

/// Between half of `pause` and all of it, so that nodes that lost each other together do not dial in step.
fn jittered(pause: Duration) -> Duration {
    let mut draw = [0];
    OsEntropy.fill("backoff", &mut draw);
    pause / 2 + pause / 512 * u32::from(draw[0])
}

/// One attempt at each address of the name `to`, until one of them is the peer's.
async fn dial(shared: &Arc<Shared>, peer: &Arc<Peer>, to: &str) -> Result<(), Fault> {
    let endpoint = shared.endpoint().ok_or_else(|| Fault::Broken {
        detail: "the node shuts down".into(),
    })?;
    let limit = shared.limits.handshake;
    let resolved = tokio::time::timeout(limit, resolve(&endpoint, to)).await;
    let mut outcome = Err(Fault::Address {
        detail: "no address of this node's family".into(),
    });
    for address in resolved.map_err(|_| Fault::Unreachable)?? {
        let attempt = tokio::time::timeout(limit, connect(shared, peer, &endpoint, address)).await;
        outcome = attempt.unwrap_or(Err(Fault::Unreachable));
        if outcome.is_ok() {
            break;
        }
    }
    take_into_use(shared, peer, outcome?, true);
    Ok(())
}

async fn connect(
    shared: &Shared,
    peer: &Peer,
    endpoint: &Endpoint,
    address: SocketAddr,
) -> Result<Connection, Fault> {
    let broken = |detail: String| Fault::Broken { detail };
    let tls = shared
        .identity
        .client(peer.id)
        .map_err(|error| broken(error.to_string()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::clone(&shared.transport));
    // The name is not looked at: the key is the name.
    let connecting = endpoint
        .connect_with(config, address, "soma")
        .map_err(|error| broken(error.to_string()))?;
    let connection = connecting.await?;
    // TLS 1.3 completes here before the other side has looked at our key; its hello says that it let us in.
    let hello = connection.accept_uni().await?;
    match FrameReader::new(hello).header().await {
        Ok(Header {
            kind: Kind::Hello, ..
        }) => Ok(connection),
        _ => match connection.close_reason() {
            Some(reason) => Err(reason.into()),
            None => Err(broken("no hello".into())),
        },
    }
}

/// The addresses of a name that this node can send to.
async fn resolve(endpoint: &Endpoint, name: &str) -> Result<impl Iterator<Item = SocketAddr> + use<>, Fault> {
    let address = |error: std::io::Error| Fault::Address {
        detail: error.to_string(),
    };
    let found: Vec<_> = tokio::net::lookup_host(name).await.map_err(address)?.collect();
    let ours = endpoint.local_addr().map_err(address)?;
    Ok(found
        .into_iter()
        .filter(move |found| found.is_ipv4() == ours.is_ipv4()))
}

/// Takes in whoever dials, is on the list and belongs to the chain.
pub(super) async fn accept(shared: Arc<Shared>, endpoint: Endpoint) {
    let places = Arc::new(Semaphore::new(shared.limits.handshakes));
    loop {
        let incoming = env::select! {
            () = shared.life.over() => return,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            Counts::add(&shared.counts.handshakes);
            incoming.refuse();
            continue;
        };
        // Under load a dialling node has to show first that it is where it says it is.
        if places.available_permits() < shared.limits.handshakes / 2 && incoming.may_retry() {
            drop(incoming.retry());
            continue;
        }
        let worker = Arc::clone(&shared);
        shared.start("welcome", async move {
            let _place = place;
            if let Err(fault) = welcome(&worker, incoming).await {
                Counts::add(&worker.counts.handshakes);
                tracing::debug!(%fault, "a dialling node was not let in");
            }
        });
    }
}

async fn welcome(shared: &Arc<Shared>, incoming: Incoming) -> Result<(), Fault> {
    let handshake = async {
        let connection = incoming.accept()?.await?;
        // The verifier has looked at the list already; it may have changed since.
        let Some(peer) = peer_of(&connection).and_then(|(id, _)| shared.peer(id)) else {
            connection.close(code::REMOVED, b"");
            return Err(Fault::NotAllowed);
        };
        let mut hello = connection.open_uni().await?;
        let header = Header {
            kind: Kind::Hello,
            channel: 0,
        };
        hello
            .write_all(&header.encode())
            .await
            .map_err(|error| Fault::Broken {
                detail: error.to_string(),
            })?;
        // Fails only when the stream was reset, and then the connection goes too.
        drop(hello.finish());
        Ok((peer, connection))
    };
    let (peer, connection) = tokio::time::timeout(shared.limits.handshake, handshake)
        .await
        .map_err(|_| Fault::Unreachable)??;
    take_into_use(shared, &peer, connection, false);
    Ok(())
}

fn take_into_use(shared: &Arc<Shared>, peer: &Arc<Peer>, connection: Connection, ours: bool) {
    let incarnation = peer_of(&connection).map(|(_, incarnation)| incarnation);
    if !incarnation.is_some_and(|incarnation| peer.add(&connection, incarnation, ours)) {
        connection.close(code::REMOVED, b"");
        return;
    }
    peer.note(None);
    shared.note_connected(peer.id);
    tracing::debug!(peer = %peer.id, ours, "connected");
    let (shared, peer) = (Arc::clone(shared), Arc::clone(peer));
    Arc::clone(&shared).start("serve", async move {
        let reason = super::serve::serve(&shared, &peer, &connection).await;
        tracing::debug!(peer = %peer.id, %reason, "disconnected");
        peer.remove(&connection);
        shared.note_connected(peer.id);
    });
}
