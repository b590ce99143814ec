//! Messages between nodes: identity-addressed, bytes only.
//!
//! A [`Channel`] is one protocol between two nodes, with its limits. A node listens on a channel once and gets
//! everything that its peers send there: messages, requests and streams. Peers are named by key; where they live is
//! told once by [`Network::set_peers`], which is also the allow-list. The transport connects, reconnects with
//! back-off, and binds chain and identity in its handshake; what the *epoch* of a stream is, its opener says in the
//! preamble and its acceptor checks.
//!
//! What is promised:
//! - The sender is who `from` says.
//! - A message or request arrives at most once, whole, or not at all. Messages of one channel to one peer may
//!   overtake each other.
//! - Frames of one stream arrive in order and without gap; a stream that lost one breaks with
//!   [`NetworkError::Reset`].
//! - A dead or unreachable peer shows itself only by a limit passing, or by a reset that really crossed the network.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use types::PeerId;

use crate::sync::watch;

/// One protocol between two nodes. Both ends compile the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The number on the wire.
    pub id: u16,
    /// The name in metrics and traces.
    pub label: &'static str,
    /// The largest message, request, reply, preamble or stream frame, in bytes.
    pub max_frame: u32,
    /// Frames that may wait in one direction of one stream, and messages that may wait for one peer, at each end.
    pub queue: u32,
    /// Requests and streams of one peer that may be open at a time, each.
    pub concurrency: u32,
}

/// Where a peer lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// The peer's key.
    pub id: PeerId,
    /// `host:port` in production. The simulator ignores it.
    pub address: String,
}

/// One node's place in the network.
pub trait Network: Clone + Send + Sync + 'static {
    /// Both directions of a stream.
    type Stream: Stream;
    /// The answer to a request.
    type Reply: Reply;
    /// See [`Listener`].
    type Listener: Listener<Stream = Self::Stream, Reply = Self::Reply>;

    /// This node's own key.
    fn id(&self) -> PeerId;

    /// Replaces the peers that this node connects to and accepts. Connections to others are closed.
    fn set_peers(&self, peers: Vec<PeerAddress>);

    /// The peers that a connection stands to at this moment, as far as this node can know. Intermediate states
    /// may be skipped.
    fn connected(&self) -> watch::Receiver<Arc<BTreeSet<PeerId>>>;

    /// Takes everything that arrives on `channel` from now on, until the listener is dropped. What arrives for a
    /// channel without a listener is refused.
    ///
    /// # Errors
    /// [`NetworkError::ChannelTaken`], [`NetworkError::Closed`].
    fn listen(&self, channel: Channel) -> Result<Self::Listener, NetworkError>;

    /// Queues a message. `Ok` says that it was queued, nothing more.
    ///
    /// # Errors
    /// [`NetworkError::Busy`] when the queue to this peer is full (the message is not queued),
    /// [`NetworkError::TooLarge`], [`NetworkError::UnknownPeer`], [`NetworkError::Closed`].
    fn send(&self, to: PeerId, channel: Channel, message: Bytes) -> Result<(), NetworkError>;

    /// Sends a request and waits for its reply, at most `limit`; both begin at the first poll. Dropping the future
    /// withdraws the request; the peer may still have acted on it.
    ///
    /// # Errors
    /// Any of [`NetworkError`].
    fn request(
        &self,
        to: PeerId,
        channel: Channel,
        request: Bytes,
        limit: Duration,
    ) -> impl Future<Output = Result<Bytes, NetworkError>> + Send;

    /// Opens a stream, at most `limit` from the first poll for a connection to stand. The peer sees `preamble` before
    /// any frame and may drop the stream because of it, which the opener then sees as [`NetworkError::Reset`].
    ///
    /// # Errors
    /// Any of [`NetworkError`].
    fn open(
        &self,
        to: PeerId,
        channel: Channel,
        preamble: Bytes,
        limit: Duration,
    ) -> impl Future<Output = Result<Self::Stream, NetworkError>> + Send;
}

/// What arrives on one channel. Dropping it gives the channel free.
pub trait Listener: Send + 'static {
    /// Both directions of a stream.
    type Stream: Stream;
    /// The answer to a request.
    type Reply: Reply;

    /// The next arrival, of any peer. Peers are served in turn, so none can starve the others. Cancel-safe.
    ///
    /// # Errors
    /// [`NetworkError::Closed`] once the node shuts down.
    fn accept(
        &mut self,
    ) -> impl Future<Output = Result<Inbound<Self::Stream, Self::Reply>, NetworkError>> + Send;
}

