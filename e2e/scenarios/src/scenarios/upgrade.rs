//! An upgrade of Greenroom under a running cluster, from the charts and images of the version before, as
//! docs/kubernetes.md tells it. It shows that
//!
//! - `helm upgrade` and `helm rollback` replace definitions, operator and placement API, and restart no actor pod;
//! - a cluster takes the new stock image when it is asked to, one pod at a time, and stays there when it no longer is;
//! - through all of it no call fails and no state is lost.
//!
//! The previous version is today's under another number, with other words in the definitions: what differs between two
//! versions is then all there is to see. The definitions are a release of their own, so that both charts are upgraded.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::calls::Load;
use crate::cluster::{Cluster, counters};
use crate::install::{self, CRDS, NAMESPACE, RELEASE, chart, helm};
use crate::kubectl::{self, eventually, json};
use crate::scope::Scope;
use crate::settings::Settings;

const NODES: u16 = 3;
/// What the definition of an ActorCluster says of it today, and in the version before.
const WORDS: [&str; 2] = ["A cluster of nodes that run virtual actors.", "What an older version said of it."];

pub(super) async fn from_the_previous_version(scope: Scope) -> Result<()> {
    let settings = &scope.settings;
    let version = settings.previous.as_deref().context("the scenario does not say that it needs it")?;
    let previous = Charts::package(settings, version).await?;
    let outcome = there_and_back(&scope, &previous).await;
    let restored = one_release(settings).await;
    outcome.and(restored)
}

/// What the other scenarios have: one release, with its definitions.
async fn one_release(settings: &Settings) -> Result<()> {
    let mut apart = helm(&["uninstall", CRDS, "--namespace", NAMESPACE, "--ignore-not-found", "--wait"]);
    kubectl::run(&mut apart, None).await?;
    install::upgrade(settings, &chart(settings, RELEASE), &["--take-ownership"]).await
}

async fn there_and_back(scope: &Scope, previous: &Charts) -> Result<()> {
    let today = Charts::of_the_sources(&scope.settings);
    previous.install(&scope.settings).await?;
    let cluster = Cluster::apply(scope, "steady", &counters("steady", NODES)).await?;
    let load = Load::start(&cluster, 4).await?;
    load.goes_on(50, Duration::from_secs(30)).await?;
    let (born, parts) = (Nodes::of(&cluster).await?, parts().await?);

    today.install(&scope.settings).await?;
    let parts = replaced(&cluster, &today, &parts).await?;
    ensure!(Nodes::of(&cluster).await? == born, "the upgrade was noticed by {born:?}");
    load.goes_on(50, Duration::from_secs(30)).await?;

    follow_stock_image(&cluster, "=true").await?;
    let away = cluster.rolled(&born.uids).await?;
    ensure!(away <= 1, "{away} pods were away at once");
    let rolled = Nodes::of(&cluster).await?;
    ensure!(rolled.image == today.image && born.image == previous.image, "{rolled:?} after {born:?}");
    load.goes_on(50, Duration::from_secs(30)).await?;

    follow_stock_image(&cluster, "-").await?;
    for release in [RELEASE, CRDS] {
        let rollback = helm(&["rollback", release, "--namespace", NAMESPACE, "--wait", "--timeout", "180s"]);
        kubectl::run(&mut { rollback }, None).await?;
    }
    replaced(&cluster, previous, &parts).await?;
    ensure!(Nodes::of(&cluster).await? == rolled, "the rollback was noticed by {rolled:?}");
    load.goes_on(50, Duration::from_secs(30)).await?;
    load.finish().await.map(drop)
}

/// Waits until definitions, operator and placement API are those of these charts, nothing of `before` is left, and the
/// operator that leads now has looked after the cluster. The pods of operator and placement API.
async fn replaced(cluster: &Cluster, by: &Charts, before: &[Value]) -> Result<Vec<Value>> {
    let now = eventually(Duration::from_secs(60), "operator and placement API are new", || async {
        let now = parts().await?;
        for pod in &now {
            let name = &pod["metadata"]["name"];
            ensure!(pod["spec"]["containers"][0]["image"] == by.image, "{name} runs another version");
            ensure!(
                before.iter().all(|old| old["metadata"]["uid"] != pod["metadata"]["uid"]),
                "{name} is old"
            );
        }
        Ok(now)
    })
    .await?;
    let definition = json(&["get", "customresourcedefinition", "actorclusters.greenroom.dev"]).await?;
    let says = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"];
    ensure!(says == by.words, "the definition says {says}, not {:?}", by.words);
    let api_service = "apiservice/v1alpha1.placement.greenroom.dev";
    cluster.scope.wait(api_service, "condition=Available", Duration::from_secs(60)).await?;
    cluster.scope.kubectl(&["get", "actorplacements"]).await?;

    let budget = format!("poddisruptionbudget/{}", cluster.name);
    cluster.scope.kubectl(&["delete", &budget]).await?;
    eventually(Duration::from_secs(60), "the new operator puts back what is missing", || {
        let get = ["get", &budget];
        async move { cluster.scope.kubectl(&get).await }
    })
    .await?;
    cluster.ready().await?;
    Ok(now)
}

