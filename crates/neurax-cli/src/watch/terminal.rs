//! `neurax watch` in a build with the feature `watch`.

use super::dashboard::{Dashboard, DashboardKey};
use super::view;
use neurax::prelude::*;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{
    self, Event as TerminalEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use std::io::{IsTerminal, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The time between two looks at the files, which is the delay of the dashboard.
const REFRESH_INTERVAL: Duration = Duration::from_millis(500);

/// The least time between two readings of the files, as a multiple of the time of the last one: the
/// whole log is read, and a long one must not occupy a core.
const REST_OF_READING: u32 = 20;

/// Shows the dashboard of a run directory until `q`.
///
/// # Errors
/// If standard output is no terminal, or cannot be used as one.
pub fn watch(directory: PathBuf) -> Result<()> {
    if !stdout().is_terminal() {
        let why = "expected a terminal as standard output; `neurax report` writes a page";
        return Err(Error::new("watch", why));
    }
    let show = |mut terminal| follow(&mut terminal, Dashboard::new(directory));
    with_terminal(ratatui::try_init, show, ratatui::restore)
}

/// Calls `show` with a terminal of `init`, and `restore` after it. `init` may fail half-way, and
/// restores the terminal after a panic but not after such an error.
///
/// # Errors
/// If `init` or `show` fails.
fn with_terminal<T>(
    init: impl FnOnce() -> std::io::Result<T>,
    show: impl FnOnce(T) -> Result<()>,
    restore: impl FnOnce(),
) -> Result<()> {
    let outcome = init().map_err(|e| failed(&e)).and_then(show);
    restore();
    outcome
}

/// Draws the dashboard whenever the files change or a key is pressed, until `q`.
fn follow(terminal: &mut DefaultTerminal, mut dashboard: Dashboard) -> Result<()> {
    let mut due = Instant::now();
    loop {
        let start = Instant::now();
        if start >= due {
            dashboard.refresh();
            due = Instant::now() + start.elapsed() * REST_OF_READING;
        }
        terminal.draw(|frame| view::draw(frame, &dashboard)).map_err(|e| failed(&e))?;
        if !event::poll(REFRESH_INTERVAL).map_err(|e| failed(&e))? {
            continue;
        }
        let TerminalEvent::Key(pressed) = event::read().map_err(|e| failed(&e))? else { continue };
        match meaning(pressed) {
            Some(DashboardKey::Quit) => return Ok(()),
            Some(key) => dashboard.press(key),
            None => {}
        }
    }
}

/// Returns what a key means; nothing when it is released. In a raw terminal, Ctrl-C is a key.
fn meaning(pressed: KeyEvent) -> Option<DashboardKey> {
    if pressed.kind != KeyEventKind::Press {
        return None;
    }
    match pressed.code {
        KeyCode::Char('q') | KeyCode::Esc => Some(DashboardKey::Quit),
        KeyCode::Char('c') if pressed.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(DashboardKey::Quit)
        }
        KeyCode::Right | KeyCode::Down | KeyCode::Tab => Some(DashboardKey::Next),
        KeyCode::Left | KeyCode::Up | KeyCode::BackTab => Some(DashboardKey::Previous),
        _ => None,
    }
}

fn failed(e: &std::io::Error) -> Error {
    Error::new("watch", format!("cannot use the terminal: {e}"))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
