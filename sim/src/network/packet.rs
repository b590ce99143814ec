//! What crosses a link.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use crate::adversary::Shape;
use crate::world::NodeIndex;

/// One packet on a link.
#[derive(Clone)]
pub(crate) struct Packet {
    pub from: NodeIndex,
    pub to: NodeIndex,
    pub session: u64,
    pub body: Body,
    /// The record that sent it.
    pub sent: u64,
    /// Shared by the two copies of a duplicated packet: set by the one that arrives first.
    pub twin: Option<Arc<AtomicBool>>,
}

/// What a packet says.
#[derive(Clone)]
pub(crate) enum Body {
    Dial,
    Accept,
    Reset,
    Ping,
    Message {
        channel: u16,
        body: Bytes,
    },
    MessageCredit {
        channel: u16,
        count: u32,
    },
    Request {
        id: u64,
        channel: u16,
        body: Bytes,
    },
    Answer {
        id: u64,
        channel: u16,
        body: Option<Bytes>,
    },
    Open {
        stream: u64,
        channel: u16,
        preamble: Bytes,
    },
    Frame {
        stream: u64,
        number: u64,
        frame: Option<Bytes>,
    },
    Credit {
        stream: u64,
        count: u32,
    },
    /// The sender of the packet will neither send more frames of the stream (`sending`) nor take any.
    Break {
        stream: u64,
        sending: bool,
    },
}

/// Bytes of a packet around its payload: IP, UDP, QUIC and our own framing.
const OVERHEAD: u64 = 60;

impl Body {
    /// What it says besides a transport's own words, and how; but for frames, whose channel their stream knows.
    pub fn content(&self) -> Option<((Shape, u16), &Bytes)> {
        match self {
            Self::Message { channel, body } => Some(((Shape::Message, *channel), body)),
            Self::Request { channel, body, .. } => Some(((Shape::Request, *channel), body)),
            Self::Answer {
                channel,
                body: Some(body),
                ..
            } => Some(((Shape::Answer, *channel), body)),
            Self::Open {
                channel, preamble, ..
            } => Some(((Shape::Preamble, *channel), preamble)),
            _ => None,
        }
    }

    /// The same with something else to say.
    pub fn saying(&self, bytes: Bytes) -> Self {
        let mut other = self.clone();
        match &mut other {
            Self::Message { body, .. } | Self::Request { body, .. } => *body = bytes,
            Self::Open { preamble, .. } => *preamble = bytes,
            Self::Answer { body, .. } | Self::Frame { frame: body, .. } => *body = Some(bytes),
            _ => {}
        }
        other
    }
}

impl Packet {
    pub fn new(from: NodeIndex, to: NodeIndex, session: u64, body: Body) -> Self {
        Self {
            from,
            to,
            session,
            body,
            sent: 0,
            twin: None,
        }
    }

    /// Bytes on the wire.
    pub fn size(&self) -> u64 {
        OVERHEAD + self.payload().map_or(0, |payload| payload.len() as u64)
    }

    pub fn payload(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Message { body, .. } | Body::Request { body, .. } => Some(body),
            Body::Open { preamble, .. } => Some(preamble),
            Body::Answer { body, .. } | Body::Frame { frame: body, .. } => body.as_ref(),
            _ => None,
        }
    }

    /// Whether the transport sends it again until it arrives or the session ends.
    pub fn is_reliable(&self) -> bool {
        !matches!(self.body, Body::Dial | Body::Accept | Body::Reset | Body::Ping)
    }

    /// Whether the traits allow it to vanish while the session stands.
    pub fn may_vanish(&self) -> bool {
        matches!(
            self.body,
            Body::Message { .. } | Body::Request { .. } | Body::Answer { .. }
        )
    }
}
