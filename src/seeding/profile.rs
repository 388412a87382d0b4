//! Profile files, which describe the contents of a dataset.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Money, Timestamp};
use crate::yaml;
pub use crate::yaml::FileError as ProfileError;

/// The largest number of seats in a dataset.
const MAX_SEATS: u64 = 100_000_000;

const BUILT_IN: &[(&str, &str)] = &[
    ("demo", include_str!("../../seed/demo.yaml")),
    ("onsale", include_str!("../../seed/onsale.yaml")),
    ("million", include_str!("../../seed/million.yaml")),
];

/// A dataset profile (`seed/*.yaml`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name, 1 to 64 characters. Scenarios and the console show it.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// The number of concerts, 1 to 1,000,000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concerts: u32,
    /// The number of performance dates of each concert.
    #[schemars(range(min = 1))]
    pub dates_per_concert: u32,
    /// The number of seats on each date; at most 100,000,000 seats in all.
    #[schemars(range(min = 1))]
    pub seats_per_date: u32,
    /// The number of users, at most 10,000,000. Their ids begin at 1.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub users: u32,
    /// The balance of each account at the start, in won, 0 to 1,000,000,000,000. Without it the balance is 0, and users
    /// charge before they pay.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000_000_i64))]
    pub balance: i64,
    /// The concert on sale.
    pub on_sale: OnSale,
    /// Prices by seat number within a date, ascending, 1 to 16 tiers. The last price holds for all further seats.
    #[schemars(length(min = 1, max = 16))]
    pub prices: Vec<PriceTier>,
}

/// The concert on sale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnSale {
    /// The id of the concert. It must be 1, whose seats have the lowest ids.
    pub concert: u32,
    /// The share of popular seats, 0 to 1: the first seats, at which most attempts aim.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub popular_share: f64,
}

/// The price of the seats up to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceTier {
    /// The last seat number at this price.
    pub up_to: u32,
    /// The price in won, 0 to 100,000,000.
    #[schemars(range(min = 0, max = 100_000_000))]
    pub price: i64,
}

impl Profile {
    /// The names of the profiles in the binary.
    pub fn built_in() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in profile by its name, or one from a file.
    ///
    /// # Errors
    /// [`ProfileError`] with file, line and field.
    pub fn find(name_or_path: &str) -> Result<Profile, ProfileError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Profile::parse(&format!("seed/{name}.yaml"), text);
        }
        Profile::read(name_or_path).map(|(_, profile)| profile)
    }

    /// The text of a profile file, and the profile.
    ///
    /// # Errors
    /// [`ProfileError`] with file, line and field.
    pub fn read(path: &str) -> Result<(String, Profile), ProfileError> {
        let text = yaml::read_file(Path::new(path), yaml::SMALL).map_err(|error| {
            let known = Profile::built_in().collect::<Vec<_>>().join(", ");
            let problem = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    format!("there is no such profile; the built-in ones are {known}, or give the path of a file")
                }
                _ => format!("cannot be read: {error}"),
            };
            ProfileError::new(path, problem)
        })?;
        let profile = Profile::parse(path, &text)?;
        Ok((text, profile))
    }

    /// The text of a built-in profile, as a start for a new file.
    #[must_use]
    pub fn text_of(name: &str) -> Option<&'static str> {
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| *text)
    }

    /// The JSON Schema (draft 2020-12) of profile files, for editors.
    #[must_use]
    pub fn json_schema() -> String {
        let mut schema = schemars::schema_for!(Profile);
        schema.insert("title".to_owned(), "A concertctl dataset profile".into());
        let text = serde_json::to_string_pretty(&schema);
        // A schema has only text keys, so it can always be written.
        text.unwrap_or_default() + "\n"
    }

    /// Parses and checks the text of a profile. Messages name it `file`.
    ///
    /// # Errors
    /// [`ProfileError`] with file, line and field.
    pub fn parse(file: &str, text: &str) -> Result<Profile, ProfileError> {
        let (profile, positions) =
            yaml::parse::<Profile>(file, text, yaml::SMALL, |near, missing| {
                match near.rsplit_once('.') {
                    Some((map, _)) => format!("{map}.{missing}"),
                    None => missing.to_owned(),
                }
            })?;
        profile.check().map_err(|(field, problem)| ProfileError {
            at: positions.position(field),
            field: Some(field.to_owned()),
            ..ProfileError::new(file, problem)
        })?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let at_least_one = [
            ("concerts", self.concerts),
            ("dates_per_concert", self.dates_per_concert),
            ("seats_per_date", self.seats_per_date),
            ("users", self.users),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                return Err((field, "must be at least 1".to_owned()));
            }
        }
        if !yaml::is_label(&self.name, 64) {
            return Err(("name", "must be one line of 1 to 64 characters".to_owned()));
        }
        if self.concerts > 1_000_000 {
            return Err(("concerts", "must be at most 1,000,000".to_owned()));
        }
        if self.users > 10_000_000 {
            return Err(("users", "must be at most 10,000,000".to_owned()));
        }
        let seats = u64::from(self.concerts)
            .saturating_mul(self.dates_per_concert.into())
            .saturating_mul(self.seats_per_date.into());
        if seats > MAX_SEATS {
            return Err((
                "seats_per_date",
                format!("{seats} seats in all; at most {MAX_SEATS}"),
            ));
        }
        if !(0..=Money::MAX_BALANCE.0).contains(&self.balance) {
            return Err(("balance", "must be from 0 to 1,000,000,000,000".to_owned()));
        }
        if self.on_sale.concert != 1 {
            return Err((
                "on_sale.concert",
                "must be 1, whose seats are ids 1 and up".to_owned(),
            ));
        }
        if !(0.0..=1.0).contains(&self.on_sale.popular_share) {
            return Err((
                "on_sale.popular_share",
                "must be between 0 and 1".to_owned(),
            ));
        }
        self.check_prices()
    }

    fn check_prices(&self) -> Result<(), (&'static str, String)> {
        if self.prices.is_empty() || self.prices.len() > 16 {
            return Err(("prices", "must have 1 to 16 tiers".to_owned()));
        }
        if self
            .prices
            .windows(2)
            .any(|pair| pair[0].up_to >= pair[1].up_to)
        {
            return Err(("prices", "up_to must ascend".to_owned()));
        }
        if self
            .prices
            .iter()
            .any(|tier| !(0..=100_000_000).contains(&tier.price))
        {
            return Err((
                "prices",
                "price must be between 0 and 100,000,000".to_owned(),
            ));
        }
        Ok(())
    }

    /// The number of seats.
    #[must_use]
    pub fn seats(&self) -> u64 {
        u64::from(self.concerts)
            * u64::from(self.dates_per_concert)
            * u64::from(self.seats_per_date)
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        let concerts = u64::from(self.concerts);
        let dates = concerts * u64::from(self.dates_per_concert);
        concerts + dates + u64::from(self.users) + dates * u64::from(self.seats_per_date)
    }
}

