//! What a transaction costs, and how it pays.
//!
//! A transaction pays from its first gas coin, into which all others are merged. What it costs to be executed at all is taken
//! before anything else and is never given back; the rest, by what the transaction has done, only from one that succeeds.

use types::{Failure, Fee, ObjectId, Owner, ProtocolParams, Rounding, Shannons, Transaction};

use crate::overlay::Overlay;

/// The prices of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// For being executed at all.
    pub base: Shannons,
    /// For each object that is written.
    pub object: Shannons,
    /// For each byte of a transaction, and each that is stored beyond [`free_bytes`](Self::free_bytes) of an object.
    pub byte: Shannons,
    /// Bytes of an object that are stored for nothing.
    pub free_bytes: u64,
    /// For the value that is moved, in ten-thousandths, rounded up.
    pub value_bps: u16,
}

impl Prices {
    /// The prices under these numbers, with this epoch's fee for value.
    pub const fn new(params: &ProtocolParams, value_bps: u16) -> Self {
        Self {
            base: params.base_fee,
            object: params.write_object_fee,
            byte: params.byte_fee,
            free_bytes: params.free_object_bytes,
            value_bps,
        }
    }

    fn of_value(&self, value: Shannons) -> Result<Shannons, Failure> {
        let fee = value.mul_div(self.value_bps.into(), 10_000, Rounding::Up);
        fee.map_err(|_| Failure::Overflow)
    }

    fn of_bytes(&self, bytes: u64) -> Result<Shannons, Failure> {
        self.byte
            .mul_div(bytes, 1, Rounding::Down)
            .map_err(|_| Failure::Overflow)
    }

    /// What is paid back for an object of so many bytes: half of what they cost, without the odd shannon.
    fn deposit(&self, bytes: u64) -> Result<Shannons, Failure> {
        let stored = bytes.saturating_sub(self.free_bytes);
        let half = self.byte.mul_div(stored, 2, Rounding::Down);
        half.map_err(|_| Failure::Overflow)
    }
}

/// Merges the gas coins into the first one and takes the base fee from it, or all that it holds. What is wrong with another
/// gas coin comes back as the failure of the transaction, which pays from the others.
pub(crate) fn collect(
    overlay: &mut Overlay<'_>,
    gas: ObjectId,
    transaction: &Transaction,
    prices: &Prices,
) -> (Shannons, Result<(), Failure>) {
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
    let base = prices.base.min(balance);
    if base < prices.base {
        verdict = Err(Failure::InsufficientGas {
            have: balance,
            need: prices.base,
        });
    }
    let rest = balance.checked_sub(base).unwrap_or_default();
    overlay
        .set_balance(gas, rest)
        .expect("the first gas coin is a coin");
    (base, verdict)
}

/// Takes from the first gas coin what the changes cost and what has to be deposited for them, and gives back to it the deposits
/// of what is deleted. Nothing is deposited for what is shared: whoever writes it next is not who made it long.
pub(crate) fn settle(
    overlay: &mut Overlay<'_>,
    gas: ObjectId,
    base: Shannons,
    moved: Shannons,
    transaction_bytes: u64,
    prices: &Prices,
) -> Result<Fee, Failure> {
    let sum = |one: Shannons, other: Shannons| one.checked_add(other).map_err(|_| Failure::Overflow);
    let (mut written, mut bytes) = (0, prices.of_bytes(transaction_bytes)?);
    let (mut owed, mut returned) = (Shannons::ZERO, Shannons::ZERO);
    let changed: Vec<ObjectId> = overlay.changes().keys().copied().collect();
    for id in changed {
        let held = overlay
            .before(&id)
            .map_or(Shannons::ZERO, |live| live.object().deposit);
        returned = sum(returned, held)?;
        let Some(mut draft) = overlay.get(&id) else {
            continue;
        };
        written += 1;
        if draft.owner == Owner::Shared {
            owed = sum(owed, held)?;
            continue;
        }
        let deposit = prices.deposit(overlay.encoded_bytes(id, &draft))?;
        // The other half of what is stored in addition is paid for good.
        bytes = sum(bytes, deposit.checked_sub(held).unwrap_or_default())?;
        owed = sum(owed, deposit)?;
        draft.deposit = deposit;
        overlay.put(id, draft);
    }
    let fee = Fee {
        base,
        write: prices
            .object
            .mul_div(written, 1, Rounding::Down)
            .map_err(|_| Failure::Overflow)?,
        value: prices.of_value(moved)?,
        bytes,
    };
    let cost = [fee.write, fee.value, fee.bytes, owed]
        .into_iter()
        .try_fold(Shannons::ZERO, sum)?;
    let have = overlay.balance(&gas)?;
    let Ok(rest) = sum(have, returned)?.checked_sub(cost) else {
        return Err(Failure::InsufficientGas { have, need: cost });
    };
    overlay.set_balance(gas, rest)?;
    overlay.close_gas();
    Ok(fee)
}
