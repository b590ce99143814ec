//! What the disk keeps when the process is killed, and when the disk is full.
//!
//! What is left is judged by `testkit::survivors`, as what the simulated disk leaves is in `sim/tests/survivors.rs`.
//! That test also shows that the simulated disk leaves every state that is allowed, so what passes here is a state that
//! the simulator can produce for the same batches.
//!
//! A test that needs a process to lose starts its own binary again, with variables that tell the helper test what to
//! do; in an ordinary run the helpers have nothing to do.

mod world;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use env::{Batch, Durability, StorageError, Store};
use runtime::storage::{Engine, Redb};
use tempfile::TempDir;
use testkit::survivors::{self, FAMILIES, History, State, numbered};
use world::{block_on, copy_all, open_store};

/// The folder of the helper's store.
const FOLDER: &str = "SOMA_TEST_FOLDER";
/// The number of the helper's first batch.
const FIRST: &str = "SOMA_TEST_FIRST";

/// The helper test `name` of this binary, over the store in `folder`.
fn helper(name: &str, folder: &Path, first: u64) -> Command {
    let binary = std::env::current_exe().expect("the test has a binary");
    let mut command = Command::new(binary);
    command
        .args([name, "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string());
    command
}

/// The folder and the number that a helper was given, when this process is one.
#[expect(
    clippy::disallowed_methods,
    reason = "a process is told in its environment that it is a helper"
)]
fn given() -> Option<(PathBuf, u64)> {
    let first = std::env::var(FIRST).ok()?.parse().expect("a number");
    Some((std::env::var(FOLDER).ok()?.into(), first))
}

/// Helper: writes without end, and says what it calls and what was answered.
async fn write_for_ever<E: Engine>(folder: &Path, first: u64) {
    let (_env, store) = open_store::<E>(folder, &FAMILIES).await;
    let store = store.expect("the store opens");
    println!(); // What the test harness says stands on a line of its own.
    let mut waiting = VecDeque::new();
    for number in first.. {
        let (batch, durability) = numbered(number);
        println!("call {number}");
        let answer = store.write(batch, durability);
        if durability == Durability::Synced {
            waiting.push_back((number, answer));
        } else if number.is_multiple_of(4) {
            answer.await.expect("a write");
            println!("answer {number}");
        }
        // Some barriers are under way at any moment.
        if waiting.len() > 2
            && let Some((number, answer)) = waiting.pop_front()
        {
            answer.await.expect("a write");
            println!("answer {number}");
        }
    }
}

/// What the store in `folder` holds.
fn look<E: Engine>(folder: &Path) -> State {
    try_to_look::<E>(folder).expect("the store opens and reads")
}

/// What the store in `folder` holds, or what it says is wrong with it.
fn try_to_look<E: Engine>(folder: &Path) -> Result<State, StorageError> {
    block_on(async {
        let (env, store) = open_store::<E>(folder, &FAMILIES).await;
        let state = match store {
            Ok(store) => survivors::state(&store, &FAMILIES).await,
            Err(error) => Err(error),
        };
        env.shutdown().await;
        state
    })
}

/// Starts the writer at batch `first` and kills it after so many answers. Answers the number of its next batch.
fn kill_after(writer: &str, folder: &Path, first: u64, answers: u64, history: &mut History) -> u64 {
    let mut child = helper(writer, folder, first)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the helper starts");
    let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let (mut next, mut answered) = (first, 0);
    for line in lines {
        let line = line.expect("the helper speaks UTF-8");
        let number = |text: &str| -> u64 { text.parse().expect("the helper says numbers") };
        if let Some(called) = line.strip_prefix("call ") {
            assert_eq!(number(called), next, "the helper says every call");
            let (batch, durability) = numbered(next);
            history.call(batch, durability);
            next += 1;
        } else if let Some(answer) = line.strip_prefix("answer ") {
            let call = number(answer) - first;
            history.answer(usize::try_from(call).expect("there are few calls"));
            answered += 1;
            if answered == answers {
                // SIGKILL; what it still says on its way counts too.
                child.kill().expect("the helper can be killed");
            }
        }
    }
    assert!(answered >= answers, "the helper ended by itself");
    child.wait().expect("the helper has ended");
    next
}

