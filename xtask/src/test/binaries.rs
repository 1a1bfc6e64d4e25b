//! The test binaries of the workspace: built in one go, then run beside each other.
//!
//! `cargo test` runs one binary at a time, and most of ours wait: for leases that run out, for API servers that start.
//! So there are as many lanes as cores, and each takes the next binary when it is free. What a binary prints is kept
//! and shown when it has ended: nothing is mixed. It runs in the folder of its package, as under cargo.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Artifact, Message};

use super::libtest::Tally;
use crate::workspace;

/// A built test binary.
#[derive(Debug)]
pub(super) struct Binary {
    /// As a person looks for it: `runtime/node/tests/calls.rs`.
    source: String,
    /// Where its `Cargo.toml` lies.
    package: PathBuf,
    program: PathBuf,
}

/// Builds all test binaries.
pub(super) fn build() -> Result<Vec<Binary>> {
    let mut command = super::cargo();
    command.args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    super::announce(&command);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = BufReader::new(child.stdout.take().expect("its output is piped"));
    let mut binaries = Vec::new();
    for message in Message::parse_stream(output) {
        if let Message::CompilerArtifact(artifact) = message.context("cannot read what cargo says")? {
            binaries.extend(Binary::of(artifact));
        }
    }
    ensure!(child.wait()?.success(), "the tests do not compile, see above");
    Ok(binaries)
}

/// Runs all of them with these arguments and shows on `screen` what they print; what that said, and whether all of them
/// were content.
pub(super) fn run(
    binaries: Vec<Binary>,
    arguments: &[String],
    rigs: bool,
    screen: impl Write + Send,
) -> Result<(Tally, bool)> {
    let lanes = std::thread::available_parallelism().map_or(1, usize::from);
    let waiting = Mutex::new(binaries.into_iter());
    let together = Mutex::new((Tally::default(), true, screen));
    std::thread::scope(|scope| {
        let lane = || -> Result<()> {
            let next = || waiting.lock().expect("no lane panics while it takes a binary").next();
            while let Some(binary) = next() {
                let (output, success, took) = binary.run(arguments, rigs)?;
                let mut together = together.lock().expect("no lane panics while it shows a result");
                String::from_utf8_lossy(&output).lines().for_each(|line| together.0.read(line));
                together.1 &= success;
                binary.show(&output, took, &mut together.2)?;
            }
            Ok(())
        };
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().try_for_each(|lane| lane.join().expect("a lane returns its errors"))
    })?;
    let (tally, success, _) = together.into_inner().expect("no lane panics while it shows a result");
    Ok((tally, success))
}

impl Binary {
    /// The binary in this artifact, if it is one of tests.
    fn of(artifact: Artifact) -> Option<Self> {
        let program = artifact.executable.filter(|_| artifact.profile.test)?;
        let source = artifact.target.src_path.into_std_path_buf();
        let source = source.strip_prefix(workspace::root()).unwrap_or(&source).display().to_string();
        let package = artifact.manifest_path.parent()?.to_owned();
        Some(Self { source, package: package.into(), program: program.into() })
    }

    /// Runs it to its end: its output, whether it succeeded, and how long it took.
    fn run(&self, arguments: &[String], rigs: bool) -> Result<(Vec<u8>, bool, Duration)> {
        // A file and no pipe: a process that a test leaves behind would keep a pipe open, and us waiting.
        let output = tempfile::NamedTempFile::new().context("cannot make a file for the output of a test")?;
        let mut command = self.command(arguments, rigs);
        command.stdout(append(output.path())?).stderr(append(output.path())?);
        let start = Instant::now();
        let status = command.status().with_context(|| format!("cannot start {}", self.program.display()))?;
        let output = std::fs::read(output.path()).context("cannot read the output of a test")?;
        Ok((output, status.success(), start.elapsed()))
    }

    /// With the folder and the variables that cargo would give it. Tests of macros load a library of the compiler; where
    /// that lies stands in `LD_LIBRARY_PATH`, as `cargo xtask` has set it for us.
    fn command(&self, arguments: &[String], rigs: bool) -> Command {
        let mut command = workspace::command(&self.program);
        command.args(arguments).current_dir(&self.package);
        command.env("CARGO_MANIFEST_DIR", &self.package);
        command.env("E2E_RIGS", if rigs { "1" } else { "0" });
        command
    }

    fn show(&self, output: &[u8], took: Duration, screen: &mut impl Write) -> Result<()> {
        writeln!(screen, "\n── {} ── {:.1} s", self.source, took.as_secs_f64())?;
        Ok(screen.write_all(output)?)
    }
}

/// Two handles that append to one file do not overwrite each other.
fn append(path: &Path) -> Result<File> {
    File::options().append(true).open(path).with_context(|| format!("cannot open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::libtest::Counts;
    use super::*;

    /// Runs these scripts in the place of test binaries, each in a folder of its own.
    fn run_scripts(scripts: &[&str]) -> (Counts, bool) {
        let folder = tempfile::tempdir().unwrap();
        let binary = |(number, script): (usize, &&str)| {
            let package = folder.path().join(number.to_string());
            std::fs::create_dir(&package).unwrap();
            std::fs::write(package.join("script"), script).unwrap();
            Binary { source: "script".into(), package, program: "/bin/sh".into() }
        };
        let binaries = scripts.iter().enumerate().map(binary).collect();
        // Not on the real screen: our own results are read from there, and those of the scripts are none of them.
        let (tally, success) =
            run(binaries, &["-c".into(), ". ./script".into()], false, std::io::sink()).unwrap();
        (tally.counts, success)
    }

    const PASSED: &str = "echo 'test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured'";

    #[test]
    fn results_of_all_binaries_are_added_up() {
        let (counts, success) = run_scripts(&[PASSED, PASSED, PASSED]);
        assert_eq!((counts, success), (Counts { passed: 6, failed: 0, skipped: 3 }, true));
    }

    #[test]
    fn a_binary_that_fails_before_the_last_one_is_not_forgotten() {
        assert!(!run_scripts(&["exit 101", PASSED, PASSED]).1);
    }

    #[test]
    fn output_is_whole_and_in_order_and_a_process_that_outlives_the_test_is_not_waited_for() {
        let start = Instant::now();
        let both = format!("sleep 30 & echo out; echo err >&2; {PASSED}");
        let package = std::env::temp_dir();
        let binary = Binary { source: "script".into(), package, program: "/bin/sh".into() };
        let (output, _, _) = binary.run(&["-c".into(), both], false).unwrap();
        assert!(output.starts_with(b"out\nerr\ntest result"), "{}", String::from_utf8_lossy(&output));
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}
