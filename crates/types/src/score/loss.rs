//! How badly a model predicts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rdiv;

/// The cross-entropy of data under a model, summed over the positions that count. A model with less of it predicts
/// the data better.
///
/// The order is that of the totals, then of the positions. Only losses on the same data are worth comparing; those
/// have the same positions, so the total decides, and a tie is the caller's to break by the models' ids.
///
/// BCS: the total as u64, the positions as u32. Source: `EXACT.md` 4.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawLoss", into = "RawLoss")]
pub struct Loss {
    total: u64,
    positions: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Loss")]
struct RawLoss {
    total: u64,
    positions: u32,
}

/// Why numbers are not a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LossError {
    /// No position, or more than data may have.
    #[error("{found} positions, not between 1 and {max}", max = Loss::MAX_POSITIONS)]
    Positions {
        /// How many there are.
        found: u32,
    },
    /// More than the worst prediction of every position.
    #[error("a total of {found} beyond {max}, the worst for so many positions")]
    Total {
        /// What it is.
        found: u64,
        /// What it is at most.
        max: u64,
    },
}

impl Loss {
    /// The most positions that data has.
    pub const MAX_POSITIONS: u32 = 1 << 20;
    /// The most that one position loses, in nats, Q24: 2^15 where two logits are as far apart as they can be, and 8
    /// for the logarithm of the number of classes.
    pub const MAX_PER_POSITION: u64 = (1 << 39) + (1 << 27);

    /// This total in nats, Q24, over so many positions.
    ///
    /// # Errors
    /// [`LossError`].
    pub const fn new(total: u64, positions: u32) -> Result<Self, LossError> {
        if positions == 0 || positions > Self::MAX_POSITIONS {
            return Err(LossError::Positions { found: positions });
        }
        // At most 2^59 + 2^47.
        let max = positions as u64 * Self::MAX_PER_POSITION;
        if total > max {
            return Err(LossError::Total { found: total, max });
        }
        Ok(Self { total, positions })
    }

    /// The sum over all positions, in nats, Q24.
    pub const fn total(self) -> u64 {
        self.total
    }

    /// How many positions counted.
    pub const fn positions(self) -> u32 {
        self.positions
    }
}

impl TryFrom<RawLoss> for Loss {
    type Error = LossError;

    fn try_from(raw: RawLoss) -> Result<Self, LossError> {
        Self::new(raw.total, raw.positions)
    }
}

impl From<Loss> for RawLoss {
    fn from(Loss { total, positions }: Loss) -> Self {
        Self { total, positions }
    }
}

impl fmt::Display for Loss {
    /// The mean of a position in nats, to six decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millionths = rdiv(
            i128::from(self.total) * 1_000_000,
            i128::from(self.positions) << 24,
        );
        write!(f, "{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{decode, encode};

    #[test]
    fn a_loss_is_of_at_least_one_position_and_at_most_a_mebi() {
        assert_eq!(Loss::new(0, 0), Err(LossError::Positions { found: 0 }));
        assert!(Loss::new(0, 1).is_ok());
        assert!(Loss::new(0, 1 << 20).is_ok());
        let found = (1 << 20) + 1;
        assert_eq!(Loss::new(0, found), Err(LossError::Positions { found }));
    }

    #[test]
    fn a_loss_is_no_larger_than_the_worst_of_every_position() {
        for (positions, max) in [
            (1, 549_890_031_616),
            (3, 1_649_670_094_848),
            (1 << 20, 576_601_489_791_778_816),
        ] {
            assert!(Loss::new(max, positions).is_ok());
            let found = max + 1;
            assert_eq!(Loss::new(found, positions), Err(LossError::Total { found, max }));
        }
    }

    #[test]
    fn the_lowest_total_wins() {
        let loss = |total| Loss::new(total, 1_023).unwrap();
        assert_eq!([loss(7), loss(5), loss(6)].into_iter().min(), Some(loss(5)));
        // Whatever the positions are, which on the same data cannot differ.
        assert!(Loss::new(5, 9).unwrap() < Loss::new(6, 1).unwrap());
        assert!(Loss::new(5, 1).unwrap() < Loss::new(5, 9).unwrap());
    }

    #[test]
    fn a_loss_prints_the_mean_of_a_position() {
        for (total, positions, text) in [
            (0, 1, "0.000000"),
            (1 << 24, 1, "1.000000"),
            (5 << 23, 2, "1.250000"),
            // Less than half a millionth, and more.
            (8, 1, "0.000000"),
            (9, 1, "0.000001"),
            (93_032_639, 1, "5.545177"),
            (Loss::MAX_PER_POSITION << 20, 1 << 20, "32776.000000"),
        ] {
            assert_eq!(Loss::new(total, positions).unwrap().to_string(), text);
        }
    }

    #[test]
    fn bytes_that_are_no_loss_say_why() {
        let refusal =
            |total: u64, positions: u32| decode::<Loss>(&encode(&(total, positions)), 12).unwrap_err();
        assert!(
            refusal(0, 0)
                .to_string()
                .ends_with("0 positions, not between 1 and 1048576")
        );
        let beyond = "a total of 549890031617 beyond 549890031616, the worst for so many positions";
        assert!(refusal(549_890_031_617, 1).to_string().ends_with(beyond));
    }

    proptest! {
        #[test]
        fn a_loss_survives_its_encoding(positions in 1..=1u32 << 20, share: u64) {
            let total = share % (u64::from(positions) * Loss::MAX_PER_POSITION + 1);
            let loss = Loss::new(total, positions).unwrap();
            prop_assert_eq!(decode(&encode(&loss), 12), Ok(loss));
            prop_assert_eq!((loss.total(), loss.positions()), (total, positions));
        }

        #[test]
        fn any_bytes_are_a_loss_or_an_error(mut bytes: [u8; 12], small: bool) {
            // Most random numbers are too large: often, take small ones.
            if small {
                bytes[5..8].fill(0);
                bytes[10..].fill(0);
            }
            if let Ok(loss) = decode::<Loss>(&bytes, 12) {
                prop_assert_eq!(encode(&loss), bytes);
            }
        }
    }
}
