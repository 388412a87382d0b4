//! The plan of a blind drill: drawn from the seed, and sealed by a hash that is printed before the drill begins.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::action::Action;
use crate::api::faults::LONGEST_DELAY;
use crate::drill::basis::Basis;
use crate::drill::file::{Drill, Fault, Inject, Window, shipped};
use crate::drill::prediction::worst_case;
use crate::load::scenario::Time;

/// The fault begins at most this many seconds after the earliest moment in the file.
const SPREAD: u64 = 20;
/// The factors by which a fault can be stronger than in the file.
const STRENGTHS: [f64; 3] = [1.0, 1.25, 1.5];
/// The users admitted per second: the same in all blind drills, because the rate would identify the drill.
const ADMITTED: u64 = 5;
/// The time of the sale besides the fault: opening, steady state, and the end of the alerts.
pub(super) const AROUND: Duration = Duration::from_secs(180);

/// A plan, with the hash that proves afterwards that the plan was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The plan as canonical JSON: keys in order, no spaces.
    pub plan: String,
    /// 32 random bytes in hexadecimal. Without them a player could find the plan by hashing all plans.
    pub salt: String,
    /// SHA-256 of salt and plan, in hexadecimal.
    pub sha256: String,
}

impl Sealed {
    /// Seals the plan of the drill.
    #[must_use]
    pub fn of(drill: &Drill, seed: u64) -> Sealed {
        let injects = drill
            .injects
            .iter()
            .map(|inject| json!({ "at": inject.at, "fault": inject.fault, "cause": inject.cause }));
        let injects: Vec<Value> = injects.collect();
        let plan = json!({ "drill": drill.name, "seed": seed, "injects": injects });
        let plan = canonical(&plan).to_string();
        let salt = hex::encode(rand::random::<[u8; 32]>());
        let sha256 = hex::encode(Sha256::digest(format!("{salt}{plan}")));
        Sealed { plan, salt, sha256 }
    }
}

/// Sorts the keys of every object, so that the hash does not depend on the order that the JSON library keeps.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            let sorted = sorted.into_iter();
            Value::Object(
                sorted
                    .map(|(key, value)| (key.clone(), canonical(value)))
                    .collect(),
            )
        }
        Value::Array(all) => Value::Array(all.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// The name of the shipped drill that `seed` chooses among those with one fault.
#[must_use]
pub fn choose(seed: u64) -> &'static str {
    let names = shipped().iter().filter(|(name, text)| {
        Drill::parse(name, text).is_ok_and(|drill| drill.injects.len() == 1)
    });
    let names: Vec<&'static str> = names.map(|(name, _)| *name).collect();
    let mut random = SmallRng::seed_from_u64(seed);
    names[random.random_range(0..names.len())]
}

/// The drill with moment and strength drawn from `seed`. Its fault lasts for `within`, unless the player ends it. Any
/// alert may fire, because the player's own actions raise some.
///
/// # Errors
/// The drill has no fault or several, or its cause is not among the causes that an answer can name.
pub fn draw(mut drill: Drill, seed: u64, within: Duration, basis: &Basis) -> Result<Drill, String> {
    let name = drill.name.clone();
    let [inject] = drill.injects.as_mut_slice() else {
        let count = drill.injects.len();
        return Err(format!(
            "{name} has {count} faults: a blind drill has exactly one"
        ));
    };
    let answer = Action::Answer(inject.cause.clone()).check();
    answer.map_err(|problem| format!("{name}: injects.0.cause: {problem}"))?;
    let mut random = SmallRng::seed_from_u64(seed);
    let later = Duration::from_millis(random.random_range(0..=SPREAD * 1_000));
    let at = Time(inject.at.from.0 + later);
    inject.at = Window { from: at, to: at };
    strengthen(
        &mut inject.fault,
        STRENGTHS[random.random_range(0..STRENGTHS.len())],
    );
    inject.fault.length = Time(within);
    allow_for_strength(inject, basis);
    let expected = inject.expect.fires.keys();
    let expected: Vec<&String> = expected.chain(&inject.expect.may_fire).collect();
    let alerts = basis.rules.iter().filter(|rule| rule.is_alert);
    let others = alerts.filter(|rule| !expected.contains(&&rule.name));
    let others: Vec<String> = others.map(|rule| rule.name.clone()).collect();
    drill.may_fire.extend(others);
    let traffic = [
        ("admission.batch", json!(ADMITTED)),
        ("admission.every", json!("1s")),
        ("admission.follow", json!("settings")),
        ("limits.duration", json!(Time(within + AROUND))),
        // The server may be gone for as long as the fault lasts, and the load generator must not give up before.
        ("limits.silence", json!(Time(within + AROUND))),
    ];
    let traffic = traffic.map(|(path, value)| (path.to_owned(), value));
    drill.set.extend(traffic);
    Ok(drill)
}

