//! A DAG of blocks as plain data.

use std::collections::{BTreeMap, BTreeSet};

/// All stake there is.
pub const TOTAL_STAKE: u32 = 10_000;

/// One block. Blocks are called by their index in the [`Graph`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Zero for a genesis block.
    pub round: u32,
    /// Its author's place in the committee.
    pub author: usize,
    /// What tells it from its author's other blocks of that round, and breaks ties.
    pub digest: [u8; 32],
    /// What its author's clock said, in milliseconds.
    pub timestamp_ms: u64,
    /// The blocks that it names, all of lower rounds, at most one for each author.
    pub parents: Vec<usize>,
}

/// Blocks with all their ancestors, and who has how much stake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    stakes: Vec<u16>,
    blocks: Vec<Block>,
    rounds: BTreeMap<u32, Vec<usize>>,
}

/// Why a block does not fit into a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Genesis blocks come with the graph.
    #[error("a block of round 0")]
    Genesis,
    /// The committee has no such author.
    #[error("no author {author}")]
    Author {
        /// The place that is empty.
        author: usize,
    },
    /// There is such a block already.
    #[error("round, author and digest are those of block {block}")]
    Twice {
        /// The block that is there.
        block: usize,
    },
    /// A parent that is not there.
    #[error("no block {parent}")]
    Parent {
        /// The index that is too high.
        parent: usize,
    },
    /// A parent that is not older.
    #[error("parent {parent} is of the same round or a later one")]
    Round {
        /// The parent.
        parent: usize,
    },
    /// Two parents of one author.
    #[error("two parents of author {author}")]
    Parents {
        /// The author.
        author: usize,
    },
    /// Too few parents of the round below.
    #[error("parents of the round below hold {stake} of the {quorum} that they need")]
    Quorum {
        /// Their stake.
        stake: u32,
        /// What they need.
        quorum: u32,
    },
}

impl Graph {
    /// A graph that holds the genesis blocks: block `i` is that of author `i`, and its timestamp is the epoch's start.
    ///
    /// # Panics
    /// When the stakes do not sum to [`TOTAL_STAKE`], or one is zero.
    pub fn new(stakes: Vec<u16>, start_ms: u64) -> Self {
        let sum: u32 = stakes.iter().map(|&stake| u32::from(stake)).sum();
        assert_eq!(sum, TOTAL_STAKE, "stakes are shares of ten thousand");
        assert!(!stakes.contains(&0), "an author without stake is no author");
        let genesis = |author| Block {
            round: 0,
            author,
            digest: [0; 32],
            timestamp_ms: start_ms,
            parents: Vec::new(),
        };
        Self {
            blocks: (0..stakes.len()).map(genesis).collect(),
            rounds: BTreeMap::from([(0, (0..stakes.len()).collect())]),
            stakes,
        }
    }

    /// Adds a block and answers its index.
    ///
    /// # Errors
    /// When it names what is not there or not older, or two blocks of one author, or is there already.
    pub fn add(&mut self, block: Block) -> Result<usize, Misfit> {
        if block.round == 0 {
            return Err(Misfit::Genesis);
        }
        if block.author >= self.stakes.len() {
            return Err(Misfit::Author { author: block.author });
        }
        let twins = self.slot(block.round, block.author);
        if let Some(&twin) = twins
            .iter()
            .find(|&&twin| self.blocks[twin].digest == block.digest)
        {
            return Err(Misfit::Twice { block: twin });
        }
        let mut authors = BTreeSet::new();
        for &parent in &block.parents {
            let Some(found) = self.blocks.get(parent) else {
                return Err(Misfit::Parent { parent });
            };
            if found.round >= block.round {
                return Err(Misfit::Round { parent });
            }
            if !authors.insert(found.author) {
                return Err(Misfit::Parents { author: found.author });
            }
        }
        self.rounds
            .entry(block.round)
            .or_default()
            .push(self.blocks.len());
        self.blocks.push(block);
        Ok(self.blocks.len() - 1)
    }

