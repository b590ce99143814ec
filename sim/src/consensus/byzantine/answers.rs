//! Byzantine peers: questions that ask too much, and answers that are false, or come when they are no use any more.

use std::time::Duration;

use bytes::{BufMut, Bytes};
use consensus::Request;
use consensus::messages::{
    BlocksAnswer, CommitsAnswer, LatestAnswer, MAX_ANSWER_BLOCKS, MAX_ANSWER_COMMITS, MAX_FRAME_BYTES,
};
use node::consensus::REQUESTS;
use types::{
    AuthorityIndex, BlockDigest, BlockRef, Bounded, CommitDigest, CommitIndex, Round, Slot, UnixMillis,
};

use super::super::SimSuite;
use super::twists::digest;
use super::witness::Witness;
use crate::adversary::{Adversary, Assignment, Content, Deed, Leaving, Shape};
use crate::draw::Draw;

/// What a strategy says instead of a good answer to a question; `None` when it has nothing to change.
pub(super) type Lie = fn(&Request, &Bytes, &mut Peer, &mut Draw) -> Option<Bytes>;

/// A peer that lies in its answers.
pub(super) struct Peer {
    witness: Witness,
    lie: Lie,
    /// A frame of a block that it gave before.
    given: Option<Bytes>,
}

impl Peer {
    pub fn new(lie: Lie, assignment: &Assignment<'_>) -> Self {
        let witness = Witness::new(assignment);
        let given = None;
        Self { witness, lie, given }
    }
}

impl Adversary for Peer {
    fn meet(&mut self, packet: &Content<'_>, draw: &mut Draw) -> Deed {
        if packet.shape != Shape::Answer || packet.channel != REQUESTS.id {
            return Deed::Pass;
        }
        let Some(question) = self.witness.question(packet) else {
            return Deed::Pass;
        };
        let lie = (self.lie)(&question, packet.bytes, self, draw);
        lie.map_or(Deed::Pass, Deed::replace)
    }

    fn see(&mut self, packet: &Content<'_>) {
        self.witness.note(packet);
    }

    fn hear(&mut self, packet: &Content<'_>) {
        self.witness.note(packet);
    }
}

fn encode<T: serde::Serialize>(answer: &T) -> Option<Bytes> {
    Some(Bytes::from(types::encode(answer)))
}

fn place<T>(items: &[T], draw: &mut Draw) -> usize {
    usize::try_from(draw.below(items.len() as u64)).expect("an answer is short")
}

/// Blocks: none, twice the same, one that was not asked for, one that is cut off, or one that another signed.
pub(super) fn blocks(question: &Request, answer: &Bytes, peer: &mut Peer, draw: &mut Draw) -> Option<Bytes> {
    if !matches!(question, Request::Blocks { .. }) {
        return None;
    }
    let frames: BlocksAnswer = types::decode(answer, MAX_FRAME_BYTES).ok()?;
    let mut frames = frames.into_inner();
    let before = peer.given.take();
    peer.given = frames.first().cloned();
    if frames.is_empty() {
        frames.extend(before);
        return encode(&BlocksAnswer::new(frames)?);
    }
    let place = place(&frames, draw);
    match draw.below(6) {
        0 => frames.clear(),
        1 => frames.push(frames[place].clone()),
        2 => frames.extend(before),
        3 => frames[place].truncate(usize::try_from(draw.below(100)).expect("it is small")),
        4 => {
            // Some bit behind the place of the block, or in its signature.
            let mut bytes = frames[place].to_vec();
            let bit = usize::try_from(draw.below(bytes.len() as u64 * 8)).expect("a frame is short");
            bytes[bit / 8] ^= 1 << (bit % 8);
            frames[place] = bytes.into();
        }
        _ => {
            frames.truncate(MAX_ANSWER_BLOCKS);
            frames.reverse();
        }
    }
    frames.truncate(MAX_ANSWER_BLOCKS);
    encode(&BlocksAnswer::new(frames)?)
}

/// Commits: a gap, a chain that was never decided, one without its proof, or more than was asked for.
pub(super) fn commits(question: &Request, answer: &Bytes, _: &mut Peer, draw: &mut Draw) -> Option<Bytes> {
    if !matches!(question, Request::Commits { .. }) {
        return None;
    }
    let answer: CommitsAnswer<SimSuite> = types::decode(answer, MAX_FRAME_BYTES).ok()?;
    let (mut commits, mut votes) = (answer.commits.into_inner(), answer.votes.into_inner());
    if commits.is_empty() {
        return None;
    }
    let place = place(&commits, draw);
    match draw.below(7) {
        0 => _ = commits.remove(place),
        1 => votes.clear(),
        2 => commits.truncate(place),
        3 => votes.truncate(votes.len() / 2),
        4 => {
            // From here on it is another chain, and a whole one.
            commits[place].timestamp = UnixMillis::new(commits[place].timestamp.get() + 1);
            for next in place + 1..commits.len() {
                commits[next].previous = commits[next - 1].digest();
            }
        }
        5 => {
            let mut last = commits.last()?.clone();
            for _ in 0..draw.within(1, 3) {
                last.previous = last.digest();
                last.index = CommitIndex::new(last.index.get() + 1);
                last.leader = BlockRef {
                    digest: BlockDigest::new(digest(draw)),
                    round: Round::new(last.leader.round.get() + 1),
                    ..last.leader
                };
                last.blocks = vec![last.leader];
                commits.push(last.clone());
            }
        }
        _ => commits[place].previous = CommitDigest::new(digest(draw)),
    }
    commits.truncate(MAX_ANSWER_COMMITS);
    encode(&CommitsAnswer::<SimSuite> {
        commits: Bounded::new(commits)?,
        votes: Bounded::new(votes)?,
    })
}

