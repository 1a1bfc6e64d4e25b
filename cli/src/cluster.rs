//! What the nodes of a cluster say: every question goes to all of them at once, and what some answer is shown even if
//! others do not. The connection to a node stays open for the next question.

use std::time::Duration;

use futures_util::future::join_all;
use greenroom_core::ActorId;
use greenroom_proto::v1::admin_client::AdminClient;
use greenroom_proto::v1::{
    DeactivateRequest, DeadLetter, DeadLetterId, DeadLettersRequest, HotActor, HotActorsRequest, NodeStatus,
    Placement, PlacementsRequest, ShardsReply, ShardsRequest, StatusRequest, TypeStatus, TypesRequest,
};
use tokio::sync::OnceCell;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::failure::{Failure, Result};
use crate::output;
use crate::target::{AdminAddress, Target};

/// How long a node may take to accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take to answer one question.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How many placements are asked for at once: a page of the longest keys stays far below gRPC's limit of 4 MiB.
const PAGE_SIZE: u32 = 2_000;

/// The nodes of a cluster.
pub(crate) struct Cluster {
    target: Target,
    nodes: Vec<Node>,
    absent: Vec<String>,
}

struct Node {
    at: AdminAddress,
    /// Made with the first question.
    channel: OnceCell<Channel>,
}

/// Which placements are asked for. All of them if nothing is set.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlacementFilter {
    /// Only this type.
    pub(crate) actor_type: Option<String>,
    /// Only this key; nodes filter by it if there is a type too.
    pub(crate) key: Option<String>,
}

impl Cluster {
    /// The nodes of the target.
    pub(crate) async fn of(target: Target) -> Result<Self> {
        let mut cluster = Self { target, nodes: Vec::new(), absent: Vec::new() };
        cluster.look_again().await?;
        Ok(cluster)
    }

    /// Looks again which nodes there are.
    pub(crate) async fn look_again(&mut self) -> Result {
        self.target.refresh()?;
        let now = self.target.nodes().await?;
        self.absent = now.absent;
        self.nodes.retain(|node| now.there.contains(&node.at));
        for at in now.there {
            if self.nodes.iter().all(|node| node.at != at) {
                self.nodes.push(Node { at, channel: OnceCell::new() });
            }
        }
        Ok(())
    }

    /// What cluster it is.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The nodes that should be there and are not.
    pub(crate) fn absent(&self) -> &[String] {
        &self.absent
    }

    /// What each node is and does.
    pub(crate) async fn statuses(&self) -> Result<Vec<NodeStatus>> {
        self.ask(async |mut node| Ok(node.status(StatusRequest {}).await?.into_inner())).await
    }

    /// What each node is and does, by its name; or why it does not answer.
    pub(crate) async fn status_of_each(&self) -> Vec<(String, Result<NodeStatus, String>)> {
        let answers = self.ask_each(async |mut node| Ok(node.status(StatusRequest {}).await?.into_inner()));
        let names = self.nodes.iter().map(|node| node.at.name.clone());
        names.zip(answers.await).collect()
    }

    /// The shard map as each node knows it.
    pub(crate) async fn shards(&self) -> Result<Vec<(NodeStatus, ShardsReply)>> {
        self.ask(async |mut node| {
            let status = node.status(StatusRequest {}).await?.into_inner();
            Ok((status, node.shards(ShardsRequest {}).await?.into_inner()))
        })
        .await
    }

    /// The types that each node serves.
    pub(crate) async fn types(&self) -> Result<Vec<(NodeStatus, Vec<TypeStatus>)>> {
        self.ask(async |mut node| {
            let status = node.status(StatusRequest {}).await?.into_inner();
            Ok((status, node.types(TypesRequest {}).await?.into_inner().types))
        })
        .await
    }

    /// The busiest actors of each node, with the node's name; the busiest first.
    pub(crate) async fn hot_actors(&self, limit: usize) -> Result<Vec<(String, HotActor)>> {
        let request = HotActorsRequest { limit: u32::try_from(limit).unwrap_or(u32::MAX) };
        let answers = self.ask(async |mut node| {
            let name = node.status(StatusRequest {}).await?.into_inner().name;
            let actors = node.hot_actors(request).await?.into_inner().actors;
            Ok(actors.into_iter().map(|actor| (name.clone(), actor)).collect::<Vec<_>>())
        });
        let mut hot: Vec<_> = answers.await?.into_iter().flatten().collect();
        hot.sort_by(|(_, a), (_, b)| b.calls_per_second.total_cmp(&a.calls_per_second));
        hot.truncate(limit);
        Ok(hot)
    }

