//! A commit's transactions, one after the other or several at a time.

use crypto::{MultisetHash, Verified};
use types::{Effects, ObjectId, Transaction, TransactionDigest};

use crate::end::{NoState, end};
use crate::execute::{Accrual, Context, Outcome, Reject, Writes, execute};
use crate::root;
use crate::schedule::waves;
use crate::state::{Live, Objects};

/// A state, and what was written above it.
struct Layered<'a, O> {
    below: &'a O,
    written: Writes,
}

impl<O: Objects> Objects for Layered<'_, O> {
    fn get(&self, id: &ObjectId) -> Option<Live> {
        match self.written.get(id) {
            Some(change) => change.clone(),
            None => self.below.get(id),
        }
    }
}

/// A commit that is being executed.
pub struct Application<'a, O> {
    context: Context,
    state: Layered<'a, O>,
    transactions: &'a [Verified<Transaction>],
    digests: Vec<TransactionDigest>,
    results: Vec<Option<Result<Outcome, Reject>>>,
}

/// What came of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Of each transaction, in the commit's order.
    pub results: Vec<Result<Outcome, Reject>>,
    /// What the commit did by itself after them, if it did anything.
    pub end: Option<Effects>,
    /// What is written in the end, each object once.
    pub writes: Writes,
    /// What that changes of the state's root.
    pub change: MultisetHash,
    /// What all of them add up to.
    pub accrual: Accrual,
}

impl<'a, O: Objects> Application<'a, O> {
    /// Nothing is executed yet.
    pub fn new(context: Context, objects: &'a O, transactions: &'a [Verified<Transaction>]) -> Self {
        Self {
            context,
            state: Layered {
                below: objects,
                written: Writes::new(),
            },
            transactions,
            digests: transactions
                .iter()
                .map(|transaction| transaction.digest())
                .collect(),
            results: transactions.iter().map(|_| None).collect(),
        }
    }

    /// The order to execute them in: those of a wave at the same time, if one likes, and a wave when all before are absorbed.
    pub fn waves(&self) -> Vec<Vec<usize>> {
        let plain = self.transactions.iter().map(|transaction| &**transaction);
        waves(plain.zip(self.digests.iter().copied()))
    }

    /// Executes one transaction of the wave whose turn it is.
    ///
    /// # Errors
    /// [`Reject`].
    pub fn run(&self, position: usize) -> Result<Outcome, Reject> {
        let (transaction, digest) = (&self.transactions[position], self.digests[position]);
        execute(&self.context, &self.state, transaction, digest)
    }

    /// Takes in what came of a transaction.
    pub fn absorb(&mut self, position: usize, result: Result<Outcome, Reject>) {
        if let Ok(outcome) = &result {
            let writes = outcome.writes.iter();
            self.state
                .written
                .extend(writes.map(|(id, change)| (*id, change.clone())));
        }
        self.results[position] = Some(result);
    }

    /// Executes all in the commit's order.
    ///
    /// # Errors
    /// [`NoState`].
    pub fn run_all(mut self) -> Result<Applied, NoState> {
        for position in 0..self.transactions.len() {
            let result = self.run(position);
            self.absorb(position, result);
        }
        self.finish()
    }

    /// What came of it all. What the transactions have added up to is written once.
    ///
    /// # Errors
    /// [`NoState`].
    ///
    /// # Panics
    /// If a transaction was not executed.
    pub fn finish(mut self) -> Result<Applied, NoState> {
        let results = std::mem::take(&mut self.results).into_iter();
        let results: Vec<_> = results
            .map(|result| result.expect("every transaction of a commit is executed"))
            .collect();
        let accruals = results.iter().flatten().map(|outcome| outcome.accrual.clone());
        let accrual = accruals.fold(Accrual::default(), Accrual::and);
        let end = end(&self.context, &self.state, &accrual)?;
        let end = end.map(|(effects, writes)| {
            self.state.written.extend(writes);
            effects
        });
        let effects = results.iter().flatten().map(|outcome| &outcome.effects);
        let change = root::change(effects.chain(&end));
        Ok(Applied {
            results,
            end,
            change,
            writes: self.state.written,
            accrual,
        })
    }
}