/// The pods of operator and placement API.
async fn parts() -> Result<Vec<Value>> {
    let pods = ["-n", NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/part-of=greenroom"];
    let pods = json(&pods).await?["items"].as_array().context("no list")?.clone();
    ensure!(pods.len() >= 4, "{} pods of operator and placement API", pods.len());
    Ok(pods)
}

/// What an upgrade must leave as it is.
#[derive(Debug, PartialEq)]
struct Nodes {
    image: String,
    /// Changes with the template, so before the first pod is touched.
    generation: i64,
    uids: Vec<String>,
    restarts: Vec<i64>,
}

impl Nodes {
    async fn of(cluster: &Cluster) -> Result<Self> {
        let set = cluster.scope.json(&["get", "statefulset", &cluster.name]).await?;
        let image = &set["spec"]["template"]["spec"]["containers"][0]["image"];
        let mut restarts = Vec::new();
        for ordinal in 0..NODES {
            restarts.push(cluster.restarts(ordinal).await?);
        }
        Ok(Self {
            image: image.as_str().context("a template without image")?.to_owned(),
            generation: set["metadata"]["generation"].as_i64().context("no generation")?,
            uids: cluster.pod_uids(NODES).await?,
            restarts,
        })
    }
}

async fn follow_stock_image(cluster: &Cluster, change: &str) -> Result<()> {
    let annotation = format!("greenroom.dev/follow-stock-image{change}");
    cluster.scope.kubectl(&["annotate", "actorcluster", &cluster.name, &annotation]).await.map(drop)
}

/// Both charts of a version.
struct Charts {
    greenroom: PathBuf,
    crds: PathBuf,
    /// The image that they bring.
    image: String,
    /// What the definition says.
    words: &'static str,
    _packed: Option<TempDir>,
}

impl Charts {
    fn of_the_sources(settings: &Settings) -> Self {
        Self {
            greenroom: chart(settings, RELEASE),
            crds: chart(settings, CRDS),
            image: format!("{}:{}", settings.image, settings.version),
            words: WORDS[0],
            _packed: None,
        }
    }

    /// The charts of the sources as those of another version.
    async fn package(settings: &Settings, version: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let reworded = folder.path().join(CRDS);
        kubectl::run(Command::new("cp").arg("-R").arg(chart(settings, CRDS)).arg(&reworded), None).await?;
        let definition = reworded.join("templates/actorcluster.yaml");
        let text = std::fs::read_to_string(&definition)?;
        ensure!(text.contains(WORDS[0]), "{} does not say {:?}", definition.display(), WORDS[0]);
        std::fs::write(&definition, text.replace(WORDS[0], WORDS[1]))?;

        let mut package = helm(&["package", "--version", version, "--app-version", version, "--destination"]);
        package.arg(folder.path()).arg(chart(settings, RELEASE)).arg(&reworded);
        kubectl::run(&mut package, None).await?;
        let packed = |name: &str| folder.path().join(format!("{name}-{version}.tgz"));
        Ok(Self {
            greenroom: packed(RELEASE),
            crds: packed(CRDS),
            image: format!("{}:{version}", settings.image),
            words: WORDS[1],
            _packed: Some(folder),
        })
    }

    /// Installs both, or upgrades to them, the definitions first.
    async fn install(&self, settings: &Settings) -> Result<()> {
        let mut crds =
            helm(&["upgrade", "--install", CRDS, "--namespace", NAMESPACE, "--take-ownership", "--wait"]);
        kubectl::run(crds.arg(&self.crds), None).await?;
        install::upgrade(settings, &self.greenroom, &["--set=crds.enabled=false"]).await
    }
}
