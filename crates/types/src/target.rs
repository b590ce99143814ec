//! Targets: points of the embedding space for which data is wanted, who has filled them, and how that is audited.
//!
//! Whoever has data for a target first buys a *ticket*, which is bound to what it is going to say, and opens it when the ticket
//! is old enough: whoever sees the data then has no ticket that is. What is said is audited by validators who *seal* what they
//! have found before they *open* it, so that nobody can copy another's work.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Address, Digest};
use serde::{Deserialize, Serialize};

use crate::score::{Direction, Distance, Embedding, Loss};
use crate::{Epoch, Manifest, ObjectId, Shannons, UnixMillis, VotingPower};

/// A model that competes for a target, as it was when the target was made. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contender {
    /// Which.
    pub model: ObjectId,
    /// Whose.
    pub owner: Address,
    /// The digest of its weights.
    pub weights: Digest,
}

/// What the best model makes of data. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// The model with the lowest loss.
    pub winner: ObjectId,
    /// Its loss.
    pub loss: Loss,
    /// Where it sees the data.
    pub embedding: Embedding,
    /// How far from the target that is.
    pub distance: Distance,
}

impl Score {
    /// What a ticket is bound to: `H(Submission:: ‖ BCS of the sender, the target, the checksum of the data, the score, the salt)`.
    pub fn commitment(&self, sender: Address, target: ObjectId, checksum: Digest, salt: [u8; 32]) -> Digest {
        Digest::of_value("Submission", &(sender, target, checksum, self, salt))
    }
}

/// The right to fill a target: an owned object. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Which.
    pub target: ObjectId,
    /// As [`Score::commitment`] says.
    pub commitment: Digest,
    /// What is locked in it.
    pub bond: Shannons,
    /// The epoch in which it can be opened.
    pub epoch: Epoch,
    /// The commit time at which it was bought.
    pub at: UnixMillis,
}

/// What an auditor finds. BCS: variants 0 to 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// All is as the submitter says.
    Valid,
    /// Something is not.
    Invalid,
    /// The data is nowhere to be had. It is said only after every other seat was asked.
    Unavailable,
}

/// What an auditor has found. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opening {
    /// Whether it is true.
    pub verdict: Verdict,
    /// The hash of the losses of every chunk under every contender: only who ran them knows it.
    pub trace: Digest,
}

impl Opening {
    /// What an auditor says before it opens: `H(VerdictSeal:: ‖ BCS of the auditor, the target, the opening, the salt)`.
    pub fn seal(&self, auditor: ObjectId, target: ObjectId, salt: [u8; 32]) -> Digest {
        Digest::of_value("VerdictSeal", &(auditor, target, self, salt))
    }
}

/// A validator that audits. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Its power when it was drawn.
    pub power: VotingPower,
    /// What it has sealed.
    pub seal: Option<Digest>,
    /// What it has opened.
    pub opening: Option<Opening>,
}

impl Seat {
    /// One whose validator has said nothing yet.
    pub const fn new(power: VotingPower) -> Self {
        Self {
            power,
            seal: None,
            opening: None,
        }
    }
}

/// Who audits, and when. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRound {
    /// They seal in the first half of this epoch, and open in the second.
    pub epoch: Epoch,
    /// By validator.
    pub seats: BTreeMap<ObjectId, Seat>,
}

/// How far an audit is. BCS: the variants from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audit {
    /// Its seats are those that the first beacon draws of a later commit.
    Undrawn,
    /// These few seal and open.
    Seats(AuditRound),
    /// They do not agree, or too few have spoken: the whole committee does.
    Committee {
        /// Those who were asked before.
        before: AuditRound,
        /// All.
        now: AuditRound,
    },
    /// The submitter was right, and the model is paid. The submitter's part can be claimed.
    Valid,
}

impl Audit {
    /// Those who are to speak.
    pub const fn round(&self) -> Option<&AuditRound> {
        match self {
            Self::Seats(round) | Self::Committee { now: round, .. } => Some(round),
            Self::Undrawn | Self::Valid => None,
        }
    }

    /// The same, to be changed.
    pub const fn round_mut(&mut self) -> Option<&mut AuditRound> {
        match self {
            Self::Seats(round) | Self::Committee { now: round, .. } => Some(round),
            Self::Undrawn | Self::Valid => None,
        }
    }
}

/// Who has filled a target, and with what. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Who.
    pub submitter: Address,
    /// Where the data is.
    pub data: Manifest,
    /// What is said of it.
    pub score: Score,
    /// What is locked until it is settled.
    pub bond: Shannons,
    /// Whether it is true.
    pub audit: Audit,
}

/// A target: a shared object. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Where data is wanted.
    pub embedding: Direction,
    /// Who competes.
    pub contenders: Vec<Contender>,
    /// How far from it data may lie.
    pub threshold: Distance,
    /// What is paid for it, as far as it is not paid yet.
    pub reward: Shannons,
    /// The epoch in which it can be filled.
    pub epoch: Epoch,
    /// Who has filled it.
    pub fill: Option<Box<Fill>>,
}

/// The id of the object that stands for data that has filled a target: `H(DataReceipt:: ‖ checksum)`.
pub fn receipt_id(checksum: Digest) -> ObjectId {
    Digest::of_value("DataReceipt", &checksum).into()
}

/// How far an epoch is with its targets. The rules are `ledger::pacing`'s. BCS: the fields in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Targets that the epoch's budget pays for, from its start to its end.
    pub budget: u64,
    /// Those spawned so far, at most the budget.
    pub spawned: u64,
    /// Commit time since the epoch's start, in milliseconds.
    pub elapsed_ms: u64,
    /// What may be spawned now, in parts of a target: a target is as many as the epoch has milliseconds.
    pub credit: u128,
    /// Targets that were open when the last commit had been executed.
    pub open: u64,
    /// For how long targets have been open, in milliseconds, summed over all of them.
    pub open_ms: u128,
}

/// The threshold of an epoch, and what is remembered for the next one. The rules are `ledger::difficulty`'s. BCS: the fields
/// in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difficulty {
    /// The highest distance of a hit, in billionths.
    pub distance_billionths: u32,
    /// The part of its error that the last epoch made good, in bps.
    pub gain_bps: u32,
    /// By how much the last epoch missed the wanted hits: a binary logarithm, in 65,536ths.
    pub error: i32,
}

/// What belongs to all targets: the object `0x9`, which no transaction of a user names. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// What is left of this epoch's budget.
    pub budget: Shannons,
    /// How fast it is spent.
    pub pace: Pace,
    /// How near a submission must come.
    pub difficulty: Difficulty,
    /// Targets that were filled in this epoch.
    pub hits: u64,
    /// Filled targets whose seats are to be drawn.
    pub undrawn: BTreeSet<ObjectId>,
}

impl Targets {
    /// Its id.
    pub const ID: ObjectId = ObjectId::from_low(9);
}
