//! From a scenario and a seed to a plan: each seed turns some families of faults on, and draws from those alone.
//!
//! The budget: at any instant the nodes that are down, cut off, paused, or whose disk was damaged are at most
//! f = (n - 1) / 3. What only delays (slow links, slow disks, clocks) may strike anyone. So every plan that is drawn
//! here has to keep safety throughout and liveness after the heal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::disk::{DiskFault, FaultKind, Repeat, Survivors, Tear};
use crate::draw::{Domain, Draw, Seed};
use crate::hosts::HostManner;
use crate::load::BLOB_URL;
use crate::network::LinkFault;
use crate::plan::{Action, Direction, Plan, Step};
use crate::scenario::Scenario;
use crate::world::NodeIndex;

/// A family of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Crashes with loss of what was not synced, and restarts.
    Crash,
    /// Pauses and slow processors.
    Pause,
    /// Partitions of every shape, and resets.
    Partition,
    /// Loss, corruption, duplication, detours, latency, thin links.
    Link,
    /// Drift and steps.
    Clock,
    /// Slow, failing, full, lying, rotting disks.
    Disk,
    /// Bad blob hosts.
    Host,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 7] = [
        Self::Crash,
        Self::Pause,
        Self::Partition,
        Self::Link,
        Self::Clock,
        Self::Disk,
        Self::Host,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::Link => "link",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::Host => "host",
        }
    }

    /// The family called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}

/// Draws the plan of `seed`.
pub fn plan(scenario: &Scenario, seed: Seed) -> Plan {
    let mut draw = seed.draw(Domain::Plan, 1, 0, 0);
    // A seed has each family with even odds: a few kinds of faults in depth find more than all of them at once.
    let families: Vec<Family> = scenario
        .faults
        .iter()
        .copied()
        .filter(|_| draw.chance(500_000))
        .collect();
    let mut planner = Planner {
        nodes: scenario.nodes,
        budget: (scenario.nodes - 1) / 3,
        end_ms: scenario.fault_ms,
        hurt_until: BTreeMap::new(),
        steps: Vec::new(),
    };
    let mut at_ms = 0;
    let mut number = 0;
    while !families.is_empty() {
        number += 1;
        let mut draw = seed.draw(Domain::Plan, 2, 0, number);
        at_ms += draw.within(1, 2 * scenario.fault_gap_ms);
        if at_ms >= scenario.fault_ms {
            break;
        }
        let family = *draw.pick(&families);
        planner.fault(family, at_ms, &mut draw);
    }
    planner.steps.push(Step::new(scenario.fault_ms, Action::HealAll));
    planner.steps.sort_by_key(|step| step.at_us);
    Plan { steps: planner.steps }
}

struct Planner {
    nodes: usize,
    budget: usize,
    end_ms: u64,
    /// Until when a node counts against the budget.
    hurt_until: BTreeMap<NodeIndex, u64>,
    steps: Vec<Step>,
}

/// A node whose disk was damaged counts until the end of the run: what it lost does not come back.
const FOR_EVER: u64 = u64::MAX;

impl Planner {
    fn fault(&mut self, family: Family, at_ms: u64, draw: &mut Draw) {
        let until_ms = at_ms + draw.within(100, 8_000);
        match family {
            Family::Crash => self.crash(at_ms, until_ms, draw),
            Family::Pause => self.pause(at_ms, until_ms, draw),
            Family::Partition => self.partition(at_ms, until_ms, draw),
            Family::Link => self.link(at_ms, until_ms, draw),
            Family::Clock => self.clock(at_ms, until_ms, draw),
            Family::Disk => self.disk(at_ms, until_ms, draw),
            Family::Host => self.host(at_ms, until_ms, draw),
        }
    }

    fn push(&mut self, at_ms: u64, action: Action) {
        // Whatever would end after the faults end is ended by the heal.
        if at_ms < self.end_ms {
            self.steps.push(Step::new(at_ms, action));
        }
    }

    fn node(&self, draw: &mut Draw) -> NodeIndex {
        usize::try_from(draw.below(self.nodes as u64)).expect("a node's number is small")
    }

    /// A node that may be hurt from `at_ms` until `until_ms` within the budget.
    fn victim(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) -> Option<NodeIndex> {
        let node = self.node(draw);
        let hurt = self
            .hurt_until
            .iter()
            .filter(|(other, until)| **other != node && **until > at_ms)
            .count();
        let free = self.hurt_until.get(&node).is_none_or(|until| *until <= at_ms);
        if hurt >= self.budget || !free {
            return None;
        }
        self.hurt_until.insert(node, until_ms);
        Some(node)
    }

