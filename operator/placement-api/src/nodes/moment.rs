//! A moment that all of some nodes have passed: the version of a list, and where a watch begins.
//!
//! Each node is asked for its stamp, and then told the greatest of them before it is asked for anything else, which moves
//! its clock there. **Claim**: what a node shows after that, together with its changes after the moment, is all there is.
//! For a change of the node has a stamp up to the moment only if it was made before the node's clock was moved there, so
//! before the node looked; the page shows it. And a node that remembers changes since it was asked for its stamp
//! remembers all after the moment, which is no earlier.
//! That the moment is the *greatest* matters: a node that nobody has asked for long begins to remember only now.

use std::sync::Arc;

use futures_util::future::join_all;
use greenroom_proto::v1;

use super::NodePod;
use super::clock::Clock;
use super::pool::{NodeError, Pool};

/// An actor that can be asked for without a search: nodes answer at once, with a stamp.
const NOBODY: (&str, &str) = ("greenroom.none", "-");

/// A moment, and who could not be asked.
#[derive(Debug, Default)]
pub struct Moment {
    /// In microseconds since 1970.
    pub stamp: u64,
    /// The nodes that did not answer.
    pub silent: Vec<(Arc<NodePod>, NodeError)>,
}

/// A moment that all of these nodes have passed but for the silent ones, and this process, too.
pub async fn common(pool: &Pool, clock: &Clock, nodes: impl Iterator<Item = &Arc<NodePod>>) -> Moment {
    let ask = async |node: &Arc<NodePod>| {
        let (actor_type, key) = NOBODY;
        let request = v1::PlacementsRequest {
            r#type: actor_type.to_owned(),
            key: key.to_owned(),
            ..v1::PlacementsRequest::default()
        };
        // The pool tells the clock of each stamp.
        pool.page(node, request).await.map_err(|error| (node.clone(), error))
    };
    let answers = join_all(nodes.map(ask)).await;
    Moment { stamp: clock.stamp(), silent: answers.into_iter().filter_map(Result::err).collect() }
}
