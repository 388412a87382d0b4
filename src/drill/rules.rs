//! The alert rules of a drill: read from files or from a Prometheus, and identified by hashes. Also Alertmanager's
//! grouping times.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::prediction::{Rule, Settings};
use crate::alerting::rules::{
    BOUNDS, RuleSet, SHIPPED as SHIPPED_RULES, SHIPPED_FILE, StatedRule, text_of,
};
use crate::clients::rules::{Rule as ListedRule, RuleGroup};
use crate::yaml::{self, FileError};

/// The time between two evaluations of a group that sets none, on an embedded server.
const EVALUATION: Duration = Duration::from_secs(1);

impl Settings {
    /// The settings of an embedded server, which scrapes and evaluates every second.
    pub const EMBEDDED: Settings = Settings {
        scrape: Duration::from_secs(1),
        group_wait: Duration::from_secs(1),
    };
}

/// Reads the rules of `files`; without files, the shipped rules.
///
/// # Errors
/// A file cannot be read, or has a mistake.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Rule>, FileError> {
    Ok(of_set(&RuleSet::load(files)?))
}

fn of_set(set: &RuleSet) -> Vec<Rule> {
    let rule = |stated: StatedRule<'_>| Rule {
        name: stated.name.to_owned(),
        expr: stated.expr.to_owned(),
        is_alert: stated.hold.is_some(),
        for_duration: stated.hold.unwrap_or_default(),
        interval: stated.interval.unwrap_or(EVALUATION),
        file: stated.file.to_owned(),
        line: stated.line,
    };
    set.stated().map(rule).collect()
}

/// The origin of the rules, and the hash that identifies them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleFile {
    /// The path of the rule file; for the shipped rules their path in the repository; for a running system the API that
    /// lists its rules: `/api/v1/rules of HOST:PORT`.
    pub file: String,
    /// SHA-256 in hexadecimal: of the file's bytes; for a running system, of group, name, expression, `for` and labels
    /// of each rule, in that order.
    pub sha256: String,
}

/// Origin and hash of each of the `files`; without files, of the shipped rules.
///
/// # Errors
/// A file cannot be read.
pub(super) fn hashes(files: &[PathBuf]) -> Result<Vec<RuleFile>, FileError> {
    let of = |file: String, text: &str| RuleFile {
        file,
        sha256: hex::encode(Sha256::digest(text)),
    };
    if files.is_empty() {
        return Ok(vec![of(SHIPPED_FILE.to_owned(), SHIPPED_RULES)]);
    }
    let hash = |path: &PathBuf| Ok(of(path.display().to_string(), &text_of(path)?));
    files.iter().map(hash).collect()
}

/// Origin and hash of the rules that `listed_at` lists. The hash depends neither on their files nor on their order.
pub(super) fn hash_of_groups(listed_at: &str, groups: &[RuleGroup]) -> RuleFile {
    let of_group = |group: &RuleGroup| {
        let name = group.name.clone();
        let of_rule = move |rule: &ListedRule| {
            let fields = (&name, &rule.name, &rule.query, rule.duration, &rule.labels);
            // Text and finite numbers always convert to JSON.
            serde_json::to_string(&fields).unwrap_or_default()
        };
        group.rules.iter().map(of_rule).collect::<Vec<_>>()
    };
    let mut rules: Vec<String> = groups.iter().flat_map(of_group).collect();
    rules.sort_unstable();
    RuleFile {
        file: listed_at.to_owned(),
        sha256: hex::encode(Sha256::digest(rules.join("\n"))),
    }
}

/// The rules that a Prometheus lists. If the file of a rule can be read here, it gives the line number; otherwise the
/// line is 0.
pub(super) fn of_groups(groups: Vec<RuleGroup>) -> Vec<Rule> {
    let mut lines: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    let mut all = Vec::new();
    for group in groups {
        let here = lines.entry(group.file.clone()).or_insert_with(|| {
            // The file may be on another machine.
            read(&[PathBuf::from(&group.file)]).unwrap_or_default()
        });
        for rule in group.rules {
            let found = here.iter().find(|it| it.name == rule.name);
            all.push(Rule {
                line: found.map_or(0, |it| it.line),
                name: rule.name,
                expr: rule.query,
                is_alert: rule.kind == "alerting",
                for_duration: seconds(rule.duration),
                interval: seconds(group.interval),
                file: group.file.clone(),
            });
        }
    }
    all
}

/// Seconds of an API as a duration. A negative or non-finite number counts as 0.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

