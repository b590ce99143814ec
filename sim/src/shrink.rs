//! Makes a failing plan small: fewer steps, fewer nodes, simpler parameters, as long as it fails in the same way.
//!
//! Every decision of a run is drawn at its own address, so taking a step out changes no other decision: that is why
//! this converges. What is left at the end is minimal in the sense that no single step can be taken out of it.

use std::collections::BTreeSet;

use crate::adversary::Manner;
use crate::disk::{DiskFault, Survivors};
use crate::hosts::HostManner;
use crate::network::LinkFault;
use crate::plan::{Action, Direction, Plan, Step};
use crate::time::VirtualTime;

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What goes wrong.
    pub plan: Plan,
    /// In a network of how many nodes.
    pub nodes: usize,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The smallest candidate that failed.
    pub smallest: Candidate,
    /// How many candidates were tried.
    pub runs: u32,
    /// Whether everything smaller was tried; otherwise the limit ended it.
    pub is_minimal: bool,
}

/// Shrinks `start`, which is known to fail at `failed_at`, in at most `limit` runs of `fails`.
///
/// # Errors
/// The first error of `fails`.
pub fn shrink<E>(
    start: Candidate,
    failed_at: VirtualTime,
    limit: u32,
    fails: impl FnMut(&Candidate) -> Result<bool, E>,
) -> Result<Shrunk, E> {
    let mut shrinker = Shrinker {
        best: start,
        tried: BTreeSet::new(),
        limit,
        runs: 0,
        is_cut_off: false,
        fails,
    };
    shrinker.cut_after(failed_at)?;
    loop {
        let before = shrinker.best.clone();
        shrinker.remove_steps()?;
        shrinker.remove_nodes()?;
        shrinker.simplify()?;
        if shrinker.best == before || shrinker.is_cut_off {
            break;
        }
    }
    Ok(Shrunk {
        smallest: shrinker.best,
        runs: shrinker.runs,
        is_minimal: !shrinker.is_cut_off,
    })
}

struct Shrinker<F> {
    best: Candidate,
    /// What was tried before, as text: there are at most as many as runs.
    tried: BTreeSet<String>,
    limit: u32,
    runs: u32,
    is_cut_off: bool,
    fails: F,
}

/// Numbers of nodes that are tried.
const FEWER_NODES: usize = 4;

impl<E, F: FnMut(&Candidate) -> Result<bool, E>> Shrinker<F> {
    /// Takes `candidate` if it fails, and says whether it did.
    fn attempt(&mut self, candidate: Candidate) -> Result<bool, E> {
        let key = format!("{} {}", candidate.nodes, candidate.plan.to_text());
        if candidate == self.best || self.tried.contains(&key) {
            return Ok(false);
        }
        if self.runs >= self.limit {
            self.is_cut_off = true;
            return Ok(false);
        }
        self.runs += 1;
        self.tried.insert(key);
        let fails = (self.fails)(&candidate)?;
        if fails {
            self.best = candidate;
        }
        Ok(fails)
    }

    fn with_steps(&self, steps: Vec<Step>) -> Candidate {
        Candidate {
            plan: Plan { steps },
            nodes: self.best.nodes,
        }
    }

    /// What happens after the failure did not cause it.
    fn cut_after(&mut self, failed_at: VirtualTime) -> Result<(), E> {
        let steps = &self.best.plan.steps;
        let before = steps.iter().filter(|step| step.at() <= failed_at).cloned();
        let candidate = self.with_steps(before.collect());
        self.attempt(candidate).map(drop)
    }

