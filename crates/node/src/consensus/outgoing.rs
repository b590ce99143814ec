//! Own blocks, to whoever has opened a stream for them.
//!
//! Each stream has a place of its own in the sequence of own blocks. A slow reader is behind, and costs nothing else.

use std::collections::VecDeque;

use bytes::Bytes;
use consensus::Suite;
use env::sync::watch;
use env::{Env, NetworkError, StorageError, StreamReceiver, StreamSender};
use types::Round;

use crate::consensus::archive::Archive;

/// Own blocks that are kept in memory.
const WINDOW: usize = 64;
/// Their bytes.
const WINDOW_BYTES: usize = 16 << 20;

/// The latest own blocks that are durable.
#[derive(Debug)]
pub(crate) struct Window {
    /// Own durable blocks up to this round are in the store, and may be missing here.
    stored: Round,
    frames: VecDeque<(Round, Bytes)>,
    bytes: usize,
}

impl Window {
    /// Nothing in memory; own blocks up to this round are in the store.
    pub const fn new(stored: Round) -> Self {
        Self {
            stored,
            frames: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Adds the next own block.
    pub fn push(&mut self, round: Round, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back((round, frame));
        while self.frames.len() > WINDOW || (self.bytes > WINDOW_BYTES && self.frames.len() > 1) {
            if let Some((round, frame)) = self.frames.pop_front() {
                self.bytes -= frame.len();
                self.stored = round;
            }
        }
    }

    /// What comes next behind this round.
    fn next(&self, after: Round) -> Next {
        if after < self.stored {
            return Next::Stored { until: self.stored };
        }
        let frame = self.frames.iter().find(|(round, _)| *round > after);
        frame.map_or(Next::Nothing, |(round, frame)| Next::Frame(*round, frame.clone()))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// A block in memory.
    Frame(Round, Bytes),
    /// Blocks of rounds up to this one have to be looked for in the store.
    Stored { until: Round },
    /// There is none yet.
    Nothing,
}

/// Why a stream is not written on.
#[derive(Debug)]
pub(crate) enum Stopped {
    Network,
    Storage,
}

impl From<NetworkError> for Stopped {
    fn from(_: NetworkError) -> Self {
        Self::Network
    }
}

impl From<StorageError> for Stopped {
    fn from(_: StorageError) -> Self {
        Self::Storage
    }
}

/// Where the blocks of a stream come from.
pub(crate) struct Outgoing<E: Env, S: Suite> {
    archive: Archive<E, S>,
    /// `None` when the epoch is over.
    live: Option<watch::Receiver<Window>>,
}

impl<E: Env, S: Suite> Outgoing<E, S> {
    /// Blocks of an epoch that goes on.
    pub const fn live(archive: Archive<E, S>, live: watch::Receiver<Window>) -> Self {
        let live = Some(live);
        Self { archive, live }
    }

    /// Blocks of an epoch that is over.
    pub const fn closed(archive: Archive<E, S>) -> Self {
        Self { archive, live: None }
    }

    /// Sends every own block of a round after `after`, in order, until the stream breaks or no more will come. The reader
    /// says nothing on `reader`, which ends with it.
    pub async fn send(
        mut self,
        after: Round,
        mut to: impl StreamSender,
        mut reader: impl StreamReceiver,
    ) -> Result<(), Stopped> {
        let mut after = after;
        loop {
            let next = match &mut self.live {
                Some(live) => live.borrow_and_update().next(after),
                None => Next::Stored {
                    until: self.archive.last_own().await?,
                },
            };
            match next {
                Next::Frame(round, frame) => {
                    to.send(frame).await?;
                    self.archive.metrics().blocks_sent.one();
                    after = round;
                }
                Next::Stored { until } => {
                    after = self.send_stored(after, until, &mut to).await?;
                    if self.live.is_none() {
                        to.finish();
                        return Ok(());
                    }
                }
                Next::Nothing => {
                    let Some(live) = &mut self.live else { return Ok(()) };
                    match wait(live, &mut reader).await {
                        Waited::Changed => {}
                        Waited::Over => {
                            to.finish();
                            return Ok(());
                        }
                        Waited::Unread => return Ok(()),
                    }
                }
            }
        }
    }

    /// Sends what the store has of the rounds after `after` to `until`, which is then the last round looked at.
    async fn send_stored(
        &self,
        after: Round,
        until: Round,
        to: &mut impl StreamSender,
    ) -> Result<Round, Stopped> {
        let mut round = after;
        while round < until
            && let Some(next) = round.next()
        {
            round = next;
            if let Some(frame) = self.archive.own_block(round).await? {
                to.send(frame).await?;
                self.archive.metrics().blocks_sent.one();
            }
        }
        Ok(round)
    }
}

/// What came of waiting for the next own block.
#[derive(Debug, PartialEq, Eq)]
enum Waited {
    /// There may be one.
    Changed,
    /// No more will come.
    Over,
    /// Whoever has opened the stream does not read it any more.
    Unread,
}

/// Waits for an own block as long as somebody waits for it. A stream that nobody reads takes a place from the one that the
/// same reader opens next, and in a committee that needs that reader no own block would ever show that it is broken.
async fn wait(live: &mut watch::Receiver<Window>, reader: &mut impl StreamReceiver) -> Waited {
    env::select! {
        changed = live.changed() => match changed {
            Ok(()) => Waited::Changed,
            Err(_) => Waited::Over,
        },
        _ = reader.recv() => Waited::Unread,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// A reader that has gone, or reads on.
    struct Reader {
        is_gone: bool,
    }

    impl StreamReceiver for Reader {
        async fn recv(&mut self) -> Result<Option<Bytes>, NetworkError> {
            if !self.is_gone {
                std::future::pending::<()>().await;
            }
            Err(NetworkError::Closed)
        }
    }

    fn poll(live: &mut watch::Receiver<Window>, is_gone: bool) -> Poll<Waited> {
        let mut reader = Reader { is_gone };
        let waiting = pin!(wait(live, &mut reader));
        waiting.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_stream_without_an_own_block_lasts_as_long_as_its_reader() {
        let (window, mut live) = watch::channel(Window::new(Round::ZERO));
        assert_eq!(poll(&mut live, false), Poll::Pending);
        assert_eq!(poll(&mut live, true), Poll::Ready(Waited::Unread));
        window.send_modify(|window| window.push(Round::new(1), frame(1, 1)));
        assert_eq!(poll(&mut live, false), Poll::Ready(Waited::Changed));
        live.borrow_and_update();
        drop(window);
        assert_eq!(poll(&mut live, false), Poll::Ready(Waited::Over));
    }

    fn frame(byte: u8, length: usize) -> Bytes {
        Bytes::from(vec![byte; length])
    }

    #[test]
    fn a_reader_far_behind_is_sent_to_the_store_and_one_close_by_is_not() {
        let mut window = Window::new(Round::new(10));
        assert_eq!(
            window.next(Round::new(9)),
            Next::Stored {
                until: Round::new(10)
            }
        );
        assert_eq!(window.next(Round::new(10)), Next::Nothing);
        window.push(Round::new(11), frame(1, 1));
        window.push(Round::new(14), frame(2, 1));
        assert_eq!(
            window.next(Round::new(10)),
            Next::Frame(Round::new(11), frame(1, 1))
        );
        assert_eq!(
            window.next(Round::new(11)),
            Next::Frame(Round::new(14), frame(2, 1))
        );
        assert_eq!(window.next(Round::new(14)), Next::Nothing);
    }

    #[test]
    fn a_window_is_bounded_in_blocks_and_bytes_and_what_leaves_it_is_stored() {
        let mut window = Window::new(Round::ZERO);
        for round in 1..=100 {
            window.push(Round::new(round), frame(0, 1));
        }
        assert_eq!((window.frames.len(), window.stored), (WINDOW, Round::new(36)));
        window.push(Round::new(101), frame(0, WINDOW_BYTES));
        assert_eq!((window.frames.len(), window.stored), (1, Round::new(100)));
        window.push(Round::new(102), frame(0, 2 * WINDOW_BYTES));
        assert_eq!((window.frames.len(), window.stored), (1, Round::new(101)));
        assert_eq!(window.bytes, 2 * WINDOW_BYTES);
    }
}
