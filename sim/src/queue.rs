//! The one queue of everything that is going to happen, in the order (time, tie key, sequence).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::time::VirtualTime;

/// Names an entry of an [`EventQueue`], so that it can be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey {
    slot: u32,
    sequence: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: VirtualTime,
    tie: u32,
    sequence: u64,
    slot: u32,
}

struct Slot<T> {
    sequence: u64,
    event: Option<T>,
}

/// A priority queue with cancellation. Insertion and removal cost O(log n); a cancelled entry frees its event at
/// once, and its place in the heap as soon as cancelled places outnumber live ones.
pub struct EventQueue<T> {
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    sequence: u64,
    live: usize,
}

impl<T> Default for EventQueue<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            live: 0,
        }
    }
}

impl<T> EventQueue<T> {
    /// Adds an event. Among events of one instant the lower `tie` comes first, then the earlier inserted.
    pub fn insert(&mut self, at: VirtualTime, tie: u32, event: T) -> EventKey {
        self.sequence += 1;
        let sequence = self.sequence;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Slot {
                    sequence,
                    event: Some(event),
                };
                slot
            }
            None => {
                let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 events wait at a time");
                self.slots.push(Slot {
                    sequence,
                    event: Some(event),
                });
                slot
            }
        };
        self.live += 1;
        self.heap.push(Reverse(Entry {
            at,
            tie,
            sequence,
            slot,
        }));
        EventKey { slot, sequence }
    }

    /// Takes an event back. `None` when it has been popped or cancelled before.
    pub fn cancel(&mut self, key: EventKey) -> Option<T> {
        let slot = &mut self.slots[key.slot as usize];
        if slot.sequence != key.sequence {
            return None;
        }
        let event = slot.event.take()?;
        self.free.push(key.slot);
        self.live -= 1;
        if self.heap.len() > 2 * self.live + 64 {
            let slots = &self.slots;
            self.heap.retain(|Reverse(entry)| is_live(slots, entry));
        }
        Some(event)
    }

    /// The event waiting under `key`.
    pub fn get_mut(&mut self, key: EventKey) -> Option<&mut T> {
        let slot = &mut self.slots[key.slot as usize];
        if slot.sequence == key.sequence {
            slot.event.as_mut()
        } else {
            None
        }
    }

    /// Every event that waits, in an order that follows from the calls so far. It looks at all of them: for what
    /// happens rarely.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.event.as_ref())
    }

    /// Takes the first event, unless it comes after `limit`.
    pub fn pop_until(&mut self, limit: VirtualTime) -> Option<(VirtualTime, T)> {
        loop {
            let first = self.heap.peek_mut()?;
            if first.0.at > limit {
                return None;
            }
            let Reverse(entry) = PeekMut::pop(first);
            let slot = &mut self.slots[entry.slot as usize];
            if slot.sequence == entry.sequence
                && let Some(event) = slot.event.take()
            {
                self.free.push(entry.slot);
                self.live -= 1;
                return Some((entry.at, event));
            }
        }
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    #[cfg(test)]
    fn places(&self) -> usize {
        self.heap.len()
    }
}

fn is_live<T>(slots: &[Slot<T>], entry: &Entry) -> bool {
    let slot = &slots[entry.slot as usize];
    slot.sequence == entry.sequence && slot.event.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> VirtualTime {
        VirtualTime::from_nanos(nanos)
    }

    #[test]
    fn events_come_by_time_then_tie_then_insertion() {
        let mut queue = EventQueue::default();
        queue.insert(at(5), 9, "d");
        queue.insert(at(5), 1, "b");
        queue.insert(at(5), 1, "c");
        queue.insert(at(4), 9, "a");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop_until(at(9)))
            .map(|(_, event)| event)
            .collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_cancelled_event_never_comes_and_its_slot_is_reused_safely() {
        let mut queue = EventQueue::default();
        let first = queue.insert(at(1), 0, 1);
        assert_eq!(queue.cancel(first), Some(1));
        let second = queue.insert(at(1), 0, 2);
        assert_eq!(queue.cancel(first), None);
        assert_eq!(queue.get_mut(second), Some(&mut 2));
        assert_eq!(queue.pop_until(at(0)), None);
        assert_eq!(queue.pop_until(at(1)), Some((at(1), 2)));
        assert_eq!(
            (queue.pop_until(at(1)), queue.cancel(second), queue.is_empty()),
            (None, None, true)
        );
    }

    #[test]
    fn cancelled_entries_do_not_pile_up() {
        let mut queue = EventQueue::default();
        queue.insert(at(1), 0, 0);
        for turn in 0..10_000 {
            let key = queue.insert(at(1_000_000), 0, turn);
            queue.cancel(key);
        }
        assert_eq!(queue.len(), 1);
        assert!(queue.places() < 100, "{}", queue.places());
    }
}
