//! From a scenario and a seed to a plan: each seed turns some families of faults on, and draws from those alone.
//!
//! The budget: over a whole run at most f = (n - 1) / 3 nodes lose something that they had made durable. What the heal
//! undoes (crashes, pauses, partitions, links, clocks, disks that are slow or refuse) may strike any number of nodes at
//! a time; in half of the seeds no more than f are down or paused at once, so that the network works on meanwhile.
//! So every plan that is drawn here has to keep safety throughout and liveness after the heal.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::disk::{DiskFault, FaultKind, Harm, Repeat, Survivors, Tear};
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
    /// Offsets, drift and steps.
    Clock,
    /// Slow, failing, full, lying, rotting, wiped and swapped disks.
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
    let budget = (scenario.nodes - 1) / 3;
    let mut planner = Planner {
        nodes: scenario.nodes,
        budget,
        most_down: if draw.chance(500_000) {
            budget
        } else {
            scenario.nodes
        },
        end_ms: scenario.fault_ms,
        hurt_until: BTreeMap::new(),
        damaged: BTreeSet::new(),
        steps: Vec::new(),
    };
    if families.contains(&Family::Clock) {
        planner.offsets(&mut draw);
    }
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
    /// How many nodes may lose something durable.
    budget: usize,
    /// How many nodes may be down, paused, or have a disk that does not work, at a time.
    most_down: usize,
    end_ms: u64,
    /// Until when a node counts as one of those.
    hurt_until: BTreeMap<NodeIndex, u64>,
    /// Nodes that may have lost something durable: it does not come back.
    damaged: BTreeSet<NodeIndex>,
    steps: Vec<Step>,
}

