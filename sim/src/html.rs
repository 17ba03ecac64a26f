//! The report as one page that needs nothing else.

use crate::report::Report;

/// The page.
pub fn page(report: &Report) -> String {
    format!("<pre>{}</pre>", crate::table::table(report))
}
