//! Epoch after epoch: at most one of them goes on, and the one before it is served from its store.

use std::future::Future;

use consensus::Suite;
use env::{Env, NetworkError};
use types::{CommitRef, Epoch};

use crate::consensus::run::run_after;
use crate::consensus::{Archive, Consumer, End, Failure, Port, Setup, serve};

/// Says what a node does after each epoch. It knows the committees, from a ledger or from a file.
pub trait Schedule<S: Suite>: Send {
    /// What comes next; `closed` is an epoch that has just ended, with its last commit, and each is told once. The future
    /// may take as long as it likes, for example until the next epoch starts or until this node is a member again: the
    /// epoch before is served meanwhile.
    fn next(&mut self, port: Port, closed: Option<Closed>) -> impl Future<Output = Next<S>> + Send;
}

/// An epoch that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Which one.
    pub epoch: Epoch,
    /// Its last commit, if the consumer said so.
    pub last: Option<CommitRef>,
}

/// What a node does next.
#[derive(Debug)]
pub enum Next<S: Suite> {
    /// It takes part in an epoch.
    Member(Box<Setup<S>>),
    /// It forgets the epoch before, which has been served for long enough, and asks again.
    Forget(Port),
    /// It ends.
    End,
}

/// Runs epoch after epoch until the schedule or the node ends. The consumer is started once for each epoch at least.
/// `previous` is what the node has of the epoch before its first, if it was a member.
///
/// # Errors
/// [`Failure`].
pub async fn run<E: Env, S: Suite, C: Consumer>(
    env: E,
    mut schedule: impl Schedule<S>,
    mut consumer: C,
    mut port: Port,
    mut previous: Option<Archive<E, S>>,
) -> Result<(), Failure> {
    let mut closed = None;
    loop {
        let next = schedule.next(port, closed.take());
        let next = match &previous {
            None => next.await,
            Some(archive) => {
                env::select! {
                    next = next => next,
                    served = serve(env.clone(), archive.clone()) => return match served {
                        Ok(()) | Err(NetworkError::Closed) => Ok(()),
                        Err(error) => Err(Failure::Network(error)),
                    },
                }
            }
        };
        let setup = match next {
            Next::Member(setup) => setup,
            Next::Forget(same) => {
                (port, previous) = (same, None);
                continue;
            }
            Next::End => return Ok(()),
        };
        let epoch = setup.rules.epoch;
        match run_after(env.clone(), *setup, consumer, previous.take()).await? {
            End::Closed {
                last,
                archive,
                consumer: back,
                port: same,
            } => {
                env::event!(
                    env,
                    "epoch_left",
                    epoch.get(),
                    last.map_or(0, |last| last.index.get())
                );
                closed = Some(Closed { epoch, last });
                (consumer, port, previous) = (back, same, Some(archive));
            }
            End::Shutdown => return Ok(()),
        }
    }
}