/// Kills the writer again and again, each time at another moment, and looks at what is left.
fn kill_and_look<E: Engine>(writer: &str) {
    let folder = TempDir::new().expect("a folder");
    let mut first = 0;
    let mut history = History::default();
    for round in 0..10 {
        let next = kill_after(writer, folder.path(), first, 1 + round * 37 % 90, &mut history);
        let left = look::<E>(folder.path());
        if let Err(breach) = history.kept(&left) {
            panic!("round {round}: {breach}");
        }
        (first, history) = (next, History::since(left));
    }
}

/// Flips bits in what a killed process has left, at one place at a time: the store says that it is corrupt, or it is in
/// a state that the kill itself may leave.
fn kill_and_damage<E: Engine>(writer: &str) {
    let folder = TempDir::new().expect("a folder");
    let mut history = History::default();
    kill_after(writer, folder.path(), 0, 40, &mut history);
    let mut found_out = 0;
    for name in files(folder.path()) {
        let intact = std::fs::read(folder.path().join(&name)).expect("the file reads");
        // The bits of the first bytes say how to read the others. Then some of each part, and more of where the last
        // batches are.
        let bits = (9..12).flat_map(|place| (0..8).map(move |bit| (place, 1 << bit)));
        let step = (intact.len() / 60).max(1);
        let places = (0..320)
            .step_by(11)
            .chain((0..intact.len()).step_by(step))
            .chain((intact.len().saturating_sub(1_000)..intact.len()).step_by(23));
        for (place, flip) in bits.chain(places.map(|place| (place, 0x55))) {
            if place >= intact.len() {
                continue;
            }
            let damaged = TempDir::new().expect("a folder");
            copy_all(folder.path(), damaged.path());
            let mut bytes = intact.clone();
            bytes[place] ^= flip;
            std::fs::write(damaged.path().join(&name), bytes).expect("the file writes");
            match try_to_look::<E>(damaged.path()) {
                Ok(left) => {
                    if let Err(breach) = history.kept(&left) {
                        panic!("{} byte {place} by {flip}: {breach}", name.display());
                    }
                }
                Err(StorageError::Corrupt { .. }) => found_out += 1,
                Err(other) => panic!("{} byte {place} by {flip}: {other}", name.display()),
            }
        }
    }
    assert!(found_out > 0, "no damage was found out");
}

/// The files below a folder, as seen from it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = PathBuf::from(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|below| name.join(below)));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[test]
fn helper_writes_redb_for_ever() {
    if let Some((folder, first)) = given() {
        block_on(write_for_ever::<Redb>(&folder, first));
    }
}

#[test]
fn a_killed_process_leaves_every_synced_batch_and_a_prefix_of_the_others() {
    kill_and_look::<Redb>("helper_writes_redb_for_ever");
}

#[test]
fn damage_of_what_a_killed_process_leaves_is_reported_or_does_not_matter() {
    kill_and_damage::<Redb>("helper_writes_redb_for_ever");
}

#[test]
fn a_store_that_another_process_has_open_is_locked() {
    is_locked::<Redb>("helper_writes_redb_for_ever");
}

fn is_locked<E: Engine>(writer: &str) {
    let folder = TempDir::new().expect("a folder");
    let mut child = helper(writer, folder.path(), 0)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the helper starts");
    let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let opened = lines
        .map_while(Result::ok)
        .any(|line| line.starts_with("answer "));
    let locked = || {
        let error = StorageError::Locked {
            store: "store".into(),
        };
        Some(error)
    };
    block_on(async {
        let (env, store) = open_store::<E>(folder.path(), &FAMILIES).await;
        assert_eq!(store.err(), locked());
        env.shutdown().await;
    });
    child.kill().expect("the helper can be killed");
    child.wait().expect("the helper has ended");
    assert!(opened, "the helper opened its store");
    // The lock is not a file that is left behind.
    look::<E>(folder.path());
}

