//! Checks the values of a well-formed scenario.

use std::ops::RangeInclusive;

use super::read::Finding;
use super::thresholds::{ALL, Business, Group};
use super::{
    Arrival, MOST_FAULTS, Operation, RampStage, Scenario, Shape, Step, Time, Traffic, Until,
};
use crate::load::model::PhaseName;
use crate::yaml;

const MAX_USERS: u32 = 10_000_000;
const MAX_GROUPS: usize = 64;

impl Scenario {
    /// All invalid fields in the file's order. The list is empty for a valid scenario.
    pub(super) fn check(&self) -> Vec<Finding> {
        let mut found = Findings(Vec::new());
        found.text("title", &self.title);
        found.text("dataset", &self.dataset);
        // A scenario may have only traffic groups and no buyers.
        let least = u32::from(self.traffic.is_empty());
        found.within("users", &self.users, least..=MAX_USERS);
        found.within("admission.batch", &self.admission.batch, 1..=1_000_000);
        found.within(
            "admission.every",
            &self.admission.every,
            Time::from_millis(100)..=Time::from_secs(3600),
        );
        found.within(
            "register.connections",
            &self.register.connections,
            1..=10_000,
        );
        check_arrival(&mut found, "arrival", &self.arrival, true);
        self.check_journey(&mut found);
        self.check_traffic(&mut found);
        self.check_running(&mut found);
        if self.faults.len() > MOST_FAULTS {
            found.add("faults", format!("more than {MOST_FAULTS}"));
        }
        for (index, injection) in self.faults.iter().enumerate() {
            if let Some((field, problem)) = injection.check() {
                found.add(&format!("faults.{index}{field}"), problem);
            }
        }
        for (operation, statuses) in &self.refusals {
            for status in statuses {
                found.within(&format!("refusals.{operation}"), status, 400..=499);
            }
        }
        self.check_thresholds(&mut found);
        found.0
    }

    fn check_journey(&self, found: &mut Findings) {
        let contention = &self.contention;
        found.share("contention.popular_share", contention.popular_share);
        for (name, seats) in [
            ("contention.popular_seats", contention.popular_seats),
            ("contention.seats", contention.seats),
        ] {
            if let Some(seats) = seats {
                found.within(name, &seats, 1..=1_000_000_000);
            }
        }
        if let (Some(popular), Some(seats)) = (contention.popular_seats, contention.seats)
            && popular > seats
        {
            found.add(
                "contention.popular_seats",
                format!("more than the {seats} of contention.seats"),
            );
        }
        found.within("contention.attempts", &contention.attempts, 1..=10_000);
        found.share("pay.share", self.pay.share);
        found.within("pay.charge", &self.pay.charge, 0..=100_000_000);
    }

    fn check_running(&self, found: &mut Findings) {
        let (short, minute) = (Time::from_millis(1), Time::from_secs(60));
        if let Some(connections) = self.http.connections {
            found.within("http.connections", &connections, 1..=MAX_USERS);
        }
        found.within(
            "http.connect_timeout",
            &self.http.connect_timeout,
            short..=minute,
        );
        found.within(
            "http.request_timeout",
            &self.http.request_timeout,
            short..=minute,
        );
        found.within("http.retries", &self.http.retries, 0..=100);
        found.within("http.retry_pause", &self.http.retry_pause, short..=minute);
        found.within(
            "limits.duration",
            &self.limits.duration,
            Time::from_millis(100)..=Time::from_secs(24 * 3600),
        );
        found.within(
            "limits.silence",
            &self.limits.silence,
            Time::from_millis(100)..=Time::from_secs(3600),
        );
        found.within("generator.lag_p99", &self.generator.lag_p99, short..=minute);
        found.share("generator.cpu", self.generator.cpu);
        if let Some(workers) = self.generator.workers {
            found.within("generator.workers", &workers, 1..=64);
        }
        found.within(
            "estimate.window",
            &self.estimate.window,
            short..=Time::from_secs(24 * 3600),
        );
        found.within(
            "estimate.transactions",
            &self.estimate.transactions,
            1..=1_000,
        );
        found.share("estimate.share_low", self.estimate.share_low);
        found.share("estimate.share_high", self.estimate.share_high);
        if self.estimate.share_low > self.estimate.share_high {
            found.add(
                "estimate.share_low",
                "larger than estimate.share_high".to_owned(),
            );
        }
    }

