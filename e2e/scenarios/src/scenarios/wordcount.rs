//! Every word is counted exactly once, whatever happens to a node meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::calls::Proxy;
use crate::cluster::Cluster;
use crate::hooks::Host;
use crate::kubectl;
use crate::scope::Scope;

const NAME: &str = "wordcount";
const TEXT: &str = "LICENSE";
const ROUNDS: u16 = 3;

pub(super) async fn pod_killed(scope: Scope) -> Result<()> {
    let cluster = cluster(&scope).await?;
    for round in 0..ROUNDS {
        let victim = cluster.pod_name(round);
        let host = Host::of_pod(&scope, &victim).await?;
        let before = cluster.restarts(round).await?;
        count_while(&cluster, &format!("round-{round}"), host.signal(&scope, &victim, "SIGKILL")).await?;
        ensure!(cluster.restarts(round).await? > before, "{victim} was not killed");
        cluster.ready().await?;
    }
    Ok(())
}

pub(super) async fn pod_deleted(scope: Scope) -> Result<()> {
    let cluster = cluster(&scope).await?;
    for round in 0..ROUNDS {
        let (victim, number) = (cluster.pod_name(round), usize::from(round));
        let before = cluster.pod_uids(3).await?;
        let deleting = async {
            scope.kubectl(&["delete", "pod", &victim, "--wait=false"]).await?;
            Ok(())
        };
        count_while(&cluster, &format!("round-{round}"), deleting).await?;
        cluster.ready().await?;
        ensure!(cluster.pod_uids(3).await?[number] != before[number], "{victim} is still the same pod");
    }
    Ok(())
}

pub(super) async fn host_lost(scope: Scope) -> Result<()> {
    let cluster = cluster(&scope).await?;
    let victim = cluster.pod_name(1);
    let mut host = Host::of_pod(&scope, &victim).await?;
    let losing = async {
        host.kill().await?;
        host.restore().await
    };
    count_while(&cluster, "host", losing).await?;
    cluster.ready().await
}

async fn cluster(scope: &Scope) -> Result<Cluster> {
    let image = &scope.settings.wordcount_image;
    let yaml = format!(
        "apiVersion: greenroom.dev/v1alpha1\nkind: ActorCluster\nmetadata: {{name: {NAME}}}\nspec: {{replicas: 3, shards: 256, image: \"{image}\", storage: {{size: 64Mi}}}}\n"
    );
    Cluster::apply(scope, NAME, &yaml).await
}

/// Counts the words of a text, with something happening in the middle, and compares with a count made here.
async fn count_while(cluster: &Cluster, run: &str, happens: impl Future<Output = Result<()>>) -> Result<()> {
    let (settings, proxy) = (&cluster.scope.settings, Proxy::open(cluster).await?);
    let text = settings.sources.join(TEXT);
    let mut command = Command::new(&settings.wordcount);
    // Few calls at once: it must still be counting when it happens.
    command.args(["--json", "--in-flight", "4", "--run", run, "--gateway", &proxy.address]).arg(&text);
    let counting = kubectl::run(&mut command, None);
    let disturbed = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        happens.await
    };
    let (counted, ()) = tokio::try_join!(counting, disturbed)?;
    let counted: BTreeMap<String, u64> = serde_json::from_str(&counted).context("word count's output")?;
    let expected = words(&std::fs::read_to_string(&text)?);
    for (word, times) in &expected {
        let count = counted.get(word).copied().unwrap_or_default();
        ensure!(count == *times, "{word:?} is there {times} times and was counted {count} times");
    }
    ensure!(counted.len() == expected.len(), "{} words, {} counted", expected.len(), counted.len());
    Ok(())
}

/// The words of a text and how often each is there, as `tr -cs A-Za-z '\n' | sort | uniq -c` has them.
fn words(text: &str) -> BTreeMap<String, u64> {
    let mut words = BTreeMap::new();
    for word in text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
        *words.entry(word.to_owned()).or_default() += 1;
    }
    words
}
