//! Who is accused, and who is not.

use std::collections::{BTreeMap, BTreeSet};

use super::scene::Scene;
use super::violation;
use crate::oracle::{Class, Fact, Oracle, Violation};
use crate::time::VirtualTime;
use crate::world::NodeIndex;

/// Rounds below the highest one of which accepted blocks are remembered.
const KEPT_ROUNDS: u64 = 200;

/// What a member may be blamed for only if it is not honest, as the driver numbers it: two blocks in a slot, a digest that is
/// not its block's, an answer that breaks the rules, a parent that is not of the graph.
const DISHONEST: [u64; 4] = [1, 2, 3, 7];

/// Who accepts two blocks of a slot has accused their author before; and nobody who is honest is accused, or blamed for what
/// only others do.
pub struct Evidence {
    scene: Scene,
    seen: Vec<Seen>,
}

/// What one node has seen.
#[derive(Clone, Default)]
struct Seen {
    /// Blocks by round and author, that this incarnation has accepted in its epoch.
    blocks: BTreeMap<(u64, u64), [u8; 32]>,
    /// Epochs and authors.
    accused: BTreeSet<(u64, u64)>,
}

impl Evidence {
    /// Nobody has seen anything.
    pub fn new(scene: Scene) -> Self {
        Self {
            seen: vec![Seen::default(); scene.nodes()],
            scene,
        }
    }

    /// Whether a node has accepted another block of the slot, and not accused its author.
    fn is_silent(&mut self, node: NodeIndex, slot: (u64, u64), digest: [u8; 32]) -> bool {
        let epoch = self.scene.epoch(node);
        let Seen { blocks, accused } = &mut self.seen[node];
        let known = *blocks.entry(slot).or_insert(digest);
        while let Some(((round, _), _)) = blocks.first_key_value()
            && round + KEPT_ROUNDS < slot.0
        {
            blocks.pop_first();
        }
        known != digest && !accused.contains(&(epoch, slot.1))
    }
}

impl Oracle for Evidence {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.scene.note(fact);
        if let Fact::Wiped { node, .. } = fact {
            self.seen[*node] = Seen::default();
        }
        let Fact::Said { node, event, .. } = fact else {
            return Ok(());
        };
        let object = |what: String| Err(violation(fact, Class::Safety, "evidence", what));
        match event.kind {
            "epoch_started" => self.seen[*node].blocks.clear(),
            // Of its own it knows what it has signed, whatever its store says.
            "block_accepted" if self.scene.author(*node, event.b) != Some(*node) => {
                let digest = *event.digest.expect("a block's event carries its digest");
                if self.is_silent(*node, (event.a, event.b), digest) {
                    return object(format!(
                        "two blocks of author {} in round {} were accepted, and nobody is accused",
                        event.b, event.a
                    ));
                }
            }
            "equivocation" => {
                let epoch = self.scene.epoch(*node);
                self.seen[*node].accused.insert((epoch, event.a));
                if self.scene.is_to_blame(*node, event.a) {
                    return object(format!("author {} is honest and is accused", event.a));
                }
            }
            // Whose own words were altered on their way gets answers to what it has not asked.
            "peer_blamed"
                if DISHONEST.contains(&event.b)
                    && !self.scene.is_liar(*node)
                    && self.scene.is_to_blame(*node, event.a) =>
            {
                return object(format!(
                    "author {} is honest and is blamed for fault {}",
                    event.a, event.b
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _at: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::lives::{objects, scene};
    use super::*;

    #[test]
    fn who_signs_twice_is_accused_and_nobody_else_is() {
        for (life, expected) in [
            ("1y 0e0 0a5/1/1 0x1 0a5/1/2", false),
            ("1y 0e0 0a5/1/1 0a5/1/2", true),
            ("1y 0e0 0a5/1/1 0a5/1/1 0a6/1/2", false),
            ("1y 0e0 0a5/1/1 0e0 0a5/1/2", false),
            ("1y 0e0 0x1 0a5/1/1 0e0 0a6/1/2 0a6/1/3", false),
            ("1y 0e0 0x1 0z 0e0 0a6/1/2 0a6/1/3", true),
            ("1y 0e0 0x1 0e1 0a6/1/2 0a6/1/3", true),
            ("0e0 0a5/0/1 0a5/0/2", false),
            ("0e0 0x1", true),
            ("1y 1o 0e0 0x1", false),
            ("1d 0e0 0x1", false),
            ("0e0 0b1/3", true),
            ("0e0 0b1/5", false),
            ("1y 0e0 0b1/3", false),
            ("0y 0e0 0b1/3", false),
            ("0y 0o 0e0 0b1/3", false),
            ("0y 0e0 0x1", true),
        ] {
            assert_eq!(objects(Evidence::new(scene(2)), life), expected, "{life}");
        }
    }
}
