//! Nodes under mutual TLS: who may come to which port, and what a renewal of the certificates disturbs (nothing).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures_util::future::try_join_all;
use greenroom::config::NodeConfig;
use greenroom::node::{Node, NodeError};
use greenroom_crds::names::identity;
use greenroom_proto::v1;
use greenroom_proto::v1::admin_client::AdminClient;
use greenroom_tls::testing::Authority;
use greenroom_tls::{Connector, Pem, Tls};
use support::{Cluster, REPLICAS, Tally, http_get};
use tempfile::TempDir;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

const NAMESPACE: &str = "prod";

fn node_identity() -> String {
    identity::node("test", NAMESPACE)
}

/// Writes the files as a Secret is mounted, each with a rename.
fn mount(directory: &Path, pem: &Pem) {
    std::fs::create_dir_all(directory).unwrap();
    for (name, content) in
        [("tls.crt", &pem.certificate), ("tls.key", &pem.key), ("ca.crt", &pem.authorities)]
    {
        let new = directory.join("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, directory.join(name)).unwrap();
    }
}

fn secured(config: NodeConfig, files: PathBuf) -> NodeConfig {
    NodeConfig { namespace: Some(NAMESPACE.into()), tls_dir: Some(files), ..config }
}

async fn start(config: NodeConfig) -> Result<Node, NodeError> {
    Node::start(config, Box::new(|types| types.register::<Tally>())).await
}

/// A cluster whose nodes have the files of these directories.
async fn cluster(files: impl Fn(u32) -> PathBuf) -> Cluster {
    let mut cluster = Cluster::without_nodes(TempDir::new().unwrap()).await;
    for i in 0..REPLICAS {
        cluster.nodes.push(start(secured(cluster.config(i), files(i))).await.unwrap());
    }
    for node in &cluster.nodes {
        node.when_active().await.unwrap();
    }
    cluster
}

async fn admin_as(node: &Node, tls: Tls) -> Result<AdminClient<Channel>, tonic::transport::Error> {
    let connector = Connector::new(tls, &node_identity()).unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", node.peer().admin_address)).unwrap();
    Ok(AdminClient::new(endpoint.connect_with_connector(connector).await?))
}

async fn status(
    admin: Result<AdminClient<Channel>, tonic::transport::Error>,
) -> Result<v1::NodeStatus, String> {
    let status = admin.map_err(|error| error.to_string())?.status(v1::StatusRequest {}).await;
    status.map(tonic::Response::into_inner).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_service_is_for_those_whom_their_certificate_names() {
    let (authority, files) = (Authority::new(), TempDir::new().unwrap());
    mount(files.path(), &authority.pem(&[&node_identity(), "localhost"]));
    let cluster = cluster(|_| files.path().to_owned()).await;
    // Over the mesh, too: two of three actors are on other nodes than the gateway that is asked.
    let client = cluster.client();
    try_join_all((0..30).map(|key| client.actor::<Tally>(format!("{key}")).add(1))).await.unwrap();

    let node = &cluster.nodes[0];
    let other = Authority::new();
    let both = [other.certificate(), authority.certificate()].concat();
    let impostor = Pem { authorities: both, ..other.pem(&[identity::OPERATOR]) };
    for refused in [
        authority.tls(&[&node_identity()]),
        authority.tls(&[&identity::admin("test", "other")]),
        authority.tls(&[&identity::admin("other", NAMESPACE)]),
        Tls::new(impostor).unwrap(),
    ] {
        let names = refused.names();
        assert!(status(admin_as(node, refused).await).await.is_err(), "{names:?} was let in");
    }
    let plain = AdminClient::connect(format!("http://{}", node.peer().admin_address)).await;
    assert!(status(plain).await.is_err(), "the admin service answers without TLS");

    let mut reader = admin_as(node, authority.tls(&[identity::PLACEMENT_API])).await.unwrap();
    assert_eq!(reader.status(v1::StatusRequest {}).await.unwrap().into_inner().phase, "Active");
    reader.placements(v1::PlacementsRequest::default()).await.unwrap();
    let denied = reader.drain(v1::DrainRequest { timeout_ms: 1 }).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert!(denied.message().contains("may read, but not call Drain"), "{denied}");
    assert_eq!(node.status().phase, "Active");

    let metrics = http_get(&node.peer().health_address, "/metrics").await;
    let untrusted = metrics.lines().find(|line| {
        line.contains("greenroom_connections_total") && line.contains("admin") && line.contains("untrusted")
    });
    // A channel that was refused may have tried more than once.
    let count = untrusted.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    assert!(count.is_some_and(|count| count >= 5.0), "{untrusted:?}");

    for (node, who) in
        [(node, identity::OPERATOR.to_owned()), (&cluster.nodes[1], identity::admin("test", NAMESPACE))]
    {
        let mut admin = admin_as(node, authority.tls(&[&who])).await.unwrap();
        admin.drain(v1::DrainRequest { timeout_ms: 1000 }).await.unwrap();
        assert_eq!(node.status().phase, "Drained", "by {who}");
    }
    cluster.stop().await;
}

fn expiry(metrics: &str) -> u64 {
    let name = "greenroom_certificate_expiry_timestamp_seconds";
    let line = metrics.lines().find(|line| line.starts_with(name)).expect("the expiry is a metric");
    line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
}

/// The authority and all certificates are replaced while calls cross the mesh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn certificates_and_their_authority_are_replaced_without_a_failed_call() {
    let (old, new, root) = (Authority::new(), Authority::new(), TempDir::new().unwrap());
    let files = |i: u32| root.path().join(i.to_string());
    let (name, both) = (node_identity(), [old.certificate(), new.certificate()].concat());
    (0..REPLICAS).for_each(|i| mount(&files(i), &old.pem(&[&name])));
    let cluster = cluster(files).await;
    let client = cluster.client();
    let start = SystemTime::now() + Duration::from_secs(3600);
    let mut calls = 0;
    for (step, authority) in [&old, &new, &new].into_iter().enumerate() {
        let end = start + Duration::from_secs(60 * (step as u64 + 1));
        let expected = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        for i in 0..REPLICAS {
            let pem = authority.pem_until(&[&name], end);
            let authorities = if step == 2 { new.certificate() } else { both.clone() };
            mount(&files(i), &Pem { authorities, ..pem });
        }
        for node in &cluster.nodes {
            while expiry(&http_get(&node.peer().health_address, "/metrics").await) != expected {
                calls += 1;
                try_join_all((0..20).map(|key| client.actor::<Tally>(format!("{key}")).add(1)))
                    .await
                    .unwrap();
            }
        }
    }
    let totals = (0..20).map(|key| client.actor::<Tally>(format!("{key}")).total());
    assert_eq!(try_join_all(totals).await.unwrap(), vec![calls; 20]);
    let operator = admin_as(&cluster.nodes[0], new.tls(&[identity::OPERATOR])).await;
    assert_eq!(status(operator).await.unwrap().phase, "Active");
    let outdated = admin_as(&cluster.nodes[0], old.tls(&[identity::OPERATOR])).await;
    assert!(status(outdated).await.is_err(), "the old authority is still believed");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_without_its_files_gives_up_after_a_while_and_says_what_is_missing() {
    let files = TempDir::new().unwrap();
    let before = tokio::time::Instant::now();
    let error = start(secured(NodeConfig::local(), files.path().to_owned())).await.err().unwrap();
    let waited = before.elapsed();
    assert!(waited >= Duration::from_secs(60) && waited < Duration::from_secs(65), "{waited:?}");
    let message = error.to_string();
    assert!(message.contains("tls.crt") && message.contains("mounted Secret"), "{message}");
}

#[tokio::test]
async fn a_node_with_the_certificate_of_somebody_else_does_not_start() {
    let (authority, files) = (Authority::new(), TempDir::new().unwrap());
    mount(files.path(), &authority.pem(&[&identity::node("other", NAMESPACE)]));
    let error = start(secured(NodeConfig::local(), files.path().to_owned())).await.err().unwrap().to_string();
    let expected = "is for node.other.prod.greenroom.internal, but this node is node.local.prod.greenroom.internal; mount";
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn outside_of_a_pod_there_is_no_api_server() {
    let config = NodeConfig {
        coordination: Some("kubernetes".into()),
        namespace: Some(NAMESPACE.into()),
        ..NodeConfig::local()
    };
    let error = start(config).await.err().unwrap();
    assert!(matches!(error, NodeError::Kubernetes(_)), "{error}");
}
