//! Calls in the background of a scenario, and the proof that each was applied exactly once.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use greenroom_client::{CallOptions, Client};
use greenroom_core::identity::ActorId;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::task::JoinSet;

use crate::cluster::Cluster;

/// A way from here to the gateways of a cluster: `kubectl greenroom proxy`. Ends when it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: String,
    _process: Child,
}

impl Proxy {
    pub(crate) async fn open(cluster: &Cluster) -> Result<Self> {
        let mut command =
            cluster.scope.command(&["greenroom", "proxy", "--port", "0", "--cluster", &cluster.name]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().context("cannot start kubectl greenroom proxy")?;
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let first = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await;
        let Ok(Ok(Some(address))) = first else { bail!("kubectl greenroom proxy printed no address") };
        Ok(Self { address: address.trim().to_owned(), _process: process })
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::connect([self.address.clone()])?)
    }
}

/// How long a call may take, whatever happens to the cluster meanwhile.
const DEADLINE: Duration = Duration::from_secs(30);

/// Callers that add one to their own counter, over and over.
pub(crate) struct Load {
    client: Client,
    _proxy: Proxy,
    stop: Arc<AtomicBool>,
    /// Calls that were answered, by caller.
    answered: Arc<Vec<AtomicU64>>,
    callers: JoinSet<Result<(), String>>,
}

impl Load {
    /// Starts so many callers.
    pub(crate) async fn start(cluster: &Cluster, callers: usize) -> Result<Self> {
        let proxy = Proxy::open(cluster).await?;
        let (client, stop) = (proxy.client()?, Arc::new(AtomicBool::new(false)));
        let answered: Arc<Vec<_>> = Arc::new((0..callers).map(|_| AtomicU64::new(0)).collect());
        let mut tasks = JoinSet::new();
        for caller in 0..callers {
            let (client, stop, answered) = (client.clone(), stop.clone(), answered.clone());
            tasks.spawn(async move {
                let actor = counter(caller);
                while !stop.load(Ordering::Relaxed) {
                    let call = client.call_json(&actor, "add", r#"{"by":1}"#, options());
                    call.await.map_err(|error| format!("caller {caller}: {error}"))?;
                    answered[caller].fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Ok(Self { client, _proxy: proxy, stop, answered, callers: tasks })
    }

    /// How many calls were answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Waits until so many more calls were answered.
    pub(crate) async fn goes_on(&self, more: u64, within: Duration) -> Result<()> {
        let wanted = self.answered() + more;
        crate::kubectl::eventually(within, "calls are answered", || async {
            let answered = self.answered();
            ensure!(answered >= wanted, "{answered} calls were answered, not {wanted}");
            Ok(())
        })
        .await
    }

    /// Ends the callers; none may have failed, and every counter must stand at what its caller was answered.
    pub(crate) async fn finish(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended?.map_err(|error| anyhow::anyhow!("a call failed: {error}"))?;
        }
        for (caller, answered) in self.answered.iter().enumerate() {
            let total = self.client.call_json(&counter(caller), "total", "{}", options()).await;
            let total = total.map_err(|error| anyhow::anyhow!("the total of caller {caller}: {error}"))?;
            let answered = answered.load(Ordering::Relaxed);
            ensure!(
                total.trim() == answered.to_string(),
                "caller {caller} was answered {answered} times, its counter stands at {total}"
            );
        }
        Ok(self.answered())
    }
}

fn options() -> CallOptions {
    CallOptions { deadline: Some(DEADLINE), ..CallOptions::default() }
}

fn counter(caller: usize) -> ActorId {
    format!("Counter/caller-{caller}").parse().expect("it is a type and a key")
}
