//! Sets of authorities, as bits.

use types::AuthorityIndex;

const WORDS: usize = crypto::Bitmap::CAPACITY as usize / 64;

/// A set of authorities of one committee.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthoritySet([u64; WORDS]);

impl Default for AuthoritySet {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl AuthoritySet {
    /// Nobody.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Adds an authority; `false` when it was there already.
    pub fn insert(&mut self, authority: AuthorityIndex) -> bool {
        let (word, bit) = place(authority);
        let fresh = self.0[word] & bit == 0;
        self.0[word] |= bit;
        fresh
    }

    /// Takes an authority out.
    pub fn remove(&mut self, authority: AuthorityIndex) {
        let (word, bit) = place(authority);
        self.0[word] &= !bit;
    }

    /// Whether the authority is in the set.
    pub fn contains(&self, authority: AuthorityIndex) -> bool {
        let (word, bit) = place(authority);
        self.0[word] & bit != 0
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Who is in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut both = *self;
        both.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(word, other)| *word &= other);
        both
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: &Self) {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(word, other)| *word |= other);
    }

    /// The authorities, ascending.
    pub fn iter(&self) -> impl Iterator<Item = AuthorityIndex> + '_ {
        (0u16..).zip(self.0).flat_map(|(index, mut word)| {
            std::iter::from_fn(move || {
                let bit = u16::try_from(word.trailing_zeros()).expect("a word has 64 bits");
                (word != 0).then(|| {
                    word &= word - 1;
                    AuthorityIndex::new(index * 64 + bit)
                        .expect("a set has as many places as there are indices")
                })
            })
        })
    }
}

impl FromIterator<AuthorityIndex> for AuthoritySet {
    fn from_iter<I: IntoIterator<Item = AuthorityIndex>>(authorities: I) -> Self {
        let mut set = Self::EMPTY;
        for authority in authorities {
            set.insert(authority);
        }
        set
    }
}

impl std::fmt::Debug for AuthoritySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.iter().map(AuthorityIndex::get))
            .finish()
    }
}

fn place(authority: AuthorityIndex) -> (usize, u64) {
    let number = usize::from(authority.get());
    (number / 64, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(numbers: &BTreeSet<u16>) -> AuthoritySet {
        numbers
            .iter()
            .map(|number| AuthorityIndex::new(*number).unwrap())
            .collect()
    }

    proptest! {
        #[test]
        fn a_set_of_bits_is_a_set(one: BTreeSet<u16>, other: BTreeSet<u16>, extra in 0u16..1024) {
            let within = |numbers: BTreeSet<u16>| -> BTreeSet<u16> { numbers.into_iter().map(|number| number % 1024).collect() };
            let (mut one, other) = (within(one), within(other));
            let (mut first, second) = (set(&one), set(&other));
            let both: BTreeSet<u16> = one.intersection(&other).copied().collect();
            prop_assert_eq!(first.and(&second), set(&both));
            let index = AuthorityIndex::new(extra).unwrap();
            prop_assert_eq!(first.contains(index), one.contains(&extra));
            prop_assert_eq!(first.insert(index), one.insert(extra));
            prop_assert_eq!(first.iter().map(AuthorityIndex::get).collect::<Vec<_>>(), one.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!((first.len(), first.is_empty()), (one.len(), one.is_empty()));
            first.add(&second);
            prop_assert_eq!(first, set(&one.union(&other).copied().collect()));
            first.remove(index);
            prop_assert!(!first.contains(index));
        }
    }
}
