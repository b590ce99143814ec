//! A scenario: the network, the load and the faults that a seed may draw from. TOML, or this struct.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::budget::Stakes;
use crate::costs::Costs;
use crate::disk::Profile;
use crate::draw::{Domain, Seed};
use crate::network::{LinkProfile, NetConfig};
use crate::plan::Plan;
use crate::swarm::{self, Family};
use crate::tasks::Policy;
use crate::time::VirtualTime;
use crate::wan::Table;
use crate::world::WorldConfig;

/// Where the nodes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetPreset {
    /// One room.
    #[default]
    Lan,
    /// Four regions: 20 to 130 ms one way.
    Wan,
    /// The ten regions of `config/wan/ten_regions.toml`: 11 to 156 ms one way.
    Wan10,
    /// One room or four regions, drawn by the seed.
    Drawn,
}

/// The time after a heal in which the network has to make progress.
pub(crate) const HEAL_LIMIT: Duration = Duration::from_secs(30);

/// What nodes run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Members of a consensus.
    #[default]
    Consensus,
    /// The small protocol that the simulator itself is tried with.
    Rounds,
}

/// How a node's tasks are scheduled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Drawn by the seed.
    #[default]
    Drawn,
    /// This one.
    Fixed(Policy),
}

/// What seeds are drawn within.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What the nodes run.
    pub load: Load,
    /// Nodes: at least 1.
    pub nodes: usize,
    /// With more than `nodes`, each seed draws how many nodes there are: from `nodes` to this many.
    #[serde(skip_serializing_if = "is_none")]
    pub nodes_most: usize,
    /// Virtual milliseconds in which faults happen.
    pub fault_ms: u64,
    /// Virtual milliseconds after the heal in which the network has to make progress.
    pub heal_ms: u64,
    /// Where the nodes are.
    pub net: NetPreset,
    /// How tasks are scheduled.
    pub schedule: Schedule,
    /// The least time between two blocks of a node.
    pub pause_ms: u64,
    /// Bytes of payload per block.
    pub payload: usize,
    /// The families of faults that a seed may draw.
    pub faults: Vec<Family>,
    /// Virtual milliseconds between two faults, on average.
    pub fault_gap_ms: u64,
    /// Whether `buggify!` sites may fire.
    pub buggify: bool,
    /// How stake is spread over the nodes.
    #[serde(skip_serializing_if = "Stakes::is_equal")]
    pub stakes: Stakes,
    /// Members whose keys two nodes have: the first nodes, and as many of the last ones, which have no stake of their own.
    #[serde(skip_serializing_if = "is_none")]
    pub twins: usize,
    /// In how many of a hundred seeds there are Byzantine nodes.
    #[serde(skip_serializing_if = "is_zero")]
    pub byzantine_percent: u64,
    /// How many there are at most, within the budget; 0 is as many as it allows.
    #[serde(skip_serializing_if = "is_zero")]
    pub byzantine_most: u64,
    /// What Byzantine nodes do; any strategy of the load when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strategies: Vec<String>,
    /// Nodes that start only some time into the faults.
    #[serde(skip_serializing_if = "is_zero")]
    pub late: u64,
    /// Nodes that never run, within the budget.
    #[serde(skip_serializing_if = "is_zero")]
    pub absent: u64,
    /// Rounds below the latest committed leader that can still be ordered; 0 is 40.
    #[serde(skip_serializing_if = "is_zero")]
    pub gc_depth: u64,
    /// Epochs of a consensus; the last one has no end. 0 is one.
    #[serde(skip_serializing_if = "is_zero")]
    pub epochs: u64,
    /// Virtual milliseconds of an epoch that has one after it.
    #[serde(skip_serializing_if = "is_zero")]
    pub epoch_ms: u64,
    /// Transactions a second that all members together submit, at even distances and each by itself, of `payload` bytes. 0 is
    /// one payload of each member every `pause_ms`.
    #[serde(skip_serializing_if = "is_zero")]
    pub transactions_per_second: u64,
    /// Leader slots of a round; 0 is what the configuration says.
    #[serde(skip_serializing_if = "is_zero")]
    pub leaders_per_round: u64,
    /// Virtual milliseconds that a round waits for its leaders; 0 is what the configuration says.
    #[serde(skip_serializing_if = "is_zero")]
    pub leader_timeout_ms: u64,
    /// Virtual milliseconds between two blocks of a node at least, while there is something to order; 0 is what the
    /// configuration says.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_round_ms: u64,
    /// Whether rules and pace are those that nodes ship with, instead of brief ones in which more happens in a run: then
    /// `pause_ms` is no pace of rounds.
    #[serde(skip_serializing_if = "is_false")]
    pub shipped: bool,
    /// Whether an oracle has to object. Then every seed has Byzantine nodes, beyond the budget.
    #[serde(skip_serializing_if = "is_false")]
    pub must_fail: bool,
    /// The bug that every node has.
    #[cfg(feature = "planted")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bug: Option<::consensus::planted::Bug>,
    /// Virtual processor time.
    pub costs: Costs,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "swarm".to_owned(),
            load: Load::default(),
            nodes: 4,
            nodes_most: 0,
            fault_ms: 30_000,
            heal_ms: 35_000,
            net: NetPreset::Drawn,
            schedule: Schedule::Drawn,
            pause_ms: 100,
            payload: 256,
            faults: Family::ALL.to_vec(),
            fault_gap_ms: 1_000,
            buggify: true,
            stakes: Stakes::Equal,
            twins: 0,
            byzantine_percent: 0,
            byzantine_most: 0,
            strategies: Vec::new(),
            late: 0,
            absent: 0,
            gc_depth: 0,
            epochs: 0,
            epoch_ms: 0,
            transactions_per_second: 0,
            leaders_per_round: 0,
            leader_timeout_ms: 0,
            min_round_ms: 0,
            shipped: false,
            must_fail: false,
            #[cfg(feature = "planted")]
            bug: None,
            costs: Costs::default(),
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_none(number: &usize) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Why a scenario cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// No scenario has this name, and no file either.
    #[error("no scenario `{name}`: `sim list` names the built-in ones, and a file's name ends with .toml")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// It is not TOML, or not a scenario.
    #[error("`{name}` is not a scenario: {detail}")]
    Syntax {
        /// The file.
        name: String,
        /// Where and why.
        detail: String,
    },
    /// A number is outside of what can be run.
    #[error("scenario `{name}`: `{field}` is {value}, and has to lie within {low} and {high}")]
    Range {
        /// The scenario.
        name: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The least.
        low: u64,
        /// The most.
        high: u64,
    },
    /// A plan of it would have too many faults.
    #[error(
        "scenario `{name}`: `fault_ms` / `fault_gap_ms` is {fault_ms} / {fault_gap_ms}: more than {most} faults"
    )]
    TooManyFaults {
        /// The scenario.
        name: String,
        /// How long faults happen.
        fault_ms: u64,
        /// The time from one to the next.
        fault_gap_ms: u64,
        /// The most faults.
        most: u64,
    },
}

