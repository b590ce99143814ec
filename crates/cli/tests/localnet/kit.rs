//! Processes of members, and what they say.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// A member's process, killed when it goes out of scope.
pub struct Node {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// What a node says of itself in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub round: u64,
    pub own: u64,
    pub commit: u64,
    pub is_recovering: bool,
}

pub fn soma() -> Command {
    Command::new(env!("CARGO_BIN_EXE_soma"))
}

/// The number behind `word` in a line.
pub fn number(line: &str, word: &str) -> Option<u64> {
    let rest = &line[line.find(word)? + word.len()..];
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

impl Node {
    pub fn start(config: &Path, arguments: &[&str]) -> Self {
        let mut child = soma()
            .args(["consensus", "--status-ms", "100", "--config"])
            .arg(config)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the node starts");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped"));
        Self { child, lines }
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        self.lines.read_line(&mut text).expect("the node says how it is");
        assert!(!text.is_empty(), "the node has ended");
        text
    }

    /// The last commit of the epoch, once the node has closed it.
    pub fn closed(&mut self) -> u64 {
        loop {
            if let Some(commit) = number(&self.text(), "has closed epoch 0 at commit ") {
                return commit;
            }
        }
    }

    pub fn line(&mut self) -> Line {
        let text = self.text();
        let read = |word| number(&text, word).unwrap_or_else(|| panic!("no `{word}` in {text:?}"));
        Line {
            round: read("round "),
            own: read("(own "),
            commit: read("commit "),
            is_recovering: text.contains("recovering"),
        }
    }

    /// Reads lines until one is as wanted. A node that does not get there runs into the limit of the test.
    pub fn until(&mut self, wanted: impl Fn(&Line) -> bool) -> Line {
        loop {
            let line = self.line();
            if wanted(&line) {
                return line;
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SIGKILL: nothing is said and nothing is closed.
        self.child.kill().expect("the node is killed");
        self.child.wait().expect("the node has ended");
    }
}

/// The first of four ports in a row that nobody uses.
fn free_ports() -> u16 {
    let bind = |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port));
    let first = || -> Option<u16> {
        let socket = bind(0).ok()?;
        let port = socket.local_addr().ok()?.port();
        let others: Vec<UdpSocket> = (1..4)
            .map_while(|step| bind(port.checked_add(step)?).ok())
            .collect();
        (others.len() == 3).then_some(port)
    };
    (0..1_000)
        .find_map(|_| first())
        .expect("four ports in a row are free")
}

/// The files of a committee of four on ports that are free, and its folder.
pub fn committee(durability: &[&str]) -> (TempDir, Vec<PathBuf>) {
    let folder = TempDir::new().expect("a folder");
    let port = free_ports();
    let written = soma()
        .args(["consensus", "localnet", "--print", "--nodes", "4", "--dir"])
        .arg(folder.path())
        .args(["--port", &port.to_string()])
        .args(durability)
        .output()
        .expect("the files are written");
    assert!(
        written.status.success(),
        "{}",
        String::from_utf8_lossy(&written.stderr)
    );
    let commands = String::from_utf8(written.stdout).expect("text");
    assert_eq!(commands.lines().count(), 4, "{commands}");
    assert!(
        commands.lines().all(|line| line.ends_with("--first-start")),
        "{commands}"
    );
    let files = (0..4).map(|index| folder.path().join(format!("n{index}/node.toml")));
    let files = files.collect();
    (folder, files)
}
