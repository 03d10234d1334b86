//! `top`: a running processor at a glance, in the terminal.
//!
//! | file | subject |
//! | --- | --- |
//! | `look` | asks the processor |
//! | `model` | what is known: rates, keys and their last windows |
//! | `keys` | the table of keys: order, filter, statistics |
//! | `app` | what a person has chosen: pipeline, order, filter, pause |
//! | `draw`, `parts` | the picture |
//! | `terminal` | the loop: keys, signals, and the terminal as it was |

mod app;
mod draw;
mod keys;
mod look;
mod model;
mod parts;
mod terminal;
#[cfg(test)]
mod tests;

use std::{io::IsTerminal, thread, time::Duration};

use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

use self::{app::App, look::Looker, model::Model};
use super::{
    client::{Client, Failure},
    exit::{Exit, print},
    live_args::TopArgs,
};

/// Shows a running processor until somebody quits, or once.
pub(super) fn top(args: &TopArgs) -> Exit {
    let shown = Client::of(&args.server).and_then(|client| {
        if args.once || args.output.is_json() {
            return once(client, args);
        }
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            let message =
                "top needs a terminal; --once prints one picture, --output json the numbers";
            return Err(Failure::new(Exit::Usage, message));
        }
        let app = App::new(client.address(), args.pipeline.clone());
        terminal::run(app, Looker::new(client), Duration::from_secs_f64(args.every))
    });
    shown.unwrap_or_else(Failure::tell)
}

/// Two looks, so that there are rates, and what they show.
fn once(client: Client, args: &TopArgs) -> Result<Exit, Failure> {
    let mut app = App::new(client.address(), args.pipeline.clone());
    let mut looker = Looker::new(client);
    app.take(looker.look()?);
    thread::sleep(Duration::from_secs_f64(args.every));
    app.take(looker.look()?);
    if let Some(name) = args.pipeline.as_ref().filter(|name| !app.model.has_pipeline(name)) {
        return Err(Failure::new(Exit::Usage, format!("there is no pipeline `{name}`")));
    }
    if args.output.is_json() {
        return Ok(print(format!("{:#}\n", json(&app.model)).as_bytes()));
    }
    Ok(print(picture(&mut app, args.width, args.height).as_bytes()))
}

fn json(model: &Model) -> serde_json::Value {
    let rates: serde_json::Map<String, serde_json::Value> = model
        .pipelines()
        .map(|pipeline| {
            let rates = model.rates(&pipeline.name);
            let shown = serde_json::json!({
                "records_read_per_sec": rates.read, "accepted_per_sec": rates.accepted,
                "results_per_sec": rates.results,
            });
            (pipeline.name.clone(), shown)
        })
        .collect();
    let keys: Vec<serde_json::Value> = model
        .pipelines()
        .flat_map(|pipeline| model.keys_of(&pipeline.name))
        .map(keys::KeyRow::json)
        .collect();
    serde_json::json!({ "overview": model.overview(), "rates": rates, "keys": keys })
}

/// The picture as text.
fn picture(app: &mut App, width: u16, height: u16) -> String {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| draw::draw(frame, app));
    text_of(terminal.backend().buffer())
}

fn text_of(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut text = String::new();
    for line in buffer.content.chunks(width) {
        let line: String = line.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
