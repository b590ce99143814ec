//! A pool as somebody would keep it on paper: who brought what with whom, and what each batch came to.

use std::collections::BTreeMap;

use types::{Cohort, ObjectId, Shannons, Shares, Stake};

/// A batch of withdrawals that left together: what it is worth, and from when on it is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    pub amount: u128,
    pub due: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Pool {
    pub closed: bool,
    pub balance: u128,
    pub shares: u128,
    pub batch: u64,
    /// What the deposits of a batch have become, as far as nobody has taken his part out of it.
    pub joined: BTreeMap<u64, u128>,
    pub left: BTreeMap<u64, Exit>,
    pub receipts: BTreeMap<ObjectId, Stake>,
    pub commission_bps: u128,
    pub next_commission_bps: Option<u128>,
}

const SOMA: u128 = 1_000_000_000;
const WHOLE: u128 = 10_000;

pub fn shares_of(number: u128) -> Stake {
    Stake::Shares(Shares::new(number))
}

fn deposited(batch: u64, principal: u128) -> Stake {
    Stake::Deposit {
        cohort: Cohort::new(batch),
        principal: Shannons::new(u64::try_from(principal).unwrap()),
    }
}

/// What a withdrawal does to its receipt.
pub struct Taken {
    /// What the part is worth that is withdrawn.
    pub worth: u128,
    /// What is paid for it now.
    pub paid: Option<u128>,
    /// What stays, in the old receipt.
    pub rest: Option<Stake>,
    /// What leaves.
    pub leaving: Option<Stake>,
}

impl Pool {
    fn price(&self) -> (u128, u128) {
        (self.balance + 1, self.shares + 1_000_000)
    }

    /// What these shares are worth, a part of a shannon for nobody.
    fn worth_of(&self, shares: u128) -> u128 {
        let (shannons, all) = self.price();
        shares * shannons / all
    }

    fn bought(&self, amount: u128) -> u128 {
        let (shannons, all) = self.price();
        amount * all / shannons
    }

    /// What the receipts of a batch say together: principal of what came in, or shares of what goes.
    fn sum(&self, batch: u64, goes: bool) -> u128 {
        let said = self.receipts.values().map(|stake| match stake {
            Stake::Deposit { cohort, principal } if !goes && cohort.get() == batch => principal.get().into(),
            Stake::Exit { cohort, shares } if goes && cohort.get() == batch => shares.get(),
            _ => 0,
        });
        said.sum()
    }

    pub fn leaving(&self) -> u128 {
        self.sum(self.batch, true)
    }

    /// Deposits that have not become shares, by batch.
    pub fn at_par(&self) -> BTreeMap<u64, u128> {
        let mut waiting = BTreeMap::new();
        for stake in self.receipts.values() {
            if let Stake::Deposit { cohort, principal } = stake
                && !self.joined.contains_key(&cohort.get())
            {
                *waiting.entry(cohort.get()).or_default() += u128::from(principal.get());
            }
        }
        waiting
    }

    /// All that is in it.
    pub fn held(&self) -> u128 {
        let left: u128 = self.left.values().map(|exit| exit.amount).sum();
        self.balance + self.at_par().values().sum::<u128>() + left
    }

    pub fn deposit(&mut self, id: ObjectId, amount: u128) {
        assert!(!self.closed && amount >= SOMA, "no such deposit is taken");
        self.receipts.insert(id, deposited(self.batch, amount));
    }

    /// Shares that a receipt stands for, once its batch has become shares.
    fn shares_behind(&self, stake: &Stake) -> Option<u128> {
        match stake {
            Stake::Shares(shares) => Some(shares.get()),
            Stake::Deposit { cohort, principal } => {
                let all = self.sum(cohort.get(), false);
                let shares = self.joined.get(&cohort.get())?;
                Some(shares * u128::from(principal.get()) / all)
            }
            Stake::Exit { .. } => None,
        }
    }

    pub fn worth(&self, stake: &Stake) -> u128 {
        match (stake, self.shares_behind(stake)) {
            (_, Some(shares)) => self.worth_of(shares),
            (Stake::Deposit { principal, .. }, None) => principal.get().into(),
            (Stake::Exit { cohort, shares }, None) => match self.left.get(&cohort.get()) {
                Some(exit) => exit.amount * shares.get() / self.sum(cohort.get(), true),
                None => self.worth_of(shares.get()),
            },
            (Stake::Shares(shares), None) => self.worth_of(shares.get()),
        }
    }

