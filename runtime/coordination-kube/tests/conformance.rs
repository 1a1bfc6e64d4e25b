//! The suite of every back end, on a real API server, as a user with no more rights than a node has.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_cluster::Coordination;
use greenroom_cluster::coordination::Peer;
use greenroom_cluster::coordination::conformance::{PROPERTIES, Rig, shards};
use serde_json::Value;
use support::{Cluster, peer, shared, user};

struct InKubernetes(Arc<Cluster>);

impl Rig for InKubernetes {
    fn register(&self) -> Arc<dyn Coordination> {
        self.0.register()
    }

    fn peer(&self, name: &str, run: u8) -> Peer {
        peer(&format!("{}-{name}", self.0.name), &format!("10.0.0.{run}"))
    }

    fn start(&self, peer: &Peer) -> BoxFuture<'static, ()> {
        let (cluster, peer) = (self.0.clone(), peer.clone());
        let ip = peer.mesh_address.rsplit_once(':').unwrap().0.to_owned();
        async move { cluster.run_pod(&peer.name, &ip).await }.boxed()
    }

    fn end(&self, peer: &Peer) -> BoxFuture<'static, ()> {
        let (cluster, name) = (self.0.clone(), peer.name.clone());
        async move { cluster.delete_pod(&name).await }.boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn the_register_in_kubernetes_conforms_with_the_rights_of_a_node() {
    let plane = shared().await;
    for (number, (name, property)) in PROPERTIES.iter().enumerate() {
        println!("{name}");
        let cluster = Cluster::new(plane, &format!("conform{number}"), shards()).await;
        property(Arc::new(InKubernetes(Arc::new(cluster)))).await;
    }

    // The audit log has every request: nothing was asked for that is not in the Role, and nothing was created.
    let log = std::fs::read_to_string(plane.audit_log()).unwrap();
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut asked = BTreeMap::new();
    for event in events.filter(|event| event["user"]["username"].as_str().unwrap().starts_with("conform")) {
        let (verb, resource) = (&event["verb"], &event["objectRef"]["resource"]);
        *asked.entry(format!("{} {}", verb.as_str().unwrap(), resource.as_str().unwrap())).or_insert(0) += 1;
        assert!(event["responseStatus"]["code"] != 403, "{event}");
    }
    println!("{asked:?} by {}", user("conform*"));
    let kinds: Vec<_> = asked.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["get shardmaps", "list pods", "update shardmaps", "watch pods", "watch shardmaps"]);
}
