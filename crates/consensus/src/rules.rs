//! What all members of an epoch agree on, and what each may choose for itself.

use std::time::Duration;

use crypto::Digest;
use types::{ChainId, Epoch, UnixMillis};

/// What every member of an epoch must have the same: a difference is a fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The chain; signatures bind it.
    pub chain: ChainId,
    /// The epoch.
    pub epoch: Epoch,
    /// When the epoch starts: the clock of the genesis blocks, and of the first commits at least.
    pub start: UnixMillis,
    /// The first commit at or after it is the epoch's last. `None` where somebody else says when.
    pub end: Option<UnixMillis>,
    /// Seeds the election of leaders, and of nothing else.
    pub seed: [u8; 32],
    /// The beacon before the epoch's first.
    pub beacon: Digest,
    /// Leader slots of a round: 1 to the number of members.
    pub leaders_per_round: u16,
    /// Rounds below the latest committed leader that can still be ordered.
    pub gc_depth: u32,
    /// Commits after which the leaders' reputation is weighed again.
    pub commits_per_schedule: u64,
    /// The most power, of 10,000, that loses its leader slots for bad reputation.
    pub swapped_power: u16,
    /// Blocks of rounds that it divides carry a share of the beacon.
    pub beacon_stride: u32,
    /// The most bytes of one payload.
    pub max_payload_bytes: u32,
    /// The most payloads of a block.
    pub max_block_payloads: u32,
    /// The most bytes of all payloads of a block, with four for the length of each.
    pub max_block_bytes: u32,
}

impl Rules {
    /// The reference's values (PROTOCOL 3), for an epoch of this chain.
    pub fn new(chain: ChainId, epoch: Epoch, start: UnixMillis) -> Self {
        Self {
            chain,
            epoch,
            start,
            end: None,
            seed: [0; 32],
            beacon: Digest::ZERO,
            leaders_per_round: 2,
            gc_depth: 60,
            commits_per_schedule: 300,
            swapped_power: 3_000,
            beacon_stride: 32,
            max_payload_bytes: 256 << 10,
            max_block_payloads: 2_048,
            max_block_bytes: 1 << 20,
        }
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`RulesError`], naming the first rule that is wrong.
    pub fn check(&self) -> Result<(), RulesError> {
        let rules = [
            ("leaders_per_round", u64::from(self.leaders_per_round), 1),
            // The clocks of a leader's parents are read after a restart as well.
            ("gc_depth", u64::from(self.gc_depth), 2),
            ("commits_per_schedule", self.commits_per_schedule, 1),
            ("beacon_stride", u64::from(self.beacon_stride), 1),
            ("max_block_payloads", u64::from(self.max_block_payloads), 1),
            // A payload and its length fit into a block.
            (
                "max_block_bytes",
                u64::from(self.max_block_bytes),
                u64::from(self.max_payload_bytes) + 4,
            ),
        ];
        match rules.into_iter().find(|(_, value, low)| value < low) {
            Some((rule, value, low)) => Err(RulesError { rule, value, low }),
            None => Ok(()),
        }
    }

    /// Whether blocks of this round carry a share of the beacon.
    pub const fn has_beacon(&self, round: types::Round) -> bool {
        round.get().is_multiple_of(self.beacon_stride)
    }
}

/// A rule that no epoch can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule `{rule}` is {value}, and has to be {low} at least")]
pub struct RulesError {
    /// Which.
    pub rule: &'static str,
    /// Its value.
    pub value: u64,
    /// The least that works.
    pub low: u64,
}

/// What a member may choose for itself: how fast it goes and how much it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long a round waits for its leaders.
    pub leader_timeout: Duration,
    /// The least time between two own blocks while there is something to order.
    pub min_round: Duration,
    /// The least time between two own blocks while there is nothing to order.
    pub idle_round: Duration,
    /// How long a block waits at most because its author's clock is ahead.
    pub max_clock_wait: Duration,
    /// How long a missing block may come by itself before it is asked for.
    pub fetch_wait: Duration,
    /// How long a peer has to answer before the next one is asked.
    pub fetch_timeout: Duration,
    /// Blocks asked for in one request.
    pub fetch_blocks: usize,
    /// Requests for blocks under way to one member at a time.
    pub fetches: usize,
    /// Rounds ahead of the own graph that blocks are held for; beyond, commits are fetched instead.
    pub horizon: u32,
    /// Blocks of one author that are held while their parents are missing.
    pub held_blocks: usize,
    /// Bytes of all held blocks; each author has an equal share of them, and room for a few blocks at least.
    pub held_bytes: usize,
    /// Commits behind the committee's before commits are fetched instead of blocks.
    pub commit_lag: u64,
    /// Without a commit for so long, commits are fetched however far behind.
    pub stall: Duration,
    /// Commits asked for in one request.
    pub fetch_commits: u64,
    /// Own blocks that may be made before the first of them is durable.
    pub undurable: usize,
    /// Own payloads that wait for a block.
    pub queued_payloads: usize,
    /// Bytes of own payloads that wait for a block.
    pub queued_bytes: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            leader_timeout: Duration::from_millis(250),
            min_round: Duration::from_millis(5),
            idle_round: Duration::from_millis(500),
            max_clock_wait: Duration::from_millis(250),
            fetch_wait: Duration::from_millis(20),
            fetch_timeout: Duration::from_millis(500),
            fetch_blocks: 64,
            fetches: 2,
            horizon: 500,
            held_blocks: 256,
            held_bytes: 64 << 20,
            commit_lag: 100,
            stall: Duration::from_secs(3),
            fetch_commits: 100,
            undurable: 8,
            queued_payloads: 16_384,
            queued_bytes: 16 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_no_epoch_can_have_is_named() {
        let good = Rules::new(ChainId::new(Digest::ZERO), Epoch::ZERO, UnixMillis::new(0));
        assert_eq!(good.check(), Ok(()));
        let shallow = Rules {
            gc_depth: 1,
            ..good.clone()
        };
        let error = RulesError {
            rule: "gc_depth",
            value: 1,
            low: 2,
        };
        assert_eq!(shallow.check(), Err(error));
        let narrow = Rules {
            max_block_bytes: good.max_payload_bytes + 3,
            ..good
        };
        assert_eq!(narrow.check().map_err(|error| error.rule), Err("max_block_bytes"));
    }
}
