//! Runs a script against one task and compares what comes out, line by line.
//!
//! Configuration, separated by commas; times are seconds:
//! `tumbling 60` | `sliding 60/10` | `session 30` | `assigned <name>` (see [`assigners`]), `offset 5`,
//! `lateness 30`, `disorder 5`, `idle 60`, `periodic 10`, `partitions 2` (1), `max-keys 2`,
//! `max-windows 3`, `compute count sum p50`, `trigger <trigger>` (see [`triggers`]).
//!
//! [`assigners`]: crate::assigners
//! [`triggers`]: crate::triggers
//!
//! | script | does |
//! | --- | --- |
//! | `event 59.999 a=1` | an event of key `a` with value 1 in partition 0; `p1 event …`: in partition 1 |
//! | `mark 60` | an event without key at 60 s in partition 0, then `advance` |
//! | `advance`, `commit` | propagates W; `commit` also fires what late events changed |
//! | `now 120` | the wall clock is 120 s from the next event on |
//! | `tick 120` | the wall clock is 120 s, then `advance` |
//! | `caught-up p0`, `behind p0`, `assign p0`, `revoke p0` | tells what the partition is doing |
//! | `end p0`, `end` | the partition, or all of them, have ended; then `commit` |
//! | `watermark`, `state` | shows W in seconds; the number of windows and keys with state |
//!
//! A remark begins with `# ` or ends the line after ` # `.

use crate::{assigners::assigner, triggers::trigger};
use llm_optimizer_engine::{
    aggregation::{AggregationPlan, Function, Percentile, StatisticKind},
    core::{EventBatch, EventTime, PartitionId},
    task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{Firing, FiringRef, Timing, WindowSpec},
};

/// Runs `script` under `config` and compares its lines with `expected`.
#[track_caller]
pub(crate) fn check(config: &str, script: &str, expected: &str) {
    let mut timeline = Timeline::new(config);
    lines(script).for_each(|line| timeline.run(line));
    let expected: Vec<&str> = lines(expected).collect();
    assert!(
        timeline.shown == expected,
        "{config}\n--- expected\n{}\n--- found\n{}\n",
        expected.join("\n"),
        timeline.shown.join("\n"),
    );
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(|line| line.split(" # ").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
}

struct Timeline {
    task: WindowTask,
    now_ms: i64,
    partitions: u32,
    shown: Vec<String>,
}

impl Timeline {
    fn new(config: &str) -> Self {
        let (plan, partitions) = plan(config);
        let mut task = WindowTask::new(plan);
        (0..partitions).for_each(|p| task.assign(PartitionId(p), 0));
        Self { task, now_ms: 0, partitions, shown: Vec::new() }
    }

    fn run(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["event", at, event] => self.event(PartitionId(0), at, Some(event)),
            [p, "event", at, event] => self.event(partition(p), at, Some(event)),
            ["mark", at] => self.mark(PartitionId(0), at),
            [p, "mark", at] => self.mark(partition(p), at),
            ["advance"] => self.advance(),
            ["commit"] => self.commit(),
            ["now", at] => self.now_ms = millis(at),
            ["tick", at] => {
                self.now_ms = millis(at);
                self.advance();
            }
            ["caught-up", p] => self.task.caught_up(partition(p)),
            ["behind", p] => self.task.behind(partition(p)),
            ["assign", p] => self.task.assign(partition(p), self.now_ms),
            ["revoke", p] => self.task.revoke(partition(p)),
            ["end", p] => {
                self.task.end(partition(p));
                self.commit();
            }
            ["end"] => {
                (0..self.partitions).for_each(|p| self.task.end(PartitionId(p)));
                self.commit();
            }
            ["nothing", p] => self.nothing(partition(p)),
            ["watermark"] => self.show_watermark(),
            ["state"] => self.shown.push(format!(
                "state windows={} keys={}",
                self.task.open_windows(),
                self.task.keys()
            )),
            _ => panic!("no such line: {line}"),
        }
    }

    fn event(&mut self, partition: PartitionId, at: &str, event: Option<&str>) {
        let mut batch = EventBatch::new(1);
        let at = EventTime::new(millis(at)).expect("an instant");
        match event.map(|event| event.split_once('=').expect("key=value")) {
            Some((key, value)) => batch.push(0, at, key, &[value.parse().expect("a number")]),
            None => batch.push_time_only(0, at),
        }
        let mut out = TaskOutput::default();
        self.task.process(partition, &batch, self.now_ms, &mut out);
        let early = out.firings.iter().all(|firing| firing.timing == Timing::Early);
        assert!(early, "processing fires nothing but what triggers count");
        let event = event.unwrap_or_default();
        for late in &out.late {
            self.shown.push(format!("late {event} by {}ms", late.lateness_ms));
        }
        for _ in &out.over_limit {
            self.shown.push(format!("over-limit {event}"));
        }
        self.show(&out);
    }

    fn nothing(&mut self, partition: PartitionId) {
        let mut out = TaskOutput::default();
        self.task.process(partition, &EventBatch::new(1), self.now_ms, &mut out);
    }

    fn mark(&mut self, partition: PartitionId, at: &str) {
        self.event(partition, at, None);
        self.advance();
    }

    fn advance(&mut self) {
        let mut out = TaskOutput::default();
        self.task.advance(self.now_ms, &mut out);
        self.show(&out);
    }

    fn commit(&mut self) {
        let mut out = TaskOutput::default();
        self.task.advance(self.now_ms, &mut out);
        self.task.fire_dirty(&mut out);
        self.show(&out);
    }

    fn show(&mut self, out: &TaskOutput) {
        let lines: Vec<String> = out.firings.iter().map(|f| self.line(f)).collect();
        self.shown.extend(lines);
    }

    fn show_watermark(&mut self) {
        let shown = self.task.watermark().map_or("none".to_owned(), secs);
        self.shown.push(format!("watermark {shown}"));
    }

    fn line(&self, firing: &Firing) -> String {
        let timing = match firing.timing {
            Timing::Early => "early",
            Timing::OnTime => "on-time",
            Timing::Late => "late",
        };
        let bounds = format!("[{},{})", secs(firing.start_ms), secs(firing.end_ms));
        let mut line = format!("pane {bounds} {} {timing} #{}", firing.key, firing.revision);
        let names = self.task.aggregation().statistics();
        for (statistic, number) in names.iter().zip(&firing.statistics.numbers) {
            if statistic.kind == StatisticKind::Count {
                assert_eq!(firing.statistics.count.to_string(), number.to_string());
            }
            line.extend([" ", &statistic.name, "=", &number.to_string()]);
        }
        if !firing.supersedes.is_empty() {
            let list: Vec<String> = firing.supersedes.iter().map(reference).collect();
            line.extend([" supersedes ", &list.join(" ")]);
        }
        line
    }
}

