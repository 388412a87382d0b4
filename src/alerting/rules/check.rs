//! Checks the contents of a well-formed rule file and prepares its rules.

use std::collections::BTreeMap;
use std::time::Duration;

use super::file::{
    DeepHead, GroupText, Head, Resource, ResourceList, RuleFile, RuleText, is_list, lacking,
};
use super::{Alerting, BOUNDS, Group, Kind, Rule};
use crate::alerting::template::Template;
use crate::embedded::prometheus::QueryLimits;
use crate::embedded::prometheus::exposition::is_name;
use crate::embedded::prometheus::labels::METRIC_NAME;
use crate::embedded::prometheus::promql::{Query, parse_duration};
use crate::yaml::{self, FileError, Position, Positions};

/// An invalid field: its path, and the mistake.
type Finding = (String, String);

pub(super) fn groups(
    origin: &str,
    text: &str,
    limits: &QueryLimits,
) -> Result<Vec<Group>, FileError> {
    if text.len() > BOUNDS.bytes {
        // Invalid YAML is refused with the same words as in every other file.
        yaml::parse::<RuleFile>(origin, text, BOUNDS, lacking)?;
    }
    let mut groups: Vec<Group> = Vec::new();
    for document in documents(text) {
        let (files, positions) = read(origin, &document)?;
        let of_files = files.into_iter().flat_map(|(file, below)| {
            let indexed = file.groups.into_iter().enumerate();
            indexed.map(move |(index, group)| (format!("{below}groups.{index}"), group))
        });
        for (path, group) in of_files {
            let taken = groups.iter().any(|other| other.name == group.name);
            let checked = match taken {
                true => Err((
                    "name".to_owned(),
                    format!("there is a group {:?} already", group.name),
                )),
                false => check_group(origin, group, limits),
            };
            let checked = checked.map_err(|finding| placed(origin, &positions, &path, finding));
            groups.push(with_lines(checked?, &positions, &path));
        }
    }
    Ok(groups)
}

/// The documents of a file. Each begins with enough empty lines to keep its line numbers correct. Documents without
/// content are left out.
fn documents(text: &str) -> Vec<String> {
    let is_content = |line: &str| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with('#') || matches!(line, "null" | "~"))
    };
    let mut documents = vec![String::new()];
    let (mut has_content, mut has_directive) = (false, false);
    for (number, line) in text.lines().enumerate() {
        let rest = line.strip_prefix("---");
        let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        let ends = line.trim_end() == "...";
        if ends || rest.is_some() && !has_directive {
            documents.push("\n".repeat(number));
            has_content = false;
        }
        has_directive &= rest.is_none();
        // Directives such as `%YAML 1.1` belong to the document that the next `---` begins, so both stay.
        let is_directive = line.starts_with('%') && !has_content;
        let keeps_marker = rest.is_some() && documents.last().is_some_and(|it| it.contains('%'));
        has_directive |= is_directive;
        has_content |= !is_directive && is_content(rest.unwrap_or(line));
        let Some(last) = documents.last_mut() else {
            continue;
        };
        match rest {
            _ if ends => {}
            Some(rest) if !keeps_marker => last.extend(["   ", rest]),
            _ => last.push_str(line),
        }
        last.push('\n');
    }
    documents.retain(|document| {
        let lines = document.lines().filter(|line| !line.starts_with('%'));
        let mut lines = lines.map(|line| line.strip_prefix("---").unwrap_or(line));
        lines.any(is_content)
    });
    documents
}

/// The rule files of a document, each with the path to its groups: a rule file itself, or those in Kubernetes
/// resources.
fn read(origin: &str, text: &str) -> Result<(Vec<(RuleFile, String)>, Positions), FileError> {
    let Some((head, positions)) = resource_head(origin, text)? else {
        let (file, positions) = yaml::parse(origin, text, BOUNDS, lacking)?;
        return Ok((vec![(file, String::new())], positions));
    };
    let empty = RuleFile { groups: Vec::new() };
    if !head.is_list() {
        refuse_other_kinds(origin, &positions, "", head.kind.as_ref())?;
        let (resource, positions) = yaml::parse::<Resource>(origin, text, BOUNDS, lacking)?;
        let file = resource.spec.unwrap_or(empty);
        return Ok((vec![(file, "spec.".to_owned())], positions));
    }
    for (index, item) in head.items.iter().flatten().enumerate() {
        let path = format!("items.{index}.");
        refuse_other_kinds(origin, &positions, &path, item.kind.as_ref())?;
    }
    let (list, positions) = yaml::parse::<ResourceList>(origin, text, BOUNDS, lacking)?;
    let items = list.items.into_iter().enumerate();
    let files = items.filter_map(|(index, item)| {
        let file = item.spec?;
        Some((file, format!("items.{index}.spec.")))
    });
    Ok((files.collect(), positions))
}

