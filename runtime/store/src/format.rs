//! The store directory: making it, recognising it, and counting its runs.
//!
//! `store.json` says what the directory is. It is made first, with incarnation 0, and raised before every run, also the
//! first one. Since nothing is committed before that, incarnation 0 means "no data yet", and whatever formatting has
//! left behind then may be made anew. Each file appears under a temporary name, is synced, and gets its name by a
//! rename; so a crash at any step leaves either nothing or the whole file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use greenroom_core::map::NodeRun;
use greenroom_core::{Incarnation, StoreId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::engine::sqlite;
use crate::error::{StoreError, io};

/// The format that this version reads and writes.
const FORMAT: u32 = 2;
/// The engine that keeps the data.
const ENGINE: &str = "sqlite";

/// Called before each action on the disk, with its name; the tests stop it there. Real runs pass [`no_stop`].
pub(crate) type Step<'a> = &'a mut dyn FnMut(&'static str) -> io::Result<()>;

/// The [`Step`] of real runs.
pub(crate) fn no_stop(_: &'static str) -> io::Result<()> {
    Ok(())
}

/// The content of `store.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    format: u32,
    store: StoreId,
    cluster: String,
    engine: String,
    incarnation: Incarnation,
    /// Why the cluster will never take this store again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// The part of `store.json` that every format has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

/// Where the database is.
pub(crate) fn database(dir: &Path) -> PathBuf {
    dir.join("store.db")
}

/// Creates the directory if it is not there.
pub(crate) fn create_dir(dir: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(dir).map_err(io("create", dir))?;
    match dir.canonicalize().map_err(io("find", dir))?.parent() {
        Some(parent) => sync(parent),
        None => Ok(()),
    }
}

/// Makes sure that the locked directory is a store of this cluster, and begins the next run on it.
pub(crate) fn begin_run(dir: &Path, cluster: &str, step: Step<'_>) -> Result<NodeRun, StoreError> {
    let mut identity = match read(dir)? {
        Some(identity) => identity,
        None => format(dir, cluster, step)?,
    };
    if identity.cluster != cluster {
        return Err(StoreError::Cluster {
            dir: dir.to_owned(),
            found: identity.cluster,
            wanted: cluster.to_owned(),
        });
    }
    if let Some(why) = identity.refused {
        return Err(StoreError::Refused { dir: dir.to_owned(), why });
    }
    if !database(dir).exists() {
        match identity.incarnation.0 {
            0 => create_database(dir, step)?,
            incarnation => return Err(StoreError::NoData { dir: dir.to_owned(), incarnation }),
        }
    }
    identity.incarnation.0 += 1;
    write(dir, &identity, step)?;
    Ok(NodeRun { store: identity.store, incarnation: identity.incarnation })
}

/// Lets no run begin on this store any more.
pub(crate) fn refuse(dir: &Path, why: &str) -> Result<(), StoreError> {
    let Some(mut identity) = read(dir)? else { return Ok(()) };
    identity.refused = Some(why.to_owned());
    write(dir, &identity, &mut no_stop)
}

/// Reads `store.json`; `None` if there is none.
fn read(dir: &Path) -> Result<Option<Identity>, StoreError> {
    let path = dir.join("store.json");
    let damaged =
        |error: serde_json::Error| StoreError::Identity { path: path.clone(), message: error.to_string() };
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("read", &path)(error)),
    };
    let AnyFormat { format: found } = serde_json::from_slice(&text).map_err(damaged)?;
    if found != FORMAT {
        return Err(StoreError::Format { dir: dir.to_owned(), found, known: FORMAT });
    }
    let identity: Identity = serde_json::from_slice(&text).map_err(damaged)?;
    if identity.engine != ENGINE {
        let (found, wanted) = (identity.engine, ENGINE.to_owned());
        return Err(StoreError::EngineName { dir: dir.to_owned(), found, wanted });
    }
    Ok(Some(identity))
}

fn format(dir: &Path, cluster: &str, step: Step<'_>) -> Result<Identity, StoreError> {
    if database(dir).exists() {
        return Err(StoreError::NoIdentity { dir: dir.to_owned() });
    }
    let identity = Identity {
        format: FORMAT,
        store: StoreId(Uuid::now_v7()),
        cluster: cluster.to_owned(),
        engine: ENGINE.to_owned(),
        incarnation: Incarnation(0),
        refused: None,
    };
    write(dir, &identity, step)?;
    Ok(identity)
}

