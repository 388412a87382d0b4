//! Merges the parts of a run that several processes ran. Histograms merge without loss, so the result is exact. Two
//! kinds of figures cannot be exact and take the value of the worst part: percentiles of one second, and limits over
//! windows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::audit::add;
use super::histograms::Histograms;
use super::judge::{self, Ending, Evidence, Judged, MeasurementQuality, Relation};
use super::plan;
use super::recorder::Frame;
use super::summary::{
    self, AuditsDuring, ConnectionSummary, ExemplarSummary, Fairness, Mark, Second, Summary,
    Timeline,
};
use super::unacknowledged::Unacknowledged;
use crate::api::ops::LookupAnswer;

/// Merges `parts` into the whole run. The run of a single process is already whole.
///
/// # Errors
/// One line that says that these are not the parts of one run, or that one is missing or duplicated.
pub fn merge(parts: &[Summary]) -> Result<Summary, String> {
    let first = parts
        .first()
        .ok_or("there is nothing to merge: name the summaries of the parts")?;
    if parts.len() == 1 && first.shards.is_empty() {
        return Ok(first.clone());
    }
    let shards = check(parts, first)?;
    let starts = starts(parts)?;
    let begun = Instant::now();
    let mut frame = Frame::of(first.histograms.traffic_groups.len() + 1);
    for (part, start) in parts.iter().zip(&starts) {
        let at = begun + Duration::from_secs_f64(*start);
        frame.add(&part.histograms.frame(at)?);
        frame.statuses = frame.statuses.plus(part.statuses);
        frame.inversions += part.fairness.inversions;
        frame.order_checks += part.fairness.checks;
    }
    for (traffic, dropped) in parts.iter().flat_map(|part| &part.dropped) {
        let named = first
            .histograms
            .traffic_groups
            .iter()
            .position(|known| known == traffic);
        frame.dropped[named.map_or(0, |at| at + 1)] += dropped;
    }
    let mut whole = latest(parts, &starts).clone();
    whole.shards = shards;
    put_together(&mut whole, parts, &starts);
    let traffic_groups = first.histograms.traffic_groups.clone();
    whole.operations = summary::operations(&frame, &traffic_groups);
    whole.statuses = frame.statuses;
    whole.fairness = Fairness::of(&frame);
    whole.connections = ConnectionSummary::of(&frame);
    whole.estimate = plan::beside(&whole.settings, &frame, whole.audit.as_ref());
    let exemplars = parts.iter().map(|part| &part.exemplars);
    whole.exemplars = ExemplarSummary::merged(exemplars.zip(starts.iter().copied()));
    whole.histograms = Histograms::of(&frame, &traffic_groups, begun);
    judge_again(&mut whole, parts, &frame);
    Ok(whole)
}

/// Checks that all are parts of one run. Returns their names in order.
fn check(parts: &[Summary], first: &Summary) -> Result<Vec<String>, String> {
    for part in parts {
        let same = part.scenario == first.scenario
            && part.settings == first.settings
            && part.phase == first.phase
            && part.dataset == first.dataset
            && part.histograms.traffic_groups == first.histograms.traffic_groups;
        if !same {
            return Err(format!(
                "these are parts of different runs: {} and {} differ in scenario, settings, phase or dataset",
                name(first),
                name(part)
            ));
        }
    }
    let of = |text: &str| -> Option<(usize, usize)> {
        let (index, of) = text.split_once('/')?;
        Some((index.parse().ok()?, of.parse().ok()?))
    };
    let mut seen = BTreeMap::new();
    let mut wanted = 0;
    for shard in parts.iter().flat_map(|part| &part.shards) {
        let (index, count) =
            of(shard).ok_or_else(|| format!("`{shard}` is not a part of a run, such as 1/3"))?;
        wanted = wanted.max(count);
        if seen.insert(index, count).is_some() {
            return Err(format!(
                "the part {shard} is there twice: name each summary once"
            ));
        }
    }
    if parts.iter().any(|part| part.shards.is_empty()) {
        return Err(
            "one of them is a whole run, not a part made with --shard: leave it out".to_owned(),
        );
    }
    if seen.values().any(|count| *count != wanted) {
        return Err(
            "they are parts of runs that were divided differently: name the summaries of one run"
                .to_owned(),
        );
    }
    if let Some(missing) = (1..=wanted).find(|index| !seen.contains_key(index)) {
        return Err(format!(
            "the part {missing}/{wanted} is missing: name its summary too"
        ));
    }
    Ok(seen
        .iter()
        .map(|(index, of)| format!("{index}/{of}"))
        .collect())
}

