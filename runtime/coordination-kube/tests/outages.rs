//! What happens while the API server is away, in each of the ways in which it can be.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use greenroom_cluster::coordination::conformance::{shards, until, with_member};
use greenroom_cluster::coordination::{ReadError, WriteError};
use greenroom_e2e_cluster::ControlPlane;
use serde_json::Value;
use support::proxy::Proxy;
use support::{Cluster, peer, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn everything_goes_on_when_the_api_server_is_back() {
    let plane = start().await;
    let cluster = Cluster::new(&plane, "back", shards()).await;
    let register = cluster.register();
    let me = peer("back-0", "10.0.0.1");
    cluster.run_pod("back-0", "10.0.0.1").await;
    let (mut watch, mut idle) = (register.watch(0), register.watch(1));
    let mut present = register.join(me.clone());
    let (first, first_idle) = (watch.next().await.unwrap(), idle.next().await.unwrap());
    until(&mut present, std::slice::from_ref(&me)).await;
    // A stream does nothing before it is asked for more: now the idle page is watched, too.
    let nothing = tokio::time::timeout(Duration::from_secs(2), idle.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    // The server that comes back begins to remember here; what the watches know is then too old for it (410).
    let mut page = first.clone();
    for id in 0..5 {
        page = register.write(0, page.version, with_member(&page.content, id)).await.unwrap();
    }

    plane.kill_api_server().unwrap();
    let lost = register.write(0, page.version, with_member(&page.content, 5)).await;
    assert!(matches!(lost, Err(WriteError::Unknown(_))), "{lost:?}");
    assert!(matches!(register.read(0).await, Err(ReadError::Unavailable(_))));
    plane.start_api_server().await.unwrap();

    let back = Instant::now();
    let written = register.write(0, page.version, with_member(&page.content, 6)).await.unwrap();
    let mut seen = first.version;
    while seen < written.version {
        let next = within_a_minute(watch.next()).await.unwrap();
        assert!(next.version > seen);
        seen = next.version;
    }
    // A page that had not changed for long shows nothing now. It is watched again all the same, and not begun over and
    // over: the server refuses its old version once.
    let nothing = tokio::time::timeout(Duration::from_secs(8), idle.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    let watches = watches_of(&plane, "back-1");
    assert!((2..=4).contains(&watches.len()), "{watches:#?}");
    let written = register.write(1, first_idle.version, with_member(&first_idle.content, 7)).await.unwrap();
    assert_eq!(within_a_minute(idle.next()).await.unwrap(), written);
    cluster.run_pod("back-1", "10.0.0.2").await;
    until(&mut present, &[me, peer("back-1", "10.0.0.2")]).await;
    assert!(back.elapsed() < Duration::from_secs(60), "{:?}", back.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_connection_that_carries_nothing_any_more_is_noticed() {
    let plane = start().await;
    let cluster = Cluster::new(&plane, "hole", shards()).await;
    let target = plane.server_url().strip_prefix("https://").unwrap().parse().unwrap();
    let proxy = Proxy::to(target).await;
    let mut through = cluster.node.clone();
    through.cluster_url = proxy.url().parse().unwrap();
    let (register, direct) = (cluster.register_at(through), cluster.register());
    let me = peer("hole-0", "10.0.0.1");
    let (mut watch, mut present) = (register.watch(0), register.join(me.clone()));
    let first = watch.next().await.unwrap();
    until(&mut present, std::slice::from_ref(&me)).await;

    proxy.swallow();
    let written = direct.write(0, first.version, with_member(&first.content, 1)).await.unwrap();
    cluster.run_pod("hole-1", "10.0.0.2").await;
    let asked = Instant::now();
    let lost = register.write(0, first.version, with_member(&first.content, 2)).await;
    assert!(matches!(lost, Err(WriteError::Unknown(_))), "{lost:?}");
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    // Long enough for the watches to have noticed, and to try again in vain.
    let nothing = tokio::time::timeout(Duration::from_secs(35), watch.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");

    proxy.heal();
    let healed = Instant::now();
    assert_eq!(within_a_minute(watch.next()).await.unwrap(), written);
    until(&mut present, &[me.clone(), peer("hole-1", "10.0.0.2")]).await;
    println!("long black hole: back {:?} after it healed", healed.elapsed());
    assert!(healed.elapsed() < Duration::from_secs(60), "{:?}", healed.elapsed());

    // So short that only the old connections are dead.
    proxy.swallow();
    proxy.heal();
    let healed = Instant::now();
    let written = direct.write(0, written.version, with_member(&written.content, 3)).await.unwrap();
    cluster.delete_pod("hole-1").await;
    assert_eq!(within_a_minute(watch.next()).await.unwrap(), written);
    until(&mut present, &[me]).await;
    println!("short black hole: back {:?} after it healed", healed.elapsed());
    assert!(healed.elapsed() < Duration::from_secs(60), "{:?}", healed.elapsed());
}

/// The watches of this page that the API server was asked for.
fn watches_of(plane: &ControlPlane, page: &str) -> BTreeSet<String> {
    let log = std::fs::read_to_string(plane.audit_log()).unwrap();
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let watches = events.filter(|event| event["verb"] == "watch" && event["objectRef"]["name"] == page);
    watches.map(|event| event["auditID"].to_string()).collect()
}

async fn within_a_minute<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), event).await.expect("it happens within a minute")
}
