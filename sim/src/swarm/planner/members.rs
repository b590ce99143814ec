//! Who is Byzantine, who comes late and who never comes: drawn before the faults, and counted with them.

use super::Planner;
use crate::adversary::Manner;
use crate::consensus;
use crate::draw::Draw;
use crate::plan::{Action, Step};
use crate::recipe;
use crate::scenario::Scenario;
use crate::world::NodeIndex;

impl Planner {
    /// Says of both of each pair of twins what they are.
    pub(in crate::swarm) fn twins(&mut self, scenario: &Scenario) {
        let members = scenario.members();
        for node in (0..self.nodes() - members).flat_map(|member| [member, members + member]) {
            self.damaged.insert(node);
            self.byzantine.insert(node);
            let action = Action::Byzantine {
                node,
                strategy: consensus::TWIN.to_owned(),
                with: Manner::default(),
            };
            self.steps.push(Step::new(0, action));
        }
    }

    /// Draws Byzantine nodes: some within the budget, or more than it allows if the run must fail.
    pub(in crate::swarm) fn byzantine(&mut self, scenario: &Scenario, draw: &mut Draw) {
        let most = match usize::try_from(scenario.byzantine_most) {
            Ok(0) | Err(_) => self.nodes(),
            Ok(most) => most.min(self.nodes()),
        };
        let wanted = self.byzantine.len() as u64 + draw.within(1, most as u64);
        for node in self.in_any_order(draw) {
            let is_enough = if scenario.must_fail {
                self.stake(&self.byzantine) > self.budget
            } else {
                self.byzantine.len() as u64 == wanted
            };
            if is_enough {
                break;
            }
            let is_twin = self.byzantine.contains(&node);
            if is_twin || (!scenario.must_fail && !self.may_lose(node)) {
                continue;
            }
            self.damaged.insert(node);
            self.byzantine.insert(node);
            let action = Action::Byzantine {
                node,
                strategy: strategy(scenario, draw),
                with: self.manner(node, draw),
            };
            let at_ms = if draw.chance(500_000) {
                0
            } else {
                draw.below(scenario.fault_ms)
            };
            self.steps.push(Step::new(at_ms, action));
            // One that must fail may not think better of it.
            let back_ms = draw.within(at_ms + 1, at_ms + 20_000);
            if draw.chance(200_000) && !scenario.must_fail {
                self.push(back_ms, Action::Honest { node });
            }
        }
    }

    /// Draws nodes that never run.
    pub(in crate::swarm) fn absent(&mut self, count: u64, draw: &mut Draw) {
        let mut left = count;
        for node in self.in_any_order(draw) {
            if left == 0 {
                break;
            }
            if self.damaged.contains(&node) || !self.may_lose(node) {
                continue;
            }
            left -= 1;
            self.damaged.insert(node);
            // Nothing else strikes it, and no fault's end starts it.
            self.hurt_until.insert(node, u64::MAX);
            self.steps.push(Step::new(0, Action::Absent { node }));
        }
    }

    /// Draws nodes that start while faults happen.
    pub(in crate::swarm) fn late(&mut self, count: u64, draw: &mut Draw) {
        let mut left = count;
        for node in self.in_any_order(draw) {
            let back_ms = draw.within(1, self.end_ms.saturating_sub(1).max(1));
            if left == 0 || !self.hurt(node, 0, back_ms) {
                continue;
            }
            left -= 1;
            self.steps.push(Step::new(0, Action::Absent { node }));
            self.steps.push(Step::new(back_ms, Action::Restart { node }));
        }
    }

    fn in_any_order(&self, draw: &mut Draw) -> Vec<NodeIndex> {
        let mut nodes: Vec<NodeIndex> = (0..self.nodes()).collect();
        draw.shuffle(&mut nodes);
        nodes
    }

    /// What a Byzantine node strikes: everyone or some, everything or some of it.
    fn manner(&self, node: NodeIndex, draw: &mut Draw) -> Manner {
        let mut to = Vec::new();
        if draw.chance(500_000) {
            let chosen = (0..self.nodes()).filter(|other| *other != node && draw.chance(500_000));
            to.extend(chosen);
        }
        let ppm = *draw.pick(&[10_000, 200_000, 1_000_000, 1_000_000]);
        let number = |most, draw: &mut Draw| {
            let drawn = draw.within(1, most);
            if draw.chance(500_000) { drawn } else { 0 }
        };
        Manner {
            to,
            channels: Vec::new(),
            ppm,
            ms: number(5_000, draw),
            bytes: number(200_000, draw),
        }
    }
}

/// One of those that the scenario names, or of all that the load has.
fn strategy(scenario: &Scenario, draw: &mut Draw) -> String {
    if scenario.strategies.is_empty() {
        let strategies = recipe::strategies(scenario.load);
        let known: Vec<&str> = strategies
            .iter()
            .map(|(name, _)| name)
            .filter(|name| *name != consensus::TWIN)
            .collect();
        (*draw.pick(&known)).to_owned()
    } else {
        draw.pick(&scenario.strategies).clone()
    }
}
