//! The same score, faster: linear maps as products of matrices in 64-bit floats, block by block.
//!
//! Source: `EXACT.md` 11, bound 1. Every product and every partial sum is an integer below 2^43, and a float of 53 bits holds it, so
//! the order of the sums and whether a multiplication is fused with an addition changes nothing.
// tidy: allow float in this file: each one holds an integer of less than 53 bits

use super::Invalid;
use super::import::Linear;
use super::round::{Quantised, quantise};

/// Columns whose sums are kept at hand, and of whose weights floats are made at once.
const COLUMNS: usize = 64;
/// Inputs of a block: so that its weights stay in a first-level cache.
const INPUTS: usize = 64;

/// What [`Linear::apply`] gives for each of these rows, quantised.
///
/// # Errors
/// [`Invalid::OutOfRange`].
pub fn apply(linear: &Linear, rows: &[Vec<i32>]) -> Result<Vec<Vec<i32>>, Invalid> {
    let columns = linear.bias.len();
    let quantised: Vec<_> = rows.iter().map(|row| quantise(row)).collect();
    let floats = |row: &Quantised| row.values.iter().map(|value| f64::from(*value)).collect();
    let inputs: Vec<Vec<f64>> = quantised.iter().map(floats).collect();
    let mut outputs = vec![vec![0; columns]; rows.len()];
    for first in (0..columns).step_by(COLUMNS) {
        let sums = products(linear, &inputs, first, COLUMNS.min(columns - first));
        for ((output, row), sums) in outputs.iter_mut().zip(&quantised).zip(sums) {
            for (at, sum) in sums.into_iter().enumerate().take(columns - first) {
                output[first + at] = linear.finish(first + at, whole(sum), row.shift)?;
            }
        }
    }
    Ok(outputs)
}

/// The sums of `count` columns from `first` on, for each row.
fn products(linear: &Linear, inputs: &[Vec<f64>], first: usize, count: usize) -> Vec<[f64; COLUMNS]> {
    let columns = linear.bias.len();
    let mut sums = vec![[0.0; COLUMNS]; inputs.len()];
    let depth = linear.weights.len() / columns;
    let mut block = [[0.0; COLUMNS]; INPUTS];
    for start in (0..depth).step_by(INPUTS) {
        let end = depth.min(start + INPUTS);
        for (weights, input) in block.iter_mut().zip(start..end) {
            let row = &linear.weights[input * columns + first..][..count];
            for (weight, value) in weights.iter_mut().zip(row) {
                *weight = f64::from(*value);
            }
        }
        for (sums, row) in sums.iter_mut().zip(inputs) {
            for (weights, value) in block.iter().zip(&row[start..end]) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += value * weight;
                }
            }
        }
    }
    sums
}

/// The integer that a float is.
fn whole(sum: f64) -> i64 {
    debug_assert!(
        sum.abs() < 8_796_093_022_208.0 && sum.fract() == 0.0,
        "an integer below 2^43"
    );
    sum as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exact::round::{LIMIT, RANGE};

    /// Numbers at the ends of their range, near zero, and anywhere.
    fn numbers(limit: i32) -> impl Strategy<Value = i32> {
        prop_oneof![-limit..=limit, -3..=3, Just(limit), Just(-limit)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn blocks_give_the_bits_of_the_plain_sums(
            depth in prop_oneof![1..5usize, 60..70usize, Just(200)],
            columns in prop_oneof![1..5usize, 60..70usize, Just(150)],
            weights in proptest::collection::vec(numbers(LIMIT), 1..50),
            values in proptest::collection::vec(numbers(RANGE), 1..50),
            exponents in proptest::collection::vec(20..=40i8, 1..9),
            bias in numbers(1 << 20),
        ) {
            let weight = |at: usize| i16::try_from(weights[at % weights.len()]).unwrap();
            let linear = Linear {
                weights: (0..depth * columns).map(weight).collect(),
                exponents: (0..columns).map(|at| exponents[at % exponents.len()]).collect(),
                bias: vec![bias; columns],
            };
            let row = |row: usize| (0..depth).map(|at| values[(row * 7 + at) % values.len()]).collect();
            let rows: Vec<Vec<i32>> = (0..3).map(row).collect();
            let plain: Result<Vec<_>, _> = rows.iter().map(|row| linear.apply(&quantise(row))).collect();
            prop_assert_eq!(apply(&linear, &rows), plain);
        }

        #[test]
        fn the_deepest_sums_are_exact(signs: u64) {
            let sign = |at: usize| if (signs >> (at % 64)) & 1 == 1 { 1 } else { -1 };
            let largest = i16::try_from(LIMIT).unwrap();
            let linear = Linear {
                weights: (0..8_192).map(|at| sign(at / 3) * largest).collect(),
                exponents: vec![40],
                bias: vec![0],
            };
            let rows = [vec![LIMIT; 8_192], (0..8_192).map(|at| i32::from(sign(at)) * LIMIT).collect()];
            let plain: Result<Vec<_>, _> = rows.iter().map(|row| linear.apply(&quantise(row))).collect();
            prop_assert_eq!(apply(&linear, &rows), plain);
        }
    }
}
