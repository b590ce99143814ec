//! Faults of links.

use std::time::Duration;

use bytes::Bytes;
use env::{
    Channel, Clock, Env, Inbound, Listener, Network, NetworkError, Scope, Spawner, Stream, StreamReceiver,
    StreamSender,
};
use sim::kernel::Madsim;
use sim::lab::Stage;
use sim::network::LinkFault;
use sim::plan::{Action, Direction, Step};
use sim::trace::Kind;

use crate::{CHANNEL, LATENCY, connect, connected, crossing, lab, message_within, play, send, took};

/// The test of each part of a link's fault.
const _: fn(LinkFault) = |fault| {
    let LinkFault {
        loss_ppm: _,         // a_lost_packet_comes_late, a_lost_dial_is_gone
        vanish_ppm: _,       // a_vanished_message_never_comes
        duplicate_ppm: _,    // a_duplicate_is_thrown_away, a_twin_that_was_held_up_is_thrown_away
        corrupt_ppm: _,      // a_corrupt_packet_is_never_delivered
        reorder_ppm: _,      // a_detour_lets_later_messages_overtake
        detour_us: _,        // the same
        extra_latency_us: _, // a_fault_strikes_the_links_that_it_names
        bytes_per_second: _, // a_thin_link_takes_its_time_by_the_byte
    } = fault;
};

/// The test of each direction.
const _: fn(Direction) -> fn() = |direction| match direction {
    Direction::Both | Direction::Out | Direction::In => a_partition_stops_exactly_its_direction,
};

const ALWAYS: u32 = 1_000_000;
const RETRANSMIT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(30);

fn link(from: usize, to: usize, fault: LinkFault) -> Action {
    Action::Link {
        from: Some(from),
        to: Some(to),
        fault,
    }
}

/// How long a message from 0 to 1 takes under a fault, and how many packets were lost for `reason`.
fn crossing_under(fault: LinkFault, message: &'static [u8], reason: &str) -> (Duration, usize) {
    let played = play(2, move |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        assert_eq!(crossing(&stage, &mut listeners[1], 0, 1, message).await, LATENCY);
        stage.act(link(0, 1, fault)).await;
        let taken = crossing(&stage, &mut listeners[1], 0, 1, message).await;
        stage.act(link(0, 1, LinkFault::default())).await;
        assert_eq!(crossing(&stage, &mut listeners[1], 0, 1, message).await, LATENCY);
        taken
    });
    (played.value, played.count(Kind::Drop, reason))
}

#[test]
pub fn a_lost_packet_comes_late() {
    let fault = LinkFault {
        loss_ppm: ALWAYS,
        ..LinkFault::default()
    };
    // Six losses in a row, each of which doubles the wait.
    assert_eq!(
        crossing_under(fault, b"message", "loss"),
        (LATENCY + RETRANSMIT * 63, 1)
    );
}

#[test]
pub fn a_lost_dial_is_gone() {
    play(2, |stage| async move {
        let fault = LinkFault {
            loss_ppm: ALWAYS,
            ..LinkFault::default()
        };
        stage.act(link(0, 1, fault)).await;
        crate::introduce(&stage, 0, 2);
        crate::introduce(&stage, 1, 2);
        stage.wait(LONG).await;
        assert_eq!((connected(&stage, 0), connected(&stage, 1)), (0, 0));
        stage.act(link(0, 1, LinkFault::default())).await;
        stage.wait(LONG).await;
        assert_eq!((connected(&stage, 0), connected(&stage, 1)), (1, 1));
    });
}

#[test]
pub fn a_vanished_message_never_comes() {
    let played = play(2, |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let fault = LinkFault {
            vanish_ppm: ALWAYS,
            ..LinkFault::default()
        };
        stage.act(link(0, 1, fault)).await;
        // More than the queue holds: what vanishes takes no room.
        for _ in 0..CHANNEL.queue * 2 {
            send(&stage, 0, 1, b"gone");
        }
        assert_eq!(message_within(&stage, &mut listeners[1], LONG).await, None);
        let request = stage
            .env(0)
            .network()
            .request(stage.address(1).id, CHANNEL, Bytes::new(), LONG);
        let timeout = NetworkError::Timeout {
            peer: stage.address(1).id,
        };
        assert_eq!(request.await, Err(timeout));
        // What has to be whole does not vanish in part.
        let (mut sender, mut receiver) = stream(&stage, &mut listeners).await;
        sender
            .send(Bytes::from_static(b"frame"))
            .await
            .expect("the stream stands");
        assert_eq!(receiver.recv().await, Ok(Some(Bytes::from_static(b"frame"))));
        stage.act(link(0, 1, LinkFault::default())).await;
        crossing(&stage, &mut listeners[1], 0, 1, b"here").await
    });
    assert_eq!(played.value, LATENCY);
    let vanished = usize::try_from(CHANNEL.queue).expect("it is small") * 2 + 1;
    assert_eq!(played.count(Kind::Drop, "vanished"), vanished);
}

