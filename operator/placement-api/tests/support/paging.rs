//! Very many placements, and how long it takes to page through them.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use greenroom::Counter;
use http::Request;
use serde::Deserialize;

use super::{Cluster, NAMESPACE, World};

/// What paging through all placements gave.
pub(crate) struct Paged {
    /// The keys, in the order in which they came.
    pub(crate) keys: Vec<String>,
    /// From the first request to the end of the last answer.
    pub(crate) whole: Duration,
    /// Each page, from its request to the end of its answer.
    pub(crate) pages: Vec<Duration>,
}

/// What is read of a page.
#[derive(Deserialize)]
struct Page {
    metadata: Metadata,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "continue", default)]
    next: String,
}

#[derive(Deserialize)]
struct Item {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    key: String,
}

impl Cluster {
    /// Brings so many counters into memory.
    pub(crate) async fn fill(&self, actors: usize) {
        let client = self.client();
        stream::iter(0..actors)
            .for_each_concurrent(500, async |i| {
                client.actor::<Counter>(format!("page-{i}")).total().await.map(|_| ()).unwrap()
            })
            .await;
    }
}

impl World {
    /// Reads all placements through the API server, one page after the other, as kubectl does.
    pub(crate) async fn page_through(&self, limit: usize) -> Paged {
        let list = format!(
            "/apis/placement.greenroom.dev/v1alpha1/namespaces/{NAMESPACE}/actorplacements?limit={limit}"
        );
        let start = Instant::now();
        let (mut keys, mut pages, mut next) = (Vec::new(), Vec::new(), String::new());
        loop {
            let asked = Instant::now();
            let request = Request::get(format!("{list}&continue={next}")).body(Vec::new()).unwrap();
            let text = self.kube.request_text(request).await.unwrap();
            pages.push(asked.elapsed());
            let page: Page = serde_json::from_str(&text).unwrap();
            keys.extend(page.items.into_iter().map(|item| item.spec.key));
            next = page.metadata.next;
            if next.is_empty() {
                return Paged { keys, whole: start.elapsed(), pages };
            }
        }
    }
}
