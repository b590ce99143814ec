//! One member's part in one epoch, over all failures of its disk.

use std::sync::Arc;
use std::time::Duration;

use consensus::{Core, Now, RestoreError, Restored, SubDag, Suite};
use env::sync::mpsc;
use env::{
    Batch, Clock, Durability, Env, Network, NetworkError, Scope, Spawner, StorageError, Store, TaskError,
};
use types::{CommitDigest, CommitIndex, CommitRef, Epoch, Round};

use crate::consensus::archive::{Archive, Contents};
use crate::consensus::consumer::{Consumer, Flow};
use crate::consensus::driver::{Beginning, Driver, Surroundings};
use crate::consensus::handle::Port;
use crate::consensus::setup::{Directory, Setup, SetupError, Start};
use crate::consensus::store::{EpochStore, MAX_GENERATIONS, Unreadable, open, put};

/// The pause before everything is built again after a store failed.
const REOPEN_PAUSE: Duration = Duration::from_millis(500);
/// Commits that are on their way between the machine's task and the consumer's.
const HANDED_OVER: usize = 4;

/// What the owner of new keys does once, before it starts a member for the first time: the store of `epoch` is entitled to
/// sign. Who does so for keys that have signed in the epoch before, and lost what they signed, lets them sign twice.
///
/// # Errors
/// [`StorageError`]: nothing was signed, so it can be done again.
pub async fn prepare<E: Env>(env: &E, epoch: Epoch) -> Result<(), StorageError> {
    // A store that is damaged already is one that has lost what it held.
    let Some(store) = open(env, epoch, 0).await?.filter(|store| store.generation == 0) else {
        return Ok(());
    };
    match store.restore().await {
        Ok(restored) if is_unused(&restored) => {
            let mut batch = Batch::default();
            put(&mut batch, consensus::restore::marker(Round::ZERO));
            store.store.write(batch, Durability::Synced).await
        }
        Ok(_) | Err(Unreadable::Damaged(_)) => Ok(()),
        Err(Unreadable::Storage(error)) => Err(error),
    }
}

/// How a member's part in an epoch ended.
pub enum End<E: Env, S: Suite, C> {
    /// The epoch is over.
    Closed {
        /// Its last commit, if the consumer said so.
        last: Option<CommitRef>,
        /// The epoch's blocks and commits, for those who are behind.
        archive: Archive<E, S>,
        /// The consumer, which has all of them.
        consumer: C,
        /// For the next epoch.
        port: Port,
    },
    /// The node ends.
    Shutdown,
}

/// Why a member cannot go on. Nothing that a restart would help against.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The setup contradicts itself.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The consumer has handled another commit than consensus decided: its state is of another chain, or one of the two
    /// has a bug. Start the consumer from a state of this chain.
    #[error("commit {index} is {found}, and the consumer has handled {handled}")]
    Forked {
        /// Which commit.
        index: CommitIndex,
        /// What the consumer has.
        handled: CommitDigest,
        /// What consensus has.
        found: CommitDigest,
    },
    /// A quorum has voted for other commits than this member's: more members are faulty than the protocol allows for.
    /// Somebody has to find out which chain is the right one.
    #[error("a quorum votes for {proven:?}, and this member has {own:?}")]
    Split {
        /// The last commit of this member.
        own: CommitRef,
        /// The quorum's.
        proven: CommitRef,
    },
    /// Every store of the epoch was damaged. The disk wants replacing.
    #[error("{stores} stores of the epoch were damaged, of the last one {what}")]
    Disk {
        /// How many.
        stores: u32,
        /// What was damaged last.
        what: &'static str,
    },
    /// The network has another user of consensus' channels.
    #[error(transparent)]
    Network(NetworkError),
    /// The consumer has a bug.
    #[error("the consumer panicked: {message}")]
    Consumer {
        /// The panic's message.
        message: String,
    },
}

