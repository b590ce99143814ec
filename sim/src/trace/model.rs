//! What a block's coder expects of the next event. Encoder and decoder hold equal models, so an expectation that
//! comes true costs no byte.

use super::{Entry, Kind, Record};

/// Slots for the last event of a kind at a node. Two that share a slot only predict worse.
const SLOTS: usize = 1024;

/// Where the values of one event come from, with its kind and name. Most events of a block share few shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    pub kind: u8,
    pub name: u16,
    /// Two to three bits per field, see [`Modes`].
    pub modes: u16,
}

/// Per field, which of the model's candidates is the value; one past the last means that a column has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Modes {
    pub seq: u16,
    pub cause: u16,
    pub node: u16,
    pub incarnation: u16,
    pub a: u16,
    pub b: u16,
    pub digest: u16,
}

impl Modes {
    pub(super) fn pack(self) -> u16 {
        let low = self.seq | self.cause << 1 | self.node << 3 | self.incarnation << 5;
        low | self.a << 6 | self.b << 9 | self.digest << 11
    }

    /// `None` if a bit is set that has no meaning.
    pub(super) fn unpack(modes: u16) -> Option<Self> {
        let modes = Self {
            seq: modes & 1,
            cause: modes >> 1 & 3,
            node: modes >> 3 & 3,
            incarnation: modes >> 5 & 1,
            a: modes >> 6 & 7,
            b: modes >> 9 & 3,
            digest: modes >> 11,
        };
        (modes.a <= 5 && modes.digest <= 3).then_some(modes)
    }
}

/// The candidate that is `value`, or one past the last.
pub(super) fn choose<T: PartialEq, const N: usize>(candidates: [Option<T>; N], value: &T) -> u16 {
    let found = candidates
        .iter()
        .position(|candidate| candidate.as_ref() == Some(value));
    u16::try_from(found.unwrap_or(N)).expect("there are few candidates")
}

/// What came before in the block.
pub(super) struct Model {
    entries: Vec<Entry>,
    /// Numbers of the last event of a kind at a node.
    numbers: Vec<(u64, u64)>,
    /// Incarnation and digest of a node's last event.
    nodes: Vec<(u16, u64)>,
}

impl Model {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: Vec::with_capacity(capacity),
            numbers: vec![(0, 0); SLOTS],
            nodes: vec![(0, 0); SLOTS],
        }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    pub(super) fn seq(&self) -> [Option<u64>; 1] {
        [self.entries.last().and_then(|last| last.seq.checked_add(1))]
    }

    /// No cause, the cause of the event before, the event before.
    pub(super) fn cause(&self, seq: u64) -> [Option<u32>; 3] {
        let sibling = self.entries.last().and_then(Entry::cause);
        let distance = sibling.and_then(|cause| u32::try_from(seq.checked_sub(cause)?).ok());
        [Some(0), distance, Some(1)]
    }

    /// The event that `seq` names as its cause, if this block keeps it.
    pub(super) fn causing(&self, seq: u64, distance: u32) -> Option<Record> {
        let target = seq.checked_sub(u64::from(distance))?;
        let first = self.entries.first()?.seq;
        let guess = usize::try_from(target.checked_sub(first)?).ok()?;
        match self.entries.get(guess) {
            Some(entry) if entry.seq == target => Some(entry.record),
            _ => {
                let found = self.entries.binary_search_by_key(&target, |entry| entry.seq);
                found.ok().map(|index| self.entries[index].record)
            }
        }
    }

    /// The node of the event before, that of the cause, the node that the cause was meant for.
    pub(super) fn node(&self, cause: Option<&Record>) -> [Option<u16>; 3] {
        [
            self.entries.last().map(|last| last.record.node),
            cause.map(|cause| cause.node),
            cause.and_then(|cause| u16::try_from(cause.a).ok()),
        ]
    }

    pub(super) fn incarnation(&self, node: u16) -> [Option<u16>; 1] {
        [Some(self.nodes[usize::from(node) % SLOTS].0)]
    }

    /// Numbers of the last event of this kind at this node.
    pub(super) fn last_numbers(&self, kind: Kind, node: u16) -> (u64, u64) {
        self.numbers[number_slot(kind, node)]
    }

    pub(super) fn a(&self, last: u64, cause: Option<&Record>) -> [Option<u64>; 5] {
        [
            Some(last),
            last.checked_add(1),
            cause.map(|cause| cause.a),
            cause.map(|cause| cause.b),
            cause.map(|cause| u64::from(cause.node)),
        ]
    }

    pub(super) fn b(&self, last: u64, cause: Option<&Record>) -> [Option<u64>; 3] {
        [Some(last), cause.map(|cause| cause.b), cause.map(|cause| cause.a)]
    }

    pub(super) fn digest(&self, node: u16, cause: Option<&Record>) -> [Option<Option<u64>>; 3] {
        [
            Some(None),
            cause.map(|cause| cause.digest),
            Some(Some(self.nodes[usize::from(node) % SLOTS].1)),
        ]
    }

    /// Learns the next event.
    pub(super) fn push(&mut self, entry: Entry) {
        let record = &entry.record;
        self.numbers[number_slot(record.kind, record.node)] = (record.a, record.b);
        let node = &mut self.nodes[usize::from(record.node) % SLOTS];
        node.0 = record.incarnation;
        if let Some(digest) = record.digest {
            node.1 = digest;
        }
        self.entries.push(entry);
    }
}

fn number_slot(kind: Kind, node: u16) -> usize {
    (usize::from(node) * 37 + kind as usize) % SLOTS
}
