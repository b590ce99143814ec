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

#[cfg(test)]
mod tests {
    use crypto::{BlsScheme, Digest, Ed25519Scheme, Scheme};
    use types::{BlockDigest, ChainId, CommitDigest, CommitRef, Epoch, UnixMillis, VotingPower};

    use super::*;
    use crate::block::{Draft, Payloads};
    use crate::members::{Member, Production, Signer};
    use crate::set::AuthoritySet;

    const MEMBERS: u16 = 4;

    fn index(author: u16) -> AuthorityIndex {
        AuthorityIndex::new(author).expect("an index")
    }

    fn rules() -> Rules {
        Rules::new(ChainId::new(Digest::ZERO), Epoch::new(1), UnixMillis::new(1_000))
    }

    fn signer(author: u16) -> Signer<Production> {
        let seed = [author as u8; 32];
        Signer {
            index: index(author),
            block: Ed25519Scheme::secret(&seed),
            beacon: BlsScheme::secret(&seed),
        }
    }

    fn members() -> Members<Production> {
        let members = (0..MEMBERS).map(|author| {
            let signer = signer(author);
            Member {
                power: VotingPower::new(2_500),
                block_key: Ed25519Scheme::public(&signer.block),
                beacon_key: BlsScheme::public(&signer.beacon),
            }
        });
        Members::new(Epoch::new(1), members.collect()).expect("four quarters")
    }

    fn set(authors: impl IntoIterator<Item = u16>) -> AuthoritySet {
        authors.into_iter().map(index).collect()
    }

    /// A block on these parents, of which those in `plain` need not be named.
    fn block(
        round: u32,
        author: u16,
        parents: &[BlockRef],
        plain: &AuthoritySet,
        payload: &[u8],
    ) -> SignedBlock<Production> {
        let mut parents = parents.to_vec();
        parents.sort_by_key(|parent| (parent.author != index(author), parent.author));
        let vote = (round > 1).then(|| vote(u64::from(round) - 1));
        let draft = Draft {
            round: Round::new(round),
            timestamp: UnixMillis::new(2_000),
            parents,
            vote,
            payloads: Payloads::new([payload]),
        };
        let made = SignedBlock::make(draft, plain, &rules(), &signer(author));
        SignedBlock::decode(made.frame(), &rules(), &members()).expect("a block")
    }

    fn vote(index: u64) -> CommitRef {
        CommitRef {
            index: CommitIndex::new(index),
            digest: CommitDigest::new(Digest::ZERO),
        }
    }

    /// A block of each author in round 1.
    fn first_row() -> Vec<BlockRef> {
        let genesis = genesis_row(&rules(), &members());
        let all = set(0..MEMBERS);
        (0..MEMBERS)
            .map(|author| block(1, author, &genesis, &all, b"").reference())
            .collect()
    }

    #[test]
    fn a_block_in_short_is_expanded_to_the_same_block_in_full() {
        let genesis = genesis_row(&rules(), &members());
        let row = first_row();
        // Author 3's parent is named, as a twin's would be.
        for (round, row, plain) in [(1, &genesis, set(0..MEMBERS)), (2, &row, set(0..3))] {
            let short = block(round, 2, row, &plain, b"payload");
            assert_eq!(row_needed(&short), Some(Round::new(round - 1)));
            let full = expand(&short, row).expect("all parents are there");
            let full = SignedBlock::decode(&full, &rules(), &members()).expect("a block");
            assert_eq!(row_needed(&full), None);
            assert_eq!(full.reference(), short.reference());
            assert_eq!(expand(&full, &[]).as_ref(), Some(full.frame()));
            let verified = full.verify(&members()).expect("signed");
            assert_eq!(verified.payloads(), short.payloads());
        }
    }

    #[test]
    fn among_twins_the_digest_says_which_one_was_meant() {
        let genesis = genesis_row(&rules(), &members());
        let mut row = first_row();
        let twin = |payload: &[u8]| block(1, 3, &genesis, &set(0..MEMBERS), payload).reference();
        let meant = twin(b"meant");
        let parents = [row[0], row[1], row[2], meant];
        let short = block(2, 0, &parents, &set(0..MEMBERS), b"");
        assert_eq!(super::parents(&short, &row), None);
        row.extend([twin(b"other"), meant]);
        assert_eq!(super::parents(&short, &row), Some(parents.to_vec()));
        let signed = header(&short, &row).expect("all parents are there");
        assert_eq!(signed.header.reference(), short.reference());
    }

    #[test]
    fn parents_that_are_missing_or_too_many_to_try_give_nothing() {
        let row = first_row();
        let short = block(2, 0, &row, &set(0..MEMBERS), b"");
        assert_eq!(expand(&short, &row[1..]), None);
        let many: Vec<BlockRef> = (0..=255)
            .flat_map(|twin: u8| {
                row.iter().map(move |name| BlockRef {
                    digest: BlockDigest::new(Digest::new([twin; 32])),
                    ..*name
                })
            })
            .chain(row.iter().copied())
            .collect();
        assert_eq!(expand(&short, &many), None);
    }

    #[test]
    fn an_answer_ends_before_the_frame_that_does_not_fit() {
        let frame = |bytes: usize| Bytes::from(vec![7; bytes]);
        let count = |frames: Vec<Bytes>| {
            let answer = blocks_answer(frames);
            assert!(answer.len() <= MAX_FRAME_BYTES);
            types::decode::<BlocksAnswer>(&answer, MAX_FRAME_BYTES)
                .expect("an answer")
                .len()
        };
        assert_eq!(count(vec![frame(MAX_FRAME_BYTES), frame(1)]), 0);
        assert_eq!(count(vec![frame(MAX_FRAME_BYTES - 69), frame(1)]), 1);
        assert_eq!(count(vec![frame(1 << 20); 5]), 3);
        assert_eq!(count(vec![frame(1); 300]), MAX_ANSWER_BLOCKS);
    }

    #[test]
    fn votes_say_how_many_commits_an_answer_needs() {
        let row = first_row();
        let signed = header(&block(2, 0, &row, &set(0..MEMBERS), b""), &row).expect("a header");
        let voted = |first, most| {
            last_voted::<Production>(CommitIndex::new(first), most, std::slice::from_ref(&signed))
        };
        assert_eq!(voted(1, 1), Some(CommitIndex::new(1)));
        assert_eq!(voted(1, 0), None);
        assert_eq!(voted(2, 10), None);
        assert_eq!(last_voted::<Production>(CommitIndex::new(1), 1, &[]), None);
    }
}
