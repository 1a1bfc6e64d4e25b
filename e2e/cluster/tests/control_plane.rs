//! A control plane without nodes, as the tests of other crates use it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::time::Duration;

use greenroom_e2e_cluster::{ControlPlane, client};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;

fn named(name: &str) -> ConfigMap {
    serde_json::from_value(serde_json::json!({"metadata": {"name": name}})).unwrap()
}

#[tokio::test]
async fn a_control_plane_serves_refuses_logs_survives_a_kill_and_leaves_nothing() {
    let plane = ControlPlane::start().await.unwrap();
    let folder = plane.audit_log().parent().unwrap().to_owned();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client());
    maps.create(&PostParams::default(), &named("kept")).await.unwrap();

    let anna = client(&plane.kubeconfig_for("anna", &["readers", "guests"]).unwrap()).await.unwrap();
    let refused = Api::<ConfigMap>::default_namespaced(anna.clone()).get("kept").await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403), "{refused}");
    // A binding to her second group, by kubectl. The API server learns of it through a watch of its own.
    for arguments in [
        "create clusterrole maps --verb=get --resource=configmaps",
        "create clusterrolebinding guests --clusterrole=maps --group=guests",
    ] {
        assert!(plane.kubectl().args(arguments.split(' ')).status().unwrap().success());
    }
    let hers = Api::<ConfigMap>::default_namespaced(anna);
    tokio::time::timeout(Duration::from_secs(10), async { while hers.get("kept").await.is_err() {} })
        .await
        .unwrap();

    let log = std::fs::read_to_string(plane.audit_log()).unwrap();
    let of_anna = log.lines().filter(|line| line.contains(r#""username":"anna""#)).collect::<Vec<_>>();
    assert!(of_anna.first().is_some_and(|first| first.contains(r#""code":403"#)), "{of_anna:#?}");
    assert!(of_anna.last().is_some_and(|last| last.contains(r#""code":200"#)), "{of_anna:#?}");

    plane.pause_api_server().unwrap();
    tokio::time::timeout(Duration::from_millis(300), maps.get("kept"))
        .await
        .expect_err("a paused server answers");
    plane.resume_api_server().unwrap();
    maps.get("kept").await.unwrap();
    plane.kill_api_server().unwrap();
    maps.get("kept").await.unwrap_err();
    plane.start_api_server().await.unwrap();
    maps.get("kept").await.unwrap();

    let ours = processes_under(&folder);
    assert!(ours.len() >= 2, "etcd and the API server: {ours:?}");
    drop(plane);
    assert_eq!(processes_under(&folder), Vec::<PathBuf>::new());
    assert!(!folder.exists());
}

#[tokio::test]
#[ignore = "slow"]
async fn with_the_controller_manager_namespaces_get_their_service_account() {
    let options = greenroom_e2e_cluster::Options { controller_manager: true, ..Default::default() };
    let plane = ControlPlane::start_with(options).await.unwrap();
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::default_namespaced(plane.client());
    kube::runtime::wait::await_condition(accounts, "default", |account: Option<&_>| account.is_some())
        .await
        .unwrap();
    let token = plane.kubeconfig_for_service_account("default", "default").unwrap();
    let client = client(&token).await.unwrap();
    let refused = Api::<ConfigMap>::default_namespaced(client).get("any").await.unwrap_err();
    assert!(refused.to_string().contains("system:serviceaccount:default:default"), "{refused}");
}

/// The running processes that work in `folder`.
fn processes_under(folder: &std::path::Path) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok());
    processes
        .map(|entry| entry.path())
        .filter(|process| std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .collect()
}
