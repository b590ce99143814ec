//! What the end of an epoch does to the money.

use std::collections::{BTreeMap, BTreeSet};

use crypto::Address;
use ledger::{Memory, Objects};
use types::{
    Audit, AuditRound, Content, Custody, Fill, ObjectId, Offer, Stage, TransactionDigest, Validator,
    Validators, voting_power,
};

use crate::judge::{Outcome, QUORUM, Verdicts, first, judge, last, said};
use crate::model::{Model, wide};

const WHOLE: u128 = 10_000;

/// What one end of an epoch gathers.
#[derive(Default)]
struct Sums {
    /// Objects made so far.
    created: u64,
    /// What models have earned.
    models: BTreeMap<ObjectId, u128>,
    /// What validators have earned by their attestations.
    attested: BTreeMap<ObjectId, u128>,
    /// Seats, and those that were of use.
    seats: BTreeMap<ObjectId, (u128, u128)>,
    commissions: BTreeMap<ObjectId, u128>,
}

pub fn validators(state: &Memory) -> Validators {
    match state
        .get(&Validators::ID)
        .map(|live| live.object().content.clone())
    {
        Some(Content::Validators(set)) => set,
        other => panic!("{other:?} is no set"),
    }
}

fn validator(state: &Memory, id: ObjectId) -> Option<Box<Validator>> {
    match state.get(&id)?.object().content.clone() {
        Content::Validator(validator) => Some(validator),
        _ => None,
    }
}

impl Model {
    /// Foretells it, by what the state said before, and who is a validator after it.
    pub fn close(&mut self, before: &Memory, after: &Memory, digest: TransactionDigest, epoch: u64) {
        let mut sums = Sums::default();
        let fees = std::mem::take(&mut self.fees);
        self.close_targets(before, digest, epoch, &mut sums);
        self.close_models(before, digest, epoch, &mut sums);
        let drawn = wide(self.params.epoch_emission).min(self.emission);
        let for_targets = drawn * u128::from(self.params.target_emission_bps) / WHOLE;
        self.emission -= drawn;
        self.reward(before, fees, drawn - for_targets, &mut sums);
        let set = validators(before);
        let leaving = set.leaving.iter().filter(|id| !set.retired.contains(id));
        let mut retired = set.retired.clone();
        retired.extend(leaving);
        for id in &retired {
            if let Some(pool) = self.pools.get_mut(id) {
                pool.closed = true;
            }
        }
        let members = set.members.keys().filter(|id| !retired.contains(id));
        let pending = set.pending.iter().filter(|id| !retired.contains(id));
        for id in members
            .chain(pending)
            .chain(&retired)
            .copied()
            .collect::<Vec<_>>()
        {
            let account = validator(before, id).unwrap().address;
            let commission = sums.commissions.remove(&id).unwrap_or_default();
            self.settle(id, epoch, commission, account, digest, &mut sums);
            let pool = &self.pools[&id];
            if (pool.closed || retired.contains(&id)) && pool.owes_nothing() {
                self.pools.remove(&id);
            }
        }
        self.turn(after, &set);
        let afforded = for_targets / self.whole_reward() * self.whole_reward();
        self.emission += self.budget + for_targets - afforded;
        self.budget = afforded;
        self.value_bps = self.next_value_fee(fees);
    }

    /// Who has gone takes no stake any more; the others have the commissions that they wanted, and power by their stake.
    fn turn(&mut self, after: &Memory, before: &Validators) {
        let set = validators(after);
        for id in &set.retired {
            self.pools.get_mut(id).unwrap().closed = true;
        }
        let stay = set.members.keys().chain(&set.pending);
        for id in stay {
            let pool = self.pools.get_mut(id).unwrap();
            assert!(!pool.closed, "no member's pool is closed");
            if let Some(next) = pool.next_commission_bps.take() {
                pool.commission_bps = next;
            }
        }
        for id in set.members.keys() {
            assert!(
                before.members.contains_key(id) || before.pending.contains(id),
                "nobody comes unasked"
            );
        }
        let stakes = set.members.keys().map(|id| {
            let balance = u64::try_from(self.pools[id].balance).unwrap();
            (
                validator(after, *id).unwrap().address,
                types::Shannons::new(balance),
            )
        });
        let powers = voting_power(&stakes.collect::<Vec<_>>());
        assert_eq!(
            set.members.values().copied().collect::<Vec<_>>(),
            powers,
            "power goes by stake"
        );
    }