    fn crash(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) {
        let Some(node) = self.victim(at_ms, until_ms, draw) else {
            return;
        };
        let survivors = *draw.pick(&[
            Survivors::Nothing,
            Survivors::Prefix,
            Survivors::Prefix,
            Survivors::Everything,
        ]);
        self.push(at_ms, Action::Crash { node, survivors });
        self.push(until_ms, Action::Restart { node });
    }

    fn pause(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) {
        if draw.chance(500_000) {
            let node = self.node(draw);
            self.push(
                at_ms,
                Action::Slow {
                    node,
                    percent: draw.within(200, 5_000),
                },
            );
            return self.push(until_ms, Action::Slow { node, percent: 100 });
        }
        let Some(node) = self.victim(at_ms, until_ms, draw) else {
            return;
        };
        self.push(at_ms, Action::Pause { node });
        self.push(until_ms, Action::Resume { node });
    }

    fn partition(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) {
        let direction = *draw.pick(&[Direction::Both, Direction::Both, Direction::Out, Direction::In]);
        match draw.below(4) {
            // Any split at all, beyond the budget: liveness is owed only after the heal.
            0 => {
                let mut side: Vec<NodeIndex> = (0..self.nodes).collect();
                draw.shuffle(&mut side);
                let size = draw.below(self.nodes as u64);
                side.truncate(usize::try_from(size).expect("fewer nodes than memory"));
                side.sort_unstable();
                self.push(
                    at_ms,
                    Action::Partition {
                        side: side.clone(),
                        direction,
                    },
                );
                self.push(until_ms, Action::Heal { side, direction });
            }
            1 => {
                let (from, to) = (self.node(draw), self.node(draw));
                self.push(at_ms, Action::Cut { from, to });
                self.push(until_ms, Action::Mend { from, to });
            }
            2 => {
                let (from, to) = (self.node(draw), self.node(draw));
                self.push(at_ms, Action::Reset { from, to });
            }
            _ => {
                let side = vec![self.node(draw)];
                self.push(
                    at_ms,
                    Action::Partition {
                        side: side.clone(),
                        direction,
                    },
                );
                self.push(until_ms, Action::Heal { side, direction });
            }
        }
    }

    fn link(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) {
        let mut fault = LinkFault::default();
        match draw.below(7) {
            0 => fault.loss_ppm = ppm(draw, 300_000),
            1 => fault.vanish_ppm = ppm(draw, 300_000),
            2 => fault.duplicate_ppm = ppm(draw, 500_000),
            3 => fault.corrupt_ppm = ppm(draw, 100_000),
            4 => {
                fault.reorder_ppm = ppm(draw, 500_000);
                fault.detour_us = draw.within(1_000, 500_000);
            }
            5 => fault.extra_latency_us = draw.within(10_000, 2_000_000),
            _ => fault.bytes_per_second = draw.within(2_000, 100_000),
        }
        let from = draw.chance(700_000).then(|| self.node(draw));
        let to = draw.chance(500_000).then(|| self.node(draw));
        self.push(at_ms, Action::Link { from, to, fault });
        self.push(
            until_ms,
            Action::Link {
                from,
                to,
                fault: LinkFault::default(),
            },
        );
    }

    fn clock(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) {
        let node = self.node(draw);
        if draw.chance(500_000) {
            let ppb = i64::try_from(draw.within(0, 200_000_000)).expect("small") - 100_000_000;
            self.push(at_ms, Action::ClockDrift { node, ppb });
        } else {
            let ms = i64::try_from(draw.within(0, 120_000)).expect("small") - 60_000;
            self.push(at_ms, Action::ClockStep { node, ms });
        }
        self.push(until_ms, Action::ClockRepair { node });
    }

