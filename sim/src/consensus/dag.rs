//! The blocks of a run as data for other tools: read from a trace, and written and read as a JSON object a line.
//!
//! A trace has the bytes of a block where it keeps what was sent ([`Level::L3`]); when and where a block was first
//! accepted, and whether it was committed as a leader, are events. Not here: blocks that no stream carried, because they
//! came in answers alone.
//!
//! The lines, in order:
//! - for each epoch `{"type":"epoch", "epoch", "start_ms", "members":[[node, power], …]}`; authors are places in that list;
//! - for each block, by epoch, round, author, digest, `{"type":"block", "epoch", "round", "author", "digest", "parents":
//!   [[round, author, digest], …], "timestamp_ms", "payloads", "payload_bytes", "at_ns", "node", "leader"}`. A digest is
//!   its first eight bytes in hexadecimal. `at_ns` and `node` say when, in virtual nanoseconds, and where the block was
//!   accepted first; both are null if nobody accepted it. `leader` is `committed` or null: of other slots a trace does
//!   not say what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use bytes::Bytes;
use consensus::{Members, Parents, Rules, SignedBlock};
use crypto::Digest;
use serde::{Deserialize, Serialize};
use types::{BlockDigest, BlockHeader, BlockRef, Round, Slot};

use super::{Network, SimSuite};
use crate::draw::Seed;
use crate::scenario::{Scenario, ScenarioError};
use crate::trace::{self, Entry, Kind, Level, Names, Trace};

/// The blocks of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dag {
    /// The epochs that there were, ascending.
    pub epochs: Vec<EpochOf>,
    /// The blocks, by epoch, round, author and digest.
    pub blocks: Vec<Block>,
}

/// An epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochOf {
    /// Which one.
    pub epoch: u64,
    /// When it starts, by the clocks of its members.
    pub start_ms: u64,
    /// Nodes and their power, in the order of their indices.
    pub members: Vec<(usize, u64)>,
}

/// The name of a block: round, author, and the first eight bytes of its digest, in hexadecimal.
pub type Name = (u32, u16, String);

/// A block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its epoch.
    pub epoch: u64,
    /// Its round.
    pub round: u32,
    /// Its author's index.
    pub author: u16,
    /// See [`Name`].
    pub digest: String,
    /// Its parents, ascending. A genesis block is of round 0.
    pub parents: Vec<Name>,
    /// Its author's clock.
    pub timestamp_ms: u64,
    /// How many payloads it carries.
    pub payloads: usize,
    /// Their bytes, with four for the length of each.
    pub payload_bytes: usize,
    /// When it was first accepted, in virtual nanoseconds.
    pub at_ns: Option<u64>,
    /// Where.
    pub node: Option<u16>,
    /// What became of it as a leader's.
    pub leader: Option<Leader>,
}

/// What became of a leader's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leader {
    /// It is one of the order's.
    Committed,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Epoch(EpochOf),
    Block(Block),
}

