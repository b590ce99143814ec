//! Streams: ordered frames in two directions, with a window of frames under way in each.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use env::{Channel, NetworkError, Stream, StreamReceiver, StreamSender};
use types::PeerId;

use super::Body;
use super::handle::{Arrival, check_size};
use crate::adversary::Shape;
use crate::handle::NodeHandle;
use crate::world::{NodeIndex, State};

/// One end of a stream.
pub(crate) struct StreamEnd {
    pub channel: Channel,
    ours: bool,
    /// Frames that may still be sent.
    pub credit: u32,
    pub next_sent: u64,
    /// No more frames will be sent: finished, dropped, or broken by the other end.
    send_over: bool,
    send_broken: bool,
    sender: Option<Waker>,
    next_received: u64,
    early: BTreeMap<u64, Option<Bytes>>,
    ready: VecDeque<Bytes>,
    finished: bool,
    receive_over: bool,
    receive_broken: bool,
    taken: u32,
    receiver: Option<Waker>,
}

impl StreamEnd {
    pub fn new(channel: Channel, ours: bool) -> Self {
        Self {
            channel,
            ours,
            credit: channel.queue.max(1),
            next_sent: 0,
            send_over: false,
            send_broken: false,
            sender: None,
            next_received: 0,
            early: BTreeMap::new(),
            ready: VecDeque::new(),
            finished: false,
            receive_over: false,
            receive_broken: false,
            taken: 0,
            receiver: None,
        }
    }

    /// Whether this end opened it on `channel`.
    pub fn is_ours(&self, channel: u16) -> bool {
        self.ours && self.channel.id == channel
    }

    /// The session is gone.
    pub fn break_both(&mut self) {
        self.send_broken = true;
        self.receive_broken = true;
        self.wake();
    }