fn write(dir: &Path, identity: &Identity, step: Step<'_>) -> Result<(), StoreError> {
    let (path, new) = (dir.join("store.json"), dir.join("store.json.new"));
    let mut text = serde_json::to_vec_pretty(identity).expect("an identity has text keys only");
    text.push(b'\n');
    before(step, "write", &new)?;
    fs::write(&new, text).map_err(io("write", &new))?;
    put_in_place(&new, &path, step)
}

fn create_database(dir: &Path, step: Step<'_>) -> Result<(), StoreError> {
    let (path, new) = (database(dir), dir.join("store.db.new"));
    // What an interrupted attempt left; SQLite would take it for a database to go on with.
    for left in ["store.db.new", "store.db.new-journal", "store.db.new-wal", "store.db.new-shm"] {
        let left = dir.join(left);
        match fs::remove_file(&left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("remove", &left)(error)),
            _ => {}
        }
    }
    before(step, "create", &new)?;
    sqlite::create(&new)?;
    put_in_place(&new, &path, step)
}

/// Gives a complete file its name, durably.
fn put_in_place(new: &Path, path: &Path, step: Step<'_>) -> Result<(), StoreError> {
    before(step, "sync", new)?;
    sync(new)?;
    before(step, "rename", new)?;
    fs::rename(new, path).map_err(io("rename", new))?;
    let dir = path.parent().expect("a file of the store is in its directory");
    before(step, "sync", dir)?;
    sync(dir)
}

fn before(step: Step<'_>, action: &'static str, path: &Path) -> Result<(), StoreError> {
    step(action).map_err(io(action, path))
}

fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `begin_run` up to and without its `stop`th step. `None` if it has fewer.
    fn interrupted_at(stop: usize, dir: &Path) -> Option<StoreError> {
        let mut steps = 0;
        let outcome = begin_run(dir, "test", &mut |_| {
            steps += 1;
            if steps > stop { Err(io::Error::other("power is gone")) } else { Ok(()) }
        });
        outcome.err()
    }

    #[test]
    fn formatting_interrupted_at_any_step_is_completed_by_the_next_start() {
        let mut stop = 0;
        loop {
            let dir = tempfile::tempdir().unwrap();
            let Some(error) = interrupted_at(stop, dir.path()) else { break };
            assert!(error.to_string().contains("power is gone"), "{error}");
            let run = begin_run(dir.path(), "test", &mut no_stop).unwrap();
            assert!(database(dir.path()).exists());
            // Only a stop after the last rename has used up the first incarnation.
            assert!((1..=2).contains(&run.incarnation.0), "{run:?} after step {stop}");
            let again = begin_run(dir.path(), "test", &mut no_stop).unwrap();
            assert_eq!(again, NodeRun { incarnation: Incarnation(run.incarnation.0 + 1), ..run });
            stop += 1;
        }
        assert_eq!(stop, 12, "four steps each for store.json, the database, and the first incarnation");
    }

    #[test]
    fn files_torn_while_formatting_are_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        // Formatted, database not yet in place.
        assert!(interrupted_at(6, dir.path()).is_some());
        for torn in ["store.json.new", "store.db.new", "store.db.new-journal", "store.db.new-wal"] {
            fs::write(dir.path().join(torn), b"torn").unwrap();
        }
        assert_eq!(begin_run(dir.path(), "test", &mut no_stop).unwrap().incarnation, Incarnation(1));
        let size = fs::metadata(database(dir.path())).unwrap().len();
        assert!(size > 4096, "the database has tables: {size} bytes");
    }

    #[test]
    fn a_raise_interrupted_at_any_step_never_repeats_an_incarnation() {
        let dir = tempfile::tempdir().unwrap();
        let mut last = begin_run(dir.path(), "test", &mut no_stop).unwrap().incarnation;
        for stop in 0..4 {
            assert!(interrupted_at(stop, dir.path()).is_some());
            let next = begin_run(dir.path(), "test", &mut no_stop).unwrap().incarnation;
            assert!(next > last);
            last = next;
        }
    }
}
