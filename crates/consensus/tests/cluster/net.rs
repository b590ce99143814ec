//! Machines, their stores, and what is under way between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::core::{Config, Core};
use consensus::restore::{COMMIT, MARKER, OWN, marker};
use consensus::{
    Action, Answer, Event, Member, Members, Now, Pace, Parents, Production, Record, Request, Restored, Rules,
    SignedBlock, Signer, Status, SubDag, Table, Unanswered,
};
use crypto::{BlsSecretKey, Ed25519SecretKey};
use types::{
    AuthorityIndex, BlockRef, Bounded, ChainId, Commit, Epoch, Mono, Round, UnixMillis, VotingPower,
};

/// What becomes of a message.
pub enum Fate {
    Lost,
    Arrives(Duration),
}

enum Message {
    Block {
        from: usize,
        to: usize,
        frame: Bytes,
    },
    Answer {
        to: usize,
        incarnation: u64,
        ask: consensus::AskId,
        answer: Result<Answer<Production>, Unanswered>,
    },
    Tick {
        to: usize,
        incarnation: u64,
    },
}

#[derive(Default)]
struct Store {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Bytes>>,
}

impl Store {
    fn write(&mut self, record: Record) {
        self.tables
            .entry(record.table)
            .or_default()
            .insert(record.key, record.value);
    }

    fn get(&self, table: Table, key: &[u8]) -> Option<Bytes> {
        self.tables.get(&table)?.get(key).cloned()
    }

    fn restored(&self) -> Restored {
        let state: Option<consensus::CommitState> = self
            .get(Table::State, COMMIT)
            .map(|bytes| types::decode(&bytes, 1 << 20).unwrap());
        let mut commits = Vec::new();
        let mut floor = Round::ZERO;
        if let Some(state) = &state {
            floor = state.floor;
            let from = consensus::restore::commit_key(state.oldest);
            let stored = self.tables[&Table::Commits].range(from..);
            commits = stored
                .map(|(_, bytes)| types::decode::<Commit>(bytes, 1 << 20).unwrap())
                .collect();
        }
        let none = BTreeMap::new();
        let blocks = self.tables.get(&Table::Blocks).unwrap_or(&none);
        Restored {
            marker: self
                .get(Table::State, MARKER)
                .map(|bytes| Round::new(u32::from_le_bytes(bytes[..].try_into().unwrap()))),
            own: self
                .get(Table::State, OWN)
                .map(|bytes| types::decode(&bytes, 64).unwrap()),
            state,
            commits,
            blocks: blocks
                .range(floor.get().to_be_bytes().to_vec()..)
                .map(|(_, frame)| frame.clone())
                .collect(),
        }
    }
}

struct Node {
    core: Core<Production>,
    store: Store,
    incarnation: u64,
    /// Own frames by round, for who comes late.
    own: BTreeMap<Round, Bytes>,
    commits: Vec<SubDag>,
    next_tick: Option<Mono>,
}

/// The machines and what is under way.
pub struct Cluster {
    nodes: Vec<Node>,
    members: Arc<Members<Production>>,
    pub rules: Rules,
    pub pace: Pace,
    now: Mono,
    events: BTreeMap<(Mono, u64), Message>,
    number: u64,
    pub fate: Box<dyn Fn(usize, usize) -> Fate>,
    made: BTreeMap<(usize, Round), BTreeSet<BlockRef>>,
}

fn index(member: usize) -> AuthorityIndex {
    AuthorityIndex::new(member as u16).unwrap()
}

fn seed(member: usize, salt: u8) -> [u8; 32] {
    let mut seed = [salt; 32];
    seed[0] = member as u8;
    seed
}

fn signer(member: usize) -> Signer<Production> {
    Signer {
        index: index(member),
        block: Ed25519SecretKey::from_seed(&seed(member, 1)),
        beacon: BlsSecretKey::from_seed(&seed(member, 2)),
    }
}

impl Cluster {
    pub fn new(size: usize) -> Self {
        Self::with(size, |_, _| ())
    }

