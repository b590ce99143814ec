//! What consensus promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::rounds::{EveryRound, SteadyPace};
use crate::budget::Zone;
use crate::oracle::{Class, Fact, Oracle, Violation};
use crate::plan::{Action, Plan};
use crate::scenario::{HEAL_LIMIT, NetPreset, Scenario};
use crate::time::VirtualTime;
use crate::world::NodeIndex;

/// The oracles of the load.
pub fn oracles(scenario: &Scenario, plan: &Plan) -> Vec<Box<dyn Oracle>> {
    let nodes = scenario.nodes;
    let mut oracles: Vec<Box<dyn Oracle>> = vec![
        Box::new(OneChain::default()),
        Box::new(OneBlockPerSlot::default()),
        Box::new(EachCommitOnce::new(nodes)),
        Box::new(Order),
        Box::new(Progress::new(nodes)),
        Box::new(EveryRound::new(nodes, super::gc_depth(scenario))),
    ];
    let is_nothing = |action: &Action| matches!(action, Action::Absent { .. } | Action::HealAll);
    if scenario.net == NetPreset::Lan && plan.steps.iter().all(|step| is_nothing(&step.action)) {
        let half = VirtualTime::from_nanos(scenario.until().as_nanos() / 2);
        oracles.push(Box::new(SteadyPace::new(scenario.pause(), half)));
    }
    oracles
}

pub(super) fn violation(fact: &Fact<'_>, class: Class, oracle: &'static str, what: String) -> Violation {
    let Fact::Said { node, at, seq, .. } = fact else {
        unreachable!("an oracle objects to what a node says");
    };
    Violation {
        class,
        oracle,
        node: Some(*node),
        at: *at,
        seq: Some(*seq),
        what,
    }
}

/// Any two members, in whatever incarnations, are given the same commit at the same index.
#[derive(Default)]
struct OneChain {
    commits: BTreeMap<u64, [u8; 32]>,
}