/// How far asker and answerer have been: nothing, less, without a proof, or by the headers of others.
pub(super) fn latest(question: &Request, answer: &Bytes, _: &mut Peer, draw: &mut Draw) -> Option<Bytes> {
    if !matches!(question, Request::Latest) {
        return None;
    }
    let mut answer: LatestAnswer<SimSuite> = types::decode(answer, MAX_FRAME_BYTES).ok()?;
    let mut parents = answer.parents.into_inner();
    match draw.below(6) {
        0 => answer.yours = None,
        1 => (answer.yours, answer.mine, parents) = (None, None, Vec::new()),
        2 => parents.truncate(parents.len() / 2),
        3 => answer.mine = parents.pop(),
        4 => std::mem::swap(&mut answer.yours, &mut answer.mine),
        _ => {
            if let Some(mine) = &mut answer.mine {
                mine.header.round = Round::new(mine.header.round.get() + 1);
            }
        }
    }
    answer.parents = Bounded::new(parents)?;
    encode(&answer)
}

/// Whatever is false of its kind.
pub(super) fn any(question: &Request, answer: &Bytes, peer: &mut Peer, draw: &mut Draw) -> Option<Bytes> {
    let lie = match question {
        Request::Blocks { .. } => blocks,
        Request::Commits { .. } => commits,
        Request::Latest => latest,
    };
    lie(question, answer, peer, draw)
}

/// A peer whose answers come when they are just of no use any more, or just still of some.
pub(super) struct Slow {
    pub ms: u64,
}

impl Adversary for Slow {
    fn meet(&mut self, packet: &Content<'_>, draw: &mut Draw) -> Deed {
        if packet.shape != Shape::Answer || packet.channel != REQUESTS.id {
            return Deed::Pass;
        }
        let ms = match self.ms {
            0 => draw.within(400, 2_100),
            ms => ms,
        };
        Deed::delay(packet.bytes.clone(), Duration::from_millis(ms))
    }
}

/// Questions that come with each of a peer's own, and their answers would be as large as can be.
const GREED: usize = 8;

/// A peer that asks for as much as it can, and for what nobody has.
pub(super) struct Greedy {
    witness: Witness,
}

impl Greedy {
    pub fn new(assignment: &Assignment<'_>) -> Self {
        let witness = Witness::new(assignment);
        Self { witness }
    }

    fn question(&self, draw: &mut Draw) -> Request {
        let members = self.witness.members.size() as u64;
        let slot = |draw: &mut Draw| {
            let author = u16::try_from(draw.below(members))
                .ok()
                .and_then(AuthorityIndex::new);
            Slot {
                round: Round::new(u32::try_from(draw.below(1_000)).expect("it is small")),
                author: author.expect("a scenario has few nodes"),
            }
        };
        let most = u64::try_from(MAX_ANSWER_BLOCKS).expect("it is small");
        match draw.below(4) {
            0 => Request::Latest,
            1 => Request::Commits {
                first: CommitIndex::new(*draw.pick(&[0, 1, 40, u64::MAX])),
                most: *draw.pick(&[0, 100, u16::MAX]),
            },
            2 => {
                let names = (0..most).map(|_| {
                    let Slot { round, author } = slot(draw);
                    let digest = BlockDigest::new(digest(draw));
                    BlockRef {
                        round,
                        author,
                        digest,
                    }
                });
                Request::Blocks {
                    names: Bounded::new(names.collect()).expect("as many as there may be"),
                    slots: Bounded::new(Vec::new()).expect("none is few"),
                }
            }
            _ => Request::Blocks {
                names: Bounded::new(Vec::new()).expect("none is few"),
                slots: Bounded::new((0..most).map(|_| slot(draw)).collect())
                    .expect("as many as there may be"),
            },
        }
    }
}

impl Adversary for Greedy {
    fn meet(&mut self, packet: &Content<'_>, draw: &mut Draw) -> Deed {
        if packet.shape != Shape::Request || packet.channel != REQUESTS.id {
            return Deed::Pass;
        }
        let after = Duration::ZERO;
        let mut leaving = vec![Leaving {
            bytes: packet.bytes.clone(),
            after,
        }];
        for _ in 0..GREED {
            let epoch = self.witness.rules.epoch.get() + u64::from(draw.chance(50_000));
            let mut bytes = epoch.to_le_bytes().to_vec();
            bytes.put_slice(&self.question(draw).encode());
            leaving.push(Leaving {
                bytes: bytes.into(),
                after,
            });
        }
        Deed::Send(leaving)
    }
}
