//! The parts of the picture.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Cell, Paragraph, Row, Sparkline, Table},
};

use super::{
    app::App,
    keys::{Columns, KeyRow, Order},
};
use crate::{
    cli::shown::safe,
    runtime::{PartitionView, SinkView},
    why::words::{bytes, count, duration, partition_id},
};

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Windows in the sparkline of a key.
const SPARK: usize = 16;

fn head() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// `12.3k`, `456`, `7.8M`.
fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 1e6 => format!("{:.1}M", number / 1e6),
        size if size >= 1e4 => format!("{:.1}k", number / 1e3),
        _ => format!("{number:.0}"),
    }
}

/// A number with about four digits.
fn number(number: Option<f64>) -> String {
    match number {
        None => "–".into(),
        Some(n) if n.abs() >= 1e6 => short(n),
        Some(n) if n.abs() >= 1e3 || n.fract() == 0.0 => format!("{n:.0}"),
        Some(n) if n.abs() >= 10.0 => format!("{n:.1}"),
        Some(n) => format!("{n:.3}"),
    }
}

/// A latency in at most four characters.
fn latency(ms: f64) -> String {
    match ms {
        ms if ms < 99.95 => format!("{ms:.1}"),
        ms if ms < 9_999.5 => format!("{ms:.0}"),
        ms => format!("{:.0}s", ms / 1e3),
    }
}

/// Bars from the least to the greatest number.
pub(super) fn spark(numbers: &[f64], width: usize) -> String {
    let shown = numbers.get(numbers.len().saturating_sub(width)..).unwrap_or_default();
    let least = shown.iter().copied().fold(f64::INFINITY, f64::min);
    let span = shown.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least;
    let bar = |number: &f64| {
        let share = if span > 0.0 { (number - least) / span } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
        let index = (share * 7.0).round() as usize;
        BARS.get(index).copied().unwrap_or('█')
    };
    shown.iter().map(bar).collect()
}

/// Rates and counts of the pipeline.
pub(super) fn throughput(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let Some((pipeline, ..)) = app.pipeline() else { return };
    let block = Block::bordered().title(" throughput ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let rates = app.model.rates(&pipeline.name);
    let lines = vec![
        Line::from(format!("{} records/s", short(rates.read))),
        Line::from(format!(
            "{} results/s  {} in all",
            number(Some(rates.results)),
            short(pipeline.results_emitted as f64)
        )),
        Line::from(format!(
            "late {}  dead {}  filt {}",
            short(pipeline.late_dropped as f64),
            short(pipeline.dead_lettered as f64),
            short(pipeline.filtered as f64)
        )),
    ];
    let [text, line] = Layout::vertical([Constraint::Min(3), Constraint::Length(1)]).areas(inner);
    frame.render_widget(Paragraph::new(lines), text);
    let history = app.model.rate_history(&pipeline.name, usize::from(line.width));
    frame.render_widget(
        Sparkline::default().data(&history).style(Style::new().fg(Color::Cyan)),
        line,
    );
}

/// Quantiles of the stages.
pub(super) fn latencies(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let Some(overview) = app.model.overview() else { return };
    let names = [("processing", "process"), ("event_to_result", "result"), ("commit", "commit")];
    let rows = names.iter().map(|(name, shown)| {
        let cells = match overview.latencies.get(*name) {
            Some(q) => [q.p50_ms, q.p95_ms, q.p99_ms].map(latency),
            None => ["–", "–", "–"].map(str::to_owned),
        };
        Row::new([(*shown).to_owned()].into_iter().chain(cells))
    });
    let widths =
        [Constraint::Fill(1), Constraint::Length(4), Constraint::Length(4), Constraint::Length(4)];
    let table = Table::new(rows, widths)
        .header(Row::new(["ms", "p50", "p95", "p99"]).style(head()))
        .column_spacing(1)
        .block(Block::bordered().title(" latency "));
    frame.render_widget(table, area);
}

/// Commits, checkpoints, sinks, the process.
pub(super) fn commits(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let Some(overview) = app.model.overview() else { return };
    let run = &overview.run;
    let ago = run.last_commit_ms.map(|at| duration(run.at_ms.saturating_sub(at).max(0)));
    let mut lines = vec![Line::from(format!(
        "commits {}  {}",
        count(run.commits),
        ago.map_or_else(|| "–".into(), |ago| format!("{ago} ago"))
    ))];
    if let Some(process) = &overview.process {
        let kept = if process.checkpoints == 0 {
            "none in this run".to_owned()
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
            let at_ms = (process.last_checkpoint_secs * 1e3) as i64;
            let ago = duration(run.at_ms.saturating_sub(at_ms).max(0));
            format!("{}, {ago} ago", process.checkpoints)
        };
        lines.push(Line::from(format!("checkpoints {kept}")));
    }
    lines.push(sinks(overview));
    if let Some(process) = &overview.process {
        let cpus = app.model.cpus.map(|cpus| format!("  cpu {:.0} %", cpus * 100.0));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes")]
        let memory = bytes(process.memory_bytes as u64);
        lines.push(Line::from(format!("memory {memory}{}", cpus.unwrap_or_default())));
    }
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" commits, sinks ")),
        area,
    );
}

