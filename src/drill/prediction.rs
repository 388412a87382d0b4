//! Computes the longest time that an alert can take, from its rule and the settings.
//!
//! From the start of a fault to the notification these add up:
//!
//! ```text
//! delay        until a metric can show the fault: see Effect::delay
//! gather       until the expression can be true: see below
//! scrape × 2   one until the first sample, one more since a new series counts from its second; × 3 if scrapes hang
//! evaluation   once for the rule, once for each recording rule that it reads
//! for          rounded up to evaluations
//! group wait   of Alertmanager, or its group interval if that is longer, or of the embedded notifier
//! delivery     of the notification
//! ```
//!
//! `gather` is read from the expression:
//!
//! - A share that must exceed a limit (`errors / requests > 0.01` over 15 s) does so once enough of the window's
//!   requests are bad. That takes limit × window ÷ share of the requests that the fault hits.
//! - A quantile that must exceed a limit (`histogram_quantile(0.95, …[30s]) > 0.5`) does so once 1 − 0.95 of the
//!   window's requests are slow.
//! - A count that must exceed a number (`15 * rate >= 5`) adds no time.
//! - Everything else that reads a window takes the whole of it. An example is a share that must fall below a limit.

use std::collections::BTreeMap;
use std::time::Duration;

use promql_parser::parser::token::{T_DIV, T_GTE, T_GTR, T_LAND, T_LOR, T_LUNLESS, T_MUL};
use promql_parser::parser::{BinaryExpr, Call, Expr, Offset, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use super::file::{Fault, Inject, Kind};
use crate::api::faults::LinkCut;
use crate::embedded::prometheus::promql;

/// The longest delivery of a notification, measured on two cores over loopback. A webhook on a healthy network is as
/// fast.
const DELIVERY: Duration = Duration::from_secs(1);
/// The largest number of nested recording rules that the prediction follows.
const DEPTH: u32 = 8;

/// An alerting rule or a recording rule, from a file or from Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The name of the alert, or of the series that is recorded.
    pub name: String,
    /// Its expression.
    pub expr: String,
    /// True for an alerting rule, false for a recording rule.
    pub is_alert: bool,
    /// The time for which the expression must be true before the alert fires.
    pub for_duration: Duration,
    /// The time between two evaluations.
    pub interval: Duration,
    /// Its file.
    pub file: String,
    /// The line in the file, counted from 1. It is 0 if the file cannot be read from here.
    pub line: usize,
}

/// The settings of Prometheus and Alertmanager that add time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The time between two scrapes.
    pub scrape: Duration,
    /// The longest wait of a notification in its group: Alertmanager's `group_wait`, or its `group_interval` if that is
    /// longer. Alertmanager keeps the group of an ended alert while Prometheus repeats that alert (15 minutes,
    /// `resolvedRetention`). An alert that fires in this period joins that group and waits for `group_interval`.
    pub group_wait: Duration,
}

/// The effect of a fault on the measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// The smallest share of the requests that the fault hits: above 0, at most 1.
    pub share: f64,
    /// The time from the start of the fault until a metric can show it: the delay of a request that the fault hits, or
    /// the time in which the server notices a lost dependency.
    pub delay: Duration,
    /// Scrapes of the server fail only at their time-out, which is at most the time between two.
    pub scrapes_hang: bool,
}

