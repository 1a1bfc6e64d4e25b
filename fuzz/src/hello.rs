//! The first frame of a link, from whoever has reached the mesh port.

use greenroom_cluster::mesh::{NodeIdentity, hello};
use greenroom_cluster::network::PeerAddress;
use greenroom_core::map::NodeRun;
use greenroom_core::{Incarnation, StoreId};
use greenroom_proto::{MESH_PROTOCOL, v1};
use prost::Message;
use uuid::Uuid;

const CLUSTER: &str = "shop";
/// What a refusal may say at most: it goes into the logs of both nodes, and tells what the other side has sent.
const LONGEST_REFUSAL: usize = 1500;

/// Whoever is accepted has said who it is and meant this node; whoever is not gets a short answer.
pub fn check(input: &[u8]) {
    let Ok(frame) = v1::Frame::decode(input) else { return };
    let me = node("shop-0", 5);
    let said = frame.hello.clone();
    let peer = match hello::check(CLUSTER, &me, frame) {
        Ok(peer) => peer,
        Err(error) => return assert!(error.to_string().len() < LONGEST_REFUSAL, "{error}"),
    };
    let said = said.expect("nobody is accepted without a hello");
    assert_eq!((said.protocol, &*said.cluster), (MESH_PROTOCOL, CLUSTER));
    assert!(said.to.is_some_and(|to| to.name == me.name), "it means another node");
    assert!((1..=253).contains(&peer.name.len()), "{peer:?}");
    assert_ne!(peer.run.store, me.run.store, "it is this node");
    // The other side knows this one by its answer, and the two could dial again by what they know now.
    assert_eq!(hello::check(CLUSTER, &peer, first(hello::answer(CLUSTER, &me, &peer))), Ok(me.clone()));
    let again = first(hello::to_peer(CLUSTER, &peer, &address(&me, Some(me.run))));
    assert_eq!(hello::check(CLUSTER, &me, again), Ok(peer));
}

/// To this run, to whoever has its name, to another run, and an answer.
pub fn seeds() -> Vec<Vec<u8>> {
    let (me, peer) = (node("shop-0", 5), node("shop-1", 6));
    let runs = [Some(me.run), None, Some(peer.run)];
    let dialled = runs.map(|run| hello::to_peer(CLUSTER, &peer, &address(&me, run)));
    let answer = hello::answer(CLUSTER, &peer, &me);
    dialled.into_iter().chain([answer]).map(|hello| first(hello).encode_to_vec()).collect()
}

fn first(hello: v1::Hello) -> v1::Frame {
    v1::Frame { hello: Some(hello), envelopes: Vec::new() }
}

fn address(node: &NodeIdentity, run: Option<NodeRun>) -> PeerAddress {
    PeerAddress { name: node.name.clone(), address: "host:1".into(), run }
}

fn node(name: &str, store: u128) -> NodeIdentity {
    let run = NodeRun { store: StoreId(Uuid::from_u128(store)), incarnation: Incarnation(3) };
    NodeIdentity { name: name.into(), run }
}
