//! [`env::Network`] over the simulated sessions: messages, requests, listeners.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use env::sync::watch;
use env::{Channel, Inbound, Listener, Network, NetworkError, PeerAddress, Reply};
use tokio::sync::oneshot;
use types::PeerId;

use super::session::PendingRequest;
use super::stream::StreamEnd;
use super::{Body, FairQueue, SimStream};
use crate::handle::NodeHandle;
use crate::time::nanos;
use crate::world::{NodeIndex, State};

/// What waits for a listener.
pub(crate) enum Arrival {
    Message { session: u64, body: Bytes },
    Request { id: u64, session: u64, body: Bytes },
    Stream { id: u64, session: u64, preamble: Bytes },
}

/// One channel's listener.
pub(crate) struct ListenerState {
    pub channel: Channel,
    pub arrivals: FairQueue<Arrival>,
    /// Tells one listener of a channel from the next.
    pub number: u64,
    pub waker: Option<Waker>,
}

/// One node's place in the simulated network.
#[derive(Clone)]
pub struct SimNetwork(pub(crate) NodeHandle);

impl SimNetwork {
    /// Checks what every sending call checks, and finds the peer.
    fn check(
        &self,
        state: &mut State,
        to: PeerId,
        channel: Channel,
        bytes: usize,
    ) -> Result<NodeIndex, NetworkError> {
        check_size(channel, bytes)?;
        let peer = state.net.peer(to)?;
        match state.net.session(self.0.node(), peer) {
            Some(_) => Ok(peer),
            None => Err(NetworkError::UnknownPeer { peer: to }),
        }
    }
}

pub(super) fn check_size(channel: Channel, bytes: usize) -> Result<(), NetworkError> {
    let bytes = bytes as u64;
    if bytes > u64::from(channel.max_frame) {
        return Err(NetworkError::TooLarge {
            channel: channel.label,
            bytes,
            limit: channel.max_frame,
        });
    }
    Ok(())
}

impl Network for SimNetwork {
    type Stream = SimStream;
    type Reply = SimReply;
    type Listener = SimListener;

    fn id(&self) -> PeerId {
        self.0.world().lock().nodes[self.0.node()].id
    }

    fn set_peers(&self, peers: Vec<PeerAddress>) {
        self.0.with(|state| {
            let known: BTreeSet<_> = peers
                .iter()
                .filter_map(|peer| state.net.peer(peer.id).ok())
                .collect();
            state.set_peers(self.0.node(), &known);
        });
    }

    fn connected(&self) -> watch::Receiver<Arc<BTreeSet<PeerId>>> {
        let connected = self
            .0
            .with(|state| state.net.ends[self.0.node()].connected.subscribe());
        // Nobody tells a handle of an incarnation that has ended anything more.
        connected.unwrap_or_else(|| watch::channel(Arc::default()).1)
    }

    fn listen(&self, channel: Channel) -> Result<SimListener, NetworkError> {
        let listened = self.0.with(|state| {
            let number = state.net.number();
            let listeners = &mut state.net.ends[self.0.node()].listeners;
            if listeners.contains_key(&channel.id) {
                return Err(NetworkError::ChannelTaken {
                    channel: channel.label,
                });
            }
            let listener = ListenerState {
                channel,
                arrivals: FairQueue::default(),
                number,
                waker: None,
            };
            listeners.insert(channel.id, listener);
            Ok(SimListener {
                handle: self.0.clone(),
                channel,
                number,
            })
        });
        listened.unwrap_or(Err(NetworkError::Closed))
    }

    fn send(&self, to: PeerId, channel: Channel, message: Bytes) -> Result<(), NetworkError> {
        let sent = self.0.with(|state| {
            let peer = self.check(state, to, channel, message.len())?;
            let session = state.net.session(self.0.node(), peer).expect("checked above");
            let window = &mut session.counts(channel.id).window;
            if *window >= channel.queue {
                return Err(NetworkError::Busy {
                    peer: to,
                    channel: channel.label,
                });
            }
            *window += 1;
            state.send_over(
                self.0.node(),
                peer,
                Body::Message {
                    channel: channel.id,
                    body: message,
                },
            );
            Ok(())
        });
        sent.unwrap_or(Err(NetworkError::Closed))
    }

    async fn request(
        &self,
        to: PeerId,
        channel: Channel,
        request: Bytes,
        limit: Duration,
    ) -> Result<Bytes, NetworkError> {
        let node = self.0.node();
        let started = self.0.with(|state| {
            let peer = self.check(state, to, channel, request.len())?;
            let id = state.net.number();
            let deadline = state.local(node).after(nanos(limit));
            let session = state.net.session(node, peer).expect("checked above");
            let open = session
                .requests
                .values()
                .filter(|pending| pending.channel.id == channel.id)
                .count();
            if open >= channel.concurrency as usize {
                return Err(NetworkError::Busy {
                    peer: to,
                    channel: channel.label,
                });
            }
            let (answer, receiver) = oneshot::channel();
            session.requests.insert(id, PendingRequest { channel, answer });
            state.send_over(
                node,
                peer,
                Body::Request {
                    id,
                    channel: channel.id,
                    body: request,
                },
            );
            Ok((
                Withdraw {
                    handle: self.0.clone(),
                    peer,
                    id,
                },
                receiver,
                deadline,
            ))
        });
        let (withdraw, receiver, deadline) = started.unwrap_or(Err(NetworkError::Closed))?;
        let timer = self.0.sleep_until(deadline);
        let answer = env::select! {
            answer = receiver => answer.unwrap_or(Err(NetworkError::Closed)),
            () = timer => Err(NetworkError::Timeout { peer: to }),
        };
        drop(withdraw);
        answer
    }

