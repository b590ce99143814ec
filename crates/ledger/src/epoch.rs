//! The end of an epoch: rewards, stake, who comes and who goes.
//!
//! An epoch always ends. Where the rules find something that cannot be, none of what they did is kept: the epoch ends in *safe
//! mode*, with the same committee, and what was to be handed out stays for the next end that succeeds.

mod members;
mod models;
mod targets;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet};

use crypto::Digest;
use types::{
    AmountError, Content, Economy, Effects, Epoch, Event, Failure, Fee, Models, ObjectId, Owner, Pool,
    ProtocolParams, Rounding, Rules, Shannons, Shares, Standing, Status, System, Targets, TransactionDigest,
    UnixMillis, Validator, Validators, Version, VotingPower, receipt_id,
};

use crate::emission::Emission;
use crate::execute::{Writes, written};
use crate::fees::next_value_fee;
use crate::overlay::{Draft, Overlay};
use crate::pool::{self, PoolError};
use crate::state::{Index, Live};

/// The end of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochChange {
    /// What everybody is told, under the digest of the end.
    pub effects: Effects,
    /// What the state takes in.
    pub writes: Writes,
    /// Why it ended in safe mode, if it did: for the operator, who is to look.
    pub trouble: Option<CloseError>,
}

/// Why an epoch ends in safe mode, or a state has no epochs. A bug in either case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// An object that every state has, or that the set of validators names, is not there, or something else.
    #[error("object {0} is missing, or not what it should be")]
    Missing(ObjectId),
    /// Nobody would be left.
    #[error("no validator is left")]
    NobodyLeft,
    /// More than there can be.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// A pool contradicts itself.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// Money would come from nowhere, or go there.
    #[error("the supply would change")]
    Supply,
    /// There is no epoch after it.
    #[error("epoch {0} is the last that is counted")]
    LastEpoch(Epoch),
}

/// The digest under which an epoch ends: `H(EpochEnd:: ‖ BCS of the epoch and the time)`.
pub fn end_digest(epoch: Epoch, at: UnixMillis) -> TransactionDigest {
    TransactionDigest::new(Digest::of_value("EpochEnd", &(epoch, at)))
}

/// Ends the epoch at this commit time.
///
/// # Errors
/// [`CloseError`], where not even safe mode can be entered: the state has no system.
pub fn close(
    params: &ProtocolParams,
    objects: &impl Index,
    at: UnixMillis,
) -> Result<EpochChange, CloseError> {
    let once = [System::ID, Validators::ID, Economy::ID, Models::ID, Targets::ID];
    let mut inputs: BTreeMap<ObjectId, Live> = BTreeMap::new();
    for id in once {
        inputs.insert(id, objects.get(&id).ok_or(CloseError::Missing(id))?);
    }
    let known = match &inputs[&Validators::ID].object().content {
        Content::Validators(set) => [
            set.members.keys().copied().collect(),
            set.pending.clone(),
            set.retired.clone(),
        ],
        _ => return Err(CloseError::Missing(Validators::ID)),
    };
    for id in known.into_iter().flatten() {
        // One that is not there ends the epoch in safe mode.
        let Some(live) = objects.get(&id) else { continue };
        if let Content::Validator(validator) = &live.object().content
            && validator.standing != Standing::Retired
        {
            let claims = validator.claims();
            inputs.extend(claims.filter_map(|id| Some((id, objects.get(&id)?))));
        }
        inputs.insert(id, live);
    }
    let models = match &inputs[&Models::ID].object().content {
        Content::Models(models) => models.all.clone(),
        _ => return Err(CloseError::Missing(Models::ID)),
    };
    inputs.extend(models.into_iter().filter_map(|id| Some((id, objects.get(&id)?))));
    let targets = objects.unsettled();
    for id in &targets {
        let Some(live) = objects.get(id) else { continue };
        if let Content::Target(target) = &live.object().content
            && let Some(fill) = &target.fill
        {
            let receipt = receipt_id(fill.data.checksum);
            inputs.extend(objects.get(&receipt).map(|live| (receipt, live)));
        }
        inputs.insert(*id, live);
    }
    let system = system(&inputs)?;
    let digest = end_digest(system.epoch, at);
    let next = System {
        epoch: system.epoch.next().ok_or(CloseError::LastEpoch(system.epoch))?,
        started: at,
        ..system
    };
    let run = |is_safe: bool| {
        let mut overlay = Overlay::new(digest, None, &inputs);
        let mut close = Close {
            params,
            epoch: system.epoch,
            next: next.epoch,
            overlay: &mut overlay,
        };
        let rules = if is_safe {
            close.minimal()?;
            system.rules
        } else {
            close.full(&targets, system.rules)?
        };
        close.put(System::ID, Content::System(System { rules, ..next }))?;
        let is_kept = overlay.check_supply(&Fee::default());
        is_kept.map_err(|_: Failure| CloseError::Supply)?;
        Ok::<_, CloseError>(overlay)
    };
    let (overlay, trouble) = match run(false) {
        Ok(overlay) => (overlay, None),
        Err(trouble) => (run(true)?, Some(trouble)),
    };
    let versions = inputs.values().map(|live| live.object().version);
    let version = versions.max().and_then(Version::next).unwrap_or(Version::MAX);
    let (writes, changes) = written(&overlay, version);
    let used: BTreeSet<TransactionDigest> = inputs.values().map(|live| live.object().previous).collect();
    Ok(EpochChange {
        effects: Effects {
            transaction: digest,
            epoch: system.epoch,
            status: Status::Success,
            fee: Fee::default(),
            version,
            changes,
            dependencies: used.into_iter().collect(),
            events: overlay.into_events(),
        },
        writes,
        trouble,
    })
}

