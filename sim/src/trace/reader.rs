//! Reads a `.simtrace` file. Any bytes give a trace, the whole part of one, or an [`Error`].

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use serde::de::DeserializeOwned;

use super::block::Block;
use super::chain::{Hasher, link};
use super::header::{BlockAt, Footer, Preamble};
use super::writer::{FORMAT, FRAME_HEAD, MAGIC, Tag, checksum};
use super::{Chain, Entry, Error, Header, Ladder, Level, Names};

/// A `.simtrace` file, open. Every checksum is checked on opening; events stay in the file until asked for.
pub struct Trace<R> {
    input: R,
    header: Header,
    level: Level,
    window: Range<u64>,
    names: Names,
    blocks: Vec<BlockAt>,
    end: Option<(Ladder, Footer)>,
    whole: u64,
    /// The block that was read last.
    last: Option<(usize, Block)>,
}

impl<'a> Trace<io::Cursor<&'a [u8]>> {
    /// Opens a file that is in memory.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::open(io::Cursor::new(bytes))
    }
}

impl<R: Read + Seek> Trace<R> {
    /// Opens a file.
    pub fn open(mut input: R) -> Result<Self, Error> {
        let length = input.seek(SeekFrom::End(0)).map_err(Error::Read)?;
        input.rewind().map_err(Error::Read)?;
        let mut start = [0; MAGIC.len() + 4];
        if length < start.len() as u64 {
            return Err(Error::NotATrace);
        }
        input.read_exact(&mut start).map_err(Error::Read)?;
        let (magic, format) = start.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(Error::NotATrace);
        }
        let found = format
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | u32::from(*byte));
        if found != FORMAT {
            return Err(Error::Format { found, known: FORMAT });
        }
        let mut frames = Frames {
            input,
            offset: start.len() as u64,
            length,
        };
        let damaged = |what| Error::Damaged {
            offset: start.len() as u64,
            what,
        };
        let preamble = match frames.next()? {
            Some(frame) if frame.tag == Tag::Header as u8 => frame.json::<Preamble>()?,
            _ => return Err(damaged("the header is not whole")),
        };
        preamble.check_kinds()?;
        if !preamble.hashes_agree() {
            return Err(damaged(
                "the scenario or the plan does not have the hash that is written",
            ));
        }
        Self::scan(frames, preamble)
    }

    /// Takes every whole frame after the header.
    fn scan(mut frames: Frames<R>, preamble: Preamble) -> Result<Self, Error> {
        let (mut names, mut blocks) = (Names::default(), Vec::new());
        let (mut rungs, mut end) = (Vec::new(), None);
        while let Some(frame) = frames.next()? {
            if end.is_some() {
                return Err(frame.damaged("something follows the footer"));
            }
            match frame.tag {
                tag if tag == Tag::Names as u8 => {
                    for text in frame.json::<Vec<String>>()? {
                        let known = names.texts().len();
                        if names.try_add(&text).is_none() || names.texts().len() == known {
                            return Err(frame.damaged("a name is there twice, or there are too many"));
                        }
                    }
                }
                tag if tag == Tag::Block as u8 => {
                    blocks.push(frame.block_at(blocks.last())?);
                }
                tag if tag == Tag::Ladder as u8 => rungs = frame.rungs()?,
                tag if tag == Tag::Footer as u8 => {
                    let footer: Footer = frame.json()?;
                    let ladder = Ladder {
                        events: footer.summary.events,
                        last: footer.summary.last,
                        rungs: std::mem::take(&mut rungs),
                    };
                    if !ladder.is_sound() {
                        return Err(frame.damaged("the ladder is not as long as the run"));
                    }
                    end = Some((ladder, footer));
                }
                _ => return Err(frame.damaged("a frame has an unknown tag")),
            }
        }
        Ok(Self {
            input: frames.input,
            header: preamble.header,
            level: preamble.level,
            window: preamble.window,
            names,
            blocks,
            end,
            whole: frames.offset,
            last: None,
        })
    }

    /// What the run was made from.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How much of the run was kept.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The names of its events.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The blocks of events, in order.
    pub fn blocks(&self) -> &[BlockAt] {
        &self.blocks
    }

    /// The hashes, the verdict and the counters; `None` if the writer died or the file was damaged.
    pub fn footer(&self) -> Option<&Footer> {
        self.end.as_ref().map(|(_, footer)| footer)
    }

    /// The ladder, if the file has its end.
    pub fn ladder(&self) -> Option<&Ladder> {
        self.end.as_ref().map(|(ladder, _)| ladder)
    }

    /// Where the whole part of a file ends that lacks its own end; `None` if the file is complete.
    pub fn cut(&self) -> Option<u64> {
        self.end.is_none().then_some(self.whole)
    }

    /// The events of block `index`, or none if there is no such block.
    pub fn block(&mut self, index: usize) -> Result<&[Entry], Error> {
        Ok(self.load(index)?.map_or(&[], |block| &block.entries))
    }

    /// The event `seq`, if it was kept.
    pub fn entry(&mut self, seq: u64) -> Result<Option<Entry>, Error> {
        let entries = self.block(self.block_of(seq))?;
        let found = entries.binary_search_by_key(&seq, |entry| entry.seq);
        Ok(found.ok().map(|index| entries[index]))
    }

    /// The first kept event at or after `seq`.
    pub(super) fn at_or_after(&mut self, seq: u64) -> Result<Option<Entry>, Error> {
        let index = self.block_of(seq);
        for index in [index, index + 1] {
            let entries = self.block(index)?;
            let place = entries.partition_point(|entry| entry.seq < seq);
            if let Some(entry) = entries.get(place) {
                return Ok(Some(*entry));
            }
        }
        Ok(None)
    }

    /// Whether this trace would keep `entry`.
    pub(super) fn keeps(&self, entry: &Entry) -> bool {
        super::recorder::keeps(self.level, &self.window, entry.seq, entry.record.kind)
    }

    /// Whether every event of `range` is in the file.
    pub fn has_all(&self, range: &Range<u64>) -> bool {
        let in_window = self.window.start <= range.start && range.end <= self.window.end;
        self.end.is_some() && (self.level == Level::L3 || in_window)
    }

    /// One past the last event that is in the file.
    pub fn kept_until(&mut self) -> Result<u64, Error> {
        let last = self.blocks.len().saturating_sub(1);
        Ok(self.block(last)?.last().map_or(0, |entry| entry.seq + 1))
    }

    /// The payload of event `seq`, if it was kept.
    pub fn payload(&mut self, seq: u64) -> Result<Option<Vec<u8>>, Error> {
        let block = self.load(self.block_of(seq))?;
        Ok(block.and_then(|block| block.payloads.get(&seq)).cloned())
    }

    /// The kept events of `range`, in order, but no more than `limit`.
    pub fn read(&mut self, range: Range<u64>, limit: usize) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for index in self.block_of(range.start)..self.blocks.len() {
            if self.blocks[index].first_seq >= range.end || entries.len() >= limit {
                break;
            }
            let kept = self
                .block(index)?
                .iter()
                .filter(|entry| range.contains(&entry.seq));
            let room = limit - entries.len();
            entries.extend(kept.take(room));
        }
        Ok(entries)
    }

    /// The block that has `seq` if any has.
    pub(super) fn block_of(&self, seq: u64) -> usize {
        let after = self.blocks.partition_point(|block| block.first_seq <= seq);
        after.saturating_sub(1)
    }

    /// Reads every event, and derives the run's hashes again if all events were kept. Returns how many there are.
    pub fn verify(&mut self) -> Result<u64, Error> {
        let mut hasher = Hasher::default();
        let mut kept = 0;
        let names = self.names.clone();
        for index in 0..self.blocks.len() {
            for entry in self.block(index)? {
                hasher.push(&entry.record, names.tag(entry.record.name));
                kept += 1;
            }
        }
        if let Some((ladder, footer)) = &self.end
            && ladder.events == kept
        {
            let derived = hasher.summary(&self.header.identity());
            if hasher.ladder() != *ladder || derived != footer.summary {
                return Err(Error::Damaged {
                    offset: self.whole,
                    what: "the hashes of the footer are not those of the events",
                });
            }
        }
        Ok(kept)
    }

    fn load(&mut self, index: usize) -> Result<Option<&Block>, Error> {
        let Some(at) = self.blocks.get(index).copied() else {
            return Ok(None);
        };
        if self.last.as_ref().is_none_or(|(last, _)| *last != index) {
            let mut frames = Frames {
                input: &mut self.input,
                offset: at.offset,
                length: self.whole,
            };
            let damaged = |what| Error::Damaged {
                offset: at.offset,
                what,
            };
            let frame = frames
                .next()?
                .ok_or(damaged("a block changed after the file was opened"))?;
            let block = Block::decode(&frame.body, self.names.texts().len()).map_err(damaged)?;
            if block.is_contiguous() && !chain_agrees(&block, &self.names) {
                return Err(damaged(
                    "the events of a block do not have the hash that is written",
                ));
            }
            self.last = Some((index, block));
        }
        Ok(self.last.as_ref().map(|(_, block)| block))
    }
}

