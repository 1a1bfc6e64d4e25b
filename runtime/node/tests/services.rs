//! What programs other than ours ask a node: gRPC health and reflection, HTTP probes, the pages of the admin service.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use greenroom_proto::v1;
use greenroom_proto::v1::admin_client::AdminClient;
use support::{Cluster, Tally};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

async fn channel(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_says_that_it_serves_until_it_drains() {
    let cluster = Cluster::start().await;
    let peer = cluster.nodes[0].peer().clone();
    let mut health = HealthClient::new(channel(&peer.gateway_address).await);
    let service = HealthCheckRequest { service: "greenroom.v1.Gateway".into() };
    let status = health.check(service.clone()).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::Serving);

    let mut admin = AdminClient::new(channel(&peer.admin_address).await);
    let drained = admin.drain(v1::DrainRequest { timeout_ms: 1000 }).await.unwrap().into_inner();
    assert_eq!(drained.cancelled_turns, 0);
    let status = health.check(service).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::NotServing);
    let phase = admin.status(v1::StatusRequest {}).await.unwrap().into_inner().phase;
    assert_eq!(phase, "Drained");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_and_admin_describe_themselves() {
    let cluster = Cluster::start().await;
    let peer = cluster.nodes[0].peer().clone();
    for (address, service) in
        [(&peer.gateway_address, "greenroom.v1.Gateway"), (&peer.admin_address, "greenroom.v1.Admin")]
    {
        let mut client = ServerReflectionClient::new(channel(address).await);
        let list = MessageRequest::ListServices(String::new());
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
        let mut answers = client
            .server_reflection_info(futures_util::stream::once(std::future::ready(request)))
            .await
            .unwrap()
            .into_inner();
        let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(services) = answer else { panic!("{answer:?}") };
        assert!(services.service.iter().any(|found| found.name == service), "{services:?}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn placements_page_through_everything_once_and_in_order() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    try_join_all((0..90).map(|key| client.actor::<Tally>(format!("k{key:02}")).add(1))).await.unwrap();
    let mut found = Vec::new();
    for node in &cluster.nodes {
        let mut admin = AdminClient::new(channel(&node.peer().admin_address).await);
        let (mut page_token, mut keys) = (String::new(), Vec::new());
        loop {
            let request = v1::PlacementsRequest { page_size: 7, page_token, ..Default::default() };
            let page = admin.placements(request).await.unwrap().into_inner();
            assert!(page.placements.iter().all(|placement| placement.node == node.peer().name));
            keys.extend(page.placements.into_iter().map(|placement| placement.key));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert!(keys.is_sorted(), "{keys:?}");
        found.extend(keys);
    }
    found.sort();
    assert_eq!(found, (0..90).map(|key| format!("k{key:02}")).collect::<Vec<_>>());
    cluster.stop().await;
}
