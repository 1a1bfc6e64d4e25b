//! What programs other than ours ask a node: gRPC health and reflection, HTTP probes, the pages of the admin service.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use greenroom_proto::v1;
use greenroom_proto::v1::admin_client::AdminClient;
use greenroom_proto::v1::call_reply::Reply;
use greenroom_proto::v1::call_request::Arguments;
use greenroom_proto::v1::gateway_client::GatewayClient;
use prost::Message;
use support::{Cluster, Sum, Tally};
use tonic::Code;
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

/// A client in another language knows the gateway's `.proto` and the one of the actor's messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_client_calls_with_a_protobuf_message_and_is_answered_with_one() {
    let cluster = Cluster::start().await;
    let call = |method: &str, message: &[u8]| v1::CallRequest {
        r#type: "Tally".into(),
        key: "by-message".into(),
        method: method.into(),
        arguments: Some(Arguments::Protobuf(message.to_vec().into())),
        ..Default::default()
    };
    let mut total = 0;
    // Whichever node has the actor, two of three gateways are elsewhere.
    for node in &cluster.nodes {
        let mut gateway = GatewayClient::new(channel(&node.peer().gateway_address).await);
        let sum = Sum { amount: -300 }.encode_to_vec();
        let reply = gateway.call(call("add_sum", &sum)).await.unwrap().into_inner().reply;
        let Some(Reply::Protobuf(bytes)) = reply else { panic!("{reply:?}") };
        total -= 300;
        assert_eq!(Sum::decode(bytes).unwrap(), Sum { amount: total });

        for (method, message, code, part) in [
            ("add_sum", &b"\x08"[..], Code::InvalidArgument, "at `by`: these bytes are no Sum"),
            ("add", &sum, Code::InvalidArgument, "call with MessagePack or JSON; Tally.add takes by"),
            ("add_sum", b"", Code::FailedPrecondition, "there is nothing to add"),
        ] {
            let status = gateway.call(call(method, message)).await.unwrap_err();
            assert!(status.code() == code && status.message().contains(part), "{status}");
        }
    }
    assert_eq!(cluster.client().actor::<Tally>("by-message").total().await.unwrap(), total);
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

/// Who follows a node by its stamps.
struct Follower {
    changes: tonic::Streaming<v1::PlacementChanges>,
    stamp: u64,
}

impl Follower {
    /// Lists, then watches from the stamp of the list; nothing is in memory yet.
    async fn begin(admin: &mut AdminClient<Channel>) -> Self {
        let page = admin.placements(v1::PlacementsRequest::default()).await.unwrap().into_inner();
        assert_eq!(page.placements, []);
        let request = v1::WatchPlacementsRequest { after: page.stamp, ..Default::default() };
        Self { changes: admin.watch_placements(request).await.unwrap().into_inner(), stamp: page.stamp }
    }

    async fn next(&mut self) -> Result<Vec<v1::PlacementChange>, tonic::Status> {
        let next = tokio::time::timeout(Duration::from_secs(20), self.changes.message());
        let message =
            next.await.expect("a watch says something each second")?.expect("it ends with a status");
        assert!(
            message.changes.iter().all(|change| self.stamp < change.stamp && change.stamp <= message.stamp)
        );
        assert!(message.stamp > self.stamp);
        self.stamp = message.stamp;
        Ok(message.changes)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_from_the_stamp_of_a_list_tells_what_comes_and_goes() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let peer = cluster.nodes[0].peer().clone();
    let mut admin = AdminClient::new(channel(&peer.admin_address).await);
    let mut follower = Follower::begin(&mut admin).await;
    try_join_all((0..60).map(|key| client.actor::<Tally>(format!("k{key:02}")).add(1))).await.unwrap();
    let here = admin.placements(v1::PlacementsRequest::default()).await.unwrap().into_inner();
    assert!(here.stamp > follower.stamp && !here.placements.is_empty());

    let mut told = BTreeMap::new();
    while told.len() < here.placements.len() {
        for change in follower.next().await.unwrap() {
            let placement = change.placement.unwrap();
            assert!(!change.gone && placement.node == peer.name);
            told.insert(placement.key.clone(), v1::Placement { mailbox: 0, ..placement });
        }
    }
    assert_eq!(told.into_values().collect::<Vec<_>>(), here.placements);
    // Nothing changes any more: a stamp alone.
    assert_eq!(follower.next().await.unwrap(), []);

    let one = &here.placements[0];
    let named = v1::PlacementsRequest { name: one.name.clone(), ..Default::default() };
    assert_eq!(&admin.placements(named).await.unwrap().into_inner().placements, std::slice::from_ref(one));
    let far = follower.stamp + 3_600_000_000;
    let told = v1::PlacementsRequest { name: "tally-none".into(), after: far, ..Default::default() };
    let none = admin.placements(told).await.unwrap().into_inner();
    assert!(none.placements.is_empty() && none.stamp > far, "{none:?}");

    admin.drain(v1::DrainRequest { timeout_ms: 1000 }).await.unwrap();
    let mut gone = 0;
    let end = loop {
        match follower.next().await {
            Ok(changes) => gone += changes.iter().filter(|change| change.gone).count(),
            Err(status) => break status,
        }
    };
    assert_eq!((gone, end.code()), (here.placements.len(), Code::Unavailable), "{end}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_one_type_tells_nothing_of_others_and_one_from_long_ago_is_refused() {
    let cluster = Cluster::start().await;
    let mut admin = AdminClient::new(channel(&cluster.nodes[0].peer().admin_address).await);
    let watch = |after, r#type: &str| v1::WatchPlacementsRequest { after, r#type: r#type.into() };
    let old = admin.watch_placements(watch(1, "")).await.unwrap_err();
    assert_eq!(
        (old.code(), old.message().ends_with("; list the placements again")),
        (Code::OutOfRange, true)
    );
    let absurd = admin.watch_placements(watch(u64::MAX, "")).await.unwrap_err();
    assert_eq!(absurd.code(), Code::InvalidArgument);

    let stamp = admin.placements(v1::PlacementsRequest::default()).await.unwrap().into_inner().stamp;
    let changes = admin.watch_placements(watch(stamp, "Other")).await.unwrap().into_inner();
    let mut follower = Follower { changes, stamp };
    let client = cluster.client();
    try_join_all((0..30).map(|key| client.actor::<Tally>(format!("k{key:02}")).add(1))).await.unwrap();
    for _ in 0..2 {
        assert_eq!(follower.next().await.unwrap(), []);
    }
    cluster.stop().await;
}
