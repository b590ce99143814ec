//! Staking with validators, and withdrawing from them and from models.

use types::{
    Address, Content, Event, Failure, LEAST_STAKE, ObjectId, ObjectRef, Owner, Pool, Shannons, StakedSoma,
    Validator,
};

use crate::coins::Moved;
use crate::execute::Context;
use crate::overlay::{Draft, Overlay};
use crate::pool::{self, PoolError, Withdrawal};

/// What somebody wants to stake.
pub(crate) struct Wanted {
    /// From which coin.
    pub coin: ObjectRef,
    /// How much; the whole coin if it is not said.
    pub amount: Option<Shannons>,
}

impl Wanted {
    /// Takes it from its coin.
    pub(crate) fn take(&self, overlay: &mut Overlay<'_>) -> Result<Shannons, Failure> {
        let balance = overlay.balance(&self.coin.id)?;
        let amount = self.amount.unwrap_or(balance);
        let rest = balance
            .checked_sub(amount)
            .map_err(|_| Failure::InsufficientBalance {
                have: balance,
                need: amount,
            })?;
        overlay.set_balance(self.coin.id, rest)?;
        Ok(amount)
    }
}

/// Stakes with a validator, and gives the staker a receipt.
pub(crate) fn add(
    overlay: &mut Overlay<'_>,
    owner: Address,
    id: ObjectId,
    wanted: &Wanted,
) -> Result<Moved, Failure> {
    let amount = wanted.take(overlay)?;
    let (draft, mut validator) = validator(overlay, &id)?;
    deposit(overlay, owner, &mut validator.pool, amount)?;
    put(overlay, id, draft, validator);
    Ok(Moved::Stake(amount))
}

/// Puts what was taken into a pool, which the caller writes, and gives the staker a receipt.
pub(crate) fn deposit(
    overlay: &mut Overlay<'_>,
    owner: Address,
    pool: &mut Pool,
    amount: Shannons,
) -> Result<(), Failure> {
    let id = pool.id;
    let receipt = pool::deposit(pool, amount).map_err(|error| failure(id, id, error))?;
    overlay.create(Owner::Address(owner), Content::StakedSoma(receipt));
    let pool = id;
    overlay.tell(Event::Staked { pool, owner, amount });
    Ok(())
}

/// Withdraws stake one step further. The receipt stays with what is left of it, or else with what leaves.
pub(crate) fn withdraw(
    overlay: &mut Overlay<'_>,
    context: &Context,
    owner: Address,
    id: ObjectId,
    stake: &ObjectRef,
    amount: Option<Shannons>,
) -> Result<Moved, Failure> {
    let draft = overlay.get(&stake.id).ok_or(Failure::NotItsStake(stake.id))?;
    let Content::StakedSoma(receipt) = draft.content.clone() else {
        return Err(Failure::NotItsStake(stake.id));
    };
    let failure = |error| failure(id, stake.id, error);
    let mut holder = overlay.get(&id).ok_or(Failure::NoPool(id))?;
    let pool = match &mut holder.content {
        Content::Validator(validator) => &mut validator.pool,
        Content::Model(model) => &mut model.pool,
        _ => return Err(Failure::NoPool(id)),
    };
    let (taken, rest) = match amount {
        Some(amount) => {
            let (taken, rest) = pool::split(pool, receipt, amount).map_err(failure)?;
            (taken, Some(rest))
        }
        None => (receipt, None),
    };
    let amount = pool::value(pool, &taken).map_err(failure)?;
    let withdrawal = pool::withdraw(pool, taken, context.system.epoch).map_err(failure)?;
    overlay.put(id, holder);
    let (event, left) = match withdrawal {
        Withdrawal::Paid(amount) => {
            if amount > Shannons::ZERO {
                overlay.create(Owner::Address(owner), Content::Coin(amount));
            }
            let pool = id;
            (Event::Withdrawn { pool, owner, amount }, None)
        }
        Withdrawal::Leaving(receipt) => {
            let pool = id;
            (Event::Leaving { pool, owner, amount }, Some(receipt))
        }
    };
    overlay.tell(event);
    let mut receipts = rest.into_iter().chain(left);
    match receipts.next() {
        Some(receipt) => keep(overlay, stake.id, draft, receipt),
        None => drop(overlay.delete(&stake.id)),
    }
    if let Some(receipt) = receipts.next() {
        overlay.create(Owner::Address(owner), Content::StakedSoma(receipt));
    }
    Ok(Moved::Stake(amount))
}

fn keep(overlay: &mut Overlay<'_>, id: ObjectId, draft: Draft, receipt: StakedSoma) {
    let content = Content::StakedSoma(receipt);
    overlay.put(id, Draft { content, ..draft });
}

pub(crate) fn validator(overlay: &Overlay<'_>, id: &ObjectId) -> Result<(Draft, Box<Validator>), Failure> {
    let draft = overlay.get(id).ok_or(Failure::NotAValidator(*id))?;
    match &draft.content {
        Content::Validator(validator) => {
            let validator = validator.clone();
            Ok((draft, validator))
        }
        _ => Err(Failure::NotAValidator(*id)),
    }
}

pub(crate) fn put(overlay: &mut Overlay<'_>, id: ObjectId, draft: Draft, validator: Box<Validator>) {
    let content = Content::Validator(validator);
    overlay.put(id, Draft { content, ..draft });
}

fn failure(pool: ObjectId, receipt: ObjectId, error: PoolError) -> Failure {
    match error {
        PoolError::Closed | PoolError::NoShares => Failure::PoolClosed(pool),
        PoolError::TooSmall => Failure::StakeTooLittle(LEAST_STAKE),
        PoolError::OtherPool(_) => Failure::NotItsStake(receipt),
        PoolError::Leaving => Failure::StakeLeaving(receipt),
        PoolError::NotDue(due) => Failure::NotDue(due),
        PoolError::NoSuchStake | PoolError::Unlike => Failure::InvariantViolated,
        PoolError::Amount(_) => Failure::Overflow,
    }
}
