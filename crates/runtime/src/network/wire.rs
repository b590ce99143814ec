//! What is on a QUIC stream: a header of four bytes, then frames with their length in front.

use bytes::{BufMut, Bytes, BytesMut};
use quinn::{ReadError, RecvStream, VarInt};

use super::frames::{BadFrame, Frames};

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
    frames: Frames,
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

impl From<BadFrame> for ReadFault {
    fn from(fault: BadFrame) -> Self {
        match fault {
            BadFrame::Header => Self::Malformed,
            BadFrame::TooLarge(bytes) => Self::TooLarge(bytes),
        }
    }
}

impl FrameReader {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            frames: Frames::default(),
        }
    }

    /// Tells the other side that nothing more is read.
    pub(super) fn stop(&mut self, code: VarInt) {
        // Fails only when the stream has ended, and then there is nothing to stop.
        drop(self.stream.stop(code));
    }

    /// The header.
    pub(super) async fn header(&mut self) -> Result<Header, ReadFault> {
        loop {
            if let Some(header) = self.frames.header()? {
                return Ok(header);
            }
            if !self.fill().await? {
                return Err(ReadFault::Malformed);
            }
        }
    }

    /// The next frame, of at most `limit` bytes; `None` at the end of the stream.
    pub(super) async fn frame(&mut self, limit: u32) -> Result<Option<Bytes>, ReadFault> {
        loop {
            if let Some(frame) = self.frames.frame(limit)? {
                return Ok(Some(frame));
            }
            if !self.fill().await? {
                return if self.frames.is_inside() {
                    Err(ReadFault::Malformed)
                } else {
                    Ok(None)
                };
            }
        }
    }

    /// Waits until the next frame has begun; false at the end of the stream.
    pub(super) async fn begun(&mut self) -> Result<bool, ReadFault> {
        Ok(self.frames.is_inside() || self.fill().await?)
    }

    /// Gets the next piece of the stream, when all before has been looked at; false at its end.
    async fn fill(&mut self) -> Result<bool, ReadFault> {
        match self.stream.read_chunk(usize::MAX, true).await? {
            Some(chunk) => {
                self.frames.feed(chunk.bytes);
                Ok(true)
            }
            None => Ok(false),
        }
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
