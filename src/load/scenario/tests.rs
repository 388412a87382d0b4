use proptest::prelude::*;

use super::*;

const SMALL: &str = "\
title: small
dataset: demo
users: 10
admission:
  batch: 5
  every: 1s
thresholds:
  buying: { operations: [reserve, pay], p95: 500ms, error_rate: 0 }
  oversold: 0
";

fn set(overrides: &[&str]) -> Result<Scenario, String> {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Scenario::parse("small.yaml", SMALL, &overrides).map_err(|error| error.to_string())
}

fn parse(text: &str) -> String {
    Scenario::parse("x.yaml", text, &[])
        .unwrap_err()
        .to_string()
}

#[test]
fn every_shipped_scenario_is_valid() {
    for builtin in builtins() {
        let scenario = Scenario::load(builtin.name, &[]).unwrap();
        assert_eq!(scenario.name, builtin.name);
        assert_eq!(scenario.thresholds.business.oversold, Some(0));
    }
}

#[test]
fn the_reference_scenario_has_the_reference_numbers() {
    let onsale = Scenario::load("onsale", &[]).unwrap();
    assert_eq!((onsale.users, onsale.dataset.as_str()), (20_000, "onsale"));
    assert_eq!(
        (onsale.admission.batch, onsale.admission.every),
        (500, Time::from_secs(15))
    );
    assert!((onsale.contention.popular_share - 0.8).abs() < f64::EPSILON);
}

#[test]
fn a_title_is_counted_in_characters_and_has_one_line() {
    let titled = |title: &str| SMALL.replace("title: small", &format!("title: \"{title}\""));
    Scenario::parse("x.yaml", &titled(&"콘".repeat(200)), &[]).unwrap();
    for title in ["", "콘".repeat(201).as_str(), "a\\nb", "a\\e[31mb"] {
        assert_eq!(
            parse(&titled(title)),
            "x.yaml:1:1: title: must be one line of 1 to 200 characters",
            "{title:?}"
        );
    }
}

#[test]
fn a_wrong_field_is_named_with_file_line_and_column() {
    let unknown = parse(&SMALL.replace("batch: 5", "batches: 5"));
    assert!(
        unknown.starts_with("x.yaml:5:3: admission.batches: "),
        "{unknown}"
    );
    assert!(unknown.contains("batch"), "{unknown}");

    let type_ = parse(&SMALL.replace("users: 10", "users: many"));
    assert!(type_.starts_with("x.yaml:3:8: users: "), "{type_}");

    let unit = parse(&SMALL.replace("every: 1s", "every: 15"));
    assert!(unit.starts_with("x.yaml:6:10: admission.every: "), "{unit}");
    assert!(
        unit.contains("has no unit: write a duration such as 15s"),
        "{unit}"
    );

    let range = parse(&SMALL.replace("batch: 5", "batch: 0"));
    assert_eq!(
        range,
        "x.yaml:5:3: admission.batch: is 0, must be 1 to 1000000"
    );

    let none = parse(&format!("{SMALL}pay: {{ share: .nan }}\n"));
    assert_eq!(
        none,
        "x.yaml:10:8: pay.share: is NaN, must be a share from 0 to 1"
    );

    let operation = parse(&SMALL.replace("[reserve, pay]", "[reserve, fly]"));
    assert!(operation.starts_with("x.yaml:8:"), "{operation}");
    assert!(
        operation.contains("buying") && operation.contains("fly"),
        "{operation}"
    );

    let group = parse(&SMALL.replace("operations: [reserve, pay], ", ""));
    assert!(
        group.starts_with("x.yaml:8:3: thresholds.buying: names no operations"),
        "{group}"
    );
}

