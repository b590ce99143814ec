//! Streams: a task writes what is queued, the receiver reads what has come.

use std::sync::Arc;

use bytes::Bytes;
use env::{Channel, NetworkError, Stream, StreamReceiver, StreamSender};
use quinn::SendStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use types::PeerId;

use super::Shared;
use super::fault::Counts;
use super::request::Outgoing;
use super::wire::{FrameReader, ReadFault, code, put_frame};

/// Frames that are written at one go, at most.
const BATCH: usize = 32;

/// Both directions of a stream.
#[derive(Debug)]
pub struct QuicStream {
    sender: QuicSender,
    receiver: QuicReceiver,
}

/// The sending half.
#[derive(Debug)]
pub struct QuicSender {
    end: End,
    queue: mpsc::Sender<Bytes>,
    /// Says that the direction is complete; dropped before that, that it is to be reset.
    finish: oneshot::Sender<Place>,
}

/// The receiving half.
pub struct QuicReceiver {
    end: End,
    reader: FrameReader,
    /// What every further call answers, once the stream has ended.
    ended: Option<Result<(), NetworkError>>,
}

/// What both halves know.
#[derive(Clone, Debug)]
struct End {
    shared: Arc<Shared>,
    peer: PeerId,
    channel: Channel,
    place: Place,
}

/// The stream's place, free when both halves are gone and what they finished has been written.
type Place = Arc<OwnedSemaphorePermit>;

impl End {
    fn reset(&self) -> NetworkError {
        if self.shared.life.is_over() {
            NetworkError::Closed
        } else {
            NetworkError::Reset { peer: self.peer }
        }
    }
}

/// Refuses what is over the channel's limit.
pub(super) fn check_size(channel: &Channel, frame: &Bytes) -> Result<(), NetworkError> {
    let bytes = u64::try_from(frame.len()).unwrap_or(u64::MAX);
    if bytes > u64::from(channel.max_frame) {
        return Err(NetworkError::TooLarge {
            channel: channel.label,
            bytes,
            limit: channel.max_frame,
        });
    }
    Ok(())
}

impl QuicStream {
    /// A stream whose opener says `first` before any frame.
    pub(super) fn new(
        shared: &Arc<Shared>,
        peer: PeerId,
        channel: Channel,
        (send, reader): (SendStream, FrameReader),
        place: OwnedSemaphorePermit,
        first: Vec<Bytes>,
    ) -> Self {
        let end = End {
            shared: Arc::clone(shared),
            peer,
            channel,
            place: Arc::new(place),
        };
        let room = usize::try_from(channel.queue.max(1))
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS);
        let (queue, frames) = mpsc::channel(room);
        let (finish, finished) = oneshot::channel();
        let outgoing = Outgoing::new(send, code::DROPPED);
        shared.start("stream", pump(outgoing, frames, first, finished, room.min(BATCH)));
        let receiver = QuicReceiver {
            end: end.clone(),
            reader,
            ended: None,
        };
        Self {
            sender: QuicSender { end, queue, finish },
            receiver,
        }
    }
}

/// Writes frames until the sender ends, the other side reads no more, or the connection breaks. Ending, it closes the
/// queue, and the sender sees that. A sender that is dropped does not wait for a peer that does not read.
async fn pump(
    mut stream: Outgoing,
    mut frames: mpsc::Receiver<Bytes>,
    mut chunks: Vec<Bytes>,
    mut finished: oneshot::Receiver<Place>,
    batch: usize,
) {
    let mut stopped = std::pin::pin!(stream.stopped());
    let complete = {
        let mut written = std::pin::pin!(async {
            let mut next = Vec::with_capacity(batch);
            loop {
                if !chunks.is_empty() && stream.write(&mut chunks).await.is_err() {
                    return false;
                }
                chunks.clear();
                if frames.recv_many(&mut next, batch).await == 0 {
                    return true;
                }
                for frame in next.drain(..) {
                    put_frame(&mut chunks, None, frame);
                }
            }
        });
        env::select! {
            () = &mut stopped => false,
            // The queue is closed by now. What is in it is still written, and keeps the place until then.
            finish = &mut finished => match finish {
                Ok(_place) => env::select! {
                    () = &mut stopped => false,
                    all = written => all,
                },
                Err(_) => false,
            },
            all = &mut written => all && finished.await.is_ok(),
        }
    };
    if complete {
        stream.finish();
    }
}

impl Stream for QuicStream {
    type Sender = QuicSender;
    type Receiver = QuicReceiver;

    fn peer(&self) -> PeerId {
        self.sender.end.peer
    }

    fn split(self) -> (QuicSender, QuicReceiver) {
        (self.sender, self.receiver)
    }
}

impl StreamSender for QuicSender {
    async fn send(&mut self, frame: Bytes) -> Result<(), NetworkError> {
        check_size(&self.end.channel, &frame)?;
        if self.end.shared.life.is_over() {
            return Err(NetworkError::Closed);
        }
        self.queue.send(frame).await.map_err(|_| self.end.reset())
    }

    fn finish(self) {
        // A writing task that has ended has nothing to finish.
        drop(self.finish.send(self.end.place));
    }
}

impl StreamReceiver for QuicReceiver {
    async fn recv(&mut self) -> Result<Option<Bytes>, NetworkError> {
        // Frames that have arrived may still wait here.
        if self.end.shared.life.is_over() {
            return Err(NetworkError::Closed);
        }
        if let Some(ended) = &self.ended {
            return ended.clone().map(|()| None);
        }
        let end = match self.reader.frame(self.end.channel.max_frame).await {
            Ok(Some(frame)) => return Ok(Some(frame)),
            Ok(None) => Ok(()),
            Err(ReadFault::TooLarge(bytes)) => {
                self.reader.stop(code::TOO_LARGE);
                Counts::add(&self.end.shared.counts.too_large);
                let Channel {
                    label: channel,
                    max_frame: limit,
                    ..
                } = self.end.channel;
                Err(NetworkError::TooLarge {
                    channel,
                    bytes: bytes.into(),
                    limit,
                })
            }
            Err(ReadFault::Malformed) => {
                Counts::add(&self.end.shared.counts.malformed);
                Err(self.end.reset())
            }
            Err(ReadFault::Reset(_) | ReadFault::Lost) => Err(self.end.reset()),
        };
        self.ended.insert(end).clone().map(|()| None)
    }
}

impl std::fmt::Debug for QuicReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicReceiver")
            .field("peer", &self.end.peer)
            .finish_non_exhaustive()
    }
}