/// The part of Alertmanager's settings that a drill needs.
#[derive(Deserialize)]
struct AlertmanagerConfig {
    route: Route,
}

#[derive(Deserialize)]
struct Route {
    #[serde(default)]
    group_wait: Option<String>,
    #[serde(default)]
    group_interval: Option<String>,
    #[serde(default)]
    routes: Vec<Route>,
}

impl Route {
    /// The longest `time` of this route and of those below it, which inherit it unless they set their own.
    fn longest(&self, time: fn(&Route) -> Option<&str>, inherited: Duration) -> Duration {
        let own = time(self).and_then(crate::embedded::prometheus::promql::parse_duration);
        let own = own.unwrap_or(inherited);
        let routes = self.routes.iter().map(|route| route.longest(time, own));
        routes.max().unwrap_or(own).max(own)
    }
}

/// The times for which notifications of a group wait: the longest of all routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grouping {
    /// The wait of the first notification.
    pub(super) wait: Duration,
    /// The time between two notifications.
    pub(super) interval: Duration,
}

/// Reads the settings of an Alertmanager. `None` if `config` cannot be read as such.
pub(super) fn grouping(config: &str) -> Option<Grouping> {
    // Alertmanager's defaults, <https://prometheus.io/docs/alerting/latest/configuration/#route>.
    const WAIT: Duration = Duration::from_secs(30);
    const INTERVAL: Duration = Duration::from_secs(5 * 60);
    let lacking = |near: &str, missing: &str| format!("{near}.{missing}");
    let parsed = yaml::parse::<AlertmanagerConfig>("alertmanager.yml", config, BOUNDS, lacking);
    let (config, _) = parsed.ok()?;
    let route = config.route;
    Some(Grouping {
        wait: route.longest(|route| route.group_wait.as_deref(), WAIT),
        interval: route.longest(|route| route.group_interval.as_deref(), INTERVAL),
    })
}

