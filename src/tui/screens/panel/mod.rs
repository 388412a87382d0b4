//! One panel of a dashboard, of any kind: its queries' answers from the model, as its definition
//! asks for them.

pub(crate) mod charts;
pub(crate) mod lists;
pub(crate) mod shares;
pub(crate) mod states;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use crate::cells;
use crate::clients::prometheus::Labels;
use crate::tui::dashboard::{Calc, Kind, Panel, Scope, Target};
use crate::tui::model::{Model, Source};
use crate::tui::screens::logs::one_line;
use crate::tui::screens::panel::charts::MAX_LINES;
use crate::tui::screens::panel::{
    charts as panel_charts, lists as panel_lists, shares as panel_shares, states as panel_states,
};
use crate::tui::screens::{dim_if_stale, freshness};
use crate::tui::sources::answers::OneSeries;
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, big, centred, foot, frame, gauge, wrapped};

/// What is to be drawn, and how.
pub(crate) struct Wanted<'a> {
    pub(super) model: &'a Model,
    pub(crate) panel: &'a Panel,
    pub(crate) scope: &'a Scope,
    pub(crate) chosen: bool,
    /// It has the whole body: a legend with figures beneath the chart.
    pub(crate) enlarged: bool,
}

impl Wanted<'_> {
    /// The title with its variables filled in.
    pub(crate) fn title(&self) -> String {
        self.panel.heading(self.scope)
    }
}

/// A series with its name in the legend.
pub(crate) struct Named<'a> {
    pub(crate) name: String,
    pub(crate) one: &'a OneSeries,
}

/// All that the model knows of a panel.
pub(crate) struct Known<'a> {
    pub(crate) series: Vec<Named<'a>>,
    pub(crate) left_out: usize,
    refused: Option<&'a str>,
    answered: bool,
    pub(crate) fresh: Freshness,
}

/// What is known of the panel's queries.
pub(crate) fn known<'a>(of: &Wanted<'a>) -> Known<'a> {
    let mut known = Known {
        series: Vec::new(),
        left_out: 0,
        refused: None,
        answered: false,
        fresh: freshness(of.model, Source::Prometheus),
    };
    for target in &of.panel.targets {
        let Some(answer) = of.model.answers.get(&of.panel.query(target, of.scope)) else {
            continue;
        };
        known.answered = true;
        known.left_out += answer.left_out;
        known.refused = known.refused.or(answer.refused.as_deref());
        known.series.extend(answer.series.iter().map(|one| Named {
            name: name(of, target, &one.labels),
            one,
        }));
    }
    known
}

impl Known<'_> {
    /// What to say where nothing can be drawn.
    fn emptiness(&self, panel: &Panel) -> String {
        match (self.refused, &self.fresh) {
            (Some(reason), _) => one_line(reason),
            (None, Freshness::Fresh) if !self.series.is_empty() => match panel.kind {
                Kind::Heatmap => "all values are 0, or there is no room: e enlarges".into(),
                _ => "no value now, or there is no room: e enlarges".into(),
            },
            (None, Freshness::Fresh) if self.answered && !panel.no_value.is_empty() => {
                panel.no_value.clone()
            }
            (None, Freshness::Fresh) if self.answered => "no data".into(),
            (None, Freshness::Fresh) => "asking …".into(),
            (None, fresh) => fresh.emptiness(),
        }
    }
}

/// The name of a series: as the panel or the target asks for it, else what the labels say.
fn name(of: &Wanted<'_>, target: &Target, labels: &Labels) -> String {
    if !of.panel.display_name.is_empty() {
        let named = display_name(
            &of.scope.words(&of.panel.display_name, &of.panel.fixed),
            labels,
        );
        if let Some(name) = named {
            return name;
        }
    }
    if target.legend.is_empty() {
        let shown = labels.iter().filter(|(name, _)| *name != "__name__");
        let texts: Vec<String> = shown
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        return match labels.get("__name__") {
            _ if !texts.is_empty() => one_line(&texts.join(" ")),
            Some(name) => one_line(name),
            None => of.title(),
        };
    }
    let legend = of.scope.words(&target.legend, &of.panel.fixed);
    let mut name = String::new();
    let mut rest = legend.as_str();
    while let Some((before, after)) = rest.split_once("{{") {
        name.push_str(before);
        let Some((label, after)) = after.split_once("}}") else {
            name.push_str("{{");
            rest = after;
            continue;
        };
        name.push_str(labels.get(label.trim()).map_or("", String::as_str));
        rest = after;
    }
    name.push_str(rest);
    one_line(name.trim())
}

