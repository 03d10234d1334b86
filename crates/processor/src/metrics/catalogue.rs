//! Every metric of the processor: its name, kind, unit, labels and what it says.
//!
//! The registry is made from this list and `docs/metrics.md` is generated from it, so neither can differ from it.
//! Names follow Prometheus: counters end in `_total`, units (`_seconds`, `_bytes`) are base units and go last. No label
//! holds a key of the data or anything else that grows with it.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A count that only grows, from 0 at the start of the process.
    Counter,
    /// A value of now.
    Gauge,
    /// Durations, counted by size.
    Histogram,
}

/// What a metric is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricUnit {
    /// Things that are counted, or a ratio.
    None,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The whole name, as queries use it; a histogram adds `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What it is measured in.
    pub unit: MetricUnit,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, one sentence without a full stop.
    pub help: &'static str,
}

/// Declares constants and the list of all of them.
macro_rules! catalogue {
    ($($id:ident = $kind:ident $unit:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Metric = Metric {
                name: $name,
                kind: MetricKind::$kind,
                unit: MetricUnit::$unit,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// Every metric, in the order of the reference.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

catalogue! {
    // What became of records. Of each pipeline: read = accepted + filtered + late + dead letters + skipped + shed.
    RECORDS_READ = Counter None "processor_records_read_total" ["pipeline"]
        "Records read from the source";
    EVENTS_ACCEPTED = Counter None "processor_events_accepted_total" ["pipeline"]
        "Events that are in at least one window";
    EVENTS_FILTERED = Counter None "processor_events_filtered_total" ["pipeline"]
        "Events without the pipeline's key or value, which only move the watermark";
    EVENTS_LATE = Counter None "processor_events_late_total" ["pipeline"]
        "Events too late for every window; they are in no result";
    DEAD_LETTERS = Counter None "processor_dead_letters_total" ["pipeline", "reason"]
        "Records that cannot be used, by reason";
    EVENTS_SKIPPED = Counter None "processor_events_skipped_total" ["pipeline"]
        "Records that cannot be used, left out by a policy of a pipeline built in code";
    EVENTS_SHED = Counter None "processor_events_shed_total" ["pipeline"]
        "Records left out under pressure";
    EVENTS_PER_SECOND = Gauge None "processor_events_per_second" []
        "Records read per second, over the last ten seconds";
    KEYS_OVERFLOWED = Counter None "processor_keys_overflowed_total" ["pipeline"]
        "How often a key of a batch was counted under an overflow key (`limits.max_keys`)";

    // Windows and state.
    WINDOWS_CREATED = Counter None "processor_windows_created_total" ["pipeline"]
        "Windows begun: one per key and tumbling window, per session, per key and pane of a sliding window";
    WINDOWS_FIRED = Counter None "processor_windows_fired_total" ["pipeline"]
        "Results of a key and window that fired for the first time";
    RESULTS_EMITTED = Counter None "processor_results_emitted_total" ["pipeline"]
        "Results, revisions included";
    OPEN_WINDOWS = Gauge None "processor_open_windows" ["pipeline"]
        "Windows that hold data and are not purged: one per key and tumbling window, per session, per key and pane of a sliding window";
    MAX_WINDOWS_PER_KEY = Gauge None "processor_max_windows_per_key" ["pipeline"]
        "The limit `limits.max_windows_per_key`";
    KEYS = Gauge None "processor_keys" ["pipeline"]
        "Keys that hold state";
    STATE_BYTES = Gauge Bytes "processor_state_bytes" ["pipeline"]
        "Memory held by the state of windows";
    STORE_BYTES = Gauge Bytes "processor_store_bytes" []
        "Size of the local store on disk; 0 where state is not kept in one";

    // Time.
    WATERMARK_TIMESTAMP = Gauge Seconds "processor_watermark_timestamp_seconds" ["pipeline"]
        "The watermark W, in seconds since the Unix epoch; absent before the first event";
    WATERMARK_LAG = Gauge Seconds "processor_watermark_lag_seconds" ["pipeline"]
        "Clock minus the watermark W; absent before the first event";
    PARTITION_WATERMARK_LAG = Gauge Seconds "processor_partition_watermark_lag_seconds" ["pipeline", "source", "partition"]
        "Clock minus the watermark of a partition; of the first 256 partitions";
    PARTITIONS_ASSIGNED = Gauge None "processor_partitions_assigned" []
        "Partitions that are read";
    PARTITIONS_IDLE = Gauge None "processor_partitions_idle" ["pipeline"]
        "Partitions that are idle: they do not hold the watermark back";
    PARTITIONS_PAUSED = Gauge None "processor_partitions_paused" []
        "Partitions that wait for slower ones (`watermark.max_watermark_drift_secs`)";
    CONSUMER_LAG = Gauge None "processor_consumer_lag_records" ["source", "partition"]
        "Records of a Kafka partition that are not read yet; of the first 256 partitions, the others together as partition `others`";

    // Durations.
    PROCESSING_LATENCY = Histogram Seconds "processor_processing_latency_seconds" []
        "From the receipt of a batch to its events being aggregated; one observation per batch";
    EVENT_TO_RESULT_LATENCY = Histogram Seconds "processor_event_to_result_latency_seconds" []
        "From the receipt of the event that closes windows to their results being committed and readable; one observation per batch that closed windows";
    COMMIT_DURATION = Histogram Seconds "processor_commit_duration_seconds" []
        "From the cut of a commit to its acknowledgement, retries included";
    CHECKPOINT_DURATION = Histogram Seconds "processor_checkpoint_duration_seconds" []
        "Time to keep a checkpoint";
    LATENCY_QUANTILE = Gauge Seconds "processor_latency_quantile_seconds" ["stage", "quantile"]
        "Quantiles 0.5, 0.95 and 0.99 of the last 30 to 60 seconds, by stage: `processing`, `event_to_result`, `commit`, `checkpoint` (that one since the start)";

    // Commits, checkpoints, recovery.
    COMMITS = Counter None "processor_commits_total" []
        "Commits that were acknowledged";
    COMMIT_RETRIES = Counter None "processor_commit_retries_total" []
        "Commits that failed and were tried again";
    LAST_COMMIT_TIMESTAMP = Gauge Seconds "processor_last_commit_timestamp_seconds" []
        "When the newest commit was acknowledged, in seconds since the Unix epoch; 0 before the first";
    CHECKPOINTS = Counter None "processor_checkpoints_total" []
        "Checkpoints kept";
    CHECKPOINT_FAILURES = Counter None "processor_checkpoint_failures_total" []
        "Checkpoints that could not be made";
    CHECKPOINT_BYTES = Gauge Bytes "processor_checkpoint_bytes" []
        "Size of the newest checkpoint of this run";
    LAST_CHECKPOINT_TIMESTAMP = Gauge Seconds "processor_last_checkpoint_timestamp_seconds" []
        "When the newest checkpoint of this run was kept, in seconds since the Unix epoch; 0 before the first";
    RECOVERIES = Counter None "processor_recoveries_total" []
        "How often state was read back: at the start over kept state, and on Kafka after partitions were lost";
    RECOVERY_SECONDS = Gauge Seconds "processor_recovery_seconds" []
        "How long the newest recovery took";
    REBALANCES = Counter None "processor_rebalances_total" []
        "How often the group gave or took partitions";

    // Sinks.
    SINK_RETRIES = Counter None "processor_sink_retries_total" ["sink"]
        "Deliveries to a sink that failed and were tried again";
    OUTBOX_BYTES = Gauge Bytes "processor_outbox_bytes" []
        "Committed output that not every sink has";
    OUTBOX_RECORDS = Gauge None "processor_outbox_records" []
        "Rows of the outbox that not every sink has: commits with output; of an outbox topic records, by its offsets, once a second";
    OUTBOX_MAX_BYTES = Gauge Bytes "processor_outbox_max_bytes" []
        "The limit `max_outbox_bytes`, at which input waits for the sinks";

    // Errors.
    ERRORS = Counter None "processor_errors_total" ["stage"]
        "Errors by stage: decode (records that cannot be used), aggregation (statistics that failed), commit, sink, checkpoint, source (a broker that does not answer), library (counted by code)";

    // The process.
    BUILD_INFO = Gauge None "processor_build_info" ["version"]
        "1; the label is the version of the program";
    READY = Gauge None "processor_ready" []
        "1 while the processor is ready, as /readyz says";
    SOURCE_UP = Gauge None "processor_source_up" []
        "1 while the source can be reached";
    PROCESS_START_TIMESTAMP = Gauge Seconds "processor_process_start_timestamp_seconds" []
        "When the process started, in seconds since the Unix epoch; a change is a restart";
    PROCESS_CPU = Counter Seconds "processor_process_cpu_seconds_total" []
        "Processor time used, of all threads";
    PROCESS_MEMORY = Gauge Bytes "processor_process_resident_memory_bytes" []
        "Resident memory of the process";
    MEMORY_LIMIT = Gauge Bytes "processor_memory_limit_bytes" []
        "Memory the process may use: `limits.memory_bytes`, else that of its control group, else that of the machine";

    // Records that are sent (sources http and otlp).
    INTAKE_REQUESTS = Counter None "processor_intake_requests_total" ["outcome"]
        "Requests of senders, by outcome: accepted, repeated (by their Idempotency-Key), full (429), unavailable (503), refused (other 4xx)";
    INTAKE_RECORDS = Counter None "processor_intake_records_total" []
        "Records accepted from senders: synced in the inbox";
    INTAKE_SPANS_SKIPPED = Counter None "processor_intake_spans_skipped_total" []
        "Spans that are no call of a language model; they are not kept";
    INTAKE_SPANS_REJECTED = Counter None "processor_intake_spans_rejected_total" []
        "Spans that are too long as a record; their senders are told";
    INBOX_RECORDS = Gauge None "processor_inbox_records" []
        "Records accepted from senders that are in no commit yet";
    INBOX_BYTES = Gauge Bytes "processor_inbox_bytes" []
        "Bytes of the store that they take";
    INBOX_MAX_BYTES = Gauge Bytes "processor_inbox_max_bytes" []
        "The limit `source.max_inbox_bytes`, at which senders are asked to wait";

    // What is sent by OTLP.
    OTLP_EXPORTS = Counter None "processor_otlp_exports_total" ["signal", "outcome"]
        "Requests to receivers of OTLP, by signal (traces, metrics) and outcome: accepted, failed (tried again), refused";
    OTLP_SPANS_SENT = Counter None "processor_otlp_spans_sent_total" []
        "Spans that a receiver took";
    OTLP_SPANS_DROPPED = Counter None "processor_otlp_spans_dropped_total" []
        "Spans that nobody got: refused by the receiver, or it was away for too long";

    // The HTTP server.
    HTTP_REQUESTS = Counter None "processor_http_requests_total" ["status"]
        "Requests answered by the HTTP server, by class of status: 2xx, 3xx, 4xx, 5xx";
    LIVE_LISTENERS = Gauge None "processor_live_listeners" []
        "Listeners of live results";
    LIVE_LISTENERS_CUT_OFF = Counter None "processor_live_listeners_cut_off_total" []
        "Listeners of live results that took nothing for ten seconds and were cut off";
    LIVE_RESULTS_MISSED = Counter None "processor_live_results_missed_total" []
        "Live results that slow listeners were told they missed";
}

/// The stages an event goes through whose durations are measured, in its order.
pub const STAGES: [(&str, Metric); 3] = [
    ("processing", PROCESSING_LATENCY),
    ("event_to_result", EVENT_TO_RESULT_LATENCY),
    ("commit", COMMIT_DURATION),
];
