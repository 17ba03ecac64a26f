//! What was measured, beside what it is compared with.

use std::fmt;

/// A figure, and what it should be.
pub(crate) struct Figure {
    what: String,
    unit: &'static str,
    /// One of each run.
    values: Vec<f64>,
    goal: Option<Goal>,
}

/// What a figure should be.
#[derive(Clone, Copy)]
enum Goal {
    AtLeast(f64),
    Below(f64),
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, values: Vec<f64>) -> Self {
        Self { what: what.into(), unit, values, goal: None }
    }

    /// How `of` compares with `with`, run by run.
    pub(crate) fn ratio(what: impl Into<String>, of: &[f64], with: &[f64]) -> Self {
        Self::new(what, "", of.iter().zip(with).map(|(of, with)| of / with).collect())
    }

    pub(crate) fn at_least(self, goal: f64) -> Self {
        Self { goal: Some(Goal::AtLeast(goal)), ..self }
    }

    pub(crate) fn below(self, goal: f64) -> Self {
        Self { goal: Some(Goal::Below(goal)), ..self }
    }

    fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let low = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let median = self.median();
        let value = format!("{median:.2} {}", self.unit);
        let spread = format!("{low:.2} - {high:.2}");
        write!(f, "{:<66}{value:>18}{spread:>22}{:>5}", self.what, self.values.len())?;
        let (word, goal, met) = match self.goal {
            Some(Goal::AtLeast(goal)) => ("at least", goal, median >= goal),
            Some(Goal::Below(goal)) => ("under", goal, median < goal),
            None => return Ok(()),
        };
        let met = if met { "met" } else { "missed" };
        write!(f, "{:>8.2}  {word} {goal}: {met}", median / goal)
    }
}

/// Prints the table.
pub(crate) fn print(figures: &[Figure]) {
    let (median, spread) = ("median", "lowest - highest");
    println!("{:<66}{median:>18}{spread:>22}{:>5}{:>8}  target", "figure", "runs", "of it");
    for figure in figures {
        println!("{figure}");
    }
}
