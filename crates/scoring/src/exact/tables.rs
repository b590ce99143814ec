//! The tables, made from integers alone when they are first asked for, and the digests that they must have.
//!
//! Source: `EXACT.md` 3. A generator that went wrong on some machine would change scores, so each table is compared with its digest.

use std::sync::LazyLock;

use crypto::Digest;

use super::round::shift_right_wide;
use crate::shape::Shape;

/// One in Q62.
const ONE: i128 = 1 << 62;

/// log2(e) in Q62.
const LOG2_E: i128 = 6_653_256_548_922_161_246;

/// The tables that every model shares.
#[derive(Debug)]
pub struct Tables {
    /// 65024·2^(-i/256): the weights of attention, by the high byte of a fraction.
    pub attention_high: Vec<u32>,
    /// 65536·2^(-i/65536): the same, by the low byte.
    pub attention_low: Vec<u32>,
    /// 2^31·2^(-i/256): probabilities of tokens, by the high byte of a fraction.
    pub token_high: Vec<u32>,
    /// 2^30·2^(-i/65536): the same, by the low byte.
    pub token_low: Vec<u32>,
    /// 2^24·t·Φ(-t) at t = i/256: what GELU is less than its argument.
    pub gelu: Vec<u32>,
}

/// The tables that every model shares.
pub static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables {
    attention_high: pinned(
        powers(8, 65_024),
        "d76c454c8d1857f029376124a239591210c1b6e652f85e3f29cfdcc29e3f464f",
    ),
    attention_low: pinned(
        powers(16, 65_536),
        "5608337c79479004b4d07467df65d146aab60d42a53126a3d8784623bc4dc85d",
    ),
    token_high: pinned(
        powers(8, 1 << 31),
        "382887c142fc3f944514a26d45830f234b65fc91e47c7968f1e2b090d6a0d418",
    ),
    token_low: pinned(
        powers(16, 1 << 30),
        "862f05992f8ec03cce2caf30b3604120ef71e58d71a6b6f244b19eace3915b96",
    ),
    gelu: pinned(
        gelu(),
        "af515c496ab8acafb2f7d8d42ef637fce70dea1db3d4e0095bca04163dde6d45",
    ),
});

/// `table`, whose digest is written in this file.
fn pinned(table: Vec<u32>, digest: &str) -> Vec<u32> {
    let bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    assert_eq!(hex(&Digest::of(&bytes)), digest, "a table is what EXACT.md says");
    table
}

