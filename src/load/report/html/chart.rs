//! A chart over time as SVG. Lines are stretched to the width of the page. Text is not stretched, so it has the same
//! size on a phone as on a screen.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::axis::{Scale, Time, clock, round_millis, short};
use super::markup::{NO_DATA, esc};
use crate::load::plan::number;
use crate::load::report::format::millis;

/// The height of a chart in pixels.
const HEIGHT: f64 = 150.0;
/// The width of a chart in its own units.
const WIDTH: f64 = 1_000.0;
/// The space above a chart for the numbers of the marks, in pixels.
const ABOVE: f64 = 20.0;
/// The space below a chart for the labels of the time axis, in pixels.
const BELOW: f64 = 24.0;

/// The unit of a chart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
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

    /// The name of the unit in the script.
    fn as_str(self) -> &'static str {
        match self {
            Unit::Milliseconds => "ms",
            Unit::PerSecond => "per-s",
            Unit::Things => "",
        }
    }
}

/// A line of a chart.
pub(crate) struct Series {
    /// Its name in the page, which also selects its colour and dashes.
    pub(crate) key: &'static str,
    /// Its name for the reader.
    pub(crate) name: &'static str,
    /// One value per instant.
    pub(crate) values: Vec<Option<f64>>,
}

impl Series {
    fn measured(&self) -> impl Iterator<Item = f64> {
        let values = self.values.iter().copied().flatten();
        values.filter(|it| it.is_finite())
    }
}

/// A chart of the report, with the texts that its page needs.
pub(crate) struct Chart {
    /// Its name in the page.
    pub(crate) id: String,
    /// Its name for the reader.
    pub(crate) title: &'static str,
    /// Its text alternative.
    pub(crate) description: &'static str,
    pub(crate) unit: Unit,
    /// Each line is stacked on the previous one.
    pub(crate) stacked: bool,
    pub(crate) series: Vec<Series>,
}

impl Chart {
    /// The chart. `times` are the instants of its values. `behind` and `before` are drawn behind and in front of its
    /// lines.
    pub(crate) fn markup(
        &self,
        time: &Time,
        times: &[f64],
        behind: &Markup,
        before: &Markup,
    ) -> Markup {
        let has_data = self.series.iter().any(|it| it.measured().next().is_some());
        html! {
            figure class="chart" id=(self.id) {
                figcaption {
                    h3 { (esc(self.title)) " " output {} }
                    "\n"
                    (self.legend())
                }
                @if has_data {
                    (self.plot(time, times, behind, before))
                } @else {
                    p class="remark" { (NO_DATA) }
                }
            }
            "\n"
        }
    }

    fn plot(&self, time: &Time, times: &[f64], behind: &Markup, before: &Markup) -> Markup {
        let (scale, id) = (self.scale(), &self.id);
        html! {
            svg class="plot" role="img" aria-labelledby={ (id) "-t " (id) "-d" } width="100%"
                height=(ABOVE + HEIGHT + BELOW)
            {
                title id={ (id) "-t" } { (esc(self.title)) }
                desc id={ (id) "-d" } { (esc(&self.text_alternative())) }
                g transform={ "translate(0 " (ABOVE) ")" } {
                    (behind)
                    (grid(self.unit, time, &scale))
                    svg width="100%" height=(HEIGHT) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) }
                        preserveAspectRatio="none"
                    {
                        @if self.stacked {
                            (self.areas(time, times, &scale))
                        } @else {
                            (self.lines(time, times, &scale))
                        }
                    }
                    (before)
                    line class="cursor" y1="0" y2=(HEIGHT) visibility="hidden" {}
                }
            }
        }
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

    /// The names of the lines with their colours, dashes and highest values.
    fn legend(&self) -> Markup {
        html! {
            ul class="legend" {
                @for series in &self.series {
                    li {
                        svg width="28" height="10" aria-hidden="true" {
                            path class={ "line " (series.key) } d="M1 5H27" {}
                        }
                        " " (esc(series.name)) " "
                        span data-series=(series.key) data-unit=(self.unit.as_str()) {
                            @match series.measured().reduce(f64::max) {
                                Some(most) => { "max " (esc(&self.unit.value(most))) }
                                None => (NO_DATA)
                            }
                        }
                    }
                }
            }
        }
    }

    /// The text alternative, with the highest value of each line.
    fn text_alternative(&self) -> String {
        let mut text = self.description.to_owned();
        for series in &self.series {
            if let Some(most) = series.measured().reduce(f64::max) {
                let most = self.unit.value(most);
                let _ = write!(text, " Highest of {}: {most}.", series.name);
            }
        }
        text
    }

    fn lines(&self, time: &Time, times: &[f64], scale: &Scale) -> Markup {
        let line = |series: &Series| {
            let values = times.iter().zip(&series.values);
            path(values.map(|(second, value)| {
                let value = value.filter(|it| it.is_finite())?;
                Some(place(time, scale, *second, value))
            }))
        };
        html! {
            @for series in &self.series { path class={ "line " (series.key) } d=(line(series)) {} }
        }
    }

    /// Draws each series as an area between its upper edge and that of the series below.
    fn areas(&self, time: &Time, times: &[f64], scale: &Scale) -> Markup {
        let mut below: Vec<(f64, f64)> = Vec::new();
        let mut drawn = Vec::new();
        for (series, upper) in self.series.iter().zip(self.stacks()) {
            let begin = upper
                .first()
                .map(|value| place(time, scale, time.begin(), *value));
            let edge = times.iter().zip(upper);
            let edge = edge.map(|(second, value)| place(time, scale, *second, value));
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
                drawn.push((series.key, area, line));
            }
            below = edge;
        }
        html! {
            @for (key, area, line) in drawn {
                path class={ "area " (key) } d={ (area) "Z" } {}
                path class={ "line " (key) } d=(line) {}
            }
        }
    }
}

