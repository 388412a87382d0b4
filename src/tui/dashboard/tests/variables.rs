//! Variables as real dashboards have them: learned, filtered, ordered, automatic.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::tui::dashboard::panel::Kind;
use crate::tui::dashboard::tests::TIMES;
use crate::tui::dashboard::{Dashboard, Scope, Times, repeated};

/// The answers of the source in these tests.
fn learned(query: &str, label: &str) -> Vec<String> {
    let texts: &[&str] = match (query, label) {
        ("group by (job) (up)", "job") => &["api", "node", "prometheus"],
        ("label_values(host)", "host") => &["h10", "h9", "h1"],
        ("label_names()", "label") => &["job", "instance"],
        ("group by (__name__) ({__name__=~\".*(?:http_.*).*\"})", "__name__") => {
            &["http_a", "http_b"]
        }
        ("count by (job) (up)", "") => &[
            "{job=\"api\"} 3 1780315200000",
            "{job=\"node\"} 12 1780315200000",
        ],
        _ => &[],
    };
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn scope(variables: Value, inputs: Value) -> Scope {
    let file = json!({ "panels": [], "templating": { "list": variables }, "__inputs": inputs });
    let dashboard = Dashboard::read(&file.to_string()).unwrap();
    Scope::new(&dashboard.variables, &BTreeMap::new(), learned, TIMES)
}

/// The value of `$v` if the file has the variable `v` with these fields.
fn value(more: Value) -> String {
    let mut variable = json!({ "name": "v", "type": "query" });
    let fields = variable.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    scope(json!([variable]), json!([])).fill("$v")
}

#[test]
fn each_of_grafanas_query_functions_learns_values() {
    let cases = [
        (json!({ "query": "label_values(up, job)" }), "api"),
        (
            json!({ "query": { "query": "label_values(up, job)", "refId": "x" } }),
            "api",
        ),
        (json!({ "query": "label_values(host)" }), "h1"),
        (json!({ "query": "label_names()" }), "instance"),
        (json!({ "query": "metrics(http_.*)" }), "http_a"),
        (
            json!({ "query": "query_result(count by (job) (up))", "regex": "/job=\"([^\"]+)\"/" }),
            "api",
        ),
        (
            json!({ "query": "query_result(count by (job) (up))", "regex": "/.* (\\d+) .*/" }),
            "12",
        ),
        (
            json!({ "query": {}, "definition": "label_values(up, job)" }),
            "api",
        ),
    ];
    for (variable, wanted) in cases {
        assert_eq!(value(variable.clone()), wanted, "{variable}");
    }
}

#[test]
fn a_pattern_filters_shortens_or_names_values() {
    let asks = |regex: &str, more: Value| {
        let mut variable = json!({ "query": "label_values(up, job)", "regex": regex,
            "includeAll": true, "current": { "value": ["$__all"] } });
        let fields = variable.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        value(variable)
    };
    let none = json!({});
    assert_eq!(asks("/^(node|prom.*)$/", none.clone()), "(node|prometheus)");
    assert_eq!(
        asks("/n(o.e).*/", none.clone()),
        "ode",
        "one value of one group"
    );
    assert_eq!(asks("/(?<text>.)(?<value>od.)/", none.clone()), "ode");
    assert_eq!(asks("/NODE/i", none.clone()), "node");
    assert_eq!(
        asks("no such", json!({ "current": {} })),
        ".*",
        "nothing is left"
    );
    assert_eq!(asks("", json!({ "allValue": ".+" })), ".+");
    let refused = scope(
        json!([{ "name": "v", "type": "query", "query": "label_values(up, job)", "regex": "/(?!api).*/" }]),
        json!([]),
    );
    let shown: Vec<_> = refused.shown().map(|(_, value, _)| value).collect();
    assert_eq!(shown, ["api (regex not applied)"]);
}

#[test]
fn values_are_sorted_in_the_order_that_the_file_gives() {
    let first = |sort: Value| value(json!({ "query": "label_values(host)", "sort": sort }));
    let cases = [
        (json!(1), "h1"),
        (json!(2), "h9"),
        (json!(3), "h1"),
        (json!(4), "h10"),
        (json!("numericalDesc"), "h10"),
    ];
    for (sort, wanted) in cases {
        assert_eq!(first(sort.clone()), wanted, "{sort}");
    }
}

#[test]
fn all_values_are_listed_while_they_are_few() {
    let list = json!([{ "name": "v", "type": "query", "query": "label_values(up, job)",
        "includeAll": true, "multi": true, "current": { "text": "All", "value": ["$__all"] } }]);
    let few = scope(list.clone(), json!([]));
    assert_eq!(
        few.fill("${v:csv} {j=~\"$v\"} ${v.text} ${v:text}"),
        "api,node,prometheus {j=~\"(api|node|prometheus)\"} All All"
    );
    let dashboard =
        Dashboard::read(&json!({ "panels": [], "templating": { "list": list } }).to_string())
            .unwrap();
    let many = |_: &str, _: &str| (0..500).map(|n| n.to_string()).collect();
    let scope = Scope::new(&dashboard.variables, &BTreeMap::new(), many, TIMES);
    assert_eq!(scope.fill("{j=~\"$v\"}"), "{j=~\".*\"}");
}

#[test]
fn automatic_intervals_follow_the_time_range() {
    let auto = |current: &str| {
        let list = json!([{ "name": "i", "type": "interval", "auto": true, "auto_min": "10s",
            "auto_count": 10, "query": "1m,5m", "current": { "text": "auto", "value": current } }]);
        scope(list, json!([])).fill("x[$i] $__auto_interval_i")
    };
    assert_eq!(auto("$__auto_interval_i"), "x[30s] 30s");
    assert_eq!(auto("$__auto"), "x[30s] 30s");
    assert_eq!(auto("5m"), "x[5m] 5m");
    let none = scope(json!([]), json!([]));
    assert_eq!(none.fill("[$__auto]"), "[10s]");
    let custom = json!([{ "name": "w", "type": "custom", "query": "$__rate_interval,5m" }]);
    assert_eq!(
        scope(custom, json!([])).fill("x[$w]"),
        "x[1m]",
        "a variable in a value"
    );
    let least = none.fill_in("[$__rate_interval] [$__interval]", &[], "2m");
    assert_eq!(least, "[8m] [120s]", "of a query that is asked less often");
}

#[test]
fn queries_can_refer_to_the_time_range() {
    let at = |end_ms: i64| {
        let times = Times { end_ms, ..TIMES };
        Scope::new(&[], &BTreeMap::new(), learned, times)
    };
    let scope = at(TIMES.end_ms - 1);
    assert_eq!(scope.fill("${__from} $__to"), "1780314900000 1780315200000");
    assert_eq!(
        scope.fill("${__to:date:seconds} ${__to:date:iso}"),
        "1780315200 2026-06-01T12:00:00.000Z"
    );
    assert_eq!(
        at(TIMES.end_ms - 50_000).fill("$__to"),
        "1780315200000",
        "once a minute"
    );
}

#[test]
fn constants_and_inputs_stand_for_their_values() {
    let inputs = json!([{ "name": "VAR_PREFIX", "type": "constant", "value": "prod_" }]);
    let list = json!([{ "name": "c", "type": "constant", "query": "x" },
        { "name": "t", "type": "textbox", "query": "typed" },
        { "name": "p", "type": "custom", "query": "Production : prod, Test : test",
          "current": { "text": "Production", "value": "prod" } }]);
    let scope = scope(list, inputs);
    assert_eq!(
        scope.fill("${VAR_PREFIX}up $c $t $p ${p.text} ${p.other}"),
        "prod_up x typed prod Production ${p.other}"
    );
    assert_eq!(scope.words("CPU of $p", &[]), "CPU of Production");
    let shown: Vec<_> = scope
        .shown()
        .map(|(name, value, _)| (name, value))
        .collect();
    assert_eq!(shown, [("t", "typed".into()), ("p", "Production".into())]);
}

#[test]
fn ad_hoc_filters_are_added_to_every_query() {
    let filters = json!([{ "key": "job", "operator": "=", "value": "node" }]);
    let scope = scope(
        json!([{ "name": "f", "type": "adhoc", "filters": filters }]),
        json!([]),
    );
    assert_eq!(
        scope.fill("sum(rate(x[5m])) / up"),
        "sum(rate(x{job=\"node\"}[5m])) / up{job=\"node\"}"
    );
    assert_eq!(scope.filters().collect::<Vec<_>>(), ["job=node"]);
}

#[test]
fn panels_and_rows_are_repeated_for_each_value() {
    let panel = |title: &str, more: Value| {
        let mut panel = json!({ "type": "stat", "title": title, "targets": [{ "expr": "up{a=\"$a\"}" }],
            "gridPos": { "x": 0, "y": 1, "w": 24, "h": 4 } });
        let fields = panel.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        panel
    };
    let shown = |panels: Value, all: &str| {
        let list = json!([{ "name": "a", "type": "custom", "query": all, "includeAll": true }]);
        let file = json!({ "panels": panels, "templating": { "list": list } });
        let dashboard = Dashboard::read(&file.to_string()).unwrap();
        let scope = Scope::new(&dashboard.variables, &BTreeMap::new(), learned, TIMES);
        (repeated(&dashboard.panels, &scope), scope)
    };
    let across = panel("of $a", json!({ "repeat": "a", "maxPerRow": 2 }));
    let (panels, scope) = shown(json!([across]), "x,y,z");
    let panels = panels.unwrap();
    let of: Vec<_> = panels
        .iter()
        .map(|panel| {
            (
                panel.heading(&scope),
                panel.place.x,
                panel.query(&panel.targets[0], &scope),
            )
        })
        .collect();
    let wanted = |name: &str, x| (format!("of {name}"), x, format!("up{{a=\"{name}\"}}"));
    assert_eq!(of, [wanted("x", 0), wanted("y", 12), wanted("z", 0)]);
    // A title has the name of the value, a query the value itself.
    let (panels, scope) = shown(json!([across]), "One : x,Two : y");
    let of: Vec<_> = panels
        .unwrap()
        .iter()
        .map(|panel| {
            (
                panel.heading(&scope),
                panel.query(&panel.targets[0], &scope),
            )
        })
        .collect();
    let wanted = |name: &str, value: &str| (format!("of {name}"), format!("up{{a=\"{value}\"}}"));
    assert_eq!(of, [wanted("One", "x"), wanted("Two", "y")]);
    let row = json!({ "type": "row", "title": "Row $a", "repeat": "a", "gridPos": { "y": 0 } });
    let (panels, scope) = shown(json!([row, panel("inside $a", json!({}))]), "x,y");
    let titles: Vec<_> = panels
        .unwrap()
        .iter()
        .map(|panel| panel.heading(&scope))
        .collect();
    assert_eq!(titles, ["Row x", "inside x", "Row y", "inside y"]);
    let (panels, _) = shown(json!([panel("alone", json!({}))]), "x,y");
    assert_eq!(panels, None);
    let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let eleven = vec![panel("p", json!({ "repeat": "a" })); 11];
    let (panels, _) = shown(json!(eleven), &many.join(","));
    let panels = panels.unwrap();
    assert_eq!(panels.len(), crate::tui::dashboard::panel::MAX_PANELS);
    assert!(
        panels
            .last()
            .unwrap()
            .why_not
            .contains("the rest is left out")
    );
    assert!(panels.iter().all(|panel| panel.kind == Kind::Stat));
}

#[test]
fn variables_are_resolved_after_those_they_refer_to_and_shown_in_the_order_of_the_file() {
    let asks = |name: &str, query: &str| json!({ "name": name, "type": "query", "query": query });
    let many = (0..40).map(|n| json!({ "name": format!("t{n}"), "type": "textbox", "query": "x" }));
    let list: Vec<Value> = [
        asks(
            "pod",
            "label_values(x{job=\"$job\", ns=~\"${ns:regex}\"}, pod)",
        ),
        asks("ns", "label_values(x{job=\"[[job]]\"}, ns)"),
    ]
    .into_iter()
    .chain(many)
    .chain([
        asks("job", "label_values(up, job)"),
        asks("a", "label_values(x{b=\"$b\"}, a)"),
        asks("b", "label_values(x{a=\"$a\"}, b)"),
    ])
    .collect();
    let file = json!({ "panels": [], "templating": { "list": list } });
    let dashboard = Dashboard::read(&file.to_string()).unwrap();
    let learned = |query: &str, _: &str| {
        let found: &[&str] = match query {
            "group by (job) (up)" => &["api"],
            "group by (ns) (x{job=\"api\"})" => &["shop"],
            "group by (pod) (x{job=\"api\", ns=~\"shop\"})" => &["pod-7"],
            "group by (a) (x{b=\"$b\"})" => &["first of a circle"],
            "group by (b) (x{a=\"first of a circle\"})" => &["second"],
            _ => &[],
        };
        found.iter().map(|text| (*text).to_owned()).collect()
    };
    let scope = Scope::new(&dashboard.variables, &BTreeMap::new(), learned, TIMES);
    assert_eq!(
        scope.fill("$pod $t39 $a $b"),
        "pod-7 x first of a circle second"
    );
    let shown: Vec<&str> = scope.shown().map(|(name, ..)| name).collect();
    assert_eq!(
        (shown[..3].to_vec(), shown.len()),
        (vec!["pod", "ns", "t0"], 45)
    );
}
