//! Byzantine nodes: every deed of an adversary, in every shape of packet.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use env::{
    Clock, Env, Inbound, Listener, Network, NetworkError, Reply, Scope, Spawner, Stream, StreamReceiver,
    StreamSender,
};
use sim::Draw;
use sim::adversary::{Adversary, Assignment, Content, Deed, Leaving, Manner, Shape};
use sim::disk::Survivors;
use sim::kernel::Madsim;
use sim::lab::{Lab, Played, Stage};
use sim::plan::Action;
use sim::trace::Kind;

use crate::{CHANNEL, LATENCY, connect, crossing, lab, message_within, play, send, took};

const LONG: Duration = Duration::from_secs(30);

/// Node 0 becomes Byzantine.
fn turns(strategy: &str, with: Manner) -> Action {
    Action::Byzantine {
        node: 0,
        strategy: strategy.to_owned(),
        with,
    }
}

/// What an adversary of a play does.
type Rule = fn(&mut Vec<Bytes>, &Content<'_>) -> Deed;

/// One that keeps what it has heard.
struct Ruled {
    heard: Vec<Bytes>,
    rule: Rule,
}

impl Adversary for Ruled {
    fn meet(&mut self, packet: &Content<'_>, _: &mut Draw) -> Deed {
        (self.rule)(&mut self.heard, packet)
    }

    fn hear(&mut self, packet: &Content<'_>) {
        self.heard.push(packet.bytes.clone());
    }
}

/// A world whose node 0 follows `rule` once it turns to the strategy `ruled`.
fn ruled(rule: Rule) -> Lab {
    let mut lab = lab(3);
    lab.strategies
        .add("ruled", "as a play says", move |_: &Assignment<'_>| {
            let heard = Vec::new();
            Box::new(Ruled { heard, rule })
        });
    lab
}

/// What a packet says, backwards.
fn backwards(packet: &Content<'_>) -> Bytes {
    packet.bytes.iter().rev().copied().collect()
}

fn now(bytes: Bytes) -> Leaving {
    let after = Duration::ZERO;
    Leaving { bytes, after }
}

/// The tampered packets of a run: receiver, and how many left instead.
fn tampered<T>(played: &Played<T>) -> Vec<(u64, u64)> {
    let records = played.events.iter().map(|entry| entry.record);
    records
        .filter(|record| record.kind == Kind::Tamper)
        .map(|record| (record.a, record.b))
        .collect()
}

#[test]
pub fn what_is_withheld_never_leaves_and_takes_no_room() {
    let played = play(3, |stage| async move {
        let mut listeners = connect(&stage, 3).await;
        let with = Manner {
            to: vec![1],
            channels: vec![CHANNEL.id],
            ..Manner::default()
        };
        stage.act(turns("withhold", with)).await;
        for _ in 0..CHANNEL.queue * 2 {
            send(&stage, 0, 1, b"gone");
        }
        assert_eq!(message_within(&stage, &mut listeners[1], LONG).await, None);
        // Others get what was meant for them, and it hears everybody.
        assert_eq!(crossing(&stage, &mut listeners[2], 0, 2, b"here").await, LATENCY);
        assert_eq!(crossing(&stage, &mut listeners[0], 1, 0, b"here").await, LATENCY);
        stage.act(Action::Honest { node: 0 }).await;
        crossing(&stage, &mut listeners[1], 0, 1, b"here").await
    });
    assert_eq!(played.value, LATENCY);
    let withheld = usize::try_from(CHANNEL.queue * 2).expect("it is small");
    assert_eq!(tampered(&played), vec![(1, 0); withheld]);
    assert_eq!(played.count(Kind::Tamper, "withhold"), withheld);
}

#[test]
pub fn another_channel_is_not_struck() {
    play(2, |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let with = Manner {
            channels: vec![CHANNEL.id + 1],
            ..Manner::default()
        };
        stage.act(turns("withhold", with)).await;
        assert_eq!(crossing(&stage, &mut listeners[1], 0, 1, b"here").await, LATENCY);
    });
}

