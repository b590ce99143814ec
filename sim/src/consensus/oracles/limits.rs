//! How long what may take, and why: sums of the pauses that a member makes by its pace and its network's.

use std::time::Duration;

use crate::draw::Seed;
use crate::network::NetConfig;
use crate::scenario::{HEAL_LIMIT, Scenario};

/// The longest pause before a member opens a stream again that broke (`node`, incoming blocks).
const REOPEN: Duration = Duration::from_secs(5);
/// Rounds of a commit: its leader, votes, certificates.
const WAVE: u32 = 3;
/// Rounds whose leaders may all be silent, one after the other: with two leaders in a round and less than a third of the
/// power silent, this happens once in 9^5 commits.
const SKIPPED: u32 = 5;

/// What a network owes, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From a heal until every member is given commits that nobody had before.
    pub heal: Duration,
    /// From then on, until a payload that a member has queued is ordered.
    pub order: Duration,
}

impl Limits {
    /// The limits of a run.
    ///
    /// After a heal, a session that nobody answers any more ends when it has been idle for long enough, and a stream in it
    /// is opened again after the longest pause; then come the commits, at the worst pace: each round waits for leaders that
    /// are silent. A payload waits for a block, which waits for its leader.
    pub fn new(seed: Seed, scenario: &Scenario) -> Self {
        let net = scenario.world(seed).net;
        let round = super::super::pace(scenario).leader_timeout + 2 * slowest(&net);
        let reconnect = Duration::from_millis(net.idle_ms) + REOPEN;
        let commits = WAVE + SKIPPED;
        Self {
            heal: (reconnect + round * commits).min(HEAL_LIMIT),
            order: round * (1 + commits),
        }
    }
}

/// The longest way of a packet that meets no fault.
fn slowest(net: &NetConfig) -> Duration {
    let links = net.links.iter().flatten();
    let us = links.map(|link| link.latency_us + link.jitter_us).max();
    Duration::from_micros(us.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_from_the_pace_and_the_network() {
        let limits = |name| Limits::new(Seed::new(1), &Scenario::built_in(name).unwrap());
        let ms = |limits: Limits| (limits.heal.as_millis(), limits.order.as_millis());
        assert_eq!(ms(limits("calm")), (17_803, 3_153));
        assert_eq!(ms(limits("brief")), (25_003, 11_253));
        assert_eq!(ms(limits("wan")), (20_052, 5_684));
    }
}
