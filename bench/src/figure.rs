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

    /// How often it was measured.
    pub(crate) fn runs(&self) -> usize {
        self.values.len()
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
        write!(f, "{:<62}{value:>16}{spread:>20}", self.what)?;
        match self.goal {
            Some(Goal::AtLeast(goal)) => {
                write!(f, "  at least {goal}: {}", judged(median >= goal))
            }
            Some(Goal::Below(goal)) => write!(f, "  under {goal}: {}", judged(median < goal)),
            None => Ok(()),
        }
    }
}

fn judged(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// Prints the table.
pub(crate) fn print(figures: &[Figure]) {
    println!("{:<62}{:>16}{:>20}  target", "figure", "median", "lowest - highest");
    for figure in figures {
        println!("{figure}");
    }
}
