//! Stories of whole traces: written, damaged, read, compared.

mod damage;

use std::collections::BTreeMap;

use super::sample::{Shared, file, header, run};
use super::*;

fn options(level: Level) -> Options {
    Options {
        level,
        ..Options::default()
    }
}

fn entries(bytes: &[u8]) -> Vec<Entry> {
    Trace::from_bytes(bytes)
        .unwrap()
        .read(0..u64::MAX, usize::MAX)
        .unwrap()
}

fn recorded(options: Options, seed: u64) -> Recorder {
    let mut recorder = Recorder::new(header(seed), options, None);
    run(&mut recorder, seed, 4, 10_000);
    recorder
}

#[test]
fn a_run_has_the_same_hashes_at_every_level() {
    let summaries = [Level::L0, Level::L1, Level::L2, Level::L3].map(|level| {
        let bytes = file(options(level), 7, 4, 10_000);
        let trace = Trace::from_bytes(&bytes).unwrap();
        trace.footer().unwrap().summary.clone()
    });
    assert!(summaries.iter().all(|summary| *summary == summaries[0]));
    assert_eq!(recorded(options(Level::L0), 7).summary(), summaries[0]);
    assert_ne!(
        recorded(options(Level::L0), 8).summary().run_hash,
        summaries[0].run_hash
    );
}

#[test]
fn every_field_of_a_record_changes_the_hash_and_only_the_cause_spares_the_nodes() {
    let hash = |record: Record| {
        let mut recorder = Recorder::new(header(1), Options::default(), None);
        recorder.name("first");
        recorder.name("second");
        recorder.record(Record::new(0, 0, Kind::Send));
        recorder.record(record);
        recorder.summary()
    };
    let record = Record::new(5, 3, Kind::Protocol);
    let base = hash(record);
    let changed = [
        Record { time: 6, ..record },
        Record { a: 1, ..record },
        Record { b: 1, ..record },
        Record {
            digest: Some(0),
            ..record
        },
        Record { node: 4, ..record },
        Record {
            incarnation: 1,
            ..record
        },
        Record {
            name: Name::from_number(1),
            ..record
        },
        Record {
            name: Name::from_number(2),
            ..record
        },
        Record {
            kind: Kind::Send,
            ..record
        },
    ];
    let mut hashes = vec![base.run_hash];
    for record in changed {
        let changed = hash(record);
        assert_ne!(changed.node_heads, base.node_heads, "{record:?}");
        hashes.push(changed.run_hash);
    }
    let caused = hash(Record { cause: 1, ..record });
    assert_eq!(caused.node_heads, base.node_heads);
    hashes.push(caused.run_hash);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 11);
}

#[test]
fn the_semantic_hash_sees_facts_in_each_nodes_order_and_nothing_else() {
    let hash = |records: &[Record]| {
        let mut recorder = Recorder::new(header(1), Options::default(), None);
        let names = ["made", "committed"].map(|text| recorder.name(text));
        for (index, record) in records.iter().enumerate() {
            let name = names[index % 2];
            recorder.record(Record { name, ..*record });
        }
        recorder.summary().semantic_hash
    };
    let [one, two] = [1, 2].map(|node| Record {
        a: 9,
        ..Record::new(10, node, Kind::Protocol)
    });
    let base = hash(&[one, one, two, two]);
    let later = Record {
        time: 99,
        cause: 1,
        ..one
    };
    let send = Record::new(50, 1, Kind::Send);
    assert_eq!(hash(&[later, one, two, two]), base);
    assert_eq!(hash(&[one, one, two, two, send, send]), base);
    assert_eq!(hash(&[two, one, one, two][..0]), hash(&[send]));
    assert_eq!(
        hash(&[two, two, one, one]),
        base,
        "the order among nodes does not count"
    );
    assert_ne!(hash(&[one, Record { a: 8, ..one }, two, two]), base);
    assert_ne!(hash(&[one, one, one, two, two]), base);
    assert_ne!(
        hash(&[
            Record {
                digest: Some(1),
                ..one
            },
            one,
            two,
            two
        ]),
        base
    );
}

#[test]
fn a_file_of_level_2_has_every_event_and_its_hashes_can_be_derived_again() {
    let bytes = file(options(Level::L2), 7, 4, 10_000);
    let mut trace = Trace::from_bytes(&bytes).unwrap();
    assert_eq!(trace.verify().unwrap(), trace.footer().unwrap().summary.events);
    assert_eq!(trace.header(), &header(7));
    assert_eq!(trace.footer().unwrap().verdict, "PASS seed=7");
    assert_eq!(trace.footer().unwrap().counters["commits"], 12);
    assert_eq!(trace.ladder().unwrap(), &recorded(Options::default(), 7).ladder());
    assert!(trace.blocks().len() == 3 && trace.blocks()[1].first_seq == 4096);
    let all = entries(&bytes);
    assert!(
        all.iter()
            .enumerate()
            .all(|(index, entry)| entry.seq == index as u64)
    );
    assert_eq!(trace.entry(5000).unwrap(), Some(all[5000]));
    assert_eq!(trace.read(4000..4200, 150).unwrap(), all[4000..4150]);
}