#[test]
fn a_missing_field_is_named_with_the_map_that_lacks_it() {
    let top = parse(&SMALL.replace("dataset: demo\n", ""));
    assert!(
        top.contains(": dataset: is missing: write `dataset: …`"),
        "{top}"
    );
    let nested = parse(&SMALL.replace("  batch: 5\n", ""));
    assert!(
        nested.contains(": admission.batch: is missing: write `batch: …`"),
        "{nested}"
    );
    let flow = parse("title: t\ndataset: d\nusers: 1\nadmission: { batch: 5 }\n");
    assert!(flow.starts_with("x.yaml:4:"), "{flow}");
    assert!(
        flow.contains(": admission.every: is missing: write `every: …`"),
        "{flow}"
    );
    let fault = parse(&format!(
        "{SMALL}faults: [{{ at: 1s, fault: {{ kind: errors, share: 1 }} }}]\n"
    ));
    assert!(
        fault.contains(": faults.0.fault.for: is missing: write `for: …`"),
        "{fault}"
    );
    let traffic = "traffic:\n  a:\n    executor: closed\n    lasts: 5s\n    journeys: []\n";
    let traffic = parse(&format!("{SMALL}{traffic}"));
    assert!(
        traffic.contains(": traffic.a.users: is missing: write `users: …`"),
        "{traffic}"
    );
    let step = "traffic: { a: { executor: closed, users: 1, lasts: 5s, journeys: [{ steps: [{ times: 2 }] }] } }\n";
    let step = parse(&format!("{SMALL}{step}"));
    assert!(
        step.contains(": traffic.a.journeys.0.steps.0.call: is missing"),
        "{step}"
    );
}

#[test]
fn a_value_of_another_shape_is_named_by_the_shape_and_by_what_is_wanted() {
    for (good, bad, expected) in [
        (
            "users: 10",
            "users: [1]",
            "x.yaml:3:8: users: is a list: write a whole number such as 20",
        ),
        (
            "users: 10",
            "users:",
            "users: is empty: write a whole number such as 20",
        ),
        (
            "users: 10",
            "users: # many",
            "users: is empty: write a whole number such as 20",
        ),
        (
            "users: 10",
            "users: 1,000",
            "users: `1,000` has separators between its digits: write 1000",
        ),
        (
            "users: 10",
            "users: 010",
            "users: `010` has a leading zero: write 10",
        ),
        (
            "every: 1s",
            "every: [1s]",
            "admission.every: is a list: write a duration such as 15s",
        ),
        (
            "every: 1s",
            "every:\n    - 1s",
            "admission.every: is a list: write a duration such as 15s",
        ),
        (
            "every: 1s",
            "every:",
            "admission.every: is empty: write a duration such as 15s",
        ),
        ("title: small", "title:", "title: is empty: write a text"),
        (
            "title: small",
            "title: [small]",
            "title: is a list: write a text",
        ),
    ] {
        assert!(SMALL.contains(good), "{good}");
        let error = parse(&SMALL.replace(good, bad));
        assert!(error.contains(expected), "{bad}: {error}");
    }
    let empty = SMALL.split("thresholds:").next().unwrap().to_owned() + "thresholds:\n";
    let error = parse(&empty);
    assert!(
        error.contains(": thresholds: is empty: write a map"),
        "{error}"
    );
    let error = set(&["users=1,000"]).unwrap_err();
    assert!(error.contains("write 1000"), "{error}");
}

#[test]
fn invalid_yaml_is_refused_with_its_line() {
    let broken = parse("title: [\nusers");
    assert!(broken.starts_with("x.yaml:"), "{broken}");
    assert!(!broken.contains('\n'), "one line: {broken}");
    assert!(parse("").contains("title"), "{}", parse(""));
    assert!(parse(&"# padding\n".repeat(7_000)).contains("longer than 65536 bytes"));
}

#[test]
fn an_unknown_scenario_is_answered_with_the_known_ones() {
    let error = Scenario::load("on-sale", &[]).unwrap_err().to_string();
    assert!(
        error.contains("no such scenario; did you mean `onsale`? There are back-door, hot-seat"),
        "{error}"
    );
}

#[test]
fn an_override_replaces_a_field_of_any_depth() {
    let scenario = set(&[
        "admission.every=2s",
        "users=20",
        "title=7",
        "thresholds.buying.p95=1us",
    ])
    .unwrap();
    assert_eq!(scenario.admission.every, Time::from_secs(2));
    assert_eq!((scenario.users, scenario.title.as_str()), (20, "7"));
    let (name, buying) = &scenario.thresholds.groups[0];
    assert_eq!(name, "buying");
    let p95 = buying.percentiles.get(&"p95".parse().unwrap());
    assert_eq!(p95, Some(&Time(std::time::Duration::from_micros(1))));
    assert_eq!(buying.error_rate, Some(0.0), "the other limits stay");
}