fn sinks(overview: &crate::server::api::overview::Overview) -> Line<'static> {
    let sinks = &overview.sinks;
    let is_in_trouble =
        |sink: &&SinkView| sink.failures > 0 || sink.busy_ms.is_some_and(|ms| ms > 2_000);
    let waiting =
        (sinks.waiting_bytes > 0).then(|| format!(", {} wait", bytes(sinks.waiting_bytes)));
    if let Some(sink) = sinks.sinks.iter().find(is_in_trouble) {
        let text = format!("STUCK {}{}", safe(&sink.name), waiting.unwrap_or_default());
        return Line::from(Span::styled(text, Style::new().fg(Color::Red)));
    }
    let names: Vec<String> = sinks.sinks.iter().map(|sink| safe(&sink.name)).collect();
    let names = if names.is_empty() { "in the transaction".into() } else { names.join(", ") };
    Line::from(format!("sinks ok: {names}{}", waiting.unwrap_or_default()))
}

/// Partitions: those that hold the watermark first.
pub(super) fn partitions(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let Some((pipeline, ..)) = app.pipeline() else { return };
    let mut all: Vec<&PartitionView> = pipeline.partitions.iter().collect();
    all.sort_by_key(|p| (!p.holds_watermark, p.watermark_ms, p.partition));
    let room = usize::from(area.height.saturating_sub(3));
    let rows = all.iter().take(room).map(|partition| {
        let lag = partition.watermark_lag_ms.map_or_else(|| "–".into(), duration);
        let state = match partition {
            p if p.has_ended => "ended",
            p if p.is_idle => "idle",
            p if p.is_paused => "paused",
            p if !p.has_spoken => "unheard",
            p if p.is_caught_up => "caught up",
            _ => "reading",
        };
        Row::new([
            Cell::from(if partition.holds_watermark { "▲" } else { " " }),
            Cell::from(safe(&partition_id(partition))),
            Cell::from(lag),
            Cell::from(partition.lag_records.map_or_else(|| "–".into(), count)),
            Cell::from(duration(partition.silent_ms - partition.silent_ms % 1_000)),
            Cell::from(state),
        ])
    });
    let widths = [
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(14),
        Constraint::Length(12),
        Constraint::Length(12),
        Constraint::Length(9),
    ];
    let watermark = match (pipeline.watermark_ms, pipeline.watermark_lag_ms) {
        (Some(w), Some(lag)) => {
            format!(" watermark {}, {} behind ", crate::why::words::instant(w), duration(lag))
        }
        _ => " no watermark yet ".into(),
    };
    let more = all.len().saturating_sub(room);
    let title = if more > 0 { format!("{watermark}({more} more) ") } else { watermark };
    let table = Table::new(rows, widths)
        .header(
            Row::new(["", "partition", "behind", "lag records", "silent for", "state"])
                .style(head()),
        )
        .block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

/// Keys with their newest window.
pub(super) fn keys(frame: &mut Frame<'_>, app: &mut App, area: Rect) {
    let room = usize::from(area.height.saturating_sub(3)).max(1);
    app.page = room;
    let shown_count = app.rows().len();
    app.scrolled = app.scrolled.min(shown_count.saturating_sub(room));
    let rows = app.rows();
    let columns = app.columns();
    let is_wide = area.width >= 100;
    let table_rows =
        rows.iter().skip(app.scrolled).take(room).map(|row| key_row(row, &columns, is_wide));
    let names = if columns.prefix.is_empty() {
        String::new()
    } else {
        format!(" of {}", safe(columns.prefix.trim_end_matches('_')))
    };
    let mark = |order: Order| {
        if app.order == order { if app.is_reversed { "↑" } else { "↓" } } else { "" }
    };
    let head_of = |order: Order| Cell::from(format!("{}{}", order.name(), mark(order)));
    let mut header = vec![
        head_of(Order::Key),
        head_of(Order::Count),
        head_of(Order::P50),
        head_of(Order::P95),
        head_of(Order::P99),
    ];
    let mut widths = vec![
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
    ];
    if is_wide {
        header.push(Cell::from("window ends"));
        widths.push(Constraint::Length(20));
    }
    header.push(Cell::from("last windows"));
    widths.push(Constraint::Length(16));
    let filter = if app.filter.is_empty() {
        String::new()
    } else {
        format!(" with `{}`", safe(&app.filter))
    };
    let title =
        format!(" {} keys{filter}{names}, by {} ", count(shown_count as u64), app.order.name());
    let table = Table::new(table_rows, widths)
        .header(Row::new(header).style(head()))
        .block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

fn key_row(row: &KeyRow, columns: &Columns, is_wide: bool) -> Row<'static> {
    let open = if row.is_open { "○ " } else { "" };
    let mut cells = vec![Cell::from(format!("{open}{}", safe(&row.key)))];
    for order in [Order::Count, Order::P50, Order::P95, Order::P99] {
        cells.push(Cell::from(number(columns.number(row, order))));
    }
    if is_wide {
        let end: String = row.end().chars().take(19).collect();
        cells.push(Cell::from(end));
    }
    cells.push(Cell::from(spark(&columns.history(row), SPARK)));
    Row::new(cells)
}
