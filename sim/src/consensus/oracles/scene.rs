//! Who is who: which epoch each node is in, and who owes nothing.

use std::collections::BTreeSet;

use crate::consensus::committees::Committees;
use crate::oracle::Fact;
use crate::world::NodeIndex;

/// What oracles know of the nodes.
#[derive(Clone, Debug)]
pub struct Scene {
    committees: Committees,
    /// The epoch that each node said it had started last.
    epochs: Vec<u64>,
    byzantine: BTreeSet<NodeIndex>,
    /// Those that were Byzantine once.
    liars: BTreeSet<NodeIndex>,
    /// Those that may have forgotten what they said.
    forgetful: BTreeSet<NodeIndex>,
    absent: BTreeSet<NodeIndex>,
}

impl Scene {
    /// Before anything.
    pub fn new(committees: Committees, nodes: usize) -> Self {
        Self {
            committees,
            epochs: vec![0; nodes],
            byzantine: BTreeSet::new(),
            liars: BTreeSet::new(),
            forgetful: BTreeSet::new(),
            absent: BTreeSet::new(),
        }
    }

    /// Takes note of a fact.
    pub fn note(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Byzantine { node, .. } => {
                self.byzantine.insert(*node);
                self.liars.insert(*node);
            }
            Fact::Honest { node, .. } => _ = self.byzantine.remove(node),
            Fact::Damaged {
                node,
                unnoticed: true,
            } => _ = self.forgetful.insert(*node),
            Fact::Spared { node } => _ = self.forgetful.remove(node),
            Fact::Absent { node, .. } => _ = self.absent.insert(*node),
            Fact::Started { node, .. } => _ = self.absent.remove(node),
            Fact::Said { node, event, .. } if event.kind == "epoch_started" => self.epochs[*node] = event.a,
            _ => {}
        }
    }

    /// The epoch that a node is in.
    pub fn epoch(&self, node: NodeIndex) -> u64 {
        self.epochs[node]
    }

    /// How many nodes there are.
    pub const fn nodes(&self) -> usize {
        self.epochs.len()
    }

    /// All nodes that owe progress.
    pub fn honest(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        (0..self.epochs.len()).filter(|node| !self.byzantine.contains(node) && !self.absent.contains(node))
    }

    /// How many members an epoch has.
    pub fn size(&self, epoch: u64) -> usize {
        self.committees.of(epoch).len()
    }

    /// Whether a node is a member of an epoch.
    pub fn is_member(&self, epoch: u64, node: NodeIndex) -> bool {
        self.committees.index(epoch, node).is_some()
    }

    /// Which node is called `author` by `node`, in the epoch that it is in.
    pub fn author(&self, node: NodeIndex, author: u64) -> Option<NodeIndex> {
        self.committees.node(self.epochs[node], author)
    }

    /// Whether a node is Byzantine, or was once.
    pub fn is_liar(&self, node: NodeIndex) -> bool {
        self.liars.contains(&node)
    }

    /// Whether the one that `node` calls `author` is honest, has always been, and has forgotten nothing.
    pub fn is_to_blame(&self, node: NodeIndex, author: u64) -> bool {
        let author = self.author(node, author);
        author.is_some_and(|author| !self.liars.contains(&author) && !self.forgetful.contains(&author))
    }

    /// How many nodes have contradicted others, or may have.
    pub fn contradictory(&self) -> usize {
        self.liars.union(&self.forgetful).count()
    }
}
