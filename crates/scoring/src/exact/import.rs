//! From the bits of a file's floats to the integers of a model.
//!
//! Source: `EXACT.md` 4. The floats are read as what they are, an integer times a power of two, so that no floating-point unit and none
//! of its modes takes part.

use super::Invalid;
use super::norm::Norm;
use super::round::{LIMIT, Quantised, RANGE, check, dot, scale, shift_right};
use super::tables::Rotations;
use crate::file::Weights;
use crate::shape::{Shape, VOCABULARY};

/// A model as the arithmetic sees it.
#[derive(Debug)]
pub struct Model {
    /// Its sizes.
    pub shape: Shape,
    /// A row for each token, Q16.
    pub embedding: Vec<i32>,
    /// In order.
    pub layers: Vec<Layer>,
    /// Of what the last layer gives.
    pub final_norm: Norm,
    /// From there to a logit for each token.
    pub predictor: Linear,
    /// Of queries and keys.
    pub rotations: Rotations,
}

/// Attention, then a feed-forward network; each behind a normalisation, each added to what it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Before attention.
    pub norm_1: Norm,
    /// Of attention.
    pub query: Linear,
    /// Of attention.
    pub key: Linear,
    /// Of attention.
    pub value: Linear,
    /// From the heads back to the width.
    pub output: Linear,
    /// Before the feed-forward network.
    pub norm_2: Norm,
    /// From the width to the inner units.
    pub inner: Linear,
    /// And back.
    pub outer: Linear,
}

/// A matrix and a bias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linear {
    /// The entries, input by input, each times 2^exponent of its column. At most [`LIMIT`] in size.
    pub weights: Vec<i16>,
    /// Of each column, from -2 to 40.
    pub exponents: Vec<i8>,
    /// For each column, Q16. |bias| < 2^30.
    pub bias: Vec<i32>,
}

impl Linear {
    /// `row · weights + bias`, Q16.
    ///
    /// # Errors
    /// [`Invalid::OutOfRange`], also where the bias would bring a sum back into its range.
    pub fn apply(&self, row: &Quantised) -> Result<Vec<i32>, Invalid> {
        let columns = self.bias.len();
        let column = |column| {
            let sum = dot(
                &row.values,
                self.weights[column..].iter().step_by(columns).copied(),
            );
            debug_assert!(sum.unsigned_abs() < 1 << 43, "8192 products of 2^30");
            self.finish(column, sum, row.shift)
        };
        (0..columns).map(column).collect()
    }

    /// What the exact `sum` of a column comes to, for a row that was divided by 2^shift.
    ///
    /// # Errors
    /// [`Invalid::OutOfRange`].
    pub fn finish(&self, column: usize, sum: i64, shift: i32) -> Result<i32, Invalid> {
        let scaled = scale(sum, i32::from(self.exponents[column]) - shift)?;
        check(i64::from(scaled) + i64::from(self.bias[column]))
    }
}

impl Model {
    /// The model whose file this is.
    ///
    /// # Errors
    /// [`Invalid::NotFinite`] or [`Invalid::TooLarge`].
    pub fn import(weights: &Weights<'_>) -> Result<Self, Invalid> {
        let shape = *weights.shape();
        let (width, inner) = (shape.width(), shape.inner());
        let layer = |layer| {
            let norm = |name| norm(weights, &format!("encoder.layers.{layer}.{name}"));
            let linear = |name, columns| linear(weights, &format!("encoder.layers.{layer}.{name}"), columns);
            Ok(Layer {
                norm_1: norm("norm_1")?,
                query: linear("attention.query", width)?,
                key: linear("attention.key", width)?,
                value: linear("attention.value", width)?,
                output: linear("attention.output", width)?,
                norm_2: norm("norm_2")?,
                inner: linear("pwff.linear_inner", inner)?,
                outer: linear("pwff.linear_outer", width)?,
            })
        };
        Ok(Self {
            shape,
            embedding: fixed(weights, "embedding.weight", 16)?,
            layers: (0..shape.layers()).map(layer).collect::<Result<_, _>>()?,
            final_norm: norm(weights, "final_norm")?,
            predictor: linear(weights, "predictor", VOCABULARY)?,
            rotations: Rotations::new(&shape),
        })
    }
}

