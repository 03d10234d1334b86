//! Assigners that scripts name; windows in seconds.
//!
//! | name | windows of an event |
//! | --- | --- |
//! | `hour` | the hour it is in |
//! | `shift` | from 0 s to 60 s and from 60 s to 600 s, then none |
//! | `twice` | the ten seconds and the minute it is in, the minute said twice |
//! | `by-key` | ten seconds for key `a`, a minute for all others |
//! | `wrong` | the ten seconds it is in, an empty span and one that does not hold it |
//! | `ever` | all of time |

use std::sync::Arc;

use llm_optimizer_engine::window::{AssignWindows, Span};

/// The assigner called `name`.
pub(crate) fn assigner(name: &str) -> Arc<dyn AssignWindows> {
    let names = ["hour", "shift", "twice", "by-key", "wrong", "ever"];
    let name = names.into_iter().find(|known| *known == name);
    Arc::new(Named(name.expect("an assigner")))
}

#[derive(Debug)]
struct Named(&'static str);

impl AssignWindows for Named {
    fn assign(&self, at_ms: i64, key: &str, spans: &mut Vec<Span>) {
        let whole = |length_ms: i64| {
            let start_ms = at_ms - at_ms.rem_euclid(length_ms);
            Span { start_ms, end_ms: start_ms + length_ms }
        };
        match self.0 {
            "hour" => spans.push(whole(3_600_000)),
            "shift" => spans.extend(
                [(0, 60_000), (60_000, 600_000)]
                    .map(|(start_ms, end_ms)| Span { start_ms, end_ms })
                    .into_iter()
                    .filter(|span| (span.start_ms..span.end_ms).contains(&at_ms)),
            ),
            "twice" => spans.extend([whole(60_000), whole(10_000), whole(60_000)]),
            "by-key" => spans.push(whole(if key == "a" { 10_000 } else { 60_000 })),
            "wrong" => spans.extend([
                Span { start_ms: at_ms, end_ms: at_ms },
                whole(10_000),
                Span { start_ms: at_ms + 1, end_ms: at_ms + 10 },
            ]),
            _ => spans.push(Span { start_ms: i64::MIN, end_ms: i64::MAX }),
        }
    }
}
