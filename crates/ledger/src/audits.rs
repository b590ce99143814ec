//! What auditors say of a submission: sealed first, so that nobody can repeat what another has found, and then opened.

use types::{Address, Digest, Event, Failure, ObjectId, Opening, Seat, Shannons, UnixMillis};

use crate::coins::Moved;
use crate::execute::Context;
use crate::overlay::{Draft, Overlay};
use crate::{stake, targets};

const NOTHING: Moved = Moved::Whole(Shannons::ZERO);

/// Says what the sender's validator has found without telling it.
pub(crate) fn seal(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    (by, id): (ObjectId, ObjectId),
    seal: Digest,
) -> Result<Moved, Failure> {
    let turn = middle(context);
    if context.at >= turn {
        return Err(Failure::WrongHalf(turn));
    }
    speak(overlay, context, sender, (by, id), |seat| match seat.seal {
        None => {
            seat.seal = Some(seal);
            Ok(())
        }
        Some(_) => Err(Failure::NothingToAudit(by)),
    })?;
    overlay.tell(Event::Sealed { target: id, by });
    Ok(NOTHING)
}

/// Tells what the sender's validator has sealed.
pub(crate) fn open(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    (by, id): (ObjectId, ObjectId),
    opening: Opening,
    salt: [u8; 32],
) -> Result<Moved, Failure> {
    let turn = middle(context);
    if context.at < turn {
        return Err(Failure::WrongHalf(turn));
    }
    speak(overlay, context, sender, (by, id), |seat| {
        let sealed = seat.seal.filter(|_| seat.opening.is_none());
        let sealed = sealed.ok_or(Failure::NothingToAudit(by))?;
        if opening.seal(by, id, salt) != sealed {
            return Err(Failure::SealMismatch);
        }
        seat.opening = Some(opening);
        Ok(())
    })?;
    overlay.tell(Event::Opened {
        target: id,
        by,
        verdict: opening.verdict,
    });
    Ok(NOTHING)
}

/// When the second half of the epoch begins, in commit time.
fn middle(context: &Context) -> UnixMillis {
    let half = context.params.epoch_duration_ms / 2;
    UnixMillis::new(context.system.started.get().saturating_add(half))
}

/// Changes the seat of the sender's validator, which has one in this epoch.
fn speak(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    (by, id): (ObjectId, ObjectId),
    say: impl FnOnce(&mut Seat) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (_, validator) = stake::validator(overlay, &by)?;
    if validator.address != sender {
        return Err(Failure::NotOwner(by));
    }
    let (draft, mut target): (Draft, _) = targets::target(overlay, id)?;
    let round = target.fill.as_mut().and_then(|fill| fill.audit.round_mut());
    let round = round.filter(|round| round.epoch == context.system.epoch);
    let seat = round.and_then(|round| round.seats.get_mut(&by));
    say(seat.ok_or(Failure::NothingToAudit(by))?)?;
    targets::put(overlay, id, draft, target);
    Ok(())
}
