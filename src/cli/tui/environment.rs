//! Reads the properties of the terminal from the environment.

/// Returns whether the locale's character set is UTF-8, by the variables' order of precedence in POSIX.
pub(super) fn utf8_locale(var: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| var(name).filter(|value| !value.is_empty());
    match ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set) {
        Some(locale) => {
            let locale = locale.to_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
        // Containers often have no locale although their terminal shows UTF-8.
        None => true,
    }
}

/// COLUMNS × LINES; 80×24 by default; at most the largest page.
pub(super) fn size(var: impl Fn(&str) -> Option<String>) -> (u16, u16) {
    let of = |name, least: u16| {
        var(name)
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(least)
            .clamp(least, 500)
    };
    (of("COLUMNS", 80), of("LINES", 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_decides_on_unicode_by_precedence() {
        let with = |pairs: &'static [(&str, &str)]| {
            utf8_locale(|name| {
                pairs
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(with(&[("LANG", "de_DE.UTF-8")]));
        assert!(with(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!with(&[("LC_CTYPE", "ko_KR.EUC-KR")]));
        assert!(with(&[]));
    }

    #[test]
    fn the_page_is_never_smaller_than_the_screens_need() {
        assert_eq!(size(|_| None), (80, 24));
        assert_eq!(
            size(|name| Some(if name == "COLUMNS" { "120" } else { "40" }.into())),
            (120, 40)
        );
        assert_eq!(size(|_| Some("7".into())), (80, 24));
        assert_eq!(size(|_| Some("many".into())), (80, 24));
        assert_eq!(size(|_| Some("65000".into())), (500, 500));
    }
}
