//! The part of a state that is at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use types::{ObjectId, encoded_bytes};

use super::{Head, Pruning, StoreError, Write, object};
use crate::execute::Writes;
use crate::state::{Index, Live, Objects, is_unsettled};

/// What an object costs beside its bytes.
const OVERHEAD: usize = 256;

/// A state of which only a part is in memory: what was used last, as much as fits.
///
/// Whatever is computed on it may ask for an object that is not at hand. It is told that there is none, and the id is noted: so the
/// caller computes, [takes](Self::take_missed) what was missed, [loads](Self::load) it, and computes again until nothing was. Only
/// then does the result count. What a commit has loaded stays until it is [applied](Self::apply), so each time less is missed.
#[derive(Debug)]
pub struct State {
    head: Head,
    unsettled: BTreeSet<ObjectId>,
    at_hand: BTreeMap<ObjectId, AtHand>,
    /// By last use.
    order: BTreeMap<u64, ObjectId>,
    uses: u64,
    bytes: usize,
    most_bytes: usize,
    missed: Mutex<BTreeSet<ObjectId>>,
}

#[derive(Debug)]
struct AtHand {
    live: Option<Live>,
    bytes: usize,
    used: u64,
}

impl State {
    /// A state at this head, with all that is unsettled in it, of which about so many bytes of objects stay at hand from commit to
    /// commit.
    pub fn new(head: Head, unsettled: BTreeSet<ObjectId>, most_bytes: usize) -> Self {
        Self {
            head,
            unsettled,
            at_hand: BTreeMap::new(),
            order: BTreeMap::new(),
            uses: 0,
            bytes: 0,
            most_bytes,
            missed: Mutex::new(BTreeSet::new()),
        }
    }

    /// How far it is.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Bytes of what is at hand.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Those of these ids that are not at hand, and the others are used now: for what a commit names, before it is computed.
    pub fn lacks(&mut self, ids: impl IntoIterator<Item = ObjectId>) -> BTreeSet<ObjectId> {
        let (found, lacking): (BTreeSet<_>, BTreeSet<_>) =
            ids.into_iter().partition(|id| self.at_hand.contains_key(id));
        for id in found {
            self.touch(id);
        }
        lacking
    }

    /// What was asked for and not at hand since this was called last.
    pub fn take_missed(&mut self) -> BTreeSet<ObjectId> {
        std::mem::take(&mut *self.missed())
    }

    /// Takes in what the store has at an id.
    ///
    /// # Errors
    /// [`StoreError`]: the store is damaged, and nothing is taken in.
    pub fn load(&mut self, id: ObjectId, bytes: Option<&[u8]>) -> Result<(), StoreError> {
        let live = match bytes {
            Some(bytes) => Some(Live::new(object(&id, bytes)?)),
            None => None,
        };
        self.insert(id, live);
        Ok(())
    }

    /// Goes on to what a commit has made of it, and lets go what was not used for longest where there is too much.
    /// Only when the store has taken the commit's batch: what is let go is read from there again.
    pub fn apply(&mut self, head: Head, writes: &Writes) {
        self.head = head;
        for (id, after) in writes {
            let is_open = after
                .as_ref()
                .is_some_and(|live| is_unsettled(&live.object().content));
            if is_open {
                self.unsettled.insert(*id);
            } else {
                self.unsettled.remove(id);
            }
            self.insert(*id, after.clone());
        }
        while self.bytes > self.most_bytes
            && let Some((_, id)) = self.order.pop_first()
        {
            if let Some(gone) = self.at_hand.remove(&id) {
                self.bytes -= gone.bytes;
            }
        }
    }

    /// Notes that an epoch is pruned, and says so to the store.
    pub fn pruned(&mut self, pruning: Pruning) -> Write {
        self.head.unpruned = self.head.unpruned.max(pruning.next());
        self.head.write()
    }

    fn insert(&mut self, id: ObjectId, live: Option<Live>) {
        let object = live.as_ref().map(Live::object);
        let encoded = usize::try_from(object.map_or(0, encoded_bytes)).unwrap_or(usize::MAX);
        let bytes = encoded.saturating_add(OVERHEAD);
        let used = self.uses;
        let before = self.at_hand.insert(id, AtHand { live, bytes, used });
        if let Some(before) = before {
            self.order.remove(&before.used);
            self.bytes -= before.bytes;
        }
        self.order.insert(used, id);
        self.bytes += bytes;
        self.uses += 1;
    }

    fn touch(&mut self, id: ObjectId) {
        if let Some(at_hand) = self.at_hand.get_mut(&id) {
            self.order.remove(&at_hand.used);
            at_hand.used = self.uses;
            self.order.insert(self.uses, id);
            self.uses += 1;
        }
    }

    fn missed(&self) -> MutexGuard<'_, BTreeSet<ObjectId>> {
        // A set of ids is whole whoever panics.
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects for State {
    fn get(&self, id: &ObjectId) -> Option<Live> {
        match self.at_hand.get(id) {
            Some(at_hand) => at_hand.live.clone(),
            None => {
                self.missed().insert(*id);
                None
            }
        }
    }
}

impl Index for State {
    fn unsettled(&self) -> Vec<ObjectId> {
        self.unsettled.iter().copied().collect()
    }
}
