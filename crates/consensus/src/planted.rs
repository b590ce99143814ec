//! Bugs that can be switched on, to show that the simulator finds them. Behind the feature `planted`, which nothing but
//! `cargo xtask planted` and its check ask for: without it [`planted!`] is `false`, and nothing of this module is built.
//!
//! A process has one bug at most, and every member in it has that one, as if it shipped.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

static PLANTED: OnceLock<Bug> = OnceLock::new();

/// Gives this process the bug, for good.
///
/// # Panics
/// When it has another.
pub fn plant(bug: Bug) {
    assert_eq!(*PLANTED.get_or_init(|| bug), bug, "a process has one bug at most");
}

/// Whether this process has the bug.
pub fn has(bug: Bug) -> bool {
    PLANTED.get() == Some(&bug)
}

/// Names each bug once: its name, where it is from, and what it is.
macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $bug:ident = $name:literal from $source:literal;)+) => {
        /// A bug. Where it says `B`, it is one of the historical bugs that the simulator has to find.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Bug {
            $($(#[doc = $what])+ #[serde(rename = $name)] $bug,)+
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$bug),+];

            /// What it is called on command lines and in scenarios.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$bug => $name,)+ }
            }

            /// What it is, in a sentence.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$bug => concat!($($what),+),)+ }
            }

            /// Where it is from.
            pub const fn source(self) -> &'static str {
                match self { $(Self::$bug => $source,)+ }
            }
        }
    };
}

bugs! {
    /// A member that was cut off jumps to the committee's round, and leaves the rounds between without its block.
    SkippedRounds = "skipped-rounds" from "B1: deployed; Qiu, Xiao, Shao, S&P 2026";
    /// What a sub-DAG holds depends on the rounds that a member has seen, and not on the commits alone.
    LocalFloor = "local-floor" from "B2: halt of a mainnet, 2026-01-14";
    /// Of several blocks of a slot, the indirect rule takes the one that came first, and not the certified one.
    FirstCandidate = "first-candidate" from "B4: candidates by order of iteration";
    /// A slot is skipped when a quorum does not vote for the block of it that came first.
    SkipPerBlock = "skip-per-block" from "B5: skip rule per candidate";
    /// A member that has lost its store starts as if it had never signed.
    Amnesia = "amnesia" from "B6: equivocation after a crash";
    /// The leaders are those that were drawn, and absent ones are waited for.
    FixedLeaders = "fixed-leaders" from "B7: leader schedule without reputation";
    /// The last commit before a restart is not delivered again.
    LastCommitLost = "last-commit-lost" from "B9: gap at the consumer after a restart";
    /// A quorum is counted in tenths of the power, rounded.
    RoundedQuorum = "rounded-quorum" from "B12: quorum below two thirds";
    /// An own block is sent before it is durable.
    SentEarly = "sent-early" from "invariant: durable before visible";
    /// An own block is sent when it is written, and no barrier is waited for.
    NoBarrier = "no-barrier" from "B10: a missing fsync";
    /// The record of the latest own block is written behind the barrier that the block waits for.
    OwnRecordLate = "own-record-late" from "restart from half of what was signed";
    /// What a store shows after it is opened is believed without a barrier.
    ReadUnsynced = "read-unsynced" from "fixtures/plans: the first swarm's find";
    /// A store that was damaged is opened again.
    DamagedStoreKept = "damaged-store-kept" from "misreading of a torn log";
    /// A commit's timestamp is the median of the clocks that this member knows, and not of the leader's parents.
    LocalClocks = "local-clocks" from "time from the own view";
    /// A commit's timestamp may lie before the one before.
    TimeGoesBack = "time-goes-back" from "median without a maximum";
    /// The blocks of a sub-DAG stand in the order in which they were reached.
    WalkOrder = "walk-order" from "order by traversal";
    /// A slot is skipped when one member blames it.
    SkipByOne = "skip-by-one" from "blame without a quorum";
    /// A leader commits with one certificate.
    CommitByOne = "commit-by-one" from "indirect rule used for direct";
    /// A block is a certificate with one vote.
    CertificateOfOne = "certificate-of-one" from "certificate without a quorum";
    /// A block is a certificate when its parents vote for any block of the slot.
    VotesForSlot = "votes-for-slot" from "equivocating leaders";
    /// Blocks that came before the leaders changed are not counted again.
    NotRecounted = "not-recounted" from "stale tallies after a swap";
    /// The leaders' reputation starts anew with a restart.
    ReputationLost = "reputation-lost" from "state of a rule kept in memory";
    /// A restart forgets the floor.
    FloorLost = "floor-lost" from "state of a rule kept in memory";
    /// Who has lost its store goes on from the round in which the others are.
    RecoveryTooLow = "recovery-too-low" from "recovery at the maximum";
    /// Who has lost its store believes the first answer.
    RecoveryByOne = "recovery-by-one" from "recovery without a quorum";
    /// The last commit that a consumer has handled is delivered again after a restart.
    DeliveredTwice = "delivered-twice" from "off by one at the consumer";
    /// A missing block is asked of one peer only.
    AskedOnce = "asked-once" from "fetch without a second peer";
    /// Whoever once left a question without an answer is not asked again while others answer.
    SilentForGood = "silent-for-good" from "fixtures/plans: a swarm's find";
    /// Blocks that wait for parents below the floor wait for ever when it rises.
    NeverFreed = "never-freed" from "suspended blocks and garbage collection";
    /// A round waits for its leaders without a limit.
    EndlessWait = "endless-wait" from "leader timeout that never fires";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_the_bug_that_it_was_given() {
        assert!(Bug::ALL.iter().all(|bug| !has(*bug)));
        plant(Bug::Amnesia);
        plant(Bug::Amnesia);
        let has: Vec<_> = Bug::ALL.iter().filter(|bug| has(**bug)).collect();
        assert_eq!(has, [&Bug::Amnesia]);
    }
}