#[test]
pub fn a_duplicate_is_thrown_away() {
    let played = play(2, |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let fault = LinkFault {
            duplicate_ppm: ALWAYS,
            ..LinkFault::default()
        };
        stage.act(link(0, 1, fault)).await;
        let mut arrived = Vec::new();
        for number in 0..20_u8 {
            send(&stage, 0, 1, &[number]);
        }
        while let Some(message) = message_within(&stage, &mut listeners[1], Duration::from_secs(1)).await {
            arrived.push(message[0]);
        }
        arrived.sort_unstable();
        arrived
    });
    assert_eq!(played.value, Vec::from_iter(0..20));
    assert!(played.count(Kind::Drop, "duplicate") >= 20);
}

#[test]
pub fn a_twin_that_was_held_up_is_thrown_away() {
    let played = play(2, |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let fault = LinkFault {
            duplicate_ppm: ALWAYS,
            ..LinkFault::default()
        };
        stage.act(link(0, 1, fault)).await;
        send(&stage, 0, 1, b"once");
        // Both copies are under way when the link is cut.
        stage.act(Action::Cut { from: 0, to: 1 }).await;
        stage.wait(Duration::from_secs(1)).await;
        stage.act(Action::Mend { from: 0, to: 1 }).await;
        let mut arrived = 0;
        while message_within(&stage, &mut listeners[1], LONG).await.is_some() {
            arrived += 1;
        }
        arrived
    });
    assert_eq!((played.value, played.count(Kind::Drop, "blocked")), (1, 2));
}

#[test]
pub fn a_corrupt_packet_is_never_delivered() {
    let fault = LinkFault {
        corrupt_ppm: ALWAYS,
        ..LinkFault::default()
    };
    // `crossing` compares the bytes.
    assert_eq!(
        crossing_under(fault, b"message", "corrupt"),
        (LATENCY + RETRANSMIT, 1)
    );
}

#[test]
pub fn a_detour_lets_later_messages_overtake() {
    let numbers = |detours: bool| {
        let played = play(2, move |stage| async move {
            let mut listeners = connect(&stage, 2).await;
            if detours {
                let fault = LinkFault {
                    reorder_ppm: ALWAYS / 2,
                    detour_us: 100_000,
                    ..LinkFault::default()
                };
                stage.act(link(0, 1, fault)).await;
            }
            for number in 0..50_u8 {
                send(&stage, 0, 1, &[number]);
                stage.wait(LATENCY / 10).await;
            }
            let mut arrived = Vec::new();
            let longest = Duration::from_millis(101);
            while let Some(message) = message_within(&stage, &mut listeners[1], longest).await {
                arrived.push(message[0]);
            }
            let (mut sender, mut receiver) = stream(&stage, &mut listeners).await;
            let mut frames = Vec::new();
            for number in 0..50_u8 {
                sender
                    .send(Bytes::from(vec![number]))
                    .await
                    .expect("the stream stands");
            }
            while frames.len() < 50 {
                let frame = receiver.recv().await.expect("the stream stands");
                frames.push(frame.expect("frames follow")[0]);
            }
            (arrived, frames)
        });
        played.value
    };
    let in_order = Vec::from_iter(0..50);
    assert_eq!(numbers(false), (in_order.clone(), in_order.clone()));
    let (mut arrived, frames) = numbers(true);
    assert_ne!(arrived, in_order);
    arrived.sort_unstable();
    assert_eq!(
        (arrived, frames),
        (in_order.clone(), in_order),
        "frames wait for each other"
    );
}