fn norm(weights: &Weights<'_>, name: &str) -> Result<Norm, Invalid> {
    Ok(Norm {
        gamma: fixed(weights, &format!("{name}.gamma"), 20)?,
        beta: fixed(weights, &format!("{name}.beta"), 16)?,
    })
}

/// The most columns have an exponent of: a column of zeros has it, too.
const MAX_EXPONENT: i32 = 40;

fn linear(weights: &Weights<'_>, name: &str, columns: usize) -> Result<Linear, Invalid> {
    let tensor = format!("{name}.weight");
    let entries = || weights.bits(&tensor);
    let mut largest = vec![0; columns];
    for (at, bits) in entries().enumerate() {
        let size = finite(bits, &tensor)?;
        // Below 2^16. The bits of floats without signs are in the order of their numbers.
        within(size, 16, &tensor)?;
        let largest = &mut largest[at % columns];
        *largest = size.max(*largest);
    }
    let exponents: Vec<i8> = largest.into_iter().map(exponent).collect();
    let entry = |(at, bits): (usize, u32)| {
        let exponent = i32::from(exponents[at % columns]);
        i16::try_from(rounded(bits, exponent)).expect("no larger than the largest of its column")
    };
    let weights_of_columns = entries().enumerate().map(entry).collect();
    Ok(Linear {
        weights: weights_of_columns,
        exponents,
        bias: fixed(weights, &format!("{name}.bias"), 16)?,
    })
}

/// The largest exponent with which a float of these bits does not exceed [`LIMIT`].
fn exponent(largest: u32) -> i8 {
    let fits = |exponent: &i32| rounded(largest, *exponent) <= i64::from(LIMIT);
    let exponent = (-2..=MAX_EXPONENT).rev().find(fits);
    let exponent = exponent.expect("2^16 divided by 4 is below the limit");
    i8::try_from(exponent).expect("at most 40")
}

/// The entries of a tensor times 2^fraction, which must be below 2^30.
fn fixed(weights: &Weights<'_>, tensor: &str, fraction: u32) -> Result<Vec<i32>, Invalid> {
    let entry = |bits| {
        within(finite(bits, tensor)?, 30 - fraction, tensor)?;
        let value = rounded(bits, fraction.cast_signed());
        // The largest float below 2^(30 - fraction) has 24 bits, so it is not rounded up to that.
        debug_assert!(
            value.unsigned_abs() <= u64::from(RANGE.unsigned_abs()),
            "within the range of what is computed"
        );
        Ok(i32::try_from(value).expect("below 2^30"))
    };
    weights.bits(tensor).map(entry).collect()
}

/// The bits without the sign, of a float that is a number.
fn finite(bits: u32, tensor: &str) -> Result<u32, Invalid> {
    let size = bits & 0x7fff_ffff;
    if size >= 0x7f80_0000 {
        let tensor = tensor.to_owned();
        return Err(Invalid::NotFinite { tensor });
    }
    Ok(size)
}

/// That a float of these bits is below 2^power.
fn within(size: u32, power: u32, tensor: &str) -> Result<(), Invalid> {
    if size >= (127 + power) << 23 {
        return Err(too_large(tensor));
    }
    Ok(())
}

fn too_large(tensor: &str) -> Invalid {
    let tensor = tensor.to_owned();
    Invalid::TooLarge { tensor }
}

