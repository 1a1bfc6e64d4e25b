//! Who may, and by which certificates everybody is known.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::DeleteParams;
use kube::client::Body;
use kube::{Api, Client, Config};
use support::{NAMESPACE, SYSTEM, World, run};

const LIST: &str = "/apis/placement.greenroom.dev/v1alpha1/namespaces/play/actorplacements";

/// A client that connects to the placement API itself, with a token or nothing.
fn direct(world: &World, token: Option<&str>) -> Client {
    let mut config = Config::new(format!("https://{}", world.api.address).parse().unwrap());
    config.accept_invalid_certs = true;
    config.auth_info.token = token.map(|token| token.to_owned().into());
    Client::try_from(config).unwrap()
}

async fn status(client: &Client, headers: &[(&str, &str)]) -> StatusCode {
    let request =
        headers.iter().fold(Request::get(LIST), |request, (name, value)| request.header(*name, *value));
    client.send(request.body(Body::empty()).unwrap()).await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn roles_decide_who_may_read() {
    let world = World::start().await;
    let as_user = async |user: &str, groups: &[&str], args: &[&str]| {
        let kubeconfig = world.plane.kubeconfig_for(user, groups).unwrap();
        let mut kubectl = world.plane.kubectl();
        kubectl.env("KUBECONFIG", kubeconfig);
        run(kubectl, args).await.0
    };
    let here = ["get", "ap", "-n", NAMESPACE];
    let refused = as_user("jane", &["dev", "ops"], &here).await.unwrap_err();
    assert!(
        refused.contains(r#"User "jane" cannot list resource "actorplacements" in API group "placement.greenroom.dev" in the namespace "play""#),
        "{refused}"
    );
    world
        .ok(&[
            "create",
            "role",
            "reader",
            "-n",
            NAMESPACE,
            "--verb=get,list",
            "--resource=actorplacements.placement.greenroom.dev",
        ])
        .await;
    // The second of two groups decides.
    world.ok(&["create", "rolebinding", "reader", "-n", NAMESPACE, "--role=reader", "--group=ops"]).await;
    world.until("the role is known", async || as_user("jane", &["dev", "ops"], &here).await.is_ok()).await;
    assert!(as_user("joe", &["dev"], &here).await.is_err());
    let everywhere = as_user("jane", &["dev", "ops"], &["get", "ap", "-A"]).await.unwrap_err();
    assert!(everywhere.contains("at the cluster scope"), "{everywhere}");
    let watched =
        as_user("jane", &["dev", "ops"], &["get", "--raw", &format!("{LIST}?watch=1")]).await.unwrap_err();
    assert!(watched.contains("cannot watch"), "{watched}");
    // Impersonation is passed on as the API server says it.
    let joe = world.kubectl(&["get", "ap", "-n", NAMESPACE, "--as=joe"]).await.0;
    assert!(joe.unwrap_err().contains("joe"));
    world.ok(&["get", "ap", "-n", NAMESPACE, "--as=joe", "--as-group=ops"]).await;
    world.api.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn only_the_front_proxy_speaks_for_others() {
    let world = World::start().await;
    let forged = [("x-remote-user", "admin"), ("x-remote-group", "system:masters")];
    assert_eq!(status(&direct(&world, None), &forged).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&direct(&world, Some("nonsense")), &forged).await, StatusCode::UNAUTHORIZED);
    // A certificate of the cluster: its own name counts, not the headers.
    let kubeconfig =
        kube::config::Kubeconfig::read_from(world.plane.kubeconfig_for("jane", &["dev"]).unwrap()).unwrap();
    let mut jane = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    jane.cluster_url = format!("https://{}", world.api.address).parse().unwrap();
    jane.accept_invalid_certs = true;
    assert_eq!(status(&Client::try_from(jane).unwrap(), &forged).await, StatusCode::FORBIDDEN);
    // A token of the cluster is reviewed.
    world.ok(&["create", "serviceaccount", "robot", "-n", NAMESPACE]).await;
    let token = world.ok(&["create", "token", "robot", "-n", NAMESPACE]).await;
    assert_eq!(status(&direct(&world, Some(token.trim())), &forged).await, StatusCode::FORBIDDEN);
    world
        .ok(&[
            "create",
            "clusterrolebinding",
            "robot",
            "--clusterrole=cluster-admin",
            "--serviceaccount=play:robot",
        ])
        .await;
    let robot = direct(&world, Some(token.trim()));
    world.until("the binding is known", async || status(&robot, &[]).await == StatusCode::OK).await;
    // Health is for everybody, metrics are not on this port.
    let ask = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        direct(&world, None).send(request).await.unwrap().status()
    };
    assert_eq!(ask("/readyz").await, StatusCode::OK);
    assert_eq!(ask("/metrics").await, StatusCode::UNAUTHORIZED);
    world.api.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn certificates_are_made_kept_and_made_again() {
    let world = World::start().await;
    let (secrets, services) =
        (Api::<Secret>::namespaced(world.kube.clone(), SYSTEM), Api::<APIService>::all(world.kube.clone()));
    let bundle = async || {
        let service = services.get("v1alpha1.placement.greenroom.dev").await.unwrap();
        service.spec.unwrap().ca_bundle.unwrap().0
    };
    let secret = secrets.get("greenroom-placement-api-tls").await.unwrap();
    let first = bundle().await;
    assert_eq!(secret.data.unwrap()["ca.crt"].0, first);
    // Only the bundle is ours.
    let service = services.get("v1alpha1.placement.greenroom.dev").await.unwrap();
    let managers = service.metadata.managed_fields.unwrap();
    let ours =
        managers.iter().find(|entry| entry.manager.as_deref() == Some("greenroom-placement-api")).unwrap();
    let fields = serde_json::to_string(&ours.fields_v1).unwrap();
    assert_eq!(fields, r#"{"f:spec":{"f:caBundle":{}}}"#);
    // Without its Secret the server makes a new authority when it starts, and publishes it.
    secrets.delete("greenroom-placement-api-tls", &DeleteParams::default()).await.unwrap();
    let restarted = world.restart_api().await;
    restarted
        .until("the new bundle is published", async || {
            let service = Api::<APIService>::all(restarted.kube.clone())
                .get("v1alpha1.placement.greenroom.dev")
                .await
                .unwrap();
            service.spec.unwrap().ca_bundle.unwrap().0 != first
        })
        .await;
    restarted
        .until("kubectl works again", async || restarted.kubectl(&["get", "ap", "-A"]).await.0.is_ok())
        .await;
    restarted.api.stop().await;
}
