//! The members, from start to end.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};
use consensus::{Member, Members, Pace, Production, Rules};
use crypto::{BlsScheme, Digest, Ed25519SecretKey, Scheme};
use env::{Env, Network, PeerAddress, Scope, Spawner};
use node::consensus::{Failure, Handle, Mode, Peer, Port, Secrets, Setup, Start, run};
use runtime::{Config, NoBlobs, RedbStorage, Runtime};
use tempfile::TempDir;
use types::{AuthorityIndex, ChainId, Epoch, UnixMillis, VotingPower};

use super::Arguments;
use super::counter::{Counter, Delivered};
use super::load::{Load, Mark, Offer, Target};
use crate::sim::workload::processor_times;

type World = Runtime<RedbStorage, NoBlobs>;

/// Transactions on their way to a machine.
const ROOM: usize = 4_096;
/// How long the first commit, and the last one after the load has ended, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A committee that runs.
pub struct Committee {
    nodes: Vec<Node>,
    load: Load,
    failures: env::sync::mpsc::Receiver<(u16, Failure)>,
    start: Instant,
}

struct Node {
    world: World,
    handle: Handle,
    delivered: Arc<Delivered>,
    /// Ends its tasks when it is dropped.
    _scope: <<World as Env>::Spawner as Spawner>::Scope,
    _folder: TempDir,
}

/// Where a committee stands: sums since its start, and latencies since the last sample.
pub struct Sample {
    pub at: Duration,
    pub members: usize,
    /// Transactions that members were given, of all members together.
    pub delivered: u64,
    pub refused: u64,
    pub round: u64,
    pub commit: u64,
    pub spent: Duration,
    pub kernel: Duration,
    pub load: Duration,
    pub latencies_us: Vec<u32>,
}

fn seed(member: u16, kind: u8) -> [u8; 32] {
    let mut seed = [kind; 32];
    seed[..2].copy_from_slice(&member.to_le_bytes());
    seed
}

impl Committee {
    /// Starts all members and waits for their first commit.
    pub async fn start(arguments: &Arguments) -> anyhow::Result<Self> {
        let count = arguments.nodes;
        ensure!((1..=1_000).contains(&count), "1 to 1000 members");
        ensure!(
            arguments.bytes >= Mark::BYTES,
            "a transaction has {} bytes at least",
            Mark::BYTES
        );
        let chain = Digest::of(b"soma-bench");
        let folders: Vec<TempDir> = (0..count).map(|_| TempDir::new()).collect::<Result<_, _>>()?;
        let mut worlds = Vec::new();
        for (member, folder) in (0..count).zip(&folders) {
            let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let data = folder.path().to_owned();
            let config = Config::new(seed(member, 0), listen, chain.as_bytes().to_vec(), data);
            worlds.push(World::start(&config, NoBlobs)?);
        }
        let index = |member| AuthorityIndex::new(member).context("there are no more members than indices");
        let mut peers = Vec::new();
        for (member, world) in (0..count).zip(&worlds) {
            let address = PeerAddress {
                id: world.network().id(),
                address: world.network().local_address()?.to_string(),
            };
            peers.push(Peer {
                index: index(member)?,
                address,
            });
        }
        let members = Arc::new(members(count)?);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let mut rules = Rules::new(
            ChainId::new(chain),
            Epoch::ZERO,
            UnixMillis::new(u64::try_from(now.as_millis())?),
        );
        rules.leaders_per_round = arguments.leaders.unwrap_or(rules.leaders_per_round);
        let mut pace = Pace::default();
        pace.min_round = arguments
            .min_round_ms
            .map_or(pace.min_round, Duration::from_millis);
        let (failed, failures) = env::sync::mpsc::channel(usize::from(count));
        let start = Instant::now();
        let mut nodes = Vec::new();
        for ((member, world), folder) in (0..count).zip(worlds).zip(folders) {
            let (handle, port) = Port::new(ROOM);
            let setup = Setup::<Production> {
                rules: rules.clone(),
                pace: pace.clone(),
                members: Arc::clone(&members),
                index: index(member)?,
                secrets: Secrets {
                    block: seed(member, 1),
                    beacon: seed(member, 2),
                },
                peers: peers.clone(),
                start: Start::Fresh,
                mode: match arguments.synced {
                    true => Mode::Durable,
                    false => Mode::Relaxed,
                },
                port,
            };
            let delivered = Arc::new(Delivered::default());
            let counter = Counter {
                maker: u64::from(member),
                start,
                delivered: Arc::clone(&delivered),
            };
            let scope = world.spawner().scope("member");
            let (env, failed) = (world.clone(), failed.clone());
            drop(scope.spawn("consensus", async move {
                if let Err(failure) = run(env, setup, counter).await {
                    // There is room for one of each member.
                    drop(failed.try_send((member, failure)));
                }
            }));
            nodes.push(Node {
                world,
                handle,
                delivered,
                _scope: scope,
                _folder: folder,
            });
        }
        let target = |node: &Node| Target {
            handle: node.handle.clone(),
            delivered: Arc::clone(&node.delivered),
        };
        let load = Load::start(nodes.iter().map(target).collect(), arguments.bytes, start);
        let mut committee = Self {
            nodes,
            load,
            failures,
            start,
        };
        let has_begun = |node: &Node| node.handle.status().commit.get() > 0;
        committee
            .wait("every member commits", |nodes| nodes.iter().all(has_begun))
            .await?;
        Ok(committee)
    }

