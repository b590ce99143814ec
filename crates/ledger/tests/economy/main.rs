//! The ledger beside a naive model of its economy, which foretells every balance.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

mod close;
mod drive;
mod duties;
mod judge;
mod kit;
mod made;
mod model;
mod pools;
mod statuses;
mod stored;
mod stray;
mod totality;
mod view;

use std::collections::BTreeSet;

use drive::Driver;
use kit::{Asked, Chain, Draw};

const EPOCHS: u64 = 12;
/// A hundred take four minutes and have 125,000 transactions.
const HISTORIES: u64 = 5;

/// What a history is about: money that moves in each of these ways.
const HAPPENS: [&str; 15] = [
    "claimed, nothing for a finder",
    "claimed, some for a finder",
    "false verdict cost some",
    "model active",
    "model inactive",
    "offer dropped",
    "settled as None",
    "settled as Some(Invalid)",
    "settled as Some(Unavailable)",
    "settled as Some(Valid)",
    "slashed by some",
    "target unfilled",
    "ticket returned, some lost",
    "withdrawn some",
    "withheld some",
];

#[test]
fn every_balance_of_every_history_is_as_foretold() {
    let (mut reached, mut happened) = (BTreeSet::new(), BTreeSet::new());
    let mut asked = Asked::default();
    for seed in 1..=HISTORIES {
        let mut driver = Driver {
            chain: Chain::begin(),
            draw: Draw(seed),
        };
        driver.keys_twice();
        if seed == 1 {
            driver.evidence_twice();
        }
        (0..EPOCHS).for_each(|_| driver.epoch());
        reached.append(&mut driver.chain.statuses);
        happened.append(&mut driver.chain.events);
        asked.add(driver.chain.asked);
    }
    println!("{HISTORIES} histories of {EPOCHS} epochs: {asked:?}");
    let missing: Vec<&str> = HAPPENS
        .into_iter()
        .filter(|name| !happened.contains(*name))
        .collect();
    assert_eq!(missing, [""; 0], "each of these happens in some history");
    let never = statuses::ALL.into_iter().filter(|name| !reached.contains(name));
    assert_eq!(
        never.collect::<Vec<_>>(),
        statuses::UNREACHABLE,
        "every other status is reached"
    );
}
