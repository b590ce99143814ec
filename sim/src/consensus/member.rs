//! What a node of the load runs: epoch after epoch, and again when it gives up or is left behind.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use consensus::Suite;
use env::{Clock, Env, Scope, Spawner};
use node::consensus::{Failure, Handle, Port, prepare};
use node::epochs::{Closed, Next, Schedule, run};
use types::Epoch;

use super::audit::{Audit, Auditor};
use super::meter::{Gauge, Meter};
use super::{Network, meter};
use crate::handle::SimEnv;
use crate::scenario::Scenario;
use crate::time::nanos;
use crate::world::NodeIndex;

/// Payloads on their way to a member's machine.
const ROOM: usize = 64;
/// The same where they come at a rate: what comes while a member writes a block must not be lost.
const RATE_ROOM: usize = 4_096;
/// The pause before a member that has given up is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// How often a node that rests looks whether an epoch is over.
const LOOK: Duration = Duration::from_millis(250);
/// For so many looks others may be two epochs ahead before a member gives its epoch up. Who was a member of it keeps what
/// it has of it for one epoch more, and what is too old comes by another way: here, it is not missed.
const LOOKS: u32 = 20;

/// Which epochs a node has been a member of, over all its incarnations: its owner knows for which of them its keys are new.
#[derive(Clone, Debug, Default)]
pub struct Entered(Arc<Mutex<BTreeSet<u64>>>);

impl Entered {
    fn has(&self, epoch: u64) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&epoch)
    }

    fn add(&self, epoch: u64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(epoch);
    }
}

/// One incarnation of a node.
pub async fn member<S: Suite>(
    env: SimEnv,
    network: Arc<Network<S>>,
    audit: Audit,
    node: NodeIndex,
    entered: Entered,
    meter: Option<Meter>,
) {
    let gauge = meter.map(|meter| Gauge::new(meter, node, network.committees.of(0)));
    loop {
        let (handle, port) = Port::new(network.submissions.room());
        let scope = env.spawner().scope("load");
        let submits = submit(env.clone(), handle, network.submissions, node, gauge.clone());
        drop(scope.spawn("submit", submits)); // the scope owns it
        let here = Arc::new(AtomicU64::new(0));
        let calendar = Calendar {
            env: env.clone(),
            network: network.clone(),
            audit: audit.clone(),
            node,
            entered: entered.clone(),
            here: here.clone(),
        };
        let consumer = Auditor::new(env.clone(), audit.clone(), gauge.clone());
        let failure = env::select! {
            ended = run(env.clone(), calendar, consumer, port, None) => match ended {
                Ok(()) => return,
                Err(failure) => Some(failure),
            },
            () = left_behind(&env, &audit, &here), if network.committees.epochs() > 1 => None,
        };
        scope.cancel().await;
        match failure {
            Some(failure) => env::event!(env, "member_failed", failure_code(&failure), node as u64),
            None => env::event!(env, "left_behind", here.load(Ordering::Relaxed), node as u64),
        }
        // Whoever looks after it starts it again.
        env.clock().sleep(RESTART_PAUSE).await;
    }
}

/// Completes when all that a member could still learn of its epoch is gone.
async fn left_behind(env: &SimEnv, audit: &Audit, here: &AtomicU64) {
    let mut looks = 0;
    while looks < LOOKS {
        env.clock().sleep(LOOK).await;
        let is_old = audit.open() > here.load(Ordering::Relaxed) + 1;
        looks = if is_old { looks + 1 } else { 0 };
    }
}

/// What a node does after each epoch.
struct Calendar<S: Suite> {
    env: SimEnv,
    network: Arc<Network<S>>,
    audit: Audit,
    node: NodeIndex,
    entered: Entered,
    /// The epoch that it is in.
    here: Arc<AtomicU64>,
}

impl<S: Suite> Calendar<S> {
    /// Waits for the next epoch, from `epoch` on, of which the node is a member.
    async fn wait(&self, mut epoch: u64) -> u64 {
        loop {
            self.here.store(epoch, Ordering::Relaxed);
            if self.network.committees.index(epoch, self.node).is_some() {
                return epoch;
            }
            while self.audit.open() <= epoch {
                self.env.clock().sleep(LOOK).await;
            }
            epoch += 1;
        }
    }
}

