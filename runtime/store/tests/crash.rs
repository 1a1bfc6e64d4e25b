//! SIGKILL in the middle of commits, 20 rounds on one store.
//!
//! The child commits from inside the sink: whatever it appends there waits for the committer's next look, so each of
//! its groups is exactly one commit on each of four shards. After a kill all four shards must therefore stand at the
//! same place (all or nothing): the last acknowledged one or the one after it (nothing lost, nothing invented).

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use common::{commit, load, open, open_quietly, position};
use greenroom_core::journal::{Durable, Journal, Position};
use greenroom_core::{Incarnation, Shard};
use greenroom_store::{Store, StoreError, StoreOptions};

const SHARDS: u16 = 4;
const ROUNDS: u64 = 20;
/// With this set, a test is the child that it has started itself, on that store directory.
const DIR: &str = "GREENROOM_TEST_CRASH_DIR";

/// What the child does: it commits for ever, and prints each place that the sink was told.
fn commit_for_ever(dir: &Path) -> ! {
    let slot: Arc<OnceLock<Store>> = Arc::default();
    let sink = {
        let slot = slot.clone();
        let places = Mutex::new([Position::default(); SHARDS as usize]);
        Arc::new(move |told: &[Durable]| {
            let mut places = places.lock().unwrap();
            told.iter().for_each(|d| places[usize::from(d.shard.0)] = d.position);
            // The opening records may come in several groups; from then on all shards move together.
            let place = places[0];
            if places.iter().all(|other| *other == place) {
                println!("\nacknowledged {}", place.seq);
                std::io::stdout().flush().unwrap();
                let next = |shard| commit(shard, place.epoch.0, place.seq.0 + 1, "Counter/a");
                (0..SHARDS).for_each(|shard| slot.wait().append(next(shard)).unwrap());
            } else {
                assert!(places.iter().any(|other| other.seq.0 == 0), "a group was torn: {places:?}");
            }
        })
    };
    let store = Store::open(dir, StoreOptions::new("test"), sink).unwrap();
    let store = slot.get_or_init(|| store);
    for shard in 0..SHARDS {
        let last = common::block_on(store.last(Shard(shard))).unwrap();
        store.append(open(shard, store.run().incarnation.0, last.seq.0 + 1, last.epoch.0)).unwrap();
    }
    loop {
        std::thread::park();
    }
}

/// A running child, and how far it has acknowledged.
struct Running {
    process: Child,
    output: BufReader<ChildStdout>,
    acknowledged: u64,
}

/// This program again, running one test as the child.
fn child(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(DIR, dir);
    command
}

impl Running {
    fn start(test: &str, dir: &Path) -> Self {
        let mut process = child(test, dir).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output, acknowledged: 0 }
    }

    /// Reads the next acknowledgement; false at the end of the output.
    fn acknowledgement(&mut self) -> bool {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            let number = line.strip_prefix("acknowledged ").and_then(|rest| rest.strip_suffix('\n'));
            if let Some(number) = number {
                self.acknowledged = number.parse().unwrap();
                return true;
            }
            line.clear();
        }
        false
    }

    /// Kills the child and returns the last place that it acknowledged.
    fn kill(mut self) -> u64 {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        while self.acknowledgement() {}
        self.acknowledged
    }
}

#[test]
fn killed_in_the_middle_of_commits_nothing_acknowledged_is_lost_and_groups_are_whole() {
    if let Some(dir) = std::env::var_os(DIR) {
        commit_for_ever(dir.as_ref());
    }
    let test = "killed_in_the_middle_of_commits_nothing_acknowledged_is_lost_and_groups_are_whole";
    let dir = tempfile::tempdir().unwrap();
    // The places of commits, as opposed to opening records.
    let mut commits = Vec::new();
    let mut last = 0;
    for round in 0..ROUNDS {
        let mut running = Running::start(test, dir.path());
        for _ in 0..=(round * 7 % 50) {
            assert!(running.acknowledgement(), "the child ended by itself");
        }
        let pid = running.process.id();
        let refused = open_quietly(dir.path(), "test").unwrap_err();
        assert!(
            matches!(refused, StoreError::Locked { pid: Some(holder), .. } if holder == pid),
            "{refused}"
        );
        let acknowledged = running.kill();

        let store = open_quietly(dir.path(), "test").unwrap();
        assert_eq!(store.run().incarnation, Incarnation(2 * round + 2), "one run of the child, one of ours");
        let place = common::block_on(store.last(Shard(0))).unwrap();
        let seq = place.seq.0;
        assert_eq!(place, position(2 * round + 1, seq));
        assert!((acknowledged..=acknowledged + 1).contains(&seq), "{seq} after {acknowledged}");
        commits.extend(last + 2..=seq);
        last = seq;
        for shard in 0..SHARDS {
            assert_eq!(common::block_on(store.last(Shard(shard))).unwrap(), place, "groups are whole");
            let actor = load(&store, shard, "Counter/a");
            let calls: Vec<_> = actor.calls.iter().map(|(seq, _)| seq.0).collect();
            assert_eq!(calls, commits);
            // The last record may be an opening one.
            assert_eq!(actor.state, commits.last().map(|seq| format!("state {seq}").into()));
        }
    }
}

#[test]
fn damage_ends_the_process_with_a_message_unless_told_otherwise() {
    if let Some(dir) = std::env::var_os(DIR) {
        let store = open_quietly(dir.as_ref(), "test").unwrap();
        store.append(commit(5, 1, 7, "Counter/a")).unwrap();
        loop {
            std::thread::park();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let test = "damage_ends_the_process_with_a_message_unless_told_otherwise";
    let output = child(test, dir.path()).output().unwrap();
    assert_eq!(output.status.signal(), Some(6), "it aborts: {:?}", output.status);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("ending the process: refused to write: the record (epoch 1, seq 7"),
        "{message}"
    );
    assert!(open_quietly(dir.path(), "test").unwrap().shards().unwrap().is_empty());
}