    fn wake(&mut self) {
        for waker in [self.sender.take(), self.receiver.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn is_over(&self) -> bool {
        self.send_over && self.receive_over
    }
}

impl State {
    pub(super) fn stream(&mut self, node: NodeIndex, peer: NodeIndex, id: u64) -> Option<&mut StreamEnd> {
        self.net.session(node, peer)?.streams.get_mut(&id)
    }

    pub(super) fn opened(
        &mut self,
        node: NodeIndex,
        peer: NodeIndex,
        channel: u16,
        stream: u64,
        preamble: Bytes,
    ) {
        let known = self.net.ends[node]
            .listeners
            .get(&channel)
            .map(|listener| listener.channel)
            .filter(|_| !self.is_full(node, peer, channel));
        let Some(session) = self.net.session(node, peer) else {
            return;
        };
        let open = session
            .streams
            .values()
            .filter(|end| !end.ours && end.channel.id == channel)
            .count();
        match known {
            Some(known) if open < known.concurrency as usize => {
                session.streams.insert(stream, StreamEnd::new(known, false));
                let session = session.id;
                self.offer(
                    node,
                    peer,
                    channel,
                    Arrival::Stream {
                        id: stream,
                        session,
                        preamble,
                    },
                );
            }
            _ => {
                self.send_over(
                    node,
                    peer,
                    Body::Break {
                        stream,
                        sending: true,
                    },
                );
                self.send_over(
                    node,
                    peer,
                    Body::Break {
                        stream,
                        sending: false,
                    },
                );
            }
        }
    }

    pub(super) fn on_frame(
        &mut self,
        node: NodeIndex,
        peer: NodeIndex,
        id: u64,
        number: u64,
        frame: Option<Bytes>,
    ) {
        let Some(end) = self.stream(node, peer, id) else {
            return;
        };
        if end.receive_over {
            return;
        }
        let channel = end.channel.id;
        if let Some(bytes) = &frame {
            self.overhear(node, peer, (Shape::Frame, channel), bytes);
        }
        let Some(end) = self.stream(node, peer, id) else {
            return;
        };
        end.early.insert(number, frame);
        while let Some(frame) = end.early.remove(&end.next_received) {
            end.next_received += 1;
            match frame {
                Some(frame) => end.ready.push_back(frame),
                None => end.finished = true,
            }
        }
        if let Some(waker) = end.receiver.take() {
            waker.wake();
        }
    }

    pub(super) fn on_credit(&mut self, node: NodeIndex, peer: NodeIndex, id: u64, count: u32) {
        let Some(end) = self.stream(node, peer, id) else {
            return;
        };
        end.credit += count;
        if let Some(waker) = end.sender.take() {
            waker.wake();
        }
    }

    pub(super) fn on_break(&mut self, node: NodeIndex, peer: NodeIndex, id: u64, sending: bool) {
        let Some(end) = self.stream(node, peer, id) else {
            return;
        };
        if sending {
            end.receive_broken = true;
        } else {
            end.send_broken = true;
        }
        end.wake();
    }

    /// Drops both halves of a stream that nobody accepted.
    pub(super) fn drop_stream(&mut self, node: NodeIndex, peer: NodeIndex, id: u64) {
        self.end_sending(node, peer, id, false);
        self.end_receiving(node, peer, id);
    }

    fn end_sending(&mut self, node: NodeIndex, peer: NodeIndex, id: u64, finished: bool) {
        let Some(end) = self.stream(node, peer, id) else {
            return;
        };
        if end.send_over {
            return;
        }
        end.send_over = true;
        let (number, broken) = (end.next_sent, end.send_broken);
        self.retire(node, peer, id);
        if broken {
            return;
        }
        let body = if finished {
            Body::Frame {
                stream: id,
                number,
                frame: None,
            }
        } else {
            Body::Break {
                stream: id,
                sending: true,
            }
        };
        self.send_over(node, peer, body);
    }

    fn end_receiving(&mut self, node: NodeIndex, peer: NodeIndex, id: u64) {
        let Some(end) = self.stream(node, peer, id) else {
            return;
        };
        if end.receive_over {
            return;
        }
        end.receive_over = true;
        end.ready.clear();
        end.early.clear();
        let quiet = end.finished || end.receive_broken;
        self.retire(node, peer, id);
        if !quiet {
            self.send_over(
                node,
                peer,
                Body::Break {
                    stream: id,
                    sending: false,
                },
            );
        }
    }

    fn retire(&mut self, node: NodeIndex, peer: NodeIndex, id: u64) {
        if let Some(session) = self.net.session(node, peer)
            && session.streams.get(&id).is_some_and(StreamEnd::is_over)
        {
            session.streams.remove(&id);
        }
    }
}

/// Names a stream and the session that it lives in.
struct StreamRef {
    handle: NodeHandle,
    peer: NodeIndex,
    peer_id: PeerId,
    channel: Channel,
    session: u64,
    id: u64,
}

impl StreamRef {
    /// Works on this end; `Reset` when the session that it lived in is gone.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut State, NodeIndex) -> Result<T, NetworkError>,
    ) -> Result<T, NetworkError> {
        let node = self.handle.node();
        let worked = self.handle.with(|state| {
            let lives = state.net.session(node, self.peer).is_some_and(|session| {
                session.up && session.id == self.session && session.streams.contains_key(&self.id)
            });
            if lives {
                work(state, node)
            } else {
                Err(NetworkError::Reset { peer: self.peer_id })
            }
        });
        worked.unwrap_or(Err(NetworkError::Closed))
    }
}

/// Both directions of a stream.
pub struct SimStream {
    sender: SimStreamSender,
    receiver: SimStreamReceiver,
}

impl SimStream {
    pub(super) fn new(
        handle: NodeHandle,
        peer: NodeIndex,
        peer_id: PeerId,
        channel: Channel,
        session: u64,
        id: u64,
    ) -> Self {
        let name = Arc::new(StreamRef {
            handle,
            peer,
            peer_id,
            channel,
            session,
            id,
        });
        Self {
            sender: SimStreamSender {
                name: name.clone(),
                finished: false,
            },
            receiver: SimStreamReceiver { name, ended: None },
        }
    }
}

impl Stream for SimStream {
    type Sender = SimStreamSender;
    type Receiver = SimStreamReceiver;

