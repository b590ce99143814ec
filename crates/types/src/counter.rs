//! Numbers that count one thing each. None converts to another, and none comes from a bare integer by accident.

use std::fmt;

use crypto::Bitmap;
use serde::{Deserialize, Serialize};

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident($integer:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name($integer);

        impl $name {
            /// The lowest.
            pub const ZERO: Self = Self(0);
            /// The highest, which has no next.
            pub const MAX: Self = Self(<$integer>::MAX);

            /// The one with this number.
            pub const fn new(number: $integer) -> Self {
                Self(number)
            }

            /// Its number.
            pub const fn get(self) -> $integer {
                self.0
            }

            /// The one after; `None` after the highest.
            pub const fn next(self) -> Option<Self> {
                match self.0.checked_add(1) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// A term of one committee, from 0 at genesis. BCS: u64.
    Epoch(u64)
}
counter! {
    /// A layer of the block graph of one epoch; 0 is that of the genesis blocks. BCS: u32.
    Round(u32)
}
counter! {
    /// How often an object was written, by Lamport's rule. BCS: u64.
    Version(u64)
}
counter! {
    /// Position of a commit in the order of one epoch. BCS: u64.
    CommitIndex(u64)
}
counter! {
    /// Position of a checkpoint in the chain, from 0 at genesis. BCS: u64.
    CheckpointSequence(u64)
}
counter! {
    /// A set of rules that a committee votes in. BCS: u64.
    ProtocolVersion(u64)
}

/// Position of an authority in its committee: below [`Bitmap::CAPACITY`]. BCS: u16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct AuthorityIndex(u16);

impl AuthorityIndex {
    /// The index with this number; `None` beyond what any committee has. Whether this committee has it, only
    /// [`Committee::authority`](crate::Committee::authority) knows.
    pub const fn new(number: u16) -> Option<Self> {
        if number < Bitmap::CAPACITY {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for AuthorityIndex {
    type Error = &'static str;

    fn try_from(number: u16) -> Result<Self, &'static str> {
        Self::new(number).ok_or("authority index beyond every committee")
    }
}

impl From<AuthorityIndex> for u16 {
    fn from(index: AuthorityIndex) -> Self {
        index.0
    }
}

impl fmt::Display for AuthorityIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    #[test]
    fn the_highest_counter_has_no_next() {
        assert_eq!(Round::ZERO.next(), Some(Round::new(1)));
        assert_eq!(Round::MAX.next(), None);
        assert_eq!(
            Epoch::new(41).next().map(|epoch| epoch.to_string()),
            Some("42".into())
        );
    }

    #[test]
    fn an_authority_index_beyond_every_committee_does_not_decode() {
        assert_eq!(AuthorityIndex::new(1024), None);
        assert_eq!(decode::<AuthorityIndex>(&[0xff, 3], 2), Ok(AuthorityIndex(1023)));
        assert!(decode::<AuthorityIndex>(&[0, 4], 2).is_err());
    }
}
