//! A goal's line.

use std::fmt;

/// What a value has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Goal {
    /// Whether `value` is so. What is no number is not.
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "at most {bound}"),
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
        }
    }
}

/// Prints the goal's name, what was measured, its value, what it has to be, and whether it is.
pub fn print(name: &str, what: &str, value: f64, goal: Goal, unit: &str) {
    let verdict = if goal.is_met(value) { "met" } else { "missed" };
    println!("{name:<4} {what:<44} {value:>10.2}{unit:<3} goal {goal}{unit}: {verdict}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_at_its_bound_and_by_no_value_that_is_none() {
        let met = |goal: Goal| [1.9, 2.0, 2.1, f64::NAN].map(|value| goal.is_met(value));
        assert_eq!(met(Goal::AtMost(2.0)), [true, true, false, false]);
        assert_eq!(met(Goal::AtLeast(2.0)), [false, true, true, false]);
    }
}
