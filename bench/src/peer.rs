//! This program in another process.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// This program in another process, in a hidden role. It ends when its standard input does.
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
        let log = NamedTempFile::new()?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg(role)
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.reopen()?)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("its standard output is piped")?;
        let pid = child.id().context("it has just been started")?;
        Ok(Self { child, pid, lines: BufReader::new(stdout), log })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
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
