//! The rules of a pool once more, in plain words, to compare the pool with.

use std::collections::BTreeMap;

use types::SOMA;

use super::super::price::{VIRTUAL_SHARES, mul_div};
use super::UNBONDING;

/// A receipt as the rules speak of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plain {
    /// Paid in between two closes, of which there are as many as the first number says.
    Deposit(u64, u64),
    Shares(u128),
    Exit(u64, u128),
}

/// The rules again, with as little state as they need: what a pool sums up is counted from the receipts each time.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) balance: u64,
    receipts: Vec<Plain>,
    /// Closes so far that had something to convert.
    pub(super) closes: u64,
    /// The shares that converted deposits have not handed out yet.
    undivided: BTreeMap<u64, u128>,
    /// What converted withdrawals have not paid yet, and from which epoch on they pay.
    pub(super) unpaid: BTreeMap<u64, (u64, u64)>,
    pub(super) closed: bool,
}

impl Reading {
    fn principal_of(&self, close: u64) -> u64 {
        let deposits = self.receipts.iter().map(|receipt| match receipt {
            Plain::Deposit(of, principal) if *of == close => *principal,
            _ => 0,
        });
        deposits.sum()
    }

    pub(super) fn exits_of(&self, close: u64) -> u128 {
        let exits = self.receipts.iter().map(|receipt| match receipt {
            Plain::Exit(of, shares) if *of == close => *shares,
            _ => 0,
        });
        exits.sum()
    }

    /// Shares that receipts have, will have, or are giving up.
    pub(super) fn shares(&self) -> u128 {
        let held = self.receipts.iter().map(|receipt| match receipt {
            Plain::Shares(shares) => *shares,
            Plain::Exit(of, shares) if !self.unpaid.contains_key(of) => *shares,
            _ => 0,
        });
        held.sum::<u128>() + self.undivided.values().sum::<u128>()
    }

    fn at_par(&self) -> u64 {
        let waiting = self.receipts.iter().map(|receipt| match receipt {
            Plain::Deposit(of, principal) if !self.undivided.contains_key(of) => *principal,
            _ => 0,
        });
        waiting.sum()
    }

    pub(super) fn held(&self) -> u64 {
        self.balance + self.at_par() + self.unpaid.values().map(|(amount, _)| amount).sum::<u64>()
    }

    fn bought(&self, amount: u64) -> Option<(u128, u128)> {
        mul_div(
            self.shares() + VIRTUAL_SHARES,
            amount,
            u128::from(self.balance) + 1,
        )
    }

    fn worth(&self, shares: u128) -> u64 {
        let (worth, _) = mul_div(shares, self.balance + 1, self.shares() + VIRTUAL_SHARES).unwrap();
        worth.try_into().unwrap()
    }

    fn takes_deposits(&self) -> bool {
        !self.closed && self.bought(SOMA.get()).is_some_and(|(shares, _)| shares > 1)
    }

    pub(super) fn value(&self, n: usize) -> u64 {
        match self.receipts[n] {
            Plain::Deposit(of, principal) if !self.undivided.contains_key(&of) => principal,
            Plain::Exit(of, shares) if self.unpaid.contains_key(&of) => self.due(of, shares),
            Plain::Deposit(of, principal) => self.worth(self.part(of, principal)),
            Plain::Shares(shares) | Plain::Exit(_, shares) => self.worth(shares),
        }
    }

    /// What a converted deposit of this size gets of the shares not handed out.
    fn part(&self, of: u64, principal: u64) -> u128 {
        mul_div(self.undivided[&of], principal, self.principal_of(of).into())
            .unwrap()
            .0
    }

    /// What a converted withdrawal of this size gets of the amount not paid.
    fn due(&self, of: u64, shares: u128) -> u64 {
        mul_div(shares, self.unpaid[&of].0, self.exits_of(of))
            .unwrap()
            .0
            .try_into()
            .unwrap()
    }

    /// A converted deposit is the same as its shares.
    fn divide(&mut self, n: usize) {
        if let Plain::Deposit(of, principal) = self.receipts[n]
            && self.undivided.contains_key(&of)
        {
            let part = self.part(of, principal);
            *self.undivided.get_mut(&of).unwrap() -= part;
            self.receipts[n] = Plain::Shares(part);
            if self.principal_of(of) == 0 {
                assert_eq!(self.undivided.remove(&of), Some(0));
            }
        }
    }

    pub(super) fn deposit(&mut self, amount: u64) -> bool {
        let taken = amount >= SOMA.get() && self.takes_deposits();
        if taken {
            self.receipts.push(Plain::Deposit(self.closes, amount));
        }
        taken
    }