fn chain_agrees(block: &Block, names: &Names) -> bool {
    let records = block.entries.iter().map(|entry| &entry.record);
    let end = records.fold(block.chain_in, |chain, record| {
        link(chain, record, names.tag(record.name))
    });
    end == block.chain_out
}

/// The frames of a file, from one place on.
struct Frames<R> {
    input: R,
    offset: u64,
    length: u64,
}

/// A frame whose checksum is right.
struct Frame {
    tag: u8,
    offset: u64,
    body: Vec<u8>,
}

impl<R: Read + Seek> Frames<R> {
    /// The next frame, or `None` if it is not whole. Takes no more memory than the file has bytes.
    fn next(&mut self) -> Result<Option<Frame>, Error> {
        let left = self.length.saturating_sub(self.offset);
        if left < FRAME_HEAD as u64 {
            return Ok(None);
        }
        self.input
            .seek(SeekFrom::Start(self.offset))
            .map_err(Error::Read)?;
        let mut head = [0; FRAME_HEAD];
        self.input.read_exact(&mut head).map_err(Error::Read)?;
        let [tag, l0, l1, l2, l3, sum @ ..] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if u64::from(length) > left - FRAME_HEAD as u64 {
            return Ok(None);
        }
        let mut body = vec![0; usize::try_from(length).expect("a usize has 32 bits")];
        self.input.read_exact(&mut body).map_err(Error::Read)?;
        if checksum(tag, &body) != u64::from_le_bytes(sum) {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += FRAME_HEAD as u64 + u64::from(length);
        Ok(Some(Frame { tag, offset, body }))
    }
}

impl Frame {
    fn damaged(&self, what: &'static str) -> Error {
        Error::Damaged {
            offset: self.offset,
            what,
        }
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|_| self.damaged("a frame is not the JSON that it should be"))
    }

    fn block_at(&self, before: Option<&BlockAt>) -> Result<BlockAt, Error> {
        let head = Block::head(&self.body).map_err(|what| self.damaged(what))?;
        if before.is_some_and(|before| before.first_seq + u64::from(before.events) > head.first_seq) {
            return Err(self.damaged("blocks are not in order"));
        }
        Ok(BlockAt {
            offset: self.offset,
            ..head
        })
    }

    fn rungs(&self) -> Result<Vec<Chain>, Error> {
        let (rungs, rest) = self.body.as_chunks();
        if !rest.is_empty() {
            return Err(self.damaged("the ladder has half a rung"));
        }
        Ok(rungs
            .iter()
            .map(|rung| Chain(u128::from_le_bytes(*rung)))
            .collect())
    }
}
