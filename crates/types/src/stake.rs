//! Stake: pools whose balance is divided by shares.
//!
//! A deposit becomes shares when its epoch closes, after that epoch's rewards and slashes, so that it takes part in neither. What
//! is withdrawn stays in shares until its epoch closes, and takes part in both; then it is an amount that rests for some epochs,
//! can still be slashed, and is paid. Every rounding is against whoever acts: what is left over stays in the pool.
//!
//! All deposits of one epoch are one [`Cohort`], so a receipt need not be written again when it becomes shares, and a pool grows
//! with the receipts that are out and not with the epochs that pass.

use std::collections::BTreeMap;

use crypto::Address;
use serde::{Deserialize, Serialize};

use crate::{AmountError, Epoch, ObjectId, Rounding, Shannons};

/// Shares that nobody has, so that no first depositor can make the next one's shares round to nothing.
const VIRTUAL_SHARES: u128 = 1_000_000;

/// Shares of a shannon above which nobody can deposit: the pool has lost all but a millionth of what was staked.
const MOST_SHARES_OF_A_SHANNON: u128 = VIRTUAL_SHARES * 1_000_000;

/// A receipt for stake in a pool. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StakedSoma {
    /// Whose pool: a validator or a model.
    pub pool: ObjectId,
    /// The epoch of the deposit. It earns from the next one on.
    pub deposited: Epoch,
    /// What was deposited and is not withdrawn.
    pub principal: Shannons,
}

/// The deposits of one epoch, as far as they are not withdrawn. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cohort {
    principal: Shannons,
    /// Its shares. Without any the principal lies beside the pool: it came when nobody could deposit any more.
    shares: Option<u128>,
}

/// The stake of a validator or a model. BCS: the fields in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// What the shares divide.
    balance: Shannons,
    shares: u128,
    /// Deposits that are not shares yet, by their epoch: this one, and those that ended in safe mode.
    pending: BTreeMap<Epoch, Shannons>,
    /// Principal of cohorts without shares.
    idle: Shannons,
    /// By the epoch of the deposit.
    cohorts: BTreeMap<Epoch, Cohort>,
    /// Shares that leave when the epoch closes, by owner.
    leaving: BTreeMap<Address, u128>,
    /// What rests until it is paid, by the epoch with which it is paid, and by owner.
    unbonding: BTreeMap<Epoch, BTreeMap<Address, Shannons>>,
    /// Nobody deposits and nothing is earned any more.
    is_retired: bool,
}

/// Why a pool does not do it. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StakeError {
    /// Less than the least that can be staked, withdrawn, or left staked.
    #[error("{found} is less than {least}")]
    TooLittle {
        /// How much.
        found: Shannons,
        /// What would do.
        least: Shannons,
    },
    /// More than the receipt is for.
    #[error("{asked} of a receipt for {held}")]
    TooMuch {
        /// How much is asked for.
        asked: Shannons,
        /// What the receipt is for.
        held: Shannons,
    },
    /// The pool is closed to deposits: its validator or model has left, or it has lost nearly everything.
    #[error("the pool takes no deposits")]
    Closed,
    /// A receipt that this pool knows nothing of: a bug in what keeps receipts.
    #[error("the pool has no deposit of {} in epoch {}", .0.principal, .0.deposited)]
    UnknownReceipt(StakedSoma),
    /// More than there can be.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

/// How a withdrawal is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// At once: it was never staked.
    Now(Shannons),
    /// Later, by [`Pool::close_epoch`], as much as it is worth when this epoch closes and is not slashed until then.
    Unbonding,
}

/// What leaves a pool when an epoch closes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// To whom how much is paid, ascending by address.
    pub payouts: Vec<(Address, Shannons)>,
    /// What roundings have left in a pool without shares. It is the emission pool's.
    pub dust: Shannons,
}

/// `part · amount / whole` rounded down, exact in between, for a `part` that is not above `whole`.
fn share_of(part: u128, amount: u64, whole: u128) -> u64 {
    assert!(
        part <= whole && whole < 1 << 125,
        "a part of a pool is no more than the pool"
    );
    if whole == 0 {
        return 0;
    }
    // Long division of the product, which has more bits than any integer here.
    let (mut rest, mut quotient) = (0u128, 0u64);
    for bit in (0..64).rev() {
        rest = 2 * rest + if amount >> bit & 1 == 1 { part } else { 0 };
        // The quotient is not above the amount, so no bit is lost.
        quotient <<= 1;
        while rest >= whole {
            rest -= whole;
            quotient += 1;
        }
    }
    quotient
}

impl Pool {
    /// What is staked and earns.
    pub const fn balance(&self) -> Shannons {
        self.balance
    }

