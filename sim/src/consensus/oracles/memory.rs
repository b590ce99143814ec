//! What a member holds has the bounds that its rules and its pace give.

use consensus::{Pace, Rules};

use super::scene::Scene;
use super::violation;
use crate::oracle::{Class, Fact, Oracle, Violation};
use crate::time::VirtualTime;

/// Blocks of each author that wait because its clock is ahead (`consensus`, acceptance).
const EARLY: usize = 16;

/// Blocks in memory are those that can still be ordered; those that wait for parents have a share for each author; payloads
/// that wait have a queue, and what comes back to it from blocks that were not ordered.
pub struct Memory {
    scene: Scene,
    gc_depth: u64,
    held_blocks: usize,
    held_bytes: usize,
    block_bytes: usize,
    queued: u64,
    nodes: Vec<Held>,
}

/// What a node said of itself last.
#[derive(Clone, Copy, Default)]
struct Held {
    /// The highest leader's round of the commits that this incarnation has told.
    led: u64,
    /// Blocks in memory.
    blocks: u64,
}

impl Memory {
    /// The bounds of members with these rules and this pace.
    pub fn new(scene: Scene, rules: &Rules, pace: &Pace) -> Self {
        let back = u64::from(rules.gc_depth) * u64::from(rules.max_block_payloads);
        Self {
            gc_depth: u64::from(rules.gc_depth),
            held_blocks: pace.held_blocks + EARLY,
            held_bytes: pace.held_bytes,
            block_bytes: 2 * rules.max_block_bytes as usize,
            queued: pace.queued_payloads as u64 + back,
            nodes: vec![Held::default(); scene.nodes()],
            scene,
        }
    }

    /// The most blocks that a graph can have of which the last ordered leader is of round `led`, and which has a quorum of round
    /// `top`: the rows from the floor to the round above. A contradictory member has as many blocks of a row more as there are
    /// others who name one each.
    fn most_blocks(&self, size: u64, led: u64, top: u64) -> u64 {
        let rows = top + 2 - led.saturating_sub(self.gc_depth).min(top);
        rows * size * (1 + self.scene.contradictory() as u64)
    }
}

impl Oracle for Memory {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.scene.note(fact);
        let Fact::Said { node, event, .. } = fact else {
            return Ok(());
        };
        let size = self.scene.size(self.scene.epoch(*node));
        let (what, found, most) = match event.kind {
            "epoch_started" => {
                self.nodes[*node] = Held::default();
                return Ok(());
            }
            "committed" => {
                let led = &mut self.nodes[*node].led;
                *led = (*led).max(event.b);
                return Ok(());
            }
            "status_memory" => {
                self.nodes[*node].blocks = event.a;
                let most = size * (self.held_bytes / size).max(self.block_bytes);
                ("bytes of held blocks", event.b, most as u64)
            }
            "status_progress" => {
                let Held { led, blocks } = self.nodes[*node];
                (
                    "blocks in memory",
                    blocks,
                    self.most_blocks(size as u64, led, event.a),
                )
            }
            "status_waiting" if event.b > self.queued => ("queued payloads", event.b, self.queued),
            "status_waiting" => ("held blocks", event.a, (size * self.held_blocks) as u64),
            _ => return Ok(()),
        };
        if found > most {
            let what = format!("{found} {what}, of {most} at most");
            return Err(violation(fact, Class::Invariant, "bounded_memory", what));
        }
        Ok(())
    }

    fn finish(&mut self, _at: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crypto::Digest;
    use types::{ChainId, Epoch, UnixMillis};

    use super::super::lives::{objects, scene};
    use super::*;

    #[test]
    fn what_is_held_has_bounds() {
        let chain = ChainId::new(Digest::ZERO);
        let mut rules = Rules::new(chain, Epoch::new(0), UnixMillis::new(0));
        rules.gc_depth = 10;
        rules.max_block_payloads = 1;
        rules.max_block_bytes = 100;
        let pace = Pace {
            held_blocks: 4,
            held_bytes: 1_000,
            queued_payloads: 8,
            ..Pace::default()
        };
        for (life, expected) in [
            // Two members, 10 rows below the leader, two above.
            ("0e0 0C1/50 0s60/44/1000", false),
            ("0e0 0C1/50 0s60/45", true),
            ("0e0 0C1/50 0s60/0/1001", true),
            ("0e0 0C1/5 0s8/20", false),
            ("0e0 0C1/5 0s8/21", true),
            ("1y 0e0 0C1/50 0s60/88", false),
            ("1y 0e0 0C1/50 0s60/89", true),
            // A new incarnation has not told yet what it knows.
            ("0e0 0C1/50 0e0 0s60/124", false),
            ("0e0 0i40/18", false),
            ("0e0 0i41/0", true),
            ("0e0 0i0/19", true),
        ] {
            assert_eq!(
                objects(Memory::new(scene(2), &rules, &pace), life),
                expected,
                "{life}"
            );
        }
    }
}
