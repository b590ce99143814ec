//! What can be wrong with a disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What [`DiskFault::Slow`] adds to one latency at most, and with [`DiskFault::Throttle`] to the end of all that a lane has
/// taken. The end of an operation is set when it begins, so without this a fault would outlive the heal by minutes.
pub(super) const MOST_SLOWER_NS: u64 = 5_000_000_000;

/// One thing that is wrong with a disk, as data of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DiskFault {
    /// Every latency is this many hundredths of the drawn one, and at most five seconds longer: what takes longer is a
    /// stall, which has an end of its own.
    Slow {
        /// 100 changes nothing.
        percent: u32,
    },
    /// The device transfers no more than this.
    Throttle {
        /// Each way.
        bytes_per_second: u64,
    },
    /// Nothing issued from now on is answered before a time.
    Stall {
        /// The time.
        until_ns: u64,
    },
    /// Nothing issued from now on is answered at all, until a crash; also not after the fault is cleared.
    Hang,
    /// Reads, opens among them, answer `Io`.
    ReadError {
        /// How often.
        repeat: Repeat,
    },
    /// Writes answer `Io`. Whether the refused batch is on the disk shows at the next open.
    WriteError {
        /// How often.
        repeat: Repeat,
    },
    /// The next barrier answers `Io`, and the system drops some of what it should have written: a prefix of the
    /// un-synced batches is left at the next open, whatever the crash policy.
    FailedSync,
    /// The file system is mounted read-only: writes and opens answer `Io`.
    ReadOnly,
    /// Writes that would leave more than this on the disk answer `Full`, and so do opens when that much is on it.
    Full {
        /// Of all stores, as [`Disk::bytes`](super::Disk::bytes) counts them.
        limit_bytes: u64,
    },
    /// A value that is read has a flipped bit, seen as `Corrupt`. The next read may be right.
    FlippedRead {
        /// Of a million values read.
        ppm: u32,
    },
    /// A value has rotted where it lies, seen as `Corrupt` on every read until the key is written again.
    Rot {
        /// Of a million values read.
        ppm: u32,
    },
    /// A put lands where another value of the store lies: both keys are `Corrupt` until written again.
    Misdirected {
        /// Of a million batches.
        ppm: u32,
    },
    /// A batch never reaches the medium, though all reads see it until the next crash, and synced or not.
    Phantom {
        /// Of a million batches.
        ppm: u32,
    },
    /// Barriers answer and do nothing. One that is issued after this fault makes up for them.
    LyingSync,
    /// Crashes tear the log of every store that kept un-synced batches.
    TornTail {
        /// How.
        tear: Tear,
    },
    /// Opens answer `Corrupt`. What is on the disk is whole, and found again once the fault is cleared.
    CorruptOpen,
    /// Every store is gone, with its open handles. An event: it does not stay.
    Wipe,
}

/// Whether a fault is over after the first operation that it struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// It is.
    Once,
    /// It stays until cleared.
    Always,
}

/// Where the log is torn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tear {
    /// Its last record is incomplete.
    Cut,
    /// Sectors reached the disk out of order: one record, with others after it, is bad.
    Hole,
}

/// The name of a [`DiskFault`]. A disk has at most one fault of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fault of the same name says it")]
pub enum FaultKind {
    Slow,
    Throttle,
    Stall,
    Hang,
    ReadError,
    WriteError,
    FailedSync,
    ReadOnly,
    Full,
    FlippedRead,
    Rot,
    Misdirected,
    Phantom,
    LyingSync,
    TornTail,
    CorruptOpen,
    Wipe,
}

/// What a fault may take from a node: what the fault budget and the oracles need to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// Time.
    Delay,
    /// Answers: operations fail. After a reopen everything is there that an answered barrier covers; of what came
    /// after it, a failed barrier may drop a suffix, acknowledged or not, as a crash may.
    Refusal,
    /// Acknowledged data, or what cannot be told from its loss, and the node hears `Corrupt`.
    Damage,
    /// Acknowledged data, and the node is not told: it may contradict what it said before.
    Amnesia,
}

