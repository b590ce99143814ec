//! Where every shannon is, foretold from what is asked for: plain maps, and none of the ledger's own arithmetic.
//!
//! What is not money is taken from the state: whether a transaction succeeded, what objects look like, who was drawn.

use std::collections::BTreeMap;

use crypto::Address;
use ledger::{Memory, Objects, Outcome, Writes};
use types::{
    Content, ObjectId, Owner, ProtocolParams, Shannons, Status, Transaction, TransactionDigest,
    TransactionKind, encode,
};

use crate::pools::Pool;
use crate::view::{Money, Target};

pub struct Model {
    pub params: ProtocolParams,
    pub coins: BTreeMap<ObjectId, (Address, u128)>,
    pub owners: BTreeMap<ObjectId, Address>,
    pub pools: BTreeMap<ObjectId, Pool>,
    pub tickets: BTreeMap<ObjectId, u128>,
    pub targets: BTreeMap<ObjectId, Target>,
    pub deposits: BTreeMap<ObjectId, u128>,
    /// What was paid for the custody of a model's next weights.
    pub offers: BTreeMap<ObjectId, u128>,
    pub emission: u128,
    pub fees: u128,
    pub budget: u128,
    pub value_bps: u128,
}

pub fn wide(amount: Shannons) -> u128 {
    amount.get().into()
}

impl Model {
    pub fn whole_reward(&self) -> u128 {
        let budget = wide(self.params.epoch_emission) * u128::from(self.params.target_emission_bps) / 10_000;
        budget / u128::from(self.params.wanted_epoch_hits)
    }

    /// Everything, by object.
    pub fn all(&self) -> BTreeMap<ObjectId, Money> {
        let mut all = BTreeMap::from([
            (
                types::Economy::ID,
                Money::Economy(self.emission, self.fees, self.value_bps),
            ),
            (types::Targets::ID, Money::Budget(self.budget)),
        ]);
        let deposit = |id| self.deposits.get(id).copied().unwrap_or_default();
        all.extend(
            self.coins
                .iter()
                .map(|(id, (owner, held))| (*id, Money::Coin(*owner, *held))),
        );
        for (id, bond) in &self.tickets {
            all.insert(*id, Money::Ticket(self.owners[id], *bond, deposit(id)));
        }
        all.extend(
            self.targets
                .iter()
                .map(|(id, target)| (*id, Money::Target(target.clone()))),
        );
        for (id, pool) in &self.pools {
            for (receipt, stake) in &pool.receipts {
                let owner = self.owners[receipt];
                all.insert(
                    *receipt,
                    Money::Receipt(owner, *stake, pool.worth(stake), deposit(receipt)),
                );
            }
            let money = Money::Pool {
                closed: pool.closed,
                balance: pool.balance,
                shares: pool.shares,
                at_par: pool.at_par(),
                left: pool.left.values().map(|exit| (exit.amount, exit.due)).collect(),
                held: pool.held(),
                offer: self.offers.get(id).copied().unwrap_or_default(),
                commission_bps: pool.commission_bps,
            };
            all.insert(*id, money);
        }
        all
    }

    fn pay(&mut self, id: ObjectId, to: Address, amount: u128) {
        if amount > 0 {
            self.coins.insert(id, (to, amount));
        }
    }

    fn take(&mut self, coin: ObjectId, amount: Option<Shannons>) -> u128 {
        let held = &mut self.coins.get_mut(&coin).unwrap().1;
        let amount = amount.map_or(*held, wide);
        *held -= amount;
        amount
    }

    fn give(&mut self, id: ObjectId, to: Address) {
        match self.coins.get_mut(&id) {
            Some(coin) => coin.0 = to,
            None => drop(self.owners.insert(id, to)),
        }
    }

    /// Foretells what a transaction does to the money. `before` is the state before it.
    pub fn execute(&mut self, before: &Memory, asked: &Transaction, outcome: &Outcome, epoch: u64) {
        let Some(gas) = asked.gas.first().map(|gas| gas.id) else {
            return;
        };
        for coin in asked.gas.iter().skip(1) {
            let is_live = before.get(&coin.id).is_some_and(|live| live.reference() == *coin);
            let is_own = self
                .coins
                .get(&coin.id)
                .is_some_and(|(owner, _)| *owner == asked.sender);
            if is_live && is_own {
                let (_, more) = self.coins.remove(&coin.id).unwrap();
                self.coins.get_mut(&gas).unwrap().1 += more;
            }
        }
        let bytes = encode(asked).len() as u128;
        let admission = wide(self.params.base_fee) + wide(self.params.byte_fee) * bytes;
        let purse = &mut self.coins.get_mut(&gas).unwrap().1;
        let mut fee = admission.min(*purse);
        *purse -= fee;
        if outcome.effects.status == Status::Success {
            let (moved, of) = self.apply(asked, outcome.effects.transaction, epoch, before);
            fee += (moved * self.value_bps).div_ceil(of);
            let stored = self.store(before, &outcome.writes, gas);
            fee += stored.0;
            let written =
                outcome.writes.values().flatten().count() + usize::from(outcome.writes[&gas].is_none());
            fee += wide(self.params.write_fee) * written as u128;
            let purse = &mut self.coins.get_mut(&gas).unwrap().1;
            *purse = *purse + admission + stored.1 - fee - stored.2;
        }
        self.coins.retain(|_, (_, held)| *held > 0);
        assert_eq!(wide(outcome.effects.fee.total()), fee, "the fee");
        self.fees += fee;
    }

