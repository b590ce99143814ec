//! A committee of processes on this machine: it commits, and its members survive what happens to processes and disks.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// A member's process, killed when it goes out of scope.
struct Node {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// What a node says of itself in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    round: u64,
    own: u64,
    commit: u64,
    is_recovering: bool,
}

fn soma() -> Command {
    Command::new(env!("CARGO_BIN_EXE_soma"))
}

/// The number behind `word` in a line.
fn number(line: &str, word: &str) -> Option<u64> {
    let rest = &line[line.find(word)? + word.len()..];
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

impl Node {
    fn start(config: &Path, arguments: &[&str]) -> Self {
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
    fn closed(&mut self) -> u64 {
        loop {
            if let Some(commit) = number(&self.text(), "has closed epoch 0 at commit ") {
                return commit;
            }
        }
    }

    fn line(&mut self) -> Line {
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
    fn until(&mut self, wanted: impl Fn(&Line) -> bool) -> Line {
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
fn committee(durability: &[&str]) -> (TempDir, Vec<PathBuf>) {
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

#[test]
fn members_commit_one_killed_goes_on_and_one_that_lost_its_disk_recovers() {
    let (_folder, files) = committee(&[]);
    let load = ["--load", "20", "--size", "64"];
    let start = |file: &PathBuf| Node::start(file, &[&["--first-start"][..], &load].concat());
    let mut nodes: Vec<Node> = files.iter().map(start).collect();
    for node in &mut nodes {
        node.until(|line| line.commit >= 20);
    }

    // A process that is killed goes on from its disk.
    let before = nodes[3].line();
    drop(nodes.pop());
    let mut killed = Node::start(&files[3], &load);
    let after = killed.until(|line| line.commit > before.commit + 20);
    assert!(
        after.own > before.own && !after.is_recovering,
        "{before:?} {after:?}"
    );
    nodes.push(killed);

    // One that lost its disk finds out what it has signed from the others.
    let before = nodes[3].line();
    drop(nodes.pop());
    fs::remove_dir_all(files[3].with_file_name("data")).expect("the disk is lost");
    let mut wiped = Node::start(&files[3], &load);
    let after = wiped.until(|line| line.own > before.own && line.commit > before.commit + 20);
    assert!(!after.is_recovering, "{before:?} {after:?}");
}

#[test]
fn a_member_whose_store_is_damaged_gives_it_up_for_good_and_recovers() {
    let (_folder, files) = committee(&[]);
    let mut nodes: Vec<Node> = files
        .iter()
        .map(|file| Node::start(file, &["--first-start"]))
        .collect();
    for node in &mut nodes {
        node.until(|line| line.commit >= 10);
    }
    let before = nodes[3].line();
    drop(nodes.pop());
    let store = files[3].with_file_name("data").join("consensus-0.redb");
    let sound = fs::read(&store).expect("the store");
    fs::write(&store, vec![0xa5; sound.len()]).expect("the store is damaged");
    let mut damaged = Node::start(&files[3], &[]);
    let after = damaged.until(|line| line.own > before.own);
    assert!(!after.is_recovering, "{before:?} {after:?}");
    drop(damaged);

    // What the damaged store said comes back, and is older than what was signed since: nobody asks it any more.
    fs::write(&store, sound).expect("the old store is back");
    let mut back = Node::start(&files[3], &[]);
    let first = back.until(|line| line.own > 0);
    assert!(
        first.own >= after.own && !first.is_recovering,
        "{after:?} {first:?}"
    );
}

#[test]
fn without_a_quorum_nothing_is_committed_until_there_is_one_again() {
    let (_folder, files) = committee(&["--relaxed"]);
    let mut nodes: Vec<Node> = files[..2]
        .iter()
        .map(|file| Node::start(file, &["--first-start"]))
        .collect();
    // Both make their first block and cannot go further.
    nodes[0].until(|line| line.own == 1);
    let line = nodes[0].line();
    assert_eq!((line.round, line.commit), (0, 0));
    nodes.push(Node::start(&files[2], &["--first-start"]));
    for node in &mut nodes {
        node.until(|line| line.commit >= 5);
    }
}

#[test]
fn an_epoch_that_is_over_is_served_to_who_was_not_there() {
    let (_folder, files) = committee(&["--relaxed"]);
    for file in &files {
        let text = fs::read_to_string(file).expect("a file");
        let start = number(&text, "start_ms = ").expect("a start");
        let section = format!("start_ms = {start}\n");
        let ending = format!("{section}end_ms = {}\n", start + 3_000);
        fs::write(file, text.replace(&section, &ending)).expect("a file");
    }
    let start = |file: &PathBuf| Node::start(file, &["--first-start"]);
    let mut nodes: Vec<Node> = files[..3].iter().map(start).collect();
    let closed: Vec<u64> = nodes.iter_mut().map(Node::closed).collect();
    assert!(
        closed[0] > 0 && closed.iter().all(|last| *last == closed[0]),
        "{closed:?}"
    );
    // Nobody makes blocks any more: all that the last member needs are old ones.
    assert_eq!(start(&files[3]).closed(), closed[0]);
}

#[test]
fn a_file_that_is_wrong_is_named_with_its_field() {
    let (_folder, files) = committee(&[]);
    let text = fs::read_to_string(&files[0]).expect("a file");
    fs::write(&files[0], text.replace("index = 0", "index = 7")).expect("a file");
    let output = soma()
        .args(["consensus", "--config"])
        .arg(&files[0])
        .output()
        .expect("the command runs");
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).expect("text");
    let expected = format!(
        "soma: {}: `index` is 7 where there are 4 members; count members from 0\n",
        files[0].display()
    );
    assert_eq!(said, expected);
}
