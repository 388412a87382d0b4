//! The position of a request in a trace, as the `traceparent` header transports it (W3C Trace Context,
//! <https://www.w3.org/TR/trace-context/>).

/// The ids of a span and of its trace. Ids are never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The id of the trace. All services that the request passes use the same one.
    pub trace_id: u128,
    /// The id of this span.
    pub span_id: u64,
    /// The caller's span, if the caller sent one.
    pub parent_span_id: Option<u64>,
    /// Whether the caller keeps its part of the trace, if the caller sent this.
    pub sampled: Option<bool>,
}

impl TraceContext {
    /// A new trace, with a new root span.
    #[must_use]
    pub fn fresh() -> TraceContext {
        TraceContext {
            trace_id: nonzero(rand::random::<u128>),
            span_id: random_span_id(),
            parent_span_id: None,
            sampled: None,
        }
    }

    /// Continues the caller's trace. A missing or invalid header starts a new trace, as the standard requires.
    #[must_use]
    pub fn from_traceparent(header: Option<&str>) -> TraceContext {
        match header.and_then(parse_traceparent) {
            Some((trace_id, parent, sampled)) => TraceContext {
                trace_id,
                span_id: random_span_id(),
                parent_span_id: Some(parent),
                sampled: Some(sampled),
            },
            None => TraceContext::fresh(),
        }
    }

    /// The trace id as 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn trace_id_hex(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The header for requests to other services. It names this span as the parent.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace_id, self.span_id)
    }
}

/// A random id for a span.
pub(super) fn random_span_id() -> u64 {
    nonzero(rand::random::<u64>)
}

fn nonzero<T: Default + PartialEq>(draw: impl Fn() -> T) -> T {
    loop {
        let id = draw();
        if id != T::default() {
            return id;
        }
    }
}

/// Parses `version "-" trace-id "-" parent-id "-" trace-flags` in lower-case hexadecimal digits. Versions after 00
/// may append fields after another dash. The version ff is forbidden.
fn parse_traceparent(header: &str) -> Option<(u128, u64, bool)> {
    const LENGTH_OF_VERSION_00: usize = 55;
    let bytes = header.trim_matches([' ', '\t']).as_bytes();
    let (head, tail) = bytes.split_at_checked(LENGTH_OF_VERSION_00)?;
    let version = hex(head.get(0..2)?)?;
    let dashes = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
    let tail_is_legal = tail.is_empty() || (version != 0 && tail[0] == b'-');
    if version == 0xff || !dashes || !tail_is_legal {
        return None;
    }
    let trace_id = hex(&head[3..35])?;
    let parent = u64::try_from(hex(&head[36..52])?).ok()?;
    let sampled = hex(&head[53..55])? & 1 == 1;
    (trace_id != 0 && parent != 0).then_some((trace_id, parent, sampled))
}

/// Parses at most 32 lower-case hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0u128, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

    #[test]
    fn a_valid_header_continues_the_callers_trace() {
        let context = TraceContext::from_traceparent(Some(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ));
        assert_eq!(context.trace_id, TRACE);
        assert_eq!(context.parent_span_id, Some(0x00f0_67aa_0ba9_02b7));
        assert_ne!(context.span_id, 0x00f0_67aa_0ba9_02b7);
        assert_eq!(context.trace_id_hex(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(
            context.traceparent(),
            format!(
                "00-4bf92f3577b34da6a3ce929d0e0e4736-{:016x}-01",
                context.span_id
            )
        );
    }

    #[test]
    fn an_invalid_header_starts_a_fresh_trace() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-zz",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let context = TraceContext::from_traceparent(Some(bad));
            assert_ne!(context.trace_id, TRACE, "{bad}");
            assert_eq!(context.parent_span_id, None, "{bad}");
        }
    }

    #[test]
    fn a_later_version_with_more_fields_is_understood() {
        let context = TraceContext::from_traceparent(Some(
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-next",
        ));
        assert_eq!(context.trace_id, TRACE);
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic_or_an_id_zero(header in ".{0,80}") {
            let context = TraceContext::from_traceparent(Some(&header));
            prop_assert_ne!(context.trace_id, 0);
            prop_assert_ne!(context.span_id, 0);
        }

        #[test]
        fn almost_valid_headers_do_not_panic(
            header in "[0-9a-f]{2}[-x][0-9a-fA-F]{31,33}-[0-9a-f]{15,17}-[0-9a-fé]{1,3}(-.{0,4})?"
        ) {
            let _ = TraceContext::from_traceparent(Some(&header));
        }

        #[test]
        fn a_forwarded_header_is_parsed_again(trace_id in 1u128.., span_id in 1u64..) {
            let sent = TraceContext { trace_id, span_id, parent_span_id: None, sampled: None };
            let received = TraceContext::from_traceparent(Some(&sent.traceparent()));
            prop_assert_eq!(received.trace_id, trace_id);
            prop_assert_eq!(received.parent_span_id, Some(span_id));
        }
    }
}