fn name(part: &Summary) -> String {
    format!("{} {}", part.scenario, part.shards.join(","))
}

/// The start of each part, in seconds after the first one.
fn starts(parts: &[Summary]) -> Result<Vec<f64>, String> {
    let at = |part: &Summary| -> Result<f64, String> {
        let at: jiff::Timestamp = part
            .started_at
            .parse()
            .map_err(|error| format!("{}: {error}", name(part)))?;
        Ok(at.as_millisecond() as f64 / 1e3)
    };
    let all = parts.iter().map(at).collect::<Result<Vec<f64>, String>>()?;
    let first = all.iter().copied().fold(f64::INFINITY, f64::min);
    // Parts of one run begin within minutes. A wrong clock must not create an hour without requests.
    Ok(all.iter().map(|at| (at - first).min(3_600.0)).collect())
}

/// The part that ended last. Its audit covers all writes.
fn latest<'a>(parts: &'a [Summary], starts: &[f64]) -> &'a Summary {
    let ends = parts.iter().zip(starts);
    let ends = ends.map(|(part, start)| (part, start + part.elapsed_seconds));
    ends.max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map_or(&parts[0], |(part, _)| part)
}

fn put_together(whole: &mut Summary, parts: &[Summary], starts: &[f64]) {
    let started = parts.iter().map(|part| &part.started_at).min();
    whole.started_at = started.cloned().unwrap_or_default();
    let ends = parts.iter().zip(starts);
    let ends = ends.map(|(part, start)| start + part.elapsed_seconds);
    whole.elapsed_seconds = ends.fold(0.0, f64::max);
    whole.ending = parts
        .iter()
        .map(|part| part.ending)
        .max_by_key(|it| severity(*it))
        .unwrap_or(whole.ending);
    whole.load_reduced = parts.iter().any(|part| part.load_reduced);
    whole.users = sum(parts.iter().map(|part| &part.users));
    whole.dropped = sum(parts.iter().map(|part| &part.dropped));
    whole.lookup = lookups(parts);
    whole.unacknowledged = Unacknowledged::merged(parts.iter().map(|part| &part.unacknowledged));
    whole.audits = AuditsDuring {
        count: parts.iter().map(|part| part.audits.count).sum(),
        worst: parts
            .iter()
            .map(|part| part.audits.worst)
            .max()
            .unwrap_or(0),
    };
    whole.timeline = timeline(parts, starts);
    whole.marks = marks(parts, starts);
    generator(whole, parts);
}

/// The whole has the worst of the endings.
fn severity(ending: Ending) -> u8 {
    match ending {
        Ending::Complete => 0,
        Ending::Stopped => 1,
        Ending::TimeOver => 2,
        Ending::Aborted => 3,
        Ending::ServerLost => 4,
    }
}

fn sum<'a>(maps: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    let mut sum = BTreeMap::new();
    for (name, count) in maps.flatten() {
        *sum.entry(name.clone()).or_default() += count;
    }
    sum
}

fn lookups(parts: &[Summary]) -> Option<LookupAnswer> {
    let mut sum = LookupAnswer::default();
    for part in parts {
        add(&mut sum, part.lookup.clone()?);
    }
    Some(sum)
}

fn timeline(parts: &[Summary], starts: &[f64]) -> Timeline {
    let intervals = parts.iter().map(|part| part.timeline.interval);
    let interval = intervals.fold(1.0, f64::max);
    let mut bins: BTreeMap<u64, Second> = BTreeMap::new();
    for (part, start) in parts.iter().zip(starts) {
        let share = part.timeline.interval.max(1.0) / interval;
        // The share of this part in each bin, before the parts are added up.
        let mut own: BTreeMap<u64, Second> = BTreeMap::new();
        for point in &part.timeline.points {
            let second = start + point.second;
            let bin = (second / interval).ceil().max(0.0) as u64;
            let into = own.entry(bin).or_default();
            into.tps += share * point.tps;
            into.ok += share * point.ok;
            into.refused += share * point.refused;
            into.errors += share * point.errors;
            worst(into, point);
            state(into, point);
        }
        for (bin, second) in own {
            let into = bins.entry(bin).or_default();
            into.second = bin as f64 * interval;
            into.tps += second.tps;
            into.ok += second.ok;
            into.refused += second.refused;
            into.errors += second.errors;
            worst(into, &second);
            into.waiting = into.waiting.max(second.waiting);
            into.admitted_mark = into.admitted_mark.max(second.admitted_mark);
            into.held += second.held;
            into.sold += second.sold;
            into.users = sum([&into.users, &second.users].into_iter());
        }
    }
    Timeline {
        interval,
        points: bins.into_values().collect(),
    }
}

