//! The summary as one HTML page. It loads nothing from elsewhere, and it is readable without scripts.

pub(crate) mod axis;
pub(crate) mod chart;
mod environment;
pub(crate) mod markup;
mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod timeline;
mod verdict;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::markup::{esc, section};
#[cfg(test)]
pub(super) use self::tests::sample;
use crate::load::summary::Summary;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// The content security policy. It allows only the page's own content.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// The whole report as one HTML page.
#[must_use]
pub fn html(summary: &Summary) -> String {
    let sections = [
        ("thresholds", "Thresholds", tables::thresholds(summary)),
        ("timeline", "Over time", timeline::timeline(summary)),
        (
            "operations",
            "Requests by operation",
            tables::operations(summary),
        ),
        ("users", "Users in the end", tables::users(summary)),
        ("fairness", "Fairness", tables::fairness(summary)),
        ("audit", "Audit and look-up", tables::audit(summary)),
        (
            "estimate",
            "Estimate and reality",
            tables::estimate(summary),
        ),
    ];
    let body = html! {
        (verdict::verdict(summary))
        (verdict::key_figures(summary))
        @for (id, title, body) in &sections { (section(id, title, body)) }
        @if !summary.exemplars.is_empty() {
            (section("traces", "Requests to look up", &tables::exemplars(summary)))
        }
        @if let Some(baseline) = &summary.baseline {
            (section("baseline", "Beside the baseline", &tables::baseline(baseline)))
        }
        (section("generator", "Load generator", &environment::generator(summary)))
        (section("tested", "What was tested", &environment::tested(summary)))
    };
    page(&verdict::title(summary), &body)
}

/// A self-contained page around `body`: it includes style and script, and fetches nothing.
pub(crate) fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(PreEscaped(POLICY));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (esc(title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}
