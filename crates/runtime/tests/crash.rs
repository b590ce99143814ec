//! What the disk keeps when the process is killed, when bits flip, and when the disk is full.
//!
//! A test that needs a process to lose starts its own binary again, with a variable that tells the helper test what to
//! do; in an ordinary run the helpers have nothing to do.

mod world;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use env::{Batch, Direction, Durability, Env, Family, KeyRange, Storage, StorageError, Store};
use runtime::storage::{Disk, Engine, Redb};
use runtime::{NoBlobs, Runtime};
use tempfile::TempDir;
use world::{block_on, config, copy_all};

const LOG: Family = Family::new("log");
const COUNT: Family = Family::new("count");

/// The folder of the helper's store.
const FOLDER: &str = "SOMA_TEST_FOLDER";

async fn open<E: Engine>(
    folder: &Path,
) -> (
    Runtime<Disk<E>, NoBlobs>,
    Result<<Disk<E> as Storage>::Store, StorageError>,
) {
    let env = Runtime::<Disk<E>, _>::start(&config(1, folder), NoBlobs).expect("the environment starts");
    let store = env.storage().open("store", &[LOG, COUNT]).await;
    (env, store)
}

/// Batch `number`: a new entry, and the count of all of them.
fn numbered(number: u32) -> Batch {
    let mut batch = Batch::default();
    batch
        .put(LOG, number.to_be_bytes().to_vec(), vec![number as u8; 300])
        .put(COUNT, &b"count"[..], (number + 1).to_be_bytes().to_vec());
    batch
}

/// How many batches the store holds, after checking that they are the first ones, whole.
async fn held<S: Store>(store: &S) -> Result<u32, StorageError> {
    let entries = store
        .scan(LOG, KeyRange::ALL, Direction::Forward, usize::MAX)
        .await?;
    for (number, (key, value)) in (0_u32..).zip(&entries) {
        assert_eq!(key[..], number.to_be_bytes(), "a batch is missing");
        assert_eq!(value, &Bytes::from(vec![number as u8; 300]), "a value is another");
    }
    let count = match store.get(COUNT, b"count").await? {
        None => 0,
        Some(count) => u32::from_be_bytes(count[..].try_into().expect("the count has four bytes")),
    };
    assert_eq!(usize::try_from(count), Ok(entries.len()), "half a batch");
    Ok(count)
}

/// The helper test `name` of this binary, over the store in `folder`.
fn helper(name: &str, folder: &Path) -> Command {
    let binary = std::env::current_exe().expect("the test has a binary");
    let mut command = Command::new(binary);
    command.args([name, "--exact", "--nocapture"]).env(FOLDER, folder);
    command
}

/// The folder that a helper was given, when this process is one.
#[expect(
    clippy::disallowed_methods,
    reason = "a process is told in its environment that it is a helper"
)]
fn given_folder() -> Option<std::path::PathBuf> {
    std::env::var(FOLDER).ok().map(Into::into)
}

/// Helper: writes without end, mostly buffered, and says what has been synced.
async fn write_for_ever<E: Engine>(folder: &Path) {
    let (_env, store) = open::<E>(folder).await;
    let store = store.expect("the store opens");
    let mut next = held(&store).await.expect("the store reads");
    loop {
        for _ in 0..next % 13 {
            drop(store.write(numbered(next), Durability::Buffered));
            next += 1;
        }
        // By turns a synced batch and a bare barrier.
        if next.is_multiple_of(2) {
            store.sync().await.expect("a barrier");
        } else {
            store
                .write(numbered(next), Durability::Synced)
                .await
                .expect("a write");
            next += 1;
        }
        println!("synced {next}");
        if next.is_multiple_of(13) {
            store
                .write(numbered(next), Durability::Buffered)
                .await
                .expect("a write");
            next += 1;
        }
    }
}

