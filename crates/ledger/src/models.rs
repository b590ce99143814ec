//! Models: who makes one, commits to its weights and reveals them, and what validators attest of them.
//!
//! Not here: what becomes of commitments and reveals when the epoch closes (`epoch`), who is drawn to attest (`commit`).

use crypto::segments::sealed_length;
use types::{
    Address, Attestation, Content, Custody, Digest, Direction, Event, Failure, Manifest, Model, ObjectId,
    Offer, Owner, Pool, ProtocolParams, Reveal, Shannons, Stage,
};

use crate::coins::Moved;
use crate::execute::Context;
use crate::overlay::{Draft, Overlay};
use crate::stake::{self, Wanted};

const NOTHING: Moved = Moved::Whole(Shannons::ZERO);

/// Makes a model of the sender's, with a first stake.
pub(crate) fn create(
    overlay: &mut Overlay<'_>,
    context: &Context,
    owner: Address,
    (architecture, commission_bps): (u32, u16),
    wanted: &Wanted,
) -> Result<Moved, Failure> {
    let params = &context.params;
    if architecture != params.model_architecture {
        return Err(Failure::WrongArchitecture(params.model_architecture));
    }
    check_commission(commission_bps)?;
    let amount = wanted.take(overlay)?;
    if amount < params.model_min_stake {
        return Err(Failure::StakeTooLittle(params.model_min_stake));
    }
    let id = overlay.new_id();
    let mut pool = Pool::new(id);
    stake::deposit(overlay, owner, &mut pool, amount)?;
    let model = Model {
        owner,
        architecture,
        commission_bps,
        next_commission_bps: commission_bps,
        pool,
        stage: Stage::Created(context.system.epoch),
    };
    overlay.create_at(id, Owner::Shared, Content::Model(Box::new(model)));
    overlay.accrual.created.insert(id);
    overlay.tell(Event::ModelCreated { model: id, owner });
    Ok(Moved::Stake(amount))
}

/// Commits to weights, and pays those who are going to check them.
pub(crate) fn commit(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    id: ObjectId,
    (manifest, commitment): (&Manifest, Digest),
    coin: ObjectId,
) -> Result<Moved, Failure> {
    let params = &context.params;
    let (draft, mut model) = own(overlay, sender, id)?;
    check_size(params, manifest.bytes)?;
    if model.offer().is_some() {
        return Err(Failure::OfferUnderWay(id));
    }
    let have = overlay.balance(&coin)?;
    let need = params.reveal_fee;
    let rest = have.checked_sub(need);
    let rest = rest.map_err(|_| Failure::InsufficientBalance { have, need })?;
    overlay.set_balance(coin, rest)?;
    let offer = Offer {
        manifest: manifest.clone(),
        commitment,
        epoch: context.system.epoch,
        fee: need,
        reveal: None,
        custody: Custody::Undrawn,
    };
    match &mut model.stage {
        stage @ Stage::Created(_) => *stage = Stage::Offered(offer),
        Stage::Active { update, .. } => *update = Some(offer),
        Stage::Offered(_) | Stage::Inactive => return Err(Failure::WrongStage(id)),
    }
    put(overlay, id, draft, model);
    overlay.accrual.undrawn.insert(id);
    overlay.tell(Event::ModelCommitted {
        model: id,
        commitment,
    });
    Ok(NOTHING)
}

/// Shows what was committed to in the epoch before.
pub(crate) fn reveal(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    id: ObjectId,
    shown: &Reveal,
) -> Result<Moved, Failure> {
    let (draft, mut model) = own(overlay, sender, id)?;
    let owner = model.owner;
    let offer = model.offer_mut().ok_or(Failure::WrongStage(id))?;
    if offer.reveal.is_some() {
        return Err(Failure::WrongStage(id));
    }
    let due = offer.epoch.next().unwrap_or(offer.epoch);
    if due != context.system.epoch {
        return Err(Failure::NotRevealEpoch(due));
    }
    check_dimension(&context.params, &shown.embedding)?;
    if shown.commitment(id, owner, offer.epoch) != offer.commitment {
        return Err(Failure::RevealMismatch);
    }
    offer.reveal = Some(shown.clone());
    put(overlay, id, draft, model);
    overlay.tell(Event::ModelRevealed {
        model: id,
        weights: shown.weights,
    });
    Ok(NOTHING)
}

/// Changes a model's commission with the next epoch.
pub(crate) fn set_commission(
    overlay: &mut Overlay<'_>,
    sender: Address,
    id: ObjectId,
    commission_bps: u16,
) -> Result<Moved, Failure> {
    check_commission(commission_bps)?;
    let (draft, mut model) = own(overlay, sender, id)?;
    if model.stage == Stage::Inactive {
        return Err(Failure::WrongStage(id));
    }
    model.next_commission_bps = commission_bps;
    put(overlay, id, draft, model);
    overlay.tell(Event::ModelUpdated { model: id });
    Ok(NOTHING)
}

