//! Fills `corpus/` with the golden encodings, so that fuzzing starts at bytes that decode: `cargo run --bin seed` in
//! this folder.

use std::{fs, io};

const GOLDEN: &str = include_str!("../../../fixtures/encoding/words.snap");

fn main() -> io::Result<()> {
    // The head of the file, between two lines of dashes, says where it comes from.
    let rows = GOLDEN.splitn(3, "---\n").nth(2);
    let rows = rows.ok_or_else(|| io::Error::other("the fixture has no head"))?;
    for row in rows.lines() {
        let columns: Vec<_> = row.split_whitespace().collect();
        let [name, _, bytes] = columns[..] else {
            return Err(io::Error::other(format!("a row has three columns: {row}")));
        };
        let kind = name.split("::").next().unwrap_or(name);
        let folder = format!("corpus/{}", snake_case(kind));
        fs::create_dir_all(&folder)?;
        let digits = bytes.trim_start_matches("0x").as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16);
        let bytes: Vec<u8> = digits.chunks(2).map(byte).collect::<Result<_, _>>().map_err(io::Error::other)?;
        fs::write(format!("{folder}/{}", name.replace("::", "_")), bytes)?;
    }
    Ok(())
}

/// `BlsPublicKey` becomes `bls_public_key`; `MultiSig` is one word.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for character in name.replace("MultiSig", "Multisig").chars() {
        if character.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}