#[test]
pub fn a_fault_strikes_the_links_that_it_names() {
    let slow = |from, to| Action::Link {
        from,
        to,
        fault: LinkFault {
            extra_latency_us: 5_000,
            ..LinkFault::default()
        },
    };
    let links = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
    for (from, to) in [(Some(0), Some(1)), (Some(0), None), (None, Some(2)), (None, None)] {
        let played = play(3, move |stage| async move {
            let mut listeners = connect(&stage, 3).await;
            stage.act(slow(from, to)).await;
            let mut times = Vec::new();
            for (a, b) in links {
                times.push(crossing(&stage, &mut listeners[b], a, b, b"message").await);
            }
            times
        });
        let expected = links.map(|(a, b)| {
            let struck = from.is_none_or(|from| from == a) && to.is_none_or(|to| to == b);
            LATENCY * if struck { 6 } else { 1 }
        });
        assert_eq!(played.value, expected, "{from:?} to {to:?}");
    }
}

#[test]
pub fn a_thin_link_takes_its_time_by_the_byte() {
    let played = play(2, |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let fault = LinkFault {
            bytes_per_second: 10_000,
            ..LinkFault::default()
        };
        stage.act(link(0, 1, fault)).await;
        let start = stage.hand().clock().now();
        // With its 60 bytes of frame each has a thousand bytes.
        send(&stage, 0, 1, &[1; 940]);
        send(&stage, 0, 1, &[2; 940]);
        let mut times = Vec::new();
        for _ in 0..2 {
            message_within(&stage, &mut listeners[1], LONG)
                .await
                .expect("it arrives");
            times.push(took(stage.hand(), start));
        }
        times
    });
    let by_byte = Duration::from_millis(100);
    assert_eq!(played.value, [by_byte + LATENCY, by_byte * 2 + LATENCY]);
}

/// Sends a message over each of `links` and gives those over which it came within a second. What did not come is
/// still under way.
async fn open_links(
    stage: &Stage,
    listeners: &mut [sim::network::SimListener],
    links: &[(usize, usize)],
) -> Vec<(usize, usize)> {
    let mut open = Vec::new();
    for (from, to) in links {
        send(stage, *from, *to, b"probe");
        if message_within(stage, &mut listeners[*to], Duration::from_secs(1))
            .await
            .is_some()
        {
            open.push((*from, *to));
        }
    }
    open
}

#[test]
pub fn a_partition_stops_exactly_its_direction() {
    let links = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
    let cases = [
        (Direction::Both, vec![(1, 2), (2, 1)]),
        (Direction::Out, vec![(1, 0), (2, 0), (1, 2), (2, 1)]),
        (Direction::In, vec![(0, 1), (0, 2), (1, 2), (2, 1)]),
    ];
    for (direction, expected) in cases {
        let played = play(3, move |stage| async move {
            let mut listeners = connect(&stage, 3).await;
            let side = vec![0];
            let partition = Action::Partition {
                side: side.clone(),
                direction,
            };
            // Two partitions are two: the end of one leaves the other.
            stage.act(partition.clone()).await;
            stage.act(partition).await;
            let heal = Action::Heal { side, direction };
            stage.act(heal.clone()).await;
            let open = open_links(&stage, &mut listeners, &links).await;
            stage.act(heal).await;
            // What was held up comes now, after a retransmission.
            let start = stage.hand().clock().now();
            let mut late = 0;
            for listener in &mut listeners {
                while message_within(&stage, listener, RETRANSMIT + LATENCY)
                    .await
                    .is_some()
                {
                    late += 1;
                }
            }
            assert!(took(stage.hand(), start) >= RETRANSMIT);
            let after = open_links(&stage, &mut listeners, &links).await;
            (open, late, after)
        });
        let late = links.len() - expected.len();
        assert_eq!(played.value, (expected, late, links.to_vec()), "{direction:?}");
    }
}

#[test]
pub fn a_partition_outlives_a_session() {
    let mut lab = lab(2);
    (lab.config.net.idle_ms, lab.config.net.keepalive_ms) = (10_000, 2_000);
    let played = lab.run::<Madsim, _, _, _>(|stage| async move {
        let mut listeners = connect(&stage, 2).await;
        stage.act(Action::Cut { from: 0, to: 1 }).await;
        send(&stage, 0, 1, b"lost with its session");
        stage.wait(Duration::from_secs(15)).await;
        let first = (connected(&stage, 0), connected(&stage, 1));
        stage.wait(Duration::from_secs(15)).await;
        let during = (first, connected(&stage, 0), connected(&stage, 1));
        stage.act(Action::Mend { from: 0, to: 1 }).await;
        stage.wait(LONG).await;
        let left = message_within(&stage, &mut listeners[1], LONG).await;
        (during, left, connected(&stage, 0), connected(&stage, 1))
    });
    // Node 1 hears nothing and gives up without a word; then node 0 hears nothing either.
    assert_eq!(played.value, (((1, 0), 0, 0), None, 1, 1));
}

