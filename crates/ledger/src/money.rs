//! Where the money is.

use types::{AmountError, Content, Shannons};

use crate::pool;

/// The money in an object, its deposit left out: every shannon of the supply lies in one object, in its content or its deposit.
///
/// # Errors
/// [`AmountError::Overflow`], on more than there can be.
pub fn money(content: &Content) -> Result<Shannons, AmountError> {
    match content {
        Content::System(_)
        | Content::StakedSoma(_)
        | Content::Validators(_)
        | Content::Claim(_)
        | Content::Models(_)
        | Content::DataReceipt(_) => Ok(Shannons::ZERO),
        Content::Coin(balance) => Ok(*balance),
        Content::Economy(economy) => economy.emission.checked_add(economy.fees),
        Content::Validator(validator) => pool::held(&validator.pool),
        Content::Targets(targets) => Ok(targets.budget),
        Content::Target(target) => {
            let bond = target.fill.as_ref().map_or(Shannons::ZERO, |fill| fill.bond);
            target.reward.checked_add(bond)
        }
        Content::Ticket(ticket) => Ok(ticket.bond),
        Content::Model(model) => {
            let fee = model.offer().map_or(Shannons::ZERO, |offer| offer.fee);
            pool::held(&model.pool)?.checked_add(fee)
        }
    }
}
