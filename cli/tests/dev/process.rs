//! A running `greenroom dev`: what it says is waited for, and it is killed with the test, and takes its nodes with it.
//!
//! The tests of `examples/wordcount` include this file.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) struct Dev {
    pub(crate) child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Dev {
    /// Starts it, and waits until it has said this.
    pub(crate) fn start(command: &mut Command, ready: &str) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut dev = Self { child, lines };
        dev.wait_for(ready);
        dev
    }

    pub(crate) fn wait_for(&mut self, wanted: &str) {
        let mut seen = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if line.contains(wanted) {
                return;
            }
            seen.push(line);
        }
        panic!("`greenroom dev` ended without saying {wanted:?}; it said\n{}", seen.join("\n"));
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(mut self) {
        signal(self.child.id().into(), Signal::INT);
        self.wait_for("stopped; the state stays in");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It has ended already if the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(pid: u64, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}