#[test]
fn level_1_and_a_window_keep_what_they_say() {
    let all = entries(&file(options(Level::L2), 7, 4, 10_000));
    let kept = |level, window| {
        entries(&file(
            Options {
                window,
                ..options(level)
            },
            7,
            4,
            10_000,
        ))
    };
    let facts: Vec<_> = all
        .iter()
        .copied()
        .filter(|entry| entry.record.kind.level() == Level::L1)
        .collect();
    assert!(facts.len() > 100 && facts.len() < all.len() / 2);
    assert_eq!(kept(Level::L1, 0..0), facts);
    assert_eq!(kept(Level::L0, 0..0), []);
    assert_eq!(kept(Level::L0, 5000..5100), all[5000..5100]);
    let mut both = facts;
    both.extend(&all[5000..5100]);
    both.sort_by_key(|entry| entry.seq);
    both.dedup();
    assert_eq!(kept(Level::L1, 5000..5100), both);
}

#[test]
fn the_ring_has_the_last_records_at_level_0() {
    let ring = 1000;
    let recorder = recorded(
        Options {
            ring,
            ..Options::default()
        },
        7,
    );
    let recent = recorder.recent();
    let all = entries(&file(options(Level::L2), 7, 4, 10_000));
    assert_eq!(recent.len(), 1024);
    assert_eq!(recent, all[all.len() - 1024..]);
    let short = Recorder::new(header(1), Options::default(), None);
    assert_eq!(short.recent(), []);
}

#[test]
fn payloads_are_kept_at_level_3_and_digested_at_every_level() {
    let written = |level| {
        let sink = Shared::default();
        let mut recorder = Recorder::new(header(1), options(level), Some(Box::new(sink.clone())));
        for (seq, payload) in [b"one".as_slice(), b"", &[7; 3_000_000], &[8; 3_000_000]]
            .into_iter()
            .enumerate()
        {
            recorder.record_payload(Record::new(seq as u64, 0, Kind::Deliver), payload);
        }
        recorder.record(Record::new(9, 0, Kind::Entropy));
        recorder.finish("", BTreeMap::new()).unwrap();
        sink.bytes()
    };
    let [two, three] = [Level::L2, Level::L3].map(written);
    let (mut two, mut three) = (
        Trace::from_bytes(&two).unwrap(),
        Trace::from_bytes(&three).unwrap(),
    );
    assert_eq!(two.footer(), three.footer());
    assert_eq!(three.payload(0).unwrap().as_deref(), Some(b"one".as_slice()));
    assert_eq!(three.payload(1).unwrap().as_deref(), Some(b"".as_slice()));
    assert_eq!(three.payload(3).unwrap(), Some(vec![8; 3_000_000]));
    assert_eq!(three.payload(4).unwrap(), None);
    assert_eq!(two.payload(0).unwrap(), None);
    assert_eq!(two.entry(2).unwrap(), three.entry(2).unwrap());
    assert_eq!((two.verify().unwrap(), three.verify().unwrap()), (4, 5));
    assert!(three.blocks().len() > 1, "payloads of 4 MiB close a block");
}

#[test]
fn a_recorder_outlives_a_full_disk_and_says_so_at_the_end() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut recorder = Recorder::new(header(7), options(Level::L2), Some(Box::new(Full)));
    run(&mut recorder, 7, 4, 10_000);
    assert_eq!(recorder.summary(), recorded(Options::default(), 7).summary());
    assert!(matches!(
        recorder.finish("", BTreeMap::new()),
        Err(Error::Write(_))
    ));
}

/// A ladder of `common` records and `extra` others that bear `mark`.
fn ladder(common: u64, mark: u64, extra: u64) -> Ladder {
    let mut recorder = Recorder::new(header(1), Options::default(), None);
    for seq in 0..common + extra {
        let a = if seq < common { 0 } else { mark };
        recorder.record(Record {
            a,
            ..Record::new(seq, 0, Kind::Send)
        });
    }
    recorder.ladder()
}

