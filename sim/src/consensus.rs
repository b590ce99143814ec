//! The load of consensus: every node is a member, its program is the driver that ships, and payloads come at a steady pace.

mod audit;
mod byzantine;
mod oracles;
mod rounds;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use consensus::block::beacon_message;
use consensus::linearizer::next_beacon;
use consensus::{Member, Members, Pace, Rules, Suite};
use crypto::{Digest, Scheme};
use env::{Clock, Env, PeerAddress, Scope, Spawner};
use node::consensus::{Handle, Mode, Peer, Port, Secrets, Setup, Start, prepare, run};
use types::{AuthorityIndex, ChainId, Epoch, PeerId, UnixMillis, VotingPower};

use self::audit::{Audit, Auditor};
pub use self::byzantine::{TWIN, strategies};
pub use self::oracles::oracles;
use crate::draw::{Domain, Seed};
use crate::handle::SimEnv;
use crate::scenario::Scenario;
use crate::scheme::SimScheme;
use crate::world::NodeSpec;

/// Cheap signatures for blocks and for the beacon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimSuite;

impl Suite for SimSuite {
    type Block = SimScheme;
    type Beacon = SimScheme;
}

const EPOCH: Epoch = Epoch::new(0);
/// The pause before a member that has given up is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// Payloads on their way to a member's machine.
const ROOM: usize = 64;

/// What all members of a network know.
struct Network<S: Suite> {
    rules: Rules,
    pace: Pace,
    members: Arc<Members<S>>,
    /// The keys by which nodes know each other.
    addresses: Vec<PeerId>,
    /// Bytes of a payload.
    payload: usize,
    /// The time between two payloads of a member.
    gap: Duration,
}

impl<S: Suite> Network<S> {
    /// All members as `node` knows them. One half of the nodes knows the first of each pair of twins, to which those first
    /// ones belong, and the other half the second.
    fn peers(&self, node: usize) -> Vec<Peer> {
        let size = self.members.size();
        let twins = self.addresses.len() - size;
        let is_other_half = node >= size || (node >= twins && node % 2 == 1);
        let peer = |member| {
            let known = if is_other_half && member < twins {
                size + member
            } else {
                member
            };
            Peer {
                index: index(member),
                address: PeerAddress {
                    id: self.addresses[known],
                    address: String::new(),
                },
            }
        };
        (0..size).map(peer).collect()
    }
}

/// Which member a node is. The last nodes may be twins of the first ones: they have no stake of their own.
fn member_of(node: usize, members: usize) -> usize {
    if node < members { node } else { node - members }
}

/// The members of an epoch, by the stakes of the nodes; a node without stake is a twin.
fn members<S: Suite>(seed: Seed, stakes: &[u64]) -> Members<S> {
    let members = stakes
        .iter()
        .take_while(|stake| **stake > 0)
        .enumerate()
        .map(|(node, stake)| {
            let secret = |kind| identity(seed, node, kind);
            Member::<S> {
                power: power(*stake),
                block_key: <S::Block as Scheme>::public(&<S::Block as Scheme>::secret(&secret(1))),
                beacon_key: <S::Beacon as Scheme>::public(&<S::Beacon as Scheme>::secret(&secret(2))),
            }
        });
    Members::new(EPOCH, members.collect()).expect("a scenario's members have all the power")
}

/// The nodes of the load.
pub fn build(seed: Seed, scenario: &Scenario) -> Vec<NodeSpec> {
    build_with::<SimSuite>(seed, scenario)
}

/// As [`build`], with the signatures of suite `S`.
pub fn build_with<S: Suite>(seed: Seed, scenario: &Scenario) -> Vec<NodeSpec> {
    let (nodes, stakes) = (scenario.nodes, scenario.stakes(seed));
    let members = members::<S>(seed, &stakes);
    let size = members.size();
    let secrets = |node| Secrets {
        block: identity(seed, member_of(node, size), 1),
        beacon: identity(seed, member_of(node, size), 2),
    };
    let network = Arc::new(Network {
        rules: rules(seed, scenario),
        pace: pace(scenario),
        members: Arc::new(members),
        addresses: (0..nodes)
            .map(|node| PeerId::new(identity(seed, node, 0)))
            .collect(),
        payload: scenario.payload,
        gap: scenario.pause(),
    });
    let rules = network.rules.clone();
    let next_beacon = move |before: &Digest, author: AuthorityIndex, round| {
        let secret = <S::Beacon as Scheme>::secret(&identity(seed, usize::from(author.get()), 2));
        let message = beacon_message(rules.chain, rules.epoch, round);
        next_beacon(before, <S::Beacon as Scheme>::sign(&secret, &message).as_ref())
    };
    let audit = Audit::new(&network.rules, Arc::new(next_beacon));
    let specs = (0..nodes).map(|node| {
        let (network, audit, secrets) = (network.clone(), audit.clone(), secrets(node));
        // Whoever sets a node up knows that its keys are new; whoever starts it again does not.
        let is_new = Arc::new(AtomicBool::new(true));
        NodeSpec {
            name: format!("n{node}"),
            id: network.addresses[node],
            program: Arc::new(move |env| {
                let (network, audit, secrets) = (network.clone(), audit.clone(), secrets.clone());
                let is_new = is_new.clone();
                Box::pin(async move {
                    while is_new.load(Ordering::Relaxed) {
                        match prepare(&env, EPOCH).await {
                            Ok(()) => is_new.store(false, Ordering::Relaxed),
                            Err(_) => env.clock().sleep(RESTART_PAUSE).await,
                        }
                    }
                    member(env, network, audit, node, secrets).await;
                })
            }),
        }
    });
    specs.collect()
}

