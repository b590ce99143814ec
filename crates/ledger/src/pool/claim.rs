//! What receipts stand for: the parts of cohorts, which add up to the cohort exactly.

use types::{Cohort, Epoch, Joined, Left, Pool, Shannons, Shares, Stake, StakedSoma};

use super::PoolError;
use super::price::mul_div;

/// What a receipt means in the pool as it is.
pub(super) enum Claim {
    /// An amount of those at par.
    AtPar { cohort: Cohort, principal: Shannons },
    /// Shares, and what to [`exchange`] before they are used otherwise.
    Shares { shares: Shares, exchanged: Exchanged },
    /// Shares of which the next close makes an amount.
    Leaving { shares: Shares },
    /// An amount of what has left, and what remains of its cohort without it.
    Left {
        cohort: Cohort,
        amount: Shannons,
        due: Epoch,
        rest: Option<Left>,
    },
}

/// What remains of a cohort of deposits when a receipt is exchanged for its shares; `None` if it is shares already.
pub(super) type Exchanged = Option<(Cohort, Option<Joined>)>;

/// Reads a receipt. A part of a cohort is rounded down, and the last receipt gets the rest.
pub(super) fn claim(pool: &Pool, staked: &StakedSoma) -> Result<Claim, PoolError> {
    if staked.pool != pool.id {
        return Err(PoolError::OtherPool(staked.pool));
    }
    match staked.stake {
        Stake::Deposit {
            principal: Shannons::ZERO,
            ..
        }
        | Stake::Shares(Shares::ZERO)
        | Stake::Exit {
            shares: Shares::ZERO, ..
        } => Err(PoolError::NoSuchStake),
        Stake::Deposit { cohort, principal } => match pool.at_par.get(&cohort) {
            Some(waiting) if principal <= *waiting => Ok(Claim::AtPar { cohort, principal }),
            Some(_) => Err(PoolError::NoSuchStake),
            None => {
                let joined = pool.joined.get(&cohort).ok_or(PoolError::NoSuchStake)?;
                let (shares, rest) = part_of_joined(*joined, principal).ok_or(PoolError::NoSuchStake)?;
                let exchanged = Some((cohort, rest));
                Ok(Claim::Shares { shares, exchanged })
            }
        },
        Stake::Shares(shares) if shares <= pool.shares => Ok(Claim::Shares {
            shares,
            exchanged: None,
        }),
        Stake::Exit { cohort, shares } if cohort == pool.cohort && shares <= pool.leaving => {
            Ok(Claim::Leaving { shares })
        }
        Stake::Exit { cohort, shares } => {
            let left = pool.left.get(&cohort).ok_or(PoolError::NoSuchStake)?;
            let (amount, rest) = part_of_left(*left, shares).ok_or(PoolError::NoSuchStake)?;
            let due = left.due;
            Ok(Claim::Left {
                cohort,
                amount,
                due,
                rest,
            })
        }
        Stake::Shares(_) => Err(PoolError::NoSuchStake),
    }
}

/// The shares that belong to this principal, and the rest of the cohort unless that was all of it.
fn part_of_joined(joined: Joined, principal: Shannons) -> Option<(Shares, Option<Joined>)> {
    let rest = joined.principal.checked_sub(principal).ok()?;
    if rest == Shannons::ZERO {
        return Some((joined.shares, None));
    }
    let (part, _) = mul_div(
        joined.shares.get(),
        principal.get(),
        joined.principal.get().into(),
    )?;
    let (part, principal) = (Shares::new(part), rest);
    let shares = joined.shares.checked_sub(part)?;
    Some((part, Some(Joined { principal, shares })))
}

/// The amount that belongs to these shares, and the rest of the cohort unless that was all of it.
fn part_of_left(left: Left, shares: Shares) -> Option<(Shannons, Option<Left>)> {
    let rest = left.shares.checked_sub(shares)?;
    if rest == Shares::ZERO {
        return Some((left.amount, None));
    }
    let (part, _) = mul_div(shares.get(), left.amount.get(), left.shares.get())?;
    let part = Shannons::new(u64::try_from(part).ok()?);
    let amount = left.amount.checked_sub(part).ok()?;
    let shares = rest;
    Some((
        part,
        Some(Left {
            shares,
            amount,
            ..left
        }),
    ))
}

/// Takes a receipt's part out of its cohort of deposits: from now on its shares stand for themselves.
pub(super) fn exchange(pool: &mut Pool, exchanged: Exchanged) {
    if let Some((cohort, rest)) = exchanged {
        pool.joined.remove(&cohort);
        pool.joined.extend(rest.map(|rest| (cohort, rest)));
    }
}
