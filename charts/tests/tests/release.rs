//! A release's way: installed, upgraded, rolled back, uninstalled, and what stays.

use anyhow::Result;
use greenroom_e2e_cluster::ControlPlane;
use serde_json::Value;

use crate::support::{NAMESPACE, WATCHED, apply, chart, helm, new_plane, output};

const CLUSTER: &str = r#"
apiVersion: greenroom.dev/v1alpha1
kind: ActorCluster
metadata: {name: counters, namespace: watched}
spec: {replicas: 3}
"#;

async fn run(plane: &ControlPlane, arguments: &[&str]) -> Result<String> {
    let mut helm = helm().await;
    output(helm.env("KUBECONFIG", plane.kubeconfig()).args(["--namespace", NAMESPACE]).args(arguments))
}

fn get(plane: &ControlPlane, arguments: &[&str]) -> String {
    output(plane.kubectl().arg("get").args(arguments)).unwrap()
}

/// Both ways to bring the definitions, one after the other in one API server.
#[tokio::test]
#[ignore = "slow"]
async fn a_release_comes_changes_and_goes_and_leaves_what_holds_state() {
    let plane = &new_plane().await;
    let greenroom = chart("greenroom").display().to_string();
    let notes = run(plane, &["install", "greenroom", &greenroom]).await.unwrap();
    assert!(notes.contains("kubectl apply -f -") && notes.contains("Before you uninstall"), "{notes}");
    apply(plane.kubectl(), &["apply", "-f", "-"], CLUSTER).unwrap();

    // What the placement API does when it runs: its field manager sets the bundle.
    let trusted = r#"{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1alpha1.placement.greenroom.dev"}, "spec": {"caBundle": "QQ=="}}"#;
    let by_it = ["apply", "--server-side", "--field-manager=greenroom-placement-api", "-f", "-"];
    apply(plane.kubectl(), &by_it, trusted).unwrap();

    let before = get(plane, &["deployment", "greenroom-operator", "-n", NAMESPACE, "-o", "json"]);
    run(plane, &["upgrade", "greenroom", &greenroom]).await.unwrap();
    let after = get(plane, &["deployment", "greenroom-operator", "-n", NAMESPACE, "-o", "json"]);
    assert_eq!(
        generation(&before),
        generation(&after),
        "an upgrade that changes nothing changed the Deployment"
    );

    run(plane, &["upgrade", "greenroom", &greenroom, "--set=replicas=3,logLevel=debug"]).await.unwrap();
    assert_eq!(replicas(plane), "3");
    run(plane, &["rollback", "greenroom"]).await.unwrap();
    assert_eq!(replicas(plane), "2");
    let bundle = "jsonpath={.spec.caBundle}";
    assert_eq!(get(plane, &["apiservice", "v1alpha1.placement.greenroom.dev", "-o", bundle]), "QQ==");

    run(plane, &["uninstall", "greenroom"]).await.unwrap();
    assert_eq!(get(plane, &["actorclusters", "-n", WATCHED, "-o", "name"]).lines().count(), 1);
    let left = get(
        plane,
        &["clusterroles,apiservices,crds", "-l", "app.kubernetes.io/part-of=greenroom", "-o", "name"],
    );
    assert_eq!(left.lines().count(), 2, "only the definitions stay: {left}");
    assert_eq!(get(plane, &["all,pdb,networkpolicies", "-n", NAMESPACE, "-o", "name"]), "");
    the_api_service_goes_before_its_pods(plane);

    // The same release finds the definitions again, and another may take them over.
    run(plane, &["install", "greenroom", &greenroom]).await.unwrap();
    run(plane, &["uninstall", "greenroom"]).await.unwrap();
    let alone = chart("greenroom-crds").display().to_string();
    run(plane, &["install", "greenroom-crds", &alone, "--take-ownership"]).await.unwrap();
    run(plane, &["install", "second", &greenroom, "--set=crds.enabled=false"]).await.unwrap();
    run(plane, &["uninstall", "second"]).await.unwrap();
    run(plane, &["uninstall", "greenroom-crds"]).await.unwrap();
    assert_eq!(get(plane, &["actorclusters", "-n", WATCHED, "-o", "name"]).lines().count(), 1);
}

fn generation(object: &str) -> Value {
    serde_json::from_str::<Value>(object).unwrap()["metadata"]["generation"].clone()
}

fn replicas(plane: &ControlPlane) -> String {
    get(plane, &["deployment", "greenroom-operator", "-n", NAMESPACE, "-o", "jsonpath={.spec.replicas}"])
}

/// Else, for as long as it stays behind, nothing answers for its group, and no namespace can be deleted.
fn the_api_service_goes_before_its_pods(plane: &ControlPlane) {
    let log = std::fs::read_to_string(plane.audit_log()).unwrap();
    let events: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let deleted = |resource: &str, name: &str| {
        let is_it = |event: &&Value| {
            let object = &event["objectRef"];
            event["verb"] == "delete" && object["resource"] == resource && object["name"] == name
        };
        let event = events.iter().find(is_it).unwrap_or_else(|| panic!("{resource} {name} was not deleted"));
        event["requestReceivedTimestamp"].as_str().unwrap().to_owned()
    };
    let service = deleted("apiservices", "v1alpha1.placement.greenroom.dev");
    assert!(service < deleted("deployments", "greenroom-placement-api"));
    assert!(service < deleted("services", "greenroom-placement-api"));
}
