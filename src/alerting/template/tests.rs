use proptest::prelude::*;

use super::*;
use crate::embedded::go_numbers::{go_e_shortest, go_g};

/// Answers every `query` with two series, `none` with nothing, and `bad` with an error.
fn answer(expression: &str) -> Result<Vec<(Labels, f64)>, String> {
    match expression {
        "none" => Ok(Vec::new()),
        "bad" => Err("parse error".to_owned()),
        _ => Ok(vec![
            (Labels::from_pairs([("instance", "b")]), 2.0),
            (Labels::from_pairs([("instance", "a")]), 1.5),
        ]),
    }
}

fn data<'a>(
    labels: &'a Labels,
    external_labels: &'a BTreeMap<String, String>,
    value: f64,
) -> Data<'a> {
    Data {
        labels,
        external_labels,
        external_url: "http://prom:9090/path",
        value,
        query: &answer,
    }
}

fn expand(text: &str, value: f64) -> String {
    let labels = Labels::from_pairs([("instance", "a:1"), ("job", "web"), ("__name__", "m")]);
    let external_labels = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
    let template = Template::parse(text).expect(text);
    template.expand(&data(&labels, &external_labels, value))
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
    // Some cases come from Prometheus's template_test.go.
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
        ("toDuration", 0.0, "0s"),
        ("toDuration", 0.25, "250ms"),
        ("toDuration", -90.5, "-1m30.5s"),
        ("toDuration", 10.0, "10s"),
        ("toDuration", 90_060.0, "25h1m0s"),
        ("humanizePercentage", 0.1234567, "12.35%"),
        ("humanizePercentage", 1.0, "100%"),
    ] {
        let text = format!("{{{{ $value | {function} }}}}");
        assert_eq!(expand(&text, v), expected, "{text} {v}");
    }
}

