//! A case with everything it is computed with.

use std::{fmt, num::NonZeroU64, sync::Arc};

use llm_optimizer_engine::{
    aggregation::{AggregationPlan, Function, Percentile},
    task::{TaskLimits, TaskPlan, WindowTask},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{AssignWindows, Span, Trigger, TriggerContext, TriggerSpec, WindowSpec},
};
use llm_optimizer_sim::{
    cases::Case,
    oracle::{Event, OracleConfig, Outcome, Window, recompute, recompute_assigned},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// From this wall clock on every window may go.
pub(crate) const RELEASED_MS: i64 = 1_000_000_000_000;

/// The windows of an event at a time of a key.
type Assign = Arc<dyn Fn(i64, &str) -> Vec<(i64, i64)> + Send + Sync>;

/// A case, its triggers, and its assigner if its windows are the user's own.
pub(crate) struct Setup {
    pub(crate) case: Case,
    pub(crate) triggers: TriggerSpec,
    assigner: Option<Assigner>,
}

#[derive(Clone)]
struct Assigner(Assign);

impl Setup {
    /// The case as it is, without triggers.
    pub(crate) fn plain(case: Case) -> Self {
        Self { case, triggers: TriggerSpec::EventTime, assigner: None }
    }

    /// The case with random triggers.
    pub(crate) fn triggered(case: Case) -> Self {
        let mut seeded = ChaCha8Rng::seed_from_u64(case.seed);
        Self { triggers: random_trigger(&mut seeded, 0), ..Self::plain(case) }
    }

    /// With windows of the user's own, about as long as those of the case.
    pub(crate) fn assigned(self) -> Self {
        let length = match self.case.config.window {
            Window::Tumbling { size_ms, .. } | Window::Sliding { size_ms, .. } => size_ms,
            Window::Session { gap_ms } => gap_ms,
        };
        Self { assigner: Some(Assigner(random_assigner(self.case.seed, length))), ..self }
    }

    /// Silence that ends a session; 0 if there are none.
    pub(crate) fn gap_ms(&self) -> i64 {
        match self.case.config.window {
            Window::Session { gap_ms } if self.assigner.is_none() => gap_ms,
            _ => 0,
        }
    }

    /// What the oracle says of these logs.
    pub(crate) fn recompute(&self, partitions: &[Vec<Event>]) -> Outcome {
        match &self.assigner {
            Some(assigner) => recompute_assigned(&self.case.config, partitions, &*assigner.0),
            None => recompute(&self.case.config, partitions),
        }
    }

    /// A task for it, W propagated at random by interval.
    pub(crate) fn task(&self, seeded: &mut ChaCha8Rng) -> WindowTask {
        let strategy = if seeded.random_bool(0.3) {
            WatermarkStrategy::Periodic { interval_ms: seeded.random_range(1..3_000) }
        } else {
            WatermarkStrategy::BoundedOutOfOrderness
        };
        WindowTask::new(self.plan(strategy))
    }

    /// What such a task computes.
    pub(crate) fn plan(&self, strategy: WatermarkStrategy) -> TaskPlan {
        let config = &self.case.config;
        TaskPlan {
            windows: self.windows(),
            triggers: self.triggers.clone(),
            watermarks: WatermarkSettings {
                strategy,
                max_out_of_orderness_ms: config.max_out_of_orderness_ms,
                idle_timeout_ms: None,
            },
            aggregation: plan_of(config),
            limits: TaskLimits { max_windows_per_key: u64::MAX, ..TaskLimits::default() },
        }
    }

    fn windows(&self) -> WindowSpec {
        let lateness = self.case.config.allowed_lateness_ms;
        let windows = match (&self.assigner, self.case.config.window) {
            (Some(assigner), _) => WindowSpec::assigned(Arc::new(assigner.clone()), lateness),
            (None, Window::Tumbling { size_ms, offset_ms }) => {
                WindowSpec::tumbling(size_ms, offset_ms, lateness)
            }
            (None, Window::Sliding { size_ms, slide_ms, offset_ms }) => {
                WindowSpec::sliding(size_ms, slide_ms, offset_ms, lateness)
            }
            (None, Window::Session { gap_ms }) => WindowSpec::session(gap_ms, lateness),
        };
        windows.expect("valid windows")
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (config, triggers) = (&self.case.config, &self.triggers);
        write!(f, "{config:?} assigned={} {triggers:?}", self.assigner.is_some())
    }
}

impl fmt::Debug for Assigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assigner")
    }
}