    pub fn with(size: usize, change: impl FnOnce(&mut Rules, &mut Pace)) -> Self {
        let power = |member: usize| 10_000 / size + usize::from(member < 10_000 % size);
        let members = (0..size).map(|member| Member {
            power: VotingPower::new(power(member) as u16),
            block_key: signer(member).block.public(),
            beacon_key: signer(member).beacon.public(),
        });
        let members = Arc::new(Members::new(Epoch::new(7), members.collect()).unwrap());
        let mut rules = Rules::new(
            ChainId::new(crypto::Digest::of(b"chain")),
            Epoch::new(7),
            UnixMillis::new(1_000),
        );
        rules.commits_per_schedule = 20;
        let mut cluster = Self {
            nodes: Vec::new(),
            members,
            rules,
            pace: Pace {
                idle_round: Duration::from_millis(100),
                ..Pace::default()
            },
            now: Mono::ZERO,
            events: BTreeMap::new(),
            number: 0,
            fate: Box::new(|_, _| Fate::Arrives(Duration::from_millis(10))),
            made: BTreeMap::new(),
        };
        change(&mut cluster.rules, &mut cluster.pace);
        for member in 0..size {
            let mut store = Store::default();
            store.write(marker(Round::ZERO));
            let (core, actions) = cluster.start(member, &store);
            cluster.nodes.push(Node {
                core,
                store,
                incarnation: 0,
                own: BTreeMap::new(),
                commits: Vec::new(),
                next_tick: None,
            });
            cluster.act(member, actions);
        }
        cluster
    }

    fn start(&self, member: usize, store: &Store) -> (Core<Production>, Vec<Action<Production>>) {
        let config = Config {
            rules: self.rules.clone(),
            pace: self.pace.clone(),
            members: self.members.clone(),
            signer: signer(member),
        };
        Core::new(config, store.restored(), self.clocks()).unwrap()
    }

    fn clocks(&self) -> Now {
        Now {
            mono: self.now,
            wall: UnixMillis::new(1_000 + self.now.as_nanos() / 1_000_000),
        }
    }

    pub fn restart(&mut self, member: usize) {
        let (core, actions) = self.start(member, &self.nodes[member].store);
        let node = &mut self.nodes[member];
        node.core = core;
        node.incarnation += 1;
        node.next_tick = None;
        self.act(member, actions);
        self.subscribe(member);
    }

    pub fn wipe(&mut self, member: usize) {
        self.nodes[member].store = Store::default();
        self.nodes[member].own.clear();
        self.nodes[member].commits.clear();
        self.restart(member);
    }

    /// What the others send again when a member comes back.
    fn subscribe(&mut self, to: usize) {
        for from in (0..self.nodes.len()).filter(|from| *from != to) {
            let known = self.nodes[to].core.known(index(from));
            let frames: Vec<Bytes> = self.nodes[from]
                .own
                .range(known..)
                .map(|(_, frame)| frame.clone())
                .collect();
            for frame in frames {
                self.send(from, to, frame);
            }
        }
    }

    pub fn submit(&mut self, member: usize, payload: &[u8]) {
        self.nodes[member]
            .core
            .submit(Bytes::copy_from_slice(payload))
            .unwrap();
        let now = self.clocks();
        let actions = self.nodes[member].core.handle(now, Event::Tick);
        self.act(member, actions);
    }

    fn schedule(&mut self, at: Mono, message: Message) {
        self.number += 1;
        self.events.insert((at, self.number), message);
    }

    fn send(&mut self, from: usize, to: usize, frame: Bytes) {
        if let Fate::Arrives(after) = (self.fate)(from, to) {
            self.schedule(self.now + after, Message::Block { from, to, frame });
        }
    }

    fn act(&mut self, member: usize, actions: Vec<Action<Production>>) {
        let mut durable = Vec::new();
        for action in actions {
            match action {
                Action::Store(record) | Action::Rewrite(record) => self.nodes[member].store.write(record),
                Action::Publish { block, frame } => {
                    self.made.entry((member, block.round)).or_default().insert(block);
                    self.nodes[member].own.insert(block.round, frame.clone());
                    for to in (0..self.nodes.len().max(self.members.size())).filter(|to| *to != member) {
                        self.send(member, to, frame.clone());
                    }
                    durable.push(block);
                }
                Action::Ask {
                    id,
                    to,
                    request,
                    limit,
                } => {
                    let to = usize::from(to.get());
                    let trip = match ((self.fate)(member, to), (self.fate)(to, member)) {
                        (Fate::Arrives(there), Fate::Arrives(back)) => Some(there + back),
                        _ => None,
                    };
                    let incarnation = self.nodes.get(member).map_or(0, |node| node.incarnation);
                    let (after, answer) = match trip.filter(|trip| *trip < limit) {
                        Some(trip) => (trip, self.serve(member, to, &request)),
                        None => (limit, Err(Unanswered::Silent)),
                    };
                    self.schedule(
                        self.now + after,
                        Message::Answer {
                            to: member,
                            incarnation,
                            ask: id,
                            answer,
                        },
                    );
                }
                Action::Deliver(dag) => self.nodes[member].commits.push(dag),
                Action::Blame { .. } | Action::Closed => {}
                Action::Accuse(_) => panic!("nobody equivocates here"),
                Action::Forked { .. } => panic!("nobody forks here"),
            }
        }
        for block in durable {
            let now = self.clocks();
            let actions = self.nodes[member].core.handle(now, Event::Durable { block });
            self.act(member, actions);
        }
        self.set_timer(member);
    }