fn grid(unit: Unit, time: &Time, scale: &Scale) -> Markup {
    let anchor = |share: f64| match share {
        share if share > 0.96 => "end",
        share if share < 0.01 => "start",
        _ => "middle",
    };
    html! {
        @for value in scale.ticks() {
            @let y = height(scale.at(value));
            @let at = format!("{y:.1}");
            line class="grid" x2="100%" y1=(at) y2=(at) {}
            text class="y" x="-6" y=(format!("{:.1}", y + 4.0)) { (unit.tick(value)) }
        }
        @for second in time.ticks() {
            @let share = time.at(second);
            @let x = format!("{:.2}%", share * 100.0);
            line class="grid" x1=(x) x2=(x) y2=(HEIGHT + 4.0) {}
            text class={ "x " (anchor(share)) } x=(x) y=(HEIGHT + 18.0) {
                (clock(second, time.end()))
            }
        }
    }
}

fn place(time: &Time, scale: &Scale, second: f64, value: f64) -> (f64, f64) {
    (time.at(second) * WIDTH, height(scale.at(value)))
}

fn height(share: f64) -> f64 {
    HEIGHT * (1.0 - share)
}

/// A line through `points`. It has a gap at each missing point, and a point between two gaps is a dot.
fn path(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let (mut out, mut length) = (String::new(), 0);
    for point in points.chain([None]) {
        match point {
            Some((x, y)) => {
                let command = if length == 0 { 'M' } else { 'L' };
                let _ = write!(out, "{command}{x:.1} {y:.1}");
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
            id: "c".to_owned(),
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
                let page = chart(unit, false, &[values])
                    .markup(&time, &[1.0, 2.0], &html! {}, &html! {})
                    .into_string();
                assert!(page.contains(NO_DATA) && !page.contains("<path class=\"line ok\" d=\"M0"));
                assert!(!page.contains("NaN"), "{page}");
            }
        }
    }

    #[test]
    fn one_point_is_an_area_from_the_beginning_or_a_dot() {
        let time = Time::until([1.0].into_iter());
        let stacked = chart(Unit::PerSecond, true, &[&[Some(5.0)]]);
        let page = stacked
            .markup(&time, &[1.0], &html! {}, &html! {})
            .into_string();
        assert!(
            page.contains("d=\"M0.0 25.0L1000.0 25.0L1000.0 150.0L0.0 150.0Z\""),
            "{page}"
        );
        let dot = chart(Unit::Milliseconds, false, &[&[Some(10.0)]]);
        let page = dot
            .markup(&time, &[1.0], &html! {}, &html! {})
            .into_string();
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
        let page = both
            .markup(
                &Time::until([2.0].into_iter()),
                &[1.0, 2.0],
                &html! {},
                &html! {},
            )
            .into_string();
        assert!(
            page.contains("things") && page.contains("Highest of ok: 4."),
            "{page}"
        );
    }
}
