//! Text panels: Markdown or HTML as plain lines.

use serde_json::Value;

use crate::tui::dashboard::json::{text, tidy};
use crate::tui::format::one_line;

/// The most bytes that are read of a text panel, and the most lines that are kept.
const MAX_BYTES: usize = 16 * 1024;
const MAX_LINES: usize = 100;

/// The lines of a text panel, without markup, or the reason why there are none.
pub(crate) fn lines(json: &Value) -> Result<Vec<String>, &'static str> {
    let of = |json: &Value| {
        (
            text(json, "content").to_owned(),
            text(json, "mode").to_owned(),
        )
    };
    let (content, mode) = match json.get("options") {
        Some(options) if options.get("content").is_some() => of(options),
        _ => of(json),
    };
    let mut end = content.len().min(MAX_BYTES);
    while !content.is_char_boundary(end) {
        end -= 1;
    }
    let is_cut = end < content.len();
    let content = content.get(..end).unwrap_or_default();
    // Markdown may contain HTML. The mode `code` is shown unchanged.
    let plain = match mode.as_str() {
        "code" => content.to_owned(),
        _ if is_cut => without_tags(whole_tags(content)),
        _ => without_tags(content),
    };
    let mut lines: Vec<String> = Vec::new();
    for line in plain.lines() {
        let line = match mode.as_str() {
            "code" | "html" | "text" => one_line(line).trim().to_owned(),
            _ => without_marks(one_line(line).trim()),
        };
        let again_empty = line.is_empty() && lines.last().is_none_or(String::is_empty);
        if !again_empty && lines.len() < MAX_LINES {
            lines.push(line);
        }
    }
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    if lines.is_empty() {
        return Err(why_no_text(content));
    }
    Ok(lines)
}

/// The reason why `content` has no text.
fn why_no_text(content: &str) -> &'static str {
    let content = content.to_ascii_lowercase();
    let has = |marks: &[&str]| marks.iter().any(|mark| content.contains(mark));
    if content.trim().is_empty() {
        "it is empty"
    } else if has(&["<iframe", "<object", "<embed", "<video"]) {
        "its content is a frame, which the console does not show"
    } else if has(&["<img", "<svg", "<picture", "<canvas", "!["]) {
        "its content is a picture, which the console does not show"
    } else {
        "it has no text"
    }
}

/// `html` without a last tag that is not closed. A picture may be longer than the part that is read.
fn whole_tags(html: &str) -> &str {
    let open = html.rfind('<').filter(|open| !html[*open..].contains('>'));
    open.map_or(html, |open| &html[..open])
}

/// The text between the tags. The end of a paragraph ends a line. Styles and scripts are left out.
fn without_tags(html: &str) -> String {
    let mut words = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        words.push_str(before);
        let is_tag = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        let Some((tag, after)) = after.split_once('>').filter(|_| is_tag) else {
            words.push('<');
            rest = after;
            continue;
        };
        let name = tag.trim_start_matches('/');
        let end = name.find(|c: char| !c.is_ascii_alphanumeric());
        let name = name.get(..end.unwrap_or(name.len())).unwrap_or_default();
        let name = name.to_ascii_lowercase();
        rest = after;
        match name.as_str() {
            "br" | "p" | "div" | "li" | "tr" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" => {
                words.push('\n');
            }
            "style" | "script" if !tag.starts_with('/') => {
                let close = rest.find(&format!("</{name}"));
                rest = close
                    .and_then(|close| rest.get(close..))
                    .unwrap_or_default();
            }
            _ => {}
        }
    }
    words.push_str(rest);
    let entities = [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ];
    entities
        .iter()
        .fold(words, |words, (from, to)| words.replace(from, to))
}

/// A line of Markdown without the marks of headings, emphasis, pictures and links.
fn without_marks(line: &str) -> String {
    let line = line.trim_start_matches('#').trim();
    // A link may enclose a picture: `[![text](picture)](address)`.
    let words = texts_of(&texts_of(line, "!["), "[");
    tidy(&words.replace("**", "").replace("__", "").replace('`', ""))
}

/// `line` with the text alone of each `[text](address)`. `open` is what precedes the text.
fn texts_of(line: &str, open: &str) -> String {
    let mut words = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(open) {
        words.push_str(before);
        let link = after
            .split_once("](")
            .and_then(|(text, after)| Some((text, after.split_once(')')?.1)));
        match link.filter(|(text, _)| !text.contains('[')) {
            Some((text, after)) => {
                words.push_str(text);
                rest = after;
            }
            None => {
                words.push_str(open);
                rest = after;
            }
        }
    }
    words.push_str(rest);
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(mode: &str, content: &str) -> Vec<String> {
        lines(&json!({ "options": { "mode": mode, "content": content } })).unwrap()
    }

    #[test]
    fn markup_is_removed_and_line_breaks_stay() {
        let markdown = "# Title\n\n\n**bold** and `code`, see [the docs](https://example.org)\n![a picture](x.png)\n- one";
        assert_eq!(
            of("markdown", markdown),
            [
                "Title",
                "",
                "bold and code, see the docs",
                "a picture",
                "- one"
            ]
        );
        let html = "<style>p { x: y }</style><h1 class=\"a\">Big</h1><p>a &lt; b<br/>second</p>";
        assert_eq!(of("html", html), ["Big", "", "a < b", "second"]);
        assert_eq!(of("code", "a[i] = <b>"), ["a[i] = <b>"]);
        let old = json!({ "mode": "markdown", "content": "old" });
        assert_eq!(lines(&old).unwrap(), ["old"]);
        let linked = "a [![build](badge.png)](https://example.org) b";
        assert_eq!(of("markdown", linked), ["a build b"]);
    }

    #[test]
    fn broken_markup_is_kept_and_the_size_is_bounded() {
        assert_eq!(
            of("html", "a < b and <never closed"),
            ["a < b and <never closed"]
        );
        assert_eq!(of("markdown", "[a [b](c"), ["[a [b](c"]);
        assert!(of("html", &"<p>é".repeat(10_000)).len() <= MAX_LINES);
        let long = of("code", &"é".repeat(MAX_BYTES));
        assert_eq!((long.len(), long[0].len()), (1, MAX_BYTES));
        let odd = of("code", &format!("a{}", "é".repeat(MAX_BYTES)));
        assert_eq!(odd[0].len(), MAX_BYTES - 1, "cut between characters");
    }

    #[test]
    fn a_content_without_text_has_a_reason() {
        let picture = "its content is a picture, which the console does not show";
        let frame = "its content is a frame, which the console does not show";
        let long = format!(
            "<p><IMG src=\"data:image/png;base64,{}\">",
            "A".repeat(MAX_BYTES)
        );
        let cases = [
            (
                "html",
                "<img src=\"https://example.com/logo.png\">",
                picture,
            ),
            ("html", long.as_str(), picture),
            ("markdown", "![](https://example.com/logo.png)", picture),
            ("markdown", "[![](badge.png)](https://example.com)", picture),
            (
                "html",
                "<iframe src=\"https://example.com\"></iframe>",
                frame,
            ),
            ("html", "<script>", "it has no text"),
            ("markdown", " \n", "it is empty"),
        ];
        for (mode, content, why) in cases {
            let panel = json!({ "options": { "mode": mode, "content": content } });
            assert_eq!(lines(&panel), Err(why), "{mode}");
        }
        assert_eq!(lines(&json!({})), Err("it is empty"));
    }
}
