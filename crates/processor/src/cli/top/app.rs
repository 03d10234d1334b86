//! What a person has chosen, and what keys of the keyboard do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    keys::{Columns, KeyRow, Order},
    look::Look,
    model::Model,
};
use crate::runtime::PipelineView;

/// Whether the picture goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    GoesOn,
    Quits,
}

/// The picture and what was chosen.
#[expect(clippy::struct_excessive_bools, reason = "independent choices, each with its name")]
#[derive(Debug)]
pub(super) struct App {
    pub(super) model: Model,
    pub(super) address: String,
    pipeline: Option<String>,
    pub(super) order: Order,
    pub(super) is_reversed: bool,
    pub(super) filter: String,
    /// Whether letters go to the filter.
    pub(super) is_typing: bool,
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
    /// Which of the values of the pipeline is shown.
    value: usize,
    /// Keys that are scrolled over.
    pub(super) scrolled: usize,
    /// Rows of keys that the last picture had room for.
    pub(super) page: usize,
}

impl App {
    pub(super) fn new(address: &str, pipeline: Option<String>) -> Self {
        Self {
            model: Model::default(),
            address: address.to_owned(),
            pipeline,
            order: Order::Count,
            is_reversed: false,
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            shows_help: false,
            value: 0,
            scrolled: 0,
            page: 1,
        }
    }

    /// Takes in a look, unless the picture stands still.
    pub(super) fn take(&mut self, look: Look) {
        if !self.is_paused {
            self.model.take(look);
        }
    }

    /// The pipeline that is shown, its number from 1, and how many there are.
    pub(super) fn pipeline(&self) -> Option<(&PipelineView, usize, usize)> {
        let all: Vec<&PipelineView> = self.model.pipelines().collect();
        let chosen = self.pipeline.as_ref();
        let at = all.iter().position(|view| Some(&view.name) == chosen).unwrap_or(0);
        all.get(at).map(|view| (*view, at + 1, all.len()))
    }

    /// The value whose statistics are shown.
    pub(super) fn columns(&self) -> Columns {
        let Some((pipeline, ..)) = self.pipeline() else { return Columns::default() };
        let all = Columns::of(&pipeline.statistics);
        all.get(self.value % all.len().max(1)).cloned().unwrap_or_default()
    }

    /// The keys that are shown, in order.
    pub(super) fn rows(&self) -> Vec<&KeyRow> {
        let Some((pipeline, ..)) = self.pipeline() else { return Vec::new() };
        let columns = self.columns();
        let wanted = self.filter.to_lowercase();
        let is_wanted = |row: &&KeyRow| row.key.to_lowercase().contains(&wanted);
        let mut rows: Vec<&KeyRow> = self.model.keys_of(&pipeline.name).filter(is_wanted).collect();
        rows.sort_by(|one, other| columns.compare(self.order, one, other));
        if self.is_reversed {
            rows.reverse();
        }
        rows
    }

    /// Does what a key stands for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Next {
        if key.kind == KeyEventKind::Release {
            return Next::GoesOn;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if is_control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Next::Quits;
        }
        if self.is_typing {
            self.type_key(key.code);
            return Next::GoesOn;
        }
        if self.shows_help {
            self.shows_help = false;
            return Next::GoesOn;
        }
        match key.code {
            KeyCode::Char('q') => return Next::Quits,
            KeyCode::Char('?' | 'h') => self.shows_help = true,
            KeyCode::Char('s') => self.sort_by(self.order.next()),
            KeyCode::Char('c') => self.sort_by(Order::Count),
            KeyCode::Char('5') => self.sort_by(Order::P50),
            KeyCode::Char('9') => self.sort_by(Order::P95),
            KeyCode::Char('0') => self.sort_by(Order::P99),
            KeyCode::Char('k') => self.sort_by(Order::Key),
            KeyCode::Char('r') => self.is_reversed = !self.is_reversed,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('v') => self.value = self.value.wrapping_add(1),
            KeyCode::Char(' ' | 'p') => self.is_paused = !self.is_paused,
            KeyCode::Esc => self.set_filter(String::new()),
            KeyCode::Tab | KeyCode::Right => self.switch(1),
            KeyCode::BackTab | KeyCode::Left => self.switch(-1),
            code => self.scroll(code),
        }
        Next::GoesOn
    }

    fn type_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.set_filter(String::new());
            }
            KeyCode::Backspace => {
                let mut filter = std::mem::take(&mut self.filter);
                filter.pop();
                self.set_filter(filter);
            }
            KeyCode::Char(letter) if self.filter.len() < 200 => {
                let filter = format!("{}{letter}", self.filter);
                self.set_filter(filter);
            }
            _ => {}
        }
    }

    fn set_filter(&mut self, filter: String) {
        (self.filter, self.scrolled) = (filter, 0);
    }

    fn sort_by(&mut self, order: Order) {
        (self.order, self.scrolled) = (order, 0);
    }

    fn switch(&mut self, by: isize) {
        let names: Vec<String> = self.model.pipelines().map(|view| view.name.clone()).collect();
        let at = self.pipeline().map_or(0, |(_, number, _)| number - 1);
        if !names.is_empty() {
            let count = isize::try_from(names.len()).unwrap_or(1);
            let next = (isize::try_from(at).unwrap_or(0) + by).rem_euclid(count);
            self.pipeline = usize::try_from(next).ok().and_then(|at| names.get(at).cloned());
        }
        (self.value, self.scrolled) = (0, 0);
    }

    fn scroll(&mut self, code: KeyCode) {
        let last = self.rows().len().saturating_sub(self.page);
        let page = self.page.max(1);
        self.scrolled = match code {
            KeyCode::Down | KeyCode::Char('j') => self.scrolled + 1,
            KeyCode::Up => self.scrolled.saturating_sub(1),
            KeyCode::PageDown => self.scrolled + page,
            KeyCode::PageUp => self.scrolled.saturating_sub(page),
            KeyCode::Home => 0,
            KeyCode::End => last,
            _ => self.scrolled,
        }
        .min(last);
    }
}
