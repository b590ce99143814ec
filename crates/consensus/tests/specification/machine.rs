//! A graph of the specification, told to the parts of consensus that decide and order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use bytes::{BufMut, Bytes};
use consensus::committer::Committer;
use consensus::dag::{Dag, Resolved};
use consensus::linearizer::Chain;
use consensus::schedule::{Schedule, Swaps};
use consensus::{
    Action, Config, Core, Event, Member, Members, Now, Pace, Production, Restored, Rules, SignedBlock, Signer,
};
use crypto::{
    BlsPublicKey, BlsSecretKey, Digest, Ed25519PublicKey, Ed25519Scheme, Ed25519SecretKey, Scheme, Verified,
};
use rand::Rng;
use rand::rngs::StdRng;
use testkit::rule::{Block, Decision, Graph, Rule, Slot, SubDag};
use types::block::block_message;
use types::{
    AuthorityIndex, BlockHeader, BlockRef, ChainId, Commit, Epoch, Mono, Round, UnixMillis, VotingPower,
};

/// One key for everybody.
static KEYS: LazyLock<(Ed25519PublicKey, BlsPublicKey)> = LazyLock::new(|| {
    let block_key = Ed25519SecretKey::from_seed(&[1; 32]).public();
    (block_key, BlsSecretKey::from_seed(&[1; 32]).public())
});

/// Members with these stakes.
pub fn members(stakes: &[u16]) -> Arc<Members<Production>> {
    let member = |stake: &u16| Member {
        power: VotingPower::new(*stake),
        block_key: KEYS.0.clone(),
        beacon_key: KEYS.1.clone(),
    };
    let members = Members::new(Epoch::new(1), stakes.iter().map(member).collect());
    Arc::new(members.expect("stakes that sum to all power"))
}

/// The rules of an epoch whose leaders follow from `seed`, and whose blocks have no share of the beacon.
pub fn rules(seed: u64, slots: usize, gc_depth: u32, start_ms: u64) -> Rules {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Rules {
        seed: bytes,
        leaders_per_round: u16::try_from(slots).expect("few slots"),
        gc_depth,
        beacon_stride: u32::MAX,
        ..Rules::new(
            ChainId::new(Digest::of(b"specification")),
            Epoch::new(1),
            UnixMillis::new(start_ms),
        )
    }
}

/// The leaders of rounds 1 to `rounds`.
pub fn leaders(rules: &Rules, members: &Arc<Members<Production>>, rounds: u32) -> Vec<Vec<usize>> {
    let mut schedule = Schedule::new(rules, members.clone(), Swaps::default());
    let mut row = |round| {
        let row = schedule.leaders(Round::new(round)).iter();
        row.map(|author| usize::from(author.get())).collect()
    };
    (1..=rounds).map(&mut row).collect()
}

/// Finds seeds whose leaders are those of a table.
pub struct Seeds {
    members: Arc<Members<Production>>,
    slots: usize,
    known: BTreeMap<Vec<Vec<usize>>, u64>,
    next: BTreeMap<usize, u64>,
}

impl Seeds {
    /// For a committee.
    pub fn new(members: Arc<Members<Production>>, slots: usize) -> Self {
        Self {
            members,
            slots,
            known: BTreeMap::new(),
            next: BTreeMap::new(),
        }
    }

    /// A seed for the leaders of the first rounds.
    pub fn find(&mut self, table: &[Vec<usize>]) -> u64 {
        let rounds = u32::try_from(table.len()).expect("few rounds");
        let next = self.next.entry(table.len()).or_default();
        while !self.known.contains_key(table) {
            let found = leaders(&rules(*next, self.slots, 60, 0), &self.members, rounds);
            self.known.entry(found).or_insert(*next);
            *next += 1;
        }
        self.known[table]
    }
}

/// The blocks of a graph as consensus reads them.
pub struct Blocks {
    names: Vec<BlockRef>,
    /// None for genesis.
    decoded: Vec<Option<SignedBlock<Production>>>,
    numbers: BTreeMap<BlockRef, usize>,
}