/// `${__field.labels.job}` with the label's value; none where it asks for what only Grafana has.
fn display_name(of: &str, labels: &Labels) -> Option<String> {
    let mut name = String::new();
    let mut rest = of;
    while let Some((before, after)) = rest.split_once("${__field.labels.") {
        name.push_str(before);
        let (label, after) = after.split_once('}')?;
        let label = label.trim_matches(['"', '[', ']']);
        name.push_str(labels.get(label).map_or("", String::as_str));
        rest = after;
    }
    name.push_str(rest);
    (!name.contains("${__") && !name.trim().is_empty()).then(|| one_line(name.trim()))
}

/// What a panel of single numbers shows of a series.
pub(crate) fn reduced(panel: &Panel, one: &OneSeries) -> Option<f64> {
    let values = || one.track.iter().map(|(_, value)| *value);
    let count = f64::from(u32::try_from(one.track.len()).unwrap_or(u32::MAX));
    let (least, most) = (values().reduce(f64::min), values().reduce(f64::max));
    match panel.calc {
        Calc::Last => one.now,
        Calc::First => values().next(),
        Calc::Min => least,
        Calc::Max => most,
        Calc::Mean => (count > 0.0).then(|| values().sum::<f64>() / count),
        Calc::Sum => (count > 0.0).then(|| values().sum()),
        Calc::Count => Some(count),
        Calc::Range => Some(most? - least?),
        Calc::Difference => Some(values().next_back()? - values().next()?),
    }
}

