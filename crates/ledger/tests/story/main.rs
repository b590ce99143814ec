//! What a ledger does, from transactions to epochs.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

mod audits;
mod coins;
mod critical;
mod epochs;
mod faults;
mod game;
mod genesis;
mod histories;
mod kit;
mod margins;
mod market;
mod models;
mod network;
mod targets;
mod turnover;
mod upgrades;
mod validators;
