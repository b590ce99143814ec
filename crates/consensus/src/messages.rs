//! What members ask each other, and how answers are checked. BCS; blocks inside are laid out as [`crate::wire`] says.
//!
//! An answer is checked against its request without any state, so that a peer's answer can be checked beside the
//! machine: whatever it holds was asked for, fits the rules and is signed.

use bytes::Bytes;
use crypto::{SignatureError, Signed, Verified};
use serde::{Deserialize, Serialize};
use types::block::{MAX_PARENTS, block_message};
use types::{
    AuthorityIndex, BlockRef, Bounded, ChainId, Commit, CommitIndex, CommitRef, DecodeError, Round,
    SignedHeader, Slot,
};

use crate::block::{BlockError, SignedBlock};
use crate::members::{BlockSignature, Members, Suite, is_quorum};
use crate::rules::Rules;

/// The most blocks in one answer.
pub const MAX_ANSWER_BLOCKS: usize = 256;
/// The most commits in one answer.
pub const MAX_ANSWER_COMMITS: usize = 256;
/// The most bytes of a request.
pub const MAX_REQUEST_BYTES: usize = 32 << 10;
/// The most bytes of an answer, and of a block's frame on a stream.
pub const MAX_FRAME_BYTES: usize = 4 << 20;

/// A question to one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Blocks by name or by place.
    Blocks {
        /// By name.
        names: Bounded<BlockRef, MAX_ANSWER_BLOCKS>,
        /// By place: what the asked member has there, whichever it is.
        slots: Bounded<Slot, MAX_ANSWER_BLOCKS>,
    },
    /// Commits from an index on, with votes that prove the last of them.
    Commits {
        /// The first.
        first: CommitIndex,
        /// How many at most.
        most: u16,
    },
    /// How far the asker has ever been, as far as the asked member can tell; asked after the loss of a store.
    Latest,
}

/// What stands in an answer to [`Request::Blocks`]: frames in full.
pub type BlocksAnswer = Bounded<Bytes, MAX_ANSWER_BLOCKS>;

/// What stands in an answer to [`Request::Commits`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct CommitsAnswer<S: Suite> {
    /// A chain.
    pub commits: Bounded<Commit, MAX_ANSWER_COMMITS>,
    /// Headers of blocks of a quorum, whose votes are for commits of the chain.
    pub votes: Bounded<SignedHeader<S::Block>, MAX_PARENTS>,
}

/// What stands in an answer to [`Request::Latest`]. A member that is recovering itself does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct LatestAnswer<S: Suite> {
    /// The asker's latest block that the answering member holds.
    pub yours: Option<SignedHeader<S::Block>>,
    /// The answering member's latest own block.
    pub mine: Option<SignedHeader<S::Block>>,
    /// The parents of `mine` in the round before, if that is not round 0: they prove that the round was reached.
    pub parents: Bounded<SignedHeader<S::Block>, MAX_PARENTS>,
}

/// An answer whose contents were asked for and are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<S: Suite> {
    /// Blocks, all of them among those asked for.
    Blocks(Vec<Verified<SignedBlock<S>>>),
    /// Commits in a chain, and who voted for what.
    Commits {
        /// Ascending without gaps, from the first one asked for.
        commits: Vec<Commit>,
        /// Each member's vote, once.
        votes: Vec<(AuthorityIndex, CommitRef)>,
    },
    /// How far asker and answerer have been.
    Latest {
        /// The asker's latest block that is known.
        yours: Option<BlockRef>,
        /// A round that the committee has reached; 0 when it has not started.
        round: Round,
    },
}

/// Why an answer is none. The answering member is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The bytes are no answer.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A block in it is none.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// It holds a block that was not asked for.
    #[error("block {0:?} was not asked for")]
    Unasked(BlockRef),
    /// The commits are no chain from the first one asked for.
    #[error("commit {found} stands where {expected} should")]
    Chain {
        /// What should have come.
        expected: CommitIndex,
        /// What came.
        found: CommitIndex,
    },
    /// More commits than were asked for.
    #[error("{found} commits where {limit} were asked for")]
    TooMany {
        /// How many came.
        found: usize,
        /// How many were asked for.
        limit: u16,
    },
    /// A header in it is not one of this epoch, of a member, or of the one it should be.
    #[error("a header of author {author} in round {round} {why}")]
    Header {
        /// Whose it is said to be.
        author: AuthorityIndex,
        /// Of which round.
        round: Round,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A header in it is not signed by its author.
    #[error("a header's signature: {0}")]
    Signature(#[from] SignatureError),
}

/// A header on its chain: what its signature is over.
struct OnChain<'a, S: Suite>(ChainId, &'a SignedHeader<S::Block>);

impl<S: Suite> Signed<S::Block> for OnChain<'_, S> {
    fn message(&self) -> Vec<u8> {
        block_message(self.0, self.1.header.digest())
    }

    fn signature(&self) -> &BlockSignature<S> {
        &self.1.signature
    }
}

