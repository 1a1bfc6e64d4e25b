//! Large state and indexes on real stores: actors of all nodes are found from any of them.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use greenroom_core::index::Query;
use greenroom_core::reference::{ActorRef, Origin};
use greenroom_core::{Actor, Cx, Map, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

use crate::harness::{Cluster, Node};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
pub(crate) struct Player {
    #[index]
    guild: String,
    bag: Map<u32, String>,
}

#[actor_methods(crate = "greenroom_core")]
impl Player {
    async fn join(&mut self, cx: &Cx, guild: String) -> Result<u64> {
        for number in 0..300 {
            self.bag.insert(cx, number, format!("{guild} {number}")).await?;
        }
        self.guild = guild;
        Ok(self.bag.len())
    }

    async fn bag(&self, cx: &Cx) -> Result<(usize, Option<String>)> {
        let (mut count, mut items) = (0, self.bag.range(cx, 100..));
        while items.next().await?.is_some() {
            count += 1;
        }
        Ok((count, self.bag.get(cx, &7).await?))
    }
}

fn player(node: &Node, key: &str) -> <Player as Actor>::Ref {
    ActorRef::new(Origin::program(node.router.clone()), key).into()
}

async fn members(node: &Node, guild: &str) -> BTreeSet<String> {
    let query = Query::<Player>::new(Origin::program(node.router.clone()));
    let found = query.eq("guild", guild).all().await.unwrap();
    found.into_iter().map(|id| id.key.to_string()).collect()
}

#[tokio::test]
async fn actors_of_all_nodes_are_found_from_each_and_keep_their_items() {
    let (cluster, mut nodes) = Cluster::started(3).await;
    let keys: Vec<_> = (0..30).map(|number| format!("p{number}")).collect();
    let joins = keys.iter().enumerate().map(|(number, key)| {
        let guild = if number % 3 == 0 { "red" } else { "blue" };
        player(&nodes[number % 2], key).join(guild.into())
    });
    assert!(join_all(joins).await.into_iter().all(|bag| bag == Ok(300)));
    let red: BTreeSet<_> = keys.iter().step_by(3).cloned().collect();
    for node in &nodes {
        assert_eq!(members(node, "red").await, red);
        assert_eq!(members(node, "blue").await.len(), 20);
    }
    nodes.pop().unwrap().kill();
    let again = cluster.start(2);
    again.driver.when_active().await.unwrap();
    assert_eq!(members(&again, "red").await, red);
    let bags = join_all(red.iter().map(|key| player(&nodes[0], key).bag())).await;
    assert!(bags.into_iter().all(|bag| bag == Ok((200, Some("red 7".into())))));
}