impl Effect {
    /// The effect of `fault`.
    #[must_use]
    pub fn of(fault: &Fault) -> Effect {
        /// The smallest share of requests that one statement, one route or one dependency affects.
        const PARTIAL: f64 = 0.1;
        let delay = fault.delay.map_or(Duration::ZERO, |delay| delay.0);
        let share = match fault.kind {
            Kind::Errors | Kind::Latency => fault.share.unwrap_or(1.0).max(0.001),
            Kind::SlowStatement
            | Kind::PoolExhaustion
            | Kind::RedisCut
            | Kind::DiskFull
            | Kind::CpuHog => PARTIAL,
            _ => 1.0,
        };
        let share = if fault.routes.is_some() {
            share * PARTIAL
        } else {
            share
        };
        let delay = match fault.kind {
            // A request gives up waiting for a connection after 5 s.
            Kind::PoolExhaustion => Duration::from_secs(5),
            // A server checks its dependencies at least once a second and waits at most one second for an answer. A
            // command may stop a dependency.
            Kind::RedisCut | Kind::DiskFull | Kind::Command | Kind::LoseOneOfN => {
                Duration::from_secs(2)
            }
            _ => delay,
        };
        let scrapes_hang = match fault.kind {
            Kind::TelemetryGone => fault.how.unwrap_or_default() == LinkCut::Hang,
            kind => kind == Kind::FreezeServer,
        };
        Effect {
            share,
            delay,
            scrapes_hang,
        }
    }
}

/// The worst case of one alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The time from the start of the fault until the alert fires.
    pub firing: Duration,
    /// The time from then until the notification.
    pub notified: Duration,
}

/// The worst case of the alert called `name`; `None` if no rule raises it.
///
/// Several rules of one name are alternatives, and the one that fires first counts.
#[must_use]
pub fn predict(
    name: &str,
    rules: &[Rule],
    settings: Settings,
    effect: Effect,
) -> Option<Prediction> {
    let reader = Reader {
        recordings: recordings(rules),
        effect,
    };
    let alerts = rules
        .iter()
        .filter(|rule| rule.is_alert && rule.name == name);
    let firing = alerts.map(|rule| {
        let gather = match promql::parse_expr(&rule.expr) {
            Ok(expr) => reader.gather(&expr, DEPTH),
            // A rule that does not parse never fires, so its time does not matter. The program that evaluates it reports
            // the error.
            Err(_) => Gather::default(),
        };
        let evaluation = rule.interval * (gather.recordings + 1);
        effect.delay
            + gather.time
            + settings.scrape * (2 + u32::from(reader.effect.scrapes_hang))
            + evaluation
            + round_up(rule.for_duration, rule.interval)
    });
    let firing = firing.min()?;
    Some(Prediction {
        firing,
        notified: settings.group_wait + DELIVERY,
    })
}

/// Returns whether a rule that raises `alert` reads `metric`, itself or through recording rules.
#[must_use]
pub(super) fn reads(alert: &str, rules: &[Rule], metric: &str) -> bool {
    let (mut alerts, mut recordings) = (Vec::new(), Vec::new());
    for rule in rules {
        match promql::parse_expr(&rule.expr) {
            Ok(expr) if !rule.is_alert => recordings.push((rule.name.as_str(), expr)),
            Ok(expr) if rule.name == alert => alerts.push(expr),
            _ => {}
        }
    }
    // The metric, and every series that is recorded from it.
    let mut series = vec![metric];
    loop {
        let before = recordings.len();
        recordings.retain(|(name, expr)| {
            let is_from_it = selects_any(expr, &series);
            if is_from_it {
                series.push(*name);
            }
            !is_from_it
        });
        if recordings.len() == before {
            break;
        }
    }
    alerts.iter().any(|expr| selects_any(expr, &series))
}

/// Returns whether a selector of the expression names one of the `series`.
fn selects_any(expr: &Expr, series: &[&str]) -> bool {
    matches!(walk_expr(&mut Search(series), expr), Ok(false))
}

/// The walk through an expression that ends at the first selector of one of these series.
struct Search<'s>(&'s [&'s str]);

impl ExprVisitor for Search<'_> {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Self::Error> {
        let selector = match expr {
            Expr::VectorSelector(selector) => selector,
            Expr::MatrixSelector(matrix) => &matrix.vs,
            _ => return Ok(true),
        };
        Ok(!self.0.iter().any(|name| selects(selector, name)))
    }
}

/// Returns whether a selector names `metric`: directly, or by matchers of `__name__`.
fn selects(selector: &VectorSelector, metric: &str) -> bool {
    if let Some(name) = &selector.name {
        return name == metric;
    }
    let by_name = selector.matchers.find_matchers("__name__");
    !by_name.is_empty() && by_name.iter().all(|matcher| matcher.is_match(metric))
}

