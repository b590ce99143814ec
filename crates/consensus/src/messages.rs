//! What members ask each other, and how answers are checked. BCS; blocks inside are laid out as `crate::wire` says.
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

use crate::block::{BlockError, Parents, SignedBlock};
use crate::members::{BlockSignature, Members, Suite};
use crate::rules::Rules;
use crate::set::AuthoritySet;

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
    /// It holds a block that was not asked for, or that it holds already.
    #[error("block {0:?} was not asked for")]
    Unasked(BlockRef),
    /// It holds a block in short, of which the content cannot be checked.
    #[error("block {0:?} is in short")]
    InShort(BlockRef),
    /// The commits do not count up from the first one asked for.
    #[error("commit {found} stands where {expected} should")]
    Chain {
        /// What should have come.
        expected: CommitIndex,
        /// What came.
        found: CommitIndex,
    },
    /// A commit that is not the next link of the chain, or is not laid out as one.
    #[error("commit {index} {why}")]
    Commit {
        /// Which one.
        index: CommitIndex,
        /// What is wrong with it.
        why: &'static str,
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
                let mut blocks: Vec<SignedBlock<S>> = Vec::with_capacity(frames.len());
                for frame in frames.iter() {
                    let block = SignedBlock::decode(frame, rules, members)?;
                    let name = block.reference();
                    if matches!(block.parents(), Parents::Compact { .. }) {
                        return Err(AnswerError::InShort(name));
                    }
                    let was_asked = names.contains(&name) || slots.contains(&name.slot());
                    if !was_asked || blocks.iter().any(|other| other.reference() == name) {
                        return Err(AnswerError::Unasked(name));
                    }
                    blocks.push(block);
                }
                let blocks = SignedBlock::verify_all(blocks, members).into_iter();
                Ok(Self::Blocks(blocks.collect::<Result<_, _>>()?))
            }
            Request::Commits { first, most } => {
                let answer: CommitsAnswer<S> = types::decode(bytes, MAX_FRAME_BYTES)?;
                let found = answer.commits.len();
                if found > usize::from(*most) {
                    return Err(AnswerError::TooMany { found, limit: *most });
                }
                check_chain(&answer.commits, *first, rules, members)?;
                let mut voters = AuthoritySet::EMPTY;
                let mut votes = Vec::with_capacity(answer.votes.len());
                for signed in answer.votes.iter() {
                    check_header(signed, rules, members)?;
                    let Some(vote) = signed.header.vote else {
                        return Err(bad_header(signed, "votes for nothing"));
                    };
                    if !voters.insert(signed.header.author) {
                        return Err(bad_header(signed, "is the second of its author"));
                    }
                    votes.push((signed.header.author, vote));
                }
                check_signatures(answer.votes.iter(), rules, members)?;
                Ok(Self::Commits {
                    commits: answer.commits.into_inner(),
                    votes,
                })
            }
            Request::Latest => {
                let answer: LatestAnswer<S> = types::decode(bytes, MAX_FRAME_BYTES)?;
                if let Some(signed) = &answer.yours {
                    check_header(signed, rules, members)?;
                    if signed.header.author != own {
                        return Err(bad_header(signed, "is not the asker's"));
                    }
                }
                if let Some(signed) = &answer.mine {
                    check_header(signed, rules, members)?;
                    if signed.header.author != from {
                        return Err(bad_header(signed, "is not the answerer's"));
                    }
                }
                check_proof(answer.mine.as_ref(), &answer.parents, rules, members)?;
                let headers = answer.yours.iter().chain(&answer.mine);
                check_signatures(headers.chain(answer.parents.iter()), rules, members)?;
                Ok(Self::Latest {
                    yours: answer.yours.map(|signed| signed.header.reference()),
                    round: answer.mine.map_or(Round::ZERO, |signed| signed.header.round),
                })
            }
        }
    }
}

/// That the commits are a chain from `first` on, each laid out as [`Commit`] says. Who decided them, only votes tell.
fn check_chain<S: Suite>(
    commits: &[Commit],
    first: CommitIndex,
    rules: &Rules,
    members: &Members<S>,
) -> Result<(), AnswerError> {
    let mut expected = Some(first);
    let mut previous = (first.get() == 1).then(|| Commit::root(rules.chain, rules.epoch));
    for commit in commits {
        let index = commit.index;
        if expected != Some(index) {
            let expected = expected.unwrap_or(CommitIndex::MAX);
            return Err(AnswerError::Chain {
                expected,
                found: index,
            });
        }
        let bad = |why| AnswerError::Commit { index, why };
        if previous.is_some_and(|previous| previous != commit.previous) {
            return Err(bad("does not name the one before"));
        }
        if commit.blocks.last() != Some(&commit.leader) {
            return Err(bad("does not end with its leader"));
        }
        if !commit.blocks.is_sorted_by(|one, other| one < other) {
            return Err(bad("has blocks out of order"));
        }
        let is_member = |block: &BlockRef| members.get(block.author).is_some();
        if !commit.blocks.iter().all(is_member) {
            return Err(bad("has a block that is no member's"));
        }
        expected = index.next();
        previous = Some(commit.digest());
    }
    Ok(())
}

/// That the round before `mine` was reached: its parents there are blocks of a quorum. Their signatures are checked
/// elsewhere.
fn check_proof<S: Suite>(
    mine: Option<&SignedHeader<S::Block>>,
    parents: &[SignedHeader<S::Block>],
    rules: &Rules,
    members: &Members<S>,
) -> Result<(), AnswerError> {
    // Blocks of round 0 are known to everybody.
    let mine = mine.filter(|signed| signed.header.round.get() > 1);
    let mut shown = AuthoritySet::EMPTY;
    for parent in parents {
        check_header(parent, rules, members)?;
        let is_parent = mine.is_some_and(|signed| {
            parent.header.round.next() == Some(signed.header.round)
                && signed.header.parents.contains(&parent.header.reference())
        });
        if !is_parent {
            return Err(bad_header(parent, "is no parent in the round before"));
        }
        if !shown.insert(parent.header.author) {
            return Err(bad_header(parent, "is the second of its author"));
        }
    }
    match mine {
        Some(signed) if !members.is_quorum(&shown) => {
            Err(bad_header(signed, "comes without a quorum of parents"))
        }
        _ => Ok(()),
    }
}

/// Whether a header is one of this epoch's members; its signature is checked elsewhere.
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
    if members.get(header.author).is_none() {
        return Err(bad_header(signed, "is no member's"));
    }
    Ok(())
}

/// Whether all headers, each of them a member's, are signed by their authors.
fn check_signatures<'a, S: Suite>(
    headers: impl Iterator<Item = &'a SignedHeader<S::Block>>,
    rules: &Rules,
    members: &Members<S>,
) -> Result<(), SignatureError> {
    let keyed = headers.map(|signed| {
        let member = members.get(signed.header.author);
        let member = member.expect("the author was found to be a member");
        (OnChain::<S>(rules.chain, signed), member.block_key.clone())
    });
    let verdicts = Verified::by_keys::<S::Block>(keyed.collect());
    verdicts.into_iter().try_for_each(|verdict| verdict.map(drop))
}

fn bad_header<S: crypto::Scheme>(signed: &SignedHeader<S>, why: &'static str) -> AnswerError {
    AnswerError::Header {
        author: signed.header.author,
        round: signed.header.round,
        why,
    }
}
