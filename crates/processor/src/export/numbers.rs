//! The metrics as OTLP has them: what `/metrics` says at that moment, under the same names.

use std::{collections::BTreeMap, sync::OnceLock};

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
        metric::Data, number_data_point::Value,
    },
};

use super::resource::text;

/// When counts began, and when they are said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) start_nanos: u64,
    pub(super) now_nanos: u64,
}

/// A metric whose lines are being read.
#[derive(Debug, Default)]
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    unit: &'a str,
    help: &'a str,
    numbers: Vec<NumberDataPoint>,
    /// By labels without `le`.
    histograms: BTreeMap<Vec<Label>, Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    bounds: Vec<f64>,
    /// How many are at or below each bound, and all.
    cumulative: Vec<u64>,
    sum: f64,
    count: u64,
}

/// The metrics of an `OpenMetrics` text of this program, in its order.
pub(super) fn metrics(open_metrics: &str, times: Times) -> Vec<Metric> {
    let (mut metrics, mut family) = (Vec::new(), Family::default());
    for line in open_metrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            family.take(line, times);
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (word, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let rest = words.next().unwrap_or_default();
        if family.name != name {
            metrics.extend(std::mem::take(&mut family).metric(times));
            family.name = name;
        }
        match word {
            "HELP" => family.help = rest.strip_suffix('.').unwrap_or(rest),
            "TYPE" => family.kind = rest,
            "UNIT" => family.unit = rest,
            _ => {}
        }
    }
    metrics.extend(family.metric(times));
    metrics
}

impl Family<'_> {
    /// Takes `name{label="value"} number`.
    fn take(&mut self, line: &str, times: Times) -> Option<()> {
        let (name, labels, value) = sample(line)?;
        if self.kind == "histogram" {
            return self.take_bucket(name, labels, value);
        }
        let value = match (self.kind, value.parse::<i64>()) {
            ("counter", Ok(count)) => Value::AsInt(count),
            _ => Value::AsDouble(number(value)?),
        };
        self.numbers.push(NumberDataPoint {
            attributes: attributes(&labels),
            start_time_unix_nano: if self.kind == "counter" { times.start_nanos } else { 0 },
            time_unix_nano: times.now_nanos,
            value: Some(value),
            ..NumberDataPoint::default()
        });
        Some(())
    }

    fn take_bucket(&mut self, name: &str, mut labels: Vec<Label>, value: &str) -> Option<()> {
        let bound = labels.iter().position(|(label, _)| label == "le");
        let bound = bound.map(|at| labels.remove(at).1);
        let of = self.histograms.entry(labels).or_default();
        match (name.strip_prefix(self.name)?, bound) {
            ("_bucket", Some(bound)) => {
                of.bounds.extend(number(&bound).filter(|bound| bound.is_finite()));
                of.cumulative.push(value.parse().ok()?);
            }
            ("_sum", _) => of.sum = number(value)?,
            ("_count", _) => of.count = value.parse().ok()?,
            _ => {}
        }
        Some(())
    }

    fn metric(self, times: Times) -> Option<Metric> {
        let temporality = AggregationTemporality::Cumulative.into();
        let is_counter = self.kind == "counter";
        let data = if self.kind == "histogram" {
            let data_points = self.histograms.into_iter();
            let data_points = data_points.map(|(labels, of)| of.point(&labels, times)).collect();
            Data::Histogram(Histogram { data_points, aggregation_temporality: temporality })
        } else if self.numbers.is_empty() {
            return None;
        } else if is_counter {
            Data::Sum(Sum {
                data_points: self.numbers,
                aggregation_temporality: temporality,
                is_monotonic: true,
            })
        } else {
            Data::Gauge(Gauge { data_points: self.numbers })
        };
        let suffix = if is_counter { "_total" } else { "" };
        Some(Metric {
            name: format!("{}{suffix}", self.name),
            description: self.help.to_owned(),
            unit: match self.unit {
                "seconds" => "s",
                "bytes" => "By",
                other => other,
            }
            .to_owned(),
            data: Some(data),
            ..Metric::default()
        })
    }
}

impl Buckets {
    fn point(self, labels: &[Label], times: Times) -> HistogramDataPoint {
        let mut below = 0;
        let counts = self.cumulative.iter().map(|cumulative| {
            let own = cumulative.saturating_sub(below);
            below = *cumulative;
            own
        });
        HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: times.start_nanos,
            time_unix_nano: times.now_nanos,
            count: self.count,
            sum: Some(self.sum),
            bucket_counts: counts.collect(),
            explicit_bounds: self.bounds,
            ..HistogramDataPoint::default()
        }
    }
}

fn attributes(labels: &[Label]) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| text(name.clone(), value.clone())).collect()
}

/// Name and value of a label.
type Label = (String, String);