    /// Takes runs of steps out, the long ones first. What this leaves is gone through again, until nothing can go.
    fn remove_steps(&mut self) -> Result<(), E> {
        let mut size = self.best.plan.steps.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < self.best.plan.steps.len() {
                let mut steps = self.best.plan.steps.clone();
                steps.drain(from..(from + size).min(steps.len()));
                let candidate = self.with_steps(steps);
                if !self.attempt(candidate)? {
                    from += size;
                }
            }
            size /= 2;
        }
        Ok(())
    }

    /// Tries the smallest networks that have every node that the plan names.
    fn remove_nodes(&mut self) -> Result<(), E> {
        let named = self.best.plan.steps.iter().flat_map(|step| step.action.nodes());
        let least = named.max().map_or(1, |node| node + 1);
        for nodes in (least..self.best.nodes).take(FEWER_NODES) {
            let plan = self.best.plan.clone();
            if self.attempt(Candidate { plan, nodes })? {
                break;
            }
        }
        Ok(())
    }

    /// Puts simpler actions and rounder times into each step.
    fn simplify(&mut self) -> Result<(), E> {
        for index in 0..self.best.plan.steps.len() {
            loop {
                let mut simpler = false;
                for action in simpler_actions(&self.best.plan.steps[index].action) {
                    let mut steps = self.best.plan.steps.clone();
                    steps[index].action = action;
                    let candidate = self.with_steps(steps);
                    if self.attempt(candidate)? {
                        simpler = true;
                        break;
                    }
                }
                if !simpler {
                    break;
                }
            }
            let earlier = index
                .checked_sub(1)
                .map_or(0, |before| self.best.plan.steps[before].at_us);
            for unit_us in [1_000_000, 100_000, 10_000] {
                let mut steps = self.best.plan.steps.clone();
                steps[index].at_us -= steps[index].at_us % unit_us;
                if steps[index].at_us < earlier {
                    continue;
                }
                let candidate = self.with_steps(steps);
                if self.attempt(candidate)? {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Certain, of a million.
const ALWAYS: u32 = 1_000_000;

/// Actions of the same kind that say less, the simplest first. Each is closer to one that has none.
fn simpler_actions(action: &Action) -> Vec<Action> {
    match action {
        Action::Crash { node, survivors } if *survivors != Survivors::Nothing => vec![Action::Crash {
            node: *node,
            survivors: Survivors::Nothing,
        }],
        Action::Slow { node, percent } if *percent > 200 => vec![Action::Slow {
            node: *node,
            percent: 200,
        }],
        Action::ClockDrift { node, ppb } if ppb.abs() > 1_000_000 => vec![Action::ClockDrift {
            node: *node,
            ppb: ppb.signum() * 1_000_000,
        }],
        Action::ClockStep { node, ms } if ms.abs() > 1_000 => vec![Action::ClockStep {
            node: *node,
            ms: ms.signum() * 1_000,
        }],
        Action::Partition { side, direction } => simpler_partitions(side, *direction),
        Action::Link { from, to, fault } => simpler_links(fault)
            .into_iter()
            .map(|fault| Action::Link {
                from: *from,
                to: *to,
                fault,
            })
            .collect(),
        Action::Disk { node, fault } => certain(*fault)
            .map(|fault| Action::Disk { node: *node, fault })
            .into_iter()
            .collect(),
        Action::Host { prefix, manner } if !matches!(manner, HostManner::Honest | HostManner::Missing) => {
            vec![Action::Host {
                prefix: prefix.clone(),
                manner: HostManner::Missing,
            }]
        }
        Action::Byzantine { node, strategy, with } => simpler_manners(with)
            .into_iter()
            .map(|with| Action::Byzantine {
                node: *node,
                strategy: strategy.clone(),
                with,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The same with one of its parts as it is where nobody says it.
fn simpler_manners(manner: &Manner) -> Vec<Manner> {
    let without: [fn(&mut Manner); 5] = [
        |manner| manner.to.clear(),
        |manner| manner.channels.clear(),
        |manner| manner.ppm = ALWAYS,
        |manner| manner.ms = 0,
        |manner| manner.bytes = 0,
    ];
    let less = without.iter().map(|remove| {
        let mut less = manner.clone();
        remove(&mut less);
        less
    });
    less.filter(|less| less != manner).collect()
}

fn simpler_partitions(side: &[usize], direction: Direction) -> Vec<Action> {
    let mut simpler = Vec::new();
    if direction != Direction::Both {
        simpler.push(Action::Partition {
            side: side.to_vec(),
            direction: Direction::Both,
        });
    }
    if side.len() > 1 {
        simpler.extend((0..side.len()).map(|index| {
            let mut side = side.to_vec();
            side.remove(index);
            Action::Partition { side, direction }
        }));
    }
    simpler
}

/// The same with one of its faults less.
fn simpler_links(fault: &LinkFault) -> Vec<LinkFault> {
    let without: [fn(&mut LinkFault); 7] = [
        |fault| fault.loss_ppm = 0,
        |fault| fault.vanish_ppm = 0,
        |fault| fault.duplicate_ppm = 0,
        |fault| fault.corrupt_ppm = 0,
        |fault| (fault.reorder_ppm, fault.detour_us) = (0, 0),
        |fault| fault.extra_latency_us = 0,
        |fault| fault.bytes_per_second = 0,
    ];
    let less = without.iter().map(|remove| {
        let mut less = fault.clone();
        remove(&mut less);
        less
    });
    less.filter(|less| less != fault && *less != LinkFault::default())
        .collect()
}

/// The same fault without chance.
fn certain(fault: DiskFault) -> Option<DiskFault> {
    let certain = match fault {
        DiskFault::FlippedRead { .. } => DiskFault::FlippedRead { ppm: ALWAYS },
        DiskFault::Rot { .. } => DiskFault::Rot { ppm: ALWAYS },
        DiskFault::Misdirected { .. } => DiskFault::Misdirected { ppm: ALWAYS },
        DiskFault::Phantom { .. } => DiskFault::Phantom { ppm: ALWAYS },
        DiskFault::Slow { percent } if percent > 200 => DiskFault::Slow { percent: 200 },
        other => other,
    };
    (certain != fault).then_some(certain)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    use super::*;
    use crate::Seed;
    use crate::adversary::Strategies;
    use crate::kernel::Plain;
    use crate::load;
    use crate::oracle::{Class, Fact, Oracle, Violation};
    use crate::run::Simulation;
    use crate::scenario::Scenario;
    use crate::trace::{Header, Options};
    use crate::world::NodeIndex;

    /// Objects when two nodes are down at one time: a rule that no network keeps, so its smallest plan is known.
    #[derive(Default)]
    struct OneDownAtATime(BTreeSet<NodeIndex>);

    impl Oracle for OneDownAtATime {
        fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
            match fact {
                Fact::Started { node, .. } => {
                    self.0.remove(node);
                }
                Fact::Crashed { node, at, .. } => {
                    self.0.insert(*node);
                    if self.0.len() == 2 {
                        return Err(Violation {
                            class: Class::Invariant,
                            oracle: "one_down_at_a_time",
                            node: Some(*node),
                            at: *at,
                            seq: None,
                            what: "two nodes are down".to_owned(),
                        });
                    }
                }
                _ => {}
            }
            Ok(())
        }

        fn finish(&mut self, _: VirtualTime) -> Result<(), Violation> {
            Ok(())
        }
    }

    fn violation(scenario: &Scenario, candidate: &Candidate) -> Option<Violation> {
        let seed = Seed::new(3);
        let (nodes, blobs) = load::build(seed, candidate.nodes, scenario.pause(), scenario.payload);
        let simulation = Simulation {
            seed,
            config: scenario.world(seed),
            nodes,
            blobs,
            stakes: scenario.stakes(seed),
            strategies: Strategies::default(),
            plan: candidate.plan.clone(),
            until: scenario.until(),
            oracles: vec![Box::<OneDownAtATime>::default()],
            header: Header::default(),
            options: Options::default(),
            sink: None,
            pulse: Box::new(|_, _| ()),
        };
        simulation.run::<Plain>().unwrap().violation
    }

    #[test]
    fn a_planted_failure_shrinks_to_the_steps_that_make_it() {
        let scenario = Scenario {
            fault_ms: 6_000,
            heal_ms: 500,
            pause_ms: 1_000,
            fault_gap_ms: 200,
            ..Scenario::default()
        };
        let mut plan = scenario.plan(Seed::new(1));
        assert!(plan.steps.len() > 10, "{}", plan.steps.len());
        let crash = |node| Action::Crash {
            node,
            survivors: Survivors::Prefix,
        };
        plan.steps.push(Step::new(3_456, crash(0)));
        plan.steps.push(Step::new(3_789, crash(1)));
        plan.steps.sort_by_key(|step| step.at_us);
        let start = Candidate { plan, nodes: 4 };
        let failed_at = violation(&scenario, &start).unwrap().at;
        let fails = |candidate: &Candidate| Ok::<_, Infallible>(violation(&scenario, candidate).is_some());
        let Ok(shrunk) = shrink(start.clone(), failed_at, 200, fails);
        let nothing = |node| Action::Crash {
            node,
            survivors: Survivors::Nothing,
        };
        let steps = vec![Step::new(3_000, nothing(0)), Step::new(3_000, nothing(1))];
        let smallest = Candidate {
            plan: Plan { steps },
            nodes: 2,
        };
        assert_eq!((shrunk.smallest, shrunk.is_minimal), (smallest, true));
        let Ok(cut_off) = shrink(start, failed_at, 2, fails);
        assert_eq!((cut_off.runs, cut_off.is_minimal), (2, false));
    }

    #[test]
    fn a_pair_of_steps_far_apart_is_found_among_many() {
        let pause = |node| Step::new(node as u64, Action::Pause { node });
        let steps: Vec<Step> = (0..64).map(pause).collect();
        let plan = Plan { steps };
        let needed = [pause(5), pause(60)];
        let fails = |candidate: &Candidate| {
            Ok::<_, Infallible>(needed.iter().all(|step| candidate.plan.steps.contains(step)))
        };
        let Ok(shrunk) = shrink(Candidate { plan, nodes: 64 }, VirtualTime::NEVER, 200, fails);
        assert_eq!(shrunk.smallest.plan.steps, needed);
        assert_eq!(shrunk.smallest.nodes, 61);
        assert!(shrunk.runs < 60, "{}", shrunk.runs);
    }

    #[test]
    fn the_manner_of_a_byzantine_node_shrinks_to_what_matters() {
        let turn = |with| {
            vec![Step::new(
                1_000,
                Action::Byzantine {
                    node: 1,
                    strategy: "delay".to_owned(),
                    with,
                },
            )]
        };
        let with = Manner {
            to: vec![3],
            channels: vec![1],
            ppm: 10,
            ms: 20,
            bytes: 30,
        };
        let start = Candidate {
            plan: Plan { steps: turn(with) },
            nodes: 4,
        };
        let fails = |candidate: &Candidate| {
            let needs = |step: &Step| matches!(&step.action, Action::Byzantine { with, .. } if with.ms == 20);
            Ok::<_, Infallible>(candidate.plan.steps.iter().any(needs))
        };
        let Ok(shrunk) = shrink(start, VirtualTime::NEVER, 100, fails);
        let with = Manner {
            ms: 20,
            ..Manner::default()
        };
        assert_eq!(
            (shrunk.smallest.plan.steps, shrunk.smallest.nodes),
            (turn(with), 2)
        );
    }

    #[test]
    fn simpler_actions_come_to_an_end() {
        let scenario = Scenario {
            nodes: 7,
            ..Scenario::default()
        };
        for seed in 0..100 {
            for step in scenario.plan(Seed::new(seed)).steps {
                let mut action = step.action;
                let mut depth = 0;
                while let Some(simpler) = simpler_actions(&action).into_iter().next() {
                    assert_ne!(simpler, action);
                    action = simpler;
                    depth += 1;
                    assert!(depth < 20, "{action:?}");
                }
            }
        }
    }
}
