//! Fuzz target `summaries`: parses the input as a summary of a run, and uses it in every way that the program does.

use crate::load::report::{Colours, html, text as report};
use crate::load::{Summary, baseline, merge};

use super::inputs::text;

/// The size of a report without the data of the summary, in bytes, rounded up. Larger reports than this plus a multiple
/// of the input are a defect.
const PAGE: usize = 2 << 20;

/// An input that is a valid summary must be reported with bounded size, compared, merged with itself, and read back
/// unchanged after it is written.
pub(super) fn summary(data: &[u8]) {
    let text = text(data);
    let Ok(summary) = Summary::parse(text) else {
        return;
    };
    for colours in [Colours::None, Colours::Ansi] {
        let report = report(&summary, colours);
        assert!(
            report.len() <= PAGE + 64 * text.len(),
            "{} bytes",
            report.len()
        );
    }
    let page = html(&summary);
    assert!(
        page.len() <= PAGE + 256 * text.len(),
        "a page of {} bytes",
        page.len()
    );
    let _ = baseline::compare(&summary, &summary, 0.1);
    let written = summary.to_json();
    let read = Summary::parse(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(
        read.to_json(),
        written,
        "written and read it is another one"
    );
    let part = |nth: usize| Summary {
        shards: vec![format!("{nth}/2")],
        ..summary.clone()
    };
    for parts in [vec![summary.clone()], vec![part(1), part(2)]] {
        if let Ok(whole) = merge(&parts) {
            drop(html(&whole));
        }
    }
}
