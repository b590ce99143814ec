//! A list under one digest, and proofs that something stands in it.
//!
//! A leaf is hashed as `H(0x00 ‖ BCS of the value)`, a pair as `H(0x01 ‖ left ‖ right)`; where a level has an odd number, the
//! last goes up as it is. The root is `H(0x02 ‖ u64 of the number of leaves ‖ top)`, with [`Digest::ZERO`] on top of nothing. So no
//! leaf passes for a pair, no list for a longer one, and a place in a proof is a place in the list.

use crypto::{Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::Bounded;

/// Levels of a tree at most.
const MAX_LEVELS: usize = 32;

/// The most leaves of a tree.
pub const MAX_LEAVES: u64 = 1 << MAX_LEVELS;

fn leaf<T: Serialize + ?Sized>(value: &T) -> Digest {
    let mut hasher = Hasher::new();
    hasher.bytes(&[0]);
    hasher.value(value);
    hasher.finish()
}

fn pair(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher.bytes(&[1]);
    hasher.bytes(left.as_bytes());
    hasher.bytes(right.as_bytes());
    hasher.finish()
}

fn root(leaves: u64, top: &Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher.bytes(&[2]);
    hasher.bytes(&leaves.to_le_bytes());
    hasher.bytes(top.as_bytes());
    hasher.finish()
}

/// A tree over a list, with every level, from which roots and proofs are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// From the leaves up to the top.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// The tree over these values, in this order.
    ///
    /// # Panics
    /// On more than [`MAX_LEAVES`], which no memory holds.
    pub fn new<'a, T: Serialize + 'a>(values: impl IntoIterator<Item = &'a T>) -> Self {
        let leaves: Vec<Digest> = values.into_iter().map(leaf).collect();
        assert!(leaves.len() as u64 <= MAX_LEAVES, "a tree has few levels");
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let above = below.chunks(2).map(|nodes| match nodes {
                [left, right] => pair(left, right),
                rest => rest[0],
            });
            let above = above.collect();
            levels.push(above);
        }
        Self { levels }
    }

    /// How many leaves there are.
    pub fn len(&self) -> u64 {
        self.levels[0].len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of the list.
    pub fn root(&self) -> Digest {
        let top = self.levels.last().and_then(|level| level.first());
        root(self.len(), top.unwrap_or(&Digest::ZERO))
    }

    /// The proof of what stands at this position; `None` beyond the last.
    pub fn prove(&self, position: u64) -> Option<Proof> {
        let mut at = usize::try_from(position)
            .ok()
            .filter(|at| *at < self.levels[0].len())?;
        let mut path = Vec::new();
        for level in &self.levels {
            path.extend(level.get(at ^ 1));
            at /= 2;
        }
        Some(Proof {
            leaves: self.len(),
            position,
            path: Bounded::new(path)?,
        })
    }
}

/// That a value stands at a position of a list. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    leaves: u64,
    position: u64,
    /// What stands beside the way from the leaf to the top, from below.
    path: Bounded<Digest, MAX_LEVELS>,
}

impl Proof {
    /// How many values the list has.
    pub const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The position that it is about.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Whether `value` stands at the position, in the list with this root.
    pub fn holds<T: Serialize>(&self, value: &T, list: &Digest) -> bool {
        if self.position >= self.leaves || self.leaves > MAX_LEAVES {
            return false;
        }
        let (mut width, mut at, mut node) = (self.leaves, self.position, leaf(value));
        let mut path = self.path.iter();
        while width > 1 {
            let is_last_alone = at == width - 1 && width % 2 == 1;
            if !is_last_alone {
                let Some(beside) = path.next() else { return false };
                node = if at % 2 == 0 {
                    pair(&node, beside)
                } else {
                    pair(beside, &node)
                };
            }
            (width, at) = (width.div_ceil(2), at / 2);
        }
        path.next().is_none() && root(self.leaves, &node) == *list
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{decode, encode};

    #[test]
    fn the_shape_of_a_tree_is_as_written() {
        let values = [7u8, 8, 9];
        let [a, b, c] = values.map(|value| leaf(&value));
        assert_eq!(Tree::new(&values).root(), root(3, &pair(&pair(&a, &b), &c)));
        assert_eq!(Tree::new(&values[..1]).root(), root(1, &a));
        assert_eq!(Tree::new::<u8>(&[]).root(), root(0, &Digest::ZERO));
        assert_ne!(Tree::new(&[7u8, 8, 9, 9]).root(), Tree::new(&values).root());
        assert_eq!(Tree::new(&values).prove(2).map(|proof| proof.path.len()), Some(1));
        assert_eq!(Tree::new(&values).prove(3), None);
    }

    proptest! {
        #[test]
        fn what_stands_in_a_list_is_proved_and_nothing_else(count in 1u64..70, at: prop::sample::Index, other in 0u64..70) {
            let values: Vec<u64> = (0..count).collect();
            let tree = Tree::new(&values);
            let position = at.index(values.len()) as u64;
            let proof = tree.prove(position).unwrap();
            prop_assert!(proof.holds(&position, &tree.root()));
            prop_assert_eq!(proof.holds(&other, &tree.root()), other == position);
            prop_assert!(!proof.holds(&position, &Tree::new(&values[1..]).root()));
            for leaves in 0..count + 3 {
                for position in 0..leaves + 1 {
                    let moved = Proof { leaves, position, path: proof.path.clone() };
                    prop_assert_eq!(moved.holds(&proof.position, &tree.root()), moved == proof);
                }
            }
            prop_assert_eq!(decode::<Proof>(&encode(&proof), 2_048), Ok(proof));
        }

        #[test]
        fn any_proof_is_judged(leaves: u64, position: u64, path in prop::collection::vec(any::<[u8; 32]>(), 0..=MAX_LEVELS)) {
            let path = Bounded::new(path.into_iter().map(Digest::new).collect()).unwrap();
            let proof = Proof { leaves, position, path };
            prop_assert!(!proof.holds(&1u8, &Digest::ZERO));
        }
    }
}