fn system(inputs: &BTreeMap<ObjectId, Live>) -> Result<System, CloseError> {
    match inputs.get(&System::ID).map(|live| &live.object().content) {
        Some(Content::System(system)) => Ok(*system),
        _ => Err(CloseError::Missing(System::ID)),
    }
}

struct Close<'a, 'b> {
    params: &'a ProtocolParams,
    epoch: Epoch,
    next: Epoch,
    overlay: &'a mut Overlay<'b>,
}

impl Close<'_, '_> {
    fn draft(&self, id: ObjectId) -> Result<Draft, CloseError> {
        self.overlay.get(&id).ok_or(CloseError::Missing(id))
    }

    /// Puts in what has become of an object. What is as it was has no new version.
    fn put(&mut self, id: ObjectId, content: Content) -> Result<(), CloseError> {
        let draft = self.draft(id)?;
        if draft.content != content {
            self.overlay.put(id, Draft { content, ..draft });
        }
        Ok(())
    }

    fn economy(&self) -> Result<Economy, CloseError> {
        match self.draft(Economy::ID)?.content {
            Content::Economy(economy) => Ok(economy),
            _ => Err(CloseError::Missing(Economy::ID)),
        }
    }

    fn validators(&self) -> Result<Validators, CloseError> {
        match self.draft(Validators::ID)?.content {
            Content::Validators(set) => Ok(set),
            _ => Err(CloseError::Missing(Validators::ID)),
        }
    }

    fn validator(&self, id: ObjectId) -> Result<Box<Validator>, CloseError> {
        match self.draft(id)?.content {
            Content::Validator(validator) => Ok(validator),
            _ => Err(CloseError::Missing(id)),
        }
    }

    /// Nothing but the end: the same committee, and what was to be handed out stays where it is.
    fn minimal(&mut self) -> Result<(), CloseError> {
        let economy = Economy {
            is_safe_mode: true,
            ..self.economy()?
        };
        self.put(Economy::ID, Content::Economy(economy))?;
        self.overlay.tell(Event::SafeMode);
        Ok(())
    }

    /// Everything. Yields the rules of the next epoch.
    fn full(&mut self, targets: &[ObjectId], rules: Rules) -> Result<Rules, CloseError> {
        let mut economy = self.economy()?;
        let mut set = self.validators()?;
        let fees = economy.fees;
        let mut models = self.models()?;
        let mut audited = self.judge_targets(targets, &mut economy)?;
        let for_models = std::mem::take(&mut audited.models);
        let (earned, unclear) = self.judge_models(&mut models, &mut economy, for_models)?;
        let (emission, rest) = Emission::draw(self.params, economy.emission);
        economy.emission = rest;
        let commissions = self.reward(&set, &mut economy, emission.validators, earned, &audited.duties)?;
        for id in std::mem::take(&mut set.leaving) {
            if set.members.contains_key(&id) || set.pending.contains(&id) {
                let mut validator = self.validator(id)?;
                self.retire(&mut set, id, &mut validator);
                self.put(id, Content::Validator(validator))?;
            }
        }
        self.settle(&mut set, &mut economy, &commissions)?;
        self.elect(&mut set)?;
        self.turn(&set)?;
        let rules = self.upgrade(&set, rules)?;
        self.escalate(&set, &unclear)?;
        self.audit_again(&set, &audited.unclear)?;
        self.budget(&mut economy, emission)?;
        economy.value_fee_bps = next_value_fee(self.params, economy.value_fee_bps, fees);
        economy.is_safe_mode = false;
        self.put(Economy::ID, Content::Economy(economy))?;
        self.put(Models::ID, Content::Models(models))?;
        self.put(Validators::ID, Content::Validators(set))?;
        Ok(rules)
    }