/// Why one incarnation of the machine ends.
#[derive(Debug)]
pub(crate) enum Stop {
    Shutdown,
    /// The store failed: it is opened again.
    Storage(StorageError),
    /// The consumer's store failed: it is started again.
    Consumer(StorageError),
    /// The store is damaged: it is given up.
    Damaged(&'static str),
    Forked {
        index: CommitIndex,
        handled: CommitDigest,
        found: CommitDigest,
    },
    Split {
        own: CommitRef,
        proven: CommitRef,
    },
    Network(NetworkError),
    Panicked(String),
}

impl From<NetworkError> for Stop {
    fn from(error: NetworkError) -> Self {
        match error {
            NetworkError::Closed => Self::Shutdown,
            error => Self::Network(error),
        }
    }
}

/// The sending end of the way to the consumer.
#[derive(Debug)]
pub(crate) struct Feed(Option<mpsc::Sender<SubDag>>);

impl Feed {
    /// Whether the consumer takes more.
    pub const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// No more commits follow.
    pub fn close(&mut self) {
        self.0 = None;
    }

    /// Waits until there is room for a commit; `false` when the consumer takes no more.
    pub async fn ready(&self) -> bool {
        match &self.0 {
            Some(commits) => commits.reserve().await.is_ok(),
            None => false,
        }
    }

    /// Hands a commit over. There is room: nobody else sends.
    pub fn give(&self, commit: SubDag) {
        if let Some(commits) = &self.0 {
            // A consumer that has ended meanwhile is noticed by its task.
            drop(commits.try_send(commit));
        }
    }
}

type Consumed<C> = (C, Result<Option<CommitRef>, StorageError>);
type TaskOf<E, T> = <<<E as Env>::Spawner as Spawner>::Scope as Scope>::Task<T>;

/// The consumer's task, until it has ended.
pub(crate) struct Consuming<E: Env, C: Consumer> {
    task: Option<TaskOf<E, Consumed<C>>>,
    ended: Option<C>,
}

impl<E: Env, C: Consumer> Consuming<E, C> {
    fn start(scope: &<E::Spawner as Spawner>::Scope, consumer: C) -> (Self, Feed) {
        let (sender, commits) = mpsc::channel(HANDED_OVER);
        let task = Some(scope.spawn("consumer", consume(consumer, commits)));
        (Self { task, ended: None }, Feed(Some(sender)))
    }

    /// Whether it has ended and said so.
    pub const fn has_ended(&self) -> bool {
        self.task.is_none()
    }

    /// Waits for the end: the commit that the consumer took for the last, or `None` if it was given no more.
    /// Cancel-safe.
    pub async fn ended(&mut self) -> Result<Option<CommitRef>, Stop> {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok((consumer, result)) => {
                self.ended = Some(consumer);
                result.map_err(Stop::Consumer)
            }
            Err(TaskError::Cancelled) => Err(Stop::Shutdown),
            Err(TaskError::Panicked { message, .. }) => Err(Stop::Panicked(message)),
        }
    }

    /// The consumer, once it has handled what it was given.
    async fn finish(mut self) -> Result<C, Stop> {
        if !self.has_ended() {
            // Whatever failed in it is found again when it is started.
            match self.ended().await {
                Ok(_) | Err(Stop::Consumer(_)) => {}
                Err(stop) => return Err(stop),
            }
        }
        self.ended.ok_or(Stop::Shutdown)
    }
}

async fn consume<C: Consumer>(mut consumer: C, mut commits: mpsc::Receiver<SubDag>) -> Consumed<C> {
    while let Some(commit) = commits.recv().await {
        let name = CommitRef {
            index: commit.commit.index,
            digest: commit.digest,
        };
        match consumer.handle(commit).await {
            Ok(Flow::Continue) => {}
            Ok(Flow::Close) => return (consumer, Ok(Some(name))),
            Err(error) => return (consumer, Err(error)),
        }
    }
    (consumer, Ok(None))
}

/// Takes part in the epoch of `setup` until it is over or the node ends. This is all that there is to a member of one
/// epoch: its peers are set, its store is opened, and what consensus decides goes to `consumer`.
///
/// Dropping the future ends it as a crash does; what was promised to others is on the disk.
///
/// # Errors
/// [`Failure`].
pub async fn run<E: Env, S: Suite, C: Consumer>(
    env: E,
    setup: Setup<S>,
    consumer: C,
) -> Result<End<E, S, C>, Failure> {
    run_after(env, setup, consumer, None).await
}