/// The most faults of a plan, on average.
const MAX_FAULTS: u64 = 100_000;

/// More than any run can carry, and less than one a nanosecond.
const MAX_RATE: u64 = 1_000_000;

/// Slower than any processor, and small enough to add up: a quarter of an hour for one unit of work.
const MAX_COST_NS: u64 = 1_000_000_000_000;

/// The scenarios that need no file: name, text.
pub const BUILT_IN: [(&str, &str); 8] = [
    ("swarm", include_str!("../../config/sim/swarm.toml")),
    ("brief", include_str!("../../config/sim/brief.toml")),
    ("calm", include_str!("../../config/sim/calm.toml")),
    ("absent", include_str!("../../config/sim/absent.toml")),
    ("equivocators", include_str!("../../config/sim/equivocators.toml")),
    ("shallow", include_str!("../../config/sim/shallow.toml")),
    ("wan", include_str!("../../config/sim/wan.toml")),
    ("epochs", include_str!("../../config/sim/epochs.toml")),
];

impl Scenario {
    /// The built-in scenario `name`.
    ///
    /// # Errors
    /// [`ScenarioError::Unknown`].
    pub fn built_in(name: &str) -> Result<Self, ScenarioError> {
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        let (name, text) = found.ok_or_else(|| ScenarioError::Unknown {
            name: name.to_owned(),
        })?;
        Self::parse(name, text)
    }

