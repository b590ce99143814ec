//! The task that owns the machine: what comes in, what goes out, and in what order.
//!
//! A turn takes what is ready, lets the machine handle it, and writes once, if there is more to write than blocks of others:
//! those wait for what is written next, for nothing relies on them before, and a crash loses what can be asked for again.
//! Records are written in the order in which the machine gave them; an own block waits for a barrier behind its records, and
//! is sent after it. A commit goes to the consumer after its records' write was called. When the consumer or the disk is slow
//! the machine is given nothing new, while requests are still answered.

mod deliveries;
mod inbound;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{Action, Core, Event, Fault, Now, Pace, Suite, Table};
use env::sync::{mpsc, watch};
use env::{
    Batch, Clock, Compute, Cost, CostKind, Durability, Env, Inbound, Listener, Network, Scope, Spawner,
    Storage, StorageError, Store,
};
use types::{BlockRef, CommitIndex, CommitRef, Mono, Round};

use crate::consensus::archive::Archive;
use crate::consensus::channels::{BLOCKS, REQUESTS};
use crate::consensus::consumer::Consumer;
use crate::consensus::driver::deliveries::{Deliveries, bytes};
use crate::consensus::handle::Submission;
use crate::consensus::incoming::{Incoming, Known, Received, sign_cost};
use crate::consensus::outgoing::Window;
use crate::consensus::questions::{Answered, Question, Questions};
use crate::consensus::run::{Consuming, Feed, Stop};
use crate::consensus::setup::{Directory, Setup};
use crate::consensus::store::{EpochStore, Unreadable, block_name, put};

/// Blocks that are taken in one turn.
const BLOCKS_AT_ONCE: usize = 64;
/// Payloads that are taken in one turn.
const SUBMISSIONS: usize = 1_024;
/// Checked blocks that wait for the machine.
const RECEIVED: usize = 256;
/// Answers that wait for the machine.
const ANSWERED: usize = 32;
/// Writes under way beyond which the machine is given nothing new.
const MAX_WRITES: usize = 64;
/// A batch of so many bytes is written before the turn ends.
const BATCH_BYTES: usize = 16 << 20;
/// Blocks of others of so many bytes wait for no other record.
const WAITING_BYTES: usize = 256 << 10;
/// Commits that are read from the store at a time.
const REPLAY: usize = 16;
/// How often the machine's figures are told.
const STATUS_PERIOD: Duration = Duration::from_secs(1);

type Writing<'a> = Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + 'a>>;

/// A write under way, with the own block that waits for it.
struct Write<'a> {
    done: Writing<'a>,
    own: Option<(BlockRef, Bytes)>,
}

/// What a driver begins with.
pub(crate) struct Beginning<S: Suite> {
    pub core: Core<S>,
    pub actions: Vec<Action<S>>,
    /// The last commit in the store.
    pub stored: CommitIndex,
    /// The last commit that the consumer knows of.
    pub handled: Option<CommitRef>,
    /// The last own block in the store.
    pub own: Round,
}

/// The machine with everything around it.
pub(crate) struct Driver<'a, E: Env, S: Suite> {
    env: E,
    setup: &'a mut Setup<S>,
    directory: Arc<Directory>,
    store: &'a EpochStore<E>,
    archive: Archive<E, S>,
    previous: Option<&'a Archive<E, S>>,
    scope: &'a <E::Spawner as Spawner>::Scope,
    core: Core<S>,
    batch: Batch,
    /// Whether the batch holds more than blocks of others.
    is_due: bool,
    writes: VecDeque<Write<'a>>,
    deliveries: Deliveries,
    window: watch::Sender<Window>,
    known: Known,
    questions: Questions<E, S>,
    answers: mpsc::Receiver<Answered<S>>,
    received: mpsc::Receiver<Received<S>>,
    next_status: Mono,
    was_recovering: bool,
    is_closed: bool,
}

/// What a driver lives in.
pub(crate) struct Surroundings<'a, E: Env, S: Suite> {
    pub env: E,
    pub setup: &'a mut Setup<S>,
    pub directory: Arc<Directory>,
    pub store: &'a EpochStore<E>,
    pub archive: Archive<E, S>,
    pub previous: Option<&'a Archive<E, S>>,
    pub scope: &'a <E::Spawner as Spawner>::Scope,
}

