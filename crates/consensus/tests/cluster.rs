//! A few machines and a queue of messages between them: the crate's story.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

mod cluster {
    pub mod net;
}

use std::time::Duration;

use cluster::net::{Cluster, Fate};

#[test]
fn four_members_order_what_they_are_given() {
    let mut cluster = Cluster::new(4);
    for number in 0..40u32 {
        cluster.submit(number as usize % 4, &number.to_le_bytes());
    }
    cluster.run(Duration::from_secs(5));
    cluster.check_agreement();
    let ordered = cluster.ordered(0);
    assert_eq!(ordered.len(), 40);
    for member in 0..4 {
        assert_eq!(cluster.ordered(member), ordered);
        assert!(cluster.commits(member) > 20, "{}", cluster.commits(member));
    }
}

#[test]
fn a_member_that_was_cut_off_fills_its_rounds_and_catches_up() {
    let mut cluster = Cluster::new(4);
    cluster.run(Duration::from_secs(1));
    cluster.fate = Box::new(|from, to| {
        if from == 3 || to == 3 {
            Fate::Lost
        } else {
            Fate::Arrives(Duration::from_millis(10))
        }
    });
    for number in 0..40u32 {
        cluster.submit(number as usize % 3, &number.to_le_bytes());
    }
    cluster.run(Duration::from_secs(5));
    let behind = cluster.commits(3);
    assert!(
        cluster.commits(0) > behind + 10,
        "{} and {behind}",
        cluster.commits(0)
    );
    cluster.fate = Box::new(|_, _| Fate::Arrives(Duration::from_millis(10)));
    cluster.run(Duration::from_secs(5));
    cluster.check_agreement();
    assert!(
        cluster.commits(3) + 5 > cluster.commits(0),
        "{} and {}",
        cluster.commits(3),
        cluster.commits(0)
    );
}

#[test]
fn a_restarted_member_goes_on_where_it_was() {
    let mut cluster = Cluster::new(4);
    for number in 0..40u32 {
        cluster.submit(number as usize % 4, &number.to_le_bytes());
    }
    for round in 0..10 {
        cluster.run(Duration::from_millis(700));
        cluster.restart(round % 4);
    }
    cluster.run(Duration::from_secs(5));
    cluster.check_agreement();
    cluster.check_no_double_signing();
    assert!(cluster.commits(0) > 40);
}

#[test]
fn a_member_without_its_store_asks_what_it_has_signed() {
    let mut cluster = Cluster::new(4);
    cluster.run(Duration::from_secs(2));
    cluster.wipe(2);
    cluster.run(Duration::from_secs(5));
    cluster.check_agreement();
    cluster.check_no_double_signing();
    let (other, wiped) = (cluster.commits(0), cluster.commits(2));
    assert!(wiped + 5 > other, "{wiped} and {other}");
    assert!(!cluster.status(2).is_recovering);
}

#[test]
fn one_of_four_down_stops_nobody() {
    let mut cluster = Cluster::new(4);
    cluster.fate = Box::new(|from, to| {
        if from == 1 || to == 1 {
            Fate::Lost
        } else {
            Fate::Arrives(Duration::from_millis(10))
        }
    });
    for number in 0..40u32 {
        cluster.submit(0, &number.to_le_bytes());
    }
    cluster.run(Duration::from_secs(10));
    cluster.check_agreement();
    assert_eq!(cluster.ordered(0).len(), 40);
    assert!(cluster.commits(0) > 50, "{}", cluster.commits(0));
}

#[test]
fn a_member_that_starts_again_at_any_moment_makes_the_same_commits() {
    let mut cluster = Cluster::new(4);
    // Nobody waits for what comes so late: its author loses its slots, and has them back when it is no worse than others.
    cluster.fate = Box::new(|from, _| Fate::Arrives(Duration::from_millis(if from == 1 { 400 } else { 10 })));
    for number in 0..200u32 {
        cluster.submit(number as usize % 4, &number.to_le_bytes());
    }
    for _ in 0..600 {
        cluster.run(Duration::from_millis(23));
        cluster.restart(3);
    }
    cluster.run(Duration::from_secs(5));
    cluster.check_agreement();
    cluster.check_no_double_signing();
    let schedules = cluster.commits(0) as u64 / cluster.rules.commits_per_schedule;
    assert!(schedules > 3, "{schedules}");
    assert!(
        cluster.commits(3) + 5 > cluster.commits(0),
        "{} and {}",
        cluster.commits(3),
        cluster.commits(0)
    );
}
