//! What one incarnation of a node has of the world: the simulated [`Env`].

mod compute;
mod spawner;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use env::{Clock, Entropy, Env, Event as Fact, Probe, Site};
use types::{Mono, UnixMillis};

pub use self::compute::SimCompute;
pub use self::spawner::{SimScope, SimSpawner, SimTask};
use crate::clock::NodeClock;
use crate::draw::Domain;
use crate::hosts::SimBlobs;
use crate::network::SimNetwork;
use crate::plan::Action;
use crate::queue::EventKey;
use crate::storage::SimStorage;
use crate::time::VirtualTime;
use crate::trace::{Kind, Name};
use crate::world::{Event, NodeIndex, State, World};

/// A handle on the world for one incarnation. After that incarnation has ended it reaches nothing.
#[derive(Clone)]
pub(crate) struct NodeHandle(Arc<Inner>);

struct Inner {
    world: Arc<World>,
    node: NodeIndex,
    incarnation: u32,
}

impl NodeHandle {
    pub fn new(world: Arc<World>, node: NodeIndex, incarnation: u32) -> Self {
        Self(Arc::new(Inner {
            world,
            node,
            incarnation,
        }))
    }

    pub fn world(&self) -> &Arc<World> {
        &self.0.world
    }

    pub fn node(&self) -> NodeIndex {
        self.0.node
    }

    pub fn incarnation(&self) -> u32 {
        self.0.incarnation
    }

    /// Works on the world, or `None` when this incarnation has ended.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut state = self.0.world.lock();
        state.nodes[self.0.node]
            .lives(self.0.incarnation)
            .then(|| work(&mut state))
    }

    /// Waits for an instant of virtual time; for ever when the incarnation ends first.
    pub fn sleep_until(&self, at: VirtualTime) -> Sleep {
        Sleep {
            handle: self.clone(),
            until: Until::World(at),
            timer: None,
        }
    }
}

#[derive(Clone, Copy)]
enum Until {
    World(VirtualTime),
    Mono(Mono),
}

/// A timer in the world's queue, which is taken back when the future is dropped. Where it waits on a clock whose rate
/// changes, it is polled and set anew.
pub(crate) struct Sleep {
    handle: NodeHandle,
    until: Until,
    /// When it is set to fire, and where it waits.
    timer: Option<(VirtualTime, EventKey)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let node = this.handle.node();
        let mut stale = None;
        let polled = this.handle.with(|state| {
            let at = match this.until {
                Until::World(at) => at,
                Until::Mono(mono) => state.nodes[node].clock.reaches(mono),
            };
            let over = state.local(node) >= at;
            if let Some((set, key)) = this.timer {
                // A timer that stands keeps its place, whoever polls it now.
                if let Some(Event::Wake { task, .. }) = state.events.get_mut(key)
                    && set == at
                    && !over
                {
                    task.clone_from(cx.waker());
                    return Poll::Pending;
                }
                stale = state.events.cancel(key);
                this.timer = None;
            }
            if over {
                return Poll::Ready(());
            }
            let wake = Event::Wake {
                task: cx.waker().clone(),
                cause: state.cause,
                clock: matches!(this.until, Until::Mono(_)).then_some(node),
            };
            let key = state.schedule(at, node, wake);
            this.timer = Some((at, key));
            Poll::Pending
        });
        drop(stale);
        polled.unwrap_or(Poll::Pending)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((_, key)) = self.timer.take() {
            let waker = self.handle.world().lock().events.cancel(key);
            drop(waker);
        }
    }
}

/// The simulated environment of one incarnation.
#[derive(Clone)]
pub struct SimEnv {
    clock: SimClock,
    network: SimNetwork,
    storage: SimStorage,
    blobs: SimBlobs,
    entropy: SimEntropy,
    spawner: SimSpawner,
    compute: SimCompute,
    probe: SimProbe,
}

impl SimEnv {
    pub(crate) fn new(handle: NodeHandle) -> Self {
        Self {
            clock: SimClock(handle.clone()),
            network: SimNetwork(handle.clone()),
            storage: SimStorage(handle.clone()),
            blobs: SimBlobs(handle.clone()),
            entropy: SimEntropy(handle.clone()),
            spawner: SimSpawner(handle.clone()),
            compute: SimCompute(handle.clone()),
            probe: SimProbe(handle),
        }
    }

    /// The number of this node, for oracles and scenario builders.
    pub fn node(&self) -> NodeIndex {
        self.probe.0.node()
    }

    /// The instant of the world that it is here, whatever the node's clocks say.
    pub(crate) fn instant(&self) -> VirtualTime {
        let handle = &self.probe.0;
        handle.world().lock().local(handle.node())
    }

    /// Does to the world what a step of a plan does, at this instant, as soon as the calling task has been polled.
    /// For programs that play the world instead of living in it: code that is generic over `Env` cannot call it.
    ///
    /// # Panics
    /// When the action names a node that is not there.
    pub fn act(&self, action: Action) {
        let handle = &self.probe.0;
        handle.with(|state| {
            assert!(
                action.nodes().iter().all(|node| *node < state.nodes.len()),
                "an action names nodes of its world"
            );
            let at = state.local(handle.node());
            // As a step of a plan: before whatever else happens at this instant.
            state.events.insert(at, 0, Event::Act(Box::new(action)));
        });
    }

    /// Puts a blob on an honest host, in place of the one that is there.
    pub fn publish(&self, url: &str, content: Bytes) {
        self.probe.0.with(|state| state.hosts.put(url, content));
    }