fn worst(into: &mut Second, of: &Second) {
    let worse = |one: Option<f64>, other: Option<f64>| match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    };
    into.p50 = worse(into.p50, of.p50);
    into.p95 = worse(into.p95, of.p95);
    into.p99 = worse(into.p99, of.p99);
    into.queue_p95 = worse(into.queue_p95, of.queue_p95);
}

/// Values at an instant: the last point of a bin counts.
fn state(into: &mut Second, of: &Second) {
    into.waiting = of.waiting;
    into.admitted_mark = of.admitted_mark;
    into.held = of.held;
    into.sold = of.sold;
    into.users.clone_from(&of.users);
}

fn marks(parts: &[Summary], starts: &[f64]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for (part, start) in parts.iter().zip(starts) {
        marks.extend(part.marks.iter().map(|mark| Mark {
            second: start + mark.second,
            text: format!("{}: {}", part.shards.join(","), mark.text),
            ..mark.clone()
        }));
    }
    marks.sort_by(|one, other| one.second.total_cmp(&other.second));
    marks
}

fn generator(whole: &mut Summary, parts: &[Summary]) {
    let of = |count: fn(&summary::GeneratorSummary) -> usize| {
        parts
            .iter()
            .map(|part| count(&part.generator))
            .sum::<usize>()
    };
    let generator = &mut whole.generator;
    generator.workers = of(|it| it.workers);
    generator.connections = of(|it| it.connections);
    generator.wanted = of(|it| it.wanted);
    generator.memory = parts.iter().filter_map(|part| part.generator.memory).max();
    whole.server_memory = parts.iter().filter_map(|part| part.server_memory).max();
    let busiest = parts.iter().filter_map(|part| part.generator.busiest);
    generator.busiest = busiest.max_by(|one, other| one.running.total_cmp(&other.running));
    let limited = parts.iter().flat_map(|part| {
        let shard = part.shards.join(",");
        let reasons = part.generator.limited.iter();
        reasons.map(move |reason| format!("{shard}: {reason}"))
    });
    generator.limited = limited.collect();
}

fn judge_again(whole: &mut Summary, parts: &[Summary], frame: &Frame) {
    let generator = &mut whole.generator;
    generator.measure(frame);
    let finished = |state: &str| {
        let known = super::model::UserState::named(state);
        known.is_some_and(super::model::UserState::is_finished)
    };
    let unfinished = whole.users.iter().filter(|(state, _)| !finished(state));
    let unfinished = unfinished.map(|(_, count)| count).sum();
    let evidence = Evidence {
        frame,
        only_phase: whole.phase,
        audit: whole.audit.as_ref(),
        worst_audit: whole.audits.worst,
        lookup: whole.lookup.as_ref(),
        unacknowledged: Some(&whole.unacknowledged),
        unfinished,
        generator_memory: whole.generator.memory,
        server_memory: whole.server_memory,
        ending: whole.ending,
    };
    let quality = MeasurementQuality {
        limited: &whole.generator.limited,
        load_reduced: whole.load_reduced,
    };
    let judgement = judge::judge(&whole.settings, &evidence, windowed(parts), quality);
    (whole.verdict, whole.reasons) = (judgement.verdict, judgement.reasons);
    whole.thresholds = judgement.thresholds;
}

/// Limits over windows: the worst value of any part.
fn windowed(parts: &[Summary]) -> Vec<Judged> {
    let mut worst: Vec<Judged> = Vec::new();
    let all = parts.iter().flat_map(|part| &part.thresholds);
    for judged in all.filter(|judged| judged.window.is_some()) {
        let same = |known: &&mut Judged| known.name == judged.name;
        match worst.iter_mut().find(same) {
            None => worst.push(judged.clone()),
            Some(known) => {
                let further = match judged.relation {
                    Relation::AtLeast => judged.measured < known.measured,
                    _ => judged.measured > known.measured,
                };
                if further {
                    *known = judged.clone();
                }
            }
        }
    }
    worst
}
