//! The fault budget: whose stake may fail, and what a network still owes under a plan.
//!
//! Of all stake, less than a third may be bad. Nodes that contradict themselves (Byzantine ones, and those that forget
//! what they said) put safety at stake; nodes that are down, cut off, or have lost their data, only progress.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::disk::{FaultKind, Harm};
use crate::draw::{Domain, Seed};
use crate::plan::{Action, Direction, Plan};
use crate::time::VirtualTime;
use crate::world::NodeIndex;

/// All stake of a network.
pub const ALL_STAKE: u64 = 10_000;

/// How stake is spread over the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stakes {
    /// Each has as much as any other, but for the remainder of a division.
    #[default]
    Equal,
    /// Drawn by the seed: some have a hundred times as much as others. Of four nodes and more, none has a third.
    Drawn,
    /// Equal in one half of the seeds, and drawn in the other.
    Mixed,
}

impl Stakes {
    /// The stake of each of `nodes` nodes: at least 1 each, [`ALL_STAKE`] together.
    pub fn of(self, seed: Seed, nodes: usize) -> Vec<u64> {
        let is_equal = match self {
            Self::Equal => true,
            Self::Drawn => false,
            Self::Mixed => seed.draw(Domain::Plan, 9, 0, 0).chance(500_000),
        };
        let weights: Vec<u64> = match is_equal {
            true => vec![1; nodes],
            false => {
                let mut draw = seed.draw(Domain::Plan, 5, 0, 0);
                (0..nodes).map(|_| draw.within(10, 100).pow(2)).collect()
            }
        };
        spread(&weights)
    }

    pub(crate) fn is_equal(&self) -> bool {
        *self == Self::Equal
    }
}

/// Stake by weight. What is left over goes to the first nodes, and what is over a third to the smallest.
pub(crate) fn spread(weights: &[u64]) -> Vec<u64> {
    let (nodes, sum) = (weights.len() as u64, weights.iter().sum::<u64>());
    let mut stakes: Vec<u64> = weights
        .iter()
        .map(|weight| 1 + weight * (ALL_STAKE - nodes) / sum)
        .collect();
    let left = ALL_STAKE - stakes.iter().sum::<u64>();
    let left = usize::try_from(left).expect("less than one for each node");
    stakes.iter_mut().take(left).for_each(|stake| *stake += 1);
    let most = most_bad(&stakes);
    while nodes >= 4
        && let Some(large) = stakes.iter().position(|stake| *stake > most)
    {
        let small = (0..stakes.len()).min_by_key(|node| stakes[*node]);
        let small = small.expect("there are four nodes");
        let moved = (stakes[large] - most).min(most - stakes[small]);
        stakes[large] -= moved;
        stakes[small] += moved;
    }
    stakes
}

/// The most stake that may be bad: f, where 3f < all.
pub fn most_bad(stakes: &[u64]) -> u64 {
    stakes.iter().sum::<u64>().saturating_sub(1) / 3
}

/// What a network owes, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// The budget holds: nobody contradicts anybody, and everybody goes on.
    SafetyAndLiveness,
    /// Too much stake is away for progress; nobody contradicts anybody.
    SafetyOnly,
    /// Too much stake is Byzantine or forgetful: anything may happen.
    Nothing,
}

/// What a network with these stakes owes from the last step of `plan` on, whatever lay before. Contradictions of a node
/// stay for ever; what a heal undoes is undone.
pub fn zone(plan: &Plan, stakes: &[u64]) -> Zone {
    zones(plan, stakes)
        .last()
        .map_or(Zone::SafetyAndLiveness, |(_, zone)| *zone)
}

/// What it owes from when on: an entry for each change.
///
/// A link's fault counts for nothing here, for all of them let something through; a disk that answers with errors or
/// not at all counts as a node that is down.
pub fn zones(plan: &Plan, stakes: &[u64]) -> Vec<(VirtualTime, Zone)> {
    let mut health = Health::new(stakes);
    let mut zones = vec![(VirtualTime::ZERO, Zone::SafetyAndLiveness)];
    for (place, step) in plan.steps.iter().enumerate() {
        health.apply(&step.action);
        let is_last = plan.steps.get(place + 1).is_none_or(|next| next.at() > step.at());
        let zone = health.zone();
        if !is_last || zones.last().is_some_and(|(_, before)| *before == zone) {
            continue;
        }
        if step.at() == VirtualTime::ZERO {
            zones.clear();
        }
        zones.push((step.at(), zone));
    }
    zones
}

