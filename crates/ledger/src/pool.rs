//! Staking pools: how stake comes in, earns, is slashed and goes out (PROTOCOL section 5).
//!
//! ```text
//!   deposit ──▶ at par ──────── settle ───────▶ shares ── withdraw ──▶ leaving ── settle ──▶ left ── due ──▶ paid
//!                 └── withdraw ──▶ paid        rewards, slashes        rewards, slashes      slashes
//! ```
//! [`settle`] is what the close of an epoch does to a pool, after that epoch's rewards and slashes. Everything that came
//! in or went out since the last one converts at one price, so the order of actions within an epoch does not matter.
//!
//! Invariants:
//! - What was paid in and rewarded is what was paid out, slashed, left behind and is still [`held`], to the shannon.
//! - No action but a slash lowers the price of a share, as long as there are shares, and the claims together never exceed
//!   what is held: divisions round against who asks. The remainder of a conversion stays in the balance, hence with all who
//!   remain, and goes to the emission pool with the last of them; what the parts of a cohort leave goes to the part that is
//!   taken last; what a slash leaves goes to the emission pool.
//! - Deposits that are not converted are neither in the balance nor at risk: they were not there when what is slashed
//!   happened, and they did not earn either. Nothing is gained by passing through: in and out at par, within an epoch.
//! - What is leaving is at risk exactly like what stays, until it is due: nobody escapes a slash by being quick.
//! - A pool that is closed never opens again, and stake in it can be withdrawn for ever.
//! - A pool refuses receipts of another pool, and an action that is refused changes nothing.
//!
//! What has left is paid to whoever brings its receipt, not to a list of owners: so the pool, which every transaction on it
//! reads and writes, holds one entry per cohort instead of one per owner, nobody can fill it up, and no close has to pay
//! everybody at once.
//!
//! Not here: who may call what (the ledger's transactions), which pools exist, and how much is rewarded or slashed. A
//! receipt is consumed by value, for the caller must not leave the old one in the state.

mod claim;
mod price;
#[cfg(test)]
mod tests;

use std::mem;

use types::{
    AmountError, Epoch, Joined, LEAST_STAKE, Left, ObjectId, Pool, Rounding, Shannons, Shares, Stake,
    StakedSoma,
};

use self::claim::{Claim, claim, exchange};
use self::price::Price;

/// What a SOMA must buy at least for deposits to be taken. With two, the parts of a cohort, which are rounded down once
/// more, are never worth no share at all.
const LEAST_SHARES: Shares = Shares::new(2);

/// All of a pool in basis points.
const WHOLE_BPS: u16 = 10_000;

/// Why a pool does not do what a receipt or an amount asks of it. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Stake elsewhere: this pool takes none any more.
    #[error("the pool is closed")]
    Closed,
    /// Ask for more, or for everything.
    #[error("less than {LEAST_STAKE} would be staked, taken or left")]
    TooSmall,
    /// Stake elsewhere: a share costs more than the amount, or so little that their number is too large to count.
    #[error("the amount buys no share, or too many to count")]
    NoShares,
    /// Take the receipt to its own pool.
    #[error("a receipt of pool {0}")]
    OtherPool(ObjectId),
    /// The pool holds less than the receipt claims: it is not one that this pool gave out, or it was used before.
    #[error("the pool has no such stake")]
    NoSuchStake,
    /// What has been withdrawn can only be waited for.
    #[error("the stake is leaving")]
    Leaving,
    /// Come back in this epoch; without one, after the next close.
    #[error("the withdrawal is not due yet")]
    NotDue(Option<Epoch>),
    /// Two receipts of which only one is shares, or that leave at different times. Wait until they are alike.
    #[error("the receipts do not earn or leave alike")]
    Unlike,
    /// More money than there can be.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

/// What becomes of a receipt that is withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// The amount left the pool and is the owner's.
    Paid(Shannons),
    /// A receipt to come back with when it is due.
    Leaving(StakedSoma),
}

