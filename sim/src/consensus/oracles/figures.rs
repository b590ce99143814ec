//! What the verdict line says of a run: commits and epochs.

use std::collections::BTreeMap;

use crate::oracle::{Fact, Oracle, Violation};
use crate::time::VirtualTime;

/// Counts the commits that members were given, and the epochs that they began.
#[derive(Default)]
pub struct Figures {
    /// The epoch of each node that has begun one.
    epochs: BTreeMap<usize, u64>,
    /// The highest commit of each epoch.
    commits: BTreeMap<u64, u64>,
}

impl Oracle for Figures {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        let Fact::Said { node, event, .. } = fact else {
            return Ok(());
        };
        match event.kind {
            "epoch_started" => {
                self.epochs.insert(*node, event.a);
                self.commits.entry(event.a).or_default();
            }
            "handled" => {
                let epoch = self.epochs.get(node).copied().unwrap_or(0);
                let highest = self.commits.entry(epoch).or_default();
                *highest = (*highest).max(event.a);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _at: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }

    fn figures(&self) -> Vec<(&'static str, u64)> {
        let commits = self.commits.values().sum();
        vec![("commits", commits), ("epochs", self.commits.len() as u64)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::lives::live;
    use super::*;

    #[test]
    fn commits_of_all_epochs_are_counted_once_each() {
        let mut figures = Figures::default();
        assert!(!live(&mut figures, "0e0 1e0 0c1 1c1 0c2 0e1 0c1 1e1"));
        assert_eq!(figures.figures(), [("commits", 3), ("epochs", 2)]);
    }
}
