//! What a share costs, and the one multiplication and division that everything here is computed with.

use types::{AmountError, Pool, Rounding, Shannons, Shares};

/// Shares of every pool that nobody owns. What falls to them stays in the pool until it is empty, so that whoever
/// makes shares dear loses a million times what one of them costs.
pub(super) const VIRTUAL_SHARES: u128 = 1_000_000;

/// Shannons of every pool that do not exist: with them an empty pool has a price too.
const VIRTUAL_SHANNONS: u64 = 1;

/// The price of a share as a fraction that is never zero and never infinite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    /// The balance and the virtual shannon.
    shannons: u64,
    /// The shares and the virtual ones.
    shares: u128,
}

impl Price {
    /// The price in this pool now.
    pub(super) fn of(pool: &Pool) -> Self {
        // A pool never holds so much that these reach their limit; if bytes claim it, the price is merely off by one.
        Self {
            shannons: pool.balance.get().saturating_add(VIRTUAL_SHANNONS),
            shares: pool.shares.get().saturating_add(VIRTUAL_SHARES),
        }
    }

    /// What the shares are worth, rounded down: the remainder stays in the pool.
    pub(super) fn value(self, shares: Shares) -> Result<Shannons, AmountError> {
        let (value, _) = mul_div(shares.get(), self.shannons, self.shares).ok_or(AmountError::Overflow)?;
        let value = u64::try_from(value).map_err(|_| AmountError::Overflow)?;
        Ok(Shannons::new(value))
    }

    /// The shares that the amount buys; `None` if there are no such numbers.
    pub(super) fn shares(self, amount: Shannons, rounding: Rounding) -> Option<Shares> {
        let (shares, rest) = mul_div(self.shares, amount.get(), self.shannons.into())?;
        let one_more = match rounding {
            Rounding::Down => 0,
            Rounding::Up => u128::from(rest > 0),
        };
        shares.checked_add(one_more).map(Shares::new)
    }
}

/// `a · b / c` and the remainder, exact: the product is never formed. `None` if the quotient exceeds 2^128 - 1 or `c` is 0.
pub(super) fn mul_div(a: u128, b: u64, c: u128) -> Option<(u128, u128)> {
    let whole = a.checked_div(c)?.checked_mul(b.into())?;
    let part = a % c;
    // `part · b / c` by Horner's rule over the bits of `b`; the quotient stays below `b`, since `part` is below `c`.
    let (mut quotient, mut rest) = (0u128, 0u128);
    for bit in (0..u64::BITS - b.leading_zeros()).rev() {
        let (carry, doubled) = add(rest, rest, c);
        quotient = 2 * quotient + carry;
        rest = doubled;
        if (b >> bit) & 1 == 1 {
            let (carry, sum) = add(rest, part, c);
            quotient += carry;
            rest = sum;
        }
    }
    Some((whole.checked_add(quotient)?, rest))
}

/// Quotient and remainder of `(one + other) / modulus`, for two numbers below it.
fn add(one: u128, other: u128, modulus: u128) -> (u128, u128) {
    let room = modulus - other;
    if one >= room {
        (1, one - room)
    } else {
        (0, one + other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `a · b` as high and low halves of 256 bits, by hand.
    fn product(a: u128, b: u128) -> (u128, u128) {
        let low_half = u128::from(u64::MAX);
        let (a1, a0, b1, b0) = (a >> 64, a & low_half, b >> 64, b & low_half);
        let middle = ((a0 * b0) >> 64) + ((a1 * b0) & low_half) + ((a0 * b1) & low_half);
        let high = a1 * b1 + ((a1 * b0) >> 64) + ((a0 * b1) >> 64) + (middle >> 64);
        (high, a.wrapping_mul(b))
    }

    #[test]
    fn the_extremes_divide() {
        let max = u128::MAX;
        assert_eq!(mul_div(max, 1, 1), Some((max, 0)));
        assert_eq!(mul_div(max, 2, 1), None);
        assert_eq!(mul_div(max, u64::MAX, max), Some((u64::MAX.into(), 0)));
        assert_eq!(
            mul_div(max - 1, u64::MAX, max),
            Some((u128::from(u64::MAX) - 1, max - u128::from(u64::MAX)))
        );
        assert_eq!(mul_div(1, 1, 0), None);
        assert_eq!(mul_div(7, 0, 3), Some((0, 0)));
        assert_eq!(mul_div(7, 5, 3), Some((11, 2)));
    }

    proptest! {
        #[test]
        fn quotient_and_remainder_make_up_the_product(
            a: u128, b: u64, c in 1u128.., down_a in 0..128u32, down_b in 0..64u32, down_c in 0..128u32,
        ) {
            let (a, b, c) = (a >> down_a, b >> down_b, (c >> down_c).max(1));
            match mul_div(a, b, c) {
                Some((quotient, rest)) => {
                    prop_assert!(rest < c);
                    let (high, low) = product(quotient, c);
                    let (low, carry) = low.overflowing_add(rest);
                    prop_assert_eq!((high + u128::from(carry), low), product(a, b.into()));
                }
                // 2^128 · c does not exceed the product: its high half is at least c.
                None => prop_assert!(product(a, b.into()).0 >= c),
            }
        }
    }
}
