//! Everybody's blocks and payloads are ordered, once things are well again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::limits::Limits;
use super::scene::Scene;
use super::violation;
use crate::budget::Zone;
use crate::oracle::{Class, Fact, Oracle, Violation};
use crate::time::VirtualTime;
use crate::world::NodeIndex;

/// Rounds at either end of an epoch's window that are not counted: members begin an epoch one after the other, and the
/// blocks of those who are far away are ordered some rounds later.
const EDGE: u64 = 10;
/// The least rounds of a window that say something.
const LEAST: u64 = 20;

/// Once the members have caught up after a heal: of each that is honest and stays up, at least half of its blocks are
/// ordered, one a round, for it makes one in every round and every round's blocks are parents of the next; and each payload that it
/// has queued is ordered in time, once.
pub struct Quality {
    scene: Scene,
    limits: Limits,
    /// The last heal.
    healed: Option<VirtualTime>,
    /// Nodes that were started or died since, or have begun again.
    unsteady: BTreeSet<NodeIndex>,
    windows: BTreeMap<u64, Window>,
    /// Payloads that wait: whose, and since when.
    queued: BTreeMap<[u8; 32], (NodeIndex, VirtualTime)>,
    ordered: BTreeSet<[u8; 32]>,
    /// Those of whom somebody holds two blocks of a slot: nobody builds on theirs any more.
    refused: BTreeSet<NodeIndex>,
    /// Whether the plan leaves enough stake for progress.
    is_owed: bool,
}

/// What is ordered of an epoch's rounds.
#[derive(Default)]
struct Window {
    /// The first round that counts.
    first: u64,
    /// The last one that was ordered.
    last: u64,
    rounds: BTreeMap<NodeIndex, BTreeSet<u64>>,
}

impl Quality {
    /// Before anything was ordered.
    pub fn new(scene: Scene, limits: Limits) -> Self {
        Self {
            scene,
            limits,
            healed: None,
            unsteady: BTreeSet::new(),
            windows: BTreeMap::new(),
            queued: BTreeMap::new(),
            ordered: BTreeSet::new(),
            refused: BTreeSet::new(),
            is_owed: true,
        }
    }

    /// Whether everybody has caught up by now.
    fn is_calm(&self, at: VirtualTime) -> bool {
        self.healed
            .is_some_and(|healed| Duration::from_nanos(at.since(healed)) >= self.limits.heal)
    }

    fn order(&mut self, node: NodeIndex, round: u64, author: u64, at: VirtualTime) {
        let is_calm = self.is_calm(at);
        let window = self.windows.entry(self.scene.epoch(node)).or_default();
        if !is_calm {
            window.first = window.first.max(round + 1);
        }
        window.last = window.last.max(round);
        if let Some(author) = self.scene.author(node, author) {
            window.rounds.entry(author).or_default().insert(round);
        }
    }

    /// Those whose blocks have to be ordered.
    fn owed(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.scene.honest().filter(|node| !self.refused.contains(node))
    }

    /// The one that waits longest for a payload, if that is too long.
    fn late(&self, at: VirtualTime) -> Option<(NodeIndex, Duration)> {
        let healed = self.healed.filter(|_| self.is_owed)?;
        let waits = self.queued.values().map(|(node, since)| {
            let due = healed.after(crate::time::nanos(self.limits.heal));
            (*node, Duration::from_nanos(at.since(due.max(*since).min(at))))
        });
        let is_late = |(node, wait): &(NodeIndex, Duration)| {
            *wait > self.limits.order && self.owed().any(|owed| owed == *node)
        };
        waits.filter(is_late).max_by_key(|(_, wait)| *wait)
    }

    /// Whose blocks are missing: whose, how many are there, and of how many.
    fn missing(&self) -> Option<(NodeIndex, u64, u64)> {
        if !self.is_owed {
            return None;
        }
        for (epoch, window) in &self.windows {
            let first = window.first.max(EDGE);
            let rounds = (window.last + 1).saturating_sub(first + EDGE);
            if rounds < LEAST {
                continue;
            }
            for node in self.owed() {
                if self.unsteady.contains(&node) || !self.scene.is_member(*epoch, node) {
                    continue;
                }
                let ordered = window.rounds.get(&node);
                let ordered = ordered.map_or(0, |ordered| ordered.range(first..first + rounds).count());
                if 2 * (ordered as u64) < rounds {
                    return Some((node, ordered as u64, rounds));
                }
            }
        }
        None
    }
}

fn object(node: NodeIndex, at: VirtualTime, oracle: &'static str, what: String) -> Violation {
    Violation {
        class: Class::Liveness,
        oracle,
        node: Some(node),
        at,
        seq: None,
        what,
    }
}

