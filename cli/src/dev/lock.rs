//! `.greenroom/<name>/lock`: one `greenroom dev` per data directory. The system lets go of the lock when the process
//! ends, however that comes about; the process id inside is for the message only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::failure::{Failure, OrFail, Result};

/// The right to run a cluster on its directory, until it is dropped.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock, or says which process has it.
    pub(crate) fn take(cluster_dir: &Path) -> Result<Self> {
        let path = cluster_dir.join("lock");
        let cannot = format!("cannot lock {}", path.display());
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.or_fail(&cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder may be about to write its id.
                let _ = file.read_to_string(&mut holder);
                let message =
                    format!("`greenroom dev` already runs on {} (process {holder})", cluster_dir.display());
                return Err(Failure::new(message)
                    .hint("`greenroom get nodes` shows it; Ctrl-C in its terminal stops it")
                    .hint("a second cluster needs another name in its YAML, or another --data DIR"));
            }
            Err(TryLockError::Error(error)) => return Err(error).or_fail(&cannot),
        }
        file.set_len(0).and_then(|()| file.rewind()).or_fail(&cannot)?;
        write!(file, "{}", std::process::id()).or_fail(&cannot)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_with_the_id_of_the_first_until_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(dir.path()).unwrap();
        let failure = DirectoryLock::take(dir.path()).unwrap_err().to_string();
        assert!(failure.contains(&format!("(process {})", std::process::id())), "{failure}");
        drop(first);
        DirectoryLock::take(dir.path()).unwrap();
    }
}