/// A longer delay can show later, so each budget becomes at least the worst case of the drawn fault.
fn allow_for_strength(inject: &mut Inject, basis: &Basis) {
    let drawn = inject.clone();
    for (alert, budget) in &mut inject.expect.fires {
        if let Some(worst) = worst_case(alert, &drawn, &basis.rules, basis.settings) {
            budget.0 = budget.0.max(worst.firing);
        }
    }
}

fn strengthen(fault: &mut Fault, by: f64) {
    if let Some(delay) = &mut fault.delay {
        let millis = (delay.0.as_secs_f64() * 1e3 * by).round() as u64;
        *delay = Time(Duration::from_millis(millis).min(LONGEST_DELAY));
    }
    if let Some(share) = &mut fault.share {
        *share = ((*share * by * 1e3).round() / 1e3).min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::ops::Follow;
    use crate::drill::blind::action::{causes, remedy};

    const WITHIN: Duration = Duration::from_secs(60);

    fn drawn(name: &str, seed: u64) -> Drill {
        let basis = Basis::embedded(&[]).unwrap();
        let drill = Drill::load(name).unwrap();
        let drawn = draw(drill, seed, WITHIN, &basis).unwrap();
        basis
            .check(&drawn)
            .unwrap_or_else(|error| panic!("{error}"));
        drawn
            .scenario()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        drawn
    }

    #[test]
    fn the_seed_decides_drill_moment_and_strength() {
        let plan = |seed| Sealed::of(&drawn(choose(seed), seed), seed).plan;
        assert_eq!(plan(7), plan(7));
        let plans: BTreeSet<String> = (0..20).map(plan).collect();
        assert_eq!(plans.len(), 20);
        let of = |seed| drawn("slow-charge", seed).injects[0].clone();
        let delays: BTreeSet<_> = (0..20).map(|seed| of(seed).fault.delay.unwrap()).collect();
        assert_eq!(delays, [400, 500, 600].map(Time::from_millis).into());
        let earliest = Drill::load("slow-charge").unwrap().injects[0].at.from.0;
        let latest = earliest + Duration::from_secs(SPREAD);
        for seed in 0..20 {
            let inject = of(seed);
            assert_eq!(inject.at.from, inject.at.to, "drawn, not a span");
            assert!((earliest..=latest).contains(&inject.at.from.0));
            assert_eq!(inject.fault.length, Time(WITHIN));
        }
    }

    #[test]
    fn every_shipped_drill_with_a_fault_can_be_blind_and_admits_the_same() {
        for (name, _) in shipped() {
            let drill = Drill::load(name).unwrap();
            if drill.injects.len() == 1 {
                let scenario = drawn(name, 3).scenario().unwrap();
                assert_eq!(scenario.admission.batch, ADMITTED, "{name}");
                assert_eq!(scenario.admission.follow, Follow::Settings, "{name}");
            }
        }
    }

    #[test]
    fn every_cause_has_a_mitigation_of_its_own() {
        let mechanisms: BTreeSet<&str> = causes().iter().map(|it| it.mechanism.as_str()).collect();
        let remedies: BTreeSet<&str> = mechanisms.iter().map(|it| remedy(it)).collect();
        assert_eq!(remedies.len(), mechanisms.len(), "{remedies:?}");
    }

    #[test]
    fn a_drill_without_a_fault_or_with_an_unknown_cause_is_refused() {
        let basis = Basis::embedded(&[]).unwrap();
        let quiet = Drill::load("quiet").unwrap();
        let refused = draw(quiet, 1, WITHIN, &basis).unwrap_err();
        assert_eq!(refused, "quiet has 0 faults: a blind drill has exactly one");
        let mut odd = Drill::load("errors").unwrap();
        odd.injects[0].cause.mechanism = "gremlins".to_owned();
        let refused = draw(odd, 1, WITHIN, &basis).unwrap_err();
        assert!(refused.contains("injects.0.cause") && refused.contains("slow_statement"));
    }

    #[test]
    fn a_plan_is_canonical_and_its_hash_needs_the_salt() {
        let drill = drawn("errors", 7);
        let (one, other) = (Sealed::of(&drill, 7), Sealed::of(&drill, 7));
        assert_eq!(one.plan, other.plan);
        assert_ne!(one.sha256, other.sha256);
        assert_eq!((one.salt.len(), one.sha256.len()), (64, 64));
        assert!(
            one.plan
                .starts_with(r#"{"drill":"errors","injects":[{"at":""#)
        );
        assert!(!one.plan.contains(": "));
    }
}
