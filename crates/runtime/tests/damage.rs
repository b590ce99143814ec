//! What a store says of files that are not what it wrote, and of folders that it cannot write into.

mod world;

use std::path::Path;

use bytes::Bytes;
use env::{Batch, Direction, Durability, Env, Family, KeyRange, Reader, Storage, StorageError, Store};
use runtime::storage::{Disk, Engine, Redb};
use runtime::{NoBlobs, Runtime, StartError};
use tempfile::TempDir;
use world::{block_on, config, copy_all, open_store};

const LOG: Family = Family::new("log");
const COUNT: Family = Family::new("count");

async fn open<E: Engine>(
    folder: &Path,
) -> (
    Runtime<Disk<E>, NoBlobs>,
    Result<<Disk<E> as Storage>::Store, StorageError>,
) {
    open_store::<E>(folder, &[LOG, COUNT]).await
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

/// What opening the store in `folder` answers instead of a store.
fn refusal<E: Engine>(folder: &Path) -> StorageError {
    block_on(async {
        let (env, store) = open::<E>(folder).await;
        let refusal = store.err();
        env.shutdown().await;
        refusal.expect("the store does not open")
    })
}

fn is_corrupt(error: &StorageError) -> bool {
    matches!(error, StorageError::Corrupt { store, .. } if store == "store")
}

#[test]
fn a_file_that_is_not_a_store_is_corrupt() {
    for content in [&b"not a store"[..], &[0; 10_000], &[0xff; 10_000]] {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("store.redb");
        std::fs::write(&file, content).expect("the file writes");
        let error = refusal::<Redb>(folder.path());
        assert!(is_corrupt(&error), "{error}");
        let left = std::fs::read(&file).expect("the file reads");
        assert!(left == content, "somebody else's file is left as it is");
    }
}

/// Makes a file of the engine redb that this crate has not written.
fn foreign(file: &Path, fill: impl FnOnce(&redb::WriteTransaction)) {
    let database = redb::Database::create(file).expect("a new file");
    let transaction = database.begin_write().expect("a new file takes writes");
    fill(&transaction);
    transaction.commit().expect("a new file takes writes");
}

#[test]
fn tables_of_another_program_are_corrupt() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("store.redb");
    foreign(&file, |transaction| {
        let definition = redb::TableDefinition::<u64, u64>::new("log");
        let mut table = transaction.open_table(definition).expect("a new table");
        table.insert(1, 2).expect("an entry");
    });
    let error = refusal::<Redb>(folder.path());
    assert!(is_corrupt(&error), "{error}");
    // Tables of our types whose values this crate has not sealed open, and do not read.
    std::fs::remove_file(&file).expect("the file is there");
    foreign(&file, |transaction| {
        let definition = redb::TableDefinition::<&[u8], &[u8]>::new("log");
        let mut table = transaction.open_table(definition).expect("a new table");
        table.insert(&b"short"[..], &b"1"[..]).expect("an entry");
        table.insert(&b"long"[..], &[7; 100][..]).expect("an entry");
    });
    block_on(async {
        let (env, store) = open::<Redb>(folder.path()).await;
        let store = store.expect("the tables are of our types");
        for key in [&b"short"[..], b"long"] {
            let error = store.get(LOG, key).await.expect_err("the value is not sealed");
            assert!(is_corrupt(&error), "{error}");
        }
        for direction in [Direction::Forward, Direction::Reverse] {
            for limit in [1, 1_000] {
                let scan = store.scan(LOG, KeyRange::ALL, direction, limit).await;
                let error = scan.expect_err("the values are not sealed");
                assert!(is_corrupt(&error), "{error}");
            }
        }
        let written = store.write(numbered(0), Durability::Synced).await;
        assert_eq!(written, Ok(()), "damage of one value is none of the others");
        env.shutdown().await;
    });
}

#[test]
fn a_file_of_a_newer_format_is_corrupt() {
    // redb 4 states its version in the first byte of each of the two slots behind the first 64 bytes; a slot ends with
    // its checksum, which covers the version.
    const SLOTS: [usize; 2] = [64, 192];
    const LENGTH: usize = 128;
    const CHECKSUM: usize = 16;
    let folder = TempDir::new().expect("a folder");
    block_on(written::<Redb>(folder.path()));
    let file = folder.path().join("store.redb");
    let mut bytes = std::fs::read(&file).expect("the file reads");
    for slot in SLOTS {
        let slot = &mut bytes[slot..slot + LENGTH];
        let (state, sum) = slot.split_at_mut(LENGTH - CHECKSUM);
        let before = xxhash_rust::xxh3::xxh3_128(state).to_le_bytes();
        assert_eq!(sum, before, "this is where the checksum stands");
        state[0] += 1;
        sum.copy_from_slice(&xxhash_rust::xxh3::xxh3_128(state).to_le_bytes());
    }
    std::fs::write(&file, &bytes).expect("the file writes");
    let error = refusal::<Redb>(folder.path());
    assert!(is_corrupt(&error), "{error}");
    assert!(error.to_string().contains("version"), "{error}");
    let left = std::fs::read(&file).expect("the file reads");
    assert!(left == bytes, "a newer program can still open it");
}