/// Takes a deposit. It earns from the next close on, and until then it is taken back as it was.
///
/// # Errors
/// [`PoolError::Closed`]; [`PoolError::TooSmall`] below [`LEAST_STAKE`]; [`PoolError::NoShares`] at a price at which a SOMA
/// buys less than two shares; [`PoolError::Amount`] beyond what a pool can hold.
pub fn deposit(pool: &mut Pool, amount: Shannons) -> Result<StakedSoma, PoolError> {
    if pool.closed {
        return Err(PoolError::Closed);
    }
    if amount < LEAST_STAKE {
        return Err(PoolError::TooSmall);
    }
    if !takes_deposits(Price::of(pool)) {
        return Err(PoolError::NoShares);
    }
    held(pool)?.checked_add(amount)?;
    let cohort = pool.cohort;
    let waiting = pool.at_par.entry(cohort).or_default();
    *waiting = waiting.checked_add(amount)?;
    let principal = amount;
    Ok(receipt(pool, Stake::Deposit { cohort, principal }))
}

/// Stakes an amount of any size at once, at the price of now.
///
/// Only for the close of an epoch, behind [`settle`]: the same price as a deposit's of that epoch, but no cohort, so that
/// a commission in every epoch, [merged](merge) into one receipt, leaves nothing behind in the pool. In the midst of an
/// epoch it would earn what others earned.
///
/// # Errors
/// [`PoolError::Closed`], [`PoolError::NoShares`], [`PoolError::Amount`]. The caller keeps the amount.
pub fn restake(pool: &mut Pool, amount: Shannons) -> Result<StakedSoma, PoolError> {
    if pool.closed {
        return Err(PoolError::Closed);
    }
    held(pool)?.checked_add(amount)?;
    let minted = mint(pool, Price::of(pool), amount).ok_or(PoolError::NoShares)?;
    Ok(receipt(pool, Stake::Shares(minted)))
}

/// Divides a receipt in two, of which the first is worth `amount` now and the second the rest. What remains of the
/// division, less than a share, goes to the first: both have the same owner.
///
/// # Errors
/// [`PoolError::TooSmall`] if one of them would be worth less than [`LEAST_STAKE`]; [`PoolError::Leaving`];
/// [`PoolError::OtherPool`], [`PoolError::NoSuchStake`].
pub fn split(
    pool: &mut Pool,
    staked: StakedSoma,
    amount: Shannons,
) -> Result<(StakedSoma, StakedSoma), PoolError> {
    let claim = claim(pool, &staked)?;
    if amount < LEAST_STAKE {
        return Err(PoolError::TooSmall);
    }
    let (taken, rest) = match claim {
        Claim::AtPar { cohort, principal } => {
            let rest = principal.checked_sub(amount).map_err(|_| PoolError::TooSmall)?;
            if rest < LEAST_STAKE {
                return Err(PoolError::TooSmall);
            }
            let part = |principal| Stake::Deposit { cohort, principal };
            (part(amount), part(rest))
        }
        Claim::Shares { shares, exchanged } => {
            let price = Price::of(pool);
            let taken = price.shares(amount, Rounding::Up).ok_or(PoolError::TooSmall)?;
            let rest = shares.checked_sub(taken).ok_or(PoolError::TooSmall)?;
            if price.value(rest)? < LEAST_STAKE {
                return Err(PoolError::TooSmall);
            }
            exchange(pool, exchanged);
            (Stake::Shares(taken), Stake::Shares(rest))
        }
        Claim::Leaving { .. } | Claim::Left { .. } => return Err(PoolError::Leaving),
    };
    Ok((receipt(pool, taken), receipt(pool, rest)))
}

/// Makes one receipt of two.
///
/// # Errors
/// [`PoolError::Unlike`] if only one of them is shares by now, or if they leave or wait in different cohorts;
/// [`PoolError::OtherPool`], [`PoolError::NoSuchStake`].
pub fn merge(pool: &mut Pool, one: StakedSoma, other: StakedSoma) -> Result<StakedSoma, PoolError> {
    let claims = (claim(pool, &one)?, claim(pool, &other)?);
    let merged = match (one.stake, other.stake) {
        (
            Stake::Deposit { cohort, principal },
            Stake::Deposit {
                cohort: same,
                principal: more,
            },
        ) if cohort == same => {
            let principal = principal.checked_add(more)?;
            Stake::Deposit { cohort, principal }
        }
        (
            Stake::Exit { cohort, shares },
            Stake::Exit {
                cohort: same,
                shares: more,
            },
        ) if cohort == same => {
            let shares = shares.checked_add(more).ok_or(PoolError::NoSuchStake)?;
            Stake::Exit { cohort, shares }
        }
        _ => match claims {
            (
                Claim::Shares { shares, exchanged },
                Claim::Shares {
                    shares: more,
                    exchanged: also,
                },
            ) => {
                let shares = shares.checked_add(more).ok_or(PoolError::NoSuchStake)?;
                exchange(pool, exchanged);
                exchange(pool, also);
                Stake::Shares(shares)
            }
            _ => return Err(PoolError::Unlike),
        },
    };
    let merged = receipt(pool, merged);
    // Two that exist apart exist together, unless one was used twice.
    claim(pool, &merged).map(|_| merged)
}

