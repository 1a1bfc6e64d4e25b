//! One operator against a real API server: what it makes, what it leaves alone, and that it is quiet when it is done.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use support::{Plane, SYSTEM, eventually, page};

fn versions(children: &BTreeMap<String, kube::api::DynamicObject>) -> BTreeMap<&str, String> {
    children.iter().map(|(name, object)| (name.as_str(), object.resource_version().unwrap())).collect()
}

#[tokio::test]
#[ignore = "slow"]
async fn the_smallest_cluster_gets_all_its_objects_and_then_nothing_is_written() {
    let plane = Plane::start().await;
    let running = plane.operator("one").await;
    plane.cluster("demo").await;
    let children = plane.converged("demo").await;
    for (name, object) in &children {
        let owned = object.owner_references().iter().any(|owner| owner.kind == "ActorCluster");
        assert_eq!(
            owned,
            !name.starts_with("ShardMap/"),
            "{name}: a page of the shard map outlives its cluster"
        );
    }
    // The last write of the start may still be an event.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, status) = (plane.writes_of("one").len(), plane.clusters().get("demo").await.unwrap());
    tokio::time::sleep(Duration::from_secs(20)).await;
    let writes = plane.writes_of("one");
    assert_eq!(writes.len(), before, "written while idle: {:?}", &writes[before..]);
    let after = plane.children("demo").await;
    assert_eq!(versions(&after), versions(&children));
    assert_eq!(plane.clusters().get("demo").await.unwrap().resource_version(), status.resource_version());

    // A reconcile from scratch, by another process, finds nothing to do either.
    running.stop.cancel();
    eventually("the first has stopped", async || running.task.is_finished().then_some(())).await;
    let second = plane.operator("two").await;
    plane.led_by("two").await;
    eventually("the second has reconciled", async || {
        page(&second, "/metrics").await.1.contains("greenroom_operator_reconciles_total 1").then_some(())
    })
    .await;
    let writes = plane.writes_of("two");
    assert!(writes.is_empty(), "{writes:?}");
    assert_eq!(versions(&plane.children("demo").await), versions(&children));
}

#[tokio::test]
#[ignore = "slow"]
async fn what_others_change_is_put_back_if_it_is_ours_and_stays_if_it_is_not() {
    let plane = Plane::start().await;
    let _running = plane.operator("one").await;
    plane.cluster("demo").await;
    plane.converged("demo").await;
    let sets = plane.objects("StatefulSet");
    let changed = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"annotations": {"example.org/note": "mine"}},
        "spec": {"podManagementPolicy": "Parallel", "replicas": 7},
    });
    let patched = sets.patch("demo", &PatchParams::default(), &Patch::Merge(changed)).await.unwrap();
    eventually("the number of replicas is put back", async || {
        (sets.get("demo").await.unwrap().data["spec"]["replicas"] == 3).then_some(())
    })
    .await;
    assert_eq!(sets.get("demo").await.unwrap().annotations()["example.org/note"], "mine");
    assert_eq!(patched.uid(), sets.get("demo").await.unwrap().uid(), "it was corrected, not made anew");

    let services = plane.objects("Service");
    services.delete("demo-gateway", &DeleteParams::default()).await.unwrap();
    eventually("a deleted object is made again", async || services.get_opt("demo-gateway").await.unwrap())
        .await;
    let pages = plane.objects("ShardMap");
    pages.delete("demo-1", &DeleteParams::default()).await.unwrap();
    eventually("a deleted page is made again", async || pages.get_opt("demo-1").await.unwrap()).await;
    let told = plane.kubectl(&["get", "events.events.k8s.io", "-o", "jsonpath={.items[*].reason}"], None);
    assert!(told.contains("PutBack"), "{told}");
}

#[tokio::test]
#[ignore = "slow"]
async fn another_number_of_replicas_is_refused_and_the_rest_goes_on() {
    let plane = Plane::start().await;
    let _running = plane.operator("one").await;
    plane.cluster("demo").await;
    plane.converged("demo").await;
    plane.apply_cluster("demo", json!({"replicas": 5, "gateway": {"port": 9000}})).await;
    eventually("the refusal is told", async || {
        let status = plane.clusters().get("demo").await.unwrap().status?;
        status.conditions.into_iter().find(|told| told.reason == "ScaleRefused" && told.status == "True")
    })
    .await;
    eventually("the gateway has its new port", async || {
        let service = plane.objects("Service").get("demo-gateway").await.unwrap();
        (service.data["spec"]["ports"][0]["port"] == 9000).then_some(())
    })
    .await;
    assert_eq!(plane.objects("StatefulSet").get("demo").await.unwrap().data["spec"]["replicas"], 3);
}