#[test]
fn the_first_divergence_lies_in_the_range_that_the_ladders_give() {
    for common in [0, 1, 4095, 4096, 4097, 8191, 8192, 13_000] {
        for (left, right) in [
            (0, 1),
            (1, 1),
            (1, 4096),
            (4095, 4096),
            (0, 9000),
            (9000, 9000),
            (300, 9000),
        ] {
            let (one, other) = (ladder(common, 1, left), ladder(common, 2, right));
            let range = first_divergence(&one, &other).unwrap();
            assert!(
                range.contains(&common),
                "{common} of {left} and {right} is not in {range:?}"
            );
            assert!(range.end - range.start <= RUNG, "{range:?}");
            assert_eq!(first_divergence(&other, &one), Some(range));
        }
        assert_eq!(
            first_divergence(&ladder(common, 1, 0), &ladder(common, 2, 0)),
            None
        );
    }
}

#[test]
fn a_planted_change_is_bisected_to_its_event_by_ladder_and_window() {
    let perturb = Some(6000);
    let level_0 = [None, perturb].map(|perturb| {
        recorded(
            Options {
                perturb,
                ..Options::default()
            },
            7,
        )
        .ladder()
    });
    let mut runs = Vec::new();
    let again = |which, window: std::ops::Range<u64>| {
        runs.push((which, window.clone()));
        let options = Options {
            perturb: perturb.filter(|_| which == Which::Right),
            window,
            ..Options::default()
        };
        Trace::open(std::io::Cursor::new(file(options, 7, 4, 10_000)))
    };
    let (range, Comparison::At(found)) = locate(&level_0[0], &level_0[1], 3, again).unwrap().unwrap() else {
        panic!("not found")
    };
    assert_eq!(runs, [Which::Left, Which::Right].map(|which| (which, 4093..8192)));
    assert_eq!((range, found.seq), (4096..8192, 6000));
    assert!(
        locate(&level_0[0], &level_0[0], 3, |_, _| Trace::from_bytes(&[]))
            .unwrap()
            .is_none()
    );
    let seqs: Vec<u64> = found.before.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [5997, 5998, 5999]);
    let [one, other] = [&found.left, &found.right].map(|side| side.entry.unwrap().record);
    assert_eq!(Record { b: one.b ^ 1, ..one }, other);
    assert_eq!(
        found.left.causes.last().map(|entry| entry.seq),
        found.left.entry.unwrap().cause()
    );
    assert!(found.to_string().contains("first different event: 6000"));
}

#[test]
fn a_difference_in_what_was_not_kept_is_a_range_to_run_again() {
    let [left, right] = [None, Some(6001)].map(|perturb| {
        file(
            Options {
                perturb,
                ..options(Level::L1)
            },
            7,
            4,
            10_000,
        )
    });
    let (mut left, mut right) = (
        Trace::from_bytes(&left).unwrap(),
        Trace::from_bytes(&right).unwrap(),
    );
    let found = diff(&mut left, &mut right, 3).unwrap();
    assert!(
        matches!(&found, Comparison::NotKept(range) if *range == (4096..8192)),
        "{found:?}"
    );
    let bytes = file(options(Level::L2), 7, 4, 10_000);
    let mut same = Trace::from_bytes(&bytes).unwrap();
    assert!(matches!(
        diff(&mut left, &mut same, 3).unwrap(),
        Comparison::Equal
    ));
}

#[test]
fn names_are_compared_by_what_they_read() {
    let written = |texts: [&str; 2], used: &str| {
        let sink = Shared::default();
        let mut recorder = Recorder::new(header(1), options(Level::L1), Some(Box::new(sink.clone())));
        for text in texts {
            recorder.name(text);
        }
        let name = recorder.name(used);
        recorder.record(Record {
            name,
            ..Record::new(0, 0, Kind::Protocol)
        });
        let summary = recorder.finish("", BTreeMap::new()).unwrap();
        (sink.bytes(), summary.run_hash)
    };
    let (one, other) = (written(["a", "b"], "a"), written(["b", "a"], "a"));
    assert_eq!(one.1, other.1, "the order in which names are met does not count");
    let different = written(["b", "a"], "b");
    assert_ne!(one.1, different.1, "though both are name number 1");
    let (mut left, mut right) = (
        Trace::from_bytes(&one.0).unwrap(),
        Trace::from_bytes(&different.0).unwrap(),
    );
    assert!(matches!(diff(&mut left, &mut right, 3).unwrap(), Comparison::At(found) if found.seq == 0));
}

