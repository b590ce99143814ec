//! What becomes of models when an epoch closes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use types::{
    Content, Custodian, Custody, Economy, Event, Model, Models, ObjectId, Offer, Owner, Reveal, Rounding,
    Shannons, Stage, Validators, VotingPower, Weights,
};

use super::{Close, CloseError, owes_nothing};
use crate::models::retire;
use crate::pool;

/// What validators earn beside their share, because they have attested.
pub(super) type Earned = BTreeMap<ObjectId, Shannons>;

/// What becomes of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// There is time left.
    Waits,
    /// The weights are what was committed to.
    Held,
    /// They were not shown, or they are not.
    Failed,
    /// Too few have said either.
    Unclear,
    /// Even when all were asked.
    Dropped,
}

impl Close<'_, '_> {
    pub(super) fn models(&self) -> Result<Models, CloseError> {
        match self.draft(Models::ID)?.content {
            Content::Models(models) => Ok(models),
            _ => Err(CloseError::Missing(Models::ID)),
        }
    }

    pub(super) fn model(&self, id: ObjectId) -> Result<Box<Model>, CloseError> {
        match self.draft(id)?.content {
            Content::Model(model) => Ok(model),
            _ => Err(CloseError::Missing(id)),
        }
    }

    /// Judges what owners have committed to, and settles the pools. Yields what validators have earned, and whose offers the
    /// whole committee is to check.
    pub(super) fn judge_models(
        &mut self,
        models: &mut Models,
        economy: &mut Economy,
        mut rewards: Earned,
    ) -> Result<(Earned, Vec<ObjectId>), CloseError> {
        let (mut earned, mut unclear, mut active) = (Earned::new(), Vec::new(), Vec::new());
        for id in models.all.clone() {
            let mut model = self.model(id)?;
            let was_active = model.weights().map(|weights| weights.reveal.weights);
            let verdict = self.verdict(&model);
            match verdict {
                Verdict::Waits => {}
                Verdict::Held => self.take_up(&mut model, economy, &mut earned)?,
                Verdict::Failed => self.fail(id, &mut model, economy, &mut earned)?,
                Verdict::Unclear => unclear.push(id),
                Verdict::Dropped => self.drop_offer(id, &mut model, economy, &mut earned)?,
            }
            let reward = rewards.remove(&id).unwrap_or_default();
            let commission = reward.mul_div(model.commission_bps.into(), 10_000, Rounding::Down)?;
            let unowned = pool::reward(&mut model.pool, reward.checked_sub(commission)?);
            economy.emission = economy.emission.checked_add(unowned)?;
            model.commission_bps = model.next_commission_bps;
            if pool::is_waiting(&model.pool) {
                let dust = pool::settle(&mut model.pool, self.epoch, self.params.unbonding_epochs)?;
                economy.emission = economy.emission.checked_add(dust)?;
            }
            if commission > Shannons::ZERO {
                let content = match pool::restake(&mut model.pool, commission) {
                    Ok(receipt) => Content::StakedSoma(receipt),
                    // A pool that takes no stake any more is paid beside.
                    Err(_) => Content::Coin(commission),
                };
                self.overlay.create(Owner::Address(model.owner), content);
            }
            if reward > Shannons::ZERO {
                self.overlay.tell(Event::Rewarded {
                    pool: id,
                    amount: reward.checked_sub(commission)?,
                    commission,
                });
            }
            let is_poor = model.pool.closed || model.pool.balance < self.params.model_min_stake;
            if is_poor && model.stage != Stage::Inactive {
                // Else whoever withdraws all stake before the reveal is gone before it is missed.
                if matches!(&model.stage, Stage::Offered(offer) if offer.reveal.is_none()) {
                    self.slash_model(id, &mut model, economy)?;
                }
                self.retire_model(id, &mut model, economy)?;
            }
            if verdict != Verdict::Waits || model.offer().is_none() {
                models.undrawn.remove(&id);
            }
            if model.stage == Stage::Inactive && owes_nothing(&model.pool) {
                models.all.remove(&id);
                self.overlay.delete(&id);
                continue;
            }
            if let Some(weights) = model.weights().map(|weights| weights.reveal.weights) {
                active.push((Reverse(model.pool.balance), id));
                if was_active != Some(weights) {
                    self.overlay.tell(Event::ModelActive { model: id, weights });
                }
            }
            self.put(id, Content::Model(model))?;
        }
        // What models have earned that are no more.
        for amount in rewards.into_values() {
            economy.emission = economy.emission.checked_add(amount)?;
        }
        // Where there are too many, those with the least stake go.
        active.sort_unstable();
        for (_, id) in active.into_iter().skip(self.params.max_active_models as usize) {
            let mut model = self.model(id)?;
            self.retire_model(id, &mut model, economy)?;
            self.put(id, Content::Model(model))?;
            unclear.retain(|other| *other != id);
        }
        Ok((earned, unclear))
    }

    /// Has the whole next committee check what too few have attested.
    pub(super) fn escalate(&mut self, set: &Validators, unclear: &[ObjectId]) -> Result<(), CloseError> {
        for id in unclear {
            let mut model = self.model(*id)?;
            // It may have lost its stake, and its offer with it.
            let Some(offer) = model.offer_mut() else { continue };
            let custodians = set.members.iter().map(|(member, power)| {
                let (power, attestation) = (*power, None);
                (*member, Custodian { power, attestation })
            });
            offer.custody = Custody::Committee(custodians.collect());
            self.put(*id, Content::Model(model))?;
            self.overlay.tell(Event::CustodyDrawn {
                model: *id,
                custodians: set.members.keys().copied().collect(),
            });
        }
        Ok(())
    }

