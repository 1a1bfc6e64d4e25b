//! How a command fails: what was wrong, and what to do about it.
//!
//! Every failure that a person can do something about carries a hint. Both lines go to stderr; the exit code is 1 (clap
//! uses 2 for a command line that it cannot read).

use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style};

use crate::called_as::CalledAs;

/// What a command returns.
pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Why a command could not do what it was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    message: String,
    details: String,
    hints: Vec<String>,
}

impl Failure {
    /// A failure with a lower-case message without a full stop.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), details: String::new(), hints: Vec::new() }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds lines that stand between the message and the hints, as they are.
    pub(crate) fn details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// Message, details and hints, as one text without the word `error`.
    pub(crate) fn text(&self) -> String {
        let text = self.to_string();
        text.strip_prefix("error: ").unwrap_or(&text).to_owned()
    }

    /// Writes it to stderr, in colours if that is a terminal.
    pub(crate) fn print(&self) {
        let error = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        anstream::eprintln!("{error}error:{error:#} {}", self.message);
        if !self.details.is_empty() {
            anstream::eprintln!("{}", self.details.trim_end());
        }
        let hint = Style::new().bold().fg_color(Some(AnsiColor::Cyan.into()));
        for text in self.hints.iter().map(|text| CalledAs::now().words(text)) {
            anstream::eprintln!("{hint}hint:{hint:#} {text}");
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if !self.details.is_empty() {
            write!(f, "\n{}", self.details.trim_end())?;
        }
        self.hints.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

/// Turns the errors of libraries into failures that say what was being done.
pub(crate) trait OrFail<T> {
    /// The failure's message is `what`, a colon and the error.
    fn or_fail(self, what: impl Display) -> Result<T>;
}

impl<T, E: Display> OrFail<T> for std::result::Result<T, E> {
    fn or_fail(self, what: impl Display) -> Result<T> {
        self.map_err(|error| Failure::new(format!("{what}: {error}")))
    }
}