impl<'a, E: Env, S: Suite> Driver<'a, E, S> {
    /// A driver, before its first turn.
    pub fn new(around: Surroundings<'a, E, S>, beginning: Beginning<S>) -> (Self, Vec<Action<S>>) {
        let Surroundings {
            env,
            setup,
            directory,
            store,
            archive,
            previous,
            scope,
        } = around;
        let Beginning {
            core,
            actions,
            stored,
            handled,
            own,
        } = beginning;
        let (to_answers, answers) = mpsc::channel(ANSWERED);
        let (to_received, received) = mpsc::channel(RECEIVED);
        let known = Known::new(setup.members.size());
        for author in setup.members.indices() {
            known.set(author, core.known(author));
        }
        let metrics = &setup.port.metrics;
        for (author, peer) in directory.iter().filter(|(author, _)| *author != setup.index) {
            let incoming = Incoming {
                env: env.clone(),
                rules: setup.rules.clone(),
                members: Arc::clone(&setup.members),
                peer,
                author,
                known: known.clone(),
                status: setup.port.status.subscribe(),
                ahead: ahead(&setup.pace),
                received: to_received.clone(),
                metrics: Arc::clone(metrics),
            };
            drop(scope.spawn("incoming", incoming.follow())); // the scope owns it
        }
        let questions = Questions::new(env.clone(), setup, to_answers);
        let driver = Self {
            next_status: env.clock().now() + STATUS_PERIOD,
            env,
            setup,
            directory,
            store,
            archive,
            previous,
            scope,
            core,
            batch: Batch::default(),
            is_due: false,
            writes: VecDeque::new(),
            deliveries: Deliveries::new(stored, handled),
            window: watch::Sender::new(Window::new(own)),
            known,
            questions,
            answers,
            received,
            was_recovering: false,
            is_closed: false,
        };
        (driver, actions)
    }

    /// Turns until the epoch is over, everything is written, and the consumer has all of it.
    pub async fn turns<C: Consumer>(
        mut self,
        actions: Vec<Action<S>>,
        feed: &mut Feed,
        consuming: &mut Consuming<E, C>,
    ) -> Result<Option<CommitRef>, Stop> {
        let mut requests = self.env.network().listen(REQUESTS)?;
        let mut streams = self.env.network().listen(BLOCKS)?;
        self.apply(actions)?;
        self.end_turn();
        let mut last = None;
        let mut tick = std::pin::pin!(self.env.clock().sleep_until(self.next_status));
        let mut tick_at = Some(self.next_status);
        loop {
            if self.deliveries.must_read() && feed.is_open() {
                self.read_commits().await?;
            }
            if self.is_closed && self.deliveries.is_done() {
                feed.close();
            }
            if consuming.has_ended() && self.writes.is_empty() && self.is_closed {
                return Ok(last);
            }
            let is_fed = self.is_fed();
            let wake = match self.core.deadline() {
                Some(deadline) if is_fed => deadline.min(self.next_status),
                _ => self.next_status,
            };
            if tick_at != Some(wake) {
                tick.set(self.env.clock().sleep_until(wake));
                tick_at = Some(wake);
            }
            let port = &mut self.setup.port;
            env::select! {
                written = front(&mut self.writes), if !self.writes.is_empty() => {
                    let own = self.writes.pop_front().and_then(|write| write.own);
                    written.map_err(Stop::Storage)?;
                    self.on_written(own)?;
                }
                ended = consuming.ended(), if !consuming.has_ended() => {
                    last = ended?;
                    if let Some(last) = last {
                        self.core.end(last.index);
                        self.handle(Event::Tick)?;
                    }
                }
                is_open = feed.ready(), if feed.is_open() && !self.deliveries.is_empty() => match is_open {
                    true => self.deliver(feed),
                    false => {
                        feed.close();
                        self.deliveries.end();
                    }
                },
                () = &mut tick => {
                    tick_at = None;
                    self.on_tick()?;
                }
                inbound = requests.accept() => {
                    if let Inbound::Request { from, body, reply } = inbound? {
                        self.on_request(from, &body, reply);
                    }
                }
                inbound = streams.accept() => {
                    if let Inbound::Stream { from, preamble, stream } = inbound? {
                        self.on_stream(from, &preamble, stream);
                    }
                }
                Some((id, answer)) = self.answers.recv(), if is_fed => {
                    self.handle(Event::Answer { ask: id, answer })?;
                }
                Some(submission) = port.submissions.recv(), if is_fed => self.on_submission(submission),
                Some((from, block)) = self.received.recv(), if is_fed => {
                    self.handle(Event::Block { from, block })?;
                }
            }
            self.take_more()?;
            self.end_turn();
        }
    }

    fn now(&self) -> Now {
        Now {
            mono: self.env.clock().now(),
            wall: self.env.clock().wall(),
        }
    }

    /// Whether the machine is given anything new.
    fn is_fed(&self) -> bool {
        self.writes.len() < MAX_WRITES && !self.deliveries.is_full()
    }

    fn handle(&mut self, event: Event<S>) -> Result<(), Stop> {
        let now = self.now();
        let actions = self.core.handle(now, event);
        self.apply(actions)
    }