    /// Reads a scenario and checks it.
    ///
    /// # Errors
    /// [`ScenarioError::Syntax`], [`ScenarioError::Range`].
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(|error| ScenarioError::Syntax {
            name: name.to_owned(),
            detail: error.to_string(),
        })?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`ScenarioError::Range`], [`ScenarioError::TooManyFaults`].
    pub fn check(&self) -> Result<(), ScenarioError> {
        let heal_limit_ms = u64::try_from(HEAL_LIMIT.as_millis()).expect("seconds are few milliseconds");
        let ranges = [
            ("nodes", self.nodes as u64, 1, 256),
            ("nodes_most", self.nodes_most as u64, 0, 256),
            ("fault_ms", self.fault_ms, 0, 30 * 86_400_000),
            // In a shorter time no progress would have to be seen.
            ("heal_ms", self.heal_ms, heal_limit_ms, 30 * 86_400_000),
            // With longer ones the rounds that are wanted after the heal could not come in time.
            ("pause_ms", self.pause_ms, 1, heal_limit_ms / 10),
            ("payload", self.payload as u64, 0, 32 << 10),
            ("fault_gap_ms", self.fault_gap_ms, 10, 86_400_000),
            // These may be more than there are nodes, for a run may be shrunk.
            ("twins", self.twins as u64, 0, 256),
            ("byzantine_percent", self.byzantine_percent, 0, 100),
            // As these: a plan is drawn within the budget.
            ("byzantine_most", self.byzantine_most, 0, 256),
            ("absent", self.absent, 0, 256),
            ("gc_depth", self.gc_depth, 0, 1_000),
            // Who comes late has to come while there are faults.
            ("late", self.late, 0, if self.fault_ms > 1 { 256 } else { 0 }),
            ("epochs", self.epochs, 0, 100),
            // In a shorter one a committee has hardly begun.
            (
                "epoch_ms",
                self.epoch_ms,
                if self.epochs > 1 { 500 } else { 0 },
                30 * 86_400_000,
            ),
            (
                "transactions_per_second",
                self.transactions_per_second,
                0,
                MAX_RATE,
            ),
            // No more than there may be members.
            ("leaders_per_round", self.leaders_per_round, 0, self.nodes as u64),
            ("leader_timeout_ms", self.leader_timeout_ms, 0, heal_limit_ms / 10),
            ("min_round_ms", self.min_round_ms, 0, heal_limit_ms / 10),
            ("costs.cores", u64::from(self.costs.cores), 1, 1_024),
        ];
        let costs = self.costs.named().map(|(field, ns)| (field, ns, 0, MAX_COST_NS));
        for (field, value, low, high) in ranges.into_iter().chain(costs) {
            if !(low..=high).contains(&value) {
                return Err(ScenarioError::Range {
                    name: self.name.clone(),
                    field,
                    value,
                    low,
                    high,
                });
            }
        }
        if self.fault_ms / self.fault_gap_ms > MAX_FAULTS {
            return Err(ScenarioError::TooManyFaults {
                name: self.name.clone(),
                fault_ms: self.fault_ms,
                fault_gap_ms: self.fault_gap_ms,
                most: MAX_FAULTS,
            });
        }
        Ok(())
    }

    /// Its text, which [`parse`](Self::parse) reads back: part of every trace header.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("a scenario is made of tables, numbers and strings")
    }

    /// When a run ends.
    pub fn until(&self) -> VirtualTime {
        VirtualTime::from_millis(self.fault_ms + self.heal_ms)
    }

    /// The least time between two blocks.
    pub fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }

    /// How many members the nodes are.
    pub fn members(&self) -> usize {
        self.nodes - self.twins.min(self.nodes / 2)
    }

    /// The stake of each node: of [`ALL_STAKE`](crate::budget::ALL_STAKE); 0 for the second one of twins.
    pub fn stakes(&self, seed: Seed) -> Vec<u64> {
        let mut stakes = self.stakes.of(seed, self.members());
        stakes.resize(self.nodes, 0);
        stakes
    }

    /// The scenario that `seed` makes of it: one whose number of nodes is drawn.
    #[must_use]
    pub fn drawn(&self, seed: Seed) -> Self {
        let mut drawn = self.clone();
        if self.nodes_most > self.nodes {
            let mut draw = seed.draw(Domain::Plan, 10, 0, 0);
            let nodes = draw.within(self.nodes as u64, self.nodes_most as u64);
            drawn.nodes = usize::try_from(nodes).expect("a scenario has few nodes");
        }
        drawn.nodes_most = 0;
        drawn
    }

    /// The plan of `seed`.
    pub fn plan(&self, seed: Seed) -> Plan {
        swarm::plan(self, seed)
    }

    /// The world of `seed`.
    pub fn world(&self, seed: Seed) -> WorldConfig {
        let mut draw = seed.draw(Domain::Plan, 0, 0, 0);
        let drawn_wan = draw.chance(500_000);
        let net = match self.net {
            NetPreset::Lan => NetConfig::lan(),
            NetPreset::Wan => wan(),
            NetPreset::Wan10 => Table::ten_regions().net(),
            NetPreset::Drawn if drawn_wan => wan(),
            NetPreset::Drawn => NetConfig::lan(),
        };
        let policies = [
            Policy::Fifo,
            Policy::Lifo,
            Policy::Random,
            Policy::Pct { stretch: 64 },
            Policy::Starve {
                label: "main".to_owned(),
            },
        ];
        let drawn = draw.pick(&policies).clone();
        let disk = if draw.chance(500_000) {
            Profile::NVME
        } else {
            Profile::CLOUD
        };
        WorldConfig {
            net,
            disk,
            costs: self.costs.clone(),
            policy: match &self.schedule {
                Schedule::Drawn => drawn,
                Schedule::Fixed(policy) => policy.clone(),
            },
            shuffle_ties: true,
            buggify: self.buggify && draw.chance(500_000),
        }
    }
}

