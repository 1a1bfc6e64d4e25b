//! Links under mutual TLS: only nodes of this cluster, by their certificates.

use std::time::Duration;

use greenroom_cluster::NetworkError;
use greenroom_cluster::mesh::{MeshLimits, MeshTls};
use greenroom_tls::testing::Authority;
use greenroom_tls::{Connector, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::nodes::{Node, eventually, node, node_behind, replied, within};

const IDENTITY: &str = "node.test.default.greenroom.internal";

async fn secure(tls: &Tls, number: u128) -> Node {
    secure_with(tls, number, MeshLimits::default()).await
}

async fn secure_with(tls: &Tls, number: u128, limits: MeshLimits) -> Node {
    node_behind(Some(MeshTls::new(tls, IDENTITY).unwrap()), number, 1, limits).await
}

async fn not_sent(from: &Node, to: &Node) -> String {
    match within(from.call(to, "echo", b"")).await {
        Err(NetworkError::NotSent(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nodes_of_one_cluster_call_each_other_and_go_on_while_their_certificates_are_renewed() {
    let authority = Authority::new();
    let (tls_a, tls_b) = (authority.tls(&[IDENTITY]), authority.tls(&[IDENTITY]));
    let (a, b) = (secure(&tls_a, 1).await, secure(&tls_b, 2).await);
    assert_eq!(a.call(&b, "echo", b"there").await, replied(b"there"));
    tls_a.replace(authority.pem(&[IDENTITY])).unwrap();
    tls_b.replace(authority.pem(&[IDENTITY])).unwrap();
    assert_eq!(b.call(&a, "echo", b"back").await, replied(b"back"));
    assert_eq!((a.counts().links, a.counts().reconnects), (1, 0), "the link was closed");

    let c = secure(&tls_a, 3).await;
    assert_eq!(b.call(&c, "echo", b"new").await, replied(b"new"));
    assert_eq!(a.counts().refused_handshakes + b.counts().refused_handshakes, 0);
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_by_its_certificate() {
    let authority = Authority::new();
    let a = secure(&authority.tls(&[IDENTITY]), 1).await;
    let other = authority.tls(&["node.other.default.greenroom.internal"]);
    // It says the right hello, and even expects the right server.
    let intruder = secure(&other, 2).await;
    let why = not_sent(&intruder, &a).await;
    assert!(why.contains("CertificateUnknown"), "{why}");
    assert_eq!((a.counts().refused_handshakes, a.counts().strangers, a.counts().refused_hellos), (1, 0, 0));
    let why = not_sent(&a, &intruder).await;
    assert!(why.contains("not valid for name") && why.contains("node.other.default"), "{why}");
    assert_eq!((a.counts().links, intruder.counts().links), (0, 0));
}

#[tokio::test]
async fn nodes_with_and_without_tls_do_not_link() {
    let secure = secure(&Authority::new().tls(&[IDENTITY]), 1).await;
    let plain = node(2).await;
    assert!(not_sent(&plain, &secure).await.contains("does not answer"));
    assert!(not_sent(&secure, &plain).await.contains("does not answer"));
    assert_eq!((plain.counts().links, secure.counts().links), (0, 0));
    eventually("it is counted", || secure.counts().refused_handshakes == 1).await;
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_shown_out_before_and_after_the_handshake() {
    let authority = Authority::new();
    let tls = authority.tls(&[IDENTITY]);
    let short = MeshLimits { handshake_timeout: Duration::from_millis(200), ..Default::default() };
    let a = secure_with(&tls, 1, short).await;
    let mut silent = TcpStream::connect(&a.address.address).await.unwrap();
    let _ = within(silent.read_to_end(&mut Vec::new())).await;
    eventually("the silent one is counted", || a.counts().strangers == 1).await;

    let stream = TcpStream::connect(&a.address.address).await.unwrap();
    let mut idle = Connector::new(tls, IDENTITY).unwrap().connect(stream).await.unwrap();
    let _ = within(idle.read_to_end(&mut Vec::new())).await;
    eventually("the idle one is counted", || a.counts().strangers == 2).await;

    let mut noisy = TcpStream::connect(&a.address.address).await.unwrap();
    noisy.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let _ = within(noisy.read_to_end(&mut Vec::new())).await;
    eventually("the noisy one is counted", || a.counts().refused_handshakes == 1).await;
    assert_eq!(a.counts().strangers, 2);
}