impl Blocks {
    /// Lays the blocks out in full, and gives the graph the digests that they have so.
    pub fn lay_out(graph: &mut Graph, rules: &Rules, members: &Members<Production>) -> Self {
        let mut names: Vec<BlockRef> = Vec::new();
        let mut decoded = Vec::new();
        for number in 0..graph.blocks().len() {
            let block = &graph.blocks()[number];
            let author = index(block.author);
            let read = (block.round > 0).then(|| {
                let mut parents: Vec<BlockRef> = block.parents.iter().map(|&parent| names[parent]).collect();
                parents.sort_by_key(|parent| (parent.author != author, parent.author));
                let frame = frame(rules, block, &parents);
                let read = SignedBlock::decode(&frame, rules, members);
                read.unwrap_or_else(|error| panic!("block {number}: {error}"))
            });
            let name = match &read {
                Some(block) => block.reference(),
                None => BlockHeader::genesis(rules.epoch, author, rules.start).reference(),
            };
            graph.set_digest(number, *name.digest.get().as_bytes());
            names.push(name);
            decoded.push(read);
        }
        let numbers = names.iter().copied().zip(0..).collect();
        Self {
            names,
            decoded,
            numbers,
        }
    }

    /// A commit in the words of the specification.
    fn number(&self, commit: &Commit) -> SubDag {
        SubDag {
            leader: self.numbers[&commit.leader],
            blocks: commit.blocks.iter().map(|name| self.numbers[name]).collect(),
            timestamp_ms: commit.timestamp.get(),
        }
    }
}

/// A block in full, as the doc of `consensus::wire` says. Its payload is its digest in the graph, which tells twins with
/// the same parents apart.
fn frame(rules: &Rules, block: &Block, parents: &[BlockRef]) -> Bytes {
    let mut out = vec![1];
    out.put_u64_le(rules.epoch.get());
    out.put_u32_le(block.round);
    out.put_u16_le(index(block.author).get());
    out.put_u64_le(block.timestamp_ms);
    out.extend_from_slice(&[0; SIGNATURE.end - SIGNATURE.start]); // checked only in what `sign` gives back
    out.extend_from_slice(&[0, 0]); // no vote and no share of the beacon
    out.put_u16_le(u16::try_from(parents.len()).expect("one parent of each author"));
    for parent in parents {
        out.put_u32_le(parent.round.get());
        out.put_u16_le(parent.author.get());
        out.extend_from_slice(parent.digest.get().as_bytes());
    }
    out.put_u32_le(1);
    out.put_u32_le(32);
    out.extend_from_slice(&block.digest);
    out.into()
}

/// Where the signature stands in a frame in full.
const SIGNATURE: Range<usize> = 23..87;

/// A block with its author's signature.
pub fn sign(
    block: &SignedBlock<Production>,
    rules: &Rules,
    members: &Members<Production>,
) -> Verified<SignedBlock<Production>> {
    let secret = Ed25519SecretKey::from_seed(&[1; 32]);
    let message = block_message(rules.chain, block.reference().digest);
    let signature = <Ed25519Scheme as Scheme>::sign(&secret, &message);
    let mut frame = block.frame().to_vec();
    frame[SIGNATURE].copy_from_slice(signature.as_ref());
    let signed = SignedBlock::decode(&frame.into(), rules, members).expect("it was decoded before");
    signed.verify(members).expect("it was just signed")
}

