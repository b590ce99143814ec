//! Members go from epoch to epoch together: each at its own time, none of them twice.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use consensus::{Member, Members, Pace, Production, Rules, SubDag};
use crypto::{BlsScheme, Digest, Ed25519Scheme, Scheme};
use env::sync::watch;
use env::{Durability, Env, Network, PeerAddress, Scope, Spawner, StorageError};
use node::consensus::{Consumer, Flow, Log, Mode, Peer, Port, Secrets, Setup, Start};
use node::epochs::{self, Closed, Next, Schedule};
use runtime::storage::{Disk, Redb};
use runtime::{NoBlobs, Runtime};
use tempfile::TempDir;
use types::{AuthorityIndex, ChainId, CommitIndex, CommitRef, Epoch, UnixMillis, VotingPower};

type World = Runtime<Disk<Redb>, NoBlobs>;

const EPOCHS: u64 = 3;
/// The commit that every consumer takes for the last.
const LAST: u64 = 8;
/// The node that sits out the second epoch.
const LEAVER: u16 = 4;

/// Who is a member of an epoch: all five, but for the second.
fn seats(epoch: u64) -> Vec<u16> {
    (0..=LEAVER)
        .filter(|node| epoch != 1 || *node != LEAVER)
        .collect()
}

fn secrets(node: u16) -> Secrets {
    Secrets {
        block: [node as u8 + 1; 32],
        beacon: [node as u8 + 101; 32],
    }
}

/// What every node has closed: epoch by epoch, the commits that were said to be the last.
type Closings = watch::Sender<Vec<(u16, Closed)>>;

struct Plan {
    node: u16,
    addresses: Arc<Vec<PeerAddress>>,
    next: u64,
    closings: Arc<Closings>,
}

impl Plan {
    fn setup(&self, epoch: u64, port: Port) -> Setup<Production> {
        let seats = seats(epoch);
        let share = VotingPower::TOTAL.get() / seats.len() as u16;
        let members = seats.iter().map(|node| Member {
            power: VotingPower::new(share),
            block_key: Ed25519Scheme::public(&Ed25519Scheme::secret(&secrets(*node).block)),
            beacon_key: BlsScheme::public(&BlsScheme::secret(&secrets(*node).beacon)),
        });
        let epoch = Epoch::new(epoch);
        let index = |position: usize| {
            let index = u16::try_from(position).ok().and_then(AuthorityIndex::new);
            index.expect("few members")
        };
        let own = seats.iter().position(|node| *node == self.node);
        let peers = seats.iter().enumerate().map(|(position, node)| Peer {
            index: index(position),
            address: self.addresses[usize::from(*node)].clone(),
        });
        Setup {
            rules: Rules::new(ChainId::new(Digest::ZERO), epoch, UnixMillis::new(0)),
            pace: Pace {
                idle_round: Duration::from_millis(20),
                ..Pace::default()
            },
            members: Arc::new(Members::new(epoch, members.collect()).expect("power of 10,000")),
            index: index(own.expect("it is a member")),
            secrets: secrets(self.node),
            peers: peers.collect(),
            start: Start::Fresh,
            mode: Mode::Relaxed,
            port,
        }
    }

    async fn until(&self, wanted: impl Fn(&[(u16, Closed)]) -> bool) {
        let mut closings = self.closings.subscribe();
        drop(closings.wait_for(|closings| wanted(closings)).await);
    }
}

impl Schedule<Production> for Plan {
    async fn next(&mut self, port: Port, closed: Option<Closed>) -> Next<Production> {
        if let Some(closed) = closed {
            self.closings
                .send_modify(|closings| closings.push((self.node, closed)));
        }
        let epoch = self.next;
        self.next += 1;
        if epoch == EPOCHS {
            // Whoever is behind needs the last epoch from the others.
            let all: usize = (0..EPOCHS).map(|epoch| seats(epoch).len()).sum();
            self.until(|closings| closings.len() == all).await;
            return Next::End;
        }
        if !seats(epoch).contains(&self.node) {
            // It only serves, until the next epoch.
            self.until(|closings| closings.iter().any(|(_, closed)| closed.epoch.get() == epoch))
                .await;
            return Next::Forget(port);
        }
        Next::Member(Box::new(self.setup(epoch, port)))
    }
}

/// A log that takes a commit for the last, and remembers what it was given.
struct Counted {
    log: Log<World>,
    epoch: Epoch,
    handled: Arc<Mutex<Vec<(Epoch, CommitIndex)>>>,
}

impl Consumer for Counted {
    async fn start(&mut self, epoch: Epoch) -> Result<Option<CommitRef>, StorageError> {
        self.epoch = epoch;
        self.log.start(epoch).await
    }

    async fn handle(&mut self, commit: SubDag) -> Result<Flow, StorageError> {
        let index = commit.commit.index;
        self.handled.lock().expect("no panic").push((self.epoch, index));
        self.log.handle(commit).await?;
        Ok(if index.get() == LAST {
            Flow::Close
        } else {
            Flow::Continue
        })
    }
}

fn world(node: u16, folder: &Path) -> World {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let data = folder.join(node.to_string());
    let config = runtime::Config::new([node as u8 + 201; 32], listen, b"epochs".to_vec(), data);
    World::start(&config, NoBlobs).expect("the environment starts")
}

#[test]
fn members_close_each_epoch_with_the_same_commit_and_go_on_together() {
    let folder = TempDir::new().expect("a folder");
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("tokio starts");
    tokio.block_on(async {
        let worlds: Vec<World> = (0..=LEAVER).map(|node| world(node, folder.path())).collect();
        let address = |world: &World| PeerAddress {
            id: world.network().id(),
            address: world.network().local_address().expect("it listens").to_string(),
        };
        let addresses = Arc::new(worlds.iter().map(address).collect::<Vec<_>>());
        let closings = Arc::new(Closings::new(Vec::new()));
        let mut nodes = Vec::new();
        for (node, world) in (0..).zip(&worlds) {
            let plan = Plan {
                node,
                addresses: Arc::clone(&addresses),
                next: 0,
                closings: Arc::clone(&closings),
            };
            let handled = Arc::new(Mutex::new(Vec::new()));
            let consumer = Counted {
                log: Log::new(world.clone(), "log", Durability::Buffered),
                epoch: Epoch::ZERO,
                handled: Arc::clone(&handled),
            };
            let scope = world.spawner().scope("node");
            let (_handle, port) = Port::new(1);
            let task = scope.spawn("node", epochs::run(world.clone(), plan, consumer, port, None));
            nodes.push((scope, task, handled));
        }
        for (node, (_scope, task, handled)) in (0..).zip(nodes) {
            assert_eq!(task.await, Ok(Ok(())), "node {node}");
            let expected: Vec<_> = (0..EPOCHS)
                .filter(|epoch| seats(*epoch).contains(&node))
                .flat_map(|epoch| (1..=LAST).map(move |index| (Epoch::new(epoch), CommitIndex::new(index))))
                .collect();
            assert_eq!(*handled.lock().expect("no panic"), expected, "node {node}");
        }
        for epoch in 0..EPOCHS {
            let of_epoch = closings.borrow();
            let mut last: Vec<_> = of_epoch
                .iter()
                .filter(|(_, closed)| closed.epoch.get() == epoch)
                .map(|(_, closed)| closed.last)
                .collect();
            assert_eq!(last.len(), seats(epoch).len());
            last.dedup();
            assert_eq!(last.len(), 1, "epoch {epoch}");
        }
        for world in &worlds {
            world.shutdown().await;
        }
    });
}