    /// Takes what else is ready, so that a write carries the records of many blocks, and no branch of the turn starves.
    fn take_more(&mut self) -> Result<(), Stop> {
        for _ in 0..ANSWERED {
            if !self.is_fed() {
                break;
            }
            match self.answers.try_recv() {
                Ok((ask, answer)) => self.handle(Event::Answer { ask, answer })?,
                Err(_) => break,
            }
        }
        for _ in 0..SUBMISSIONS {
            if !self.is_fed() {
                break;
            }
            match self.setup.port.submissions.try_recv() {
                Ok(submission) => self.on_submission(submission),
                Err(_) => break,
            }
        }
        for _ in 0..BLOCKS_AT_ONCE {
            if !self.is_fed() {
                break;
            }
            match self.received.try_recv() {
                Ok((from, block)) => self.handle(Event::Block { from, block })?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn on_submission(&mut self, submission: Submission) {
        let metrics = &self.setup.port.metrics;
        let result = self.core.submit(submission.payload);
        match result {
            Ok(()) => metrics.payloads_queued.one(),
            Err(_) => metrics.payloads_refused.one(),
        }
        if let Some(wanted) = submission.result {
            // Whoever does not wait for the answer any more does not get it.
            let _unheard = wanted.send(result);
        }
    }

    fn on_tick(&mut self) -> Result<(), Stop> {
        let now = self.env.clock().now();
        if now >= self.next_status {
            self.next_status = now + STATUS_PERIOD;
            self.tell_status();
        }
        if self.is_fed() && self.core.deadline().is_some_and(|deadline| deadline <= now) {
            self.handle(Event::Tick)?;
        }
        Ok(())
    }

    fn tell_status(&self) {
        let status = self.core.status();
        let count = |number: usize| number as u64;
        env::event!(
            self.env,
            "status_memory",
            count(status.blocks),
            count(status.held_bytes)
        );
        env::event!(
            self.env,
            "status_waiting",
            count(status.held),
            count(status.queued)
        );
        env::event!(
            self.env,
            "status_progress",
            u64::from(status.round.get()),
            status.commit.get()
        );
    }

    /// An own block is durable with everything before it: now others may hear of it.
    fn on_written(&mut self, own: Option<(BlockRef, Bytes)>) -> Result<(), Stop> {
        let Some((block, frame)) = own else { return Ok(()) };
        self.setup.port.metrics.blocks_made.one();
        env::event!(
            self.env,
            "block_made",
            u64::from(block.round.get()),
            u64::from(block.author.get()),
            block.digest.get().as_bytes()
        );
        if !consensus::planted!(SentEarly) {
            self.window.send_modify(|window| window.push(block.round, frame));
        }
        self.handle(Event::Durable { block })
    }

    /// Does what the machine says, in its order.
    fn apply(&mut self, actions: Vec<Action<S>>) -> Result<(), Stop> {
        for action in actions {
            match action {
                Action::Store(record) => {
                    if record.table == Table::Blocks {
                        self.tell_accepted(&record.key);
                    } else {
                        self.is_due = true;
                    }
                    put(&mut self.batch, record);
                    if self.batch.size() > BATCH_BYTES {
                        self.write(Durability::Buffered, None);
                    }
                }
                Action::Rewrite(record) => put(&mut self.batch, record),
                Action::Publish { block, frame } => {
                    let compute = self.env.compute();
                    compute.charge(Cost::new(CostKind::HashByte, frame.len() as u64));
                    compute.charge(Cost::new(sign_cost::<S::Block>(), 1));
                    if self.setup.rules.has_beacon(block.round) {
                        compute.charge(Cost::new(sign_cost::<S::Beacon>(), 1));
                    }
                    if consensus::planted!(SentEarly) {
                        self.window
                            .send_modify(|window| window.push(block.round, frame.clone()));
                    }
                    let barrier = if consensus::planted!(NoBarrier) {
                        Durability::Buffered
                    } else {
                        self.setup.mode.barrier()
                    };
                    self.write(barrier, Some((block, frame)));
                }
                Action::Ask {
                    id,
                    to,
                    request,
                    limit,
                } => {
                    let peer = self.directory.peer(to);
                    let question = Question {
                        id,
                        to,
                        peer,
                        request,
                        limit,
                    };
                    self.questions.ask(self.scope, question);
                }
                Action::Deliver(commit) => self.deliveries.push(commit)?,
                Action::Accuse(proof) => {
                    self.setup.port.metrics.equivocations.one();
                    let (author, round) = (proof.author().get(), proof.slot().round.get());
                    env::event!(self.env, "equivocation", u64::from(author), u64::from(round));
                }
                Action::Blame { peer, fault } => {
                    self.setup.port.metrics.peers_blamed.one();
                    env::event!(self.env, "peer_blamed", u64::from(peer.get()), fault_code(fault));
                }
                Action::Forked { own, proven } => {
                    let epoch = self.setup.rules.epoch.get();
                    env::event!(self.env, "forked", epoch, proven.index.get());
                    return Err(Stop::Split { own, proven });
                }
                Action::Closed => {
                    (self.is_closed, self.is_due) = (true, true);
                    let epoch = self.setup.rules.epoch.get();
                    env::event!(self.env, "closed", epoch, self.core.status().commit.get());
                }
            }
        }
        Ok(())
    }

    fn tell_accepted(&self, key: &[u8]) {
        self.setup.port.metrics.blocks_accepted.one();
        if let Some(block) = block_name(key) {
            env::event!(
                self.env,
                "block_accepted",
                u64::from(block.round.get()),
                u64::from(block.author.get()),
                block.digest.get().as_bytes()
            );
        }
    }

    /// Calls the write of what has been collected. Its place in the order is taken by the call.
    fn write(&mut self, durability: Durability, own: Option<(BlockRef, Bytes)>) {
        let batch = std::mem::take(&mut self.batch);
        self.is_due = false;
        let metrics = &self.setup.port.metrics;
        metrics.batches_written.one();
        metrics.bytes_written.add(batch.bytes() as u64);
        if durability == Durability::Synced {
            metrics.barriers.one();
        }
        let store: &'a <E::Storage as Storage>::Store = &self.store.store;
        let done = Box::pin(store.write(batch, durability));
        self.writes.push_back(Write { done, own });
    }

    /// Writes what is due and says how things stand.
    fn end_turn(&mut self) {
        let is_due = self.is_due || self.is_closed || self.batch.bytes() > WAITING_BYTES;
        if is_due && !self.batch.is_empty() {
            self.write(Durability::Buffered, None);
        }
        for author in self.setup.members.indices() {
            self.known.set(author, self.core.known(author));
        }
        let status = self.core.status();
        if status.is_recovering != self.was_recovering {
            self.was_recovering = status.is_recovering;
            if status.is_recovering {
                let epoch = self.setup.rules.epoch.get();
                env::event!(self.env, "recovering", epoch, u64::from(self.store.generation));
            } else {
                env::reached!(self.env, "node.recovered");
                env::event!(self.env, "recovered", u64::from(status.round.get()), 0);
            }
        }
        let status_of = &self.setup.port.status;
        status_of.send_if_modified(|known| std::mem::replace(known, status) != status);
        env::sometimes!(self.env, "node.consumer_is_slow", self.deliveries.is_full());
        env::sometimes!(self.env, "node.disk_is_slow", self.writes.len() >= MAX_WRITES);
    }

    /// Reads the next commits that the consumer does not know from the store.
    async fn read_commits(&mut self) -> Result<(), Stop> {
        let (rules, members) = (&self.setup.rules, &self.setup.members);
        let first = self.deliveries.next_stored();
        let read = self.store.sub_dags(first, REPLAY, rules, members).await?;
        env::reached!(self.env, "node.delivered_again");
        self.deliveries.push_stored(read)
    }

    /// Gives the consumer the next commit.
    fn deliver(&mut self, feed: &Feed) {
        let Some(commit) = self.deliveries.pop() else {
            return;
        };
        let metrics = &self.setup.port.metrics;
        let payloads: usize = commit.payloads.iter().map(consensus::Payloads::len).sum();
        metrics.commits_delivered.one();
        metrics.payloads_delivered.add(payloads as u64);
        metrics.payload_bytes_delivered.add(bytes(&commit) as u64);
        let index = commit.commit.index.get();
        env::event!(
            self.env,
            "committed",
            index,
            u64::from(commit.commit.leader.round.get()),
            commit.digest.get().as_bytes()
        );
        env::event!(self.env, "delivered_payloads", index, payloads as u64);
        feed.give(commit);
    }
}

/// Rounds by which a peer's block may be ahead of the graph: three quarters of what the machine holds.
fn ahead(pace: &Pace) -> u32 {
    let held = u32::try_from(pace.held_blocks).unwrap_or(u32::MAX);
    held.min(pace.horizon) / 4 * 3
}

/// Waits for the first write under way; the others are behind it.
async fn front(writes: &mut VecDeque<Write<'_>>) -> Result<(), StorageError> {
    match writes.front_mut() {
        Some(write) => write.done.as_mut().await,
        None => std::future::pending().await,
    }
}

const fn fault_code(fault: Fault) -> u64 {
    match fault {
        Fault::Equivocated => 1,
        Fault::WrongAnswer => 3,
        Fault::UnprovenCommits => 4,
        Fault::TooManyHeld => 5,
        Fault::FarAhead => 6,
        Fault::ForeignParent => 7,
        Fault::Fork => 8,
        _ => 0,
    }
}

impl From<Unreadable> for Stop {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Damaged(what) => Self::Damaged(what),
            Unreadable::Storage(error) => Self::Storage(error),
        }
    }
}
