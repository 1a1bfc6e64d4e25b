//! Several operators, killed, frozen and cut off: one leads, and none writes without leading.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::DynamicObject;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Plane, eventually, within};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[tokio::test]
#[ignore = "slow"]
async fn only_one_of_two_writes_and_it_hands_over_within_five_seconds_when_asked_to_stop() {
    let plane = Plane::start().await;
    let mut first = plane.process("first");
    plane.led_by("first").await;
    let _second = plane.process("second");
    plane.cluster("demo").await;
    plane.converged("demo").await;
    assert!(plane.writes_of("second").is_empty());

    let asked = Instant::now();
    first.signal(Signal::TERM);
    plane.led_by("second").await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(first.wait().success());
    plane.cluster("later").await;
    plane.converged("later").await;
    let by_first = plane.writes_of("first");
    assert!(by_first.iter().all(|write| !write.what.contains("later")), "{by_first:?}");
}

#[tokio::test]
#[ignore = "slow"]
async fn a_leader_that_was_frozen_sends_nothing_after_it_wakes() {
    let plane = Plane::start().await;
    let first = plane.process("first");
    plane.led_by("first").await;
    let _second = plane.process("second");
    for n in 0..12 {
        plane.cluster(&format!("demo-{n}")).await;
    }
    // In the middle of its work.
    eventually("it has begun", async || (plane.writes_of("first").len() > 10).then_some(())).await;
    first.signal(Signal::STOP);
    plane.led_by("second").await;
    for n in 0..12 {
        plane.converged(&format!("demo-{n}")).await;
    }
    let before = plane.writes_of("first").len();
    first.signal(Signal::CONT);
    // It is awake again when it asks for the Lease; then it has all the time to do wrong.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = plane.writes_of("first");
    assert!(after.len() <= before + 1, "sent after it woke: {:?}", &after[before..]);
    assert_eq!(plane.leader().await.as_deref(), Some("second"));
}

/// What must be equal of two clusters' objects: everything but names, ids, times and secrets.
fn normal(cluster: &str, children: BTreeMap<String, DynamicObject>) -> BTreeMap<String, Value> {
    let rename = |text: String| text.replace(cluster, "NAME");
    let normal = |name: &str, object: DynamicObject| {
        let mut object = serde_json::to_value(object).unwrap();
        let metadata = object["metadata"].as_object_mut().unwrap();
        for field in
            ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "annotations"]
        {
            metadata.remove(field);
        }
        for owner in
            metadata.get_mut("ownerReferences").into_iter().flat_map(|owners| owners.as_array_mut().unwrap())
        {
            owner["uid"] = Value::Null;
        }
        if name.starts_with("Secret/") {
            object["data"] = Value::Null;
        }
        if name.starts_with("Service/") && object["spec"]["clusterIP"] != "None" {
            (object["spec"]["clusterIP"], object["spec"]["clusterIPs"]) = (Value::Null, Value::Null);
        }
        // The hash of what is in the template is another for another name.
        if let Some(template) = object.pointer_mut("/spec/template/metadata") {
            template.as_object_mut().unwrap().remove("annotations");
        }
        serde_json::from_str(&rename(object.to_string())).unwrap()
    };
    let normal = |(name, object): (String, DynamicObject)| (rename(name.clone()), normal(&name, object));
    children.into_iter().map(normal).collect()
}

#[tokio::test]
#[ignore = "slow"]
async fn killed_at_fifty_points_of_its_work_it_makes_the_same_objects() {
    let plane = Plane::start().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for n in 0..50 {
        let points = random.usize(1..=16);
        plane.cluster(&format!("demo-{n}")).await;
        let before = plane.writes_of("one").len();
        let mut operator = plane.process("one");
        // Fewer writes than that may be left to do.
        let end = Instant::now() + Duration::from_secs(4);
        while plane.writes_of("one").len() < before + points && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        operator.kill();
    }
    plane.cluster("calm").await;
    let _operator = plane.process("one");
    let calm = normal("calm", plane.converged("calm").await);
    for n in 0..50 {
        let name = format!("demo-{n}");
        assert_eq!(normal(&name, plane.converged(&name).await), calm, "seed {seed}");
    }
}

/// A proxy that can fall silent: nothing is answered, nothing is closed, and what was open then is dead for ever.
struct Hole {
    address: String,
    silent: watch::Sender<bool>,
}

impl Hole {
    async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let silent = watch::Sender::new(false);
        let (target, state) = (Arc::new(target), silent.subscribe());
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (target, mut state) = (target.clone(), state.clone());
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(&*target).await.unwrap();
                    tokio::select! {
                        biased;
                        // The sockets stay open, and nobody reads them any more.
                        () = async { drop(state.wait_for(|silent| *silent).await) } => std::future::pending().await,
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                    }
                });
            }
        });
        Self { address, silent }
    }
}

#[tokio::test]
#[ignore = "slow"]
async fn a_silent_connection_to_the_api_server_is_over_soon_after_it_heals() {
    let plane = Plane::start().await;
    let server = plane.control.server_url();
    let hole = Hole::start(server.trim_start_matches("https://").to_owned()).await;
    let mut config = plane.config().await;
    config.cluster_url = format!("https://{}", hole.address).parse().unwrap();
    let running = plane.operator_with("one", config).await;
    plane.cluster("before").await;
    plane.converged("before").await;

    hole.silent.send_replace(true);
    plane.cluster("meanwhile").await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert!(plane.children("meanwhile").await.is_empty(), "nothing gets through");
    hole.silent.send_replace(false);
    let healed = Instant::now();
    within(Duration::from_secs(60), "it goes on", async || {
        (!plane.children("meanwhile").await.is_empty()).then_some(())
    })
    .await;
    println!("it went on after {:?}", healed.elapsed());
    plane.converged("meanwhile").await;
    assert_eq!(support::page(&running, "/livez").await.0, 200);
}

#[tokio::test]
#[ignore = "slow"]
async fn nothing_is_made_for_a_cluster_that_is_being_deleted() {
    let plane = Plane::start().await;
    let _running = plane.operator("one").await;
    plane.cluster("demo").await;
    plane.converged("demo").await;
    let patch = json!({"metadata": {"finalizers": ["example.org/wait"]}});
    let how = kube::api::PatchParams::default();
    plane.clusters().patch("demo", &how, &kube::api::Patch::Merge(patch)).await.unwrap();
    plane.clusters().delete("demo", &kube::api::DeleteParams::default()).await.unwrap();
    plane.objects("Service").delete("demo-gateway", &kube::api::DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let gone = plane.objects("Service").get_opt("demo-gateway").await.unwrap();
    assert!(gone.is_none(), "nothing is made for a cluster that is being deleted");
}
