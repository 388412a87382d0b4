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
fn what_is_sent_is_bounded_in_every_part() {
    let store = AlertStore::new(small());
    let long = "x".repeat(101);
    let url = PostableAlert {
        generator_url: long.clone(),
        ..alert("a", 10)
    };
    let told = store.put(vec![url], at(0)).unwrap_err().to_string();
    assert!(told.contains("URL is longer than 100 bytes"), "{told}");
    for (silence, named) in [
        (silence(4, ""), "more than 3 matchers"),
        (silence(1, &long), "a text is longer than 100 bytes"),
    ] {
        let told = store.silence(silence, at(0)).unwrap_err().to_string();
        assert!(told.contains(named), "{told}");
    }
    assert!(store.silence(silence(3, ""), at(0)).is_ok());
}
