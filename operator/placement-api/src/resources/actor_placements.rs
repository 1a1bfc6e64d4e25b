//! `ActorPlacement`: an actor that is in memory now, and where.
//!
//! An actor's object is named `<type>-<hash>.<cluster>`: the name that its node gives it, which no other actor of the
//! cluster has, and the cluster, since a namespace may have several. Neither part has a dot of its own.
//!
//! Lists are in the order of namespace, cluster, type and key, so a place in it is enough to go on anywhere.

mod object;
mod watching;

use std::sync::Arc;

use greenroom_proto::v1::Placement;
use serde::{Deserialize, Serialize};

pub use object::{ActorPlacement, ActorPlacementSpec, ActorPlacementStatus};

use crate::framework::{ApiError, From, Page, Selection, Since, Version, VirtualResource, Watched};
use crate::nodes::clock::Clock;
use crate::nodes::directory::Directory;
use crate::nodes::following::Following;
use crate::nodes::listing::{self, Listed, Merge, Place, Request};
use crate::nodes::mirror::Held;
use crate::nodes::pool::Pool;
use crate::nodes::read_ahead::{AHEAD, ReadAhead};
use crate::nodes::{ClusterId, NodePod, Nodes, moment};

/// The placements of all clusters.
pub struct ActorPlacements {
    /// Which nodes there are.
    pub directory: Directory,
    /// Connections to them.
    pub pool: Arc<Pool>,
    /// What is watched.
    pub following: Arc<Following>,
    /// The clock of versions.
    pub clock: Arc<Clock>,
    /// What waits for the next page.
    pub read_ahead: ReadAhead,
}

/// A place in a list: behind an actor, or before the first of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    #[serde(rename = "n")]
    namespace: String,
    #[serde(rename = "c")]
    cluster: String,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    behind: Option<Place>,
}

impl VirtualResource for ActorPlacements {
    type Object = ActorPlacement;
    type Cursor = Cursor;

    async fn get(&self, namespace: &str, name: &str) -> Result<Option<ActorPlacement>, ApiError> {
        let Some((name, cluster)) = name.rsplit_once('.') else { return Ok(None) };
        let nodes = self.nodes()?;
        let Some(nodes) = nodes.get(&ClusterId::new(namespace, cluster)) else { return Ok(None) };
        let request = Request { name: Some(name.to_owned()), ..Request::default() };
        let mut merge = Merge::new(nodes, &request, 1);
        let listed = merge.take(&self.pool, 1, |placement| placement.name == name).await;
        match listed.placements.into_iter().next() {
            Some(placement) => Ok(Some(shown(nodes, placement, None))),
            None if listed.silent.is_empty() => Ok(None),
            None => {
                let silent = warnings(cluster, &listed.silent).join("; ");
                Err(ApiError::unavailable(format!("{silent}; the actor may be there: try again")))
            }
        }
    }

    async fn list(
        &self,
        selection: &Selection,
        from: From<Cursor>,
        limit: usize,
    ) -> Result<Page<ActorPlacement, Cursor>, ApiError> {
        let nodes = self.nodes()?;
        let (version, cursor) = match from {
            From::Start => (self.version(&nodes, selection).await, None),
            From::After(version, cursor) => (version, Some(cursor)),
        };
        let mut page = PageBuilder { limit, ..PageBuilder::default() };
        for (cluster, pods) in selected(&nodes, selection) {
            let behind = match cursor.as_ref().map(|cursor| cursor.before(cluster)) {
                Some(None) => continue,
                Some(Some(behind)) => behind,
                None => None,
            };
            if page.is_full() {
                page.next = Some(Cursor::start_of(cluster));
                break;
            }
            let request = Request { after: behind, not_before: version.stamp(), ..narrowed(selection) };
            let listed = self.page(cluster, pods, request, limit - page.items.len(), selection).await;
            page.add(cluster, pods, listed);
            if page.next.is_some() {
                break;
            }
        }
        // A node may fall silent after the first page, too.
        let version = Version::new(version.stamp(), version.is_partial() || page.partial);
        Ok(Page { items: page.items, version, next: page.next, warnings: page.warnings })
    }

    async fn watch(&self, selection: Selection, since: Since) -> Result<Watched<ActorPlacement>, ApiError> {
        watching::watch(self, selection, since).await
    }
}

impl ActorPlacements {
    /// The version of a list that begins now.
    async fn version(&self, nodes: &Nodes, selection: &Selection) -> Version {
        let pods = selected(nodes, selection).flat_map(|(_, pods)| pods);
        let moment = moment::common(&self.pool, &self.clock, pods).await;
        Version::new(moment.stamp, !moment.silent.is_empty())
    }

    /// The placements of a cluster that are selected, from the request's place on.
    async fn page(
        &self,
        cluster: &ClusterId,
        pods: &[Arc<NodePod>],
        request: Request,
        limit: usize,
        selection: &Selection,
    ) -> Listed {
        let goes_on = request.after.is_some();
        let wanted = if goes_on { AHEAD } else { limit };
        let waiting = if goes_on { self.read_ahead.take(cluster, &request) } else { None };
        let mut merge = waiting.unwrap_or_else(|| Merge::new(pods, &request, wanted));
        let whole = selection.is_whole();
        let kept = |placement: &Placement| whole || selection.matches(&shown(pods, placement.clone(), None));
        let listed = merge.take(&self.pool, limit, kept).await;
        // A node that did not answer is asked again for each page.
        if goes_on && listed.next.is_some() && listed.silent.is_empty() {
            self.read_ahead.put(cluster, Request { after: listed.next.clone(), ..request }, merge);
        }
        listed
    }

