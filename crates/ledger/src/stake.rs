//! Staking with validators.

use types::stake::Withdrawal;
use types::{
    Address, Content, Event, Failure, ObjectId, ObjectRef, Owner, Rounding, Shannons, StakeError, StakedSoma,
    Validator,
};

use crate::coins::Moved;
use crate::execute::Context;
use crate::overlay::{Draft, Overlay};

/// Stakes with a validator, and gives the staker a receipt.
pub(crate) fn add(
    overlay: &mut Overlay<'_>,
    context: &Context,
    owner: Address,
    pool: ObjectId,
    coin: &ObjectRef,
    amount: Option<Shannons>,
) -> Result<Moved, Failure> {
    let balance = overlay.balance(&coin.id)?;
    let amount = amount.unwrap_or(balance);
    let rest = balance
        .checked_sub(amount)
        .map_err(|_| Failure::InsufficientBalance {
            have: balance,
            need: amount,
        })?;
    overlay.set_balance(coin.id, rest)?;
    let (draft, mut validator) = validator(overlay, &pool)?;
    let deposited = validator
        .pool
        .deposit(amount, context.system.epoch, context.params.min_stake);
    deposited.map_err(|error| failure(pool, error))?;
    put(overlay, pool, draft, validator);
    let receipt = StakedSoma {
        pool,
        deposited: context.system.epoch,
        principal: amount,
    };
    overlay.create(Owner::Address(owner), Content::StakedSoma(receipt));
    overlay.tell(Event::Staked { pool, owner, amount });
    half(amount)
}

/// Withdraws stake. What was never staked is paid at once.
pub(crate) fn withdraw(
    overlay: &mut Overlay<'_>,
    context: &Context,
    owner: Address,
    pool: ObjectId,
    stake: &ObjectRef,
    principal: Option<Shannons>,
) -> Result<Moved, Failure> {
    let draft = overlay.get(&stake.id).ok_or(Failure::NotItsStake(stake.id))?;
    let receipt = match draft.content {
        Content::StakedSoma(receipt) if receipt.pool == pool => receipt,
        _ => return Err(Failure::NotItsStake(stake.id)),
    };
    let principal = principal.unwrap_or(receipt.principal);
    let (pool_draft, mut validator) = validator(overlay, &pool)?;
    let least = context.params.min_stake;
    let withdrawn = validator.pool.withdraw(&receipt, principal, owner, least);
    let (withdrawal, rest) = withdrawn.map_err(|error| failure(pool, error))?;
    put(overlay, pool, pool_draft, validator);
    match rest {
        Some(receipt) => {
            let content = Content::StakedSoma(receipt);
            overlay.put(stake.id, Draft { content, ..draft });
        }
        None => drop(overlay.delete(&stake.id)),
    }
    let paid = match withdrawal {
        Withdrawal::Now(paid) => {
            overlay.create(Owner::Address(owner), Content::Coin(paid));
            paid
        }
        Withdrawal::Unbonding => Shannons::ZERO,
    };
    overlay.tell(Event::Withdrawn {
        pool,
        owner,
        principal,
        paid,
    });
    half(principal)
}

/// What moves into stake or out of it pays half as much for its value.
fn half(amount: Shannons) -> Result<Moved, Failure> {
    amount.mul_div(1, 2, Rounding::Up).map_err(|_| Failure::Overflow)
}

fn validator(overlay: &Overlay<'_>, id: &ObjectId) -> Result<(Draft, Box<Validator>), Failure> {
    let draft = overlay.get(id).ok_or(Failure::NotAValidator(*id))?;
    match &draft.content {
        Content::Validator(validator) => {
            let validator = validator.clone();
            Ok((draft, validator))
        }
        _ => Err(Failure::NotAValidator(*id)),
    }
}

fn put(overlay: &mut Overlay<'_>, id: ObjectId, draft: Draft, validator: Box<Validator>) {
    let content = Content::Validator(validator);
    overlay.put(id, Draft { content, ..draft });
}

fn failure(pool: ObjectId, error: StakeError) -> Failure {
    match error {
        StakeError::TooLittle { found, least } => Failure::StakeTooLittle { found, least },
        StakeError::TooMuch { asked, held } => Failure::StakeTooMuch { asked, held },
        StakeError::Closed => Failure::PoolClosed(pool),
        StakeError::UnknownReceipt(_) => Failure::InvariantViolated,
        StakeError::Amount(_) => Failure::Overflow,
    }
}
