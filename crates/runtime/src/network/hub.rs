//! What has arrived on one channel and waits to be accepted: a bounded queue per peer, served in turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use env::{Channel, Inbound, Listener, NetworkError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use types::PeerId;

use super::peer::Peer;
use super::{QuicReply, QuicStream, Shared};

type Arrival = Inbound<QuicStream, QuicReply>;

/// One channel with its listener.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) channel: Channel,
    state: Mutex<State>,
    arrivals: Notify,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    peers: BTreeMap<PeerId, Waiting>,
    /// The peers that have something waiting, each once, in the order in which they are served.
    turns: VecDeque<PeerId>,
}

#[derive(Debug)]
struct Waiting {
    gate: Arc<Gate>,
    arrivals: VecDeque<(Arrival, Option<OwnedSemaphorePermit>)>,
}

/// The bounds of one peer on one channel.
#[derive(Debug)]
pub(super) struct Gate {
    /// Messages that wait to be accepted.
    pub(super) messages: Arc<Semaphore>,
    /// Streams of messages: one, and a few more while a connection replaces another.
    pub(super) carriers: Arc<Semaphore>,
    /// Requests that have no answer yet. Twice what the opener allows itself: what it has withdrawn may still be known
    /// here.
    pub(super) requests: Arc<Semaphore>,
    /// Open streams, likewise.
    pub(super) streams: Arc<Semaphore>,
}

impl Gate {
    fn new(channel: &Channel) -> Self {
        let of = |count: u32| {
            Arc::new(Semaphore::new(
                usize::try_from(count)
                    .unwrap_or(usize::MAX)
                    .min(Semaphore::MAX_PERMITS),
            ))
        };
        Self {
            messages: of(channel.queue.max(1)),
            carriers: of(4),
            requests: of(channel.concurrency.saturating_mul(2)),
            streams: of(channel.concurrency.saturating_mul(2)),
        }
    }

    fn close(&self) {
        self.messages.close();
        self.carriers.close();
        self.requests.close();
        self.streams.close();
    }
}

impl Hub {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            state: Mutex::default(),
            arrivals: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and the state is sound between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bounds of `peer` here; `None` once the listener is gone, or the peer from the list.
    pub(super) fn gate(&self, peer: &Peer) -> Option<Arc<Gate>> {
        let mut state = self.lock();
        // A peer is taken off the list before it is forgotten here, so what is made here now will be forgotten.
        if state.closed || peer.listed.is_over() {
            return None;
        }
        let waiting = state.peers.entry(peer.id).or_insert_with(|| Waiting {
            gate: Arc::new(Gate::new(&self.channel)),
            arrivals: VecDeque::new(),
        });
        Some(Arc::clone(&waiting.gate))
    }

    /// Queues what `peer` sent. Its place was taken at `gate`, which bounds the queue. What comes after the listener or
    /// the peer has gone is dropped, which tells the peer.
    pub(super) fn push(
        &self,
        peer: PeerId,
        gate: &Arc<Gate>,
        arrival: Arrival,
        place: Option<OwnedSemaphorePermit>,
    ) {
        let mut state = self.lock();
        let state = &mut *state;
        match state.peers.get_mut(&peer) {
            Some(waiting) if !state.closed && Arc::ptr_eq(&waiting.gate, gate) => {
                if waiting.arrivals.is_empty() {
                    state.turns.push_back(peer);
                }
                waiting.arrivals.push_back((arrival, place));
                self.arrivals.notify_one();
            }
            _ => {}
        }
    }

    /// Forgets `peer` and what it sent.
    pub(super) fn forget(&self, peer: PeerId) {
        let mut state = self.lock();
        let forgotten = state.peers.remove(&peer);
        state.turns.retain(|turn| *turn != peer);
        drop(state);
        if let Some(waiting) = forgotten {
            waiting.gate.close();
        }
    }

    /// Ends the channel: waiting arrivals are dropped, and nothing is taken any more.
    pub(super) fn close(&self) {
        let peers = {
            let mut state = self.lock();
            state.closed = true;
            state.turns.clear();
            std::mem::take(&mut state.peers)
        };
        peers.values().for_each(|waiting| waiting.gate.close());
        self.arrivals.notify_one();
    }

    /// The next arrival, of the peer whose turn it is.
    fn pop(&self) -> Option<Arrival> {
        let mut state = self.lock();
        let peer = state.turns.pop_front()?;
        let waiting = state.peers.get_mut(&peer)?;
        let (arrival, _place) = waiting.arrivals.pop_front()?;
        if !waiting.arrivals.is_empty() {
            state.turns.push_back(peer);
        }
        Some(arrival)
    }
}

/// What arrives on one channel.
#[derive(Debug)]
pub struct QuicListener {
    pub(super) hub: Arc<Hub>,
    pub(super) shared: Arc<Shared>,
}

impl Listener for QuicListener {
    type Stream = QuicStream;
    type Reply = QuicReply;

    async fn accept(&mut self) -> Result<Arrival, NetworkError> {
        loop {
            if self.shared.life.is_over() {
                return Err(NetworkError::Closed);
            }
            if let Some(arrival) = self.hub.pop() {
                return Ok(arrival);
            }
            // A notice that comes in between is kept: there is one listener, so one kept notice is enough.
            self.hub.arrivals.notified().await;
        }
    }
}

impl Drop for QuicListener {
    fn drop(&mut self) {
        self.hub.close();
        self.shared.free(self.hub.channel.id, &self.hub);
    }
}
