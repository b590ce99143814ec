//! Requests and their replies.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use env::{Clock, Env, Network, NetworkError, Reply, Scope, Spawner};

use super::{CHANNEL, LIMIT, ListenerOf, Member, accept_request, body, connect, listen};
use crate::contract::{WATCH, poll_once, soon};

/// Requests and replies of every legal size arrive as they were sent.
pub async fn a_request_gets_its_reply<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let _server = serve(b, listen(b, CHANNEL), |request| request);
    for (number, length) in (0..).zip([0, 1, 64, 1_200, 20_000, CHANNEL.max_frame as usize]) {
        let request = body(number, length);
        let answer = ask(a, b, request.clone()).await;
        assert!(
            answer == Ok(request),
            "a reply of {length} bytes came back changed"
        );
    }
}

/// Answers given in another order than the questions find their way.
pub async fn replies_go_to_their_own_requests<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, c] = &members;
    let mut listener = listen(c, CHANNEL);
    let scope = a.env.spawner().scope("askers");
    let mut tasks = Vec::new();
    for number in 0..CHANNEL.concurrency {
        for member in [a, b] {
            let (from, to) = (member.clone(), c.clone());
            let request = body(number, 50);
            tasks.push((
                member.address.id,
                request.clone(),
                scope.spawn("asker", async move { ask(&from, &to, request).await }),
            ));
        }
    }
    let mut waiting = Vec::new();
    for _ in 0..tasks.len() {
        waiting.push(accept_request(&c.env, &mut listener).await);
    }
    for (from, request, reply) in waiting.into_iter().rev() {
        let answer = [&from.as_bytes()[..], &request].concat();
        reply.send(answer.into()).expect("the node is up");
    }
    for (asker, request, task) in tasks {
        let expected = Bytes::from([&asker.as_bytes()[..], &request].concat());
        assert_eq!(soon(&a.env, "a reply", task).await, Ok(Ok(expected)));
    }
}

/// A channel without a listener refuses, also after there has been one.
pub async fn a_request_that_nobody_serves_is_refused<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    assert_eq!(ask(a, b, Bytes::new()).await, Err(refused(b)));
    drop(listen(b, CHANNEL));
    assert_eq!(ask(a, b, Bytes::new()).await, Err(refused(b)));
}

/// A server that does not want to answer says so by dropping the reply.
pub async fn a_dropped_reply_is_a_refusal<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let mut listener = listen(b, CHANNEL);
    let mut request = pin!(ask(a, b, Bytes::new()));
    assert!(poll_once(&mut request).await.is_pending());
    let (_, _, reply) = accept_request(&b.env, &mut listener).await;
    drop(reply);
    assert_eq!(request.await, Err(refused(b)));
}

/// The limit of the channel holds for replies, and both sides are told.
pub async fn a_reply_over_the_limit_is_a_refusal<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let mut listener = listen(b, CHANNEL);
    let mut request = pin!(ask(a, b, Bytes::new()));
    assert!(poll_once(&mut request).await.is_pending());
    let (_, _, reply) = accept_request(&b.env, &mut listener).await;
    let answer = reply.send(Bytes::from(vec![0; CHANNEL.max_frame as usize + 1]));
    assert_eq!(
        answer,
        Err(NetworkError::TooLarge {
            channel: CHANNEL.label,
            bytes: u64::from(CHANNEL.max_frame) + 1,
            limit: CHANNEL.max_frame
        })
    );
    assert_eq!(request.await, Err(refused(b)));
}

/// A server that keeps a reply to itself does not keep the asker for longer than it wants to wait.
pub async fn a_request_without_an_answer_ends_at_its_limit<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let mut listener = listen(b, CHANNEL);
    let start = a.env.clock().now();
    let request = a
        .env
        .network()
        .request(b.address.id, CHANNEL, Bytes::new(), WATCH);
    let answer = soon(&a.env, "the limit", request).await;
    assert_eq!(answer, Err(NetworkError::Timeout { peer: b.address.id }));
    assert!(a.env.clock().now().since(start) >= WATCH);
    // The late answer goes nowhere and harms nobody.
    let (_, _, reply) = accept_request(&b.env, &mut listener).await;
    reply.send(Bytes::from_static(b"late")).expect("the node is up");
    let _server = serve(b, listener, |request| request);
    assert_eq!(
        ask(a, b, Bytes::from_static(b"next")).await,
        Ok(Bytes::from_static(b"next"))
    );
}

