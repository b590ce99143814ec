//! Fills `corpus/` with the golden encodings and with what nodes and the simulator write, so that fuzzing starts at
//! bytes that decode: `cargo run --bin seed` in this folder.

use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use sim::Seed;
use sim::scenario::Scenario;
use sim::trace::{Header, Kind, Level, Options, Record, Recorder};

const GOLDEN: [&str; 2] = [
    include_str!("../../../fixtures/encoding/words.snap"),
    include_str!("../../../fixtures/encoding/consensus.snap"),
];

fn main() -> io::Result<()> {
    GOLDEN.into_iter().try_for_each(golden)?;
    for scenario in ["calm", "swarm", "wan"] {
        let text = fs::read(format!("../config/sim/{scenario}.toml"))?;
        keep("scenario", scenario, &text)?;
        let scenario = Scenario::built_in(scenario).map_err(io::Error::other)?;
        keep(
            "scenario",
            &format!("{}_in_full", scenario.name),
            scenario.to_text().as_bytes(),
        )?;
        for seed in 0..20 {
            let plan = scenario.plan(Seed::new(seed)).to_text();
            keep("plan", &format!("{}_{seed}", scenario.name), plan.as_bytes())?;
        }
    }
    keep(
        "stream",
        "messages",
        b"\x04\x01\0\0\x07\0\0\0\x05hello\0\0\0\0\0\0\0\x01!",
    )?;
    keep("stream", "request", b"\x09\x02\0\x01\x07\0\0\0\x03ask")?;
    keep(
        "peer_certificate",
        "own",
        &runtime::network::fuzzing::own_certificate(),
    )?;
    for (name, level) in [("whole", Level::L3), ("faults", Level::L1)] {
        keep("trace", name, &trace(level)?)?;
    }
    Ok(())
}

/// Keeps what stands in the rows of a fixture.
fn golden(fixture: &str) -> io::Result<()> {
    // The head of the file, between two lines of dashes, says where it comes from.
    let rows = fixture.splitn(3, "---\n").nth(2);
    let rows = rows.ok_or_else(|| io::Error::other("the fixture has no head"))?;
    for row in rows.lines() {
        let columns: Vec<_> = row.split_whitespace().collect();
        let [name, _, bytes] = columns[..] else {
            return Err(io::Error::other(format!("a row has three columns: {row}")));
        };
        let kind = name.split("::").next().unwrap_or(name);
        let folder = format!("corpus/{}", snake_case(kind));
        fs::create_dir_all(&folder)?;
        let digits = bytes.trim_start_matches("0x").as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16);
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(byte)
            .collect::<Result<_, _>>()
            .map_err(io::Error::other)?;
        fs::write(format!("{folder}/{}", name.replace("::", "_")), bytes)?;
    }
    Ok(())
}

fn keep(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(format!("corpus/{target}"))?;
    fs::write(format!("corpus/{target}/{name}"), bytes)
}

/// A small trace with every kind of event.
fn trace(level: Level) -> io::Result<Vec<u8>> {
    let file = File::default();
    let options = Options {
        level,
        ..Options::default()
    };
    let mut recorder = Recorder::new(Header::default(), options, Some(Box::new(file.clone())));
    for (time, kind) in (0..).zip(Kind::ALL) {
        let mut record = Record::new(time * 1_000, 1, *kind);
        record.name = recorder.name("name");
        record.cause = u32::from(time > 0);
        recorder.record_payload(record, b"payload");
    }
    recorder
        .finish("PASS", [("commits".to_owned(), 3)].into())
        .map_err(io::Error::other)?;
    let bytes = file.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(bytes.clone())
}

/// A file in memory.
#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl io::Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `BlsPublicKey` becomes `bls_public_key`; `MultiSig` is one word.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for character in name.replace("MultiSig", "Multisig").chars() {
        if character.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}
