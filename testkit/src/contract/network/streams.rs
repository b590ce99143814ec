//! Streams: two independent directions of ordered frames.

use std::time::Duration;

use bytes::Bytes;
use env::{Clock, Env, Network, NetworkError, Scope, Spawner, Stream, StreamReceiver, StreamSender};

use super::{CHANNEL, Member, accept, body, connect, listen, open, stream, wait_connected};
use crate::contract::{WATCH, soon};

/// The acceptor knows the opener and what it said before any frame; both ends name each other.
pub async fn a_stream_begins_with_its_preamble<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let (opened, accepted, _listener) = stream(a, b).await;
    assert_eq!((opened.peer(), accepted.peer()), (b.address.id, a.address.id));
}

/// An opener waits for nobody before it sends, finishes, or gives up.
pub async fn what_is_sent_right_after_opening_arrives<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let mut listener = listen(b, CHANNEL);
    for _ in 0..CHANNEL.concurrency / 2 {
        let (mut sender, _back) = open(a, b).await.expect("a connection stands").split();
        for number in 0..CHANNEL.queue / 2 {
            soon(&a.env, "room", sender.send(body(number, 100)))
                .await
                .expect("the stream stands");
        }
        sender.finish();
        let env::Inbound::Stream { stream, .. } = accept(&b.env, &mut listener).await else {
            panic!("something other than a stream arrived");
        };
        let (_answers, mut receiver) = stream.split();
        for number in 0..CHANNEL.queue / 2 {
            let frame = soon(&b.env, "a frame", receiver.recv()).await;
            assert_eq!(frame, Ok(Some(body(number, 100))));
        }
        assert_eq!(soon(&b.env, "the end", receiver.recv()).await, Ok(None));
    }
    for _ in 0..CHANNEL.concurrency / 2 {
        drop(open(a, b).await.expect("a connection stands"));
        let arrival = b
            .env
            .clock()
            .timeout(WATCH, env::Listener::accept(&mut listener))
            .await;
        // A stream that was given up may never be seen. One that is seen is seen to break.
        if let Ok(Ok(env::Inbound::Stream { stream, .. })) = arrival {
            let answer = soon(&b.env, "the reset", stream.split().1.recv()).await;
            assert_eq!(answer, Err(NetworkError::Reset { peer: a.address.id }));
        }
    }
}

/// Frames of every legal size cross in both directions at once, in order.
pub async fn frames_arrive_in_order_in_both_directions<E: Env>(members: [Member<E>; 3]) {
    const COUNT: u32 = 200;
    let length = |number: u32| [0, 1, 50, 1_200, 5_000, CHANNEL.max_frame as usize][number as usize % 6];
    connect(&members).await;
    let [a, b, _] = &members;
    let (opened, accepted, _listener) = stream(a, b).await;
    let scope = a.env.spawner().scope("ends");
    let mut ends = Vec::new();
    for (end, salt) in [(opened, 0), (accepted, 1_000)] {
        let (mut sender, mut receiver) = end.split();
        ends.push(scope.spawn("sender", async move {
            for number in 0..COUNT {
                sender
                    .send(body(number + salt, length(number)))
                    .await
                    .expect("the stream stands");
            }
            sender.finish();
        }));
        ends.push(scope.spawn("receiver", async move {
            for number in 0..COUNT {
                let frame = receiver
                    .recv()
                    .await
                    .expect("the stream stands")
                    .expect("frames follow");
                assert!(
                    frame == body(number + 1_000 - salt, length(number)),
                    "frame {number} is another"
                );
            }
            assert_eq!(receiver.recv().await, Ok(None));
        }));
    }
    for end in ends {
        assert_eq!(soon(&a.env, "an end of the stream", end).await, Ok(()));
    }
}

/// What is queued before `finish` arrives, then the end, which stays the end; the other direction is not touched.
pub async fn a_finished_direction_ends_after_its_last_frame<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let (opened, accepted, _listener) = stream(a, b).await;
    let (mut sender, mut back) = opened.split();
    let (mut answers, mut receiver) = accepted.split();
    for number in 0..CHANNEL.queue / 2 {
        soon(&a.env, "room", sender.send(body(number, 100)))
            .await
            .expect("the stream stands");
    }
    sender.finish();
    for number in 0..CHANNEL.queue / 2 {
        let frame = soon(&b.env, "a frame", receiver.recv()).await;
        assert_eq!(frame, Ok(Some(body(number, 100))));
    }
    for _ in 0..2 {
        assert_eq!(soon(&b.env, "the end", receiver.recv()).await, Ok(None));
    }
    drop(receiver);
    soon(&b.env, "room", answers.send(body(1, 10)))
        .await
        .expect("the way back stands");
    assert_eq!(soon(&a.env, "a frame", back.recv()).await, Ok(Some(body(1, 10))));
}

