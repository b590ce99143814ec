//! Who is a member in which epoch: what everybody can compute from the scenario and the seed.

use types::AuthorityIndex;

use super::{index, member_of};
use crate::budget::spread;
use crate::draw::Seed;
use crate::scenario::Scenario;
use crate::world::NodeIndex;

/// Fewer nodes are all members in every epoch: without one of them, no other may fail.
const ROTATE_FROM: usize = 5;
/// Of so many nodes, one rests in an epoch, and goes on in the next.
const RESTS: usize = 7;

/// The committee of each epoch, up to the last.
#[derive(Clone, Debug)]
pub struct Committees {
    members: usize,
    epochs: Vec<Vec<(NodeIndex, u64)>>,
}

impl Committees {
    /// The committees of a run.
    pub fn new(seed: Seed, scenario: &Scenario) -> Self {
        let (members, stakes) = (scenario.members(), scenario.stakes(seed));
        let epochs = usize::try_from(scenario.epochs.max(1)).expect("a scenario has few epochs");
        let resting = match members {
            _ if epochs == 1 || members < ROTATE_FROM || members < scenario.nodes => 0,
            _ => (members / RESTS).max(1),
        };
        let committee = |epoch: usize| {
            let rests = |node: usize| (node + members - epoch * resting % members) % members < resting;
            let nodes: Vec<NodeIndex> = (0..members).filter(|node| !rests(*node)).collect();
            let stakes: Vec<u64> = nodes.iter().map(|node| stakes[*node]).collect();
            let powers = if resting == 0 { stakes } else { spread(&stakes) };
            nodes.into_iter().zip(powers).collect()
        };
        Self {
            members,
            epochs: (0..epochs).map(committee).collect(),
        }
    }

    /// How many nodes may be members. Those with higher numbers are twins of the first ones.
    pub const fn members(&self) -> usize {
        self.members
    }

    /// How many epochs there are; the last one has no end.
    pub fn epochs(&self) -> u64 {
        self.epochs.len() as u64
    }

    /// The members of an epoch in the order of their indices, with their power.
    ///
    /// # Panics
    /// When there is no such epoch.
    pub fn of(&self, epoch: u64) -> &[(NodeIndex, u64)] {
        let epoch = usize::try_from(epoch).expect("there are few epochs");
        &self.epochs[epoch]
    }

    /// The node that has this place in an epoch's committee, if there is one.
    pub fn node(&self, epoch: u64, author: u64) -> Option<NodeIndex> {
        let (epoch, author) = (usize::try_from(epoch).ok()?, usize::try_from(author).ok()?);
        self.epochs.get(epoch)?.get(author).map(|(node, _)| *node)
    }

    /// A node's place in an epoch's committee, if it has one.
    pub fn index(&self, epoch: u64, node: NodeIndex) -> Option<AuthorityIndex> {
        let node = member_of(node, self.members);
        let mut places = self.of(epoch).iter();
        places.position(|(member, _)| *member == node).map(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::ALL_STAKE;

    #[test]
    fn in_turn_some_members_rest_and_the_others_have_all_the_power() {
        let scenario = Scenario {
            nodes: 7,
            epochs: 9,
            ..Scenario::default()
        };
        let committees = Committees::new(Seed::new(1), &scenario);
        let resting = |epoch| (0..7).find(|node| committees.index(epoch, *node).is_none());
        let all: Vec<_> = (0..9).map(resting).collect();
        assert_eq!(all, [0, 1, 2, 3, 4, 5, 6, 0, 1].map(Some));
        for epoch in 0..9 {
            let power: u64 = committees.of(epoch).iter().map(|(_, power)| power).sum();
            assert_eq!((power, committees.of(epoch).len()), (ALL_STAKE, 6));
        }
        assert_eq!((committees.node(1, 1), committees.node(1, 6)), (Some(2), None));
        assert_eq!((committees.node(9, 0), committees.epochs()), (None, 9));
    }

    #[test]
    fn nobody_rests_in_a_run_of_one_epoch_or_of_few_nodes() {
        for (nodes, epochs) in [(7, 0), (4, 3)] {
            let scenario = Scenario {
                nodes,
                epochs,
                ..Scenario::default()
            };
            let committees = Committees::new(Seed::new(1), &scenario);
            let stakes: Vec<u64> = committees.of(0).iter().map(|(_, power)| *power).collect();
            assert_eq!(stakes, scenario.stakes(Seed::new(1)));
        }
    }
}
