//! Calls over a link: in both directions, in batches, within limits, cancelled.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use greenroom_cluster::mesh::MeshLimits;
use greenroom_cluster::{MeshReply, Network, NetworkError};
use greenroom_core::{CallError, Epoch};

use crate::nodes::{eventually, node, node_with, replied, request, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_calls_both_ways_are_answered_over_one_link_in_few_frames() {
    let (a, b) = (node(1).await, node(2).await);
    assert_eq!(a.call(&b, "echo", b"first").await, replied(b"first"));
    let numbers = || (0..3000_u32).map(u32::to_be_bytes);
    let there = join_all(numbers().map(|n| a.mesh.request(&b.address, request("echo", &n))));
    let back = join_all(numbers().map(|n| b.mesh.request(&a.address, request("echo", &n))));
    let (there, back) = within(futures_util::future::join(there, back)).await;
    for (n, (there, back)) in numbers().zip(there.into_iter().zip(back)) {
        assert_eq!((there, back), (replied(&n), replied(&n)));
    }
    for counts in [a.counts(), b.counts()] {
        assert_eq!(counts.links, 1);
        assert!(counts.envelopes_out >= 6000, "{counts:?}");
        assert!(counts.frames_out * 4 < counts.envelopes_out, "{counts:?}");
    }
}

#[tokio::test]
async fn an_answer_that_the_shard_is_elsewhere_arrives() {
    let (a, b) = (node(1).await, node(2).await);
    let moved = Ok(MeshReply::Moved { owner: None, epoch: Epoch(9) });
    assert_eq!(a.call(&b, "moved", b"").await, moved);
}

#[tokio::test]
async fn a_long_call_does_not_hold_up_the_calls_behind_it() {
    let (a, b) = (node(1).await, node(2).await);
    let mut long = Box::pin(a.call(&b, "wait", b"long"));
    assert!(futures_util::poll!(&mut long).is_pending());
    tokio::select! {
        biased;
        _ = &mut long => panic!("it was not let go on"),
        () = b.handler.has_begun(1) => {}
    }
    assert_eq!(within(a.call(&b, "echo", b"short")).await, replied(b"short"));
    b.handler.go_on.add_permits(1);
    assert_eq!(within(long).await, replied(b"long"));
}

#[tokio::test]
async fn a_dropped_call_is_dropped_at_the_other_node_too() {
    let (a, b) = (node(1).await, node(2).await);
    let call = a.mesh.request(&b.address, request("wait", b""));
    tokio::select! {
        biased;
        _ = call => panic!("it was not let go on"),
        () = b.handler.has_begun(1) => assert_eq!(b.handler.dropped.load(Ordering::SeqCst), 0),
    }
    eventually("the call is dropped", || b.handler.dropped.load(Ordering::SeqCst) == 1).await;
    assert_eq!(a.call(&b, "echo", b"on").await, replied(b"on"));
}

#[tokio::test]
async fn a_call_or_reply_that_is_too_large_is_an_error_of_its_own_and_the_link_goes_on() {
    let limits = MeshLimits { max_message_bytes: 100_000, ..MeshLimits::default() };
    let (a, b) = (node_with(1, 1, limits).await, node_with(2, 1, limits).await);
    let call = a.call(&b, "echo", &[1; 100_000]).await;
    assert!(
        matches!(call, Err(NetworkError::TooLarge { bytes, limit: 100_000 }) if bytes > 100_000),
        "{call:?}"
    );
    let reply = a.call(&b, "large", b"100000").await;
    let Ok(MeshReply::Reply(Err(CallError::Invalid(text)))) = reply else { panic!("{reply:?}") };
    assert!(text.contains("100000 is the limit"), "{text}");
    assert_eq!(a.call(&b, "large", b"5").await, replied(&[1; 5]));
    assert_eq!((a.counts().links, a.counts().reconnects), (1, 0));
}

#[tokio::test]
async fn calls_above_the_in_flight_limit_are_refused_by_reply() {
    let few = MeshLimits { max_in_flight_per_link: 2, ..MeshLimits::default() };
    let (a, b) = (node(1).await, node_with(2, 1, few).await);
    let mut both = Box::pin(join_all((0..2).map(|_| a.call(&b, "wait", b""))));
    tokio::select! {
        biased;
        _ = &mut both => panic!("they were not let go on"),
        () = b.handler.has_begun(2) => {}
    }
    let third = within(a.call(&b, "echo", b"")).await;
    assert!(matches!(third, Ok(MeshReply::Reply(Err(CallError::Overloaded(_))))), "{third:?}");
    assert_eq!(b.counts().overloaded, 1);
    b.handler.go_on.add_permits(2);
    assert_eq!(within(both).await, [replied(b""), replied(b"")]);
}

#[tokio::test]
async fn a_handler_that_panics_costs_one_call() {
    let (a, b) = (node(1).await, node(2).await);
    let reply = a.call(&b, "panic", b"").await;
    assert!(matches!(reply, Ok(MeshReply::Reply(Err(CallError::Panicked(_))))), "{reply:?}");
    assert_eq!(a.call(&b, "echo", b"on").await, replied(b"on"));
}
