//! A peer of the list says what is no header, no frame, too much, or only the beginning of something. The stream ends
//! with a code that tells why, and everything else lives on.

use std::time::Duration;

use env::{Env, NetworkError, Stream, StreamReceiver};
use quinn::Connection;
use runtime::network::Offences;
use testkit::contract::soon;

use crate::raw::{HELLO, MESSAGES, REQUEST, STREAM, ask, code, frame, header, reset, say, stopped};
use crate::scene::{SERVED, Scene, on_scene};

/// How a raw node goes on after it has said something.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// It finishes the stream.
    Finish,
    /// It says nothing more and keeps the stream.
    Silence,
}

/// The code with which the node ends a stream on which the raw node says `bytes` in one direction.
async fn end_of_messages(scene: &Scene, connection: &Connection, bytes: &[u8], then: Then) -> u32 {
    let end = async {
        let mut send = say(connection, bytes).await;
        if let Then::Finish = then {
            send.finish().expect("the stream stands");
        }
        stopped(&mut send).await
    };
    soon(&scene.node.env, "the end of a stream of messages", end).await
}

/// The same in both directions, both of which end alike.
async fn end_of_exchange(scene: &Scene, connection: &Connection, bytes: &[u8], then: Then) -> u32 {
    let end = async {
        let (mut send, mut receive) = ask(connection, bytes).await;
        if let Then::Finish = then {
            send.finish().expect("the stream stands");
        }
        let code = reset(&mut receive).await;
        // What was finished and has been acknowledged is not stopped any more.
        if let Then::Silence = then {
            assert_eq!(stopped(&mut send).await, code);
        }
        code
    };
    soon(&scene.node.env, "the end of an exchange", end).await
}

fn offences(scene: &Scene) -> Offences {
    scene.node.env.network().offences()
}

#[test]
fn what_is_no_header_ends_its_stream_and_nothing_else() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let id = SERVED.id;
            let garbage: [&[u8]; 4] = [&[0; 4], &[5, 0, 0, 7], &[0xff; 9], b"GET / HTTP/1.1\r\n"];
            let reserved = [MESSAGES, 1, 0, 7];
            let mut ended = 0;
            for bytes in garbage.into_iter().chain([
                &reserved[..],
                &header(HELLO, 0),
                &header(REQUEST, id),
                &header(STREAM, id),
            ]) {
                let end = end_of_messages(scene, &connection, bytes, Then::Silence).await;
                assert_eq!(end, code::MALFORMED, "{bytes:?} in one direction");
                ended += 1;
            }
            for bytes in garbage
                .into_iter()
                .chain([&reserved[..], &header(HELLO, 0), &header(MESSAGES, id)])
            {
                let end = end_of_exchange(scene, &connection, bytes, Then::Silence).await;
                assert_eq!(end, code::MALFORMED, "{bytes:?} in both directions");
                ended += 1;
            }
            scene.serves(&connection).await;
            let expected = Offences {
                malformed: ended,
                ..Offences::default()
            };
            assert_eq!(offences(scene), expected);
        },
    );
}

#[test]
fn what_breaks_off_ends_its_stream_and_nothing_else() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let request = [header(REQUEST, SERVED.id), frame(b"a request")].concat();
            // In the middle of the header, of the length and of the body.
            for end in [0, 1, 3, 4, 6, 8, 12] {
                let end_of = end_of_exchange(scene, &connection, &request[..end], Then::Finish).await;
                assert_eq!(end_of, code::MALFORMED, "after {end} bytes");
            }
            assert_eq!(offences(scene).malformed, 7);
            // One message arrives, and the half of a second one does not.
            let messages = [header(MESSAGES, SERVED.id), frame(b"whole"), frame(b"half")].concat();
            let mut half = say(&connection, &messages[..messages.len() - 1]).await;
            assert_eq!(scene.message().await, "whole");
            half.finish().expect("the stream stands");
            // A stream ends for its receiver, after the frames that are whole.
            let said = [header(STREAM, SERVED.id), frame(b"preamble"), frame(b"whole")].concat();
            let (mut send, _receive) = ask(&connection, &said).await;
            let (_answers, mut receiver) = scene.stream().await.split();
            send.write_all(&frame(b"half")[..6])
                .await
                .expect("the stream stands");
            send.finish().expect("the stream stands");
            assert_eq!(receiver.recv().await, Ok(Some("whole".into())));
            let peer = scene.raw.identity.id;
            for _ in 0..2 {
                assert_eq!(receiver.recv().await, Err(NetworkError::Reset { peer }));
            }
            scene.serves(&connection).await;
        },
    );
}

