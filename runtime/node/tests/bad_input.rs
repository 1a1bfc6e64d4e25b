//! Whatever comes in from outside: a clear error for a wrong call, a closed and counted connection for wrong bytes, and
//! the node goes on with nothing lost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use greenroom::{CallError, CallOptions, Client};
use support::{Cluster, Tally, http_get};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn json_error(client: &Client, target: &str, method: &str, arguments: &str) -> (String, String) {
    let error = match target.parse() {
        Ok(target) => client.call_json(&target, method, arguments, CallOptions::default()).await.unwrap_err(),
        Err(error) => CallError::Invalid(error.to_string()),
    };
    (error.kind().to_owned(), error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_calls_get_errors_that_say_what_to_do() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let long_key = format!("Tally/{}", "k".repeat(10_000));
    for (target, method, arguments, kind, part) in [
        ("Nobody/x", "add", "{}", "not_found", "this node serves Tally"),
        ("Tally/x", "subtract", "{}", "not_found", "it has add"),
        ("Tally/x", "add", r#"{"by":"three"}"#, "invalid", "at `by`"),
        ("Tally/x", "add", "{}", "invalid", "missing field `by`"),
        ("Tally/x", "add", "{by:1}", "invalid", "Tally.add takes by"),
        (&long_key, "add", r#"{"by":1}"#, "invalid", "at most 512"),
    ] {
        let (found, message) = json_error(&client, target, method, arguments).await;
        assert_eq!((found.as_str(), message.contains(part)), (kind, true), "{target} {method}: {message}");
        assert!(message.len() < 400, "{message}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_checks_identities_itself() {
    use greenroom_proto::v1;
    let cluster = Cluster::start().await;
    let address = format!("http://{}", cluster.nodes[0].peer().gateway_address);
    let mut gateway = v1::gateway_client::GatewayClient::connect(address).await.unwrap();
    let call = |key: String, call_id: &'static [u8]| v1::CallRequest {
        r#type: "Tally".into(),
        key,
        method: "total".into(),
        call_id: call_id.into(),
        ..Default::default()
    };
    for (request, part) in [
        (call("k".repeat(10_000), b""), "at most 512"),
        (call(String::new(), b""), "is empty"),
        (call("x".into(), b"short"), "16 bytes, this one has 5"),
    ] {
        let status = gateway.call(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert!(status.message().contains(part), "{}", status.message());
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_replies_above_the_limit_are_named_errors() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let long = client.actor::<Tally>("long");
    // Through the mesh and through the gateway: whichever node has the actor, two of three gateways are elsewhere.
    for node in &cluster.nodes {
        let client = Client::connect([node.peer().gateway_address.clone()]).unwrap();
        let error = client.actor::<Tally>("long").long(6 << 20).await.unwrap_err().to_string();
        assert!(error.contains("bytes"), "{error}");
        let arguments = format!(r#"{{"to":"{}","by":1}}"#, "x".repeat(6 << 20));
        let (_, message) = json_error(&client, "Tally/long", "pass_on", &arguments).await;
        assert!(message.contains("4194304 bytes") || message.contains("at most"), "{message}");
    }
    assert_eq!(long.add(1).await.unwrap(), 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_an_error_for_the_caller_and_nothing_else() {
    let cluster = Cluster::start().await;
    let tally = cluster.client().actor::<Tally>("panicking");
    tally.add(3).await.unwrap();
    let error = tally.panic().await.unwrap_err();
    assert_eq!(error.kind(), "panicked");
    assert!(error.to_string().contains("on purpose"), "{error}");
    assert_eq!(tally.total().await.unwrap(), 3);
    cluster.stop().await;
}

/// Bytes that no port expects, and the beginning of what each does expect.
fn garbage() -> Vec<Vec<u8>> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = |length: usize| {
        let byte = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as u8
        };
        std::iter::repeat_with(byte).take(length).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = [1, 9, 100, 10_000].map(&mut noise).into();
    all.push(PREFACE[..10].to_vec());
    all.push([PREFACE, &noise(200)].concat());
    // A frame whose length is far above the limit.
    all.push([PREFACE, &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat());
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_bytes_on_every_port_close_their_connection_and_nothing_else() {
    let cluster = Cluster::start().await;
    let tally = cluster.client().actor::<Tally>("kept");
    tally.add(5).await.unwrap();
    let peer = cluster.nodes[0].peer().clone();
    let ports = [&peer.gateway_address, &peer.mesh_address, &peer.admin_address, &peer.health_address];
    for address in ports {
        for bytes in garbage() {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // The node may close while we still write.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let closed = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
            assert!(closed.is_ok(), "{address} keeps a connection that sent {} wrong bytes", bytes.len());
        }
    }
    let metrics = http_get(&peer.health_address, "/metrics").await;
    for count in [
        "greenroom_connections_total{outcome=\"broken\",port=\"gateway\"",
        "greenroom_connections_total{outcome=\"broken\",port=\"admin\"",
        "greenroom_mesh_errors_total{reason=\"stranger\"",
    ] {
        let line = metrics
            .lines()
            .find(|line| line.replace(",otel_scope_name=\"greenroom\"", "").starts_with(count));
        let value: f64 = line.and_then(|line| line.rsplit(' ').next()).unwrap_or("0").parse().unwrap();
        assert!(value >= 1.0, "wrong bytes were not counted as {count}:\n{metrics}");
    }
    assert_eq!(tally.add(1).await.unwrap(), 6);
    assert!(http_get(&peer.health_address, "/readyz").await.contains("ok"));
    cluster.stop().await;
}