#[test]
pub fn a_cut_stops_one_direction_of_one_link() {
    let links = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
    let played = play(3, move |stage| async move {
        let mut listeners = connect(&stage, 3).await;
        stage.act(Action::Cut { from: 2, to: 0 }).await;
        let open = open_links(&stage, &mut listeners, &links).await;
        stage.act(Action::Mend { from: 2, to: 0 }).await;
        let late = message_within(&stage, &mut listeners[0], LONG).await;
        let after = open_links(&stage, &mut listeners, &links).await;
        (open, late, after)
    });
    let but_one = vec![(0, 1), (1, 0), (0, 2), (1, 2), (2, 1)];
    let late = Some(Bytes::from_static(b"probe"));
    assert_eq!(played.value, (but_one, late, links.to_vec()));
}

type Halves = (
    <sim::network::SimStream as Stream>::Sender,
    <sim::network::SimStream as Stream>::Receiver,
);

/// A stream from node 0 to node 1: where frames go in and where they come out. The way back is dropped.
async fn stream(stage: &Stage, listeners: &mut [sim::network::SimListener]) -> Halves {
    let open = stage
        .env(0)
        .network()
        .open(stage.address(1).id, CHANNEL, Bytes::new(), LONG);
    let opened = open.await.expect("a connection stands");
    match listeners[1].accept().await {
        Ok(Inbound::Stream { stream, .. }) => (opened.split().0, stream.split().1),
        _ => panic!("something other than a stream arrived"),
    }
}

#[test]
pub fn a_reset_breaks_what_stands_at_both_ends() {
    play(2, |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let (mut sender, mut receiver) = stream(&stage, &mut listeners).await;
        let (network, peer) = (stage.env(0).network().clone(), stage.address(1).id);
        let scope = stage.hand().spawner().scope("asks");
        let request = scope.spawn("asks", async move {
            network.request(peer, CHANNEL, Bytes::new(), LONG).await
        });
        let Ok(Inbound::Request { reply, .. }) = listeners[1].accept().await else {
            panic!("something other than a request arrived");
        };
        stage.act(Action::Reset { from: 0, to: 1 }).await;
        // One end knows at once, the other when the reset has crossed.
        let (here, there) = (stage.address(1).id, stage.address(0).id);
        assert_eq!(
            sender.send(Bytes::new()).await,
            Err(NetworkError::Reset { peer: here })
        );
        assert_eq!(request.await, Ok(Err(NetworkError::Reset { peer: here })));
        assert_eq!((connected(&stage, 0), connected(&stage, 1)), (0, 1));
        let start = stage.hand().clock().now();
        assert_eq!(receiver.recv().await, Err(NetworkError::Reset { peer: there }));
        assert!(took(stage.hand(), start) <= LATENCY);
        drop(reply);
        stage.wait(LONG).await;
        assert_eq!((connected(&stage, 0), connected(&stage, 1)), (1, 1));
        assert_eq!(crossing(&stage, &mut listeners[1], 0, 1, b"again").await, LATENCY);
    });
}

/// A channel that is soon full.
const NARROW: Channel = Channel {
    id: 2,
    label: "narrow",
    queue: 4,
    concurrency: 2,
    ..CHANNEL
};

/// Ends the session of the two nodes, and waits until the next one stands.
async fn reconnect(stage: &Stage) {
    stage.act(Action::Reset { from: 0, to: 1 }).await;
    stage.wait(LONG).await;
    assert_eq!((connected(stage, 0), connected(stage, 1)), (1, 1));
}

