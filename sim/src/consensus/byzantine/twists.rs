//! What Byzantine authors make of their blocks: one function for each strategy.

use std::time::Duration;

use bytes::Bytes;
use crypto::Digest;
use types::{
    AuthorityIndex, BlockDigest, BlockRef, ChainId, CommitDigest, CommitIndex, CommitRef, Epoch, Round,
    UnixMillis,
};

use super::draft::Draft;
use super::lines::{Scene, Twisted, bare_quorum};
use crate::draw::Draw;

/// What breaks a rule does so in one of four blocks: the author is heard of in between.
const RARELY: u32 = 250_000;

pub(super) fn digest(draw: &mut Draw) -> Digest {
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&draw.bits().to_le_bytes());
    }
    Digest::new(bytes)
}

/// Another payload.
pub(super) fn equivocate(draft: &mut Draft, scene: &Scene<'_>, _: &mut Draw) -> Twisted {
    let payload = format!("line {} of {}", scene.line, draft.author);
    draft.payloads = vec![Bytes::from(payload.into_bytes())];
    Twisted::Valid
}

/// Another payload, on what the partners tell the same line.
pub(super) fn collude(draft: &mut Draft, scene: &Scene<'_>, draw: &mut Draw) -> Twisted {
    for parent in draft
        .parents
        .iter_mut()
        .filter(|parent| parent.author != draft.author)
    {
        if let Some(told) = scene.partners.told(parent.slot(), scene.line) {
            *parent = told;
        }
    }
    equivocate(draft, scene, draw)
}

/// Of each author of several blocks in a slot, the one that the program did not take.
pub(super) fn other_parents(draft: &mut Draft, scene: &Scene<'_>, draw: &mut Draw) -> Twisted {
    let mut changed = Twisted::No;
    for parent in draft
        .parents
        .iter_mut()
        .filter(|parent| parent.author != draft.author)
    {
        let names: Vec<&BlockRef> = scene
            .witness
            .names(parent.slot())
            .iter()
            .filter(|name| *name != parent)
            .collect();
        if !names.is_empty() {
            *parent = **draw.pick(&names);
            changed = Twisted::Valid;
        }
    }
    // In short they would be read as the ones that are heard of first.
    draft.plain = None;
    changed
}

/// No more parents than there have to be, and none that leads.
pub(super) fn omit(draft: &mut Draft, scene: &Scene<'_>, _: &mut Draw) -> Twisted {
    let leaders = scene.witness.leaders(Round::new(draft.round.get() - 1));
    let kept = bare_quorum(draft, scene.witness, &leaders);
    let is_kept = |parent: &BlockRef| parent.author == draft.author || kept.contains(&parent.author);
    let before = draft.parents.len();
    draft.parents = draft
        .parents
        .iter()
        .filter(|parent| is_kept(parent))
        .copied()
        .collect();
    if draft.parents.len() == before {
        Twisted::No
    } else {
        Twisted::Valid
    }
}

/// A clock that is ahead: by `ms`, an hour, or for ever.
pub(super) fn ahead(draft: &mut Draft, scene: &Scene<'_>, draw: &mut Draw) -> Twisted {
    let hour = u64::try_from(Duration::from_secs(3_600).as_millis()).expect("an hour is short");
    let ms = match scene.manner.ms {
        0 => *draw.pick(&[hour, u64::MAX]),
        ms => ms,
    };
    draft.timestamp = UnixMillis::new(draft.timestamp.get().saturating_add(ms));
    Twisted::Valid
}

/// A clock that is behind: by `ms`, or at the beginning of time.
pub(super) fn behind(draft: &mut Draft, scene: &Scene<'_>, _: &mut Draw) -> Twisted {
    let ms = match scene.manner.ms {
        0 => u64::MAX,
        ms => ms,
    };
    draft.timestamp = UnixMillis::new(draft.timestamp.get().saturating_sub(ms));
    Twisted::Valid
}

/// A vote for a commit that nobody can have made.
pub(super) fn far_vote(draft: &mut Draft, _: &Scene<'_>, draw: &mut Draw) -> Twisted {
    let index = draft
        .vote
        .map_or(1, |vote| vote.index.get())
        .saturating_add(*draw.pick(&[1, 50, 1_000_000, u64::MAX]));
    draft.vote = Some(CommitRef {
        index: CommitIndex::new(index),
        digest: CommitDigest::new(digest(draw)),
    });
    Twisted::Valid
}

/// A vote for another commit of the index that it is for.
pub(super) fn false_vote(draft: &mut Draft, _: &Scene<'_>, draw: &mut Draw) -> Twisted {
    let Some(vote) = &mut draft.vote else {
        return Twisted::No;
    };
    vote.digest = CommitDigest::new(digest(draw));
    Twisted::Valid
}

/// Another epoch, or the signature of another chain.
pub(super) fn foreign(draft: &mut Draft, _: &Scene<'_>, draw: &mut Draw) -> Twisted {
    if !draw.chance(RARELY) {
        return Twisted::No;
    }
    if draw.chance(500_000) {
        draft.epoch = Epoch::new(draft.epoch.get() + 1);
    } else {
        draft.chain = ChainId::new(digest(draw));
    }
    Twisted::Broken
}

/// No share of the beacon, a false one, one of another round, or one where none belongs.
pub(super) fn false_share(draft: &mut Draft, scene: &Scene<'_>, draw: &mut Draw) -> Twisted {
    let (keys, rules) = (&scene.witness.keys, &scene.witness.rules);
    draft.beacon = match (&draft.beacon, draw.below(3)) {
        (None, 0) => Some(keys.share(rules, draft.round)),
        (None, _) => return Twisted::No,
        (Some(_), 0) => None,
        (Some(_), 1) => Some(digest(draw).as_bytes().to_vec()),
        (Some(_), _) => Some(keys.share(rules, Round::new(draft.round.get() - rules.beacon_stride))),
    };
    Twisted::Broken
}