    /// Takes a receipt one step further; the caller writes down what remains.
    pub fn withdraw(&mut self, id: ObjectId, amount: Option<u128>, epoch: u64) -> Taken {
        let stake = self.receipts[&id];
        let paid = |worth, rest| Taken {
            worth,
            paid: Some(worth),
            rest,
            leaving: None,
        };
        if let Some(shares) = self.shares_behind(&stake) {
            let (shannons, all) = self.price();
            let part = amount.map_or(shares, |amount| (amount * all).div_ceil(shannons));
            let kept = shares - part;
            if amount.is_some() {
                assert!(amount >= Some(SOMA) && self.worth_of(kept) >= SOMA, "too little");
            }
            if let Stake::Deposit { cohort, .. } = stake {
                *self.joined.get_mut(&cohort.get()).unwrap() -= shares;
            }
            self.receipts.remove(&id);
            self.forget();
            let cohort = Cohort::new(self.batch);
            let shares = Shares::new(part);
            return Taken {
                worth: self.worth_of(part),
                paid: None,
                rest: amount.map(|_| shares_of(kept)),
                leaving: Some(Stake::Exit { cohort, shares }),
            };
        }
        let worth = self.worth(&stake);
        self.receipts.remove(&id);
        match stake {
            Stake::Deposit { cohort, principal } => {
                let amount_taken = amount.unwrap_or(principal.get().into());
                let rest = u128::from(principal.get()) - amount_taken;
                if amount.is_some() {
                    assert!(amount_taken >= SOMA && rest >= SOMA, "too little");
                }
                let rest = amount.map(|_| deposited(cohort.get(), rest));
                paid(amount_taken, rest)
            }
            Stake::Exit { cohort, .. } => {
                let exit = self.left.get_mut(&cohort.get()).unwrap();
                assert!(epoch >= exit.due && amount.is_none(), "it is not due");
                exit.amount -= worth;
                self.forget();
                paid(worth, None)
            }
            Stake::Shares(_) => panic!("shares stand for shares"),
        }
    }

    /// Batches without a receipt are no more.
    fn forget(&mut self) {
        let ins: Vec<u64> = self.joined.keys().copied().collect();
        for batch in ins {
            if self.sum(batch, false) == 0 {
                assert_eq!(self.joined.remove(&batch), Some(0), "the last one has taken all");
            }
        }
        let outs: Vec<u64> = self.left.keys().copied().collect();
        for batch in outs {
            if self.sum(batch, true) == 0 {
                let rest = self.left.remove(&batch).unwrap();
                assert_eq!(rest.amount, 0, "the last one has taken all");
            }
        }
    }

    /// What is not taken, because nobody has stake, comes back.
    pub fn reward(&mut self, amount: u128) -> u128 {
        if self.closed || self.shares == 0 {
            return amount;
        }
        self.balance += amount;
        0
    }

    pub fn slash(&mut self, bps: u128, epoch: u64) -> u128 {
        let before = self.held();
        self.balance = self.balance * (WHOLE - bps) / WHOLE;
        for exit in self.left.values_mut().filter(|exit| exit.due > epoch) {
            exit.amount = exit.amount * (WHOLE - bps) / WHOLE;
        }
        self.closed |= self.balance == 0 && self.shares > 0;
        before - self.held()
    }

    /// What nobody is left to have comes back.
    pub fn settle(&mut self, epoch: u64, unbonding: u64) -> u128 {
        let going = self.leaving();
        if self.closed && going == 0 {
            return 0;
        }
        let (waiting, amount) = (self.at_par(), self.worth_of(going));
        let buys: BTreeMap<u64, u128> = waiting.iter().map(|(at, sum)| (*at, self.bought(*sum))).collect();
        let takes = !self.closed && self.bought(SOMA) >= 2;
        let has_converted = going > 0 || waiting.contains_key(&self.batch);
        self.balance -= amount;
        self.shares -= going;
        if going > 0 {
            let due = epoch + 1 + unbonding;
            self.left.insert(self.batch, Exit { amount, due });
        }
        for (batch, sum) in waiting.into_iter().filter(|_| takes) {
            self.balance += sum;
            self.shares += buys[&batch];
            self.joined.insert(batch, buys[&batch]);
        }
        self.batch += u64::from(has_converted);
        self.closed |= self.shares == 0 || self.balance == 0;
        if self.shares == 0 {
            return std::mem::take(&mut self.balance);
        }
        0
    }

    /// Shares for an amount at once, without a batch; `None` where none are sold.
    pub fn restake(&mut self, amount: u128) -> Option<Stake> {
        let shares = self.bought(amount);
        if self.closed || shares == 0 {
            return None;
        }
        self.balance += amount;
        self.shares += shares;
        Some(shares_of(shares))
    }

    pub fn owes_nothing(&self) -> bool {
        self.receipts.is_empty()
    }
}
