//! What goes into the machine and what comes out of it.

use std::time::Duration;

use bytes::Bytes;
use crypto::Verified;
use types::{
    AuthorityIndex, BlockRef, Commit, CommitDigest, CommitIndex, CommitRef, Equivocation, Mono, Round,
    UnixMillis,
};

use crate::block::{Payloads, SignedBlock};
use crate::members::Suite;
use crate::messages::{Answer, AnswerError, Request};

/// Both clocks of a node, at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// What is waited on.
    pub mono: Mono,
    /// What blocks are stamped with.
    pub wall: UnixMillis,
}

/// The number of a question, to know its answer by. Unique within a machine's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(pub(crate) u64);

/// Something that happened.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most events are blocks, and each is moved into the machine once"
)]
pub enum Event<S: Suite> {
    /// Time has passed: the [`deadline`](crate::Core::deadline) was reached.
    Tick,
    /// A block came on the stream of `from`, which need not be its author.
    Block {
        /// Who sent it.
        from: AuthorityIndex,
        /// The block.
        block: Verified<SignedBlock<S>>,
    },
    /// A question was answered, or will not be.
    Answer {
        /// Which one.
        ask: AskId,
        /// The answer, checked against its request.
        answer: Result<Answer<S>, Unanswered>,
    },
    /// Everything that was to be stored up to this own block is durable.
    Durable {
        /// The own block.
        block: BlockRef,
    },
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nothing came in time, or the peer refused.
    #[error("no answer")]
    Silent,
    /// What came is no answer.
    #[error(transparent)]
    Wrong(#[from] AnswerError),
}

/// Something to do. Actions are in order: what is to be stored comes before what relies on it.
#[derive(Clone, Debug)]
pub enum Action<S: Suite> {
    /// Write it down, with [`Action::Publish`] as the barrier.
    Store(Record),
    /// Write a block down that is written down already, in another form.
    Rewrite(Record),
    /// An own block: once it and every record before are durable, send it to everybody, and say so by
    /// [`Event::Durable`].
    Publish {
        /// Its name.
        block: BlockRef,
        /// Its bytes.
        frame: Bytes,
    },
    /// Ask a member; answer by [`Event::Answer`] within the limit.
    Ask {
        /// The number of the question.
        id: AskId,
        /// Whom.
        to: AuthorityIndex,
        /// What.
        request: Request,
        /// How long the answer may take.
        limit: Duration,
    },
    /// The next commit, exactly once for each index and in order.
    Deliver(SubDag),
    /// Somebody signed two blocks for one slot: the first such proof of each author.
    Accuse(Box<Equivocation<S::Block>>),
    /// A peer broke a rule. Counted, for the operator; the machine has dealt with it.
    Blame {
        /// Who.
        peer: AuthorityIndex,
        /// Which rule.
        fault: Fault,
    },
    /// A quorum has voted for other commits than this member's, or it has: more members are faulty than the protocol allows
    /// for. Nothing more is committed.
    Forked {
        /// The last commit of this member.
        own: CommitRef,
        /// The commit that a quorum votes for, of the same index or the next.
        proven: CommitRef,
    },
    /// A quorum has voted for the last commit of the epoch. The machine makes no more blocks and goes on answering.
    Closed,
}

/// A rule that a peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Two blocks in one slot.
    Equivocated,
    /// An answer that breaks the rules.
    WrongAnswer,
    /// Commits of a quorum that are not this member's: see [`Action::Forked`].
    Fork,
    /// Commits that a quorum has not voted for.
    UnprovenCommits,
    /// More blocks with missing parents than are held for one author.
    TooManyHeld,
    /// A block far beyond the rounds that are held.
    FarAhead,
    /// A block whose parent is not of this graph: a genesis block that is none.
    ForeignParent,
}

/// A line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which table.
    pub table: Table,
    /// The key; keys of one table are ordered as bytes.
    pub key: Vec<u8>,
    /// The value; it replaces what stood there.
    pub value: Bytes,
}

/// The tables of one epoch's store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Frames of accepted blocks by round (4 bytes, big endian), author (2 bytes, big endian) and digest.
    Blocks,
    /// [`Commit`]s by index (8 bytes, big endian).
    Commits,
    /// For some commits, names of a quorum's blocks that prove them; by index.
    Certificates,
    /// What a restart needs besides: see [`crate::restore`].
    State,
}

/// A commit with what it brings into the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubDag {
    /// The commit.
    pub commit: Commit,
    /// Its digest.
    pub digest: CommitDigest,
    /// The payloads of each of its blocks, in the order of [`Commit::blocks`].
    pub payloads: Vec<Payloads>,
    /// Whether it is the last of the epoch.
    pub is_last: bool,
}

/// The queue of own payloads is full, or takes none of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is full: try again when the next own block is out.
    #[error("{payloads} payloads of {bytes} bytes wait already")]
    Busy {
        /// How many wait.
        payloads: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// A payload over the limit of the epoch's rules.
    #[error("a payload of {found} bytes where {limit} are admitted")]
    TooLong {
        /// Its bytes.
        found: usize,
        /// What is admitted.
        limit: u32,
    },
    /// The epoch is over: hand it to the next.
    #[error("the epoch is over")]
    Closed,
}

/// What an operator wants to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The round that the graph has reached.
    pub round: Round,
    /// The last own block.
    pub own: Round,
    /// The last commit.
    pub commit: CommitIndex,
    /// The last commit that a quorum has voted for, as far as is known.
    pub certified: CommitIndex,
    /// Blocks in memory.
    pub blocks: usize,
    /// Blocks that wait for their parents.
    pub held: usize,
    /// Bytes of blocks that wait for their parents.
    pub held_bytes: usize,
    /// Own payloads that wait for a block.
    pub queued: usize,
    /// Questions under way.
    pub asked: usize,
    /// Whether the machine is finding out what it has signed before it lost its store.
    pub is_recovering: bool,
}