    fn set_timer(&mut self, member: usize) {
        let node = &mut self.nodes[member];
        let due = node.core.deadline().map(|due| due.max(self.now));
        if due != node.next_tick {
            node.next_tick = due;
            let incarnation = node.incarnation;
            if let Some(due) = due {
                self.schedule(
                    due,
                    Message::Tick {
                        to: member,
                        incarnation,
                    },
                );
            }
        }
    }

    fn serve(&self, asker: usize, asked: usize, request: &Request) -> Result<Answer<Production>, Unanswered> {
        let node = &self.nodes[asked];
        let bytes = match request {
            Request::Blocks { names, slots } => {
                let of_slots = slots.iter().flat_map(|slot| node.core.names(*slot));
                let frames = names
                    .iter()
                    .copied()
                    .chain(of_slots)
                    .filter_map(|name| node.core.frame(&name));
                types::encode(&Bounded::<Bytes, 256>::new(frames.collect()).unwrap())
            }
            Request::Latest => match node.core.latest(index(asker)) {
                Some(answer) => types::encode(&answer),
                None => return Err(Unanswered::Silent),
            },
            Request::Commits { .. } => return Err(Unanswered::Silent),
        };
        let answer = Answer::decode(
            &bytes,
            request,
            index(asked),
            index(asker),
            &self.rules,
            &self.members,
        );
        answer.map_err(|error| panic!("{error}"))
    }

    pub fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, _), message) = entry.remove_entry();
            self.now = at;
            let (to, event) = match message {
                Message::Block { from, to, frame } => {
                    let block = SignedBlock::decode(&frame, &self.rules, &self.members).unwrap();
                    let block = block.verify(&self.members).unwrap();
                    (
                        to,
                        Event::Block {
                            from: index(from),
                            block,
                        },
                    )
                }
                Message::Answer {
                    to,
                    incarnation,
                    ask,
                    answer,
                } => {
                    if self.nodes[to].incarnation != incarnation {
                        continue;
                    }
                    (to, Event::Answer { ask, answer })
                }
                Message::Tick { to, incarnation } => {
                    if self.nodes[to].incarnation != incarnation || self.nodes[to].next_tick != Some(at) {
                        continue;
                    }
                    self.nodes[to].next_tick = None;
                    (to, Event::Tick)
                }
            };
            let now = self.clocks();
            let actions = self.nodes[to].core.handle(now, event);
            self.act(to, actions);
        }
        self.now = until;
    }

    pub fn commits(&self, member: usize) -> usize {
        self.nodes[member].commits.len()
    }

    /// The rounds of a member's blocks.
    pub fn rounds(&self, member: usize) -> Vec<u32> {
        let made = self.made.keys().filter(|(author, _)| *author == member);
        made.map(|(_, round)| round.get()).collect()
    }

    /// How many parents a member's blocks name, and do not have in their set.
    pub fn named(&self, member: usize) -> usize {
        let named = |frame| {
            let block = SignedBlock::decode(frame, &self.rules, &self.members).unwrap();
            match block.parents() {
                Parents::Full(names) | Parents::Compact { others: names, .. } => names.len(),
            }
        };
        self.nodes[member].own.values().map(named).sum()
    }

    pub fn status(&self, member: usize) -> Status {
        self.nodes[member].core.status()
    }

    /// Payloads in order.
    pub fn ordered(&self, member: usize) -> Vec<Vec<u8>> {
        let dags = self.nodes[member].commits.iter().flat_map(|dag| &dag.payloads);
        dags.flat_map(|payloads| payloads.iter().map(<[u8]>::to_vec).collect::<Vec<_>>())
            .collect()
    }

    pub fn check_agreement(&self) {
        let longest = self.nodes.iter().max_by_key(|node| node.commits.len()).unwrap();
        for (member, node) in self.nodes.iter().enumerate() {
            for (one, other) in node.commits.iter().zip(&longest.commits) {
                assert_eq!(one.commit, other.commit, "member {member}");
            }
        }
        let mut seen = BTreeSet::new();
        for (place, dag) in longest.commits.iter().enumerate() {
            assert_eq!(dag.commit.index.get(), place as u64 + 1);
            for block in &dag.commit.blocks {
                assert!(seen.insert(*block), "{block:?} is ordered once");
            }
        }
    }

    pub fn check_no_double_signing(&self) {
        for ((member, round), blocks) in &self.made {
            assert_eq!(blocks.len(), 1, "member {member} in round {round}");
        }
    }
}
