//! Oracles: they see everything, change nothing, and object when a promise is broken.

use serde::{Deserialize, Serialize};

use crate::budget::Zone;
use crate::time::VirtualTime;
use crate::world::NodeIndex;

/// Something that an oracle may want to know.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// What the network owes under the plan of the run, once it is over: told before anything else.
    Owed {
        /// What.
        zone: Zone,
    },
    /// A node's next incarnation started.
    Started {
        /// Which node.
        node: NodeIndex,
        /// Which incarnation, from 1.
        incarnation: u32,
        /// When.
        at: VirtualTime,
    },
    /// A node's incarnation died.
    Crashed {
        /// Which node.
        node: NodeIndex,
        /// Which incarnation.
        incarnation: u32,
        /// When.
        at: VirtualTime,
    },
    /// From here on a node may have lost what it had made durable.
    Damaged {
        /// Which node.
        node: NodeIndex,
        /// Whether it is not even told: it may contradict what it said before.
        unnoticed: bool,
    },
    /// A node's disk is empty from here on: what the node knows after its next start, others told it.
    Wiped {
        /// Which node.
        node: NodeIndex,
        /// When.
        at: VirtualTime,
    },
    /// What could have damaged a node is over, and nothing ever has.
    Spared {
        /// Which node.
        node: NodeIndex,
    },
    /// From here on a node may send anything; what it says of itself is still what its program means. Nobody is to
    /// blame for what its blocks and votes contradict, now and ever after.
    Byzantine {
        /// Which node.
        node: NodeIndex,
        /// When.
        at: VirtualTime,
    },
    /// From here on a node that was Byzantine sends what its program does. What it sent before stays.
    Honest {
        /// Which node.
        node: NodeIndex,
        /// When.
        at: VirtualTime,
    },
    /// A node does not run, or no longer does, and no heal will change that: only a start does.
    Absent {
        /// Which node.
        node: NodeIndex,
        /// When.
        at: VirtualTime,
    },
    /// A node said something of itself.
    Said {
        /// Which node.
        node: NodeIndex,
        /// When.
        at: VirtualTime,
        /// What.
        event: &'a env::Event<'a>,
        /// The number of its record in the trace.
        seq: u64,
    },
    /// Every fault is over, and every node runs that is not absent: from here on the network has to make progress.
    /// Byzantine nodes are so still.
    Healed {
        /// When.
        at: VirtualTime,
    },
}

/// Watches one promise.
pub trait Oracle: Send {
    /// Takes one fact.
    ///
    /// # Errors
    /// The violation that the fact is or completes.
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation>;

    /// The run is over, at `at`.
    ///
    /// # Errors
    /// The violation that lies in what did not happen.
    fn finish(&mut self, at: VirtualTime) -> Result<(), Violation>;

    /// Figures of the run for its verdict line, by name.
    fn figures(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What kind of promise.
    pub class: Class,
    /// Who objects.
    pub oracle: &'static str,
    /// Where.
    pub node: Option<NodeIndex>,
    /// When.
    pub at: VirtualTime,
    /// The record that shows it.
    pub seq: Option<u64>,
    /// What was promised and what was seen.
    pub what: String,
}

/// The kinds of failed runs, each with its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Nodes contradict each other or themselves.
    Safety,
    /// What had to happen did not.
    Liveness,
    /// A quantity is not what it must be.
    Invariant,
    /// A node panicked.
    Panic,
    /// Two runs of one seed differ.
    NonDeterminism,
    /// Nothing was left to happen.
    Stalled,
    /// A replay differs from what was recorded.
    Mismatch,
    /// The run made no progress in real time.
    Hang,
    /// The run reached outside of the simulator.
    Tripwire,
    /// The simulator itself failed.
    Harness,
}

impl Class {
    /// The exit code of a run that fails so.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Safety => 10,
            Self::Liveness => 11,
            Self::Invariant => 12,
            Self::Panic => 13,
            Self::NonDeterminism => 14,
            Self::Stalled => 15,
            Self::Mismatch => 17,
            Self::Hang => 18,
            Self::Tripwire => 19,
            Self::Harness => 1,
        }
    }

    /// Its name in verdict lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safety => "safety",
            Self::Liveness => "liveness",
            Self::Invariant => "invariant",
            Self::Panic => "panic",
            Self::NonDeterminism => "nondeterminism",
            Self::Stalled => "stalled",
            Self::Mismatch => "mismatch",
            Self::Hang => "hang",
            Self::Tripwire => "tripwire",
            Self::Harness => "harness",
        }
    }
}