    fn check_thresholds(&self, found: &mut Findings) {
        if self.thresholds.groups.len() > MAX_GROUPS {
            found.add("thresholds", format!("more than {MAX_GROUPS} groups"));
        }
        for (name, group) in &self.thresholds.groups {
            let path = format!("thresholds.{name}");
            let is_traffic = |name: &str| self.traffic.contains_key(name);
            if let Some(traffic) = &group.traffic
                && !is_traffic(traffic)
            {
                found.add(
                    &format!("{path}.traffic"),
                    format!("there is no traffic group called `{traffic}`"),
                );
            }
            match group.resolve(name, is_traffic) {
                None => found.add(
                    &path,
                    format!(
                        "names no operations and is called after none: write `operations: […]` with some of {}; \
                         or call it all, after an operation, after one of the phases {}, or after a traffic group. Business limits are {}",
                        Operation::names(),
                        PhaseName::names(),
                        Business::NAMES.join(", "),
                    ),
                ),
                Some(operations) if operations.is_empty() => {
                    found.add(&path, "has no operation: none of those that it names belongs to its phase".to_owned());
                }
                Some(_) if group.is_empty() => {
                    found.add(&path, "limits nothing: write avg, a percentile such as p95, max, error_rate, rate, successes or requests".to_owned());
                }
                Some(_) => check_limits(found, &path, group),
            }
        }
    }
}

const MAX_TRAFFIC_GROUPS: usize = 16;
const MAX_STEPS: usize = 64;
const MAX_RATE: f64 = 100_000.0;

impl Scenario {
    fn check_traffic(&self, found: &mut Findings) {
        if self.traffic.len() > MAX_TRAFFIC_GROUPS {
            found.add(
                "traffic",
                format!("more than {MAX_TRAFFIC_GROUPS} traffic groups"),
            );
        }
        for (name, traffic) in &self.traffic {
            let path = format!("traffic.{name}");
            let known = Operation::named(name).is_some()
                || PhaseName::named(name).is_some()
                || Business::NAMES.contains(&name.as_str())
                || name == ALL;
            if known {
                found.add(
                    &path,
                    "is the name of an operation, a phase or a business limit: choose another name"
                        .to_owned(),
                );
            }
            found.text(&path, name);
            found.within(&format!("{path}.users"), &traffic.users, 1..=MAX_USERS);
            let lasts = Time::from_millis(1)..=Time::from_secs(24 * 3600);
            found.within(&format!("{path}.lasts"), &traffic.lasts, lasts);
            let mut steps = traffic.journeys.iter().flat_map(|journey| &journey.steps);
            if self.pay.charge == 0 && steps.any(|step| step.call == Operation::Charge) {
                let problem = format!("is 0, and the steps of `{path}` charge: write an amount");
                found.add("pay.charge", problem);
            }
            check_executor(found, &path, traffic);
            check_journeys(found, &path, traffic);
        }
    }
}

fn check_executor(found: &mut Findings, path: &str, traffic: &Traffic) {
    let executor = traffic.executor;
    let belongs = || "belongs to an open executor".to_owned();
    match (executor.has_arrivals(), &traffic.arrival) {
        (true, Some(arrival)) => {
            check_arrival(found, &format!("{path}.arrival"), arrival, false);
        }
        (true, None) => {
            let problem = format!(
                "an {executor} executor needs an arrival, such as {{ shape: constant, rate: 100 }}"
            );
            found.add(path, problem);
        }
        (false, Some(_)) => found.add(&format!("{path}.arrival"), belongs()),
        (false, None) => {}
    }
    if let Some(at_once) = traffic.at_once {
        let path = format!("{path}.at_once");
        found.within(&path, &at_once, 1..=MAX_USERS);
        if !executor.has_arrivals() {
            found.add(&path, belongs());
        }
    }
}

