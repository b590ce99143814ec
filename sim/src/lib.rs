//! The simulator: a whole network in one process, from one seed.
//!
//! A run is a pure function of (binary, scenario, plan, seed, crypto mode).

#[cfg(not(madsim))]
compile_error!(
    "the simulator needs `--cfg madsim`. An environment RUSTFLAGS replaces the flag that .cargo/config.toml sets: \
     unset RUSTFLAGS, or run `RUSTFLAGS=\"$RUSTFLAGS --cfg madsim\" cargo ...`"
);

pub mod clock;
pub mod costs;
pub mod disk;
pub mod draw;
pub mod handle;
pub mod hosts;
pub mod kernel;
pub mod load;
pub mod network;
pub mod oracle;
pub mod plan;
pub mod queue;
pub mod run;
pub mod scheme;
pub mod storage;
mod tasks;
pub mod time;
pub mod trace;
pub mod world;
pub mod canary;
pub mod doctor;
pub mod guard;
pub mod worker;

pub use draw::{Domain, Draw, Seed};
