//! SIGKILL, again and again, under load: nothing is signed twice, and no commit is lost or comes twice.
//!
//! `SOMA_KILLS=200 cargo nextest run -p soma-cli --test localnet kill` kills 200 times; `SOMA_SEED` draws other instants.
//! A third of the kills come while the process starts, a third while it catches up, and a third under full load.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use env::{Clock, Direction, Env, Family, KeyRange, Reader, Storage};
use runtime::storage::{Disk, Redb};
use runtime::{NoBlobs, Runtime};
use serde_json::Value;
use tempfile::TempDir;

use crate::kit::{committee, soma};

type World = Runtime<Disk<Redb>, NoBlobs>;

/// Kills of an ordinary run.
const KILLS: u64 = 9;
/// How long a member may take until it has committed again.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);
const FAMILIES: &[Family] = &[
    Family::new("blocks"),
    Family::new("commits"),
    Family::new("certificates"),
    Family::new("state"),
];

#[expect(clippy::disallowed_methods, reason = "whoever runs the test says how long")]
fn given(name: &str, usual: u64) -> u64 {
    let Ok(value) = std::env::var(name) else {
        return usual;
    };
    let number = value.parse();
    number.unwrap_or_else(|_| panic!("{name} is {value:?}, and has to be a number"))
}

/// Draws, each from the one before.
struct Draw(u64);

impl Draw {
    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % limit
    }
}

/// A member: its files, and its process.
struct Member {
    file: PathBuf,
    child: Child,
    /// Starts, from 1.
    starts: u32,
}

fn spawn(file: &Path, start: u32) -> Child {
    let beside = |name: &str| file.with_file_name(name);
    let mut command = soma();
    command.args([
        "consensus",
        "--status-ms",
        "50",
        "--load",
        "100",
        "--size",
        "200",
        "--config",
    ]);
    command.arg(file).arg("--notes").arg(beside("notes"));
    command
        .arg("--stats-file")
        .arg(beside(&format!("figures-{start}")));
    if start == 1 {
        command.arg("--first-start");
    }
    let child = command.stdout(Stdio::null()).spawn();
    child.expect("the member starts")
}

impl Member {
    fn start(file: PathBuf) -> Self {
        let child = spawn(&file, 1);
        Self {
            file,
            child,
            starts: 1,
        }
    }

    fn kill(&mut self) {
        self.child.kill().expect("SIGKILL");
        let status = self.child.wait().expect("it has ended");
        assert_eq!(status.code(), None, "{} ended by itself", self.file.display());
    }

    fn restart(&mut self) {
        self.starts += 1;
        self.child = spawn(&self.file, self.starts);
    }

    /// The commits that were noted: index and digest. A line that is being written is left out.
    fn notes(&self) -> Vec<(u64, String)> {
        let text = fs::read_to_string(self.file.with_file_name("notes")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let note = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, index, digest, _] = words[..] else {
                panic!("{line:?} is no note of {}", self.file.display())
            };
            (index.parse().expect("an index"), digest.to_owned())
        };
        whole.lines().map(note).collect()
    }

    fn last(&self) -> u64 {
        self.notes().last().map_or(0, |(index, _)| *index)
    }

    /// Waits until it has noted more commits than `than`, and says how long that took.
    async fn beyond(&self, than: u64, clock: &impl Clock) -> Duration {
        let start = clock.now();
        while self.last() <= than {
            let passed = clock.now().since(start);
            assert!(
                passed < PATIENCE,
                "{} is at commit {} after {passed:?}, and was at {than}",
                self.file.display(),
                self.last()
            );
            clock.sleep(POLL).await;
        }
        clock.now().since(start)
    }

    /// The proofs of two blocks of one slot that it has seen, over all its starts.
    fn proofs(&self) -> u64 {
        let proofs = |start| {
            let text = fs::read_to_string(self.file.with_file_name(format!("figures-{start}")));
            let text = text.unwrap_or_default();
            // The last line may be cut off.
            let lines = text
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let counted = |line: Value| line["counters"]["equivocations"].as_u64().expect("a counter");
            lines.map(counted).max().unwrap_or(0)
        };
        (1..=self.starts).map(proofs).sum()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The blocks in a member's store: round and author, and all that follows in the key.
async fn blocks(world: &World) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let store = world.storage().open("consensus-0", FAMILIES).await;
    let store = store.expect("the store opens");
    let (mut blocks, mut range) = (BTreeMap::new(), KeyRange::from(&[]));
    loop {
        let page = store.scan(FAMILIES[0], range, Direction::Forward, 512).await;
        let page = page.expect("the store reads");
        let Some((last, _)) = page.last() else {
            return blocks;
        };
        range = KeyRange {
            start: std::ops::Bound::Excluded(last.clone()),
            end: std::ops::Bound::Unbounded,
        };
        for (key, _) in page {
            let (slot, digest) = key.split_at(6);
            let before = blocks.insert(slot.to_vec(), digest.to_vec());
            assert_eq!(before, None, "a store holds two blocks of slot {slot:?}");
        }
    }
}

