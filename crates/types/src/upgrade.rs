//! By which rules a chain runs, and how it goes over to others.
//!
//! A validator votes for a version by its number and the [digest](ProtocolParams::digest) of its parameters, so that two programs
//! that mean different rules by one number never count as one. A vote stands until it is changed or fulfilled.

use crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::{Epoch, ProtocolParams, ProtocolVersion, VotingPower};

/// Names rules. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rules {
    /// Their version.
    pub version: ProtocolVersion,
    /// The digest of its parameters, as they are where genesis fixes nothing else.
    pub params: Digest,
}

impl Rules {
    /// Those with these parameters.
    pub fn of(params: &ProtocolParams) -> Self {
        Self {
            version: params.version,
            params: params.digest(),
        }
    }

    /// The power that has to want others while these parameters are in force: a quorum, and a part of what a quorum leaves, rounded
    /// up.
    pub fn needed(params: &ProtocolParams) -> VotingPower {
        let [all, quorum] = [VotingPower::TOTAL, VotingPower::QUORUM].map(|power| u32::from(power.get()));
        let buffer = (all - quorum) * u32::from(params.upgrade_buffer_bps);
        let needed = quorum + buffer.div_ceil(10_000);
        u16::try_from(needed).map_or(VotingPower::TOTAL, VotingPower::new)
    }
}

/// What a validator has said about other rules. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeVote {
    /// Those that it wants; none where it has taken its vote back.
    pub rules: Option<Rules>,
    /// When it said so. It can say something else in the next epoch.
    pub epoch: Epoch,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(upgrade_buffer_bps: u16) -> ProtocolParams {
        ProtocolParams {
            upgrade_buffer_bps,
            ..ProtocolParams::of(ProtocolVersion::new(1)).unwrap()
        }
    }

    #[test]
    fn an_upgrade_needs_a_quorum_and_a_part_of_the_rest() {
        for (buffer, needed) in [(0, 6_667), (1, 6_668), (5_000, 8_334), (10_000, 10_000)] {
            let needed = VotingPower::new(needed);
            assert_eq!(Rules::needed(&with(buffer)), needed, "{buffer}");
        }
    }

    #[test]
    fn other_parameters_under_one_version_are_other_rules() {
        assert_ne!(Rules::of(&with(1)), Rules::of(&with(2)));
        assert_eq!(Rules::of(&with(1)).version, ProtocolVersion::new(1));
    }
}
