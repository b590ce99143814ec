//! What the handles of an incarnation reach after its end.

use std::time::Duration;

use env::{Clock, Entropy, Env, Network};
use sim::disk::Survivors;
use sim::trace::RunHash;
use types::{Mono, UnixMillis};

use crate::{connect, connected, introduce, play};

fn read(env: &impl Env) -> (Mono, UnixMillis) {
    (env.clock().now(), env.clock().wall())
}

#[test]
fn an_old_handle_reads_what_its_incarnation_saw_last() {
    play(2, |mut stage| async move {
        let _listeners = connect(&stage, 2).await;
        stage.wait(Duration::from_secs(5)).await;
        let old = stage.env(0).clone();
        let last = read(&old);
        let drawn = old.entropy().seed("test");
        stage.crash(0, Survivors::Nothing).await;
        stage.wait(Duration::from_secs(5)).await;
        assert_eq!(read(&old), last);
        stage.restart(0).await;
        introduce(&stage, 0, 2);
        let mut peers = old.network().connected();
        stage.wait(Duration::from_secs(30)).await;
        assert_eq!((connected(&stage, 0), read(&old)), (1, last));
        assert!(peers.changed().await.is_err(), "nobody tells it of new peers");
        assert_eq!(peers.borrow().len(), 0);
        assert_ne!(old.entropy().seed("test"), drawn);
    });
}

/// What the second incarnation of node 0 draws and when it is connected, and the hash of the run.
fn second_life(meddle: bool) -> ([[u8; 32]; 2], Mono, RunHash) {
    let played = play(2, move |mut stage| async move {
        let _listeners = connect(&stage, 2).await;
        let old = stage.env(0).clone();
        stage.crash(0, Survivors::Nothing).await;
        stage.restart(0).await;
        let new = stage.env(0).clone();
        let draw = || {
            if meddle {
                old.entropy().seed("test");
                read(&old);
                drop(old.network().connected());
            }
            new.entropy().seed("test")
        };
        let drawn = [draw(), draw()];
        introduce(&stage, 0, 2);
        let mut peers = new.network().connected();
        peers.changed().await.expect("the node is up");
        (drawn, new.clock().now())
    });
    let (drawn, connected) = played.value;
    (drawn, connected, played.outcome.summary.run_hash)
}

#[test]
fn an_old_handle_changes_nothing_of_the_next_incarnation() {
    assert_eq!(second_life(true), second_life(false));
}