    fn nodes(&self) -> Result<Arc<Nodes>, ApiError> {
        self.directory.nodes().ok_or_else(|| {
            ApiError::unavailable("the server has just started and does not know the nodes yet; try again")
        })
    }
}

/// A page that grows cluster by cluster.
#[derive(Default)]
struct PageBuilder {
    limit: usize,
    items: Vec<ActorPlacement>,
    next: Option<Cursor>,
    warnings: Vec<String>,
    partial: bool,
    scanned: usize,
}

impl PageBuilder {
    fn is_full(&self) -> bool {
        self.items.len() >= self.limit || self.scanned >= listing::SCAN_MAX
    }

    fn add(&mut self, cluster: &ClusterId, pods: &[Arc<NodePod>], listed: Listed) {
        self.items.extend(listed.placements.into_iter().map(|placement| shown(pods, placement, None)));
        self.scanned += listed.scanned;
        self.warnings.extend(warnings(&cluster.name, &listed.silent));
        self.partial |= !listed.silent.is_empty();
        self.next = listed.next.map(|place| Cursor { behind: Some(place), ..Cursor::start_of(cluster) });
    }
}

impl Cursor {
    fn start_of(cluster: &ClusterId) -> Self {
        Self { namespace: cluster.namespace.to_string(), cluster: cluster.name.to_string(), behind: None }
    }

    /// Where to go on in a cluster: `None` if it lies before the cursor.
    fn before(&self, cluster: &ClusterId) -> Option<Option<Place>> {
        let here = (self.namespace.as_str(), self.cluster.as_str());
        match (&*cluster.namespace, &*cluster.name).cmp(&here) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(self.behind.clone()),
            std::cmp::Ordering::Greater => Some(None),
        }
    }
}

/// The clusters that may hold what is selected, in order.
fn selected<'a>(
    nodes: &'a Nodes,
    selection: &'a Selection,
) -> impl Iterator<Item = (&'a ClusterId, &'a Vec<Arc<NodePod>>)> {
    nodes.iter().filter(|(cluster, _)| may_hold(selection, cluster))
}

fn may_hold(selection: &Selection, cluster: &ClusterId) -> bool {
    let named = selection.fields.exactly("metadata.name").and_then(|name| name.rsplit_once('.'));
    let wanted = selection.fields.exactly("spec.cluster").or(named.map(|(_, cluster)| cluster));
    selection.only_namespace().is_none_or(|namespace| *namespace == *cluster.namespace)
        && wanted.is_none_or(|name| *name == *cluster.name)
}

/// What of a selection the nodes can look for themselves. All of it is checked again here.
fn narrowed(selection: &Selection) -> Request {
    let exactly = |field| selection.fields.exactly(field).map(str::to_owned);
    let actor_type = exactly("spec.type");
    let name = selection.fields.exactly("metadata.name").and_then(|name| name.rsplit_once('.'));
    Request {
        key: exactly("spec.key").filter(|key| actor_type.is_some() && !key.is_empty()),
        actor_type,
        name: name.map(|(name, _)| name.to_owned()),
        ..Request::default()
    }
}

fn warnings(cluster: &str, silent: &[(Arc<str>, crate::nodes::pool::NodeError)]) -> Vec<String> {
    let warning = |(node, error): &(Arc<str>, _)| {
        format!("node {node} of the cluster {cluster} did not answer, its actors are not shown: {error}")
    };
    silent.iter().map(warning).collect()
}

/// A placement as an object; `version` is that of the event that shows it.
fn shown(pods: &[Arc<NodePod>], placement: Placement, version: Option<Version>) -> ActorPlacement {
    // A node names itself as its pod; one that does not is still shown.
    let pod = pods.iter().find(|pod| *pod.name == placement.node).unwrap_or(&pods[0]);
    ActorPlacement::of(&Held { node: pod.clone(), placement }, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_finds_its_cluster_again() {
        let place = Place { actor_type: "Counter".into(), key: "k".into() };
        let cursor = Cursor { behind: Some(place.clone()), ..Cursor::start_of(&ClusterId::new("b", "shop")) };
        assert_eq!(cursor.before(&ClusterId::new("a", "zoo")), None);
        assert_eq!(cursor.before(&ClusterId::new("b", "bar")), None);
        assert_eq!(cursor.before(&ClusterId::new("b", "shop")), Some(Some(place)));
        assert_eq!(cursor.before(&ClusterId::new("b", "zoo")), Some(None));
        assert_eq!(cursor.before(&ClusterId::new("c", "a")), Some(None));
    }

    #[test]
    fn only_clusters_that_may_match_are_asked() {
        let select = |namespace: Option<&str>, fields: &str| {
            let known = ["metadata.name", "metadata.namespace", "spec.cluster", "spec.type", "spec.key"];
            Selection::parse(namespace.map(Into::into), "", fields, &known).unwrap()
        };
        let shop = ClusterId::new("ns", "shop");
        for (selection, expected) in [
            (select(None, ""), true),
            (select(Some("ns"), "spec.cluster=shop"), true),
            (select(Some("other"), ""), false),
            (select(None, "metadata.namespace=other"), false),
            (select(None, "spec.cluster=zoo"), false),
            (select(None, "spec.cluster!=zoo"), true),
            (select(None, "metadata.name=counter-x.zoo"), false),
            (select(None, "metadata.name=counter-x.shop"), true),
        ] {
            assert_eq!(may_hold(&selection, &shop), expected, "{selection:?}");
        }
        let request = narrowed(&select(None, "metadata.name=counter-x.shop,spec.key=a"));
        assert_eq!((request.name.as_deref(), request.key), (Some("counter-x"), None));
        let request = narrowed(&select(None, "spec.type=Counter,spec.key=a"));
        assert_eq!((request.actor_type.as_deref(), request.key.as_deref()), (Some("Counter"), Some("a")));
    }
}
