//! Which states a crash may leave of a store: the promises of [`env::storage`] about durability, as one question.
//!
//! A [`History`] is told what a store was asked and what it has answered; then it says of any state whether a crash may
//! leave it. The stores of a real machine and the simulated disk are asked the same question about the same batches,
//! and of the simulated disk it is shown besides that it leaves every state that is allowed here. So what is found on
//! a real disk after a crash is something that the simulator can show too.

use std::collections::BTreeMap;

use bytes::Bytes;
use env::{Batch, Direction, Durability, Family, KeyRange, Operation, Reader, StorageError};

/// All that a store holds.
pub type State = BTreeMap<(Family, Bytes), Bytes>;

/// What one store was asked since it held a known state, and what it has answered.
#[derive(Clone, Debug, Default)]
pub struct History {
    base: State,
    called: Vec<(Batch, Durability)>,
    safe: usize,
}

/// Why a state is none that a crash may leave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// Batches are missing that a barrier had covered.
    #[error("{kept} batches are left, and {safe} were safe")]
    Lost {
        /// The longest prefix that the state can be.
        kept: usize,
        /// The batches that an answered barrier covers.
        safe: usize,
    },
    /// No prefix of the batches makes this state: a batch is there in part or out of order, or a value is another.
    #[error("no prefix of the {called} batches makes this state")]
    Foreign {
        /// How many batches there were.
        called: usize,
    },
}

impl History {
    /// A history that begins with a store that holds `base`.
    pub fn since(base: State) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }

    /// The store is asked to write a batch. Answers the number of the call.
    pub fn call(&mut self, batch: Batch, durability: Durability) -> usize {
        self.called.push((batch, durability));
        self.called.len() - 1
    }

    /// The call of this number has answered `Ok`.
    ///
    /// # Panics
    /// When there was no such call.
    pub fn answer(&mut self, call: usize) {
        let (_, durability) = &self.called[call];
        if *durability == Durability::Synced {
            self.safe = self.safe.max(call + 1);
        }
    }

    /// The call of this number was refused without being tried, and so is every later one.
    pub fn refuse(&mut self, call: usize) {
        self.called.truncate(call);
    }

    /// How many batches every crash must leave.
    pub fn safe(&self) -> usize {
        self.safe
    }

    /// Every state that the store was in, from the first to the last.
    fn states(&self) -> impl Iterator<Item = State> {
        let later = self.called.iter().scan(self.base.clone(), |state, (batch, _)| {
            batch
                .operations()
                .iter()
                .for_each(|operation| apply(state, operation));
            Some(state.clone())
        });
        std::iter::once(self.base.clone()).chain(later)
    }

    /// How many batches are left, in a state that was found after a crash. A batch that changes nothing may or may not
    /// be counted.
    ///
    /// # Errors
    /// [`Breach`], when no crash may leave this state.
    pub fn kept(&self, found: &State) -> Result<usize, Breach> {
        match self
            .states()
            .enumerate()
            .filter(|(_, state)| state == found)
            .last()
        {
            Some((kept, _)) if kept >= self.safe => Ok(kept),
            Some((kept, _)) => Err(Breach::Lost {
                kept,
                safe: self.safe,
            }),
            None => Err(Breach::Foreign {
                called: self.called.len(),
            }),
        }
    }
}

fn apply(state: &mut State, operation: &Operation) {
    match operation {
        Operation::Put { family, key, value } => {
            state.insert((*family, key.clone()), value.clone());
        }
        Operation::Delete { family, key } => {
            state.remove(&(*family, key.clone()));
        }
        Operation::DeleteRange { family, range } => {
            state.retain(|(held, key), _| held != family || !range.contains(key));
        }
    }
}

/// All that `reader` sees of `families`.
///
/// # Errors
/// Those of the reader.
pub async fn state<R: Reader>(reader: &R, families: &[Family]) -> Result<State, StorageError> {
    let mut state = State::new();
    for family in families {
        let entries = reader
            .scan(*family, KeyRange::ALL, Direction::Forward, usize::MAX)
            .await?;
        state.extend(entries.into_iter().map(|(key, value)| ((*family, key), value)));
    }
    Ok(state)
}

/// The families of the batches of [`numbered`].
pub const FAMILIES: [Family; 2] = [Family::new("one"), Family::new("other")];

/// Batch `number` of a history without end that is the same everywhere. It writes its number into both families, so
/// that no two prefixes look alike and half a batch is seen, and puts and deletes some of a few other keys. About every
/// sixth is a barrier, and some of those carry nothing.
pub fn numbered(number: u64) -> (Batch, Durability) {
    let mut bits = mixed(number);
    let mut below = |bound: u64| {
        let value = bits % bound;
        bits = mixed(bits);
        value
    };
    let durability = if below(6) == 0 {
        Durability::Synced
    } else {
        Durability::Buffered
    };
    let mut batch = Batch::default();
    if durability == Durability::Synced && below(3) == 0 {
        return (batch, durability);
    }
    let written = Bytes::copy_from_slice(&number.to_be_bytes());
    for family in FAMILIES {
        batch.put(family, &b"number"[..], written.clone());
        for _ in 0..below(4) {
            let key = [b'k', b'0' + below(8) as u8, b'0' + below(8) as u8];
            match below(6) {
                0 => batch.delete(family, key[..].to_vec()),
                1 => batch.delete_range(family, KeyRange::prefix(&key[..2])),
                _ => batch.put(
                    family,
                    key[..].to_vec(),
                    written.repeat(1 + below(2) as usize * 100),
                ),
            };
        }
    }
    (batch, durability)
}

