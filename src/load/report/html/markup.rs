//! Elements of a page. `maud` escapes `&<>"` in every text. [`esc`] also escapes `'` and replaces control characters,
//! so all texts from outside the program must go through it.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, Render, html};

/// The text for a missing measurement.
pub(crate) const NO_DATA: &str = "no data";

/// Escapes a text for HTML, between tags and within quoted attributes.
pub(crate) fn esc(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// See [`esc`].
pub(crate) struct Escaped<'a>(&'a str);

impl Render for Escaped<'_> {
    fn render_to(&self, out: &mut String) {
        for c in self.0.chars() {
            match c {
                '\'' => out.push_str("&#39;"),
                '\n' | '\t' => out.push(c),
                // HTML pages may not contain them.
                c if c.is_control() => out.push('\u{fffd}'),
                c => {
                    let _ = maud::Escaper::new(out).write_char(c);
                }
            }
        }
    }
}

/// A section of the page with its own heading.
pub(crate) fn section(id: &str, title: &str, body: &Markup) -> Markup {
    html! {
        section aria-labelledby=(esc(id)) {
            h2 id=(esc(id)) { (esc(title)) }
            (body)
        }
        "\n"
    }
}

/// A paragraph of one sentence.
pub(crate) fn sentence(text: &str) -> Markup {
    html! { p { (esc(text)) } }
}

/// A sentence in small print.
pub(crate) fn remark(text: &str) -> Markup {
    html! { p class="remark" { (esc(text)) } }
}

/// A definition list.
pub(crate) fn facts(pairs: &[(&str, String)]) -> Markup {
    html! {
        dl class="facts" {
            @for (name, value) in pairs {
                dt { (esc(name)) }
                dd { (esc(value)) }
            }
        }
    }
}

/// A column of a table.
pub(crate) struct Column {
    name: &'static str,
    class: &'static str,
}

/// A column of text.
pub(crate) const fn words(name: &'static str) -> Column {
    Column { name, class: "w" }
}

/// A column of numbers.
pub(crate) const fn figures(name: &'static str) -> Column {
    Column { name, class: "n" }
}

/// A table in a box that scrolls on narrow pages.
pub(crate) struct Table<'a> {
    columns: &'a [Column],
    /// One table body per group of rows.
    bodies: Vec<String>,
    label: &'static str,
}

impl<'a> Table<'a> {
    pub(crate) fn new(label: &'static str, columns: &'a [Column]) -> Table<'a> {
        Table {
            columns,
            bodies: vec![String::new()],
            label,
        }
    }

    /// Adds a row. Its first cell is its heading.
    pub(crate) fn row(&mut self, cells: &[String]) {
        self.row_of("", cells);
    }

    /// Adds a row with a class.
    pub(crate) fn row_of(&mut self, class: &str, cells: &[String]) {
        self.push(&html! {
            tr class=(esc(class)) {
                @for (at, (cell, column)) in cells.iter().zip(self.columns).enumerate() {
                    @if at == 0 {
                        th scope="row" class=(column.class) { (esc(cell)) }
                    } @else {
                        td class=(column.class) { (esc(cell)) }
                    }
                }
            }
            "\n"
        });
    }

    /// Adds a heading for the following rows.
    pub(crate) fn group(&mut self, name: &str) {
        self.bodies.push(String::new());
        self.push(&html! {
            tr class="group" {
                th scope="rowgroup" colspan=(self.columns.len()) { (esc(name)) }
            }
            "\n"
        });
    }

    /// Adds a remark on the previous row.
    pub(crate) fn note(&mut self, text: &str) {
        self.push(&html! {
            tr class="note" { td colspan=(self.columns.len()) { (esc(text)) } }
            "\n"
        });
    }

    fn push(&mut self, row: &Markup) {
        if let Some(body) = self.bodies.last_mut() {
            body.push_str(&row.0);
        }
    }

    /// The table, or a remark that it is empty.
    pub(crate) fn markup(self) -> Markup {
        if self.bodies.iter().all(String::is_empty) {
            return remark(NO_DATA);
        }
        html! {
            div class="scroll" role="region" aria-label=(esc(self.label)) tabindex="0" {
                table {
                    thead {
                        tr {
                            @for column in self.columns {
                                th scope="col" class=(column.class) { (esc(column.name)) }
                            }
                        }
                    }
                    @for body in self.bodies {
                        tbody { (PreEscaped(body)) }
                    }
                }
            }
            "\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "<script>alert('x')</script>&\"\0";

    #[test]
    fn text_never_becomes_markup() {
        let safe = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}";
        assert_eq!(esc(EVIL).render().into_string(), safe);
        let columns = [words("name"), figures("count")];
        let mut table = Table::new("things", &columns);
        table.group(EVIL);
        table.row_of(EVIL, &[EVIL.to_owned(), EVIL.to_owned()]);
        table.note(EVIL);
        let page = html! {
            (table.markup())
            (facts(&[(EVIL, EVIL.to_owned())]))
            (sentence(EVIL))
            (remark(EVIL))
            (section(EVIL, EVIL, &html! {}))
        };
        let page = page.into_string();
        assert_eq!(page.matches(safe).count(), 12, "{page}");
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn an_empty_table_says_so() {
        let columns = [words("name")];
        let markup = Table::new("x", &columns).markup().into_string();
        assert!(markup.contains(NO_DATA));
    }
}
