//! What a peer sends on one connection, brought to the listener of its channel.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use env::Inbound;
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Shared;
use super::fault::Counts;
use super::hub::{Gate, Hub};
use super::peer::Peer;
use super::request::QuicReply;
use super::stream::QuicStream;
use super::wire::{FrameReader, Header, Kind, ReadFault, code};

/// Takes streams until the connection ends. Each stream is read by a task of its own, of which there are no more than
/// the transport lets the peer open.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    connection: &Connection,
) -> ConnectionError {
    let unidirectional = async {
        loop {
            match connection.accept_uni().await {
                Ok(stream) => run(shared, messages(Arc::clone(shared), Arc::clone(peer), stream)).await,
                Err(reason) => return reason,
            }
        }
    };
    let bidirectional = async {
        loop {
            match connection.accept_bi().await {
                Ok((send, receive)) => {
                    run(
                        shared,
                        exchange(Arc::clone(shared), Arc::clone(peer), send, receive),
                    )
                    .await;
                }
                Err(reason) => return reason,
            }
        }
    };
    env::select! {
        reason = bidirectional => reason,
        reason = unidirectional => reason,
    }
}

/// Polls `work` here once, and makes it a task only if it has to wait: most requests arrive whole.
async fn run(shared: &Shared, work: impl Future<Output = ()> + Send + 'static) {
    let mut work = Box::pin(work);
    let first = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut work).poll(context))).await;
    if first.is_pending() {
        shared.start("arrival", work);
    }
}

/// Why a stream is not taken.
enum Rejection {
    Refused,
    Stalled,
    Fault(ReadFault),
}

impl From<ReadFault> for Rejection {
    fn from(fault: ReadFault) -> Self {
        Self::Fault(fault)
    }
}

impl Rejection {
    /// Counts it and gives the code to tell the peer.
    fn code(&self, shared: &Shared) -> quinn::VarInt {
        let (counter, code) = match self {
            Self::Refused => (&shared.counts.refused, code::REFUSED),
            Self::Stalled => (&shared.counts.stalled, code::STALLED),
            Self::Fault(ReadFault::TooLarge(_)) => (&shared.counts.too_large, code::TOO_LARGE),
            Self::Fault(ReadFault::Malformed) => (&shared.counts.malformed, code::MALFORMED),
            // The peer has withdrawn what it began; that is its right.
            Self::Fault(ReadFault::Reset(_) | ReadFault::Lost) => return code::DROPPED,
        };
        Counts::add(counter);
        code
    }
}

/// Reads messages for as long as the peer sends and somebody listens.
async fn messages(shared: Arc<Shared>, peer: Arc<Peer>, stream: RecvStream) {
    let mut reader = FrameReader::new(stream);
    if let Err(rejection) = read_messages(&shared, &peer, &mut reader).await {
        reader.stop(rejection.code(&shared));
    }
}

async fn read_messages(shared: &Shared, peer: &Peer, reader: &mut FrameReader) -> Result<(), Rejection> {
    let header = tokio::time::timeout(shared.limits.stall, reader.header())
        .await
        .map_err(|_| Rejection::Stalled)??;
    if header.kind != Kind::Messages {
        return Err(ReadFault::Malformed.into());
    }
    let (mut hub, mut gate) = gate(shared, peer, header)?;
    let mut _carrier = place(&gate.carriers)?;
    while reader.begun().await? {
        // The listener of the messages before may be gone, and another one there.
        if gate.messages.is_closed() {
            (hub, gate) = self::gate(shared, peer, header)?;
            _carrier = place(&gate.carriers)?;
        }
        // The place is taken before the message is read, so a peer that is not listened to is held back by the
        // transport, and its own queue fills.
        let Ok(place) = Arc::clone(&gate.messages).acquire_owned().await else {
            continue;
        };
        let body = tokio::time::timeout(shared.limits.stall, reader.frame(hub.channel.max_frame))
            .await
            .map_err(|_| Rejection::Stalled)??
            .ok_or(ReadFault::Malformed)?;
        let arrival = Inbound::Message { from: peer.id, body };
        hub.push(peer.id, &gate, arrival, Some(place));
    }
    Ok(())
}

/// Reads the beginning of a request or a stream.
async fn exchange(shared: Arc<Shared>, peer: Arc<Peer>, send: SendStream, receive: RecvStream) {
    let mut send = send;
    let mut reader = FrameReader::new(receive);
    let begin = begin(&shared, &peer, &mut reader);
    let begun = match tokio::time::timeout(shared.limits.stall, begin).await {
        Ok(begun) => begun,
        Err(_) => Err(Rejection::Stalled),
    };
    let (kind, hub, gate, place, body) = match begun {
        Ok(begun) => begun,
        Err(rejection) => {
            let code = rejection.code(&shared);
            // Both fail only when the stream has ended already.
            drop(send.reset(code));
            reader.stop(code);
            return;
        }
    };
    let from = peer.id;
    let arrival = if kind == Kind::Request {
        Inbound::Request {
            from,
            body,
            reply: QuicReply::new(&shared, from, hub.channel, send, place),
        }
    } else {
        let stream = QuicStream::new(&shared, from, hub.channel, (send, reader), place, Vec::new());
        Inbound::Stream {
            from,
            preamble: body,
            stream,
        }
    };
    hub.push(from, &gate, arrival, None);
}

type Begun = (Kind, Arc<Hub>, Arc<Gate>, OwnedSemaphorePermit, bytes::Bytes);

async fn begin(shared: &Shared, peer: &Peer, reader: &mut FrameReader) -> Result<Begun, Rejection> {
    let header = reader.header().await?;
    if !matches!(header.kind, Kind::Request | Kind::Stream) {
        return Err(ReadFault::Malformed.into());
    }
    let (hub, gate) = gate(shared, peer, header)?;
    let place = place(if header.kind == Kind::Request {
        &gate.requests
    } else {
        &gate.streams
    })?;
    let body = reader
        .frame(hub.channel.max_frame)
        .await?
        .ok_or(ReadFault::Malformed)?;
    Ok((header.kind, hub, gate, place, body))
}

/// The listener of the header's channel, and the peer's bounds there.
fn gate(shared: &Shared, peer: &Peer, header: Header) -> Result<(Arc<Hub>, Arc<Gate>), Rejection> {
    let hub = shared.hub(header.channel).ok_or(Rejection::Refused)?;
    let gate = hub.gate(peer).ok_or(Rejection::Refused)?;
    Ok((hub, gate))
}

fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Rejection> {
    Arc::clone(places)
        .try_acquire_owned()
        .map_err(|_| Rejection::Refused)
}
