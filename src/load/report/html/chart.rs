//! One chart over time as SVG. Lines are stretched to the page's width, text is not: it is as large on
//! a phone as on a screen.

use super::axis::{Scale, Time, clock, round_millis, short};
use super::markup::{NO_DATA, esc, put};
use crate::load::plan::number;
use crate::load::report::format::millis;

/// Pixels from the bottom of a chart to its top.
const HEIGHT: f64 = 150.0;
/// Units from its left to its right, whatever its width.
const WIDTH: f64 = 1_000.0;
/// Pixels above it, where the marks have their numbers.
const ABOVE: f64 = 20.0;
/// Pixels beneath it, where the instants stand.
const BENEATH: f64 = 24.0;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    PerSecond,
    Milliseconds,
    Things,
}

impl Unit {
    fn tick(self, value: f64) -> String {
        match self {
            Unit::Milliseconds => round_millis(value),
            Unit::PerSecond | Unit::Things => short(value),
        }
    }

    fn value(self, value: f64) -> String {
        match self {
            Unit::Milliseconds => millis(value),
            Unit::PerSecond => format!("{}/s", number(value)),
            Unit::Things => number(value),
        }
    }

    /// As the script knows it.
    fn as_str(self) -> &'static str {
        match self {
            Unit::Milliseconds => "ms",
            Unit::PerSecond => "per-s",
            Unit::Things => "",
        }
    }
}

/// A line of a chart.
pub(super) struct Series {
    /// Its name in the page; also that of its colour and dashes.
    pub(super) key: &'static str,
    /// Its name for people.
    pub(super) name: &'static str,
    /// One for each instant.
    pub(super) values: Vec<Option<f64>>,
}

impl Series {
    fn measured(&self) -> impl Iterator<Item = f64> {
        let values = self.values.iter().copied().flatten();
        values.filter(|it| it.is_finite())
    }
}

/// A chart.
pub(super) struct Chart {
    /// Its name in the page.
    pub(super) id: &'static str,
    /// Its name for people.
    pub(super) title: &'static str,
    /// What it shows, for those who do not see it.
    pub(super) description: &'static str,
    pub(super) unit: Unit,
    /// Each line stands on the one before it.
    pub(super) stacked: bool,
    pub(super) series: Vec<Series>,
}

impl Chart {
    /// The chart; `times` are the instants of its values, `behind` and `before` what stands behind and
    /// before its lines.
    pub(super) fn markup(&self, time: &Time, times: &[f64], behind: &str, before: &str) -> String {
        let mut out = format!(
            "<figure class=\"chart\" id=\"{0}\"><figcaption><h3>{1} <output></output></h3>\n{2}</figcaption>\n",
            self.id,
            esc(self.title),
            self.legend()
        );
        let any = self.series.iter().any(|it| it.measured().next().is_some());
        if !any {
            put!(out, "<p class=\"remark\">{NO_DATA}</p></figure>\n");
            return out;
        }
        let scale = self.scale();
        put!(
            out,
            "<svg class=\"plot\" role=\"img\" aria-labelledby=\"{0}-t {0}-d\" width=\"100%\" height=\"{1:.0}\">\n\
             <title id=\"{0}-t\">{2}</title><desc id=\"{0}-d\">{3}</desc>\n\
             <g transform=\"translate(0 {ABOVE:.0})\">{behind}\n",
            self.id,
            ABOVE + HEIGHT + BENEATH,
            esc(self.title),
            esc(&self.told()),
        );
        self.grid(&mut out, time, &scale);
        put!(
            out,
            "<svg width=\"100%\" height=\"{HEIGHT:.0}\" viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" preserveAspectRatio=\"none\">\n"
        );
        self.lines(&mut out, time, times, &scale);
        put!(
            out,
            "</svg>\n{before}<line class=\"cursor\" y1=\"0\" y2=\"{HEIGHT:.0}\" visibility=\"hidden\"/></g></svg></figure>\n"
        );
        out
    }

