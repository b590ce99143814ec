//! Random models of any shape, which another implementation can make byte for byte.
//!
//! Their entries are about as large as those of models that training begins with: no layer dies and none explodes. They are for
//! tests, self-tests and local networks; what they predict is nothing.
//!
//! Source: `EXACT.md` 10.

use crypto::Digest;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::shape::{Shape, TensorShape};

/// How the sizes of entries differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Much like a normal distribution.
    Even,
    /// One entry of 64 is 32 times as large: what scales and bounds have to stand.
    Outliers,
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// The file of the random model of this shape and seed.
pub fn model(shape: &Shape, seed: u64, spread: Spread) -> Vec<u8> {
    let tensors: Vec<_> = shape
        .tensors()
        .into_iter()
        .map(|tensor| (entries(&tensor, seed, spread), tensor))
        .collect();
    let views = tensors.iter().map(|(data, tensor)| {
        let view = TensorView::new(Dtype::F32, tensor.dimensions.clone(), data);
        (&tensor.name, view.expect("each entry has four bytes"))
    });
    safetensors::serialize(views, None).expect("the tensors of a shape lie one behind the other")
}

/// The entries of a tensor, row by row: `(one + draw)·2^-scale` as 32-bit floats.
fn entries(tensor: &TensorShape, seed: u64, spread: Spread) -> Vec<u8> {
    let name = Digest::of(tensor.name.as_bytes());
    let (start, _) = name
        .as_bytes()
        .split_first_chunk()
        .expect("a digest is longer than a word");
    let mut words = Words(seed ^ u64::from_le_bytes(*start));
    let (one, scale) = match tensor.dimensions[..] {
        _ if tensor.name == "embedding.weight" => (0, 15),
        [rows, _] => (0, 15 + rows.ilog2() / 2),
        _ if tensor.name.ends_with("gamma") => (1 << 18, 18),
        _ => (0, 19),
    };
    let entry = |_| (one + draw(&mut words, spread), scale);
    let bits = (0..tensor.entries()).map(entry);
    bits.flat_map(|(value, scale)| float(value, scale).to_le_bytes())
        .collect()
}

/// The sum of the four quarters of a word, less what it is on average; 37837 is its standard deviation.
fn draw(words: &mut Words, spread: Spread) -> i32 {
    let word = words.next();
    let quarters = [
        word & 0xffff,
        (word >> 16) & 0xffff,
        (word >> 32) & 0xffff,
        word >> 48,
    ];
    let sum = i32::try_from(quarters.iter().sum::<u64>()).expect("four numbers of 16 bits");
    let even = sum - 2 * 65_535;
    let large = spread == Spread::Outliers && words.next().is_multiple_of(64);
    if large { 32 * even } else { even }
}

/// The bits of the 32-bit float that is exactly `value·2^-scale`.
fn float(value: i32, scale: u32) -> u32 {
    let size = value.unsigned_abs();
    if size == 0 {
        return 0;
    }
    let exponent = size.ilog2();
    assert!(exponent < 24 && scale < 100, "a float of this size has 24 bits");
    let mantissa = (size << (23 - exponent)) & 0x7f_ffff;
    let sign = u32::from(value < 0) << 31;
    sign | (127 + exponent - scale) << 23 | mantissa
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_paper() {
        let mut words = Words(1_234_567);
        let first = [words.next(), words.next(), words.next()];
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn a_float_has_the_bits_of_its_number() {
        for (value, scale, bits) in [
            (0, 3, 0),
            (1, 0, 0x3f80_0000),
            (-1, 0, 0xbf80_0000),
            (3, 1, 0x3fc0_0000),
            (-5, 4, 0xbea0_0000),
            (0xff_ffff, 24, 0x3f7f_ffff),
        ] {
            assert_eq!(float(value, scale), bits, "{value} / 2^{scale}");
        }
    }

    #[test]
    fn seeds_and_spreads_make_different_models_of_one_length() {
        let shape = Shape::SMALL;
        let [one, other, outliers] = [(1, Spread::Even), (2, Spread::Even), (1, Spread::Outliers)]
            .map(|(seed, spread)| model(&shape, seed, spread));
        assert!(one != other && one != outliers && other != outliers);
        assert_eq!((one.len(), one.len()), (other.len(), outliers.len()));
        assert_eq!(one, model(&shape, 1, Spread::Even));
    }
}
