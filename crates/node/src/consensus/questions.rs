//! Questions of the machine, to one peer each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use consensus::{Answer, AskId, Members, Request, Rules, Suite, Unanswered};
use env::sync::mpsc;
use env::{Env, Network, NetworkError, Scope, Spawner};
use types::{AuthorityIndex, PeerId};

use crate::consensus::channels::{REQUESTS, encode_request};
use crate::consensus::incoming::{charge_block, charge_headers};
use crate::consensus::metrics::Metrics;
use crate::consensus::setup::Setup;

/// What became of a question.
pub(crate) type Answered<S> = (AskId, Result<Answer<S>, Unanswered>);

/// How much longer than the machine asks for an answer is waited for at most.
const MOST_PATIENCE: u32 = 4;

/// Asks, and hands the answers to the task that owns the machine.
pub(crate) struct Questions<E: Env, S: Suite> {
    asking: Asking<E, S>,
    to: Vec<Arc<Member>>,
    answers: mpsc::Sender<Answered<S>>,
    metrics: Arc<Metrics>,
}

/// What a question needs.
struct Asking<E: Env, S: Suite> {
    env: E,
    rules: Arc<Rules>,
    members: Arc<Members<S>>,
    own: AuthorityIndex,
}

impl<E: Env, S: Suite> Clone for Asking<E, S> {
    fn clone(&self) -> Self {
        Self {
            env: self.env.clone(),
            rules: Arc::clone(&self.rules),
            members: Arc::clone(&self.members),
            own: self.own,
        }
    }
}

/// One member that is asked.
struct Member {
    /// How many times the limit its answer may take: more after each that came too late, so that a slow link brings
    /// something at last, and less after each that came.
    patience: AtomicU32,
}

impl Member {
    fn late(&self) {
        let patience = self.patience.load(Ordering::Relaxed);
        let more = patience.saturating_mul(2).min(MOST_PATIENCE);
        self.patience.store(more, Ordering::Relaxed);
    }

    fn in_time(&self) {
        let patience = self.patience.load(Ordering::Relaxed);
        self.patience
            .store(patience.saturating_sub(1).max(1), Ordering::Relaxed);
    }
}

/// One question.
pub(crate) struct Question {
    pub id: AskId,
    pub to: AuthorityIndex,
    /// `None` for a member that no address is known of.
    pub peer: Option<PeerId>,
    pub request: Request,
    pub limit: Duration,
}

impl<E: Env, S: Suite> Questions<E, S> {
    pub fn new(env: E, setup: &Setup<S>, answers: mpsc::Sender<Answered<S>>) -> Self {
        let member = || Member {
            patience: AtomicU32::new(1),
        };
        Self {
            asking: Asking {
                env,
                rules: Arc::new(setup.rules.clone()),
                members: Arc::clone(&setup.members),
                own: setup.index,
            },
            to: (0..setup.members.size()).map(|_| Arc::new(member())).collect(),
            answers,
            metrics: Arc::clone(&setup.port.metrics),
        }
    }

    /// Asks in a task of the scope. The machine bounds the questions under way to each member.
    pub fn ask(&self, scope: &<E::Spawner as Spawner>::Scope, question: Question) {
        self.metrics.questions_asked.one();
        let member = Arc::clone(&self.to[usize::from(question.to.get())]);
        let (asking, answers, metrics) = (
            self.asking.clone(),
            self.answers.clone(),
            Arc::clone(&self.metrics),
        );
        let task = scope.spawn("question", async move {
            let id = question.id;
            let answer = asking.ask(question, &member).await;
            if answer.is_err() {
                metrics.questions_unanswered.one();
            }
            env::sometimes!(
                asking.env,
                "node.wrong_answer",
                matches!(answer, Err(Unanswered::Wrong(_)))
            );
            // Without a receiver the member ends.
            drop(answers.send((id, answer)).await);
        });
        drop(task); // the scope owns it
    }
}

impl<E: Env, S: Suite> Asking<E, S> {
    async fn ask(&self, question: Question, member: &Member) -> Result<Answer<S>, Unanswered> {
        let Question {
            to,
            peer,
            request,
            limit,
            ..
        } = question;
        let Self {
            env,
            rules,
            members,
            own,
        } = self;
        let peer = peer.ok_or(Unanswered::Silent)?;
        let body = encode_request(rules.epoch, &request);
        let limit = limit * member.patience.load(Ordering::Relaxed);
        let bytes = match env.network().request(peer, REQUESTS, body, limit).await {
            Ok(bytes) => bytes,
            Err(error) => {
                if matches!(error, NetworkError::Timeout { .. }) {
                    member.late();
                }
                return Err(Unanswered::Silent);
            }
        };
        member.in_time();
        let answer = Answer::decode(&bytes, &request, to, *own, rules, members)?;
        match &answer {
            Answer::Blocks(blocks) => {
                for block in blocks {
                    let bytes = block.frame().len();
                    charge_block::<S>(env.compute(), bytes, block.reference().round, rules);
                }
            }
            Answer::Commits { votes, .. } => charge_headers::<S>(env.compute(), votes.len()),
            Answer::Latest { .. } => charge_headers::<S>(env.compute(), 1 + members.size()),
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_with_a_member_grows_to_a_limit_and_goes_again() {
        let member = Member {
            patience: AtomicU32::new(1),
        };
        let patience = || member.patience.load(Ordering::Relaxed);
        let late: Vec<u32> = (0..3)
            .map(|_| {
                member.late();
                patience()
            })
            .collect();
        assert_eq!(late, [2, 4, MOST_PATIENCE]);
        let in_time: Vec<u32> = (0..4)
            .map(|_| {
                member.in_time();
                patience()
            })
            .collect();
        assert_eq!(in_time, [3, 2, 1, 1]);
    }
}