fn check_journeys(found: &mut Findings, path: &str, traffic: &Traffic) {
    if traffic.journeys.is_empty() || traffic.journeys.len() > MAX_STEPS {
        let problem = format!("must be 1 to {MAX_STEPS} journeys");
        found.add(&format!("{path}.journeys"), problem);
    }
    if !traffic.journeys.is_empty() && traffic.journeys.iter().all(|journey| journey.weight == 0) {
        let problem = "none has a weight above 0: give one of them a weight".to_owned();
        found.add(&format!("{path}.journeys"), problem);
    }
    for journey in &traffic.journeys {
        let path = format!("{path}.journeys");
        found.within(&format!("{path}.weight"), &journey.weight, 0..=1_000_000);
        if journey.buy != journey.steps.is_empty() {
            let problem = "a journey is either steps or `buy: true`".to_owned();
            found.add(&path, problem);
        }
        if journey.steps.len() > MAX_STEPS {
            found.add(&path, format!("more than {MAX_STEPS} steps"));
        }
        for step in &journey.steps {
            check_step(found, &path, step);
        }
    }
}

fn check_step(found: &mut Findings, path: &str, step: &Step) {
    found.within(&format!("{path}.steps.times"), &step.times, 1..=1_000_000);
    for status in &step.expect {
        let path = format!("{path}.steps.expect");
        found.within(&path, status, 200..=499);
    }
    let fits = match step.until {
        None => true,
        Some(Until::Active) => step.call == Operation::Poll,
        Some(Until::Reserved) => step.call == Operation::Reserve,
    };
    if !fits {
        let problem = "`active` goes with `call: poll`, `reserved` with `call: reserve`";
        found.add(&format!("{path}.steps.until"), problem.to_owned());
    }
    if let Some(seat) = step.seat {
        found.within(&format!("{path}.steps.seat"), &seat, 1..=1_000_000_000);
    }
}

fn check_arrival(found: &mut Findings, path: &str, arrival: &Arrival, buyers: bool) {
    let is_rate = |rate: f64| (0.0..=MAX_RATE).contains(&rate);
    let shaped = matches!(arrival.shape, Shape::Ramp | Shape::Spike);
    let mut must = |is: bool, field: &str, problem: &str| {
        if !is {
            found.add(&format!("{path}.{field}"), problem.to_owned());
        }
    };
    if arrival.shape == Shape::Burst {
        must(
            buyers,
            "shape",
            "a burst has no schedule: write constant, poisson, ramp or spike",
        );
        must(
            arrival.rate == 0.0,
            "rate",
            "a burst has none: write another shape",
        );
        return;
    }
    let staged = !arrival.stages.is_empty();
    if shaped
        && !staged
        && let Some(field) = missing_end(arrival)
    {
        let problem = match arrival.shape {
            Shape::Ramp => {
                "is missing: a ramp needs `to` and `over`, such as { shape: ramp, to: 100, over: 30s }, or `stages`"
            }
            _ => {
                "is missing: a spike needs `to` and `over`, such as { shape: spike, rate: 10, at: 5s, to: 100, over: 30s }"
            }
        };
        must(false, field, problem);
        return;
    }
    check_stages(&mut must, arrival, is_rate);
    let ramps_up = arrival.to > Some(0.0) || arrival.stages.iter().any(|stage| stage.to > 0.0);
    let some = arrival.rate > 0.0 || (arrival.shape == Shape::Ramp && ramps_up);
    let rates = "must be a number of arrivals a second, above 0 and up to 100000";
    must(is_rate(arrival.rate) && some, "rate", rates);
    if let Some(to) = arrival.to {
        must(shaped, "to", "belongs to a ramp or a spike");
        must(is_rate(to), "to", rates);
    }
    must(
        staged || arrival.over.is_some_and(|over| over > Time::default()) == shaped,
        "over",
        "must be above 0 for a ramp or a spike, and belongs to no other shape",
    );
    must(
        arrival.at.is_none() || arrival.shape == Shape::Spike,
        "at",
        "belongs to a spike",
    );
    // With endless arrivals, the buyers would never all be registered.
    if buyers {
        let to = arrival.stages.last().map(|stage| stage.to).or(arrival.to);
        let last = to.filter(|_| arrival.shape == Shape::Ramp);
        must(
            last.unwrap_or(arrival.rate) > 0.0,
            "rate",
            "ends at 0: the last buyers would never come",
        );
    }
}

