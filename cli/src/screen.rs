//! The terminal as a screen, for live views: [`Screen`] owns it and gives it back whatever happens.

use std::time::Duration;

use ratatui::crossterm::event::{self, KeyCode, KeyModifiers};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc;

use crate::failure::{OrFail, Result};

/// How soon the thread that reads keys notices that nobody wants them any more.
const KEY_POLL: Duration = Duration::from_millis(200);

/// The terminal while the view has it.
pub(crate) struct Screen {
    terminal: DefaultTerminal,
    keys: mpsc::Receiver<Key>,
    instead: &'static str,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The end.
    Quit,
    /// The same view again: the terminal has another size.
    Redraw,
}

impl Screen {
    /// Takes the terminal. `instead` is the option for those whose terminal cannot be taken.
    pub(crate) fn open(instead: &'static str) -> Result<Self> {
        let terminal = ratatui::try_init().or_fail(format_args!("cannot use the terminal; try {instead}"))?;
        let (sender, keys) = mpsc::channel(8);
        std::thread::spawn(move || read_keys(&sender));
        Ok(Self { terminal, keys, instead })
    }

    /// The next key that asks for something.
    pub(crate) async fn key(&mut self) -> Key {
        // A thread that cannot read keys has ended; signals still end the program.
        match self.keys.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }

    /// Shows what `draw` draws.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result {
        let drawn = self.terminal.draw(draw).map(drop);
        drawn.or_fail(format_args!("cannot draw on the terminal; try {}", self.instead))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn read_keys(keys: &mpsc::Sender<Key>) {
    while !keys.is_closed() {
        let read =
            event::poll(KEY_POLL).and_then(|ready| if ready { event::read().map(Some) } else { Ok(None) });
        let key = match read {
            Ok(Some(event)) => meaning(&event),
            Ok(None) => None,
            Err(_) => return,
        };
        if key.is_some_and(|key| keys.blocking_send(key).is_err()) {
            return;
        }
    }
}

fn meaning(event: &event::Event) -> Option<Key> {
    match event {
        event::Event::Resize(..) => Some(Key::Redraw),
        event::Event::Key(key) if key.is_press() => match key.code {
            KeyCode::Char('q') => Some(Key::Quit),
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_and_control_c_quit_and_other_keys_do_nothing() {
        let key = |code, modifiers| meaning(&event::Event::Key(event::KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Key::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(meaning(&event::Event::Resize(1, 1)), Some(Key::Redraw));
    }
}
