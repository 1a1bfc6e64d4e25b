//! Very many placements. How long it takes is printed, and asserted nowhere: `cargo test --profile e2e` tells.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Instant;

use futures_util::{StreamExt, stream};
use greenroom::Counter;
use http::Request;
use serde_json::Value;
use support::{NAMESPACE, World};

const ACTORS: usize = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_hundred_thousand_placements_page_through_in_order() {
    let world = World::start().await;
    let shop = world.cluster("shop", 3).await;
    let client = shop.client();
    stream::iter(0..ACTORS)
        .for_each_concurrent(500, async |i| {
            client.actor::<Counter>(format!("page-{i}")).total().await.map(|_| ()).unwrap()
        })
        .await;
    // As kubectl asks, 500 at a time.
    let start = Instant::now();
    let list =
        format!("/apis/placement.greenroom.dev/v1alpha1/namespaces/{NAMESPACE}/actorplacements?limit=500");
    let (mut next, mut keys) = (String::new(), Vec::with_capacity(ACTORS));
    let mut pages = Vec::new();
    loop {
        let asked = Instant::now();
        let request = Request::get(format!("{list}&continue={next}")).body(Vec::new()).unwrap();
        let page: Value = serde_json::from_str(&world.kube.request_text(request).await.unwrap()).unwrap();
        pages.push(asked.elapsed());
        keys.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["spec"]["key"].as_str().unwrap().to_owned()),
        );
        match page["metadata"]["continue"].as_str() {
            Some(token) => next = token.to_owned(),
            None => break,
        }
    }
    let took = start.elapsed();
    pages.sort();
    eprintln!(
        "{} pages in {took:?}, median {:?}, slowest {:?}",
        pages.len(),
        pages[pages.len() / 2],
        pages.last().unwrap()
    );
    assert_eq!(keys.len(), ACTORS);
    assert!(keys.is_sorted());
    drop(shop);
    world.api.stop().await;
}
