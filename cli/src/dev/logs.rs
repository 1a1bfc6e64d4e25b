//! The log files of the nodes: one per node and run of `greenroom dev`, the one before kept as `.log.1`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How much of the end of a file is read to find its last lines.
const TAIL_BYTES: u64 = 16 * 1024;

/// Puts the log of the run before aside.
pub(crate) fn rotate(log: &Path) -> io::Result<()> {
    match fs::rename(log, log.with_extension("log.1")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The file for a process to write into, behind what it holds.
pub(crate) fn open(log: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(log)
}

/// The last lines of a file, at most `count`; none if it cannot be read.
pub(crate) fn tail(log: &Path, count: usize) -> Vec<String> {
    let start =
        fs::metadata(log).map(|metadata| metadata.len().saturating_sub(TAIL_BYTES)).unwrap_or_default();
    let mut follower = Follower { path: log.to_owned(), read: start, rest: String::new() };
    let mut lines = follower.new_lines();
    lines.split_off(lines.len().saturating_sub(count))
}

/// Reads what is added to a log file.
#[derive(Debug)]
pub(crate) struct Follower {
    path: PathBuf,
    /// Everything before this was read.
    read: u64,
    /// The begin of a line whose end is not there yet.
    rest: String,
}

impl Follower {
    /// Follows the file from its begin.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, read: 0, rest: String::new() }
    }

    /// The whole lines since the last time; none if the file cannot be read now.
    pub(crate) fn new_lines(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        let reading = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read))?;
            file.take(TAIL_BYTES).read_to_end(&mut bytes)
        });
        self.read += reading.unwrap_or_default() as u64;
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let Some(end) = self.rest.rfind('\n') else { return Vec::new() };
        let rest = self.rest.split_off(end + 1);
        std::mem::replace(&mut self.rest, rest).lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_the_run_before_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("demo-0.log");
        rotate(&log).unwrap();
        fs::write(&log, "old\n").unwrap();
        rotate(&log).unwrap();
        assert!(!log.exists());
        assert_eq!(tail(&dir.path().join("demo-0.log.1"), 5), ["old"]);
    }

    #[test]
    fn the_tail_is_short_and_of_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("long.log");
        let lines: Vec<_> = (0..10_000).map(|i| format!("line {i}")).collect();
        fs::write(&log, lines.join("\n") + "\n").unwrap();
        assert_eq!(tail(&log, 2), ["line 9998", "line 9999"]);
        assert_eq!(tail(&dir.path().join("missing"), 2), Vec::<String>::new());
    }

    #[test]
    fn a_follower_reads_each_line_once_and_waits_for_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("x.log");
        let mut follower = Follower::new(log.clone());
        assert!(follower.new_lines().is_empty());
        fs::write(&log, "one\ntw").unwrap();
        assert_eq!(follower.new_lines(), ["one"]);
        fs::write(&log, "one\ntwo\n").unwrap();
        assert_eq!(follower.new_lines(), ["two"]);
    }
}