/// The expressions of the recording rules, by the series that they record.
fn recordings(rules: &[Rule]) -> BTreeMap<&str, Expr> {
    let recordings = rules.iter().filter(|rule| !rule.is_alert);
    recordings
        .filter_map(|rule| Some((rule.name.as_str(), promql::parse_expr(&rule.expr).ok()?)))
        .collect()
}

/// Rounds `time` up to a multiple of `interval`.
fn round_up(time: Duration, interval: Duration) -> Duration {
    let interval = interval.max(Duration::from_millis(1));
    let times = time.as_millis().div_ceil(interval.as_millis());
    interval * u32::try_from(times).unwrap_or(u32::MAX)
}

/// The delays before the expression can become true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Gather {
    time: Duration,
    /// The length of the longest chain of recording rules that the expression reads.
    recordings: u32,
}

impl Gather {
    /// Combines two operands that must both be true: the larger of each figure counts.
    fn and(self, other: Gather) -> Gather {
        Gather {
            time: self.time.max(other.time),
            recordings: self.recordings.max(other.recordings),
        }
    }

    fn scaled(self, by: f64) -> Gather {
        Gather {
            time: self.time.mul_f64(by.clamp(0.0, 1.0)),
            ..self
        }
    }
}

struct Reader<'r> {
    recordings: BTreeMap<&'r str, Expr>,
    effect: Effect,
}

impl Reader<'_> {
    fn gather(&self, expr: &Expr, depth: u32) -> Gather {
        match expr {
            Expr::Paren(inner) => self.gather(&inner.expr, depth),
            Expr::Unary(inner) => self.gather(&inner.expr, depth),
            Expr::Aggregate(inner) => self.gather(&inner.expr, depth),
            Expr::Binary(binary) => self.binary(binary, depth),
            Expr::Call(call) => self.call(call, depth),
            Expr::Subquery(sub) => {
                let inner = self.gather(&sub.expr, depth);
                Gather {
                    time: inner.time + sub.range + shift(sub.offset.as_ref()),
                    ..inner
                }
            }
            Expr::MatrixSelector(matrix) => Gather {
                time: matrix.range + shift(matrix.vs.offset.as_ref()),
                recordings: 0,
            },
            Expr::VectorSelector(selector) => {
                let name = selector.name.as_deref().unwrap_or_default();
                let recording = self.recordings.get(name).filter(|_| depth > 0);
                let behind = recording.map_or(Gather::default(), |expr| {
                    let inner = self.gather(expr, depth - 1);
                    Gather {
                        recordings: inner.recordings + 1,
                        ..inner
                    }
                });
                Gather {
                    time: behind.time + shift(selector.offset.as_ref()),
                    ..behind
                }
            }
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {
                Gather::default()
            }
        }
    }

    fn binary(&self, binary: &BinaryExpr, depth: u32) -> Gather {
        let (left, right) = (
            self.gather(&binary.lhs, depth),
            self.gather(&binary.rhs, depth),
        );
        match binary.op.id() {
            // One of the two is enough, so the earlier one counts.
            T_LOR => left.min(right),
            T_LAND | T_LUNLESS => left.and(right),
            _ if binary.op.is_comparison_operator() => self.compared(binary, left.and(right)),
            _ => left.and(right),
        }
    }

    /// A share or a quantile that must exceed a limit needs a part of its window. `whole` is what the whole window
    /// needs.
    fn compared(&self, binary: &BinaryExpr, whole: Gather) -> Gather {
        // Other comparisons may need the whole window. A share that must fall below a limit falls until the last good
        // request has left the window.
        if !matches!(binary.op.id(), T_GTR | T_GTE) {
            return whole;
        }
        let limit = constant(&binary.rhs);
        let needed = match (bare(&binary.lhs), limit) {
            (Expr::Binary(inner), Some(limit)) if inner.op.id() == T_DIV => Some(limit),
            // `15 * rate >= 5`: five bad requests arrive almost at once, so this adds no time.
            (Expr::Binary(inner), Some(_)) if inner.op.id() == T_MUL => Some(0.0),
            (Expr::Call(call), Some(_)) if call.func.name == "histogram_quantile" => {
                let quantile = call.args.args.first().and_then(|it| constant(it));
                quantile.map(|quantile| 1.0 - quantile)
            }
            _ => None,
        };
        // The shipped rule for slow statements has one series per `db_operation_name`. The fault hits every operation
        // in its series, so the share is 1. The text must match the grouping in that rule.
        let share = match binary
            .lhs
            .to_string()
            .contains("by (job, instance, db_operation_name")
        {
            true => 1.0,
            false => self.effect.share.max(f64::MIN_POSITIVE),
        };
        match needed {
            Some(needed) if (0.0..1.0).contains(&needed) => whole.scaled(needed / share),
            _ => whole,
        }
    }

    fn call(&self, call: &Call, depth: u32) -> Gather {
        let arguments = call.args.args.iter();
        arguments
            .map(|argument| self.gather(argument, depth))
            .fold(Gather::default(), Gather::and)
    }
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => bare(&inner.expr),
        other => other,
    }
}

