//! The simulator: a whole network in one process, from one seed.
//!
//! A run is a pure function of (binary, scenario, plan, seed, crypto mode).

#[cfg(not(madsim))]
compile_error!(
    "the simulator needs `--cfg madsim`. An environment RUSTFLAGS replaces the flag that .cargo/config.toml sets: \
     unset RUSTFLAGS, or run `RUSTFLAGS=\"$RUSTFLAGS --cfg madsim\" cargo ...`"
);

pub mod canary;
pub mod doctor;
pub mod draw;
pub mod guard;
pub mod worker;

pub use draw::{Domain, Draw, Seed};
