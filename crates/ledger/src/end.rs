//! What a commit does by itself when its transactions are done: it adds up what they add to what there is once, and draws what
//! waits for a beacon.

use std::collections::BTreeMap;

use crypto::Digest;
use types::{
    Audit, AuditRound, CommitIndex, Content, Custodian, Custody, Direction, Distance, Economy, Effects,
    Epoch, Event, Failure, Fee, Models, ObjectId, Owner, Seat, Shannons, Status, System, Target, Targets,
    TransactionDigest, Validators, Version,
};

use crate::choice::Competitors;
use crate::draw::{Domain, Draws};
use crate::emission::target_reward;
use crate::execute::{Accrual, Context, Writes, written};
use crate::overlay::{Draft, Overlay};
use crate::pacing;
use crate::state::{Live, Objects};

/// Why a commit cannot be executed: the state is none, without this object, or with another one in its place. A bug in what
/// keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("object {0} is missing, or not what it should be")]
pub struct NoState(pub ObjectId);

/// The digest under which a commit ends: `H(CommitEnd:: ‖ BCS of the epoch and the commit's index)`.
pub fn end_digest(epoch: Epoch, commit: CommitIndex) -> TransactionDigest {
    TransactionDigest::new(Digest::of_value("CommitEnd", &(epoch, commit)))
}

/// Ends a commit. `None` where it has nothing to do.
pub(crate) fn end(
    context: &Context,
    objects: &impl Objects,
    accrual: &Accrual,
) -> Result<Option<(Effects, Writes)>, NoState> {
    let mut inputs = BTreeMap::new();
    let mut load = |id| {
        let live = objects.get(&id).ok_or(NoState(id))?;
        let content = live.object().content.clone();
        inputs.insert(id, live);
        Ok(content)
    };
    if accrual.fees > Shannons::ZERO || accrual.slashed > Shannons::ZERO {
        load(Economy::ID)?;
    }
    let touches_models = !accrual.created.is_empty() || !accrual.undrawn.is_empty();
    let mut models = Models::default();
    if touches_models || context.beacon.is_some() {
        let Content::Models(found) = load(Models::ID)? else {
            return Err(NoState(Models::ID));
        };
        models = found;
    }
    // A beacon is no secret when what it decides can still be caused: those of this commit wait for the next one.
    let due = match context.beacon {
        Some(beacon) if !models.undrawn.is_empty() => Some((beacon, models.undrawn.clone())),
        _ => None,
    };
    let Content::Targets(mut targets) = load(Targets::ID)? else {
        return Err(NoState(Targets::ID));
    };
    let is_quiet = targets.pace.budget == 0 && targets.pace.open == 0 && accrual.filled.is_empty();
    let unaudited = match context.beacon {
        Some(beacon) if !targets.undrawn.is_empty() => Some((beacon, std::mem::take(&mut targets.undrawn))),
        _ => None,
    };
    for id in unaudited.iter().flat_map(|(_, undrawn)| undrawn) {
        load(*id)?;
    }
    let draws = due.is_some() || unaudited.is_some();
    if draws || !accrual.pending.is_empty() || !accrual.leaving.is_empty() {
        load(Validators::ID)?;
    }
    for id in due.iter().flat_map(|(_, undrawn)| undrawn) {
        load(*id)?;
    }
    let digest = end_digest(context.system.epoch, context.commit);
    let mut end = End {
        overlay: Overlay::new(digest, None, &inputs),
        models,
    };
    end.add_up(accrual)?;
    let changes_models = touches_models || due.is_some();
    if let Some((beacon, undrawn)) = due {
        for id in undrawn {
            end.models.undrawn.remove(&id);
            end.draw_custodians(context, &beacon, id)?;
        }
    }
    if changes_models {
        end.put_models(accrual)?;
    }
    let has_drawn = unaudited.is_some();
    if let Some((beacon, undrawn)) = unaudited {
        for id in undrawn {
            end.draw_seats(context, &beacon, id)?;
        }
    }
    if has_drawn || !is_quiet {
        end.pace(context, objects, targets, accrual)?;
    }
    if end.overlay.changes().is_empty() {
        return Ok(None);
    }
    let is_kept = end.overlay.check_gain(accrual);
    is_kept.map_err(|_: Failure| NoState(Economy::ID))?;
    let used = end.overlay.changes().keys().filter_map(|id| inputs.get(id));
    let used: Vec<&Live> = used.collect();
    let versions = used.iter().map(|live| live.object().version);
    let version = versions.max().and_then(Version::next).unwrap_or(Version::MAX);
    let dependencies: std::collections::BTreeSet<_> =
        used.iter().map(|live| live.object().previous).collect();
    let (writes, changes) = written(&end.overlay, version);
    let effects = Effects {
        transaction: digest,
        epoch: context.system.epoch,
        status: Status::Success,
        fee: Fee::default(),
        version,
        changes,
        dependencies: dependencies.into_iter().collect(),
        events: end.overlay.into_events(),
    };
    Ok(Some((effects, writes)))
}

