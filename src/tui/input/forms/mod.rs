//! Forms: a few lines of text that are checked and become effects. Pure.

pub(crate) mod draw;
pub(crate) mod keys;

use jiff::Timestamp;

use crate::api::fault_fields::FaultForm;
use crate::api::ops::{AdmissionChange, AdmissionState, Follow};
use crate::clients::alertmanager::{Alert, Matcher, PostableSilence};
use crate::tui::event::Effect;
use crate::tui::input::dialog::question::Question;
use crate::tui::input::faults::question::question;
use crate::tui::input::line::Input;
use crate::tui::screens::alerts::ACKNOWLEDGED;
use crate::tui::screens::alerts::name;
use crate::tui::{faults, format};

/// The bounds that the server enforces (`AdmissionChange`): users per batch, milliseconds between two batches.
const BATCH: std::ops::RangeInclusive<u64> = 1..=1_000_000;
const EVERY_MS: std::ops::RangeInclusive<u64> = 100..=3_600_000;
const MINUTE: i64 = 60_000;
/// The longest acknowledgement and silence, so that no alert is silenced for good.
const LONGEST_ACK_MS: i64 = 24 * 60 * MINUTE;
const LONGEST_SILENCE_MS: i64 = 30 * 24 * 60 * MINUTE;

/// The purpose of a form.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// Batch and interval, with their values when the form was opened.
    Admission(AdmissionState),
    /// Acknowledge this alert.
    Acknowledge(Box<Alert>),
    /// Silence this alert.
    Silence(Box<Alert>),
    /// Inject a fault of this kind into the server at this address.
    Fault(&'static FaultForm, String),
}

/// One line of a form.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// The current value, if the form changes one.
    pub(crate) now: Option<String>,
    pub(crate) text: Input,
    /// The placeholder of an empty field.
    pub(crate) empty: &'static str,
}

/// A form of a few lines.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) purpose: Purpose,
    pub(crate) fields: Vec<Field>,
    pub(crate) focus: usize,
    /// The mistake that the last attempt to send the form found.
    pub(crate) wrong: Option<String>,
}

/// The next step after a complete form.
#[derive(Debug)]
pub(crate) enum Then {
    Ask(Question),
    Do(Vec<Effect>),
}

/// The index of the wrong field, and how to correct it.
pub(crate) type Wrong = (usize, String);

fn field(name: &'static str, text: &str, empty: &'static str) -> Field {
    Field {
        name,
        now: None,
        text: text.into(),
        empty,
    }
}

impl Form {
    fn new(purpose: Purpose, fields: Vec<Field>) -> Form {
        Form {
            purpose,
            fields,
            focus: 0,
            wrong: None,
        }
    }

    pub(crate) fn admission(now: &AdmissionState) -> Form {
        let mut batch = field("batch", "", "as it is");
        batch.now = Some(format::count(now.batch));
        let mut every = field("every", "", "as it is");
        every.now = Some(interval(now.every_ms));
        let mut follow = field("follow", "", "as it is");
        follow.now = Some(now.follow.label().to_owned());
        Form::new(Purpose::Admission(now.clone()), vec![batch, every, follow])
    }

    pub(crate) fn acknowledge(alert: &Alert, who: &str) -> Form {
        let fields = vec![
            field("name", who, "who sees to it?"),
            field("for", "30m", "30m, 2h"),
            field("note", "", "may be empty"),
        ];
        Form::new(Purpose::Acknowledge(Box::new(alert.clone())), fields)
    }

    pub(crate) fn silence(alert: &Alert, who: &str) -> Form {
        let fields = vec![
            field("comment", "", "why is it silenced?"),
            field("for", "2h", "30m, 2h, 1d"),
            field("name", who, "who silences it?"),
        ];
        Form::new(Purpose::Silence(Box::new(alert.clone())), fields)
    }

    pub(crate) fn fault(form: &'static FaultForm, target: &str) -> Form {
        let parameters = form.fields.iter();
        let mut fields: Vec<Field> = parameters.map(|it| field(&it.name, "", &it.help)).collect();
        fields.push(field("for", "30s", "30s, 5m; it ends by itself then"));
        Form::new(Purpose::Fault(form, target.to_owned()), fields)
    }

    pub(crate) fn title(&self) -> String {
        match &self.purpose {
            Purpose::Admission(_) => "Admission: batch and interval".into(),
            Purpose::Acknowledge(alert) => format!("Acknowledge {}", name(alert)),
            Purpose::Silence(alert) => format!("Silence {}", name(alert)),
            Purpose::Fault(form, _) => format!("Inject {}", faults::name(form.kind)),
        }
    }

