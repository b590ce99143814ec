//! What a Byzantine node knows: its keys, the names of the blocks that it has seen, and what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use consensus::messages::{BlocksAnswer, MAX_FRAME_BYTES};
use consensus::schedule::{Schedule, Swaps};
use consensus::{Answer, Members, Parents, Request, Rules, SignedBlock};
use crypto::Scheme;
use node::consensus::{BLOCKS, REQUESTS};
use types::{AuthorityIndex, BlockHeader, BlockRef, Round, Slot};

use super::super::{SimSuite, identity, index, members, rules};
use super::draft::{Draft, Keys};
use crate::adversary::{Assignment, Content, Shape};
use crate::scenario::Scenario;
use crate::scheme::SimScheme;
use crate::world::NodeIndex;

/// Slots of which names are remembered: four hundred rounds of a dozen members.
const KEPT_SLOTS: usize = 5_000;
/// Questions of one peer that are remembered.
const KEPT_QUESTIONS: usize = 32;
/// Choices of parents that are tried for a block in short.
const MOST_CHOICES: usize = 64;

/// See the module.
pub(super) struct Witness {
    pub own: AuthorityIndex,
    pub rules: Rules,
    pub members: Arc<Members<SimSuite>>,
    pub keys: Keys,
    names: BTreeMap<Slot, Vec<BlockRef>>,
    asked: BTreeMap<NodeIndex, VecDeque<Request>>,
}

impl Witness {
    pub fn new(assignment: &Assignment<'_>) -> Self {
        let (seed, rules) = (assignment.seed, rules(assignment.seed, &Scenario::default()));
        let members = Arc::new(members(seed, assignment.stakes));
        let member = super::super::member_of(assignment.node, members.size());
        let genesis = members
            .indices()
            .map(|author| BlockHeader::genesis(rules.epoch, author, rules.start).reference());
        Self {
            own: index(member),
            names: genesis.map(|name| (name.slot(), vec![name])).collect(),
            asked: BTreeMap::new(),
            keys: Keys {
                block: SimScheme::secret(&identity(seed, member, 1)),
                beacon: SimScheme::secret(&identity(seed, member, 2)),
            },
            members,
            rules,
        }
    }

    /// Takes note of a packet that comes or leaves.
    pub fn note(&mut self, packet: &Content<'_>) {
        match packet.shape {
            Shape::Frame if packet.channel == BLOCKS.id => _ = self.read(packet.bytes),
            Shape::Answer if packet.channel == REQUESTS.id => {
                let frames: Option<BlocksAnswer> = types::decode(packet.bytes, MAX_FRAME_BYTES).ok();
                for frame in frames.iter().flat_map(|frames| frames.iter()) {
                    self.read(frame);
                }
            }
            Shape::Request if packet.channel == REQUESTS.id => {
                if let Some((_, question)) = packet.bytes.split_first_chunk::<8>()
                    && let Ok(question) = Request::decode(question)
                {
                    let asked = self.asked.entry(packet.from).or_default();
                    asked.push_back(question);
                    if asked.len() > KEPT_QUESTIONS {
                        asked.pop_front();
                    }
                }
            }
            _ => {}
        }
    }

    /// The question that the node's program answers by this packet.
    pub fn question(&mut self, answer: &Content<'_>) -> Option<Request> {
        let asker = index(super::super::member_of(answer.to, self.members.size()));
        let asked = self.asked.get_mut(&answer.to)?;
        let fits = |question: &Request| {
            Answer::decode(
                answer.bytes,
                question,
                self.own,
                asker,
                &self.rules,
                &self.members,
            )
            .is_ok()
        };
        let place = asked.iter().position(fits)?;
        asked.remove(place)
    }

    /// The block in a frame, whose names are remembered.
    pub fn read(&mut self, frame: &Bytes) -> Option<SignedBlock<SimSuite>> {
        let block = SignedBlock::decode(frame, &self.rules, &self.members).ok()?;
        let (Parents::Full(named) | Parents::Compact { others: named, .. }) = block.parents();
        for name in named.iter().chain([&block.reference()]) {
            let names = self.names.entry(name.slot()).or_default();
            if !names.contains(name) {
                names.push(*name);
            }
        }
        // The genesis blocks come first, cost nothing, and are parents of the first blocks. What is far ahead is made up.
        let first = Slot {
            round: Round::new(1),
            ..Slot::default()
        };
        while self.names.len() > KEPT_SLOTS
            && let Some((lowest, _)) = self.names.range(first..).next()
        {
            let lowest = *lowest;
            self.names.remove(&lowest);
        }
        Some(block)
    }

    /// What an own block says, if its parents are known.
    pub fn draft(&self, block: &SignedBlock<SimSuite>) -> Option<Draft> {
        let name = block.reference();
        let (previous, others) = match block.parents() {
            Parents::Full(names) => return Some(Draft::of(block, names.clone(), &self.keys, &self.rules)),
            Parents::Compact { previous, others } => (previous, others),
        };
        let round = Round::new(name.round.get() - 1);
        let mut choices: Vec<Vec<BlockRef>> = previous
            .iter()
            .map(|author| {
                self.names
                    .get(&Slot { round, author })
                    .cloned()
                    .unwrap_or_default()
            })
            .collect();
        choices.extend(others.iter().map(|other| vec![*other]));
        let number = choices.iter().map(Vec::len).product::<usize>().min(MOST_CHOICES);
        let drafts = (0..number).map(|mut choice| {
            let mut parents: Vec<BlockRef> = choices
                .iter()
                .map(|names| {
                    let picked = names[choice % names.len()];
                    choice /= names.len();
                    picked
                })
                .collect();
            parents.sort_unstable_by_key(|parent| (parent.author != name.author, parent.author));
            Draft::of(block, parents, &self.keys, &self.rules)
        });
        drafts
            .into_iter()
            .find(|draft| draft.header().digest() == name.digest)
    }

    /// The leaders of a round, as far as no reputation has changed them.
    pub fn leaders(&self, round: Round) -> Vec<AuthorityIndex> {
        Schedule::new(&self.rules, Arc::clone(&self.members), Swaps::default())
            .leaders(round)
            .to_vec()
    }

    /// The names that are known of a slot.
    pub fn names(&self, slot: Slot) -> &[BlockRef] {
        self.names.get(&slot).map_or(&[], Vec::as_slice)
    }
}
