//! What led to an event, and events as lines of text.

use std::fmt::Write;

use super::{Entry, Names, Record};

/// The events that led to `seq`, each enabled by the one before, and `seq` last: `depth` of them at most.
///
/// `entries` is in order. The way ends early at an event that has no cause, or whose cause is not in `entries`. Empty
/// if `seq` is not there.
pub fn causal_slice(entries: &[Entry], seq: u64, depth: usize) -> Vec<Entry> {
    let find = |seq: u64| {
        let found = entries.binary_search_by_key(&seq, |entry| entry.seq);
        found.ok().map(|index| entries[index])
    };
    let mut slice = Vec::new();
    let mut next = find(seq);
    while let Some(entry) = next
        && slice.len() < depth
    {
        slice.push(entry);
        next = entry.cause().and_then(find);
    }
    slice.reverse();
    slice
}

/// One line per event: sequence number, virtual time in seconds, node, kind and name, numbers, cause.
pub fn text(entries: &[Entry], names: &Names) -> String {
    let mut lines = String::new();
    for entry in entries {
        let line = line(entry, names);
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

fn line(entry: &Entry, names: &Names) -> String {
    let Record { time, kind, .. } = entry.record;
    let (seconds, nanos) = (time / 1_000_000_000, time % 1_000_000_000);
    // A name is a text of a plan or a program: it shall not move the cursor.
    let what = format!("{} {}", kind.name(), names.text(entry.record.name).escape_debug());
    let mut line = format!(
        "{:>9}  {seconds:>4}.{nanos:09}  {:<6}  {:<28}",
        entry.seq,
        place(&entry.record),
        what.trim_end(),
    );
    for (label, value) in kind.numbers().into_iter().zip([entry.record.a, entry.record.b]) {
        let says_nothing = label.is_empty() || label == "step" && value == Record::NO_STEP;
        if !says_nothing {
            write!(line, "  {label}={value}").expect("a string takes all text");
        }
    }
    if let Some(digest) = entry.record.digest {
        write!(line, "  #{digest:016x}").expect("a string takes all text");
    }
    if let Some(cause) = entry.cause() {
        write!(line, "  <- {cause}").expect("a string takes all text");
    }
    line
}

/// `n3`, `n3.1` after a restart, `world`.
fn place(record: &Record) -> String {
    match (record.node, record.incarnation) {
        (Record::WORLD, _) => "world".to_owned(),
        (node, 0) => format!("n{node}"),
        (node, incarnation) => format!("n{node}.{incarnation}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Kind;

    fn story() -> (Vec<Entry>, Names) {
        let mut names = Names::default();
        let name = names.try_add("line\nbreak").unwrap();
        let row = |seq, node, kind, cause| Entry {
            seq,
            record: Record {
                cause,
                ..Record::new(seq * 1_000_000_007, node, kind)
            },
        };
        let mut entries = vec![
            row(10, 1, Kind::Protocol, 0),
            row(12, 1, Kind::Send, 2),
            row(13, 2, Kind::TaskEnd, 9),
            row(15, 2, Kind::Deliver, 3),
            row(16, Record::WORLD, Kind::Fault, 1),
        ];
        entries[0].record.name = name;
        entries[1].record.a = 2;
        entries[1].record.b = 300;
        entries[3].record.incarnation = 1;
        entries[3].record.digest = Some(255);
        (entries, names)
    }

    #[test]
    fn a_slice_follows_causes_back_to_the_first_and_no_deeper_than_asked() {
        let (entries, _) = story();
        let seqs = |seq, depth| -> Vec<u64> {
            causal_slice(&entries, seq, depth)
                .iter()
                .map(|entry| entry.seq)
                .collect()
        };
        assert_eq!(seqs(16, 20), [10, 12, 15, 16]);
        assert_eq!(seqs(16, 2), [15, 16]);
        assert_eq!(seqs(13, 20), [13], "its cause, 4, is not there");
        assert!(seqs(14, 20).is_empty());
    }

    #[test]
    fn a_fault_of_no_plan_has_no_step() {
        let (mut entries, names) = story();
        entries[4].record.a = Record::NO_STEP;
        assert!(text(&entries[4..], &names).ends_with("fault                         value=0  <- 15\n"));
    }

    #[test]
    fn events_are_lines_of_columns() {
        let (entries, names) = story();
        let expected = "
       10    10.000000070  n1      event line\\nbreak             a=0  b=0
       12    12.000000084  n1      send                          to=2  bytes=300  <- 10
       13    13.000000091  n2      task_end                      task=0  <- 4
       15    15.000000105  n2.1    deliver                       from=0  bytes=0  #00000000000000ff  <- 12
       16    16.000000112  world   fault                         step=0  value=0  <- 15
";
        assert_eq!(text(&entries, &names), expected[1..]);
    }
}
