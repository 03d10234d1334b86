//! The loop: keys, signals, looks; and the terminal as it was, whatever happens.

use std::{
    ffi::c_int,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use super::{
    app::{App, Next},
    draw::draw,
    look::{Look, Looker},
};
use crate::cli::{client::Failure, exit::Exit};

/// How often signals and looks are seen to.
const TICK: Duration = Duration::from_millis(50);
/// How often the picture is drawn anew though nothing came: it shows for how long the processor has been away.
const REFRESH: Duration = Duration::from_secs(1);
/// What ends it.
const SIGNALS: [c_int; 3] = [SIGTERM, SIGINT, SIGHUP];
/// How long the loop has to see a signal.
const GRACE: Duration = Duration::from_secs(1);

/// Shows the processor until somebody quits or a signal comes.
pub(super) fn run(app: App, looker: Looker, every: Duration) -> Result<Exit, Failure> {
    let failed =
        |cause: io::Error| Failure::new(Exit::Io, format!("the terminal cannot be used: {cause}"));
    let ends = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        signal_hook::flag::register(signal, Arc::clone(&ends)).map_err(failed)?;
    }
    end_without_terminal().map_err(failed)?;
    let looks = look_on(looker, every).map_err(failed)?;
    // It is as it was after a panic, too: the hook sees to that.
    let screen = Screen::enter().map_err(failed)?;
    let shown = show(screen, app, &looks, &ends);
    shown.map(|()| Exit::Ok).map_err(failed)
}

/// Ends the process some time after a signal, with the code a shell gives it: crossterm reads a terminal that is gone for
/// ever, so the loop may never see that it has to end.
fn end_without_terminal() -> io::Result<()> {
    let mut signals = Signals::new(SIGNALS)?;
    let watch = move || {
        if let Some(signal) = signals.forever().next() {
            thread::sleep(GRACE);
            std::process::exit(128 + signal);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
}

/// The terminal while it is ours; dropped, it is as it was.
struct Screen(DefaultTerminal);

impl Screen {
    fn enter() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone away needs nothing.
        drop(ratatui::try_restore());
    }
}

/// Looks on a thread of its own: an answer may take a while, keys may not. It ends when nobody listens.
fn look_on(
    mut looker: Looker,
    every: Duration,
) -> io::Result<mpsc::Receiver<Result<Look, String>>> {
    let (found, looks) = mpsc::sync_channel(1);
    thread::Builder::new().name("top".into()).spawn(move || {
        loop {
            let begun = Instant::now();
            let look = looker.look().map_err(|failure| failure.message);
            if found.send(look).is_err() {
                return;
            }
            thread::sleep(every.saturating_sub(begun.elapsed()));
        }
    })?;
    Ok(looks)
}

fn show(
    mut screen: Screen,
    mut app: App,
    looks: &mpsc::Receiver<Result<Look, String>>,
    ends: &AtomicBool,
) -> io::Result<()> {
    let mut drawn: Option<Instant> = None;
    while !ends.load(Ordering::Relaxed) {
        let mut is_new = drawn.is_none_or(|at| at.elapsed() >= REFRESH);
        while let Ok(look) = looks.try_recv() {
            is_new = true;
            match look {
                Ok(look) => app.take(look),
                Err(why) => app.model.lost(why),
            }
        }
        if is_new {
            screen.0.draw(|frame| draw(frame, &mut app))?;
            drawn = Some(Instant::now());
        }
        if event::poll(TICK)? {
            // Whatever it is, the picture may be another one: a key, or the size.
            drawn = None;
            if let Event::Key(key) = event::read()?
                && app.press(key) == Next::Quits
            {
                return Ok(());
            }
        }
    }
    Ok(())
}