fn reference(to: &FiringRef) -> String {
    format!("[{},{})#{}", secs(to.start_ms), secs(to.end_ms), to.revision)
}

/// What `config` says: the plan and the number of partitions.
pub(crate) fn plan(config: &str) -> (TaskPlan, u32) {
    let words = |name: &str| {
        let mut parts = config.split(',').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name)?.strip_prefix(' '))
    };
    let time = |name: &str| words(name).map(millis);
    let number = |name: &str| words(name).map(|n| n.parse::<u64>().expect("a number"));
    let (offset, lateness) = (time("offset").unwrap_or(0), time("lateness").unwrap_or(0));
    let windows = if let Some(size) = time("tumbling") {
        WindowSpec::tumbling(size, offset, lateness)
    } else if let Some((size, slide)) = words("sliding").and_then(|w| w.split_once('/')) {
        WindowSpec::sliding(millis(size), millis(slide), offset, lateness)
    } else if let Some(name) = words("assigned") {
        WindowSpec::assigned(assigner(name), lateness)
    } else {
        WindowSpec::session(time("session").expect("a kind of window"), lateness)
    };
    let strategy = match time("periodic") {
        Some(interval_ms) => WatermarkStrategy::Periodic { interval_ms },
        None => WatermarkStrategy::BoundedOutOfOrderness,
    };
    let plan = TaskPlan {
        windows: windows.expect("valid windows"),
        triggers: words("trigger").map(trigger).unwrap_or_default(),
        watermarks: WatermarkSettings {
            strategy,
            max_out_of_orderness_ms: time("disorder").unwrap_or(0),
            idle_timeout_ms: time("idle"),
        },
        aggregation: aggregation(words("compute").unwrap_or("count sum")),
        limits: TaskLimits {
            key_groups: 1,
            max_keys: number("max-keys").unwrap_or(100),
            max_windows_per_key: number("max-windows").unwrap_or(1_000),
        },
    };
    (plan, number("partitions").map_or(1, |n| u32::try_from(n).expect("few")))
}

fn aggregation(names: &str) -> AggregationPlan {
    let mut percentiles = Vec::new();
    let functions: Vec<Function> = names
        .split_whitespace()
        .map(|name| match name {
            "count" => Function::Count,
            "sum" => Function::Sum,
            "average" => Function::Average,
            "min" => Function::Min,
            "max" => Function::Max,
            "stddev" => Function::Stddev,
            percentile => {
                let p = percentile.strip_prefix('p').expect("a function").parse::<u32>();
                percentiles.extend(Percentile::from_thousandths(p.expect("a number") * 1_000));
                Function::Percentile
            }
        })
        .collect();
    AggregationPlan::new(&functions, &percentiles, &[]).expect("a plan")
}

fn partition(name: &str) -> PartitionId {
    PartitionId(name.strip_prefix('p').expect("p0").parse().expect("a number"))
}

/// Milliseconds of decimal seconds with an optional sign.
pub(crate) fn millis(secs: &str) -> i64 {
    let (sign, digits) = secs.strip_prefix('-').map_or((1, secs), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let parse = |text: &str| text.parse::<i64>().unwrap_or_else(|_| panic!("no time: {secs}"));
    sign * (parse(whole) * 1_000 + parse(&format!("{fraction:0<3}")))
}

fn secs(millis: i64) -> String {
    let (sign, millis) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
    let text = format!("{sign}{}.{:03}", millis / 1_000, millis % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