    fn disk(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) {
        let delays = draw.below(3) == 0;
        if delays {
            let node = self.node(draw);
            let fault = match draw.below(3) {
                0 => DiskFault::Slow {
                    percent: u32::try_from(draw.within(200, 10_000)).expect("small"),
                },
                1 => DiskFault::Throttle {
                    bytes_per_second: draw.within(10_000, 1_000_000),
                },
                _ => DiskFault::Stall {
                    until_ns: until_ms.min(self.end_ms) * 1_000_000,
                },
            };
            self.push(at_ms, Action::Disk { node, fault });
            return self.push(
                until_ms,
                Action::DiskClear {
                    node,
                    kind: fault.kind(),
                },
            );
        }
        let fault = match draw.below(11) {
            0 => DiskFault::ReadError { repeat: repeat(draw) },
            1 => DiskFault::WriteError { repeat: repeat(draw) },
            2 => DiskFault::FailedSync,
            3 => DiskFault::ReadOnly,
            4 => DiskFault::Full {
                limit_bytes: draw.within(1, 50_000),
            },
            5 => DiskFault::FlippedRead {
                ppm: ppm(draw, 200_000),
            },
            6 => DiskFault::Rot {
                ppm: ppm(draw, 50_000),
            },
            7 => DiskFault::Misdirected {
                ppm: ppm(draw, 50_000),
            },
            8 => DiskFault::LyingSync,
            9 => DiskFault::Phantom {
                ppm: ppm(draw, 50_000),
            },
            _ => DiskFault::TornTail {
                tear: *draw.pick(&[Tear::Cut, Tear::Hole]),
            },
        };
        let damage = fault.kind().harm() >= crate::disk::Harm::Damage;
        let hurt_until = if damage { FOR_EVER } else { until_ms };
        let Some(node) = self.victim(at_ms, hurt_until, draw) else {
            return;
        };
        self.push(at_ms, Action::Disk { node, fault });
        let crash = matches!(
            fault.kind(),
            FaultKind::TornTail | FaultKind::LyingSync | FaultKind::Phantom
        );
        if crash || draw.chance(300_000) {
            let middle = at_ms + (until_ms - at_ms) / 2;
            self.push(
                middle,
                Action::Crash {
                    node,
                    survivors: Survivors::Prefix,
                },
            );
            self.push(
                until_ms,
                Action::DiskClear {
                    node,
                    kind: fault.kind(),
                },
            );
            return self.push(until_ms, Action::Restart { node });
        }
        self.push(
            until_ms,
            Action::DiskClear {
                node,
                kind: fault.kind(),
            },
        );
    }

    fn host(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) {
        let manner = match draw.below(6) {
            0 => HostManner::Slow {
                bytes_per_second: draw.within(1_000, 1_000_000),
            },
            1 => HostManner::Missing,
            2 => HostManner::Silent,
            3 => HostManner::Flaky {
                ppm: ppm(draw, 900_000),
            },
            4 => HostManner::Lying,
            _ => HostManner::Selective {
                nodes: vec![self.node(draw)],
            },
        };
        self.push(
            at_ms,
            Action::Host {
                prefix: BLOB_URL.to_owned(),
                manner,
            },
        );
        self.push(
            until_ms,
            Action::Host {
                prefix: BLOB_URL.to_owned(),
                manner: HostManner::Honest,
            },
        );
    }
}

fn ppm(draw: &mut Draw, most: u64) -> u32 {
    u32::try_from(draw.within(1_000, most)).expect("parts of a million fit")
}

fn repeat(draw: &mut Draw) -> Repeat {
    if draw.chance(500_000) {
        Repeat::Once
    } else {
        Repeat::Always
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn plans_read_back_fit_their_scenario_and_reach_every_action() {
        let scenario = Scenario {
            nodes: 7,
            ..Scenario::default()
        };
        let mut names = BTreeSet::new();
        for seed in 0..300 {
            let plan = scenario.plan(Seed::new(seed));
            assert_eq!(Plan::parse(&plan.to_text()), Ok(plan.clone()));
            assert_eq!(plan.check(scenario.nodes, scenario.until()), Ok(()));
            names.extend(plan.steps.iter().map(|step| step.action.name()));
        }
        let drawn: Vec<_> = names.into_iter().collect();
        let all = "clock_drift clock_repair clock_step crash cut disk disk_clear heal heal_all host link mend \
                   partition pause reset restart resume slow";
        assert_eq!(drawn.join(" "), all);
    }

    #[test]
    fn no_more_than_f_nodes_are_down_at_a_time() {
        let scenario = Scenario {
            nodes: 10,
            fault_gap_ms: 50,
            ..Scenario::default()
        };
        let mut most = 0;
        for seed in 0..100 {
            let mut down = BTreeSet::new();
            for step in scenario.plan(Seed::new(seed)).steps {
                match step.action {
                    Action::Crash { node, .. } | Action::Pause { node } => _ = down.insert(node),
                    Action::Restart { node } | Action::Resume { node } => _ = down.remove(&node),
                    Action::HealAll => down.clear(),
                    _ => {}
                }
                most = most.max(down.len());
            }
        }
        assert_eq!(most, 3);
    }
}
