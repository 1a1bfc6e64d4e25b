//! The floor of the store: one thread that writes all records that wait, syncs once, and answers all of them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result};
use tokio::sync::oneshot;

/// The file is written over from its beginning when it is full: like a log of recycled segments, it never grows.
const FILE_BYTES: usize = 16 << 20;

/// Commits records in groups.
#[derive(Clone)]
pub(super) struct Group(mpsc::Sender<Waiting>);

struct Waiting {
    record: Vec<u8>,
    durable: oneshot::Sender<()>,
}

impl Group {
    /// Fills a new file with zeros, so that later writes change nothing but its content, and starts the thread.
    pub(super) fn start(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create_new(true).write(true).open(path)?;
        file.write_all_at(&vec![0; FILE_BYTES], 0)?;
        file.sync_all()?;
        let (sender, queue) = mpsc::channel();
        thread::spawn(move || commit_groups(&file, &queue));
        Ok(Self(sender))
    }

    /// Returns when the record is on disk.
    pub(super) async fn commit(&self, record: Vec<u8>) -> Result<()> {
        let (durable, synced) = oneshot::channel();
        self.0.send(Waiting { record, durable }).ok().context("the writing thread has ended")?;
        synced.await.context("the record could not be written")
    }
}

fn commit_groups(file: &File, queue: &mpsc::Receiver<Waiting>) -> Result<()> {
    let (mut bytes, mut waiting, mut end) = (Vec::new(), Vec::new(), 0);
    while let Ok(first) = queue.recv() {
        for Waiting { record, durable } in std::iter::once(first).chain(queue.try_iter()) {
            bytes.extend_from_slice(&record);
            waiting.push(durable);
        }
        if end + bytes.len() > FILE_BYTES {
            end = 0;
        }
        file.write_all_at(&bytes, end as u64)?;
        file.sync_data()?;
        end += bytes.len();
        bytes.clear();
        for durable in waiting.drain(..) {
            // The caller waits for it.
            let _ = durable.send(());
        }
    }
    Ok(())
}
