//! Actors are taken out of memory from outside, wherever they are; what one node can ask for, no client can.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use greenroom::{ActorId, CallOptions};
use greenroom_core::engine::deactivate_anywhere;
use greenroom_proto::v1::admin_client::AdminClient;
use greenroom_proto::v1::{DeactivateRequest, HotActorsRequest, TypesRequest};
use support::{Cluster, Tally};
use tonic::transport::{Channel, Endpoint};

async fn admin(address: &str) -> AdminClient<Channel> {
    AdminClient::new(Endpoint::new(format!("http://{address}")).unwrap().connect().await.unwrap())
}

fn actor(i: u32) -> ActorId {
    format!("Tally/t{i}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_leaves_the_node_that_it_is_on_and_comes_back_with_its_state() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    for i in 0..12 {
        assert_eq!(client.actor::<Tally>(format!("t{i}")).add(1).await.unwrap(), 1);
    }
    // From one node, wherever they are.
    let transport = cluster.nodes[0].transport();
    for i in 0..6 {
        assert!(deactivate_anywhere(&transport, &actor(i)).await.unwrap());
        assert!(!deactivate_anywhere(&transport, &actor(i)).await.unwrap());
    }
    // Over the admin service, asking each node.
    for i in 6..12 {
        let mut left = 0;
        for node in &cluster.nodes {
            let request = DeactivateRequest { r#type: "Tally".into(), key: format!("t{i}") };
            let reply = admin(&node.peer().admin_address).await.deactivate(request).await.unwrap();
            left += u32::from(reply.into_inner().left);
        }
        assert_eq!(left, 1);
    }
    for i in 0..12 {
        assert_eq!(client.actor::<Tally>(format!("t{i}")).add(1).await.unwrap(), 2);
    }
    for internal in ["@deactivate", "@probe", "@session"] {
        let refused = client.call_json(&actor(0), internal, "{}", CallOptions::default()).await.unwrap_err();
        assert_eq!(refused.kind(), "not_found", "{internal}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_service_counts_calls_by_method_and_knows_the_busy_actors() {
    let cluster = Cluster::start().await;
    let tally = cluster.client().actor::<Tally>("busy");
    for i in 1..=3000 {
        assert_eq!(tally.total().await.unwrap(), 0, "call {i}");
    }
    let (mut calls, mut hot) = (0, Vec::new());
    for node in &cluster.nodes {
        let mut admin = admin(&node.peer().admin_address).await;
        let types = admin.types(TypesRequest {}).await.unwrap().into_inner().types;
        let method = types[0].methods.iter().find(|method| method.name == "total").unwrap();
        calls += method.calls;
        assert_eq!(method.failed, 0);
        hot.extend(admin.hot_actors(HotActorsRequest { limit: 1 }).await.unwrap().into_inner().actors);
    }
    assert_eq!(calls, 3000);
    assert_eq!(hot.len(), 1, "{hot:?}");
    assert_eq!((hot[0].r#type.as_str(), hot[0].key.as_str()), ("Tally", "busy"));
    cluster.stop().await;
}
