//! The summary as one HTML page: nothing is fetched, and nothing needs a script to be read.

mod axis;
mod chart;
mod environment;
mod markup;
mod tables;
#[cfg(test)]
mod tests;
mod timeline;
mod verdict;

use self::markup::{esc, section};
#[cfg(test)]
pub(super) use self::tests::sample;
use crate::load::summary::Summary;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Allows what is in the page, and nothing from anywhere else.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// The whole report as one HTML page.
#[must_use]
pub fn html(summary: &Summary) -> String {
    let title = verdict::title(summary);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        esc(&title)
    );
    out += &verdict::verdict(summary);
    out += &verdict::keys(summary);
    section(
        &mut out,
        "thresholds",
        "Thresholds",
        &tables::thresholds(summary),
    );
    section(
        &mut out,
        "timeline",
        "Over time",
        &timeline::timeline(summary),
    );
    section(
        &mut out,
        "operations",
        "Requests by operation",
        &tables::operations(summary),
    );
    section(
        &mut out,
        "users",
        "Users in the end",
        &tables::users(summary),
    );
    section(&mut out, "fairness", "Fairness", &tables::fairness(summary));
    section(
        &mut out,
        "audit",
        "Audit and look-up",
        &tables::audit_section(summary),
    );
    section(
        &mut out,
        "estimate",
        "Estimate and reality",
        &tables::estimate(summary),
    );
    if !summary.exemplars.is_empty() {
        section(
            &mut out,
            "traces",
            "Requests to look up",
            &tables::exemplars(summary),
        );
    }
    if let Some(baseline) = &summary.baseline {
        let body = tables::baseline(baseline);
        section(&mut out, "baseline", "Beside the baseline", &body);
    }
    section(
        &mut out,
        "generator",
        "Load generator",
        &environment::generator(summary),
    );
    section(
        &mut out,
        "tested",
        "What was tested",
        &environment::tested(summary),
    );
    out += "</main>\n<script>\n";
    out += SCRIPT;
    out + "</script>\n</body>\n</html>\n"
}
