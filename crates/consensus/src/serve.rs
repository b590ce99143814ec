//! What a member answers from its store: blocks in full, and commits with what proves them.
//!
//! Stored frames may name their parents in short. Whoever asks may lack the parents, so an answer names all of them:
//! the row of names of the round before gives the candidates, and the digest that the author signed says which ones
//! were meant.

use bytes::Bytes;
use types::block::MAX_PARENTS;
use types::{AuthorityIndex, BlockHeader, BlockRef, Bounded, Commit, CommitIndex, Round, SignedHeader};

use crate::block::{Parents, SignedBlock};
use crate::members::{Members, Suite};
use crate::messages::{BlocksAnswer, CommitsAnswer, MAX_ANSWER_BLOCKS, MAX_ANSWER_COMMITS, MAX_FRAME_BYTES};
use crate::rules::Rules;
use crate::wire;

/// The most lists of parents that are tried for one block: authors with several blocks in a row multiply.
const MAX_TRIES: usize = 256;
/// Room in an answer for what stands around its elements: lengths of lists.
const ENVELOPE_BYTES: usize = 64;
/// Room for the length before each block in an answer.
const LENGTH_BYTES: usize = 5;

/// The round whose names [`parents`] needs: the one before, of a block with parents in short.
pub fn row_needed<S: Suite>(block: &SignedBlock<S>) -> Option<Round> {
    match block.parents() {
        Parents::Full(_) => None,
        // A decoded block is not of round 0.
        Parents::Compact { .. } => Some(Round::new(block.reference().round.get().saturating_sub(1))),
    }
}

/// The names of round 0, which nobody stores.
pub fn genesis_row<S: Suite>(rules: &Rules, members: &Members<S>) -> Vec<BlockRef> {
    members
        .indices()
        .map(|author| BlockHeader::genesis(rules.epoch, author, rules.start).reference())
        .collect()
}

/// All parents of the block, as its digest has them: the author's own first, the others ascending by author. `row` holds
/// the names of the round before. `None` when they do not give the digest: the row lacks a name, or the author meant
/// something else.
pub fn parents<S: Suite>(block: &SignedBlock<S>, row: &[BlockRef]) -> Option<Vec<BlockRef>> {
    let (previous, others) = match block.parents() {
        Parents::Full(names) => return Some(names.clone()),
        Parents::Compact { previous, others } => (previous, others),
    };
    // One list of candidates for each place; places are ascending by author.
    let mut places: Vec<(AuthorityIndex, Vec<BlockRef>)> =
        others.iter().map(|name| (name.author, vec![*name])).collect();
    for author in previous.iter() {
        let candidates: Vec<BlockRef> = row.iter().filter(|name| name.author == author).copied().collect();
        if candidates.is_empty() {
            return None;
        }
        places.push((author, candidates));
    }
    let own = block.reference().author;
    places.sort_by_key(|(author, _)| (*author != own, *author));
    let mut choice = vec![0; places.len()];
    for _ in 0..MAX_TRIES {
        let names: Vec<BlockRef> = choice
            .iter()
            .zip(&places)
            .map(|(chosen, (_, candidates))| candidates[*chosen])
            .collect();
        if block.digest_with(&names) == block.reference().digest {
            return Some(names);
        }
        if !advance(&mut choice, &places) {
            return None;
        }
    }
    None
}

/// Counts on to the next choice; `false` after the last one.
fn advance(choice: &mut [usize], places: &[(AuthorityIndex, Vec<BlockRef>)]) -> bool {
    for (chosen, (_, candidates)) in choice.iter_mut().zip(places) {
        *chosen += 1;
        if *chosen < candidates.len() {
            return true;
        }
        *chosen = 0;
    }
    false
}

/// The block with all its parents named; `None` as in [`parents`].
pub fn expand<S: Suite>(block: &SignedBlock<S>, row: &[BlockRef]) -> Option<Bytes> {
    if matches!(block.parents(), Parents::Full(_)) {
        return Some(block.frame().clone());
    }
    let mut full = block.clone();
    full.parents = Parents::Full(parents(block, row)?);
    Some(wire::encode(&full))
}

/// The block's header with its signature; `None` as in [`parents`].
pub fn header<S: Suite>(block: &SignedBlock<S>, row: &[BlockRef]) -> Option<SignedHeader<S::Block>> {
    Some(block.signed_header(&parents(block, row)?))
}

/// The answer with as many of these frames as fit one answer, in order. A frame that does not fit ends it: what is
/// missing is asked for again.
pub fn blocks_answer(frames: impl IntoIterator<Item = Bytes>) -> Bytes {
    let mut taken = Vec::new();
    let mut bytes = ENVELOPE_BYTES;
    for frame in frames {
        bytes += frame.len() + LENGTH_BYTES;
        if bytes > MAX_FRAME_BYTES || taken.len() == MAX_ANSWER_BLOCKS {
            break;
        }
        taken.push(frame);
    }
    let answer: BlocksAnswer = Bounded::new(taken).expect("as many as an answer holds");
    types::encode(&answer).into()
}

/// The last commit that an answer has to hold for these votes to be comparable with it, if that is one the asker asked
/// for; `None` when the votes prove nothing that was asked for.
pub fn last_voted<S: Suite>(
    first: CommitIndex,
    most: u16,
    votes: &[SignedHeader<S::Block>],
) -> Option<CommitIndex> {
    let last = votes
        .iter()
        .filter_map(|vote| vote.header.vote)
        .map(|vote| vote.index)
        .max()?;
    let count = last.get().checked_sub(first.get())?.checked_add(1)?;
    let limit = (MAX_ANSWER_COMMITS as u64).min(u64::from(most));
    (count <= limit).then_some(last)
}

/// The answer with these commits and these votes, if it fits.
pub fn commits_answer<S: Suite>(commits: Vec<Commit>, votes: Vec<SignedHeader<S::Block>>) -> Option<Bytes> {
    let commits: Bounded<Commit, MAX_ANSWER_COMMITS> = Bounded::new(commits)?;
    let votes: Bounded<SignedHeader<S::Block>, MAX_PARENTS> = Bounded::new(votes)?;
    let answer = types::encode(&CommitsAnswer::<S> { commits, votes });
    (answer.len() <= MAX_FRAME_BYTES).then(|| answer.into())
}
