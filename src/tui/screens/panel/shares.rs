//! Draws panels of shares: the parts of a whole, and histograms of values.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cells;
use crate::tui::dashboard::panel::Panel;
use crate::tui::format;
use crate::tui::screens::panel::known::{Known, Named, Wanted, reduced};
use crate::tui::screens::panel::lists::more;
use crate::tui::theme;
use crate::tui::widgets::gauge;

/// A row: its name, the length of its bar from 0 to 1, and the text after the bar.
type Row = (String, f64, String);

/// Draws a bar for each series, as long as its share of the sum.
pub(crate) fn pie(of: &Wanted<'_>, known: &Known<'_>, buffer: &mut Buffer, area: Rect) -> bool {
    let value = |named: &Named<'_>| reduced(of.panel, named.one).filter(|value| *value >= 0.0);
    let values = known.series.iter();
    let mut values: Vec<(&str, f64)> = values
        .filter_map(|named| Some((named.name.as_str(), value(named)?)))
        .collect();
    values.sort_by(|a, b| b.1.total_cmp(&a.1));
    let sum: f64 = values.iter().map(|(_, value)| value).sum();
    let share = |value: f64| if sum > 0.0 { value / sum } else { 0.0 };
    let rows = values.iter().map(|(name, value)| {
        let part = format::percent(share(*value) * 100.0);
        let text = format!("{}  {part:>4}%", of.panel.text(*value));
        ((*name).to_owned(), share(*value), text)
    });
    bars(&rows.collect::<Vec<_>>(), buffer, area)
}

/// Draws a bar for each range of values, as long as the count of values in it.
pub(crate) fn histogram(
    of: &Wanted<'_>,
    known: &Known<'_>,
    buffer: &mut Buffer,
    area: Rect,
) -> bool {
    let counted = of_buckets(of.panel, known)
        .unwrap_or_else(|| of_values(of.panel, known, usize::from(area.height)));
    let most = counted.iter().map(|(_, count)| *count).fold(0.0, f64::max);
    let rows = counted.into_iter().map(|(name, count)| {
        let done = if most > 0.0 { count / most } else { 0.0 };
        (name, done, format::short(count))
    });
    bars(&rows.collect::<Vec<_>>(), buffer, area)
}

/// The count of each bucket of a Prometheus histogram without that of the bucket below it.
fn of_buckets(panel: &Panel, known: &Known<'_>) -> Option<Vec<(String, f64)>> {
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for named in &known.series {
        let bound: f64 = named
            .one
            .labels
            .get("le")?
            .replace("+Inf", "inf")
            .parse()
            .ok()?;
        let value = named.one.now?;
        match buckets
            .iter_mut()
            .find(|(known, _)| known.total_cmp(&bound).is_eq())
        {
            Some((_, sum)) => *sum += value,
            None => buckets.push((bound, value)),
        }
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = 0.0;
    let rows = buckets.iter().map(|(bound, value)| {
        let name = match bound.is_finite() {
            true => format!("to {}", panel.unit.tick(*bound)),
            false => "more".to_owned(),
        };
        let count = (value - below).max(0.0);
        below = *value;
        (name, count)
    });
    (!buckets.is_empty()).then(|| rows.collect())
}

/// Counts all values of all series in ranges of a round width, at most `lines` of them.
fn of_values(panel: &Panel, known: &Known<'_>, lines: usize) -> Vec<(String, f64)> {
    let tracks = known.series.iter().map(|named| &named.one.track);
    let values: Vec<f64> = tracks.flatten().map(|(_, value)| *value).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() || lines == 0 || !(high - low).is_finite() {
        return Vec::new();
    }
    let lines = f64::from(u16::try_from(lines.min(30)).unwrap_or(30));
    let width = round_up((high - low) / (lines - 1.0).max(1.0));
    let first = (low / width).floor();
    let bucket = |value: f64| (value / width).floor() - first;
    let count = usize::try_from(format::whole(bucket(high)) + 1)
        .unwrap_or(1)
        .min(40);
    let mut counts = vec![0.0; count];
    for value in values {
        let at = usize::try_from(format::whole(bucket(value).max(0.0))).unwrap_or(0);
        if let Some(count) = counts.get_mut(at.min(count - 1)) {
            *count += 1.0;
        }
    }
    let rows = counts.into_iter().zip(0_u32..).map(|(count, index)| {
        let from = (first + f64::from(index)) * width;
        let name = format!(
            "{}–{}",
            panel.unit.tick(from),
            panel.unit.tick(from + width)
        );
        (name, count)
    });
    rows.collect()
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `width`.
fn round_up(width: f64) -> f64 {
    if !width.is_finite() || width <= f64::MIN_POSITIVE {
        return 1.0;
    }
    let power = 10_f64.powf(width.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let found = steps
        .iter()
        .map(|step| step * power)
        .find(|step| *step >= width);
    found.unwrap_or(width)
}

fn bars(rows: &[Row], buffer: &mut Buffer, area: Rect) -> bool {
    let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let names = widest(&mut rows.iter().map(|(name, ..)| cells::width(name)));
    let names = names.min(usize::from(area.width) / 2);
    let texts = widest(&mut rows.iter().map(|(.., text)| cells::width(text)));
    if rows.is_empty() || area.height == 0 {
        return false;
    }
    for ((name, done, text), y) in rows.iter().zip(area.y..area.bottom()) {
        buffer.set_stringn(area.x, y, cells::cut(name, names), names, theme::text());
        let column = |width: usize| u16::try_from(width).unwrap_or(u16::MAX);
        let x = area.x.saturating_add(column(names + 1));
        let end = area.right().saturating_sub(column(texts + 1));
        if end > x {
            let bar = Rect {
                x,
                y,
                width: end - x,
                height: 1,
            };
            gauge(buffer, bar, *done, theme::accent());
        }
        let start = end.max(area.x).saturating_add(1);
        let room = usize::from(area.right().saturating_sub(start));
        buffer.set_stringn(start, y, format!("{text:>texts$}"), room, theme::text());
    }
    more(
        buffer,
        area,
        rows.len().saturating_sub(usize::from(area.height)),
    );
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_round() {
        let cases = [
            (0.3, 0.5),
            (0.5, 0.5),
            (7.0, 10.0),
            (120.0, 200.0),
            (1e-9, 1e-9),
        ];
        for (width, wanted) in cases {
            let found = round_up(width);
            assert!((found / wanted - 1.0).abs() < 1e-6, "{width}: {found}");
        }
        for odd in [0.0, f64::NAN, f64::INFINITY, -1.0, f64::MAX] {
            assert!(round_up(odd) > 0.0, "{odd}");
        }
    }
}
