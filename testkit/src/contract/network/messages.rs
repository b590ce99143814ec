//! Messages: sent and forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use env::{Clock, Env, Listener, Network, NetworkError, Scope, Spawner};

use super::{CHANNEL, LIMIT, Member, NetworkOf, accept_message, body, connect, listen};
use crate::contract::soon;

/// Messages of every legal size arrive as they were sent.
pub async fn a_message_arrives_whole_and_names_its_sender<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, c] = &members;
    let mut listener = listen(c, CHANNEL);
    for (number, length) in (0..).zip([0, 1, 2, 1_199, 1_200, 1_201, 20_000, CHANNEL.max_frame as usize]) {
        for sender in [a, b] {
            let message = body(number, length);
            sender
                .env
                .network()
                .send(c.address.id, CHANNEL, message.clone())
                .expect("there is room");
            let (from, arrived) = accept_message(&c.env, &mut listener).await;
            assert!(arrived == message, "a message of {length} bytes arrived changed");
            assert_eq!(from, sender.address.id);
        }
    }
}

/// What was queued while no connection stood goes out, either way, as soon as one does.
pub async fn what_is_queued_before_a_connection_arrives<E: Env>(members: [Member<E>; 3]) {
    let [a, b, _] = &members;
    let ends = [(a, b), (b, a)];
    let mut listeners = [listen(b, CHANNEL), listen(a, CHANNEL)];
    for (from, to) in ends {
        from.env.network().set_peers(vec![to.address.clone()]);
        for number in 0..CHANNEL.queue {
            let sent = from.env.network().send(to.address.id, CHANNEL, body(number, 100));
            assert_eq!(sent, Ok(()));
        }
    }
    for ((_, to), listener) in ends.into_iter().zip(&mut listeners) {
        let mut seen = BTreeSet::new();
        for _ in 0..CHANNEL.queue {
            seen.insert(accept_message(&to.env, listener).await.1);
        }
        assert_eq!(seen, (0..CHANNEL.queue).map(|number| body(number, 100)).collect());
    }
}

/// A listener gets what is sent after it has begun to listen, also when another one has just let go of the channel.
pub async fn a_new_listener_gets_the_first_message<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    for number in 0..20 {
        let mut listener = listen(b, CHANNEL);
        let sent = a.env.network().send(b.address.id, CHANNEL, body(number, 100));
        assert_eq!(sent, Ok(()));
        let (_, arrived) = accept_message(&b.env, &mut listener).await;
        assert_eq!(arrived, body(number, 100));
    }
}

/// No message is delivered twice, and on a sound link each that was queued is delivered.
pub async fn a_message_arrives_at_most_once<E: Env>(members: [Member<E>; 3]) {
    const COUNT: u32 = 500;
    connect(&members).await;
    let [a, b, _] = &members;
    let mut listener = listen(b, CHANNEL);
    let scope = a.env.spawner().scope("sender");
    let (env, to) = (a.env.clone(), b.address.id);
    let sender = scope.spawn("sender", async move {
        for number in 0..COUNT {
            send_when_there_is_room(&env, env.network(), to, body(number, 100)).await;
        }
    });
    let mut seen = BTreeSet::new();
    for _ in 0..COUNT {
        let (_, arrived) = accept_message(&b.env, &mut listener).await;
        assert!(seen.insert(arrived), "a message arrived twice");
    }
    assert_eq!(seen, (0..COUNT).map(|number| body(number, 100)).collect());
    assert_eq!(soon(&a.env, "the sender", sender).await, Ok(()));
}

/// The limit of the channel holds for each kind of frame, and is told to the caller.
pub async fn a_frame_over_the_limit_is_not_sent<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let large = Bytes::from(vec![0; CHANNEL.max_frame as usize + 1]);
    let too_large = || {
        Some(NetworkError::TooLarge {
            channel: CHANNEL.label,
            bytes: u64::from(CHANNEL.max_frame) + 1,
            limit: CHANNEL.max_frame,
        })
    };
    let (network, to) = (a.env.network(), b.address.id);
    assert_eq!(network.send(to, CHANNEL, large.clone()).err(), too_large());
    assert_eq!(
        network.request(to, CHANNEL, large.clone(), LIMIT).await.err(),
        too_large()
    );
    assert_eq!(
        network.open(to, CHANNEL, large.clone(), LIMIT).await.err(),
        too_large()
    );
    let (mut stream, _other_end, _listener) = halves(a, b).await;
    assert_eq!(
        env::StreamSender::send(&mut stream, large).await.err(),
        too_large()
    );
    let small = env::StreamSender::send(&mut stream, Bytes::from_static(b"the stream goes on"));
    assert_eq!(small.await, Ok(()));
}