impl<S: Suite> Schedule<S> for Calendar<S> {
    async fn next(&mut self, port: Port, closed: Option<Closed>) -> Next<S> {
        let first = match closed {
            Some(closed) => closed.epoch.get() + 1,
            // What has been over for longer is not needed any more.
            None => self.audit.open().saturating_sub(1),
        };
        let epoch = self.wait(first).await;
        while !self.entered.has(epoch) {
            match prepare(&self.env, Epoch::new(epoch)).await {
                Ok(()) => self.entered.add(epoch),
                Err(_) => self.env.clock().sleep(RESTART_PAUSE).await,
            }
        }
        Next::Member(Box::new(self.network.setup(self.node, epoch, port)))
    }
}

/// What each member submits.
#[derive(Clone, Copy, Debug)]
pub struct Submissions {
    /// Bytes of each payload.
    size: usize,
    /// The time from one payload of a member to its next.
    gap: Duration,
    /// Of a fixed rate: the time from a payload of one member to that of the next member.
    stagger: Option<Duration>,
}

impl Submissions {
    /// What a scenario says.
    pub fn of(scenario: &Scenario) -> Self {
        let rate = scenario.transactions_per_second;
        let nanos = |count: u64| count.saturating_mul(1_000_000_000) / rate.max(1);
        let members = scenario.members() as u64;
        let is_rate = rate > 0;
        Self {
            size: scenario.payload,
            gap: if is_rate {
                Duration::from_nanos(nanos(members))
            } else {
                scenario.pause()
            },
            stagger: is_rate.then(|| Duration::from_nanos(nanos(1))),
        }
    }

    /// How many may be on their way to the machine.
    const fn room(self) -> usize {
        if self.stagger.is_some() { RATE_ROOM } else { ROOM }
    }
}

/// Submits payloads of their own at a steady pace. A member that is too busy, or begins again, loses one.
async fn submit(
    env: SimEnv,
    handle: Handle,
    submissions: Submissions,
    node: NodeIndex,
    gauge: Option<Gauge>,
) {
    let Submissions { size, gap, stagger } = submissions;
    let mut payload = env::Entropy::seed(env.entropy(), "load.payload").to_vec();
    payload.resize(size.max(payload.len()), 0);
    if let Some(stagger) = stagger {
        let count = u32::try_from(node).expect("a scenario has few nodes");
        return submit_at_rate(&env, &handle, payload, gap, stagger * count, gauge).await;
    }
    for number in 0u64.. {
        env.clock().sleep(gap).await;
        payload[..8].copy_from_slice(&number.to_le_bytes());
        let name = *payload.first_chunk().expect("a payload is longer than its name");
        if handle.submit(Bytes::from(payload.clone())).await.is_ok() {
            env::event!(env, "payload_queued", number, 0, &name);
        }
    }
}

/// Submits a payload whenever one is due, whether or not those before are queued: who falls behind does not submit less. Each
/// bears the time at which it was due.
async fn submit_at_rate(
    env: &SimEnv,
    handle: &Handle,
    mut payload: Vec<u8>,
    gap: Duration,
    first: Duration,
    gauge: Option<Gauge>,
) {
    let (began, began_at) = (env.clock().now(), env.instant());
    for number in 0u32.. {
        let wait = first + gap * number;
        env.clock().sleep_until(began + wait).await;
        let due = began_at.after(nanos(wait));
        payload[..4].copy_from_slice(&number.to_le_bytes());
        meter::stamp(&mut payload, due);
        let taken = handle.try_submit(Bytes::from(payload.clone())).is_ok();
        if let Some(gauge) = &gauge {
            gauge.submitted(due, taken);
        }
    }
}

/// What a member says that gives up because of its disk.
pub const DISK_FAILED: u64 = 3;

const fn failure_code(failure: &Failure) -> u64 {
    match failure {
        Failure::Setup(_) => 1,
        Failure::Forked { .. } => 2,
        Failure::Disk { .. } => DISK_FAILED,
        Failure::Network(_) => 4,
        Failure::Consumer { .. } => 5,
        Failure::Split { .. } => 6,
    }
}