impl DiskFault {
    /// Its name.
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::Slow { .. } => FaultKind::Slow,
            Self::Throttle { .. } => FaultKind::Throttle,
            Self::Stall { .. } => FaultKind::Stall,
            Self::Hang => FaultKind::Hang,
            Self::ReadError { .. } => FaultKind::ReadError,
            Self::WriteError { .. } => FaultKind::WriteError,
            Self::FailedSync => FaultKind::FailedSync,
            Self::ReadOnly => FaultKind::ReadOnly,
            Self::Full { .. } => FaultKind::Full,
            Self::FlippedRead { .. } => FaultKind::FlippedRead,
            Self::Rot { .. } => FaultKind::Rot,
            Self::Misdirected { .. } => FaultKind::Misdirected,
            Self::Phantom { .. } => FaultKind::Phantom,
            Self::LyingSync => FaultKind::LyingSync,
            Self::TornTail { .. } => FaultKind::TornTail,
            Self::CorruptOpen => FaultKind::CorruptOpen,
            Self::Wipe => FaultKind::Wipe,
        }
    }
}

impl FaultKind {
    /// The most it may take. A torn tail does damage only under a [`Recovery`](super::Recovery) other than
    /// `PointInTime`, and amnesia by lying barriers or phantoms shows at the next crash only.
    pub const fn harm(self) -> Harm {
        match self {
            Self::Slow | Self::Throttle | Self::Stall | Self::Hang => Harm::Delay,
            Self::ReadError | Self::WriteError | Self::FailedSync | Self::ReadOnly | Self::Full => {
                Harm::Refusal
            }
            // Whoever reads cannot tell a flipped bit from rot, and may give up what was durable.
            Self::FlippedRead | Self::CorruptOpen | Self::Rot | Self::Misdirected | Self::TornTail => {
                Harm::Damage
            }
            Self::Phantom | Self::LyingSync | Self::Wipe => Harm::Amnesia,
        }
    }
}

/// The faults that a disk has.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(BTreeMap<FaultKind, DiskFault>);

impl Faults {
    pub(super) fn set(&mut self, fault: DiskFault) {
        self.0.insert(fault.kind(), fault);
    }

    pub(super) fn clear(&mut self, kind: FaultKind) -> bool {
        self.0.remove(&kind).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &DiskFault> {
        self.0.values()
    }

    pub(super) fn none(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, kind: FaultKind) -> bool {
        !self.none() && self.0.contains_key(&kind)
    }

    /// Whether an error that may be there once strikes. If so, and it is there once, it is over.
    pub(super) fn strikes(&mut self, kind: FaultKind) -> bool {
        if self.none() {
            return false;
        }
        match self.0.get(&kind) {
            None => false,
            Some(
                DiskFault::ReadError { repeat: Repeat::Once }
                | DiskFault::WriteError { repeat: Repeat::Once }
                | DiskFault::FailedSync,
            ) => self.clear(kind),
            Some(_) => true,
        }
    }

    /// How often, in a million, the fault strikes.
    pub(super) fn ppm(&self, kind: FaultKind) -> u32 {
        if self.none() {
            return 0;
        }
        match self.0.get(&kind) {
            Some(
                DiskFault::FlippedRead { ppm }
                | DiskFault::Rot { ppm }
                | DiskFault::Misdirected { ppm }
                | DiskFault::Phantom { ppm },
            ) => *ppm,
            _ => 0,
        }
    }

    pub(super) fn slowed(&self, ns: u64) -> u64 {
        match self.0.get(&FaultKind::Slow) {
            Some(DiskFault::Slow { percent }) => {
                let slowed = ns.saturating_mul(u64::from(*percent)) / 100;
                slowed.min(ns.saturating_add(MOST_SLOWER_NS))
            }
            _ => ns,
        }
    }

    pub(super) fn bandwidth(&self, bytes_per_second: u64) -> u64 {
        match self.0.get(&FaultKind::Throttle) {
            Some(DiskFault::Throttle {
                bytes_per_second: most,
            }) => bytes_per_second.min(*most),
            _ => bytes_per_second,
        }
    }

    pub(super) fn stalled_until(&self) -> u64 {
        match self.0.get(&FaultKind::Stall) {
            Some(DiskFault::Stall { until_ns }) => *until_ns,
            _ => 0,
        }
    }

    pub(super) fn limit_bytes(&self) -> u64 {
        match self.0.get(&FaultKind::Full) {
            Some(DiskFault::Full { limit_bytes }) => *limit_bytes,
            _ => u64::MAX,
        }
    }

    pub(super) fn tear(&self) -> Option<Tear> {
        match self.0.get(&FaultKind::TornTail) {
            Some(DiskFault::TornTail { tear }) => Some(*tear),
            _ => None,
        }
    }
}