    /// Fees for bytes, what comes back, and what is deposited.
    fn store(&mut self, before: &Memory, writes: &Writes, gas: ObjectId) -> (u128, u128, u128) {
        let (mut fee, mut back, mut owed) = (0, 0, 0);
        for (id, after) in writes.iter().filter(|(id, _)| **id != gas) {
            let free = u128::from(self.params.free_object_bytes);
            let size = |live: &ledger::Live| (encode(live.object()).len() as u128).saturating_sub(free);
            let old = before.get(id).map_or(0, |live| size(&live));
            let held = self.deposits.get(id).copied().unwrap_or_default();
            let Some(after) = after else {
                back += self.deposits.remove(id).unwrap_or_default();
                continue;
            };
            if after.object().owner == Owner::Shared {
                continue;
            }
            let new = size(after);
            if new < old {
                let returned = held * (old - new) / old;
                back += returned;
                self.deposits.insert(*id, held - returned);
            } else {
                let cost = wide(self.params.byte_fee) * (new - old);
                owed += cost / 2;
                fee += cost - cost / 2;
                self.deposits.insert(*id, held + cost / 2);
            }
        }
        (fee, back, owed)
    }

    /// What it moves, and in how many parts the fee in ten-thousandths is of it.
    fn apply(
        &mut self,
        asked: &Transaction,
        digest: TransactionDigest,
        epoch: u64,
        before: &Memory,
    ) -> (u128, u128) {
        let (from, whole, half, params) = (asked.sender, 10_000, 20_000, self.params);
        let new = |number| ObjectId::created(digest, number);
        match &asked.kind {
            TransactionKind::TransferCoin {
                coin,
                amount,
                recipient,
            } => {
                let held = self.coins[&coin.id].1;
                let moved = amount.map_or(held, wide);
                if moved == held {
                    self.give(coin.id, *recipient);
                } else {
                    self.take(coin.id, *amount);
                    self.pay(new(0), *recipient, moved);
                }
                (moved, whole)
            }
            TransactionKind::PayCoins {
                coins,
                amounts,
                recipients,
            } => {
                let first = coins
                    .iter()
                    .find(|coin| coin.id == asked.gas[0].id)
                    .unwrap_or(&coins[0])
                    .id;
                let sum: u128 = coins
                    .iter()
                    .map(|coin| self.coins.remove(&coin.id).unwrap().1)
                    .sum();
                self.coins.insert(first, (from, sum));
                let Some(amounts) = amounts else {
                    self.give(first, recipients[0]);
                    return (sum, whole);
                };
                for (number, (amount, to)) in (0u64..).zip(amounts.iter().zip(recipients.iter())) {
                    self.take(first, Some(*amount));
                    self.pay(new(number), *to, wide(*amount));
                }
                (amounts.iter().copied().map(wide).sum(), whole)
            }
            TransactionKind::TransferObjects { objects, recipient } => {
                let coins = objects.iter().filter_map(|object| self.coins.get(&object.id));
                let moved = coins.map(|(_, held)| held).sum();
                objects.iter().for_each(|object| self.give(object.id, *recipient));
                (moved, whole)
            }
            TransactionKind::AddStake {
                validator: pool,
                coin,
                amount,
            }
            | TransactionKind::AddStakeToModel {
                model: pool,
                coin,
                amount,
            } => {
                let staked = self.take(coin.id, *amount);
                self.pools.get_mut(pool).unwrap().deposit(new(0), staked);
                self.owners.insert(new(0), from);
                (staked, half)
            }
            TransactionKind::AddValidator {
                commission_bps,
                coin,
                amount,
                ..
            } => {
                let staked = self.take(coin.id, *amount);
                assert!(staked >= wide(params.validator_min_stake));
                let commission = commission_bps.unwrap_or(params.initial_commission_bps);
                self.found(digest, from, staked, commission);
                (staked, half)
            }
            TransactionKind::CreateModel {
                commission_bps,
                coin,
                amount,
                ..
            } => {
                let staked = self.take(coin.id, *amount);
                assert!(staked >= wide(params.model_min_stake));
                self.found(digest, from, staked, *commission_bps);
                (staked, half)
            }
            TransactionKind::WithdrawStake {
                validator,
                stake,
                amount,
            } => {
                let pool = self.pools.get_mut(validator).unwrap();
                let taken = pool.withdraw(stake.id, amount.map(wide), epoch);
                let mut ids = [stake.id, new(0)].into_iter();
                for left in [taken.rest, taken.leaving].into_iter().flatten() {
                    let id = ids.next().unwrap();
                    pool.receipts.insert(id, left);
                    self.owners.insert(id, from);
                }
                if let Some(paid) = taken.paid {
                    self.pay(new(0), from, paid);
                }
                (taken.worth, half)
            }
            TransactionKind::SetCommissionRate {
                validator: pool,
                commission_bps,
            }
            | TransactionKind::SetModelCommissionRate {
                model: pool,
                commission_bps,
            } => {
                let pool = self.pools.get_mut(pool).unwrap();
                pool.next_commission_bps = Some((*commission_bps).into());
                (0, whole)
            }
            TransactionKind::ReportEquivocation { validator, .. } => {
                let pool = self.pools.get_mut(validator).unwrap();
                self.emission += pool.slash(params.equivocation_slash_bps.into(), epoch);
                (0, whole)
            }
            TransactionKind::CommitModel { model, coin, .. } => {
                let paid = self.take(coin.id, Some(params.reveal_fee));
                self.offers.insert(*model, paid);
                (0, whole)
            }
            TransactionKind::DeactivateModel { model } => {
                self.emission += self.offers.remove(model).unwrap_or_default();
                self.pools.get_mut(model).unwrap().closed = true;
                (0, whole)
            }
            TransactionKind::CommitSubmission { bond, coin, .. } => {
                assert!(wide(*bond) >= self.whole_reward() + wide(params.bond_byte_fee));
                let bond = self.take(coin.id, Some(*bond));
                self.tickets.insert(new(0), bond);
                self.owners.insert(new(0), from);
                (0, whole)
            }
            TransactionKind::SubmitData {
                target, ticket, data, ..
            } => {
                let locked = self.tickets.remove(&ticket.id).unwrap();
                let filled = self.targets.get_mut(target).unwrap();
                let bond = filled.reward + wide(params.bond_byte_fee) * u128::from(data.bytes);
                assert!(filled.fill.is_none(), "a target is filled once");
                filled.fill = Some((from, bond));
                self.pay(new(0), from, locked - bond);
                (0, whole)
            }
            TransactionKind::ReturnTicket { ticket } => {
                let bond = self.tickets.remove(&ticket.id).unwrap();
                let lost = wide(params.ticket_fee).min(bond);
                self.emission += lost;
                self.pay(new(0), from, bond - lost);
                (0, whole)
            }
            TransactionKind::ClaimRewards { target: id } => {
                self.claim(from, *id, digest, epoch, before);
                (0, whole)
            }
            TransactionKind::RemoveValidator { .. }
            | TransactionKind::ReportValidator { .. }
            | TransactionKind::UndoReportValidator { .. }
            | TransactionKind::UpdateValidatorMetadata { .. }
            | TransactionKind::RevealModel { .. }
            | TransactionKind::AttestCustody { .. }
            | TransactionKind::SealVerdict { .. }
            | TransactionKind::OpenVerdict { .. }
            | TransactionKind::VoteUpgrade { .. } => (0, whole),
        }
    }

