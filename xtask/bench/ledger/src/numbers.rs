//! Arithmetic in integers, so that a plot has the same bytes on every machine.
//!
//! A probability is in parts of 2^62.

/// A certain event.
pub const ONE: u128 = 1 << 62;

/// Steps of a table in a deviation.
const STEPS: usize = 1_024;
/// Deviations beyond which nothing is left.
const END: usize = 9;

/// The probabilities of a standard normal variable.
pub struct Normal {
    /// That it exceeds each step of a deviation from zero on.
    above: Vec<u128>,
}

impl Normal {
    /// Sums up the density, which falls from a step `k` to the next by the factor `exp(-(k + 1/2) / STEPS²)`.
    pub fn new() -> Self {
        let square = (STEPS * STEPS) as u128;
        // The first two terms that the exponential series has beyond the first: the third is below 2^-62.
        let falls = ONE - ONE / square + ONE / (2 * square * square);
        let mut factor = ONE - ONE / (2 * square) + ONE / (8 * square * square);
        // 1 / √(2π), where it is highest.
        let mut density = ONE * 398_942_280_401 / 1_000_000_000_000;
        let mut densities = vec![density];
        for _ in 0..END * STEPS {
            density = product(density, factor);
            factor = product(factor, falls);
            densities.push(density);
        }
        let mut above = vec![0; densities.len()];
        for step in (0..densities.len() - 1).rev() {
            above[step] = above[step + 1] + (densities[step] + densities[step + 1]) / (2 * STEPS as u128);
        }
        Self { above }
    }

    /// That it exceeds `numerator / denominator`, rounded to a step of the table.
    pub fn above(&self, numerator: i64, denominator: u64) -> u128 {
        let step = numerator.unsigned_abs() as usize * STEPS / denominator as usize;
        let above = self.above.get(step).copied().unwrap_or(0);
        if numerator < 0 { ONE - above } else { above }
    }
}

/// The probability that nothing happens of what is expected so often, in parts of 2^62.
pub fn nothing(expected: u128) -> u128 {
    let mut left = ONE.saturating_sub(expected >> 16);
    for _ in 0..16 {
        left = product(left, left);
    }
    left
}

/// Binary logarithm in 65,536ths, rounded down; 0 of 0.
pub fn log2(number: u128) -> i64 {
    let Some(whole) = number.checked_ilog2() else {
        return 0;
    };
    let mut mantissa = if whole > 63 {
        number >> (whole - 63)
    } else {
        number << (63 - whole)
    };
    let mut log = i64::from(whole) << 16;
    for place in (0..16).rev() {
        mantissa = (mantissa * mantissa) >> 63;
        if mantissa >> 64 == 1 {
            mantissa >>= 1;
            log |= 1 << place;
        }
    }
    log
}

fn product(one: u128, other: u128) -> u128 {
    (one * other) >> 62
}

/// So many parts of a whole as a number with places behind the point: `2.50` for 5 of 2 with two of them.
pub fn decimal(parts: u128, whole: u128, places: u32) -> String {
    let ten = 10_u128.pow(places);
    let number = (parts * ten + whole / 2) / whole;
    match places {
        0 => number.to_string(),
        _ => format!(
            "{}.{:0width$}",
            number / ten,
            number % ten,
            width = places as usize
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(found: u128, expected: f64) -> bool {
        (found as f64 / ONE as f64 / expected - 1.0).abs() < 2e-3
    }

    #[test]
    fn the_tail_is_the_one_of_the_normal_distribution() {
        let normal = Normal::new();
        for (deviations, expected) in [
            (0, 0.5),
            (-1, 0.841_344_7),
            (2, 0.022_750_13),
            (4, 3.167_124e-5),
            (6, 9.865_876e-10),
        ] {
            let found = normal.above(deviations, 1);
            assert!(is_near(found, expected), "{deviations}: {found}");
        }
        assert_eq!(normal.above(i64::MAX >> 20, 1), 0);
    }

    #[test]
    fn nothing_happens_as_often_as_the_exponential_says() {
        assert_eq!(nothing(0), ONE);
        assert!(is_near(nothing(ONE), 0.367_879_4));
        assert!(is_near(nothing(5 * ONE), 0.006_737_947));
        assert_eq!(nothing(u128::MAX), 0);
    }

    #[test]
    fn a_logarithm_has_sixteen_places() {
        let logs = [0, 1, 2, 3, 1 << 127].map(log2);
        assert_eq!(logs, [0, 0, 1 << 16, 103_872, 127 << 16]);
    }

    #[test]
    fn a_decimal_number_is_rounded() {
        assert_eq!(decimal(5, 2, 2), "2.50");
        assert_eq!(decimal(2, 3, 1), "0.7");
        assert_eq!(decimal(5, 2, 0), "3");
    }
}
