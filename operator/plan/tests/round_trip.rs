//! What a real API server makes of our objects: nothing that we would take for a change.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use greenroom_crds::{ActorCluster, manifest};
use greenroom_e2e_cluster::ControlPlane;
use greenroom_operator_plan::drift::differs;
use greenroom_operator_plan::{Observed, PageSeen, Settings, Step, plan};
use jiff::Timestamp;
use serde_json::{Value, json};

const CLUSTERS: [&str; 4] = [
    include_str!("golden/smallest/cluster.yaml"),
    include_str!("golden/full/cluster.yaml"),
    include_str!("golden/groups/cluster.yaml"),
    concat!(
        "{apiVersion: greenroom.dev/v1alpha1, kind: ActorCluster, metadata: {name: memory, namespace: games}, ",
        "spec: {replicas: 1, storage: {engine: memory}, gateway: {type: NodePort}}}",
    ),
];

fn kubectl(control: &ControlPlane, arguments: &[&str], input: &str) -> String {
    let mut command = control.kubectl();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {arguments:?}: {error}");
    // Pod security only warns about what a StatefulSet may later fail to make.
    assert!(!error.contains("Warning"), "kubectl {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn settings() -> Settings {
    Settings {
        node_image: "greenroom.dev/greenroom:0.1.0".into(),
        image_pull_policy: Some("IfNotPresent".into()),
        image_pull_secrets: vec!["registry".into()],
        namespace: "greenroom-system".into(),
        cluster_domain: "cluster.local".into(),
    }
}

fn observed(yaml: &str) -> Observed {
    let mut cluster: ActorCluster = manifest::parse(yaml).unwrap();
    cluster.metadata.uid = Some("6f1c1a5e-0000-4000-8000-000000000001".into());
    cluster.metadata.generation = Some(1);
    Observed {
        cluster,
        children: BTreeMap::new(),
        pods: Vec::new(),
        pages: Vec::new(),
        foreign: BTreeMap::new(),
        nodes: BTreeMap::new(),
    }
}

/// Applies everything that a fresh cluster needs, and takes in what is there afterwards.
fn carry_out(control: &ControlPlane, observed: &mut Observed) {
    let apply = [
        "apply",
        "--server-side",
        "--field-manager=greenroom-operator",
        "--force-conflicts",
        "-f-",
        "-ojson",
    ];
    let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    for step in plan(observed, &settings(), Timestamp::UNIX_EPOCH).steps {
        match step {
            Step::Apply { key, object } => {
                let live = read(kubectl(control, &apply, &object.to_string()));
                assert_eq!(differs(&object, &live), None, "{key:?}");
                observed.children.insert(key, live);
            }
            Step::CreatePage(page) => {
                let live = read(kubectl(control, &["create", "-f-", "-ojson"], &json!(page).to_string()));
                let metadata = serde_json::from_value(live["metadata"].clone()).unwrap();
                observed.pages.push(PageSeen::from_metadata(&page.spec.cluster, &metadata).unwrap());
            }
            other => panic!("a fresh cluster needs no {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn what_is_wanted_is_a_part_of_what_an_api_server_gives_back() {
    let control = ControlPlane::start().await.unwrap();
    let definitions: Vec<_> = greenroom_crds::crd_yaml().into_iter().map(|(_, yaml)| yaml).collect();
    kubectl(&control, &["apply", "--server-side", "-f-"], &definitions.join("\n---\n"));
    control.await_definitions().unwrap();
    let restricted = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "games", "labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        }},
    });
    kubectl(&control, &["create", "-f-"], &restricted.to_string());

    for yaml in CLUSTERS {
        let mut observed = observed(yaml);
        carry_out(&control, &mut observed);
        let again = plan(&observed, &settings(), Timestamp::UNIX_EPOCH);
        assert_eq!(again.steps, [], "a second plan has steps");
    }
}
