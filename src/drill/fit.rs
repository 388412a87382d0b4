//! Fits a shipped drill to a running system: it refuses faults that the system cannot have, and sets budgets by the
//! system's intervals.
//!
//! The budgets of shipped drills are those of an embedded server, which scrapes and evaluates every second. On another
//! system each budget, and the fault with it, is longer by what the system's intervals add to the worst case of the
//! shipped rule. The system's own rules add nothing: if one of them is slower than the shipped one, the drill must
//! find it.

use std::time::Duration;

use super::basis::Basis;
use super::file::{Drill, Inject};
use super::prediction::{Prediction, Rule, Settings, worst_case};
use super::rules;
use crate::load::scenario::Time;
use crate::yaml::FileError;

/// Returns why the running system cannot have a fault of this drill; `None` if it can.
#[must_use]
pub fn unsupported(drill: &Drill, basis: &Basis) -> Option<String> {
    basis.running.as_ref()?;
    let mut injects = drill.injects.iter();
    injects.find_map(|inject| basis.unsupported(&inject.fault))
}

/// The shipped drill, with budgets and faults that are as long as the running system's intervals require.
///
/// # Errors
/// The shipped rules cannot be read.
pub fn fitted(drill: Drill, basis: &Basis) -> Result<Drill, FileError> {
    if basis.running.is_none() {
        return Ok(drill);
    }
    let shipped = rules::read(&[])?;
    let slowest = basis.rules.iter().map(|rule| rule.interval).max();
    let here = |rule: &Rule| Rule {
        interval: slowest.unwrap_or(rule.interval).max(rule.interval),
        ..rule.clone()
    };
    let here: Vec<Rule> = shipped.iter().map(here).collect();
    let added = |alert: &str, inject: &Inject| {
        let there = worst_case(alert, inject, &shipped, Settings::EMBEDDED)?;
        let here = worst_case(alert, inject, &here, basis.settings)?;
        Some(Prediction {
            firing: whole_seconds(here.firing.saturating_sub(there.firing)),
            notified: whole_seconds(here.notified.saturating_sub(there.notified)),
        })
    };
    let mut drill = drill;
    for inject in &mut drill.injects {
        lengthen(inject, added);
    }
    Ok(drill)
}

