//! What tests are written with.
//!
//! Not here: any implementation of an environment. What waits in here waits on the environment it is given, so the
//! same code runs on a real machine and inside the simulator.
//!
//! Modules: [`contract`], one suite per environment trait; [`survivors`], what a crash may leave of a store; [`rounds`],
//! a small protocol that uses all of them; [`rule`], the commit rule of consensus as a specification to compare with.

pub mod contract;
pub mod rounds;
pub mod rule;
pub mod survivors;
