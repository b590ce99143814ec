//! The hot path: every event of a run goes through [`Recorder::record`].

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

use super::chain::Hasher;
use super::header::{Footer, Preamble};
use super::writer::Writer;
use super::{Chain, Entry, Error, Header, Kind, Ladder, Level, Name, Names, Record, Summary};

/// What a [`Recorder`] keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How much of the whole run.
    pub level: Level,
    /// Every record of this range is kept at any level: for `bisect`.
    pub window: Range<u64>,
    /// How many of the last records stay in memory at any level: for the causal slice of a failure. Rounded up to a
    /// power of two.
    pub ring: usize,
    /// Records from this one on are written as soon as they are kept, a block each: for a run that is known to die
    /// soon after.
    pub hasty_from: u64,
    /// For tests of `bisect` and `--check` only: flips the lowest bit of number `b` of the record with this sequence
    /// number before it is hashed. The run itself does not notice.
    pub perturb: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            level: Level::L0,
            window: 0..0,
            ring: 4096,
            hasty_from: u64::MAX,
            perturb: None,
        }
    }
}

/// Whether a trace of `level` with `window` keeps event `seq`.
#[inline]
pub(super) fn keeps(level: Level, window: &Range<u64>, seq: u64, kind: Kind) -> bool {
    kind.level() <= level || window.contains(&seq)
}

/// Takes every event of one run, hashes all of them and keeps those that its [`Options`] ask for.
///
/// The calls must not depend on the options: the hashes of one run are then the same at every level.
pub struct Recorder {
    hasher: Hasher,
    names: Names,
    identity: [u8; 32],
    level: Level,
    window: Range<u64>,
    hasty_from: u64,
    perturb: u64,
    ring: Vec<Record>,
    mask: u64,
    writer: Option<Writer>,
}

impl Recorder {
    /// A recorder of the run that `header` describes. The file goes to `sink`, if there is one, as the run proceeds.
    pub fn new(header: Header, options: Options, sink: Option<Box<dyn Write + Send>>) -> Self {
        let ring = options.ring.max(1).next_power_of_two();
        let identity = header.identity();
        let preamble = Preamble::new(header, options.level, options.window.clone());
        Self {
            identity,
            writer: sink.map(|sink| Writer::new(sink, &preamble)),
            hasher: Hasher::default(),
            names: Names::default(),
            level: options.level,
            window: options.window,
            hasty_from: options.hasty_from,
            perturb: options.perturb.unwrap_or(u64::MAX),
            ring: vec![Record::new(0, 0, Kind::Protocol); ring],
            mask: ring as u64 - 1,
        }
    }

    /// The name that reads `text`. A search in a small table: hot callers ask once and keep the name.
    pub fn name(&mut self, text: &str) -> Name {
        let name = self.names.try_add(text);
        name.expect("names are literals of the program and kinds of faults, far fewer than 65,536")
    }

    /// Takes one event and returns its sequence number. A few nanoseconds; it allocates nothing while it keeps
    /// nothing.
    #[inline]
    pub fn record(&mut self, record: Record) -> u64 {
        self.take(record, None)
    }

    /// Takes one event with a payload: sets the record's digest at every level, keeps the bytes at [`Level::L3`].
    pub fn record_payload(&mut self, mut record: Record, payload: &[u8]) -> u64 {
        record.digest = Some(super::digest(payload));
        self.take(record, Some(payload))
    }

    #[inline]
    fn take(&mut self, mut record: Record, payload: Option<&[u8]>) -> u64 {
        let seq = self.hasher.events();
        if seq == self.perturb {
            record.b ^= 1;
        }
        let before = self.hasher.chain();
        self.hasher.push(&record, self.names.tag(record.name));
        let slot = usize::try_from(seq & self.mask).expect("a ring fits in memory");
        self.ring[slot] = record;
        if keeps(self.level, &self.window, seq, record.kind) {
            self.keep(Entry { seq, record }, payload, before);
        }
        seq
    }

    #[cold]
    fn keep(&mut self, entry: Entry, payload: Option<&[u8]>, before: Chain) {
        let Some(writer) = &mut self.writer else { return };
        // A window begins and ends with a block, so that its chain can be checked.
        if entry.seq == self.window.start || entry.seq == self.window.end {
            writer.close_block(&self.names);
        }
        if let Some(payload) = payload
            && self.level == Level::L3
        {
            writer.keep_payload(entry.seq, payload);
        }
        writer.keep(entry, before, self.hasher.chain(), &self.names);
        if entry.seq >= self.hasty_from {
            writer.close_block(&self.names);
        }
    }

    /// The sequence number that the next record will have.
    #[inline]
    pub fn next_seq(&self) -> u64 {
        self.hasher.events()
    }

    /// The cause link of the next record to record `seq`: how far back it is.
    #[inline]
    pub fn since(&self, seq: u64) -> u32 {
        let distance = self.hasher.events().checked_sub(seq);
        let distance = distance.expect("a cause comes before its effect");
        u32::try_from(distance).unwrap_or(0)
    }

    /// The last records, oldest first, at any level.
    pub fn recent(&self) -> Vec<Entry> {
        let next = self.hasher.events();
        let first = next.saturating_sub(self.mask + 1);
        let slot = |seq| usize::try_from(seq & self.mask).expect("a ring fits in memory");
        (first..next)
            .map(|seq| Entry {
                seq,
                record: self.ring[slot(seq)],
            })
            .collect()
    }

    /// The names of this run so far.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The ladder so far.
    pub fn ladder(&self) -> Ladder {
        self.hasher.ladder()
    }

    /// The hashes so far.
    pub fn summary(&self) -> Summary {
        self.hasher.summary(&self.identity)
    }

    /// Ends the run and the file. `verdict` is the line that the run ends with.
    ///
    /// Fails if the file could not be written; take [`Recorder::summary`] before if the hashes matter then.
    pub fn finish(self, verdict: &str, counters: BTreeMap<String, u64>) -> Result<Summary, Error> {
        let summary = self.summary();
        if let Some(writer) = self.writer {
            let footer = Footer {
                summary: summary.clone(),
                verdict: verdict.to_owned(),
                counters,
            };
            let written = writer.finish(&self.hasher.ladder(), &footer, &self.names);
            written.map_err(Error::Write)?;
        }
        Ok(summary)
    }
}
