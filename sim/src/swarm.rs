//! From a scenario and a seed to a plan: each seed turns some families of faults on, and draws from those alone.
//!
//! The budget: over a whole run at most f = (n - 1) / 3 nodes lose something that they had made durable. What the heal
//! undoes (crashes, pauses, partitions, links, clocks, disks that are slow or refuse) may strike any number of nodes at
//! a time; in half of the seeds no more than f are down or paused at once, so that the network works on meanwhile.
//! So every plan that is drawn here has to keep safety throughout and liveness after the heal.

mod planner;

use serde::{Deserialize, Serialize};

use self::planner::Planner;
use crate::draw::{Domain, Seed};
use crate::plan::{Action, Plan, Step};
use crate::scenario::Scenario;

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
    let mut planner = Planner::new(scenario, &mut draw);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::disk::{DiskFault, FaultKind, Harm};

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
