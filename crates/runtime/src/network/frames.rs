//! Cuts what arrives on a stream into frames. Pure: no stream, no clock.

use bytes::{Buf, Bytes, BytesMut};

use super::wire::Header;

/// Memory that a frame gets before its bytes are there.
const AT_ONCE: usize = 64 << 10;

/// What has arrived of a stream and was not taken yet.
#[derive(Debug, Default)]
pub(in crate::network) struct Frames {
    /// What was not looked at.
    chunk: Bytes,
    front: [u8; 4],
    front_len: usize,
    /// The length of the frame whose body is being put together.
    length: Option<usize>,
    body: BytesMut,
}

/// Why what has arrived is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::network) enum BadFrame {
    /// The first bytes of the stream are no header.
    Header,
    /// A frame of this many bytes is announced, and the limit is lower.
    TooLarge(u32),
}

impl Frames {
    /// Takes the next piece of the stream, once the one before has been used up.
    pub(in crate::network) fn feed(&mut self, chunk: Bytes) {
        assert!(
            self.chunk.is_empty(),
            "a piece is looked at before the next one is taken"
        );
        self.chunk = chunk;
    }

    /// The header of the stream; `None` when more has to arrive.
    pub(in crate::network) fn header(&mut self) -> Result<Option<Header>, BadFrame> {
        match self.four() {
            Some(bytes) => Header::decode(bytes).map(Some).ok_or(BadFrame::Header),
            None => Ok(None),
        }
    }

    /// The next frame, of at most `limit` bytes; `None` when more has to arrive. Above 64 KiB, memory is taken as bytes
    /// arrive and not as they are announced.
    pub(in crate::network) fn frame(&mut self, limit: u32) -> Result<Option<Bytes>, BadFrame> {
        let length = match self.length {
            Some(length) => length,
            None => {
                let Some(front) = self.four() else {
                    return Ok(None);
                };
                let length = u32::from_be_bytes(front);
                if length > limit {
                    return Err(BadFrame::TooLarge(length));
                }
                let length = usize::try_from(length).expect("a machine that runs a node addresses 32 bits");
                self.body = BytesMut::with_capacity(length.min(AT_ONCE));
                *self.length.insert(length)
            }
        };
        let count = self.chunk.len().min(length - self.body.len());
        self.body.extend_from_slice(&self.chunk[..count]);
        self.chunk.advance(count);
        if self.body.len() < length {
            return Ok(None);
        }
        self.length = None;
        Ok(Some(std::mem::take(&mut self.body).freeze()))
    }

    /// Whether a header or a frame has begun and is not complete, so that the stream must not end here.
    pub(in crate::network) fn is_inside(&self) -> bool {
        self.front_len > 0 || self.length.is_some() || !self.chunk.is_empty()
    }

    /// The next four bytes, if they are there.
    fn four(&mut self) -> Option<[u8; 4]> {
        let count = self.chunk.len().min(4 - self.front_len);
        self.front[self.front_len..self.front_len + count].copy_from_slice(&self.chunk[..count]);
        self.chunk.advance(count);
        self.front_len += count;
        if self.front_len < 4 {
            return None;
        }
        self.front_len = 0;
        Some(self.front)
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Kind, put_frame};
    use super::*;

    const LIMIT: u32 = 10_000;

    /// A stream of messages with these bodies, as it is sent.
    fn stream(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut header = Some(Header {
            kind: Kind::Messages,
            channel: 9,
        });
        let mut chunks = Vec::new();
        for body in bodies {
            put_frame(&mut chunks, header.take(), body.clone().into());
        }
        chunks.concat()
    }

    /// What is read of `bytes` that arrive in pieces of `piece`.
    fn read(bytes: &[u8], piece: usize) -> (Result<Option<Header>, BadFrame>, Vec<Bytes>, bool) {
        let mut frames = Frames::default();
        let mut pieces = bytes.chunks(piece).map(Bytes::copy_from_slice);
        let header = loop {
            match frames.header() {
                Ok(None) => match pieces.next() {
                    Some(piece) => frames.feed(piece),
                    None => break Ok(None),
                },
                header => break header,
            }
        };
        let mut read = Vec::new();
        while let Ok(frame) = frames.frame(LIMIT) {
            match (frame, pieces.size_hint().0) {
                (Some(frame), _) => read.push(frame),
                (None, 0) => break,
                (None, _) => frames.feed(pieces.next().expect("there is one more")),
            }
        }
        (header, read, frames.is_inside())
    }

    #[test]
    fn frames_come_out_as_they_went_in_whatever_the_pieces() {
        let bodies = [vec![], vec![1], vec![2; 4_097], vec![3; LIMIT as usize], vec![]];
        let bytes = stream(&bodies);
        let header = Ok(Some(Header {
            kind: Kind::Messages,
            channel: 9,
        }));
        for piece in [1, 2, 3, 5, 7, 64, 4_096, bytes.len()] {
            let (first, frames, inside) = read(&bytes, piece);
            assert_eq!((first, inside), (header, false), "pieces of {piece}");
            assert!(frames == bodies, "pieces of {piece}");
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_known_to_be_inside_of_something() {
        let bytes = stream(&[vec![7; 5]]);
        for end in 0..=bytes.len() {
            let (_, frames, inside) = read(&bytes[..end], 3);
            assert_eq!(inside, ![0, 4, bytes.len()].contains(&end), "{end} bytes");
            assert_eq!(frames.len(), usize::from(end == bytes.len()), "{end} bytes");
        }
    }

    #[test]
    fn an_announcement_over_the_limit_takes_no_memory() {
        for announced in [LIMIT + 1, u32::MAX] {
            let mut frames = Frames::default();
            frames.feed(announced.to_be_bytes().to_vec().into());
            assert_eq!(frames.frame(LIMIT), Err(BadFrame::TooLarge(announced)));
            assert_eq!(frames.body.capacity(), 0);
        }
        let mut frames = Frames::default();
        frames.feed(u32::MAX.to_be_bytes().to_vec().into());
        assert_eq!(frames.frame(u32::MAX), Ok(None));
        assert!(frames.body.capacity() <= 2 * AT_ONCE, "only announced");
    }
}
