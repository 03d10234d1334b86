//! Triggers that scripts name: `event-time`, `count <n>`, `every <seconds>`, `any <trigger> | …`,
//! `all <trigger> | …`, and those of a user:
//!
//! | name | fires | lets go |
//! | --- | --- | --- |
//! | `user-never` | never | always |
//! | `user-third` | at three events since the last firing, the window of key `a` only | always |
//! | `user-late` | when W is ten seconds before the end | always |
//! | `user-ten` | once the wall clock has come to a multiple of ten seconds | always |
//! | `user-keeps` | never | from wall clock 1000 s on |

use std::{num::NonZeroU64, sync::Arc};

use crate::timeline::millis;
use llm_optimizer_engine::window::{Trigger, TriggerContext, TriggerSpec};

/// The trigger that `text` names.
pub(crate) fn trigger(text: &str) -> TriggerSpec {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let list = || rest.split('|').map(|part| trigger(part.trim())).collect();
    let users = ["user-never", "user-third", "user-late", "user-ten", "user-keeps"];
    match name {
        "event-time" => TriggerSpec::EventTime,
        "count" => TriggerSpec::Count(NonZeroU64::new(rest.parse().expect("n")).expect("n > 0")),
        "every" => TriggerSpec::ProcessingTime { interval_ms: millis(rest) },
        "any" => TriggerSpec::Any(list()),
        "all" => TriggerSpec::All(list()),
        user => {
            let name = users.into_iter().find(|known| *known == user).expect("a trigger");
            TriggerSpec::User(Arc::new(User(name)))
        }
    }
}

#[derive(Debug)]
struct User(&'static str);

impl Trigger for User {
    fn should_fire(&self, window: TriggerContext<'_>) -> bool {
        match self.0 {
            "user-third" => window.key == "a" && window.element_count == 3,
            "user-late" => window.watermark >= window.end_ms - 10_000,
            "user-ten" => window.now_ms % 10_000 == 0,
            _ => false,
        }
    }

    fn should_purge(&self, window: TriggerContext<'_>) -> bool {
        assert!(window.watermark >= window.end_ms, "asked before the window passed: {window:?}");
        assert_eq!(window.element_count, 0, "what is pending fires before purge: {window:?}");
        self.0 != "user-keeps" || window.now_ms >= 1_000_000
    }
}
