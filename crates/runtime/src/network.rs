//! The network over QUIC: one connection per pair of nodes, mutually authenticated by raw ed25519 keys.
//!
//! A handshake succeeds only between nodes of one chain (its id is in the ALPN field) whose keys are on each other's
//! list. Each QUIC stream begins with a header of four bytes that names its kind and channel; what follows are frames
//! with their length in front, which is checked against the channel's limit before memory is taken.
//!
//! What a peer can make this node hold, per channel: `queue` messages, twice `concurrency` requests and streams, and
//! [`NetworkLimits::peer_window`] bytes that nobody has read yet over all of them.
//!
//! Modules in reading order: `identity` (keys and TLS), `wire` and `frames` (what is sent), `peer` (connections of one peer, messages out),
//! `dial` (connecting), `serve` (streams in), `hub` (listeners), `request`, `stream`, `fault` (what goes wrong).

mod dial;
mod fault;
mod frames;
#[cfg(fuzzing)]
pub mod fuzzing;
mod hub;
mod identity;
mod peer;
mod request;
mod serve;
mod stream;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use env::sync::watch;
use env::{Channel, Network, NetworkError, PeerAddress, Scope, Spawner};
use quinn::{AsyncTimer, AsyncUdpSocket, Endpoint, EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use tokio::runtime::Handle;
use types::PeerId;

use crate::config::{Config, NetworkLimits};
use crate::life::Life;
use crate::spawn::{TaskScope, TokioSpawner};
use fault::Counts;
use hub::Hub;
use identity::Identity;
use peer::Peer;
use stream::check_size;
use wire::{FrameReader, Header, Kind, code, put_frame};

pub use fault::{Fault, Offences};
pub use hub::QuicListener;
pub use request::QuicReply;
pub use stream::{QuicReceiver, QuicSender, QuicStream};

/// How long the last words of a node that shuts down may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// One node's place in the network.
#[derive(Clone, Debug)]
pub struct QuicNetwork(Arc<Shared>);

/// What all parts of the network of one node share.
struct Shared {
    identity: Identity,
    /// `None` once the network is closed: handles may live on, and the address is free.
    endpoint: RwLock<Option<Endpoint>>,
    transport: Arc<TransportConfig>,
    limits: NetworkLimits,
    spawner: TokioSpawner,
    /// Everything that runs for the network, quinn's own tasks too.
    tasks: Arc<TaskScope>,
    life: Life,
    peers: RwLock<BTreeMap<PeerId, Arc<Peer>>>,
    hubs: RwLock<BTreeMap<u16, Arc<Hub>>>,
    connected: watch::Sender<Arc<BTreeSet<PeerId>>>,
    counts: Counts,
}

/// Why the network does not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkStartError {
    /// The seed makes no key, or TLS does not take it.
    #[error("the network key cannot be used: {detail}")]
    Key {
        /// What is wrong with it.
        detail: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl QuicNetwork {
    /// Listens, and connects to nobody until it is told of peers.
    pub(crate) fn start(config: &Config, handle: &Handle, life: &Life) -> Result<Self, NetworkStartError> {
        let key = |error: &dyn std::fmt::Display| NetworkStartError::Key {
            detail: error.to_string(),
        };
        let identity = Identity::new(&config.key_seed, &config.chain).map_err(|error| key(&error))?;
        let limits = config.network.clone();
        let transport = Arc::new(transport(&limits));
        let address = config.listen;
        let socket =
            UdpSocket::bind(address).map_err(|source| NetworkStartError::Listen { address, source })?;
        // The verifier asks for the list at each handshake, and the list comes to be after the verifier.
        let list: Arc<std::sync::OnceLock<Weak<Shared>>> = Arc::default();
        let asked = Arc::clone(&list);
        let allowed = move |id| {
            asked
                .get()
                .and_then(Weak::upgrade)
                .is_some_and(|shared| shared.peer(id).is_some())
        };
        let tls = identity.server(allowed).map_err(|error| key(&error))?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
        server.transport_config(Arc::clone(&transport));
        server.max_incoming(limits.handshakes);
        let spawner = TokioSpawner::start(handle.clone());
        let tasks = Arc::new(spawner.scope("network"));
        let endpoint = {
            let _tokio = handle.enter();
            let quinn_runtime = Arc::new(QuinnRuntime(Arc::clone(&tasks)));
            Endpoint::new(EndpointConfig::default(), Some(server), socket, quinn_runtime)
                .map_err(|source| NetworkStartError::Listen { address, source })?
        };
        let shared = Arc::new(Shared {
            identity,
            endpoint: RwLock::new(Some(endpoint.clone())),
            transport,
            limits,
            spawner,
            tasks,
            life: life.clone(),
            peers: RwLock::default(),
            hubs: RwLock::default(),
            connected: watch::Sender::default(),
            counts: Counts::default(),
        });
        // The cell is fresh, so this is its first value.
        drop(list.set(Arc::downgrade(&shared)));
        shared.start("accept", dial::accept(Arc::clone(&shared), endpoint));
        Ok(Self(shared))
    }

    /// The address that this node listens on, with the port that the system chose if none was asked for.
    ///
    /// # Errors
    /// [`io::Error`] when the socket is gone.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match self.0.endpoint() {
            Some(endpoint) => endpoint.local_addr(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Why the last attempt to connect to `peer` failed; `None` when it did not, or when there was none.
    pub fn fault(&self, peer: PeerId) -> Option<Fault> {
        self.0.peer(peer)?.fault()
    }

    /// How often peers and strangers did what they should not.
    pub fn offences(&self) -> Offences {
        self.0.counts.read()
    }

    /// Ends all connections and frees the address. The incarnation is over already. Done once, it does nothing.
    pub(crate) async fn close(&self) {
        let shared = &self.0;
        // It stays here until all is done: when this future is dropped on the way, the next call does it all again.
        let Some(endpoint) = self.hang_up() else { return };
        // Peers that do not take the farewell notice by themselves.
        drop(tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await);
        shared.spawner.cancel().await;
        drop(endpoint);
        *shared.endpoint.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// As [`close`](Self::close), without waiting: peers may have to notice by themselves.
    pub(crate) fn abandon(&self) {
        let shared = &self.0;
        drop(self.hang_up());
        shared.spawner.abandon();
        *shared.endpoint.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Begins to end all connections; `None` once that is done.
    fn hang_up(&self) -> Option<Endpoint> {
        let shared = &self.0;
        let peers = std::mem::take(&mut *shared.peers.write().unwrap_or_else(PoisonError::into_inner));
        peers.values().for_each(|peer| peer.unlist(code::SHUTDOWN));
        let hubs = std::mem::take(&mut *shared.hubs.write().unwrap_or_else(PoisonError::into_inner));
        hubs.values().for_each(|hub| hub.close());
        shared.connected.send_replace(Arc::default());
        let endpoint = shared.endpoint()?;
        endpoint.close(code::SHUTDOWN, b"");
        Some(endpoint)
    }
}

/// Quinn on tokio, with its tasks where ours are: a connection that has been closed lives on for seconds, and the
/// address of an ended incarnation is wanted sooner.
#[derive(Debug)]
struct QuinnRuntime(Arc<TaskScope>);

impl quinn::Runtime for QuinnRuntime {
    #[expect(clippy::disallowed_types, reason = "the type is quinn's")]
    fn new_timer(&self, at: std::time::Instant) -> Pin<Box<dyn AsyncTimer>> {
        quinn::TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(self.0.spawn("quic", future));
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        quinn::TokioRuntime.wrap_udp_socket(socket)
    }

    #[expect(clippy::disallowed_types, reason = "the type is quinn's")]
    fn now(&self) -> std::time::Instant {
        quinn::TokioRuntime.now()
    }
}

fn transport(limits: &NetworkLimits) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(limits.idle).unwrap_or_else(|_| IdleTimeout::from(VarInt::MAX));
    transport
        .max_concurrent_bidi_streams(limits.streams.into())
        .max_concurrent_uni_streams(limits.streams.into())
        .stream_receive_window(limits.stream_window.into())
        .receive_window(limits.peer_window.into())
        .send_window(limits.peer_window.into())
        .keep_alive_interval(Some(limits.keep_alive))
        .max_idle_timeout(Some(idle))
        .datagram_receive_buffer_size(None);
    transport
}

impl Shared {
    /// Runs `task` until it ends or the network closes.
    fn start(&self, label: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.tasks.spawn(label, task));
    }

    fn endpoint(&self) -> Option<Endpoint> {
        self.endpoint
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn peer(&self, id: PeerId) -> Option<Arc<Peer>> {
        self.peers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    /// The peer, or why nothing can go to it.
    fn listed(&self, id: PeerId) -> Result<Arc<Peer>, NetworkError> {
        if self.life.is_over() {
            return Err(NetworkError::Closed);
        }
        self.peer(id).ok_or(NetworkError::UnknownPeer { peer: id })
    }

    fn hub(&self, channel: u16) -> Option<Arc<Hub>> {
        self.hubs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&channel)
            .cloned()
    }

    /// Gives a channel free, unless another listener has it by now.
    fn free(&self, channel: u16, hub: &Arc<Hub>) {
        let mut hubs = self.hubs.write().unwrap_or_else(PoisonError::into_inner);
        if hubs
            .get(&channel)
            .is_some_and(|present| Arc::ptr_eq(present, hub))
        {
            hubs.remove(&channel);
        }
    }

    /// Brings `connected` up to date with what the peer has. It may have been taken off the list, or on it again, since
    /// the connection that this is about was made.
    fn note_connected(&self, id: PeerId) {
        self.connected.send_if_modified(|connected| {
            // Read in here, so that of two notes on one peer the later one sees the later state.
            let stands = self.peer(id).is_some_and(|peer| peer.current.borrow().is_some());
            if connected.contains(&id) == stands {
                return false;
            }
            let connected = Arc::make_mut(connected);
            if stands {
                connected.insert(id)
            } else {
                connected.remove(&id)
            }
        });
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("id", &self.identity.id)
            .finish_non_exhaustive()
    }
}

impl Network for QuicNetwork {
    type Stream = QuicStream;
    type Reply = QuicReply;
    type Listener = QuicListener;

    fn id(&self) -> PeerId {
        self.0.identity.id
    }

    fn set_peers(&self, peers: Vec<PeerAddress>) {
        let shared = &self.0;
        let mut wanted: BTreeMap<_, _> = peers.into_iter().map(|peer| (peer.id, peer.address)).collect();
        wanted.remove(&self.id());
        let removed: Vec<_> = {
            let mut listed = shared.peers.write().unwrap_or_else(PoisonError::into_inner);
            // Under the lock, so that the end of the incarnation finds every peer.
            if shared.life.is_over() {
                return;
            }
            let removed: Vec<_> = listed
                .extract_if(.., |id, _| !wanted.contains_key(id))
                .map(|(_, peer)| peer)
                .collect();
            // Under the lock, so that a peer is forgotten before another call can take it back.
            for peer in &removed {
                peer.unlist(code::REMOVED);
                let hubs = shared.hubs.read().unwrap_or_else(PoisonError::into_inner);
                hubs.values().for_each(|hub| hub.forget(peer.id));
            }
            for (id, address) in wanted {
                if let Some(peer) = listed.get(&id) {
                    peer.address.send_if_modified(|present| {
                        let changed = *present != address;
                        *present = address;
                        changed
                    });
                } else {
                    let peer = Arc::new(Peer::new(self.id(), id, address, Arc::clone(&shared.tasks)));
                    shared.start("keep", dial::keep(Arc::clone(shared), Arc::clone(&peer)));
                    listed.insert(id, peer);
                }
            }
            removed
        };
        for peer in removed {
            shared.note_connected(peer.id);
        }
    }

    fn connected(&self) -> watch::Receiver<Arc<BTreeSet<PeerId>>> {
        self.0.connected.subscribe()
    }

    fn listen(&self, channel: Channel) -> Result<QuicListener, NetworkError> {
        let mut hubs = self.0.hubs.write().unwrap_or_else(PoisonError::into_inner);
        if self.0.life.is_over() {
            return Err(NetworkError::Closed);
        }
        if hubs.contains_key(&channel.id) {
            return Err(NetworkError::ChannelTaken {
                channel: channel.label,
            });
        }
        let hub = Arc::new(Hub::new(channel));
        hubs.insert(channel.id, Arc::clone(&hub));
        Ok(QuicListener {
            hub,
            shared: Arc::clone(&self.0),
        })
    }

    fn send(&self, to: PeerId, channel: Channel, message: Bytes) -> Result<(), NetworkError> {
        check_size(&channel, &message)?;
        self.0.listed(to)?.send(&channel, message)
    }

    async fn request(
        &self,
        to: PeerId,
        channel: Channel,
        request: Bytes,
        limit: Duration,
    ) -> Result<Bytes, NetworkError> {
        check_size(&channel, &request)?;
        let peer = self.0.listed(to)?;
        let place = peer.permits(&channel).requests.try_acquire_owned();
        let place = place.map_err(|_| NetworkError::Busy {
            peer: to,
            channel: channel.label,
        })?;
        request::ask(&self.0, &peer, channel, request, limit, place).await
    }

    async fn open(
        &self,
        to: PeerId,
        channel: Channel,
        preamble: Bytes,
        limit: Duration,
    ) -> Result<QuicStream, NetworkError> {
        check_size(&channel, &preamble)?;
        let peer = self.0.listed(to)?;
        let place = peer.permits(&channel).streams.try_acquire_owned();
        let place = place.map_err(|_| NetworkError::Busy {
            peer: to,
            channel: channel.label,
        })?;
        let stream = async {
            loop {
                let connection = peer
                    .connection()
                    .await
                    .ok_or(NetworkError::UnknownPeer { peer: to })?;
                match connection.open_bi().await {
                    Ok(stream) => break Ok(stream),
                    Err(_) => peer.remove(&connection),
                }
            }
        };
        let (send, receive) = match tokio::time::timeout(limit, stream).await {
            Ok(Ok(stream)) => stream,
            _ if self.0.life.is_over() => return Err(NetworkError::Closed),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(NetworkError::Timeout { peer: to }),
        };
        let mut first = Vec::with_capacity(2);
        put_frame(
            &mut first,
            Some(Header {
                kind: Kind::Stream,
                channel: channel.id,
            }),
            preamble,
        );
        Ok(QuicStream::new(
            &self.0,
            to,
            channel,
            (send, FrameReader::new(receive)),
            place,
            first,
        ))
    }
}
