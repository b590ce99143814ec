//! One event of a run: what, where, when, and what caused it.

use super::Name;

/// How much of a run is kept. The hashes cover every record at every level.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Level {
    /// Hashes, ladder, node heads and verdict only.
    #[default]
    L0,
    /// And what nodes say of themselves, faults, crashes and verdicts.
    L1,
    /// And every packet, poll, computation, disk operation and request for a blob, with digests of what was sent.
    L2,
    /// And what was sent, and every draw of a node from its entropy.
    L3,
}

/// One event. `Copy`, because it goes into a ring, a block and a hash without a look at the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Virtual time, in nanoseconds since the run began. It never decreases from record to record.
    pub time: u64,
    /// First number; [`Kind`] says what it means.
    pub a: u64,
    /// Second number.
    pub b: u64,
    /// Digest of the payload ([`super::digest`]), if there is one.
    pub digest: Option<u64>,
    /// How many records back the event that enabled this one lies, or 0 for none.
    pub cause: u32,
    /// Where it happened, or [`Record::WORLD`].
    pub node: u16,
    /// How many times the node had been started before.
    pub incarnation: u16,
    /// Which event, fault, reason, task or operation, where the kind has several.
    pub name: Name,
    /// What happened.
    pub kind: Kind,
}

/// A record and its place in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How many records came before it.
    pub seq: u64,
    /// The record.
    pub record: Record,
}

/// Bytes that are hashed per record: the chain before it, then the record.
pub(super) const HASHED: usize = 64;

/// Those of [`HASHED`] that a node's own chain covers: neither the chain nor the cause, whose distance counts other
/// nodes' records.
pub(super) const LOCAL: std::ops::Range<usize> = 16..56;

impl Record {
    /// The node of what happens to no node: a fault of the whole network, a verdict.
    pub const WORLD: u16 = u16::MAX;

    /// The step of a fault that a program asked for, and no plan.
    pub const NO_STEP: u64 = u64::MAX;

    /// A record with neither name, numbers, digest nor cause: the start of a struct update.
    pub const fn new(time: u64, node: u16, kind: Kind) -> Self {
        Self {
            time,
            a: 0,
            b: 0,
            digest: None,
            cause: 0,
            node,
            incarnation: 0,
            name: Name::NONE,
            kind,
        }
    }

    /// The bytes that are hashed after `chain`. `tag` stands for the name, because a name's number depends on which
    /// came first. Eight whole words: the hash then reads what was just written without a stall.
    #[inline]
    pub(super) fn hashed(&self, chain: u128, tag: u32) -> [u8; HASHED] {
        let flags = u64::from(self.kind as u8) | u64::from(self.digest.is_some()) << 8;
        let words = [
            self.time,
            self.a,
            self.b,
            self.digest.unwrap_or(0),
            u64::from(tag) | flags << 32 | u64::from(self.incarnation) << 48,
            u64::from(self.cause) | u64::from(self.node) << 32,
        ];
        let mut bytes = [0; HASHED];
        bytes[..16].copy_from_slice(&chain.to_le_bytes());
        for (slot, word) in bytes[16..].as_chunks_mut().0.iter_mut().zip(words) {
            *slot = word.to_le_bytes();
        }
        bytes
    }
}

impl Entry {
    /// The sequence number of the event that enabled this one.
    pub fn cause(&self) -> Option<u64> {
        match self.record.cause {
            0 => None,
            distance => self.seq.checked_sub(u64::from(distance)),
        }
    }
}

/// Declares [`Kind`] and the table that makes a file self-describing.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal, $a:literal, $b:literal, $level:ident;)+) => {
        /// What happened. Numbers of kinds are part of the format: add at the end, never reorder.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl Kind {
            /// Every kind, in order of number.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Its name in files and on screen.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// What its two numbers are called; empty for a number that says nothing.
            pub const fn numbers(self) -> [&'static str; 2] {
                match self { $(Self::$kind => [$a, $b],)+ }
            }

            /// The lowest level that keeps it.
            #[inline]
            pub const fn level(self) -> Level {
                match self { $(Self::$kind => Level::$level,)+ }
            }
        }
    };
}

kinds! {
    /// What a node says of itself; the name is the event's, and so is the meaning of the numbers.
    Protocol = "event", "a", "b", L1;
    /// Control came by a marked place.
    Reached = "reached", "", "", L2;
    /// Control came by a marked place, and its condition held.
    Sometimes = "sometimes", "", "", L2;
    /// A rare but legal turn was taken.
    Buggify = "buggify", "visit", "", L1;
    /// A fault began; the name says which. The number of its step in the plan, or [`Record::NO_STEP`].
    Fault = "fault", "step", "value", L1;
    /// A fault ended.
    Heal = "heal", "step", "value", L1;
    /// A node died.
    Crash = "crash", "", "", L1;
    /// A node started, and how many times it has by now.
    Restart = "restart", "starts", "", L1;
    /// What a crash took from a node's stores: writes that were not safe, and how many of those stayed.
    DiskLoss = "disk_loss", "lost", "kept", L1;
    /// An oracle spoke: 0 is all is well.
    Verdict = "verdict", "code", "", L1;
    /// A task was born; the name is its own.
    Spawn = "spawn", "task", "", L2;
    /// A task ended.
    TaskEnd = "task_end", "task", "", L2;
    /// The scheduler chose one of several ready tasks.
    Choose = "choose", "task", "ready", L2;
    /// A packet left.
    Send = "send", "to", "bytes", L2;
    /// A packet arrived. Its digest is there only if it is not that of its cause.
    Deliver = "deliver", "from", "bytes", L2;
    /// A packet for this node was lost; the name says why.
    Drop = "drop", "from", "bytes", L2;
    /// A disk operation began; the name says which.
    DiskStart = "disk_start", "store", "bytes", L2;
    /// The disk operation that is its cause ended.
    DiskEnd = "disk_end", "store", "bytes", L2;
    /// A computation was charged to a node's processor.
    Compute = "compute", "cost", "wait", L2;
    /// A request for a blob began; its URL is there as a digest.
    BlobStart = "blob_start", "url", "bytes", L2;
    /// The request for a blob that is its cause ended: it was answered (1) or not (0).
    BlobEnd = "blob_end", "url", "answered", L2;
    /// A node drew from its entropy.
    Entropy = "entropy", "domain", "bytes", L3;
    /// A Byzantine node did something to what it sends; the name is its strategy. How many packets left instead.
    Tamper = "tamper", "to", "sent", L1;
}

impl Kind {
    /// The kind with number `number`, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_again_by_its_number_and_its_name_is_its_own() {
        for (number, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, number);
            assert_eq!(Kind::from_number(*kind as u8), Some(*kind));
        }
        assert_eq!(Kind::from_number(Kind::ALL.len() as u8), None);
        let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
    }

    #[test]
    fn a_record_stays_small() {
        assert!(size_of::<Record>() <= 56, "{}", size_of::<Record>());
    }
}
