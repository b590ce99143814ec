//! Questions of the machine, to one peer each.

use std::sync::Arc;
use std::time::Duration;

use consensus::{Answer, AskId, Members, Request, Rules, Suite, Unanswered};
use env::sync::mpsc;
use env::{Env, Network, Scope, Spawner};
use types::{AuthorityIndex, PeerId};

use crate::consensus::channels::{REQUESTS, encode_request};
use crate::consensus::incoming::{charge_block, charge_headers};
use crate::consensus::metrics::Metrics;

/// What became of a question.
pub(crate) type Answered<S> = (AskId, Result<Answer<S>, Unanswered>);

/// Asks, and hands the answers to the task that owns the machine.
pub(crate) struct Questions<E: Env, S: Suite> {
    pub env: E,
    pub rules: Arc<Rules>,
    pub members: Arc<Members<S>>,
    pub own: AuthorityIndex,
    pub answers: mpsc::Sender<Answered<S>>,
    pub metrics: Arc<Metrics>,
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
    /// Asks in a task of the scope. The machine has a bound on the questions under way.
    pub fn ask(&self, scope: &<E::Spawner as Spawner>::Scope, question: Question) {
        self.metrics.questions_asked.one();
        let (env, rules, members) = (
            self.env.clone(),
            Arc::clone(&self.rules),
            Arc::clone(&self.members),
        );
        let (own, answers, metrics) = (self.own, self.answers.clone(), Arc::clone(&self.metrics));
        let task = scope.spawn("question", async move {
            let id = question.id;
            let answer = ask(&env, question, own, &rules, &members).await;
            if answer.is_err() {
                metrics.questions_unanswered.one();
            }
            env::sometimes!(
                env,
                "node.wrong_answer",
                matches!(answer, Err(Unanswered::Wrong(_)))
            );
            // Without a receiver the member ends.
            drop(answers.send((id, answer)).await);
        });
        drop(task); // the scope owns it
    }
}

async fn ask<E: Env, S: Suite>(
    env: &E,
    question: Question,
    own: AuthorityIndex,
    rules: &Rules,
    members: &Members<S>,
) -> Result<Answer<S>, Unanswered> {
    let Question {
        to,
        peer,
        request,
        limit,
        ..
    } = question;
    let peer = peer.ok_or(Unanswered::Silent)?;
    let body = encode_request(rules.epoch, &request);
    let bytes = env.network().request(peer, REQUESTS, body, limit).await;
    let bytes = bytes.map_err(|_| Unanswered::Silent)?;
    let answer = Answer::decode(&bytes, &request, to, own, rules, members)?;
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
