//! The connection between two nodes, seen from one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use env::{Channel, NetworkError};
use tokio::sync::oneshot;

use super::handle::Arrival;
use super::{Body, NetEvent, Packet, StreamEnd};
use crate::time::VirtualTime;
use crate::world::{Event, NodeIndex, State};

/// One node's view of its connection to one allowed peer.
pub(crate) struct Session {
    /// Agreed by both ends in the handshake; 0 while there is none.
    pub id: u64,
    pub up: bool,
    /// The session id that this end is dialling with.
    dialling: u64,
    attempts: u32,
    /// Changes whenever the session goes up or down: ticks of an earlier life are void.
    life: u64,
    heard: VirtualTime,
    pub sent: VirtualTime,
    /// Of each channel that was used, of which there are few.
    counts: Vec<(u16, Counts)>,
    /// Our requests that wait for an answer.
    pub requests: BTreeMap<u64, PendingRequest>,
    pub streams: BTreeMap<u64, StreamEnd>,
    /// Streams that this end has opened.
    pub opened: u64,
    /// Streams that the other end has opened.
    peer_opened: Numbers,
    /// What overtook the opening of its stream.
    early: BTreeMap<u64, Vec<Body>>,
    /// What goes out once the session is up.
    pub backlog: Vec<Body>,
}

/// What a session counts of one channel.
#[derive(Default)]
pub(crate) struct Counts {
    /// Messages under way.
    pub window: u32,
    /// Messages taken by the listener since the last credit.
    pub consumed: u32,
    /// The peer's requests that we have not answered.
    pub serving: u32,
}

pub(crate) struct PendingRequest {
    pub channel: Channel,
    pub answer: oneshot::Sender<Result<Bytes, NetworkError>>,
}

impl Session {
    fn new(life: u64, now: VirtualTime) -> Self {
        Self {
            id: 0,
            up: false,
            dialling: 0,
            attempts: 0,
            life,
            heard: now,
            sent: now,
            counts: Vec::new(),
            requests: BTreeMap::new(),
            streams: BTreeMap::new(),
            opened: 0,
            peer_opened: Numbers::default(),
            early: BTreeMap::new(),
            backlog: Vec::new(),
        }
    }

    /// The counts of one channel.
    pub fn counts(&mut self, channel: u16) -> &mut Counts {
        let known = self.counts.iter().position(|(known, _)| *known == channel);
        let place = known.unwrap_or_else(|| {
            self.counts.push((channel, Counts::default()));
            self.counts.len() - 1
        });
        &mut self.counts[place].1
    }
}

/// A set of numbers that fills up from zero.
#[derive(Default)]
struct Numbers {
    /// Every number below is in the set.
    below: u64,
    /// And these.
    beyond: BTreeSet<u64>,
}

impl Numbers {
    fn insert(&mut self, number: u64) {
        self.beyond.insert(number);
        while self.beyond.remove(&self.below) {
            self.below += 1;
        }
    }

    fn contains(&self, number: u64) -> bool {
        number < self.below || self.beyond.contains(&number)
    }
}

const DIAL_NS: u64 = 200_000_000;
const MAX_DIAL_DOUBLINGS: u32 = 4;

impl State {
    pub(crate) fn net_start(&mut self, node: NodeIndex) {
        self.net.forget(node);
    }

    pub(crate) fn net_crash(&mut self, node: NodeIndex) {
        self.net.forget(node);
        self.forget_held(node);
    }

    pub(crate) fn on_net(&mut self, event: NetEvent) {
        match event {
            NetEvent::Arrive(packet) => self.arrive(packet),
            NetEvent::Leave { packet, cause } => self.leave(packet, cause),
            NetEvent::Tick {
                node,
                peer,
                incarnation,
                life,
            } => {
                let alive = self.nodes[node].lives(incarnation);
                if alive
                    && self
                        .net
                        .session(node, peer)
                        .is_some_and(|session| session.life == life)
                {
                    self.tick(node, peer);
                }
            }
        }
    }

    /// Makes `peers` the ones that `node` talks to.
    pub(super) fn set_peers(&mut self, node: NodeIndex, peers: &BTreeSet<NodeIndex>) {
        for peer in 0..self.net.ids.len() {
            let known = self.net.ends[node].sessions[peer].is_some();
            let wanted = peer != node && peers.contains(&peer);
            if wanted && !known {
                let life = self.net.number();
                self.net.ends[node].sessions[peer] = Some(Session::new(life, self.now));
                self.tick(node, peer);
            } else if known && !wanted {
                let removed = self.net.ends[node].sessions[peer].take();
                if let Some(session) = removed {
                    if session.up {
                        self.send_packet(node, peer, session.id, Body::Reset);
                    }
                    self.end_session(node, peer, session);
                }
            }
        }
    }

