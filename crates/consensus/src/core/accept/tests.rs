use std::sync::Arc;

use crypto::{BlsSecretKey, Digest, Ed25519SecretKey};
use types::{BlockDigest, BlockHeader, ChainId, Epoch, Mono, Round, UnixMillis, VotingPower};

use super::*;
use crate::block::{Draft, Payloads};
use crate::core::Config;
use crate::set::AuthoritySet;
use crate::{Answer, Event, Member, Members, Pace, Production, Request, Restored, Rules, Signer, Unanswered};

const MEMBERS: u8 = 28;

/// Members above are Byzantine: as many as may be.
const HONEST: u8 = 19;

fn index(member: u8) -> AuthorityIndex {
    AuthorityIndex::new(member.into()).unwrap()
}

fn signer(member: u8) -> Signer<Production> {
    Signer {
        index: index(member),
        block: Ed25519SecretKey::from_seed(&[member; 32]),
        beacon: BlsSecretKey::from_seed(&[member; 32]),
    }
}

fn members() -> Arc<Members<Production>> {
    let power =
        |member: u8| 10_000 / u16::from(MEMBERS) + u16::from(u16::from(member) < 10_000 % u16::from(MEMBERS));
    let members = (0..MEMBERS).map(|member| Member {
        power: VotingPower::new(power(member)),
        block_key: signer(member).block.public(),
        beacon_key: signer(member).beacon.public(),
    });
    Arc::new(Members::new(Epoch::new(7), members.collect()).unwrap())
}

fn rules() -> Rules {
    Rules::new(ChainId::new(Digest::ZERO), Epoch::new(7), UnixMillis::new(0))
}

fn block(
    members: &Members<Production>,
    author: u8,
    round: u32,
    parents: Vec<BlockRef>,
) -> Verified<SignedBlock<Production>> {
    let draft = Draft {
        round: Round::new(round),
        timestamp: UnixMillis::new(0),
        parents,
        vote: None,
        payloads: Payloads::default(),
    };
    let block = SignedBlock::make(draft, &AuthoritySet::EMPTY, &rules(), &signer(author));
    block.verify(members).unwrap()
}

/// The own one first, the others ascending.
fn parents(author: u8, of: impl Fn(u8) -> BlockRef) -> Vec<BlockRef> {
    let others = (0..HONEST).filter(|other| *other != author);
    std::iter::once(author).chain(others).map(of).collect()
}

#[test]
fn parents_that_are_made_up_stand_in_nobodys_way() {
    let members = members();
    let now = |ms: u64| Now {
        mono: Mono::from_nanos(ms * 1_000_000),
        wall: UnixMillis::new(ms),
    };
    let config = Config {
        rules: rules(),
        pace: Pace::default(),
        members: members.clone(),
        signer: signer(0),
    };
    let (mut core, mut actions) = Core::new(config, Restored::default(), now(0)).unwrap();
    // As much as there is room for, of blocks whose parents nobody has.
    let made_up = |round: u32, author: u8, by: u8| BlockRef {
        round: Round::new(round),
        author: index(author),
        digest: BlockDigest::new(Digest::of(&[author, by, round as u8, (round >> 8) as u8])),
    };
    for by in HONEST..MEMBERS {
        for round in 2..2 + Pace::default().held_blocks as u32 {
            let parents = parents(by, |author| made_up(round - 1, author, by));
            let block = block(&members, by, round, parents);
            let from = index(by);
            actions.extend(core.handle(now(0), Event::Block { from, block }));
        }
    }
    // And one whose parents the others have, and this member has missed.
    let genesis = |author| BlockHeader::genesis(Epoch::new(7), index(author), UnixMillis::new(0)).reference();
    let first = |author| block(&members, author, 1, parents(author, genesis));
    let firsts: Vec<_> = (0..HONEST).map(first).collect();
    let second = block(
        &members,
        1,
        2,
        parents(1, |author| firsts[usize::from(author)].reference()),
    );
    let (name, from) = (second.reference(), index(1));
    actions.extend(core.handle(now(0), Event::Block { from, block: second }));
    let mut ms = 0;
    while !core.dag.contains(&name) {
        assert!(ms < 10_000, "what is there is found within ten seconds");
        ms += 10;
        let mut asked: Vec<Action<Production>> = std::mem::take(&mut actions);
        for action in asked.drain(..) {
            let Action::Ask { id, to, request, .. } = action else {
                continue;
            };
            let Request::Blocks { names, .. } = request else {
                continue;
            };
            let answer = if usize::from(to.get()) < HONEST.into() {
                let is_meant =
                    |block: &&Verified<SignedBlock<Production>>| names.contains(&block.reference());
                Ok(Answer::Blocks(firsts.iter().filter(is_meant).cloned().collect()))
            } else {
                Err(Unanswered::Silent)
            };
            actions.extend(core.handle(now(ms), Event::Answer { ask: id, answer }));
        }
        actions.extend(core.handle(now(ms), Event::Tick));
    }
}
