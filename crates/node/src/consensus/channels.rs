//! What members of one chain say to each other. All of it names its epoch.

use bytes::{BufMut, Bytes};
use consensus::messages::{MAX_FRAME_BYTES, MAX_REQUEST_BYTES};
use env::Channel;
use serde::{Deserialize, Serialize};
use types::{ChainId, Epoch, Round};

/// Own blocks, from their author to whoever opens the stream.
pub const BLOCKS: Channel = Channel {
    id: 0x10,
    label: "consensus_blocks",
    max_frame: MAX_FRAME_BYTES as u32,
    queue: 8,
    concurrency: 2,
};

/// Questions. A request is its epoch and the question's bytes.
pub const REQUESTS: Channel = Channel {
    id: 0x11,
    label: "consensus_requests",
    max_frame: MAX_FRAME_BYTES as u32,
    queue: 8,
    concurrency: 8,
};

const VERSION: u16 = 1;
const MAX_PREAMBLE_BYTES: usize = 128;

/// What the opener of a stream of blocks says first. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Preamble {
    version: u16,
    chain: ChainId,
    epoch: Epoch,
    /// Blocks of later rounds are wanted, in order.
    pub after: Round,
}

impl Preamble {
    pub fn new(chain: ChainId, epoch: Epoch, after: Round) -> Self {
        Self {
            version: VERSION,
            chain,
            epoch,
            after,
        }
    }

    pub fn encode(&self) -> Bytes {
        types::encode(self).into()
    }

    /// The preamble in these bytes, if it is of this version and chain.
    pub fn decode(bytes: &[u8], chain: ChainId) -> Option<Self> {
        let preamble: Self = types::decode(bytes, MAX_PREAMBLE_BYTES).ok()?;
        (preamble.version == VERSION && preamble.chain == chain).then_some(preamble)
    }

    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// The bytes of a question in an epoch.
pub(crate) fn encode_request(epoch: Epoch, request: &consensus::Request) -> Bytes {
    let mut bytes = epoch.get().to_le_bytes().to_vec();
    bytes.put_slice(&request.encode());
    bytes.into()
}

/// The epoch and the question in these bytes, if there are any.
pub(crate) fn decode_request(bytes: &[u8]) -> Option<(Epoch, consensus::Request)> {
    let (epoch, rest) = bytes.split_first_chunk()?;
    let request = consensus::Request::decode(rest).ok()?;
    Some((Epoch::new(u64::from_le_bytes(*epoch)), request))
}

const _: () = assert!(
    MAX_REQUEST_BYTES + 8 <= MAX_FRAME_BYTES,
    "a question fits its channel"
);

#[cfg(test)]
mod tests {
    use consensus::Request;
    use crypto::Digest;

    use super::*;

    fn chain(byte: u8) -> ChainId {
        ChainId::new(Digest::new([byte; 32]))
    }

    #[test]
    fn a_preamble_of_another_chain_version_or_length_is_none() {
        let preamble = Preamble::new(chain(1), Epoch::new(7), Round::new(9));
        let bytes = preamble.encode();
        assert_eq!(Preamble::decode(&bytes, chain(1)), Some(preamble));
        assert_eq!(Preamble::decode(&bytes, chain(2)), None);
        assert_eq!(Preamble::decode(&bytes[1..], chain(1)), None);
        let other = Preamble {
            version: VERSION + 1,
            ..preamble
        };
        assert_eq!(Preamble::decode(&other.encode(), chain(1)), None);
    }

    #[test]
    fn a_request_names_its_epoch() {
        let epoch = Epoch::new(0x0102);
        let bytes = encode_request(epoch, &Request::Latest);
        assert_eq!(&bytes[..8], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(decode_request(&bytes), Some((epoch, Request::Latest)));
        assert_eq!(decode_request(&bytes[..7]), None);
        assert_eq!(decode_request(&bytes[..8]), None);
    }
}