/// The file and line of the rule of an alert, as `FILE:LINE`.
pub(super) fn place_of(alert: &str, rules: &[Rule]) -> Option<String> {
    let rule = rules
        .iter()
        .find(|rule| rule.is_alert && rule.name == alert)?;
    Some(format!("{}:{}", rule.file, rule.line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::basis::Basis;
    use crate::drill::file::{Drill, Inject};

    /// The shipped drills that cannot pass with `rules`, with the reason.
    fn refused(rules: &str) -> BTreeMap<&'static str, String> {
        let basis = Basis {
            rules: of_set(&RuleSet::parse("alerts.yml", rules).unwrap()),
            settings: Settings::EMBEDDED,
            identity: vec![RuleFile {
                file: "alerts.yml".to_owned(),
                sha256: String::new(),
            }],
            running: None,
        };
        let drills = crate::drill::file::shipped().iter().copied();
        let refusal = |(name, text)| {
            let drill = Drill::parse(name, text).unwrap();
            let error = basis.check(&drill).err()?;
            Some((name, error.to_string()))
        };
        drills.filter_map(refusal).collect()
    }

    fn expecting(alert: &str) -> Vec<&'static str> {
        let drills = crate::drill::file::shipped().iter().copied();
        let expects = |(name, text): &(&'static str, &str)| {
            let drill = Drill::parse(name, text).unwrap();
            let expects = |inject: &Inject| inject.expect.fires.contains_key(alert);
            drill.injects.iter().any(expects)
        };
        drills.filter(expects).map(|(name, _)| name).collect()
    }

    #[test]
    fn a_rule_that_waits_longer_is_refused_by_exactly_its_drills_with_its_place() {
        let head = "      - alert: SlowBuying\n";
        let (before, rule) = SHIPPED_RULES.split_once(head).unwrap();
        let slower = format!("{before}{head}{}", rule.replacen("for: 5s", "for: 2m", 1));
        let found = refused(&slower);
        let names: Vec<&str> = found.keys().copied().collect();
        let mut expected = expecting("SlowBuying");
        expected.sort_unstable();
        assert!(!expected.is_empty() && names == expected, "{found:#?}");
        let line = before.lines().count() + 1;
        let place = format!("alerts.yml:{line}");
        assert!(found.values().all(|it| it.contains(&place)), "{found:#?}");
    }

    #[test]
    fn a_rule_that_is_gone_is_missed_by_exactly_its_drills() {
        let gone = SHIPPED_RULES.replace("- alert: SlowBuying\n", "- alert: SlowSelling\n");
        let found = refused(&gone);
        let names: Vec<&str> = found.keys().copied().collect();
        let mut expected = expecting("SlowBuying");
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert!(
            found.values().all(|it| it.contains("in alerts.yml")),
            "{found:#?}"
        );
        assert_eq!(refused(SHIPPED_RULES), BTreeMap::new());
    }

    fn listed(change: impl Fn(&mut Vec<RuleGroup>)) -> String {
        let rule = |name: &str| ListedRule {
            name: name.to_owned(),
            query: "up == 0".to_owned(),
            duration: 5.0,
            labels: [("severity".to_owned(), "critical".to_owned())].into(),
            ..ListedRule::default()
        };
        let group = |name: &str, rules| RuleGroup {
            name: name.to_owned(),
            rules,
            ..RuleGroup::default()
        };
        let mut groups = vec![
            group("a", vec![rule("Down"), rule("Gone")]),
            group("b", vec![rule("Down")]),
        ];
        change(&mut groups);
        hash_of_groups("/api/v1/rules of p:9090", &groups).sha256
    }

    #[test]
    fn the_identity_of_listed_rules_is_their_content_not_their_order_file_or_state() {
        let plain = listed(|_| {});
        let same = listed(|groups| {
            groups.reverse();
            groups[1].rules.reverse();
            groups[0].file = "/elsewhere/alerts.yml".to_owned();
            groups[0].rules[0].health = "err".to_owned();
        });
        assert_eq!(plain, same);
        let changes: [fn(&mut Vec<RuleGroup>); 6] = [
            |groups| groups[0].name = "c".to_owned(),
            |groups| groups[0].rules[0].name = "Away".to_owned(),
            |groups| groups[0].rules[0].query = "up == 1".to_owned(),
            |groups| groups[0].rules[0].duration = 6.0,
            |groups| groups[0].rules[0].labels.clear(),
            |groups| drop(groups[0].rules.pop()),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            assert_ne!(plain, listed(change), "change {index}");
        }
    }

    const RULE: &str =
        "- name: a\n  rules:\n    - alert: Down\n      expr: up == 0\n      for: 5s\n";

    /// The rules of a file with this text, or the message about its mistake.
    fn read_text(text: &str) -> Result<Vec<Rule>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.yaml");
        std::fs::write(&path, text).unwrap();
        let read = read(std::slice::from_ref(&path));
        read.map_err(|error| error.to_string().replace(&path.display().to_string(), "r"))
    }

    #[test]
    fn drills_accept_the_rule_files_that_servers_accept() {
        let indented = RULE.replace('\n', "\n    ");
        let resource = format!(
            "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec:\n  groups:\n    {indented}"
        );
        for (text, line) in [(format!("groups:\n{RULE}"), 4), (resource, 7)] {
            let rules = read_text(text.trim_end()).unwrap();
            let [rule] = &*rules else { panic!("{rules:?}") };
            assert_eq!(
                (&*rule.name, &*rule.expr, rule.line),
                ("Down", "up == 0", line)
            );
            assert!(rule.is_alert);
            assert_eq!(rule.for_duration, Duration::from_secs(5));
            assert_eq!(rule.interval, EVALUATION);
        }
        assert_eq!(read_text("groups:\n"), Ok(Vec::new()));
    }

    #[test]
    fn drills_refuse_the_rule_files_that_servers_refuse_with_line_and_field() {
        for (right, wrong, expected) in [
            (
                "expr:",
                "exprr:",
                "r:5:7: groups.0.rules.0.exprr: there is no field",
            ),
            (
                "for: 5s",
                "for: 5 parsecs",
                "r:6:7: groups.0.rules.0.for: not a duration",
            ),
            ("up == 0", "sum(((", "r:5:7: groups.0.rules.0.expr: "),
        ] {
            let text = format!("groups:\n{}", RULE.replace(right, wrong));
            let error = read_text(&text).unwrap_err();
            assert!(error.starts_with(expected), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_longest_times_of_all_routes_count() {
        let times = |config| grouping(config).map(|it| (it.wait.as_secs(), it.interval.as_secs()));
        let shipped = include_str!("../../otel/alertmanager/alertmanager.yml");
        assert_eq!(times(shipped), Some((5, 10)));
        let nested = "route: { receiver: a, group_wait: 1s, group_interval: 9s, \
                      routes: [{ receiver: b, group_wait: 7s }] }\n";
        assert_eq!(times(nested), Some((7, 9)));
        assert_eq!(times("route: { receiver: a }\n"), Some((30, 300)));
        assert_eq!(times("nonsense"), None);
    }
}