impl Planner {
    fn fault(&mut self, family: Family, at_ms: u64, draw: &mut Draw) {
        // Now and then longer than a session lives without a word.
        let longest_ms = if draw.chance(200_000) { 25_000 } else { 8_000 };
        let until_ms = at_ms + draw.within(100, longest_ms);
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

    /// Two nodes, if there are two.
    fn two_nodes(&self, draw: &mut Draw) -> Option<(NodeIndex, NodeIndex)> {
        let (one, step) = (self.node(draw), draw.below(self.nodes as u64 - 1));
        let other = one + 1 + usize::try_from(step).expect("a node's number is small");
        (self.nodes > 1).then_some((one, other % self.nodes))
    }

    /// A node that may be hurt from `at_ms` until `until_ms`, and may lose something durable if `damage` says so.
    fn victim(&mut self, at_ms: u64, until_ms: u64, damage: bool, draw: &mut Draw) -> Option<NodeIndex> {
        let node = self.node(draw);
        if damage && !self.damaged.contains(&node) && self.damaged.len() >= self.budget {
            return None;
        }
        self.hurt(node, at_ms, until_ms).then(|| {
            if damage {
                self.damaged.insert(node);
            }
            node
        })
    }

    /// Counts `node` as hurt, if it is not and there is room for one more.
    fn hurt(&mut self, node: NodeIndex, at_ms: u64, until_ms: u64) -> bool {
        let hurt = self
            .hurt_until
            .iter()
            .filter(|(other, until)| **other != node && **until > at_ms)
            .count();
        let free = self.hurt_until.get(&node).is_none_or(|until| *until <= at_ms);
        let may = hurt < self.most_down && free;
        if may {
            self.hurt_until.insert(node, until_ms);
        }
        may
    }

    /// Every clock is off from the beginning.
    fn offsets(&mut self, draw: &mut Draw) {
        for node in 0..self.nodes {
            let ms = offset_ms(draw);
            self.push(0, Action::ClockStep { node, ms });
        }
    }

    fn crash(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) {
        let power_cut = draw.chance(150_000);
        let struck = if power_cut {
            (0..self.nodes)
                .filter(|node| self.hurt(*node, at_ms, until_ms))
                .collect()
        } else {
            Vec::from_iter(self.victim(at_ms, until_ms, false, draw))
        };
        for node in struck {
            let survivors = *draw.pick(&[
                Survivors::Nothing,
                Survivors::Prefix,
                Survivors::Prefix,
                Survivors::Everything,
            ]);
            self.push(at_ms, Action::Crash { node, survivors });
            let back_ms = draw.within(at_ms + 1, until_ms);
            self.push(back_ms, Action::Restart { node });
        }
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
        let Some(node) = self.victim(at_ms, until_ms, false, draw) else {
            return;
        };
        self.push(at_ms, Action::Pause { node });
        self.push(until_ms, Action::Resume { node });
    }

    fn partition(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) {
        let direction = *draw.pick(&[Direction::Both, Direction::Both, Direction::Out, Direction::In]);
        match draw.below(4) {
            // Any split at all.
            0 => {
                let mut side: Vec<NodeIndex> = (0..self.nodes).collect();
                draw.shuffle(&mut side);
                let size = draw.within(1, self.nodes as u64);
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
                let Some((from, to)) = self.two_nodes(draw) else {
                    return;
                };
                self.push(at_ms, Action::Cut { from, to });
                self.push(until_ms, Action::Mend { from, to });
            }
            2 => {
                let Some((from, to)) = self.two_nodes(draw) else {
                    return;
                };
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
            let ms = offset_ms(draw);
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
        let fault = match draw.below(14) {
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
            10 => DiskFault::TornTail {
                tear: *draw.pick(&[Tear::Cut, Tear::Hole]),
            },
            11 => DiskFault::CorruptOpen,
            12 => DiskFault::Hang,
            _ => return self.lose_disk(at_ms, until_ms, draw),
        };
        // The disks of a scenario recover to a point in time: a tear takes nothing that was durable.
        let damage = fault.kind().harm() >= Harm::Damage && fault.kind() != FaultKind::TornTail;
        let middle = at_ms + (until_ms - at_ms) / 2;
        if fault == DiskFault::Hang && middle >= self.end_ms {
            // The end of a hang is a crash: the heal ends none.
            return;
        }
        let Some(node) = self.victim(at_ms, until_ms, damage, draw) else {
            return;
        };
        self.push(at_ms, Action::Disk { node, fault });
        let crash = matches!(
            fault.kind(),
            FaultKind::TornTail
                | FaultKind::LyingSync
                | FaultKind::Phantom
                | FaultKind::CorruptOpen
                | FaultKind::Hang
        );
        if crash || draw.chance(300_000) {
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

    /// A node comes back with an empty disk, or two with each other's.
    fn lose_disk(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) {
        let Some(a) = self.victim(at_ms, until_ms, true, draw) else {
            return;
        };
        let swap = draw.chance(500_000);
        let b = swap.then(|| self.victim(at_ms, until_ms, true, draw)).flatten();
        for node in [Some(a), b].into_iter().flatten() {
            let survivors = Survivors::Prefix;
            self.push(at_ms, Action::Crash { node, survivors });
            self.push(until_ms, Action::Restart { node });
        }
        let action = match b {
            Some(b) => Action::SwapDisks { a, b },
            None => Action::Disk {
                node: a,
                fault: DiskFault::Wipe,
            },
        };
        self.push(at_ms, action);
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

/// A minute either way.
fn offset_ms(draw: &mut Draw) -> i64 {
    i64::try_from(draw.within(0, 120_000)).expect("two minutes are few milliseconds") - 60_000
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
    use super::*;

    fn plans(nodes: usize, seeds: u64) -> impl Iterator<Item = Plan> {
        let scenario = Scenario {
            nodes,
            fault_gap_ms: 300,
            ..Scenario::default()
        };
        (0..seeds).map(move |seed| {
            let plan = scenario.plan(Seed::new(seed));
            assert_eq!(Plan::parse(&plan.to_text()), Ok(plan.clone()));
            assert_eq!(plan.check(scenario.nodes, scenario.until()), Ok(()));
            plan
        })
    }

    fn words<T: Ord + AsRef<str>>(words: BTreeSet<T>) -> String {
        let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
        words.join(" ")
    }

    #[test]
    fn plans_read_back_fit_their_scenario_and_reach_every_kind_of_fault() {
        let (mut actions, mut disks, mut hosts) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut links = [0; 8];
        for plan in plans(7, 300) {
            for step in plan.steps {
                actions.insert(step.action.name());
                match step.action {
                    Action::Disk { fault, .. } => _ = disks.insert(format!("{:?}", fault.kind())),
                    Action::Host { manner, .. } => {
                        let manner = format!("{manner:?}");
                        hosts.extend(manner.split(' ').next().map(str::to_owned));
                    }
                    Action::Link { fault, .. } => {
                        let parts = [
                            u64::from(fault.loss_ppm),
                            u64::from(fault.vanish_ppm),
                            u64::from(fault.duplicate_ppm),
                            u64::from(fault.corrupt_ppm),
                            u64::from(fault.reorder_ppm),
                            fault.detour_us,
                            fault.extra_latency_us,
                            fault.bytes_per_second,
                        ];
                        links
                            .iter_mut()
                            .zip(parts)
                            .for_each(|(most, part)| *most = part.max(*most));
                    }
                    _ => {}
                }
            }
        }
        assert_eq!(
            words(actions),
            "clock_drift clock_repair clock_step crash cut disk disk_clear heal heal_all host link mend \
             partition pause reset restart resume slow swap_disks"
        );
        assert_eq!(
            words(disks),
            "CorruptOpen FailedSync FlippedRead Full Hang LyingSync Misdirected Phantom ReadError ReadOnly Rot \
             Slow Stall Throttle TornTail Wipe WriteError"
        );
        assert_eq!(words(hosts), "Flaky Honest Lying Missing Selective Silent Slow");
        assert!(links.iter().all(|most| *most > 0), "{links:?}");
    }

    #[test]
    fn no_more_than_f_nodes_ever_lose_what_was_durable() {
        let mut most = 0;
        for plan in plans(10, 200) {
            let mut damaged = BTreeSet::new();
            for step in plan.steps {
                match step.action {
                    Action::SwapDisks { a, b } => damaged.extend([a, b]),
                    Action::Disk { node, fault } => {
                        let kind = fault.kind();
                        if kind.harm() >= Harm::Damage && kind != FaultKind::TornTail {
                            damaged.insert(node);
                        }
                    }
                    _ => {}
                }
            }
            most = most.max(damaged.len());
        }
        assert_eq!(most, 3);
    }

    #[test]
    fn some_seeds_keep_a_quorum_up_and_others_cut_the_power_of_all() {
        let most_down = |plan: Plan| {
            let (mut down, mut most) = (BTreeSet::new(), 0);
            for step in plan.steps {
                match step.action {
                    Action::Crash { node, .. } | Action::Pause { node } => _ = down.insert(node),
                    Action::Restart { node } | Action::Resume { node } => _ = down.remove(&node),
                    Action::HealAll => down.clear(),
                    _ => {}
                }
                most = most.max(down.len());
            }
            most
        };
        let most: Vec<usize> = plans(10, 200).map(most_down).collect();
        assert!(most.contains(&3) && most.contains(&10), "{most:?}");
        let within = most.iter().filter(|most| **most <= 3).count();
        assert!(within > 80, "{within} of 200");
    }

    #[test]
    fn a_disk_that_hangs_is_crashed_before_the_faults_end() {
        let mut hangs = 0;
        for plan in plans(4, 300) {
            for (place, step) in plan.steps.iter().enumerate() {
                let Action::Disk {
                    node: hung,
                    fault: DiskFault::Hang,
                } = step.action
                else {
                    continue;
                };
                hangs += 1;
                let crashes =
                    |later: &Step| matches!(later.action, Action::Crash { node, .. } if node == hung);
                assert!(plan.steps[place..].iter().any(crashes), "{plan:?}");
            }
        }
        assert!(hangs > 0);
    }
}
