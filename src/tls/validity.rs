//! The time in which a certificate is valid, read from its DER encoding (RFC 5280, section 4.1). rustls checks it, but
//! does not report it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which is explicitly tagged and absent in certificates of version 1.
const VERSION: u8 = 0xa0;

/// The first and the last moment at which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Validity {
    /// Reads it from a certificate. `None` if this is not a certificate.
    pub(super) fn of(der: &[u8]) -> Option<Validity> {
        let mut certificate = Der(der).enter(SEQUENCE)?;
        let mut signed = certificate.enter(SEQUENCE)?;
        if signed.0.first() == Some(&VERSION) {
            signed.next()?;
        }
        // Serial number, algorithm of the signature, issuer.
        for _ in 0..3 {
            signed.next()?;
        }
        let mut validity = signed.enter(SEQUENCE)?;
        Some(Validity {
            from: time(validity.next()?)?,
            until: time(validity.next()?)?,
        })
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`. RFC 5280 allows no other forms.
fn time((tag, text): (u8, &[u8])) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Years from 50 belong to the last century.
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let moment = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    let moment = moment.to_zoned(TimeZone::UTC).ok()?;
    Some(moment.timestamp())
}

/// DER elements that follow one another.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Takes the next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = digits
                    .iter()
                    .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// Takes the next element, which has this tag and consists of elements.
    fn enter(&mut self, tag: u8) -> Option<Der<'a>> {
        let (found, content) = self.next()?;
        (found == tag).then_some(Der(content))
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn the_validity_of_a_certificate_is_read() {
        let pem = include_bytes!("../../tests/integration/alerting/localhost.pem");
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        let validity = Validity::of(&der).unwrap();
        let years = (validity.until - validity.from)
            .total(jiff::Unit::Hour)
            .unwrap()
            / 8_766.0;
        assert!((99.0..101.0).contains(&years), "{validity:?}");
    }

    #[test]
    fn both_forms_of_a_time_are_read() {
        let read = |tag, text: &str| time((tag, text.as_bytes())).map(|it| it.to_string());
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(read(UTC_TIME, "491231235959Z"), is("2049-12-31T23:59:59Z"));
        assert_eq!(read(UTC_TIME, "500101000000Z"), is("1950-01-01T00:00:00Z"));
        assert_eq!(
            read(GENERALIZED_TIME, "20500101000000Z"),
            is("2050-01-01T00:00:00Z")
        );
        for wrong in [
            "",
            "4912312359Z",
            "491331235959Z",
            "soon",
            "491231235959+0000",
        ] {
            assert_eq!(read(UTC_TIME, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_cut_or_changed_certificate_is_read_or_refused_but_never_read_beyond_its_end() {
        let pem = include_bytes!("../../tests/integration/alerting/localhost.pem");
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        for end in 0..der.len() {
            assert_eq!(Validity::of(&der[..end]), None, "cut at {end}");
        }
        let mut changed = der.to_vec();
        for at in 0..changed.len() {
            for value in [0, 0x7f, 0x80, 0x84, 0xff] {
                let before = std::mem::replace(&mut changed[at], value);
                let _ = Validity::of(&changed);
                changed[at] = before;
            }
        }
    }
}
