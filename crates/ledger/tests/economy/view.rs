//! What is compared, object by object.

use std::collections::BTreeMap;

use crypto::Address;
use ledger::{Memory, Objects, pool};
use types::{Content, ObjectId, Owner, Stake};

use crate::model::wide;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub reward: u128,
    pub epoch: u64,
    /// Who has filled it, and the bond.
    pub fill: Option<(Address, u128)>,
}

/// What is compared of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Money {
    Coin(Address, u128),
    Receipt(Address, Stake, u128, u128),
    Ticket(Address, u128, u128),
    Target(Target),
    Pool {
        closed: bool,
        balance: u128,
        shares: u128,
        at_par: BTreeMap<u64, u128>,
        left: Vec<(u128, u64)>,
        held: u128,
        offer: u128,
        commission_bps: u128,
    },
    Economy(u128, u128, u128),
    Budget(u128),
}

/// What the state says of all that, read as everybody would.
pub fn read(state: &Memory) -> BTreeMap<ObjectId, Money> {
    let mut all = BTreeMap::new();
    for object in state.iter().map(ledger::Live::object) {
        let owner = match object.owner {
            Owner::Address(owner) => owner,
            Owner::Shared => Address::ZERO,
        };
        let deposit = wide(object.deposit);
        let money = match &object.content {
            Content::Coin(held) => Money::Coin(owner, wide(*held) + deposit),
            Content::StakedSoma(staked) => {
                let holder = state.get(&staked.pool).unwrap();
                let pool = match &holder.object().content {
                    Content::Validator(validator) => &validator.pool,
                    Content::Model(model) => &model.pool,
                    other => panic!("{other:?} has no pool"),
                };
                Money::Receipt(
                    owner,
                    staked.stake,
                    wide(pool::value(pool, staked).unwrap()),
                    deposit,
                )
            }
            Content::Ticket(ticket) => Money::Ticket(owner, wide(ticket.bond), deposit),
            Content::Economy(economy) => {
                let bps = economy.value_fee_bps.into();
                Money::Economy(wide(economy.emission), wide(economy.fees), bps)
            }
            Content::Targets(targets) => Money::Budget(wide(targets.budget)),
            Content::Target(target) => {
                let fill = target.fill.as_ref();
                Money::Target(Target {
                    reward: wide(target.reward),
                    epoch: target.epoch.get(),
                    fill: fill.map(|fill| (fill.submitter, wide(fill.bond))),
                })
            }
            Content::Validator(validator) => view(&validator.pool, 0, validator.commission_bps),
            Content::Model(model) => {
                let offer = model.offer().map_or(0, |offer| wide(offer.fee));
                view(&model.pool, offer, model.commission_bps)
            }
            Content::System(_)
            | Content::Validators(_)
            | Content::Claim(_)
            | Content::Models(_)
            | Content::DataReceipt(_) => continue,
        };
        all.insert(object.id, money);
    }
    all
}

fn view(pool: &types::Pool, offer: u128, commission_bps: u16) -> Money {
    let left = pool.left.values();
    Money::Pool {
        closed: pool.closed,
        balance: wide(pool.balance),
        shares: pool.shares.get(),
        at_par: pool
            .at_par
            .iter()
            .map(|(cohort, sum)| (cohort.get(), wide(*sum)))
            .collect(),
        left: left.map(|left| (wide(left.amount), left.due.get())).collect(),
        held: wide(pool::held(pool).unwrap()),
        offer,
        commission_bps: commission_bps.into(),
    }
}
