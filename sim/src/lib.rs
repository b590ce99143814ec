//! The simulator: a whole network in one process, from one seed. A run is a pure function of (binary, scenario, plan,
//! seed, crypto mode).
//!
//! Not here: any protocol (the nodes that run here are those that ship), and any timer, socket, file or thread that a
//! node could reach.
//!
//! Invariants:
//! - Each decision is drawn at an address of its own, so that taking one fault out of a plan changes no other decision.
//! - Nothing of the host reaches a run: not its clock, entropy, environment, addresses, or number of cores. A worker
//!   that reaches for them is ended, and the place is named.
//! - After an incarnation of a node ends, its handles reach nothing, and no destructor of it reaches a device.
//! - Every event goes through the recorder and into the run's hash; oracles see all of them and change none.
//!
//! Modules in reading order:
//! - what a run is made from: [`draw`], [`scenario`], [`swarm`], [`plan`], [`budget`], [`mod@consensus`], [`load`], [`recipe`];
//! - the world: [`time`], [`queue`], [`kernel`], [`world`], `tasks`, [`handle`], [`clock`], [`costs`], [`network`], [`wan`], [`adversary`], [`disk`],
//!   [`storage`], [`hosts`], [`scheme`];
//! - what comes of it: [`run`], [`oracle`], [`trace`], [`verdict`], [`tally`], [`shrink`];
//! - who runs it: [`worker`], [`guard`], [`canary`], [`doctor`], and, for tests, [`lab`].

#[cfg(not(madsim))]
compile_error!(
    "the simulator needs `--cfg madsim`. An environment RUSTFLAGS replaces the flag that .cargo/config.toml sets: \
     unset RUSTFLAGS, or run `RUSTFLAGS=\"$RUSTFLAGS --cfg madsim\" cargo ...`"
);

pub mod adversary;
pub mod budget;
pub mod canary;
pub mod clock;
pub mod consensus;
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
pub mod wan;
pub mod worker;
pub mod world;

pub use draw::{Domain, Draw, Seed};
pub use tasks::Policy;
