//! A node program as a process: what it does on SIGTERM, and while it cannot become ready.
//!
//! The program is this test itself, started again: [`node_program`].

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use greenroom::{Actor, Client, Runtime, actor_methods};
use greenroom_proto::v1;
use greenroom_proto::v1::admin_client::AdminClient;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use support::http_answer;
use tempfile::TempDir;

/// Takes turns that do not end.
#[derive(Actor, Default, Serialize, Deserialize)]
struct Stuck {}

#[actor_methods]
impl Stuck {
    async fn wait(&mut self) {
        std::future::pending().await
    }
}

const IS_NODE: &str = "TEST_IS_A_NODE_PROGRAM";

/// Not a test: what the tests start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_program() {
    if std::env::var_os(IS_NODE).is_some() {
        Runtime::from_env().actor::<Stuck>().run().await.unwrap();
    }
}

struct Program {
    process: Child,
    gateway: String,
    admin: String,
    health: String,
    _data: TempDir,
}

impl Program {
    fn start(settings: &[(&str, &str)]) -> Self {
        let data = TempDir::new().unwrap();
        let [gateway, mesh, admin, health] = free_addresses();
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "node_program", "--nocapture"])
            .env(IS_NODE, "true")
            .env("GREENROOM_DATA_DIR", data.path())
            .env("GREENROOM_GATEWAY_LISTEN", &gateway)
            .env("GREENROOM_MESH_LISTEN", mesh)
            .env("GREENROOM_ADMIN_LISTEN", &admin)
            .env("GREENROOM_HEALTH_LISTEN", &health)
            .env("GREENROOM_DRAIN_SECONDS", "60")
            .env("GREENROOM_LOG", "warn")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, gateway, admin, health, _data: data }
    }

    /// Waits for an answer of the health port that fits.
    async fn answers(&self, path: &str, fits: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = http_answer(&self.health, path).await.unwrap_or_default();
            if fits(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path} answers {answer:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends SIGTERM; returns how long the process went on and whether it ended well.
    async fn terminate(mut self) -> (Duration, bool) {
        let pid = Pid::from_child(&self.process);
        let sent = Instant::now();
        kill_process(pid, Signal::TERM).unwrap();
        let ended = tokio::task::spawn_blocking(move || self.process.wait()).await.unwrap().unwrap();
        (sent.elapsed(), ended.success())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended unless the test has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Addresses that were free just now, all at once so that they differ.
fn free_addresses() -> [String; 4] {
    let bound = [(); 4].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    bound.map(|listener| listener.local_addr().unwrap().to_string())
}

#[tokio::test]
async fn a_node_that_was_drained_before_ends_at_once() {
    let program = Program::start(&[]);
    program.answers("/readyz", |answer| answer.starts_with("HTTP/1.1 200")).await;
    let client = Client::connect([program.gateway.clone()]).unwrap();
    let stuck = tokio::spawn(async move { client.actor::<Stuck>("x").wait().await });
    program.answers("/metrics", |answer| running(answer) == 1).await;
    let mut admin = AdminClient::connect(format!("http://{}", program.admin)).await.unwrap();
    let drained = admin.drain(v1::DrainRequest { timeout_ms: 100 }).await.unwrap().into_inner();
    assert_eq!(drained.cancelled_turns, 1);
    let drained = program.answers("/readyz", |answer| answer.starts_with("HTTP/1.1 503")).await;
    assert!(drained.contains("the node is Drained"), "{drained}");
    program.answers("/livez", |answer| answer.starts_with("HTTP/1.1 200")).await;
    let (took, well) = program.terminate().await;
    assert!(well && took < Duration::from_secs(3), "{took:?}");
    stuck.abort();
}

/// The turns that run, by the metrics.
fn running(metrics: &str) -> u64 {
    let line = metrics.lines().find(|line| line.starts_with("greenroom_turns_running{"));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().parse().unwrap_or_default()
}

#[tokio::test]
async fn a_node_without_a_shard_map_waits_says_so_and_can_be_stopped() {
    // Nobody listens there.
    let [nobody, ..] = free_addresses();
    let program = Program::start(&[("GREENROOM_COORDINATION", &format!("http://{nobody}"))]);
    let waiting = program.answers("/readyz", |answer| answer.contains("waits for the shard map")).await;
    assert!(waiting.starts_with("HTTP/1.1 503") && waiting.contains("the node is Starting"), "{waiting}");
    program.answers("/livez", |answer| answer.starts_with("HTTP/1.1 200")).await;
    let (took, well) = program.terminate().await;
    assert!(well && took < Duration::from_secs(3), "{took:?}");
}

#[cfg(not(feature = "kubernetes"))]
#[tokio::test]
async fn what_needs_kubernetes_names_the_feature() {
    use greenroom::config::NodeConfig;

    let namespace = Some("prod".to_owned());
    let kubernetes = NodeConfig {
        coordination: Some("kubernetes".into()),
        namespace: namespace.clone(),
        ..NodeConfig::local()
    };
    let tls = NodeConfig { tls_dir: Some("/tls".into()), namespace, ..NodeConfig::local() };
    for (config, setting) in [(kubernetes, "--coordination kubernetes"), (tls, "--tls-dir")] {
        let error = Runtime::with_config(config).start().await.err().unwrap().to_string();
        assert!(error.starts_with(setting) && error.contains("feature `kubernetes`"), "{error}");
    }
}
