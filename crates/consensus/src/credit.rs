//! Whose blocks further blocks of a slot are accepted for.
//!
//! An equivocator makes as many blocks of one slot as it likes. One beyond the first is accepted when somebody's block waits
//! for it, and is *owed* by the author of that block until the block is in the graph: then it was needed. A block that never
//! comes in, since a parent of it is made up, keeps what is owed for it, so that its author soon has no credit, and the others
//! have all of theirs.
//!
//! What only an equivocator has built on proves no need: a block of its own is a debt of nobody, until somebody else's settles it
//! and all below it.
//!
//! What is owed is not stored: after a restart nobody owes anything. An author whose block needs more at once than its credit is
//! served through the blocks of others and, in the end, by a commit, for which no credit is needed.

use std::collections::BTreeMap;

use types::{AuthorityIndex, BlockRef, Round};

/// What one author may owe.
const MOST_BLOCKS: usize = 256;

struct Debt {
    by: Option<AuthorityIndex>,
    bytes: usize,
}

#[derive(Clone, Copy, Default)]
struct Owes {
    blocks: usize,
    bytes: usize,
}

/// What is owed, and by whom.
pub struct Credit {
    debts: BTreeMap<BlockRef, Debt>,
    authors: Vec<Owes>,
    most_bytes: usize,
}

impl Credit {
    /// Nobody owes anything, and each may owe a number of blocks, and so many bytes.
    pub fn new(members: usize, most_bytes: usize) -> Self {
        Self {
            debts: BTreeMap::new(),
            authors: vec![Owes::default(); members],
            most_bytes,
        }
    }

    /// Whether an author may owe one more block, of so many bytes. The first may have any length.
    pub fn has_room(&self, author: AuthorityIndex, bytes: usize) -> bool {
        let owes = self.authors[slot(author)];
        owes.blocks == 0 || owes.blocks < MOST_BLOCKS && bytes <= self.most_bytes.saturating_sub(owes.bytes)
    }

    /// A block was accepted for this author's, or for nobody's.
    pub fn charge(&mut self, name: BlockRef, by: Option<AuthorityIndex>, bytes: usize) {
        if let Some(by) = by {
            let owes = &mut self.authors[slot(by)];
            owes.blocks += 1;
            owes.bytes += bytes;
        }
        let before = self.debts.insert(name, Debt { by, bytes });
        assert!(before.is_none(), "a block is accepted once");
    }

    /// A block has turned out to be needed; `false` when nobody owed it.
    pub fn settle(&mut self, name: &BlockRef) -> bool {
        let Some(debt) = self.debts.remove(name) else {
            return false;
        };
        self.repay(&debt);
        true
    }

    /// What lies at or below the floor is owed no more.
    pub fn raise(&mut self, floor: Round) {
        while let Some(debt) = self
            .debts
            .first_entry()
            .filter(|first| first.key().round <= floor)
        {
            let debt = debt.remove();
            self.repay(&debt);
        }
    }

    /// Blocks that an author owes.
    #[cfg(test)]
    pub fn owes(&self, author: AuthorityIndex) -> usize {
        self.authors[slot(author)].blocks
    }

    fn repay(&mut self, debt: &Debt) {
        if let Some(by) = debt.by {
            let owes = &mut self.authors[slot(by)];
            owes.blocks -= 1;
            owes.bytes -= debt.bytes;
        }
    }
}

fn slot(author: AuthorityIndex) -> usize {
    usize::from(author.get())
}

#[cfg(test)]
mod tests {
    use crypto::Digest;
    use types::BlockDigest;

    use super::*;

    fn name(round: u32, salt: u8) -> BlockRef {
        BlockRef {
            round: Round::new(round),
            author: index(3),
            digest: BlockDigest::new(Digest::of(&[salt])),
        }
    }

    fn index(member: u16) -> AuthorityIndex {
        AuthorityIndex::new(member).unwrap()
    }

    #[test]
    fn an_author_has_credit_for_so_many_blocks_and_bytes() {
        let mut credit = Credit::new(4, 1_000);
        for salt in 0..=u8::MAX {
            assert!(credit.has_room(index(1), 1));
            credit.charge(name(5, salt), Some(index(1)), 1);
        }
        assert!(!credit.has_room(index(1), 1));
        assert!(credit.has_room(index(2), 2_000), "a first block has any length");
        credit.charge(name(6, 0), Some(index(2)), 900);
        assert!(credit.has_room(index(2), 100));
        assert!(!credit.has_room(index(2), 101));
        assert!(credit.settle(&name(5, 7)));
        assert!(!credit.settle(&name(5, 7)), "it is owed once");
        assert!(credit.has_room(index(1), 1));
        credit.raise(Round::new(5));
        assert_eq!(credit.debts.len(), 1);
        assert_eq!((credit.authors[1].blocks, credit.authors[1].bytes), (0, 0));
    }
}