impl Oracle for Quality {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.scene.note(fact);
        match fact {
            Fact::Owed { zone } => self.is_owed = *zone == Zone::SafetyAndLiveness,
            Fact::Healed { at } => {
                // What followed an earlier heal is not forgotten.
                self.finish(*at)?;
                self.healed = Some(*at);
                self.unsteady.clear();
                self.windows.clear();
                self.queued.clear();
            }
            // A member that crashes forgets what it had queued.
            Fact::Started { node, at, .. } | Fact::Crashed { node, at, .. } => {
                self.queued.retain(|_, (owner, _)| owner != node);
                if self.is_calm(*at) {
                    self.unsteady.insert(*node);
                }
            }
            Fact::Said { node, at, event, .. } => match event.kind {
                // As does one that opens its store anew, or begins another epoch.
                "epoch_started" | "store_failed" | "member_failed" | "left_behind" | "closed" => {
                    self.queued.retain(|_, (owner, _)| owner != node);
                    if self.is_calm(*at) && matches!(event.kind, "store_failed" | "member_failed") {
                        self.unsteady.insert(*node);
                    }
                }
                "block_ordered" => self.order(*node, event.a, event.b, *at),
                "equivocation" => self.refused.extend(self.scene.author(*node, event.a)),
                "payload_queued" => {
                    let name = *event.digest.expect("a payload's event carries its name");
                    if !self.ordered.contains(&name) {
                        self.queued.insert(name, (*node, *at));
                    }
                }
                "payload_ordered" => {
                    let name = *event.digest.expect("a payload's event carries its name");
                    self.queued.remove(&name);
                    if !self.ordered.insert(name) && self.scene.contradictory() == 0 {
                        let what = format!("a payload in round {} was ordered before", event.a);
                        return Err(violation(fact, Class::Safety, "payload_once", what));
                    }
                }
                "status_progress" => {
                    if let Some((node, wait)) = self.late(*at) {
                        let what =
                            format!("a payload waits for {wait:?}, of {:?} at most", self.limits.order);
                        return Err(object(node, *at, "payloads_are_ordered", what));
                    }
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, at: VirtualTime) -> Result<(), Violation> {
        if let Some((node, wait)) = self.late(at) {
            let what = format!("a payload waits for {wait:?}, of {:?} at most", self.limits.order);
            return Err(object(node, at, "payloads_are_ordered", what));
        }
        if let Some((node, ordered, rounds)) = self.missing() {
            let what =
                format!("blocks of {ordered} rounds of {rounds} were ordered, and half of them are due");
            return Err(object(node, at, "chain_quality", what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::lives::{objects, scene};
    use super::*;

    fn quality() -> Quality {
        let limits = Limits {
            heal: Duration::from_secs(10),
            order: Duration::from_secs(5),
        };
        Quality::new(scene(2), limits)
    }

    #[test]
    fn a_queued_payload_is_ordered_in_time_and_once() {
        for (life, expected) in [
            ("0e0 h w20 0q7 w4 0p7 w100", false),
            ("0e0 h w20 0q7 w6", true),
            ("0e0 h w20 0q7 w6 0s1 0p7", true),
            ("0e0 h 0q7 w13 0p7", false),
            ("0e0 h 0q7 w15", true),
            ("0e0 h w20 0q7 0r w100", false),
            ("0e0 h w20 0q7 0e1 w100", false),
            ("0y 0e0 h w20 0q7 w100", false),
            ("0e0 1e0 1x0/3 h w20 0q7 w100", false),
            ("0e0 1e0 0x1/3 h w20 0q7 w100", true),
            ("0e0 0q7 w100", false),
            ("0e0 0p7 1p8", false),
            ("0e0 0p7 1p7", true),
            ("1y 0e0 0p7 0p7", false),
        ] {
            assert_eq!(objects(quality(), life), expected, "{life}");
        }
    }

    #[test]
    fn half_of_the_blocks_of_each_member_are_ordered() {
        let both = |rounds: std::ops::Range<u64>| {
            rounds
                .map(|round| format!(" 0o{round}/0 0o{round}/1"))
                .collect::<String>()
        };
        let one =
            |rounds: std::ops::Range<u64>| rounds.map(|round| format!(" 0o{round}/0")).collect::<String>();
        for (life, expected) in [
            (format!("0e0 h w10{}", both(1..60)), false),
            (format!("0e0 h w10{}{}", both(1..30), one(30..60)), false),
            (format!("0e0 h w10{}{}", both(1..20), one(20..60)), true),
            // So few rounds say nothing.
            (format!("0e0 h w10{}", one(1..39)), false),
            (format!("0e0 h w10{}", one(1..40)), true),
            // Nor does what lies before.
            (format!("0e0{} h w10{}", one(1..40), both(40..90)), false),
            (format!("1y 0e0 h w10{}", one(1..60)), false),
            (format!("0e0 0x1/3 h w10{}", one(1..60)), false),
            (format!("0e0 h w10 1r{}", one(1..60)), false),
        ] {
            assert_eq!(objects(quality(), &life), expected, "{life}");
        }
    }
}
