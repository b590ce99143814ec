//! Fills `corpus/` with what nodes and the simulator write, so that fuzzing starts at bytes that decode. Golden encodings
//! and words that were kept are put there by `cargo xtask fuzz` itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use sim::Seed;
use sim::scenario::Scenario;
use sim::trace::{Header, Kind, Level, Options, Record, Recorder};

fn main() -> io::Result<()> {
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
