//! What consensus promises.
//!
//! Here: one chain, one block per slot, each commit once, in order. In files of their own: `liveness` (progress after a heal),
//! `quality` (everybody's blocks and payloads are ordered), `epochs` (one end for all), `evidence` (who is accused), `memory`
//! (what is held is bounded), `figures` (what the verdict line says). `scene` knows who is who, and `limits` how long what
//! may take.

mod epochs;
mod evidence;
mod figures;
mod limits;
mod liveness;
#[cfg(test)]
pub(super) mod lives;
mod memory;
mod quality;
pub(super) mod scene;

use std::collections::BTreeMap;

use self::epochs::Epochs;
use self::evidence::Evidence;
use self::figures::Figures;
use self::limits::Limits;
use self::liveness::Progress;
use self::memory::Memory;
use self::quality::Quality;
use self::scene::Scene;
use super::committees::Committees;
use super::member::DISK_FAILED;
use super::rounds::{EveryRound, SteadyPace};
use crate::draw::Seed;
use crate::oracle::{Class, Fact, Oracle, Violation};
use crate::plan::{Action, Plan};
use crate::scenario::{NetPreset, Scenario};
use crate::time::VirtualTime;

/// The oracles of the load.
pub fn oracles(seed: Seed, scenario: &Scenario, plan: &Plan) -> Vec<Box<dyn Oracle>> {
    let scene = Scene::new(Committees::new(seed, scenario), scenario.nodes);
    let limits = Limits::new(seed, scenario);
    let mut oracles: Vec<Box<dyn Oracle>> = vec![
        Box::new(OneChain::new(scene.clone())),
        Box::new(OneBlockPerSlot::new(scene.clone())),
        Box::new(EachCommitOnce::new(scenario.nodes)),
        Box::new(Order),
        Box::new(Epochs::new(scene.clone())),
        Box::new(Evidence::new(scene.clone())),
        Box::new(Memory::new(
            scene.clone(),
            &super::rules(seed, scenario),
            &super::pace(scenario),
        )),
        Box::new(Progress::new(scene.clone(), limits.heal)),
        Box::new(EveryRound::new(scene.clone(), super::gc_depth(scenario))),
        Box::new(Quality::new(scene, limits)),
        Box::new(Figures::default()),
    ];
    let is_nothing = |action: &Action| matches!(action, Action::Absent { .. } | Action::HealAll);
    let is_plain = scenario.net == NetPreset::Lan && scenario.epochs <= 1;
    if is_plain && plan.steps.iter().all(|step| is_nothing(&step.action)) {
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

/// Any two members, in whatever incarnations, are given the same commit at the same index of an epoch.
struct OneChain {
    scene: Scene,
    commits: BTreeMap<(u64, u64), [u8; 32]>,
}

impl OneChain {
    fn new(scene: Scene) -> Self {
        Self {
            scene,
            commits: BTreeMap::new(),
        }
    }
}

impl Oracle for OneChain {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.scene.note(fact);
        match fact {
            Fact::Said { node, event, .. } if event.kind == "committed" => {
                let digest = *event.digest.expect("a commit's event carries its digest");
                let place = (self.scene.epoch(*node), event.a);
                let known = *self.commits.entry(place).or_insert(digest);
                if known != digest {
                    let what = format!("commit {} of epoch {} is another one elsewhere", place.1, place.0);
                    return Err(violation(fact, Class::Safety, "one_chain", what));
                }
            }
            // Its disk may be damaged beyond use. Everything else that a member gives up for is a fork, or a bug.
            Fact::Said { event, .. } if event.kind == "member_failed" && event.a != DISK_FAILED => {
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
/// keep and did not say so.
struct OneBlockPerSlot {
    scene: Scene,
    /// By epoch, round and author.
    blocks: BTreeMap<(u64, u64, u64), [u8; 32]>,
}

impl OneBlockPerSlot {
    fn new(scene: Scene) -> Self {
        Self {
            scene,
            blocks: BTreeMap::new(),
        }
    }
}

impl Oracle for OneBlockPerSlot {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.scene.note(fact);
        let Fact::Said { node, event, .. } = fact else {
            return Ok(());
        };
        let is_own = self.scene.author(*node, event.b) == Some(*node);
        // What a member accepts of its own is not said before it is made: a crash may take it back.
        if event.kind == "block_made" || event.kind == "block_accepted" && !is_own {
            let digest = *event.digest.expect("a block's event carries its digest");
            let slot = (self.scene.epoch(*node), event.a, event.b);
            let known = *self.blocks.entry(slot).or_insert(digest);
            if known != digest && self.scene.is_to_blame(*node, event.b) {
                let what = format!("two blocks of author {} in round {}", event.b, event.a);
                return Err(violation(fact, Class::Safety, "one_block_per_slot", what));
            }
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