    /// Dials, pings or gives up, and looks again later.
    fn tick(&mut self, node: NodeIndex, peer: NodeIndex) {
        let now = self.now;
        let (idle_ns, keepalive_ns) = (
            self.net.config.idle_ms * 1_000_000,
            self.net.config.keepalive_ms * 1_000_000,
        );
        let dials = self.net.ids[node] < self.net.ids[peer];
        let fresh = self.net.number();
        let Some(session) = self.net.session(node, peer) else {
            return;
        };
        let mut send = None;
        let wait = if session.up {
            if now.since(session.heard) >= idle_ns {
                return self.session_down(node, peer);
            }
            if now.since(session.sent) >= keepalive_ns {
                send = Some((session.id, Body::Ping));
            }
            keepalive_ns
        } else if dials {
            if session.dialling == 0 {
                session.dialling = fresh;
            }
            send = Some((session.dialling, Body::Dial));
            session.attempts = (session.attempts + 1).min(MAX_DIAL_DOUBLINGS);
            DIAL_NS << session.attempts
        } else {
            return;
        };
        let (life, incarnation) = (session.life, self.nodes[node].incarnation);
        if let Some((id, body)) = send {
            self.send_packet(node, peer, id, body);
        }
        self.schedule(
            now.after(wait),
            node,
            Event::Net(NetEvent::Tick {
                node,
                peer,
                incarnation,
                life,
            }),
        );
    }

    fn session_up(&mut self, node: NodeIndex, peer: NodeIndex, id: u64) {
        let (now, life) = (self.now, self.net.number());
        let Some(session) = self.net.session(node, peer) else {
            return;
        };
        session.id = id;
        session.up = true;
        session.dialling = 0;
        session.attempts = 0;
        session.life = life;
        session.heard = now;
        let backlog = std::mem::take(&mut session.backlog);
        for body in backlog {
            self.send_packet(node, peer, id, body);
        }
        self.tick(node, peer);
        self.tell_connected(node);
    }

    /// Ends a session at one end and dials anew. What waited fails; what was only queued is lost.
    fn session_down(&mut self, node: NodeIndex, peer: NodeIndex) {
        let (now, life) = (self.now, self.net.number());
        let Some(session) = self.net.session(node, peer) else {
            return;
        };
        let old = std::mem::replace(session, Session::new(life, now));
        self.end_session(node, peer, old);
        self.tick(node, peer);
    }

    /// Tells whoever waits for something of a session that it is over.
    fn end_session(&mut self, node: NodeIndex, peer: NodeIndex, old: Session) {
        let id = self.net.ids[peer];
        for request in old.requests.into_values() {
            drop(request.answer.send(Err(NetworkError::Reset { peer: id })));
        }
        for mut stream in old.streams.into_values() {
            stream.break_both();
        }
        self.tell_connected(node);
    }

    /// Ends the session of `node` with `peer`, and says so to the peer.
    pub(crate) fn reset_session(&mut self, node: NodeIndex, peer: NodeIndex) {
        let id = self
            .net
            .session(node, peer)
            .filter(|session| session.up)
            .map(|session| session.id);
        if let Some(id) = id {
            self.send_packet(node, peer, id, Body::Reset);
            self.session_down(node, peer);
        }
    }

    fn tell_connected(&mut self, node: NodeIndex) {
        let ids = &self.net.ids;
        let end = &self.net.ends[node];
        let up = end
            .sessions
            .iter()
            .zip(ids)
            .filter(|(session, _)| session.as_ref().is_some_and(|session| session.up));
        let up: BTreeSet<_> = up.map(|(_, id)| *id).collect();
        if **end.connected.borrow() != up {
            end.connected.send_replace(Arc::new(up));
        }
    }

    /// Sends `body` over the session, now or once it is up.
    pub(super) fn send_over(&mut self, node: NodeIndex, peer: NodeIndex, body: Body) {
        let Some(session) = self.net.session(node, peer) else {
            return;
        };
        if session.up {
            let id = session.id;
            self.send_packet(node, peer, id, body);
        } else {
            session.backlog.push(body);
        }
    }

    /// A packet reached a living node.
    pub(super) fn receive(&mut self, packet: Packet) {
        let (node, peer, now) = (packet.to, packet.from, self.now);
        let Some(session) = self.net.session(node, peer) else {
            self.lose(&packet, "not allowed");
            // Who takes a session to stand has to learn that it does not.
            if !matches!(packet.body, Body::Dial | Body::Reset) {
                self.send_packet(node, peer, packet.session, Body::Reset);
            }
            return;
        };
        let answers_dial = !session.up && session.dialling != 0 && session.dialling == packet.session;
        if answers_dial && !matches!(packet.body, Body::Dial | Body::Reset) {
            // What was sent right behind the answer may overtake it.
            self.session_up(node, peer, packet.session);
        }
        let Some(session) = self.net.session(node, peer) else {
            return;
        };
        match packet.body {
            Body::Dial => {
                if session.id != packet.session {
                    if session.up {
                        self.session_down(node, peer);
                    }
                    self.session_up(node, peer, packet.session);
                }
                self.send_packet(node, peer, packet.session, Body::Accept);
            }
            Body::Accept => {}
            Body::Reset => {
                if session.up && session.id == packet.session {
                    self.session_down(node, peer);
                } else if session.dialling == packet.session {
                    // The next dial is for another session.
                    session.dialling = 0;
                }
            }
            _ if !session.up || session.id != packet.session => {
                self.lose(&packet, "no session");
                self.send_packet(node, peer, packet.session, Body::Reset);
            }
            _ => {
                session.heard = now;
                self.dispatch(packet);
            }
        }
    }

