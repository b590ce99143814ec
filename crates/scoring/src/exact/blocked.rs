//! The same score, faster: linear maps as products of matrices in 64-bit floats, block by block.
//!
//! Source: `EXACT.md` 11, bound 1. Every product and every partial sum is an integer below 2^43, and a float of 53 bits holds it, so
//! the order of the sums and whether a multiplication is fused with an addition changes nothing.
// tidy: allow float in this file: each one holds an integer of less than 53 bits

use ndarray::{Array2, ArrayView2, s};

use super::Invalid;
use super::import::Linear;
use super::round::quantise;

/// Columns of whose weights floats are made at once: 16 MiB of them where 8192 inputs are the most.
const COLUMNS: usize = 256;

/// What [`Linear::apply`] gives for each of these rows, quantised.
///
/// # Errors
/// [`Invalid::OutOfRange`].
pub fn apply(linear: &Linear, rows: &[Vec<i32>]) -> Result<Vec<Vec<i32>>, Invalid> {
    let columns = linear.bias.len();
    let depth = linear.weights.len() / columns;
    let weights = ArrayView2::from_shape((depth, columns), &linear.weights);
    let weights = weights.expect("a matrix has as many entries as inputs times columns");
    let quantised: Vec<_> = rows.iter().map(|row| quantise(row)).collect();
    let entry = |(row, input): (usize, usize)| f64::from(quantised[row].values[input]);
    let inputs = Array2::from_shape_fn((rows.len(), depth), entry);
    let mut outputs = vec![Vec::with_capacity(columns); rows.len()];
    for first in (0..columns).step_by(COLUMNS) {
        let block = weights.slice(s![.., first..columns.min(first + COLUMNS)]);
        let sums = inputs.dot(&block.mapv(f64::from));
        for ((output, row), sums) in outputs.iter_mut().zip(&quantised).zip(sums.rows()) {
            for (column, sum) in (first..).zip(sums) {
                output.push(linear.finish(column, whole(*sum), row.shift)?);
            }
        }
    }
    Ok(outputs)
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
            depth in prop_oneof![1..5usize, 30..70usize],
            columns in prop_oneof![1..5usize, 255..258usize, Just(520)],
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
