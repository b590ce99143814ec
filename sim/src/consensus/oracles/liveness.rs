//! Progress after a heal.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scene::Scene;
use crate::budget::Zone;
use crate::oracle::{Class, Fact, Oracle, Violation};
use crate::time::VirtualTime;

/// Soon after the heal every member is given commits that nobody had before.
pub struct Progress {
    scene: Scene,
    limit: Duration,
    /// The latest commit of each node: epoch and index.
    newest: Vec<(u64, u64)>,
    /// The last commit of each epoch that is over.
    ends: BTreeMap<u64, u64>,
    healed: Option<Healed>,
    /// Whether the plan leaves enough stake for progress.
    is_owed: bool,
}

/// What has to follow the last heal.
struct Healed {
    at: VirtualTime,
    wanted: (u64, u64),
    /// When each member got there.
    reached: Vec<Option<VirtualTime>>,
}

/// Commits that have to follow the heal. An epoch that ends sooner is enough.
const COMMITS_AFTER_HEAL: u64 = 5;

impl Progress {
    /// Everybody has to be there within the limit.
    pub fn new(scene: Scene, limit: Duration) -> Self {
        Self {
            newest: vec![(0, 0); scene.nodes()],
            scene,
            limit,
            ends: BTreeMap::new(),
            healed: None,
            is_owed: true,
        }
    }
}

impl Oracle for Progress {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.scene.note(fact);
        match fact {
            Fact::Owed { zone } => self.is_owed = *zone == Zone::SafetyAndLiveness,
            Fact::Said { node, at, event, .. } if matches!(event.kind, "handled" | "epoch_over") => {
                if event.kind == "epoch_over" {
                    self.ends.insert(event.b, event.a);
                }
                let here = (self.scene.epoch(*node), event.a);
                self.newest[*node] = self.newest[*node].max(here);
                if let Some(healed) = &mut self.healed {
                    let is_end = healed.wanted.0 == here.0 && self.ends.get(&here.0) == Some(&here.1);
                    if here >= healed.wanted || is_end {
                        healed.reached[*node].get_or_insert(*at);
                    }
                }
            }
            Fact::Healed { at } => {
                // What followed an earlier heal is not forgotten.
                self.finish(*at)?;
                let newest = self.newest.iter().max().copied().unwrap_or_default();
                // Who has all of an epoch that is over is given no more of it.
                let is_over = self.ends.get(&newest.0) == Some(&newest.1);
                let reached = |here: &(u64, u64)| (is_over && *here == newest).then_some(*at);
                self.healed = Some(Healed {
                    at: *at,
                    wanted: (newest.0, newest.1 + COMMITS_AFTER_HEAL),
                    reached: self.newest.iter().map(reached).collect(),
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, at: VirtualTime) -> Result<(), Violation> {
        let Some(healed) = self.healed.as_ref().filter(|_| self.is_owed) else {
            return Ok(());
        };
        let took = |reached: VirtualTime| Duration::from_nanos(reached.since(healed.at));
        let late = |node: usize| match healed.reached[node] {
            Some(reached) => took(reached) > self.limit,
            None => took(at) >= self.limit,
        };
        // Who rests is given nothing.
        let is_due = |node: &usize| self.scene.is_member(healed.wanted.0, *node) && late(*node);
        let Some(node) = self.scene.honest().find(is_due) else {
            return Ok(());
        };
        let commits: Vec<String> = self
            .newest
            .iter()
            .map(|(epoch, index)| format!("{epoch}/{index}"))
            .collect();
        let (epoch, index) = healed.wanted;
        Err(Violation {
            class: Class::Liveness,
            oracle: "progress_after_heal",
            node: Some(node),
            at,
            seq: None,
            what: format!(
                "commit {index} of epoch {epoch} was due {:?} after the heal; all of them are at {}",
                self.limit,
                commits.join(", ")
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::lives::{objects, scene};
    use super::*;

    #[test]
    fn a_member_has_to_be_given_commits_in_time() {
        let oracle = || Progress::new(scene(1), Duration::from_secs(20));
        for (life, expected) in [
            ("0c3 h 0c4 0c8 w100", false),
            ("0c3 h w17 0c8", false),
            ("0c3 h w20 0c8", true),
            ("0c3 h 0c7 w100", true),
            ("0c3 h w100 0c8 h 0c13", true),
            ("0c3 h 0c4", false),
            ("0y 0c3 h w100", false),
            ("0y 0o 0c3 h w100", true),
            ("0a h w100", false),
            ("0a 0r 0c3 h w100", true),
            ("0c3 w100", false),
        ] {
            assert_eq!(objects(oracle(), life), expected, "{life}");
        }
    }

    #[test]
    fn the_end_of_an_epoch_is_enough_and_so_is_what_follows_it() {
        let oracle = || Progress::new(scene(2), Duration::from_secs(20));
        for (life, expected) in [
            ("0e0 1e0 0c3 h 0c5 1c5 0l5 1l5 w100", false),
            ("0e0 1e0 0c3 h 0c5 1c5 0l5 w100", true),
            ("0e0 1e0 0c3 h 0l5 0e1 0c1 1e1 1c1 w100", false),
            ("0e0 1e0 0c3 h 0l5 0e1 0c1 w100", true),
            ("0e0 1e0 0l5 1l5 h w100", false),
            ("0e0 1e0 0l5 1c4 h w100", true),
        ] {
            assert_eq!(objects(oracle(), life), expected, "{life}");
        }
    }
}