#[test]
fn the_forms_that_rule_files_use_expand_as_in_prometheus() {
    for (text, expected) in [
        ("{{ $labels }}", "map[__name__:m instance:a:1 job:web]"),
        ("{{ .Labels }}", "map[__name__:m instance:a:1 job:web]"),
        ("{{ $externalLabels }}", "map[region:eu]"),
        (
            "{{ . }}",
            "{map[__name__:m instance:a:1 job:web] map[region:eu] http://prom:9090/path 0.25}",
        ),
        (r#"{{ "3600" | humanizeDuration }}"#, "1h 0m 0s"),
        (
            "{{ 30 }} {{ -7 }} {{ 0x1F }} {{ 1e3 }} {{ 'a' }}",
            "30 -7 31 1000 97",
        ),
        ("{{ 1_000 }}", "1000"),
        ("{{ $x := $labels.job }}{{ $x }}", "web"),
        ("{{ $x := 1 }}{{ $x = 2 }}{{ $x }}", "2"),
        ("{{ with $x := $labels.job }}{{ $x }}{{ end }}", "web"),
        ("{{ if $x := $value }}{{ $x }}{{ end }}", "0.25"),
        (
            "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
            "__name__=m;instance=a:1;job=web;",
        ),
        (
            r#"{{ range query "up" }}{{ .Labels.instance }}:{{ .Value }} {{ end }}"#,
            "b:2 a:1.5 ",
        ),
        (
            r#"{{ range query "up" | sortByLabel "instance" }}{{ . | label "instance" }}{{ . | value }}{{ end }}"#,
            "a1.5b2",
        ),
        (
            r#"{{ range $i, $s := query "up" }}{{ $i }}{{ $s.Value }} {{ end }}"#,
            "02 11.5 ",
        ),
        (
            r#"{{ range query "none" }}x{{ else }}nothing{{ end }}"#,
            "nothing",
        ),
        (
            r#"{{ range query "up" }}{{ .Value }}{{ break }}{{ end }}"#,
            "2",
        ),
        (
            r#"{{ range query "up" }}{{ if eq .Value 2.0 }}{{ continue }}{{ end }}{{ .Value }}{{ end }}"#,
            "1.5",
        ),
        (
            r#"{{ with query "up" }}{{ . | first | value | humanize }}{{ end }}"#,
            "2",
        ),
        (r#"{{ (query "up" | first).Labels.instance }}"#, "b"),
        (
            r#"{{ printf "up{job=%q}" $labels.job | query | first | value }}"#,
            "2",
        ),
        (r#"{{ len (query "up") }} {{ len $labels.job }}"#, "2 3"),
        ("{{ if gt $value 0.2 }}high{{ else }}low{{ end }}", "high"),
        (
            "{{ if and (lt $value 1.0) (ne $labels.job \"x\") }}yes{{ end }}",
            "yes",
        ),
        (
            "{{ if or false $labels.none $labels.job }}yes{{ end }}",
            "yes",
        ),
        ("{{ or $labels.none \"unknown\" }}", "unknown"),
        (
            "{{ not true }} {{ eq $labels.job \"db\" \"web\" }}",
            "false true",
        ),
        ("{{ le $value 0.25 }} {{ ge $value 0.5 }}", "true false"),
        (
            "{{ index $labels \"job\" }} {{ slice \"abcdef\" 1 3 }}",
            "web bc",
        ),
        (
            r#"{{ reReplaceAll "(.*):(.*)" "$2-$1" $labels.instance }}"#,
            "1-a",
        ),
        (
            r#"{{ match "^we" $labels.job }} {{ "web" | toUpper }} {{ title "a bc" }}"#,
            "true WEB A Bc",
        ),
        (
            "{{ stripPort $labels.instance }} {{ stripDomain \"h.example.com:80\" }} {{ stripDomain \"10.0.0.1:80\" }}",
            "a h:80 10.0.0.1:80",
        ),
        (
            "{{ humanizeTimestamp 1435065584.128 }}",
            "2015-06-23 13:19:44.128 +0000 UTC",
        ),
        (
            "{{ humanizeTimestamp 1435065584.123456 }} {{ humanizeTimestamp \"NaN\" }}",
            "2015-06-23 13:19:44.123 +0000 UTC NaN",
        ),
        ("{{ parseDuration \"1h2m\" }}", "3720"),
        (
            "{{ externalURL }}{{ pathPrefix }} {{ $externalURL }}",
            "http://prom:9090/path/path http://prom:9090/path",
        ),
        (
            "{{ graphLink \"up == 1\" }}",
            "/graph?g0.expr=up+%3D%3D+1&g0.tab=0",
        ),
        ("{{ tableLink \"up\" }}", "/graph?g0.expr=up&g0.tab=1"),
        (
            r#"{{ define "x" }}[{{ .arg0 }}{{ .arg1 }}]{{ end }}{{ template "x" (args 1 "b") }}"#,
            "[1b]",
        ),
        (
            "{{ \"<a>\" | html }} {{ urlquery \"a b&c\" }}",
            "&lt;a&gt; a+b%26c",
        ),
        (
            "{{ print 1 2 \"x\" 3 }} {{ println \"a\" 1 }}",
            "1 2x3 a 1\n",
        ),
        (
            r#"{{ printf "%d %5.1f%% %t %T %x" 7 $value true $value 255 }}"#,
            "7   0.2% true float64 ff",
        ),
        (
            "{{ .ExternalURL }}{{ .Value }}",
            "http://prom:9090/path0.25",
        ),
    ] {
        assert_eq!(expand(text, 0.25), expected, "{text}");
    }
}

#[test]
fn an_evaluation_error_appears_in_the_text() {
    for (text, part) in [
        (
            "{{ humanize $labels.job }}",
            "error calling humanize: parsing \"web\": invalid syntax",
        ),
        ("{{ humanize }}", "error calling humanize"),
        ("{{ query \"bad\" }}", "error calling query: parse error"),
        (
            "{{ query \"none\" | first }}",
            "first() called on vector with no elements",
        ),
        ("{{ $labels.a.b }}", "can't evaluate field b in type string"),
        ("{{ .Nothing }}", "can't evaluate field Nothing"),
        (
            "{{ if gt $value 5 }}x{{ end }}",
            "incompatible types for comparison",
        ),
        ("{{ template \"x\" }}", "template \"x\" not defined"),
        (
            "{{ range $value }}{{ end }}",
            "range can't iterate over 0.25",
        ),
        (
            "{{ reReplaceAll \"(\" \"\" \"x\" }}",
            "error parsing regexp",
        ),
        (
            "{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}",
            "nested templates",
        ),
        (
            "{{ with $value }}{{ .Value }}{{ end }}",
            "can't evaluate field Value in type float64",
        ),
        ("{{ printf $value }}", "expected string; got float64"),
        ("{{ slice \"abc\" 0 10 }}", "index out of range: 10"),
        ("{{ slice \"abc\" 2 1 }}", "invalid slice index"),
        (
            "{{ humanizeTimestamp 1e18 }}",
            "1e+18 cannot be represented as a nanoseconds timestamp",
        ),
    ] {
        let text_made = expand(text, 0.25);
        assert!(
            text_made.starts_with("<error expanding template: "),
            "{text}: {text_made}"
        );
        assert!(text_made.contains(part), "{text}: {text_made}");
    }
    // Go writes a mistake in a format into the text.
    for (text, expected) in [
        (r#"{{ printf "%d" $value }}"#, "%!d(float64=0.25)"),
        (r#"{{ printf "%s" $value }}"#, "%!s(float64=0.25)"),
        (r#"{{ printf "%f %f" $value }}"#, "0.250000 %!f(MISSING)"),
        (r#"{{ printf "x" $value }}"#, "x%!(EXTRA float64=0.25)"),
        (r#"{{ printf "%" }}"#, "%!(NOVERB)"),
    ] {
        assert_eq!(expand(text, 0.25), expected, "{text}");
    }
    let wide = r#"{{ printf "%999999f" $value }}"#;
    assert!(expand(wide, 0.25).len() <= 64);
}

/// Go parses these, and refuses them when it expands them.
#[test]
fn a_value_that_is_not_a_function_after_a_pipe_fails_at_expansion_and_not_at_load() {
    for text in [
        r#""a" | $labels.y"#,
        "1 | $value",
        "1 | ($value)",
        "1 | .Value",
        "1 | $labels.x",
        r#"1 | (printf "%v")"#,
        r#"1 | ("a")"#,
        "$x := 1 | $value",
        "if 1 | $value }}a{{ end",
        "1 | $.x",
        "1 | ($labels).x",
        "1 | $",
        r#"(1) | printf "%v" | $value"#,
        r#"1 | $value "a""#,
    ] {
        let expanded = expand(&format!("{{{{ {text} }}}}"), 1.0);
        let expected = "<error expanding template: can't give argument to non-function";
        assert!(expanded.starts_with(expected), "{text}: {expanded}");
    }
    let not_reached = "{{ if false }}{{ 1 | $value }}{{ end }}ok";
    assert_eq!(expand(not_reached, 1.0), "ok");
}

#[test]
fn an_expansion_is_bounded_in_steps_and_text() {
    let nested = r#"{{ range query "up" }}"#.repeat(16) + "x" + &"{{ end }}".repeat(16);
    let made = expand(&nested, 1.0);
    assert!(
        made.len() <= 64 * 1024 || made.contains("more than"),
        "{}",
        made.len()
    );
    let doubling = "{{ $x := \"xxxxxxxxxxxxxxxx\" }}".to_owned()
        + &"{{ $x = print $x $x }}".repeat(40)
        + "{{ $x }}";
    assert!(expand(&doubling, 1.0).contains("more than"));
}

#[test]
fn a_template_that_does_not_parse_is_refused_with_its_place() {
    for (text, at, part) in [
        ("{{ $value", 2, "without its `}}`"),
        ("x {{ }}", 4, "missing value"),
        ("{{ ask \"up\" }}", 3, "function \"ask\" not defined"),
        ("{{ $x }}", 3, "undefined variable \"$x\""),
        (
            "{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}",
            38,
            "undefined variable",
        ),
        (
            "{{ define \"x\" }}{{ $value }}{{ end }}",
            19,
            "undefined variable",
        ),
        ("{{ $value | . }}", 10, "cannot stand after `|`"),
        ("{{ 1 | print | \"a\" }}", 13, "cannot stand after `|`"),
        ("{{ 1 | \"a\" $value }}", 5, "cannot stand after `|`"),
        ("{{ 1 | 2 }}", 5, "cannot stand after `|`"),
        ("{{ 1 | 2i }}", 5, "cannot stand after `|`"),
        ("{{ 1 | true }}", 5, "cannot stand after `|`"),
        ("{{ 1 | nil }}", 5, "cannot stand after `|`"),
        ("{{ if $value }}x", 3, "no {{end}}"),
        ("x{{ end }}", 4, "unexpected {{end}}"),
        ("{{ else }}", 3, "unexpected {{else}}"),
        (
            "{{ if $value }}{{ else }}{{ else }}{{ end }}",
            28,
            "second {{else}}",
        ),
        ("{{ break }}", 3, "outside {{range}}"),
        ("{{ ($value }}", 3, "unclosed left parenthesis"),
        ("{{ $value) }}", 9, "unexpected right parenthesis"),
        ("{{ \"a\\q\" }}", 3, "escape"),
        ("{{ 5x }}", 3, "bad number syntax"),
        ("{{ $labels..x }}", 3, "a name is missing"),
        ("{{ % }}", 3, "unexpected '%'"),
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
    fn no_template_makes_the_parser_panic(text in r#"([{}%$."`| \\()é0-9-]|\{\{|\}\}|if |with |else|end|range |query |define |template |index |\$x|:=|=|, |printf |\$value|\.Labels\.a|humanize ){0,24}"#) {
        if let Ok(template) = Template::parse(&text) {
            let labels = Labels::empty();
            let _ = template.expand(&data(&labels, &BTreeMap::new(), 0.5));
        }
    }

    #[test]
    fn no_number_makes_a_format_panic(bits in any::<u64>(), verb in r"%[-+ 0]{0,4}[0-9]{0,2}(\.[0-9]{0,2})?[eEfFgGv]") {
        let text = format!("{{{{ printf {verb:?} $value }}}}{{{{ humanizeDuration $value }}}}{{{{ humanize $value }}}}{{{{ humanize1024 $value }}}}");
        if let Ok(template) = Template::parse(&text) {
            let labels = Labels::empty();
            let _ = template.expand(&data(&labels, &BTreeMap::new(), f64::from_bits(bits)));
        }
    }
}

/// The expected texts are those of Prometheus 2.42, with a label `i` of `o'neil`.
#[test]
fn printf_formats_like_go() {
    for (text, expected) in [
        (r#"printf "%+v" 42.0"#, "42"),
        (r#"printf "%+v|%+d" -42.5 42"#, "-42.5|+42"),
        (r#"printf "% d|% v" 42 42.5"#, " 42| 42.5"),
        (r#"printf "%[2]d %[1]d" 1 2"#, "2 1"),
        (r#"printf "%[2]*[1]d|" 1 5"#, "    1|"),
        (r#"printf "%[3]d" 1 2"#, "%!d(BADINDEX)"),
        (r#"printf "%[x]d" 1 2"#, "%!d(BADINDEX)"),
        (r#"printf "%[1]d %d" 1 2"#, "1 2"),
        (r#"printf "%[1]d" 1 2"#, "1"),
        (r#"printf "%[2" 1 2"#, "%!(NOVERB)"),
        (r#"printf "%.[2]f" 1.5 2"#, "%!f(int=2)"),
        (r#"printf "%d" 1 2"#, "1%!(EXTRA int=2)"),
        (r#"printf "%d""#, "%!d(MISSING)"),
        (r#"printf "%!" 1"#, "%!!(int=1)"),
        (
            r#"printf "%x|%X|%x" 3.5 -3.5 1.0"#,
            "0x1.cp+01|-0X1.CP+01|0x1p+00",
        ),
        (r#"printf "%.2x" 3.14159"#, "0x1.92p+01"),
        (r#"printf "%b" 1.5"#, "6755399441055744p-52"),
        (
            r#"printf "%x|% x|%#x|% #x" "hi" "hi" "hi" "hi""#,
            "6869|68 69|0x6869|0x68 0x69",
        ),
        (r#"printf "%#x|%b|%O" 255 5 8"#, "0xff|101|0o10"),
        (
            r#"printf "%U|%#U|%.6U" 9731 9731 65"#,
            "U+2603|U+2603 '☃'|U+000041",
        ),
        (r#"printf "%U" "x""#, "%!U(string=x)"),
        (r#"printf "%+q|%q" "ü" "a\tb""#, r#""\u00fc"|"a\tb""#),
        (r#"printf "%#v" "a""#, r#""a""#),
        (
            r#"printf "%d" (args "a")"#,
            "map[%!d(string=arg0):%!d(string=a)]",
        ),
        (r#"printf "%q" (args "a")"#, r#"map["arg0":"a"]"#),
        (r#"printf "%x" (args "a")"#, "map[61726730:61]"),
        (r#"printf "%v|%T" nil nil"#, "<nil>|<nil>"),
        (r#"title "o'neil""#, "O'Neil"),
        (
            r#"title "hello-world foo_bar x.y a1b""#,
            "Hello-World Foo_bar X.Y A1b",
        ),
        (r#"title "élan ǆabc""#, "Élan ǅabc"),
        (r#"toUpper "straße ŉ ǰ ﬁ ı ſ ÿ ǆ""#, "STRAßE ŉ ǰ ﬁ I S Ÿ Ǆ"),
        (r#"toLower "İ ΑΣ ẞ""#, "i ασ ß"),
        ("(toTime 1700000000).Year", "2023"),
        ("(toTime 1700000000).Unix", "1700000000"),
        ("(toTime 1700000000.5).UnixNano", "1700000000500000000"),
        ("(toTime 1700000000).UTC.Month", "November"),
        ("(toTime 1700000000).Weekday", "Tuesday"),
        ("toTime 1700000000", "2023-11-14 22:13:20 +0000 UTC"),
        ("1i", "(0+1i)"),
        ("017", "15"),
    ] {
        assert_eq!(
            expand(&format!("{{{{ {text} }}}}"), 42.0),
            expected,
            "{text}"
        );
    }
    // Prometheus refuses these when it expands them, and not when it loads them.
    for (text, reason) in [
        ("nil", "nil is not a command"),
        (r#"nil | printf "%v""#, "nil is not a command"),
        (r#""a" "b""#, "can't give argument to non-function"),
        ("$value $value", "can't give argument to non-function"),
        (r#"("a") "b""#, "can't give argument to non-function"),
        ("call .Value", "error calling call"),
    ] {
        let expanded = expand(&format!("{{{{ {text} }}}}"), 1.0);
        assert!(
            expanded.starts_with("<error expanding template"),
            "{expanded}"
        );
        assert!(expanded.contains(reason), "{text}: {expanded}");
    }
    assert!(Template::parse("{{ 08 }}").is_err());
}