#[tokio::test]
#[ignore = "slow"]
async fn a_group_has_a_statefulset_of_its_own_and_no_other_cluster_gets_its_name() {
    let plane = Plane::start().await;
    let _running = plane.operator("one").await;
    // Numbers without quotes, as they stand in most YAML.
    let resources = |limits: Value| json!({"limits": limits});
    let spec = |group: &str| {
        let group =
            json!({"name": group, "replicas": 2, "resources": resources(json!({"nvidia.com/gpu": 1}))});
        json!({"replicas": 1, "resources": resources(json!({"cpu": 2})), "groups": [group]})
    };
    plane.apply_cluster("chat", spec("gpu")).await;
    eventually("it has its objects, and the pages of 1,088 shards", async || {
        let children = plane.children("chat").await;
        ["StatefulSet/chat", "StatefulSet/chat-gpu", "ShardMap/chat-4"]
            .iter()
            .all(|name| children.contains_key(*name))
            .then_some(())
    })
    .await;
    let sets = plane.objects("StatefulSet");
    let made = sets.get("chat-gpu").await.unwrap();
    assert_eq!(made.data["spec"]["replicas"], 2);
    assert_eq!(made.data["spec"]["selector"]["matchLabels"]["greenroom.dev/group"], "gpu");
    for (set, limits) in [("chat", json!({"cpu": "2"})), ("chat-gpu", json!({"nvidia.com/gpu": "1"}))] {
        let container = sets.get(set).await.unwrap().data["spec"]["template"]["spec"]["containers"][0].take();
        assert_eq!(container["resources"]["limits"], limits, "{set}");
    }
    eventually("the status counts the nodes of the group", async || {
        let status = plane.clusters().get("chat").await.unwrap().status?;
        (status.desired_replicas == Some(3) && status.nodes.len() == 3).then_some(())
    })
    .await;

    let other = json!({"spec": spec("cpu")});
    let refused = plane.clusters().patch("chat", &PatchParams::default(), &Patch::Merge(other)).await;
    assert!(refused.unwrap_err().to_string().contains("the groups, their order and their shards"));
    let half = json!({"spec": {"resources": resources(json!({"cpu": 0.5}))}});
    let refused = plane.clusters().patch("chat", &PatchParams::default(), &Patch::Merge(half)).await;
    assert!(
        refused.unwrap_err().to_string().contains("spec.resources.limits.cpu"),
        "half a core takes quotes"
    );

    plane.cluster("chat-gpu").await;
    eventually("the later cluster is told that its name is taken", async || {
        let status = plane.clusters().get("chat-gpu").await.unwrap().status?;
        status.conditions.into_iter().find(|told| told.reason == "NameTaken" && told.status == "True")
    })
    .await;
    let after = sets.get("chat-gpu").await.unwrap();
    assert_eq!((after.uid(), after.resource_version()), (made.uid(), made.resource_version()));
    assert_eq!(after.labels()["greenroom.dev/cluster"], "chat");
}

#[tokio::test]
#[ignore = "slow"]
async fn an_operator_that_is_there_before_the_definitions_waits_and_says_so() {
    let plane = Plane::without_definitions().await;
    let running = plane.operator("one").await;
    eventually("it says what is missing", async || {
        let (code, text) = page(&running, "/readyz").await;
        (code == 503 && text.contains("install the chart greenroom-crds")).then_some(())
    })
    .await;
    assert_eq!(page(&running, "/livez").await.0, 200);
    plane.define().await;
    plane.cluster("demo").await;
    plane.converged("demo").await;
    assert_eq!(page(&running, "/readyz").await, (200, "ok\n".to_owned()));
    let (_, metrics) = page(&running, "/metrics").await;
    for metric in greenroom_operator::METRICS {
        // Those with labels show up with their first value.
        let shown = metrics.contains(metric.name);
        let later = ["reconcile_failures_total", "deferred_total", "roll_pod_seconds", "watch_errors_total"];
        assert!(shown || later.iter().any(|name| metric.name.ends_with(name)), "{} is missing", metric.name);
    }
}

#[tokio::test]
#[ignore = "slow"]
async fn certificates_are_made_once_and_made_again_when_they_are_lost() {
    let plane = Plane::start().await;
    let running = plane.operator("one").await;
    plane.cluster("demo").await;
    plane.converged("demo").await;
    let read = async |namespace: &str, name: &str, file: &str| {
        let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> =
            kube::Api::namespaced(plane.client.clone(), namespace);
        let secret = secrets.get(name).await.unwrap();
        String::from_utf8(secret.data.unwrap()[file].0.clone()).unwrap()
    };
    let bundle = read(SYSTEM, "greenroom-ca", "ca.crt").await;
    for (namespace, name) in [
        ("default", "demo-node-tls"),
        ("default", "demo-admin-tls"),
        (SYSTEM, "greenroom-placement-api-client"),
    ] {
        assert_eq!(read(namespace, name, "ca.crt").await, bundle, "{name}");
        let files = greenroom_tls::Pem {
            certificate: read(namespace, name, "tls.crt").await.into_bytes(),
            key: read(namespace, name, "tls.key").await.into_bytes(),
            authorities: bundle.clone().into_bytes(),
        };
        greenroom_tls::Tls::new(files).unwrap();
    }
    let old = read("default", "demo-node-tls", "tls.crt").await;
    running.stop.cancel();
    eventually("it has stopped", async || running.task.is_finished().then_some(())).await;
    plane.kubectl(&["delete", "secret", "demo-admin-tls"], None);
    let _next = plane.operator("two").await;
    plane.converged("demo").await;
    assert_eq!(read("default", "demo-node-tls", "tls.crt").await, old, "a good certificate is kept");
    assert_eq!(read(SYSTEM, "greenroom-ca", "ca.crt").await, bundle, "so is the authority");
}
