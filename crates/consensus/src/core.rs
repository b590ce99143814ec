//! The machine.

use std::sync::Arc;

use bytes::Bytes;
use types::{AuthorityIndex, BlockRef, Mono, Round};

use crate::machine::{Action, Event, Now, Refused, Status};
use crate::members::{Members, Signer, Suite};
use crate::messages::LatestAnswer;
use crate::restore::Restored;
use crate::rules::{Pace, Rules};

/// What a machine is made from.
#[derive(Debug)]
pub struct Config<S: Suite> {
    /// What all members agree on.
    pub rules: Rules,
    /// What this one chooses.
    pub pace: Pace,
    /// Everybody.
    pub members: Arc<Members<S>>,
    /// This one's keys.
    pub signer: Signer<S>,
}

/// Why a machine cannot go on from what its store holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The store does not hold what it should. Start with an empty one: what was signed is asked of the others.
    #[error("the store is damaged: {0}")]
    Damaged(&'static str),
}

/// One member's consensus in one epoch.
pub struct Core<S: Suite> {
    config: Config<S>,
}

impl<S: Suite> Core<S> {
    /// The machine that goes on from `restored`, and what it does first.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn new(
        config: Config<S>,
        restored: Restored,
        now: Now,
    ) -> Result<(Self, Vec<Action<S>>), RestoreError> {
        todo!()
    }

    /// Takes an event.
    pub fn handle(&mut self, now: Now, event: Event<S>) -> Vec<Action<S>> {
        todo!()
    }

    /// Queues a payload of this member for its next block, which the next event may bring.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn submit(&mut self, payload: Bytes) -> Result<(), Refused> {
        todo!()
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        todo!()
    }

    /// The highest round of which a block of `author` is accepted: its stream goes on behind it.
    pub fn known(&self, author: AuthorityIndex) -> Round {
        todo!()
    }

    /// A block in memory, its parents in full.
    pub fn frame(&self, block: &BlockRef) -> Option<Bytes> {
        todo!()
    }

    /// The answer to [`Request::Latest`](crate::Request::Latest) of the member `of`; `None` while this one is recovering
    /// itself.
    pub fn latest(&self, of: AuthorityIndex) -> Option<LatestAnswer<S>> {
        todo!()
    }

    /// What an operator wants to see.
    pub fn status(&self) -> Status {
        todo!()
    }
}
