//! What a transaction means: coins, fees, staking, validators, models, targets, submissions, audits, rewards, epochs.
//!
//! Not here: who proposed a transaction and how it was ordered (`consensus`), who reads and writes the store (`node`), how a model
//! scores data (`scoring`).
//!
//! Invariants:
//! - A commit's effects are a function of the state and the commit: no clock, no entropy, no floats, no iteration order that
//!   a type does not define.
//! - A transaction that fails changes nothing but its fee and the versions of its owned inputs.
//! - The supply is the same after every transaction and after every epoch.
//!
//! Modules in reading order: [`mod@money`], [`state`], `overlay`, [`fees`], `gas`, `coins`, [`pool`], `stake`, `validators`, [`upgrade`],
//! `models`, `targets`, `audits`, [`mod@execute`], [`schedule`], `choice`, `end`, [`commit`], [`mod@root`], [`checkpoint`], [`snapshot`], [`proof`], [`storage`], [`emission`], [`epoch`], [`genesis`], [`draw`], [`pacing`], [`difficulty`].
//!
//! What the rules come to over epochs and years, and how fast they are, is in `FIGURES.md` beside this crate's manifest; what attacks
//! on them cost and bring in `ATTACKS.md`; what others have suffered from, with the tests that try it here, in `WEAKNESSES.md`; and the
//! faults that the tests must notice in `mutants.toml`.

mod audits;
pub mod checkpoint;
mod choice;
mod coins;
pub mod commit;
pub mod difficulty;
pub mod draw;
pub mod emission;
mod end;
pub mod epoch;
pub mod execute;
pub mod fees;
mod gas;
pub mod genesis;
mod models;
pub mod money;
mod overlay;
pub mod pacing;
pub mod pool;
pub mod proof;
pub mod root;
pub mod schedule;
pub mod snapshot;
mod stake;
pub mod state;
pub mod storage;
mod targets;
pub mod upgrade;
mod validators;

pub use commit::{Application, Applied};
pub use end::{NoState, end_digest};
pub use epoch::{CloseError, EpochChange, close};
pub use execute::{Accrual, Context, Outcome, Reject, Writes, execute};
pub use fees::Prices;
pub use genesis::{Genesis, GenesisError};
pub use money::money;
pub use state::{Index, Live, Memory, Objects};
