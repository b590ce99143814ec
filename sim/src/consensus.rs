//! The load of consensus: every node is a member, its program is the driver that ships, and payloads come at a steady pace.
//!
//! With several epochs, the nodes take turns at resting: each committee is another one, and who rests or is late learns from
//! the `Audit` which epoch it is, as it would from a ledger.
//!
//! Modules in reading order: [`committees`], who is a member when; `audit`, what is ordered; `member`, what a node runs;
//! `byzantine`, what it may do instead; `oracles`, what is promised; [`dag`], the blocks of a trace; [`compare`], other commit
//! rules on them.

mod audit;
mod byzantine;
pub mod committees;
pub mod compare;
pub mod dag;
pub mod measure;
mod member;
pub mod meter;
mod oracles;
mod rounds;
pub mod traffic;

use std::sync::Arc;
use std::time::Duration;

use consensus::block::beacon_message;
use consensus::linearizer::next_beacon;
use consensus::{Member, Members, Pace, Rules, Suite};
use crypto::{Digest, Scheme};
use env::PeerAddress;
use node::consensus::{Mode, Peer, Port, Secrets, Setup, Start};
use types::{AuthorityIndex, ChainId, Epoch, PeerId, UnixMillis, VotingPower};

use self::audit::Audit;
pub use self::byzantine::{TWIN, strategies};
use self::committees::Committees;
use self::member::{Entered, Submissions, member};
use self::meter::Meter;
pub use self::oracles::oracles;
use crate::clock::WALL_EPOCH_MS;
use crate::draw::{Domain, Seed};
use crate::scenario::Scenario;
use crate::scheme::SimScheme;
use crate::world::{NodeIndex, NodeSpec};

/// Cheap signatures for blocks and for the beacon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimSuite;

impl Suite for SimSuite {
    type Block = SimScheme;
    type Beacon = SimScheme;
}

/// What all nodes of a network know.
struct Network<S: Suite> {
    seed: Seed,
    nodes: usize,
    committees: Committees,
    /// By epoch.
    rules: Vec<Rules>,
    /// By epoch.
    members: Vec<Arc<Members<S>>>,
    pace: Pace,
    submissions: Submissions,
}

impl<S: Suite> Network<S> {
    fn new(seed: Seed, scenario: &Scenario) -> Self {
        let committees = Committees::new(seed, scenario);
        let members = |epoch| Arc::new(members_of(seed, epoch, committees.of(epoch)));
        Self {
            seed,
            nodes: scenario.nodes,
            rules: (0..committees.epochs())
                .map(|epoch| rules_of(seed, scenario, epoch))
                .collect(),
            members: (0..committees.epochs()).map(members).collect(),
            pace: pace(scenario),
            submissions: Submissions::of(scenario),
            committees,
        }
    }

    /// The members of an epoch as `node` knows them. One half of the nodes knows the first of each pair of twins, to which
    /// those first ones belong, and the other half the second.
    fn peers(&self, node: NodeIndex, epoch: u64) -> Vec<Peer> {
        let size = self.committees.members();
        let twins = self.nodes - size;
        let is_other_half = node >= size || (node >= twins && node % 2 == 1);
        let peer = |(place, (member, _)): (usize, &(NodeIndex, u64))| {
            let known = if is_other_half && *member < twins {
                size + member
            } else {
                *member
            };
            Peer {
                index: index(place),
                address: PeerAddress {
                    id: id(self.seed, known),
                    address: String::new(),
                },
            }
        };
        self.committees.of(epoch).iter().enumerate().map(peer).collect()
    }

    /// What a node takes part in an epoch with.
    ///
    /// # Panics
    /// When it is no member.
    fn setup(&self, node: NodeIndex, epoch: u64, port: Port) -> Setup<S> {
        let number = usize::try_from(epoch).expect("there are few epochs");
        let member = member_of(node, self.committees.members());
        Setup {
            rules: self.rules[number].clone(),
            pace: self.pace.clone(),
            members: self.members[number].clone(),
            index: self.committees.index(epoch, node).expect("a member takes part"),
            secrets: Secrets {
                block: identity(self.seed, member, 1),
                beacon: identity(self.seed, member, 2),
            },
            peers: self.peers(node, epoch),
            start: Start::Resume,
            mode: Mode::Durable,
            port,
        }
    }
}

/// Which member a node is. The last nodes may be twins of the first ones: they have no stake of their own.
fn member_of(node: NodeIndex, members: usize) -> NodeIndex {
    if node < members { node } else { node - members }
}

/// The members of the first epoch, by the stakes of the nodes; a node without stake is a twin.
fn members<S: Suite>(seed: Seed, stakes: &[u64]) -> Members<S> {
    let with_stake = stakes.iter().take_while(|stake| **stake > 0);
    let committee: Vec<_> = with_stake.copied().enumerate().collect();
    members_of(seed, 0, &committee)
}

/// The members of an epoch.
fn members_of<S: Suite>(seed: Seed, epoch: u64, committee: &[(NodeIndex, u64)]) -> Members<S> {
    let members = committee.iter().map(|(node, stake)| {
        let secret = |kind| identity(seed, *node, kind);
        Member::<S> {
            power: power(*stake),
            block_key: <S::Block as Scheme>::public(&<S::Block as Scheme>::secret(&secret(1))),
            beacon_key: <S::Beacon as Scheme>::public(&<S::Beacon as Scheme>::secret(&secret(2))),
        }
    });
    let members = Members::new(Epoch::new(epoch), members.collect());
    members.expect("a scenario's members have all the power")
}