    /// Ends the run at this instant.
    pub(crate) fn end_run(&self) {
        self.probe.0.with(|state| state.until = state.now);
    }
}

impl Env for SimEnv {
    type Clock = SimClock;
    type Network = SimNetwork;
    type Storage = SimStorage;
    type Blobs = SimBlobs;
    type Entropy = SimEntropy;
    type Spawner = SimSpawner;
    type Compute = SimCompute;
    type Probe = SimProbe;

    fn clock(&self) -> &SimClock {
        &self.clock
    }
    fn network(&self) -> &SimNetwork {
        &self.network
    }
    fn storage(&self) -> &SimStorage {
        &self.storage
    }
    fn blobs(&self) -> &SimBlobs {
        &self.blobs
    }
    fn entropy(&self) -> &SimEntropy {
        &self.entropy
    }
    fn spawner(&self) -> &SimSpawner {
        &self.spawner
    }
    fn compute(&self) -> &SimCompute {
        &self.compute
    }
    fn probe(&self) -> &SimProbe {
        &self.probe
    }
}

/// A node's clocks. See [`crate::clock`]. They stand still when the incarnation has ended.
#[derive(Clone)]
pub struct SimClock(NodeHandle);

impl SimClock {
    fn read<T>(&self, read: impl FnOnce(&NodeClock, VirtualTime) -> T) -> T {
        let state = self.0.world().lock();
        let node = self.0.node();
        let (clock, at) = state.nodes[node].clock_of(self.0.incarnation(), state.local(node));
        read(clock, at)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Mono {
        self.read(NodeClock::mono)
    }

    fn wall(&self) -> UnixMillis {
        self.read(NodeClock::wall)
    }

    fn sleep_until(&self, at: Mono) -> impl Future<Output = ()> + Send + 'static {
        Sleep {
            handle: self.0.clone(),
            until: Until::Mono(at),
            timer: None,
        }
    }
}

/// A node's entropy: one stream per (node, incarnation, domain), which goes on when the incarnation has ended, and then
/// leaves no trace.
#[derive(Clone)]
pub struct SimEntropy(NodeHandle);

impl Entropy for SimEntropy {
    fn fill(&self, domain: &'static str, out: &mut [u8]) {
        let mut state = self.0.world().lock();
        let index = self.0.node();
        let name = crate::trace::digest(domain.as_bytes());
        let incarnation = self.0.incarnation();
        let stream = (index as u64) << 32 | u64::from(incarnation);
        for chunk in out.chunks_mut(8) {
            let block = state.nodes[index]
                .entropy
                .entry((incarnation, domain))
                .or_insert(0);
            *block += 1;
            let block = *block;
            let bits = state
                .seed
                .draw(Domain::Entropy, stream, name, block)
                .bits()
                .to_le_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
        if state.nodes[index].lives(incarnation) {
            state.note(Kind::Entropy, index, Name::NONE, name, out.len() as u64);
        }
    }
}

/// Takes what a node says of itself to the trace and the oracles.
#[derive(Clone)]
pub struct SimProbe(NodeHandle);

/// In how many of a million runs a buggify site is active, and how often an active one fires.
const BUGGIFY_PPM: u32 = 250_000;

impl Probe for SimProbe {
    fn event(&self, event: Fact<'_>) {
        let node = self.0.node();
        self.0.with(|state| {
            let name = state.task_name(event.kind);
            let mut record = state.record_of(Kind::Protocol, node, name, event.a, event.b);
            record.digest = event.digest.map(|digest| crate::trace::digest(digest));
            let seq = state.recorder.record(record);
            let fact = crate::oracle::Fact::Said {
                node,
                at: state.now,
                event: &event,
                seq,
            };
            state.tell(&fact);
        });
    }

    fn reached(&self, site: &'static Site) {
        let node = self.0.node();
        self.0.with(|state| {
            *state.sites.entry(site.name).or_insert(0) += 1;
            let name = state.task_name(site.name);
            state.note(Kind::Reached, node, name, 0, 0);
        });
    }

    /// Where the condition does not hold there is nothing to tell: hot paths ask at every turn.
    fn sometimes(&self, site: &'static Site, held: bool) {
        if !held {
            return;
        }
        let node = self.0.node();
        self.0.with(|state| {
            *state.sites.entry(site.name).or_insert(0) += 1;
            let name = state.task_name(site.name);
            state.note(Kind::Sometimes, node, name, 0, 0);
        });
    }

    fn buggify(&self, site: &'static Site) -> bool {
        let node = self.0.node();
        let fires = self.0.with(|state| {
            if !state.config.buggify {
                return false;
            }
            let address = crate::trace::digest(site.name.as_bytes());
            if !state
                .seed
                .draw(Domain::Buggify, address, 0, 0)
                .chance(BUGGIFY_PPM)
            {
                return false;
            }
            let visit = state.nodes[node].visits.entry(site.name).or_insert(0);
            *visit += 1;
            let visit = *visit;
            let fires = state
                .seed
                .draw(Domain::Buggify, address, node as u64 + 1, visit)
                .chance(BUGGIFY_PPM);
            if fires {
                *state.sites.entry(site.name).or_insert(0) += 1;
                let name = state.task_name(site.name);
                state.note(Kind::Buggify, node, name, visit, 0);
            }
            fires
        });
        fires.unwrap_or(false)
    }
}
