use super::*;
use crate::block::Draft;
use crate::kit::{block, index, members, rules, signer};
use crate::members::Production;

fn dag() -> Dag<Production> {
    Dag::new(&rules(), members(4), Round::ZERO)
}

fn names(dag: &Dag<Production>, round: u32, authors: &[u8]) -> Vec<BlockRef> {
    let first = |author: &u8| dag.name_at(Round::new(round), Place::first(index(*author)));
    authors.iter().map(|author| first(author).unwrap()).collect()
}

fn block_of(
    dag: &Dag<Production>,
    author: u8,
    round: u32,
    parents: &[u8],
    plain: &AuthoritySet,
    clock: u64,
) -> (SignedBlock<Production>, Vec<BlockRef>) {
    let parents = names(dag, round - 1, parents);
    (block((author, round, clock), parents.clone(), plain), parents)
}

fn everybody(dag: &Dag<Production>) -> AuthoritySet {
    dag.members.indices().collect()
}

/// A graph in which everybody has a block in the first round.
fn grown() -> Dag<Production> {
    let mut dag = dag();
    for author in 0..4u8 {
        let others = (0..4).filter(|other| *other != author);
        let parents: Vec<u8> = std::iter::once(author).chain(others).collect();
        let (block, parents) = block_of(&dag, author, 1, &parents, &everybody(&dag), 0);
        dag.insert(block, &parents);
    }
    dag
}

#[test]
fn a_block_in_short_has_the_parents_that_its_author_signed_or_none() {
    let dag = grown();
    let (signed, parents) = block_of(&dag, 0, 2, &[0, 1, 2], &everybody(&dag), 0);
    assert_eq!(dag.resolve(&signed), Resolved::Parents(parents.clone()));
    let (named, _) = block_of(&dag, 0, 2, &[0, 1, 2], &AuthoritySet::EMPTY, 0);
    assert_eq!(dag.resolve(&named), Resolved::Parents(parents));
    // Other parents beside the same signature: in the set, and by name alone.
    for others in [names(&dag, 1, &[0, 1, 3]), names(&dag, 1, &[0, 1, 2, 3])] {
        let previous = others.iter().map(|name| name.author).collect();
        for parents in [
            Parents::Compact {
                previous,
                others: Vec::new(),
            },
            Parents::Compact {
                previous: AuthoritySet::EMPTY,
                others: others.clone(),
            },
        ] {
            let forged = SignedBlock {
                parents,
                ..signed.clone()
            };
            assert_eq!(dag.resolve(&forged), Resolved::NeedsFull);
        }
    }
}

#[test]
fn a_block_in_short_is_read_with_whichever_block_of_a_slot_its_author_means() {
    let mut dag = grown();
    let (short, first) = block_of(&dag, 0, 2, &[0, 1, 2], &everybody(&dag), 0);
    let (twin, parents) = block_of(&dag, 1, 1, &[1, 0, 2], &everybody(&dag), 7);
    let second = twin.reference();
    assert_eq!(dag.insert(twin, &parents).position, 1);
    assert_eq!(dag.resolve(&short), Resolved::Parents(first.clone()));
    let mut meant = first;
    meant[1] = second;
    let draft = Draft {
        round: Round::new(2),
        timestamp: UnixMillis::new(0),
        parents: meant.clone(),
        vote: None,
        payloads: Payloads::default(),
    };
    let other = SignedBlock::make(draft, &everybody(&dag), &rules(), &signer(0));
    assert_eq!(dag.resolve(&other), Resolved::Parents(meant));
}

#[test]
fn what_is_of_no_member_is_nowhere() {
    let dag = grown();
    let stranger = Slot {
        round: Round::new(1),
        author: AuthorityIndex::new(900).unwrap(),
    };
    assert_eq!(dag.names(stranger).len(), 0);
    assert!(dag.at(Round::new(1), Place::first(stranger.author)).is_none());
}
