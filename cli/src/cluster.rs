//! What the nodes of a cluster say: every question goes to all of them at once, and what some answer is shown even if
//! others do not.

use std::time::Duration;

use futures_util::future::join_all;
use greenroom_proto::v1::admin_client::AdminClient;
use greenroom_proto::v1::{
    NodeStatus, Placement, PlacementsRequest, ShardsReply, ShardsRequest, StatusRequest, TypeStatus,
    TypesRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::failure::{Failure, Result};
use crate::output;
use crate::target::{AdminAddress, Target};

/// How long a node may take to accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take to answer one question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How many placements are asked for at once: a page of the longest keys stays far below gRPC's limit of 4 MiB.
const PAGE_SIZE: u32 = 2_000;

/// The nodes of a cluster.
pub(crate) struct Cluster {
    nodes: Vec<AdminAddress>,
    absent: Vec<String>,
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
    pub(crate) fn of(target: &Target) -> Result<Self> {
        Ok(Self { nodes: target.admins()?, absent: target.absent() })
    }

    /// The nodes that should be there and are not.
    pub(crate) fn absent(&self) -> &[String] {
        &self.absent
    }

    /// What each node is and does.
    pub(crate) async fn statuses(&self) -> Result<Vec<NodeStatus>> {
        self.ask(async |mut node| Ok(node.status(StatusRequest {}).await?.into_inner())).await
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
        let question = &question;
        let asked = self.nodes.iter().map(async |node| match connect(&node.address).await {
            Ok(client) => question(client).await.map_err(|status| why(&status)),
            Err(error) => Err(error),
        });
        let mut answers = Vec::new();
        let mut silent = Vec::new();
        for (node, answer) in self.nodes.iter().zip(join_all(asked).await) {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(error) => silent.push(format!("{} does not answer: {error}", node.name)),
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
}

/// Connects to a node's admin service.
pub(crate) async fn connect(address: &str) -> Result<AdminClient<Channel>, String> {
    let endpoint =
        Endpoint::from_shared(address.to_owned()).map_err(|_| format!("{address:?} is no HOST:PORT"))?;
    let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).connect().await;
    channel.map(AdminClient::new).map_err(|error| innermost(&error))
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
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