    fn scale(&self) -> Scale {
        let values = self.series.iter().flat_map(Series::measured);
        match (self.unit, self.stacked) {
            (Unit::Milliseconds, _) => Scale::log(values),
            (_, true) => Scale::linear(self.stacks().last().into_iter().flatten().copied()),
            (_, false) => Scale::linear(values),
        }
    }

    /// The upper edges of stacked lines.
    fn stacks(&self) -> Vec<Vec<f64>> {
        let mut stacks: Vec<Vec<f64>> = Vec::new();
        for series in &self.series {
            let below = stacks.last();
            let values = series.values.iter().enumerate().map(|(at, value)| {
                let below = below.and_then(|it| it.get(at)).copied().unwrap_or(0.0);
                below + value.filter(|it| it.is_finite()).unwrap_or(0.0).max(0.0)
            });
            stacks.push(values.collect());
        }
        stacks
    }

    /// Names of the lines with their colours, dashes and highest values.
    fn legend(&self) -> String {
        let mut out = "<ul class=\"legend\">".to_owned();
        for series in &self.series {
            let most = series.measured().reduce(f64::max);
            let most = most.map_or_else(
                || NO_DATA.to_owned(),
                |it| format!("max {}", self.unit.value(it)),
            );
            put!(
                out,
                "<li><svg width=\"28\" height=\"10\" aria-hidden=\"true\"><path class=\"line {0}\" d=\"M1 5H27\"/></svg> {1} \
                 <span data-series=\"{0}\" data-unit=\"{2}\">{3}</span></li>",
                series.key,
                esc(series.name),
                self.unit.as_str(),
                esc(&most)
            );
        }
        out + "</ul>"
    }

    /// What it shows, with the highest value of each line.
    fn told(&self) -> String {
        let mut told = self.description.to_owned();
        for series in &self.series {
            if let Some(most) = series.measured().reduce(f64::max) {
                put!(
                    told,
                    " Highest of {}: {}.",
                    series.name,
                    self.unit.value(most)
                );
            }
        }
        told
    }

    fn grid(&self, out: &mut String, time: &Time, scale: &Scale) {
        for value in scale.ticks() {
            let (y, name) = (height(scale.at(value)), self.unit.tick(value));
            put!(
                out,
                "<line class=\"grid\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"y\" x=\"-6\" y=\"{:.1}\">{name}</text>\n",
                y + 4.0
            );
        }
        for second in time.ticks() {
            let (x, name) = (time.at(second) * 100.0, clock(second, time.end()));
            let anchor = match x {
                x if x > 96.0 => "end",
                x if x < 1.0 => "start",
                _ => "middle",
            };
            put!(
                out,
                "<line class=\"grid\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y2=\"{:.0}\"/><text class=\"x {anchor}\" x=\"{x:.2}%\" y=\"{:.0}\">{name}</text>\n",
                HEIGHT + 4.0,
                HEIGHT + 18.0
            );
        }
    }

    fn lines(&self, out: &mut String, time: &Time, times: &[f64], scale: &Scale) {
        let place = |second: f64, value: f64| (time.at(second) * WIDTH, height(scale.at(value)));
        if !self.stacked {
            for series in &self.series {
                let values = times.iter().zip(&series.values);
                let points = values.map(|(second, value)| {
                    let value = value.filter(|it| it.is_finite());
                    value.map(|value| place(*second, value))
                });
                let path = path(points);
                put!(out, "<path class=\"line {}\" d=\"{path}\"/>\n", series.key);
            }
            return;
        }
        let mut below: Vec<(f64, f64)> = Vec::new();
        for (series, upper) in self.series.iter().zip(self.stacks()) {
            let begin = upper.first().map(|value| place(0.0, *value));
            let edge = times.iter().zip(upper);
            let edge = edge.map(|(second, value)| place(*second, value));
            let edge: Vec<(f64, f64)> = begin.into_iter().chain(edge).collect();
            if series.measured().any(|it| it > 0.0) {
                let back = match below.is_empty() {
                    true => {
                        let ends = [edge.last(), edge.first()].into_iter().flatten();
                        ends.map(|(x, _)| (*x, HEIGHT)).collect()
                    }
                    false => below.iter().rev().copied().collect::<Vec<_>>(),
                };
                let line = path(edge.iter().copied().map(Some));
                let area = path(edge.iter().copied().chain(back).map(Some));
                let key = series.key;
                put!(
                    out,
                    "<path class=\"area {key}\" d=\"{area}Z\"/><path class=\"line {key}\" d=\"{line}\"/>\n"
                );
            }
            below = edge;
        }
    }
}