/// What is wrong with the nodes.
struct Health<'a> {
    stakes: &'a [u64],
    /// Those that have ever been Byzantine, or may have forgotten what they said.
    contradictory: BTreeSet<NodeIndex>,
    byzantine: BTreeSet<NodeIndex>,
    /// Those whose disk may have lost something: it does not come back.
    damaged: BTreeSet<NodeIndex>,
    down: BTreeSet<NodeIndex>,
    absent: BTreeSet<NodeIndex>,
    paused: BTreeSet<NodeIndex>,
    refusing: BTreeSet<(NodeIndex, FaultKind)>,
    /// How many cuts each direction has.
    cuts: BTreeMap<(NodeIndex, NodeIndex), u32>,
}

impl<'a> Health<'a> {
    fn new(stakes: &'a [u64]) -> Self {
        Self {
            stakes,
            contradictory: BTreeSet::new(),
            byzantine: BTreeSet::new(),
            damaged: BTreeSet::new(),
            down: BTreeSet::new(),
            absent: BTreeSet::new(),
            paused: BTreeSet::new(),
            refusing: BTreeSet::new(),
            cuts: BTreeMap::new(),
        }
    }

    fn apply(&mut self, action: &Action) {
        match action {
            Action::Crash { node, .. } => _ = self.down.insert(*node),
            Action::Absent { node } => _ = self.absent.insert(*node),
            Action::Restart { node } => {
                self.down.remove(node);
                self.absent.remove(node);
            }
            Action::Pause { node } => _ = self.paused.insert(*node),
            Action::Resume { node } => _ = self.paused.remove(node),
            Action::Byzantine { node, .. } => {
                self.byzantine.insert(*node);
                self.contradictory.insert(*node);
            }
            Action::Honest { node } => _ = self.byzantine.remove(node),
            Action::Disk { node, fault } => self.harm(*node, fault.kind()),
            Action::DiskClear { node, kind } => _ = self.refusing.remove(&(*node, *kind)),
            Action::SwapDisks { a, b } => {
                self.contradictory.extend([*a, *b]);
                self.damaged.extend([*a, *b]);
            }
            Action::Partition { side, direction } => self.part(side, *direction, |cuts| *cuts += 1),
            Action::Heal { side, direction } => {
                self.part(side, *direction, |cuts| *cuts = cuts.saturating_sub(1));
            }
            Action::Cut { from, to } => *self.cuts.entry((*from, *to)).or_default() += 1,
            Action::Mend { from, to } => {
                let cuts = self.cuts.entry((*from, *to)).or_default();
                *cuts = cuts.saturating_sub(1);
            }
            Action::HealAll => {
                self.down.clear();
                self.paused.clear();
                self.refusing.clear();
                self.cuts.clear();
            }
            Action::Slow { .. }
            | Action::Link { .. }
            | Action::Reset { .. }
            | Action::ClockDrift { .. }
            | Action::ClockStep { .. }
            | Action::ClockRepair { .. }
            | Action::Host { .. } => {}
        }
    }

    fn harm(&mut self, node: NodeIndex, kind: FaultKind) {
        match kind.harm() {
            Harm::Amnesia => {
                self.contradictory.insert(node);
                self.damaged.insert(node);
            }
            // The disks of the simulator recover to a point in time: a tear takes nothing that was durable.
            Harm::Damage if kind != FaultKind::TornTail => _ = self.damaged.insert(node),
            Harm::Refusal => _ = self.refusing.insert((node, kind)),
            Harm::Delay if kind == FaultKind::Hang => _ = self.refusing.insert((node, kind)),
            Harm::Damage | Harm::Delay => {}
        }
    }

    fn part(&mut self, side: &[NodeIndex], direction: Direction, change: fn(&mut u32)) {
        for other in (0..self.stakes.len()).filter(|node| !side.contains(node)) {
            for node in side {
                if direction != Direction::In {
                    change(self.cuts.entry((*node, other)).or_default());
                }
                if direction != Direction::Out {
                    change(self.cuts.entry((other, *node)).or_default());
                }
            }
        }
    }

    fn stake(&self, nodes: &BTreeSet<NodeIndex>) -> u64 {
        nodes.iter().filter_map(|node| self.stakes.get(*node)).sum()
    }

