//! Byzantine nodes: what leaves a node that is one, instead of what its program sends.
//!
//! The program of a Byzantine node stays the honest one. An [`Adversary`] stands between it and its links: it sees what
//! every packet says, may know the node's keys, and says what leaves. It cannot touch what its transport does by itself
//! (dials, pings, credits, ends of streams), nor the network between two other nodes.
//!
//! A plan turns a node Byzantine with the name of a strategy. The load knows what the names mean: it hands a list of
//! [`Strategies`] to the run, which are the generic ones of [`Strategies::generic`] and its own.

mod generic;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::draw::{Domain, Draw, Seed};
use crate::network::MAX_TAMPERED;
use crate::plan::{Action, Plan, PlanError};
use crate::time::VirtualTime;
use crate::trace::Name;
use crate::world::NodeIndex;

/// How a packet carries what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// A message.
    Message,
    /// A request.
    Request,
    /// The answer to a request.
    Answer,
    /// What a stream says first.
    Preamble,
    /// A frame of a stream.
    Frame,
}

/// What one packet says, on its way from one node to another.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// How it is carried.
    pub shape: Shape,
    /// The number of its channel.
    pub channel: u16,
    /// What it says.
    pub bytes: &'a Bytes,
    /// Who sends it.
    pub from: NodeIndex,
    /// Who is to get it.
    pub to: NodeIndex,
    /// When.
    pub now: VirtualTime,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It leaves as it is.
    Pass,
    /// These leave instead, to the same node, on the same channel, in the same shape: none, one or several. Of a
    /// stream, they leave in this order, and none of what comes later overtakes them. Where a stream has no room for
    /// all of them, the last ones stay.
    Send(Vec<Leaving>),
}

/// What leaves instead of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// What it says. It may be longer than its channel allows: then the receiver's transport refuses it.
    pub bytes: Bytes,
    /// How much later than the packet would have.
    pub after: Duration,
}

impl Deed {
    /// Nothing leaves.
    pub fn withhold() -> Self {
        Self::Send(Vec::new())
    }

    /// `bytes` leave instead.
    pub fn replace(bytes: Bytes) -> Self {
        Self::delay(bytes, Duration::ZERO)
    }

    /// `bytes` leave, so much later.
    pub fn delay(bytes: Bytes, after: Duration) -> Self {
        Self::Send(vec![Leaving { bytes, after }])
    }
}

/// What a Byzantine node does. It may remember what it did: one of them stands at all links of a node.
pub trait Adversary: Send {
    /// What becomes of a packet that the node's program sends. Chance comes from `draw` alone.
    fn meet(&mut self, packet: &Content<'_>, draw: &mut Draw) -> Deed;

    /// A packet of the node's program leaves as it is, for what the plan says of the node strikes it not.
    fn see(&mut self, packet: &Content<'_>) {
        let _ = packet;
    }

    /// A packet has come to the node, whose program is about to get it.
    fn hear(&mut self, packet: &Content<'_>) {
        let _ = packet;
    }
}

/// What a Byzantine node strikes, and the numbers that its strategy asks for. A number that is 0 is the strategy's to
/// choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manner {
    /// The nodes that get something else than was meant for them; every node when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<NodeIndex>,
    /// The channels that it strikes; every one when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<u16>,
    /// How many of a million packets it strikes.
    #[serde(skip_serializing_if = "is_all")]
    pub ppm: u32,
    /// A time.
    #[serde(skip_serializing_if = "is_zero")]
    pub ms: u64,
    /// A size, or a size per second.
    #[serde(skip_serializing_if = "is_zero")]
    pub bytes: u64,
}

const ALL: u32 = 1_000_000;

fn is_all(ppm: &u32) -> bool {
    *ppm == ALL
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            to: Vec::new(),
            channels: Vec::new(),
            ppm: ALL,
            ms: 0,
            bytes: 0,
        }
    }
}

impl Manner {
    /// Whether it says nothing that nobody needs to say.
    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    fn strikes(&self, packet: &Content<'_>) -> bool {
        let is_of = |channel| self.channels.is_empty() || self.channels.contains(&channel);
        (self.to.is_empty() || self.to.contains(&packet.to)) && is_of(packet.channel)
    }
}

/// Which node becomes Byzantine, and how.
#[derive(Clone, Copy, Debug)]
pub struct Assignment<'a> {
    /// The seed of the run: what its identities are made from.
    pub seed: Seed,
    /// The node.
    pub node: NodeIndex,
    /// The stake of each node.
    pub stakes: &'a [u64],
    /// What the plan says of it. The run itself sees to `to`, `channels` and `ppm`.
    pub manner: &'a Manner,
}

/// Makes the adversary of one node.
type Factory = Arc<dyn Fn(&Assignment<'_>) -> Box<dyn Adversary> + Send + Sync>;

/// The strategies that a plan may name. Those of one list may share what they know.
#[derive(Clone, Default)]
pub struct Strategies(BTreeMap<&'static str, (&'static str, Factory)>);

impl Strategies {
    /// Those that need to know nothing of the load.
    pub fn generic() -> Self {
        let mut strategies = Self::default();
        generic::add_all(&mut strategies);
        strategies
    }

