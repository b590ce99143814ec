//! The hashes of a run: equality of two runs is one compare, and the first difference is found by binary search.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use super::record::LOCAL;
use super::{Kind, Record, Summary};

/// Records between two rungs of a [`Ladder`].
pub const RUNG: u64 = 4096;

/// The value of the chain `c = xxh3_128(c ‖ record)` after some record. It covers all records before it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Chain(pub(super) u128);

/// The hash of a whole run, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RunHash(pub(super) u128);

macro_rules! hexadecimal {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }

        impl TryFrom<String> for $type {
            type Error = std::num::ParseIntError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                u128::from_str_radix(&text, 16).map(Self)
            }
        }
    };
}

hexadecimal!(Chain);
hexadecimal!(RunHash);

/// Values of the chain at every [`RUNG`]th record and at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// The value after `RUNG`, `2 * RUNG`, … records.
    pub rungs: Vec<Chain>,
    /// How many records there are.
    pub events: u64,
    /// The value after the last one.
    pub last: Chain,
}

impl Ladder {
    /// Whether it has as many rungs as events ask for.
    pub(super) fn is_sound(&self) -> bool {
        self.rungs.len() as u64 == self.events / RUNG
    }
}

/// Where the first different record of two runs lies, or `None` if the runs are equal. A record that only one of
/// the runs has is different, so the range can end one past the shorter run.
///
/// Two chains that are equal after n records are equal after every m < n, hence the binary search.
pub fn first_divergence(left: &Ladder, right: &Ladder) -> Option<Range<u64>> {
    if left.events == right.events && left.last == right.last {
        return None;
    }
    let common = left.rungs.len().min(right.rungs.len());
    let (mut equal, mut different) = (0, common + 1);
    while different - equal > 1 {
        let middle = equal + (different - equal) / 2;
        if left.rungs[middle - 1] == right.rungs[middle - 1] {
            equal = middle;
        } else {
            different = middle;
        }
    }
    let start = equal as u64 * RUNG;
    let shorter = left.events.min(right.events);
    let end = if left.events == right.events {
        shorter
    } else {
        shorter + 1
    };
    Some(start..end.min(start + RUNG))
}

/// The chain after `record`, whose name has tag `tag`, if it is `chain` before.
pub(super) fn link(chain: Chain, record: &Record, tag: u32) -> Chain {
    Chain(xxh3_128(&record.hashed(chain.0, tag)))
}

/// What a node alone contributes to the hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct NodeChains {
    head: u64,
    semantic: u64,
}

/// The hash of one node's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHead {
    /// The node, or [`Record::WORLD`].
    pub node: u16,
    /// Chain over its records, without their causes. Equal in two runs if the node saw and did the same.
    pub head: u64,
}

/// All hashes of a run, fed record by record. The recorder and the verifier of files share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Hasher {
    chain: u128,
    events: u64,
    blocks: [u8; 32],
    rungs: Vec<Chain>,
    /// Indexed by node plus one, wrapping, so that [`Record::WORLD`] comes first.
    nodes: Vec<NodeChains>,
}

impl Hasher {
    /// Adds `record`, whose name has tag `tag`.
    #[inline]
    pub(super) fn push(&mut self, record: &Record, tag: u32) {
        let bytes = record.hashed(self.chain, tag);
        self.chain = xxh3_128(&bytes);

        let index = usize::from(record.node.wrapping_add(1));
        if index >= self.nodes.len() {
            self.nodes.resize(index + 1, NodeChains::default());
        }
        let node = &mut self.nodes[index];
        node.head = xxh3_64_with_seed(&bytes[LOCAL], node.head);
        if record.kind == Kind::Protocol {
            // Name, numbers and digest; neither time nor incarnation nor the order among nodes.
            let fact = Record {
                time: 0,
                incarnation: 0,
                ..*record
            };
            node.semantic = xxh3_64_with_seed(&fact.hashed(0, tag)[LOCAL], node.semantic);
        }

        self.events += 1;
        if self.events.is_multiple_of(RUNG) {
            self.close_block();
        }
    }

    #[cold]
    fn close_block(&mut self) {
        self.rungs.push(Chain(self.chain));
        self.blocks = *self.fold_block().as_bytes();
    }

    fn fold_block(&self) -> blake3::Hash {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.blocks);
        hash.update(&self.chain.to_le_bytes());
        hash.finalize()
    }

    /// How many records were added.
    #[inline]
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// The chain after the last record.
    #[inline]
    pub(super) fn chain(&self) -> Chain {
        Chain(self.chain)
    }

    /// The ladder so far.
    pub(super) fn ladder(&self) -> Ladder {
        Ladder {
            rungs: self.rungs.clone(),
            events: self.events,
            last: Chain(self.chain),
        }
    }

    /// The head of every node that has records.
    fn node_heads(&self) -> Vec<NodeHead> {
        let number = |index| u16::try_from(index).expect("there is one slot per number of 16 bits");
        let present = self.nodes.iter().enumerate();
        present
            .filter(|(_, chains)| **chains != NodeChains::default())
            .map(|(index, chains)| NodeHead {
                node: number(index).wrapping_sub(1),
                head: chains.head,
            })
            .collect()
    }

    /// All hashes of the run that `identity` describes.
    pub(super) fn summary(&self, identity: &[u8; 32]) -> Summary {
        Summary {
            events: self.events,
            run_hash: self.run_hash(identity),
            semantic_hash: self.semantic_hash(),
            last: self.chain(),
            node_heads: self.node_heads(),
        }
    }

    fn run_hash(&self, identity: &[u8; 32]) -> RunHash {
        let mut hash = blake3::Hasher::new();
        hash.update(identity);
        hash.update(self.fold_block().as_bytes());
        hash.update(&self.events.to_le_bytes());
        for NodeHead { node, head } in self.node_heads() {
            hash.update(&node.to_le_bytes());
            hash.update(&head.to_le_bytes());
        }
        RunHash(first_half(&hash.finalize()))
    }

    /// The hash of what the nodes said of themselves, each in its own order: equal across kernels and schedulers
    /// that lead to the same facts.
    fn semantic_hash(&self) -> RunHash {
        let mut hash = blake3::Hasher::new();
        for (index, chains) in self.nodes.iter().enumerate() {
            if chains.semantic != 0 {
                hash.update(&(index as u64).to_le_bytes());
                hash.update(&chains.semantic.to_le_bytes());
            }
        }
        RunHash(first_half(&hash.finalize()))
    }
}

fn first_half(hash: &blake3::Hash) -> u128 {
    let bytes = hash.as_bytes().first_chunk().expect("a hash of 32 bytes has 16");
    u128::from_be_bytes(*bytes)
}