/// A sender that goes without a word is not mistaken for one that has said all.
pub async fn a_sender_dropped_without_finish_resets_its_direction<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let (opened, accepted, _listener) = stream(a, b).await;
    let (mut sender, _back) = opened.split();
    let (_answers, mut receiver) = accepted.split();
    soon(&a.env, "room", sender.send(body(0, 100)))
        .await
        .expect("the stream stands");
    assert_eq!(
        soon(&b.env, "a frame", receiver.recv()).await,
        Ok(Some(body(0, 100)))
    );
    drop(sender);
    let answer = soon(&b.env, "the reset", receiver.recv()).await;
    assert_eq!(answer, Err(NetworkError::Reset { peer: a.address.id }));
}

/// A sender learns that nobody listens.
pub async fn a_dropped_receiver_resets_the_sender<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let (opened, accepted, _listener) = stream(a, b).await;
    let (mut sender, _back) = opened.split();
    let (_answers, receiver) = accepted.split();
    drop(receiver);
    assert_eq!(
        send_until_reset::<E>(a, &mut sender).await,
        NetworkError::Reset { peer: b.address.id }
    );
}

/// An acceptor that does not like the preamble drops the stream, and both directions of the opener break.
pub async fn a_dropped_stream_resets_the_opener<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let (opened, accepted, _listener) = stream(a, b).await;
    let (mut sender, mut receiver) = opened.split();
    drop(accepted);
    let reset = || NetworkError::Reset { peer: b.address.id };
    assert_eq!(soon(&a.env, "the reset", receiver.recv()).await, Err(reset()));
    assert_eq!(send_until_reset::<E>(a, &mut sender).await, reset());
}

/// A stream on a channel without a listener is refused, at the latest when it is used.
pub async fn a_stream_that_nobody_serves_does_not_stand<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    match open(a, b).await {
        Ok(opened) => {
            let (_sender, mut receiver) = opened.split();
            let answer = soon(&a.env, "the refusal", receiver.recv()).await;
            assert_eq!(answer, Err(NetworkError::Reset { peer: b.address.id }));
        }
        Err(error) => {
            assert_eq!(
                error,
                NetworkError::Refused {
                    peer: b.address.id,
                    channel: CHANNEL.label
                }
            );
        }
    }
}

/// What is sent and not read has a bound; reading makes room, and nothing was lost.
pub async fn a_receiver_that_does_not_read_holds_its_sender_back<E: Env>(members: [Member<E>; 3]) {
    const ENOUGH: u32 = 4_096;
    connect(&members).await;
    let [a, b, _] = &members;
    let (opened, accepted, _listener) = stream(a, b).await;
    let (mut sender, _back) = opened.split();
    let (_answers, mut receiver) = accepted.split();
    let mut queued = 0;
    let frame = |number| body(number, CHANNEL.max_frame as usize);
    while let Ok(sent) = a.env.clock().timeout(WATCH * 4, sender.send(frame(queued))).await {
        sent.expect("the stream stands");
        queued += 1;
        assert!(queued < ENOUGH, "{queued} frames wait and there is room for more");
    }
    assert!(
        queued >= CHANNEL.queue,
        "the queue is shorter than its channel says"
    );
    // The frame whose send was dropped is there as a whole or not at all.
    let mut received = 0;
    while received < queued {
        let arrived = soon(&b.env, "a frame", receiver.recv()).await;
        assert!(
            arrived == Ok(Some(frame(received))),
            "frame {received} is another"
        );
        received += 1;
    }
    let last = Bytes::from_static(b"last");
    soon(&a.env, "room", sender.send(last.clone()))
        .await
        .expect("the stream stands");
    let next = soon(&b.env, "a frame", receiver.recv()).await;
    assert!(
        next == Ok(Some(last)) || next == Ok(Some(frame(queued))),
        "a part of a frame"
    );
}

/// A send that is given up leaves the stream as before it, or with one whole frame more.
pub async fn a_send_that_is_dropped_queues_all_or_nothing<E: Env>(members: [Member<E>; 3]) {
    const COUNT: u32 = 300;
    let frame = |number| body(number, 30_000);
    connect(&members).await;
    let [a, b, _] = &members;
    let (opened, accepted, _listener) = stream(a, b).await;
    let (mut sender, _back) = opened.split();
    let (_answers, mut receiver) = accepted.split();
    let scope = a.env.spawner().scope("sender");
    let clock = a.env.clock().clone();
    let task = scope.spawn("sender", async move {
        for number in 0..COUNT {
            let sent = clock
                .timeout(Duration::from_micros(50), sender.send(frame(number)))
                .await;
            assert!(!matches!(sent, Ok(Err(_))), "the stream broke");
        }
        sender.finish();
    });
    let mut next = 0;
    while let Some(arrived) = soon(&b.env, "a frame", receiver.recv())
        .await
        .expect("the stream stands")
    {
        match (next..COUNT).find(|number| frame(*number) == arrived) {
            Some(number) => next = number + 1,
            None => panic!("after frame {next}: a frame that was not sent, or not in order"),
        }
    }
    assert_eq!(soon(&a.env, "the sender", task).await, Ok(()));
}