#[test]
fn an_override_may_set_a_field_that_the_file_leaves_out() {
    let scenario = set(&["admission.follow=objective"]).unwrap();
    assert_eq!(scenario.admission.follow, Follow::Objective);
}

#[test]
fn an_override_may_limit_an_operation_the_file_does_not_mention() {
    let scenario = set(&["thresholds.cancel.p95=1s"]).unwrap();
    let (name, group) = scenario
        .thresholds
        .groups
        .iter()
        .find(|(name, _)| name == "cancel")
        .unwrap();
    assert_eq!(
        group.resolve(name, |_| false),
        Some(vec![Operation::Cancel])
    );
    assert_eq!(
        set(&["thresholds.oversold=3"])
            .unwrap()
            .thresholds
            .business
            .oversold,
        Some(3)
    );
}

#[test]
fn any_percentile_may_be_limited_in_the_file_and_from_the_command_line() {
    let text = SMALL.replace("p95: 500ms", "p90: 1m30s, p99.9: 2s");
    let scenario = Scenario::parse("x.yaml", &text, &[]).unwrap();
    let limits = |scenario: &Scenario| {
        let limits = scenario.thresholds.groups[0].1.percentiles.iter();
        let limits = limits.map(|(of, limit)| format!("{of} {limit}"));
        limits.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(limits(&scenario), "p90 1m30s, p99.9 2s");
    let set = set(&["thresholds.buying.p99.9=3s", "thresholds.buying.p75=1s"]).unwrap();
    assert_eq!(limits(&set), "p75 1s, p95 500ms, p99.9 3s");
    let wrong = parse(&SMALL.replace("p95", "p100"));
    assert!(
        wrong.contains("`p100` is not a percentile: write one such as p50"),
        "{wrong}"
    );
}

#[test]
fn the_stages_of_a_ramp_stand_in_place_of_its_one_end() {
    let of = |arrival: &str| {
        let text = format!("{SMALL}arrival: {{ {arrival} }}\n");
        Scenario::parse("x.yaml", &text, &[]).map_err(|error| error.to_string())
    };
    let good = of("shape: ramp, rate: 0, stages: [{ to: 100, over: 1m30s }, { to: 10, over: 5s }]");
    assert_eq!(good.unwrap().arrival.stages.len(), 2);
    for (arrival, expected) in [
        (
            "shape: constant, rate: 1, stages: [{ to: 1, over: 1s }]",
            "belong to a ramp",
        ),
        (
            "shape: ramp, rate: 1, to: 2, over: 1s, stages: [{ to: 1, over: 1s }]",
            "leave those out",
        ),
        (
            "shape: ramp, rate: 1, stages: [{ to: 1, over: 0 }]",
            "such as { to: 100, over: 30s }",
        ),
        (
            "shape: ramp, rate: 1, stages: [{ to: -1, over: 1s }]",
            "such as { to: 100, over: 30s }",
        ),
        (
            "shape: ramp, rate: 1, stages: [{ to: 0, over: 1s }]",
            "ends at 0",
        ),
        (
            "shape: ramp, rate: 1",
            "arrival.to: is missing: a ramp needs `to` and `over`",
        ),
        (
            "shape: ramp",
            "arrival.to: is missing: a ramp needs `to` and `over`",
        ),
        ("shape: ramp, stages: []", "over: 30s }, or `stages`"),
        ("shape: ramp, to: 5", "arrival.over: is missing: a ramp"),
        ("shape: ramp, over: 5s", "arrival.to: is missing: a ramp"),
        (
            "shape: ramp, to: 5, over: 0",
            "arrival.over: must be above 0",
        ),
        (
            "shape: spike, rate: 1",
            "arrival.to: is missing: a spike needs",
        ),
        ("shape: spike", "{ shape: spike, rate: 10,"),
        (
            "shape: constant, rate: 1, over: 5s",
            "belongs to no other shape",
        ),
        (
            "shape: constant",
            "arrival.rate: must be a number of arrivals a second",
        ),
    ] {
        let error = of(arrival).unwrap_err();
        assert!(
            error.contains("arrival.") && error.contains(expected),
            "{arrival}: {error}"
        );
    }
}

#[test]
fn an_unknown_path_is_answered_with_near_names() {
    let error = set(&["admission.evry=1s"]).unwrap_err();
    assert!(
        error.starts_with(
            "--set admission.evry=1s: `admission` has no `evry`; did you mean `every`?"
        ),
        "{error}"
    );
    assert!(
        set(&["admision.every=1s"])
            .unwrap_err()
            .contains("did you mean `admission`?")
    );
    assert!(
        set(&["users.x=1"])
            .unwrap_err()
            .contains("`users` has no fields of its own")
    );
    assert!(set(&["users"]).unwrap_err().contains("write path=value"));
    assert!(
        set(&["users=0"])
            .unwrap_err()
            .contains("users: is 0, must be 1 to")
    );
    assert!(
        set(&["admission.every=15"])
            .unwrap_err()
            .contains("has no unit")
    );
}

#[test]
fn a_field_that_is_left_out_when_empty_can_be_set_too() {
    assert!(set(&["faults=[]"]).unwrap().faults.is_empty());
    let fault = "faults=[{ at: 5s, fault: { kind: disk_full, for: 5s } }]";
    assert_eq!(set(&[fault]).unwrap().faults.len(), 1);
    assert!(set(&[fault, "faults=[]"]).unwrap().faults.is_empty());
}

#[test]
fn an_override_without_a_value_says_what_to_write() {
    assert_eq!(
        set(&["users="]).unwrap_err(),
        "--set users=: is empty: write a whole number such as 20"
    );
    assert!(set(&["title=7"]).is_ok(), "a text may look like a number");
}

/// A scenario whose only fault has these fields, each on a line of its own from line 8.
fn with_fault(fields: &[&str]) -> Result<Scenario, String> {
    let fields: String = fields.iter().map(|it| format!("      {it}\n")).collect();
    let text = format!(
        "title: T\ndataset: demo\nusers: 1\nadmission: {{ batch: 1, every: 1s }}\nfaults:\n  - at: 1s\n    fault:\n{fields}"
    );
    Scenario::parse("x.yaml", &text, &[]).map_err(|error| error.to_string())
}

#[test]
fn a_setting_of_a_fault_that_the_server_would_refuse_is_refused_with_line_and_field() {
    let errors = "kind: errors";
    let cases: [(&[&str], &str); 9] = [
        (
            &[errors, "for: 5s", "share: .nan"],
            "x.yaml:10:7: faults.0.fault.share: is NaN: it can be 0 to 1",
        ),
        (
            &["kind: latency", "delay: 1s", "for: 5s", "share: .inf"],
            "x.yaml:11:7: faults.0.fault.share: is inf: it can be 0 to 1",
        ),
        (
            &[errors, "for: 5s", "share: 2"],
            "x.yaml:10:7: faults.0.fault.share: is 2: it can be 0 to 1",
        ),
        (
            &[errors, "for: 5s", "share: 1", "routes: [POST /nope]"],
            "x.yaml:11:7: faults.0.fault.routes: has \"POST /nope\", which is no route. There are ",
        ),
        (
            &[errors, "for: 5s", "share: 1", "routes: [post /queue]"],
            "has \"post /queue\", which is no route; did you mean `POST /queue`?",
        ),
        (
            &[errors, "for: 5s", "share: 1", "routes: []"],
            "x.yaml:11:7: faults.0.fault.routes: is empty: leave it out, or name some",
        ),
        (
            &["kind: command", "for: 5s", "undo: 'true'", "run: ''"],
            "x.yaml:11:7: faults.0.fault.run: is empty: write the command that begins the fault",
        ),
        (
            &["kind: lose_one_of_n", "for: 5s", "undo: 'true'", "run: ' '"],
            "x.yaml:11:7: faults.0.fault.run: is empty",
        ),
        (
            &[
                "kind: slow_statement",
                "for: 5s",
                "delay: 1s",
                "statement: nope",
            ],
            "x.yaml:11:7: faults.0.fault.statement: \"nope\" is not known; there are ",
        ),
    ];
    for (fields, expected) in cases {
        let error = with_fault(fields).unwrap_err();
        assert!(error.contains(expected), "{fields:?}: {error}");
    }
    let routes = "routes: [POST /queue, GET /queue]";
    with_fault(&[errors, "for: 5s", "share: 1", routes]).unwrap();
}

#[test]
fn a_group_is_called_after_what_it_holds_or_says_so() {
    let named = |name: &str| Group::default().resolve(name, |_| false);
    assert_eq!(named("pay"), Some(vec![Operation::Pay]));
    assert_eq!(
        named("open"),
        Some(vec![
            Operation::Poll,
            Operation::Dates,
            Operation::Seats,
            Operation::Reserve,
            Operation::Concerts
        ])
    );
    assert_eq!(
        named("all").map(|all| all.len()),
        Some(Operation::ALL.len())
    );
    assert_eq!(named("everything"), None);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(?s).{0,300}") {
        let _ = Scenario::parse("x.yaml", &text, &[]);
    }

    #[test]
    fn no_change_of_a_line_makes_the_parser_panic(line in 0_usize..9, with in "[ \\-:a-z0-9\\[\\]{},&*!'\"%\t]{0,40}") {
        let mut lines: Vec<&str> = SMALL.lines().collect();
        lines[line] = &with;
        let _ = Scenario::parse("x.yaml", &lines.join("\n"), &[]);
    }

    #[test]
    fn no_override_makes_the_parser_panic(text in "(users|admission|thresholds|contention|[a-z.]{0,9})\\.?[a-z0-9._]{0,12}=?.{0,20}") {
        let _ = set(&[&text]);
    }

    #[test]
    fn a_scenario_survives_being_written_and_read(batch in 1_u64..1_000_000, every in 100_u64..3_600_000) {
        let mut scenario = set(&[]).unwrap();
        scenario.admission = Admission { batch, every: Time::from_millis(every), follow: Default::default() };
        let text = serde_json::to_string(&scenario).unwrap();
        let read: Scenario = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.admission.batch, batch);
        prop_assert!(read.admission.every.0.abs_diff(scenario.admission.every.0).as_micros() <= 1);
    }
}