struct End<'a> {
    overlay: Overlay<'a>,
    models: Models,
}

impl End<'_> {
    fn change(
        &mut self,
        id: ObjectId,
        change: impl FnOnce(&mut Content) -> Option<()>,
    ) -> Result<(), NoState> {
        let Draft {
            owner,
            deposit,
            mut content,
        } = self.overlay.get(&id).ok_or(NoState(id))?;
        change(&mut content).ok_or(NoState(id))?;
        let draft = Draft {
            owner,
            deposit,
            content,
        };
        self.overlay.put(id, draft);
        Ok(())
    }

    /// Sums that exceed every amount are more than the supply, so no state has them.
    fn add_up(&mut self, accrual: &Accrual) -> Result<(), NoState> {
        if accrual.fees > Shannons::ZERO || accrual.slashed > Shannons::ZERO {
            self.change(Economy::ID, |content| match content {
                Content::Economy(economy) => {
                    economy.fees = economy.fees.checked_add(accrual.fees).ok()?;
                    economy.emission = economy.emission.checked_add(accrual.slashed).ok()?;
                    Some(())
                }
                _ => None,
            })?;
        }
        if !accrual.pending.is_empty() || !accrual.leaving.is_empty() {
            self.change(Validators::ID, |content| match content {
                Content::Validators(set) => {
                    set.pending.extend(&accrual.pending);
                    set.leaving.extend(&accrual.leaving);
                    Some(())
                }
                _ => None,
            })?;
        }
        Ok(())
    }

    /// Draws who is to check the next weights of a model, by power.
    fn draw_custodians(&mut self, context: &Context, beacon: &Digest, id: ObjectId) -> Result<(), NoState> {
        let set = self.validators()?;
        let mut drawn = Vec::new();
        self.change(id, |content| {
            let Content::Model(model) = content else {
                return None;
            };
            // It may have gone back on its offer.
            let Some(offer) = model.offer_mut() else {
                return Some(());
            };
            let candidates = set
                .members
                .iter()
                .map(|(member, power)| (*member, u64::from(power.get())));
            let candidates: Vec<(ObjectId, u64)> = candidates.collect();
            let bound = types::encode(&(id, offer.commitment));
            let mut draws = Draws::new(Domain::Custody, beacon, &bound);
            drawn = draws.weighted(&candidates, context.params.custodians.into());
            let custodians = drawn.iter().map(|member| {
                let (power, attestation) = (set.members[member], None);
                (*member, Custodian { power, attestation })
            });
            offer.custody = Custody::Drawn(custodians.collect());
            Some(())
        })?;
        if !drawn.is_empty() {
            self.overlay.tell(Event::CustodyDrawn {
                model: id,
                custodians: drawn,
            });
        }
        Ok(())
    }

    /// Draws who is to audit what has filled a target, by power; all, where there are no more.
    fn draw_seats(&mut self, context: &Context, beacon: &Digest, id: ObjectId) -> Result<(), NoState> {
        let set = self.validators()?;
        let next = context.system.epoch.next().ok_or(NoState(System::ID))?;
        let most = usize::from(context.params.audit_seats);
        let candidates = set
            .members
            .iter()
            .map(|(member, power)| (*member, u64::from(power.get())));
        let candidates: Vec<(ObjectId, u64)> = candidates.collect();
        let drawn: Vec<ObjectId> = if candidates.len() <= most {
            set.members.keys().copied().collect()
        } else {
            let mut draws = Draws::new(Domain::AuditSeats, beacon, &types::encode(&id));
            draws.weighted(&candidates, most)
        };
        let seats = drawn
            .iter()
            .map(|member| (*member, Seat::new(set.members[member])));
        let round = AuditRound {
            epoch: next,
            seats: seats.collect(),
        };
        self.change(id, |content| {
            let Content::Target(target) = content else {
                return None;
            };
            target.fill.as_mut()?.audit = Audit::Seats(round);
            Some(())
        })?;
        self.overlay.tell(Event::SeatsDrawn {
            target: id,
            seats: drawn,
        });
        Ok(())
    }

    /// Time goes on for the targets: those that were filled are replaced at the next beacon, as far as there is a budget.
    fn pace(
        &mut self,
        context: &Context,
        objects: &impl Objects,
        mut targets: Targets,
        accrual: &Accrual,
    ) -> Result<(), NoState> {
        let hits = accrual.filled.len() as u64;
        targets.hits = targets.hits.saturating_add(hits);
        targets.undrawn.extend(&accrual.filled);
        // What this commit has filled counts as open until its end: whoever leads it knows its beacon before anybody else, and could
        // fill as many targets as make it spawn those that suit them.
        let open = targets.pace.open;
        let elapsed_ms = context.at.get().saturating_sub(context.system.started.get());
        let competitors = match context.beacon {
            Some(beacon) => Some((beacon, Competitors::new(objects)?)),
            None => None,
        };
        let competitors = competitors.filter(|(_, competitors)| !competitors.is_empty());
        let may_spawn = competitors.is_some();
        let spawn = pacing::at_commit(&mut targets.pace, &context.params, elapsed_ms, open, may_spawn);
        targets.pace.open = targets.pace.open.saturating_sub(hits);
        if let Some((beacon, competitors)) = competitors {
            for _ in 0..spawn {
                self.spawn(context, &beacon, &competitors, &mut targets)?;
            }
        }
        self.change(Targets::ID, |content| {
            *content = Content::Targets(targets);
            Some(())
        })
    }

    fn spawn(
        &mut self,
        context: &Context,
        beacon: &Digest,
        competitors: &Competitors,
        targets: &mut Targets,
    ) -> Result<(), NoState> {
        let params = &context.params;
        let id = self.overlay.new_id();
        let context_bytes = types::encode(&id);
        let mut draws = Draws::new(Domain::TargetEmbedding, beacon, &context_bytes);
        let embedding = Direction::new(draws.direction(params.embedding_dim as usize));
        let embedding = embedding.map_err(|_| NoState(Targets::ID))?;
        let mut draws = Draws::new(Domain::TargetModels, beacon, &context_bytes);
        let contenders = competitors.choose(params, &embedding, &mut draws);
        let reward = target_reward(params);
        targets.budget = targets
            .budget
            .checked_sub(reward)
            .map_err(|_| NoState(Targets::ID))?;
        let threshold = Distance::new(targets.difficulty.distance_billionths).ok_or(NoState(Targets::ID))?;
        let target = Target {
            embedding,
            contenders,
            threshold,
            reward,
            epoch: context.system.epoch,
            fill: None,
        };
        self.overlay
            .create_at(id, Owner::Shared, Content::Target(Box::new(target)));
        self.overlay.tell(Event::TargetSpawned { target: id, reward });
        Ok(())
    }

    fn validators(&self) -> Result<Validators, NoState> {
        match self.overlay.get(&Validators::ID).map(|draft| draft.content) {
            Some(Content::Validators(set)) => Ok(set),
            _ => Err(NoState(Validators::ID)),
        }
    }

    fn put_models(&mut self, accrual: &Accrual) -> Result<(), NoState> {
        let mut models = std::mem::take(&mut self.models);
        models.all.extend(&accrual.created);
        models.undrawn.extend(&accrual.undrawn);
        self.change(Models::ID, |content| {
            *content = Content::Models(models);
            Some(())
        })
    }
}