/// Name, labels and value of a line.
fn sample(line: &str) -> Option<(&str, Vec<Label>, &str)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at_checked(end)?;
    let Some(mut rest) = rest.strip_prefix('{') else {
        return Some((name, Vec::new(), rest.trim_start().split(' ').next()?));
    };
    let mut labels = Vec::new();
    while !rest.starts_with('}') {
        let (label, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.push((label.trim_start_matches(',').to_owned(), value));
        rest = after;
    }
    Some((name, labels, rest.strip_prefix("} ")?.split(' ').next()?))
}

/// A text up to its closing quote, and what follows that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text => text.parse().ok(),
    }
}

/// Clock in nanoseconds, and when this was asked first.
pub(super) fn times() -> Times {
    static START: OnceLock<u64> = OnceLock::new();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_nanos = u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
    Times { start_nanos: *START.get_or_init(|| now_nanos), now_nanos }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::{Exposition, MetricKind, Metrics, catalogue};

    const TIMES: Times = Times { start_nanos: 1, now_nanos: 2 };

    fn find<'a>(all: &'a [Metric], name: &str) -> &'a Metric {
        all.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn points(metric: &Metric) -> Vec<(Vec<String>, f64)> {
        let Some(Data::Sum(Sum { data_points, .. }) | Data::Gauge(Gauge { data_points })) =
            &metric.data
        else {
            panic!("no numbers: {metric:?}")
        };
        let label = |pair: &KeyValue| format!("{}={:?}", pair.key, pair.value);
        let value = |point: &NumberDataPoint| match point.value {
            Some(Value::AsInt(count)) => count as f64,
            Some(Value::AsDouble(number)) => number,
            None => f64::NAN,
        };
        data_points.iter().map(|p| (p.attributes.iter().map(label).collect(), value(p))).collect()
    }

    #[test]
    fn every_metric_of_the_catalogue_is_there_under_its_name_and_of_its_kind() {
        let metrics = Metrics::new();
        for metric in catalogue::ALL.iter().filter(|metric| metric.kind != MetricKind::Histogram) {
            let values: Vec<&str> = metric.labels.iter().map(|_| "x").collect();
            match (metric.kind, metric.unit) {
                (MetricKind::Counter, catalogue::MetricUnit::Seconds) => {
                    metrics.seconds(metric, &values).inc_by(0.5);
                }
                (MetricKind::Counter, _) => {
                    metrics.counter(metric, &values).inc_by(3);
                }
                _ => {
                    metrics.gauge(metric, &values).set(3.25);
                }
            }
        }
        let all = super::metrics(&metrics.export(Exposition::OpenMetrics), TIMES);
        for metric in catalogue::ALL {
            let found = find(&all, metric.name);
            assert_eq!(found.description, metric.help);
            let kind = match &found.data {
                Some(Data::Sum(sum)) if sum.is_monotonic => MetricKind::Counter,
                Some(Data::Gauge(_)) => MetricKind::Gauge,
                Some(Data::Histogram(_)) => MetricKind::Histogram,
                other => panic!("{other:?}"),
            };
            assert_eq!(kind, metric.kind, "{}", metric.name);
            let unit = match metric.unit {
                catalogue::MetricUnit::None => "",
                catalogue::MetricUnit::Seconds => "s",
                catalogue::MetricUnit::Bytes => "By",
            };
            assert_eq!(found.unit, unit, "{}", metric.name);
        }
        assert_eq!(all.len(), catalogue::ALL.len());
        assert_eq!(points(find(&all, "processor_commits_total")), [(vec![], 3.0)]);
        assert_eq!(points(find(&all, "processor_process_cpu_seconds_total")), [(vec![], 0.5)]);
    }

    #[test]
    fn labels_with_anything_in_them_come_back() {
        let metrics = Metrics::new();
        let odd = "a\"b\\c\nd} 7,e=\"";
        metrics.counter(&catalogue::RECORDS_READ, &[odd]).inc_by(5);
        let all = super::metrics(&metrics.export(Exposition::OpenMetrics), TIMES);
        let Some(Data::Sum(sum)) = &find(&all, "processor_records_read_total").data else {
            panic!()
        };
        assert_eq!(sum.data_points[0].attributes, [text("pipeline", odd)]);
        assert_eq!(sum.data_points[0].value, Some(Value::AsInt(5)));
        assert_eq!(
            (sum.data_points[0].start_time_unix_nano, sum.data_points[0].time_unix_nano),
            (1, 2)
        );
    }

    #[test]
    fn buckets_hold_what_is_in_them_alone() {
        let metrics = Metrics::new();
        let durations = metrics.durations(&catalogue::COMMIT_DURATION);
        for ms in [1, 1, 40, 100_000_000] {
            durations.observe(Duration::from_millis(ms));
        }
        let all = super::metrics(&metrics.export(Exposition::OpenMetrics), TIMES);
        let Some(Data::Histogram(histogram)) =
            &find(&all, "processor_commit_duration_seconds").data
        else {
            panic!()
        };
        let point = &histogram.data_points[0];
        assert_eq!(point.count, 4);
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), 4);
        assert_eq!(point.bucket_counts.last(), Some(&1), "beyond the last bound");
        assert!((point.sum.unwrap() - 100_000.042).abs() < 1e-6);
    }
}
