//! What the unit tests of this crate are written with: a small epoch, its members' keys, and blocks of theirs.

use std::sync::Arc;

use crypto::{BlsSecretKey, Digest, Ed25519SecretKey, Verified};
use types::{AuthorityIndex, BlockHeader, BlockRef, ChainId, Epoch, Mono, Round, UnixMillis, VotingPower};

use crate::block::{Draft, Payloads, SignedBlock};
use crate::core::{Config, Core};
use crate::machine::{Action, Now};
use crate::members::{Member, Members, Production, Signer};
use crate::restore::Restored;
use crate::rules::{Pace, Rules};
use crate::set::AuthoritySet;

pub type Made = Verified<SignedBlock<Production>>;

pub fn index(member: u8) -> AuthorityIndex {
    AuthorityIndex::new(member.into()).unwrap()
}

pub fn signer(member: u8) -> Signer<Production> {
    Signer {
        index: index(member),
        block: Ed25519SecretKey::from_seed(&[member; 32]),
        beacon: BlsSecretKey::from_seed(&[member; 32]),
    }
}

/// Members of the same power, but for one in ten thousand.
pub fn members(size: u8) -> Arc<Members<Production>> {
    let wide = u16::from(size);
    let power = |member: u8| 10_000 / wide + u16::from(u16::from(member) < 10_000 % wide);
    let members = (0..size).map(|member| Member {
        power: VotingPower::new(power(member)),
        block_key: signer(member).block.public(),
        beacon_key: signer(member).beacon.public(),
    });
    Arc::new(Members::new(rules().epoch, members.collect()).unwrap())
}

pub fn rules() -> Rules {
    Rules::new(ChainId::new(Digest::ZERO), Epoch::new(7), UnixMillis::new(0))
}

pub fn genesis(author: u8) -> BlockRef {
    BlockHeader::genesis(rules().epoch, index(author), rules().start).reference()
}

pub fn now(ms: u64) -> Now {
    Now {
        mono: Mono::from_nanos(ms * 1_000_000),
        wall: UnixMillis::new(ms),
    }
}

/// The machine of the first of so many members, and what it does first.
pub fn core(size: u8, restored: Restored) -> (Core<Production>, Vec<Action<Production>>) {
    let config = Config {
        rules: rules(),
        pace: Pace::default(),
        members: members(size),
        signer: signer(0),
    };
    Core::new(config, restored, now(0)).unwrap()
}

/// A block; those of one slot differ by their clocks. Parents of the authors in `plain` are named in short.
pub fn block(
    (author, round, clock): (u8, u32, u64),
    parents: Vec<BlockRef>,
    plain: &AuthoritySet,
) -> SignedBlock<Production> {
    let draft = Draft {
        round: Round::new(round),
        timestamp: UnixMillis::new(clock),
        parents,
        vote: None,
        payloads: Payloads::default(),
    };
    SignedBlock::make(draft, plain, &rules(), &signer(author))
}
