use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::*;

fn at(second: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(1_000_000 + second)
}

fn small() -> AlertConfig {
    AlertConfig {
        max_alerts: 2,
        max_rule_alerts: 2,
        max_pairs: 3,
        max_text_bytes: 100,
        ..AlertConfig::default()
    }
}

fn alert(name: &str, until: u64) -> PostableAlert {
    PostableAlert {
        labels: [("alertname".to_owned(), name.to_owned())].into(),
        starts_at: Some(at(0)),
        ends_at: Some(at(until)),
        ..PostableAlert::default()
    }
}

fn names(store: &AlertStore, second: u64) -> Vec<String> {
    let alerts = store.all(at(second)).into_iter();
    let mut names: Vec<_> = alerts.map(|it| it.labels["alertname"].clone()).collect();
    names.sort();
    names
}

fn silence(matchers: usize, comment: &str) -> PostableSilence {
    let matcher = json!({"name": "a", "value": "b", "isRegex": false});
    serde_json::from_value(json!({
        "matchers": vec![matcher; matchers],
        "startsAt": at(0).to_string(), "endsAt": at(10).to_string(),
        "createdBy": "a test", "comment": comment,
    }))
    .unwrap()
}

#[test]
fn of_alerts_that_have_ended_the_latest_are_kept_and_only_for_a_while() {
    let store = AlertStore::new(small());
    for second in 1..=5 {
        let ended = alert(&second.to_string(), second);
        store.put(vec![ended], at(second)).unwrap();
    }
    assert_eq!(names(&store, 5), ["4", "5"]);
    let while_kept = small().resolved_retention.as_secs();
    assert_eq!(names(&store, 4 + while_kept), ["5"]);
    assert!(names(&store, 5 + while_kept).is_empty());
}

#[test]
fn null_is_a_missing_field_or_an_empty_text() {
    let alert: PostableAlert = serde_json::from_value(json!({
        "labels": {"alertname": "a", "b": null}, "annotations": null, "generatorURL": null,
        "startsAt": null, "endsAt": null,
    }))
    .unwrap();
    assert_eq!(alert.labels["b"], "");
    assert!(alert.annotations.is_empty() && alert.generator_url.is_empty());
    let matcher: wire::SilenceMatcher = serde_json::from_value(json!({
        "name": "a", "value": "b", "isRegex": false, "isEqual": null,
    }))
    .unwrap();
    assert!(matcher.is_equal);
    assert!(serde_json::from_value::<PostableAlert>(json!({"labels": null})).is_err());
}

#[test]
fn an_expired_silence_is_forgotten_after_its_retention() {
    let store = AlertStore::new(small());
    store.silence(silence(1, "first"), at(0)).unwrap();
    let later = 10 + small().silence_retention.as_secs();
    let next = PostableSilence {
        ends_at: at(later + 10),
        ..silence(1, "second")
    };
    store.silence(next, at(later)).unwrap();
    let listed = serde_json::to_value(store.silences(&[], at(later))).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed[0]["comment"], "second");
}

#[test]
fn every_part_of_a_request_is_bounded() {
    let store = AlertStore::new(small());
    let long = "x".repeat(101);
    let url = PostableAlert {
        generator_url: long.clone(),
        ..alert("a", 10)
    };
    let error = store.put(vec![url], at(0)).unwrap_err().to_string();
    assert!(error.contains("URL is longer than 100 bytes"), "{error}");
    for (silence, named) in [
        (silence(4, ""), "more than 3 matchers"),
        (silence(1, &long), "a text is longer than 100 bytes"),
    ] {
        let error = store.silence(silence, at(0)).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    assert!(store.silence(silence(3, ""), at(0)).is_ok());
}

#[test]
fn alerts_from_outside_never_keep_out_those_of_the_rules() {
    let store = AlertStore::new(small());
    let from_outside = |name: &str| store.put_from_api(vec![alert(name, 10)], at(0));
    from_outside("a").unwrap();
    from_outside("b").unwrap();
    let refused = from_outside("c").unwrap_err().to_string();
    assert_eq!(refused, "too many alerts are firing (limit: 2)");
    for name in ["rule 1", "rule 2"] {
        store.put(vec![alert(name, 10)], at(0)).unwrap();
    }
    assert!(store.put(vec![alert("rule 3", 10)], at(0)).is_err());
    // Extending or resolving a rule's alert over the API needs no free room.
    store
        .put_from_api(vec![alert("rule 1", 20)], at(1))
        .unwrap();
    assert_eq!(names(&store, 1), ["a", "b", "rule 1", "rule 2"]);
    store.put_from_api(vec![alert("rule 1", 2)], at(2)).unwrap();
    store.put(vec![alert("rule 3", 10)], at(2)).unwrap();
    assert_eq!(
        Refused::ALL.map(|kind| store.refused(kind)),
        [1, 1, 0],
        "alerts, rule alerts, silences"
    );
}

#[test]
fn a_rule_takes_over_an_alert_that_came_from_outside_and_makes_room_there() {
    let store = AlertStore::new(small());
    for name in ["a", "b"] {
        store.put_from_api(vec![alert(name, 10)], at(0)).unwrap();
    }
    store.put(vec![alert("a", 10)], at(1)).unwrap();
    store.put_from_api(vec![alert("c", 10)], at(1)).unwrap();
    assert_eq!(names(&store, 1), ["a", "b", "c"]);
}

#[test]
fn an_alert_or_a_silence_of_many_long_texts_is_refused_and_counted() {
    let config = AlertConfig {
        max_bytes: 150,
        ..small()
    };
    let store = AlertStore::new(config);
    let long = PostableAlert {
        annotations: [("a", 100), ("b", 60)]
            .map(|(name, length)| (name.to_owned(), "x".repeat(length)))
            .into(),
        ..alert("long", 10)
    };
    let refused = store.put_from_api(vec![long.clone()], at(0));
    assert!(refused.unwrap_err().to_string().contains("limit: 150"));
    store
        .put(vec![long], at(0))
        .expect("a rule's author decides");
    let wordy = PostableSilence {
        created_by: "y".repeat(80),
        ..silence(1, &"x".repeat(80))
    };
    let refused = store.silence(wordy, at(0)).unwrap_err().to_string();
    assert!(refused.contains("limit: 150"), "{refused}");
    let counted = [Refused::Alert, Refused::Silence].map(|kind| store.refused(kind));
    assert_eq!(counted, [1, 1]);
}

#[test]
fn a_silence_may_have_negative_matchers_alone_but_must_not_accept_every_alert() {
    // The expected decisions are those of Alertmanager 0.25.
    for (value, is_regex, is_equal, is_accepted) in [
        ("foo", false, false, true),
        ("", false, false, true),
        ("x.+", true, false, true),
        (".*", true, false, true),
        ("", false, true, false),
        (".*", true, true, false),
        (".+", true, true, true),
    ] {
        let store = AlertStore::new(small());
        let matcher =
            json!({"name": "a", "value": value, "isRegex": is_regex, "isEqual": is_equal});
        let silence = PostableSilence {
            matchers: vec![serde_json::from_value(matcher.clone()).unwrap()],
            ..silence(0, "")
        };
        let set = store.silence(silence, at(0));
        assert_eq!(set.is_ok(), is_accepted, "{matcher}: {set:?}");
    }
}
