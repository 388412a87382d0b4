//! The query parser against its grammar: legal pipelines, near misses, any text.

use proptest::prelude::*;

/// A stage of the grammar as words, with the positions where blanks may be.
fn stage() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::select(vec![
        vec!["|", "json"],
        vec!["|", "drop", "a"],
        vec!["|", "drop", "a", ",", "b", "=~", "\"c\""],
        vec!["|", "keep", "a", "!=", "`x`"],
        vec!["|", "a", "=", "\"x\""],
        vec!["|", "a", ">=", "5"],
        vec!["|", "a", "=", "-1.5e-3", "b", "=", "`x`"],
        vec!["|", "unpack"],
        vec!["|", "decolorize"],
        vec!["|", "logfmt", "--strict", "c", "=", "\"d\""],
        vec!["|=", "ip", "(", "\"10.0.0.0/8\"", ")"],
        vec!["|", "jsonx", "!=", "\"x\""],
        vec!["|", "(", "a", "=", "\"x\"", ")", ",", "b", "<", "1s"],
        vec!["|=", "\"x\""],
        vec!["!=", "`x`"],
        vec!["!~", "\"x\""],
        vec!["|~", "\"x\""],
    ])
}

/// A keyword followed by something that Loki refuses.
fn near_miss() -> impl Strategy<Value = Vec<&'static str>> {
    let keyword = prop::sample::select(vec![
        "json",
        "logfmt",
        "unpack",
        "regexp",
        "pattern",
        "decolorize",
        "line_format",
        "label_format",
        "drop",
        "keep",
        "unwrap",
        "by",
        "offset",
        "and",
    ]);
    let rest = prop::sample::select(vec![
        vec!["=", "\"x\""],
        vec!["=~", "\"x\""],
        vec![">", "5"],
        vec!["==", "1s"],
        vec![",", "a", "=", "\"x\""],
        vec!["(", "a", "=", "1", ")"],
    ]);
    (keyword, rest).prop_map(|(keyword, rest)| [vec!["|", keyword], rest].concat())
}

/// Prints words with the blanks of `seed`; two names need one between them.
fn print(words: &[&str], mut seed: u64) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut text = String::from("{s=\"t\"}");
    for word in words {
        let touch = text.ends_with(is_name) && word.starts_with(is_name);
        let blank = ["", " ", "\n", " # x\n"][(seed % 4) as usize];
        seed /= 4;
        text.push_str(if touch && blank.is_empty() {
            " "
        } else {
            blank
        });
        text.push_str(word);
    }
    text
}

proptest! {
    #[test]
    fn every_legal_pipeline_is_accepted_with_any_blanks(
        stages in prop::collection::vec(stage(), 0..6), seed: u64,
    ) {
        let query = print(&stages.concat(), seed);
        prop_assert_eq!(concertctl::embedded::loki::check_query(&query), Ok(()), "{}", query);
    }

    #[test]
    fn a_keyword_is_never_a_label(
        before in prop::collection::vec(stage(), 0..3), miss in near_miss(), seed: u64,
    ) {
        let query = print(&[before.concat(), miss].concat(), seed);
        prop_assert!(concertctl::embedded::loki::check_query(&query).is_err(), "{}", query);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_query_parser_panic(query in "\\PC{0,80}") {
        let _ = concertctl::embedded::loki::check_query(&query);
    }

    #[test]
    fn no_near_query_makes_the_parser_panic(
        query in r#"(\{a="b"\}|\{|\}|\(|\)|\[5m\]|\[|\]|,|\||\|=|!=|=~|>=|"|`|\\|"x"|`y`|json|and|or|sum|by|rate|count_over_time|a|é|1\.5|1h|10KB|-| |#|
){0,25}"#
    ) {
        let _ = concertctl::embedded::loki::check_query(&query);
    }

    #[test]
    fn any_text_can_be_searched_for(text in any::<String>()) {
        let escaped: String = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
        prop_assert_eq!(concertctl::embedded::loki::check_query(&format!("{{a=\"b\"}} |= \"{escaped}\"")), Ok(()));
    }

    #[test]
    fn deep_nesting_is_refused_without_recursion(depth in 33usize..2000) {
        let query = format!("{{a=\"b\"}} | {}x=1{}", "(".repeat(depth), ")".repeat(depth));
        prop_assert!(concertctl::embedded::loki::check_query(&query).is_err());
    }
}