/// The date of the first performance: a week after `now`, `YYYY-MM-DD` in UTC.
#[must_use]
pub fn first_day(now: Timestamp) -> String {
    let week = now.after(std::time::Duration::from_secs(7 * 24 * 3600));
    jiff::Timestamp::from_millisecond(week.0).map_or_else(
        |_| "2000-01-01".to_owned(),
        |at| at.strftime("%Y-%m-%d").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_profiles_have_the_numbers_of_the_reference() {
        let onsale = Profile::find("onsale").unwrap();
        assert_eq!(onsale.rows(), 500 + 10_000 + 20_000 + 10_000_000);
        let info = onsale.info(crate::domain::Epoch(1), Timestamp(0));
        assert_eq!((info.on_sale_seats, info.popular_seats), (20_000, 4_000));
        let demo = Profile::find("demo").unwrap();
        let info = demo.info(crate::domain::Epoch(1), Timestamp(0));
        assert_eq!(
            (info.on_sale_seats, info.popular_seats, info.users),
            (2_000, 400, 2_000)
        );
    }

    #[test]
    fn a_bad_profile_is_refused_with_line_and_field() {
        let good = BUILT_IN[0].1;
        let cases = [
            (good.replace("users: 2000", "users: -1"), ":6", "users"),
            (good.replace("users: 2000", "users: 0"), ":6", "users"),
            (good.replace("users: 2000", "usres: 2000"), ":6", "usres"),
            (
                good.replace("popular_share: 0.2", "popular_share: 2"),
                ":9",
                "popular_share",
            ),
            (good.replace("up_to: 300", "up_to: 3"), ":10", "prices"),
            (
                good.replace("seats_per_date: 500", "seats_per_date: 4000000000"),
                ":5",
                "seats_per_date",
            ),
        ];
        for (text, line, field) in cases {
            let error = Profile::parse("seed/x.yaml", &text)
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("seed/x.yaml"), "{error}");
            assert!(
                error.contains(line) && error.contains(field),
                "{line} {field}: {error}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_name_is_counted_in_characters_and_has_one_line() {
        let named = |name: &str| {
            let name = format!("name: \"{name}\"");
            Profile::parse("x.yaml", &BUILT_IN[0].1.replace("name: demo", &name))
        };
        named(&"콘".repeat(64)).unwrap();
        for name in ["", "콘".repeat(65).as_str(), "a\\nb", "a\\e[31mb"] {
            let error = named(name).unwrap_err().to_string();
            let said = "x.yaml:2:1: name: must be one line of 1 to 64 characters";
            assert_eq!(error, said, "{name:?}");
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = Profile::find("nonesuch").unwrap_err().to_string();
        assert!(
            error.contains("demo") && error.contains("onsale"),
            "{error}"
        );
    }

    #[test]
    fn every_field_is_in_the_documentation_and_in_the_schema() {
        let page = include_str!("../../docs/datasets.md");
        let example = page
            .split("```yaml\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        let profile = Profile::parse("docs/datasets.md", example).unwrap();
        let schema: serde_json::Value = serde_json::from_str(&Profile::json_schema()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let fields = serde_json::to_value(&profile).unwrap();
        assert!(validator.is_valid(&fields), "{fields}");
        for (_, text) in BUILT_IN {
            let profile = Profile::parse("x", text).unwrap();
            assert!(validator.is_valid(&serde_json::to_value(profile).unwrap()));
        }
        for (field, value) in fields.as_object().unwrap() {
            match value.as_object() {
                None => assert!(page.contains(&format!("| `{field}` |")), "{field}"),
                Some(inner) => {
                    for name in inner.keys() {
                        assert!(
                            page.contains(&format!("| `{field}.{name}` |")),
                            "{field}.{name}"
                        );
                    }
                }
            }
        }
        let wrong = serde_json::json!({ "name": "x", "seats": 1 });
        assert!(!validator.is_valid(&wrong));
    }
}