    /// The verb for the effect of Enter.
    pub(crate) const fn verb(&self) -> &'static str {
        match self.purpose {
            Purpose::Admission(_) | Purpose::Fault(..) => "goes on",
            Purpose::Acknowledge(_) => "acknowledges",
            Purpose::Silence(_) => "silences",
        }
    }

    /// The explanation below the fields.
    pub(crate) fn about(&self) -> Vec<String> {
        match &self.purpose {
            Purpose::Admission(now) => {
                let (batch, every) = (self.batch(now), self.every(now));
                let new = batch.ok().zip(every.ok());
                let new = new.map_or(String::new(), |(batch, every)| {
                    format!(", then {}", a_minute(batch, every))
                });
                vec![
                    format!(
                        "At most {} people a minute now{new}.",
                        a_minute(now.batch, now.every_ms)
                    ),
                    "batch 1 to 1,000,000; every 100ms to 1h, such as 15s".into(),
                    "follow settings, or objective: fewer while buying is slow".into(),
                ]
            }
            Purpose::Fault(form, _) => {
                let field = form.fields.get(self.focus);
                let help = field.map_or(form.about.as_str(), |field| &field.help);
                vec![help.to_owned()]
            }
            Purpose::Acknowledge(alert) | Purpose::Silence(alert) => {
                let matchers: Vec<String> = Matcher::exactly(&alert.labels)
                    .iter()
                    .map(Matcher::text)
                    .collect();
                vec![
                    "In Alertmanager, for everyone who reads it: exactly".into(),
                    matchers.join(", "),
                ]
            }
        }
    }

    /// Checks the form. Returns the next step, or the wrong field.
    pub(crate) fn finish(&self, now: i64, is_rehearsing: bool) -> Result<Then, Wrong> {
        match &self.purpose {
            Purpose::Admission(state) => self.resize(state, is_rehearsing).map(Then::Ask),
            Purpose::Acknowledge(alert) => self.acknowledged(alert, now).map(Then::Do),
            Purpose::Silence(alert) => self.silenced(alert, now).map(Then::Do),
            Purpose::Fault(form, target) => {
                let texts: Vec<&str> = (0..self.fields.len())
                    .map(|index| self.text(index))
                    .collect();
                question(form, &texts, target).map(Then::Ask)
            }
        }
    }

    fn text(&self, index: usize) -> &str {
        self.fields
            .get(index)
            .map_or("", |field| field.text.text().trim())
    }

    fn batch(&self, now: &AdmissionState) -> Result<u64, Wrong> {
        let text: String = self
            .text(0)
            .chars()
            .filter(|c| !", _".contains(*c))
            .collect();
        if text.is_empty() {
            return Ok(now.batch);
        }
        let batch = text.parse().ok().filter(|batch| BATCH.contains(batch));
        batch.ok_or_else(|| {
            let text = format!("{:?} is not a number from 1 to 1,000,000", self.text(0));
            (0, text)
        })
    }

    fn every(&self, now: &AdmissionState) -> Result<u64, Wrong> {
        if self.text(1).is_empty() {
            return Ok(now.every_ms);
        }
        let every = duration_ms(self.text(1)).and_then(|ms| u64::try_from(ms).ok());
        every.filter(|ms| EVERY_MS.contains(ms)).ok_or_else(|| {
            let text = format!(
                "{:?} is not a time from 100ms to 1h, such as 15s",
                self.text(1)
            );
            (1, text)
        })
    }

    fn follow(&self, now: &AdmissionState) -> Result<Follow, Wrong> {
        let text = self.text(2);
        if text.is_empty() {
            return Ok(now.follow);
        }
        let named = |it: &Follow| it.label().eq_ignore_ascii_case(text);
        Follow::ALL.into_iter().find(named).ok_or_else(|| {
            let text = format!("{text:?} is neither settings nor objective");
            (2, text)
        })
    }

    fn resize(&self, now: &AdmissionState, is_rehearsing: bool) -> Result<Question, Wrong> {
        let (batch, every) = (self.batch(now)?, self.every(now)?);
        let follow = self.follow(now)?;
        if (batch, every, follow) == (now.batch, now.every_ms, now.follow) {
            return Err((
                self.focus,
                "these are the present values: nothing would change".into(),
            ));
        }
        let change = AdmissionChange {
            batch: Some(batch).filter(|batch| *batch != now.batch),
            every_ms: Some(every).filter(|every| *every != now.every_ms),
            follow: Some(follow).filter(|follow| *follow != now.follow),
            ..AdmissionChange::default()
        };
        let mut lines = vec![
            format!(
                "{} every {} → {} every {}.",
                format::count(now.batch),
                interval(now.every_ms),
                format::count(batch),
                interval(every)
            ),
            format!(
                "At most {} → {} people a minute.",
                a_minute(now.batch, now.every_ms),
                a_minute(batch, every)
            ),
        ];
        if follow != now.follow {
            lines.push(format!("It follows the {} → the {follow}.", now.follow));
        }
        if is_rehearsing {
            lines.push(
                "The rehearsal under way puts the earlier setting back at its end.".to_owned(),
            );
        }
        let text = format!(
            "admission set to {} every {}{}",
            format::count(batch),
            interval(every),
            match follow {
                Follow::Settings => "",
                Follow::Objective => " at most, following the objective",
            }
        );
        Ok(Question {
            title: "Change admission?",
            lines,
            yes: "change it",
            effects: vec![Effect::Admission(change, text)],
        })
    }

    fn acknowledged(&self, alert: &Alert, now: i64) -> Result<Vec<Effect>, Wrong> {
        let who = self.filled(0, "say who sees to it")?;
        let (until, long) = self.until(1, now, LONGEST_ACK_MS, "24h")?;
        let comment = match self.text(2) {
            "" => format!("{ACKNOWLEDGED} in concertctl tui"),
            note => format!("{ACKNOWLEDGED}: {note}"),
        };
        let text = format!("alert {} acknowledged by {who} for {long}", name(alert));
        let silence = silence(alert, now, until, who, comment)?;
        Ok(vec![Effect::Silence(silence, text)])
    }

    fn silenced(&self, alert: &Alert, now: i64) -> Result<Vec<Effect>, Wrong> {
        let comment = self.filled(0, "enter a reason: everyone who sees the silence reads it")?;
        let (until, long) = self.until(1, now, LONGEST_SILENCE_MS, "30d")?;
        let who = self.filled(2, "enter the name of the author")?;
        let text = format!("alert {} silenced by {who} for {long}", name(alert));
        let silence = silence(alert, now, until, who, comment.to_owned())?;
        Ok(vec![Effect::Silence(silence, text)])
    }

    fn filled(&self, index: usize, what: &str) -> Result<&str, Wrong> {
        let text = self.text(index);
        if text.is_empty() {
            return Err((index, what.to_owned()));
        }
        Ok(text)
    }

    /// The end of the typed duration, and its length.
    fn until(
        &self,
        index: usize,
        now: i64,
        longest: i64,
        longest_text: &str,
    ) -> Result<(i64, String), Wrong> {
        let text = self.text(index);
        let length = duration_ms(text).filter(|ms| (MINUTE..=longest).contains(ms));
        let wrong = || {
            let text =
                format!("{text:?} is not a time from 1m to {longest_text}, such as 30m or 2h");
            (index, text)
        };
        let length = length.ok_or_else(wrong)?;
        Ok((now.saturating_add(length), format::span(length)))
    }
}

