//! Collects the answers to a panel's queries, names their series for the legend, and reduces them to single numbers and
//! severities. The modules beside it draw them by kind of panel.

use crate::clients::prometheus::Labels;
use crate::tui::connection::Source;
use crate::tui::dashboard::Scope;
use crate::tui::dashboard::panel::{Calc, Kind, Panel, Target};
use crate::tui::format::one_line;
use crate::tui::model::Model;
use crate::tui::screens::layout::freshness;
use crate::tui::sources::answers::OneSeries;
use crate::tui::theme::Severity;
use crate::tui::widgets::Freshness;

/// A panel to draw, with the values of its variables.
pub(crate) struct Wanted<'a> {
    pub(crate) model: &'a Model,
    pub(crate) panel: &'a Panel,
    pub(crate) scope: &'a Scope,
    /// Whether the panel is the chosen one, whose frame is marked.
    pub(crate) chosen: bool,
    /// Whether the panel fills the body, with a legend below its chart.
    pub(crate) enlarged: bool,
}

impl Wanted<'_> {
    /// The title with its variables filled in.
    pub(crate) fn title(&self) -> String {
        self.panel.heading(self.scope)
    }
}

/// A series with its name for the legend.
pub(crate) struct Named<'a> {
    pub(crate) name: String,
    pub(crate) one: &'a OneSeries,
}

/// The answers for a panel.
pub(crate) struct Known<'a> {
    pub(crate) series: Vec<Named<'a>>,
    /// The number of series that the answers left out, because they were too many.
    pub(crate) left_out: usize,
    /// The reason of the first refused query.
    pub(crate) refused: Option<&'a str>,
    /// Whether the source has answered any of the queries, even with an error.
    pub(crate) answered: bool,
    pub(crate) fresh: Freshness,
}

/// Collects the answers to the panel's queries.
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
    /// The text for a panel that cannot be drawn.
    pub(crate) fn emptiness(&self, panel: &Panel) -> String {
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

/// The name of a series for the legend: the panel's display name, else the query's legend format (`{{label}}`), else
/// the labels.
pub(crate) fn name(of: &Wanted<'_>, target: &Target, labels: &Labels) -> String {
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

/// Replaces `${__field.labels.job}` by the value of the label; `None` if the text refers to something else.
pub(crate) fn display_name(of: &str, labels: &Labels) -> Option<String> {
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

/// The value to which a panel of single numbers reduces a series.
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

/// The worst current severity of the series.
pub(crate) fn worst(panel: &Panel, series: &[Named<'_>]) -> Severity {
    let values = series.iter().filter_map(|named| reduced(panel, named.one));
    let judged = values.map(|value| panel.judge(value));
    judged.max().unwrap_or(Severity::Plain)
}

/// The sign after a number, by its severity.
pub(crate) fn sign(severity: Severity) -> String {
    match severity {
        Severity::Warn | Severity::Bad => format!(" {}", severity.sign()),
        _ => String::new(),
    }
}

/// The most lines of a chart; the others are counted.
pub(crate) const MAX_LINES: usize = 12;
