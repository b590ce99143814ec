//! What the fuzz targets share: each property, said once.
//!
//! `cargo xtask fuzz <target>` builds and runs one, after `seed` has filled `corpus/` with what decodes.

pub mod consensus;

use crypto::segments::{FileKey, Sealer, open};
use runtime::network::fuzzing;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Any bytes are a value that encodes to them, or an error.
pub fn canonical<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    if let Ok(value) = types::decode::<T>(bytes, 1 << 20) {
        assert_eq!(types::encode(&value), bytes);
    }
}

/// Any bytes are a value that shows them, or an error.
pub fn fixed<T: crypto::FixedBytes>(bytes: &[u8]) {
    if let Ok(value) = T::from_slice(bytes) {
        assert_eq!(value.as_ref(), bytes);
    }
}

/// Any text is a value that prints as text of the same value, or an error.
pub fn text<T: std::str::FromStr + ToString>(bytes: &[u8]) {
    let parse = |text: &str| text.parse::<T>().ok().map(|value| value.to_string());
    if let Some(printed) = std::str::from_utf8(bytes).ok().and_then(parse) {
        assert_eq!(parse(&printed), Some(printed));
    }
}

/// Any bytes behind the check of the right key are a file, or an error.
pub fn sealed_file(bytes: &[u8]) {
    let key = || FileKey::new([7; 32]);
    let sealer = Sealer::new(key(), 0).expect("an empty file is not too long");
    drop(open(&key(), &[&sealer.header()[..32], bytes].concat()));
}

/// Any text is a secret key whose text gives it back, or an error.
pub fn key_text(bytes: &[u8]) {
    if let Ok(Ok(key)) = std::str::from_utf8(bytes).map(crypto::keytext::decode) {
        let again = crypto::keytext::decode(&crypto::keytext::encode(&key));
        assert_eq!(again.map(|key| key.public()), Ok(key.public()));
    }
}

/// Any bytes are a stream that says the same in whatever pieces it arrives, or a part of one.
pub fn stream(bytes: &[u8]) {
    const LIMIT: u32 = 1 << 12;
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let said = fuzzing::stream([bytes], LIMIT);
    let piece = usize::from(*cut) % 31 + 1;
    assert_eq!(said, fuzzing::stream(bytes.chunks(piece), LIMIT));
    let mut again = said.header.map(Vec::from).unwrap_or_default();
    for frame in &said.frames {
        let length = u32::try_from(frame.len()).expect("frames have a limit");
        assert!(length <= LIMIT);
        again.extend(length.to_be_bytes());
        again.extend(frame);
    }
    assert!(bytes.starts_with(&again), "what was said is what arrived");
}

/// Any bytes are a certificate that names a key and an incarnation which it holds, or none.
pub fn peer_certificate(bytes: &[u8]) {
    if let Some((key, incarnation)) = fuzzing::certificate(bytes) {
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(holds(key.as_bytes()) && holds(&incarnation));
    }
}

/// Any text is a plan whose text gives it back, or an error.
pub fn plan(bytes: &[u8]) {
    let parse = |text: &str| sim::plan::Plan::parse(text).ok();
    if let Some(plan) = std::str::from_utf8(bytes).ok().and_then(parse) {
        assert_eq!(parse(&plan.to_text()).as_ref(), Some(&plan));
        drop(plan.check(4, sim::time::VirtualTime::from_millis(1_000)));
    }
}

/// Any text is a scenario whose text gives it back and whose plans fit it, or an error.
pub fn scenario(bytes: &[u8]) {
    let parse = |text: &str| sim::scenario::Scenario::parse("fuzz", text).ok();
    if let Some(scenario) = std::str::from_utf8(bytes).ok().and_then(parse) {
        assert_eq!(parse(&scenario.to_text()).as_ref(), Some(&scenario));
        // A plan has a step for each gap; what makes a million of them is sound, and slow.
        if scenario.fault_ms / scenario.fault_gap_ms < 100 {
            let plan = scenario.plan(sim::Seed::new(1));
            assert_eq!(plan.check(scenario.nodes, scenario.until()), Ok(()));
            assert_eq!(sim::plan::Plan::parse(&plan.to_text()), Ok(plan));
        }
    }
}

/// Any bytes are a trace that reads to its end and prints, a part of one, or an error; whether their checksums hold
/// or not.
pub fn trace(bytes: &[u8]) {
    read_trace(bytes);
    read_trace(&with_checksums(bytes));
}

fn read_trace(bytes: &[u8]) {
    use sim::trace::{Trace, diff, ndjson, perfetto, view};
    let (Ok(mut trace), Ok(mut same)) = (Trace::from_bytes(bytes), Trace::from_bytes(bytes)) else {
        return;
    };
    drop(trace.kept_until());
    drop(diff(&mut trace, &mut same, 3));
    drop(trace.verify());
    drop(trace.read(0..u64::MAX, 1_000));
    drop(trace.payload(0));
    drop(ndjson(&mut trace, &mut Vec::new()));
    drop(perfetto(&mut trace, &mut Vec::new()));
    drop(view(&mut trace));
}

/// A trace whose frames are as `bytes` say, with lengths that fit and the right checksums.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    // The magic number and the version, then frames: tag, length, checksum, body.
    let mut trace = bytes.to_vec();
    let mut start = 12;
    while let Some(rest) = trace.get_mut(start..).filter(|rest| rest.len() >= 13) {
        let (head, body) = rest.split_at_mut(13);
        let announced = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        let length = body.len().min(usize::try_from(announced).unwrap_or(usize::MAX));
        let seed = (length as u64) << 8 | u64::from(head[0]);
        let sum = xxhash_rust::xxh3::xxh3_64_with_seed(&body[..length], seed);
        head[1..5].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        head[5..].copy_from_slice(&sum.to_le_bytes());
        start += 13 + length;
    }
    trace
}