/// As [`run`], and answers for the epoch before from its archive.
///
/// # Errors
/// [`Failure`].
pub async fn run_after<E: Env, S: Suite, C: Consumer>(
    env: E,
    setup: Setup<S>,
    consumer: C,
    previous: Option<Archive<E, S>>,
) -> Result<End<E, S, C>, Failure> {
    setup.check()?;
    let directory = Arc::new(Directory::new(&setup.peers, &setup.members)?);
    let mut addresses: Vec<_> = setup.peers.iter().map(|peer| peer.address.clone()).collect();
    for peer in previous.iter().flat_map(|previous| previous.peers()) {
        if addresses.iter().all(|known| known.id != peer.address.id) {
            addresses.push(peer.address.clone());
        }
    }
    env.network().set_peers(addresses);
    let mut member = Member {
        env,
        setup,
        directory,
        previous,
        generation: 0,
    };
    let mut consumer = consumer;
    loop {
        let stop = match member.incarnation(consumer).await {
            Ok(Lived::Closed {
                last,
                archive,
                consumer,
            }) => {
                let port = member.setup.port;
                return Ok(End::Closed {
                    last,
                    archive,
                    consumer,
                    port,
                });
            }
            Ok(Lived::Stopped { stop, consumer: back }) => {
                consumer = back;
                stop
            }
            Err(Stop::Panicked(message)) => return Err(Failure::Consumer { message }),
            Err(_) => return Ok(End::Shutdown),
        };
        if let Some(end) = member.judge(stop).await? {
            return Ok(end);
        }
    }
}

/// What became of one incarnation, with the consumer back.
enum Lived<E: Env, S: Suite, C> {
    Closed {
        last: Option<CommitRef>,
        archive: Archive<E, S>,
        consumer: C,
    },
    Stopped {
        stop: Stop,
        consumer: C,
    },
}

struct Member<E: Env, S: Suite> {
    env: E,
    setup: Setup<S>,
    directory: Arc<Directory>,
    previous: Option<Archive<E, S>>,
    /// Stores of lower generations are not used any more.
    generation: u32,
}

impl<E: Env, S: Suite> Member<E, S> {
    /// Whether to begin again, after a pause, or to end.
    async fn judge<C>(&self, stop: Stop) -> Result<Option<End<E, S, C>>, Failure> {
        if let Stop::Damaged(what) = stop
            && self.generation >= MAX_GENERATIONS
        {
            let stores = self.generation;
            return Err(Failure::Disk { stores, what });
        }
        let code = match stop {
            Stop::Shutdown | Stop::Storage(StorageError::Closed) | Stop::Consumer(StorageError::Closed) => {
                return Ok(Some(End::Shutdown));
            }
            Stop::Forked {
                index,
                handled,
                found,
            } => {
                return Err(Failure::Forked {
                    index,
                    handled,
                    found,
                });
            }
            Stop::Split { own, proven } => return Err(Failure::Split { own, proven }),
            Stop::Network(error) => return Err(Failure::Network(error)),
            Stop::Panicked(message) => return Err(Failure::Consumer { message }),
            Stop::Damaged(_) | Stop::Storage(StorageError::Corrupt { .. }) => {
                // From here on the damaged store is void, whatever can be read of it after a crash. Where this fails it is
                // tried again with the next start, and nothing is signed before.
                drop(open(&self.env, self.setup.rules.epoch, self.generation).await);
                1
            }
            Stop::Storage(StorageError::Full { .. }) => 2,
            Stop::Storage(_) => 3,
            Stop::Consumer(_) => 4,
        };
        self.setup.port.metrics.restarts.one();
        env::event!(self.env, "store_failed", code, u64::from(self.generation));
        self.env.clock().sleep(REOPEN_PAUSE).await;
        Ok(None)
    }

