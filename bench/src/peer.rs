//! This program, or another one, in a process of its own.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// A process that we talk with: this program in a hidden role, or another. It ends when its standard input does.
pub(crate) struct Peer {
    child: Child,
    pid: u32,
    lines: BufReader<ChildStdout>,
    /// What it writes to its standard error.
    log: NamedTempFile,
}

impl Peer {
    /// Starts it.
    pub(crate) fn start(role: &str, environment: &BTreeMap<&str, String>) -> Result<Self> {
        Self::spawn(Command::new(std::env::current_exe()?).arg(role).envs(environment))
    }

    /// Starts another program, which then is to do the same.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let log = NamedTempFile::new()?;
        let program = command.as_std().get_program().to_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.reopen()?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take().context("its standard output is piped")?;
        let pid = child.id().context("it has just been started")?;
        Ok(Self { child, pid, lines: BufReader::new(stdout), log })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a line.
    pub(crate) async fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("its standard input is piped")?;
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(())
    }

    /// The next line that it prints; an error with its log if it ends instead.
    pub(crate) async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.lines.read_line(&mut line).await? == 0 {
            bail!("the other process has ended:\n{}", std::fs::read_to_string(self.log.path())?);
        }
        Ok(line.trim_end().to_owned())
    }

    /// Lets it end.
    pub(crate) async fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("the other process has failed:\n{}", std::fs::read_to_string(self.log.path())?);
        }
        Ok(())
    }
}

/// Waits until the process that started this one closes our standard input.
pub(crate) async fn parent_is_done() -> Result<()> {
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    Ok(())
}
