//! Who wants to be a validator, or no longer, and what members and others do to one.
//!
//! A validator's account and its keys are its own, and nobody else's: each has an object of its own, a *claim*, whose id follows
//! from it. A transaction that registers or changes keys declares the ids of their claims, so of two with one key the first in the
//! commit's order wins. The claims are gone with the validator, or with the keys that it has changed, when the epoch closes.

use crypto::Ed25519Scheme;
use types::{
    Address, Content, Equivocation, Event, Failure, Line, Metadata, ObjectId, Owner, Pool, ProtocolParams,
    ProvedKeys, Shannons, Standing, Validator,
};

use crate::coins::Moved;
use crate::execute::Context;
use crate::overlay::{Draft, Overlay};
use crate::pool;
use crate::stake::{self, Wanted, put, validator};

/// What somebody says who wants to be a validator.
pub(crate) struct New<'a> {
    /// Its keys.
    pub keys: &'a ProvedKeys,
    /// What it says of itself.
    pub metadata: &'a Metadata,
    /// Its commission, if it says one.
    pub commission_bps: Option<u16>,
}

/// What a validator changes of what it says.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    /// At once.
    pub name: Option<&'a Line>,
    /// With the next epoch.
    pub network_address: Option<&'a Line>,
    /// At once.
    pub proxy_address: Option<&'a Line>,
    /// With the next epoch.
    pub keys: Option<&'a ProvedKeys>,
}

const NOTHING: Moved = Moved::Whole(Shannons::ZERO);

/// Makes the sender a validator with a first stake.
pub(crate) fn add(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    new: New<'_>,
    wanted: &Wanted,
) -> Result<Moved, Failure> {
    let params = &context.params;
    let commission_bps = new.commission_bps.unwrap_or(params.initial_commission_bps);
    check_commission(params, commission_bps)?;
    let amount = wanted.take(overlay)?;
    if amount < params.validator_min_stake {
        return Err(Failure::StakeTooLittle(params.validator_min_stake));
    }
    let id = overlay.new_id();
    claim(overlay, Validator::claim(sender), id)?;
    claim_keys(overlay, context, sender, id, new.keys)?;
    let mut pool = Pool::new(id);
    stake::deposit(overlay, sender, &mut pool, amount)?;
    let keys = new.keys.keys.clone();
    let validator = Validator::candidate(sender, keys, new.metadata.clone(), commission_bps, pool);
    overlay.create_at(id, Owner::Shared, Content::Validator(Box::new(validator)));
    overlay.accrual.pending.insert(id);
    overlay.tell(Event::Candidate {
        validator: id,
        address: sender,
    });
    Ok(Moved::Stake(amount))
}

/// Lets the sender's validator go when the epoch closes.
pub(crate) fn remove(overlay: &mut Overlay<'_>, sender: Address, id: ObjectId) -> Result<Moved, Failure> {
    let (draft, mut validator) = staying(overlay, sender, id)?;
    resign(overlay, id, &mut validator);
    put(overlay, id, draft, validator);
    Ok(NOTHING)
}

/// Has a member's rewards withheld, as far as the sender's validator has a say in it.
pub(crate) fn report(
    overlay: &mut Overlay<'_>,
    sender: Address,
    id: ObjectId,
    reported: ObjectId,
) -> Result<Moved, Failure> {
    let (draft, mut reporter) = member(overlay, sender, id)?;
    // Nobody escapes a report by leaving: it earns until the epoch closes.
    match validator(overlay, &reported)?.1.standing {
        Standing::Member | Standing::Leaving => {}
        Standing::Candidate | Standing::Retired => return Err(Failure::NotAMember(reported)),
    }
    reporter.reports.insert(reported);
    put(overlay, id, draft, reporter);
    tell_report(overlay, id, reported, false);
    Ok(NOTHING)
}

/// Takes a report back.
pub(crate) fn undo_report(
    overlay: &mut Overlay<'_>,
    sender: Address,
    id: ObjectId,
    reported: ObjectId,
) -> Result<Moved, Failure> {
    let (draft, mut reporter) = member(overlay, sender, id)?;
    if !reporter.reports.remove(&reported) {
        return Err(Failure::NotReported(reported));
    }
    put(overlay, id, draft, reporter);
    tell_report(overlay, id, reported, true);
    Ok(NOTHING)
}

/// Changes what the sender's validator says of itself.
pub(crate) fn update(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    id: ObjectId,
    change: Change<'_>,
) -> Result<Moved, Failure> {
    let (draft, mut validator) = staying(overlay, sender, id)?;
    if let Some(keys) = change.keys {
        if validator.staged.keys.is_some() {
            return Err(Failure::KeysStaged(id));
        }
        claim_keys(overlay, context, sender, id, keys)?;
        validator.staged.keys = Some(keys.keys.clone());
    }
    if let Some(address) = change.network_address {
        validator.staged.network_address = Some(address.clone());
    }
    let metadata = &mut validator.metadata;
    let at_once = [
        (&mut metadata.name, change.name),
        (&mut metadata.proxy_address, change.proxy_address),
    ];
    for (line, new) in at_once {
        if let Some(new) = new {
            *line = new.clone();
        }
    }
    put(overlay, id, draft, validator);
    overlay.tell(Event::Updated { validator: id });
    Ok(NOTHING)
}

