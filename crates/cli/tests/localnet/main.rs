//! A committee of processes on this machine: it commits, and its members survive what happens to processes and disks.

mod kills;
mod kit;

use std::fs;
use std::path::PathBuf;

use kit::{Node, committee, number, soma};

#[test]
fn members_commit_one_killed_goes_on_and_one_that_lost_its_disk_recovers() {
    let (_folder, files) = committee(&[]);
    let load = ["--load", "20", "--size", "64"];
    let start = |file: &PathBuf| Node::start(file, &[&["--first-start"][..], &load].concat());
    let mut nodes: Vec<Node> = files.iter().map(start).collect();
    for node in &mut nodes {
        node.until(|line| line.commit >= 20);
    }

    // A process that is killed goes on from its disk.
    let before = nodes[3].line();
    drop(nodes.pop());
    let mut killed = Node::start(&files[3], &load);
    let after = killed.until(|line| line.commit > before.commit + 20);
    assert!(
        after.own > before.own && !after.is_recovering,
        "{before:?} {after:?}"
    );
    nodes.push(killed);

    // One that lost its disk finds out what it has signed from the others.
    let before = nodes[3].line();
    drop(nodes.pop());
    fs::remove_dir_all(files[3].with_file_name("data")).expect("the disk is lost");
    let mut wiped = Node::start(&files[3], &load);
    let after = wiped.until(|line| line.own > before.own && line.commit > before.commit + 20);
    assert!(!after.is_recovering, "{before:?} {after:?}");
}

#[test]
fn a_member_whose_store_is_damaged_gives_it_up_for_good_and_recovers() {
    let (_folder, files) = committee(&[]);
    let mut nodes: Vec<Node> = files
        .iter()
        .map(|file| Node::start(file, &["--first-start"]))
        .collect();
    for node in &mut nodes {
        node.until(|line| line.commit >= 10);
    }
    let before = nodes[3].line();
    drop(nodes.pop());
    let store = files[3].with_file_name("data").join("consensus-0.redb");
    let sound = fs::read(&store).expect("the store");
    fs::write(&store, vec![0xa5; sound.len()]).expect("the store is damaged");
    let mut damaged = Node::start(&files[3], &[]);
    let after = damaged.until(|line| line.own > before.own);
    assert!(!after.is_recovering, "{before:?} {after:?}");
    drop(damaged);

    // What the damaged store said comes back, and is older than what was signed since: nobody asks it any more.
    fs::write(&store, sound).expect("the old store is back");
    let mut back = Node::start(&files[3], &[]);
    let first = back.until(|line| line.own > 0);
    assert!(
        first.own >= after.own && !first.is_recovering,
        "{after:?} {first:?}"
    );
}

#[test]
fn without_a_quorum_nothing_is_committed_until_there_is_one_again() {
    let (_folder, files) = committee(&["--relaxed"]);
    let mut nodes: Vec<Node> = files[..2]
        .iter()
        .map(|file| Node::start(file, &["--first-start"]))
        .collect();
    // Both make their first block and cannot go further.
    nodes[0].until(|line| line.own == 1);
    let line = nodes[0].line();
    assert_eq!((line.round, line.commit), (0, 0));
    nodes.push(Node::start(&files[2], &["--first-start"]));
    for node in &mut nodes {
        node.until(|line| line.commit >= 5);
    }
}

#[test]
fn an_epoch_that_is_over_is_served_to_who_was_not_there() {
    let (_folder, files) = committee(&["--relaxed"]);
    for file in &files {
        let text = fs::read_to_string(file).expect("a file");
        let start = number(&text, "start_ms = ").expect("a start");
        let section = format!("start_ms = {start}\n");
        let ending = format!("{section}end_ms = {}\n", start + 3_000);
        fs::write(file, text.replace(&section, &ending)).expect("a file");
    }
    let start = |file: &PathBuf| Node::start(file, &["--first-start"]);
    let mut nodes: Vec<Node> = files[..3].iter().map(start).collect();
    let closed: Vec<u64> = nodes.iter_mut().map(Node::closed).collect();
    assert!(
        closed[0] > 0 && closed.iter().all(|last| *last == closed[0]),
        "{closed:?}"
    );
    // Nobody makes blocks any more: all that the last member needs are old ones.
    assert_eq!(start(&files[3]).closed(), closed[0]);
}

#[test]
fn a_file_that_is_wrong_is_named_with_its_field() {
    let (_folder, files) = committee(&[]);
    let text = fs::read_to_string(&files[0]).expect("a file");
    fs::write(&files[0], text.replace("index = 0", "index = 7")).expect("a file");
    let output = soma()
        .args(["consensus", "--config"])
        .arg(&files[0])
        .output()
        .expect("the command runs");
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).expect("text");
    let expected = format!(
        "soma: {}: `index` is 7 where there are 4 members; count members from 0\n",
        files[0].display()
    );
    assert_eq!(said, expected);
}
