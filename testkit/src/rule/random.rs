//! Large graphs, each of which follows from a number: unequal stakes, missing and late blocks, equivocators, several
//! leaders.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::{Block, Graph, Rule, TOTAL_STAKE};

/// How large a graph is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// About how many blocks.
    pub blocks: usize,
    /// The most stake that may equivocate.
    pub faulty: u32,
}

/// The stakes of 4 authors or more: equal ones, similar ones, or far apart.
pub fn random_stakes(seed: u64, most_authors: usize) -> Vec<u16> {
    let drawn = &mut stream(seed, 1);
    let authors = drawn.gen_range(4..=most_authors);
    let spread = *pick(drawn, &[1, 3, 100]);
    let weights: Vec<u32> = (0..authors).map(|_| drawn.gen_range(1..=spread)).collect();
    let sum: u32 = weights.iter().sum();
    let mut stakes: Vec<u32> = weights
        .iter()
        .map(|weight| (weight * TOTAL_STAKE / sum).max(1))
        .collect();
    let others: u32 = stakes[1..].iter().sum();
    stakes[0] = TOTAL_STAKE - others;
    stakes.into_iter().map(|stake| stake as u16).collect()
}

/// How many leaders each round has: often one, two or all.
pub fn random_slots(seed: u64, authors: usize) -> usize {
    let drawn = &mut stream(seed, 2);
    match drawn.gen_range(0..4) {
        0 => 1,
        1 => 2,
        2 => authors,
        _ => drawn.gen_range(1..=authors),
    }
}

/// Leaders in no order at all.
pub fn random_leaders(seed: u64, authors: usize) -> Vec<Vec<usize>> {
    let slots = random_slots(seed, authors);
    let drawn = &mut stream(seed, 3);
    let rows = drawn.gen_range(1..=2 * authors);
    let mut row = || {
        let mut row: Vec<usize> = (0..authors).collect();
        row.shuffle(drawn);
        row.truncate(slots);
        row
    };
    (0..rows).map(|_| row()).collect()
}

/// A graph in which each block has parents with the rule's quorum, and in which its leaders often are in trouble.
pub fn random_graph(seed: u64, size: Size, rule: &Rule, stakes: Vec<u16>) -> Graph {
    let mut drawn = stream(seed, 4);
    let rounds = (size.blocks / stakes.len()).max(4) as u32;
    let graph = Graph::new(stakes, 1_000);
    let mut growth = Growth {
        equivocators: equivocators(&mut drawn, &graph, size.faulty),
        absent: *pick(&mut drawn, &[0.0, 0.1, 0.5]),
        dropped: *pick(&mut drawn, &[0.0, 0.1, 0.4]),
        shunned: *pick(&mut drawn, &[0.0, 0.3, 0.6]),
        late: *pick(&mut drawn, &[0.0, 0.1, 0.5]),
        twins: *pick(&mut drawn, &[0.3, 0.9]),
        split: *pick(&mut drawn, &[0.0, 0.9]),
        sides: (0..graph.stakes().len()).map(|_| drawn.gen_bool(0.5)).collect(),
        skewed: drawn.gen_bool(0.5),
        quorum: rule.quorum,
        graph,
        drawn,
    };
    for round in 1..=rounds {
        let below = match round {
            1 => &[],
            _ => rule.leaders_of(round - 1),
        };
        growth.add_round(round, below);
    }
    let Growth { graph, mut drawn, .. } = growth;
    // What somebody knows who has seen only some of the last blocks.
    let last = graph.highest_round();
    let unseen: BTreeSet<usize> = (last.saturating_sub(1)..=last)
        .flat_map(|round| graph.round(round).to_vec())
        .filter(|_| drawn.gen_bool(0.2))
        .collect();
    graph.view((0..graph.blocks().len()).filter(|block| !unseen.contains(block)))
}

/// The smallest graph found by taking blocks away, with all that come after them, for which `fails` still holds.
pub fn smallest(graph: &Graph, mut fails: impl FnMut(&Graph) -> bool) -> Graph {
    let mut graph = graph.clone();
    let mut block = graph.stakes().len();
    while block < graph.blocks().len() {
        let left = (0..graph.blocks().len()).filter(|&other| !graph.history(other).contains(&block));
        let less = graph.view(left);
        if fails(&less) {
            graph = less;
        } else {
            block += 1;
        }
    }
    graph
}

fn pick<'a, T>(drawn: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[drawn.gen_range(0..from.len())]
}

/// One number gives several streams, so that what is drawn from one changes nothing in another.
fn stream(seed: u64, number: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(8).wrapping_add(number))
}