#[test]
fn a_channel_that_nobody_serves_is_refused() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            for channel in [0, 8, 99, u16::MAX] {
                for kind in [REQUEST, STREAM] {
                    let bytes = [header(kind, channel), frame(b"to nobody")].concat();
                    let end = end_of_exchange(scene, &connection, &bytes, Then::Silence).await;
                    assert_eq!(end, code::REFUSED, "kind {kind} on channel {channel}");
                }
                let bytes = [header(MESSAGES, channel), frame(b"to nobody")].concat();
                let end = end_of_messages(scene, &connection, &bytes, Then::Silence).await;
                assert_eq!(end, code::REFUSED, "messages on channel {channel}");
            }
            scene.serves(&connection).await;
            let expected = Offences {
                refused: 12,
                ..Offences::default()
            };
            assert_eq!(offences(scene), expected);
        },
    );
}

#[test]
fn a_frame_over_the_limit_ends_its_stream_and_nothing_else() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            for announced in [SERVED.max_frame + 1, u32::MAX] {
                let announced = announced.to_be_bytes();
                for kind in [REQUEST, STREAM] {
                    let bytes = [&header(kind, SERVED.id)[..], &announced].concat();
                    let end = end_of_exchange(scene, &connection, &bytes, Then::Silence).await;
                    assert_eq!(end, code::TOO_LARGE, "kind {kind}");
                }
                let bytes = [&header(MESSAGES, SERVED.id)[..], &frame(b"fits"), &announced].concat();
                let end = end_of_messages(scene, &connection, &bytes, Then::Silence).await;
                assert_eq!(end, code::TOO_LARGE);
                assert_eq!(scene.message().await, "fits", "what came before is there");
            }
            let said = [header(STREAM, SERVED.id), frame(b"preamble"), frame(b"fits")].concat();
            let (mut send, _receive) = ask(&connection, &said).await;
            let (_answers, mut receiver) = scene.stream().await.split();
            send.write_all(&u32::MAX.to_be_bytes())
                .await
                .expect("the stream stands");
            assert_eq!(receiver.recv().await, Ok(Some("fits".into())));
            let too_large = NetworkError::TooLarge {
                channel: SERVED.label,
                bytes: u32::MAX.into(),
                limit: SERVED.max_frame,
            };
            for _ in 0..2 {
                assert_eq!(receiver.recv().await, Err(too_large.clone()));
            }
            assert_eq!(stopped(&mut send).await, code::TOO_LARGE);
            scene.serves(&connection).await;
            let expected = Offences {
                too_large: 7,
                ..Offences::default()
            };
            assert_eq!(offences(scene), expected);
        },
    );
}

#[test]
fn what_is_begun_and_not_finished_ends_at_the_limit_for_it() {
    on_scene(
        |config| config.network.stall = Duration::from_millis(50),
        async |scene| {
            let connection = scene.connect().await;
            let id = SERVED.id;
            // Nothing is begun between two messages, so there a peer may be silent for as long as it likes.
            let mut patient = say(&connection, &[header(MESSAGES, id), frame(b"first")].concat()).await;
            assert_eq!(scene.message().await, "first");
            let half_frame = &frame(b"the rest is silence")[..9];
            for bytes in [
                &header(REQUEST, id)[..2],
                // A stream without its preamble.
                &header(STREAM, id),
                &[&header(REQUEST, id)[..], half_frame].concat(),
                &[&header(STREAM, id)[..], half_frame].concat(),
            ] {
                let end = end_of_exchange(scene, &connection, bytes, Then::Silence).await;
                assert_eq!(end, code::STALLED, "{bytes:?} in both directions");
            }
            for bytes in [
                &header(MESSAGES, id)[..3],
                &[&header(MESSAGES, id)[..], half_frame].concat(),
            ] {
                let end = end_of_messages(scene, &connection, bytes, Then::Silence).await;
                assert_eq!(end, code::STALLED, "{bytes:?} in one direction");
            }
            patient
                .write_all(&frame(b"second"))
                .await
                .expect("the stream stands");
            assert_eq!(scene.message().await, "second");
            scene.serves(&connection).await;
            let expected = Offences {
                stalled: 6,
                ..Offences::default()
            };
            assert_eq!(offences(scene), expected);
        },
    );
}