    async fn open(
        &self,
        to: PeerId,
        channel: Channel,
        preamble: Bytes,
        limit: Duration,
    ) -> Result<SimStream, NetworkError> {
        let node = self.0.node();
        let checked = self.0.with(|state| {
            let peer = self.check(state, to, channel, preamble.len())?;
            Ok((peer, state.local(node).after(nanos(limit))))
        });
        let (peer, deadline) = checked.unwrap_or(Err(NetworkError::Closed))?;
        let mut connected = self.connected();
        let mut timer = std::pin::pin!(self.0.sleep_until(deadline));
        loop {
            let opened = self.0.with(|state| {
                let Some(session) = state.net.session(node, peer) else {
                    return Err(NetworkError::UnknownPeer { peer: to });
                };
                if !session.up {
                    return Ok(None);
                }
                let open = session
                    .streams
                    .values()
                    .filter(|stream| stream.is_ours(channel.id))
                    .count();
                if open >= channel.concurrency as usize {
                    return Err(NetworkError::Busy {
                        peer: to,
                        channel: channel.label,
                    });
                }
                let id = session.id;
                let number = state.number_stream(node, peer);
                let end = StreamEnd::new(channel, true);
                let session = state.net.session(node, peer).expect("looked up above");
                session.streams.insert(number, end);
                let body = Body::Open {
                    stream: number,
                    channel: channel.id,
                    preamble: preamble.clone(),
                };
                state.send_over(node, peer, body);
                Ok(Some(SimStream::new(
                    self.0.clone(),
                    peer,
                    to,
                    channel,
                    id,
                    number,
                )))
            });
            if let Some(stream) = opened.unwrap_or(Err(NetworkError::Closed))? {
                return Ok(stream);
            }
            env::select! {
                changed = connected.changed() => changed.map_err(|_| NetworkError::Closed)?,
                () = &mut timer => return Err(NetworkError::Timeout { peer: to }),
            }
        }
    }
}

/// Takes a request off the books when its caller goes away.
struct Withdraw {
    handle: NodeHandle,
    peer: NodeIndex,
    id: u64,
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        let node = self.handle.node();
        let pending = self.handle.with(|state| {
            state.net.session(node, self.peer).and_then(|session| {
                session
                    .backlog
                    .retain(|body| !matches!(body, Body::Request { id, .. } if *id == self.id));
                session.requests.remove(&self.id)
            })
        });
        drop(pending);
    }
}

/// What arrives on one channel.
pub struct SimListener {
    handle: NodeHandle,
    channel: Channel,
    number: u64,
}

impl SimListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Inbound<SimStream, SimReply>, NetworkError>> {
        let node = self.handle.node();
        let polled = self.handle.with(|state| {
            let Some(listener) = state.net.ends[node].listeners.get_mut(&self.channel.id) else {
                return Poll::Ready(Err(NetworkError::Closed));
            };
            let Some((peer, arrival)) = listener.arrivals.pop() else {
                listener.waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            let from = state.net.ids[peer];
            let inbound = match arrival {
                Arrival::Message { session, body } => {
                    state.consumed(node, peer, self.channel, session);
                    Inbound::Message { from, body }
                }
                Arrival::Request { id, session, body } => {
                    let reply = SimReply {
                        handle: self.handle.clone(),
                        channel: self.channel,
                        peer,
                        session,
                        id,
                        sent: false,
                    };
                    Inbound::Request { from, body, reply }
                }
                Arrival::Stream {
                    id,
                    session,
                    preamble,
                } => {
                    let stream = SimStream::new(self.handle.clone(), peer, from, self.channel, session, id);
                    Inbound::Stream {
                        from,
                        preamble,
                        stream,
                    }
                }
            };
            Poll::Ready(Ok(inbound))
        });
        polled.unwrap_or(Poll::Ready(Err(NetworkError::Closed)))
    }
}

impl Listener for SimListener {
    type Stream = SimStream;
    type Reply = SimReply;

