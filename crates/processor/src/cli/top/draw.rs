//! The picture: what goes where.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph},
};

use super::{app::App, parts};
use crate::{cli::shown::safe, why::words::duration};

/// Below this there is no room for anything.
const LEAST: (u16, u16) = (40, 10);

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        frame.render_widget(Paragraph::new("the terminal is too small"), area);
        return;
    }
    let partitions = app.pipeline().map_or(0, |(view, ..)| view.partitions.len());
    let partitions = u16::try_from(partitions).unwrap_or(u16::MAX);
    // Borders and the head of the table are three lines.
    let most = (area.height / 4).max(4);
    let [head, summary, middle, keys, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(6),
        Constraint::Length(partitions.saturating_add(3).clamp(4, most)),
        Constraint::Min(4),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(header(app), head);
    if app.model.overview().is_some() {
        summaries(frame, app, summary);
        parts::partitions(frame, app, middle);
        parts::keys(frame, app, keys);
    } else {
        let words = Paragraph::new("waiting for the processor …").block(Block::bordered());
        frame.render_widget(words, summary.union(middle).union(keys));
    }
    frame.render_widget(footer(app), foot);
    if app.shows_help {
        help(frame, area);
    }
}

fn summaries(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let [throughput, latency, rest] = Layout::horizontal([
        Constraint::Percentage(32),
        Constraint::Percentage(32),
        Constraint::Percentage(36),
    ])
    .areas(area);
    parts::throughput(frame, app, throughput);
    parts::latencies(frame, app, latency);
    parts::commits(frame, app, rest);
}

fn header(app: &App) -> Line<'static> {
    let mut spans = vec![
        Span::styled("processor top", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("  {}  ", safe(&app.address))),
    ];
    let warning = Style::new().fg(Color::Black).bg(Color::Yellow);
    if let Some((_, since)) = &app.model.away {
        let ms = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
        let text = format!(" DISCONNECTED for {} ", duration(ms - ms % 1_000));
        spans.extend([Span::styled(text, warning), Span::raw("  ")]);
    }
    if app.is_paused {
        spans.extend([Span::styled(" PAUSED ", warning), Span::raw("  ")]);
    }
    if let Some((pipeline, number, of)) = app.pipeline() {
        let name = safe(&pipeline.name);
        let shown = if of > 1 { format!("{name} ({number}/{of})") } else { name };
        spans.push(Span::styled(format!("{shown}  "), Style::new().fg(Color::Cyan)));
    }
    if let Some(overview) = app.model.overview() {
        let health = &overview.health;
        let colour = if health.ready { Color::Green } else { Color::Red };
        spans.push(Span::styled(health.status.clone(), Style::new().fg(colour)));
        #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
        let up_ms = (health.uptime_secs * 1e3) as i64;
        spans.push(Span::raw(format!("  up {}", duration(up_ms - up_ms % 1_000))));
    }
    Line::from(spans)
}

fn footer(app: &App) -> Line<'static> {
    if app.is_typing {
        return Line::from(format!(
            "filter keys: {}▏  Enter keeps it, Esc clears it",
            safe(&app.filter)
        ));
    }
    if let Some((why, _)) = &app.model.away {
        return Line::from(safe(why));
    }
    let trouble = app.model.overview().and_then(|overview| overview.health.reasons.first());
    if let Some(reason) = trouble {
        let text = format!("{}  (processor why says more)", safe(&reason.reason));
        return Line::from(Span::styled(text, Style::new().fg(Color::Red)));
    }
    Line::from("q quit  ? help  s sort  r reverse  / filter  Tab pipeline  v value  space pause")
}

const HELP: [(&str, &str); 13] = [
    ("q, Ctrl-C", "quit"),
    ("?", "this help"),
    ("s", "sort keys by the next column"),
    ("c 5 9 0 k", "sort by count, p50, p95, p99, key"),
    ("r", "reverse the order"),
    ("/", "filter keys; Esc clears the filter"),
    ("v", "show the next value of the pipeline"),
    ("Tab, ← →", "switch pipeline"),
    ("↑ ↓ PgUp PgDn", "scroll keys; Home and End too"),
    ("space", "hold the picture, and go on"),
    ("", ""),
    ("▲", "the partition holds the watermark"),
    ("○", "the window has not fired: numbers so far"),
];

fn help(frame: &mut Frame<'_>, area: Rect) {
    let height = u16::try_from(HELP.len() + 2).unwrap_or(2).min(area.height);
    let width = 62.min(area.width);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let lines: Vec<Line<'_>> =
        HELP.iter().map(|(key, what)| Line::from(format!(" {key:<16}{what}"))).collect();
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" help ")), place);
}
