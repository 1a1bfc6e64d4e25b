//! A node whose memory is scarce, with real readings of a real process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use greenroom::config::{MemorySetting, NodeConfig};
use greenroom::{Actor, CallError, Counter, Runtime, actor_methods};
use serde::{Deserialize, Serialize};

/// An actor that takes a megabyte.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile, no_rollback)]
struct Large {
    room: Vec<u8>,
}

#[actor_methods]
impl Large {
    async fn fill(&mut self) -> usize {
        self.room = vec![7; 1 << 20];
        self.room.len()
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

fn limited(soft: u64, hard: u64) -> NodeConfig {
    let (memory_soft, memory_hard) = (MemorySetting::Bytes(soft), MemorySetting::Bytes(hard));
    NodeConfig { memory_soft, memory_hard, ..NodeConfig::local() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_the_hard_limit_no_more_actors_come_into_memory() {
    let config = limited(1 << 20, 1 << 20);
    let runtime = Runtime::with_config(config).actor::<Counter>().start().await.unwrap();
    let refused = async {
        for i in 0.. {
            if let Err(error) = runtime.actor::<Counter>(format!("c{i}")).add(1).await {
                return error;
            }
            // The first reading may still be under way.
            tokio::task::yield_now().await;
        }
        unreachable!()
    };
    let error = tokio::time::timeout(Duration::from_secs(30), refused).await.unwrap();
    assert!(matches!(&error, CallError::Overloaded(why) if why.contains("--memory-hard")), "{error}");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn idle_actors_leave_before_the_node_takes_more_than_it_may() {
    const MEGABYTE: u64 = 1 << 20;
    let begun = resident();
    let (soft, hard) = (begun + 64 * MEGABYTE, begun + 160 * MEGABYTE);
    let runtime = Runtime::with_config(limited(soft, hard)).actor::<Large>().start().await.unwrap();
    let mut most = 0;
    // Without shedding these would take 400 megabytes.
    for i in 0..400 {
        // What comes faster than idle actors leave is refused, and may come later.
        while let Err(CallError::Overloaded(_)) = runtime.actor::<Large>(format!("l{i}")).fill().await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        most = most.max(resident());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(most > soft, "the test has filled the memory");
    let over = most.saturating_sub(hard) / MEGABYTE;
    assert_eq!(over, 0, "{over} megabytes above the hard limit");
    let status = runtime.status();
    assert!(status.activations < 250, "{} actors are in memory", status.activations);
    runtime.shutdown().await;
}
