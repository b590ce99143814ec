//! What a file says of its run before and after the events.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Chain, Error, Kind, Level, NodeHead, RunHash};

/// What a run was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Hash of the program that ran it.
    pub binary: String,
    /// Commit of the program's source, with a mark if the source differed from it; empty if unknown.
    pub commit: String,
    /// Which kernel ran it, and its version.
    pub kernel: String,
    /// Text of the scenario.
    pub scenario: String,
    /// Text of the plan: enough to run it again.
    pub plan: String,
    /// The seed.
    pub seed: u64,
    /// Which signatures: real or simulation-fast.
    pub crypto: String,
}

impl Header {
    /// What the run hash covers. Not the program and its commit: builds that behave alike have equal hashes.
    pub(super) fn identity(&self) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        for text in [&self.kernel, &self.crypto, &self.scenario, &self.plan] {
            hash.update(blake3::hash(text.as_bytes()).as_bytes());
        }
        hash.update(&self.seed.to_le_bytes());
        *hash.finalize().as_bytes()
    }
}

/// The hashes of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How many events there were.
    pub events: u64,
    /// Equal if and only if two runs are equal: header's identity, all events, all nodes.
    pub run_hash: RunHash,
    /// Equal if the nodes said the same of themselves, whatever happened below.
    pub semantic_hash: RunHash,
    /// The chain after the last event.
    pub last: Chain,
    /// One per node that has events.
    pub node_heads: Vec<NodeHead>,
}

/// Where a block lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockAt {
    /// Offset of its frame.
    pub offset: u64,
    /// Sequence number of its first event.
    pub first_seq: u64,
    /// Virtual time of its first event.
    pub first_time: u64,
    /// How many events it keeps.
    pub events: u32,
}

/// The end of a finished file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// The hashes.
    pub summary: Summary,
    /// The verdict line.
    pub verdict: String,
    /// What was counted.
    pub counters: BTreeMap<String, u64>,
}

/// The first frame: the header, what was kept and what the numbers of kinds mean.
#[derive(Serialize, Deserialize)]
pub(super) struct Preamble {
    pub header: Header,
    pub scenario_hash: String,
    pub plan_hash: String,
    pub level: Level,
    pub window: Range<u64>,
    pub kinds: Vec<KindRow>,
}

/// A kind, described for readers that do not have our source.
#[derive(Serialize, Deserialize)]
pub(super) struct KindRow {
    name: String,
    a: String,
    b: String,
    level: Level,
}

impl Preamble {
    pub(super) fn new(header: Header, level: Level, window: Range<u64>) -> Self {
        let kinds = Kind::ALL.iter().map(|kind| {
            let [a, b] = kind.numbers().map(str::to_owned);
            KindRow {
                name: kind.name().to_owned(),
                a,
                b,
                level: kind.level(),
            }
        });
        Self {
            scenario_hash: blake3::hash(header.scenario.as_bytes()).to_string(),
            plan_hash: blake3::hash(header.plan.as_bytes()).to_string(),
            kinds: kinds.collect(),
            header,
            level,
            window,
        }
    }

    /// Whether the texts are those that were hashed.
    pub(super) fn hashes_agree(&self) -> bool {
        let hash = |text: &str| blake3::hash(text.as_bytes()).to_string();
        self.scenario_hash == hash(&self.header.scenario) && self.plan_hash == hash(&self.header.plan)
    }

    /// Checks that the numbers of kinds mean to us what they meant to the writer.
    pub(super) fn check_kinds(&self) -> Result<(), Error> {
        for (number, row) in self.kinds.iter().enumerate() {
            if Kind::ALL.get(number).is_none_or(|kind| kind.name() != row.name) {
                let kind = row.name.clone();
                return Err(Error::Kind { kind });
            }
        }
        Ok(())
    }
}
