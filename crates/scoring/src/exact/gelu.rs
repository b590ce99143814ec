//! The function between the halves of a feed-forward network.
//!
//! Source: `EXACT.md` 8.

use super::round::shift_right;
use super::tables::TABLES;

/// `x·Φ(x)`, Q16: the positive part of x, less `|x|·Φ(-|x|)`, which is the same on both sides of 0.
pub fn gelu(value: i32) -> i32 {
    value.max(0) - deficit(value.unsigned_abs())
}

/// `t·Φ(-t)`, by a line between two entries of the table; nothing from 6 on.
fn deficit(size: u32) -> i32 {
    if size >= 6 << 16 {
        return 0;
    }
    let (at, part) = ((size >> 8) as usize, i64::from(size & 255));
    let [low, high] = [TABLES.gelu[at], TABLES.gelu[at + 1]].map(i64::from);
    let between = low * (256 - part) + high * part;
    debug_assert!(between < 1 << 30, "the largest entry is below 2^22");
    i32::try_from(shift_right(between, 16)).expect("less than one in Q16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_document() {
        for (value, expected) in [
            (-65_536, -10_398),
            (-1, 0),
            (0, 0),
            (1, 1),
            (12_345, 7_095),
            (65_536, 55_138),
            (98_304, 91_737),
            (393_215, 393_215),
            (-458_752, 0),
            (i32::MAX, i32::MAX),
            (i32::MIN, 0),
        ] {
            assert_eq!(gelu(value), expected, "{value}");
        }
    }

    #[test]
    fn both_sides_differ_by_the_argument() {
        for value in 0..7 << 16 {
            assert_eq!(gelu(value) - gelu(-value), value);
        }
    }
}
