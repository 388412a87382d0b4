use proptest::prelude::*;

use super::format::go_g;
use super::*;

fn expand(text: &str, value: f64) -> String {
    let labels = Labels::from_pairs([("instance", "a:1"), ("job", "web"), ("__name__", "m")]);
    let external_labels = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
    let data = Data {
        labels: &labels,
        external_labels: &external_labels,
        value,
    };
    Template::parse(text).expect(text).expand(&data)
}

#[test]
fn values_and_labels_are_put_in() {
    for (text, expected) in [
        ("plain", "plain"),
        ("{{ $value }}", "0.25"),
        ("{{$value}} of {{ .Value }}", "0.25 of 0.25"),
        ("{{ $labels.instance }}/{{ .Labels.job }}", "a:1/web"),
        ("[{{ $labels.nothing }}]", "[]"),
        ("{{ $labels.__name__ }}", "m"),
        (
            "{{ $externalLabels.region }}{{ .ExternalLabels.none }}",
            "eu",
        ),
        ("{{ $value | humanizePercentage }}", "25%"),
        ("{{ humanize $value }}", "250m"),
        (r#"{{ printf "%.2f" $value }}"#, "0.25"),
        (r#"{{ $value | printf "%5.1f|%%" }}"#, "  0.2|%"),
        (r#"{{ printf "%s=%v" $labels.job $value }}"#, "web=0.25"),
        (r#"{{ printf "%-6s|%6s" "ab" `cd` }}"#, "ab    |    cd"),
        (r#"{{ printf "%+08.3f" $value }}"#, "+000.250"),
        (r#"{{ "}}" }}"#, "}}"),
        ("a {{- /* }} */ -}} b", "ab"),
        ("a {{ $value -}}  \n b", "a 0.25b"),
        ("{{ (humanize ($value)) }}", "250m"),
    ] {
        assert_eq!(expand(text, 0.25), expected, "{text}");
    }
}

#[test]
fn branches_are_taken_by_what_is_true_in_go() {
    for (text, value, expected) in [
        ("{{ if $value }}yes{{ else }}no{{ end }}", 1.0, "yes"),
        ("{{ if $value }}yes{{ else }}no{{ end }}", 0.0, "no"),
        ("{{ if $labels.nothing }}yes{{ end }}", 1.0, ""),
        ("{{ with $labels.job }}job {{ . }}{{ end }}", 1.0, "job web"),
        ("{{ with $value }}{{ . | humanize }}{{ end }}", 2000.0, "2k"),
        (
            "{{ if $labels.x }}1{{ else if $labels.job }}2{{ else }}3{{ end }}",
            1.0,
            "2",
        ),
        (
            "{{ with $labels.x }}1{{ else }}{{ with $value }}{{ . }}{{ end }}{{ end }}",
            7.0,
            "7",
        ),
    ] {
        assert_eq!(expand(text, value), expected, "{text}");
    }
}

#[test]
fn numbers_are_those_of_go() {
    for (v, shortest, four) in [
        (0.0, "0", "0"),
        (-0.0, "-0", "-0"),
        (1.0, "1", "1"),
        (100_000.0, "100000", "1e+05"),
        (1_234_567.0, "1.234567e+06", "1.235e+06"),
        (0.0001, "0.0001", "0.0001"),
        (0.00001, "1e-05", "1e-05"),
        (123.456_789, "123.456789", "123.5"),
        (1000.4, "1000.4", "1000"),
        (999.95, "999.95", "1000"),
        (12_345.0, "12345", "1.234e+04"),
        (-0.1, "-0.1", "-0.1"),
        (0.1 + 0.2, "0.30000000000000004", "0.3"),
        (f64::NAN, "NaN", "NaN"),
        (f64::INFINITY, "+Inf", "+Inf"),
        (f64::NEG_INFINITY, "-Inf", "-Inf"),
    ] {
        assert_eq!(go_g(v, None), shortest);
        assert_eq!(go_g(v, Some(4)), four, "{v}");
    }
    assert_eq!(go_e_shortest(1.0), "1e+00");
    assert_eq!(go_e_shortest(0.0625), "6.25e-02");
}

#[test]
fn humanized_numbers_are_those_of_prometheus() {
    // Partly from template_test.go of Prometheus.
    for (function, v, expected) in [
        ("humanize", 0.0, "0"),
        ("humanize", 1_234_567.0, "1.235M"),
        ("humanize", -2000.0, "-2k"),
        ("humanize", 0.12, "120m"),
        ("humanize", 1e-30, "1e-06y"),
        ("humanize", f64::INFINITY, "+Inf"),
        ("humanize1024", 1.0, "1"),
        ("humanize1024", 1_048_576.0, "1Mi"),
        ("humanize1024", 900.0, "900"),
        ("humanizeDuration", 0.0, "0s"),
        ("humanizeDuration", 1.0, "1s"),
        ("humanizeDuration", 60.0, "1m 0s"),
        ("humanizeDuration", 3600.0, "1h 0m 0s"),
        ("humanizeDuration", 86_400.0, "1d 0h 0m 0s"),
        (
            "humanizeDuration",
            -(86_400.0 + 7200.0 + 2.0),
            "-1d 2h 0m 2s",
        ),
        ("humanizeDuration", 0.1234, "123.4ms"),
        ("humanizeDuration", 59.999, "60s"),
        ("humanizeDuration", f64::NAN, "NaN"),
        ("humanizePercentage", 0.1234567, "12.35%"),
        ("humanizePercentage", 1.0, "100%"),
    ] {
        let text = format!("{{{{ $value | {function} }}}}");
        assert_eq!(expand(&text, v), expected, "{text} {v}");
    }
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    for (text, at, part) in [
        ("{{ $value", 2, "without its `}}`"),
        ("x {{ }}", 4, "nothing between"),
        ("{{ query \"up\" }}", 3, "the function `query`"),
        ("{{ $labels }}", 3, "`$labels`"),
        ("{{ $labels.a.b }}", 3, "`$labels.a.b`"),
        ("{{ . }}", 3, "`.`"),
        ("{{ $x }}", 3, "`$x`"),
        ("{{ $x := 1.0 }}", 6, "unexpected ':'"),
        ("{{ $value | $value }}", 12, "a function is expected"),
        ("{{ humanize $labels.x }}", 3, "takes one number"),
        ("{{ humanize }}", 3, "takes one number"),
        ("{{ printf $labels.x }}", 3, "its format"),
        (r#"{{ printf "%d" $value }}"#, 3, "`%d`"),
        (r#"{{ printf "%s" $value }}"#, 3, "does not fit"),
        (r#"{{ printf "%f %f" $value }}"#, 3, "too few"),
        (r#"{{ printf "x" $value }}"#, 3, "too many"),
        (r#"{{ printf "%999999f" $value }}"#, 3, "64 digits"),
        (r#"{{ printf "%" }}"#, 3, "in the middle"),
        ("{{ if $value }}x", 3, "without its `end`"),
        ("x{{ end }}", 4, "`end` without"),
        ("{{ else }}", 3, "`else` without"),
        (
            "{{ if $value }}{{ else }}{{ else }}{{ end }}",
            28,
            "second `else`",
        ),
        ("{{ range $labels }}{{ end }}", 9, "`$labels`"),
        ("{{ ($value }}", 3, "not closed"),
        ("{{ \"a\\q\" }}", 3, "escape"),
        ("{{ 5 }}", 3, "with a fraction"),
        ("{{ $value $value }}", 10, "nothing more"),
        ("{{ with $value }}{{ .Value }}{{ end }}", 20, "`.Value`"),
        ("{{ é }}", 3, "unexpected 'é'"),
    ] {
        let error = Template::parse(text).expect_err(text);
        assert!(error.problem.contains(part), "{text}: {error:?}");
        assert_eq!(error.at, at, "{text}: {error:?}");
    }
    let deep = "{{ if $value }}".repeat(100) + &"{{ end }}".repeat(100);
    assert!(Template::parse(&deep).is_err());
    let deep = format!("{{{{ {}$value{} }}}}", "(".repeat(100), ")".repeat(100));
    assert!(Template::parse(&deep).is_err());
}

proptest! {
    #[test]
    fn no_template_makes_the_parser_panic(text in r#"([{}%$."`| \\()é0-9-]|\{\{|\}\}|if |with |else|end|printf |\$value|\.Labels\.a|humanize ){0,24}"#) {
        if let Ok(template) = Template::parse(&text) {
            let labels = Labels::empty();
            let _ = template.expand(&Data { labels: &labels, external_labels: &BTreeMap::new(), value: 0.5 });
        }
    }

    #[test]
    fn no_number_makes_a_format_panic(bits in any::<u64>(), verb in r"%[-+ 0]{0,4}[0-9]{0,2}(\.[0-9]{0,2})?[eEfFgGv]") {
        let text = format!("{{{{ printf {verb:?} $value }}}}{{{{ humanizeDuration $value }}}}{{{{ humanize $value }}}}{{{{ humanize1024 $value }}}}");
        if let Ok(template) = Template::parse(&text) {
            let labels = Labels::empty();
            let _ = template.expand(&Data { labels: &labels, external_labels: &BTreeMap::new(), value: f64::from_bits(bits) });
        }
    }
}