    /// The newest messages that nobody took, of each node.
    pub(crate) async fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        let question = async |mut node: AdminClient<Channel>| {
            let reply = node.dead_letters(DeadLettersRequest { limit: 0 }).await?.into_inner();
            Ok((reply.letters, reply.total))
        };
        let (mut letters, mut all) = (Vec::new(), 0);
        for (some, total) in self.ask(question).await? {
            letters.extend(some);
            all += total;
        }
        if (letters.len() as u64) < all {
            output::warn(format_args!("these are the newest {} of {all} dead letters", letters.len()));
        }
        Ok(letters)
    }

    /// Sends a dead letter again or deletes it, at the node that has it.
    pub(crate) async fn change_dead_letter(&self, id: &str, again: bool) -> Result {
        let answers = self.ask(async |mut node| {
            let request = DeadLetterId { id: id.to_owned() };
            let done = match again {
                true => node.resend_dead_letter(request).await,
                false => node.delete_dead_letter(request).await,
            };
            match done {
                Ok(_) => Ok(Ok(true)),
                Err(status) if status.code() == Code::NotFound => Ok(Ok(false)),
                Err(status) if status.code() == Code::FailedPrecondition => {
                    Ok(Err(status.message().to_owned()))
                }
                Err(status) => Err(status),
            }
        });
        let mut found = false;
        for answer in answers.await? {
            found |= answer.map_err(Failure::new)?;
        }
        match found {
            true => Ok(()),
            false => Err(Failure::new(format!("no node has a dead letter {id}")).hint(
                "list them with `greenroom get deadletters`; it may have been sent again, deleted or dropped",
            )),
        }
    }

    /// Takes an actor out of memory. Returns the nodes on which it was.
    pub(crate) async fn deactivate(&self, actor: &ActorId) -> Result<Vec<String>> {
        let request =
            DeactivateRequest { r#type: actor.actor_type.as_str().to_owned(), key: actor.key.to_string() };
        let answers = self.ask(async |mut node| {
            if !node.deactivate(request.clone()).await?.into_inner().left {
                return Ok(None);
            }
            Ok(Some(node.status(StatusRequest {}).await?.into_inner().name))
        });
        Ok(answers.await?.into_iter().flatten().collect())
    }

    /// The activations of all nodes, by type and key.
    pub(crate) async fn placements(&self, filter: &PlacementFilter) -> Result<Vec<Placement>> {
        let pages = self.ask(async |mut node| all_pages(&mut node, filter).await).await?;
        let mut placements: Vec<_> = pages.into_iter().flatten().collect();
        placements.retain(|placement| filter.key.as_ref().is_none_or(|key| *key == placement.key));
        placements.sort_by(|a, b| (&a.r#type, &a.key, &a.node).cmp(&(&b.r#type, &b.key, &b.node)));
        Ok(placements)
    }

    /// Asks every node. A node that does not answer is a warning; that none does is a failure.
    async fn ask<T>(
        &self,
        question: impl AsyncFn(AdminClient<Channel>) -> Result<T, Status>,
    ) -> Result<Vec<T>> {
        let mut answers = Vec::new();
        let mut silent = Vec::new();
        for (node, answer) in self.nodes.iter().zip(self.ask_each(question).await) {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(error) => silent.push(format!("{} does not answer: {error}", node.at.name)),
            }
        }
        if answers.is_empty() {
            return Err(Failure::new("no node answers")
                .details(indented(&silent))
                .hint("is the cluster still running? An --address must be a node's admin address"));
        }
        if !silent.is_empty() {
            output::warn(format_args!("the result is not complete:\n{}", indented(&silent)));
        }
        Ok(answers)
    }

    /// The answer of each node, or why there is none.
    async fn ask_each<T>(
        &self,
        question: impl AsyncFn(AdminClient<Channel>) -> Result<T, Status>,
    ) -> Vec<Result<T, String>> {
        let question = &question;
        join_all(self.nodes.iter().map(async |node| {
            let channel = node.channel.get_or_try_init(|| self.target.connect(&node.at)).await?;
            question(AdminClient::new(channel.clone())).await.map_err(|status| why(&status))
        }))
        .await
    }
}

/// Connects to a node's admin service at an address.
pub(crate) async fn connect(endpoint: Endpoint) -> Result<Channel, String> {
    let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).connect().await;
    channel.map_err(|error| innermost(&error))
}

fn why(status: &Status) -> String {
    match status.code() {
        Code::Unimplemented => "there is no admin service at this address".to_owned(),
        _ => status.message().to_owned(),
    }
}

async fn all_pages(
    node: &mut AdminClient<Channel>,
    filter: &PlacementFilter,
) -> Result<Vec<Placement>, Status> {
    let r#type = filter.actor_type.clone().unwrap_or_default();
    let key = if r#type.is_empty() { String::new() } else { filter.key.clone().unwrap_or_default() };
    let mut request = PlacementsRequest { r#type, key, page_size: PAGE_SIZE, ..Default::default() };
    let mut placements = Vec::new();
    loop {
        let page = node.placements(request.clone()).await?.into_inner();
        placements.extend(page.placements);
        if page.next_page_token.is_empty() {
            return Ok(placements);
        }
        request.page_token = page.next_page_token;
    }
}

/// The error at the bottom, which is the one that says something ("connection refused").
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
