//! Who runs, from the pods of the cluster.
//!
//! Kube's watcher lists the pods and follows their changes; after a gap it lists them again, and that list replaces what
//! was known when it is complete, not before. Only a change of who is present, or where, is shown. This node itself
//! is always shown, as it knows itself: it runs, whatever Kubernetes has heard of it so far.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use greenroom_cluster::coordination::Peer;
use greenroom_core::env::SharedEnv;
use greenroom_crds::names;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};

use crate::complaint::Complaint;
use crate::error::in_full;
use crate::pause::Pauses;
use crate::pod;

/// How long a watch is asked for. Load balancers cut connections that are older than four minutes.
const WATCH_SECONDS: u32 = 200;

/// Who is present, by name, at first and after each change.
pub(crate) fn watch(
    pods: Api<Pod>,
    cluster: &str,
    me: Peer,
    env: SharedEnv,
) -> BoxStream<'static, Vec<Peer>> {
    let selected = watcher::Config::default().labels(&names::pod_selector(cluster)).timeout(WATCH_SECONDS);
    let events = watcher(pods, selected).backoff(Pauses::new(env)).boxed();
    let complaint = Complaint::about("watching the pods of the cluster".into());
    let start = (events, Present::new(me), complaint);
    let next = |(mut events, mut present, complaint): (BoxStream<'static, _>, Present, Complaint)| async move {
        loop {
            let shown = match events.next().await? {
                Ok(event) => {
                    complaint.take_back();
                    present.apply(event)
                }
                Err(error) => {
                    let error: watcher::Error = error;
                    complaint.say(&in_full(&error));
                    None
                }
            };
            if let Some(shown) = shown {
                return Some((shown, (events, present, complaint)));
            }
        }
    };
    stream::unfold(start, next).boxed()
}

/// Who is present, as far as the pods tell. Pure.
struct Present {
    me: Peer,
    peers: BTreeMap<String, Peer>,
    /// The list that is being received.
    list: BTreeMap<String, Peer>,
    complete: bool,
    shown: Option<Vec<Peer>>,
}

impl Present {
    fn new(me: Peer) -> Self {
        Self { me, peers: BTreeMap::new(), list: BTreeMap::new(), complete: false, shown: None }
    }

    /// Takes what happened to a pod; tells who is present if that has changed.
    fn apply(&mut self, event: Event<Pod>) -> Option<Vec<Peer>> {
        match event {
            Event::Init => self.list.clear(),
            Event::InitApply(pod) => put(&mut self.list, &pod),
            Event::InitDone => {
                self.peers = std::mem::take(&mut self.list);
                self.complete = true;
            }
            Event::Apply(pod) => put(&mut self.peers, &pod),
            Event::Delete(pod) => {
                self.peers.remove(&pod.name_any());
            }
        }
        if !self.complete {
            return None;
        }
        self.peers.insert(self.me.name.clone(), self.me.clone());
        let present: Vec<_> = self.peers.values().cloned().collect();
        if self.shown.as_ref() == Some(&present) {
            return None;
        }
        self.shown = Some(present.clone());
        Some(present)
    }
}

fn put(peers: &mut BTreeMap<String, Peer>, pod: &Pod) {
    match pod::peer(pod) {
        Some(peer) => peers.insert(peer.name.clone(), peer),
        None => peers.remove(&pod.name_any()),
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, ip: &str) -> Pod {
        let node = json!({"name": "node", "ready": true, "restartCount": 0, "image": "", "imageID": "", "state": {"running": {}}});
        let status = json!({"podIP": ip, "containerStatuses": [node]});
        serde_json::from_value(json!({"metadata": {"name": name}, "status": status})).unwrap()
    }

    fn me() -> Peer {
        Peer { name: "b".into(), mesh_address: "mine:1".into(), pid: 7, ..Peer::default() }
    }

    fn names(shown: Option<Vec<Peer>>) -> Option<String> {
        shown.map(|peers| peers.into_iter().map(|peer| peer.name).collect())
    }

    #[test]
    fn a_list_shows_when_it_is_complete_and_then_only_what_changes() {
        let mut present = Present::new(me());
        assert_eq!(present.apply(Event::Init), None);
        assert_eq!(present.apply(Event::InitApply(pod("c", "10.0.0.3"))), None);
        assert_eq!(names(present.apply(Event::InitDone)).as_deref(), Some("bc"));
        assert_eq!(names(present.apply(Event::Apply(pod("a", "10.0.0.1")))).as_deref(), Some("abc"));
        assert_eq!(present.apply(Event::Apply(pod("a", "10.0.0.1"))), None);
        assert!(present.apply(Event::Apply(pod("a", "10.0.0.9"))).is_some(), "its address has changed");
        assert_eq!(names(present.apply(Event::Delete(pod("c", "10.0.0.3")))).as_deref(), Some("ab"));
    }

    #[test]
    fn a_new_list_replaces_the_old_one_without_a_gap() {
        let mut present = Present::new(me());
        for event in [Event::Init, Event::InitApply(pod("a", "10.0.0.1")), Event::InitDone] {
            present.apply(event);
        }
        assert_eq!(present.apply(Event::Init), None);
        assert_eq!(present.apply(Event::InitApply(pod("c", "10.0.0.3"))), None);
        assert_eq!(names(present.apply(Event::InitDone)).as_deref(), Some("bc"));
    }

    #[test]
    fn this_node_is_shown_as_it_knows_itself() {
        let mut present = Present::new(me());
        present.apply(Event::Init);
        assert_eq!(present.apply(Event::InitDone), Some(vec![me()]));
        assert_eq!(present.apply(Event::Apply(pod("b", "10.0.0.2"))), None);
        assert_eq!(present.apply(Event::Delete(pod("b", "10.0.0.2"))), None);
    }
}
