//! A peer of the list answers a node's requests and streams with what it should not.

use std::time::Duration;

use bytes::Bytes;
use env::{Env, Network, NetworkError, Stream, StreamReceiver, StreamSender};
use quinn::{RecvStream, SendStream};
use runtime::network::Offences;
use testkit::contract::{PATIENCE, poll_once, soon};

use crate::raw::{REQUEST, STREAM, code, frame, header, stopped};
use crate::scene::{QUIET, Scene, on_scene};

/// The exchange that the node opens next, after what it says first.
async fn accepted(connection: &quinn::Connection, first: &[u8]) -> (SendStream, RecvStream) {
    let (send, mut receive) = connection.accept_bi().await.expect("the node opens a stream");
    let mut said = vec![0; first.len()];
    receive.read_exact(&mut said).await.expect("the node says it");
    assert_eq!(said, first);
    (send, receive)
}

fn request() -> Vec<u8> {
    [header(REQUEST, QUIET.id), frame(b"question")].concat()
}

/// What the node makes of an answer.
async fn answered(
    scene: &Scene,
    connection: &quinn::Connection,
    answer: impl AsyncFnOnce(SendStream, RecvStream),
) -> Result<Bytes, NetworkError> {
    let asked = scene.node_asks(b"question", PATIENCE);
    let answer = async {
        let (send, receive) = accepted(connection, &request()).await;
        answer(send, receive).await;
    };
    let both = async { tokio::join!(asked, answer).0 };
    both.await
}

#[test]
fn an_answer_that_is_none_is_an_error_of_its_request_only() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let peer = scene.raw.identity.id;
            let reset = Err(NetworkError::Reset { peer });
            let refused = Err(NetworkError::Refused {
                peer,
                channel: QUIET.label,
            });
            let half = frame(b"the rest never comes");
            for end in [0, 3, 4, 10] {
                let got = answered(scene, &connection, async |mut send, _receive| {
                    send.write_all(&half[..end]).await.expect("the node reads");
                    send.finish().expect("the stream stands");
                })
                .await;
                assert_eq!(got, reset, "an answer of {end} bytes");
            }
            for (code, expected) in [(code::REFUSED, &refused), (code::DROPPED, &reset), (77, &reset)] {
                let got = answered(scene, &connection, async |mut send, _receive| {
                    send.write_all(&half[..10]).await.expect("the node reads");
                    send.reset(code.into()).expect("the stream stands");
                })
                .await;
                assert_eq!(&got, expected, "code {code}");
            }
            let announced = QUIET.max_frame + 1;
            let got = answered(scene, &connection, async |mut send, _receive| {
                send.write_all(&announced.to_be_bytes())
                    .await
                    .expect("the node reads");
                assert_eq!(stopped(&mut send).await, code::TOO_LARGE);
            })
            .await;
            let too_large = NetworkError::TooLarge {
                channel: QUIET.label,
                bytes: announced.into(),
                limit: QUIET.max_frame,
            };
            assert_eq!(got, Err(too_large));
            // An answer may come before the question has been read to its end, and what follows it is not looked at.
            let got = answered(scene, &connection, async |mut send, mut receive| {
                receive.stop(9_u32.into()).expect("the stream stands");
                send.write_all(&[frame(b"answer"), vec![0xff; 100]].concat())
                    .await
                    .expect("the node reads");
            })
            .await;
            assert_eq!(got, Ok("answer".into()));
            scene.serves(&connection).await;
            let expected = Offences {
                malformed: 4,
                too_large: 1,
                ..Offences::default()
            };
            assert_eq!(scene.node.env.network().offences(), expected);
        },
    );
}

#[test]
fn a_connection_that_ends_is_a_reset_of_what_was_asked_on_it() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let peer = scene.raw.identity.id;
            let got = answered(scene, &connection, async |_send, _receive| {
                connection.close(3_u32.into(), b"enough");
            })
            .await;
            assert_eq!(got, Err(NetworkError::Reset { peer }));
            scene.known(false).await;
            scene.serves_the_friend().await;
            let again = scene.connect().await;
            scene.serves(&again).await;
        },
    );
}

#[test]
fn a_request_that_is_dropped_is_withdrawn_and_gives_its_place_back() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            for round in 0..3 {
                let mut asked = Vec::new();
                for _ in 0..QUIET.concurrency {
                    let mut ask = Box::pin(scene.node_asks(b"question", PATIENCE));
                    assert!(poll_once(&mut ask).await.is_pending());
                    asked.push(ask);
                }
                let busy = NetworkError::Busy {
                    peer: scene.raw.identity.id,
                    channel: QUIET.label,
                };
                let over = scene.node_asks(b"question", PATIENCE).await;
                assert_eq!(over, Err(busy), "round {round}");
                let mut exchanges = Vec::new();
                for _ in 0..QUIET.concurrency {
                    exchanges.push(accepted(&connection, &request()).await);
                }
                drop(asked);
                for (mut send, _receive) in exchanges {
                    // The node reads no answer.
                    let stopped = soon(&scene.node.env, "the withdrawal", stopped(&mut send)).await;
                    assert_eq!(stopped, 0);
                }
            }
            scene.serves(&connection).await;
        },
    );
}

#[test]
fn a_stream_that_the_peer_breaks_ends_on_both_sides_of_the_node() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let peer = scene.raw.identity.id;
            let network = scene.node.env.network();
            let opened = network.open(peer, QUIET, "preamble".into(), PATIENCE).await;
            let (mut sender, mut receiver) = opened.expect("a connection stands").split();
            let first = [header(STREAM, QUIET.id), frame(b"preamble")].concat();
            let (mut send, mut receive) = accepted(&connection, &first).await;
            let body = [frame(b"one"), (QUIET.max_frame + 1).to_be_bytes().to_vec()].concat();
            send.write_all(&body).await.expect("the node reads");
            receive.stop(9_u32.into()).expect("the stream stands");
            assert_eq!(receiver.recv().await, Ok(Some("one".into())));
            let too_large = receiver.recv().await;
            assert!(
                matches!(too_large, Err(NetworkError::TooLarge { .. })),
                "{too_large:?}"
            );
            assert_eq!(stopped(&mut send).await, code::TOO_LARGE);
            let told = async {
                loop {
                    if let Err(error) = sender.send("into the void".into()).await {
                        break error;
                    }
                    tokio::task::yield_now().await;
                }
            };
            let told = soon(&scene.node.env, "the reset", told).await;
            assert_eq!(told, NetworkError::Reset { peer });
            scene.serves(&connection).await;
        },
    );
}

#[test]
fn a_request_that_is_not_answered_ends_at_its_limit() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let peer = scene.raw.identity.id;
            // More of them than have a place at a time: each gives its own back.
            for _ in 0..2 * QUIET.concurrency {
                let limit = Duration::from_millis(20);
                let got = scene.node_asks(b"question", limit).await;
                assert_eq!(got, Err(NetworkError::Timeout { peer }));
            }
            scene.serves(&connection).await;
        },
    );
}
