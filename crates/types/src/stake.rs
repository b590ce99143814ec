//! Stake: the pool that holds it, and the receipt that its owner has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Epoch, ObjectId, SOMA, Shannons};

/// The least that is staked, withdrawn or left at once.
pub const LEAST_STAKE: Shannons = SOMA;

/// A count of shares in one pool. A SOMA buys 10^15 of them before any reward or slash. BCS: u128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shares(u128);

impl Shares {
    /// None.
    pub const ZERO: Self = Self(0);

    /// This many.
    pub const fn new(shares: u128) -> Self {
        Self(shares)
    }

    /// How many.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// The sum; `None` beyond 2^128 - 1.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// What is left; `None` if less is there than is taken.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }
}

/// Names, within one pool, all that came in or went out between two closes. It counts the closes at which there was
/// something to convert, and not epochs: an epoch that ends without a settlement simply goes on. BCS: u64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cohort(u64);

impl Cohort {
    /// The first.
    pub const ZERO: Self = Self(0);

    /// The one with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after; `None` after the highest.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

/// The stake behind one validator or model (PROTOCOL section 5). The rules are `ledger::pool`'s.
///
/// It grows with the receipts that are outstanding, not with the epochs that pass: a cohort is gone with the last
/// receipt that refers to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The object that the pool is part of. Receipts name it.
    pub id: ObjectId,
    /// No deposits and no rewards any more, for good. Stake can be withdrawn for ever.
    pub closed: bool,
    /// What the shares are worth together.
    pub balance: Shannons,
    /// All shares, those leaving included, the virtual ones not.
    pub shares: Shares,
    /// What the deposits and withdrawals of now belong to.
    pub cohort: Cohort,
    /// Deposits that no close has converted: not part of the balance, without reward or risk, and free to go.
    pub at_par: BTreeMap<Cohort, Shannons>,
    /// Deposits that became shares, as far as their receipts have not been exchanged for them.
    pub joined: BTreeMap<Cohort, Joined>,
    /// Shares that become an amount at the next close.
    pub leaving: Shares,
    /// What left the balance and is not collected yet.
    pub left: BTreeMap<Cohort, Left>,
}

impl Pool {
    /// A pool with nothing in it. Unless a deposit follows, the first close closes it.
    pub const fn new(id: ObjectId) -> Self {
        Self {
            id,
            closed: false,
            balance: Shannons::ZERO,
            shares: Shares::ZERO,
            cohort: Cohort::ZERO,
            at_par: BTreeMap::new(),
            joined: BTreeMap::new(),
            leaving: Shares::ZERO,
            left: BTreeMap::new(),
        }
    }
}

/// The deposits of a cohort and the shares they became. The shares are part of [`Pool::shares`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// What the outstanding receipts paid in.
    pub principal: Shannons,
    /// What they get for it, together.
    pub shares: Shares,
}

/// The withdrawals of a cohort and the amount they became. The amount is no longer part of [`Pool::balance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// What the outstanding receipts gave up.
    pub shares: Shares,
    /// What they get for it, together, unless it is slashed before it is due.
    pub amount: Shannons,
    /// The first epoch in which it is paid and can be slashed no more.
    pub due: Epoch,
}

/// The payload of an owned object: the receipt for stake. Whoever owns it owns the stake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StakedSoma {
    /// The [`Pool::id`] of the pool that holds it.
    pub pool: ObjectId,
    /// Its claim on that pool.
    pub stake: Stake,
}

/// What a receipt is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stake {
    /// A deposit: money until a close converts its cohort, from then on its part of the cohort's shares.
    Deposit {
        /// Which deposits it belongs to.
        cohort: Cohort,
        /// What was paid in.
        principal: Shannons,
    },
    /// Shares of the pool.
    Shares(Shares),
    /// A withdrawal: shares until a close converts its cohort, from then on its part of the cohort's amount.
    Exit {
        /// Which withdrawals it belongs to.
        cohort: Cohort,
        /// What was given up.
        shares: Shares,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{SOMA, decode, encode};

    fn pool() -> Pool {
        Pool {
            closed: true,
            balance: SOMA,
            shares: Shares(7),
            cohort: Cohort(4),
            at_par: [(Cohort(2), SOMA), (Cohort(4), Shannons::new(3))].into(),
            joined: [(
                Cohort(1),
                Joined {
                    principal: SOMA,
                    shares: Shares(u128::MAX),
                },
            )]
            .into(),
            leaving: Shares(1),
            left: [(
                Cohort(3),
                Left {
                    shares: Shares(2),
                    amount: SOMA,
                    due: Epoch::new(9),
                },
            )]
            .into(),
            ..Pool::new(ObjectId::from_low(5))
        }
    }

    #[test]
    fn a_pool_and_a_receipt_survive_their_encoding() {
        let bytes = encode(&pool());
        assert_eq!(decode(&bytes, bytes.len()), Ok(pool()));
        let empty = encode(&Pool::new(ObjectId::from_low(5)));
        assert_eq!(
            empty.len(),
            32 + 1 + 8 + 16 + 8 + 16 + 3,
            "what an idle pool costs"
        );
        for stake in [
            Stake::Deposit {
                cohort: Cohort(1),
                principal: SOMA,
            },
            Stake::Shares(Shares(1)),
            Stake::Exit {
                cohort: Cohort(1),
                shares: Shares(1),
            },
        ] {
            let receipt = StakedSoma {
                pool: ObjectId::from_low(5),
                stake,
            };
            let bytes = encode(&receipt);
            assert_eq!(decode(&bytes, bytes.len()), Ok(receipt));
        }
    }

    #[test]
    fn cohorts_out_of_order_do_not_decode() {
        // The two cohorts at par are 16 bytes each behind the one byte of their count.
        let mut bytes = encode(&pool());
        let first = 32 + 1 + 8 + 16 + 8 + 1;
        bytes[first..first + 32].rotate_left(16);
        assert!(decode::<Pool>(&bytes, bytes.len()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_pool_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Pool>(&bytes, 200);
            let _ = decode::<StakedSoma>(&bytes, 200);
        }

        #[test]
        fn shares_are_checked(one: u128, other: u128) {
            prop_assert_eq!(Shares(one).checked_add(Shares(other)).map(Shares::get), one.checked_add(other));
            prop_assert_eq!(Shares(one).checked_sub(Shares(other)).map(Shares::get), one.checked_sub(other));
        }
    }
}
