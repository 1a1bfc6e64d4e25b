//! The first word of each side of a link: who speaks, and to whom it believes to speak.
//!
//! Pure. Whoever dials says hello first; the answer is a hello too, or a refusal that says by name what does not fit.
//! No call passes before both hellos were accepted, so a node that was restarted, replaced or mistaken for another
//! never gets calls that were meant for somebody else.

use bytes::Bytes;
use greenroom_core::Incarnation;
use greenroom_core::map::NodeRun;
use greenroom_proto::{MESH_PROTOCOL, v1};

use super::config::NodeIdentity;
use super::convert;
use super::error::HelloError;
use crate::network::PeerAddress;

/// The hello to a node that is dialled.
pub fn to_peer(cluster: &str, me: &NodeIdentity, to: &PeerAddress) -> v1::Hello {
    let meant = v1::NodeIdentity {
        name: to.name.clone(),
        store: to.run.map_or_else(Bytes::new, |run| convert::store_to_bytes(run.store)),
        incarnation: to.run.map_or(0, |run| run.incarnation.0),
    };
    v1::Hello {
        protocol: MESH_PROTOCOL,
        cluster: cluster.to_owned(),
        from: Some(identity(me)),
        to: Some(meant),
    }
}

/// The hello to a node that has introduced itself.
pub fn answer(cluster: &str, me: &NodeIdentity, to: &NodeIdentity) -> v1::Hello {
    let (from, to) = (Some(identity(me)), Some(identity(to)));
    v1::Hello { protocol: MESH_PROTOCOL, cluster: cluster.to_owned(), from, to }
}

/// Checks the first frame of the other side and returns who it is.
pub fn check(cluster: &str, me: &NodeIdentity, first: v1::Frame) -> Result<NodeIdentity, HelloError> {
    let hello = first.hello.ok_or(HelloError::Missing)?;
    if hello.protocol != MESH_PROTOCOL {
        return Err(HelloError::Protocol { ours: MESH_PROTOCOL, theirs: hello.protocol });
    }
    if hello.cluster != cluster {
        return Err(HelloError::Cluster {
            ours: cluster.to_owned(),
            theirs: convert::quoted(&hello.cluster),
        });
    }
    check_addressee(me, hello.to.ok_or(HelloError::Incomplete("addressee"))?)?;
    let from = speaker(hello.from.ok_or(HelloError::Incomplete("sender"))?)?;
    if from.run.store == me.run.store { Err(HelloError::Myself) } else { Ok(from) }
}

/// Checks that the node that answered a dial is the one that was meant.
pub fn check_dialled(meant: &PeerAddress, found: &NodeIdentity) -> Result<(), HelloError> {
    check_name(&found.name, &meant.name)?;
    meant.run.map_or(Ok(()), |run| check_run(found.run, run))
}

fn check_addressee(me: &NodeIdentity, to: v1::NodeIdentity) -> Result<(), HelloError> {
    check_name(&me.name, &to.name)?;
    // Without a store, whoever has the name is meant.
    if to.store.is_empty() {
        return Ok(());
    }
    let store = convert::store_from_bytes(&to.store).ok_or(HelloError::Incomplete("addressee"))?;
    check_run(me.run, NodeRun { store, incarnation: Incarnation(to.incarnation) })
}

fn check_name(here: &str, meant: &str) -> Result<(), HelloError> {
    if here == meant {
        return Ok(());
    }
    Err(HelloError::Node { here: convert::quoted(here), meant: convert::quoted(meant) })
}

fn check_run(here: NodeRun, meant: NodeRun) -> Result<(), HelloError> {
    match (here.store == meant.store, here.incarnation == meant.incarnation) {
        (true, true) => Ok(()),
        (true, false) => Err(HelloError::Incarnation { here, meant }),
        (false, _) => Err(HelloError::Store { here, meant }),
    }
}