    fn verdict(&self, model: &Model) -> Verdict {
        let Some(offer) = model.offer() else {
            let is_late = matches!(model.stage, Stage::Created(epoch) if epoch < self.epoch);
            return if is_late { Verdict::Failed } else { Verdict::Waits };
        };
        if offer.reveal.is_none() {
            let is_late = offer.epoch < self.epoch;
            return if is_late { Verdict::Failed } else { Verdict::Waits };
        }
        let (held, rejected, all) = powers(offer);
        match &offer.custody {
            _ if all > 0 && held * 3 >= all * 2 => Verdict::Held,
            Custody::Undrawn | Custody::Drawn(_) => Verdict::Unclear,
            Custody::Committee(_) if rejected >= u32::from(VotingPower::QUORUM.get()) => Verdict::Failed,
            Custody::Committee(_) => Verdict::Dropped,
        }
    }

    /// The weights count from the next epoch on.
    fn take_up(
        &mut self,
        model: &mut Model,
        economy: &mut Economy,
        earned: &mut Earned,
    ) -> Result<(), CloseError> {
        let taken = match std::mem::replace(&mut model.stage, Stage::Inactive) {
            Stage::Offered(offer) => Some(offer),
            Stage::Active { update, .. } => update,
            Stage::Created(_) | Stage::Inactive => None,
        };
        let shown = taken.and_then(|mut offer| Some((offer.reveal.take()?, offer)));
        let (reveal, offer): (Reveal, Offer) = shown.expect("an offer that is held was revealed");
        pay(&offer, economy, earned)?;
        model.stage = Stage::Active {
            weights: Weights {
                manifest: offer.manifest,
                reveal,
                since: self.next,
            },
            update: None,
        };
        Ok(())
    }

    /// A model whose first weights do not come is slashed, and goes. One that competes goes on with those that it has.
    fn fail(
        &mut self,
        id: ObjectId,
        model: &mut Model,
        economy: &mut Economy,
        earned: &mut Earned,
    ) -> Result<(), CloseError> {
        if let Stage::Active { .. } = model.stage {
            return self.drop_offer(id, model, economy, earned);
        }
        if let Some(offer) = model.offer_mut() {
            pay(offer, economy, earned)?;
            offer.fee = Shannons::ZERO;
        }
        self.slash_model(id, model, economy)?;
        self.retire_model(id, model, economy)
    }

    fn slash_model(
        &mut self,
        id: ObjectId,
        model: &mut Model,
        economy: &mut Economy,
    ) -> Result<(), CloseError> {
        let amount = pool::slash(&mut model.pool, self.params.reveal_slash_bps, self.epoch);
        economy.emission = economy.emission.checked_add(amount)?;
        self.overlay.tell(Event::Slashed { pool: id, amount });
        Ok(())
    }

    /// An offer comes to nothing, and its model is as it was without it. First weights can be committed to again.
    fn drop_offer(
        &mut self,
        id: ObjectId,
        model: &mut Model,
        economy: &mut Economy,
        earned: &mut Earned,
    ) -> Result<(), CloseError> {
        if let Some(offer) = model.offer() {
            pay(offer, economy, earned)?;
        }
        match &mut model.stage {
            Stage::Active { update, .. } => *update = None,
            stage => *stage = Stage::Created(self.next),
        }
        self.overlay.tell(Event::OfferDropped { model: id });
        Ok(())
    }

    fn retire_model(
        &mut self,
        id: ObjectId,
        model: &mut Model,
        economy: &mut Economy,
    ) -> Result<(), CloseError> {
        let forfeited = retire(self.overlay, id, model);
        economy.emission = economy.emission.checked_add(forfeited)?;
        Ok(())
    }
}

/// Divides what was paid for an offer equally among those who have attested. The emission pool has what that leaves.
fn pay(offer: &Offer, economy: &mut Economy, earned: &mut Earned) -> Result<(), CloseError> {
    let attested = custodians(offer).filter(|(_, custodian)| custodian.attestation.is_some());
    let attested: Vec<ObjectId> = attested.map(|(id, _)| *id).collect();
    let mut rest = offer.fee;
    if let Some(each) = rest.get().checked_div(attested.len() as u64).map(Shannons::new) {
        for id in attested {
            rest = rest.checked_sub(each)?;
            let sum = earned.entry(id).or_default();
            *sum = sum.checked_add(each)?;
        }
    }
    economy.emission = economy.emission.checked_add(rest)?;
    Ok(())
}

fn custodians(offer: &Offer) -> impl Iterator<Item = (&ObjectId, &Custodian)> {
    let custodians = match &offer.custody {
        Custody::Undrawn => None,
        Custody::Drawn(custodians) | Custody::Committee(custodians) => Some(custodians),
    };
    custodians.into_iter().flatten()
}

/// The power of those that hold the weights, of those that reject them, and of all that are asked.
fn powers(offer: &Offer) -> (u32, u32, u32) {
    let (mut held, mut rejected, mut all) = (0, 0, 0);
    for (_, custodian) in custodians(offer) {
        let power = u32::from(custodian.power.get());
        all += power;
        match custodian.attestation {
            Some(types::Attestation::Held) => held += power,
            Some(types::Attestation::Rejected(_)) => rejected += power,
            None => {}
        }
    }
    (held, rejected, all)
}