fn height(share: f64) -> f64 {
    HEIGHT * (1.0 - share)
}

/// A line through `points`, broken where one is missing; a point between two gaps is a dot.
fn path(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let (mut out, mut length) = (String::new(), 0);
    for point in points.chain([None]) {
        match point {
            Some((x, y)) => {
                let command = if length == 0 { 'M' } else { 'L' };
                put!(out, "{command}{x:.1} {y:.1}");
                length += 1;
            }
            None => {
                if length == 1 {
                    out.push_str("h.1");
                }
                length = 0;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(unit: Unit, stacked: bool, values: &[&[Option<f64>]]) -> Chart {
        let series = |values: &&[Option<f64>]| Series {
            key: "ok",
            name: "ok",
            values: values.to_vec(),
        };
        Chart {
            id: "c",
            title: "things",
            description: "Things over time.",
            unit,
            stacked,
            series: values.iter().map(series).collect(),
        }
    }

    #[test]
    fn a_line_breaks_where_nothing_was_measured() {
        let points = [Some((0.0, 1.0)), Some((1.0, 2.0)), None, Some((3.0, 4.04))];
        assert_eq!(path(points.into_iter()), "M0.0 1.0L1.0 2.0M3.0 4.0h.1");
        assert_eq!(path([None].into_iter()), "");
    }

    #[test]
    fn a_chart_of_nothing_says_so() {
        for values in [&[][..], &[None, None], &[Some(f64::NAN)]] {
            for unit in [Unit::Milliseconds, Unit::Things] {
                let time = Time::until([].into_iter());
                let page = chart(unit, false, &[values]).markup(&time, &[1.0, 2.0], "", "");
                assert!(page.contains(NO_DATA) && !page.contains("<path class=\"line ok\" d=\"M0"));
                assert!(!page.contains("NaN"), "{page}");
            }
        }
    }

    #[test]
    fn one_point_is_an_area_from_the_beginning_or_a_dot() {
        let time = Time::until([1.0].into_iter());
        let stacked = chart(Unit::PerSecond, true, &[&[Some(5.0)]]);
        let page = stacked.markup(&time, &[1.0], "", "");
        assert!(
            page.contains("d=\"M0.0 25.0L1000.0 25.0L1000.0 150.0L0.0 150.0Z\""),
            "{page}"
        );
        let dot = chart(Unit::Milliseconds, false, &[&[Some(10.0)]]);
        let page = dot.markup(&time, &[1.0], "", "");
        assert!(page.contains("d=\"M1000.0 150.0h.1\""), "{page}");
    }

    #[test]
    fn a_stack_is_as_high_as_its_lines_together() {
        let both = chart(
            Unit::Things,
            true,
            &[&[Some(3.0), None], &[Some(4.0), Some(1.0)]],
        );
        assert_eq!(both.stacks(), [[3.0, 0.0], [7.0, 1.0]]);
        let page = both.markup(&Time::until([2.0].into_iter()), &[1.0, 2.0], "", "");
        assert!(
            page.contains("things") && page.contains("Highest of ok: 4."),
            "{page}"
        );
    }
}
