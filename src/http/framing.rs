//! Tracks the bytes of a connection from request to request, beside the HTTP parser.
//!
//! The parser repairs headers that disagree about the length of a body and does not report it. A proxy in front of
//! the server may repair them differently. Then the bytes of one client become the request of another client (request
//! smuggling). So this module marks such a request, and the server refuses it later. It does the same with a target that
//! has a fragment, which the parser drops. It also counts the bytes of an unfinished header.

use memchr::memchr;

/// The longest part of a line that is buffered when the line arrives in pieces. Every valid length or coding is
/// shorter.
const LINE_MAX: usize = 512;

/// The part of a request to which the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The request line, or empty lines before it.
    Start,
    /// A header line.
    Header,
    /// The body, of which this many bytes are still missing.
    Body(u64),
    /// The line with the size of a chunk.
    ChunkSize,
    /// A chunk and the line break after it.
    Chunk(u64),
    /// The lines after the last chunk.
    Trailer,
    /// Tracking has ended: the parser refuses the rest, or the connection ends after this request.
    Lost,
}

/// The statements of the headers about the length of the body.
#[derive(Debug, Default)]
struct Lengths {
    content_lengths: u32,
    codings: u32,
    length: Option<u64>,
    chunked: bool,
}

/// The position in the byte stream of one connection.
#[derive(Debug)]
pub(super) struct Framing {
    at: At,
    line: Vec<u8>,
    unfinished: usize,
    heads: u64,
    lengths: Lengths,
    /// Whether the request line has a `#`.
    has_fragment: bool,
    refused: Option<(u64, &'static str)>,
}

impl Framing {
    pub(super) fn new() -> Framing {
        Framing {
            at: At::Start,
            line: Vec::new(),
            unfinished: 0,
            heads: 0,
            lengths: Lengths::default(),
            has_fragment: false,
            refused: None,
        }
    }

    /// The bytes of a header that has not ended.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// The number of headers that have arrived completely.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// The number of the request to refuse, counted from 0, and the reason.
    pub(super) fn refused(&self) -> Option<(u64, &'static str)> {
        self.refused
    }

    /// Returns whether all bytes that arrived belong to finished requests.
    pub(super) fn is_between_requests(&self) -> bool {
        self.at == At::Start && self.unfinished == 0
    }

    /// Tracks the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.at {
                At::Lost => return,
                At::Body(left) => {
                    let left = skip(&mut bytes, left);
                    self.at = if left == 0 { At::Start } else { At::Body(left) };
                }
                At::Chunk(left) => {
                    let left = skip(&mut bytes, left);
                    self.at = if left == 0 {
                        At::ChunkSize
                    } else {
                        At::Chunk(left)
                    };
                }
                At::Start | At::Header | At::ChunkSize | At::Trailer => self.line(&mut bytes),
            }
        }
    }

    /// Takes one line, or the part of a line that has arrived.
    fn line(&mut self, bytes: &mut &[u8]) {
        let all = *bytes;
        let end = memchr(b'\n', all);
        let taken = end.map_or(all.len(), |end| end + 1);
        *bytes = &all[taken..];
        if matches!(self.at, At::Start | At::Header) {
            self.unfinished += taken;
        }
        let part = &all[..end.unwrap_or(all.len())];
        if self.at == At::Start && memchr(b'#', part).is_some() {
            self.has_fragment = true;
        }
        if end.is_none() || !self.line.is_empty() {
            let room = LINE_MAX - self.line.len().min(LINE_MAX);
            self.line.extend_from_slice(&part[..part.len().min(room)]);
        }
        if end.is_none() {
            return;
        }
        if self.line.is_empty() {
            self.whole_line(part);
        } else {
            let line = std::mem::take(&mut self.line);
            self.whole_line(&line);
        }
    }

    fn whole_line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.at {
            At::Start if line.is_empty() => {}
            At::Start => self.at = At::Header,
            At::Header if line.is_empty() => self.end_of_head(),
            At::Header => self.header(line),
            At::ChunkSize => match chunk_size(line) {
                Some(0) => self.at = At::Trailer,
                Some(size) => self.at = At::Chunk(size.saturating_add(2)),
                None => self.at = At::Lost,
            },
            At::Trailer if line.is_empty() => self.at = At::Start,
            At::Trailer | At::Body(_) | At::Chunk(_) | At::Lost => {}
        }
    }

    fn header(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let lengths = &mut self.lengths;
        if name.eq_ignore_ascii_case(b"content-length") {
            lengths.content_lengths += 1;
            lengths.length = std::str::from_utf8(value)
                .ok()
                .filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|value| value.parse().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            lengths.codings += 1;
            lengths.chunked = value.eq_ignore_ascii_case(b"chunked");
        }
    }

    fn end_of_head(&mut self) {
        let lengths = std::mem::take(&mut self.lengths);
        let has_fragment = std::mem::take(&mut self.has_fragment);
        let wrong = match (lengths.content_lengths, lengths.codings) {
            _ if has_fragment => {
                Some("the target has a fragment: send it without # and what follows")
            }
            (2.., _) => Some("Content-Length is given more than once: send it once"),
            (1, 1..) => Some(
                "Content-Length and Transfer-Encoding are given together: send exactly one of them",
            ),
            (_, 2..) => Some("Transfer-Encoding is given more than once: send it once"),
            (_, 1) if !lengths.chunked => {
                Some("the only Transfer-Encoding is chunked: send no other")
            }
            _ => None,
        };
        self.at = match (wrong, lengths.codings, lengths.content_lengths) {
            (Some(why), ..) => {
                self.refused = Some((self.heads, why));
                At::Lost
            }
            (None, 1, _) => At::ChunkSize,
            (None, _, 1) => match lengths.length {
                None => At::Lost,
                Some(0) => At::Start,
                Some(length) => At::Body(length),
            },
            _ => At::Start,
        };
        self.heads += 1;
        self.unfinished = 0;
    }
}

