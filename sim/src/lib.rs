//! The simulator: a whole network in one process, from one seed.
//!
//! A run is a pure function of (binary, scenario, plan, seed, crypto mode).

#[cfg(not(madsim))]
compile_error!(
    "the simulator needs `--cfg madsim`. An environment RUSTFLAGS replaces the flag that .cargo/config.toml sets: \
     unset RUSTFLAGS, or run `RUSTFLAGS=\"$RUSTFLAGS --cfg madsim\" cargo ...`"
);

pub mod canary;
pub mod clock;
pub mod costs;
pub mod disk;
pub mod doctor;
pub mod draw;
pub mod guard;
pub mod handle;
pub mod hosts;
pub mod kernel;
pub mod lab;
pub mod load;
pub mod network;
pub mod oracle;
pub mod plan;
pub mod queue;
pub mod recipe;
pub mod run;
pub mod scenario;
pub mod scheme;
pub mod shrink;
pub mod storage;
pub mod swarm;
pub mod tally;
mod tasks;
pub mod time;
pub mod trace;
pub mod verdict;
pub mod worker;
pub mod world;

pub use draw::{Domain, Draw, Seed};
pub use tasks::Policy;
