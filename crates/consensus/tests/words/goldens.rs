//! Frames, requests and answers, one fixed value each, against `fixtures/encoding/consensus.snap`. A change of that file
//! is a change of the protocol. To make one on purpose, run `cargo xtask fixtures --accept` and say so in CHANGELOG.md.

use consensus::Request;
use crypto::Digest;
use crypto::bytes::hex;
use types::CommitIndex;

use crate::answers::{block, blocks_request, chain, commits_answer, frames, latest_answer, vote};
use crate::kit::{BEACON, COMPACT, FULL, PLAIN, Parts, decode};

/// `name  Blake2b-256 of the bytes  the bytes`.
fn row(name: &str, bytes: &[u8]) -> String {
    format!(
        "{name}  {}  {}\n",
        hex::encode(Digest::of(bytes).as_bytes()),
        hex::encode(bytes)
    )
}

#[test]
fn every_message_is_the_golden_one() {
    let frame = |form, round| {
        let frame = Parts::new(form, round).frame();
        assert!(decode(&frame).is_ok());
        frame
    };
    let commits = chain(1, 2);
    let votes = vec![vote(0, &commits[1]), vote(1, &commits[1])];
    let request = Request::Commits {
        first: CommitIndex::new(1),
        most: 2,
    };
    let now = [
        row("BlockFrame::Compact", &frame(COMPACT, PLAIN)),
        row("BlockFrame::CompactBeacon", &frame(COMPACT, BEACON)),
        row("BlockFrame::Full", &frame(FULL, PLAIN)),
        row("BlockFrame::FullBeacon", &frame(FULL, BEACON)),
        row("BlocksAnswer", &frames(&[block(0), block(1)])),
        row("CommitsAnswer", &types::encode(&commits_answer(commits, votes))),
        row("LatestAnswer", &types::encode(&latest_answer())),
        row("Request::Blocks", &blocks_request().encode()),
        row("Request::Commits", &request.encode()),
        row("Request::Latest", &Request::Latest.encode()),
    ]
    .concat();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../../fixtures/encoding");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("consensus", now));
}
