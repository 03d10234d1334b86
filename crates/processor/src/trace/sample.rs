//! A bounded sample of the trace contexts of what one commit is made of.

use super::{TraceContext, origin};
use crate::record::RecordBatch;

/// Most contexts of a sample.
const MAX_LINKS: usize = 32;
/// Records of a batch that are looked at.
const LOOKS_PER_BATCH: usize = 8;
/// Records of a batch without headers whose bytes are looked at, unless one of them has a context.
const PAYLOADS_PER_BATCH: usize = 2;

/// Contexts spread evenly over everything that was offered, without chance: when the sample is full every second one goes,
/// and from then on every second, fourth, … new one is taken.
#[derive(Debug)]
pub(crate) struct ContextSample {
    kept: Vec<TraceContext>,
    offered: u64,
    /// One of so many is taken.
    stride: u64,
}

impl Default for ContextSample {
    fn default() -> Self {
        Self { kept: Vec::new(), offered: 0, stride: 1 }
    }
}

impl ContextSample {
    /// Looks at some records of `batch`, spread evenly over it.
    pub(crate) fn look(&mut self, batch: &RecordBatch) {
        let records = batch.records.len();
        let looks = records.min(LOOKS_PER_BATCH);
        let mut payloads = PAYLOADS_PER_BATCH;
        for look in 0..looks {
            let Some(record) = batch.records.get(look * records / looks) else { return };
            let context = origin::of_headers(batch, record).or_else(|| {
                payloads = payloads.checked_sub(1)?;
                let found = origin::of_payload(batch, record);
                if found.is_some() {
                    payloads = LOOKS_PER_BATCH;
                }
                found
            });
            if let Some(context) = context {
                self.offer(context);
            }
        }
    }

    fn offer(&mut self, context: TraceContext) {
        // All records of a request have one context.
        if self.kept.contains(&context) {
            return;
        }
        let is_taken = self.offered.is_multiple_of(self.stride);
        self.offered += 1;
        if !is_taken {
            return;
        }
        if self.kept.len() == MAX_LINKS {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
        }
        self.kept.push(context);
    }

    /// The sample; another begins.
    pub(crate) fn take(&mut self) -> Vec<TraceContext> {
        std::mem::take(self).kept
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use llm_optimizer_engine::core::PartitionId;

    use super::*;
    use crate::record::{HeaderSpan, PartitionOrigin, RecordFormat, SourceKind};

    fn batch(kind: SourceKind) -> RecordBatch {
        let id = PartitionId(0);
        let origin = PartitionOrigin { id, kind, name: "x".into(), partition: 0 };
        RecordBatch::new(Arc::new(origin), RecordFormat::Json, 0)
    }

    fn parent(span_id: u64) -> String {
        format!("00-000000000000000000000000000000aa-{span_id:016x}-01")
    }

    fn push_with(batch: &mut RecordBatch, headers: &[(&str, &str)]) {
        let from = batch.headers.len();
        for (name, value) in headers {
            let name = batch.store(name.as_bytes());
            let value = Some(batch.store(value.as_bytes()));
            batch.headers.push(HeaderSpan { name, value });
        }
        let to = batch.headers.len();
        batch.push(b"{}", 0, None);
        batch.records.last_mut().unwrap().headers = from..to;
    }

    fn spans(sample: &mut ContextSample) -> Vec<u64> {
        sample.take().iter().map(TraceContext::span_id).collect()
    }

    #[test]
    fn headers_of_the_way_go_before_attributes_of_the_event() {
        let mut sample = ContextSample::default();
        let mut batch = batch(SourceKind::Kafka);
        push_with(&mut batch, &[("ce_traceparent", &parent(1)), ("traceparent", &parent(2))]);
        push_with(&mut batch, &[("ce_traceparent", &parent(3)), ("ce_tracestate", "a=1")]);
        push_with(&mut batch, &[("traceparent", "nonsense"), ("other", &parent(4))]);
        sample.look(&batch);
        let taken = sample.take();
        let shown: Vec<_> = taken.iter().map(|c| (c.span_id(), c.tracestate())).collect();
        assert_eq!(shown, [(2, None), (3, Some("a=1"))]);
    }

    #[test]
    fn a_cloud_event_and_a_span_say_where_they_come_from_themselves() {
        let mut sample = ContextSample::default();
        let mut events = batch(SourceKind::File);
        let event = format!(r#"{{"specversion":"1.0","traceparent":"{}"}}"#, parent(7));
        events.push(event.as_bytes(), 0, None);
        // No CloudEvent: the word may mean anything.
        events.push(format!(r#"{{"traceparent":"{}"}}"#, parent(8)).as_bytes(), 1, None);
        sample.look(&events);
        assert_eq!(spans(&mut sample), [7]);
        let mut otlp = batch(SourceKind::Otlp);
        otlp.push(br#"{"trace_id":"aa","span_id":"000000000000000b"}"#, 0, None);
        sample.look(&otlp);
        assert_eq!(spans(&mut sample), [11]);
    }

    #[test]
    fn payloads_are_read_on_only_where_contexts_are_found() {
        let mut sample = ContextSample::default();
        let event = |n: u64| format!(r#"{{"specversion":"1.0","traceparent":"{}"}}"#, parent(n));
        let mut plain = batch(SourceKind::File);
        for _ in 0..4 {
            plain.push(b"{\"traceparent\":1}", 0, None);
        }
        for n in 1..=4 {
            plain.push(event(n).as_bytes(), 0, None);
        }
        sample.look(&plain);
        assert_eq!(spans(&mut sample), [] as [u64; 0], "the first two have none");
        let mut events = batch(SourceKind::File);
        for n in 1..=80 {
            events.push(event(n).as_bytes(), 0, None);
        }
        sample.look(&events);
        assert_eq!(spans(&mut sample), [1, 11, 21, 31, 41, 51, 61, 71]);
    }

    #[test]
    fn a_sample_is_bounded_and_spread_over_all_that_came() {
        let mut sample = ContextSample::default();
        for first in (1..=4_000).step_by(8) {
            let mut batch = batch(SourceKind::Kafka);
            for span in first..first + 8 {
                push_with(&mut batch, &[("traceparent", &parent(span))]);
            }
            sample.look(&batch);
        }
        let spans = spans(&mut sample);
        assert!((MAX_LINKS / 2..=MAX_LINKS).contains(&spans.len()), "{}", spans.len());
        let quarter = |from: u64| spans.iter().filter(|s| (from..from + 1_000).contains(s)).count();
        for from in [1, 1_001, 2_001, 3_001] {
            assert!(quarter(from) >= 3, "{spans:?}");
        }
    }

    #[test]
    fn one_context_of_many_records_is_one_link() {
        let mut sample = ContextSample::default();
        let mut batch = batch(SourceKind::Http);
        for _ in 0..100 {
            push_with(&mut batch, &[("traceparent", &parent(5))]);
        }
        sample.look(&batch);
        assert_eq!(spans(&mut sample), [5]);
        assert_eq!(spans(&mut sample), [] as [u64; 0]);
    }
}
