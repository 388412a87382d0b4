//! What a scenario must hold beyond being well-formed.

use std::ops::RangeInclusive;

use super::read::Finding;
use super::thresholds::{Business, Group};
use super::{Operation, Scenario, Time};
use crate::load::model::PhaseName;

const MAX_USERS: u32 = 1_000_000;
const MAX_GROUPS: usize = 64;

impl Scenario {
    /// Everything that cannot be, in the file's order; empty for a valid scenario.
    pub(super) fn check(&self) -> Vec<Finding> {
        let mut found = Findings(Vec::new());
        found.text("title", &self.title);
        found.text("dataset", &self.dataset);
        found.within("users", &self.users, 1..=MAX_USERS);
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
        self.check_journey(&mut found);
        self.check_running(&mut found);
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
        found.within("pay.charge", &self.pay.charge, 1..=100_000_000);
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
            match group.resolve(name) {
                None => found.add(
                    &path,
                    format!(
                        "names no operations and is called after none: write `operations: […]` with some of {}; \
                         or call it all, after an operation, or after one of the phases {}. Business limits are {}",
                        Operation::names(),
                        PhaseName::names(),
                        Business::NAMES.join(", "),
                    ),
                ),
                Some(operations) if operations.is_empty() => {
                    found.add(&path, "holds no operation: its phase has none of those it names".to_owned());
                }
                Some(_) if group.is_empty() => {
                    found.add(&path, "limits nothing: write avg, p50, p95, p99, max, error_rate or rate".to_owned());
                }
                Some(_) => check_limits(found, &path, group),
            }
        }
    }
}

fn check_limits(found: &mut Findings, path: &str, group: &Group) {
    if let Some(rate) = group.error_rate {
        found.share(&format!("{path}.error_rate"), rate);
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
        // Not `within`: NaN is outside every range, and the message is about shares.
        if !(0.0..=1.0).contains(&value) {
            self.add(field, format!("is {value}, must be a share from 0 to 1"));
        }
    }

    fn text(&mut self, field: &str, value: &str) {
        if value.trim().is_empty() || value.len() > 200 {
            self.add(field, "must be a text of 1 to 200 characters".to_owned());
        }
    }
}