/// Four regions, one way: Virginia, Frankfurt, Tokyo, Sao Paulo.
fn wan() -> NetConfig {
    let table_ms = [
        [1, 45, 73, 57],
        [45, 1, 112, 101],
        [73, 112, 1, 128],
        [57, 101, 128, 1],
    ];
    let link = |ms: u64| LinkProfile {
        latency_us: ms * 1_000,
        jitter_us: ms * 100,
        tail_ppm: 5_000,
    };
    NetConfig {
        regions: vec![0, 1, 2, 3],
        links: table_ms
            .iter()
            .map(|row| row.iter().map(|ms| link(*ms)).collect())
            .collect(),
        egress_bytes_per_second: 125_000_000,
        ..NetConfig::lan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_is_one_and_its_text_comes_back() {
        for (name, _) in BUILT_IN {
            let scenario = Scenario::built_in(name).unwrap();
            assert_eq!(scenario.name, name);
            assert_eq!(Scenario::parse(name, &scenario.to_text()), Ok(scenario));
        }
    }

    #[cfg(not(feature = "planted"))]
    #[test]
    fn a_build_without_planted_bugs_takes_none() {
        let refused = Scenario::parse("x", "bug = \"amnesia\"");
        assert!(
            matches!(refused, Err(ScenarioError::Syntax { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn a_scenario_may_lie_in_the_ten_regions() {
        let scenario = Scenario::parse("x", "net = \"wan10\"").unwrap();
        let world = scenario.world(Seed::new(1));
        assert_eq!(world.net, Table::ten_regions().net());
    }

    #[test]
    fn a_scenario_out_of_range_names_the_field() {
        for (text, wrong, wrong_value) in [
            ("nodes = 0", "nodes", 0),
            ("heal_ms = 29999", "heal_ms", 29_999),
            ("pause_ms = 3001", "pause_ms", 3_001),
            ("byzantine_percent = 101", "byzantine_percent", 101),
            ("late = 1\nfault_ms = 1", "late", 1),
            (
                "transactions_per_second = 1000001",
                "transactions_per_second",
                1_000_001,
            ),
            ("nodes = 4\nleaders_per_round = 5", "leaders_per_round", 5),
            ("leader_timeout_ms = 3001", "leader_timeout_ms", 3_001),
            ("min_round_ms = 3001", "min_round_ms", 3_001),
            ("epochs = 2\nepoch_ms = 499", "epoch_ms", 499),
            (
                "[costs]\npoll_ns = 1000000000001",
                "costs.poll_ns",
                MAX_COST_NS + 1,
            ),
            (
                "[costs]\nscore_thousand_ns = 9000000000000000000",
                "costs.score_thousand_ns",
                9_000_000_000_000_000_000,
            ),
        ] {
            let error = Scenario::parse("x", text).unwrap_err();
            let named = matches!(error, ScenarioError::Range { field, value, .. } if (field, value) == (wrong, wrong_value));
            assert!(named, "{text}: {error}");
        }
        let most = Scenario::parse("x", "fault_ms = 1000009\nfault_gap_ms = 10");
        assert!(most.is_ok(), "{most:?}");
        assert!(matches!(
            Scenario::parse("x", "fault_ms = 1000010\nfault_gap_ms = 10"),
            Err(ScenarioError::TooManyFaults {
                fault_ms: 1_000_010,
                fault_gap_ms: 10,
                ..
            })
        ));
        assert!(matches!(
            Scenario::parse("x", "nods = 3"),
            Err(ScenarioError::Syntax { .. })
        ));
        assert!(matches!(
            Scenario::built_in("y"),
            Err(ScenarioError::Unknown { .. })
        ));
    }
}