    fn zone(&self) -> Zone {
        let most = most_bad(self.stakes);
        let mut bad: BTreeSet<NodeIndex> = [
            &self.byzantine,
            &self.damaged,
            &self.down,
            &self.absent,
            &self.paused,
        ]
        .into_iter()
        .flatten()
        .copied()
        .collect();
        bad.extend(self.refusing.iter().map(|(node, _)| *node));
        if self.stake(&self.contradictory) > most {
            return Zone::Nothing;
        }
        let core = self.core(&bad);
        bad.extend((0..self.stakes.len()).filter(|node| !core.contains(node)));
        if self.stake(&bad) > most {
            Zone::SafetyOnly
        } else {
            Zone::SafetyAndLiveness
        }
    }

    /// Of the nodes that are not bad, those that reach each other both ways, perhaps through others of them: the group
    /// with the most stake.
    fn core(&self, bad: &BTreeSet<NodeIndex>) -> BTreeSet<NodeIndex> {
        let is_cut = |from, to| self.cuts.get(&(from, to)).is_some_and(|cuts| *cuts > 0);
        let mut left: BTreeSet<NodeIndex> = (0..self.stakes.len())
            .filter(|node| !bad.contains(node))
            .collect();
        let mut core = BTreeSet::new();
        while let Some(first) = left.pop_first() {
            let (mut group, mut edge) = (BTreeSet::from([first]), vec![first]);
            while let Some(node) = edge.pop() {
                let reached: Vec<NodeIndex> = left
                    .iter()
                    .copied()
                    .filter(|other| !is_cut(node, *other) && !is_cut(*other, node))
                    .collect();
                for other in reached {
                    left.remove(&other);
                    group.insert(other);
                    edge.push(other);
                }
            }
            if self.stake(&group) > self.stake(&core) {
                core = group;
            }
        }
        core
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adversary::Manner;
    use crate::disk::{DiskFault, Survivors};
    use crate::plan::Step;

    fn crash(node: NodeIndex) -> Action {
        Action::Crash {
            node,
            survivors: Survivors::Prefix,
        }
    }

    fn turn(node: NodeIndex) -> Action {
        Action::Byzantine {
            node,
            strategy: "withhold".to_owned(),
            with: Manner::default(),
        }
    }

    fn disk(node: NodeIndex, fault: DiskFault) -> Action {
        Action::Disk { node, fault }
    }

    fn part(side: &[NodeIndex], direction: Direction) -> Action {
        Action::Partition {
            side: side.to_vec(),
            direction,
        }
    }

    /// The zone after each action, with these stakes.
    fn after_each(stakes: &[u64], actions: Vec<Action>) -> String {
        let mut health = Health::new(stakes);
        let letter = |action| {
            health.apply(&action);
            match health.zone() {
                Zone::SafetyAndLiveness => '+',
                Zone::SafetyOnly => 's',
                Zone::Nothing => '-',
            }
        };
        actions.into_iter().map(letter).collect()
    }

    #[test]
    fn the_budget_is_counted_in_stake_and_each_node_once() {
        let equal = [2_500; 4];
        let skewed = [3_334, 3_333, 3_332, 1];
        assert_eq!(
            after_each(&equal, vec![crash(0), turn(0), disk(0, DiskFault::Wipe)]),
            "+++"
        );
        assert_eq!(after_each(&equal, vec![crash(0), turn(1)]), "+s");
        assert_eq!(after_each(&equal, vec![turn(0), turn(1)]), "+-");
        assert_eq!(after_each(&skewed, vec![crash(0)]), "s");
        assert_eq!(after_each(&skewed, vec![crash(1), crash(3)]), "+s");
        assert_eq!(after_each(&skewed, vec![turn(2), turn(3)]), "++");
    }

    #[test]
    fn what_is_over_counts_no_more_but_contradictions_stay() {
        let equal = [2_500; 4];
        let restart = |node| Action::Restart { node };
        let (pause, resume) = (|node| Action::Pause { node }, |node| Action::Resume { node });
        assert_eq!(after_each(&equal, vec![crash(0), crash(1), restart(0)]), "+s+");
        assert_eq!(after_each(&equal, vec![pause(0), pause(1), resume(1)]), "+s+");
        assert_eq!(
            after_each(&equal, vec![crash(0), crash(1), Action::HealAll]),
            "+s+"
        );
        let absent = |node| Action::Absent { node };
        let away = vec![absent(0), absent(1), Action::HealAll, restart(0)];
        assert_eq!(after_each(&equal, away), "+ss+");
        let honest = vec![
            turn(0),
            Action::Honest { node: 0 },
            crash(1),
            Action::HealAll,
            turn(1),
        ];
        assert_eq!(after_each(&equal, honest), "++++-");
        let clear = Action::DiskClear {
            node: 0,
            kind: FaultKind::ReadOnly,
        };
        assert_eq!(
            after_each(&equal, vec![disk(0, DiskFault::ReadOnly), crash(1), clear]),
            "+s+"
        );
        let rot = DiskFault::Rot { ppm: 1 };
        assert_eq!(
            after_each(&equal, vec![disk(0, rot), turn(1), Action::HealAll]),
            "+ss"
        );
        assert_eq!(after_each(&equal, vec![Action::SwapDisks { a: 0, b: 1 }]), "-");
        let slow = DiskFault::Slow { percent: 300 };
        assert_eq!(
            after_each(&equal, vec![disk(0, slow), disk(1, slow), disk(2, slow)]),
            "+++"
        );
    }

    #[test]
    fn who_is_cut_off_from_the_most_stake_is_away() {
        let equal = [2_500; 4];
        assert_eq!(after_each(&equal, vec![part(&[0], Direction::Both)]), "+");
        assert_eq!(after_each(&equal, vec![part(&[0, 1], Direction::Both)]), "s");
        assert_eq!(
            after_each(&equal, vec![part(&[0, 1, 2], Direction::Out), crash(3)]),
            "++"
        );
        let cut = |from, to| Action::Cut { from, to };
        // One direction of one link is a detour; that of all of them is not.
        assert_eq!(
            after_each(&equal, vec![cut(0, 1), cut(0, 2), cut(0, 3), turn(1)]),
            "+++s"
        );
        assert_eq!(
            after_each(&equal, vec![cut(1, 0), cut(2, 0), cut(3, 0), turn(1)]),
            "+++s"
        );
        let mend = Action::Mend { from: 0, to: 3 };
        assert_eq!(
            after_each(&equal, vec![cut(0, 1), cut(0, 2), cut(0, 3), turn(1), mend]),
            "+++s+"
        );
        let heal = Action::Heal {
            side: vec![0, 1],
            direction: Direction::Both,
        };
        let twice = vec![
            part(&[0, 1], Direction::Both),
            part(&[0, 1], Direction::Both),
            heal.clone(),
            heal,
        ];
        assert_eq!(after_each(&equal, twice), "sss+");
    }

    #[test]
    fn the_zone_of_a_run_is_that_after_its_last_step() {
        let equal = [2_500; 4];
        let steps = vec![
            Step::new(0, Action::Absent { node: 3 }),
            Step::new(5, crash(0)),
            Step::new(5, Action::Restart { node: 0 }),
            Step::new(6, crash(0)),
            Step::new(9, Action::HealAll),
        ];
        let plan = Plan { steps };
        let at = VirtualTime::from_millis;
        let expected = [
            (VirtualTime::ZERO, Zone::SafetyAndLiveness),
            (at(6), Zone::SafetyOnly),
            (at(9), Zone::SafetyAndLiveness),
        ];
        assert_eq!(zones(&plan, &equal), expected);
        assert_eq!(zone(&plan, &equal), Zone::SafetyAndLiveness);
        let steps = vec![Step::new(0, turn(0)), Step::new(0, turn(1))];
        assert_eq!(
            zones(&Plan { steps }, &equal),
            [(VirtualTime::ZERO, Zone::Nothing)]
        );
    }

    #[test]
    fn stakes_add_up_and_are_as_unequal_as_they_may() {
        for nodes in 1..=256 {
            let equal = Stakes::Equal.of(Seed::new(1), nodes);
            let (least, most) = (equal.iter().min().unwrap(), equal.iter().max().unwrap());
            assert!(
                most - least <= 1 && equal.iter().sum::<u64>() == ALL_STAKE,
                "{equal:?}"
            );
        }
        let mut widest = 0;
        for seed in (0..50).map(Seed::new) {
            for nodes in [1, 2, 4, 7, 50, 256] {
                let drawn = Stakes::Drawn.of(seed, nodes);
                assert_eq!((drawn.len(), drawn.iter().sum::<u64>()), (nodes, ALL_STAKE));
                let (least, most) = (*drawn.iter().min().unwrap(), *drawn.iter().max().unwrap());
                assert!(least >= 1 && (nodes < 4 || most <= 3_333), "{drawn:?}");
                widest = widest.max(most / least);
            }
        }
        assert!(widest >= 30, "{widest}");
        assert_eq!(spread(&[10_000, 1, 1, 1]), [3_333, 3_332, 2, 3_333]);
    }
}