/// Messages to a peer that cannot be reached fill the queue, and no more than that.
pub async fn a_full_queue_answers_busy<E: Env>(members: [Member<E>; 3]) {
    let [a, b, _] = &members;
    // `b` does not list `a`, so no connection stands.
    a.env.network().set_peers(vec![b.address.clone()]);
    let send = || a.env.network().send(b.address.id, CHANNEL, body(0, 100));
    let queued = (0..CHANNEL.queue * 4).take_while(|_| send().is_ok()).count();
    assert!(queued < CHANNEL.queue as usize * 4, "the queue has no bound");
    assert!(
        queued >= CHANNEL.queue as usize,
        "the queue is shorter than its channel says"
    );
    let busy = NetworkError::Busy {
        peer: b.address.id,
        channel: CHANNEL.label,
    };
    assert_eq!(send(), Err(busy));
    // Another channel has a queue of its own.
    assert_eq!(
        a.env.network().send(b.address.id, super::OTHER, body(0, 100)),
        Ok(())
    );
}

/// Giving up on an arrival does not take it away.
pub async fn an_accept_that_is_dropped_loses_nothing<E: Env>(members: [Member<E>; 3]) {
    const COUNT: u32 = 100;
    connect(&members).await;
    let [a, b, _] = &members;
    let mut listener = listen(b, CHANNEL);
    let scope = a.env.spawner().scope("sender");
    let (env, to) = (a.env.clone(), b.address.id);
    let _sender = scope.spawn("sender", async move {
        for number in 0..COUNT {
            send_when_there_is_room(&env, env.network(), to, body(number, 100)).await;
            env.clock().sleep(Duration::from_micros(300)).await;
        }
    });
    let mut seen = BTreeSet::new();
    let collect = async {
        while seen.len() < COUNT as usize {
            let accept = b
                .env
                .clock()
                .timeout(Duration::from_micros(700), listener.accept());
            if let Ok(Ok(env::Inbound::Message { body, .. })) = accept.await {
                seen.insert(body);
            }
        }
    };
    soon(&b.env, "every message", collect).await;
}

/// One peer's flood does not keep another peer's messages out.
pub async fn a_peer_that_sends_without_pause_starves_no_other<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, c] = &members;
    let mut listener = listen(c, CHANNEL);
    let scope = a.env.spawner().scope("flood");
    let (env, to) = (a.env.clone(), c.address.id);
    let _flood = scope.spawn("flood", async move {
        loop {
            send_when_there_is_room(&env, env.network(), to, body(1, 1_000)).await;
        }
    });
    let quiet = b.env.spawner().scope("quiet");
    let (env, to) = (b.env.clone(), c.address.id);
    let _quiet = quiet.spawn("quiet", async move {
        for number in 0..20 {
            send_when_there_is_room(&env, env.network(), to, body(number, 10)).await;
            env.clock().sleep(Duration::from_millis(1)).await;
        }
    });
    let mut arrived = 0;
    while arrived < 20 {
        let (from, _) = accept_message(&c.env, &mut listener).await;
        arrived += u32::from(from == b.address.id);
    }
}

/// Queues a message as soon as the queue takes it.
async fn send_when_there_is_room<E: Env>(env: &E, network: &NetworkOf<E>, to: types::PeerId, message: Bytes) {
    while let Err(error) = network.send(to, CHANNEL, message.clone()) {
        assert!(matches!(error, NetworkError::Busy { .. }), "{error}");
        env.clock().sleep(Duration::from_micros(200)).await;
    }
}

/// The sending half of an opened stream, with what must stay alive for it.
async fn halves<E: Env>(
    from: &Member<E>,
    to: &Member<E>,
) -> (
    <super::StreamOf<E> as env::Stream>::Sender,
    impl Sized + use<E>,
    super::ListenerOf<E>,
) {
    let (opened, accepted, listener) = super::stream(from, to).await;
    let (sender, receiver) = env::Stream::split(opened);
    (sender, (receiver, accepted), listener)
}