/// A receive that is given up leaves its frame for the next one.
pub async fn a_receive_that_is_dropped_loses_no_frame<E: Env>(members: [Member<E>; 3]) {
    const COUNT: u32 = 100;
    connect(&members).await;
    let [a, b, _] = &members;
    let (opened, accepted, _listener) = stream(a, b).await;
    let (mut sender, _back) = opened.split();
    let (_answers, mut receiver) = accepted.split();
    let scope = a.env.spawner().scope("sender");
    let clock = a.env.clock().clone();
    let task = scope.spawn("sender", async move {
        for number in 0..COUNT {
            sender
                .send(body(number, 20_000))
                .await
                .expect("the stream stands");
            clock.sleep(Duration::from_micros(200)).await;
        }
        sender.finish();
    });
    let mut next = 0;
    let collect = async {
        loop {
            let recv = b.env.clock().timeout(Duration::from_micros(300), receiver.recv());
            match recv.await {
                Err(env::Elapsed) => {}
                Ok(Ok(None)) => break,
                Ok(frame) => {
                    assert!(frame == Ok(Some(body(next, 20_000))), "frame {next} is another");
                    next += 1;
                }
            }
        }
    };
    soon(&b.env, "the end", collect).await;
    assert_eq!(next, COUNT);
    assert_eq!(soon(&a.env, "the sender", task).await, Ok(()));
}

/// More streams than the channel allows do not stand, and an ended one makes room.
pub async fn streams_over_the_concurrency_are_turned_away<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let mut listener = listen(b, CHANNEL);
    let mut streams = Vec::new();
    for _ in 0..CHANNEL.concurrency {
        let opened = open(a, b).await.expect("there is room");
        streams.push((opened, accept(&b.env, &mut listener).await));
    }
    match open(a, b).await {
        Ok(over) => {
            let answer = soon(&a.env, "the refusal", over.split().1.recv()).await;
            assert_eq!(answer, Err(NetworkError::Reset { peer: b.address.id }));
        }
        Err(error) => {
            let busy = NetworkError::Busy {
                peer: b.address.id,
                channel: CHANNEL.label,
            };
            let refused = NetworkError::Refused {
                peer: b.address.id,
                channel: CHANNEL.label,
            };
            assert!(error == busy || error == refused, "{error}");
        }
    }
    streams.pop();
    let accept_again = async {
        loop {
            // The place is free once both ends know that the stream has ended.
            if let Ok(opened) = open(a, b).await {
                let arrival = b
                    .env
                    .clock()
                    .timeout(WATCH, env::Listener::accept(&mut listener))
                    .await;
                if let Ok(Ok(env::Inbound::Stream { .. })) = arrival {
                    break opened;
                }
            }
            a.env.clock().sleep(Duration::from_millis(5)).await;
        }
    };
    soon(&a.env, "room for a stream", accept_again).await;
}

/// The end of a connection is the end of its streams.
pub async fn a_stream_to_a_removed_peer_breaks<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let (opened, accepted, _listener) = stream(a, b).await;
    let (_sender, mut receiver) = opened.split();
    let (_answers, mut other_receiver) = accepted.split();
    a.env.network().set_peers(Vec::new());
    let answer = soon(&a.env, "the reset", receiver.recv()).await;
    assert_eq!(answer, Err(NetworkError::Reset { peer: b.address.id }));
    let answer = soon(&b.env, "the reset", other_receiver.recv()).await;
    assert_eq!(answer, Err(NetworkError::Reset { peer: a.address.id }));
    wait_connected(&b.env, a.address.id, false).await;
}

/// Sends until the sender is told that it is in vain.
async fn send_until_reset<E: Env>(
    member: &Member<E>,
    sender: &mut <super::StreamOf<E> as Stream>::Sender,
) -> NetworkError {
    let send = async {
        loop {
            if let Err(error) = sender.send(body(0, 100)).await {
                break error;
            }
            member.env.clock().sleep(Duration::from_millis(1)).await;
        }
    };
    soon(&member.env, "the reset", send).await
}