/// Skips up to `left` bytes. Returns the number of bytes that remain.
fn skip(bytes: &mut &[u8], left: u64) -> u64 {
    let step = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    *bytes = &bytes[step..];
    left - step as u64
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    let digits = std::str::from_utf8(digits).ok()?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// Feeds the bytes in pieces of every size. The result must always be the same.
    fn fed(text: &str) -> Framing {
        let mut whole = Framing::new();
        whole.feed(text.as_bytes());
        for size in 1..text.len().min(40) {
            let mut pieces = Framing::new();
            for piece in text.as_bytes().chunks(size) {
                pieces.feed(piece);
            }
            assert_eq!(
                (pieces.at, pieces.heads, pieces.unfinished, pieces.refused),
                (whole.at, whole.heads, whole.unfinished, whole.refused),
                "in pieces of {size}: {text:?}"
            );
        }
        whole
    }

    #[test]
    fn requests_with_and_without_bodies_follow_one_another() {
        let sized = "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n\r\n\r\na";
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n\
            5;x=y\r\n\r\n\r\na\r\n0\r\nTrailer: x\r\n\r\n";
        for text in [sized, chunked] {
            let all = fed(&format!("{GET}{text}\r\n{text}{GET}"));
            assert_eq!((all.heads(), all.refused()), (4, None));
            assert!(all.is_between_requests(), "{all:?}");
        }
    }

    #[test]
    fn an_unfinished_header_is_counted_from_its_first_byte() {
        assert_eq!(fed(GET).unfinished(), 0);
        assert_eq!(fed(&format!("{GET}{}", &GET[..20])).unfinished(), 20);
        let body = "POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\nabc";
        assert_eq!(fed(body).unfinished(), 0);
        assert!(!fed(body).is_between_requests());
        let long = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(10_000));
        let mut framing = Framing::new();
        framing.feed(long.as_bytes());
        assert_eq!(framing.unfinished(), long.len());
        assert!(framing.line.capacity() <= 2 * LINE_MAX, "a line is bounded");
    }

    #[test]
    fn a_target_with_a_fragment_is_refused() {
        let long = "y".repeat(2 * LINE_MAX);
        for target in ["/queue#f", "/#", &format!("/{long}#")] {
            let all = fed(&format!(
                "{GET}GET {target} HTTP/1.1\r\nhost: a\r\n\r\n{GET}"
            ));
            assert_eq!(all.refused().map(|(at, _)| at), Some(1), "{target}");
        }
        let header = "GET / HTTP/1.1\r\nx: #\r\n\r\n";
        assert_eq!(fed(&format!("{header}{GET}")).refused(), None);
    }

    #[test]
    fn lengths_that_disagree_are_refused_in_any_order() {
        for headers in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\ncontent-length: 6\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding:\r\n",
        ] {
            let all = fed(&format!("{GET}POST / HTTP/1.1\r\n{headers}\r\n{GET}"));
            assert_eq!(all.refused().map(|(at, _)| at), Some(1), "{headers}");
            assert_eq!(all.heads(), 2, "nothing is read after it: {headers}");
        }
    }
}
