//! Silences: their state and their changes. The caller passes the time in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::AlertConfig;
use super::store::Rejected;
use super::wire::{GettableSilence, PostableSilence, SilenceMatcher, SilenceStatus};
use crate::embedded::matcher::{MatchOp, Matcher};
use crate::embedded::prometheus::exposition::is_name;
use crate::embedded::regex::Dialect;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Active,
    Pending,
    Expired,
}

#[derive(Debug)]
pub(super) struct Silence {
    pub(super) id: Uuid,
    wire: Vec<SilenceMatcher>,
    matchers: Vec<Matcher>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    updated_at: Timestamp,
    created_by: String,
    comment: String,
}

#[derive(Debug, Default)]
pub(super) struct Silences(Vec<Silence>);

impl Silence {
    fn state(&self, now: Timestamp) -> State {
        if self.ends_at <= now {
            State::Expired
        } else if self.starts_at > now {
            State::Pending
        } else {
            State::Active
        }
    }

    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = |name: &str| labels.get(name).map_or("", String::as_str);
        Matcher::all(&self.matchers, value)
    }

    /// Returns whether the silence has a matcher equal to each of these.
    fn has_matchers(&self, wanted: &[Matcher]) -> bool {
        wanted.iter().all(|want| {
            self.matchers
                .iter()
                .any(|m| m.name == want.name && m.op == want.op && m.value == want.value)
        })
    }

    /// Alertmanager's rule for changes: an active silence keeps its start, an expired one stays expired, and the
    /// matchers never change under one id.
    fn may_become(&self, next: &PostableSilence, now: Timestamp) -> bool {
        self.wire == next.matchers
            && match self.state(now) {
                // Compared by the second, because listed times have no fractions.
                State::Active => self.starts_at.as_second() == next.starts_at.as_second(),
                State::Pending => next.starts_at >= now,
                State::Expired => false,
            }
    }

    fn to_wire(&self, now: Timestamp) -> GettableSilence {
        let state = match self.state(now) {
            State::Active => "active",
            State::Pending => "pending",
            State::Expired => "expired",
        };
        GettableSilence {
            id: self.id.to_string(),
            status: SilenceStatus { state },
            updated_at: self.updated_at,
            comment: self.comment.clone(),
            created_by: self.created_by.clone(),
            ends_at: self.ends_at,
            matchers: self.wire.clone(),
            starts_at: self.starts_at,
        }
    }
}