/// A numbered batch with so much more that a disk is full soon, always as a barrier.
fn heavy(number: u64) -> Batch {
    let (mut batch, _) = numbered(number);
    batch.put(
        FAMILIES[0],
        format!("ballast {number}"),
        vec![number as u8; 50_000],
    );
    batch
}

/// Helper: fills the disk, and checks what the store says then.
async fn fill<E: Engine>(folder: &Path) {
    let (env, store) = open_store::<E>(folder, &FAMILIES).await;
    let store = store.expect("the store opens");
    let mut history = History::default();
    let mut number = 0;
    let error = loop {
        let call = history.call(heavy(number), Durability::Synced);
        match store.write(heavy(number), Durability::Synced).await {
            Ok(()) => history.answer(call),
            Err(error) => break error,
        }
        number += 1;
    };
    let full = StorageError::Full {
        store: "store".into(),
    };
    assert_eq!(error, full);
    let failed = Err(StorageError::Failed {
        store: "store".into(),
    });
    let later = store.write(heavy(number + 1), Durability::Buffered);
    assert_eq!(later.await, failed);
    assert_eq!(store.sync().await, failed);
    // Reads go on, and show what was answered.
    let shown = survivors::state(&store, &FAMILIES)
        .await
        .expect("the store reads");
    history.kept(&shown).expect("what was answered is shown");
    drop(store);
    env.shutdown().await;
    println!("\nfull at {number}");
}

#[test]
fn helper_fills_redb() {
    if let Some((folder, _)) = given() {
        block_on(fill::<Redb>(&folder));
    }
}

/// A process that may not write files beyond a limit sees what one on a full disk sees.
fn fill_and_look<E: Engine>(filler: &str, kibibytes: u32) {
    let folder = TempDir::new().expect("a folder");
    let helper = helper(filler, folder.path(), 0);
    // The signal of the limit is ignored, so that the write answers an error. The unit of `ulimit -f` in sh is 512 B.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kibibytes * 2);
    let output = Command::new("/bin/sh")
        .args(["-c", &script])
        .arg(helper.get_program())
        .args(helper.get_args())
        .envs(helper.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .expect("the helper runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let full = said.lines().find_map(|line| line.strip_prefix("full at "));
    let refused: u64 = full.expect("the disk was full").parse().expect("a number");
    let mut history = History::default();
    for number in 0..=refused {
        let call = history.call(heavy(number), Durability::Synced);
        if number < refused {
            history.answer(call);
        }
    }
    // With room again, everything that was answered is there.
    let left = look::<E>(folder.path());
    let kept = history.kept(&left).expect("what was answered is kept");
    block_on(async {
        let (env, store) = open_store::<E>(folder.path(), &FAMILIES).await;
        let store = store.expect("the store opens");
        let number = kept as u64;
        store
            .write(heavy(number), Durability::Synced)
            .await
            .expect("there is room again");
        drop(store);
        env.shutdown().await;
    });
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    fill_and_look::<Redb>("helper_fills_redb", 6_000);
}

#[cfg(feature = "rocksdb")]
mod rocksdb {
    use super::*;
    use runtime::storage::Rocks;

    #[test]
    fn helper_writes_for_ever() {
        if let Some((folder, first)) = given() {
            block_on(write_for_ever::<Rocks>(&folder, first));
        }
    }

    #[test]
    fn a_killed_process_leaves_every_synced_batch_and_a_prefix_of_the_others() {
        kill_and_look::<Rocks>("rocksdb::helper_writes_for_ever");
    }

    #[test]
    fn damage_of_what_a_killed_process_leaves_is_reported_or_does_not_matter() {
        kill_and_damage::<Rocks>("rocksdb::helper_writes_for_ever");
    }

    #[test]
    fn a_store_that_another_process_has_open_is_locked() {
        is_locked::<Rocks>("rocksdb::helper_writes_for_ever");
    }

    #[test]
    fn helper_fills() {
        if let Some((folder, _)) = given() {
            block_on(fill::<Rocks>(&folder));
        }
    }

    #[test]
    fn a_full_disk_is_told_and_loses_nothing() {
        fill_and_look::<Rocks>("rocksdb::helper_fills", 6_000);
    }
}
