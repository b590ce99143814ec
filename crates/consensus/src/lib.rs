//! Orders opaque payloads: a Mysticeti-class DAG consensus (arXiv 2310.14821) as a synchronous machine.
//!
//! [`Core::handle`] takes an event and the time, and yields what is to be done: what to store, what to send, whom to ask, which
//! commit comes next. It has no clock, no store, no network and no task of its own.
//!
//! Not here: what a payload means (`ledger`), and everything that waits: the driver in `node` brings events and does what
//! the actions say, on whatever environment it runs.
//!
//! Invariants, as long as members with less than a third of the power are faulty:
//! - Any two members make the same commits, whatever they have forgotten, and in whatever order blocks came to them.
//! - A member signs at most one block for a slot, whatever it has lost: an own block is durable before it is sent, and a
//!   member that has lost its store asks what it has signed.
//! - The leader slots of one schedule lie in whole rounds, and everything about them follows from the commits before.
//! - What peers send makes no memory grow without bound: each author has a share of what is held.
//! - Nothing that a peer sends causes a panic.
//!
//! Modules in reading order:
//! - words: [`members`], [`set`], [`rules`], [`block`], `wire`, [`messages`], [`machine`];
//! - the rule, as functions of a graph: [`dag`], [`schedule`], [`committer`], [`linearizer`];
//! - the machine: [`mod@core`] with its parts, `held`, `credit`, `fetcher`;
//! - around it: [`restore`], [`serve`].

/// Whether this process has a bug of the module `planted`. Without the feature of that name no process has one.
#[cfg(not(feature = "planted"))]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

/// Whether this process has the bug.
#[cfg(feature = "planted")]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::has($crate::planted::Bug::$bug)
    };
}

pub mod block;
pub mod committer;
pub mod core;
mod credit;
pub mod dag;
mod fetcher;
mod held;
#[cfg(test)]
mod kit;
pub mod linearizer;
pub mod machine;
pub mod members;
pub mod messages;
#[cfg(feature = "planted")]
pub mod planted;
pub mod restore;
pub mod rules;
pub mod schedule;
pub mod serve;
pub mod set;
mod wire;

pub use crate::core::{Config, Core, RestoreError};
pub use block::{BlockError, Parents, Payloads, SignedBlock};
pub use machine::{Action, AskId, Event, Fault, Now, Record, Refused, Status, SubDag, Table, Unanswered};
pub use members::{Member, Members, MembersError, Production, Signer, Suite};
pub use messages::{Answer, AnswerError, Request};
pub use restore::{CommitState, Restored};
pub use rules::{Pace, Rules, RulesError};
pub use set::AuthoritySet;
