//! A node as a process of its own, from its start to its end.
//!
//! Each process gets a group of its own, so that Ctrl-C in the terminal reaches `greenroom dev` alone, which then stops
//! its nodes in order; and a pipe as stdin that nobody writes to: when the parent is gone, however that came about, the
//! node reads its end and stops.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{self, ChildStdin, Command};
use tokio::sync::watch;

use super::logs;
use super::run::Stopped;

/// How long a node may take to finish its turns and flush before it is killed.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A program to be started.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    /// The file.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// What is added to the environment; of two values for one name the later counts.
    pub(crate) env: Vec<(String, String)>,
    /// Where its output goes.
    pub(crate) log: PathBuf,
}

/// A process that runs.
#[derive(Debug)]
pub(crate) struct RunningChild {
    child: process::Child,
    pid: Pid,
    /// Closed with the run, which is what tells the node that its parent is gone.
    _stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts the process.
    pub(crate) fn spawn(&self) -> io::Result<RunningChild> {
        let log = logs::open(&self.log)?;
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| named(&self.program, &error))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the process has no id"))?;
        Ok(RunningChild { _stdin: child.stdin.take(), child, pid })
    }
}

fn named(program: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", program.display()))
}

impl RunningChild {
    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until the process ends. Dropping the future changes nothing.
    pub(crate) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => how(status),
            Err(error) => format!("cannot be waited for: {error}"),
        }
    }

    /// Asks the process to stop and waits until it has. It is killed after [`STOP_TIMEOUT`], or as soon as `hurry`
    /// becomes true.
    pub(crate) async fn stop(mut self, hurry: &mut watch::Receiver<bool>) -> Stopped {
        self.signal(Signal::TERM);
        tokio::select! {
            biased;
            _ = self.child.wait() => return Stopped::Cleanly,
            _ = hurry.wait_for(|hurry| *hurry) => {}
            () = tokio::time::sleep(STOP_TIMEOUT) => {}
        }
        self.signal(Signal::KILL);
        // Only an error of the system ends this without an end of the process, and then there is nothing left to do.
        let _ = self.child.wait().await;
        Stopped::Killed
    }

    /// Sends a signal to the process and to what it started. The id is still ours: only `wait`, with this very
    /// `&mut self`, gives it back to the system.
    fn signal(&mut self, signal: Signal) {
        // It fails if all of them have ended already.
        let _ = kill_process_group(self.pid, signal);
    }
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(9)) => "killed by SIGKILL".to_owned(),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_reads_the_end_of_its_stdin_when_its_parent_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let launch = Child {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), "read line; echo the parent is gone".into()],
            env: Vec::new(),
            log: dir.path().join("demo-0.log"),
        };
        let RunningChild { mut child, _stdin, .. } = launch.spawn().unwrap();
        assert!(child.try_wait().unwrap().is_none());
        drop(_stdin);
        child.wait().await.unwrap();
        assert_eq!(logs::tail(&launch.log, 1), ["the parent is gone"]);
    }
}
