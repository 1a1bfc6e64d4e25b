//! The first frame of a link, from whoever has reached the mesh port.

use greenroom_cluster::mesh::{NodeIdentity, hello};
use greenroom_cluster::network::PeerAddress;
use greenroom_core::map::NodeRun;
use greenroom_core::{Incarnation, StoreId};
use greenroom_proto::{MESH_PROTOCOL, v1};
use prost::Message;
use uuid::Uuid;

use crate::around;

const CLUSTER: &str = "shop";
/// What a refusal may say at most: it goes into the logs of both nodes, and tells what the other side has sent.
const LONGEST_REFUSAL: usize = 1500;
/// The longest name of a pod, in bytes.
const LONGEST_NAME: usize = 253;

/// Whoever is accepted has said who it is and meant this node; whoever is not gets a short answer.
pub(crate) fn check(input: &[u8]) {
    let Ok(frame) = v1::Frame::decode(input) else { return };
    let me = node("shop-0", 5);
    let said = frame.hello.clone();
    let peer = match hello::check(CLUSTER, &me, frame) {
        Ok(peer) => peer,
        Err(error) => return assert!(error.to_string().len() < LONGEST_REFUSAL, "{error}"),
    };
    let said = said.expect("nobody is accepted without a hello");
    assert_eq!((said.protocol, &*said.cluster), (MESH_PROTOCOL, CLUSTER));
    let to = said.to.expect("nobody is accepted who means nobody");
    assert_eq!(to.name, me.name, "it means another node");
    let run = (&to.store[..], to.incarnation);
    assert!(run.0.is_empty() || run == (&me.run.store.0.as_bytes()[..], me.run.incarnation.0), "{run:?}");
    assert!((1..=LONGEST_NAME).contains(&peer.name.len()), "{peer:?}");
    assert_eq!(said.from, hello::answer(CLUSTER, &peer, &me).from, "it has said that it is another one");
    assert_ne!(peer.run.store, me.run.store, "it is this node");
    // The other side knows this one by its answer, and the two could dial again by what they know now.
    assert_eq!(hello::check(CLUSTER, &peer, first(hello::answer(CLUSTER, &me, &peer))), Ok(me.clone()));
    let again = first(hello::to_peer(CLUSTER, &peer, &address(&me, Some(me.run))));
    assert_eq!(hello::check(CLUSTER, &me, again), Ok(peer));
}

/// To this run, to whoever has its name, to other runs, and an answer; and from whoever is just no node, or is this one.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (me, peer) = (node("shop-0", 5), node("shop-1", 6));
    let restarted = NodeRun { incarnation: Incarnation(4), ..me.run };
    let runs = [Some(me.run), None, Some(peer.run), Some(restarted)];
    let dialled = runs.map(|run| hello::to_peer(CLUSTER, &peer, &address(&me, run)));
    let from = |peer: &NodeIdentity| hello::answer(CLUSTER, peer, &me);
    let names = around(LONGEST_NAME).map(|name| from(&node(&name, 6)));
    let others = [
        v1::Hello { protocol: MESH_PROTOCOL + 1, ..from(&peer) },
        v1::Hello { cluster: "shops".into(), ..from(&peer) },
    ];
    let stores = [15, 17].map(|bytes| v1::NodeIdentity {
        name: me.name.clone(),
        store: vec![5; bytes].into(),
        incarnation: 3,
    });
    let stores = stores.map(|store| {
        [v1::Hello { from: Some(store.clone()), ..from(&peer) }, v1::Hello { to: Some(store), ..from(&peer) }]
    });
    let hellos =
        dialled.into_iter().chain([from(&peer), from(&node("shop-1", 5))]).chain(names).chain(others);
    hellos.chain(stores.into_iter().flatten()).map(|hello| first(hello).encode_to_vec()).collect()
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