fn silence(
    alert: &Alert,
    now: i64,
    until: i64,
    who: &str,
    comment: String,
) -> Result<PostableSilence, Wrong> {
    let time = |ms: i64| {
        let time = Timestamp::from_millisecond(ms);
        let time = time.map_err(|_| (0, "this machine's clock is out of range".to_owned()));
        time.map(|time| time.to_string())
    };
    Ok(PostableSilence {
        matchers: Matcher::exactly(&alert.labels),
        starts_at: time(now)?,
        ends_at: time(until)?,
        created_by: who.to_owned(),
        comment,
    })
}

/// Users admitted per minute.
fn a_minute(batch: u64, every_ms: u64) -> String {
    let people = u128::from(batch) * 60_000 / u128::from(every_ms.max(1));
    format::count(u64::try_from(people).unwrap_or(u64::MAX))
}

/// Milliseconds as text: `15 s`, `1.5 s`, `250 ms`, `2 min`.
fn interval(ms: u64) -> String {
    if ms >= 60_000 && ms.is_multiple_of(60_000) {
        format!("{} min", ms / 60_000)
    } else if ms >= 1000 && ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{ms} ms")
    }
}

/// Reads `250ms`, `30m`, `1h 30m` or `2d` as milliseconds.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    i64::try_from(crate::duration::parse(text)?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_notation_and_nonsense_is_refused() {
        let read = ["30m", " 1h 30m ", "2 min", "250ms", "1d", "0s"].map(duration_ms);
        let wanted = [1_800_000, 5_400_000, 120_000, 250, 86_400_000, 0].map(Some);
        assert_eq!(read, wanted);
        for bad in [
            "",
            "30",
            "m",
            "-5m",
            "1y",
            "5 m x",
            "99999999999999999999h",
            "9999999999999999d",
        ] {
            assert_eq!(duration_ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn intervals_are_shown_in_the_nearest_unit_and_rates_per_minute() {
        assert_eq!(
            [250, 1500, 15_000, 120_000].map(interval),
            ["250 ms", "1500 ms", "15 s", "2 min"]
        );
        assert_eq!(a_minute(500, 15_000), "2,000");
    }
}
