//! A cluster of real nodes in this process: real stores in a temporary directory, real mesh, map and gateways over
//! loopback, one coordination server.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use greenroom::config::{NodeArgs, NodeConfig, StorageEngine};
use greenroom::node::Node;
use greenroom::{Actor, AppError, Client, Cx, Feed, Items, Proto, Result, Schedule, actor_methods};
use greenroom_cluster::Embedded;
use greenroom_cluster::coordination::serve;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const TOTALS: Feed<i64> = Feed::new("totals");

/// A message as a `.proto` would have it: `message Sum { sint64 amount = 1; }`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Sum {
    #[prost(sint64, tag = "1")]
    pub(crate) amount: i64,
}

/// What the tests call.
#[derive(Actor, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    total: i64,
}

#[actor_methods]
impl Tally {
    pub(crate) async fn add(&mut self, by: i64) -> i64 {
        self.total += by;
        self.total
    }

    /// The same with messages of protobuf.
    pub(crate) async fn add_sum(&mut self, by: Proto<Sum>) -> Result<Proto<Sum>> {
        if by.amount == 0 {
            return Err(AppError::new("there is nothing to add"));
        }
        self.total += by.amount;
        Ok(Proto(Sum { amount: self.total }))
    }

    pub(crate) async fn total(&self) -> i64 {
        self.total
    }

    pub(crate) async fn panic(&mut self) {
        self.total = -1;
        panic!("on purpose");
    }

    /// Adds to another tally, wherever that is.
    pub(crate) async fn pass_on(&mut self, cx: &Cx, to: String, by: i64) -> Result<i64> {
        Ok(cx.actor::<Tally>(to).add(by).await?)
    }

    /// Adds one to another tally again and again, in calls that are all under way together. The totals it was told.
    pub(crate) async fn add_often_to(&self, cx: &Cx, other: String, times: usize) -> Result<Vec<i64>> {
        let other = cx.actor::<Tally>(&other);
        Ok(try_join_all((0..times).map(|_| other.add(1))).await?)
    }

    /// Adds one to others and to itself, and waits for none of it.
    pub(crate) async fn set_in_motion(&mut self, cx: &Cx) -> Result<()> {
        cx.tell(cx.actor::<Tally>("told").add(1))?;
        cx.reliable(cx.actor::<Tally>("sent").add(1))?;
        let soon = Duration::from_millis(1);
        cx.timer(soon, cx.actor::<Tally>(cx.key()).add(1))?;
        cx.remind("soon", Schedule::after(soon), cx.actor::<Tally>(cx.key()).add(1))?;
        Ok(())
    }

    /// The totals from now on, of this method.
    pub(crate) async fn add_aloud(&mut self, cx: &Cx, by: i64) -> Result<()> {
        self.total += by;
        Ok(TOTALS.push(cx, self.total).await?)
    }

    pub(crate) async fn totals(&self, cx: &Cx) -> Result<Items<i64>> {
        Ok(TOTALS.open_with(cx, [self.total])?)
    }

    /// Takes the next totals of another tally, wherever that is, and adds them up.
    pub(crate) async fn add_totals_of(&mut self, cx: &Cx, other: String, count: usize) -> Result<i64> {
        let mut totals = cx.actor::<Tally>(&other).totals().await?;
        for _ in 0..count {
            self.total += totals.next().await.ok_or_else(|| AppError::new("too few"))??;
        }
        Ok(self.total)
    }

    pub(crate) async fn long(&self, bytes: usize) -> String {
        "x".repeat(bytes)
    }
}

pub(crate) const REPLICAS: u32 = 3;

pub(crate) struct Cluster {
    pub(crate) directory: TempDir,
    pub(crate) nodes: Vec<Node>,
    coordination: String,
    stop: Option<oneshot::Sender<()>>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_in(TempDir::new().unwrap()).await
    }

    pub(crate) async fn start_in(directory: TempDir) -> Self {
        let mut cluster = Self::without_nodes(directory).await;
        for i in 0..REPLICAS {
            let node = cluster.node(i).await;
            cluster.nodes.push(node);
        }
        for node in &cluster.nodes {
            node.when_active().await.unwrap();
        }
        cluster
    }

    /// Only the coordination server.
    pub(crate) async fn without_nodes(directory: TempDir) -> Self {
        let shards = NodeConfig::local().shards;
        let register = Embedded::directory(&directory.path().join("coordination"), shards).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let coordination = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stopped = async move {
                let _ = stopped.await;
            };
            serve(Arc::new(register), listener, stopped).await.unwrap();
        });
        Self { directory, nodes: Vec::new(), coordination, stop: Some(stop) }
    }

    /// Starts a node that must not become active, and returns what it says.
    pub(crate) async fn refusal(&self, i: u32) -> String {
        let node = match Node::start(self.config(i), Box::new(|types| types.register::<Tally>())).await {
            Ok(node) => node,
            Err(error) => return error.to_string(),
        };
        let error = node.when_active().await.unwrap_err().to_string();
        node.shutdown().await;
        error
    }

    /// Starts the node with this number; it may not be active yet.
    pub(crate) fn node(&self, i: u32) -> impl Future<Output = Node> + use<> {
        let config = self.config(i);
        async move { Node::start(config, Box::new(|types| types.register::<Tally>())).await.unwrap() }
    }

    pub(crate) fn config(&self, i: u32) -> NodeConfig {
        let any_port = "127.0.0.1:0".parse().ok();
        NodeArgs {
            cluster: Some("test".into()),
            node: Some(format!("test-{i}")),
            data_dir: Some(self.data_dir(i).to_string_lossy().into_owned().into()),
            storage_engine: Some(StorageEngine::Sqlite),
            coordination: Some(self.coordination.clone()),
            replicas: Some(REPLICAS),
            gateway_listen: any_port,
            mesh_listen: any_port,
            admin_listen: any_port,
            health_listen: any_port,
            drain_seconds: Some(5),
            ..NodeArgs::default()
        }
        .resolve()
        .unwrap()
    }

    pub(crate) fn data_dir(&self, i: u32) -> impl AsRef<Path> + use<> + std::ops::Deref<Target = Path> {
        self.directory.path().join(format!("test-{i}"))
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.nodes.iter().map(|node| node.peer().gateway_address.clone())).unwrap()
    }

    /// Stops everything and gives the directory back.
    pub(crate) async fn stop(mut self) -> TempDir {
        for node in &self.nodes {
            node.shutdown().await;
        }
        drop(self.stop.take());
        self.directory
    }
}

/// What an HTTP port answers, with its head.
pub(crate) async fn http_answer(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The same, if the answer must be a good one.
pub(crate) async fn http_get(address: &str, path: &str) -> String {
    let answer = http_answer(address, path).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    answer
}