/// Kills the writer again and again, each time at another moment, and looks at what is left.
fn kill_and_look<E: Engine>(writer: &str) {
    let folder = TempDir::new().expect("a folder");
    for round in 0..8 {
        let mut child = helper(writer, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the helper starts");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let mut synced = 0;
        let mut reports = 0;
        for line in lines {
            let line = line.expect("the helper speaks UTF-8");
            if let Some(count) = line.strip_prefix("synced ") {
                synced = count.parse().expect("the helper reports numbers");
                reports += 1;
                if reports == 20 + round * 7 {
                    // SIGKILL; what it still says on its way counts too.
                    child.kill().expect("the helper can be killed");
                }
            }
        }
        assert!(reports >= 20, "the helper ended by itself");
        child.wait().expect("the helper has ended");
        block_on(async {
            let (env, store) = open::<E>(folder.path()).await;
            let count = held(&store.expect("the store opens"))
                .await
                .expect("the store reads");
            assert!(
                count >= synced,
                "{synced} batches were synced and {count} are left"
            );
            env.shutdown().await;
        });
    }
}

#[test]
fn helper_writes_redb_for_ever() {
    if let Some(folder) = given_folder() {
        block_on(write_for_ever::<Redb>(&folder));
    }
}

#[test]
fn a_killed_process_leaves_every_synced_batch_and_a_prefix_of_the_others() {
    kill_and_look::<Redb>("helper_writes_redb_for_ever");
}

/// A closed store with some batches in it.
async fn written<E: Engine>(folder: &Path) -> u32 {
    let (env, store) = open::<E>(folder).await;
    let store = store.expect("the store opens");
    for number in 0..200 {
        store
            .write(numbered(number), Durability::Synced)
            .await
            .expect("a write");
    }
    drop(store);
    env.shutdown().await;
    200
}

/// The largest file of a store: where its data are.
fn data_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(data_files(&path))
        } else {
            files.push(path)
        }
    }
    files.sort();
    files
}

/// Flips one byte at many places, one at a time; each time the store is intact or says that it is corrupt.
fn flip_and_look<E: Engine>(stride: usize) {
    let folder = TempDir::new().expect("a folder");
    let count = block_on(written::<E>(folder.path()));
    let mut found_out = 0;
    for file in data_files(folder.path()) {
        let intact = std::fs::read(&file).expect("the file reads");
        let name = file
            .strip_prefix(folder.path())
            .expect("a file of the folder")
            .to_owned();
        // Every byte of the beginning, where the structure is, then some of each part.
        let places = (0..intact.len().min(320))
            .step_by(3)
            .chain((320..intact.len()).step_by(stride));
        for place in places {
            let damaged = TempDir::new().expect("a folder");
            copy_all(folder.path(), damaged.path());
            let mut bytes = intact.clone();
            bytes[place] ^= 0x55;
            std::fs::write(damaged.path().join(&name), bytes).expect("the file writes");
            block_on(async {
                let (env, store) = open::<E>(damaged.path()).await;
                let state = match store {
                    Ok(store) => held(&store).await,
                    Err(error) => Err(error),
                };
                match state {
                    Ok(held) => assert_eq!(held, count, "{} byte {place}: older data", name.display()),
                    Err(StorageError::Corrupt { .. }) => found_out += 1,
                    Err(other) => panic!("{} byte {place}: {other}", name.display()),
                }
                env.shutdown().await;
            });
        }
    }
    assert!(found_out > 0, "no damage was found out");
}

#[test]
fn a_flipped_byte_is_reported_or_does_not_matter() {
    flip_and_look::<Redb>(1_511);
}

#[test]
fn a_file_that_is_not_a_store_is_corrupt() {
    for content in [&b"not a store"[..], &[0; 10_000], &[0xff; 10_000]] {
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("store.redb"), content).expect("the file writes");
        block_on(async {
            let (env, store) = open::<Redb>(folder.path()).await;
            assert!(
                matches!(store, Err(StorageError::Corrupt { .. })),
                "{:?}",
                store.err()
            );
            env.shutdown().await;
        });
    }
}