    /// Adds one: its name, what it does in a sentence, and what makes the adversary of a node.
    ///
    /// # Panics
    /// When there is one of this name.
    pub fn add(
        &mut self,
        name: &'static str,
        summary: &'static str,
        make: impl Fn(&Assignment<'_>) -> Box<dyn Adversary> + Send + Sync + 'static,
    ) {
        let before = self.0.insert(name, (summary, Arc::new(make)));
        assert!(before.is_none(), "a strategy's name is its own: {name}");
    }

    /// Their names and what they do, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0.iter().map(|(name, (summary, _))| (*name, *summary))
    }

    /// Checks that every strategy that a plan names is here.
    ///
    /// # Errors
    /// [`PlanError::NoSuchStrategy`].
    pub fn check(&self, plan: &Plan) -> Result<(), PlanError> {
        for (step, action) in plan.steps.iter().map(|step| &step.action).enumerate() {
            if let Action::Byzantine { strategy, .. } = action
                && !self.has(strategy)
            {
                return Err(PlanError::NoSuchStrategy {
                    step,
                    strategy: strategy.clone(),
                    known: self.names(),
                });
            }
        }
        Ok(())
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All names, for people.
    pub fn names(&self) -> String {
        Vec::from_iter(self.0.keys().copied()).join(", ")
    }

    /// The strategy `name`, for one node.
    pub(crate) fn make(&self, name: &str, assignment: &Assignment<'_>) -> Option<Box<dyn Adversary>> {
        self.0.get(name).map(|(_, make)| make(assignment))
    }
}

impl fmt::Debug for Strategies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The adversary of one node.
pub(crate) struct Installed {
    pub adversary: Box<dyn Adversary>,
    pub manner: Manner,
    /// The name of its strategy, in the trace.
    pub name: Name,
    /// Packets that it has met, by receiver.
    met: BTreeMap<NodeIndex, u64>,
}

impl Installed {
    pub fn new(adversary: Box<dyn Adversary>, manner: Manner, name: Name) -> Self {
        Self {
            adversary,
            manner,
            name,
            met: BTreeMap::new(),
        }
    }

    /// What leaves instead of `packet`; `None` when it leaves as it is.
    pub fn meet(&mut self, seed: Seed, packet: &Content<'_>) -> Option<Vec<Leaving>> {
        let met = self.met.entry(packet.to).or_default();
        *met += 1;
        let mut draw = seed.draw(Domain::Adversary, packet.from as u64, packet.to as u64, *met);
        if !draw.chance(self.manner.ppm) || !self.manner.strikes(packet) {
            self.adversary.see(packet);
            return None;
        }
        let Deed::Send(leaving) = self.adversary.meet(packet, &mut draw) else {
            return None;
        };
        assert!(
            leaving.iter().all(|leaving| leaving.bytes.len() <= MAX_TAMPERED),
            "what a strategy sends fits into memory"
        );
        Some(leaving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;

    #[test]
    fn a_plan_says_the_strategy_and_only_what_differs_from_the_usual() {
        let text = "[[steps]]\nat_us = 5\n\n[steps.action.byzantine]\nnode = 2\nstrategy = \"withhold\"\n";
        let turn = |with| Action::Byzantine {
            node: 2,
            strategy: "withhold".to_owned(),
            with,
        };
        let plan = |with| Plan {
            steps: vec![Step {
                at_us: 5,
                action: turn(with),
            }],
        };
        assert_eq!(Plan::parse(text), Ok(plan(Manner::default())));
        assert_eq!(plan(Manner::default()).to_text(), text);
        let with = Manner {
            to: vec![0, 1],
            ppm: 10_000,
            ..Manner::default()
        };
        let more = format!("{text}\n[steps.action.byzantine.with]\nto = [\n    0,\n    1,\n]\nppm = 10000\n");
        assert_eq!(Plan::parse(&more), Ok(plan(with.clone())));
        assert_eq!(Plan::parse(&plan(with.clone()).to_text()), Ok(plan(with)));
        let unknown = format!("{text}\n[steps.action.byzantine.with]\nms_ = 1\n");
        assert!(matches!(Plan::parse(&unknown), Err(PlanError::Syntax(_))));
    }

    #[test]
    fn a_strategy_that_is_not_there_is_refused_with_the_list_of_those_that_are() {
        let turn = |strategy: &str| Action::Byzantine {
            node: 0,
            strategy: strategy.to_owned(),
            with: Manner::default(),
        };
        let steps = [Action::HealAll, turn("withhold"), turn("with_hold")].map(|action| Step::new(1, action));
        let mut plan = Plan { steps: steps.into() };
        let strategies = Strategies::generic();
        let error = strategies.check(&plan).unwrap_err();
        let text = "step 2 (byzantine) names the strategy `with_hold`, and there are: delay, garble, hold, oversize, \
                    replay, trickle, truncate, withhold";
        assert_eq!(error.to_string(), text);
        plan.steps.pop();
        assert_eq!(strategies.check(&plan), Ok(()));
    }
}
