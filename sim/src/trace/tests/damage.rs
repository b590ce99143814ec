//! What is left of a file that was cut, damaged or forged, and that nothing in it makes a reader panic.

use proptest::prelude::*;

use super::super::sample::{Shared, file, header, run};
use super::super::*;
use super::{entries, options};

#[test]
fn a_file_whose_writer_died_is_read_up_to_its_last_whole_frame() {
    let bytes = file(options(Level::L2), 7, 4, 10_000);
    let whole = entries(&bytes);
    let mut seen = Vec::new();
    for length in (0..bytes.len()).step_by(1501).chain([bytes.len() - 1]) {
        match Trace::from_bytes(&bytes[..length]) {
            Ok(mut trace) => {
                assert!(trace.cut().unwrap() <= length as u64);
                let part = trace.read(0..u64::MAX, usize::MAX).unwrap();
                assert_eq!(part, whole[..part.len()]);
                seen.push(part.len());
            }
            Err(error) => assert!(
                matches!(error, Error::NotATrace | Error::Damaged { .. }),
                "{error}"
            ),
        }
    }
    seen.dedup();
    assert_eq!(seen, [0, 4096, 8192, whole.len()]);
}

#[test]
fn what_a_dying_run_said_last_is_in_the_file() {
    let sink = Shared::default();
    let hasty = Options {
        hasty_from: 990,
        ..options(Level::L2)
    };
    let mut recorder = Recorder::new(header(7), hasty, Some(Box::new(sink.clone())));
    run(&mut recorder, 7, 4, 1000);
    let events = recorder.next_seq();
    drop(recorder);
    let bytes = sink.bytes();
    let mut trace = Trace::from_bytes(&bytes).unwrap();
    assert!(trace.cut().is_some());
    let kept = trace.read(0..u64::MAX, usize::MAX).unwrap();
    assert_eq!(kept, entries(&file(options(Level::L2), 7, 4, 1000)));
    assert_eq!(kept.len() as u64, events);
}

#[test]
fn every_flipped_bit_is_found() {
    let bytes = file(
        Options {
            window: 100..400,
            ..options(Level::L1)
        },
        7,
        4,
        1000,
    );
    let whole = entries(&bytes);
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1 << (at % 8);
        if let Ok(mut trace) = Trace::from_bytes(&wrong) {
            assert!(trace.cut().is_some(), "a flip in byte {at} went by");
            let part = trace.read(0..u64::MAX, usize::MAX).unwrap();
            assert_eq!(part, whole[..part.len()]);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = b"simtrace\x02\0\0\0".to_vec();
        bytes.extend(tail);
        prop_assert!(Trace::from_bytes(&bytes).is_err());
    }
}

/// Does everything that can be done with a file.
fn use_all(bytes: &[u8], other: &[u8]) -> Result<(), Error> {
    let mut trace = Trace::from_bytes(bytes)?;
    let mut other = Trace::from_bytes(other)?;
    let done = [
        trace.verify().map(drop),
        diff(&mut trace, &mut other, 5).map(drop),
        diff(&mut other, &mut trace, 5).map(drop),
        view(&mut trace).map(drop),
        ndjson(&mut trace, &mut Vec::new()),
        perfetto(&mut trace, &mut Vec::new()),
        trace.read(7..900, 100).map(drop),
    ];
    done.into_iter().collect()
}

#[test]
fn a_forged_file_with_right_checksums_makes_nothing_panic() {
    let window = 50..120;
    let bytes = file(
        Options {
            window,
            ..options(Level::L1)
        },
        7,
        4,
        300,
    );
    use_all(&bytes, &bytes).unwrap();
    let (mut offset, mut tags, mut refused) = (12, Vec::new(), 0);
    while offset < bytes.len() {
        let length = u32::from_le_bytes(bytes[offset + 1..offset + 5].try_into().unwrap()) as usize;
        let body = offset + writer::FRAME_HEAD..offset + writer::FRAME_HEAD + length;
        tags.push(bytes[offset]);
        for at in body.clone().step_by(11) {
            let mut forged = bytes.clone();
            forged[at] ^= 1 << (at % 8);
            let sum = writer::checksum(forged[offset], &forged[body.clone()]);
            forged[offset + 5..body.start].copy_from_slice(&sum.to_le_bytes());
            refused += u32::from(use_all(&forged, &bytes).is_err());
        }
        offset = body.end;
    }
    tags.dedup();
    assert_eq!(tags.escape_ascii().to_string(), "HNBNBLF");
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_block_of_impossible_numbers_is_refused() {
    let bytes = file(options(Level::L2), 7, 4, 10_000);
    let last = *Trace::from_bytes(&bytes).unwrap().blocks().last().unwrap();
    let frame = usize::try_from(last.offset).unwrap();
    let length = u32::from_le_bytes(bytes[frame + 1..frame + 5].try_into().unwrap()) as usize;
    let body = frame + writer::FRAME_HEAD..frame + writer::FRAME_HEAD + length;
    let forged = |at: usize, number: &[u8]| {
        let mut forged = bytes.clone();
        forged[body.start + at..][..number.len()].copy_from_slice(number);
        let sum = writer::checksum(forged[frame], &forged[body.clone()]);
        forged[frame + 5..body.start].copy_from_slice(&sum.to_le_bytes());
        Trace::from_bytes(&forged).map(drop)
    };
    forged(0, &last.first_seq.to_le_bytes()).unwrap();
    let (first_seq, count) = (0, 16);
    for (at, number) in [
        (first_seq, u64::MAX.to_le_bytes().as_slice()),
        (first_seq, &(last.first_seq - 1).to_le_bytes()),
        (count, &0u16.to_le_bytes()),
        (count, &u16::MAX.to_le_bytes()),
    ] {
        assert!(
            matches!(forged(at, number), Err(Error::Damaged { .. })),
            "{number:?}"
        );
    }
}