/// Withdraws all that the receipt stands for, one step further at each call: a deposit that is not converted is paid as it
/// is; stake starts to leave, which earns and is slashed as before until the close and can be slashed until it is due; what
/// has left and is due is paid. [`split`] the receipt first to withdraw a part.
///
/// # Errors
/// [`PoolError::NotDue`]; [`PoolError::OtherPool`], [`PoolError::NoSuchStake`].
pub fn withdraw(pool: &mut Pool, staked: StakedSoma, epoch: Epoch) -> Result<Withdrawal, PoolError> {
    match claim(pool, &staked)? {
        Claim::AtPar { cohort, principal } => {
            if let Some(waiting) = pool.at_par.get_mut(&cohort) {
                *waiting = waiting.checked_sub(principal)?;
            }
            pool.at_par.retain(|_, waiting| *waiting > Shannons::ZERO);
            Ok(Withdrawal::Paid(principal))
        }
        Claim::Shares { shares, exchanged } => {
            let leaving = pool.leaving.checked_add(shares);
            pool.leaving = leaving
                .filter(|leaving| *leaving <= pool.shares)
                .ok_or(PoolError::NoSuchStake)?;
            exchange(pool, exchanged);
            let cohort = pool.cohort;
            Ok(Withdrawal::Leaving(receipt(pool, Stake::Exit { cohort, shares })))
        }
        Claim::Leaving { .. } => Err(PoolError::NotDue(None)),
        Claim::Left { due, .. } if epoch < due => Err(PoolError::NotDue(Some(due))),
        Claim::Left {
            cohort, amount, rest, ..
        } => {
            pool.left.remove(&cohort);
            pool.left.extend(rest.map(|rest| (cohort, rest)));
            Ok(Withdrawal::Paid(amount))
        }
    }
}

/// What the receipt is worth at this moment, rounded down: after a close, what withdrawing all of it would come to.
///
/// # Errors
/// [`PoolError::OtherPool`], [`PoolError::NoSuchStake`].
pub fn value(pool: &Pool, staked: &StakedSoma) -> Result<Shannons, PoolError> {
    match claim(pool, staked)? {
        Claim::AtPar { principal, .. } => Ok(principal),
        Claim::Shares { shares, .. } | Claim::Leaving { shares } => Ok(Price::of(pool).value(shares)?),
        Claim::Left { amount, .. } => Ok(amount),
    }
}

/// Raises the balance, and so every share. What falls to the virtual shares stays in the pool while anybody does.
///
/// Returns what is not accepted and remains the caller's: everything if the pool is closed or has no shares, else nothing.
#[must_use = "what is not accepted must go somewhere"]
pub fn reward(pool: &mut Pool, amount: Shannons) -> Shannons {
    let fits = held(pool).is_ok_and(|held| held.checked_add(amount).is_ok());
    match pool.balance.checked_add(amount) {
        Ok(balance) if fits && !pool.closed && pool.shares > Shares::ZERO => {
            pool.balance = balance;
            Shannons::ZERO
        }
        _ => amount,
    }
}

/// Takes this part of the balance, and of what has left but is not due in `epoch`; more than 10,000 basis points take
/// everything. What remains is rounded down, and a pool that has nothing left is closed.
///
/// Returns what was taken, remainders included: it goes to the emission pool.
#[must_use = "what was taken goes to the emission pool"]
pub fn slash(pool: &mut Pool, bps: u16, epoch: Epoch) -> Shannons {
    let at_risk = pool.left.values_mut().filter(|left| left.due > epoch);
    let amounts = at_risk.map(|left| &mut left.amount);
    let mut taken: u64 = 0;
    for amount in amounts.chain([&mut pool.balance]) {
        let kept = keep(*amount, WHOLE_BPS.saturating_sub(bps));
        // The amounts of a pool fit 64 bits together, see `deposit` and `reward`.
        taken = taken.saturating_add(amount.get() - kept.get());
        *amount = kept;
    }
    pool.closed |= is_worthless(pool);
    Shannons::new(taken)
}

