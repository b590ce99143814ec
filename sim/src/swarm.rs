//! From a scenario and a seed to a plan: each seed turns some families of faults on, and draws from those alone.
//!
//! The budget is f, less than a third of all stake: over a whole run nodes of at most so much stake are Byzantine, never
//! run, or lose something that they had made durable. What the heal undoes (crashes, pauses, partitions, links, clocks,
//! disks that are slow or refuse) may strike any stake at a time; in half of the seeds no more than f is down or paused
//! at once, so that the network works on meanwhile. So every plan that is drawn here has to keep safety throughout and
//! liveness after the heal, unless the scenario must fail: then the Byzantine nodes have more than f.

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
    let families = families(&scenario.faults, seed);
    let mut draw = seed.draw(Domain::Plan, 1, 0, 0);
    let mut planner = Planner::new(scenario, scenario.stakes(seed), &mut draw);
    planner.twins(scenario);
    let mut members = seed.draw(Domain::Plan, 6, 0, 0);
    if members.below(100) < scenario.byzantine_percent || scenario.must_fail {
        planner.byzantine(scenario, &mut members);
    }
    planner.absent(scenario.absent, &mut seed.draw(Domain::Plan, 7, 0, 0));
    planner.late(scenario.late, &mut seed.draw(Domain::Plan, 8, 0, 0));
    if families.contains(&Family::Clock) {
        planner.offsets(&mut draw);
    }
    let mut at_ms = 0;
    for number in 1.. {
        let mut draw = seed.draw(Domain::Plan, 2, 0, number);
        at_ms += draw.within(1, 2 * scenario.fault_gap_ms);
        let Some(family) = pick(&families, seed, number) else {
            break;
        };
        if at_ms >= scenario.fault_ms {
            break;
        }
        planner.fault(family, at_ms, &mut draw);
    }
    planner.steps.push(Step::new(scenario.fault_ms, Action::HealAll));
    planner.steps.sort_by_key(|step| step.at_us);
    Plan { steps: planner.steps }
}

/// The families of `allowed` that a seed has, each with even odds: a few kinds of faults in depth find more than all of
/// them at once. Whether it has one does not depend on which others are allowed.
fn families(allowed: &[Family], seed: Seed) -> Vec<Family> {
    let has = |family: &Family| seed.draw(Domain::Plan, 3, *family as u64, 0).chance(500_000);
    allowed.iter().copied().filter(has).collect()
}