    fn next_value_fee(&self, fees: u128) -> u128 {
        let (bps, wanted) = (self.value_bps, wide(self.params.wanted_epoch_fees));
        let most = (bps * u128::from(self.params.fee_adjustment_bps) / WHOLE).max(1);
        let next = if fees > wanted {
            bps + (bps * (fees - wanted) / wanted).clamp(1, most)
        } else if fees < wanted {
            bps.saturating_sub((bps * (wanted - fees) / wanted).clamp(1, most))
        } else {
            bps
        };
        next.clamp(
            self.params.min_value_fee_bps.into(),
            self.params.max_value_fee_bps.into(),
        )
    }

    fn settle(
        &mut self,
        id: ObjectId,
        epoch: u64,
        commission: u128,
        account: Address,
        digest: TransactionDigest,
        sums: &mut Sums,
    ) {
        let pool = self.pools.get_mut(&id).unwrap();
        self.emission += pool.settle(epoch, self.params.unbonding_epochs);
        if commission == 0 {
            return;
        }
        let new = ObjectId::created(digest, sums.created);
        sums.created += 1;
        match pool.restake(commission) {
            Some(stake) => {
                pool.receipts.insert(new, stake);
                self.owners.insert(new, account);
            }
            None => drop(self.coins.insert(new, (account, commission))),
        }
    }

    fn reward(&mut self, before: &Memory, fees: u128, share: u128, sums: &mut Sums) {
        let set = validators(before);
        let mut against = BTreeMap::<ObjectId, u64>::new();
        for (id, power) in &set.members {
            for reported in validator(before, *id).unwrap().reports {
                *against.entry(reported).or_default() += u64::from(power.get());
            }
        }
        let mut rest = fees + share;
        for (id, power) in &set.members {
            let power = u128::from(power.get());
            let (seats, served) = sums.seats.get(id).copied().unwrap_or((1, 1));
            let mut part = fees * power / WHOLE + share * power / WHOLE * served / seats;
            if against.get(id).is_some_and(|power| *power >= QUORUM) {
                part -= part * u128::from(self.params.report_reward_slash_bps) / WHOLE;
            }
            rest -= part;
            part += sums.attested.remove(id).unwrap_or_default();
            let pool = self.pools.get_mut(id).unwrap();
            let commission = part * pool.commission_bps / WHOLE;
            rest += pool.reward(part - commission);
            sums.commissions.insert(*id, commission);
        }
        self.emission += rest + sums.attested.values().sum::<u128>();
    }

    fn close_targets(&mut self, before: &Memory, digest: TransactionDigest, epoch: u64, sums: &mut Sums) {
        for id in self.targets.keys().copied().collect::<Vec<_>>() {
            let content = before.get(&id).unwrap().object().content.clone();
            let Content::Target(target) = content else {
                panic!("it is a target")
            };
            let Some(fill) = target.fill else {
                self.emission += self.targets.remove(&id).unwrap().reward;
                continue;
            };
            let outcome = match &fill.audit {
                Audit::Seats(round) if round.epoch.get() <= epoch => {
                    let found = first(round).map(Outcome::Found);
                    note(round, found.unwrap_or(Outcome::Unknown), sums);
                    found
                }
                Audit::Committee { before, now } if now.epoch.get() <= epoch => {
                    let outcome = last(now);
                    note(now, outcome, sums);
                    self.punish(&[before, now], outcome, epoch);
                    Some(outcome)
                }
                Audit::Undrawn | Audit::Valid | Audit::Seats(_) | Audit::Committee { .. } => None,
            };
            if let Some(outcome) = outcome {
                self.settle_target(id, &fill, outcome, digest, sums);
            }
        }
    }