impl AssignWindows for Assigner {
    fn assign(&self, at_ms: i64, key: &str, spans: &mut Vec<Span>) {
        let said = self.0(at_ms, key);
        spans.extend(said.into_iter().map(|(start_ms, end_ms)| Span { start_ms, end_ms }));
    }
}

fn random_assigner(seed: u64, length: i64) -> Assign {
    let whole = |at: i64, length: i64| {
        let start = at - at.rem_euclid(length);
        (start, start + length)
    };
    match seed % 4 {
        // Some windows within others, which end together.
        0 => {
            Arc::new(move |at, _| vec![whole(at, 1 + length / 4), whole(at, 4 * (1 + length / 4))])
        }
        // Each key its own length; some events in no window.
        1 => Arc::new(move |at, key| {
            let own = whole(at, length + i64::try_from(key.len()).expect("short"));
            if at.rem_euclid(11) == 3 { Vec::new() } else { vec![own] }
        }),
        // Two series that cross each other.
        2 => Arc::new(move |at, _| vec![whole(at, length), whole(at, length + 1 + length / 3)]),
        // One long window, and short ones that begin with the event.
        _ => Arc::new(move |at, _| vec![whole(at, 3 * length), (at, at + length)]),
    }
}

fn random_trigger(seeded: &mut ChaCha8Rng, depth: usize) -> TriggerSpec {
    let kinds = if depth < 2 { 7 } else { 4 };
    let list = |seeded: &mut ChaCha8Rng| {
        (0..seeded.random_range(0..4)).map(|_| random_trigger(seeded, depth + 1)).collect()
    };
    match seeded.random_range(0..kinds) {
        0 => TriggerSpec::EventTime,
        1 => TriggerSpec::Count(NonZeroU64::new(seeded.random_range(1..6)).expect("above 0")),
        2 => TriggerSpec::ProcessingTime { interval_ms: seeded.random_range(1..3_000) },
        3 => TriggerSpec::User(Arc::new(User(seeded.random_range(1..6)))),
        4 => TriggerSpec::Any(list(seeded)),
        _ => TriggerSpec::All(list(seeded)),
    }
}

/// Fires at some numbers of events and some ticks; lets some windows go only at [`RELEASED_MS`].
#[derive(Debug)]
struct User(u64);

impl Trigger for User {
    fn should_fire(&self, window: TriggerContext<'_>) -> bool {
        assert!(window.end_ms > window.watermark, "asked before the end only: {window:?}");
        assert!(window.element_count > 0, "asked after events only: {window:?}");
        window.element_count.is_multiple_of(self.0) && window.now_ms % 3 == 0
    }

    fn should_purge(&self, window: TriggerContext<'_>) -> bool {
        assert!(window.end_ms <= window.watermark, "asked after the end only: {window:?}");
        assert_eq!(window.element_count, 0, "what is pending has fired: {window:?}");
        window.start_ms % 3 != 0 || window.now_ms >= RELEASED_MS
    }
}

/// All statistics of the case.
pub(crate) fn plan_of(config: &OracleConfig) -> AggregationPlan {
    use Function::{Average, Count, Max, Min, Stddev, Sum};
    let mut functions = vec![Count, Sum, Average, Min, Max, Stddev];
    if !config.percentiles.is_empty() {
        functions.push(Function::Percentile);
    }
    let percentiles = config.percentiles.iter().copied().map(Percentile::from_thousandths);
    let percentiles: Option<Vec<Percentile>> = percentiles.collect();
    let names: Vec<String> = (0..config.value_count).map(|i| format!("value{i}")).collect();
    AggregationPlan::new(&functions, &percentiles.expect("valid"), &names).expect("a plan")
}