/// Closes the pool for good: a validator left, a model is inactive. Deposits that are not converted stay at par.
pub fn close(pool: &mut Pool) {
    pool.closed = true;
}

/// Whether the pool waits for a [`settle`]: an open one always does, a closed one while somebody is leaving.
pub fn is_waiting(pool: &Pool) -> bool {
    !pool.closed || pool.leaving > Shares::ZERO
}

/// The close of an epoch, after its rewards and slashes: what is leaving becomes an amount that is due in epoch
/// `epoch + 1 + unbonding_epochs`, and deposits become shares, all at the price of now. A cohort that cannot be converted
/// stays at par. A pool that has no shares, or shares of nothing, is closed.
///
/// Returns what the last to leave left behind, by rounding and to the virtual shares: it goes to the emission pool.
///
/// # Errors
/// None after any sequence of the actions of this module; [`PoolError::NoSuchStake`] or [`PoolError::Amount`] if the
/// pool's numbers contradict each other.
#[must_use = "what is left behind goes to the emission pool"]
pub fn settle(pool: &mut Pool, epoch: Epoch, unbonding_epochs: u64) -> Result<Shannons, PoolError> {
    let price = Price::of(pool);
    let amount = price.value(pool.leaving)?;
    let balance = pool.balance.checked_sub(amount)?;
    let shares = pool
        .shares
        .checked_sub(pool.leaving)
        .ok_or(PoolError::NoSuchStake)?;
    let next = pool.cohort.next().ok_or(PoolError::NoSuchStake)?;

    let cohort = pool.cohort;
    if pool.leaving > Shares::ZERO || pool.at_par.contains_key(&cohort) {
        pool.cohort = next;
    }
    (pool.balance, pool.shares) = (balance, shares);
    let leaving = mem::take(&mut pool.leaving);
    if leaving > Shares::ZERO {
        let due = Epoch::new(epoch.get().saturating_add(1).saturating_add(unbonding_epochs));
        let shares = leaving;
        pool.left.insert(cohort, Left { shares, amount, due });
    }
    if !pool.closed && takes_deposits(price) {
        for (cohort, principal) in mem::take(&mut pool.at_par) {
            if let Some(shares) = mint(pool, price, principal) {
                pool.joined.insert(cohort, Joined { principal, shares });
            } else {
                pool.at_par.insert(cohort, principal);
            }
        }
    }

    pool.closed |= pool.shares == Shares::ZERO || is_worthless(pool);
    match pool.shares {
        Shares::ZERO => Ok(mem::take(&mut pool.balance)),
        _ => Ok(Shannons::ZERO),
    }
}

/// All the money in the pool: the balance, what is at par, and what has left and is not collected.
///
/// # Errors
/// [`AmountError::Overflow`], which no sequence of the actions of this module leads to.
pub fn held(pool: &Pool) -> Result<Shannons, AmountError> {
    let left = pool.left.values().map(|left| left.amount);
    Shannons::checked_sum(
        [pool.balance]
            .into_iter()
            .chain(pool.at_par.values().copied())
            .chain(left),
    )
}

/// Adds the amount to the balance, and to the shares what it buys; `None`, and nothing added, if that is no share or one
/// too many to count.
fn mint(pool: &mut Pool, price: Price, amount: Shannons) -> Option<Shares> {
    let minted = price
        .shares(amount, Rounding::Down)
        .filter(|minted| *minted > Shares::ZERO)?;
    let shares = pool.shares.checked_add(minted)?;
    let balance = pool.balance.checked_add(amount).ok()?;
    (pool.balance, pool.shares) = (balance, shares);
    Some(minted)
}

/// Whether a deposit of the least size gets shares at this price.
fn takes_deposits(price: Price) -> bool {
    price
        .shares(LEAST_STAKE, Rounding::Down)
        .is_some_and(|shares| shares >= LEAST_SHARES)
}

/// Whether there are shares, but of nothing.
fn is_worthless(pool: &Pool) -> bool {
    pool.balance == Shannons::ZERO && pool.shares > Shares::ZERO
}

/// This many basis points of the amount, at most all of it, rounded down.
fn keep(amount: Shannons, bps: u16) -> Shannons {
    amount
        .mul_div(bps.into(), WHOLE_BPS.into(), Rounding::Down)
        .unwrap_or(amount)
}

/// A receipt of this pool.
fn receipt(pool: &Pool, stake: Stake) -> StakedSoma {
    StakedSoma { pool: pool.id, stake }
}
