//! A folder in which the simulator is called as people call it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use sim::plan::{Action, Plan, Step};
use tempfile::TempDir;

/// A scenario that takes a blink: its rounds are long.
const SMALL: &str = "name = \"small\"\nnodes = 3\nfault_ms = 1500\nheal_ms = 30000\nnet = \"lan\"\npause_ms = 3000\nfault_gap_ms = 200\n";

/// A scenario that is long enough for the promise of progress after the heal.
const SLOW: &str = "load = \"rounds\"\nname = \"slow\"\nnodes = 3\nfault_ms = 100\nheal_ms = 31000\nnet = \"lan\"\npause_ms = 3000\nbuggify = false\n";

/// A folder with both scenarios, where commands run.
pub struct Place(TempDir);

/// How a command ended.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    /// A new folder with the scenarios.
    pub fn new() -> Self {
        let place = Self(TempDir::new().expect("the host has room for a folder"));
        place.write("small.toml", SMALL);
        place.write("rounds.toml", format!("load = \"rounds\"\n{SMALL}"));
        place.write("slow.toml", SLOW);
        place
    }

    /// Where the file `name` is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("the host has room for a file");
    }

    /// What a file has.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What a file reads.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("the simulator writes text")
    }

    /// Runs the words of `line`.
    pub fn sim(&self, line: &str) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_soma-sim"))
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("the binary was built for this test");
        Ended {
            code: output.status.code().expect("no signal ends the parent"),
            out: String::from_utf8(output.stdout).expect("it prints text"),
            err: String::from_utf8(output.stderr).expect("it prints text"),
        }
    }

    /// Runs the words of `line`, which end with exit code `code`.
    pub fn ends(&self, code: i32, line: &str) -> Ended {
        let ended = self.sim(line);
        assert_eq!(ended.code, code, "{line}\n{}{}", ended.out, ended.err);
        ended
    }

    /// A plan after whose heal the network stands still, and what does not matter to that.
    pub fn write_stuck_plan(&self) {
        let steps = vec![
            Step::new(0, Action::HealAll),
            Step::new(
                1,
                Action::Slow {
                    node: 2,
                    percent: 300,
                },
            ),
            Step::new(2, Action::ClockStep { node: 1, ms: 30 }),
            Step::new(7, Action::Pause { node: 0 }),
            Step::new(9, Action::ClockRepair { node: 1 }),
        ];
        self.write("stuck.toml", Plan { steps }.to_text());
    }
}

impl Ended {
    /// The last line.
    pub fn last(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }

    /// The value of `key` in the last line.
    pub fn field(&self, key: &str) -> &str {
        let start = format!("{key}=");
        let mut words = self.last().split(' ');
        words
            .find_map(|word| word.strip_prefix(&start))
            .unwrap_or_else(|| panic!("no {key} in {}", self.last()))
    }

    /// Every line, each of which is JSON.
    pub fn json(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}