/// The kind of the Kubernetes resource that the document is. `None` for a rule file.
fn resource_head(origin: &str, text: &str) -> Result<Option<(Head, Positions)>, FileError> {
    // Most rule files do not have the word and need no second parse.
    if !text.contains("kind") {
        return Ok(None);
    }
    match yaml::parse::<Head>(origin, text, BOUNDS, lacking) {
        Ok((head, positions)) => Ok(head.kind.is_some().then_some((head, positions))),
        // The document as a rule file would be refused for the fields of a resource, and not for this mistake.
        Err(error) => {
            let other =
                deep_kind(text).and_then(|(kind, at)| other_kind(origin, "kind", &kind, at));
            Err(other.unwrap_or(error))
        }
    }
}

/// The kind of a single resource that is nested deeper than a rule file may be, such as a CustomResourceDefinition.
fn deep_kind(text: &str) -> Option<(String, Option<Position>)> {
    /// The deepest nesting that is looked through for the kind.
    const MAX_DEPTH: usize = 64;
    let mut options = yaml::options(BOUNDS);
    if let Some(budget) = &mut options.budget {
        budget.max_depth = MAX_DEPTH;
    }
    let head = serde_saphyr::from_str_with_options::<DeepHead>(text, options);
    let kind = head.ok()?.kind.filter(|kind| !is_list(&kind.value))?;
    let at = (kind.referenced.line(), kind.referenced.column());
    Some((kind.value, Some(at)))
}

/// Refuses a resource that is not a `PrometheusRule`. A kind that is missing or not a text is left to the parser.
fn refuse_other_kinds(
    origin: &str,
    positions: &Positions,
    below: &str,
    kind: Option<&serde_json::Value>,
) -> Result<(), FileError> {
    let field = format!("{below}kind");
    let kind = kind.and_then(serde_json::Value::as_str);
    let refused =
        kind.and_then(|kind| other_kind(origin, &field, kind, positions.position(&field)));
    refused.map_or(Ok(()), Err)
}

/// The error about a resource of another kind than `PrometheusRule`.
fn other_kind(origin: &str, field: &str, kind: &str, at: Option<Position>) -> Option<FileError> {
    if kind == "PrometheusRule" {
        return None;
    }
    let problem =
        format!("a Kubernetes resource of kind {kind:?} holds no rules; a PrometheusRule does");
    Some(FileError {
        at,
        field: Some(field.to_owned()),
        ..FileError::new(origin, problem)
    })
}

fn placed(origin: &str, positions: &Positions, path: &str, finding: Finding) -> FileError {
    let (below, problem) = finding;
    let field = format!("{path}.{below}");
    FileError {
        at: positions.position(&field),
        field: Some(field),
        ..FileError::new(origin, problem)
    }
}

/// The group with the line of each rule in the file.
fn with_lines(mut group: Group, positions: &Positions, path: &str) -> Group {
    for (index, rule) in group.rules.iter_mut().enumerate() {
        let key = match rule.kind {
            Kind::Recording => "record",
            Kind::Alerting(_) => "alert",
        };
        let at = positions.position(&format!("{path}.rules.{index}.{key}"));
        let line = at.and_then(|(line, _)| usize::try_from(line).ok());
        rule.line = line.unwrap_or_default();
    }
    group
}

fn check_group(origin: &str, group: GroupText, limits: &QueryLimits) -> Result<Group, Finding> {
    if group.name.is_empty() {
        return Err(("name".to_owned(), "must not be empty".to_owned()));
    }
    let interval = duration("interval", group.interval.as_deref())?;
    let query_offset = duration("query_offset", group.query_offset.as_deref())?;
    check_names("labels", &group.labels)?;
    let mut rules = Vec::with_capacity(group.rules.len());
    for (index, mut rule) in group.rules.into_iter().enumerate() {
        for (name, value) in &group.labels {
            let unset = rule.labels.entry(name.clone());
            unset.or_insert_with(|| value.clone());
        }
        let rule = check_rule(rule, limits);
        rules.push(rule.map_err(|(below, problem)| (format!("rules.{index}.{below}"), problem))?);
    }
    Ok(Group {
        name: group.name,
        file: origin.to_owned(),
        interval: (!interval.is_zero()).then_some(interval),
        limit: group.limit,
        query_offset,
        rules,
    })
}

