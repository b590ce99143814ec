//! Blocks of one round, by author and position.

use types::AuthorityIndex;

use crate::set::AuthoritySet;

/// A block of a round: its author, and its position in the slot; 0 is the first accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Whose.
    pub author: AuthorityIndex,
    /// Which of the slot.
    pub position: u16,
}

impl Place {
    /// The first block of the author's slot.
    pub const fn first(author: AuthorityIndex) -> Self {
        Self { author, position: 0 }
    }
}

/// Some blocks of one round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Whose first block is in.
    pub first: AuthoritySet,
    /// The siblings that are in, ascending.
    pub siblings: Vec<Place>,
}

impl Places {
    /// Adds one; `false` when it was there.
    pub fn insert(&mut self, place: Place) -> bool {
        if place.position == 0 {
            return self.first.insert(place.author);
        }
        match self.siblings.binary_search(&place) {
            Ok(_) => false,
            Err(at) => {
                self.siblings.insert(at, place);
                true
            }
        }
    }

    /// Whether it is in.
    pub fn contains(&self, place: Place) -> bool {
        if place.position == 0 {
            self.first.contains(place.author)
        } else {
            self.siblings.binary_search(&place).is_ok()
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        self.first
            .iter()
            .map(Place::first)
            .chain(self.siblings.iter().copied())
    }

    /// The authors of all of them.
    pub fn authors(&self) -> AuthoritySet {
        let mut authors = self.first;
        for place in &self.siblings {
            authors.insert(place.author);
        }
        authors
    }
}