/// The value of a number, or of a product of numbers.
fn constant(expr: &Expr) -> Option<f64> {
    match bare(expr) {
        Expr::NumberLiteral(number) => Some(number.val),
        Expr::Binary(binary) if binary.op.id() == T_MUL => {
            Some(constant(&binary.lhs)? * constant(&binary.rhs)?)
        }
        _ => None,
    }
}

fn shift(offset: Option<&Offset>) -> Duration {
    match offset {
        Some(Offset::Pos(by)) => *by,
        Some(Offset::Neg(_)) | None => Duration::ZERO,
    }
}

/// The worst case of `alert` under the fault of `inject`.
pub(super) fn worst_case(
    alert: &str,
    inject: &Inject,
    rules: &[Rule],
    settings: Settings,
) -> Option<Prediction> {
    predict(alert, rules, settings, Effect::of(&inject.fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::file::Drill;

    const SECOND: Duration = Duration::from_secs(1);
    const SETTINGS: Settings = Settings {
        scrape: SECOND,
        group_wait: SECOND,
    };

    fn alert(expr: &str, for_seconds: u64) -> Rule {
        Rule {
            name: "A".to_owned(),
            expr: expr.to_owned(),
            is_alert: true,
            for_duration: Duration::from_secs(for_seconds),
            interval: SECOND,
            file: "rules.yml".to_owned(),
            line: 1,
        }
    }

    fn recording(name: &str, expr: &str) -> Rule {
        Rule {
            name: name.to_owned(),
            is_alert: false,
            ..alert(expr, 0)
        }
    }

    fn firing(rules: &[Rule], share: f64, delay: Duration) -> f64 {
        let effect = Effect {
            share,
            delay,
            scrapes_hang: false,
        };
        let prediction = predict("A", rules, SETTINGS, effect).unwrap();
        prediction.firing.as_secs_f64()
    }

    #[test]
    fn a_gauge_takes_two_scrapes_an_evaluation_and_its_for() {
        assert_eq!(firing(&[alert("up == 0", 1)], 1.0, Duration::ZERO), 4.0);
    }

    #[test]
    fn a_scrape_that_hangs_shows_the_fault_at_its_time_out() {
        let of = |name: &str| {
            let drill = Drill::load(name).unwrap();
            let effect = Effect::of(&drill.injects[0].fault);
            predict("A", &[alert("up == 0", 1)], SETTINGS, effect)
        };
        for name in ["telemetry-gone", "freeze"] {
            assert_eq!(of(name).unwrap().firing, 5 * SECOND, "{name}");
        }
        assert_eq!(of("kill").unwrap().firing, 4 * SECOND);
    }

    #[test]
    fn a_share_takes_its_part_of_the_window() {
        let rules = [
            recording("errors", "sum(rate(e[15s]))"),
            recording("requests", "sum(rate(r[15s]))"),
            alert("errors / requests > 0.01 and 15 * errors >= 5", 1),
        ];
        // 0.01 of 15 s, divided by a share of one half: 0.3 s. Two evaluations, for the recording rule and for the
        // alert.
        let found = firing(&rules, 0.5, Duration::ZERO);
        assert!((found - 5.3).abs() < 1e-6, "{found}");
    }

    #[test]
    fn a_quantile_takes_the_rest_of_its_window_and_the_delay_of_the_fault() {
        let rules = [alert(
            "histogram_quantile(0.95, sum by (le) (rate(b[30s]))) > 0.5",
            5,
        )];
        let found = firing(&rules, 0.5, SECOND);
        assert!(
            (found - (1.0 + 3.0 + 2.0 + 1.0 + 5.0)).abs() < 1e-6,
            "{found}"
        );
        // So few slow requests never reach the quantile, so the bound is the whole window.
        let found = firing(&rules, 0.01, SECOND);
        assert!(
            (found - (1.0 + 30.0 + 2.0 + 1.0 + 5.0)).abs() < 1e-6,
            "{found}"
        );
    }

    #[test]
    fn an_expression_over_all_samples_takes_the_whole_window() {
        let rules = [alert("min_over_time(used[20s]) >= max", 5)];
        assert_eq!(firing(&rules, 1.0, Duration::ZERO), 20.0 + 2.0 + 1.0 + 5.0);
        let either = [alert("changes(m[15s]) == 0 or changes(m[1m]) == 0", 5)];
        assert_eq!(firing(&either, 1.0, Duration::ZERO), 15.0 + 2.0 + 1.0 + 5.0);
    }

    #[test]
    fn a_figure_that_must_fall_below_a_limit_takes_the_whole_window() {
        for expr in [
            "sum(rate(ok[20s])) / sum(rate(all[20s])) < 0.01",
            "15 * sum(rate(ok[20s])) <= 5",
            "histogram_quantile(0.95, sum by (le) (rate(b[20s]))) < 0.5",
        ] {
            let found = firing(&[alert(expr, 5)], 1.0, Duration::ZERO);
            assert_eq!(found, 20.0 + 2.0 + 1.0 + 5.0, "{expr}");
        }
    }

    #[test]
    fn no_rule_raises_it() {
        let effect = Effect {
            share: 1.0,
            delay: Duration::ZERO,
            scrapes_hang: false,
        };
        assert_eq!(predict("B", &[alert("up == 0", 1)], SETTINGS, effect), None);
    }

    #[test]
    fn a_rule_reads_what_its_recording_rules_read() {
        let reads = |expr: &str| {
            let rules = [
                recording("injected", "max(concert_fault_active)"),
                recording("injected", "min(concert_fault_active)"),
                recording("injected", "vector(0)"),
                recording("deep", "rate(injected[1m])"),
                alert(expr, 1),
            ];
            reads("A", &rules, "concert_fault_active")
        };
        for expr in [
            "concert_fault_active == 1",
            "up == 0 or sum by (fault) (max_over_time(concert_fault_active[1m])) > 0",
            "{__name__=~'concert_fault_.*'} > 0",
            "-(injected) < 0",
            "max_over_time(deep[1m:1s]) > 0",
        ] {
            assert!(reads(expr), "{expr}");
        }
        for expr in [
            "up == 0",
            "vector(1)",
            "sum({job='a'}) > 1",
            "up{fault='a'}",
            "not a rule",
        ] {
            assert!(!reads(expr), "{expr}");
        }
    }

    #[test]
    fn for_is_rounded_up_to_evaluations() {
        assert_eq!(
            round_up(Duration::from_secs(1), Duration::from_secs(5)),
            Duration::from_secs(5)
        );
        assert_eq!(
            round_up(Duration::ZERO, Duration::from_secs(5)),
            Duration::ZERO
        );
    }
}