    /// All the money in it: staked, deposited, idle and resting.
    ///
    /// # Panics
    /// On more than there can be.
    pub fn money(&self) -> Shannons {
        let resting = self.unbonding.values().flat_map(BTreeMap::values);
        let all = [&self.balance, &self.idle]
            .into_iter()
            .chain(self.pending.values())
            .chain(resting);
        Shannons::checked_sum(all.copied()).expect("the money in a pool is part of the supply")
    }

    /// Whether it has nothing and owes nothing.
    pub fn is_empty(&self) -> bool {
        self.money() == Shannons::ZERO && self.cohorts.is_empty()
    }

    /// Whether it takes deposits.
    pub const fn is_open(&self) -> bool {
        let shannons = self.balance.get() as u128 + 1;
        !self.is_retired && self.shares + VIRTUAL_SHARES <= shannons * MOST_SHARES_OF_A_SHANNON
    }

    /// What these shares are worth, the odd shannon left out.
    fn worth(&self, shares: u128) -> Shannons {
        let all = self.balance.get() + 1;
        let worth = share_of(shares, all, self.shares + VIRTUAL_SHARES);
        Shannons::new(worth.min(self.balance.get()))
    }

    /// What a receipt is worth now, if it were not to rest.
    ///
    /// # Errors
    /// [`StakeError::UnknownReceipt`].
    pub fn value(&self, receipt: &StakedSoma) -> Result<Shannons, StakeError> {
        if self.pending.contains_key(&receipt.deposited) {
            return Ok(receipt.principal);
        }
        let cohort = self.cohort(receipt, receipt.principal)?;
        Ok(match cohort.part(receipt.principal) {
            Some(shares) => self.worth(shares),
            None => receipt.principal,
        })
    }

    /// Takes a deposit, for which the depositor has a receipt of this epoch, `now`.
    ///
    /// # Errors
    /// [`StakeError::Closed`], [`StakeError::TooLittle`].
    pub fn deposit(&mut self, amount: Shannons, now: Epoch, least: Shannons) -> Result<(), StakeError> {
        if !self.is_open() {
            return Err(StakeError::Closed);
        }
        if amount < least {
            return Err(StakeError::TooLittle { found: amount, least });
        }
        let pending = self.pending.get(&now).copied().unwrap_or_default();
        self.pending.insert(now, pending.checked_add(amount)?);
        Ok(())
    }

    fn cohort(&self, receipt: &StakedSoma, principal: Shannons) -> Result<Cohort, StakeError> {
        let cohort = self.cohorts.get(&receipt.deposited).copied();
        cohort
            .filter(|cohort| cohort.principal >= principal)
            .ok_or(StakeError::UnknownReceipt(*receipt))
    }

    /// Withdraws so much of what a receipt is for, and yields what is left of the receipt, if anything is.
    ///
    /// # Errors
    /// [`StakeError::TooMuch`], [`StakeError::TooLittle`] for a part, or a rest, of less than `least`.
    pub fn withdraw(
        &mut self,
        receipt: &StakedSoma,
        principal: Shannons,
        owner: Address,
        least: Shannons,
    ) -> Result<(Withdrawal, Option<StakedSoma>), StakeError> {
        let rest = receipt
            .principal
            .checked_sub(principal)
            .map_err(|_| StakeError::TooMuch {
                asked: principal,
                held: receipt.principal,
            })?;
        let is_whole = rest == Shannons::ZERO;
        for found in [principal, rest] {
            if found < least && !is_whole {
                return Err(StakeError::TooLittle { found, least });
            }
        }
        let withdrawal = if let Some(pending) = self.pending.get_mut(&receipt.deposited) {
            let unknown = StakeError::UnknownReceipt(*receipt);
            *pending = pending.checked_sub(principal).map_err(|_| unknown)?;
            if *pending == Shannons::ZERO {
                self.pending.remove(&receipt.deposited);
            }
            Withdrawal::Now(principal)
        } else {
            let mut cohort = self.cohort(receipt, principal)?;
            let withdrawal = match cohort.part(principal) {
                Some(shares) => {
                    let left = cohort.shares.map(|all| all - shares);
                    cohort.shares = left;
                    *self.leaving.entry(owner).or_default() += shares;
                    Withdrawal::Unbonding
                }
                None => {
                    self.idle = self.idle.checked_sub(principal)?;
                    Withdrawal::Now(principal)
                }
            };
            cohort.principal = cohort.principal.checked_sub(principal)?;
            if cohort.principal == Shannons::ZERO {
                self.cohorts.remove(&receipt.deposited);
            } else {
                self.cohorts.insert(receipt.deposited, cohort);
            }
            withdrawal
        };
        let left = (!is_whole).then_some(StakedSoma {
            principal: rest,
            ..*receipt
        });
        Ok((withdrawal, left))
    }

