//! Groups of nodes: the actors of a pinned type are on the pods of their group, and no others are there.

use anyhow::{Result, ensure};

use crate::cluster::Cluster;
use crate::scope::Scope;

const NAME: &str = "grouped";
const ACTORS: usize = 12;

pub(super) async fn pinned(scope: Scope) -> Result<()> {
    let image = &scope.settings.wordcount_image;
    let yaml = format!(
        "apiVersion: greenroom.dev/v1alpha1\nkind: ActorCluster\nmetadata: {{name: {NAME}}}\nspec: {{replicas: 2, shards: 64, image: \"{image}\", storage: {{size: 64Mi}}, groups: [{{name: reports, replicas: 1, shards: 16}}]}}\n"
    );
    let cluster = Cluster::apply(&scope, NAME, &yaml).await?;
    let status = cluster.get().await?["status"].clone();
    ensure!(status["readyReplicas"] == 3 && status["desiredReplicas"] == 3, "{status}");

    for number in 0..ACTORS {
        let lines = cluster.call(&format!("Report/{number}"), "write", r#"{"line":"begun"}"#).await?;
        ensure!(lines == "1", "Report/{number} answered {lines}");
        cluster.call(&format!("Word/{number}"), "see", "{}").await?;
    }
    let reports = nodes_of(&scope, "Report").await?;
    ensure!(reports.len() == ACTORS && reports.iter().all(|node| node == "grouped-reports-0"), "{reports:?}");
    let words = nodes_of(&scope, "Word").await?;
    let general = |node: &String| node == "grouped-0" || node == "grouped-1";
    ensure!(words.len() == ACTORS && words.iter().all(general), "{words:?}");
    Ok(())
}

/// The node of each actor of a type that is in memory, as kubectl shows it.
async fn nodes_of(scope: &Scope, actor_type: &str) -> Result<Vec<String>> {
    let only = format!("spec.type={actor_type}");
    let shown =
        ["get", "actorplacements", "--field-selector", &only, "-o", "jsonpath={.items[*].status.node}"];
    Ok(scope.kubectl(&shown).await?.split_whitespace().map(str::to_owned).collect())
}