/// A parent that nobody made.
pub(super) fn phantom(draft: &mut Draft, _: &Scene<'_>, draw: &mut Draw) -> Twisted {
    let others = draft.parents.len().saturating_sub(1) as u64;
    if !draw.chance(RARELY) || others == 0 {
        return Twisted::No;
    }
    let place = 1 + usize::try_from(draw.below(others)).expect("a block has few parents");
    draft.parents[place].digest = BlockDigest::new(digest(draw));
    draft.plain = None;
    Twisted::Broken
}

/// A block of a round that nobody will reach for long, on parents that nobody made.
pub(super) fn far_round(draft: &mut Draft, _: &Scene<'_>, draw: &mut Draw) -> Twisted {
    if !draw.chance(RARELY) {
        return Twisted::No;
    }
    let far = *draw.pick(&[20, 400, 10_000, u32::MAX - 1 - draft.round.get()]);
    draft.round = Round::new(draft.round.get().saturating_add(far));
    for parent in &mut draft.parents {
        *parent = BlockRef {
            round: Round::new(draft.round.get() - 1),
            author: parent.author,
            digest: BlockDigest::new(digest(draw)),
        };
    }
    draft.beacon = None;
    draft.plain = None;
    Twisted::Broken
}

/// As many bytes as are admitted.
pub(super) fn bulky(draft: &mut Draft, scene: &Scene<'_>, draw: &mut Draw) -> Twisted {
    if !draw.chance(RARELY) {
        return Twisted::No;
    }
    let rules = &scene.witness.rules;
    let piece = rules.max_payload_bytes.min(rules.max_block_bytes - 4);
    let pieces = rules.max_block_bytes / (piece + 4);
    let payload = Bytes::from(vec![scene.line as u8; piece as usize]);
    draft.payloads = vec![payload; pieces as usize];
    Twisted::Valid
}

/// More bytes or payloads than are admitted, or fewer payloads than it says.
pub(super) fn too_bulky(draft: &mut Draft, scene: &Scene<'_>, draw: &mut Draw) -> Twisted {
    if !draw.chance(RARELY) {
        return Twisted::No;
    }
    let rules = &scene.witness.rules;
    match draw.below(4) {
        0 => draft.payloads = vec![Bytes::from(vec![0; rules.max_payload_bytes as usize + 1])],
        1 => draft.payloads = vec![Bytes::new(); rules.max_block_payloads as usize + 1],
        2 => {
            let pieces = rules.max_block_bytes / rules.max_payload_bytes + 1;
            draft.payloads = vec![Bytes::from(vec![0; rules.max_payload_bytes as usize]); pieces as usize];
        }
        _ => draft.extra = *draw.pick(&[1, 1_000, u32::MAX]),
    }
    Twisted::Broken
}

/// One field of a good block is another one, whatever the rules say of it.
pub(super) fn mutate(draft: &mut Draft, scene: &Scene<'_>, draw: &mut Draw) -> Twisted {
    if !draw.chance(RARELY) {
        return Twisted::No;
    }
    let size = scene.witness.members.size() as u64;
    let author = |draw: &mut Draw| {
        let number = u16::try_from(draw.below(size + 2)).ok();
        number
            .and_then(AuthorityIndex::new)
            .expect("a scenario has few nodes")
    };
    let place = usize::try_from(draw.below(draft.parents.len() as u64)).expect("a block has few parents");
    match draw.below(12) {
        0 => draft.round = Round::new(*draw.pick(&[0, 1, draft.round.get() + 1, u32::MAX])),
        1 => draft.author = author(draw),
        2 => draft.timestamp = UnixMillis::new(draw.bits()),
        3 => _ = draft.parents.remove(place),
        4 => draft.parents.push(draft.parents[place]),
        5 => draft.parents.reverse(),
        6 => draft.parents[place].author = author(draw),
        7 => draft.parents[place].round = Round::new(draft.parents[place].round.get() ^ 1 << draw.below(32)),
        8 => draft.parents[place] = genesis(draft.parents[place].author, draw),
        9 => {
            draft.vote = draft.vote.is_none().then(|| CommitRef {
                index: CommitIndex::new(draw.bits() >> draw.below(64)),
                digest: CommitDigest::new(digest(draw)),
            })
        }
        10 => draft.parents.clear(),
        _ => draft.extra = 1,
    }
    draft.plain = draft.plain.take().filter(|_| draw.chance(500_000));
    Twisted::Broken
}

/// A genesis block that is none.
fn genesis(author: AuthorityIndex, draw: &mut Draw) -> BlockRef {
    BlockRef {
        round: Round::ZERO,
        author,
        digest: BlockDigest::new(digest(draw)),
    }
}

/// In rounds that have a beacon, what an author may choose: `bytes` says which of its choices.
pub(super) fn grind(draft: &mut Draft, scene: &Scene<'_>, draw: &mut Draw) -> Twisted {
    if !scene.witness.rules.has_beacon(draft.round) {
        return Twisted::No;
    }
    let choice = scene.manner.bytes;
    match choice % 3 {
        0 => draft.payloads = vec![Bytes::from(choice.to_le_bytes().to_vec())],
        1 => draft.timestamp = UnixMillis::new(draft.timestamp.get().saturating_add(choice)),
        _ => return omit(draft, scene, draw),
    }
    Twisted::Valid
}
