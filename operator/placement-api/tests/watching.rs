//! Watches: what comes and goes is seen, once in the ordinary case, and never missed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use greenroom::Counter;
use serde_json::Value;
use support::{Ghost, NAMESPACE, World};

const LIST: &str = "/apis/placement.greenroom.dev/v1alpha1/namespaces/play/actorplacements";

/// What somebody knows who has read these events: name to uid.
fn learn(known: &mut BTreeMap<String, String>, event: &Value) {
    let metadata = &event["object"]["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
    match event["type"].as_str().unwrap() {
        "ADDED" => drop(known.insert(text("name"), text("uid"))),
        "DELETED" => drop(known.remove(&text("name"))),
        "BOOKMARK" => {}
        other => panic!("{other}: {event}"),
    }
}

fn listed(list: &Value) -> BTreeMap<String, String> {
    let text = |item: &Value, field: &str| item["metadata"][field].as_str().unwrap().to_owned();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| (text(item, "name"), text(item, "uid"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_watch_sees_actors_come_and_go() {
    let world = World::start().await;
    let shop = world.cluster("shop", 2).await;
    shop.count(["a", "b"]).await;
    let mut table = world.watch(&["get", "ap", "-n", NAMESPACE, "-w"]).await;
    assert!(table.line().await.starts_with("NAME "));
    assert!(table.line().await.contains(" a ") && table.line().await.contains(" b "));
    shop.count(["c"]).await;
    let line = table.line().await;
    assert!(line.contains("Counter") && line.contains(" c "), "{line}");

    let list = world.get(LIST).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let ghosts = format!("{LIST}?watch=1&fieldSelector=spec.type%3DGhost&resourceVersion={version}");
    let mut events = world.watch(&["get", "--raw", &ghosts]).await;
    shop.client().actor::<Ghost>("g").wake().await.unwrap();
    for kind in ["ADDED", "DELETED"] {
        let event = events.event().await;
        assert_eq!((&event["type"], &event["object"]["spec"]["key"]), (&kind.into(), &"g".into()), "{event}");
    }
    assert!(table.line().await.contains("Ghost"));

    // The rest of what the pod held goes with it.
    world.delete_pod("shop-0").await;
    world.delete_pod("shop-1").await;
    let mut gone = Vec::new();
    let mut raw = world.watch(&["get", "--raw", &format!("{LIST}?watch=1")]).await;
    for _ in 0..4 {
        gone.push(table.line().await);
    }
    assert!(
        ["a", "b", "c"].iter().all(|key| gone.iter().any(|line| line.contains(&format!(" {key} ")))),
        "{gone:?}"
    );
    // Nobody is there any more; a cluster that comes later is seen.
    let zoo = world.cluster("zoo", 1).await;
    zoo.count(["z"]).await;
    let event = raw.event().await;
    assert_eq!((&event["type"], &event["object"]["spec"]["key"]), (&"ADDED".into(), &"z".into()), "{event}");
    drop((shop, zoo));
    world.api.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_list_and_a_watch_from_it_are_the_truth_while_everything_moves() {
    let world = World::start().await;
    let shop = world.cluster("shop", 3).await;
    let client = shop.client();
    let churn = {
        let client = client.clone();
        tokio::spawn(async move {
            for i in 0.. {
                client.actor::<Ghost>(format!("ghost-{i}")).wake().await.unwrap();
                if i % 20 == 0 {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            }
        })
    };
    // Ghosts come and go before, between and after list and watch.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let list = world.get(LIST).await;
    let mut known = listed(&list);
    let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let mut events =
        world.watch(&["get", "--raw", &format!("{LIST}?watch=1&resourceVersion={version}")]).await;
    let mut last = version;
    for _ in 0..200 {
        let event = events.event().await;
        last = event["object"]["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        learn(&mut known, &event);
    }
    // The client loses its connection and goes on from the last version that it saw.
    drop(events);
    churn.abort();
    client.actor::<Counter>("last").add(1).await.unwrap();
    let mut events = world.watch(&["get", "--raw", &format!("{LIST}?watch=1&resourceVersion={last}")]).await;
    // All ghosts leave in the end, and nothing else was there.
    while known.len() > 1 || !known.keys().any(|name| name.starts_with("counter-")) {
        learn(&mut known, &events.event().await);
    }
    assert_eq!(known, listed(&world.get(LIST).await));
    drop(shop);
    world.api.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn clients_that_mirror_are_served() {
    let world = World::start().await;
    let shop = world.cluster("shop", 1).await;
    shop.count(["a"]).await;
    let initial = format!(
        "{LIST}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut events = world.watch(&["get", "--raw", &initial]).await;
    let event = events.event().await;
    assert_eq!((&event["type"], &event["object"]["spec"]["key"]), (&"ADDED".into(), &"a".into()), "{event}");
    let event = events.event().await;
    assert_eq!(event["type"], "BOOKMARK");
    assert_eq!(event["object"]["kind"], "ActorPlacement");
    assert_eq!(event["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    shop.count(["b"]).await;
    assert_eq!(events.event().await["object"]["spec"]["key"], "b");
    drop(events);

    // A version from before this server, and one that is none.
    let mut old = world.watch(&["get", "--raw", &format!("{LIST}?watch=1&resourceVersion=14")]).await;
    let event = old.event().await;
    assert_eq!((&event["type"], &event["object"]["code"]), (&"ERROR".into(), &410.into()), "{event}");
    assert_eq!(event["object"]["reason"], "Expired");
    let refused = world.kubectl(&["get", "--raw", &format!("{LIST}?watch=1&resourceVersion=x")]).await.0;
    assert!(refused.unwrap_err().contains("is no number"));
    let timeout = world.ok(&["get", "--raw", &format!("{LIST}?watch=1&timeoutSeconds=1")]).await;
    assert_eq!(timeout.lines().count(), 2, "what is there, and then the end: {timeout}");
    drop(shop);
    world.api.stop().await;
}