    /// Takes a reward, and yields what it cannot take: all of it where nobody has a share, or nobody earns any more.
    pub fn reward(&mut self, amount: Shannons) -> Shannons {
        let sum = self.balance.checked_add(amount);
        match sum {
            Ok(balance) if self.shares > 0 && !self.is_retired => {
                self.balance = balance;
                Shannons::ZERO
            }
            _ => amount,
        }
    }

    /// Takes so many ten-thousandths of what is staked and what rests, and yields how much that is. Deposits of this epoch are
    /// not at risk: they stand for nothing yet.
    pub fn slash(&mut self, bps: u16) -> Shannons {
        let bps = u64::from(bps.min(10_000));
        let mut taken = Shannons::ZERO;
        let resting = self.unbonding.values_mut().flat_map(BTreeMap::values_mut);
        for amount in std::iter::once(&mut self.balance).chain(resting) {
            let part = amount
                .mul_div(bps, 10_000, Rounding::Down)
                .expect("a part of an amount is an amount");
            *amount = amount
                .checked_sub(part)
                .expect("a part is no more than the whole");
            taken = taken
                .checked_add(part)
                .expect("the money in a pool is part of the supply");
        }
        self.unbonding
            .values_mut()
            .for_each(|due| due.retain(|_, amount| *amount > Shannons::ZERO));
        taken
    }

    /// Nobody deposits and nothing is earned from now on. What is staked can be withdrawn as before, for ever.
    pub const fn retire(&mut self) {
        self.is_retired = true;
    }

    /// Closes an epoch, after its rewards and slashes: pays what has rested, turns what leaves into amounts that rest for
    /// `unbonding` epochs, and deposits into shares.
    ///
    /// # Panics
    /// On more money than there can be.
    pub fn close_epoch(&mut self, epoch: Epoch, unbonding: u64) -> Released {
        let next = Epoch::new(epoch.get().saturating_add(1));
        let mut payouts = BTreeMap::<Address, Shannons>::new();
        while let Some(due) = self.unbonding.first_entry().filter(|due| *due.key() <= next) {
            for (owner, amount) in due.remove() {
                let sum = payouts.entry(owner).or_default();
                *sum = sum.checked_add(amount).expect("payouts are part of the supply");
            }
        }
        self.release(Epoch::new(next.get().saturating_add(unbonding)));
        for (epoch, principal) in std::mem::take(&mut self.pending) {
            self.convert(epoch, principal);
        }
        let mut dust = Shannons::ZERO;
        if self.shares == 0 {
            dust = std::mem::take(&mut self.balance);
        }
        Released {
            payouts: payouts.into_iter().collect(),
            dust,
        }
    }

    /// Turns what leaves into amounts, all at the rate of this moment.
    fn release(&mut self, due: Epoch) {
        let leaving = std::mem::take(&mut self.leaving);
        let amounts: BTreeMap<Address, Shannons> = leaving
            .iter()
            .map(|(owner, shares)| (*owner, self.worth(*shares)))
            .filter(|(_, amount)| *amount > Shannons::ZERO)
            .collect();
        for amount in amounts.values() {
            self.balance = self
                .balance
                .checked_sub(*amount)
                .expect("parts that are rounded down are no more than the whole");
        }
        self.shares -= leaving.values().sum::<u128>();
        if !amounts.is_empty() {
            self.unbonding.insert(due, amounts);
        }
    }

    /// Turns the deposits of an epoch into shares, or lays them aside where the pool takes none any more.
    fn convert(&mut self, epoch: Epoch, principal: Shannons) {
        let (all, amount) = (self.shares + VIRTUAL_SHARES, u128::from(principal.get()));
        // Both products stay far below 2^128: an open pool has no more shares than a million million of a shannon.
        let per = u128::from(self.balance.get()) + 1;
        let minted = all / per * amount + all % per * amount / per;
        let add = |one: Shannons| one.checked_add(principal).expect("stake is part of the supply");
        let shares = (self.is_open() && minted > 0).then_some(minted);
        match shares {
            Some(minted) => {
                self.shares += minted;
                self.balance = add(self.balance);
            }
            None => self.idle = add(self.idle),
        }
        self.cohorts.insert(epoch, Cohort { principal, shares });
    }
}

impl Cohort {
    /// The shares of so much of the principal, rounded down, so that the last part takes what is left; `None` without shares.
    fn part(&self, principal: Shannons) -> Option<u128> {
        let all = self.shares?;
        let (part, whole) = (u128::from(principal.get()), u128::from(self.principal.get()));
        Some(if part == whole {
            all
        } else {
            all / whole * part + all % whole * part / whole
        })
    }
}

#[cfg(test)]
mod tests;