    async fn wait(&mut self, what: &str, until: impl Fn(&[Node]) -> bool) -> anyhow::Result<()> {
        let start = Instant::now();
        while !until(&self.nodes) {
            if let Ok((member, failure)) = self.failures.try_recv() {
                return Err(failure).with_context(|| format!("member {member} fails"));
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "it took longer than {PATIENCE:?} until {what}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Offers this from now on.
    pub fn offer(&self, offer: Offer) {
        self.load.offer(offer);
    }

    /// How things stand.
    pub fn sample(&self) -> anyhow::Result<Sample> {
        let first = self.nodes.first().context("a committee has members")?;
        let status = first.handle.status();
        let lost = |node: &Node| node.handle.metrics().payloads_refused;
        let (user, kernel) = processor_times(libc::RUSAGE_SELF);
        Ok(Sample {
            at: self.start.elapsed(),
            members: self.nodes.len(),
            delivered: self.nodes.iter().map(|node| node.delivered.count()).sum(),
            refused: self.load.refused() + self.nodes.iter().map(lost).sum::<u64>(),
            round: u64::from(status.round.get()),
            commit: status.commit.get(),
            spent: user + kernel,
            kernel,
            load: self.load.spent(),
            latencies_us: self
                .nodes
                .iter()
                .flat_map(|node| node.delivered.take_latencies())
                .collect(),
        })
    }

    /// Ends the load, waits until every member has been given every transaction that was queued, and looks whether they were
    /// the same.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.load.offer(Offer::Rate(0));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let queued = |nodes: &[Node]| -> u64 {
            nodes
                .iter()
                .map(|node| node.handle.metrics().payloads_queued)
                .sum()
        };
        let is_done = |nodes: &[Node]| {
            let queued = queued(nodes);
            nodes.iter().all(|node| node.delivered.count() == queued)
        };
        let waited = self
            .wait("everything queued is delivered everywhere", is_done)
            .await;
        let counts: Vec<u64> = self.nodes.iter().map(|node| node.delivered.count()).collect();
        let queued = queued(&self.nodes);
        waited.with_context(|| format!("{queued} transactions were queued, and members have {counts:?}"))?;
        for (member, node) in self.nodes.iter().enumerate() {
            if let Some(wrong) = node.delivered.wrong() {
                bail!("member {member} was given {wrong}");
            }
            ensure!(
                node.delivered.order() == self.nodes[0].delivered.order(),
                "member {member} was given another order than member 0"
            );
            let restarts = node.handle.metrics().restarts;
            ensure!(restarts == 0, "member {member} began again {restarts} times");
        }
        println!(
            "each of {} members was given the same {queued} transactions",
            self.nodes.len()
        );
        for node in &self.nodes {
            node.world.shutdown().await;
        }
        Ok(())
    }
}

/// So many members of equal power.
fn members(count: u16) -> anyhow::Result<Members<Production>> {
    let total = VotingPower::TOTAL.get();
    let member = |member: u16| Member {
        power: VotingPower::new(total / count + u16::from(member < total % count)),
        block_key: Ed25519SecretKey::from_seed(&seed(member, 1)).public(),
        beacon_key: BlsScheme::public(&BlsScheme::secret(&seed(member, 2))),
    };
    Ok(Members::new(Epoch::ZERO, (0..count).map(member).collect())?)
}
