//! What is left of a node when it ends.

use std::net::UdpSocket;

use env::{
    Env, Family, Network, NetworkError, Reader, Scope, Spawner, Storage, StorageError, Stream,
    StreamReceiver, TaskError,
};
use tempfile::TempDir;
use testkit::contract::soon;

use crate::raw::{self, STREAM, frame, header};
use crate::scene::{SERVED, on_scene};
use crate::world::{block_on, member};

#[test]
fn frames_that_have_arrived_are_not_handed_out_after_the_end() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let said = [
                header(STREAM, SERVED.id).to_vec(),
                frame(b"preamble"),
                frame(b"one"),
                frame(b"two"),
            ]
            .concat();
            let _ends = raw::ask(&connection, &said).await;
            let (_sender, mut receiver) = scene.stream().await.split();
            let first = soon(&scene.node.env, "a frame", receiver.recv()).await;
            assert_eq!(first, Ok(Some("one".into())));
            scene.node.env.shutdown().await;
            assert_eq!(receiver.recv().await, Err(NetworkError::Closed));
        },
    );
}

#[test]
fn a_node_whose_last_handle_is_dropped_is_gone() {
    const FAMILY: Family = Family::new("family");
    let folder = TempDir::new().expect("a folder");
    block_on(async {
        let node = member(1, folder.path());
        let address = node.env.network().local_address().expect("the node listens");
        let mut connected = node.env.network().connected();
        let opened = node.env.storage().open("store", &[FAMILY]).await;
        let store = opened.expect("the store opens");
        let scope = node.env.spawner().scope("scope");
        let task = scope.spawn("task", std::future::pending::<()>());
        drop(node);
        assert_eq!(task.await, Err(TaskError::Cancelled));
        // It tells of changes for as long as anything of the network is left.
        while connected.changed().await.is_ok() {}
        while UdpSocket::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(store.get(FAMILY, b"key").await, Err(StorageError::Closed));
    });
}
