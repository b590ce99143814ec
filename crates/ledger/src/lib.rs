//! What a transaction means: coins, fees, staking, validators, models, targets, submissions, audits, rewards, epochs.
//!
//! Not here: who proposed a transaction and how it was ordered (`consensus`), where objects are stored (`node`), how a model
//! scores data (`scoring`).
//!
//! Invariants:
//! - A commit's effects are a function of the state and the commit: no clock, no entropy, no floats, no iteration order that
//!   a type does not define.
//! - A transaction that fails changes nothing but its fee and the versions of its owned inputs.
//! - The supply is the same after every transaction and after every epoch.
//!
//! Modules in reading order: [`fees`], [`emission`], [`pacing`], [`difficulty`].

pub mod difficulty;
pub mod emission;
pub mod fees;
pub mod pacing;