#[test]
fn every_field_is_documented() {
    let text = include_str!("../../../docs/scenarios.md");
    let mut tree = serde_json::to_value(set(&[]).unwrap()).unwrap();
    let top = tree.as_object_mut().unwrap();
    let (thresholds, refusals) = (
        top.remove("thresholds").unwrap(),
        top.remove("refusals").unwrap(),
    );
    assert!(refusals.is_object() && text.contains("| `refusals` |"));
    // A field that is useful only in a traffic group is described by an example beside its table.
    let traffic = serde_json::to_value(
        &builtins()
            .iter()
            .map(|it| Scenario::load(it.name, &[]).unwrap())
            .find(|it| it.name == "token-replay")
            .unwrap()
            .traffic["replayers"],
    )
    .unwrap();
    let step = &traffic["journeys"][0]["steps"][0];
    for fields in [&traffic, &traffic["journeys"][0], step] {
        for field in fields.as_object().unwrap().keys() {
            assert!(
                text.contains(&format!("| `{field}` |")),
                "{field} of a traffic group"
            );
        }
    }
    for (name, value) in top {
        match value.as_object() {
            None => assert!(text.contains(&format!("| `{name}` |")), "{name}"),
            Some(fields) => {
                for field in fields.keys() {
                    assert!(
                        text.contains(&format!("| `{name}.{field}` |")),
                        "{name}.{field}"
                    );
                }
            }
        }
    }
    let limits = thresholds
        .as_object()
        .unwrap()
        .keys()
        .chain(thresholds["buying"].as_object().unwrap().keys());
    for limit in limits.filter(|name| *name != "buying") {
        assert!(text.contains(&format!("`{limit}`")), "{limit}");
    }
}