/// The worst of what the series are at the moment.
pub(crate) fn worst(panel: &Panel, series: &[Named<'_>]) -> Severity {
    let values = series.iter().filter_map(|named| reduced(panel, named.one));
    let judged = values.map(|value| panel.judge(value));
    judged.max().unwrap_or(Severity::Plain)
}

/// Draws the panel with its frame.
pub(crate) fn draw(of: &Wanted<'_>, buffer: &mut Buffer, area: Rect) {
    if area.width < 8 || area.height < 2 {
        return;
    }
    match of.panel.kind {
        Kind::Row => {}
        Kind::NotDrawn => not_drawn(of, buffer, area),
        Kind::Logs => panel_lists::logs(of, buffer, area),
        Kind::Text => text(of, buffer, area),
        _ => numbers(of, buffer, area),
    }
    if of.chosen && !of.enlarged && !of.model.settings.once {
        choose(buffer, area);
    }
}

/// The title of what is chosen is reversed: seen without colour too.
fn choose(buffer: &mut Buffer, area: Rect) {
    let title = (area.x + 1..area.right()).skip(1);
    for x in title.take_while(|x| *x + 1 < area.right()) {
        let cell = &mut buffer[(x, area.y)];
        if cell.symbol() == "─" {
            break;
        }
        cell.set_style(theme::selected());
    }
}

/// What the file itself says.
fn text(of: &Wanted<'_>, buffer: &mut Buffer, area: Rect) {
    let fresh = Freshness::Fresh;
    let inside = frame(buffer, area, &of.title(), "", Severity::Plain, &fresh);
    let width = usize::from(inside.width);
    let lines: Vec<String> = of
        .panel
        .words
        .iter()
        .flat_map(|line| cells::wrap(&of.scope.words(line, &of.panel.fixed), width))
        .collect();
    for (line, y) in lines.iter().zip(inside.y..inside.bottom()) {
        buffer.set_stringn(inside.x, y, line, width, theme::text());
    }
    let beyond = lines.len().saturating_sub(usize::from(inside.height));
    panel_lists::more(buffer, inside, beyond);
}

fn not_drawn(of: &Wanted<'_>, buffer: &mut Buffer, area: Rect) {
    let fresh = Freshness::Fresh;
    let inside = frame(buffer, area, &of.title(), "", Severity::Plain, &fresh);
    let kind = match of.panel.type_name.as_str() {
        "" => "not drawn".to_owned(),
        name => format!("{name}, not drawn"),
    };
    let text = format!("{kind}: {}", of.panel.why_not);
    wrapped(buffer, inside, &text, theme::quiet());
}

fn numbers(of: &Wanted<'_>, buffer: &mut Buffer, area: Rect) {
    let (panel, known) = (of.panel, known(of));
    let severity = worst(panel, &known.series);
    let single = matches!(panel.kind, Kind::Stat | Kind::Gauge);
    let note = note(of, &known);
    // A table's and a chart's frame stay quiet: their lines and rows say which is bad.
    let framed = if single { severity } else { Severity::Plain };
    let inside = frame(buffer, area, &of.title(), &note, framed, &known.fresh);
    let drawn = match panel.kind {
        Kind::Stat | Kind::Gauge => stat(of, &known, buffer, inside),
        Kind::Pie => panel_shares::pie(of, &known, buffer, inside),
        Kind::Histogram => panel_shares::histogram(of, &known, buffer, inside),
        Kind::StateTimeline | Kind::StatusHistory => panel_states::draw(of, &known, buffer, inside),
        Kind::BarGauge => panel_lists::bars(of, &known, buffer, inside),
        Kind::Table => panel_lists::table(of, &known, buffer, inside),
        Kind::Heatmap => panel_charts::heatmap(of, &known, buffer, inside),
        _ => panel_charts::chart(of, &known, buffer, inside),
    };
    if !drawn {
        let style = if known.refused.is_some() {
            theme::warn()
        } else {
            theme::quiet()
        };
        let text = known.emptiness(panel);
        if cells::width(&text) <= usize::from(inside.width) {
            centred(buffer, inside, &[Line::styled(text, style)]);
        } else {
            wrapped(buffer, inside, &text, style);
        }
    }
    dim_if_stale(buffer, inside, &known.fresh);
    if !panel.why_not.is_empty() && known.fresh == Freshness::Fresh {
        let room = usize::from(area.width).saturating_sub(6);
        foot(
            buffer,
            area,
            &cells::cut(&panel.why_not, room),
            theme::quiet(),
        );
    }
}

/// On the right of the title: the value of the only series, or how many there are.
fn note(of: &Wanted<'_>, known: &Known<'_>) -> String {
    let left_out = match known.left_out {
        0 => String::new(),
        count => format!(", {count} left out"),
    };
    match (of.panel.kind, known.series.as_slice()) {
        (Kind::TimeSeries, [only]) => only
            .one
            .now
            .map_or(String::new(), |value| of.panel.text(value)),
        (Kind::TimeSeries, all) if all.len() > MAX_LINES && !of.enlarged => {
            format!("{MAX_LINES} of {} series{left_out}", all.len())
        }
        (Kind::Table | Kind::BarGauge, all) if !all.is_empty() => {
            let now = all.iter().filter(|named| named.one.now.is_some()).count();
            format!("{now}{left_out}")
        }
        _ => left_out.trim_start_matches(", ").to_owned(),
    }
}

fn stat(of: &Wanted<'_>, known: &Known<'_>, buffer: &mut Buffer, area: Rect) -> bool {
    let panel = of.panel;
    let values: Vec<(&str, f64)> = known
        .series
        .iter()
        .filter_map(|named| Some((named.name.as_str(), reduced(panel, named.one)?)))
        .collect();
    let inside = Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(2),
        ..area
    };
    let style = |value: f64| match panel.judge(value) {
        Severity::Plain => theme::strong(),
        judged => judged.style(),
    };
    match values.as_slice() {
        [] => false,
        [(_, value)] => {
            let (number, unit) = panel.show(*value);
            let style = style(*value);
            if panel.kind == Kind::Gauge && inside.height >= 3 {
                level(panel, *value, buffer, inside, style);
            } else if of.model.settings.once || inside.height < 3 {
                // For screen readers and scripts: digits, not pictures of digits.
                let y = inside.y + inside.height / 2;
                let row = Rect {
                    y,
                    height: 1,
                    ..inside
                };
                wrapped(buffer, row, &panel.text(*value), style);
            } else {
                big(buffer, inside, &number, &unit, style, theme::quiet());
            }
            true
        }
        several => {
            let lines = several.iter().zip(inside.y..inside.bottom());
            for ((name, value), y) in lines {
                let text = format!("{}{}", panel.text(*value), sign(panel.judge(*value)));
                let room = usize::from(inside.width).saturating_sub(cells::width(&text) + 1);
                buffer.set_stringn(inside.x, y, cells::cut(name, room), room, theme::quiet());
                let width = u16::try_from(cells::width(&text)).unwrap_or(0);
                let x = inside.right().saturating_sub(width);
                buffer.set_stringn(x, y, &text, usize::from(width), style(*value));
            }
            true
        }
    }
}

/// A gauge: the value, how full it is, and its scale.
fn level(panel: &Panel, value: f64, buffer: &mut Buffer, area: Rect, style: Style) {
    let (low, high) = (panel.low.unwrap_or(0.0), panel.high.unwrap_or(100.0));
    let line = |text: String, style: Style| Line::styled(text, style);
    let value_text = format!("{}{}", panel.text(value), sign(panel.judge(value)));
    let top = area.y + (area.height - 3) / 2;
    buffer.set_line(area.x, top, &line(value_text, style), area.width);
    let bar = Rect {
        y: top + 1,
        height: 1,
        ..area
    };
    gauge(buffer, bar, (value - low) / (high - low), style);
    let (from, to) = (panel.unit.tick(low), panel.unit.tick(high));
    let room = usize::from(area.width).saturating_sub(cells::width(&from));
    let scale = line(from + &cells::right(&to, room), theme::quiet());
    buffer.set_line(area.x, top + 2, &scale, area.width);
}

/// Behind a number that is worth a look.
pub(crate) fn sign(severity: Severity) -> String {
    match severity {
        Severity::Warn | Severity::Bad => format!(" {}", severity.sign()),
        _ => String::new(),
    }
}
