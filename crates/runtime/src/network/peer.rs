//! One peer on the list: its connections, and what waits to go out to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use env::sync::watch;
use env::{Channel, NetworkError, Scope};
use quinn::{Connection, SendStream};
use tokio::sync::{Semaphore, mpsc};
use types::PeerId;

use super::fault::Fault;
use super::identity::Incarnation;
use super::wire::{Header, Kind, code, put_frame};
use crate::life::Life;
use crate::spawn::TaskScope;

/// How long a connection that lost against another one is kept for what is still in flight on it.
const GRACE: Duration = Duration::from_secs(10);

/// Messages that are written at one go, at most: their room in the queue is free once all of them are taken, so no more
/// wait for the wire than fit into the queue.
const BATCH: usize = 64;

/// A peer on the list, from `set_peers` to `set_peers`.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    /// Whether its connection to us wins over ours to it: that of the lower key does.
    theirs_wins: bool,
    pub(super) address: watch::Sender<String>,
    /// Ends when the peer is taken off the list, or the node shuts down.
    pub(super) listed: Life,
    links: Mutex<Links>,
    /// The connection that new work goes out on.
    pub(super) current: watch::Sender<Option<Connection>>,
    tasks: Arc<TaskScope>,
    outboxes: Mutex<BTreeMap<u16, mpsc::Sender<Bytes>>>,
    permits: Mutex<BTreeMap<u16, Permits>>,
    fault: Mutex<Option<Fault>>,
}

/// What this node allows itself towards a peer on one channel.
#[derive(Clone, Debug)]
pub(super) struct Permits {
    pub(super) requests: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
}

/// At most one connection in each direction of dialling.
#[derive(Debug, Default)]
struct Links {
    ours: Option<Link>,
    theirs: Option<Link>,
}

#[derive(Debug)]
struct Link {
    connection: Connection,
    incarnation: Incarnation,
}