/// Another 64 bits for each 64 bits (the finalizer of splitmix64).
fn mixed(bits: u64) -> u64 {
    let mut z = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Family = FAMILIES[0];
    const OTHER: Family = FAMILIES[1];

    fn put(key: &'static str, value: &'static str) -> Batch {
        let mut batch = Batch::default();
        batch.put(ONE, key, value).put(OTHER, key, value);
        batch
    }

    fn holding(entries: &[(&'static str, &'static str)]) -> State {
        let of = |family| {
            entries
                .iter()
                .map(move |(key, value)| ((family, (*key).into()), (*value).into()))
        };
        of(ONE).chain(of(OTHER)).collect()
    }

    /// Two batches that a barrier covers, and two that none does.
    fn history() -> History {
        let mut history = History::since(holding(&[("old", "0")]));
        history.call(put("a", "1"), Durability::Buffered);
        let synced = history.call(put("b", "2"), Durability::Synced);
        history.answer(synced);
        let buffered = history.call(put("c", "3"), Durability::Buffered);
        history.answer(buffered);
        history.call(put("d", "4"), Durability::Synced);
        history
    }

    #[test]
    fn every_prefix_behind_the_barrier_may_be_left() {
        let mut left = vec![("old", "0"), ("a", "1"), ("b", "2")];
        assert_eq!(history().safe(), 2);
        assert_eq!(history().kept(&holding(&left)), Ok(2));
        left.push(("c", "3"));
        assert_eq!(history().kept(&holding(&left)), Ok(3), "an answer is no barrier");
        left.push(("d", "4"));
        assert_eq!(
            history().kept(&holding(&left)),
            Ok(4),
            "a barrier without an answer may have worked"
        );
    }

    #[test]
    fn what_a_barrier_covers_may_not_be_missing() {
        let lost = |kept| Err(Breach::Lost { kept, safe: 2 });
        assert_eq!(history().kept(&holding(&[("old", "0")])), lost(0));
        assert_eq!(history().kept(&holding(&[("old", "0"), ("a", "1")])), lost(1));
    }

    #[test]
    fn what_is_no_prefix_is_a_breach() {
        let foreign = Err(Breach::Foreign { called: 4 });
        let without_c = [("old", "0"), ("a", "1"), ("b", "2"), ("d", "4")];
        assert_eq!(history().kept(&holding(&without_c)), foreign, "out of order");
        let another = [("old", "0"), ("a", "1"), ("b", "5")];
        assert_eq!(history().kept(&holding(&another)), foreign, "another value");
        let mut half = holding(&[("old", "0"), ("a", "1"), ("b", "2")]);
        half.insert((ONE, "c".into()), "3".into());
        assert_eq!(history().kept(&half), foreign, "half a batch");
        assert_eq!(
            history().kept(&State::new()),
            foreign,
            "what was there before is gone"
        );
    }

    #[test]
    fn what_was_refused_may_not_be_there() {
        let mut history = history();
        history.refuse(3);
        let with_d = [("old", "0"), ("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
        assert_eq!(
            history.kept(&holding(&with_d)),
            Err(Breach::Foreign { called: 3 })
        );
        assert_eq!(history.kept(&holding(&with_d[..4])), Ok(3));
    }

    #[test]
    fn deletes_take_away_what_they_name() {
        let mut batch = Batch::default();
        batch.delete(ONE, "a").delete_range(OTHER, KeyRange::prefix(b"o"));
        let mut history = history();
        history.answer(3);
        let delete = history.call(batch, Durability::Synced);
        history.answer(delete);
        let mut left = holding(&[("old", "0"), ("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
        assert_eq!(history.kept(&left), Err(Breach::Lost { kept: 4, safe: 5 }));
        left.remove(&(ONE, "a".into()));
        left.remove(&(OTHER, "old".into()));
        assert_eq!(history.kept(&left), Ok(5));
    }

    #[test]
    fn numbered_batches_are_of_every_sort_and_no_two_prefixes_look_alike() {
        let mut history = History::default();
        let mut tally = [0; 5];
        for number in 0..300 {
            let (batch, durability) = numbered(number);
            assert_eq!((batch.clone(), durability), numbered(number));
            tally[0] += usize::from(durability == Durability::Synced);
            tally[1] += usize::from(batch.is_empty());
            for operation in batch.operations() {
                match operation {
                    Operation::Put { .. } => tally[2] += 1,
                    Operation::Delete { .. } => tally[3] += 1,
                    Operation::DeleteRange { .. } => tally[4] += 1,
                }
            }
            history.call(batch, durability);
        }
        assert!(tally.iter().all(|count| *count > 10), "{tally:?}");
        let empty = history
            .called
            .iter()
            .filter(|(batch, _)| batch.is_empty())
            .count();
        let mut states: Vec<_> = history.states().collect();
        states.sort();
        states.dedup();
        assert_eq!(states.len() + empty, 301);
    }
}
