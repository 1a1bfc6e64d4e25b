//! The chat on three nodes that come and go.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use greenroom::CallError;
use greenroom::testing::{Cluster, Simulation};
use greenroom_chat::{HISTORY_MAX, Line, Member, Room};

const PATIENCE: Duration = Duration::from_secs(120);

fn chat() -> Simulation {
    Simulation::new().actor::<Member>().actor::<Room>().nodes(3)
}

fn texts(lines: Vec<Line>) -> Vec<String> {
    lines.into_iter().map(|line| line.text).collect()
}

async fn join(cluster: &Cluster, who: &str, room: &str) -> Result<Vec<String>, CallError> {
    Ok(texts(cluster.actor::<Member>(who).join(room.into()).timeout(PATIENCE).await?))
}

async fn say(cluster: &Cluster, who: &str, room: &str, text: &str) -> Result<(), CallError> {
    cluster.actor::<Member>(who).say(room.into(), text.into()).timeout(PATIENCE).await
}

async fn read(cluster: &Cluster, who: &str) -> Result<Vec<String>, CallError> {
    Ok(texts(cluster.actor::<Member>(who).read().timeout(PATIENCE).await?))
}

#[test]
fn who_is_in_a_room_hears_what_is_said_there_and_who_comes_later_its_history() {
    chat().run(async |cluster| {
        for (who, room) in [("anna", "lobby"), ("bert", "lobby"), ("bert", "bar")] {
            join(&cluster, who, room).await?;
        }
        say(&cluster, "anna", "lobby", "hello").await?;
        say(&cluster, "bert", "bar", "cheers").await?;
        cluster.advance(Duration::from_secs(1)).await;
        assert_eq!(read(&cluster, "anna").await?, ["hello"]);
        assert_eq!(read(&cluster, "bert").await?.len(), 2);

        cluster.actor::<Member>("bert").leave("lobby".into()).await?;
        assert!(
            say(&cluster, "bert", "lobby", "one more")
                .await
                .unwrap_err()
                .to_string()
                .contains("join it first")
        );
        for number in 0..HISTORY_MAX {
            say(&cluster, "anna", "lobby", &number.to_string()).await?;
        }
        cluster.advance(Duration::from_secs(5)).await;
        assert!(read(&cluster, "bert").await?.is_empty());
        let history = join(&cluster, "carl", "lobby").await?;
        assert_eq!(history, (0..HISTORY_MAX).map(|number| number.to_string()).collect::<Vec<_>>());
        Ok(())
    });
}

#[test]
fn everybody_reads_the_same_whatever_happens_to_the_nodes() {
    chat().seeds(5).run(async |cluster| {
        let members = ["anna", "bert", "carl", "dora"];
        for member in members {
            join(&cluster, member, "lobby").await?;
        }
        cluster.duplicate_messages(0.1);
        cluster.drop_messages(0.05);
        let mut said = Vec::new();
        for (round, node) in ["node-0", "node-1", "node-2"].into_iter().enumerate() {
            for part in ["before", "while"] {
                for member in members {
                    let text = format!("{member} {part} {round}");
                    say(&cluster, member, "lobby", &text).await?;
                    said.push(text);
                }
                match part {
                    "before" if cluster.random(0..2) == 0 => cluster.stop(node).await,
                    "before" => cluster.kill(node),
                    _ => {}
                }
                cluster.restart(node);
            }
        }
        cluster.heal();
        cluster.advance(Duration::from_secs(60)).await;
        let mut orders = Vec::new();
        for member in members {
            let heard = read(&cluster, member).await?;
            let mut sorted = heard.clone();
            sorted.sort();
            said.sort();
            assert_eq!(sorted, said, "{member} has heard every line, and none twice");
            orders.push(heard);
        }
        orders.push(texts(cluster.actor::<Room>("lobby").history().await?));
        orders.dedup();
        assert_eq!(orders.len(), 1, "all have heard them in one order");
        Ok(())
    });
}

#[test]
fn an_announcement_reaches_who_is_in_memory_on_every_node() {
    chat().run(async |cluster| {
        let members: Vec<String> = (0..12).map(|number| format!("member-{number}")).collect();
        for member in &members {
            read(&cluster, member).await?;
        }
        let nodes = members.iter().map(|member| cluster.active_on::<Member>(member).unwrap());
        assert_eq!(nodes.collect::<std::collections::BTreeSet<_>>().len(), 3, "there are some on each node");
        assert!(cluster.active_on::<Member>("absent").is_none());

        cluster.actor::<Room>("town-hall").announce("fire".into()).await?;
        cluster.advance(Duration::from_secs(1)).await;
        assert!(cluster.active_on::<Member>("absent").is_none(), "nobody is activated");
        for member in &members {
            assert_eq!(read(&cluster, member).await?, ["fire"], "{member}");
        }
        assert!(read(&cluster, "absent").await?.is_empty());
        Ok(())
    });
}