/// The family of fault `number`: each draws a lot. So a family that is left out changes no fault of the others.
fn pick(families: &[Family], seed: Seed, number: u64) -> Option<Family> {
    let lot = |family: &Family| seed.draw(Domain::Plan, 4, *family as u64, number).bits();
    families.iter().copied().max_by_key(lot)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::budget::{self, Stakes, Zone};
    use crate::disk::{DiskFault, FaultKind, Harm};
    use crate::scenario::BUILT_IN;

    fn plans(nodes: usize, seeds: u64) -> impl Iterator<Item = Plan> {
        let scenario = Scenario {
            nodes,
            ..Scenario::default()
        };
        plans_of(scenario, seeds)
    }

    /// Plans of a scenario with more faults than it has.
    fn plans_of(mut scenario: Scenario, seeds: u64) -> impl Iterator<Item = Plan> {
        scenario.fault_gap_ms = 300;
        (0..seeds).map(move |seed| {
            let scenario = scenario.drawn(Seed::new(seed));
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

    /// The kinds of actions, disk faults and hosts in the plans of a scenario, and the most of each part of a link's
    /// fault.
    fn kinds(scenario: Scenario) -> ([String; 3], [u64; 8]) {
        let (mut actions, mut disks, mut hosts) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut links = [0; 8];
        for step in plans_of(scenario, 300).flat_map(|plan| plan.steps) {
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
        ([words(actions), words(disks), words(hosts)], links)
    }

    #[test]
    fn the_plans_of_every_built_in_scenario_reach_every_kind_of_fault() {
        for (name, _) in BUILT_IN {
            let scenario = Scenario::built_in(name).unwrap();
            let is_calm = scenario.faults.is_empty();
            if !is_calm && scenario.faults != Family::ALL {
                // It leaves some out on purpose.
                continue;
            }
            let ([actions, disks, hosts], links) = kinds(scenario);
            if is_calm {
                // Who never comes is no fault.
                let actions = actions.trim_start_matches("absent ");
                assert_eq!((actions, links), ("heal_all", [0; 8]), "{name}");
                continue;
            }
            assert_eq!(
                actions,
                "byzantine clock_drift clock_repair clock_step crash cut disk disk_clear heal heal_all honest host \
                 link mend partition pause reset restart resume slow swap_disks",
                "{name}"
            );
            assert_eq!(
                disks,
                "CorruptOpen FailedSync FlippedRead Full Hang LyingSync Misdirected Phantom ReadError ReadOnly Rot \
                 Slow Stall Throttle TornTail Wipe WriteError",
                "{name}"
            );
            assert_eq!(
                hosts, "Flaky Honest Lying Missing Selective Silent Slow",
                "{name}"
            );
            assert!(links.iter().all(|most| *most > 0), "{name}: {links:?}");
        }
    }

    #[test]
    fn a_family_that_is_left_out_changes_nothing_for_the_others() {
        for seed in (0..100).map(Seed::new) {
            let all = families(&Family::ALL, seed);
            for left_out in Family::ALL {
                let allowed: Vec<Family> = Family::ALL
                    .into_iter()
                    .filter(|family| *family != left_out)
                    .collect();
                let fewer: Vec<Family> = all.iter().copied().filter(|family| *family != left_out).collect();
                assert_eq!(families(&allowed, seed), fewer);
                for number in 1..20 {
                    let picked = pick(&all, seed, number);
                    let changed = pick(&fewer, seed, number) != picked;
                    assert!(!changed || picked == Some(left_out), "{left_out:?} of {all:?}");
                }
            }
        }
    }

    #[test]
    fn a_partition_has_two_sides() {
        let mut sizes = BTreeSet::new();
        for step in plans(4, 200).flat_map(|plan| plan.steps) {
            if let Action::Partition { side, .. } = step.action {
                sizes.insert(side.len());
            }
        }
        assert_eq!(sizes, BTreeSet::from([1, 2, 3]));
        for nodes in [1, 2] {
            let steps = plans(nodes, 50).flat_map(|plan| plan.steps);
            let sides = steps.filter_map(|step| match step.action {
                Action::Partition { side, .. } => Some(side.len()),
                _ => None,
            });
            assert!(sides.into_iter().all(|size| size < nodes), "{nodes}");
        }
    }

    /// What of the world a step changes, if a later step restores it; none but the end of a fault restores it.
    fn restored(step: &Step) -> Option<String> {
        match &step.action {
            Action::Slow { node, .. } => Some(format!("slow {node}")),
            // The offsets at the beginning have no end of their own.
            Action::ClockDrift { node, .. } | Action::ClockRepair { node } => Some(format!("clock {node}")),
            Action::ClockStep { node, .. } if step.at_us > 0 => Some(format!("clock {node}")),
            Action::Host { .. } => Some("hosts".to_owned()),
            Action::Disk { node, fault } if *fault != DiskFault::Wipe => {
                Some(format!("disk {node} {:?}", fault.kind()))
            }
            Action::DiskClear { node, kind } => Some(format!("disk {node} {kind:?}")),
            _ => None,
        }
    }

    #[test]
    fn no_fault_ends_with_another() {
        let mut faults = 0;
        for plan in plans(4, 300) {
            let mut standing = BTreeSet::new();
            let mut links: Vec<(Option<usize>, Option<usize>)> = Vec::new();
            for step in &plan.steps {
                if let Some(target) = restored(step) {
                    let is_fault = !step.action.heals();
                    let changed = if is_fault {
                        standing.insert(target)
                    } else {
                        standing.remove(&target)
                    };
                    assert!(changed, "{step:?} of {plan:?}");
                    faults += usize::from(is_fault);
                }
                let Action::Link { from, to, .. } = step.action else {
                    continue;
                };
                let meets = |one: Option<usize>, other: Option<usize>| {
                    one.is_none() || other.is_none() || one == other
                };
                if step.action.heals() {
                    assert!(links.contains(&(from, to)), "{step:?} of {plan:?}");
                    links.retain(|link| *link != (from, to));
                } else {
                    let met = links.iter().any(|link| meets(link.0, from) && meets(link.1, to));
                    assert!(!met, "{step:?} of {plan:?}");
                    links.push((from, to));
                }
            }
        }
        assert!(faults > 1_000, "{faults}");
    }

    /// A scenario with everybody whom a plan may draw.
    fn crowd(stakes: Stakes) -> Scenario {
        Scenario {
            nodes: 10,
            stakes,
            byzantine_percent: 80,
            late: 2,
            absent: 1,
            ..Scenario::default()
        }
    }

    #[test]
    fn every_plan_within_the_budget_owes_everything_after_its_heal() {
        for stakes in [Stakes::Equal, Stakes::Drawn] {
            let scenario = crowd(stakes);
            let mut worst = Zone::SafetyAndLiveness;
            let mut most = 0;
            for (seed, plan) in (0..).map(Seed::new).zip(plans_of(scenario.clone(), 200)) {
                let stakes = scenario.stakes(seed);
                let zones = budget::zones(&plan, &stakes);
                assert_eq!(budget::zone(&plan, &stakes), Zone::SafetyAndLiveness, "{seed}");
                worst = zones
                    .iter()
                    .map(|(_, zone)| *zone)
                    .max()
                    .max(Some(worst))
                    .expect("two zones");
                let byzantine = plan.steps.iter().filter_map(|step| match step.action {
                    Action::Byzantine { node, .. } => Some(stakes[node]),
                    _ => None,
                });
                most = most.max(byzantine.sum());
            }
            assert_eq!(worst, Zone::SafetyOnly);
            assert!((2_500..=3_333).contains(&most), "{most}");
        }
    }

    #[test]
    fn twins_are_byzantine_from_the_beginning_and_stay_within_the_budget() {
        let scenario = Scenario {
            nodes: 10,
            twins: 2,
            ..crowd(Stakes::Equal)
        };
        for (seed, plan) in (0..).map(Seed::new).zip(plans_of(scenario.clone(), 50)) {
            let stakes = scenario.stakes(seed);
            assert_eq!(stakes[7..], [1_250, 0, 0]);
            assert_eq!(budget::zone(&plan, &stakes), Zone::SafetyAndLiveness, "{seed}");
            let twins = plan.steps.iter().filter_map(|step| match &step.action {
                Action::Byzantine { node, strategy, .. } if strategy == "twin" => Some((*node, step.at_us)),
                _ => None,
            });
            assert_eq!(Vec::from_iter(twins), [(0, 0), (8, 0), (1, 0), (9, 0)]);
        }
    }

    #[test]
    fn a_run_that_must_fail_has_more_byzantine_stake_than_any_network_stands() {
        let scenario = Scenario {
            must_fail: true,
            byzantine_percent: 0,
            ..crowd(Stakes::Drawn)
        };
        for (seed, plan) in (0..).map(Seed::new).zip(plans_of(scenario.clone(), 100)) {
            assert_eq!(
                budget::zone(&plan, &scenario.stakes(seed)),
                Zone::Nothing,
                "{seed}"
            );
        }
    }

    #[test]
    fn the_share_of_seeds_with_byzantine_nodes_their_number_and_their_strategies_are_as_asked_for() {
        let scenario = Scenario {
            byzantine_percent: 30,
            byzantine_most: 2,
            strategies: vec!["hold".to_owned(), "another".to_owned()],
            ..crowd(Stakes::Equal)
        };
        let (mut counts, mut strategies) = (Vec::new(), BTreeSet::new());
        for plan in plans_of(scenario, 300) {
            let turned = plan.steps.iter().filter_map(|step| match &step.action {
                Action::Byzantine { strategy, .. } => Some(strategy.clone()),
                _ => None,
            });
            let turned: Vec<String> = turned.collect();
            counts.push(turned.len());
            strategies.extend(turned);
        }
        let seeds = counts.iter().filter(|count| **count > 0).count();
        assert!((70..110).contains(&seeds), "{seeds}");
        assert_eq!(counts.iter().max(), Some(&2));
        assert_eq!(words(strategies), "another hold");
    }

    #[test]
    fn who_comes_late_or_never_is_away_from_the_beginning() {
        let scenario = Scenario {
            byzantine_percent: 0,
            ..crowd(Stakes::Equal)
        };
        for plan in plans_of(scenario, 100) {
            let mut absent = BTreeSet::new();
            for step in &plan.steps {
                match step.action {
                    Action::Absent { node } => {
                        assert_eq!(step.at_us, 0);
                        absent.insert(node);
                    }
                    Action::Restart { node } => _ = absent.remove(&node),
                    Action::HealAll => break,
                    _ => {}
                }
            }
            assert_eq!(absent.len(), 1);
        }
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
    fn a_disk_fault_that_only_a_crash_brings_out_or_ends_is_crashed_before_the_faults_end() {
        let mut found = BTreeSet::new();
        for plan in plans(4, 300) {
            for (place, step) in plan.steps.iter().enumerate() {
                let Action::Disk { node: struck, fault } = step.action else {
                    continue;
                };
                let kind = fault.kind();
                if !matches!(
                    kind,
                    FaultKind::Hang | FaultKind::TornTail | FaultKind::LyingSync | FaultKind::Phantom
                ) {
                    continue;
                }
                found.insert(kind);
                let crashes =
                    |later: &Step| matches!(later.action, Action::Crash { node, .. } if node == struck);
                let later = plan.steps[place..].iter();
                let mut until = later.take_while(
                    |later| !matches!(later.action, Action::DiskClear { node, kind: end } if (node, end) == (struck, kind)),
                );
                assert!(until.any(crashes), "{kind:?} of {plan:?}");
            }
        }
        assert_eq!(found.len(), 4, "{found:?}");
    }
}