    /// Divides the fees and the validators' part of the emission by power, and adds what each has earned besides. What rounding leaves is the emission pool's, and so
    /// is a part of what somebody earns whom a quorum has reported.
    /// Yields the commissions, which are staked when the pools are settled.
    fn reward(
        &mut self,
        set: &Validators,
        economy: &mut Economy,
        share: Shannons,
        mut earned: models::Earned,
        duties: &BTreeMap<ObjectId, (u64, u64)>,
    ) -> Result<BTreeMap<ObjectId, Shannons>, CloseError> {
        let mut commissions = BTreeMap::new();
        let fees = std::mem::take(&mut economy.fees);
        let mut rest = fees.checked_add(share)?;
        let reported = self.reported(set)?;
        for (id, power) in &set.members {
            let by_power = |pot: Shannons| {
                let all = VotingPower::TOTAL.get().into();
                pot.mul_div(power.get().into(), all, Rounding::Down)
            };
            // Who had seats in audits and has not done its duty earns less of the emission.
            let emitted = match duties.get(id) {
                Some((seats, served)) => by_power(share)?.mul_div(*served, *seats, Rounding::Down)?,
                None => by_power(share)?,
            };
            let part = by_power(fees)?.checked_add(emitted)?;
            let withheld_bps = match reported.contains(id) {
                true => self.params.report_reward_slash_bps,
                false => 0,
            };
            let withheld = part.mul_div(withheld_bps.into(), 10_000, Rounding::Down)?;
            let part = part.checked_sub(withheld)?;
            rest = rest.checked_sub(part)?;
            let part = part.checked_add(earned.remove(id).unwrap_or_default())?;
            let mut validator = self.validator(*id)?;
            let commission = part.mul_div(validator.commission_bps.into(), 10_000, Rounding::Down)?;
            let earned = part.checked_sub(commission)?;
            // Nobody has stake who could have it.
            rest = rest.checked_add(pool::reward(&mut validator.pool, earned))?;
            let pool = *id;
            commissions.insert(pool, commission);
            self.put(*id, Content::Validator(validator))?;
            self.overlay.tell(Event::Rewarded {
                pool,
                amount: earned,
                commission,
            });
            if reported.contains(id) {
                self.overlay.tell(Event::Withheld {
                    pool,
                    amount: withheld,
                });
            }
        }
        // Who has left the committee meanwhile earns nothing any more.
        for amount in earned.into_values() {
            rest = rest.checked_add(amount)?;
        }
        economy.emission = economy.emission.checked_add(rest)?;
        Ok(commissions)
    }

    /// Turns deposits into stake, and what leaves into amounts. Who has gone and owes nothing any more is forgotten.
    fn settle(
        &mut self,
        set: &mut Validators,
        economy: &mut Economy,
        commissions: &BTreeMap<ObjectId, Shannons>,
    ) -> Result<(), CloseError> {
        let all: Vec<ObjectId> = set
            .members
            .keys()
            .chain(&set.pending)
            .chain(&set.retired)
            .copied()
            .collect();
        for id in all {
            let mut validator = self.validator(id)?;
            if pool::is_waiting(&validator.pool) {
                let dust = pool::settle(&mut validator.pool, self.epoch, self.params.unbonding_epochs)?;
                economy.emission = economy.emission.checked_add(dust)?;
            }
            let commission = commissions.get(&id).copied().unwrap_or_default();
            if commission > Shannons::ZERO {
                // A pool that takes no stake any more is paid beside.
                let content = match pool::restake(&mut validator.pool, commission) {
                    Ok(receipt) => Content::StakedSoma(receipt),
                    Err(_) => Content::Coin(commission),
                };
                self.overlay.create(Owner::Address(validator.address), content);
            }
            // A pool that has closed by itself has nobody's stake, and never will.
            if validator.pool.closed && !set.retired.contains(&id) {
                self.retire(set, id, &mut validator);
            }
            if owes_nothing(&validator.pool) && set.retired.remove(&id) {
                self.overlay.delete(&id);
            } else {
                self.put(id, Content::Validator(validator))?;
            }
        }
        Ok(())
    }
}

/// Whether nobody has a claim on a pool any more.
fn owes_nothing(pool: &Pool) -> bool {
    pool.shares == Shares::ZERO && pool.at_par.is_empty() && pool.joined.is_empty() && pool.left.is_empty()
}