#[test]
pub fn one_of_a_hundred_is_withheld_at_drawn_places() {
    let played = play(2, |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let with = Manner {
            ppm: 10_000,
            ..Manner::default()
        };
        stage.act(turns("withhold", with)).await;
        let mut lost = 0;
        for _ in 0..2_000 {
            send(&stage, 0, 1, b"message");
            let arrived = message_within(&stage, &mut listeners[1], LATENCY * 2).await;
            lost += usize::from(arrived.is_none());
        }
        lost
    });
    assert!((8..36).contains(&played.value), "{}", played.value);
}

#[test]
pub fn what_is_held_back_comes_later_unless_its_sender_dies() {
    play(2, |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let with = Manner {
            ms: 70,
            ..Manner::default()
        };
        stage.act(turns("delay", with)).await;
        let late = Duration::from_millis(70);
        assert_eq!(
            crossing(&stage, &mut listeners[1], 0, 1, b"late").await,
            LATENCY + late
        );
        send(&stage, 0, 1, b"never");
        stage.wait(late / 2).await;
        stage.crash(0, Survivors::Everything).await;
        assert_eq!(message_within(&stage, &mut listeners[1], LONG).await, None);
    });
}

/// Says everything twice, backwards first.
fn twice(_: &mut Vec<Bytes>, packet: &Content<'_>) -> Deed {
    Deed::Send(vec![now(backwards(packet)), now(packet.bytes.clone())])
}

#[test]
pub fn what_is_said_instead_arrives_in_every_shape() {
    let played = ruled(twice).run::<Madsim, _, _, _>(|stage| async move {
        let mut listeners = connect(&stage, 3).await;
        stage.act(turns("ruled", Manner::default())).await;
        send(&stage, 0, 1, b"ab");
        let mut arrived = Vec::new();
        for _ in 0..2 {
            arrived.extend(message_within(&stage, &mut listeners[1], LONG).await);
        }
        arrived.sort_unstable();
        assert_eq!(arrived, ["ab", "ba"]);

        // Of two requests the first is the one whose answer is waited for.
        let network = stage.env(0).network().clone();
        let there = stage.address(1).id;
        let scope = stage.hand().spawner().scope("asks");
        let request = scope.spawn("asks", async move {
            network
                .request(there, CHANNEL, Bytes::from_static(b"cd"), LONG)
                .await
        });
        for _ in 0..2 {
            let Ok(Inbound::Request { body, reply, .. }) = listeners[1].accept().await else {
                panic!("something other than a request arrived");
            };
            reply.send(body).expect("the session stands");
        }
        let answer = request.await.expect("nobody cancels it");
        assert_eq!(answer.as_deref(), Ok(&b"dc"[..]));

        // Of two answers the first is the one that counts.
        let network = stage.env(1).network().clone();
        let here = stage.address(0).id;
        let request = scope.spawn("asks", async move {
            network.request(here, CHANNEL, Bytes::new(), LONG).await
        });
        let Ok(Inbound::Request { reply, .. }) = listeners[0].accept().await else {
            panic!("something other than a request arrived");
        };
        reply.send(Bytes::from_static(b"ef")).expect("the session stands");
        let answer = request.await.expect("nobody cancels it");
        assert!(matches!(answer.as_deref(), Ok(b"fe" | b"ef")), "{answer:?}");
    });
    assert_eq!(tampered(&played), [(1, 2), (1, 2), (1, 2)]);
}

/// Frames: the first comes a second late, every second one is withheld, the others are said backwards. Everything else
/// passes.
fn every_other_frame(_: &mut Vec<Bytes>, packet: &Content<'_>) -> Deed {
    match (packet.shape, packet.bytes[..].first()) {
        (Shape::Frame, Some(0)) => Deed::delay(packet.bytes.clone(), Duration::from_secs(1)),
        (Shape::Frame, Some(number)) if number % 2 == 1 => Deed::withhold(),
        (Shape::Frame, _) => Deed::replace(backwards(packet)),
        (Shape::Preamble, _) => Deed::replace(Bytes::from_static(b"another")),
        _ => Deed::Pass,
    }
}