fn equivocators(drawn: &mut StdRng, graph: &Graph, most: u32) -> BTreeSet<usize> {
    let mut authors: Vec<usize> = (0..graph.stakes().len()).collect();
    authors.shuffle(drawn);
    let mut stake = 0;
    authors.retain(|&author| {
        let more = u32::from(graph.stakes()[author]);
        let fits = stake + more <= most;
        stake += if fits { more } else { 0 };
        fits
    });
    authors.truncate(drawn.gen_range(0..=authors.len()));
    authors.into_iter().collect()
}

/// A graph while it grows. The numbers are probabilities.
struct Growth {
    graph: Graph,
    drawn: StdRng,
    quorum: u32,
    equivocators: BTreeSet<usize>,
    /// An author makes no block in a round.
    absent: f64,
    /// A block does not name another of the round below.
    dropped: f64,
    /// A leader's block is one that half of the next blocks do not name.
    shunned: f64,
    /// A block names an older block of an author that it names none of in the round below.
    late: f64,
    /// An equivocator makes another block.
    twins: f64,
    /// A block names those of its own side where it can. Equivocators have blocks on both.
    split: f64,
    /// The side of each block.
    sides: Vec<bool>,
    /// Clocks are far apart.
    skewed: bool,
}

impl Growth {
    fn add_round(&mut self, round: u32, leaders_below: &[usize]) {
        if self.graph.stake(self.graph.round(round - 1).iter().copied()) < self.quorum {
            return;
        }
        let shunned: BTreeSet<usize> = leaders_below
            .iter()
            .copied()
            .filter(|_| self.drawn.gen_bool(self.shunned))
            .collect();
        let mut authors: Vec<usize> = (0..self.graph.stakes().len()).collect();
        authors.shuffle(&mut self.drawn);
        let mut present = TOTAL_STAKE;
        for author in authors {
            let stake = u32::from(self.graph.stakes()[author]);
            if present - stake >= self.quorum && self.drawn.gen_bool(self.absent) {
                present -= stake;
                continue;
            }
            let mut blocks = 1;
            while self.equivocators.contains(&author) && blocks < 3 && self.drawn.gen_bool(self.twins) {
                blocks += 1;
            }
            for twin in 0..blocks {
                let side = self.sides[author] ^ (twin == 1);
                let block = self.block(round, author, side, &shunned);
                self.graph.add(block).expect("a block is drawn to fit");
                self.sides.push(side);
            }
        }
    }

    /// One of these blocks, on this side if there is one.
    fn pick(&mut self, slot: &[usize], side: bool) -> usize {
        let near: Vec<usize> = slot
            .iter()
            .copied()
            .filter(|&block| self.sides[block] == side)
            .collect();
        if !near.is_empty() && self.drawn.gen_bool(self.split) {
            return *pick(&mut self.drawn, &near);
        }
        *pick(&mut self.drawn, slot)
    }

    fn block(&mut self, round: u32, author: usize, side: bool, shunned: &BTreeSet<usize>) -> Block {
        let authors = self.graph.stakes().len();
        let own = (0..round)
            .rev()
            .map(|round| self.graph.slot(round, author))
            .find(|slot| !slot.is_empty())
            .expect("an author has a genesis block");
        let own = self.pick(&own, side);
        let mut parents = vec![own];
        for other in (0..authors).filter(|&other| other != author) {
            let slot = self.graph.slot(round - 1, other);
            if !slot.is_empty() {
                parents.push(self.pick(&slot, side));
            }
        }
        parents[1..].shuffle(&mut self.drawn);
        let mut place = 1;
        while place < parents.len() {
            let author = self.graph.blocks()[parents[place]].author;
            let is_far = self.sides[parents[place]] != side;
            let drop = match shunned.contains(&author) {
                true => 0.5,
                false if is_far => self.split.max(self.dropped),
                false => self.dropped,
            };
            let mut left = parents.clone();
            left.remove(place);
            left.retain(|&parent| self.graph.blocks()[parent].round + 1 == round);
            if self.drawn.gen_bool(drop) && self.graph.stake(left) >= self.quorum {
                parents.remove(place);
            } else {
                place += 1;
            }
        }
        let named: BTreeSet<usize> = parents
            .iter()
            .map(|&parent| self.graph.blocks()[parent].author)
            .collect();
        for other in (0..authors).filter(|other| !named.contains(other)) {
            let back = *pick(&mut self.drawn, &[2, 2, 3, 4, 7]);
            let slot = self.graph.slot(round.saturating_sub(back), other);
            if round > 1 && !slot.is_empty() && self.drawn.gen_bool(self.late) {
                parents.push(self.pick(&slot, side));
            }
        }
        let usual = 1_000 + 100 * u64::from(round);
        let skew = if self.skewed { 1_000 } else { 20 };
        let mut digest = [0; 32];
        self.drawn.fill(&mut digest);
        Block {
            round,
            author,
            digest,
            timestamp_ms: (usual + self.drawn.gen_range(0..skew)).saturating_sub(skew / 2),
            parents,
        }
    }
}
