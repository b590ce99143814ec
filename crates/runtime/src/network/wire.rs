//! What is on a QUIC stream: a header of four bytes, then frames with their length in front.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quinn::{ReadError, RecvStream, VarInt};

/// Why a stream or a connection was ended, as the other side sees it.
pub(super) mod code {
    use quinn::VarInt;

    /// Nobody serves the channel, its limit is reached, or the reply was dropped.
    pub(in crate::network) const REFUSED: VarInt = VarInt::from_u32(1);
    /// The header or a frame is not one.
    pub(in crate::network) const MALFORMED: VarInt = VarInt::from_u32(2);
    /// A frame is over its channel's limit.
    pub(in crate::network) const TOO_LARGE: VarInt = VarInt::from_u32(3);
    /// The user dropped its end.
    pub(in crate::network) const DROPPED: VarInt = VarInt::from_u32(4);
    /// The rest of what was begun did not come in time.
    pub(in crate::network) const STALLED: VarInt = VarInt::from_u32(5);
    /// Connection: the node shuts down.
    pub(in crate::network) const SHUTDOWN: VarInt = VarInt::from_u32(16);
    /// Connection: the peer is not on the list any more.
    pub(in crate::network) const REMOVED: VarInt = VarInt::from_u32(17);
    /// Connection: another one between the same two nodes is kept.
    pub(in crate::network) const DUPLICATE: VarInt = VarInt::from_u32(18);
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Unidirectional: one message after the other.
    Messages = 1,
    /// Bidirectional: one frame each way.
    Request = 2,
    /// Bidirectional: a preamble, then frames each way.
    Stream = 3,
    /// Unidirectional, empty, once per connection: the dialled side has let the dialling one in.
    Hello = 4,
}

/// The first bytes of every stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) channel: u16,
}

pub(super) const HEADER: usize = 4;
const LENGTH: usize = 4;

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER] {
        let [high, low] = self.channel.to_be_bytes();
        [self.kind as u8, 0, high, low]
    }

    pub(super) fn decode(bytes: [u8; HEADER]) -> Option<Self> {
        let [kind, 0, high, low] = bytes else { return None };
        let kind = match kind {
            1 => Kind::Messages,
            2 => Kind::Request,
            3 => Kind::Stream,
            4 => Kind::Hello,
            _ => return None,
        };
        Some(Self {
            kind,
            channel: u16::from_be_bytes([high, low]),
        })
    }
}

/// Below this many bytes a frame is copied behind its length; above it travels as it is.
const COPIED: usize = 4 << 10;

/// Appends `frame` to what is to be written, with its length and, for the first frame, the stream's header.
pub(super) fn put_frame(chunks: &mut Vec<Bytes>, header: Option<Header>, frame: Bytes) {
    let length = u32::try_from(frame.len()).expect("a frame is within its channel's limit, which is a u32");
    let small = frame.len() <= COPIED;
    let mut front = BytesMut::with_capacity(HEADER + LENGTH + if small { frame.len() } else { 0 });
    if let Some(header) = header {
        front.put_slice(&header.encode());
    }
    front.put_u32(length);
    if small {
        front.put_slice(&frame);
        chunks.push(front.freeze());
    } else {
        chunks.extend([front.freeze(), frame]);
    }
}

/// Reads a stream. Cancel-safe: what has been read of a frame stays here.
pub(super) struct FrameReader {
    stream: RecvStream,
    /// What has arrived and was not looked at.
    chunk: Bytes,
    front: [u8; 4],
    front_len: usize,
    /// The length of the frame whose body is being read.
    length: Option<usize>,
    body: BytesMut,
}

/// Why a read gave no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadFault {
    /// The other side reset the stream, with this code.
    Reset(VarInt),
    /// The connection ended.
    Lost,
    /// A frame of this many bytes is announced.
    TooLarge(u32),
    /// The stream ended inside a frame, or has no header.
    Malformed,
}

impl From<ReadError> for ReadFault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::Reset(code),
            _ => Self::Lost,
        }
    }
}

impl FrameReader {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            chunk: Bytes::new(),
            front: [0; 4],
            front_len: 0,
            length: None,
            body: BytesMut::new(),
        }
    }

    /// Tells the other side that nothing more is read.
    pub(super) fn stop(&mut self, code: VarInt) {
        // Fails only when the stream has ended, and then there is nothing to stop.
        drop(self.stream.stop(code));
    }

    /// The header.
    pub(super) async fn header(&mut self) -> Result<Header, ReadFault> {
        match self.four().await? {
            Some(bytes) => Header::decode(bytes).ok_or(ReadFault::Malformed),
            None => Err(ReadFault::Malformed),
        }
    }

    /// The next frame, of at most `limit` bytes; `None` at the end of the stream. Memory is taken as bytes arrive, not
    /// as they are announced.
    pub(super) async fn frame(&mut self, limit: u32) -> Result<Option<Bytes>, ReadFault> {
        let length = match self.length {
            Some(length) => length,
            None => {
                let Some(front) = self.four().await? else {
                    return Ok(None);
                };
                let length = u32::from_be_bytes(front);
                if length > limit {
                    return Err(ReadFault::TooLarge(length));
                }
                let length = usize::try_from(length).expect("a machine that runs a node addresses 32 bits");
                self.body = BytesMut::with_capacity(length.min(64 << 10));
                *self.length.insert(length)
            }
        };
        while self.body.len() < length {
            if !self.fill().await? {
                return Err(ReadFault::Malformed);
            }
            let count = self.chunk.len().min(length - self.body.len());
            self.body.extend_from_slice(&self.chunk[..count]);
            self.chunk.advance(count);
        }
        self.length = None;
        Ok(Some(std::mem::take(&mut self.body).freeze()))
    }

    /// The next four bytes; `None` when the stream ends before the first of them.
    async fn four(&mut self) -> Result<Option<[u8; 4]>, ReadFault> {
        while self.front_len < 4 {
            if !self.fill().await? {
                return if self.front_len == 0 {
                    Ok(None)
                } else {
                    Err(ReadFault::Malformed)
                };
            }
            let count = self.chunk.len().min(4 - self.front_len);
            self.front[self.front_len..self.front_len + count].copy_from_slice(&self.chunk[..count]);
            self.chunk.advance(count);
            self.front_len += count;
        }
        self.front_len = 0;
        Ok(Some(self.front))
    }

    /// Sees to it that there is something in `chunk`; false at the end of the stream.
    async fn fill(&mut self) -> Result<bool, ReadFault> {
        if self.chunk.is_empty() {
            match self.stream.read_chunk(usize::MAX, true).await? {
                Some(chunk) => self.chunk = chunk.bytes,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_nothing_else_is_one() {
        for kind in [Kind::Messages, Kind::Request, Kind::Stream, Kind::Hello] {
            let header = Header {
                kind,
                channel: 0x1234,
            };
            assert_eq!(Header::decode(header.encode()), Some(header));
        }
        for bytes in [[0, 0, 0, 0], [5, 0, 0, 0], [1, 1, 0, 0], [255, 255, 255, 255]] {
            assert_eq!(Header::decode(bytes), None);
        }
    }
}
