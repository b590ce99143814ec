//! What a committee votes for: the numbers of a protocol version.
//!
//! Who changes a number makes a new version, and votes for it by the digest of all of them. Amounts are in shannons, shares in
//! ten-thousandths, times in milliseconds of commit time.

use crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::{ProtocolVersion, SOMA, Shannons};

/// The numbers of one protocol version. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolParams {
    /// For being executed at all.
    pub base_fee: Shannons,
    /// For each object that is written.
    pub write_object_fee: Shannons,
    /// For each byte of a transaction, and each that is stored of an object beyond the free ones.
    pub byte_fee: Shannons,
    /// Bytes of an object that are stored for nothing.
    pub free_object_bytes: u64,
    /// For the value that is moved, in the first epoch.
    pub initial_value_fee_bps: u16,
    /// The least that it falls to.
    pub min_value_fee_bps: u16,
    /// The most that it rises to.
    pub max_value_fee_bps: u16,
    /// How far it goes in one epoch, in parts of itself.
    pub value_fee_rate_bps: u16,
    /// Fees of an epoch at which it stays.
    pub target_epoch_fees: Shannons,
    /// What an epoch hands out while the emission pool has it.
    pub emission_per_epoch: Shannons,
    /// The part of it that is the validators'. The rest is the budget of targets.
    pub validator_emission_bps: u16,
    /// Epochs for which withdrawn stake rests.
    pub unbonding_epochs: u64,
    /// Power of all stake, in ten-thousandths, with which a validator comes into the committee.
    pub join_power_bps: u16,
    /// Commit time between two checkpoints.
    pub checkpoint_interval_ms: u64,
    /// Transactions of a checkpoint, after which the next commit begins another.
    pub checkpoint_transactions: u32,
}

/// A number that no version can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameter `{name}` is {value}, and has to be between {low} and {high}")]
pub struct ParamsError {
    /// Which.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// The least that works.
    pub low: u64,
    /// The most that works.
    pub high: u64,
}

impl ProtocolParams {
    /// The first version.
    pub const V1: Self = Self {
        base_fee: Shannons::new(1_000),
        write_object_fee: Shannons::new(300),
        // A transfer of 350 bytes pays as much for them as for one object.
        byte_fee: Shannons::new(1),
        free_object_bytes: 256,
        initial_value_fee_bps: 10,
        min_value_fee_bps: 1,
        max_value_fee_bps: 50,
        value_fee_rate_bps: 1_250,
        target_epoch_fees: SOMA,
        emission_per_epoch: Shannons::new(1_370 * SOMA.get()),
        validator_emission_bps: 2_000,
        unbonding_epochs: 3,
        join_power_bps: 12,
        checkpoint_interval_ms: 200,
        checkpoint_transactions: 20_000,
    };

    /// The numbers of a version; `None` for one that this program does not know.
    pub const fn of(version: ProtocolVersion) -> Option<Self> {
        match version.get() {
            1 => Some(Self::V1),
            _ => None,
        }
    }

    /// What a vote for these numbers carries: `H(ProtocolParams:: ‖ BCS)`.
    pub fn digest(&self) -> Digest {
        Digest::of_value("ProtocolParams", self)
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`ParamsError`], naming the first that is wrong.
    pub fn check(&self) -> Result<(), ParamsError> {
        let (min, max) = (
            u64::from(self.min_value_fee_bps),
            u64::from(self.max_value_fee_bps),
        );
        let ranges = [
            ("min_value_fee_bps", min, 1, max),
            ("max_value_fee_bps", max, min, 10_000),
            (
                "initial_value_fee_bps",
                self.initial_value_fee_bps.into(),
                min,
                max,
            ),
            ("value_fee_rate_bps", self.value_fee_rate_bps.into(), 1, 10_000),
            (
                "target_epoch_fees",
                self.target_epoch_fees.get(),
                1,
                Shannons::SUPPLY.get(),
            ),
            (
                "emission_per_epoch",
                self.emission_per_epoch.get(),
                0,
                Shannons::SUPPLY.get(),
            ),
            (
                "validator_emission_bps",
                self.validator_emission_bps.into(),
                0,
                10_000,
            ),
            ("unbonding_epochs", self.unbonding_epochs, 1, 1_000),
            ("join_power_bps", self.join_power_bps.into(), 1, 10_000),
            (
                "checkpoint_transactions",
                self.checkpoint_transactions.into(),
                1,
                u32::MAX.into(),
            ),
        ];
        match ranges
            .into_iter()
            .find(|(_, value, low, high)| value < low || value > high)
        {
            Some((name, value, low, high)) => Err(ParamsError {
                name,
                value,
                low,
                high,
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_version_holds_together_and_has_a_digest_of_its_own() {
        assert_eq!(ProtocolParams::V1.check(), Ok(()));
        assert_eq!(
            ProtocolParams::of(ProtocolVersion::new(1)),
            Some(ProtocolParams::V1)
        );
        assert_eq!(ProtocolParams::of(ProtocolVersion::new(2)), None);
        let other = ProtocolParams {
            base_fee: Shannons::new(2_000),
            ..ProtocolParams::V1
        };
        assert_ne!(other.digest(), ProtocolParams::V1.digest());
    }

    #[test]
    fn a_number_that_no_version_can_have_is_named() {
        let wrong = ProtocolParams {
            min_value_fee_bps: 51,
            ..ProtocolParams::V1
        };
        let error = ParamsError {
            name: "min_value_fee_bps",
            value: 51,
            low: 1,
            high: 50,
        };
        assert_eq!(wrong.check(), Err(error));
    }
}
