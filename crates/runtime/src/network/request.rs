//! Requests: one bidirectional stream each, one frame each way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use env::{Channel, NetworkError, Reply};
use quinn::{SendStream, VarInt};
use tokio::sync::OwnedSemaphorePermit;
use types::PeerId;

use super::Shared;
use super::fault::Counts;
use super::peer::Peer;
use super::stream::check_size;
use super::wire::{FrameReader, Header, Kind, ReadFault, code, put_frame};

/// A stream in its sending direction that is reset when it is dropped before its end.
#[derive(Debug)]
pub(super) struct Outgoing {
    stream: SendStream,
    /// What the other side is told when the stream is dropped now; `None` once it is finished.
    on_drop: Option<VarInt>,
}

impl Outgoing {
    pub(super) fn new(stream: SendStream, on_drop: VarInt) -> Self {
        Self {
            stream,
            on_drop: Some(on_drop),
        }
    }

    pub(super) async fn write(&mut self, chunks: &mut [Bytes]) -> Result<(), quinn::WriteError> {
        self.stream.write_all_chunks(chunks).await
    }

    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let stopped = self.stream.stopped();
        async move { drop(stopped.await) }
    }

    pub(super) fn finish(mut self) {
        self.on_drop = None;
        // Fails only when the other side has stopped the stream.
        drop(self.stream.finish());
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(code) = self.on_drop {
            // Fails only when the stream has ended, and then there is nothing to reset.
            drop(self.stream.reset(code));
        }
    }
}

/// Asks `peer` and waits for the answer. The permit is held until then.
pub(super) async fn ask(
    shared: &Shared,
    peer: &Peer,
    channel: Channel,
    request: Bytes,
    limit: Duration,
    _place: OwnedSemaphorePermit,
) -> Result<Bytes, NetworkError> {
    let id = peer.id;
    let exchange = async {
        let (send, receive) = loop {
            let Some(connection) = peer.connection().await else {
                return Err(NetworkError::UnknownPeer { peer: id });
            };
            // Nothing has been sent yet, so a connection that has ended is no loss.
            match connection.open_bi().await {
                Ok(stream) => break stream,
                Err(_) => peer.remove(&connection),
            }
        };
        let mut send = Outgoing::new(send, code::DROPPED);
        let mut reader = FrameReader::new(receive);
        let mut chunks = Vec::with_capacity(2);
        put_frame(
            &mut chunks,
            Some(Header {
                kind: Kind::Request,
                channel: channel.id,
            }),
            request,
        );
        // A write that the other side does not want is told again, and better, by the answer.
        if send.write(&mut chunks).await.is_ok() {
            send.finish();
        }
        match reader.frame(channel.max_frame).await {
            Ok(Some(answer)) => Ok(answer),
            Err(ReadFault::Reset(code::REFUSED)) => Err(NetworkError::Refused {
                peer: id,
                channel: channel.label,
            }),
            Err(ReadFault::TooLarge(bytes)) => {
                reader.stop(code::TOO_LARGE);
                Counts::add(&shared.counts.too_large);
                Err(NetworkError::TooLarge {
                    channel: channel.label,
                    bytes: bytes.into(),
                    limit: channel.max_frame,
                })
            }
            Ok(None) | Err(ReadFault::Malformed) => {
                Counts::add(&shared.counts.malformed);
                Err(NetworkError::Reset { peer: id })
            }
            Err(ReadFault::Reset(_) | ReadFault::Lost) => Err(NetworkError::Reset { peer: id }),
        }
    };
    match tokio::time::timeout(limit, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        _ if shared.life.is_over() => Err(NetworkError::Closed),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(NetworkError::Timeout { peer: id }),
    }
}

/// The answer to one request.
#[derive(Debug)]
pub struct QuicReply {
    shared: Arc<Shared>,
    peer: PeerId,
    channel: Channel,
    stream: Outgoing,
    place: OwnedSemaphorePermit,
}

impl QuicReply {
    pub(super) fn new(
        shared: &Arc<Shared>,
        peer: PeerId,
        channel: Channel,
        stream: SendStream,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let stream = Outgoing::new(stream, code::REFUSED);
        Self {
            shared: Arc::clone(shared),
            peer,
            channel,
            stream,
            place,
        }
    }

    /// The node that asked.
    pub fn peer(&self) -> PeerId {
        self.peer
    }
}

impl Reply for QuicReply {
    fn send(self, answer: Bytes) -> Result<(), NetworkError> {
        if self.shared.life.is_over() {
            return Err(NetworkError::Closed);
        }
        check_size(&self.channel, &answer)?;
        let Self {
            shared,
            mut stream,
            place,
            ..
        } = self;
        let mut chunks = Vec::with_capacity(2);
        put_frame(&mut chunks, None, answer);
        let mut write = Box::pin(async move {
            if stream.write(&mut chunks).await.is_ok() {
                stream.finish();
            }
            // The asker's own limit bounds what it leaves unread: its requests wait for these places.
            drop(place);
        });
        // An answer that fits into the window is on its way at once; only a longer one needs a task.
        if Pin::new(&mut write)
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
        {
            shared.start("reply", write);
        }
        Ok(())
    }
}