fn check_rule(rule: RuleText, limits: &QueryLimits) -> Result<Rule, Finding> {
    let finding = |field: &str, problem: &str| (field.to_owned(), problem.to_owned());
    let given = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let (name, alerts) = match (given(&rule.record), given(&rule.alert)) {
        (Some(_), Some(_)) => {
            return Err(finding(
                "record",
                "a rule has `record` or `alert`, not both",
            ));
        }
        (None, None) => return Err(finding("alert", "a rule has `record` or `alert`")),
        (Some(name), None) => (name, false),
        (None, Some(name)) => (name, true),
    };
    check_names("labels", &rule.labels)?;
    let Some(expr) = rule.expr.as_deref().filter(|expr| !expr.is_empty()) else {
        return Err(finding("expr", "must not be empty"));
    };
    let query = Query::parse(expr, limits)
        .and_then(|query| query.check_rule().map(|()| query))
        .map_err(|error| ("expr".to_owned(), error.to_string()))?;
    let kind = if alerts {
        Kind::Alerting(Box::new(check_alerting(&rule)?))
    } else {
        check_recording(&name, &rule)?;
        Kind::Recording
    };
    Ok(Rule {
        name,
        expr: expr.to_owned(),
        query,
        labels: rule.labels.into_iter().collect(),
        kind,
        line: 0,
    })
}

fn check_recording(name: &str, rule: &RuleText) -> Result<(), Finding> {
    if !is_name(name, true) {
        return Err((
            "record".to_owned(),
            format!("{name:?} is not a metric name"),
        ));
    }
    let surplus = [
        ("annotations", !rule.annotations.is_empty()),
        ("for", is_some_time(rule.hold.as_deref())),
        (
            "keep_firing_for",
            is_some_time(rule.keep_firing_for.as_deref()),
        ),
    ];
    match surplus.iter().find(|(_, given)| *given) {
        Some((field, _)) => Err((
            (*field).to_owned(),
            "only a rule that alerts has this".to_owned(),
        )),
        None => Ok(()),
    }
}

fn is_some_time(text: Option<&str>) -> bool {
    text.is_some_and(|text| parse_duration(text) != Some(Duration::ZERO))
}

fn check_alerting(rule: &RuleText) -> Result<Alerting, Finding> {
    check_names("annotations", &rule.annotations)?;
    let labels = templates("labels", &rule.labels)?;
    let annotations = templates("annotations", &rule.annotations)?;
    let raw = rule.annotations.values();
    Ok(Alerting {
        hold: duration("for", rule.hold.as_deref())?,
        keep_firing: duration("keep_firing_for", rule.keep_firing_for.as_deref())?,
        labels,
        annotations: annotations
            .into_iter()
            .zip(raw)
            .map(|((name, template), raw)| (name, raw.clone(), template))
            .collect(),
    })
}

fn check_names(field: &str, pairs: &BTreeMap<String, String>) -> Result<(), Finding> {
    let fits = |name: &str| is_name(name, false) && !(field == "labels" && name == METRIC_NAME);
    match pairs.keys().find(|name| !fits(name)) {
        Some(name) => Err((field.to_owned(), format!("{name:?} is not a label name"))),
        None => Ok(()),
    }
}

fn templates(
    field: &str,
    pairs: &BTreeMap<String, String>,
) -> Result<Vec<(String, Template)>, Finding> {
    let read = |(name, text): (&String, &String)| match Template::parse(text) {
        Ok(template) => Ok((name.clone(), template)),
        Err(error) => {
            let (line, column) = place(text, error.at);
            Err((
                format!("{field}.{name}"),
                format!("template, line {line}, column {column}: {}", error.problem),
            ))
        }
    };
    pairs.iter().map(read).collect()
}

/// Line and column of a byte. Both count from 1, and the column counts characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

fn duration(field: &str, text: Option<&str>) -> Result<Duration, Finding> {
    let text = text.unwrap_or("0");
    parse_duration(text).ok_or_else(|| {
        let problem = format!("not a duration such as 30s or 1m30s: {text:?}");
        (field.to_owned(), problem)
    })
}