/// Changes the commission of the sender's validator with the next epoch.
pub(crate) fn set_commission(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    id: ObjectId,
    commission_bps: u16,
) -> Result<Moved, Failure> {
    check_commission(&context.params, commission_bps)?;
    let (draft, mut validator) = staying(overlay, sender, id)?;
    validator.staged.commission_bps = Some(commission_bps);
    put(overlay, id, draft, validator);
    overlay.tell(Event::Updated { validator: id });
    Ok(NOTHING)
}

/// Slashes a validator that signed two blocks for one slot, once for each epoch, and lets it go. The author's index is of no
/// account: no honest validator signs two blocks of one epoch, round and author, whoever the author is.
pub(crate) fn punish(
    overlay: &mut Overlay<'_>,
    context: &Context,
    id: ObjectId,
    evidence: &Equivocation<Ed25519Scheme>,
) -> Result<Moved, Failure> {
    let (draft, mut validator) = validator(overlay, &id)?;
    let (params, now, epoch) = (&context.params, context.system.epoch, evidence.epoch());
    let is_recent = epoch <= now && now.get() - epoch.get() <= params.evidence_epochs;
    let key = validator.signs_with(epoch).filter(|_| is_recent);
    let key = key.ok_or(Failure::EvidenceNotAccepted(epoch))?;
    if validator.slashed_for.contains(&epoch) {
        return Err(Failure::AlreadySlashed(epoch));
    }
    let is_guilty = evidence.verify(context.system.chain, key);
    is_guilty.map_err(|_| Failure::InvalidEvidence)?;
    let amount = pool::slash(&mut validator.pool, params.equivocation_slash_bps, now);
    validator.slashed_for.insert(epoch);
    let slashed = overlay.accrual.slashed.checked_add(amount);
    overlay.accrual.slashed = slashed.map_err(|_| Failure::Overflow)?;
    overlay.tell(Event::Slashed { pool: id, amount });
    if matches!(validator.standing, Standing::Candidate | Standing::Member) {
        resign(overlay, id, &mut validator);
    }
    put(overlay, id, draft, validator);
    Ok(NOTHING)
}

fn resign(overlay: &mut Overlay<'_>, id: ObjectId, validator: &mut Validator) {
    validator.standing = Standing::Leaving;
    overlay.accrual.leaving.insert(id);
    overlay.tell(Event::Resigned { validator: id });
}

fn tell_report(overlay: &mut Overlay<'_>, by: ObjectId, validator: ObjectId, is_undone: bool) {
    overlay.tell(Event::Reported {
        validator,
        by,
        is_undone,
    });
}

/// The sender's validator.
fn own(overlay: &Overlay<'_>, sender: Address, id: ObjectId) -> Result<(Draft, Box<Validator>), Failure> {
    let (draft, validator) = validator(overlay, &id)?;
    let is_own = validator.address == sender;
    is_own.then_some((draft, validator)).ok_or(Failure::NotOwner(id))
}

/// The sender's validator, which is a member.
fn member(overlay: &Overlay<'_>, sender: Address, id: ObjectId) -> Result<(Draft, Box<Validator>), Failure> {
    match own(overlay, sender, id)? {
        (draft, validator) if validator.standing == Standing::Member => Ok((draft, validator)),
        _ => Err(Failure::NotAMember(id)),
    }
}

/// The sender's validator, which does not leave.
pub(crate) fn staying(
    overlay: &Overlay<'_>,
    sender: Address,
    id: ObjectId,
) -> Result<(Draft, Box<Validator>), Failure> {
    let (draft, validator) = own(overlay, sender, id)?;
    match validator.standing {
        Standing::Candidate | Standing::Member => Ok((draft, validator)),
        Standing::Leaving | Standing::Retired => Err(Failure::ValidatorLeaving(id)),
    }
}

fn check_commission(params: &ProtocolParams, commission_bps: u16) -> Result<(), Failure> {
    let most = params.max_commission_bps;
    let is_allowed = commission_bps <= most;
    is_allowed.then_some(()).ok_or(Failure::CommissionTooHigh(most))
}

/// Makes keys this validator's.
fn claim_keys(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    validator: ObjectId,
    keys: &ProvedKeys,
) -> Result<(), Failure> {
    for id in keys.keys.claims() {
        claim(overlay, id, validator)?;
    }
    // What costs most comes last.
    let is_proved = keys.verify(context.system.chain, sender);
    is_proved.map_err(|_| Failure::InvalidProofOfPossession)
}

/// Makes something this validator's, unless it is another's.
fn claim(overlay: &mut Overlay<'_>, id: ObjectId, validator: ObjectId) -> Result<(), Failure> {
    match overlay.get(&id).map(|draft| draft.content) {
        None => {
            overlay.create_at(id, Owner::Shared, Content::Claim(validator));
            Ok(())
        }
        Some(Content::Claim(same)) if same == validator => Ok(()),
        Some(Content::Claim(other)) => Err(Failure::Claimed(other)),
        Some(_) => Err(Failure::InvariantViolated),
    }
}