#[test]
fn a_truncated_file_is_corrupt() {
    let folder = TempDir::new().expect("a folder");
    block_on(written::<Redb>(folder.path()));
    let file = folder.path().join("store.redb");
    let length = std::fs::metadata(&file).expect("the file is there").len();
    for left in [length / 2, length - 1, 4_096, 1] {
        std::fs::OpenOptions::new()
            .write(true)
            .open(&file)
            .and_then(|file| file.set_len(left))
            .expect("a cut");
        block_on(async {
            let (env, store) = open::<Redb>(folder.path()).await;
            assert!(
                matches!(store, Err(StorageError::Corrupt { .. })),
                "{left} bytes: {:?}",
                store.err()
            );
            env.shutdown().await;
        });
    }
}

#[test]
fn a_store_that_another_process_has_open_is_locked() {
    let folder = TempDir::new().expect("a folder");
    let mut child = helper("helper_writes_redb_for_ever", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the helper starts");
    let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let opened = lines
        .map_while(Result::ok)
        .any(|line| line.starts_with("synced "));
    block_on(async {
        let (env, store) = open::<Redb>(folder.path()).await;
        assert_eq!(
            store.err(),
            Some(StorageError::Locked {
                store: "store".into()
            })
        );
        env.shutdown().await;
    });
    child.kill().expect("the helper can be killed");
    child.wait().expect("the helper has ended");
    assert!(opened, "the helper opened its store");
}

/// Helper: fills the disk, and checks what the store says then.
async fn fill<E: Engine>(folder: &Path) {
    let (env, store) = open::<E>(folder).await;
    let store = store.expect("the store opens");
    let mut synced = held(&store).await.expect("the store reads");
    let error = loop {
        let mut batch = numbered(synced);
        // In a family that `held` does not look at closely, and different from all before.
        batch.put(COUNT, format!("ballast {synced}"), vec![synced as u8; 50_000]);
        match store.write(batch, Durability::Synced).await {
            Ok(()) => synced += 1,
            Err(error) => break error,
        }
        println!("synced {synced}");
    };
    assert_eq!(
        error,
        StorageError::Full {
            store: "store".into()
        }
    );
    let failed = Err(StorageError::Failed {
        store: "store".into(),
    });
    assert_eq!(store.write(numbered(0), Durability::Buffered).await, failed);
    assert_eq!(store.sync().await, failed);
    drop(store);
    env.shutdown().await;
    println!("full after {synced}");
}

#[test]
fn helper_fills_redb() {
    if let Some(folder) = given_folder() {
        block_on(fill::<Redb>(&folder));
    }
}

/// A process that may not write files beyond a limit sees what one on a full disk sees.
fn fill_and_look<E: Engine>(filler: &str, kibibytes: u32) {
    let folder = TempDir::new().expect("a folder");
    let helper = helper(filler, folder.path());
    // The signal of the limit is ignored, so that the write answers an error. The unit of `ulimit -f` in sh is 512 B.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kibibytes * 2);
    let output = Command::new("/bin/sh")
        .args(["-c", &script])
        .arg(helper.get_program())
        .args(helper.get_args())
        .env(FOLDER, folder.path())
        .output()
        .expect("the helper runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let full = said.lines().find_map(|line| line.strip_prefix("full after "));
    let synced: u32 = full.expect("the disk was full").parse().expect("a number");
    // With room again, everything that was answered is there.
    block_on(async {
        let (env, store) = open::<E>(folder.path()).await;
        let store = store.expect("the store opens");
        let count = held(&store).await.expect("the store reads");
        assert!(
            count == synced || count == synced + 1,
            "{synced} were synced and {count} are left"
        );
        store
            .write(numbered(count), Durability::Synced)
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
        if let Some(folder) = given_folder() {
            block_on(write_for_ever::<Rocks>(&folder));
        }
    }

    #[test]
    fn a_killed_process_leaves_every_synced_batch_and_a_prefix_of_the_others() {
        kill_and_look::<Rocks>("rocksdb::helper_writes_for_ever");
    }

    #[test]
    fn a_flipped_byte_is_reported_or_does_not_matter() {
        flip_and_look::<Rocks>(1_511);
    }

    #[test]
    fn helper_fills() {
        if let Some(folder) = given_folder() {
            block_on(fill::<Rocks>(&folder));
        }
    }

    #[test]
    fn a_full_disk_is_told_and_loses_nothing() {
        fill_and_look::<Rocks>("rocksdb::helper_fills", 6_000);
    }
}