#[test]
fn resets_do_not_add_up_what_waits_for_a_listener() {
    let played = play(2, |stage| async move {
        let _others = connect(&stage, 2).await;
        let narrow = stage.env(1).network().listen(NARROW);
        let mut listener = narrow.expect("the channel is free");
        let scope = stage.hand().spawner().scope("asks");
        for _ in 0..10 {
            let (network, peer) = (stage.env(0).network().clone(), stage.address(1).id);
            for _ in 0..NARROW.concurrency {
                let network = network.clone();
                let asks = async move { network.request(peer, NARROW, Bytes::new(), LONG).await };
                drop(scope.spawn("asks", asks)); // the scope owns it
                drop(
                    stage
                        .env(0)
                        .network()
                        .open(peer, NARROW, Bytes::new(), LONG)
                        .await,
                );
            }
            stage.wait(LATENCY * 3).await;
            reconnect(&stage).await;
        }
        let mut waited = 0;
        while let Ok(arrival) = stage.hand().clock().timeout(LATENCY, listener.accept()).await {
            drop(arrival);
            waited += 1;
        }
        waited
    });
    assert_eq!(played.value, NARROW.queue + 2 * NARROW.concurrency);
}

#[test]
fn what_an_old_session_left_does_not_widen_the_window_of_the_next() {
    play(2, |stage| async move {
        let _others = connect(&stage, 2).await;
        let narrow = stage.env(1).network().listen(NARROW);
        let mut listener = narrow.expect("the channel is free");
        let send = |stage: &Stage| {
            let peer = stage.address(1).id;
            stage.env(0).network().send(peer, NARROW, Bytes::new())
        };
        let busy = Err(NetworkError::Busy {
            peer: stage.address(1).id,
            channel: NARROW.label,
        });
        for _ in 0..NARROW.queue {
            assert_eq!(send(&stage), Ok(()));
        }
        assert_eq!(send(&stage), busy);
        stage.wait(LATENCY * 2).await;
        reconnect(&stage).await;
        for _ in 0..NARROW.queue {
            assert_eq!(send(&stage), Ok(()));
        }
        stage.wait(LATENCY * 2).await;
        for _ in 0..NARROW.queue {
            assert!(message_within(&stage, &mut listener, LATENCY).await.is_some());
        }
        stage.wait(LATENCY * 2).await;
        assert_eq!(
            send(&stage),
            busy,
            "those that were taken were of the old session"
        );
        assert!(message_within(&stage, &mut listener, LATENCY).await.is_some());
        stage.wait(LATENCY * 2).await;
        assert_eq!(send(&stage), Ok(()));
    });
}

#[test]
fn dropping_a_listener_leaves_the_streams_of_later_sessions() {
    play(2, |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let narrow = stage.env(1).network().listen(NARROW);
        let narrow = narrow.expect("the channel is free");
        let network = stage.env(0).network();
        let waits = network
            .open(stage.address(1).id, NARROW, Bytes::new(), LONG)
            .await;
        stage.wait(LATENCY * 2).await;
        reconnect(&stage).await;
        // The first stream of its session, as the one that waits is of the session before.
        let (mut sender, mut receiver) = stream(&stage, &mut listeners).await;
        drop((narrow, waits));
        stage.wait(LATENCY * 2).await;
        let sent = sender.send(Bytes::from_static(b"frame")).await;
        sent.expect("the stream stands");
        assert_eq!(receiver.recv().await, Ok(Some(Bytes::from_static(b"frame"))));
    });
}

#[test]
fn nothing_follows_the_end_of_a_stream() {
    play(2, |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let (mut sender, mut receiver) = stream(&stage, &mut listeners).await;
        let slow = LinkFault {
            extra_latency_us: 1_000_000,
            ..LinkFault::default()
        };
        stage.act(link(0, 1, slow)).await;
        let sent = sender.send(Bytes::from_static(b"late")).await;
        sent.expect("the stream stands");
        stage.act(link(0, 1, LinkFault::default())).await;
        // The reset of the direction overtakes the frame.
        drop(sender);
        let reset = Err(NetworkError::Reset {
            peer: stage.address(0).id,
        });
        assert_eq!(receiver.recv().await, reset);
        stage.wait(Duration::from_secs(2)).await;
        assert_eq!(receiver.recv().await, reset);
    });
}

#[test]
fn steps_of_one_instant_come_in_their_order() {
    let mut lab = lab(2);
    lab.steps = (1..=20)
        .map(|millis| {
            let fault = LinkFault {
                extra_latency_us: millis * 1_000,
                ..LinkFault::default()
            };
            Step::new(5_000, link(0, 1, fault))
        })
        .collect();
    let played = lab.run::<Madsim, _, _, _>(|stage| async move {
        let mut listeners = connect(&stage, 2).await;
        stage.wait(Duration::from_secs(6)).await;
        crossing(&stage, &mut listeners[1], 0, 1, b"message").await
    });
    assert_eq!(played.value, LATENCY * 21, "the last one stands");
}
