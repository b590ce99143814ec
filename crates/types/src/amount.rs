//! Amounts of money: whole shannons, never floats.

use std::{fmt, str};

use serde::{Deserialize, Serialize};

/// An amount in shannons, the smallest unit: 1 SOMA = 10^9 shannons. BCS: u64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shannons(u64);

/// One SOMA.
pub const SOMA: Shannons = Shannons(1_000_000_000);

/// Decimals of a SOMA.
const DECIMALS: usize = 9;

/// What becomes of the part of a division that is less than one shannon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// It is left to the caller to give away: the rule when paying out.
    Down,
    /// It is charged as a whole shannon: the rule when collecting.
    Up,
}

/// Why there is no such amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// More than an amount can hold.
    #[error("the amount exceeds 2^64 - 1 shannons")]
    Overflow,
    /// Less is there than is taken.
    #[error("{have} is {missing} short")]
    Insufficient {
        /// What is there.
        have: Shannons,
        /// What more would be needed.
        missing: Shannons,
    },
    /// A share of nothing was asked for.
    #[error("division by zero")]
    DivisionByZero,
    /// The text is not `<digits>[.<digits>] SOMA`.
    #[error("not an amount like `1.5 SOMA`")]
    Syntax,
    /// The text has more than nine decimals.
    #[error("a shannon is the smallest unit: at most nine decimals")]
    TooPrecise,
}

impl Shannons {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All the money there is: 10,000,000 SOMA.
    pub const SUPPLY: Self = Self(10_000_000 * SOMA.0);

    /// This many shannons.
    pub const fn new(shannons: u64) -> Self {
        Self(shannons)
    }

    /// How many shannons.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`AmountError::Overflow`].
    pub const fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        match self.0.checked_add(other.0) {
            Some(sum) => Ok(Self(sum)),
            None => Err(AmountError::Overflow),
        }
    }

    /// What is left.
    ///
    /// # Errors
    /// [`AmountError::Insufficient`].
    pub const fn checked_sub(self, other: Self) -> Result<Self, AmountError> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Ok(Self(rest)),
            None => Err(AmountError::Insufficient {
                have: self,
                missing: Self(other.0 - self.0),
            }),
        }
    }

    /// `self · numerator / denominator`, exact in between.
    ///
    /// # Errors
    /// [`AmountError::Overflow`], [`AmountError::DivisionByZero`].
    pub fn mul_div(self, numerator: u64, denominator: u64, rounding: Rounding) -> Result<Self, AmountError> {
        let product = u128::from(self.0) * u128::from(numerator);
        let denominator = u128::from(denominator);
        let down = product
            .checked_div(denominator)
            .ok_or(AmountError::DivisionByZero)?;
        let quotient = match rounding {
            Rounding::Down => down,
            Rounding::Up => down + u128::from(down * denominator < product),
        };
        u64::try_from(quotient)
            .map(Self)
            .map_err(|_| AmountError::Overflow)
    }

    /// The sum of all.
    ///
    /// # Errors
    /// [`AmountError::Overflow`].
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, AmountError> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

impl fmt::Display for Shannons {
    /// In SOMA, with as many decimals as needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / SOMA.0, self.0 % SOMA.0);
        if part == 0 {
            return write!(f, "{whole} SOMA");
        }
        let part = format!("{part:09}");
        write!(f, "{whole}.{} SOMA", part.trim_end_matches('0'))
    }
}