/// One incarnation of a member.
async fn member<S: Suite>(
    env: SimEnv,
    network: Arc<Network<S>>,
    audit: Audit,
    node: usize,
    secrets: Secrets,
) {
    loop {
        let (handle, port) = Port::new(ROOM);
        let setup = Setup {
            rules: network.rules.clone(),
            pace: network.pace.clone(),
            members: network.members.clone(),
            index: index(member_of(node, network.members.size())),
            secrets: secrets.clone(),
            peers: network.peers(node),
            start: Start::Resume,
            mode: Mode::Durable,
            port,
        };
        let scope = env.spawner().scope("load");
        let submits = submit(env.clone(), handle, network.payload, network.gap);
        drop(scope.spawn("submit", submits)); // the scope owns it
        let consumer = Auditor::new(env.clone(), audit.clone(), index(node));
        let Err(failure) = run(env.clone(), setup, consumer).await else {
            return;
        };
        env::event!(env, "member_failed", failure_code(&failure), node as u64);
        // Whoever looks after it starts it again.
        env.clock().sleep(RESTART_PAUSE).await;
    }
}

/// Submits payloads of their own at a steady pace. A member that is too busy, or begins again, loses one.
async fn submit(env: SimEnv, handle: Handle, size: usize, gap: Duration) {
    let salt = env::Entropy::seed(env.entropy(), "load.payload");
    for number in 0u64.. {
        env.clock().sleep(gap).await;
        let mut payload = salt.to_vec();
        payload.extend(number.to_le_bytes());
        payload.resize(size.max(payload.len()), 0);
        let _lost = handle.submit(Bytes::from(payload)).await;
    }
}

/// What a member says that gives up because of its disk.
const DISK_FAILED: u64 = 3;

const fn failure_code(failure: &node::consensus::Failure) -> u64 {
    match failure {
        node::consensus::Failure::Setup(_) => 1,
        node::consensus::Failure::Forked { .. } => 2,
        node::consensus::Failure::Disk { .. } => DISK_FAILED,
        node::consensus::Failure::Network(_) => 4,
        node::consensus::Failure::Consumer { .. } => 5,
        node::consensus::Failure::Split { .. } => 6,
    }
}

/// Rounds below the latest committed leader that can still be ordered.
const fn gc_depth(scenario: &Scenario) -> u64 {
    match scenario.gc_depth {
        0 => 40,
        depth => depth,
    }
}

fn rules(seed: Seed, scenario: &Scenario) -> Rules {
    let chain = ChainId::new(Digest::of(&identity(seed, 0, 3)));
    let mut rules = Rules::new(chain, EPOCH, UnixMillis::new(0));
    rules.seed = identity(seed, 0, 4);
    // Few enough that runs of a minute have several schedules and beacons.
    rules.commits_per_schedule = 50;
    rules.beacon_stride = 8;
    rules.gc_depth = u32::try_from(gc_depth(scenario)).expect("a scenario's floor is few rounds below");
    rules
}

fn pace(scenario: &Scenario) -> Pace {
    let pause = scenario.pause();
    Pace {
        leader_timeout: Duration::from_millis(250) + pause,
        min_round: pause,
        idle_round: pause.max(Duration::from_millis(100)),
        commit_lag: 20,
        ..Pace::default()
    }
}

fn power(stake: u64) -> VotingPower {
    VotingPower::new(u16::try_from(stake).expect("a scenario's stakes are shares of 10,000"))
}

fn index(node: usize) -> AuthorityIndex {
    let number = u16::try_from(node).ok();
    number
        .and_then(AuthorityIndex::new)
        .expect("a scenario has no more nodes than a committee has places")
}

fn identity(seed: Seed, node: usize, kind: u64) -> [u8; 32] {
    let mut draw = seed.draw(Domain::Identity, node as u64, kind, 0);
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&draw.bits().to_le_bytes());
    }
    bytes
}
