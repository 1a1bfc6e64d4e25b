//! Every word is counted exactly once in a simulated cluster, too: many failures in little time, from many seeds. The
//! other tests of this folder do the same with real processes.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::join;
use greenroom::testing::{Cluster, Simulation};
use greenroom_wordcount::{Word, count::Count, text};

/// Kills one node after the other while the words are sent, and starts it again.
async fn kill_nodes(cluster: &Cluster) {
    for _ in 0..5 {
        cluster.advance(Duration::from_millis(cluster.random(1..50))).await;
        let node = format!("node-{}", cluster.random(0..3));
        cluster.kill(&node);
        cluster.advance(Duration::from_millis(cluster.random(1..2_000))).await;
        cluster.restart(&node);
    }
}

#[test]
fn every_word_is_counted_once_while_nodes_are_killed() {
    let words: Vec<_> = text::words(include_bytes!("../../../LICENSE")).take(300).collect();
    let mut expected = BTreeMap::new();
    for word in &words {
        *expected.entry((*word).to_owned()).or_insert(0) += 1;
    }
    Simulation::new().actor::<Word>().nodes(3).seeds(20).run(async |cluster| {
        cluster.drop_messages(0.05);
        let client = cluster.client();
        let count = Count { client: &client, run: "run", in_flight: 16 };
        let (sent, ()) = join!(count.send(&words, || {}), kill_nodes(&cluster));
        sent?;
        assert_eq!(count.counts(&words).await?, expected);
        Ok(())
    });
}
