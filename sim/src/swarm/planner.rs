//! Draws one fault after another within the budget.

mod members;

use std::collections::{BTreeMap, BTreeSet};

use super::Family;
use crate::budget::{ALL_STAKE, most_bad};
use crate::disk::{DiskFault, FaultKind, Harm, Repeat, Survivors, Tear};
use crate::draw::Draw;
use crate::hosts::HostManner;
use crate::load::BLOB_URL;
use crate::network::LinkFault;
use crate::plan::{Action, Direction, Step};
use crate::scenario::Scenario;
use crate::world::NodeIndex;

/// What a plan may still do, and the steps that it has so far.
pub(super) struct Planner {
    /// The stake of each node.
    stakes: Vec<u64>,
    /// How much stake may be bad.
    budget: u64,
    /// How much stake may be down, paused, Byzantine, or have a disk that does not work, at a time.
    most_down: u64,
    end_ms: u64,
    /// Until when a node counts as one of those.
    hurt_until: BTreeMap<NodeIndex, u64>,
    /// Nodes that may have lost something durable: it does not come back. Those that do worse count too.
    damaged: BTreeSet<NodeIndex>,
    /// Of those, the Byzantine ones.
    byzantine: BTreeSet<NodeIndex>,
    /// What has a fault whose end restores it, and until when: a second fault would end with the first.
    busy: Vec<(Target, u64)>,
    pub(super) steps: Vec<Step>,
}

/// What one fault at a time may change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// Links from a node to a node, or from or to every one.
    Links(Option<NodeIndex>, Option<NodeIndex>),
    Speed(NodeIndex),
    Clock(NodeIndex),
    Disk(NodeIndex, FaultKind),
    Hosts,
}

impl Target {
    /// Whether the two have something in common.
    fn meets(self, other: Self) -> bool {
        let meet = |one: Option<NodeIndex>, other: Option<NodeIndex>| {
            one.is_none() || other.is_none() || one == other
        };
        match (self, other) {
            (Self::Links(from, to), Self::Links(other_from, other_to)) => {
                meet(from, other_from) && meet(to, other_to)
            }
            _ => self == other,
        }
    }
}

impl Planner {
    pub(super) fn new(scenario: &Scenario, stakes: Vec<u64>, draw: &mut Draw) -> Self {
        let budget = most_bad(&stakes);
        let most_down = if draw.chance(500_000) { budget } else { ALL_STAKE };
        Self {
            stakes,
            budget,
            most_down,
            end_ms: scenario.fault_ms,
            hurt_until: BTreeMap::new(),
            damaged: BTreeSet::new(),
            byzantine: BTreeSet::new(),
            busy: Vec::new(),
            steps: Vec::new(),
        }
    }

    pub(super) fn fault(&mut self, family: Family, at_ms: u64, draw: &mut Draw) {
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

    fn nodes(&self) -> usize {
        self.stakes.len()
    }

    fn stake(&self, nodes: &BTreeSet<NodeIndex>) -> u64 {
        nodes.iter().map(|node| self.stakes[*node]).sum()
    }

    /// Whether the budget has room for a node that loses what was durable, or does worse.
    fn may_lose(&self, node: NodeIndex) -> bool {
        self.damaged.contains(&node) || self.stake(&self.damaged) + self.stakes[node] <= self.budget
    }

    fn push(&mut self, at_ms: u64, action: Action) {
        // Whatever would end after the faults end is ended by the heal.
        if at_ms < self.end_ms {
            self.steps.push(Step::new(at_ms, action));
        }
    }

    fn node(&self, draw: &mut Draw) -> NodeIndex {
        usize::try_from(draw.below(self.nodes() as u64)).expect("a node's number is small")
    }

    /// Two nodes, if there are two.
    fn two_nodes(&self, draw: &mut Draw) -> Option<(NodeIndex, NodeIndex)> {
        let (one, step) = (self.node(draw), draw.below(self.nodes() as u64 - 1));
        let other = one + 1 + usize::try_from(step).expect("a node's number is small");
        (self.nodes() > 1).then_some((one, other % self.nodes()))
    }

    /// A node that may be hurt from `at_ms` until `until_ms`, and may lose something durable if `damage` says so.
    fn victim(&mut self, at_ms: u64, until_ms: u64, damage: bool, draw: &mut Draw) -> Option<NodeIndex> {
        let node = self.node(draw);
        if damage && !self.may_lose(node) {
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
        let hurt = self.hurt_until.iter().filter(|(_, until)| **until > at_ms);
        let mut hurt: BTreeSet<NodeIndex> = hurt
            .map(|(other, _)| *other)
            .chain(self.byzantine.clone())
            .collect();
        hurt.insert(node);
        let free = self.hurt_until.get(&node).is_none_or(|until| *until <= at_ms);
        let may = self.stake(&hurt) <= self.most_down && free;
        if may {
            self.hurt_until.insert(node, until_ms);
        }
        may
    }

    /// Takes `target` from `at_ms` until `until_ms`, if no fault has a part of it then.
    fn take(&mut self, target: Target, at_ms: u64, until_ms: u64) -> bool {
        self.busy.retain(|(_, until)| *until > at_ms);
        let free = !self.busy.iter().any(|(busy, _)| busy.meets(target));
        if free {
            self.busy.push((target, until_ms));
        }
        free
    }

    /// Every clock is off from the beginning.
    pub(super) fn offsets(&mut self, draw: &mut Draw) {
        for node in 0..self.nodes() {
            let ms = offset_ms(draw);
            self.push(0, Action::ClockStep { node, ms });
        }
    }

    fn crash(&mut self, at_ms: u64, until_ms: u64, draw: &mut Draw) {
        let power_cut = draw.chance(150_000);
        let struck = if power_cut {
            (0..self.nodes())
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
            let percent = draw.within(200, 5_000);
            if !self.take(Target::Speed(node), at_ms, until_ms) {
                return;
            }
            self.push(at_ms, Action::Slow { node, percent });
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
        if self.nodes() < 2 {
            return;
        }
        match draw.below(4) {
            // Any split at all.
            0 => {
                let mut side: Vec<NodeIndex> = (0..self.nodes()).collect();
                draw.shuffle(&mut side);
                let size = draw.within(1, self.nodes() as u64 - 1);
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
        if !self.take(Target::Links(from, to), at_ms, until_ms) {
            return;
        }
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
        if !self.take(Target::Clock(node), at_ms, until_ms) {
            return;
        }
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
            if !self.take(Target::Disk(node, fault.kind()), at_ms, until_ms) {
                return;
            }
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
        // Without a crash these do nothing, or never end.
        let crash = matches!(
            fault.kind(),
            FaultKind::TornTail
                | FaultKind::LyingSync
                | FaultKind::Phantom
                | FaultKind::CorruptOpen
                | FaultKind::Hang
        );
        let middle = at_ms + (until_ms - at_ms) / 2;
        if crash && middle >= self.end_ms {
            return;
        }
        let Some(node) = self.victim(at_ms, until_ms, damage, draw) else {
            return;
        };
        self.push(at_ms, Action::Disk { node, fault });
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
        if !self.take(Target::Hosts, at_ms, until_ms) {
            return;
        }
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