    fn peer(&self) -> PeerId {
        self.sender.name.peer_id
    }

    fn split(self) -> (SimStreamSender, SimStreamReceiver) {
        (self.sender, self.receiver)
    }
}

/// The sending half.
pub struct SimStreamSender {
    name: Arc<StreamRef>,
    finished: bool,
}

impl SimStreamSender {
    fn poll_send(&self, cx: &mut Context<'_>, frame: &mut Option<Bytes>) -> Poll<Result<(), NetworkError>> {
        let name = &self.name;
        let sent = name.with(|state, node| {
            let end = state.stream(node, name.peer, name.id).expect("checked by `with`");
            if end.send_broken {
                return Err(NetworkError::Reset { peer: name.peer_id });
            }
            if end.credit == 0 {
                end.sender = Some(cx.waker().clone());
                return Ok(false);
            }
            let frame = frame.take().expect("a frame is sent once");
            state.send_frame(node, name.peer, name.id, frame);
            Ok(true)
        });
        match sent {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl StreamSender for SimStreamSender {
    fn send(&mut self, frame: Bytes) -> impl Future<Output = Result<(), NetworkError>> + Send {
        let checked = check_size(self.name.channel, frame.len());
        let mut frame = Some(frame);
        poll_fn(move |cx| match &checked {
            Ok(()) => self.poll_send(cx, &mut frame),
            Err(error) => Poll::Ready(Err(error.clone())),
        })
    }

    fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for SimStreamSender {
    fn drop(&mut self) {
        let (name, finished) = (&self.name, self.finished);
        // The stream may be gone already: then nobody is left to tell.
        let _ = name.with(|state, node| {
            state.end_sending(node, name.peer, name.id, finished);
            Ok(())
        });
    }
}

/// The receiving half.
pub struct SimStreamReceiver {
    name: Arc<StreamRef>,
    /// How it ended, once that was told: nothing follows, whatever still arrives.
    ended: Option<Result<(), NetworkError>>,
}

impl SimStreamReceiver {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, NetworkError>> {
        if let Some(ended) = &self.ended {
            return Poll::Ready(ended.clone().map(|()| None));
        }
        let name = &self.name;
        let received = name.with(|state, node| {
            let end = state.stream(node, name.peer, name.id).expect("checked by `with`");
            if let Some(frame) = end.ready.pop_front() {
                if let Err(error) = check_size(end.channel, frame.len()) {
                    // No honest transport sends it, and none reads it.
                    state.end_receiving(node, name.peer, name.id);
                    return Err(error);
                }
                end.taken += 1;
                if end.taken >= (end.channel.queue / 2).max(1) {
                    let count = std::mem::take(&mut end.taken);
                    state.send_over(
                        node,
                        name.peer,
                        Body::Credit {
                            stream: name.id,
                            count,
                        },
                    );
                }
                return Ok(Some(Some(frame)));
            }
            if end.finished {
                return Ok(Some(None));
            }
            if end.receive_broken {
                return Err(NetworkError::Reset { peer: name.peer_id });
            }
            end.receiver = Some(cx.waker().clone());
            Ok(None)
        });
        let told = match received {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => return Poll::Pending,
            Err(error) => Err(error),
        };
        self.ended = match &told {
            Ok(Some(_)) => None,
            Ok(None) => Some(Ok(())),
            Err(error) => Some(Err(error.clone())),
        };
        Poll::Ready(told)
    }
}

impl StreamReceiver for SimStreamReceiver {
    fn recv(&mut self) -> impl Future<Output = Result<Option<Bytes>, NetworkError>> + Send {
        poll_fn(|cx| self.poll_recv(cx))
    }
}

impl Drop for SimStreamReceiver {
    fn drop(&mut self) {
        let name = &self.name;
        // The stream may be gone already: then nobody is left to tell.
        let _ = name.with(|state, node| {
            state.end_receiving(node, name.peer, name.id);
            Ok(())
        });
    }
}
