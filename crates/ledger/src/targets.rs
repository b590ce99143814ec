//! Who buys a ticket for a target, fills it, and is paid.
//!
//! Not here: when targets are made and for whom (`end`), and what becomes of them when the epoch closes (`epoch`).

use types::{
    Address, Audit, Content, Digest, Epoch, Event, Failure, Fill, Manifest, ObjectId, Owner, ProtocolParams,
    Rounding, Score, Shannons, Target, Ticket, UnixMillis, distance, receipt_id,
};

use crate::coins::Moved;
use crate::emission::target_reward;
use crate::execute::Context;
use crate::overlay::{Draft, Overlay};

const NOTHING: Moved = Moved::Whole(Shannons::ZERO);

/// What is locked for data of so many bytes, whatever the target's reward was: it is the same for all of an epoch.
fn bond(params: &ProtocolParams, reward: Shannons, bytes: u64) -> Result<Shannons, Failure> {
    let for_bytes = params
        .bond_byte_fee
        .get()
        .checked_mul(bytes)
        .ok_or(Failure::Overflow)?;
    let sum = reward.checked_add(Shannons::new(for_bytes));
    sum.map_err(|_| Failure::Overflow)
}

/// Locks a bond in a ticket.
pub(crate) fn buy(
    overlay: &mut Overlay<'_>,
    context: &Context,
    owner: Address,
    (target, commitment): (ObjectId, Digest),
    bond_paid: Shannons,
    coin: ObjectId,
) -> Result<Moved, Failure> {
    let params = &context.params;
    let least = bond(params, target_reward(params), 1)?;
    if bond_paid < least {
        return Err(Failure::BondTooSmall(least));
    }
    let have = overlay.balance(&coin)?;
    let rest = have.checked_sub(bond_paid);
    let need = bond_paid;
    let rest = rest.map_err(|_| Failure::InsufficientBalance { have, need })?;
    overlay.set_balance(coin, rest)?;
    let ticket = Ticket {
        target,
        commitment,
        bond: bond_paid,
        epoch: context.system.epoch,
        at: context.at,
    };
    overlay.create(Owner::Address(owner), Content::Ticket(ticket));
    overlay.tell(Event::TicketBought {
        target,
        by: owner,
        bond: bond_paid,
    });
    Ok(NOTHING)
}

/// What a ticket is opened with.
pub(crate) struct Submission<'a> {
    /// The ticket.
    pub ticket: ObjectId,
    /// Where the data is.
    pub data: &'a Manifest,
    /// What the models make of it.
    pub score: &'a Score,
    /// With which it was bound.
    pub salt: [u8; 32],
}

/// Opens a ticket and fills its target.
pub(crate) fn submit(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    id: ObjectId,
    submission: &Submission<'_>,
) -> Result<Moved, Failure> {
    let Submission {
        ticket: ticket_id,
        data,
        score,
        salt,
    } = submission;
    let params = &context.params;
    let ticket = ticket(overlay, *ticket_id)?;
    if ticket.target != id {
        return Err(Failure::WrongTicket(ticket.target));
    }
    if ticket.epoch != context.system.epoch {
        return Err(Failure::TicketExpired(ticket.epoch));
    }
    let ready = UnixMillis::new(ticket.at.get().saturating_add(params.ticket_age_ms));
    if context.at < ready {
        return Err(Failure::TicketTooYoung(ready));
    }
    if score.commitment(sender, id, data.checksum, *salt) != ticket.commitment {
        return Err(Failure::SubmissionMismatch);
    }
    let (draft, mut target) = target(overlay, id)?;
    if target.fill.is_some() {
        return Err(Failure::TargetFilled(id));
    }
    let contenders = &target.contenders;
    if contenders.iter().all(|contender| contender.model != score.winner) {
        return Err(Failure::NotAContender(score.winner));
    }
    if data.bytes == 0 || data.bytes > params.max_submission_bytes.into() {
        return Err(Failure::WrongDataSize(params.max_submission_bytes));
    }
    let found = distance(&score.embedding, &target.embedding);
    let found = found.map_err(|_| Failure::WrongDimension(params.embedding_dim))?;
    if found != score.distance {
        return Err(Failure::WrongDistance(found));
    }
    if found > target.threshold {
        return Err(Failure::TooFar(target.threshold));
    }
    let bond = bond(params, target.reward, data.bytes)?;
    let rest = ticket.bond.checked_sub(bond);
    let rest = rest.map_err(|_| Failure::BondTooSmall(bond))?;
    let receipt = receipt_id(data.checksum);
    if let Some(used) = overlay.get(&receipt) {
        return match used.content {
            Content::DataReceipt(target) => Err(Failure::DataUsed(target)),
            _ => Err(Failure::InvariantViolated),
        };
    }
    overlay.delete(ticket_id);
    overlay.create_at(receipt, Owner::Shared, Content::DataReceipt(id));
    if rest > Shannons::ZERO {
        overlay.create(Owner::Address(sender), Content::Coin(rest));
    }
    target.fill = Some(Box::new(Fill {
        submitter: sender,
        data: (*data).clone(),
        score: (*score).clone(),
        bond,
        audit: Audit::Undrawn,
    }));
    put(overlay, id, draft, target);
    overlay.accrual.filled.insert(id);
    overlay.tell(Event::TargetFilled {
        target: id,
        by: sender,
        winner: score.winner,
    });
    Ok(NOTHING)
}