fn speaker(from: v1::NodeIdentity) -> Result<NodeIdentity, HelloError> {
    if from.name.is_empty() || from.name.len() > MAX_NAME_BYTES {
        return Err(HelloError::Incomplete("name"));
    }
    let store = convert::store_from_bytes(&from.store).ok_or(HelloError::Incomplete("store"))?;
    Ok(NodeIdentity { name: from.name, run: NodeRun { store, incarnation: Incarnation(from.incarnation) } })
}

/// A Kubernetes pod name has at most 253 characters.
const MAX_NAME_BYTES: usize = 253;

fn identity(node: &NodeIdentity) -> v1::NodeIdentity {
    v1::NodeIdentity {
        name: node.name.clone(),
        store: convert::store_to_bytes(node.run.store),
        incarnation: node.run.incarnation.0,
    }
}

#[cfg(test)]
mod tests {
    use greenroom_core::StoreId;
    use uuid::Uuid;

    use super::*;

    fn node(name: &str, store: u128, incarnation: u64) -> NodeIdentity {
        let run = NodeRun { store: StoreId(Uuid::from_u128(store)), incarnation: Incarnation(incarnation) };
        NodeIdentity { name: name.into(), run }
    }

    fn meant(node: &NodeIdentity) -> PeerAddress {
        PeerAddress { name: node.name.clone(), address: "host:1".into(), run: Some(node.run) }
    }

    fn said(hello: v1::Hello) -> v1::Frame {
        v1::Frame { hello: Some(hello), envelopes: Vec::new() }
    }

    #[test]
    fn a_hello_to_this_run_is_accepted_and_so_is_its_answer() {
        let (a, b) = (node("a", 1, 4), node("b", 2, 7));
        assert_eq!(check("c", &b, said(to_peer("c", &a, &meant(&b)))), Ok(a.clone()));
        assert_eq!(check("c", &a, said(answer("c", &b, &a))), Ok(b));
    }

    #[test]
    fn a_hello_without_a_run_is_accepted_by_any_run_of_that_name() {
        let (a, b) = (node("a", 1, 4), node("b", 2, 7));
        let anyone = PeerAddress { run: None, ..meant(&b) };
        assert_eq!(check("c", &b, said(to_peer("c", &a, &anyone))), Ok(a.clone()));
        let refused = check("c", &node("x", 2, 7), said(to_peer("c", &a, &anyone)));
        assert_eq!(refused, Err(HelloError::Node { here: "x".into(), meant: "b".into() }));
    }

    #[test]
    fn whatever_does_not_fit_is_refused_by_name() {
        let (a, b) = (node("a", 1, 4), node("b", 2, 7));
        let hello = to_peer("c", &a, &meant(&b));
        let refused = |hello: v1::Hello| check("c", &b, said(hello)).unwrap_err().to_string();
        assert!(refused(v1::Hello { protocol: 9, ..hello.clone() }).starts_with("wrong protocol: 9 "));
        assert!(
            refused(v1::Hello { cluster: "d".into(), ..hello.clone() }).starts_with("wrong cluster: \"d\"")
        );
        assert!(
            refused(to_peer("c", &a, &meant(&node("b", 2, 6))))
                .starts_with("wrong incarnation: 6 is meant, 7")
        );
        assert!(refused(to_peer("c", &a, &meant(&node("b", 3, 7)))).starts_with("wrong store"));
        assert!(refused(to_peer("c", &b, &meant(&b))).starts_with("both ends have the same store"));
        assert!(refused(v1::Hello { from: None, ..hello.clone() }).contains("no valid sender"));
        assert!(refused(v1::Hello { to: None, ..hello }).contains("no valid addressee"));
        assert_eq!(check("c", &b, v1::Frame::default()), Err(HelloError::Missing));
    }

    #[test]
    fn a_dialled_node_that_is_another_one_is_refused() {
        let b = node("b", 2, 7);
        assert_eq!(check_dialled(&meant(&b), &b), Ok(()));
        assert!(matches!(check_dialled(&meant(&b), &node("b", 2, 8)), Err(HelloError::Incarnation { .. })));
        assert!(matches!(check_dialled(&meant(&b), &node("z", 2, 7)), Err(HelloError::Node { .. })));
    }
}
