//! Reply streams across nodes: over the mesh and the gateway with real nodes, and in simulated trouble.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use greenroom::testing::{Cluster as Simulated, Simulation};
use greenroom::{Actor, ActorId, CallError, CallOptions, Cx, Feed, Items, Result, actor_methods};
use serde::{Deserialize, Serialize};
use support::{Cluster, Tally};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_follows_an_actor_through_every_gateway() {
    let cluster = Cluster::start().await;
    let mut streams = Vec::new();
    for node in &cluster.nodes {
        let client = greenroom::Client::connect([node.peer().gateway_address.clone()]).unwrap();
        streams.push(client.actor::<Tally>("t").totals().await.unwrap());
    }
    let writer = cluster.client().actor::<Tally>("t");
    for by in 1..=100 {
        writer.add_aloud(by).await.unwrap();
        // Every one sees it, while its next pull was on its way already.
        for totals in &mut streams {
            if by == 1 {
                assert_eq!(totals.next().await, Some(Ok(0)));
            }
            assert_eq!(totals.next().await, Some(Ok(by * (by + 1) / 2)));
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_follows_an_actor_on_another_node_and_scripts_follow_by_name() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let sums =
        (0..20).map(|key| client.actor::<Tally>(format!("sum-{key}")).add_totals_of(format!("of-{key}"), 3));
    let adding = async {
        for key in (0..20).cycle().take(20 * 50) {
            client.actor::<Tally>(format!("of-{key}")).add_aloud(1).await.unwrap();
        }
    };
    let (sums, ()) = tokio::join!(try_join_all(sums), adding);
    for sum in sums.unwrap() {
        // Three totals in a row: n, n + 1 and n + 2.
        assert!(sum >= 3 && sum % 3 == 0, "{sum}");
    }

    let tally: ActorId = "Tally/t".parse().unwrap();
    let mut totals = client.items_json(&tally, "totals", "{}", CallOptions::default()).await.unwrap();
    assert_eq!(totals.next().await, Some(Ok("0".into())));
    client.actor::<Tally>("t").add_aloud(5).await.unwrap();
    assert_eq!(totals.next().await, Some(Ok("5".into())));
    let none = client.items_json(&tally, "total", "{}", CallOptions::default()).await;
    assert_eq!(none.err().unwrap().kind(), "invalid");
    cluster.stop().await;
}

const LINES: Feed<u64> = Feed::new("lines").buffer(8);

/// A log whose lines are their own numbers.
#[derive(Actor, Default, Serialize, Deserialize)]
struct Log {
    lines: u64,
}

#[actor_methods]
impl Log {
    async fn write(&mut self, cx: &Cx) -> Result<u64> {
        LINES.push(cx, self.lines).await?;
        self.lines += 1;
        Ok(self.lines)
    }

    async fn written(&self) -> u64 {
        self.lines
    }

    async fn lines(&self, cx: &Cx, from: u64) -> Result<Items<u64>> {
        Ok(LINES.open_with(cx, from..self.lines)?)
    }
}

/// Reads as the documentation says: again from the own position, whenever the stream ends for a reason that passes. How
/// often it asked.
async fn read(cluster: &Simulated, until: u64) -> usize {
    let log = cluster.actor::<Log>("log");
    let (mut have, mut asked) = (0, 0);
    while have < until {
        asked += 1;
        let mut lines = match log.lines(have).timeout(Duration::from_secs(30)).await {
            Ok(lines) => lines,
            Err(CallError::Unavailable(_) | CallError::Timeout { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        while have < until {
            match lines.next().await {
                Some(Ok(line)) => {
                    assert_eq!(line, have, "a line is missing or came again");
                    have += 1;
                }
                Some(Err(
                    CallError::Unavailable(_) | CallError::Overloaded(_) | CallError::Timeout { .. },
                )) => break,
                other => panic!("{other:?}"),
            }
        }
    }
    asked
}

async fn write(cluster: &Simulated, lines: u64) {
    let log = cluster.actor::<Log>("log");
    for _ in 0..lines {
        cluster.advance(Duration::from_millis(100)).await;
        log.write().timeout(Duration::from_secs(300)).await.unwrap();
    }
}

#[test]
fn every_line_comes_once_and_in_order_over_a_bad_network() {
    Simulation::new().actor::<Log>().nodes(3).seeds(10).run(async |cluster| {
        cluster.drop_messages(0.1);
        cluster.duplicate_messages(0.2);
        cluster.delay_messages(Duration::from_millis(50));
        futures_util::join!(read(&cluster, 40), read(&cluster, 40), write(&cluster, 40));
        Ok(())
    });
}

#[test]
fn no_line_is_lost_when_the_node_dies_stops_or_loses_what_was_not_durable() {
    Simulation::new().actor::<Log>().nodes(3).seeds(10).run(async |cluster| {
        let trouble = async {
            for number in 0..4 {
                cluster.advance(Duration::from_millis(cluster.random(0..2_000))).await;
                let node = cluster.node_of::<Log>("log");
                match number % 2 {
                    0 => cluster.kill(&node),
                    _ => cluster.stop(&node).await,
                }
                cluster.advance(Duration::from_secs(1)).await;
                cluster.restart(&node);
            }
        };
        let writing = async {
            write(&cluster, 40).await;
            cluster.actor::<Log>("log").written().timeout(Duration::from_secs(60)).await.unwrap()
        };
        // A line that was seen and is not written would come again with another meaning, or not at all.
        let (asked, written, ()) = futures_util::join!(read(&cluster, 40), writing, trouble);
        assert_eq!(written, 40);
        assert!(asked > 1, "the stream survived the loss of its node");
        Ok(())
    });
}
