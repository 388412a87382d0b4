use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> FileError {
    RuleSet::parse("r.yml", text).expect_err(text)
}

const GOOD: &str = r#"
groups:
  - name: second
    interval: 5s
    limit: 10
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
        for: 0s
        labels: { level: job }
  - name: first
    rules:
      - alert: Down
        expr: up == 0
        for: 1m30s
        keep_firing_for: 10s
        labels: { severity: critical, host: "{{ $labels.instance }}" }
        annotations:
          summary: "{{ $labels.instance }} is down"
          value: |
            one
            {{ $value }}
"#;

#[test]
fn a_rule_file_is_read_and_its_groups_are_sorted() {
    let set = RuleSet::parse("r.yml", GOOD).unwrap();
    assert_eq!((set.len(), set.is_empty()), (2, false));
    let [first, second] = set.groups.as_slice() else {
        panic!("{set:?}")
    };
    assert_eq!((first.name.as_str(), first.interval), ("first", None));
    assert_eq!(second.interval, Some(Duration::from_secs(5)));
    assert_eq!(second.limit, 10);
    let Kind::Alerting(alerting) = &first.rules[0].kind else {
        panic!("{set:?}")
    };
    assert_eq!(alerting.hold, Duration::from_secs(90));
    assert_eq!(alerting.keep_firing, Duration::from_secs(10));
    assert_eq!(alerting.annotations[1].1, "one\n{{ $value }}\n");
    assert!(matches!(second.rules[0].kind, Kind::Recording));
}

#[test]
fn a_file_without_rules_is_fine() {
    for text in [
        "",
        "# nothing\n",
        "null\n",
        "---\n",
        "groups:\n",
        "groups: []\n",
        "groups:\n- name: a\n",
        "groups:\n- name: a\n  rules:\n",
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: x}\n",
    ] {
        assert!(RuleSet::parse("r.yml", text).unwrap().is_empty(), "{text}");
    }
}

