//! Worlds to run a test in.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::ErrorKind::NotFound;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use env::{Env, Family, Network, PeerAddress, Storage, StorageError};
use runtime::storage::{Disk, Engine, Redb};
use runtime::{Config, NoBlobs, Runtime};
use tempfile::TempDir;
use testkit::contract::PATIENCE;
use testkit::contract::network::Member;
use testkit::contract::storage::Machine;

/// The environment under test, over the default store.
pub type TestEnv = Runtime<Disk<Redb>, NoBlobs>;

/// A configuration of a node of the test chain, on a port that the system chooses.
pub fn config(node: u8, data: &Path) -> Config {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config::new([node; 32], listen, b"contract".to_vec(), data.to_owned());
    config.compute_threads = 2.try_into().expect("two is not zero");
    config.compute_queue = 16;
    config
}

/// Runs `case` on a tokio runtime of its own. Only a case that hangs gets to the limit.
pub fn block_on<F: Future>(case: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("tokio starts")
        .block_on(async { tokio::time::timeout(4 * PATIENCE, case).await })
        .expect("the case ends")
}

/// Starts a node over the stores in `folder` and opens its store `store`.
pub async fn open_store<E: Engine>(
    folder: &Path,
    families: &[Family],
) -> (
    Runtime<Disk<E>, NoBlobs>,
    Result<<Disk<E> as Storage>::Store, StorageError>,
) {
    let env = Runtime::<Disk<E>, _>::start(&config(1, folder), NoBlobs).expect("the environment starts");
    let store = env.storage().open("store", families).await;
    (env, store)
}

/// Runs `case` with one environment.
pub fn on_one_node<F: Future<Output = ()>>(case: impl FnOnce(TestEnv) -> F) {
    let folder = TempDir::new().expect("a folder");
    block_on(async {
        let env = TestEnv::start(&config(1, folder.path()), NoBlobs).expect("the environment starts");
        case(env.clone()).await;
        env.shutdown().await;
    });
}

/// A started node with its address.
pub fn member(node: u8, data: &Path) -> Member<TestEnv> {
    started(&config(node, data))
}

/// A started node with its address.
pub fn started(config: &Config) -> Member<TestEnv> {
    let env = TestEnv::start(config, NoBlobs).expect("the environment starts");
    let address = env
        .network()
        .local_address()
        .expect("the node listens")
        .to_string();
    let id = env.network().id();
    Member {
        env,
        address: PeerAddress { id, address },
    }
}

/// Runs `case` with three nodes that do not know each other.
pub fn among_three<F: Future<Output = ()>>(case: impl FnOnce([Member<TestEnv>; 3]) -> F) {
    let folders = [(); 3].map(|()| TempDir::new().expect("a folder"));
    block_on(async {
        let members = [1, 2, 3].map(|node: u8| member(node, folders[usize::from(node) - 1].path()));
        case(members.clone()).await;
        for member in members {
            member.env.shutdown().await;
        }
    });
}

/// A node on a disk of its own.
pub struct DiskMachine<E: Engine> {
    /// Shared with the runner, which ends the last incarnation when the case is over.
    env: Arc<Mutex<Runtime<Disk<E>, NoBlobs>>>,
    folder: TempDir,
}

impl<E: Engine> DiskMachine<E> {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let env = Runtime::start(&config(1, folder.path()), NoBlobs).expect("the environment starts");
        Self {
            env: Arc::new(Mutex::new(env)),
            folder,
        }
    }

    fn start_again(&self) {
        let env = Runtime::start(&config(1, self.folder.path()), NoBlobs).expect("the environment starts");
        *self.env.lock().expect("no case panics under it") = env;
    }
}

impl<E: Engine> Machine for DiskMachine<E> {
    type Env = Runtime<Disk<E>, NoBlobs>;

    fn env(&self) -> Self::Env {
        self.env.lock().expect("no case panics under it").clone()
    }

    async fn restart(&mut self) {
        self.env().shutdown().await;
        self.start_again();
    }

    /// A process cannot cut its own power: the next incarnation gets a copy of the files as they are while this one
    /// still has them open. `tests/crash.rs` kills a process for real.
    async fn crash(&mut self) {
        let mut copy = TempDir::new().expect("a folder");
        copy_all(self.folder.path(), copy.path());
        // Two equal copies in a row are the files of one moment: the one between them.
        loop {
            let again = TempDir::new().expect("a folder");
            copy_all(self.folder.path(), again.path());
            let before = std::mem::replace(&mut copy, again);
            if same(before.path(), copy.path()) {
                break;
            }
        }
        self.env().shutdown().await;
        self.folder = copy;
        self.start_again();
    }
}

/// Copies the files of a folder and of the folders in it.
pub fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir(&target).expect("a folder");
            copy_all(&entry.path(), &target);
        } else {
            // A file that has gone since the folder was read is not in the copy.
            let copied = std::fs::copy(entry.path(), target).map(drop);
            copied
                .or_else(|error| (error.kind() == NotFound).then_some(()).ok_or(error))
                .expect("a copy");
        }
    }
}

/// Whether two folders hold the same files.
fn same(one: &Path, other: &Path) -> bool {
    let files = |folder: &Path| -> Vec<_> {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|file| file.expect("an entry").path())
            .collect();
        files.sort();
        files
    };
    let (one, other) = (files(one), files(other));
    one.len() == other.len()
        && one.iter().zip(&other).all(|(one, other)| {
            let names = one.file_name() == other.file_name();
            names
                && if one.is_dir() {
                    same(one, other)
                } else {
                    std::fs::read(one).ok() == std::fs::read(other).ok()
                }
        })
}

/// Runs `case` with a node over a store of engine `E`.
fn on_disk<E: Engine, F: Future<Output = ()>>(case: impl FnOnce(DiskMachine<E>) -> F) {
    block_on(async {
        let machine = DiskMachine::new();
        let env = Arc::clone(&machine.env);
        case(machine).await;
        let last = env.lock().expect("no case panics under it").clone();
        last.shutdown().await;
    });
}

/// Runs `case` with a node over a redb store.
pub fn on_redb<F: Future<Output = ()>>(case: impl FnOnce(DiskMachine<Redb>) -> F) {
    on_disk(case);
}

/// Runs `case` with a node over a RocksDB store.
#[cfg(feature = "rocksdb")]
pub fn on_rocksdb<F: Future<Output = ()>>(case: impl FnOnce(DiskMachine<runtime::storage::Rocks>) -> F) {
    on_disk(case);
}
