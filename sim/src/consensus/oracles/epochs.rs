//! The end of an epoch is the same for all, and nothing comes behind it.

use std::collections::BTreeMap;

use super::scene::Scene;
use super::violation;
use crate::oracle::{Class, Fact, Oracle, Violation};
use crate::time::VirtualTime;

/// All members of an epoch are given the same last commit, and none behind it.
pub struct Epochs {
    scene: Scene,
    /// The last commit of each epoch that is over.
    ends: BTreeMap<u64, (u64, [u8; 32])>,
    /// The highest commit that somebody was given in an epoch.
    highest: BTreeMap<u64, u64>,
}

impl Epochs {
    /// Before the first.
    pub fn new(scene: Scene) -> Self {
        Self {
            scene,
            ends: BTreeMap::new(),
            highest: BTreeMap::new(),
        }
    }
}

impl Oracle for Epochs {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.scene.note(fact);
        let Fact::Said { node, event, .. } = fact else {
            return Ok(());
        };
        let object = |what: String| Err(violation(fact, Class::Safety, "one_end_of_an_epoch", what));
        match event.kind {
            "handled" => {
                let epoch = self.scene.epoch(*node);
                let highest = self.highest.entry(epoch).or_default();
                *highest = (*highest).max(event.a);
            }
            "epoch_over" => {
                let digest = *event
                    .digest
                    .expect("the end of an epoch carries its commit's digest");
                let found = (event.a, digest);
                let known = *self.ends.entry(event.b).or_insert(found);
                if known != found {
                    return object(format!(
                        "epoch {} ends with commit {} here and with commit {} elsewhere, or with another one of that index",
                        event.b, event.a, known.0
                    ));
                }
            }
            _ => return Ok(()),
        }
        for (epoch, (end, _)) in &self.ends {
            let highest = self.highest.get(epoch).copied().unwrap_or(0);
            if highest > *end {
                return object(format!(
                    "commit {highest} behind commit {end}, the last of epoch {epoch}"
                ));
            }
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
    fn an_epoch_has_one_end() {
        for (life, expected) in [
            ("0e0 1e0 0c4 0l4 1c4 1l4", false),
            ("0e0 1e0 0l4 1l5", true),
            ("0e0 1e0 0l4/0/1 1l4/0/2", true),
            ("0e0 1e0 0l4 1l4/1", false),
            ("0e0 1e0 0l4 1c5", true),
            ("0e0 1e0 1c5 0l4", true),
            ("0e0 1e1 0l4 1c5", false),
        ] {
            assert_eq!(objects(Epochs::new(scene(2)), life), expected, "{life}");
        }
    }
}