/// What a member delivers that makes no blocks and hears these, each of them three times: in any order, for it holds
/// those that come before their parents, and takes no second block of a slot before another block has named it.
pub fn listen(
    blocks: &Blocks,
    order: &[usize],
    rules: &Rules,
    members: &Arc<Members<Production>>,
) -> Vec<SubDag> {
    let last = members.indices().next_back().expect("there are members");
    let config = Config {
        rules: rules.clone(),
        pace: Pace::default(),
        members: members.clone(),
        signer: Signer {
            index: last,
            block: Ed25519SecretKey::from_seed(&[1; 32]),
            beacon: BlsSecretKey::from_seed(&[1; 32]),
        },
    };
    let now = Now {
        mono: Mono::ZERO,
        wall: UnixMillis::new(1 << 40),
    };
    // Without a marker it asks what it has signed before, and signs nothing while nobody answers.
    let (mut core, mut actions) = Core::new(config, Restored::default(), now).expect("an empty store");
    for &number in order.iter().cycle().take(3 * order.len()) {
        let block = blocks.decoded[number]
            .as_ref()
            .expect("orders are without genesis");
        let event = Event::Block {
            from: block.reference().author,
            block: sign(block, rules, members),
        };
        actions.extend(core.handle(now, event));
    }
    let delivered = actions.into_iter().filter_map(|action| match action {
        Action::Deliver(sub_dag) => Some(blocks.number(&sub_dag.commit)),
        _ => None,
    });
    delivered.collect()
}

fn index(author: usize) -> AuthorityIndex {
    let author = u16::try_from(author).expect("few authors");
    AuthorityIndex::new(author).expect("few authors")
}

/// All blocks but genesis in an order in which parents come first, drawn at random.
pub fn some_order(graph: &Graph, drawn: &mut StdRng) -> Vec<usize> {
    let mut open = vec![0; graph.blocks().len()];
    let mut children = vec![Vec::new(); graph.blocks().len()];
    for (number, block) in graph.blocks().iter().enumerate() {
        open[number] = block.parents.len();
        for &parent in &block.parents {
            children[parent].push(number);
        }
    }
    let mut ready: Vec<usize> = (0..graph.stakes().len()).collect();
    let mut order = Vec::new();
    while !ready.is_empty() {
        let number = ready.swap_remove(drawn.gen_range(0..ready.len()));
        if graph.blocks()[number].round > 0 {
            order.push(number);
        }
        for &child in &children[number] {
            open[child] -= 1;
            if open[child] == 0 {
                ready.push(child);
            }
        }
    }
    order
}

/// What consensus decides and orders when it hears the blocks in this order, deciding after each.
pub fn run(
    blocks: &Blocks,
    order: &[usize],
    rules: &Rules,
    members: &Arc<Members<Production>>,
) -> (Vec<Decision>, Vec<SubDag>) {
    let mut dag = Dag::new(rules, members.clone(), Round::ZERO);
    let mut schedule = Schedule::new(rules, members.clone(), Swaps::default());
    let mut committer = Committer::new(members.clone(), Round::new(1), 0);
    let mut chain = Chain::new(rules);
    let (mut decisions, mut sub_dags) = (Vec::new(), Vec::new());
    for &number in order {
        let name = blocks.names[number];
        if name.round <= dag.floor() {
            continue;
        }
        let block = blocks.decoded[number]
            .clone()
            .expect("orders are without genesis");
        let Resolved::Parents(parents) = dag.resolve(&block) else {
            panic!("the parents of block {number} came before it");
        };
        let place = dag.insert(block, &parents);
        let vertex = dag.at(name.round, place).expect("it was just inserted");
        committer.observe(vertex, place, &mut schedule);
        while let Some(decision) = committer.decide(&dag) {
            decisions.push(Decision {
                slot: Slot {
                    round: decision.slot.round.get(),
                    offset: decision.offset.into(),
                },
                block: decision.block.map(|name| blocks.numbers[&name]),
            });
            let Some(leader) = decision.block else { continue };
            let (sub_dag, _) = chain.commit(&leader, &mut dag, rules, members);
            sub_dags.push(blocks.number(&sub_dag.commit));
            dag.raise(chain.floor);
        }
    }
    (decisions, sub_dags)
}

/// What the specification decides and orders.
pub fn specified(graph: &Graph, rule: &Rule) -> (Vec<Decision>, Vec<SubDag>) {
    let decisions = testkit::rule::decide(graph, rule).expect("no more equivocate than may");
    let sub_dags = testkit::rule::linearize(graph, rule, &decisions);
    (decisions, sub_dags)
}