/// Without a connection a request and a stream wait for their limit, not longer.
pub async fn a_request_to_an_unreachable_peer_ends_at_its_limit<E: Env>(members: [Member<E>; 3]) {
    let [a, b, _] = &members;
    // `b` does not list `a`, so no connection stands.
    a.env.network().set_peers(vec![b.address.clone()]);
    let timeout = || Some(NetworkError::Timeout { peer: b.address.id });
    let request = a
        .env
        .network()
        .request(b.address.id, CHANNEL, Bytes::new(), WATCH);
    assert_eq!(soon(&a.env, "the limit", request).await.err(), timeout());
    let open = a.env.network().open(b.address.id, CHANNEL, Bytes::new(), WATCH);
    assert_eq!(soon(&a.env, "the limit", open).await.err(), timeout());
}

/// More requests than the channel allows are turned away at once, and answers make room again.
pub async fn requests_over_the_concurrency_are_turned_away<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let mut listener = listen(b, CHANNEL);
    for _ in 0..3 {
        let scope = a.env.spawner().scope("askers");
        let mut tasks = Vec::new();
        let mut replies = Vec::new();
        for _ in 0..CHANNEL.concurrency {
            let (from, to) = (a.clone(), b.clone());
            tasks.push(scope.spawn("asker", async move { ask(&from, &to, Bytes::new()).await }));
            replies.push(accept_request(&b.env, &mut listener).await.2);
        }
        let over = ask(a, b, Bytes::new()).await;
        let busy = NetworkError::Busy {
            peer: b.address.id,
            channel: CHANNEL.label,
        };
        assert!(over == Err(busy) || over == Err(refused(b)), "{over:?}");
        for (reply, task) in replies.into_iter().zip(tasks) {
            reply.send(Bytes::from_static(b"answer")).expect("the node is up");
            let answer = soon(&a.env, "a reply", task).await;
            assert_eq!(answer, Ok(Ok(Bytes::from_static(b"answer"))));
        }
    }
}

/// Dropping the future of a request gives its place back, on both sides in the end.
pub async fn a_withdrawn_request_makes_room<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, _] = &members;
    let mut listener = listen(b, CHANNEL);
    for _ in 0..CHANNEL.concurrency * 2 {
        let mut request = pin!(ask(a, b, Bytes::new()));
        assert!(poll_once(&mut request).await.is_pending());
        let withdrawn = async {
            // The request may have been withdrawn on its way already when the server sees it; both are legal.
            drop(accept_request(&b.env, &mut listener).await);
        };
        withdrawn.await;
    }
    let _server = serve(b, listener, |request| request);
    assert_eq!(
        ask(a, b, Bytes::from_static(b"next")).await,
        Ok(Bytes::from_static(b"next"))
    );
}

/// Asks `to` for an answer to `request`.
async fn ask<E: Env>(from: &Member<E>, to: &Member<E>, request: Bytes) -> Result<Bytes, NetworkError> {
    let request = from.env.network().request(to.address.id, CHANNEL, request, LIMIT);
    soon(&from.env, "an answer", request).await
}

/// Answers every request with `answer` of it, until the scope is dropped.
fn serve<E: Env>(
    member: &Member<E>,
    mut listener: ListenerOf<E>,
    answer: fn(Bytes) -> Bytes,
) -> <E::Spawner as Spawner>::Scope {
    let scope = member.env.spawner().scope("server");
    drop(scope.spawn("server", async move {
        while let Ok(arrival) = env::Listener::accept(&mut listener).await {
            if let env::Inbound::Request { body, reply, .. } = arrival {
                reply.send(answer(body)).expect("an answer is within the limit");
            }
        }
    }));
    scope
}

fn refused<E>(peer: &Member<E>) -> NetworkError {
    NetworkError::Refused {
        peer: peer.address.id,
        channel: CHANNEL.label,
    }
}

const _: () =
    assert!(WATCH.as_millis() < LIMIT.as_millis() && LIMIT.as_millis() > Duration::from_secs(1).as_millis());
