//! A gigabyte in one actor: 16,384 items of 64 KiB in a `Map`, beside the same actor with 16 items. A turn reads and
//! commits what it touches, so neither its time nor the memory of the node may grow with the map.

use std::time::Instant;

use anyhow::{Result, ensure};
use greenroom::{Actor, ActorId, Cx, Map, Runtime, actor_methods};
use greenroom_bench_rig::stopwatch::resident_bytes;
use serde::{Deserialize, Serialize};

use crate::report::{Report, Unit};
use crate::scratch;

const PROGRAM: &str = "a map in one actor";
const ITEM_BYTES: usize = 64 * 1024;
/// Items of one filling turn: 4 MiB.
const AT_ONCE: u64 = 64;
const SIZES: [(&str, u64); 2] = [("16 items, 1 MiB", 16), ("16,384 items, 1 GiB", 16_384)];
/// How often a time is taken; the median counts.
const TIMES: usize = 31;

/// Keeps what it is given.
#[derive(Actor, Default, Serialize, Deserialize)]
struct Archive {
    items: Map<u64, String>,
}

#[actor_methods]
impl Archive {
    async fn fill(&mut self, cx: &Cx, from: u64, to: u64) -> greenroom::Result<()> {
        for key in from..to {
            self.items.insert(cx, key, letters(key)).await?;
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.items.len()
    }

    async fn length_of(&self, cx: &Cx, key: u64) -> greenroom::Result<usize> {
        Ok(self.items.get(cx, &key).await?.map_or(0, |item| item.len()))
    }

    async fn change(&mut self, cx: &Cx, key: u64) -> greenroom::Result<()> {
        self.items.insert(cx, key, letters(key + 1)).await?;
        Ok(())
    }
}

fn letters(key: u64) -> String {
    char::from(b'a' + (key % 26) as u8).to_string().repeat(ITEM_BYTES)
}

pub(super) async fn round(report: &mut Report) -> Result<()> {
    let directory = scratch()?;
    let runtime = Runtime::local().actor::<Archive>().data_dir(directory.path().join("data")).start().await?;
    for (rig, size) in SIZES {
        let key = format!("of-{size}");
        let (archive, id): (_, ActorId) = (runtime.actor::<Archive>(&key), format!("Archive/{key}").parse()?);
        let (before, begun) = (resident_bytes()?, Instant::now());
        for from in (0..size).step_by(AT_ONCE as usize) {
            archive.fill(from, (from + AT_ONCE).min(size)).await?;
        }
        report.add(PROGRAM, rig, "writing an item", Unit::Nanoseconds, nanos(begun) / size as f64);
        let grown = resident_bytes()?.saturating_sub(before);
        report.add(PROGRAM, rig, "memory grew by", Unit::Bytes, grown as f64);
        ensure!(archive.len().await? == size, "items are missing");

        let (mut first, mut read, mut change) = (Vec::new(), Vec::new(), Vec::new());
        for time in 0..TIMES as u64 {
            let key = time * 7919 % size;
            ensure!(runtime.deactivate(&id).await?, "the archive was not in memory");
            first.push(timed(archive.len()).await?);
            read.push(timed(archive.length_of(key)).await?);
            change.push(timed(archive.change(key)).await?);
        }
        for (metric, times) in
            [("first call, from disk", first), ("reading an item", read), ("changing an item", change)]
        {
            report.add(PROGRAM, rig, metric, Unit::Nanoseconds, median(times));
        }
    }
    runtime.shutdown().await;
    Ok(())
}

async fn timed<T>(call: impl IntoFuture<Output = Result<T, greenroom::CallError>>) -> Result<f64> {
    let begun = Instant::now();
    call.await?;
    Ok(nanos(begun))
}

fn nanos(since: Instant) -> f64 {
    since.elapsed().as_nanos() as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