/// Why there is no DAG.
#[derive(Debug, thiserror::Error)]
pub enum DagError {
    /// The trace does not keep what was sent.
    #[error("the trace keeps {0:?} only, and blocks are kept at L3: record with --trace L3")]
    Level(Level),
    /// The trace's scenario is not one of this build.
    #[error("the trace's scenario does not fit this build: {0}")]
    Scenario(#[from] ScenarioError),
    /// The trace cannot be read.
    #[error(transparent)]
    Trace(#[from] trace::Error),
    /// A line is neither an epoch nor a block.
    #[error("line {line} is neither an epoch nor a block: {detail}")]
    Line {
        /// Which one, from 1.
        line: usize,
        /// Why.
        detail: String,
    },
}

impl Dag {
    /// The blocks of a trace.
    ///
    /// # Errors
    /// [`DagError`], but for [`DagError::Line`].
    pub fn read<R: Read + Seek>(trace: &mut Trace<R>) -> Result<Self, DagError> {
        if trace.level() < Level::L3 {
            return Err(DagError::Level(trace.level()));
        }
        let scenario = Scenario::parse("trace", &trace.header().scenario)?;
        let network = Network::<SimSuite>::new(Seed::new(trace.header().seed), &scenario);
        let names = trace.names().clone();
        let mut reading = Reading::new(&network, scenario.nodes);
        for index in 0..trace.blocks().len() {
            for entry in trace.block(index)?.to_vec() {
                reading.note(&entry, &names);
                let payload = match entry.record.kind {
                    Kind::Send if reading.is_new(&entry) => trace.payload(entry.seq)?,
                    _ => None,
                };
                if let Some(payload) = payload {
                    reading.take(payload.into());
                }
            }
        }
        Ok(reading.finish())
    }

    /// The DAG in these lines.
    ///
    /// # Errors
    /// [`DagError::Line`].
    pub fn parse(text: &str) -> Result<Self, DagError> {
        let mut dag = Self::default();
        for (number, line) in text.lines().enumerate() {
            match serde_json::from_str(line) {
                Ok(Line::Epoch(epoch)) => dag.epochs.push(epoch),
                Ok(Line::Block(block)) => dag.blocks.push(block),
                Err(error) => {
                    return Err(DagError::Line {
                        line: number + 1,
                        detail: error.to_string(),
                    });
                }
            }
        }
        Ok(dag)
    }

    /// Its lines, which [`parse`](Self::parse) reads back.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let epochs = self.epochs.iter().cloned().map(Line::Epoch);
        let blocks = self.blocks.iter().cloned().map(Line::Block);
        epochs
            .chain(blocks)
            .map(|line| serde_json::to_string(&line).expect("names and numbers have a JSON form"))
    }
}

/// A trace that is being read.
struct Reading<'a> {
    network: &'a Network<SimSuite>,
    /// The epoch that each node is in.
    epochs: Vec<u64>,
    /// What was looked at before.
    seen: BTreeSet<u64>,
    blocks: BTreeMap<(u64, BlockRef), SignedBlock<SimSuite>>,
    /// When and where blocks were accepted first, by epoch and by what a record has of a digest.
    accepted: BTreeMap<(u64, u64), (u64, u16)>,
    /// The first block of a slot that a node accepted.
    first: BTreeMap<(u16, u64, u64, u64), u64>,
    leaders: BTreeSet<(u64, u64)>,
}

impl<'a> Reading<'a> {
    fn new(network: &'a Network<SimSuite>, nodes: usize) -> Self {
        Self {
            network,
            epochs: vec![0; nodes],
            seen: BTreeSet::new(),
            blocks: BTreeMap::new(),
            accepted: BTreeMap::new(),
            first: BTreeMap::new(),
            leaders: BTreeSet::new(),
        }
    }

    /// Takes note of an event.
    fn note(&mut self, entry: &Entry, names: &Names) {
        let record = &entry.record;
        let Some(epoch) = self.epochs.get_mut(usize::from(record.node)) else {
            return;
        };
        if record.kind != Kind::Protocol {
            return;
        }
        let name = names.text(record.name);
        if name == "epoch_started" {
            *epoch = record.a;
        }
        let (epoch, Some(digest)) = (*epoch, record.digest) else {
            return;
        };
        match name {
            "block_made" | "block_accepted" => {
                let here = (record.time, record.node);
                self.accepted.entry((epoch, digest)).or_insert(here);
                let slot = (record.node, epoch, record.a, record.b);
                self.first.entry(slot).or_insert(digest);
            }
            "leader_ordered" => _ = self.leaders.insert((epoch, digest)),
            _ => {}
        }
    }

    /// Whether what was sent was not looked at before.
    fn is_new(&mut self, entry: &Entry) -> bool {
        entry.record.digest.is_some_and(|digest| self.seen.insert(digest))
    }

    /// The rules and the members of an epoch, if there is one.
    fn epoch(&self, epoch: u64) -> Option<(&Rules, &Members<SimSuite>)> {
        let epoch = usize::try_from(epoch).ok()?;
        Some((self.network.rules.get(epoch)?, self.network.members.get(epoch)?))
    }