impl Request {
    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        types::encode(self).into()
    }

    /// The request in these bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        types::decode(bytes, MAX_REQUEST_BYTES)
    }
}

impl<S: Suite> Answer<S> {
    /// The answer to `request` in these bytes, which `from` sent to `own`.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn decode(
        bytes: &[u8],
        request: &Request,
        from: AuthorityIndex,
        own: AuthorityIndex,
        rules: &Rules,
        members: &Members<S>,
    ) -> Result<Self, AnswerError> {
        match request {
            Request::Blocks { names, slots } => {
                let frames: BlocksAnswer = types::decode(bytes, MAX_FRAME_BYTES)?;
                let mut blocks = Vec::with_capacity(frames.len());
                for frame in frames.iter() {
                    let block = SignedBlock::decode(frame, rules, members)?;
                    let name = block.reference();
                    if !names.contains(&name) && !slots.contains(&name.slot()) {
                        return Err(AnswerError::Unasked(name));
                    }
                    blocks.push(block.verify(members)?);
                }
                Ok(Self::Blocks(blocks))
            }
            Request::Commits { first, most } => {
                let answer: CommitsAnswer<S> = types::decode(bytes, MAX_FRAME_BYTES)?;
                let found = answer.commits.len();
                if found > usize::from(*most) {
                    return Err(AnswerError::TooMany { found, limit: *most });
                }
                let mut expected = *first;
                for commit in answer.commits.iter() {
                    if commit.index != expected {
                        let found = commit.index;
                        return Err(AnswerError::Chain { expected, found });
                    }
                    expected = expected.next().ok_or(AnswerError::Chain {
                        expected,
                        found: expected,
                    })?;
                }
                let mut votes: Vec<(AuthorityIndex, CommitRef)> = Vec::new();
                for signed in answer.votes.iter() {
                    let author = signed.header.author;
                    check_header(signed, rules, members)?;
                    let Some(vote) = signed.header.vote else {
                        return Err(bad_header(signed, "votes for nothing"));
                    };
                    if votes.iter().any(|(voter, _)| *voter == author) {
                        return Err(bad_header(signed, "is the second of its author"));
                    }
                    votes.push((author, vote));
                }
                Ok(Self::Commits {
                    commits: answer.commits.into_inner(),
                    votes,
                })
            }
            Request::Latest => {
                let answer: LatestAnswer<S> = types::decode(bytes, MAX_FRAME_BYTES)?;
                let mut yours = None;
                if let Some(signed) = &answer.yours {
                    if signed.header.author != own {
                        return Err(bad_header(signed, "is not the asker's"));
                    }
                    check_header(signed, rules, members)?;
                    yours = Some(signed.header.reference());
                }
                let mut round = Round::ZERO;
                if let Some(signed) = &answer.mine {
                    if signed.header.author != from {
                        return Err(bad_header(signed, "is not the answerer's"));
                    }
                    check_header(signed, rules, members)?;
                    check_parents(signed, &answer.parents, rules, members)?;
                    round = signed.header.round;
                }
                Ok(Self::Latest { yours, round })
            }
        }
    }
}

/// That the round before `signed` was reached: its parents there are blocks that a quorum signed.
fn check_parents<S: Suite>(
    signed: &SignedHeader<S::Block>,
    parents: &[SignedHeader<S::Block>],
    rules: &Rules,
    members: &Members<S>,
) -> Result<(), AnswerError> {
    let header = &signed.header;
    if header.round.get() == 1 {
        return Ok(());
    }
    let mut shown = crate::set::AuthoritySet::EMPTY;
    for parent in parents {
        check_header(parent, rules, members)?;
        if parent.header.round.next() != Some(header.round)
            || !header.parents.contains(&parent.header.reference())
        {
            return Err(bad_header(parent, "is no parent in the round before"));
        }
        shown.insert(parent.header.author);
    }
    if !is_quorum(members.weight(&shown)) {
        return Err(bad_header(signed, "comes without a quorum of parents"));
    }
    Ok(())
}

fn check_header<S: Suite>(
    signed: &SignedHeader<S::Block>,
    rules: &Rules,
    members: &Members<S>,
) -> Result<(), AnswerError> {
    let header = &signed.header;
    if header.epoch != rules.epoch {
        return Err(bad_header(signed, "is of another epoch"));
    }
    if header.round == Round::ZERO || header.round == Round::MAX {
        return Err(bad_header(signed, "is of a round without signed blocks"));
    }
    let member = members
        .get(header.author)
        .ok_or_else(|| bad_header(signed, "is no member's"))?;
    Verified::by_key::<S::Block>(OnChain::<S>(rules.chain, signed), &member.block_key)?;
    Ok(())
}

fn bad_header<S: crypto::Scheme>(signed: &SignedHeader<S>, why: &'static str) -> AnswerError {
    AnswerError::Header {
        author: signed.header.author,
        round: signed.header.round,
        why,
    }
}