fn lengthen(inject: &mut Inject, added: impl Fn(&str, &Inject) -> Option<Prediction>) {
    let before = inject.clone();
    let mut most = Prediction {
        firing: Duration::ZERO,
        notified: Duration::ZERO,
    };
    for (alert, budget) in &mut inject.expect.fires {
        let Some(added) = added(alert, &before) else {
            continue;
        };
        budget.0 += added.firing;
        most.firing = most.firing.max(added.firing);
        most.notified = most.notified.max(added.notified);
    }
    let longer = |budget: &mut Option<Time>, by: Duration| {
        if let Some(budget) = budget {
            budget.0 += by;
        }
    };
    longer(&mut inject.expect.notified, most.notified);
    longer(&mut inject.expect.resolved, most.firing + most.notified);
    // If the notification takes longer, the fault must last longer.
    inject.fault.length.0 += most.firing + most.notified;
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs_f64().ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::basis::Running;
    use crate::drill::file::shipped;

    /// A system on PostgreSQL and Redis that scrapes and evaluates every 5 s.
    fn running() -> Basis {
        let every_5s = |rule| Rule {
            interval: Duration::from_secs(5),
            ..rule
        };
        Basis {
            rules: rules::read(&[])
                .unwrap()
                .into_iter()
                .map(every_5s)
                .collect(),
            settings: Settings {
                scrape: Duration::from_secs(5),
                group_wait: Duration::from_secs(10),
            },
            identity: Vec::new(),
            running: Some(Running {
                servers: 1,
                database: Some("postgres".to_owned()),
                coordination: Some("redis".to_owned()),
            }),
        }
    }

    fn all() -> impl Iterator<Item = Drill> {
        shipped()
            .iter()
            .map(|(name, text)| Drill::parse(name, text).unwrap())
    }

    /// The shipped drills that the system can have.
    fn possible(basis: &Basis) -> impl Iterator<Item = Drill> {
        all().filter(|drill| unsupported(drill, basis).is_none())
    }

    #[test]
    fn what_a_running_system_cannot_have_is_named_with_the_reason() {
        let basis = running();
        let reasons = all().filter_map(|drill| Some((unsupported(&drill, &basis)?, drill.name)));
        let mut reasons: Vec<_> = reasons.map(|(reason, name)| (name, reason)).collect();
        reasons.sort_unstable();
        let names: Vec<&str> = reasons.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["freeze", "kill", "slow-commit"]);
        assert!(
            reasons[2].1.contains("postgres has no statement"),
            "{reasons:?}"
        );
        let own = Basis::embedded(&[]).unwrap();
        assert!(all().all(|drill| unsupported(&drill, &own).is_none()));
    }

    #[test]
    fn the_drill_that_loses_one_of_two_servers_needs_two() {
        let text = include_str!("../../scripts/real-stack/servers/lose-one.yaml");
        let drill = Drill::parse("lose-one.yaml", text).unwrap();
        assert!(drill.runs_commands());
        let mut basis = running();
        let refused = basis.check(&drill).unwrap_err().to_string();
        assert!(refused.contains("name all servers"), "{refused}");
        assert!(refused.contains("lose-one.yaml:8:"), "{refused}");
        basis.running.as_mut().unwrap().servers = 2;
        basis.check(&drill).unwrap();
    }

    #[test]
    fn a_system_without_redis_is_never_drilled_with_redis_cut() {
        let text = "title: Redis is cut off\nload: onsale-short\ninjects:\n  - at: 3s\n    \
            fault: { kind: redis_cut, for: 5s }\n    cause: { component: redis, mechanism: redis_cut }\n    \
            expect: { recovered: 30s }\n";
        let drill = Drill::parse("cut.yaml", text).unwrap();
        let mut basis = running();
        basis.check(&drill).unwrap();
        basis.running.as_mut().unwrap().coordination = Some("embedded".to_owned());
        let refused = basis.check(&drill).unwrap_err().to_string();
        assert!(refused.contains("cut.yaml:5:"), "{refused}");
        assert!(refused.contains("the system has no Redis"), "{refused}");
    }

    #[test]
    fn budgets_and_faults_are_longer_by_what_the_intervals_add() {
        let basis = running();
        for drill in possible(&basis) {
            let before = drill.clone();
            let fitted = fitted(drill, &basis).unwrap();
            basis
                .check(&fitted)
                .unwrap_or_else(|error| panic!("{error}"));
            for (inject, before) in fitted.injects.iter().zip(&before.injects) {
                for (alert, budget) in &inject.expect.fires {
                    let worst = worst_case(alert, inject, &basis.rules, basis.settings).unwrap();
                    let of = format!("{}: {alert}", fitted.name);
                    assert!(worst.notified <= inject.expect.notified.unwrap().0, "{of}");
                    // Two scrapes and at least an evaluation of 5 s instead of 1 s.
                    let longer = budget.0 - before.expect.fires[alert].0;
                    assert!(longer >= Duration::from_secs(12), "{of}: {longer:?}");
                    let lasts_longer = inject.fault.length.0 - before.fault.length.0;
                    assert!(lasts_longer >= longer, "{of}: {lasts_longer:?}");
                }
            }
        }
        let own = Basis::embedded(&[]).unwrap();
        assert!(all().all(|drill| fitted(drill.clone(), &own).unwrap() == drill));
    }

    #[test]
    fn a_rule_that_the_system_has_made_slower_gets_no_longer_budget() {
        let mut basis = running();
        let mut rules = basis.rules.iter_mut();
        let slow = rules.find(|rule| rule.is_alert && rule.name == "SlowBuying");
        slow.unwrap().for_duration = Duration::from_secs(120);
        let refused = possible(&basis).filter_map(|drill| {
            let drill = fitted(drill, &basis).unwrap();
            basis.check(&drill).err().map(|error| error.to_string())
        });
        let refused: Vec<String> = refused.collect();
        assert!(!refused.is_empty());
        for problem in refused {
            assert!(
                problem.contains("SlowBuying") && problem.contains("below the worst case"),
                "{problem}"
            );
        }
    }
}
