//! How a transaction pays.
//!
//! It pays from its first gas coin, into which all others are merged. What it costs to be executed at all is taken before
//! anything else and is never given back; the rest, by what the transaction has done, only from one that succeeds.

use types::{Failure, Fee, ObjectId, Owner, Shannons, Transaction};

use crate::coins::Moved;
use crate::fees::{Prices, Storage};
use crate::overlay::Overlay;

/// Merges the gas coins into the first one and takes from it what being executed costs, or all that it holds. What is wrong
/// with another gas coin comes back as the failure of the transaction, which pays from the others.
pub(crate) fn collect(
    overlay: &mut Overlay<'_>,
    gas: ObjectId,
    transaction: &Transaction,
    prices: &Prices,
) -> (Fee, Result<(), Failure>) {
    let mut verdict = Ok(());
    let mut balance = overlay.balance(&gas).unwrap_or_default();
    for coin in transaction.gas.iter().skip(1) {
        let merged = overlay.owned(coin, transaction.sender).and_then(|()| {
            let more = overlay.balance(&coin.id)?;
            let sum = balance.checked_add(more).map_err(|_| Failure::Overflow)?;
            overlay.delete(&coin.id);
            Ok(sum)
        });
        match merged {
            Ok(sum) => balance = sum,
            Err(failure) => verdict = verdict.and(Err(failure)),
        }
    }
    let need = prices.admission(types::encoded_bytes(transaction));
    let taken = need.min(balance);
    if taken < need {
        verdict = Err(Failure::InsufficientGas { have: balance, need });
    }
    let rest = balance.checked_sub(taken).unwrap_or_default();
    overlay
        .set_balance(gas, rest)
        .expect("the first gas coin is a coin");
    let base = prices.base.min(taken);
    let fee = Fee {
        base,
        bytes: taken.checked_sub(base).unwrap_or_default(),
        ..Fee::default()
    };
    (fee, verdict)
}

/// Takes from the first gas coin what the changes cost and what has to be deposited for them, and gives back to it the deposits
/// of what is deleted. Nothing is deposited for what is shared: whoever writes it next is not who made it long.
pub(crate) fn settle(
    overlay: &mut Overlay<'_>,
    gas: ObjectId,
    paid: Fee,
    moved: Moved,
    prices: &Prices,
) -> Result<Fee, Failure> {
    let sum = |one: Shannons, other: Shannons| one.checked_add(other).map_err(|_| Failure::Overflow);
    let (mut written, mut stored) = (0, Shannons::ZERO);
    let (mut owed, mut returned) = (Shannons::ZERO, Shannons::ZERO);
    let changed: Vec<ObjectId> = overlay.changes().keys().copied().collect();
    for id in changed {
        let (held, before) = overlay.before(&id).map_or((Shannons::ZERO, 0), |live| {
            let object = live.object();
            (object.deposit, types::encoded_bytes(object))
        });
        let Some(mut draft) = overlay.get(&id) else {
            returned = sum(returned, held)?;
            continue;
        };
        written += 1;
        if draft.owner == Owner::Shared {
            continue;
        }
        let after = overlay.encoded_bytes(id, &draft);
        let storage: Storage = prices.storage(held, before, after);
        stored = sum(stored, storage.fee)?;
        returned = sum(returned, storage.returned)?;
        owed = sum(owed, storage.deposit.checked_sub(held).unwrap_or_default())?;
        draft.deposit = storage.deposit;
        overlay.put(id, draft);
    }
    let value = match moved {
        Moved::Whole(amount) => prices.value(amount),
        Moved::Stake(amount) => prices.half_value(amount),
    };
    let fee = Fee {
        write: prices.writes(written),
        value,
        bytes: sum(paid.bytes, stored)?,
        ..paid
    };
    let need = [fee.write, fee.value, stored, owed]
        .into_iter()
        .try_fold(Shannons::ZERO, sum)?;
    let have = overlay.balance(&gas)?;
    let Ok(rest) = sum(have, returned)?.checked_sub(need) else {
        return Err(Failure::InsufficientGas { have, need });
    };
    overlay.set_balance(gas, rest)?;
    overlay.close_gas();
    Ok(fee)
}
