//! What attacks on the economy cost and bring, by populations that the ledger itself runs, beside what `ATTACKS.md` says.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

mod auditors;
mod beacons;
mod data;
mod document;
mod flood;
#[path = "../story/kit.rs"]
#[expect(dead_code, reason = "the stories use the rest")]
mod kit;
mod market;
#[path = "../story/network.rs"]
#[expect(dead_code, reason = "the stories use the rest")]
mod network;
mod play;
mod weights;
