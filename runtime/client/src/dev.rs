//! Finds the cluster that `greenroom dev` runs: `.greenroom/<name>/endpoints.json`, here or in a parent directory.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::client::ConnectError;

/// What a client needs of the file; the CLI, which writes it, knows the rest.
#[derive(Deserialize)]
struct Endpoints {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    gateway: String,
}

/// The file of the one dev cluster that runs in `start` or the nearest parent directory that has one.
pub(crate) fn find(start: &Path) -> Result<PathBuf, ConnectError> {
    let start = start.canonicalize().unwrap_or_else(|_| start.to_owned());
    let mut found: Vec<PathBuf> = start
        .ancestors()
        .map(|directory| endpoint_files(&directory.join(".greenroom")))
        .find(|files| !files.is_empty())
        .unwrap_or_default();
    match (found.pop(), found.pop()) {
        (Some(file), None) => Ok(file),
        (None, _) => Err(ConnectError::NoDevCluster { start }),
        (Some(a), Some(b)) => Err(ConnectError::SeveralDevClusters { files: [a, b] }),
    }
}

/// The gateways of the nodes that are there now.
pub(crate) fn gateways(file: &Path) -> Result<Vec<String>, ConnectError> {
    let unreadable = |message: String| ConnectError::DevEndpoints { file: file.to_owned(), message };
    let json = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    let endpoints: Endpoints =
        serde_json::from_slice(&json).map_err(|error| unreadable(error.to_string()))?;
    Ok(endpoints.nodes.into_iter().map(|node| node.gateway).collect())
}

fn endpoint_files(data: &Path) -> Vec<PathBuf> {
    let clusters = std::fs::read_dir(data).into_iter().flatten().flatten();
    clusters.map(|cluster| cluster.path().join("endpoints.json")).filter(|file| file.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(root: &Path, name: &str) {
        let directory = root.join(".greenroom").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let json = r#"{"cluster":"c","nodes":[{"name":"c-0","gateway":"127.0.0.1:1"}]}"#;
        std::fs::write(directory.join("endpoints.json"), json).unwrap();
    }

    #[test]
    fn the_cluster_of_a_parent_directory_is_found() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        cluster(root.path(), "one");
        assert_eq!(gateways(&find(&below).unwrap()).unwrap(), ["127.0.0.1:1"]);
    }

    #[test]
    fn none_and_several_say_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        assert!(find(root.path()).unwrap_err().to_string().contains("greenroom dev"));
        cluster(root.path(), "one");
        cluster(root.path(), "two");
        assert!(find(root.path()).unwrap_err().to_string().contains("name a gateway"));
    }
}
