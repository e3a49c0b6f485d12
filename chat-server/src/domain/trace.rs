//! Where something belongs that is followed from node to node.

/// A span of a trace that is followed, as W3C's `traceparent` says it. There is none of what nobody follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traceparent(Box<str>);

/// `00-TRACE-SPAN-01`: where the ids begin, and where they end.
const TRACE: std::ops::Range<usize> = 3..35;
const SPAN: std::ops::Range<usize> = 36..52;
const LENGTH: usize = 55;

impl Traceparent {
    /// Reads one of version 0 that is sampled; no other is sent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |range| text.get(range).is_some_and(|id: &str| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let framed = text.len() == LENGTH && text.starts_with("00-") && text.ends_with("-01");
        (framed && digits(TRACE) && digits(SPAN) && text.as_bytes()[TRACE.end] == b'-').then(|| Self(text.into()))
    }

    /// The id of the trace, 32 digits.
    #[must_use]
    pub fn trace(&self) -> &str {
        &self.0[TRACE]
    }

    /// The id of the span, 16 digits.
    #[must_use]
    pub fn span(&self) -> &str {
        &self.0[SPAN]
    }

    /// As it travels.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_it_was_written_or_not_at_all() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read = Traceparent::parse(text).unwrap();
        assert_eq!((read.as_str(), read.trace(), read.span()), (text, &text[3..35], &text[36..52]));
        let others = [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319cxb7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c8031\u{e9}-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        ];
        for bad in others {
            assert_eq!(Traceparent::parse(bad), None, "{bad}");
        }
    }
}
