//! Orders opaque payloads: a Mysticeti-class DAG consensus (arXiv 2310.14821) as a synchronous machine.

pub mod block;
pub mod committer;
pub mod core;
pub mod dag;
mod fetcher;
mod held;
pub mod linearizer;
pub mod machine;
pub mod members;
pub mod messages;
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
pub use rules::{Pace, Rules};
pub use set::AuthoritySet;
