//! Coins change hands.

use types::{Address, Content, Event, Failure, ObjectRef, Owner, Shannons};

use crate::overlay::Overlay;

/// What the transaction's fee for value goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// It moves so much.
    Whole(Shannons),
    /// It moves so much into stake or out of it, for half of the fee.
    Stake(Shannons),
}

/// Gives a coin away, or an amount of it.
pub(crate) fn transfer(
    overlay: &mut Overlay<'_>,
    from: Address,
    coin: &ObjectRef,
    amount: Option<Shannons>,
    to: Address,
) -> Result<Moved, Failure> {
    let balance = overlay.balance(&coin.id)?;
    let amount = amount.unwrap_or(balance);
    let rest = short(balance, amount)?;
    if rest == Shannons::ZERO {
        // The fee is taken from the gas coin whoever has it then.
        overlay.give(coin.id, to)?;
    } else {
        overlay.set_balance(coin.id, rest)?;
        overlay.create(Owner::Address(to), Content::Coin(amount));
    }
    overlay.tell(Event::Paid { from, to, amount });
    Ok(Moved::Whole(amount))
}

/// Merges coins, and pays from them.
pub(crate) fn pay(
    overlay: &mut Overlay<'_>,
    from: Address,
    coins: &[ObjectRef],
    amounts: Option<&[Shannons]>,
    recipients: &[Address],
) -> Result<Moved, Failure> {
    let gas = overlay.gas();
    let ids = || coins.iter().map(|coin| coin.id);
    // A transaction with no coins does not get here.
    let Some(purse) = ids().find(|id| Some(*id) == gas).or(ids().next()) else {
        return Ok(Moved::Whole(Shannons::ZERO));
    };
    let mut balance = Shannons::ZERO;
    for id in ids() {
        balance = add(balance, overlay.balance(&id)?)?;
        if id != purse {
            overlay.delete(&id);
        }
    }
    let Some(amounts) = amounts else {
        overlay.set_balance(purse, balance)?;
        for to in recipients {
            overlay.give(purse, *to)?;
            overlay.tell(Event::Paid {
                from,
                to: *to,
                amount: balance,
            });
        }
        return Ok(Moved::Whole(balance));
    };
    let total = amounts.iter().copied().try_fold(Shannons::ZERO, add)?;
    overlay.set_balance(purse, short(balance, total)?)?;
    for (amount, to) in amounts.iter().zip(recipients) {
        overlay.create(Owner::Address(*to), Content::Coin(*amount));
        overlay.tell(Event::Paid {
            from,
            to: *to,
            amount: *amount,
        });
    }
    Ok(Moved::Whole(total))
}

/// Gives objects away.
pub(crate) fn give(
    overlay: &mut Overlay<'_>,
    from: Address,
    objects: &[ObjectRef],
    to: Address,
) -> Result<Moved, Failure> {
    let mut moved = Shannons::ZERO;
    for ObjectRef { id, .. } in objects {
        match overlay.balance(id) {
            Ok(amount) => {
                moved = add(moved, amount)?;
                overlay.tell(Event::Paid { from, to, amount });
            }
            Err(_) => overlay.tell(Event::Given {
                object: *id,
                from,
                to,
            }),
        }
        overlay.give(*id, to)?;
    }
    Ok(Moved::Whole(moved))
}

fn add(one: Shannons, other: Shannons) -> Result<Shannons, Failure> {
    one.checked_add(other).map_err(|_| Failure::Overflow)
}

fn short(have: Shannons, need: Shannons) -> Result<Shannons, Failure> {
    have.checked_sub(need)
        .map_err(|_| Failure::InsufficientBalance { have, need })
}
