//! The store directory: what is refused, and with which words.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use common::{Engine, Rig, commit, durable, load, open, open_quietly};
use greenroom_core::Incarnation;
use greenroom_core::journal::Journal;
use greenroom_store::StoreError;

fn refusal(dir: &Path, cluster: &str) -> StoreError {
    open_quietly(dir, cluster).expect_err("this store is refused")
}

/// Replaces a part of `store.json`.
fn edit_identity(dir: &Path, from: &str, to: &str) {
    let path = dir.join("store.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_store_keeps_its_id_and_counts_its_runs() {
    let dir = tempfile::tempdir().unwrap();
    let first = open_quietly(&dir.path().join("a/b"), "test").unwrap().run();
    assert_eq!(first.store.0.get_version_num(), 7);
    assert_eq!(first.incarnation, Incarnation(1));
    let second = open_quietly(&dir.path().join("a/b"), "test").unwrap().run();
    assert_eq!((second.store, second.incarnation), (first.store, Incarnation(2)));
}

#[test]
fn a_live_store_is_not_opened_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_quietly(dir.path(), "test").unwrap();
    let error = refusal(dir.path(), "test");
    assert!(matches!(error, StoreError::Locked { pid, .. } if pid == Some(std::process::id())), "{error}");
    assert!(error.to_string().contains(&format!("by process {}", std::process::id())), "{error}");
    store.close().unwrap();
    let next = open_quietly(dir.path(), "test").unwrap();
    assert_eq!(next.run().incarnation, Incarnation(2), "the refused one has not begun a run");
    assert!(!dir.path().join("store.db.new").exists());
}

#[test]
fn a_store_of_another_cluster_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    open_quietly(dir.path(), "lobby").unwrap();
    let error = refusal(dir.path(), "arena").to_string();
    assert!(error.contains("belongs to cluster \"lobby\", not to \"arena\""), "{error}");
}

#[test]
fn another_format_or_engine_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    open_quietly(dir.path(), "test").unwrap();
    edit_identity(dir.path(), "\"sqlite\"", "\"lmdb\"");
    let error = refusal(dir.path(), "test").to_string();
    assert!(error.contains("kept by engine \"lmdb\", not by \"sqlite\""), "{error}");
    // A later format may have anything else in it.
    fs::write(dir.path().join("store.json"), r#"{"format": 7, "name": "x"}"#).unwrap();
    let error = refusal(dir.path(), "test").to_string();
    assert!(error.contains("has format 7, this version knows format 2 only"), "{error}");
}

#[test]
fn missing_and_damaged_files_are_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    open_quietly(dir.path(), "test").unwrap();
    let identity = fs::read(dir.path().join("store.json")).unwrap();

    fs::write(dir.path().join("store.json"), &identity[..20]).unwrap();
    let error = refusal(dir.path(), "test").to_string();
    assert!(error.contains("store.json is damaged"), "{error}");

    fs::remove_file(dir.path().join("store.json")).unwrap();
    let error = refusal(dir.path(), "test").to_string();
    assert!(error.contains("has a database but no store.json"), "{error}");

    fs::write(dir.path().join("store.json"), &identity).unwrap();
    fs::rename(dir.path().join("store.db"), dir.path().join("elsewhere")).unwrap();
    let error = refusal(dir.path(), "test").to_string();
    assert!(error.contains("has no database, though it was run 1 times"), "{error}");

    fs::rename(dir.path().join("elsewhere"), dir.path().join("store.db")).unwrap();
    assert_eq!(open_quietly(dir.path(), "test").unwrap().run().incarnation, Incarnation(2));
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open_quietly(dir.path(), "test").unwrap();
    fs::write(dir.path().join("store.db"), vec![7; 8192]).unwrap();
    let error = refusal(dir.path(), "test");
    assert!(matches!(error, StoreError::Engine(_)), "{error}");
    assert!(error.to_string().contains("not a database"), "{error}");
}

#[test]
fn a_failed_write_ends_the_run_and_tells_the_sink_nothing() {
    let rig = Rig::new(Engine::Sqlite);
    rig.commit([open(5, 1, 1, 0), commit(5, 1, 2, "Counter/a")]);
    let other = rusqlite::Connection::open(rig.dir.path().join("store.db")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER no BEFORE INSERT ON calls BEGIN SELECT RAISE(ABORT, 'disk on fire'); END",
        )
        .unwrap();
    rig.append([commit(5, 1, 3, "Counter/a")]);
    let failure = rig.failure();
    assert!(failure.contains("could not be made durable") && failure.contains("disk on fire"), "{failure}");
    assert!(rig.told.try_recv().is_err(), "the sink is told nothing");
    assert!(rig.store.append(commit(5, 1, 4, "Counter/a")).is_err());
    assert_eq!(rig.load(5, "Counter/a").state, Some("state 2".into()));
    assert_eq!(rig.store.shards().unwrap(), [durable(5, 1, 2)]);
}

#[test]
fn the_database_itself_refuses_two_records_in_one_place() {
    let rig = Rig::new(Engine::Sqlite);
    rig.commit([open(5, 1, 1, 0), commit(5, 1, 2, "Counter/a")]);
    let other = rusqlite::Connection::open(rig.dir.path().join("store.db")).unwrap();
    let error = other.execute("INSERT INTO records SELECT * FROM records WHERE seq = 2", []).unwrap_err();
    assert!(error.to_string().contains("UNIQUE constraint failed: records.shard, records.seq"), "{error}");
}

#[test]
fn closing_leaves_one_database_file_and_the_log_stays_short() {
    let rig = Rig::new(Engine::Sqlite);
    rig.commit([open(5, 1, 1, 0)]);
    let log = rig.dir.path().join("store.db-wal");
    for seq in 2..2000 {
        let actor = format!("Counter/{seq}");
        rig.commit([commit(5, 1, seq, &actor)]);
    }
    // 1,000 pages of 4 KiB, and what one group may add before it is looked at.
    let bytes = fs::metadata(&log).unwrap().len();
    assert!(bytes < 5 << 20, "the write-ahead log has {bytes} bytes");
    rig.store.close().unwrap();
    assert!(!log.exists());
    assert!(!rig.dir.path().join("store.db-shm").exists());
    let store = open_quietly(rig.dir.path(), "test").unwrap();
    assert_eq!(load(&store, 5, "Counter/1999").state, Some("state 1999".into()));
}

#[test]
fn old_calls_and_records_leave_the_tables() {
    let rig = Rig::with(Engine::Sqlite, |options| options.retention = common::retention(100, 80, 20));
    rig.commit([open(5, 1, 1, 0)]);
    // Half of the calls go by time and of actors that never commit again, half of them by number.
    rig.commit((2..1000).map(|seq| common::commit_at(5, 1, seq, &format!("Counter/{seq}"), seq)));
    rig.commit((1000..2000).map(|seq| common::commit_at(5, 1, seq, "Counter/a", 1000)));
    for seq in 2000..2100 {
        rig.commit([common::commit_at(5, 1, seq, "Counter/b", 2000)]);
    }
    let tables = rusqlite::Connection::open(rig.dir.path().join("store.db")).unwrap();
    let rows = |table: &str| {
        let count = format!("SELECT count(*) FROM {table}");
        tables.query_row(&count, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert!(rows("calls") <= 100 + 64, "{} calls", rows("calls"));
    assert!((20..=36).contains(&rows("records")), "{} records", rows("records"));
    assert_eq!(rows("actors"), 1000);
}