#[test]
pub fn frames_that_are_left_stay_in_order_and_within_the_window() {
    ruled(every_other_frame).run::<Madsim, _, _, _>(|stage| async move {
        let mut listeners = connect(&stage, 3).await;
        stage.act(turns("ruled", Manner::default())).await;
        let open =
            stage
                .env(0)
                .network()
                .open(stage.address(1).id, CHANNEL, Bytes::from_static(b"feed"), LONG);
        let (mut sender, _receiver) = open.await.expect("a connection stands").split();
        let Ok(Inbound::Stream { preamble, stream, .. }) = listeners[1].accept().await else {
            panic!("something other than a stream arrived");
        };
        assert_eq!(preamble, "another");
        let mut receiver = stream.split().1;
        let scope = stage.hand().spawner().scope("sends");
        let sends = scope.spawn("sends", async move {
            for number in 0..200 {
                let sent = sender.send(Bytes::from(vec![number, 255])).await;
                assert_eq!(sent, Ok(()));
            }
            sender.finish();
        });
        let start = stage.hand().clock().now();
        assert_eq!(receiver.recv().await, Ok(Some(Bytes::from_static(&[0, 255]))));
        assert!(took(stage.hand(), start) >= Duration::from_millis(999));
        for number in (2..200).step_by(2) {
            assert_eq!(receiver.recv().await, Ok(Some(Bytes::from(vec![255, number]))));
        }
        assert_eq!(receiver.recv().await, Ok(None));
        sends.await.expect("nobody cancels it");
    });
}

#[test]
pub fn more_frames_than_the_window_holds_are_not_sent() {
    fn thousandfold(_: &mut Vec<Bytes>, packet: &Content<'_>) -> Deed {
        match packet.shape {
            Shape::Frame => Deed::Send(vec![now(packet.bytes.clone()); 1_000]),
            _ => Deed::Pass,
        }
    }
    ruled(thousandfold).run::<Madsim, _, _, _>(|stage| async move {
        let mut listeners = connect(&stage, 3).await;
        stage.act(turns("ruled", Manner::default())).await;
        let open = stage
            .env(0)
            .network()
            .open(stage.address(1).id, CHANNEL, Bytes::new(), LONG);
        let (mut sender, _receiver) = open.await.expect("a connection stands").split();
        sender
            .send(Bytes::from_static(b"frame"))
            .await
            .expect("the stream stands");
        sender.finish();
        let Ok(Inbound::Stream { stream, .. }) = listeners[1].accept().await else {
            panic!("something other than a stream arrived");
        };
        let mut receiver = stream.split().1;
        let mut frames = 0;
        while receiver.recv().await.expect("the stream stands").is_some() {
            frames += 1;
        }
        assert_eq!(frames, CHANNEL.queue);
    });
}

/// Runs `play` in a world whose node 0 says `bytes` bytes of noise instead of everything.
fn oversize<F, Fut>(bytes: u32, play: F) -> Played<()>
where
    F: FnOnce(Stage, Vec<sim::network::SimListener>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    crate::play(2, move |stage| async move {
        let listeners = connect(&stage, 2).await;
        let with = Manner {
            bytes: u64::from(bytes),
            ..Manner::default()
        };
        stage.act(turns("oversize", with)).await;
        play(stage, listeners).await;
    })
}

#[test]
pub fn what_just_fits_arrives() {
    oversize(CHANNEL.max_frame, |stage, mut listeners| async move {
        send(&stage, 0, 1, b"small");
        let arrived = message_within(&stage, &mut listeners[1], LONG).await;
        assert_eq!(arrived.map(|bytes| bytes.len()), Some(64 << 10));
    });
}

#[test]
pub fn a_message_that_is_too_large_is_refused_and_the_next_one_comes() {
    let played = oversize(CHANNEL.max_frame + 1, |stage, mut listeners| async move {
        for _ in 0..CHANNEL.queue {
            send(&stage, 0, 1, b"small");
        }
        assert_eq!(message_within(&stage, &mut listeners[1], LONG).await, None);
        stage.act(Action::Honest { node: 0 }).await;
        assert_eq!(crossing(&stage, &mut listeners[1], 0, 1, b"here").await, LATENCY);
    });
    let refused = usize::try_from(CHANNEL.queue).expect("it is small");
    assert_eq!(played.count(Kind::Drop, "too large"), refused);
}