    /// Builds everything from the store and runs it. Everything is gone when it returns, but for the consumer.
    async fn incarnation<C: Consumer>(&mut self, mut consumer: C) -> Result<Lived<E, S, C>, Stop> {
        let handled = match consumer.start(self.setup.rules.epoch).await {
            Ok(handled) => handled,
            Err(error) => {
                let stop = Stop::Consumer(error);
                return Ok(Lived::Stopped { stop, consumer });
            }
        };
        let store = match open(&self.env, self.setup.rules.epoch, self.generation).await {
            Ok(Some(store)) => store,
            Ok(None) => {
                self.generation = MAX_GENERATIONS;
                let stop = Stop::Damaged("every store of the epoch");
                return Ok(Lived::Stopped { stop, consumer });
            }
            Err(error) => {
                let stop = Stop::Storage(error);
                return Ok(Lived::Stopped { stop, consumer });
            }
        };
        let beginning = match self.begin(&store, handled).await {
            Ok(beginning) => beginning,
            Err(stop) => {
                self.give_up_if_damaged(&store, &stop);
                return Ok(Lived::Stopped { stop, consumer });
            }
        };
        let scope = self.env.spawner().scope("consensus");
        let (mut consuming, mut feed) = Consuming::<E, C>::start(&scope, consumer);
        let around = scope.child("members");
        let archive = Archive::new(
            store.clone(),
            Contents {
                rules: self.setup.rules.clone(),
                members: Arc::clone(&self.setup.members),
                index: self.setup.index,
                peers: self.setup.peers.clone(),
                directory: (*self.directory).clone(),
                metrics: Arc::clone(&self.setup.port.metrics),
            },
        );
        let surroundings = Surroundings {
            env: self.env.clone(),
            setup: &mut self.setup,
            directory: Arc::clone(&self.directory),
            store: &store,
            archive: archive.clone(),
            previous: self.previous.as_ref(),
            scope: &around,
        };
        let (driver, actions) = Driver::new(surroundings, beginning);
        let ended = driver.turns(actions, &mut feed, &mut consuming).await;
        feed.close();
        around.cancel().await;
        let consumer = consuming.finish().await?;
        let stop = match ended {
            Ok(last) => match store.store.sync().await {
                Ok(()) => {
                    return Ok(Lived::Closed {
                        last,
                        archive,
                        consumer,
                    });
                }
                Err(error) => Stop::Storage(error),
            },
            Err(stop) => stop,
        };
        self.give_up_if_damaged(&store, &stop);
        Ok(Lived::Stopped { stop, consumer })
    }

    fn give_up_if_damaged(&mut self, store: &EpochStore<E>, stop: &Stop) {
        let is_damaged = matches!(
            stop,
            Stop::Damaged(_) | Stop::Storage(StorageError::Corrupt { .. })
        );
        if is_damaged && !consensus::planted!(DamagedStoreKept) {
            self.generation = store.generation + 1;
            self.setup.port.metrics.stores_abandoned.one();
            let epoch = self.setup.rules.epoch.get();
            env::event!(self.env, "store_abandoned", epoch, u64::from(store.generation));
        }
    }

    /// The machine that goes on from what the store holds, and where the consumer is.
    async fn begin(
        &mut self,
        store: &EpochStore<E>,
        handled: Option<CommitRef>,
    ) -> Result<Beginning<S>, Stop> {
        let mut restored = store.restore().await?;
        let is_fresh = self.setup.start == Start::Fresh && store.generation == 0;
        if (is_fresh || consensus::planted!(Amnesia)) && is_unused(&restored) {
            let mut batch = Batch::default();
            put(&mut batch, consensus::restore::marker(Round::ZERO));
            let marked = store.store.write(batch, self.setup.mode.barrier()).await;
            marked.map_err(Stop::Storage)?;
            restored.marker = Some(Round::ZERO);
        }
        if restored.marker.is_some() {
            // From here on something may be signed: a store that is found empty later has been lost.
            self.setup.start = Start::Resume;
        }
        let stored = restored.state.as_ref().map(|state| state.last.index);
        let stored = stored.unwrap_or(CommitIndex::ZERO);
        if let Some(handled) = handled.filter(|handled| handled.index <= stored) {
            let commits = store.commits(handled.index, 1).await?;
            let commit = commits.first().ok_or(Stop::Damaged("a commit is missing"))?;
            let found = commit.digest();
            if found != handled.digest {
                return Err(Stop::Forked {
                    index: handled.index,
                    handled: handled.digest,
                    found,
                });
            }
        }
        let own = restored.own;
        let now = Now {
            mono: self.env.clock().now(),
            wall: self.env.clock().wall(),
        };
        let (core, actions) = Core::new(self.setup.config(), restored, now)
            .map_err(|RestoreError::Damaged(what)| Stop::Damaged(what))?;
        let own = own.map_or(Round::ZERO, |own| own.round);
        let epoch = self.setup.rules.epoch.get();
        env::event!(self.env, "epoch_started", epoch, u64::from(own.get()));
        Ok(Beginning {
            core,
            actions,
            stored,
            handled,
            own,
        })
    }
}

/// Whether nobody has used the store.
fn is_unused(restored: &Restored) -> bool {
    restored.marker.is_none()
        && restored.own.is_none()
        && restored.state.is_none()
        && restored.blocks.is_empty()
}
