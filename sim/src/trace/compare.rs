//! Where two runs part.

use std::fmt;
use std::io::{Read, Seek};
use std::ops::Range;

use super::{Entry, Error, Ladder, Names, Record, Trace, first_divergence, text};

/// How two traces compare.
#[derive(Debug)]
pub enum Comparison {
    /// No event differs.
    Equal,
    /// The first different event lies in this range, but at least one trace does not keep it. Run both again with
    /// this window.
    NotKept(Range<u64>),
    /// A file was cut short, and what both keep until then does not differ. It says nothing of the runs if nothing was
    /// compared.
    Cut {
        /// How many events were compared.
        compared: u64,
        /// One past the last of them.
        until: u64,
    },
    /// The first different event among those that both traces keep.
    At(Box<Difference>),
}

/// The first different event of two traces.
#[derive(Debug)]
pub struct Difference {
    /// Its sequence number.
    pub seq: u64,
    /// Kept events before it, which are equal in both.
    pub before: Vec<Entry>,
    /// What the first trace has.
    pub left: Side,
    /// What the second has.
    pub right: Side,
}

/// One trace's part of a [`Difference`].
#[derive(Debug)]
pub struct Side {
    /// The event, or `None` if this trace has none with this number.
    pub entry: Option<Entry>,
    /// What led to it, oldest first, without itself.
    pub causes: Vec<Entry>,
    /// The names that its events use.
    pub names: Names,
}

/// The longest line of causes that a [`Side`] has.
const CAUSES: usize = 10;

/// Compares two traces: by their ladders if both have them, then event by event. Up to `context` equal events before
/// the difference come with it. Traces of different levels are compared in what both keep.
pub fn diff<L: Read + Seek, R: Read + Seek>(
    left: &mut Trace<L>,
    right: &mut Trace<R>,
    context: u64,
) -> Result<Comparison, Error> {
    let suspect = match (left.ladder(), right.ladder()) {
        (Some(left), Some(right)) => match first_divergence(left, right) {
            None => return Ok(Comparison::Equal),
            Some(range) => Some(range),
        },
        _ => None,
    };
    let mut seq = suspect.as_ref().map_or(0, |range| range.start);
    let mut compared = 0;
    loop {
        let found = [left.next_shared(right, seq)?, right.next_shared(left, seq)?];
        match found {
            [Some(one), Some(other)] if same(&one, left.names(), &other, right.names()) => {
                seq = one.seq + 1;
                compared += 1;
            }
            // The end of a file that was cut says nothing about the run.
            [None, _] if left.cut().is_some() => return Ok(Comparison::Cut { compared, until: seq }),
            [_, None] if right.cut().is_some() => return Ok(Comparison::Cut { compared, until: seq }),
            // Both are whole, so their ladders were compared and part somewhere.
            [None, None] => return Ok(Comparison::NotKept(suspect.unwrap_or(seq..u64::MAX))),
            [one, other] => {
                let seqs = [one, other].map(|entry| entry.map_or(u64::MAX, |entry| entry.seq));
                let seq = seqs[0].min(seqs[1]);
                if let Some(range) = suspect.filter(|range| seq >= range.end) {
                    return Ok(Comparison::NotKept(range));
                }
                return Ok(Comparison::At(Box::new(Difference {
                    seq,
                    before: last_before(left, seq, context)?,
                    left: left.side(one.filter(|entry| entry.seq == seq))?,
                    right: right.side(other.filter(|entry| entry.seq == seq))?,
                })));
            }
        }
    }
}

/// One of two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The first.
    Left,
    /// The second.
    Right,
}

/// Finds the first different event of two runs of which only the ladders are known, or `None` if they are equal.
///
/// `again` yields a trace of one of the runs that keeps a window; it is called once for each at most. The range is
/// where the ladders part. A comparison that is not [`Comparison::At`] says that the runs did not come out again as
/// they were, or that a trace lacks the window.
pub fn locate<R: Read + Seek, E: From<Error>>(
    left: &Ladder,
    right: &Ladder,
    context: u64,
    mut again: impl FnMut(Which, Range<u64>) -> Result<Trace<R>, E>,
) -> Result<Option<(Range<u64>, Comparison)>, E> {
    let Some(range) = first_divergence(left, right) else {
        return Ok(None);
    };
    let window = range.start.saturating_sub(context)..range.end;
    let mut left = again(Which::Left, window.clone())?;
    let mut right = again(Which::Right, window)?;
    let found = diff(&mut left, &mut right, context)?;
    Ok(Some((range, found)))
}

impl<A: Read + Seek> Trace<A> {
    /// The first event at or after `seq` that both traces would keep.
    fn next_shared<B: Read + Seek>(
        &mut self,
        other: &Trace<B>,
        mut seq: u64,
    ) -> Result<Option<Entry>, Error> {
        while let Some(entry) = self.at_or_after(seq)? {
            if other.keeps(&entry) {
                return Ok(Some(entry));
            }
            seq = entry.seq + 1;
        }
        Ok(None)
    }

    fn side(&mut self, entry: Option<Entry>) -> Result<Side, Error> {
        let mut causes = Vec::new();
        let mut next = entry.as_ref().and_then(Entry::cause);
        while let Some(seq) = next
            && causes.len() < CAUSES
        {
            let cause = self.entry(seq)?;
            causes.extend(cause);
            next = cause.as_ref().and_then(Entry::cause);
        }
        causes.reverse();
        Ok(Side {
            entry,
            causes,
            names: self.names().clone(),
        })
    }
}

/// Up to `count` kept events before `seq`.
fn last_before<R: Read + Seek>(trace: &mut Trace<R>, seq: u64, count: u64) -> Result<Vec<Entry>, Error> {
    let mut before = Vec::new();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    for index in (0..=trace.block_of(seq)).rev() {
        let entries = trace.block(index)?.iter().rev();
        let room = count - before.len();
        before.extend(entries.filter(|entry| entry.seq < seq).take(room));
        if before.len() == count {
            break;
        }
    }
    before.reverse();
    Ok(before)
}

/// Whether two events are equal, names by what they read.
fn same(left: &Entry, left_names: &Names, right: &Entry, right_names: &Names) -> bool {
    let name = right.record.name;
    let renamed = Record { name, ..left.record };
    left.seq == right.seq
        && renamed == right.record
        && left_names.text(left.record.name) == right_names.text(name)
}

impl Difference {
    /// For a terminal, with what the two runs are called.
    pub fn text(&self, names: [&str; 2]) -> String {
        let mut lines = format!("first different event: {}\n", self.seq);
        if !self.before.is_empty() {
            lines += "before it, in both:\n";
            lines += &text(&self.before, &self.left.names);
        }
        for (name, side) in names.into_iter().zip([&self.left, &self.right]) {
            match &side.entry {
                Some(entry) => lines += &format!("{name}:\n{}", text(&[*entry], &side.names)),
                None => lines += &format!("{name}: no such event\n"),
            }
            if let (true, Some(Entry { record, .. })) = (self.looks_alike(), &side.entry) {
                lines += &format!(
                    "{name}, what its line does not show: a={} b={}\n",
                    record.a, record.b
                );
            }
            if !side.causes.is_empty() {
                lines += &format!("{name}, what led to it:\n{}", text(&side.causes, &side.names));
            }
        }
        lines
    }

    /// Whether the two events differ in what their lines leave out.
    fn looks_alike(&self) -> bool {
        let [left, right] = [&self.left, &self.right].map(|side| {
            let entry = side.entry.as_slice();
            text(entry, &side.names)
        });
        left == right
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(["left", "right"]))
    }
}
