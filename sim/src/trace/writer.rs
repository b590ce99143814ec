//! Writes a `.simtrace` file, front to back, to anything that takes bytes.
//!
//! A file is `simtrace`, the format's version, then frames: a tag, the length of the body, a checksum over both and
//! the body, the body. After a crash of the writer all frames but the last are whole.

use std::io::{self, Write};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::block::{BLOCK, Block};
use super::header::{Footer, Preamble};
use super::{Chain, Entry, Ladder, Names};

/// The first bytes of a file.
pub(super) const MAGIC: &[u8; 8] = b"simtrace";

/// The version of the format that this build writes and reads.
pub(super) const FORMAT: u32 = 2;

/// A block with this many bytes of payload is written before it has all its events.
const PAYLOAD_BYTES: usize = 4 << 20;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    /// [`Preamble`] as JSON.
    Header = b'H',
    /// New names, as a JSON list.
    Names = b'N',
    /// A [`Block`].
    Block = b'B',
    /// Rungs of the ladder, 16 bytes each.
    Ladder = b'L',
    /// [`Footer`] as JSON.
    Footer = b'F',
}

/// Bytes before a frame's body: tag, length, checksum.
pub(super) const FRAME_HEAD: usize = 1 + 4 + 8;

/// The checksum of a frame.
pub(super) fn checksum(tag: u8, body: &[u8]) -> u64 {
    xxh3_64_with_seed(body, (body.len() as u64) << 8 | u64::from(tag))
}

/// Where bytes go, and the first error on the way.
struct Output {
    sink: Box<dyn Write + Send>,
    failed: Option<io::Error>,
}

impl Output {
    fn put(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.sink.write_all(bytes).err();
        }
    }

    fn frame(&mut self, tag: Tag, body: &[u8]) {
        let tag = tag as u8;
        let length = u32::try_from(body.len()).expect("a frame is far below 4 GiB");
        let mut head = [0; FRAME_HEAD];
        head[0] = tag;
        head[1..5].copy_from_slice(&length.to_le_bytes());
        head[5..].copy_from_slice(&checksum(tag, body).to_le_bytes());
        self.put(&head);
        self.put(body);
    }
}

/// Writes one file. Errors are kept until [`Writer::finish`], for the run must not depend on the disk.
pub(super) struct Writer {
    output: Output,
    block: Block,
    payload_bytes: usize,
    names: usize,
}

impl Writer {
    pub(super) fn new(sink: Box<dyn Write + Send>, preamble: &Preamble) -> Self {
        let mut output = Output { sink, failed: None };
        output.put(MAGIC);
        output.put(&FORMAT.to_le_bytes());
        output.frame(Tag::Header, &json(preamble));
        Self {
            output,
            block: Block::default(),
            payload_bytes: 0,
            names: 1,
        }
    }

    /// Keeps an event, before and after which the run's chain is `chain_in` and `chain_out`.
    pub(super) fn keep(&mut self, entry: Entry, chain_in: Chain, chain_out: Chain, names: &Names) {
        if self.block.entries.is_empty() {
            self.block.chain_in = chain_in;
        }
        self.block.chain_out = chain_out;
        self.block.entries.push(entry);
        if self.block.entries.len() == BLOCK || self.payload_bytes >= PAYLOAD_BYTES {
            self.close_block(names);
        }
    }

    /// Keeps the payload of the event that is kept next.
    pub(super) fn keep_payload(&mut self, seq: u64, payload: &[u8]) {
        self.payload_bytes += payload.len();
        self.block.payloads.insert(seq, payload.to_vec());
    }

    /// Writes the events so far, and the names that they may use first.
    pub(super) fn close_block(&mut self, names: &Names) {
        if !self.block.entries.is_empty() {
            let new = &names.texts()[self.names..];
            if !new.is_empty() {
                self.output.frame(Tag::Names, &json(&new));
                self.names = names.texts().len();
            }
            self.output.frame(Tag::Block, &self.block.encode());
            self.block.entries.clear();
            self.block.payloads.clear();
            self.payload_bytes = 0;
        }
    }

    /// Writes what is left and the end of the file.
    pub(super) fn finish(mut self, ladder: &Ladder, footer: &Footer, names: &Names) -> Result<(), io::Error> {
        self.close_block(names);
        let rungs: Vec<u8> = ladder
            .rungs
            .iter()
            .flat_map(|chain| chain.0.to_le_bytes())
            .collect();
        self.output.frame(Tag::Ladder, &rungs);
        self.output.frame(Tag::Footer, &json(footer));
        match self.output.failed {
            Some(error) => Err(error),
            None => self.output.sink.flush(),
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts, numbers and lists have a JSON form")
}
