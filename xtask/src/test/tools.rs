//! The tools that a fresh machine with Rust may lack, and how each is installed.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// A subcommand of cargo that has to be installed.
#[derive(Clone, Copy)]
pub(super) enum Tool {
    Rustfmt,
    Clippy,
    Deny,
}

impl Tool {
    /// The subcommand, and the command line that installs it.
    fn facts(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Rustfmt => ("fmt", &["rustup", "component", "add", "rustfmt"]),
            Self::Clippy => ("clippy", &["rustup", "component", "add", "clippy"]),
            // Not optimised: it runs for a second, but takes minutes to optimise.
            Self::Deny => {
                ("deny", &["cargo", "install", "--locked", "--debug", "cargo-deny", "--version", "0.20.2"])
            }
        }
    }

    /// Whether the tool runs on this machine, in whatever version.
    pub(super) fn is_there(self) -> bool {
        let (subcommand, _) = self.facts();
        let mut probe = super::cargo();
        probe.args([subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }

    /// Says that the tool is missing and how to get it.
    pub(super) fn missing(self) -> String {
        let (subcommand, install) = self.facts();
        let install = install.join(" ");
        format!("`cargo {subcommand}` is not installed; add --install, or run `{install}`")
    }

    pub(super) fn install(self) -> Result<()> {
        let (subcommand, install) = self.facts();
        let mut command = workspace::command(install[0]);
        command.args(&install[1..]);
        super::announce(&command);
        let status = command.status().with_context(|| format!("cannot start {}", install[0]))?;
        ensure!(status.success() && self.is_there(), "`cargo {subcommand}` could not be installed");
        Ok(())
    }
}
