//! A peer of the list takes connections and reads nothing: what goes to it has a bound, and others do not notice.

use std::time::Duration;

use bytes::Bytes;
use env::{Channel, Clock, Env, Inbound, Listener, Network, NetworkError, Stream, StreamSender};
use runtime::network::{QuicReceiver, QuicSender};
use testkit::contract::{PATIENCE, WATCH, soon};

use crate::raw::{MESSAGES, STREAM, code, frame, header, reset};
use crate::scene::{QUIET, SERVED, Scene, on_scene};

/// The window that quinn gives the sender of one stream when nobody says otherwise, rounded up.
const RAW_WINDOW: usize = 2 << 20;

const BIG: usize = 60_000;

fn body(number: usize) -> Bytes {
    let mut body = vec![0x5a; BIG];
    body[..8].copy_from_slice(&(number as u64).to_be_bytes());
    body.into()
}

/// Sends messages to the raw node until nothing takes them any more. Answers how many were taken.
async fn fill(scene: &Scene, channel: Channel, body: impl Fn(usize) -> Bytes) -> usize {
    let peer = scene.raw.identity.id;
    let (network, clock) = (scene.node.env.network(), scene.node.env.clock());
    let busy = NetworkError::Busy {
        peer,
        channel: channel.label,
    };
    // Those in the queue, and as many that have been taken from it to be written.
    let most = RAW_WINDOW / BIG + 2 * channel.queue as usize + 2;
    let mut taken = 0;
    // A queue that stays full for as long as anything takes is full.
    let mut full_since = clock.now();
    while clock.now() - full_since < WATCH * 2 {
        match network.send(peer, channel, body(taken)) {
            Ok(()) => {
                taken += 1;
                full_since = clock.now();
                assert!(taken <= most, "{taken} messages wait");
            }
            Err(error) => {
                assert_eq!(error, busy);
                tokio::task::yield_now().await;
            }
        }
    }
    taken
}

#[test]
fn a_queue_of_one_large_message_is_not_taken_from_ahead() {
    let channel = Channel { queue: 1, ..QUIET };
    on_scene(
        |_| {},
        async |scene| {
            let _connection = scene.connect().await;
            // At hand, so that the queue is filled as fast as it is emptied.
            let ready = body(0);
            fill(scene, channel, |_| ready.clone()).await;
        },
    );
}

#[test]
fn messages_to_a_peer_that_reads_nothing_are_turned_away_and_those_taken_arrive() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let peer = scene.raw.identity.id;
            let network = scene.node.env.network();
            let taken = fill(scene, QUIET, body).await;
            assert!(taken >= QUIET.queue as usize);
            // The other peers, and the other channels of this one, have queues of their own.
            scene.serves(&connection).await;
            let mut listener = scene.friend.env.network().listen(SERVED).expect("a free channel");
            network
                .send(scene.friend.address.id, SERVED, "hello".into())
                .expect("the friend's queue is empty");
            let arrival = soon(&scene.friend.env, "a message", listener.accept()).await;
            assert!(matches!(arrival, Ok(Inbound::Message { .. })));
            // Now it reads: what was taken comes, in order, and nothing else.
            network
                .send(peer, SERVED, "another channel".into())
                .expect("an empty queue");
            let mut messages = accept_messages(&connection, QUIET.id).await;
            for number in 0..taken {
                let mut got = vec![0; BIG + 4];
                soon(&scene.node.env, "a message", messages.read_exact(&mut got))
                    .await
                    .expect("the stream stands");
                assert!(got == frame(&body(number)), "message {number}");
            }
            let sent = async {
                while network.send(peer, QUIET, "room".into()).is_err() {
                    tokio::task::yield_now().await;
                }
            };
            soon(&scene.node.env, "room", sent).await;
        },
    );
}

/// The stream of messages of one channel, whichever comes first.
async fn accept_messages(connection: &quinn::Connection, channel: u16) -> quinn::RecvStream {
    loop {
        let mut stream = connection.accept_uni().await.expect("the connection stands");
        let mut said = [0; 4];
        stream.read_exact(&mut said).await.expect("a stream has a header");
        if said[..] == header(MESSAGES, channel) {
            break stream;
        }
    }
}

/// A stream that the node opens, filled until a send waits, and the raw node's end of it.
async fn filled(
    scene: &Scene,
    connection: &quinn::Connection,
    channel: Channel,
) -> (QuicSender, QuicReceiver, quinn::RecvStream) {
    let peer = scene.raw.identity.id;
    let network = scene.node.env.network();
    let opened = network.open(peer, channel, Bytes::new(), PATIENCE).await;
    let (mut sender, receiver) = opened.expect("there is a place").split();
    let (_send, mut receive) = connection.accept_bi().await.expect("the node opens a stream");
    let mut said = [0; 8];
    receive.read_exact(&mut said).await.expect("the node says it");
    assert_eq!(said[..], [header(STREAM, channel.id), frame(b"")].concat());
    let mut sent = 0;
    let clock = scene.node.env.clock();
    while let Ok(queued) = clock.timeout(WATCH * 2, sender.send(body(sent))).await {
        queued.expect("the stream stands");
        sent += 1;
        assert!(
            sent <= RAW_WINDOW / BIG + 2 * channel.queue as usize + 2,
            "{sent} frames wait"
        );
    }
    (sender, receiver, receive)
}

#[test]
fn a_stream_to_a_peer_that_reads_nothing_is_reset_when_it_is_dropped() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let (sender, _receiver, mut receive) = filled(scene, &connection, QUIET).await;
            drop(sender);
            let end = soon(&scene.node.env, "the reset", reset(&mut receive)).await;
            assert_eq!(end, code::DROPPED);
            scene.serves(&connection).await;
        },
    );
}

#[test]
fn a_finished_stream_keeps_its_place_until_it_is_written() {
    let channel = Channel {
        concurrency: 1,
        ..QUIET
    };
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let peer = scene.raw.identity.id;
            let (sender, receiver, mut receive) = filled(scene, &connection, channel).await;
            sender.finish();
            drop(receiver);
            scene.serves(&connection).await;
            let network = scene.node.env.network();
            let open = || network.open(peer, channel, Bytes::new(), PATIENCE);
            let busy = NetworkError::Busy {
                peer,
                channel: channel.label,
            };
            assert_eq!(
                open().await.err(),
                Some(busy),
                "what waits for the peer has a bound"
            );
            let rest = soon(&scene.node.env, "the rest", receive.read_to_end(1 << 24)).await;
            let rest = rest.expect("everything that was finished comes");
            assert_eq!(rest.len() % (BIG + 4), 0, "whole frames");
            let opened = async {
                while open().await.is_err() {
                    tokio::task::yield_now().await;
                }
            };
            soon(&scene.node.env, "room for a stream", opened).await;
        },
    );
}

#[test]
fn requests_to_a_peer_that_reads_nothing_end_at_their_limit() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let peer = scene.raw.identity.id;
            let network = scene.node.env.network();
            // Many more bytes than the peer's windows take.
            for _ in 0..300 {
                let limit = Duration::from_millis(1);
                let got = network.request(peer, QUIET, body(0), limit).await;
                assert_eq!(got, Err(NetworkError::Timeout { peer }));
            }
            scene.serves(&connection).await;
        },
    );
}