    /// Takes what was sent, if it is a block.
    fn take(&mut self, frame: Bytes) {
        // A block's form, and its epoch.
        let Some(epoch) = frame.get(1..9).and_then(|bytes| bytes.try_into().ok()) else {
            return;
        };
        let epoch = u64::from_le_bytes(epoch);
        let Some((rules, members)) = self.epoch(epoch) else {
            return;
        };
        if let Ok(block) = SignedBlock::decode(&frame, rules, members) {
            self.blocks.insert((epoch, block.reference()), block);
        }
    }

    /// The parents of a block. What it names in short is the first block of the slot that its author accepted.
    fn parents(&self, epoch: u64, block: &SignedBlock<SimSuite>) -> Vec<BlockRef> {
        let name = block.reference();
        let (set, named) = match block.parents() {
            Parents::Full(named) => (None, named),
            Parents::Compact { previous, others } => (Some(previous), others),
        };
        let mut parents = named.clone();
        let before = Round::new(name.round.get() - 1);
        for author in set.iter().flat_map(|set| set.iter()) {
            let slot = Slot {
                round: before,
                author,
            };
            parents.extend(self.first_of(epoch, name, slot));
        }
        parents.sort_unstable();
        parents
    }

    /// The block of `slot` that the author of `by` means.
    fn first_of(&self, epoch: u64, by: BlockRef, slot: Slot) -> Option<BlockRef> {
        if slot.round == Round::ZERO {
            let (rules, _) = self.epoch(epoch)?;
            return Some(BlockHeader::genesis(rules.epoch, slot.author, rules.start).reference());
        }
        let node = self.network.committees.node(epoch, u64::from(by.author.get()))?;
        let place = (
            u16::try_from(node).ok()?,
            epoch,
            u64::from(slot.round.get()),
            u64::from(slot.author.get()),
        );
        let meant = self.first.get(&place);
        let name = |byte| BlockRef {
            round: slot.round,
            author: slot.author,
            digest: BlockDigest::new(Digest::new([byte; 32])),
        };
        let blocks = self.blocks.range((epoch, name(0))..=(epoch, name(u8::MAX)));
        let mut blocks = blocks.map(|((_, name), _)| *name);
        let lowest = blocks.clone().next();
        blocks.find(|name| Some(&record_digest(name)) == meant).or(lowest)
    }

    fn finish(self) -> Dag {
        let mut epochs = BTreeSet::new();
        let blocks = self.blocks.iter().map(|((epoch, name), block)| {
            epochs.insert(*epoch);
            let parents = self.parents(*epoch, block);
            let key = (*epoch, record_digest(name));
            let accepted = self.accepted.get(&key);
            let (round, author, digest) = short(name);
            Block {
                epoch: *epoch,
                round,
                author,
                digest,
                parents: parents.iter().map(short).collect(),
                timestamp_ms: block.timestamp().get(),
                payloads: block.payloads().len(),
                payload_bytes: block.payloads().bytes(),
                at_ns: accepted.map(|(at, _)| *at),
                node: accepted.map(|(_, node)| *node),
                leader: self.leaders.contains(&key).then_some(Leader::Committed),
            }
        });
        let blocks = blocks.collect();
        let of = |epoch: u64| EpochOf {
            epoch,
            start_ms: self.epoch(epoch).map_or(0, |(rules, _)| rules.start.get()),
            members: self.network.committees.of(epoch).to_vec(),
        };
        Dag {
            epochs: epochs.into_iter().map(of).collect(),
            blocks,
        }
    }
}

/// What a record has of a block's digest.
fn record_digest(name: &BlockRef) -> u64 {
    trace::digest(name.digest.get().as_bytes())
}

fn short(name: &BlockRef) -> Name {
    let digest = name.digest.get();
    let digits = digest.as_bytes()[..8].iter().map(|byte| format!("{byte:02x}"));
    (name.round.get(), name.author.get(), digits.collect())
}
