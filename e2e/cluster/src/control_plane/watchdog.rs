//! Ends a group of processes when whoever started them is gone, however that came about.
//!
//! The watchdog is a shell that waits for the end of its input. Only we hold the other end of that pipe, so it closes
//! when we drop it and when this process dies. The shell leads the process group of all that it guards; as long as it
//! lives its number is not given away, so "kill my group" cannot hit anybody else.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::{Doing, Result};

/// `read` returns at the end of the input. The folder goes first: the last line ends the shell, too.
const SCRIPT: &str = r#"read _; rm -rf "$1"; kill -KILL 0"#;

pub(super) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Guards a group without members so far. `folder` is removed with them.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "watchdog"]).arg(folder).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { shell: shell.spawn().doing(|| "start /bin/sh".to_owned())? })
    }

    /// Puts a process that is about to be started under guard.
    pub(super) fn guard(&self, command: &mut Command) {
        command.process_group(self.shell.id().cast_signed());
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // `wait` closes our end of the pipe first.
        let _ = self.shell.wait();
    }
}