    /// Whether each block has parents with a quorum in the round below its own.
    ///
    /// # Errors
    /// The first block that has not, and what it lacks.
    pub fn check_quorums(&self, quorum: u32) -> Result<(), (usize, Misfit)> {
        for (index, block) in self.blocks.iter().enumerate().skip(self.stakes.len()) {
            let below = block.parents.iter().copied();
            let stake = self.stake(below.filter(|&parent| self.blocks[parent].round + 1 == block.round));
            if stake < quorum {
                return Err((index, Misfit::Quorum { stake, quorum }));
            }
        }
        Ok(())
    }

    /// The epoch's start.
    pub fn start_ms(&self) -> u64 {
        self.blocks[0].timestamp_ms
    }

    /// The stake of each author.
    pub fn stakes(&self) -> &[u16] {
        &self.stakes
    }

    /// All blocks, parents first.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The blocks of one round.
    pub fn round(&self, round: u32) -> &[usize] {
        self.rounds.get(&round).map_or(&[], Vec::as_slice)
    }

    /// The highest round that has a block.
    pub fn highest_round(&self) -> u32 {
        self.rounds.last_key_value().map_or(0, |(&round, _)| round)
    }

    /// The blocks of one author and round: more than one if the author equivocates.
    pub fn slot(&self, round: u32, author: usize) -> Vec<usize> {
        let blocks = self.round(round).iter().copied();
        blocks
            .filter(|&block| self.blocks[block].author == author)
            .collect()
    }

    /// The stake of the authors of these blocks, each counted once.
    pub fn stake(&self, blocks: impl IntoIterator<Item = usize>) -> u32 {
        let authors: BTreeSet<usize> = blocks
            .into_iter()
            .map(|block| self.blocks[block].author)
            .collect();
        authors
            .into_iter()
            .map(|author| u32::from(self.stakes[author]))
            .sum()
    }

    /// A block and all its ancestors.
    pub fn history(&self, block: usize) -> BTreeSet<usize> {
        self.histories([block])
    }

    /// These blocks and all their ancestors.
    fn histories(&self, blocks: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<usize> = blocks.into_iter().collect();
        while let Some(block) = open.pop() {
            if found.insert(block) {
                open.extend(&self.blocks[block].parents);
            }
        }
        found
    }

    /// The ancestors of a block that are of one round.
    pub fn ancestors_at(&self, block: usize, round: u32) -> BTreeSet<usize> {
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut open = vec![block];
        while let Some(block) = open.pop() {
            for &parent in &self.blocks[block].parents {
                let of = self.blocks[parent].round;
                if of == round {
                    found.insert(parent);
                } else if of > round && seen.insert(parent) {
                    open.push(parent);
                }
            }
        }
        found
    }

    /// The graph of these blocks and all their ancestors: what somebody knows who has seen no others.
    pub fn view(&self, blocks: impl IntoIterator<Item = usize>) -> Self {
        let kept = self.histories((0..self.stakes.len()).chain(blocks));
        let place: BTreeMap<usize, usize> = kept.iter().copied().zip(0..).collect();
        let mut view = Self {
            stakes: self.stakes.clone(),
            blocks: Vec::new(),
            rounds: BTreeMap::new(),
        };
        for &old in place.keys() {
            let mut block = self.blocks[old].clone();
            for parent in &mut block.parents {
                *parent = place[parent];
            }
            view.rounds
                .entry(block.round)
                .or_default()
                .push(view.blocks.len());
            view.blocks.push(block);
        }
        view
    }

    /// Gives a block another digest, as when somebody else has made it from the same parents.
    pub fn set_digest(&mut self, block: usize, digest: [u8; 32]) {
        self.blocks[block].digest = digest;
    }
}

/// The stakes of `authors` equals; what does not divide goes to the first ones.
pub fn equal_stakes(authors: u16) -> Vec<u16> {
    let (share, rest) = (10_000 / authors, 10_000 % authors);
    (0..authors)
        .map(|author| share + u16::from(author < rest))
        .collect()
}