fn world(data: PathBuf) -> World {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = runtime::Config::new([9; 32], listen, b"kills".to_vec(), data);
    World::start(&config, NoBlobs).expect("the environment starts")
}

#[test]
fn members_that_are_killed_under_load_sign_nothing_twice_and_lose_and_repeat_no_commit() {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("tokio starts");
    tokio.block_on(kill(given("SOMA_KILLS", KILLS), given("SOMA_SEED", 1)));
}

async fn kill(kills: u64, seed: u64) {
    let (folder, files) = committee(&[]);
    let own = TempDir::new().expect("a folder");
    let watch = world(own.path().to_owned());
    let clock = watch.clock();
    let mut members: Vec<Member> = files.into_iter().map(Member::start).collect();
    for member in &members {
        member.beyond(10, clock).await;
    }
    let (mut draw, mut took, mut killed) = (Draw(seed), Vec::new(), 0);
    while killed < kills {
        // Which one, and in what it is hit.
        let victim = &mut members[draw.below(4) as usize];
        let starting = Duration::from_millis(draw.below(30));
        let catching_up = Duration::from_millis(30 + draw.below(300));
        for wait in [starting, catching_up, Duration::ZERO] {
            victim.kill();
            victim.restart();
            killed += 1;
            clock.sleep(wait).await;
        }
        let before = victim.last();
        took.push(victim.beyond(before, clock).await);
        clock.sleep(Duration::from_millis(draw.below(500))).await;
    }
    let highest = members.iter().map(Member::last).max().expect("four members");
    for member in &members {
        member.beyond(highest + 20, clock).await;
    }
    members.iter_mut().for_each(Member::kill);
    took.sort_unstable();
    if let (Some(median), Some(longest)) = (took.get(took.len() / 2), took.last()) {
        println!(
            "seed {seed}, killed {killed} times: from start to the next commit {median:?} (median), {longest:?} at most"
        );
    }

    let mut commits = BTreeMap::new();
    for member in &members {
        let notes = member.notes();
        println!(
            "{}: {} starts, {} commits",
            member.file.display(),
            member.starts,
            notes.len()
        );
        for ((index, digest), expected) in notes.into_iter().zip(1..) {
            assert_eq!(
                index,
                expected,
                "{} skips or repeats a commit",
                member.file.display()
            );
            let known = commits.entry(index).or_insert_with(|| digest.clone());
            assert_eq!(*known, digest, "members differ in commit {index}");
        }
        assert_eq!(
            member.proofs(),
            0,
            "{} has seen a slot signed twice",
            member.file.display()
        );
    }
    let mut signed = BTreeMap::new();
    for index in 0..members.len() {
        let world = world(folder.path().join(format!("n{index}/data")));
        for (slot, digest) in blocks(&world).await {
            let known = signed.entry(slot.clone()).or_insert_with(|| digest.clone());
            assert_eq!(*known, digest, "two blocks of slot {slot:?} were signed");
        }
        world.shutdown().await;
    }
    assert!(
        signed.len() as u64 > highest,
        "{} slots, {highest} commits",
        signed.len()
    );
    watch.shutdown().await;
}
