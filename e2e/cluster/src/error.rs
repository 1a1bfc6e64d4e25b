//! What can go wrong with a cluster on this machine. Every message ends with what to do about it, where that is known.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This machine lacks something; the text says what, and how to get it.
    #[error("{0}")]
    Missing(String),
    /// What was asked for cannot be done; the text says why.
    #[error("{0}")]
    Refused(String),
    /// The operating system refused a call.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, as a verb and its object.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program that we ran came back with a failure.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// Something did not become ready in time, or ended instead.
    #[error("{what} was not ready after {} s; the end of its log:\n{log}", waited.as_secs())]
    NotReady {
        /// What we waited for.
        what: String,
        /// For how long.
        waited: Duration,
        /// The last lines of its log.
        log: String,
    },
    /// A key or certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The API server did not do what we asked of it.
    #[error("the API server refused: {0}")]
    Kube(#[source] Box<kube::Error>),
    /// A kubeconfig could not be used.
    #[error("cannot use the kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Kube(Box::new(error))
    }
}

/// Says what an I/O error interrupted.
pub(crate) trait Doing<T> {
    /// `what` is a verb and its object: "read /etc/hosts".
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}

/// Runs `command` to its end and returns what it printed; a failure carries the end of its output.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let line = line_of(command);
    let Output { status, stdout, stderr } = command.output().doing(|| format!("start `{line}`"))?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if status.success() {
        return Ok(stdout);
    }
    let output = last_lines(&format!("{stdout}{}", String::from_utf8_lossy(&stderr)), 20);
    Err(Error::Command { command: line, status: status.to_string(), output })
}

fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The last `count` lines of a log, or a note that there is none.
pub(crate) fn tail(log: &Path, count: usize) -> String {
    match std::fs::read(log) {
        Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes), count),
        Err(error) => format!("(no log at {}: {error})", log.display()),
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