/// The float of these bits times 2^exponent, rounded to the nearest, ties to even. It is below 2^16, and the exponent at most 40.
fn rounded(bits: u32, exponent: i32) -> i64 {
    let (biased, fraction) = ((bits >> 23) & 0xff, i64::from(bits & 0x7f_ffff));
    // The smallest floats lack the leading one, and have the exponent of those above them.
    let (mantissa, biased) = match biased {
        0 => (fraction, 1),
        _ => (fraction | 1 << 23, biased),
    };
    let shift = biased.cast_signed() - 150 + exponent;
    let size = match shift {
        ..0 => shift_right(mantissa, shift.unsigned_abs()),
        _ => mantissa << shift,
    };
    if bits >> 31 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{self, Spread};

    fn bits(text: &str) -> u32 {
        text.parse::<f32>().unwrap().to_bits() // tidy: allow float: what the bits of a file are, in a test
    }

    #[test]
    fn a_float_is_rounded_as_the_number_it_is() {
        for (text, exponent, expected) in [
            ("0.1", 16, 6_554),
            ("-0.25", 16, -16_384),
            ("1e-9", 16, 0),
            ("-0.0", 40, 0),
            ("0.5", 0, 0),
            ("1.5", 0, 2),
            ("2.5", 0, 2),
            ("-2.5", 0, -2),
            ("65535.99", -2, 16_384),
            ("1e-45", 40, 0),
            ("1.17549435e-38", 40, 0),
            ("65535.99609375", 40, 72_057_589_742_960_640),
        ] {
            assert_eq!(rounded(bits(text), exponent), expected, "{text} · 2^{exponent}");
        }
    }

    #[test]
    fn the_exponent_of_a_column_is_the_largest_that_fits() {
        for (text, expected) in [
            ("0", 40),
            ("0.25", 16),
            ("1", 14),
            ("32639", 0),
            ("32639.5", -1),
            ("32640", -1),
            ("65278", -1),
            ("65279", -2),
            ("65278.99", -1),
            ("65535.99", -2),
            ("1e-45", 40),
            ("2.9e-8", 40),
        ] {
            assert_eq!(exponent(bits(text)), expected, "{text}");
        }
    }

    /// The import of a random model in whose tensor `name` the first entry is the float of this text.
    fn with_first(name: &str, text: &str) -> Result<Model, Invalid> {
        let shape = Shape::new(1, 1, 4, 3, 8).unwrap();
        let mut file = random::model(&shape, 3, Spread::Even);
        let end = file.len();
        let tensors = shape.tensors();
        let from = tensors.iter().position(|tensor| tensor.name == name).unwrap();
        let behind: usize = tensors[from..].iter().map(|tensor| 4 * tensor.entries()).sum();
        file[end - behind..][..4].copy_from_slice(&bits(text).to_le_bytes());
        Model::import(&Weights::read(shape, &file).unwrap())
    }

    #[test]
    fn what_is_no_finite_number_is_named() {
        for tensor in Shape::new(1, 1, 4, 3, 8).unwrap().tensors() {
            for text in ["NaN", "inf", "-inf"] {
                let error = with_first(&tensor.name, text).unwrap_err();
                let name = tensor.name.clone();
                assert_eq!(error, Invalid::NotFinite { tensor: name }, "{text}");
            }
        }
    }

    #[test]
    fn each_kind_of_tensor_has_its_bound() {
        for (name, largest, beyond) in [
            ("embedding.weight", "16383.99", "16384"),
            ("embedding.weight", "-16383.99", "-16384"),
            ("predictor.bias", "16383.99", "16384"),
            ("final_norm.beta", "-16383.99", "-16384"),
            ("final_norm.gamma", "1023.9999", "1024"),
            ("predictor.weight", "65535.99", "65536"),
            ("encoder.layers.0.pwff.linear_outer.weight", "-65535.99", "-65536"),
        ] {
            assert!(with_first(name, largest).is_ok(), "{name} {largest}");
            let tensor = name.to_owned();
            assert_eq!(
                with_first(name, beyond).unwrap_err(),
                Invalid::TooLarge { tensor },
                "{beyond}"
            );
        }
    }
}