    fn claim(&mut self, from: Address, id: ObjectId, digest: TransactionDigest, epoch: u64, before: &Memory) {
        let target = self.targets.remove(&id).unwrap();
        let (submitter, bond) = target.fill.unwrap();
        let content = &before.get(&id).unwrap().object().content.clone();
        let Content::Target(said) = content else {
            panic!("it is a target")
        };
        let winner = said.fill.as_ref().unwrap().score.winner;
        let owner = said
            .contenders
            .iter()
            .find(|contender| contender.model == winner)
            .unwrap()
            .owner;
        let is_party = [submitter, owner].contains(&from);
        let (fee_bps, wait) = if is_party {
            (0, self.params.claim_epochs)
        } else {
            (
                self.params.finder_fee_bps.into(),
                self.params.claim_epochs + self.params.finder_epochs,
            )
        };
        assert!(epoch >= target.epoch + wait, "too early");
        let finder = target.reward * fee_bps / 10_000;
        self.pay(
            ObjectId::created(digest, 0),
            submitter,
            target.reward - finder + bond,
        );
        self.pay(ObjectId::created(digest, 1), from, finder);
    }

    fn found(&mut self, digest: TransactionDigest, owner: Address, staked: u128, commission_bps: u16) {
        let [id, receipt] = [0, 1].map(|number| ObjectId::created(digest, number));
        let mut pool = Pool {
            commission_bps: commission_bps.into(),
            ..Pool::default()
        };
        pool.deposit(receipt, staked);
        self.owners.insert(receipt, owner);
        self.pools.insert(id, pool);
    }
}