/// Lets a model compete no more. Whoever is committed to first weights cannot escape their reveal like this.
pub(crate) fn deactivate(overlay: &mut Overlay<'_>, sender: Address, id: ObjectId) -> Result<Moved, Failure> {
    let (draft, mut model) = own(overlay, sender, id)?;
    let Stage::Active { .. } = model.stage else {
        return Err(Failure::WrongStage(id));
    };
    let forfeited = retire(overlay, id, &mut model);
    let slashed = overlay.accrual.slashed.checked_add(forfeited);
    overlay.accrual.slashed = slashed.map_err(|_| Failure::Overflow)?;
    put(overlay, id, draft, model);
    Ok(NOTHING)
}

/// Makes a model inactive. Yields what was paid for an offer that comes to nothing now.
pub(crate) fn retire(overlay: &mut Overlay<'_>, id: ObjectId, model: &mut Model) -> Shannons {
    let forfeited = model.offer().map_or(Shannons::ZERO, |offer| offer.fee);
    model.stage = Stage::Inactive;
    crate::pool::close(&mut model.pool);
    overlay.tell(Event::ModelInactive { model: id });
    forfeited
}

/// Says what the sender's validator has found of revealed weights, once.
pub(crate) fn attest(
    overlay: &mut Overlay<'_>,
    sender: Address,
    by: ObjectId,
    id: ObjectId,
    attestation: Attestation,
) -> Result<Moved, Failure> {
    let (_, validator) = stake::validator(overlay, &by)?;
    if validator.address != sender {
        return Err(Failure::NotOwner(by));
    }
    let (draft, mut model) = model(overlay, id)?;
    let offer = model.offer_mut().filter(|offer| offer.reveal.is_some());
    let custodian = offer.and_then(|offer| match &mut offer.custody {
        Custody::Undrawn => None,
        Custody::Drawn(custodians) | Custody::Committee(custodians) => custodians.get_mut(&by),
    });
    let custodian = custodian.filter(|custodian| custodian.attestation.is_none());
    let custodian = custodian.ok_or(Failure::NothingToAttest(by))?;
    custodian.attestation = Some(attestation);
    put(overlay, id, draft, model);
    overlay.tell(Event::Attested {
        model: id,
        by,
        attestation,
    });
    Ok(NOTHING)
}

/// Stakes with a model, and gives the staker a receipt.
pub(crate) fn add_stake(
    overlay: &mut Overlay<'_>,
    owner: Address,
    id: ObjectId,
    wanted: &Wanted,
) -> Result<Moved, Failure> {
    let amount = wanted.take(overlay)?;
    let (draft, mut model) = model(overlay, id)?;
    stake::deposit(overlay, owner, &mut model.pool, amount)?;
    put(overlay, id, draft, model);
    Ok(Moved::Stake(amount))
}

pub(crate) fn model(overlay: &Overlay<'_>, id: ObjectId) -> Result<(Draft, Box<Model>), Failure> {
    let draft = overlay.get(&id).ok_or(Failure::NotAModel(id))?;
    match &draft.content {
        Content::Model(model) => {
            let model = model.clone();
            Ok((draft, model))
        }
        _ => Err(Failure::NotAModel(id)),
    }
}

pub(crate) fn put(overlay: &mut Overlay<'_>, id: ObjectId, draft: Draft, model: Box<Model>) {
    let content = Content::Model(model);
    overlay.put(id, Draft { content, ..draft });
}

/// The sender's model.
fn own(overlay: &Overlay<'_>, sender: Address, id: ObjectId) -> Result<(Draft, Box<Model>), Failure> {
    let (draft, model) = model(overlay, id)?;
    let is_own = model.owner == sender;
    is_own.then_some((draft, model)).ok_or(Failure::NotOwner(id))
}

/// All of what stakers earn, at most.
const MOST_COMMISSION: u16 = 10_000;

pub(crate) fn check_commission(commission_bps: u16) -> Result<(), Failure> {
    let is_allowed = commission_bps <= MOST_COMMISSION;
    is_allowed
        .then_some(())
        .ok_or(Failure::CommissionTooHigh(MOST_COMMISSION))
}

/// The weights are as long as the architecture says, so only what stands before them can make a file longer.
pub(crate) fn check_size(params: &ProtocolParams, bytes: u64) -> Result<(), Failure> {
    let low = sealed_length(params.model_weight_bytes);
    let high = sealed_length(params.model_weight_bytes + u64::from(params.max_model_header_bytes));
    let is_allowed = (low..=high).contains(&bytes);
    is_allowed
        .then_some(())
        .ok_or(Failure::WrongFileSize { low, high })
}

pub(crate) fn check_dimension(params: &ProtocolParams, embedding: &Direction) -> Result<(), Failure> {
    let dim = params.embedding_dim;
    let is_right = u32::try_from(embedding.dim()) == Ok(dim);
    is_right.then_some(()).ok_or(Failure::WrongDimension(dim))
}
