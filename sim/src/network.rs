//! The network: directed links that delay, lose and hold back packets, and above them the sessions, messages,
//! requests and streams that [`env::Network`] promises.
//!
//! A packet passes, in this order: the adversary, if its sender is Byzantine, the link's block (partition), its queue (bandwidth), its accidents (loss,
//! corruption, duplication, extra delay), its latency. What a real transport would send again after a loss comes
//! later instead; what it would not (a dial, a ping) is gone. A session ends only by its idle limit, or by a reset
//! that crossed the network.

mod handle;
mod link;
mod packet;
mod session;
mod stream;
mod tamper;
mod tap;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use env::NetworkError;
use env::sync::watch;
use serde::{Deserialize, Serialize};
use types::PeerId;

use self::handle::ListenerState;
pub use self::handle::{SimListener, SimNetwork, SimReply};
pub(crate) use self::link::Link;
pub use self::link::{LinkFault, LinkProfile};
pub(crate) use self::packet::{Body, Packet};
pub(crate) use self::session::Session;
pub(crate) use self::stream::StreamEnd;
pub use self::stream::{SimStream, SimStreamReceiver, SimStreamSender};
pub use self::tamper::MAX_TAMPERED;
pub use self::tap::{Sent, Tap};
use crate::time::VirtualTime;
use crate::world::NodeIndex;

/// The network of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetConfig {
    /// Region of each node, by number modulo the length.
    pub regions: Vec<usize>,
    /// Links from region to region, row by row.
    pub links: Vec<Vec<LinkProfile>>,
    /// What each node sends at most, in bytes per second.
    pub egress_bytes_per_second: u64,
    /// A session that hears nothing for so long is dead.
    pub idle_ms: u64,
    /// A session that sent nothing for so long pings.
    pub keepalive_ms: u64,
    /// What a lost packet costs before it is sent again; doubles with each loss.
    pub retransmit_ms: u64,
}

impl NetConfig {
    /// Every node in one region with these links.
    pub fn uniform(profile: LinkProfile) -> Self {
        Self {
            regions: vec![0],
            links: vec![vec![profile]],
            egress_bytes_per_second: 1_250_000_000,
            idle_ms: 10_000,
            keepalive_ms: 2_000,
            retransmit_ms: 200,
        }
    }

    /// Machines of one room.
    pub fn lan() -> Self {
        Self::uniform(LinkProfile {
            latency_us: 100,
            jitter_us: 100,
            ..LinkProfile::default()
        })
    }

    /// The link between two nodes before any fault.
    pub(crate) fn profile(&self, from: NodeIndex, to: NodeIndex) -> LinkProfile {
        let region = |node: NodeIndex| self.regions[node % self.regions.len()];
        self.links[region(from)][region(to)].clone()
    }
}

/// Something that is going to happen in the network.
pub(crate) enum NetEvent {
    /// A packet arrives.
    Arrive(Packet),
    /// A packet leaves that its sender held back.
    Leave {
        packet: Packet,
        /// What the sender did to it.
        cause: Option<u64>,
    },
    /// A session looks at its age: dials again, pings, or gives up.
    Tick {
        node: NodeIndex,
        peer: NodeIndex,
        incarnation: u32,
        life: u64,
    },
}

/// The whole network.
pub(crate) struct Net {
    pub config: NetConfig,
    pub ids: Vec<PeerId>,
    pub index: BTreeMap<PeerId, NodeIndex>,
    pub links: Vec<Link>,
    pub ends: Vec<Endpoint>,
    /// Numbers sessions, requests and streams.
    pub next: u64,
}

/// One node's end of everything.
pub(crate) struct Endpoint {
    pub sessions: Vec<Option<Session>>,
    pub listeners: BTreeMap<u16, ListenerState>,
    pub connected: watch::Sender<Arc<BTreeSet<PeerId>>>,
    pub egress_until: VirtualTime,
}

impl Endpoint {
    fn new(nodes: usize) -> Self {
        Self {
            sessions: (0..nodes).map(|_| None).collect(),
            listeners: BTreeMap::new(),
            connected: watch::channel(Arc::default()).0,
            egress_until: VirtualTime::ZERO,
        }
    }
}

impl Net {
    pub fn new(config: NetConfig, ids: &[PeerId]) -> Self {
        let nodes = ids.len();
        let links = (0..nodes * nodes)
            .map(|link| Link::new(config.profile(link / nodes, link % nodes)))
            .collect();
        Self {
            config,
            ids: ids.to_vec(),
            index: ids.iter().enumerate().map(|(index, id)| (*id, index)).collect(),
            links,
            ends: (0..nodes).map(|_| Endpoint::new(nodes)).collect(),
            next: 0,
        }
    }

    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn link(&mut self, from: NodeIndex, to: NodeIndex) -> &mut Link {
        &mut self.links[from * self.ids.len() + to]
    }

    /// Forgets everything that node `node` had: its process is new or gone.
    pub fn forget(&mut self, node: NodeIndex) {
        let nodes = self.ids.len();
        let fresh = Endpoint::new(nodes);
        let old = std::mem::replace(&mut self.ends[node], fresh);
        // Waiting futures of the dead incarnation hold wakers and channels; dropping them wakes nobody alive.
        drop(old);
    }

    pub fn session(&mut self, node: NodeIndex, peer: NodeIndex) -> Option<&mut Session> {
        self.ends[node].sessions[peer].as_mut()
    }

    pub fn peer(&self, id: PeerId) -> Result<NodeIndex, NetworkError> {
        self.index
            .get(&id)
            .copied()
            .ok_or(NetworkError::UnknownPeer { peer: id })
    }
}

/// A bounded queue of each peer, served in turn.
pub(crate) struct FairQueue<T> {
    /// By peer. Empty ones stay, with their memory.
    queues: Vec<VecDeque<T>>,
    last: NodeIndex,
    items: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            last: 0,
            items: 0,
        }
    }
}

impl<T> FairQueue<T> {
    pub fn push(&mut self, peer: NodeIndex, item: T) {
        if peer >= self.queues.len() {
            self.queues.resize_with(peer + 1, VecDeque::new);
        }
        self.queues[peer].push_back(item);
        self.items += 1;
    }

    /// How many items one peer has.
    pub fn waiting(&self, peer: NodeIndex) -> usize {
        self.queues.get(peer).map_or(0, VecDeque::len)
    }

    /// The oldest item of the next peer that has one.
    pub fn pop(&mut self) -> Option<(NodeIndex, T)> {
        if self.items == 0 {
            return None;
        }
        let mut turns = (self.last + 1..self.queues.len()).chain(0..=self.last);
        let peer = turns.find(|peer| !self.queues[*peer].is_empty());
        let peer = peer.expect("an item is in some queue");
        let item = self.queues[peer].pop_front().expect("a queue that is not empty");
        self.items -= 1;
        self.last = peer;
        Some((peer, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_peer_does_not_starve_the_others() {
        let mut queue = FairQueue::default();
        for item in 0..3 {
            queue.push(5, item);
        }
        queue.push(9, 10);
        queue.push(2, 20);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [(2, 20), (5, 0), (9, 10), (5, 1), (5, 2)]);
    }
}