#[test]
pub fn requests_and_answers_that_are_too_large_are_refused() {
    oversize(CHANNEL.max_frame + 1, |stage, mut listeners| async move {
        let there = stage.address(1).id;
        let request = stage.env(0).network().request(there, CHANNEL, Bytes::new(), LONG);
        let refused = NetworkError::Refused {
            peer: there,
            channel: CHANNEL.label,
        };
        assert_eq!(request.await, Err(refused));
        let network = stage.env(1).network().clone();
        let here = stage.address(0).id;
        let scope = stage.hand().spawner().scope("asks");
        let request = scope.spawn("asks", async move {
            network.request(here, CHANNEL, Bytes::new(), LONG).await
        });
        let Ok(Inbound::Request { reply, .. }) = listeners[0].accept().await else {
            panic!("something other than a request arrived");
        };
        reply
            .send(Bytes::from_static(b"small"))
            .expect("the session stands");
        let too_large = NetworkError::TooLarge {
            channel: CHANNEL.label,
            bytes: u64::from(CHANNEL.max_frame) + 1,
            limit: CHANNEL.max_frame,
        };
        assert_eq!(request.await.expect("nobody cancels it"), Err(too_large));
    });
}

#[test]
pub fn a_stream_that_begins_or_goes_on_too_large_is_broken() {
    oversize(CHANNEL.max_frame + 1, |stage, mut listeners| async move {
        let (here, there) = (stage.address(0).id, stage.address(1).id);
        let network = stage.env(0).network().clone();
        let open = || network.open(there, CHANNEL, Bytes::new(), LONG);
        let mut receiver = open().await.expect("a connection stands").split().1;
        let reset = NetworkError::Reset { peer: there };
        assert_eq!(receiver.recv().await, Err(reset.clone()));

        stage.act(Action::Honest { node: 0 }).await;
        let (mut sender, _receiver) = open().await.expect("a connection stands").split();
        let Ok(Inbound::Stream { from, stream, .. }) = listeners[1].accept().await else {
            panic!("something other than a stream arrived");
        };
        assert_eq!(from, here);
        let mut receiver = stream.split().1;
        let with = Manner {
            bytes: u64::from(CHANNEL.max_frame) + 1,
            ..Manner::default()
        };
        stage.act(turns("oversize", with)).await;
        sender
            .send(Bytes::from_static(b"small"))
            .await
            .expect("the stream stands");
        let too_large = NetworkError::TooLarge {
            channel: CHANNEL.label,
            bytes: u64::from(CHANNEL.max_frame) + 1,
            limit: CHANNEL.max_frame,
        };
        assert_eq!(receiver.recv().await, Err(too_large));
        stage.wait(LATENCY * 2).await;
        assert_eq!(sender.send(Bytes::from_static(b"small")).await, Err(reset));
    });
}

#[test]
pub fn an_adversary_hears_what_comes_to_its_node() {
    fn echo(heard: &mut Vec<Bytes>, _: &Content<'_>) -> Deed {
        heard.pop().map_or(Deed::Pass, Deed::replace)
    }
    ruled(echo).run::<Madsim, _, _, _>(|stage| async move {
        let mut listeners = connect(&stage, 3).await;
        stage.act(turns("ruled", Manner::default())).await;
        crossing(&stage, &mut listeners[0], 1, 0, b"overheard").await;
        send(&stage, 0, 2, b"said");
        let arrived = message_within(&stage, &mut listeners[2], LONG).await;
        assert_eq!(arrived.as_deref(), Some(&b"overheard"[..]));
    });
}

#[test]
pub fn the_strategies_of_one_list_may_share_what_they_know() {
    let mut lab = lab(2);
    let known: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (kept, heard) = (known.clone(), Vec::new());
    lab.strategies
        .add("ruled", "as a play says", move |assignment: &Assignment<'_>| {
            kept.lock().expect("one thread plays").push(assignment.node);
            let heard: Vec<Bytes> = heard.clone();
            Box::new(Ruled { heard, rule: twice })
        });
    lab.run::<Madsim, _, _, _>(|stage| async move {
        stage.act(turns("ruled", Manner::default())).await;
        let again = Action::Byzantine {
            node: 1,
            strategy: "ruled".to_owned(),
            with: Manner::default(),
        };
        stage.act(again).await;
    });
    assert_eq!(*known.lock().expect("the play is over"), [0, 1]);
}