impl str::FromStr for Shannons {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let number = text.strip_suffix(" SOMA").ok_or(AmountError::Syntax)?;
        let (whole, part) = match number.split_once('.') {
            Some((_, "")) => return Err(AmountError::Syntax),
            Some(parts) => parts,
            None => (number, ""),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) {
            return Err(AmountError::Syntax);
        }
        if part.len() > DECIMALS {
            return Err(AmountError::TooPrecise);
        }
        // Only digits are left, so the one thing that can go wrong is the size.
        let whole: u64 = whole.parse().map_err(|_| AmountError::Overflow)?;
        let part: u64 = format!("{part:0<DECIMALS$}")
            .parse()
            .map_err(|_| AmountError::Overflow)?;
        let shannons = whole
            .checked_mul(SOMA.0)
            .and_then(|whole| whole.checked_add(part));
        shannons.map(Self).ok_or(AmountError::Overflow)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_read_and_print_in_soma() {
        for (text, shannons) in [
            ("0 SOMA", 0),
            ("1 SOMA", 1_000_000_000),
            ("1.5 SOMA", 1_500_000_000),
            ("0.000000001 SOMA", 1),
            ("18446744073.709551615 SOMA", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Shannons(shannons)));
            assert_eq!(Shannons(shannons).to_string(), text);
        }
        assert_eq!(Shannons::SUPPLY.to_string(), "10000000 SOMA");
        assert_eq!("007.50 SOMA".parse(), Ok(Shannons(7_500_000_000)));
    }

    #[test]
    fn text_that_is_no_amount_says_why() {
        for (text, error) in [
            ("", AmountError::Syntax),
            ("1", AmountError::Syntax),
            ("1SOMA", AmountError::Syntax),
            (" SOMA", AmountError::Syntax),
            (".5 SOMA", AmountError::Syntax),
            ("1. SOMA", AmountError::Syntax),
            ("-1 SOMA", AmountError::Syntax),
            ("+1 SOMA", AmountError::Syntax),
            ("1.2.3 SOMA", AmountError::Syntax),
            ("1.0000000001 SOMA", AmountError::TooPrecise),
            ("18446744073.709551616 SOMA", AmountError::Overflow),
            ("99999999999999999999999999 SOMA", AmountError::Overflow),
        ] {
            assert_eq!(text.parse::<Shannons>(), Err(error), "{text}");
        }
    }

    #[test]
    fn arithmetic_fails_instead_of_wrapping() {
        let (one, max) = (Shannons(1), Shannons(u64::MAX));
        assert_eq!(max.checked_add(one), Err(AmountError::Overflow));
        assert_eq!(
            one.checked_sub(Shannons(5)),
            Err(AmountError::Insufficient {
                have: one,
                missing: Shannons(4)
            })
        );
        assert_eq!(max.mul_div(2, 1, Rounding::Down), Err(AmountError::Overflow));
        assert_eq!(max.mul_div(u64::MAX, u64::MAX, Rounding::Up), Ok(max));
        assert_eq!(one.mul_div(1, 0, Rounding::Up), Err(AmountError::DivisionByZero));
        assert_eq!(Shannons(10).mul_div(1, 3, Rounding::Down), Ok(Shannons(3)));
        assert_eq!(Shannons(10).mul_div(1, 3, Rounding::Up), Ok(Shannons(4)));
        assert_eq!(Shannons(9).mul_div(1, 3, Rounding::Up), Ok(Shannons(3)));
        assert_eq!(Shannons::checked_sum([one, Shannons(2)]), Ok(Shannons(3)));
        assert_eq!(Shannons::checked_sum([one, max]), Err(AmountError::Overflow));
    }

    proptest! {
        #[test]
        fn an_amount_survives_its_text(shannons: u64) {
            prop_assert_eq!(Shannons(shannons).to_string().parse(), Ok(Shannons(shannons)));
        }

        #[test]
        fn any_text_is_an_amount_or_an_error(text in "([0-9]{0,22}[.]?[0-9]{0,11}|.{0,20})( SOMA)?") {
            let _ = text.parse::<Shannons>();
        }

        #[test]
        fn the_two_roundings_differ_by_the_remainder(amount: u64, numerator in 0..1_000_000u64, denominator in 1_000_000u64..) {
            let down = Shannons(amount).mul_div(numerator, denominator, Rounding::Down).unwrap();
            let up = Shannons(amount).mul_div(numerator, denominator, Rounding::Up).unwrap();
            let rest = u128::from(amount) * u128::from(numerator) - u128::from(down.0) * u128::from(denominator);
            prop_assert!(rest < u128::from(denominator));
            prop_assert_eq!(up.0 - down.0, u64::from(rest > 0));
        }
    }
}
