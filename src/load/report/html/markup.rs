//! Pieces of a page. Whatever text goes in is escaped here, so that nobody else has to think of it.

use std::fmt::{self, Display, Formatter, Write as _};

/// Puts formatted markup behind a page; a `String` takes all text.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {
        {
            use std::fmt::Write as _;
            let _ = write!($out, $($text)*);
        }
    };
}
pub(super) use put;

/// What stands where nothing was measured.
pub(super) const NO_DATA: &str = "no data";

/// Text that is text in HTML too, between tags and within quoted attributes.
pub(super) fn esc(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// See [`esc`].
pub(super) struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(c)?,
                // No page may hold them.
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A part of the page under a heading of its own; `body` is markup.
pub(super) fn section(out: &mut String, id: &str, title: &str, body: &str) {
    let (id, title) = (esc(id), esc(title));
    put!(
        out,
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n{body}</section>\n"
    );
}

/// A sentence that stands by itself.
pub(super) fn sentence(text: &str) -> String {
    format!("<p>{}</p>\n", esc(text))
}

/// The same, in small print.
pub(super) fn remark(text: &str) -> String {
    format!("<p class=\"remark\">{}</p>\n", esc(text))
}

/// Names, and what there is to say of each.
pub(super) fn facts(pairs: &[(&str, String)]) -> String {
    let mut out = "<dl class=\"facts\">\n".to_owned();
    for (name, value) in pairs {
        put!(out, "<dt>{}</dt><dd>{}</dd>\n", esc(name), esc(value));
    }
    out + "</dl>\n"
}

/// A column of a table.
pub(super) struct Column {
    name: &'static str,
    class: &'static str,
}

/// A column of text.
pub(super) const fn words(name: &'static str) -> Column {
    Column { name, class: "w" }
}

/// A column of numbers.
pub(super) const fn figures(name: &'static str) -> Column {
    Column { name, class: "n" }
}

/// A table in a box that scrolls by itself where the page is narrow.
pub(super) struct Table<'a> {
    columns: &'a [Column],
    rows: String,
    label: &'static str,
}

impl<'a> Table<'a> {
    pub(super) fn new(label: &'static str, columns: &'a [Column]) -> Table<'a> {
        Table {
            columns,
            rows: String::new(),
            label,
        }
    }

    /// A row; the first cell names it.
    pub(super) fn row(&mut self, cells: &[String]) {
        self.row_of("", cells);
    }

    /// A row of a class.
    pub(super) fn row_of(&mut self, class: &str, cells: &[String]) {
        put!(self.rows, "<tr class=\"{}\">", esc(class));
        for (at, (cell, column)) in cells.iter().zip(self.columns).enumerate() {
            let (cell, class) = (esc(cell), column.class);
            if at == 0 {
                put!(self.rows, "<th scope=\"row\" class=\"{class}\">{cell}</th>");
            } else {
                put!(self.rows, "<td class=\"{class}\">{cell}</td>");
            }
        }
        self.rows.push_str("</tr>\n");
    }

    /// What the rows beneath have in common.
    pub(super) fn group(&mut self, name: &str) {
        let (span, name) = (self.columns.len(), esc(name));
        put!(
            self.rows,
            "</tbody><tbody><tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{span}\">{name}</th></tr>\n"
        );
    }

    /// A remark on the row above.
    pub(super) fn note(&mut self, text: &str) {
        let (span, text) = (self.columns.len(), esc(text));
        put!(
            self.rows,
            "<tr class=\"note\"><td colspan=\"{span}\">{text}</td></tr>\n"
        );
    }

    /// The table, or that there is nothing in it.
    pub(super) fn markup(self) -> String {
        if self.rows.is_empty() {
            return remark(NO_DATA);
        }
        let mut out = format!(
            "<div class=\"scroll\" role=\"region\" aria-label=\"{}\" tabindex=\"0\"><table>\n<thead><tr>",
            esc(self.label)
        );
        for column in self.columns {
            let (name, class) = (esc(column.name), column.class);
            put!(out, "<th scope=\"col\" class=\"{class}\">{name}</th>");
        }
        put!(
            out,
            "</tr></thead>\n<tbody>{}</tbody></table></div>\n",
            self.rows
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "<script>alert('x')</script>&\"\0";

    #[test]
    fn text_never_becomes_markup() {
        let safe = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}";
        assert_eq!(esc(EVIL).to_string(), safe);
        let columns = [words("name"), figures("count")];
        let mut table = Table::new("things", &columns);
        table.group(EVIL);
        table.row_of(EVIL, &[EVIL.to_owned(), EVIL.to_owned()]);
        table.note(EVIL);
        let mut page = table.markup() + &facts(&[(EVIL, EVIL.to_owned())]);
        page += &(sentence(EVIL) + &remark(EVIL));
        section(&mut page, EVIL, EVIL, "");
        assert_eq!(page.matches(safe).count(), 12, "{page}");
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn an_empty_table_says_so() {
        let columns = [words("name")];
        assert!(Table::new("x", &columns).markup().contains(NO_DATA));
    }
}