    /// The number of the next stream that `node` opens to `peer`: the two ends count in turns.
    pub(super) fn number_stream(&mut self, node: NodeIndex, peer: NodeIndex) -> u64 {
        let turn = u64::from(self.net.ids[node] > self.net.ids[peer]);
        let Some(session) = self.net.session(node, peer) else {
            return turn;
        };
        session.opened += 1;
        2 * (session.opened - 1) + turn
    }

    /// Keeps a packet whose stream `peer` has opened by a packet that is still on its way.
    fn keep_early(&mut self, packet: Packet) -> Option<Packet> {
        let (Body::Frame { stream, .. } | Body::Break { stream, .. }) = packet.body else {
            return Some(packet);
        };
        let (node, peer) = (packet.to, packet.from);
        let theirs = stream % 2 == u64::from(self.net.ids[peer] > self.net.ids[node]);
        let session = self.net.session(node, peer)?;
        if !theirs || session.peer_opened.contains(stream / 2) {
            return Some(packet);
        }
        session.early.entry(stream).or_default().push(packet.body);
        None
    }

    /// Forgets what came before the opening of a stream that is not taken.
    fn lose_early(&mut self, packet: &Packet) {
        if let Body::Open { stream, .. } = packet.body
            && let Some(session) = self.net.session(packet.to, packet.from)
        {
            session.peer_opened.insert(stream / 2);
            session.early.remove(&stream);
        }
    }

    fn dispatch(&mut self, packet: Packet) {
        let (node, peer) = (packet.to, packet.from);
        let Some(packet) = self.keep_early(packet) else {
            return;
        };
        if let Some((kind, bytes)) = packet.body.content() {
            self.overhear(node, peer, kind, bytes);
        }
        if self.is_oversize(&packet) {
            self.lose_early(&packet);
            return self.refuse_oversize(&packet);
        }
        match packet.body {
            Body::Dial | Body::Accept | Body::Reset | Body::Ping => {}
            Body::Message { channel, .. } if self.is_full(node, peer, channel) => {
                self.lose(&packet, "full");
                self.send_over(node, peer, Body::MessageCredit { channel, count: 1 });
            }
            Body::Message { channel, body } => {
                let session = packet.session;
                if !self.offer(node, peer, channel, Arrival::Message { session, body }) {
                    self.send_over(node, peer, Body::MessageCredit { channel, count: 1 });
                }
            }
            Body::MessageCredit { channel, count } => self.add_credit(node, peer, channel, count),
            Body::Request { id, channel, body } => {
                if !self.offer_request(node, peer, channel, id, body) {
                    self.send_over(
                        node,
                        peer,
                        Body::Answer {
                            id,
                            channel,
                            body: None,
                        },
                    );
                }
            }
            Body::Answer { id, body, .. } => {
                let peer_id = self.net.ids[peer];
                let pending = self
                    .net
                    .session(node, peer)
                    .and_then(|session| session.requests.remove(&id));
                if let Some(PendingRequest { channel, answer }) = pending {
                    let refused = NetworkError::Refused {
                        peer: peer_id,
                        channel: channel.label,
                    };
                    drop(answer.send(body.ok_or(refused)));
                }
            }
            Body::Open {
                stream,
                channel,
                preamble,
            } => {
                let mut early = Vec::new();
                if let Some(session) = self.net.session(node, peer) {
                    session.peer_opened.insert(stream / 2);
                    early = session.early.remove(&stream).unwrap_or_default();
                }
                self.opened(node, peer, channel, stream, preamble);
                for body in early {
                    self.dispatch(Packet {
                        body,
                        sent: packet.sent,
                        twin: None,
                        ..packet
                    });
                }
            }
            Body::Frame {
                stream,
                number,
                frame,
            } => self.on_frame(node, peer, stream, number, frame),
            Body::Credit { stream, count } => self.on_credit(node, peer, stream, count),
            Body::Break { stream, sending } => self.on_break(node, peer, stream, sending),
        }
    }

    pub(super) fn add_credit(&mut self, node: NodeIndex, peer: NodeIndex, channel: u16, count: u32) {
        if let Some(session) = self.net.session(node, peer) {
            let window = &mut session.counts(channel).window;
            *window = window.saturating_sub(count);
        }
    }

    /// Gives the sender of a vanished message its place in the window back.
    pub(super) fn return_credit(&mut self, packet: &Packet) {
        if let Body::Message { channel, .. } = packet.body {
            self.add_credit(packet.from, packet.to, channel, 1);
        }
    }
}