impl Silences {
    /// The ids of the active silences that match an alert with these labels.
    pub(super) fn silencing(
        &self,
        labels: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Vec<String> {
        self.0
            .iter()
            .filter(|silence| silence.state(now) == State::Active && silence.matches(labels))
            .map(|silence| silence.id.to_string())
            .collect()
    }

    /// Lists active silences by their end, then pending ones by their start, then expired ones with the latest first.
    pub(super) fn list(&self, filter: &[Matcher], now: Timestamp) -> Vec<GettableSilence> {
        let mut found: Vec<&Silence> = self
            .0
            .iter()
            .filter(|silence| silence.has_matchers(filter))
            .collect();
        found.sort_by_key(|silence| {
            let state = silence.state(now);
            let order = match state {
                State::Active => silence.ends_at.as_nanosecond(),
                State::Pending => silence.starts_at.as_nanosecond(),
                State::Expired => -silence.ends_at.as_nanosecond(),
            };
            (state, order, silence.id)
        });
        found
            .into_iter()
            .map(|silence| silence.to_wire(now))
            .collect()
    }

    pub(super) fn get(&self, id: Uuid, now: Timestamp) -> Option<GettableSilence> {
        let found = self.0.iter().find(|silence| silence.id == id);
        found.map(|silence| silence.to_wire(now))
    }

    /// Creates or changes a silence. Returns its id, which is new if the change amounts to another silence.
    pub(super) fn set(
        &mut self,
        next: PostableSilence,
        config: &AlertConfig,
        now: Timestamp,
    ) -> Result<Uuid, Rejected> {
        if next.starts_at >= next.ends_at {
            return Err(Rejected::invalid(
                "Failed to create silence: start time must be before end time",
            ));
        }
        if next.ends_at < now {
            return Err(Rejected::invalid(
                "Failed to create silence: end time can't be in the past",
            ));
        }
        let matchers = compile(&next, config)?;
        self.forget_expired(config, now);
        if let Some(id) = next.id.as_deref().filter(|id| !id.is_empty()) {
            let known = Uuid::parse_str(id).ok();
            let previous = self.0.iter_mut().find(|silence| Some(silence.id) == known);
            let previous = previous.ok_or(Rejected::NotFound("silence not found"))?;
            if previous.may_become(&next, now) {
                previous.starts_at = next.starts_at;
                previous.ends_at = next.ends_at;
                previous.created_by = next.created_by;
                previous.comment = next.comment;
                previous.updated_at = now;
                return Ok(previous.id);
            }
            expire(previous, now);
        }
        self.make_room(config, now)?;
        let id = Uuid::now_v7();
        self.0.push(Silence {
            id,
            wire: next.matchers,
            matchers,
            starts_at: next.starts_at.max(now),
            ends_at: next.ends_at,
            updated_at: now,
            created_by: next.created_by,
            comment: next.comment,
        });
        Ok(id)
    }

    /// Ends a silence now.
    pub(super) fn expire(&mut self, id: Uuid, now: Timestamp) -> Result<(), Rejected> {
        let silence = self.0.iter_mut().find(|silence| silence.id == id);
        let silence = silence.ok_or(Rejected::NotFound("silence not found"))?;
        // Expiring twice is allowed, as in Alertmanager. The first end stays.
        if silence.state(now) != State::Expired {
            expire(silence, now);
        }
        Ok(())
    }

    fn forget_expired(&mut self, config: &AlertConfig, now: Timestamp) {
        let kept_until = |silence: &Silence| silence.ends_at.checked_add(config.silence_retention);
        self.0.retain(|silence| {
            silence.state(now) != State::Expired || kept_until(silence).is_ok_and(|t| t > now)
        });
    }

    fn make_room(&mut self, config: &AlertConfig, now: Timestamp) -> Result<(), Rejected> {
        if self.0.len() < config.max_silences {
            return Ok(());
        }
        let expired = self.0.iter().enumerate();
        let oldest = expired
            .filter(|(_, silence)| silence.state(now) == State::Expired)
            .min_by_key(|(_, silence)| silence.ends_at)
            .map(|(index, _)| index);
        match oldest {
            Some(index) => {
                self.0.swap_remove(index);
                Ok(())
            }
            None => Err(Rejected::Invalid(format!(
                "exceeded maximum number of silences: {} (limit: {})",
                self.0.len(),
                config.max_silences
            ))),
        }
    }
}

fn expire(silence: &mut Silence, now: Timestamp) {
    silence.starts_at = silence.starts_at.min(now);
    silence.ends_at = silence.ends_at.min(now);
    silence.updated_at = now;
}

fn compile(silence: &PostableSilence, config: &AlertConfig) -> Result<Vec<Matcher>, Rejected> {
    let invalid = |reason: String| Rejected::Invalid(format!("invalid silence: {reason}"));
    if silence.matchers.len() > config.max_pairs {
        return Err(invalid(format!("more than {} matchers", config.max_pairs)));
    }
    let texts = silence.matchers.iter().flat_map(|m| [&m.name, &m.value]);
    if texts
        .chain([&silence.comment, &silence.created_by])
        .any(|text| text.len() > config.max_text_bytes)
    {
        return Err(invalid(format!(
            "a text is longer than {} bytes",
            config.max_text_bytes
        )));
    }
    let texts = silence.matchers.iter().flat_map(|m| [&m.name, &m.value]);
    let bytes: usize = texts
        .chain([&silence.comment, &silence.created_by])
        .map(String::len)
        .sum();
    if bytes > config.max_bytes {
        let limit = config.max_bytes;
        return Err(invalid(format!(
            "its texts are {bytes} bytes (limit: {limit})"
        )));
    }
    let mut matchers = Vec::with_capacity(silence.matchers.len());
    for matcher in &silence.matchers {
        if !is_name(&matcher.name, false) {
            return Err(invalid(format!("invalid label name \"{}\"", matcher.name)));
        }
        let op = match (matcher.is_equal, matcher.is_regex) {
            (true, false) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Matches,
            (false, true) => MatchOp::NotMatches,
        };
        let compiled = Matcher::new(
            matcher.name.clone(),
            op,
            matcher.value.clone(),
            Dialect::Prometheus3,
        );
        matchers.push(compiled.map_err(invalid)?);
    }
    // A silence whose matchers all accept missing labels would silence everything. A negative matcher leaves something
    // out, so like Alertmanager this allows a silence of negative matchers alone.
    let accepts_missing = |matcher: &Matcher| {
        matches!(matcher.op, MatchOp::Equal | MatchOp::Matches) && matcher.matches("")
    };
    if matchers.iter().all(accepts_missing) {
        return Err(invalid(
            "at least one matcher must not match the empty string".into(),
        ));
    }
    Ok(matchers)
}
