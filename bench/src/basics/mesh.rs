//! An ask over the mesh: two nodes in two processes on loopback, and its floor, frames over one TCP connection.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use greenroom::config::{NodeArgs, NodeConfig};
use greenroom::{Actor, Counter, KeyValue, Runtime, actor_methods};
use greenroom_bench_rig::stopwatch::resident_bytes;
use greenroom_cluster::Embedded;
use greenroom_cluster::coordination::serve;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::tcp::EchoClient;
use crate::measure::{Cost, Rig, Stopwatch, interleaved};
use crate::peer::{Peer, parent_is_done};
use crate::report::Report;

const IN_FLIGHT: u32 = 256;
const ASKS_IN_FLIGHT: u32 = 102_400;
const ASKS_ONE_AT_A_TIME: u32 = 10_000;
/// On the other node.
const ACTORS: usize = 1_000;
/// 64 bytes.
const PAYLOAD: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Sends back what it gets.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile)]
struct Echo {
    calls: u64,
}

#[actor_methods]
impl Echo {
    async fn echo(&mut self, text: String) -> String {
        self.calls += 1;
        text
    }

    /// The process that it lives in.
    async fn pid(&self) -> u32 {
        std::process::id()
    }
}

/// The environment of a node that stores nothing outside of `directory` and listens where the system likes.
pub(super) fn environment(name: &str, directory: &Path) -> BTreeMap<&'static str, String> {
    let any_port = || "127.0.0.1:0".to_owned();
    BTreeMap::from([
        ("GREENROOM_CLUSTER", "bench".to_owned()),
        ("GREENROOM_NODE", name.to_owned()),
        ("GREENROOM_DATA_DIR", directory.join(name).to_string_lossy().into_owned()),
        ("GREENROOM_GATEWAY_LISTEN", any_port()),
        ("GREENROOM_MESH_LISTEN", any_port()),
        ("GREENROOM_ADMIN_LISTEN", any_port()),
        ("GREENROOM_HEALTH_LISTEN", any_port()),
    ])
}

/// The hidden role `node`: a node as its environment says. Tells how much memory it takes when it is active.
pub(crate) async fn node() -> Result<()> {
    let config = NodeArgs::from_env()?.resolve()?;
    let _telemetry = greenroom::init_telemetry(&config)?;
    let runtime = Runtime::from_env().actor::<Counter>().actor::<KeyValue>().actor::<Echo>().start().await?;
    println!("{}", resident_bytes()?);
    parent_is_done().await?;
    runtime.shutdown().await;
    Ok(())
}

/// The address of a new shard map for two nodes; it is served as long as this process lives.
async fn coordination() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let register = Arc::new(Embedded::memory(NodeConfig::local().shards));
    tokio::spawn(serve(register, listener, std::future::pending()));
    Ok(address)
}

/// This process as a node, another process as the other.
async fn two_nodes(directory: &Path) -> Result<(Runtime, Peer)> {
    let coordination = coordination().await?;
    let mut callee = environment("bench-1", directory);
    callee.insert("GREENROOM_COORDINATION", coordination.clone());
    callee.insert("GREENROOM_REPLICAS", "2".to_owned());
    let mut peer = Peer::start("node", &callee)?;
    let any_port = "127.0.0.1:0".parse().ok();
    let caller = NodeArgs {
        cluster: Some("bench".into()),
        node: Some("bench-0".into()),
        data_dir: Some(directory.join("bench-0")),
        coordination: Some(coordination),
        replicas: Some(2),
        gateway_listen: any_port,
        mesh_listen: any_port,
        admin_listen: any_port,
        health_listen: any_port,
        ..NodeArgs::default()
    };
    let runtime = Runtime::with_config(caller.resolve()?).actor::<Echo>().start().await?;
    peer.line().await.context("the other node did not become active")?;
    Ok((runtime, peer))
}

/// Actors that live on the other node.
async fn actors_on(pid: u32, runtime: &Runtime) -> Result<Vec<EchoRef>> {
    let mut actors = Vec::new();
    for i in 0..ACTORS * 10 {
        let actor = runtime.actor::<Echo>(format!("actor-{i}"));
        if actor.pid().await? == pid {
            actors.push(actor);
        }
        if actors.len() == ACTORS {
            return Ok(actors);
        }
    }
    anyhow::bail!("only {} of {} actors live on the other node", actors.len(), ACTORS * 10)
}

/// What sends a text to the other process and back.
trait RoundTrip: Send + Sync + 'static {
    fn echo(&self, text: String) -> impl Future<Output = Result<String>> + Send;
}

/// Random ones of these actors.
struct Actors(Vec<EchoRef>);

impl RoundTrip for Actors {
    async fn echo(&self, text: String) -> Result<String> {
        Ok(self.0[fastrand::usize(..self.0.len())].echo(text).await?)
    }
}

impl RoundTrip for EchoClient {
    async fn echo(&self, text: String) -> Result<String> {
        self.echo(text).await
    }
}

/// So many callers, each with one ask at a time.
async fn asks(rig: Arc<impl RoundTrip>, peer: u32, callers: u32, asks: u32) -> Result<Cost> {
    let stopwatch = Stopwatch::start_with_peer(peer)?;
    let tasks = (0..callers).map(|_| {
        let rig = rig.clone();
        tokio::spawn(async move {
            for _ in 0..asks / callers {
                ensure!(rig.echo(PAYLOAD.to_owned()).await? == PAYLOAD, "another text came back");
            }
            Ok(())
        })
    });
    for task in try_join_all(tasks).await? {
        task?;
    }
    stopwatch.stop(asks / callers * callers)
}

pub(super) async fn run(report: &mut Report, rounds: u32) -> Result<()> {
    let directory = crate::scratch()?;
    let (runtime, node) = two_nodes(directory.path()).await?;
    let mut server = Peer::start("echo", &BTreeMap::new())?;
    let (node_pid, server_pid) = (node.pid(), server.pid());
    let client = Arc::new(EchoClient::connect(&server.line().await?).await?);
    let actors = Arc::new(Actors(actors_on(node_pid, &runtime).await?));

    const FLOOR: &str = "floor: coalesced frames over TCP";
    let programs = [
        ("ask over the mesh, 256 in flight", IN_FLIGHT, ASKS_IN_FLIGHT),
        ("ask over the mesh, 1 at a time", 1, ASKS_ONE_AT_A_TIME),
    ];
    for (program, callers, count) in programs {
        let (actors, client) = (actors.clone(), client.clone());
        let rigs = vec![
            Rig::new("mesh", FLOOR, move || asks(actors.clone(), node_pid, callers, count)),
            Rig::floor(FLOOR, move || asks(client.clone(), server_pid, callers, count)),
        ];
        interleaved(report, program, rounds, rigs).await?;
    }
    drop((actors, client));
    runtime.shutdown().await;
    node.stop().await?;
    server.stop().await
}
