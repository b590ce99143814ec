//! Words that fuzzing found worth trying again (`cargo xtask fuzz --keep`): whatever a peer says is read as it was meant, or
//! refused.

#[path = "../../../fuzz/src/consensus.rs"]
mod properties;

/// The kept words of a target, and what has to hold of each.
macro_rules! targets {
    ($($target:ident),+) => {
        [$((
            stringify!($target),
            include_str!(concat!("../../../fixtures/fuzz/", stringify!($target), ".hex")),
            properties::$target as fn(&[u8]),
        )),+]
    };
}

fn word(line: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| {
        let pair = str::from_utf8(pair).expect("digits are ASCII");
        u8::from_str_radix(pair, 16).expect("two digits are a byte")
    };
    line.as_bytes().chunks(2).map(byte).collect()
}

#[test]
fn kept_words_break_nothing() {
    for (target, text, property) in
        targets!(block_frame, blocks_answer, commits_answer, latest_answer, request)
    {
        assert!(text.lines().count() > 10, "{target} has few words");
        text.lines().for_each(|line| property(&word(line)));
    }
}
