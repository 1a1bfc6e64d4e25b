//! Rolling: the operator drains a pod before it touches it, so no call fails (I7).

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::calls::Load;
use crate::cluster::{Cluster, ROLLED_WITHIN, condition, counters};
use crate::kubectl::eventually;
use crate::scope::Scope;

pub(super) async fn changed_template(scope: Scope) -> Result<()> {
    let cluster = Cluster::apply(&scope, "roll", &counters("roll", 3)).await?;
    let before = cluster.pod_uids(3).await?;
    let load = Load::start(&cluster, 8).await?;
    load.goes_on(50, Duration::from_secs(30)).await?;

    change_environment(&scope, "roll", "one").await?;
    let away = cluster.rolled(&before).await?;
    load.goes_on(50, Duration::from_secs(30)).await?;
    let answered = load.finish().await?;
    ensure!(answered > 100, "only {answered} calls were answered");
    ensure!(away <= 1, "{away} pods were away at once");

    let events = scope.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]).await?;
    ensure!(events.contains("TemplateChanged"), "no event tells of the roll: {events}");
    Ok(())
}

pub(super) async fn broken_image(scope: Scope) -> Result<()> {
    let cluster = Cluster::apply(&scope, "broken", &counters("broken", 3)).await?;
    let before = cluster.pod_uids(3).await?;
    set_image(&scope, "\"greenroom.dev/no-such-image:1\"").await?;
    eventually(ROLLED_WITHIN, "one pod waits for the image", || async {
        let pods = scope.kubectl(&["get", "pods"]).await?;
        ensure!(pods.contains("ErrImageNeverPull") || pods.contains("ImagePull"), "{pods}");
        Ok(())
    })
    .await?;
    // The other two answer meanwhile, and stay what they are.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let now = cluster.pod_uids(3).await?;
    let kept = now.iter().filter(|uid| before.contains(uid)).count();
    ensure!(kept == 2, "a pod that does not become ready must stop the roll, but {kept} pods were kept");
    let found = cluster.get().await?;
    ensure!(condition(&found, "Ready")["status"] != "True", "{}", found["status"]);

    set_image(&scope, "null").await?;
    cluster.ready().await?;
    ensure!(cluster.call("Counter/x", "add", r#"{"by":1}"#).await? == "1");
    Ok(())
}

async fn set_image(scope: &Scope, image: &str) -> Result<()> {
    patch(scope, "broken", &format!(r#"{{"spec":{{"image":{image}}}}}"#)).await
}

async fn change_environment(scope: &Scope, name: &str, value: &str) -> Result<()> {
    patch(scope, name, &format!(r#"{{"spec":{{"env":[{{"name":"ROLL","value":"{value}"}}]}}}}"#)).await
}

async fn patch(scope: &Scope, name: &str, patch: &str) -> Result<()> {
    scope.kubectl(&["patch", "actorcluster", name, "--type=merge", "-p", patch]).await.map(drop)
}
