//! Very many placements. How long it takes is measured by `cargo xtask bench placements`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::World;

const ACTORS: usize = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_hundred_thousand_placements_page_through_in_order() {
    let world = World::start().await;
    let shop = world.cluster("shop", 3).await;
    shop.fill(ACTORS).await;
    // More than once: what one listing leaves behind must not disturb the next.
    for _ in 0..3 {
        let paged = world.page_through(500).await;
        eprintln!(
            "{} pages in {:?}, the slowest {:?}",
            paged.pages.len(),
            paged.whole,
            paged.pages.iter().max()
        );
        assert_eq!((paged.keys.len(), paged.pages.len()), (ACTORS, ACTORS / 500));
        assert!(paged.keys.is_sorted_by(|a, b| a < b));
    }
    drop(shop);
    world.api.stop().await;
}