/// The nodes of the load.
pub fn build(seed: Seed, scenario: &Scenario) -> Vec<NodeSpec> {
    build_with::<SimSuite>(seed, scenario)
}

/// As [`build`], with the signatures of suite `S`.
pub fn build_with<S: Suite>(seed: Seed, scenario: &Scenario) -> Vec<NodeSpec> {
    build_measured::<S>(seed, scenario, None)
}

/// As [`build_with`], with a meter that hears of what is delivered.
pub fn build_measured<S: Suite>(seed: Seed, scenario: &Scenario, meter: Option<&Meter>) -> Vec<NodeSpec> {
    let network = Arc::new(Network::<S>::new(seed, scenario));
    let audit = {
        let network = network.clone();
        let beacon = move |rules: &Rules, before: &Digest, author: AuthorityIndex, round| {
            let author = u64::from(author.get());
            let leader = network.committees.node(rules.epoch.get(), author);
            let leader = leader.expect("who leads is a member");
            let secret = <S::Beacon as Scheme>::secret(&identity(seed, leader, 2));
            let message = beacon_message(rules.chain, rules.epoch, round);
            next_beacon(before, <S::Beacon as Scheme>::sign(&secret, &message).as_ref())
        };
        let rules = (0..scenario.epochs.max(1)).map(|epoch| rules_of(seed, scenario, epoch));
        Audit::new(rules, Arc::new(beacon))
    };
    let specs = (0..scenario.nodes).map(|node| {
        let (network, audit, entered) = (network.clone(), audit.clone(), Entered::default());
        let meter = meter.cloned();
        NodeSpec {
            name: format!("n{node}"),
            id: id(seed, node),
            program: Arc::new(move |env| {
                let (network, audit, entered) = (network.clone(), audit.clone(), entered.clone());
                Box::pin(member(env, network, audit, node, entered, meter.clone()))
            }),
        }
    });
    specs.collect()
}

/// What [`Rules::new`] has.
const SHIPPED_DEPTH: u64 = 60;

/// Rounds below the latest committed leader that can still be ordered.
const fn gc_depth(scenario: &Scenario) -> u64 {
    match scenario.gc_depth {
        0 if scenario.shipped => SHIPPED_DEPTH,
        0 => 40,
        depth => depth,
    }
}

/// The rules of a run of one epoch.
fn rules(seed: Seed, scenario: &Scenario) -> Rules {
    let chain = ChainId::new(Digest::of(&identity(seed, 0, 3)));
    let mut rules = Rules::new(chain, Epoch::new(0), UnixMillis::new(0));
    rules.seed = identity(seed, 0, 4);
    if !scenario.shipped {
        // Few enough that runs of a minute have several schedules and beacons.
        rules.commits_per_schedule = 50;
        rules.beacon_stride = 8;
    }
    if scenario.leaders_per_round > 0 {
        let leaders = u16::try_from(scenario.leaders_per_round);
        rules.leaders_per_round = leaders.expect("a scenario has few leaders");
    }
    rules.gc_depth = u32::try_from(gc_depth(scenario)).expect("a scenario's floor is few rounds below");
    rules
}

/// The rules of an epoch.
fn rules_of(seed: Seed, scenario: &Scenario, epoch: u64) -> Rules {
    let start = |epoch: u64| UnixMillis::new(WALL_EPOCH_MS + epoch * scenario.epoch_ms);
    let mut rules = rules(seed, scenario);
    rules.epoch = Epoch::new(epoch);
    if epoch > 0 {
        rules.start = start(epoch);
    }
    if epoch + 1 < scenario.epochs {
        rules.end = Some(start(epoch + 1));
    }
    rules
}

fn pace(scenario: &Scenario) -> Pace {
    let pause = scenario.pause();
    let usual = Pace::default();
    let mut pace = if scenario.shipped {
        usual
    } else {
        Pace {
            leader_timeout: Duration::from_millis(250) + pause,
            min_round: pause,
            idle_round: pause.max(Duration::from_millis(100)),
            commit_lag: 20,
            ..usual
        }
    };
    if scenario.leader_timeout_ms > 0 {
        pace.leader_timeout = Duration::from_millis(scenario.leader_timeout_ms);
    }
    if scenario.min_round_ms > 0 {
        pace.min_round = Duration::from_millis(scenario.min_round_ms);
        pace.idle_round = pace.idle_round.max(pace.min_round);
    }
    pace
}

fn power(stake: u64) -> VotingPower {
    VotingPower::new(u16::try_from(stake).expect("a scenario's stakes are shares of 10,000"))
}

/// The index of a place in a committee.
fn index(place: usize) -> AuthorityIndex {
    let number = u16::try_from(place).ok();
    number
        .and_then(AuthorityIndex::new)
        .expect("a scenario has no more nodes than a committee has places")
}

fn id(seed: Seed, node: NodeIndex) -> PeerId {
    PeerId::new(identity(seed, node, 0))
}

fn identity(seed: Seed, node: NodeIndex, kind: u64) -> [u8; 32] {
    let mut draw = seed.draw(Domain::Identity, node as u64, kind, 0);
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&draw.bits().to_le_bytes());
    }
    bytes
}