#[test]
fn a_shorter_run_differs_where_it_ends() {
    let [left, right] = [9000, 10_000].map(|events| file(options(Level::L2), 7, 4, events));
    let (mut left, mut right) = (
        Trace::from_bytes(&left).unwrap(),
        Trace::from_bytes(&right).unwrap(),
    );
    let end = left.footer().unwrap().summary.events;
    let Comparison::At(found) = diff(&mut left, &mut right, 2).unwrap() else {
        panic!("not found")
    };
    assert_eq!((found.seq, found.left.entry), (end, None));
    assert!(found.right.entry.is_some());
}

#[test]
fn a_cut_file_differs_in_what_it_has_and_not_where_it_ends() {
    let [same, other] = [None, Some(3000)].map(|perturb| {
        file(
            Options {
                perturb,
                ..options(Level::L2)
            },
            7,
            4,
            10_000,
        )
    });
    let mut whole = Trace::from_bytes(&same).unwrap();
    let second = usize::try_from(whole.blocks()[1].offset).unwrap();
    let mut cut = Trace::from_bytes(&same[..second + 100]).unwrap();
    for found in [diff(&mut whole, &mut cut, 3), diff(&mut cut, &mut whole, 3)] {
        assert!(matches!(
            found.unwrap(),
            Comparison::Cut {
                compared: 4096,
                until: 4096
            }
        ));
    }
    let mut cut = Trace::from_bytes(&other[..second + 100]).unwrap();
    assert!(matches!(diff(&mut whole, &mut cut, 3).unwrap(), Comparison::At(found) if found.seq == 3000));
}

#[test]
fn a_window_keeps_every_kind_and_level_2_does_not() {
    let written = |level, window| {
        let sink = Shared::default();
        let options = Options {
            window,
            ..options(level)
        };
        let mut recorder = Recorder::new(header(1), options, Some(Box::new(sink.clone())));
        for (seq, kind) in [Kind::Send, Kind::Entropy, Kind::Deliver].into_iter().enumerate() {
            recorder.record(Record::new(seq as u64, 0, kind));
        }
        recorder.finish("", BTreeMap::new()).unwrap();
        sink.bytes()
    };
    for (level, window, kept, has_all) in [
        (Level::L0, 0..3, 3, true),
        (Level::L2, 0..0, 2, false),
        (Level::L3, 0..0, 3, true),
    ] {
        let bytes = written(level, window);
        assert_eq!(entries(&bytes).len(), kept, "{level:?}");
        assert_eq!(Trace::from_bytes(&bytes).unwrap().has_all(&(0..3)), has_all);
    }
}

#[test]
fn cut_files_that_keep_no_event_are_not_compared() {
    let cut = |seed| {
        let bytes = file(options(Level::L0), seed, 4, 300);
        bytes[..bytes.len() - 20].to_vec()
    };
    let [left, right] = [7, 8].map(cut);
    let (mut left, mut right) = (
        Trace::from_bytes(&left).unwrap(),
        Trace::from_bytes(&right).unwrap(),
    );
    assert_eq!(left.kept_until().unwrap(), 0);
    assert!(matches!(
        diff(&mut left, &mut right, 3).unwrap(),
        Comparison::Cut {
            compared: 0,
            until: 0
        }
    ));
}

#[test]
fn ndjson_has_a_line_per_event() {
    let bytes = file(options(Level::L2), 7, 4, 1000);
    let all = entries(&bytes);
    let mut out = Vec::new();
    ndjson(&mut Trace::from_bytes(&bytes).unwrap(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), all.len());
    for (line, entry) in lines.iter().zip(&all) {
        assert_eq!(line["seq"], entry.seq);
        assert_eq!(line["kind"], entry.record.kind.name());
        assert_eq!(line["cause"].as_u64(), entry.cause());
        assert_eq!(line["b"], entry.record.b);
    }
}

#[test]
fn perfetto_gets_one_json_value_with_both_ends_of_each_message() {
    let bytes = file(options(Level::L2), 7, 4, 1000);
    let delivered = entries(&bytes)
        .iter()
        .filter(|entry| entry.record.kind == Kind::Deliver)
        .count();
    let mut out = Vec::new();
    perfetto(&mut Trace::from_bytes(&bytes).unwrap(), &mut out).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let events = value["traceEvents"].as_array().unwrap();
    // What Perfetto finds the other end by.
    let phase = |wanted: &str| -> Vec<(u64, String)> {
        let found = events.iter().filter(|event| event["ph"] == wanted);
        found
            .map(|event| (event["id"].as_u64().unwrap(), event["cat"].to_string()))
            .collect()
    };
    let (starts, ends) = (phase("s"), phase("f"));
    assert_eq!(ends.len(), delivered);
    assert!(ends.iter().all(|end| starts.contains(end)));
    let (starts, ends) = (phase("b"), phase("e"));
    assert!(ends.len() > 10 && ends.iter().all(|end| starts.contains(end)));
}