/// Something that a peer sent.
#[derive(Debug)]
pub enum Inbound<S, R> {
    /// A message that wants no answer.
    Message {
        /// The sender.
        from: PeerId,
        /// Its bytes.
        body: Bytes,
    },
    /// A request that waits for an answer.
    Request {
        /// The sender.
        from: PeerId,
        /// Its bytes.
        body: Bytes,
        /// Where the answer goes.
        reply: R,
    },
    /// A stream that the peer opened.
    Stream {
        /// The opener.
        from: PeerId,
        /// What the opener said first.
        preamble: Bytes,
        /// The stream; dropping it resets it.
        stream: S,
    },
}

/// The answer to one request. Dropping it tells the peer [`NetworkError::Refused`].
pub trait Reply: Send + 'static {
    /// Queues the answer. Whether it arrives is not known.
    ///
    /// # Errors
    /// [`NetworkError::TooLarge`] (the peer is told `Refused`), [`NetworkError::Closed`].
    fn send(self, answer: Bytes) -> Result<(), NetworkError>;
}

/// An ordered sequence of frames in each direction.
pub trait Stream: Send + 'static {
    /// The sending half.
    type Sender: StreamSender;
    /// The receiving half.
    type Receiver: StreamReceiver;

    /// The other end.
    fn peer(&self) -> PeerId;

    /// Both halves, which live on their own.
    fn split(self) -> (Self::Sender, Self::Receiver);
}

/// The sending half of a stream. Dropping it without [`finish`](Self::finish) resets the direction.
pub trait StreamSender: Send + 'static {
    /// Waits for room in the queue and queues the frame, at the poll that finds room. Cancel-safe: a dropped call has
    /// queued the whole frame or nothing of it.
    ///
    /// # Errors
    /// [`NetworkError::TooLarge`], [`NetworkError::Reset`], [`NetworkError::Closed`].
    fn send(&mut self, frame: Bytes) -> impl Future<Output = Result<(), NetworkError>> + Send;

    /// Says that no more frames follow. The queued ones still go out.
    fn finish(self);
}

/// The receiving half of a stream. Dropping it tells the sender, whose sends then fail with `Reset`.
pub trait StreamReceiver: Send + 'static {
    /// The next frame; `None` after the sender finished. Cancel-safe: a dropped call loses no frame.
    ///
    /// # Errors
    /// [`NetworkError::Reset`], [`NetworkError::TooLarge`] (the peer broke the channel's limit; the stream is
    /// reset), [`NetworkError::Closed`].
    fn recv(&mut self) -> impl Future<Output = Result<Option<Bytes>, NetworkError>> + Send;
}

/// Why the network did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The peer is not among those given to `set_peers`.
    #[error("peer {peer} is not in the peer set")]
    UnknownPeer {
        /// Who was meant.
        peer: PeerId,
    },
    /// The queue or the concurrency limit is full. Try later or drop the work.
    #[error("channel `{channel}` to peer {peer} is busy")]
    Busy {
        /// Who was meant.
        peer: PeerId,
        /// The label of the channel.
        channel: &'static str,
    },
    /// The frame is over the channel's limit. It was not sent.
    #[error("a frame of {bytes} bytes is over the {limit} of channel `{channel}`")]
    TooLarge {
        /// The label of the channel.
        channel: &'static str,
        /// The frame's size.
        bytes: u64,
        /// The channel's limit.
        limit: u32,
    },
    /// The limit passed without a connection or without an answer.
    #[error("peer {peer} did not answer within the limit")]
    Timeout {
        /// Who was meant.
        peer: PeerId,
    },
    /// The connection or the stream broke. What was in flight may or may not have arrived.
    #[error("the stream to peer {peer} was reset")]
    Reset {
        /// The other end.
        peer: PeerId,
    },
    /// The peer does not serve the channel, is at its limit, or dropped the request.
    #[error("peer {peer} refused on channel `{channel}`")]
    Refused {
        /// The other end.
        peer: PeerId,
        /// The label of the channel.
        channel: &'static str,
    },
    /// There is a listener on this channel already. A programming error of the caller.
    #[error("channel `{channel}` has a listener already")]
    ChannelTaken {
        /// The label of the channel.
        channel: &'static str,
    },
    /// This node is shutting down.
    #[error("the node is shutting down")]
    Closed,
}
