//! Whoever comes to the mesh port without being a node, or breaks the protocol: closed, counted, harmless.

use futures_util::StreamExt;
use greenroom_proto::v1;
use greenroom_proto::v1::mesh_client::MeshClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::nodes::{CLUSTER, Node, eventually, node, node_with, replied, within};

fn identity(name: &str, store: u128, incarnation: u64) -> Option<v1::NodeIdentity> {
    let store = store.to_be_bytes().to_vec().into();
    Some(v1::NodeIdentity { name: name.into(), store, incarnation })
}

/// The hello of node 9 to node 2.
fn hello() -> v1::Hello {
    v1::Hello {
        protocol: greenroom_proto::MESH_PROTOCOL,
        cluster: CLUSTER.into(),
        from: identity("node-9", 9, 1),
        to: identity("node-2", 2, 1),
    }
}

fn said(hello: v1::Hello) -> v1::Frame {
    v1::Frame { hello: Some(hello), envelopes: Vec::new() }
}

/// Sends these frames and returns the error that the node ends the stream with.
async fn end_of(to: &Node, frames: Vec<v1::Frame>) -> Status {
    let channel =
        Endpoint::from_shared(format!("http://{}", to.address.address)).unwrap().connect().await.unwrap();
    let frames = futures_util::stream::iter(frames).chain(futures_util::stream::pending());
    let mut inbound = match MeshClient::new(channel).link(frames).await {
        Ok(inbound) => inbound.into_inner(),
        Err(status) => return status,
    };
    loop {
        match within(inbound.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without an error"),
            Err(status) => return status,
        }
    }
}

#[tokio::test]
async fn a_hello_that_does_not_fit_is_refused_by_name() {
    let (a, b) = (node(1).await, node(2).await);
    assert_eq!(a.call(&b, "echo", b"").await, replied(b""));
    for (hello, part) in [
        (v1::Hello { protocol: 99, ..hello() }, "wrong protocol: 99 is offered, 1 is spoken here"),
        (v1::Hello { cluster: "other".into(), ..hello() }, "wrong cluster: \"other\" calls"),
        (v1::Hello { to: identity("node-2", 2, 4), ..hello() }, "wrong incarnation: 4 is meant, 1 runs here"),
        (v1::Hello { to: identity("node-2", 3, 1), ..hello() }, "wrong store"),
        (v1::Hello { from: identity("node-2", 2, 1), ..hello() }, "both ends have the same store"),
    ] {
        let refused = end_of(&b, vec![said(hello)]).await;
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains(part), "{refused}");
    }
    let silent = end_of(&b, vec![v1::Frame::default()]).await;
    assert!(silent.message().contains("no hello"), "{silent}");
    assert_eq!((b.counts().refused_hellos, b.counts().links), (6, 1));
    assert_eq!(a.call(&b, "echo", b"on").await, replied(b"on"));
}

#[tokio::test]
async fn a_gap_in_the_envelopes_closes_the_link_loudly_and_no_other() {
    let (a, b) = (node(1).await, node(2).await);
    assert_eq!(a.call(&b, "echo", b"").await, replied(b""));
    let gap = v1::Envelope { sequence: 2, ..Default::default() };
    let gap = v1::Frame { hello: None, envelopes: vec![gap] };
    let closed = end_of(&b, vec![said(hello()), gap]).await;
    assert!(closed.message().contains("envelope 2 came where 1 was due"), "{closed}");
    eventually("it is counted", || b.counts().protocol_errors == 1 && b.counts().links == 1).await;
    assert_eq!(a.call(&b, "echo", b"on").await, replied(b"on"));
}

#[tokio::test]
async fn a_message_that_is_no_frame_is_refused() {
    let b = node(2).await;
    let channel =
        Endpoint::from_shared(format!("http://{}", b.address.address)).unwrap().connect().await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    // Field 1 of a frame is a message, that of a payload a number.
    let wrong = v1::Payload { content_type: 5, ..Default::default() };
    let wrong = futures_util::stream::iter([wrong]).chain(futures_util::stream::pending());
    let codec = tonic_prost::ProstCodec::<v1::Payload, v1::Frame>::default();
    let path = PathAndQuery::from_static("/greenroom.v1.Mesh/Link");
    let refused = grpc.streaming(tonic::Request::new(wrong), path, codec).await.unwrap_err();
    assert!(refused.message().contains("the first frame cannot be read"), "{refused}");
    assert_eq!(b.counts().refused_hellos, 1);
}

#[tokio::test]
async fn random_and_truncated_bytes_are_closed_and_counted_and_the_node_goes_on() {
    let (a, b) = (node(1).await, node(2).await);
    assert_eq!(a.call(&b, "echo", b"").await, replied(b""));
    let mut random = fastrand::Rng::with_seed(3);
    let noise: Vec<Vec<u8>> =
        (0..20).map(|_| (0..random.usize(1..5000)).map(|_| random.u8(..)).collect()).collect();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let broken_frame = [&preface[..], &[0xff; 200]].concat();
    let intruders: Vec<_> =
        noise.into_iter().chain([preface[..9].to_vec(), preface, broken_frame, Vec::new()]).collect();
    let count = intruders.len() as u64;
    for bytes in intruders {
        let mut stream = TcpStream::connect(&b.address.address).await.unwrap();
        // The node may have closed already.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let _ = within(stream.read_to_end(&mut Vec::new())).await;
    }
    eventually("all are counted", || b.counts().strangers == count).await;
    assert_eq!(a.call(&b, "echo", b"on").await, replied(b"on"));
    assert_eq!((b.counts().links, b.counts().reconnects), (1, 0));
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_shown_out() {
    let short = greenroom_cluster::mesh::MeshLimits {
        handshake_timeout: std::time::Duration::from_millis(50),
        ..Default::default()
    };
    let b = node_with(2, 1, short).await;
    let mut stream = TcpStream::connect(&b.address.address).await.unwrap();
    let _ = within(stream.read_to_end(&mut Vec::new())).await;
    eventually("it is counted", || b.counts().strangers == 1).await;
}
