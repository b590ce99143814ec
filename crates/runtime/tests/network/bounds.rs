//! A peer of the list sends more than it may: its own work is turned away or held back, and nothing else is.

use env::{Channel, Env, Inbound, Listener, Network, Reply};
use quinn::SendStream;
use testkit::contract::{WATCH, poll_once, soon};

use crate::raw::{MESSAGES, REQUEST, STREAM, ask, code, frame, header, reset, say, stopped};
use crate::scene::{QUIET, on_scene};

/// What a node may know of one peer at a time on one channel: what the peer has open, and what it has withdrawn.
const PLACES: u32 = 2 * QUIET.concurrency;

#[test]
fn requests_and_streams_over_the_concurrency_are_refused_until_there_is_room() {
    on_scene(
        |_| {},
        async |scene| {
            let mut listener = scene
                .node
                .env
                .network()
                .listen(QUIET)
                .expect("the channel is free");
            let connection = scene.connect().await;
            for kind in [REQUEST, STREAM] {
                let said = [header(kind, QUIET.id), frame(b"one of many")].concat();
                let mut exchanges = Vec::new();
                let mut arrivals = Vec::new();
                for _ in 0..PLACES {
                    exchanges.push(ask(&connection, &said).await);
                    arrivals.push(listener.accept().await.expect("the node is up"));
                }
                let (mut send, mut receive) = ask(&connection, &said).await;
                assert_eq!(reset(&mut receive).await, code::REFUSED, "kind {kind}");
                assert_eq!(stopped(&mut send).await, code::REFUSED, "kind {kind}");
                scene.serves(&connection).await;
                // One that has ended makes room for one.
                match arrivals.pop().expect("there are some") {
                    Inbound::Request { reply, .. } => {
                        reply.send("answer".into()).expect("the node is up");
                        let (_, receive) = exchanges.last_mut().expect("there are some");
                        let answer = receive.read_to_end(100).await;
                        assert_eq!(answer, Ok(frame(b"answer")));
                    }
                    ended => {
                        drop(ended);
                        let (send, receive) = exchanges.last_mut().expect("there are some");
                        assert_eq!(stopped(send).await, 0);
                        assert_eq!(reset(receive).await, code::DROPPED);
                    }
                }
                let _exchange = ask(&connection, &said).await;
                arrivals.push(listener.accept().await.expect("the node is up"));
                drop(arrivals);
                scene.serves(&connection).await;
            }
            assert_eq!(scene.node.env.network().offences().refused, 2);
        },
    );
}

#[test]
fn streams_of_messages_over_their_number_are_refused() {
    const CARRIERS: usize = 4;
    on_scene(
        |_| {},
        async |scene| {
            let mut listener = scene
                .node
                .env
                .network()
                .listen(QUIET)
                .expect("the channel is free");
            let connection = scene.connect().await;
            let said = [header(MESSAGES, QUIET.id), frame(b"one of many")].concat();
            let mut carriers: Vec<SendStream> = Vec::new();
            for _ in 0..CARRIERS {
                carriers.push(say(&connection, &said).await);
                assert!(matches!(listener.accept().await, Ok(Inbound::Message { .. })));
            }
            let mut over = say(&connection, &said).await;
            assert_eq!(stopped(&mut over).await, code::REFUSED);
            // The others are carried on.
            for carrier in &mut carriers {
                carrier
                    .write_all(&frame(b"another"))
                    .await
                    .expect("the stream stands");
                assert!(matches!(listener.accept().await, Ok(Inbound::Message { .. })));
            }
            scene.serves(&connection).await;
        },
    );
}

#[test]
fn the_streams_of_a_connection_have_a_number() {
    on_scene(
        |config| config.network.streams = 3,
        async |scene| {
            let connection = scene.connect().await;
            let mut open = Vec::new();
            for _ in 0..3 {
                open.push(ask(&connection, &header(REQUEST, QUIET.id)[..1]).await);
            }
            let mut over = Box::pin(connection.open_bi());
            assert!(poll_once(&mut over).await.is_pending(), "a fourth one");
            scene.serves_the_friend().await;
            drop(open);
            let opened = soon(&scene.node.env, "room for a stream", over).await;
            assert!(opened.is_ok());
        },
    );
}

#[test]
fn messages_that_nobody_takes_hold_their_sender_back_and_nobody_else() {
    const BODY: usize = 1_000;
    const WINDOW: u32 = 32 << 10;
    let channel = Channel { queue: 5, ..QUIET };
    on_scene(
        |config| config.network.stream_window = WINDOW,
        async |scene| {
            let mut listener = scene
                .node
                .env
                .network()
                .listen(channel)
                .expect("the channel is free");
            let connection = scene.connect().await;
            let mut carrier = say(&connection, &header(MESSAGES, channel.id)).await;
            let body = |number: u32| [&number.to_be_bytes()[..], &[7; BODY]].concat();
            let mut said = 0;
            // Quinn takes what fits into the windows, and waits with the rest.
            let clock = scene.node.env.clock().clone();
            loop {
                let bytes = frame(&body(said));
                let write = carrier.write_all(&bytes);
                match env::Clock::timeout(&clock, WATCH * 2, write).await {
                    Ok(written) => written.expect("the stream stands"),
                    Err(env::Elapsed) => break,
                }
                said += 1;
                let held = said as usize * BODY;
                assert!(held < WINDOW as usize + (channel.queue as usize + 2) * (BODY + 8));
            }
            assert!(said > channel.queue, "{said} messages are held back");
            scene.serves(&connection).await;
            // Nothing of it is lost.
            for number in 0..said {
                match soon(&scene.node.env, "a message", listener.accept()).await {
                    Ok(Inbound::Message { body: got, .. }) => {
                        assert!(got == body(number), "message {number}")
                    }
                    other => panic!("not a message: {other:?}"),
                }
            }
        },
    );
}