fn hex(digest: &Digest) -> String {
    digest
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The product of two numbers in Q62.
fn multiply(one: i128, other: i128) -> i128 {
    shift_right_wide(one * other, 62)
}

/// `value`, in Q124, after `roots` square roots. Each loses the lower half of its bits.
fn nested_root(value: i128, roots: u32) -> i128 {
    let root = (0..roots).fold(value, |value, _| value.isqrt() << 62);
    shift_right_wide(root, 62)
}

/// `scale·2^(-i/2^log_steps)` for each byte i.
fn powers(log_steps: u32, scale: i128) -> Vec<u32> {
    let step = nested_root(1 << 123, log_steps);
    let powers = std::iter::successors(Some(ONE), |power| Some(multiply(*power, step)));
    powers
        .take(256)
        .map(|power| entry(shift_right_wide(power * scale, 62)))
        .collect()
}

fn entry(value: i128) -> u32 {
    u32::try_from(value).expect("an entry of a table has 32 bits")
}

/// `2^24·t·Φ(-t)` at `t = i/256` for i up to 6·256 + 1, by the series of the normal distribution around 0.
fn gelu() -> Vec<u32> {
    // Terms reach 2^26 and are multiplied by up to 2^11 before they are divided: 86 bits of fraction leave room for both.
    const FRACTION: u32 = 86;
    // 1/√(2π) in Q62.
    const DENSITY: i128 = 1_839_796_536_686_825_613;
    let deficit = |i: i128| {
        let (mut term, mut sum, mut k) = ((i << FRACTION) >> 8, 0, 0);
        // The terms are t^(2k+1)/(2^k·k!), which the sum divides by 2k + 1, with signs that alternate.
        while term != 0 {
            sum += if k % 2 == 0 {
                term / (2 * k + 1)
            } else {
                -(term / (2 * k + 1))
            };
            k += 1;
            term = ((((term * i) >> 8) * i) >> 8) / (2 * k);
        }
        let below = ONE / 2 - multiply(DENSITY, sum >> (FRACTION - 62));
        entry(shift_right_wide(i * below, 62 + 8 - 24))
    };
    (0..=1_537).map(deficit).collect()
}

/// Sines and cosines for the positions of a chunk, Q30, by position and pair.
#[derive(Debug)]
pub struct Rotations {
    /// Pairs of a head: half its width.
    pairs: usize,
    /// (cosine, sine), times log2(e)/√head width: for queries.
    query: Vec<(i32, i32)>,
    /// (cosine, sine): for keys.
    key: Vec<(i32, i32)>,
}

impl Rotations {
    /// Those that a model of this shape needs.
    pub fn new(shape: &Shape) -> Self {
        let (pairs, positions) = (shape.head_width() / 2, shape.sequence());
        let factor = query_factor(shape.head_width());
        let turns: Vec<_> = frequencies(pairs).into_iter().map(turn).collect();
        let (mut query, mut key) = (Vec::new(), Vec::new());
        let mut angles = vec![(ONE, 0); pairs];
        for _ in 0..positions {
            for (angle, turn) in angles.iter_mut().zip(&turns) {
                let (cos, sin) = *angle;
                let half = |value| i32::try_from(shift_right_wide(value, 32)).expect("at most one in Q30");
                key.push((half(cos), half(sin)));
                query.push((half(multiply(cos, factor)), half(multiply(sin, factor))));
                *angle = (
                    multiply(cos, turn.0) - multiply(sin, turn.1),
                    multiply(sin, turn.0) + multiply(cos, turn.1),
                );
            }
        }
        Self { pairs, query, key }
    }

    /// Those of a query at `position`, one for each pair.
    pub fn query(&self, position: usize) -> &[(i32, i32)] {
        &self.query[position * self.pairs..][..self.pairs]
    }

    /// Those of a key at `position`, one for each pair.
    pub fn key(&self, position: usize) -> &[(i32, i32)] {
        &self.key[position * self.pairs..][..self.pairs]
    }
}

/// Radians per position of each pair, in Q62: 10000^(-i/pairs).
fn frequencies(pairs: usize) -> Vec<i128> {
    let ratio = nested_root((1 << 124) / 10_000, pairs.ilog2());
    let frequencies = std::iter::successors(Some(ONE), |frequency| Some(multiply(*frequency, ratio)));
    frequencies.take(pairs).collect()
}

/// Cosine and sine, in Q62, of an angle from 0 to 1.
fn turn(angle: i128) -> (i128, i128) {
    let square = multiply(angle, angle);
    let (mut cos, mut sin) = (ONE, angle);
    let (mut even, mut odd) = (ONE, angle);
    for k in 1..=13 {
        even = -multiply(even, square).div_euclid((2 * k - 1) * (2 * k));
        odd = -multiply(odd, square).div_euclid(2 * k * (2 * k + 1));
        cos += even;
        sin += odd;
    }
    (cos, sin)
}

/// `log2(e)/√head_width` in Q62. Where the root is no power of two, the rounded quotient stands here.
fn query_factor(head_width: usize) -> i128 {
    match head_width {
        8 => 2_352_281_411_358_333_498,
        32 => 1_176_140_705_679_166_749,
        128 => 588_070_352_839_583_375,
        _ => LOG2_E >> (head_width.ilog2() / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `head width | queries' cosines | sines | keys' cosines | sines`, written by `generate.py` beside it: digests of 1024 positions.
    const ROTATIONS: &str = include_str!("../../../../fixtures/scoring/rotations.txt");

    fn digest(table: impl Iterator<Item = i32>) -> String {
        let bytes: Vec<u8> = table.flat_map(i32::to_le_bytes).collect();
        hex(&Digest::of(&bytes))
    }

    fn rotations(head_width: usize) -> Rotations {
        Rotations::new(&Shape::new(1, 1, head_width, 1, 1_024).unwrap())
    }

    #[test]
    fn the_tables_have_the_digests_of_the_document() {
        let found = &*TABLES;
        let ends = |table: &[u32]| (table[0], table[table.len() - 1], table.len());
        assert_eq!(ends(&found.attention_high), (65_024, 32_600, 256));
        assert_eq!(ends(&found.gelu), (0, 0, 1_538));
        assert_eq!(found.gelu.iter().max(), Some(&2_851_632));
        assert_eq!(found.gelu[192], 2_851_632);
    }

    #[test]
    fn rotations_are_those_of_another_implementation() {
        let rows: Vec<_> = ROTATIONS.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(rows.len(), 7);
        for row in rows {
            let (head_width, expected) = row.split_once(" | ").unwrap();
            let found = rotations(head_width.parse().unwrap());
            let parts = [
                digest(found.query.iter().map(|pair| pair.0)),
                digest(found.query.iter().map(|pair| pair.1)),
                digest(found.key.iter().map(|pair| pair.0)),
                digest(found.key.iter().map(|pair| pair.1)),
            ];
            assert_eq!(parts.join(" | "), expected, "{head_width}");
        }
    }

    #[test]
    fn rotations_of_the_document() {
        let found = rotations(256);
        assert_eq!(found.query(0)[0], (96_817_625, 0));
        let cosines: Vec<_> = found.query(1)[..3].iter().map(|pair| pair.0).collect();
        assert_eq!(cosines, [52_310_786, 57_836_460, 62_728_708]);
        assert_eq!(found.query(1)[0].1, 81_469_223);
        assert_eq!(found.query(1_023)[127], (96_233_188, 10_621_967));
    }
}