/// Gives a ticket back. What it loses is the emission pool's.
pub(crate) fn return_ticket(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    id: ObjectId,
) -> Result<Moved, Failure> {
    let ticket = ticket(overlay, id)?;
    let lost = context.params.ticket_fee.min(ticket.bond);
    let rest = ticket.bond.checked_sub(lost).map_err(|_| Failure::Overflow)?;
    overlay.delete(&id);
    if rest > Shannons::ZERO {
        overlay.create(Owner::Address(sender), Content::Coin(rest));
    }
    let slashed = overlay.accrual.slashed.checked_add(lost);
    overlay.accrual.slashed = slashed.map_err(|_| Failure::Overflow)?;
    overlay.tell(Event::TicketReturned { by: sender, lost });
    Ok(NOTHING)
}

/// Pays the submitter of a target that is settled. Whoever else asks for it comes later, and has a part.
pub(crate) fn claim(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    id: ObjectId,
) -> Result<Moved, Failure> {
    let params = &context.params;
    let (_, target) = target(overlay, id)?;
    let fill = target.fill.as_ref().filter(|fill| fill.audit == Audit::Valid);
    let fill = fill.ok_or(Failure::NotSettled(id))?;
    let of_winner = |contender: &&types::Contender| contender.model == fill.score.winner;
    let owner = target
        .contenders
        .iter()
        .find(of_winner)
        .map(|winner| winner.owner);
    let is_party = sender == fill.submitter || Some(sender) == owner;
    let wait = params.claim_epochs + if is_party { 0 } else { params.finder_epochs };
    let due = Epoch::new(target.epoch.get().saturating_add(wait));
    if context.system.epoch < due {
        return Err(Failure::NotClaimable(due));
    }
    let bps = if is_party { 0 } else { params.finder_fee_bps };
    let part = target.reward.mul_div(bps.into(), 10_000, Rounding::Down);
    let finder_fee = part.map_err(|_| Failure::Overflow)?;
    let rest = target.reward.checked_sub(finder_fee);
    let amount = rest.and_then(|rest| rest.checked_add(fill.bond));
    let amount = amount.map_err(|_| Failure::Overflow)?;
    let submitter = fill.submitter;
    overlay.delete(&id);
    for (whose, paid) in [(submitter, amount), (sender, finder_fee)] {
        if paid > Shannons::ZERO {
            overlay.create(Owner::Address(whose), Content::Coin(paid));
        }
    }
    overlay.tell(Event::Claimed {
        target: id,
        submitter,
        amount,
        finder_fee,
    });
    Ok(NOTHING)
}

fn ticket(overlay: &Overlay<'_>, id: ObjectId) -> Result<Ticket, Failure> {
    match overlay.get(&id).map(|draft| draft.content) {
        Some(Content::Ticket(ticket)) => Ok(ticket),
        _ => Err(Failure::NotATicket(id)),
    }
}

pub(crate) fn target(overlay: &Overlay<'_>, id: ObjectId) -> Result<(Draft, Box<Target>), Failure> {
    let draft = overlay.get(&id).ok_or(Failure::NotATarget(id))?;
    match &draft.content {
        Content::Target(target) => {
            let target = target.clone();
            Ok((draft, target))
        }
        _ => Err(Failure::NotATarget(id)),
    }
}

pub(crate) fn put(overlay: &mut Overlay<'_>, id: ObjectId, draft: Draft, target: Box<Target>) {
    let content = Content::Target(target);
    overlay.put(id, Draft { content, ..draft });
}