    fn accept(&mut self) -> impl Future<Output = Result<Inbound<SimStream, SimReply>, NetworkError>> + Send {
        poll_fn(|cx| self.poll_accept(cx))
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let node = self.handle.node();
        let arrivals = self.handle.with(|state| {
            let listeners = &mut state.net.ends[node].listeners;
            let mine = listeners
                .get(&self.channel.id)
                .is_some_and(|listener| listener.number == self.number);
            if mine {
                listeners.remove(&self.channel.id)
            } else {
                None
            }
        });
        let Some(mut listener) = arrivals.flatten() else {
            return;
        };
        // What nobody will take is refused, so that its sender need not wait for a limit.
        while let Some((peer, arrival)) = listener.arrivals.pop() {
            self.handle
                .with(|state| state.refuse(node, peer, self.channel, arrival));
        }
    }
}

/// The answer to one request.
pub struct SimReply {
    handle: NodeHandle,
    channel: Channel,
    peer: NodeIndex,
    session: u64,
    id: u64,
    sent: bool,
}

impl Reply for SimReply {
    fn send(mut self, answer: Bytes) -> Result<(), NetworkError> {
        // An answer that is too large leaves `sent` unset, so that dropping refuses the request.
        check_size(self.channel, answer.len())?;
        self.sent = true;
        let node = self.handle.node();
        let answered = self
            .handle
            .with(|state| state.answer(node, self.peer, self.channel, self.session, self.id, Some(answer)));
        answered.ok_or(NetworkError::Closed)
    }
}

impl Drop for SimReply {
    fn drop(&mut self) {
        if !self.sent {
            let node = self.handle.node();
            self.handle
                .with(|state| state.answer(node, self.peer, self.channel, self.session, self.id, None));
        }
    }
}

impl State {
    /// Gives an arrival to the listener of its channel; `false` when there is none.
    pub(super) fn offer(&mut self, node: NodeIndex, peer: NodeIndex, channel: u16, arrival: Arrival) -> bool {
        let Some(listener) = self.net.ends[node].listeners.get_mut(&channel) else {
            return false;
        };
        listener.arrivals.push(peer, arrival);
        if let Some(waker) = listener.waker.take() {
            waker.wake();
        }
        true
    }

    /// Whether as much of `peer` waits for a listener as one session may have under way: messages, requests and
    /// streams. What sessions that broke have left counts too, so their number does not matter.
    pub(super) fn is_full(&self, node: NodeIndex, peer: NodeIndex, channel: u16) -> bool {
        let listener = self.net.ends[node].listeners.get(&channel);
        listener.is_some_and(|listener| {
            let Channel {
                queue, concurrency, ..
            } = listener.channel;
            listener.arrivals.waiting(peer) >= queue as usize + 2 * concurrency as usize
        })
    }

    pub(super) fn offer_request(
        &mut self,
        node: NodeIndex,
        peer: NodeIndex,
        channel: u16,
        id: u64,
        body: Bytes,
    ) -> bool {
        let Some(listener) = self.net.ends[node].listeners.get(&channel) else {
            return false;
        };
        let limit = listener.channel.concurrency;
        if self.is_full(node, peer, channel) {
            return false;
        }
        let Some(session) = self.net.session(node, peer) else {
            return false;
        };
        let serving = &mut session.counts(channel).serving;
        if *serving >= limit {
            return false;
        }
        *serving += 1;
        let session = session.id;
        self.offer(node, peer, channel, Arrival::Request { id, session, body })
    }

    fn answer(
        &mut self,
        node: NodeIndex,
        peer: NodeIndex,
        channel: Channel,
        session: u64,
        id: u64,
        body: Option<Bytes>,
    ) {
        let Some(current) = self.net.session(node, peer) else {
            return;
        };
        if !current.up || current.id != session {
            return;
        }
        let serving = &mut current.counts(channel.id).serving;
        *serving = serving.saturating_sub(1);
        self.send_over(
            node,
            peer,
            Body::Answer {
                id,
                channel: channel.id,
                body,
            },
        );
    }

    /// Counts a message that the listener took, and returns credit to its sender from time to time. Credit of a
    /// session that broke is worth nothing in the next one, whose window began anew.
    fn consumed(&mut self, node: NodeIndex, peer: NodeIndex, channel: Channel, session: u64) {
        let Some(current) = self.net.session(node, peer) else {
            return;
        };
        if !current.up || current.id != session {
            return;
        }
        let consumed = &mut current.counts(channel.id).consumed;
        *consumed += 1;
        if *consumed >= (channel.queue / 4).max(1) {
            let count = std::mem::take(consumed);
            self.send_over(
                node,
                peer,
                Body::MessageCredit {
                    channel: channel.id,
                    count,
                },
            );
        }
    }

    fn refuse(&mut self, node: NodeIndex, peer: NodeIndex, channel: Channel, arrival: Arrival) {
        match arrival {
            Arrival::Message { session, .. } => self.consumed(node, peer, channel, session),
            Arrival::Request { id, session, .. } => self.answer(node, peer, channel, session, id, None),
            Arrival::Stream { id, session, .. } => {
                let current = self.net.session(node, peer);
                // Sessions number their streams anew.
                if current.is_some_and(|current| current.up && current.id == session) {
                    self.drop_stream(node, peer, id);
                }
            }
        }
    }
}
