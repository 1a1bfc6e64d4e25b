//! Opening, losing, giving up links.

use futures_util::future::{join, join_all};
use greenroom_cluster::mesh::MeshLimits;
use greenroom_cluster::{Network, NetworkError, PeerAddress};

use crate::nodes::{eventually, node, node_with, replied, request, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_dial_each_other_at_once_end_with_one_link_and_lose_no_call() {
    for round in 0..20 {
        let (a, b) = (node(1).await, node(2).await);
        let there = join_all((0..50).map(|_| a.call(&b, "echo", b"there")));
        let back = join_all((0..50).map(|_| b.call(&a, "echo", b"back")));
        let (there, back) = within(join(there, back)).await;
        assert!(there.iter().all(|reply| *reply == replied(b"there")), "round {round}: {there:?}");
        assert!(back.iter().all(|reply| *reply == replied(b"back")), "round {round}: {back:?}");
        eventually("one link is left", || a.counts().links == 1 && b.counts().links == 1).await;
        assert_eq!(a.call(&b, "echo", b"on").await, replied(b"on"));
        assert_eq!(b.call(&a, "echo", b"on").await, replied(b"on"));
    }
}

#[tokio::test]
async fn a_peer_that_dies_under_a_call_loses_it_and_its_next_run_is_linked_again() {
    let (a, b) = (node(1).await, node(2).await);
    let call = a.mesh.request(&b.address, request("wait", b""));
    let call = tokio::spawn(call);
    b.handler.has_begun(1).await;
    let gone = b.address.clone();
    drop(b);
    let lost = within(call).await.unwrap();
    assert!(matches!(lost, Err(NetworkError::Lost(_))), "{lost:?}");

    eventually("nobody answers there", || std::net::TcpStream::connect(&gone.address).is_err()).await;
    let dead = within(a.mesh.request(&gone, request("echo", b""))).await;
    let Err(NetworkError::NotSent(why)) = dead else { panic!("{dead:?}") };
    assert!(why.starts_with(&format!("node-2 at {} does not answer: ", gone.address)), "{why}");

    let again = node_with(2, 2, MeshLimits::default()).await;
    assert_eq!(a.call(&again, "echo", b"on").await, replied(b"on"));
    assert_eq!((a.counts().reconnects, a.counts().links), (1, 1));
    // The link that is there tells that the run which was meant is over, without dialling it.
    let outdated = a.mesh.request(&gone, request("echo", b"")).await;
    let Err(NetworkError::NotSent(why)) = outdated else { panic!("{outdated:?}") };
    assert!(why.contains("was restarted: incarnation 1 is meant, 2 runs"), "{why}");
}

#[tokio::test]
async fn a_new_run_that_calls_replaces_the_link_to_the_old_one() {
    let (a, old) = (node(1).await, node(2).await);
    assert_eq!(old.call(&a, "echo", b"").await, replied(b""));
    let new = node_with(2, 2, MeshLimits::default()).await;
    assert_eq!(new.call(&a, "echo", b"").await, replied(b""));
    eventually("the old link is closed", || a.counts().links == 1 && old.counts().links == 0).await;
    let outdated = old.call(&a, "echo", b"").await;
    let Err(NetworkError::NotSent(why)) = outdated else { panic!("{outdated:?}") };
    assert!(why.contains("outdated run: 1 calls, but 2"), "{why}");
}

#[tokio::test]
async fn without_a_run_whoever_has_the_name_is_called() {
    let (a, b) = (node(1).await, node(2).await);
    let anyone = PeerAddress { run: None, ..b.address.clone() };
    for _ in 0..2 {
        assert_eq!(a.mesh.request(&anyone, request("echo", b"x")).await, replied(b"x"));
    }
    assert_eq!(a.counts().links, 1);
}

#[tokio::test]
async fn an_address_of_another_node_is_refused_by_name() {
    let (a, b) = (node(1).await, node(2).await);
    let run = b.address.run.unwrap();
    let store = PeerAddress {
        run: Some(greenroom_core::map::NodeRun { store: a.address.run.unwrap().store, ..run }),
        ..b.address.clone()
    };
    let incarnation = PeerAddress {
        run: Some(greenroom_core::map::NodeRun { incarnation: greenroom_core::Incarnation(5), ..run }),
        ..b.address.clone()
    };
    let name = PeerAddress { name: "node-9".into(), ..b.address.clone() };
    let nonsense = PeerAddress { address: "no address".into(), ..b.address.clone() };
    for (to, part) in [
        (store, "wrong store"),
        (incarnation, "wrong incarnation: 5 is meant, 1 runs"),
        (name, "wrong node: \"node-9\" is meant, \"node-2\" is here"),
        (nonsense, "has no valid address"),
    ] {
        let refused = within(a.mesh.request(&to, request("echo", b""))).await;
        let Err(NetworkError::NotSent(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains(part), "{why}");
    }
    assert_eq!((b.counts().refused_hellos, a.counts().failed_dials), (3, 4));
    assert_eq!(a.call(&b, "echo", b"on").await, replied(b"on"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_answers_what_it_took_and_is_called_no_more() {
    let (a, b) = (node(1).await, node(2).await);
    let call = tokio::spawn(a.mesh.request(&b.address, request("wait", b"last")));
    b.handler.has_begun(1).await;
    let leaving = b.mesh.clone();
    let left = tokio::spawn(async move { leaving.shutdown().await });
    eventually("it takes no new call", || {
        matches!(
            futures_util::FutureExt::now_or_never(b.mesh.request(&a.address, request("echo", b""))),
            Some(Err(NetworkError::NotSent(_)))
        )
    })
    .await;
    b.handler.go_on.add_permits(1);
    assert_eq!(within(call).await.unwrap(), replied(b"last"));
    within(left).await.unwrap();
    let refused = within(a.call(&b, "echo", b"")).await;
    assert!(matches!(refused, Err(NetworkError::NotSent(_))), "{refused:?}");
    assert_eq!(a.counts().protocol_errors, 0);
}
