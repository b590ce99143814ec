//! What others ask of the task that owns the machine.

use std::collections::BTreeMap;

use consensus::{Request, Suite};
use env::{Env, Network, Reply, Scope, Stream};
use types::{Bounded, PeerId, Slot};

use crate::consensus::archive::ANSWER_BYTES;
use crate::consensus::channels::{Preamble, decode_request};
use crate::consensus::driver::Driver;
use crate::consensus::outgoing::Outgoing;

impl<E: Env, S: Suite> Driver<'_, E, S> {
    /// Answers a request, or hands it to a task that reads the store.
    pub(super) fn on_request(&self, from: PeerId, body: &[u8], reply: <E::Network as Network>::Reply) {
        let metrics = &self.setup.port.metrics;
        // Dropping the reply refuses the request.
        let Some((epoch, request)) = decode_request(body) else {
            metrics.requests_refused.one();
            if let Some(asker) = self.directory.index(&from) {
                metrics.peers_blamed.one();
                env::event!(self.env, "bad_request", u64::from(asker.get()), body.len() as u64);
            }
            return;
        };
        if let Some(previous) = self.previous.filter(|previous| previous.epoch() == epoch)
            && previous.member(&from).is_some()
        {
            env::reached!(self.env, "node.served_the_epoch_before");
            return previous.answer_in(self.scope, request, BTreeMap::new(), reply);
        }
        let (true, Some(asker)) = (epoch == self.setup.rules.epoch, self.directory.index(&from)) else {
            metrics.requests_refused.one();
            return;
        };
        match &request {
            Request::Latest => match self.core.latest(asker) {
                Some(answer) => {
                    metrics.requests_served.one();
                    drop(reply.send(types::encode(&answer).into()));
                }
                None => metrics.requests_refused.one(),
            },
            Request::Blocks { names, slots } => {
                // The store holds own blocks that are not durable yet.
                let told = slots.iter().filter(|slot| self.core.is_told_at(**slot));
                let slots: Vec<Slot> = told.copied().collect();
                let in_slots = slots.iter().flat_map(|slot| self.core.names(*slot));
                let (mut known, mut bytes) = (BTreeMap::new(), 0);
                for name in names.iter().copied().chain(in_slots) {
                    if let Some(frame) = self.core.frame(&name) {
                        bytes += frame.len();
                        known.insert(name, frame);
                    }
                    // The rest would find no room in the answer.
                    if bytes > ANSWER_BYTES {
                        break;
                    }
                }
                let request = Request::Blocks {
                    names: names.clone(),
                    slots: Bounded::new(slots).expect("some of so many are no more"),
                };
                self.archive.answer_in(self.scope, request, known, reply);
            }
            Request::Commits { .. } => self
                .archive
                .answer_in(self.scope, request, BTreeMap::new(), reply),
        }
    }

    /// Hands a stream to a task that writes own blocks to it.
    pub(super) fn on_stream(&self, from: PeerId, preamble: &[u8], stream: <E::Network as Network>::Stream) {
        // Dropping the stream refuses it.
        let metrics = &self.setup.port.metrics;
        let Some(preamble) = Preamble::decode(preamble, self.setup.rules.chain) else {
            metrics.streams_refused.one();
            if let Some(opener) = self.directory.index(&from) {
                metrics.peers_blamed.one();
                env::event!(
                    self.env,
                    "bad_preamble",
                    u64::from(opener.get()),
                    preamble.len() as u64
                );
            }
            return;
        };
        if let Some(previous) = self
            .previous
            .filter(|previous| previous.epoch() == preamble.epoch())
        {
            return previous.stream_in(self.scope, &preamble, from, stream);
        }
        if preamble.epoch() != self.setup.rules.epoch || self.directory.index(&from).is_none() {
            metrics.streams_refused.one();
            env::reached!(self.env, "node.stream_of_another_epoch");
            return;
        }
        let outgoing = Outgoing::live(self.archive.clone(), self.window.subscribe());
        let task = self.scope.spawn("outgoing", async move {
            let (sender, receiver) = stream.split();
            // A broken stream is its opener's to open again.
            drop(outgoing.send(preamble.after, sender, receiver).await);
        });
        drop(task); // the scope owns it
    }
}
