//! Times in the user's time zone.

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// The time zone of the times on the screen. A dashboard's own dates (units, `${__from:date}`) are in UTC. Without
/// `--timezone` it is [`Zone::system`]. The `Default` value is UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Zone {
        Zone(TimeZone::UTC)
    }
}

impl Zone {
    /// The time zone of this machine, from `TZ` or `/etc/localtime`; UTC without either.
    #[must_use]
    pub fn system() -> Zone {
        TimeZone::try_system().map_or_else(|_| Zone::default(), Zone)
    }

    /// The zone with this IANA name, such as `Asia/Seoul`; case does not matter.
    ///
    /// # Errors
    /// The mistake in the name, and a valid example.
    pub fn named(name: &str) -> Result<Zone, String> {
        TimeZone::get(name.trim()).map(Zone).map_err(|_| {
            "there is no such time zone; give a name of the IANA database, such as Asia/Seoul or UTC"
                .to_owned()
        })
    }

    /// The time in this zone. A time out of range becomes the nearest valid one.
    fn at(&self, at_ms: i64) -> Zoned {
        let at = Timestamp::from_millisecond(at_ms);
        let at = at.unwrap_or(if at_ms < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        });
        at.to_zoned(self.0.clone())
    }

    /// The time of day of Unix milliseconds: `12:03:11`.
    pub(crate) fn clock(&self, at_ms: i64) -> String {
        self.at(at_ms).strftime("%H:%M:%S").to_string()
    }

    /// The time with milliseconds, from nanoseconds: `12:03:11.045`.
    pub(crate) fn clock_ns(&self, at_ns: i64) -> String {
        let at_ms = at_ns.div_euclid(1_000_000);
        self.at(at_ms).strftime("%H:%M:%S.%3f").to_string()
    }

    /// Day and time of day, without the year: `06-01 12:03:11`.
    pub(crate) fn day_and_clock(&self, at_ms: i64) -> String {
        self.at(at_ms).strftime("%m-%d %H:%M:%S").to_string()
    }

    /// The day: `2026-06-01`.
    pub(crate) fn date(&self, at_ms: i64) -> String {
        self.at(at_ms).strftime("%Y-%m-%d").to_string()
    }

    /// The offset at this time, as a suffix: `UTC`, `+09`, `-03:30`.
    pub(crate) fn offset(&self, at_ms: i64) -> String {
        match self.at(at_ms).offset() {
            Offset::UTC => "UTC".to_owned(),
            offset => offset.to_string(),
        }
    }

    /// Converts an RFC 3339 time to this zone and shows it as `06-01 21:03:11 +09`; `None` if it cannot be parsed.
    pub(crate) fn of_text(&self, rfc3339: &str) -> Option<String> {
        let at_ms = rfc3339.parse::<Timestamp>().ok()?.as_millisecond();
        let (time, offset) = (self.day_and_clock(at_ms), self.offset(at_ms));
        Some(format!("{time} {offset}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-06-01 12:00:00 UTC.
    const NOON: i64 = 1_780_315_200_000;
    const HALF_A_YEAR: i64 = 183 * 86_400_000;

    #[test]
    fn times_are_in_the_zone_and_have_its_offset() {
        let (utc, seoul) = (Zone::default(), Zone::named("asia/seoul").unwrap());
        assert_eq!(
            (utc.clock(NOON), utc.offset(NOON)),
            ("12:00:00".into(), "UTC".into())
        );
        assert_eq!(
            (seoul.clock(NOON), seoul.offset(NOON)),
            ("21:00:00".into(), "+09".into())
        );
        assert_eq!(
            seoul.clock_ns(NOON * 1_000_000 + 45_999_999),
            "21:00:00.045"
        );
        assert_eq!(seoul.day_and_clock(NOON + 4 * 3_600_000), "06-02 01:00:00");
        assert_eq!(
            seoul.of_text("2026-06-01T12:00:00Z").as_deref(),
            Some("06-01 21:00:00 +09")
        );
        assert_eq!(seoul.of_text("yesterday"), None);
        assert_eq!(Zone::named("Asia/Kolkata").unwrap().offset(NOON), "+05:30");
    }

    #[test]
    fn the_offset_is_that_of_the_time_and_not_of_today() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(berlin.offset(NOON), "+02");
        assert_eq!(berlin.offset(NOON + HALF_A_YEAR), "+01");
        let london = Zone::named("Europe/London").unwrap();
        assert_eq!(
            london.offset(NOON + HALF_A_YEAR),
            "UTC",
            "the same as UTC in winter"
        );
    }

    #[test]
    fn a_wrong_name_gets_an_error_with_an_example_and_no_time_is_out_of_range() {
        assert!(
            Zone::named("Korea/Pyeongchang")
                .unwrap_err()
                .contains("Asia/Seoul")
        );
        assert!(Zone::named("").is_err());
        for at in [i64::MIN, i64::MAX, -1] {
            assert_eq!(Zone::default().clock(at).len(), 8, "{at}");
        }
        assert_eq!(Zone::default().clock_ns(i64::MIN).len(), 12);
    }
}
