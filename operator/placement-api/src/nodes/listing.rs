//! A page of the placements of a cluster: the pages of its nodes, merged by type and key.
//!
//! Algorithm: each node answers in the order of type and key, from any place on. So the merge needs one page of each node
//! in memory, takes the smallest head, and asks a node again when its page is used up. It ends at the limit, or when it
//! has looked at [`SCAN_MAX`] placements: a selector that matches little must not keep a request for minutes.
//!
//! A shard that moves may be shown by two nodes for a moment. Of two activations of one actor the one with the higher
//! epoch is true.
//!
//! A node that does not answer is left out, and named.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::join_all;
use greenroom_proto::v1;
use serde::{Deserialize, Serialize};

use super::NodePod;
use super::pool::{NodeError, Pool};

/// Placements that one request looks at.
pub const SCAN_MAX: usize = 50_000;
/// The smallest page that a node is asked for: below, the question costs more than the answer.
const NODE_PAGE_MIN: usize = 200;
/// The largest.
const NODE_PAGE_MAX: usize = 5_000;

/// An actor's place in the order: type, then key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The type.
    #[serde(rename = "t")]
    pub actor_type: String,
    /// The key.
    #[serde(rename = "k")]
    pub key: String,
}

impl Place {
    /// The place of a placement.
    pub fn of(placement: &v1::Placement) -> Self {
        Self { actor_type: placement.r#type.clone(), key: placement.key.clone() }
    }

    /// As nodes take it, to go on behind it.
    fn token(&self) -> String {
        format!("{}/{}", self.actor_type, self.key)
    }
}

/// What is wanted of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Request {
    /// Behind this place.
    pub after: Option<Place>,
    /// Only this type.
    pub actor_type: Option<String>,
    /// Only this key; only with a type.
    pub key: Option<String>,
    /// Only this object name.
    pub name: Option<String>,
    /// As it was at this stamp or later: nodes move their clocks there before they look.
    pub not_before: u64,
}

/// What the nodes of a cluster answered.
#[derive(Debug, Default)]
pub struct Listed {
    /// The placements that were kept.
    pub placements: Vec<v1::Placement>,
    /// Where to go on; `None`: that was all.
    pub next: Option<Place>,
    /// How many placements were looked at.
    pub scanned: usize,
    /// Who did not answer, and why.
    pub silent: Vec<(Arc<str>, NodeError)>,
}

/// The merge of some nodes' placements, from a place on.
pub struct Merge {
    sources: Vec<Source>,
}

impl Merge {
    /// Begins where the request says. `wanted` is how many placements will be taken, as far as one knows.
    pub fn new(nodes: &[Arc<NodePod>], request: &Request, wanted: usize) -> Self {
        let size = (wanted * 3 / 2 / nodes.len().max(1)).clamp(NODE_PAGE_MIN, NODE_PAGE_MAX);
        Self { sources: nodes.iter().map(|node| Source::new(node.clone(), request, size)).collect() }
    }

    /// The next placements that `keep` keeps, at most `limit`.
    pub async fn take(&mut self, pool: &Pool, limit: usize, keep: impl Fn(&v1::Placement) -> bool) -> Listed {
        let mut listed = Listed::default();
        loop {
            if self.sources.iter().any(|source| source.page.is_empty()) {
                self.refill(pool, &mut listed).await;
            }
            // All that remain have a head, so the smallest head is the smallest of all.
            let Some(placement) = self.take_smallest() else { return listed };
            listed.scanned += 1;
            let kept = keep(&placement);
            let found = listed.placements.len() + usize::from(kept);
            let ends = found >= limit || listed.scanned >= SCAN_MAX;
            if ends {
                self.sources.retain(|source| !source.is_done());
                listed.next = (!self.sources.is_empty()).then(|| Place::of(&placement));
            }
            if kept {
                listed.placements.push(placement);
            }
            if ends {
                return listed;
            }
        }
    }

    /// Asks all nodes whose page is used up, together, and leaves out those that have nothing more.
    async fn refill(&mut self, pool: &Pool, listed: &mut Listed) {
        let answers = join_all(self.sources.iter_mut().map(|source| source.refill(pool))).await;
        listed.silent.extend(answers.into_iter().filter_map(Result::err));
        self.sources.retain(|source| !source.is_done());
    }

    /// Takes the smallest head, and what other nodes say of the same actor with it.
    fn take_smallest(&mut self) -> Option<v1::Placement> {
        let order = |p: &v1::Placement, q: &v1::Placement| (&p.r#type, &p.key).cmp(&(&q.r#type, &q.key));
        let heads = self.sources.iter().enumerate().filter_map(|(i, source)| Some((i, source.page.front()?)));
        let (smallest, _) = heads.min_by(|(_, p), (_, q)| order(p, q))?;
        let mut best = self.sources[smallest].page.pop_front()?;
        for source in &mut self.sources {
            if source.page.front().is_some_and(|head| order(head, &best).is_eq()) {
                let found = source.page.pop_front()?;
                if (found.epoch, found.activated_unix_ms) > (best.epoch, best.activated_unix_ms) {
                    best = found;
                }
            }
        }
        Some(best)
    }
}

/// What remains of one node.
struct Source {
    node: Arc<NodePod>,
    /// The next request; `None` after the last page.
    next: Option<v1::PlacementsRequest>,
    page: VecDeque<v1::Placement>,
}

impl Source {
    fn new(node: Arc<NodePod>, request: &Request, size: usize) -> Self {
        let next = v1::PlacementsRequest {
            r#type: request.actor_type.clone().unwrap_or_default(),
            key: request.key.clone().unwrap_or_default(),
            name: request.name.clone().unwrap_or_default(),
            page_size: u32::try_from(size).unwrap_or(u32::MAX),
            page_token: request.after.as_ref().map(Place::token).unwrap_or_default(),
            after: request.not_before,
        };
        Self { node, next: Some(next), page: VecDeque::new() }
    }

    fn is_done(&self) -> bool {
        self.page.is_empty() && self.next.is_none()
    }

    /// Asks until there is something or nothing more.
    async fn refill(&mut self, pool: &Pool) -> Result<(), (Arc<str>, NodeError)> {
        while self.page.is_empty() {
            let Some(mut request) = self.next.take() else { break };
            let page = match pool.page(&self.node, request.clone()).await {
                Ok(page) => page,
                Err(NodeError::Impossible(_)) => break,
                Err(error) => return Err((self.node.name.clone(), error)),
            };
            self.page = page.placements.into();
            if !page.next_page_token.is_empty() {
                request.page_token = page.next_page_token;
                self.next = Some(request);
            }
        }
        Ok(())
    }
}