    fn punish(&mut self, rounds: &[&AuditRound], outcome: Outcome, epoch: u64) {
        let all = rounds.iter().flat_map(|round| said(round));
        let false_ones = all.filter(|(.., opening)| !outcome.is(*opening));
        for by in false_ones.map(|(by, ..)| by).collect::<BTreeSet<_>>() {
            if let Some(pool) = self.pools.get_mut(&by) {
                self.emission += pool.slash(self.params.false_verdict_slash_bps.into(), epoch);
            }
        }
    }

    fn settle_target(
        &mut self,
        id: ObjectId,
        fill: &Fill,
        outcome: Outcome,
        digest: TransactionDigest,
        sums: &mut Sums,
    ) {
        let target = self.targets.get_mut(&id).unwrap();
        let (submitter, bond) = target.fill.unwrap();
        match outcome {
            Outcome::Found(_) => {
                let half = target.reward * u128::from(self.params.submitter_reward_bps) / WHOLE;
                *sums.models.entry(fill.score.winner).or_default() += target.reward - half;
                target.reward = half;
            }
            Outcome::Refused(_) => {
                self.emission += target.reward + bond;
                self.targets.remove(&id);
            }
            Outcome::Unknown => {
                self.emission += target.reward;
                self.coins
                    .insert(ObjectId::created(digest, sums.created), (submitter, bond));
                sums.created += 1;
                self.targets.remove(&id);
            }
        }
    }

    fn close_models(&mut self, before: &Memory, digest: TransactionDigest, epoch: u64, sums: &mut Sums) {
        let models = before.iter().filter_map(|live| match &live.object().content {
            Content::Model(model) => Some((live.object().id, model.clone())),
            _ => None,
        });
        for (id, model) in models {
            let verdict = judge(&model.stage, epoch);
            if verdict != Verdicts::Waits
                && let Some(fee) = self.offers.remove(&id)
            {
                self.pay_custodians(model.offer().unwrap(), fee, sums);
            }
            let is_first = !matches!(model.stage, Stage::Active { .. });
            let mut is_gone = model.stage == Stage::Inactive;
            let pool = self.pools.get_mut(&id).unwrap();
            if verdict == Verdicts::Fails && is_first {
                self.emission += pool.slash(self.params.reveal_slash_bps.into(), epoch);
                pool.closed = true;
                is_gone = true;
            }
            let earned = sums.models.remove(&id).unwrap_or_default();
            let commission = earned * pool.commission_bps / WHOLE;
            self.emission += pool.reward(earned - commission);
            if let Some(next) = pool.next_commission_bps.take() {
                pool.commission_bps = next;
            }
            self.settle(id, epoch, commission, model.owner, digest, sums);
            let pool = self.pools.get_mut(&id).unwrap();
            if !is_gone && (pool.closed || pool.balance < wide(self.params.model_min_stake)) {
                if matches!(&model.stage, Stage::Offered(offer) if offer.reveal.is_none()) {
                    self.emission += pool.slash(self.params.reveal_slash_bps.into(), epoch);
                }
                pool.closed = true;
                is_gone = true;
                self.emission += self.offers.remove(&id).unwrap_or_default();
            }
            if is_gone && self.pools[&id].owes_nothing() {
                self.pools.remove(&id);
            }
        }
        self.emission += std::mem::take(&mut sums.models).values().sum::<u128>();
    }

    fn pay_custodians(&mut self, offer: &Offer, fee: u128, sums: &mut Sums) {
        let (Custody::Drawn(custodians) | Custody::Committee(custodians)) = &offer.custody else {
            self.emission += fee;
            return;
        };
        let spoke = custodians
            .iter()
            .filter(|(_, custodian)| custodian.attestation.is_some());
        let spoke: Vec<ObjectId> = spoke.map(|(id, _)| *id).collect();
        let each = fee.checked_div(spoke.len() as u128).unwrap_or_default();
        for id in &spoke {
            *sums.attested.entry(*id).or_default() += each;
        }
        self.emission += fee - each * spoke.len() as u128;
    }
}

fn note(round: &AuditRound, outcome: Outcome, sums: &mut Sums) {
    for (by, seat) in &round.seats {
        let (seats, served) = sums.seats.entry(*by).or_default();
        *seats += 1;
        *served += u128::from(seat.opening.is_some_and(|said| outcome.is(said)));
    }
}