/// Takes a lock that nobody panics under.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peer {
    pub(super) fn new(own: PeerId, id: PeerId, address: String, tasks: Arc<TaskScope>) -> Self {
        Self {
            id,
            theirs_wins: id < own,
            address: watch::Sender::new(address),
            listed: Life::new(),
            links: Mutex::default(),
            current: watch::Sender::new(None),
            tasks,
            outboxes: Mutex::default(),
            permits: Mutex::default(),
            fault: Mutex::new(None),
        }
    }

    /// Whether the other side dials first.
    pub(super) fn waits_for_their_dial(&self) -> bool {
        self.theirs_wins
    }

    pub(super) fn note(&self, fault: Option<Fault>) {
        *lock(&self.fault) = fault;
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        lock(&self.fault).clone()
    }

    /// Takes a connection into use; false when the peer has been taken off the list.
    ///
    /// Two nodes may dial each other at one moment. Both then know both connections, and both keep that of the lower
    /// key. But a connection from another incarnation of the peer always wins: the peer has started anew, and what we
    /// had leads to nobody.
    pub(super) fn add(&self, connection: &Connection, incarnation: Incarnation, ours: bool) -> bool {
        let mut links = lock(&self.links);
        if self.listed.is_over() {
            return false;
        }
        let Links {
            ours: our_link,
            theirs: their_link,
        } = &mut *links;
        let (slot, other) = if ours {
            (our_link, their_link)
        } else {
            (their_link, our_link)
        };
        if let Some(stale) = other.take_if(|link| link.incarnation != incarnation) {
            stale.connection.close(code::DUPLICATE, b"an earlier incarnation");
        }
        if let Some(old) = slot.replace(Link {
            connection: connection.clone(),
            incarnation,
        }) {
            old.connection.close(code::DUPLICATE, b"replaced");
        }
        self.choose(&links);
        if let (Some(ours), Some(theirs)) = (&links.ours, &links.theirs) {
            let loser = if self.theirs_wins {
                &ours.connection
            } else {
                &theirs.connection
            }
            .clone();
            drop(self.tasks.spawn("loser", async move {
                // Closing it later lets what is in flight on it arrive.
                if tokio::time::timeout(GRACE, loser.closed()).await.is_err() {
                    loser.close(code::DUPLICATE, b"the lower key's connection is kept");
                }
            }));
        }
        true
    }

    /// Forgets a connection that has ended.
    pub(super) fn remove(&self, connection: &Connection) {
        let mut links = lock(&self.links);
        let Links { ours, theirs } = &mut *links;
        for slot in [ours, theirs] {
            slot.take_if(|link| link.connection.stable_id() == connection.stable_id());
        }
        self.choose(&links);
    }

    fn choose(&self, links: &Links) {
        let (first, second) = if self.theirs_wins {
            (&links.theirs, &links.ours)
        } else {
            (&links.ours, &links.theirs)
        };
        let chosen = first
            .as_ref()
            .or(second.as_ref())
            .map(|link| link.connection.clone());
        self.current.send_if_modified(|current| {
            let id = |connection: &Option<Connection>| connection.as_ref().map(Connection::stable_id);
            let changed = id(current) != id(&chosen);
            *current = chosen;
            changed
        });
    }

    /// Takes the peer off the list and closes its connections.
    pub(super) fn unlist(&self, code: quinn::VarInt) {
        let links = {
            let mut links = lock(&self.links);
            self.listed.end();
            std::mem::take(&mut *links)
        };
        for link in [links.ours, links.theirs].into_iter().flatten() {
            link.connection.close(code, b"");
        }
        self.current.send_replace(None);
        lock(&self.outboxes).clear();
    }

    /// The connection that new work goes out on, as soon as one stands; `None` once the peer is off the list.
    pub(super) async fn connection(&self) -> Option<Connection> {
        if let Some(connection) = &*self.current.borrow() {
            return Some(connection.clone());
        }
        let mut current = self.current.subscribe();
        env::select! {
            () = self.listed.over() => None,
            found = current.wait_for(Option::is_some) => found.ok()?.clone(),
        }
    }

    pub(super) fn permits(&self, channel: &Channel) -> Permits {
        let of = || {
            let count = usize::try_from(channel.concurrency).unwrap_or(usize::MAX);
            Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
        };
        lock(&self.permits)
            .entry(channel.id)
            .or_insert_with(|| Permits {
                requests: of(),
                streams: of(),
            })
            .clone()
    }

    /// Queues a message.
    pub(super) fn send(self: &Arc<Self>, channel: &Channel, message: Bytes) -> Result<(), NetworkError> {
        let mut outboxes = lock(&self.outboxes);
        if self.listed.is_over() {
            return Err(NetworkError::UnknownPeer { peer: self.id });
        }
        let outbox = outboxes.entry(channel.id).or_insert_with(|| {
            let queue = usize::try_from(channel.queue.max(1)).unwrap_or(usize::MAX);
            let (outbox, messages) = mpsc::channel(queue.min(Semaphore::MAX_PERMITS));
            drop(
                self.tasks
                    .spawn("messages", pump(Arc::clone(self), *channel, messages)),
            );
            outbox
        });
        outbox.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NetworkError::Busy {
                peer: self.id,
                channel: channel.label,
            },
            mpsc::error::TrySendError::Closed(_) => NetworkError::UnknownPeer { peer: self.id },
        })
    }
}

/// Writes the messages of one channel, on one stream for as long as the connection and the other side keep it.
async fn pump(peer: Arc<Peer>, channel: Channel, mut messages: mpsc::Receiver<Bytes>) {
    let mut carrier: Option<(usize, SendStream)> = None;
    let (mut batch, mut chunks) = (Vec::new(), Vec::new());
    loop {
        // Messages are taken from the queue when they can go out, so the queue is as long as the channel says.
        let Some(connection) = peer.connection().await else {
            return;
        };
        if batch.is_empty() {
            env::select! {
                () = peer.listed.over() => return,
                count = messages.recv_many(&mut batch, BATCH) => if count == 0 { return },
            }
            continue; // The connection may have changed while we waited.
        }
        carrier.take_if(|(id, stream)| *id != connection.stable_id() || is_stopped(stream));
        let mut header = None;
        let stream = match &mut carrier {
            Some((_, stream)) => stream,
            None => match connection.open_uni().await {
                Ok(stream) => {
                    header = Some(Header {
                        kind: Kind::Messages,
                        channel: channel.id,
                    });
                    &mut carrier.insert((connection.stable_id(), stream)).1
                }
                Err(_) => {
                    peer.remove(&connection);
                    continue;
                }
            },
        };
        for message in batch.drain(..) {
            put_frame(&mut chunks, header.take(), message);
        }
        if stream.write_all_chunks(&mut chunks).await.is_err() {
            // What was handed over may or may not have arrived: sending it again could deliver it twice.
            carrier = None;
        }
        chunks.clear();
    }
}

/// Whether the other side has said that it does not read on.
fn is_stopped(stream: &SendStream) -> bool {
    let stopped = std::pin::pin!(stream.stopped());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    stopped.poll(&mut context).is_ready()
}