    /// Puts the part at position `n` and the rest behind all others.
    pub(super) fn split(&mut self, n: usize, amount: u64) -> bool {
        let least = SOMA.get();
        let (part, rest) = match self.receipts[n] {
            Plain::Exit(..) => return false,
            Plain::Deposit(of, principal) if !self.undivided.contains_key(&of) => {
                if amount < least || principal < amount.saturating_add(least) {
                    return false;
                }
                (Plain::Deposit(of, amount), Plain::Deposit(of, principal - amount))
            }
            Plain::Deposit(..) | Plain::Shares(_) => {
                let shares = match self.receipts[n] {
                    Plain::Deposit(of, principal) => self.part(of, principal),
                    Plain::Shares(shares) | Plain::Exit(_, shares) => shares,
                };
                let Some((bought, rest)) = self.bought(amount) else {
                    return false;
                };
                let bought = bought + u128::from(rest > 0);
                if amount < least || bought > shares || self.worth(shares - bought) < least {
                    return false;
                }
                self.divide(n);
                (Plain::Shares(bought), Plain::Shares(shares - bought))
            }
        };
        self.receipts[n] = part;
        self.receipts.push(rest);
        true
    }

    /// Leaves the merged receipt at position `one`.
    pub(super) fn merge(&mut self, one: usize, other: usize) -> bool {
        let merged = match (self.receipts[one], self.receipts[other]) {
            (Plain::Deposit(of, amount), Plain::Deposit(same, more)) if of == same => {
                Plain::Deposit(of, amount + more)
            }
            (Plain::Exit(of, shares), Plain::Exit(same, more)) if of == same => {
                Plain::Exit(of, shares + more)
            }
            (Plain::Exit(..), _) | (_, Plain::Exit(..)) => return false,
            (first, second) => {
                let waits =
                    |receipt| matches!(receipt, Plain::Deposit(of, _) if !self.undivided.contains_key(&of));
                if waits(first) || waits(second) {
                    return false;
                }
                self.divide(one);
                self.divide(other);
                let (Plain::Shares(shares), Plain::Shares(more)) = (self.receipts[one], self.receipts[other])
                else {
                    unreachable!("both were divided");
                };
                Plain::Shares(shares + more)
            }
        };
        self.receipts[one] = merged;
        self.receipts.swap_remove(other);
        true
    }

    /// The amount paid, if any; `None` if it is too early.
    pub(super) fn withdraw(&mut self, n: usize, epoch: u64) -> Option<Option<u64>> {
        self.divide(n);
        match self.receipts[n] {
            Plain::Deposit(_, principal) => {
                self.receipts.swap_remove(n);
                Some(Some(principal))
            }
            Plain::Shares(shares) => {
                self.receipts[n] = Plain::Exit(self.closes, shares);
                Some(None)
            }
            Plain::Exit(of, shares) => {
                let (_, from) = *self.unpaid.get(&of)?;
                if epoch < from {
                    return None;
                }
                let amount = self.due(of, shares);
                self.unpaid.get_mut(&of).unwrap().0 -= amount;
                self.receipts.swap_remove(n);
                if self.exits_of(of) == 0 {
                    assert_eq!(self.unpaid.remove(&of).map(|(rest, _)| rest), Some(0));
                }
                Some(Some(amount))
            }
        }
    }

    pub(super) fn reward(&mut self, amount: u64) -> bool {
        let accepted = !self.closed && self.shares() > 0;
        self.balance += if accepted { amount } else { 0 };
        accepted
    }

    pub(super) fn slash(&mut self, bps: u16, epoch: u64) -> u64 {
        let before = self.held();
        let keep = |amount: u64| (u128::from(amount) * u128::from(10_000 - bps.min(10_000)) / 10_000) as u64;
        self.balance = keep(self.balance);
        for (amount, from) in self.unpaid.values_mut() {
            *amount = if *from > epoch { keep(*amount) } else { *amount };
        }
        self.closed |= self.balance == 0 && self.shares() > 0;
        before - self.held()
    }

    /// What is left behind.
    pub(super) fn settle(&mut self, epoch: u64) -> u64 {
        let leaving = self.exits_of(self.closes);
        let amount = self.worth(leaving);
        let mut groups = BTreeMap::new();
        for receipt in &self.receipts {
            if let Plain::Deposit(of, principal) = receipt
                && !self.undivided.contains_key(of)
            {
                *groups.entry(*of).or_insert(0) += principal;
            }
        }
        let anything = leaving > 0 || groups.contains_key(&self.closes);
        let bought: BTreeMap<_, _> = groups
            .into_iter()
            .filter(|_| self.takes_deposits())
            .map(|(of, principal)| (of, (principal, self.bought(principal).unwrap().0)))
            .collect();
        self.balance -= amount;
        if leaving > 0 {
            self.unpaid.insert(self.closes, (amount, epoch + 1 + UNBONDING));
        }
        for (of, (principal, shares)) in bought {
            self.balance += principal;
            self.undivided.insert(of, shares);
        }
        self.closes += u64::from(anything);
        self.closed |= self.shares() == 0 || self.balance == 0;
        if self.shares() == 0 {
            std::mem::take(&mut self.balance)
        } else {
            0
        }
    }

    pub(super) fn restake(&mut self, amount: u64) -> bool {
        let bought = self.bought(amount).map_or(0, |(shares, _)| shares);
        let taken = !self.closed && bought > 0;
        if taken {
            self.receipts.push(Plain::Shares(bought));
            self.balance += amount;
        }
        taken
    }
}