/// The missing field of the two that give the end of a ramp or a spike.
fn missing_end(arrival: &Arrival) -> Option<&'static str> {
    match (arrival.to, arrival.over) {
        (None, _) => Some("to"),
        (Some(_), None) => Some("over"),
        (Some(_), Some(_)) => None,
    }
}

/// Stages belong to a ramp and replace its single end.
fn check_stages(
    must: &mut impl FnMut(bool, &str, &str),
    arrival: &Arrival,
    is_rate: impl Fn(f64) -> bool,
) {
    if arrival.stages.is_empty() {
        return;
    }
    must(
        arrival.shape == Shape::Ramp,
        "stages",
        "belong to a ramp: write `shape: ramp`",
    );
    must(
        arrival.to.is_none() && arrival.over.is_none(),
        "stages",
        "stand in place of `to` and `over`: leave those out",
    );
    must(
        arrival.stages.len() <= MAX_STEPS,
        "stages",
        "more than 64 of them",
    );
    let (shortest, longest) = (Time::from_millis(1), Time::from_secs(24 * 3600));
    let fits = |stage: &RampStage| is_rate(stage.to) && (shortest..=longest).contains(&stage.over);
    must(
        arrival.stages.iter().all(fits),
        "stages",
        "each has a rate up to 100000 and a time from 1ms to 24h, such as { to: 100, over: 30s }",
    );
}

fn check_limits(found: &mut Findings, path: &str, group: &Group) {
    if let Some(rate) = group.error_rate {
        found.share(&format!("{path}.error_rate"), rate);
    }
    if let Some(window) = &group.window {
        let (second, longest) = (Time::from_secs(1), Time::from_secs(60));
        found.within(&format!("{path}.window"), window, second..=longest);
        if group.rate.is_some() || group.successes.is_some() || group.requests.is_some() {
            let problem = "rate, successes and requests are over the whole run: write them in a group without window";
            found.add(&format!("{path}.window"), problem.to_owned());
        }
    }
    if let Some(abort) = &group.abort {
        let most = Time::from_secs(3600);
        found.within(&format!("{path}.abort"), abort, Time::from_millis(0)..=most);
    }
    if let Some(rate) = group.rate
        && !(rate.is_finite() && rate >= 0.0)
    {
        found.add(
            &format!("{path}.rate"),
            "must be a number of requests per second, 0 or more".to_owned(),
        );
    }
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, field: &str, problem: String) {
        self.0.push((field.to_owned(), problem));
    }

    fn within<T: PartialOrd + std::fmt::Display>(
        &mut self,
        field: &str,
        value: &T,
        range: RangeInclusive<T>,
    ) {
        if !range.contains(value) {
            self.add(
                field,
                format!("is {value}, must be {} to {}", range.start(), range.end()),
            );
        }
    }

    fn share(&mut self, field: &str, value: f64) {
        // `within` does not fit here: NaN is outside every range, and the message is about shares.
        if !(0.0..=1.0).contains(&value) {
            self.add(field, format!("is {value}, must be a share from 0 to 1"));
        }
    }

    fn text(&mut self, field: &str, value: &str) {
        if !yaml::is_label(value, 200) {
            let problem = "must be one line of 1 to 200 characters";
            self.add(field, problem.to_owned());
        }
    }
}
