//! One-way requests: taken in order, answered by nobody.

use greenroom_cluster::{Network, NetworkError};

use crate::nodes::{node, replied, request, within};

#[tokio::test]
async fn a_one_way_request_is_taken_and_no_answer_travels_back() {
    let (a, b) = (node(1).await, node(2).await);
    assert_eq!(a.call(&b, "echo", b"hello").await, replied(b"hello"));
    let before = b.counts().envelopes_out;
    for _ in 0..3 {
        within(a.mesh.tell(&b.address, request("wait", b""))).await.unwrap();
    }
    b.handler.has_begun(3).await;
    b.handler.go_on.add_permits(3);
    assert_eq!(a.call(&b, "echo", b"again").await, replied(b"again"));
    assert_eq!((b.counts().one_way_in, b.counts().envelopes_out - before), (3, 1));
    // Nobody waits for them, so the link is idle and can be left at once.
    within(a.mesh.shutdown()).await;
}

#[tokio::test]
async fn a_one_way_request_is_taken_even_if_its_link_parts() {
    let (a, b) = (node(1).await, node(2).await);
    for _ in 0..100 {
        within(a.mesh.tell(&b.address, request("wait", b""))).await.unwrap();
    }
    within(a.mesh.shutdown()).await;
    b.handler.has_begun(100).await;
    let late = a.mesh.tell(&b.address, request("wait", b"")).await;
    assert!(matches!(late, Err(NetworkError::NotSent(_))), "{late:?}");
}