#[test]
fn a_truncated_file_is_corrupt() {
    let folder = TempDir::new().expect("a folder");
    block_on(written::<Redb>(folder.path()));
    let file = folder.path().join("store.redb");
    let length = std::fs::metadata(&file).expect("the file is there").len();
    for left in [length / 2, length - 1, 4_096, 1] {
        let damaged = TempDir::new().expect("a folder");
        copy_all(folder.path(), damaged.path());
        cut(&damaged.path().join("store.redb"), left);
        let error = refusal::<Redb>(damaged.path());
        assert!(is_corrupt(&error), "{left} bytes: {error}");
    }
}

fn cut(file: &Path, left: u64) {
    std::fs::OpenOptions::new()
        .write(true)
        .open(file)
        .and_then(|file| file.set_len(left))
        .expect("a cut");
}

#[test]
fn an_empty_file_is_a_new_store() {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("store.redb"), b"").expect("the file writes");
    block_on(async {
        let (env, store) = open::<Redb>(folder.path()).await;
        let count = held(&store.expect("nothing was ever in it")).await;
        assert_eq!(count, Ok(0));
        env.shutdown().await;
    });
}

#[test]
fn a_data_folder_that_cannot_be_made_is_told_at_the_start() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, b"in the way").expect("the file writes");
    block_on(async {
        for path in [file.clone(), file.join("below")] {
            let started = Runtime::<Disk<Redb>, _>::start(&config(1, &path), NoBlobs);
            match started {
                Err(StartError::Data { path: told, .. }) => assert_eq!(told, path),
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("a file is no folder"),
            }
        }
    });
}

/// What a store answers that cannot make its files: the folder is not ours to write into.
fn refuses_a_read_only_folder<E: Engine>() {
    // Not even root makes files here.
    let folder = Path::new("/sys/kernel");
    let error = refusal::<E>(folder);
    assert!(
        matches!(&error, StorageError::Io { store, detail } if store == "store" && !detail.is_empty()),
        "{error}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files_is_an_error_of_the_system() {
    refuses_a_read_only_folder::<Redb>();
}

/// A folder or a file stands where the store should be.
fn refuses_what_stands_in_its_way<E: Engine>(make: impl FnOnce(&Path)) {
    let folder = TempDir::new().expect("a folder");
    make(&folder.path().join(format!("store.{}", E::SUFFIX)));
    let error = refusal::<E>(folder.path());
    assert!(matches!(error, StorageError::Io { .. }), "{error}");
}

#[test]
fn a_folder_in_the_place_of_the_file_is_an_error_of_the_system() {
    refuses_what_stands_in_its_way::<Redb>(|path| std::fs::create_dir(path).expect("a folder"));
}

#[test]
fn a_store_that_did_not_open_can_be_opened_once_it_is_sound() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("store.redb");
    std::fs::write(&file, b"not a store").expect("the file writes");
    block_on(async {
        let (env, store) = open::<Redb>(folder.path()).await;
        assert!(store.is_err());
        std::fs::remove_file(&file).expect("the file is there");
        let store = env.storage().open("store", &[LOG, COUNT]).await;
        assert_eq!(held(&store.expect("there is room for a new one")).await, Ok(0));
        env.shutdown().await;
    });
}

#[cfg(feature = "rocksdb")]
mod rocksdb {
    use super::*;
    use runtime::storage::Rocks;

    #[test]
    fn a_flipped_byte_is_reported_or_does_not_matter() {
        flip_and_look::<Rocks>(1_511);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_takes_no_files_is_an_error_of_the_system() {
        refuses_a_read_only_folder::<Rocks>();
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_an_error_of_the_system() {
        refuses_what_stands_in_its_way::<Rocks>(|path| std::fs::write(path, b"in the way").expect("a file"));
    }

    #[test]
    fn a_folder_that_is_not_a_store_is_corrupt() {
        for name in ["CURRENT", "MANIFEST-000001"] {
            let folder = TempDir::new().expect("a folder");
            let store = folder.path().join("store.rocksdb");
            std::fs::create_dir(&store).expect("a folder");
            std::fs::write(store.join("CURRENT"), b"MANIFEST-000001\n").expect("a file");
            std::fs::write(store.join(name), b"not a store").expect("a file");
            let error = refusal::<Rocks>(folder.path());
            assert!(is_corrupt(&error), "{name}: {error}");
        }
    }

    #[test]
    fn a_missing_or_truncated_file_is_corrupt() {
        let folder = TempDir::new().expect("a folder");
        block_on(written::<Rocks>(folder.path()));
        // Opening it once more brings what is in the log into a table.
        block_on(async { open::<Rocks>(folder.path()).await.0.shutdown().await });
        let mut damages = 0;
        for file in data_files(folder.path()) {
            let name = file.strip_prefix(folder.path()).expect("a file of the folder");
            let kind = name.to_string_lossy().into_owned();
            if !kind.ends_with(".sst") && !kind.contains("MANIFEST") && !kind.ends_with("CURRENT") {
                continue;
            }
            let length = std::fs::metadata(&file).expect("the file is there").len();
            for left in [None, Some(length / 2), Some(0)] {
                let damaged = TempDir::new().expect("a folder");
                copy_all(folder.path(), damaged.path());
                let file = damaged.path().join(name);
                match left {
                    None => std::fs::remove_file(&file).expect("the file is there"),
                    Some(left) => cut(&file, left),
                }
                let error = refusal::<Rocks>(damaged.path());
                assert!(is_corrupt(&error), "{kind} cut to {left:?}: {error}");
                damages += 1;
            }
        }
        assert!(damages >= 8, "{damages}");
    }
}
