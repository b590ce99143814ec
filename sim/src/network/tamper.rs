//! The adversary's place on the way out of a node, and what a receiver's transport makes of what no honest one sends.

use std::time::Duration;

use bytes::Bytes;
use env::NetworkError;

use super::session::PendingRequest;
use super::{Body, NetEvent, Packet};
use crate::adversary::{Content, Leaving, Shape};
use crate::time::nanos;
use crate::trace::{Kind, digest};
use crate::world::{Event, NodeIndex, State};

/// The most bytes that a Byzantine node puts into one packet: more than any channel allows.
pub const MAX_TAMPERED: usize = 16 << 20;

impl State {
    /// What leaves instead of what the program of `from` sends; `None` when it leaves as it is. The deed becomes the
    /// cause of what happens next.
    pub(super) fn tampered(
        &mut self,
        from: NodeIndex,
        to: NodeIndex,
        (shape, channel): (Shape, u16),
        bytes: &Bytes,
    ) -> Option<Vec<Leaving>> {
        self.nodes[from].adversary.as_ref()?;
        let (seed, now) = (self.seed, self.acts_at(from));
        let installed = self.nodes[from].adversary.as_mut()?;
        let content = Content {
            shape,
            channel,
            bytes,
            from,
            to,
            now,
        };
        let leaving = installed.meet(seed, &content)?;
        let name = installed.name;
        let mut record = self.record_of(Kind::Tamper, from, name, to as u64, leaving.len() as u64);
        record.digest = Some(digest(bytes));
        self.cause = Some(self.recorder.record(record));
        Some(leaving)
    }

    /// Shows the adversary of a node what has come to it.
    pub(super) fn overhear(
        &mut self,
        node: NodeIndex,
        peer: NodeIndex,
        (shape, channel): (Shape, u16),
        bytes: &Bytes,
    ) {
        let now = self.now;
        if let Some(installed) = &mut self.nodes[node].adversary {
            installed.adversary.hear(&Content {
                shape,
                channel,
                bytes,
                from: peer,
                to: node,
                now,
            });
        }
    }

    /// Sends what is no frame of a stream, or what an adversary makes of it.
    pub(super) fn send_packet(&mut self, from: NodeIndex, to: NodeIndex, session: u64, body: Body) {
        let cause = self.cause;
        let leaving = body
            .content()
            .and_then(|(kind, bytes)| self.tampered(from, to, kind, bytes));
        let Some(leaving) = leaving else {
            return self.put(from, to, session, body);
        };
        if let Body::Message { channel, .. } = body
            && leaving.is_empty()
        {
            self.add_credit(from, to, channel, 1);
        }
        for (place, Leaving { bytes, after }) in leaving.into_iter().enumerate() {
            let mut body = body.saying(bytes);
            if let Body::Request { id, .. } = &mut body
                && place > 0
            {
                // Nobody waits for the answers to the others.
                *id = self.net.number();
            }
            self.put_after(after, from, to, session, body);
        }
        self.cause = cause;
    }

    /// Sends the next frame of a stream, or what an adversary makes of it. The stream has room for one.
    pub(super) fn send_frame(&mut self, node: NodeIndex, peer: NodeIndex, id: u64, frame: Bytes) {
        let Some(channel) = self.stream(node, peer, id).map(|end| end.channel.id) else {
            return;
        };
        let cause = self.cause;
        match self.tampered(node, peer, (Shape::Frame, channel), &frame) {
            None => self.number_frame(Duration::ZERO, node, peer, id, frame),
            Some(leaving) => {
                for Leaving { bytes, after } in leaving {
                    self.number_frame(after, node, peer, id, bytes);
                }
            }
        }
        self.cause = cause;
    }

    fn number_frame(&mut self, after: Duration, node: NodeIndex, peer: NodeIndex, stream: u64, frame: Bytes) {
        let Some(session) = self.net.session(node, peer) else {
            return;
        };
        let id = session.id;
        let Some(end) = session.streams.get_mut(&stream) else {
            return;
        };
        // The receiver's window holds for everyone.
        if end.credit == 0 {
            return;
        }
        end.credit -= 1;
        let number = end.next_sent;
        end.next_sent += 1;
        let body = Body::Frame {
            stream,
            number,
            frame: Some(frame),
        };
        self.put_after(after, node, peer, id, body);
    }

    /// Lets a packet leave `after` what the processor of `from` has to do before it.
    fn put_after(&mut self, after: Duration, from: NodeIndex, to: NodeIndex, session: u64, body: Body) {
        if after.is_zero() {
            return self.put(from, to, session, body);
        }
        let leave = NetEvent::Leave {
            packet: Packet::new(from, to, session, body),
            cause: self.cause,
        };
        let at = self.acts_at(from).after(nanos(after));
        self.schedule(at, from, Event::Net(leave));
    }

    /// The time has come for a packet that its sender held back. It is gone if its session is, and with it its sender.
    pub(super) fn leave(&mut self, packet: Packet, cause: Option<u64>) {
        let (from, to, session) = (packet.from, packet.to, packet.session);
        let known = self.net.session(from, to);
        if known.is_some_and(|known| known.up && known.id == session) {
            self.cause = cause;
            self.put(from, to, session, packet.body);
        }
    }

    /// Whether a packet says more than the receiver's channel allows.
    pub(super) fn is_oversize(&mut self, packet: &Packet) -> bool {
        let node = packet.to;
        let limit = match &packet.body {
            Body::Message { channel, .. } | Body::Request { channel, .. } | Body::Open { channel, .. } => {
                let listener = self.net.ends[node].listeners.get(channel);
                listener.map(|listener| listener.channel.max_frame)
            }
            Body::Answer { id, .. } => {
                let session = self.net.session(node, packet.from);
                let request = session.and_then(|session| session.requests.get(id));
                request.map(|request| request.channel.max_frame)
            }
            _ => None,
        };
        let bytes = packet.payload().map_or(0, Bytes::len);
        limit.is_some_and(|limit| bytes as u64 > u64::from(limit))
    }

    /// Refuses what is too large, as a transport does before it has read it.
    pub(super) fn refuse_oversize(&mut self, packet: &Packet) {
        self.lose(packet, "too large");
        let (node, peer) = (packet.to, packet.from);
        match &packet.body {
            Body::Message { channel, .. } => {
                let channel = *channel;
                self.send_over(node, peer, Body::MessageCredit { channel, count: 1 });
            }
            Body::Request { id, channel, .. } => {
                let (id, channel) = (*id, *channel);
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
            Body::Open { stream, .. } => {
                let stream = *stream;
                for sending in [true, false] {
                    self.send_over(node, peer, Body::Break { stream, sending });
                }
            }
            Body::Answer { id, body, .. } => {
                let session = self.net.session(node, peer);
                let pending = session.and_then(|session| session.requests.remove(id));
                if let Some(PendingRequest { channel, answer }) = pending {
                    let too_large = NetworkError::TooLarge {
                        channel: channel.label,
                        bytes: body.as_ref().map_or(0, |body| body.len() as u64),
                        limit: channel.max_frame,
                    };
                    drop(answer.send(Err(too_large)));
                }
            }
            _ => {}
        }
    }
}