impl Oracle for OneChain {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Said { event, .. } if event.kind == "committed" => {
                let digest = *event.digest.expect("a commit's event carries its digest");
                let known = *self.commits.entry(event.a).or_insert(digest);
                if known != digest {
                    let what = format!("commit {} is another one elsewhere", event.a);
                    return Err(violation(fact, Class::Safety, "one_chain", what));
                }
            }
            // Its disk may be damaged beyond use. Everything else that a member gives up for is a fork, or a bug.
            Fact::Said { event, .. } if event.kind == "member_failed" && event.a != super::DISK_FAILED => {
                let what = format!("member {} gave up with code {}", event.b, event.a);
                return Err(violation(fact, Class::Safety, "one_chain", what));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _at: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

/// No honest member makes two blocks for one slot, in whatever incarnations, unless its disk lost what it had promised to
/// keep and did not say so. What a member signed while it was Byzantine comes up for ever.
#[derive(Default)]
struct OneBlockPerSlot {
    blocks: BTreeMap<(u64, u64), [u8; 32]>,
    forgetful: BTreeSet<NodeIndex>,
    byzantine: BTreeSet<NodeIndex>,
}

impl Oracle for OneBlockPerSlot {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Damaged {
                node,
                unnoticed: true,
            } => _ = self.forgetful.insert(*node),
            Fact::Byzantine { node, .. } => _ = self.byzantine.insert(*node),
            Fact::Spared { node } => _ = self.forgetful.remove(node),
            // What a member accepts of its own is not said before it is made: a crash may take it back.
            Fact::Said { node, event, .. }
                if event.kind == "block_made"
                    || event.kind == "block_accepted" && *node as u64 != event.b =>
            {
                let digest = *event.digest.expect("a block's event carries its digest");
                let known = *self.blocks.entry((event.a, event.b)).or_insert(digest);
                let mut excused = self.forgetful.iter().chain(&self.byzantine);
                let is_excused = excused.any(|node| *node as u64 == event.b);
                if known != digest && !is_excused {
                    let what = format!("two blocks of author {} in round {}", event.b, event.a);
                    return Err(violation(fact, Class::Safety, "one_block_per_slot", what));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _at: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

/// A consumer is given each commit behind the one that it knew at its start, in order and once.
struct EachCommitOnce {
    last: Vec<u64>,
}

impl EachCommitOnce {
    fn new(nodes: usize) -> Self {
        Self { last: vec![0; nodes] }
    }
}

impl Oracle for EachCommitOnce {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        let Fact::Said { node, event, .. } = fact else {
            return Ok(());
        };
        match event.kind {
            "consumer_started" => self.last[*node] = event.a,
            "handled" => {
                let last = std::mem::replace(&mut self.last[*node], event.a);
                if event.a != last + 1 {
                    let what = format!("commit {} was delivered behind commit {last}", event.a);
                    return Err(violation(fact, Class::Safety, "each_commit_once", what));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _at: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

/// Leaders' rounds and timestamps never go back, and each block is in one commit.
struct Order;

impl Oracle for Order {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Said { event, .. } if event.kind == "order_broken" => {
                let what = [
                    "its leader does not follow the one before",
                    "its timestamp is below the one before",
                    "its blocks are out of order",
                    "it holds a block that an earlier one holds",
                    "its beacon is not the one that its leader's share makes",
                ];
                let what = usize::try_from(event.b)
                    .ok()
                    .and_then(|code| what.get(code))
                    .unwrap_or(&"it is wrong");
                let what = format!("commit {}: {what}", event.a);
                Err(violation(fact, Class::Safety, "order", what))
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _at: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

/// Soon after the heal every member is given commits that nobody had before.
struct Progress {
    newest: Vec<u64>,
    byzantine: BTreeSet<NodeIndex>,
    absent: BTreeSet<NodeIndex>,
    healed: Option<Healed>,
    /// Whether the plan leaves enough stake for progress.
    is_owed: bool,
}

/// What has to follow the last heal.
struct Healed {
    at: VirtualTime,
    wanted: u64,
    /// When each member got there.
    reached: Vec<Option<VirtualTime>>,
}

/// Commits that have to follow the heal.
const COMMITS_AFTER_HEAL: u64 = 5;

impl Progress {
    fn new(nodes: usize) -> Self {
        Self {
            newest: vec![0; nodes],
            byzantine: BTreeSet::new(),
            absent: BTreeSet::new(),
            healed: None,
            is_owed: true,
        }
    }
}

impl Oracle for Progress {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Owed { zone } => self.is_owed = *zone == Zone::SafetyAndLiveness,
            Fact::Byzantine { node, .. } => _ = self.byzantine.insert(*node),
            Fact::Honest { node, .. } => _ = self.byzantine.remove(node),
            Fact::Absent { node, .. } => _ = self.absent.insert(*node),
            Fact::Started { node, .. } => _ = self.absent.remove(node),
            Fact::Said { node, at, event, .. } if event.kind == "handled" => {
                self.newest[*node] = self.newest[*node].max(event.a);
                if let Some(healed) = &mut self.healed
                    && event.a >= healed.wanted
                {
                    healed.reached[*node].get_or_insert(*at);
                }
            }
            Fact::Healed { at } => {
                // What followed an earlier heal is not forgotten.
                self.finish(*at)?;
                let newest = self.newest.iter().max().copied().unwrap_or(0);
                self.healed = Some(Healed {
                    at: *at,
                    wanted: newest + COMMITS_AFTER_HEAL,
                    reached: vec![None; self.newest.len()],
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, at: VirtualTime) -> Result<(), Violation> {
        let Some(healed) = self.healed.as_ref().filter(|_| self.is_owed) else {
            return Ok(());
        };
        let took = |reached: VirtualTime| Duration::from_nanos(reached.since(healed.at));
        let late = |node: &NodeIndex| match healed.reached[*node] {
            Some(reached) => took(reached) > HEAL_LIMIT,
            None => took(at) >= HEAL_LIMIT,
        };
        let is_excused = |node: &NodeIndex| self.byzantine.contains(node) || self.absent.contains(node);
        let mut nodes = (0..self.newest.len()).filter(|node| !is_excused(node));
        let Some(node) = nodes.find(late) else {
            return Ok(());
        };
        let commits: Vec<String> = self.newest.iter().map(u64::to_string).collect();
        Err(Violation {
            class: Class::Liveness,
            oracle: "progress_after_heal",
            node: Some(node),
            at,
            seq: None,
            what: format!(
                "commit {} was due {HEAL_LIMIT:?} after the heal; all of them are at {}",
                healed.wanted,
                commits.join(", ")
            ),
        })
    }
}
