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

use super::Network;
use super::audit::{Audit, Auditor};
use crate::handle::SimEnv;
use crate::world::NodeIndex;

/// Payloads on their way to a member's machine.
const ROOM: usize = 64;
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
) {
    loop {
        let (handle, port) = Port::new(ROOM);
        let scope = env.spawner().scope("load");
        let submits = submit(env.clone(), handle, network.payload, network.gap);
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
        let consumer = Auditor::new(env.clone(), audit.clone());
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

/// Submits payloads of their own at a steady pace. A member that is too busy, or begins again, loses one.
async fn submit(env: SimEnv, handle: Handle, size: usize, gap: Duration) {
    let mut payload = env::Entropy::seed(env.entropy(), "load.payload").to_vec();
    payload.resize(size.max(payload.len()), 0);
    for number in 0u64.. {
        env.clock().sleep(gap).await;
        payload[..8].copy_from_slice(&number.to_le_bytes());
        let name = *payload.first_chunk().expect("a payload is longer than its name");
        if handle.submit(Bytes::from(payload.clone())).await.is_ok() {
            env::event!(env, "payload_queued", number, 0, &name);
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
