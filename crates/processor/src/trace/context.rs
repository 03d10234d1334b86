//! W3C Trace Context: which span something came from, as two headers.

/// Header that names trace and span.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// Header with what tracing systems add.
pub(crate) const TRACESTATE: &str = "tracestate";

/// Bytes of `traceparent` in version 00: `00-<32 hex digits>-<16>-<2>`.
const PARENT_BYTES: usize = 55;
/// Longest `traceparent` of a later version that is passed on.
const MAX_PARENT_BYTES: usize = 256;
/// Longest `tracestate` that is passed on: every participant must take this much, and may leave out more.
const MAX_STATE_BYTES: usize = 512;

/// The span that a record or request came from.
///
/// ```
/// use llm_optimizer_processor::trace::TraceContext;
/// let parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context = TraceContext::parse(parent, Some(b"vendor=1")).unwrap();
/// assert_eq!(context.trace_id(), 0x4bf92f3577b34da6a3ce929d0e0e4736);
/// assert_eq!(context.span_id(), 0x00f067aa0ba902b7);
/// assert!(context.is_sampled());
/// assert!(TraceContext::parse(b"00-0-0-00", None).is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    parent: Box<str>,
    state: Option<Box<str>>,
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// The context that these values of `traceparent` and `tracestate` say; `None` if the first is not valid. A second one
    /// that is not valid or longer than 512 bytes is left out.
    #[must_use]
    pub fn parse(traceparent: &[u8], tracestate: Option<&[u8]>) -> Option<Self> {
        let parent = str::from_utf8(traceparent).ok()?.trim_ascii();
        let (version, rest) = parent.split_at_checked(2)?;
        let version = hex(version, 2)?;
        let is_known_length = match version {
            0 => parent.len() == PARENT_BYTES,
            0xff => false,
            // Later versions only add fields.
            _ => parent.as_bytes().get(PARENT_BYTES).is_none_or(|next| *next == b'-'),
        };
        if !is_known_length || parent.len() > MAX_PARENT_BYTES {
            return None;
        }
        let mut fields = rest.strip_prefix('-')?.splitn(4, '-');
        let trace_id = hex(fields.next()?, 32).filter(|id| *id != 0)?;
        let span_id = hex(fields.next()?, 16).filter(|id| *id != 0)?;
        let flags = hex(fields.next()?, 2)?;
        Some(Self {
            parent: parent.into(),
            state: tracestate.and_then(checked_state),
            trace_id,
            span_id: u64::try_from(span_id).ok()?,
            flags: u8::try_from(flags).ok()?,
        })
    }

    /// The context of a span with these ids.
    pub(crate) fn of_ids(trace_id: u128, span_id: u64, is_sampled: bool) -> Option<Self> {
        let flags = u8::from(is_sampled);
        let parent = format!("00-{trace_id:032x}-{span_id:016x}-{flags:02x}");
        (trace_id != 0 && span_id != 0).then(|| Self {
            parent: parent.into(),
            state: None,
            trace_id,
            span_id,
            flags,
        })
    }

    /// The value of `traceparent`, as it came.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        &self.parent
    }

    /// The value of `tracestate`, as it came.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Number of the trace, never 0.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// Number of the span, never 0.
    #[must_use]
    pub fn span_id(&self) -> u64 {
        self.span_id
    }

    /// Whether the trace is recorded by those before.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

/// The number that `digits` lower-case hexadecimal digits say.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

fn checked_state(state: &[u8]) -> Option<Box<str>> {
    let state = str::from_utf8(state).ok()?.trim_ascii();
    let is_allowed = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    let is_kept =
        !state.is_empty() && state.len() <= MAX_STATE_BYTES && state.bytes().all(is_allowed);
    is_kept.then(|| state.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(parent: &str) -> Option<TraceContext> {
        TraceContext::parse(parent.as_bytes(), None)
    }

    #[test]
    fn a_valid_context_is_kept_as_it_came() {
        let context = TraceContext::parse(PARENT.as_bytes(), Some(b"a=1,b=2")).unwrap();
        assert_eq!((context.traceparent(), context.tracestate()), (PARENT, Some("a=1,b=2")));
        assert_eq!(
            TraceContext::of_ids(context.trace_id(), context.span_id(), true),
            parse(PARENT)
        );
        assert!(!parse(&PARENT.replace("-01", "-00")).unwrap().is_sampled());
    }

    #[test]
    fn what_is_no_context_is_none() {
        let zero_trace = PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        for parent in [
            "",
            "00",
            "00-",
            &PARENT[..54],
            &PARENT.to_uppercase(),
            &PARENT.replacen("00-", "ff-", 1),
            &PARENT.replacen('4', "x", 1),
            &zero_trace,
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &format!("{PARENT}-00"),
            "00-é4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(parent), None, "{parent}");
        }
    }

    #[test]
    fn a_later_version_is_read_by_its_first_fields_and_passed_on_whole() {
        let later = format!("{}-more", PARENT.replacen("00-", "cc-", 1));
        let context = parse(&later).unwrap();
        assert_eq!((context.traceparent(), context.span_id()), (&*later, 0x00f0_67aa_0ba9_02b7));
        assert_eq!(parse(&format!("{}x", PARENT.replacen("00-", "cc-", 1))), None);
    }

    #[test]
    fn a_state_that_is_too_long_or_no_text_is_left_out_and_the_parent_stands() {
        for state in [&b"a".repeat(513)[..], b"", b"a=\xff", b"a=\n1"] {
            let context = TraceContext::parse(PARENT.as_bytes(), Some(state)).unwrap();
            assert_eq!(context.tracestate(), None);
        }
    }
}