#[test]
fn a_mistake_is_reported_with_its_place() {
    let in_rule = |rule: &str| format!("groups:\n- name: g\n  rules:\n  - {rule}\n");
    for (text, expected) in [
        (
            in_rule("alert: A\n    expr: up ==\n    for: 1m"),
            "r.yml:5:5: groups.0.rules.0.expr: parse error:",
        ),
        (
            in_rule("alert: A\n    expr: up[5m]"),
            "r.yml:5:5: groups.0.rules.0.expr: a rule needs a scalar or an instant vector",
        ),
        (
            in_rule("alert: A\n    expr: up\n    for: soon"),
            "r.yml:6:5: groups.0.rules.0.for: not a duration such as 30s or 1m30s: \"soon\"",
        ),
        (
            in_rule(
                "alert: A\n    expr: up\n    annotations:\n      summary: |\n        a\n        b {{ ask }}",
            ),
            "r.yml:7:7: groups.0.rules.0.annotations.summary: template, line 2, column 6: function \"ask\" not defined",
        ),
        (
            in_rule("alert: A\n    expr: up\n    labels: { a: '{{ $value' }"),
            "r.yml:6:15: groups.0.rules.0.labels.a: template, line 1, column 3: `{{` without",
        ),
        (
            in_rule("alert: A\n    expr: up\n    labels: { __name__: x }"),
            "r.yml:6:5: groups.0.rules.0.labels: \"__name__\" is not a label name",
        ),
        (
            in_rule("alert: A\n    expr: up\n    annotations: { a-b: x }"),
            "r.yml:6:5: groups.0.rules.0.annotations: \"a-b\" is not a label name",
        ),
        (
            in_rule("alert: A\n    record: b\n    expr: up"),
            "r.yml:5:5: groups.0.rules.0.record: a rule has `record` or `alert`, not both",
        ),
        (
            in_rule("expr: up"),
            "r.yml:4:5: groups.0.rules.0.alert: a rule has",
        ),
        (
            in_rule("alert: A"),
            "r.yml:4:5: groups.0.rules.0.expr: must not be empty",
        ),
        (
            in_rule("record: a-b\n    expr: up"),
            "r.yml:4:5: groups.0.rules.0.record: \"a-b\" is not a metric name",
        ),
        (
            in_rule("record: a\n    expr: up\n    for: 5s"),
            "r.yml:6:5: groups.0.rules.0.for: only a rule that alerts has this",
        ),
        (
            in_rule("alert: A\n    expr: up\n    unless: x"),
            "r.yml:6:5: groups.0.rules.0.unless: there is no field `unless`",
        ),
        (
            "groups:\n- name: g\n- name: g\n".to_owned(),
            "r.yml:3:3: groups.1.name: there is a group \"g\" already",
        ),
        (
            "groups:\n- name: ''\n".to_owned(),
            "r.yml:2:3: groups.0.name: must not be empty",
        ),
        (
            "groups:\n- rules: []\n".to_owned(),
            "groups.0.name: is missing: write `name: …`",
        ),
        ("groups: [\n".to_owned(), "r.yml:"),
    ] {
        let error = refused(&text).to_string();
        assert!(error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn a_kubernetes_resource_is_read_and_its_mistakes_are_placed() {
    let resource = |rule: &str| {
        format!(
            "# first\n---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  \
             name: x\n  labels: {{a: b}}\nspec:\n  groups:\n  - name: g\n    labels: {{team: web, severity: info}}\n    \
             query_offset: 1m\n    rules:\n    - {rule}\n"
        )
    };
    let text = resource("{alert: A, expr: up, labels: {severity: page}}");
    let two = text.clone() + &text.replace("name: g", "name: h");
    let set = RuleSet::parse("r.yml", &two).unwrap();
    assert_eq!(set.len(), 2);
    let group = &set.groups[0];
    assert_eq!(group.query_offset, Duration::from_secs(60));
    let labels = [("severity", "page"), ("team", "web")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(group.rules[0].labels, labels);

    let wrong = refused(&resource("{alert: A, expr: up ==}")).to_string();
    let place = "r.yml:14:18: spec.groups.0.rules.0.expr: parse error";
    assert!(wrong.starts_with(place), "{wrong}");
    let twice = refused(&(text.clone() + &text)).to_string();
    assert!(twice.starts_with("r.yml:24:"), "{twice}");
    let other = refused(&text.replace("PrometheusRule", "ConfigMap")).to_string();
    assert!(
        other.contains("of kind \"ConfigMap\" holds no rules"),
        "{other}"
    );
}

#[test]
fn a_resource_is_recognised_in_every_notation_of_yaml() {
    let spec = r#""spec": {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "up"}]}]}"#;
    let head = r#""apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule""#;
    let rule = format!("{{{head}, \"metadata\": {{\"name\": \"x\"}}, {spec}}}");
    let list = |kind: &str| {
        format!(r#"{{"apiVersion": "v1", "items": [{rule}], "kind": "{kind}", "metadata": {{}}}}"#)
    };
    let block = "kind: PrometheusRule\napiVersion: v1\nspec:\n  groups:\n  - name: g\n    \
                 rules:\n    - {alert: A, expr: up}\n";
    let indented: String = block.lines().map(|line| format!("  {line}\n")).collect();
    for text in [
        rule.clone(),
        rule.replace(", ", ",\n    ").replace('{', "{\n    "),
        rule.replace("\"kind\": ", "kind: "),
        list("List"),
        list("PrometheusRuleList"),
        format!("--- {rule}\n"),
        block.replace("kind:", "\"kind\":"),
        block.replace("kind:", "'kind' :"),
        indented,
    ] {
        let set = RuleSet::parse("r.yml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(set.len(), 1, "{text}");
    }

    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: b}\n";
    let error = refused(&format!("{block}---\n{config}")).to_string();
    let expected = "r.yml:10:1: kind: a Kubernetes resource of kind \"ConfigMap\" holds no rules";
    assert!(error.starts_with(expected), "{error}");
    let both = "{apiVersion: v1, kind: List, items: [\n{kind: ConfigMap, data: {a: b}}]}";
    let error = refused(both).to_string();
    let expected = "r.yml:2:2: items.0.kind: a Kubernetes resource of kind \"ConfigMap\"";
    assert!(error.starts_with(expected), "{error}");
    let wrong = refused(&list("List").replace("\"up\"", "\"up ==\"")).to_string();
    assert!(
        wrong.contains("items.0.spec.groups.0.rules.0.expr: parse error"),
        "{wrong}"
    );
    let nameless = refused(&list("List").replace("\"name\": \"g\", ", "")).to_string();
    assert!(
        nameless.contains("items.0.spec.groups.0.name: "),
        "{nameless}"
    );
}

#[test]
fn a_resource_that_is_not_yaml_gets_the_place_of_its_mistake() {
    let head = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: x\n";
    let rules = "groups:\n  - name: g\n    rules:\n    - alert: A\n      expr: up\n     for: 5m\n";
    let error = refused(&format!("{head}spec:\n  {rules}")).to_string();
    assert!(error.starts_with("r.yml:11:"), "{error}");
    assert!(error.contains("is not YAML"), "{error}");
    let template = format!("{head}  labels:\n    {{{{- include \"labels\" . | nindent 4 }}}}\n");
    let error = refused(&template).to_string();
    assert!(error.starts_with("r.yml:6:"), "{error}");
    assert!(!error.contains("apiVersion"), "{error}");
    let list = format!("{head}items: 7\n");
    let error = refused(&list).to_string();
    assert!(error.starts_with("r.yml:5:"), "{error}");
}

#[test]
fn a_resource_that_is_nested_deep_is_refused_for_its_kind_or_its_depth() {
    let nested = |kind: &str| {
        let deep = "{a: ".repeat(20) + "b" + &"}".repeat(20);
        format!("apiVersion: v1\nkind: {kind}\nspec: {deep}\n")
    };
    let error = refused(&nested("CustomResourceDefinition")).to_string();
    let expected = "r.yml:2:7: kind: a Kubernetes resource of kind \"CustomResourceDefinition\" holds no rules";
    assert!(error.starts_with(expected), "{error}");
    for kind in ["PrometheusRule", "List"] {
        let error = refused(&nested(kind)).to_string();
        assert!(error.starts_with("r.yml:3:"), "{error}");
        assert!(error.contains("is nested too deep"), "{error}");
    }
}

#[test]
fn directives_and_ends_of_documents_are_accepted() {
    let rules =
        |name: &str| format!("groups:\n- name: {name}\n  rules:\n  - {{alert: A, expr: up}}\n");
    for text in [
        format!("%YAML 1.1\n---\n{}", rules("g")),
        format!(
            "# a comment\n%YAML 1.2\n# more\n--- # begins\n{}",
            rules("g")
        ),
        format!("%TAG !e! tag:example.org,2026:\n---\n{}", rules("g")),
        format!("{}...\n%YAML 1.1\n---\n{}", rules("g"), rules("h")),
        format!("{}---\n...\n---\n{}", rules("g"), rules("h")),
    ] {
        let set = RuleSet::parse("r.yml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(set.len(), text.matches("alert").count(), "{text}");
    }
    let wrong = refused(&format!(
        "%YAML 1.1\n---\n{}",
        rules("g").replace("expr: up", "expr: up ==")
    ))
    .to_string();
    assert!(wrong.starts_with("r.yml:6:"), "{wrong}");
}

#[test]
fn a_label_without_a_value_is_empty_and_a_limit_is_a_number() {
    let group = |field: &str, labels: &str| {
        format!(
            "groups:\n- name: g\n  {field}\n  rules:\n  - {{alert: A, expr: up, labels: {labels}}}\n"
        )
    };
    let set = RuleSet::parse("r.yml", &group("limit: -1", "{a: , b: ~}")).unwrap();
    assert_eq!(set.groups[0].limit, 0);
    let labels = ["a", "b"].map(|name| (name.to_owned(), String::new()));
    assert_eq!(set.groups[0].rules[0].labels, labels);
    assert_eq!(
        RuleSet::parse("r.yml", &group("limit:", "{}"))
            .unwrap()
            .groups[0]
            .limit,
        0
    );
    for limit in ["limit: '5'", "limit: many"] {
        let error = refused(&group(limit, "{}")).to_string();
        assert!(error.contains("limit"), "{error}");
    }
}

#[test]
fn aliases_and_large_files_are_read() {
    let mut text = String::from("groups:\n- name: g\n  rules:\n");
    text += "  - {alert: A, expr: up, labels: &common {severity: page}}\n";
    for n in 0..5_000 {
        text += &format!("  - {{alert: A{n}, expr: up == {n}, labels: *common}}\n");
    }
    assert_eq!(RuleSet::parse("r.yml", &text).unwrap().len(), 5_001);
}

#[test]
fn files_are_read_in_order_and_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let a = file("a.yml", GOOD);
    let b = file(
        "b.yml",
        "groups:\n- name: first\n  rules: [{alert: B, expr: up}]\n",
    );
    assert_eq!(RuleSet::load(&[b.clone(), a.clone()]).unwrap().len(), 3);
    let twice = RuleSet::load(&[a.clone(), a]).unwrap_err().to_string();
    assert!(twice.ends_with("a.yml: the file is given twice"), "{twice}");
    let none = RuleSet::load(&[dir.path().join("none.yml")]).unwrap_err();
    assert!(
        none.to_string().contains("none.yml: cannot be read"),
        "{none}"
    );
    let huge = file("huge.yml", &"#".repeat(BOUNDS.bytes + 1));
    assert!(RuleSet::load(&[huge]).is_err());
    let many = vec![b; MAX_FILES + 1];
    assert!(RuleSet::load(&many).is_err());
}

#[test]
fn more_files_than_anybody_has_are_not_even_looked_at() {
    let error = RuleSet::load(&vec!["missing.yml".into(); 33]).unwrap_err();
    assert!(error.to_string().contains("at most 32"), "{error}");
}

#[test]
fn the_shipped_rules_are_understood() {
    assert!(RuleSet::load(&[]).unwrap().len() > 10);
}

proptest! {
    #[test]
    fn no_rule_file_makes_the_reader_panic(text in r#"(groups:|- |name: |rules: |alert: |record: |expr: |for: |labels: |annotations: |interval: |limit: |\{|\}|\[|\]|"|'|\||>|&a |\*a |!!str |up|\{\{ \$value \}\}|1m|\n|\n  |\n    |é|0|-1|: ){0,40}"#) {
        let _ = RuleSet::parse("r.yml", &text);
    }

    #[test]
    fn no_change_of_a_good_file_makes_the_reader_panic(at in 0..GOOD.len(), cut in 0..20usize, put in "[{}$:\"' \\n|&*é-]{0,4}") {
        let mut text: Vec<u8> = GOOD.bytes().collect();
        let end = (at + cut).min(text.len());
        text.splice(at..end, put.bytes());
        let _ = RuleSet::parse("r.yml", &String::from_utf8_lossy(&text));
    }
}
