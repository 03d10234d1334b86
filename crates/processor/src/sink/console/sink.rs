//! Writes results to standard output.

use std::{
    env,
    io::{self, ErrorKind, IsTerminal, Write},
    sync::Arc,
};

use llm_optimizer_config::settings::ConsoleFormat;

use super::table::ResultTable;
use crate::{
    error::{ProcessorError, ProcessorResult},
    sink::{Output, ResultSink},
};

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleLayout {
    /// One line of JSON per result.
    Ndjson,
    /// A table.
    Table {
        /// Late and early revisions stand out in colour.
        has_colours: bool,
        /// Columns of the terminal; statistics that do not fit are left out.
        max_width: Option<u16>,
    },
}

impl ConsoleLayout {
    /// The layout that `format` asks for, or the one that fits standard output. Colours appear
    /// only on a terminal, and not where `NO_COLOR` is set.
    #[must_use]
    pub fn for_stdout(format: Option<ConsoleFormat>) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match format {
            Some(ConsoleFormat::Ndjson) => Self::Ndjson,
            None if !is_terminal => Self::Ndjson,
            _ => Self::Table {
                has_colours: is_terminal && !no_colour,
                // Asks the terminal; `None` where there is none.
                max_width: comfy_table::Table::new().width(),
            },
        }
    }
}

/// Writes results to standard output or another stream, which is flushed after each delivery.
///
/// What was written cannot be taken back; a retry goes on where the failed delivery broke off.
/// When nobody reads any more, `deliver` fails so that
/// [`is_broken_pipe`](crate::sink::is_broken_pipe) says yes.
pub struct ConsoleSink {
    stream: Box<dyn Write + Send>,
    encoder: Encoder,
    /// The delivery that failed, and how much of it is written.
    unfinished: Option<Unfinished>,
}

enum Encoder {
    Ndjson,
    Table(ResultTable),
}

struct Unfinished {
    output: Arc<Output>,
    text: Vec<u8>,
    written: usize,
}

impl ConsoleSink {
    /// Writes to standard output.
    #[must_use]
    pub fn stdout(layout: ConsoleLayout) -> Self {
        Self::with_stream(Box::new(io::stdout()), layout)
    }

    /// Writes to `stream`.
    #[must_use]
    pub fn with_stream(stream: Box<dyn Write + Send>, layout: ConsoleLayout) -> Self {
        let encoder = match layout {
            ConsoleLayout::Ndjson => Encoder::Ndjson,
            ConsoleLayout::Table { has_colours, max_width } => {
                Encoder::Table(ResultTable::new(has_colours, max_width))
            }
        };
        Self { stream, encoder, unfinished: None }
    }

    /// The table has a column that says which pipeline a result is of; NDJSON says it anyway.
    #[must_use]
    pub fn naming_pipelines(mut self) -> Self {
        if let Encoder::Table(table) = &mut self.encoder {
            table.name_pipelines();
        }
        self
    }

    fn encode(&mut self, output: &Output) -> Vec<u8> {
        match &mut self.encoder {
            Encoder::Table(table) => table.render(&output.results).into_bytes(),
            Encoder::Ndjson => {
                let mut text = Vec::new();
                for result in &output.results {
                    text.extend_from_slice(&result.json);
                    text.push(b'\n');
                }
                text
            }
        }
    }

    fn write(&mut self, unfinished: &mut Unfinished) -> io::Result<()> {
        while let Some(rest) = unfinished.text.get(unfinished.written..).filter(|r| !r.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => unfinished.written += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.stream.flush()
    }
}

impl ResultSink for ConsoleSink {
    fn name(&self) -> &'static str {
        "console"
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        let mut unfinished = match self.unfinished.take() {
            Some(unfinished) if Arc::ptr_eq(&unfinished.output, output) => unfinished,
            _ => Unfinished { output: Arc::clone(output), text: self.encode(output), written: 0 },
        };
        self.write(&mut unfinished).map_err(|cause| {
            self.unfinished = Some(unfinished);
            failed(cause)
        })
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.stream.flush().map_err(failed)
    }
}

fn failed(cause: io::Error) -> ProcessorError {
    ProcessorError::Io { action: "write", path: "<stdout>".into(), cause }
}
