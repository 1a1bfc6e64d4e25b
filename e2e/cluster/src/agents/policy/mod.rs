//! NetworkPolicy: one nftables table in each node's network namespace, written anew when something changes.
//!
//! A table holds the rules of that node's own pods and looks at what is forwarded: addresses of Services are pods'
//! by then, packets between pods of one node pass it, too, and what the node itself sends (probes of the kubelet) does
//! not. A pod is open for some 10 ms after its start, until its address is known; connections that exist stay.

mod rules;

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::Notify;

use self::rules::Objects;
use super::watched::Watched;
use crate::error::{Doing, Error, Result};
use crate::network::NodeNumber;

/// How soon a node that was switched on has its table.
const LOOK: Duration = Duration::from_millis(500);

/// Keeps the tables of all nodes.
pub(super) async fn run(client: Client) -> Result<()> {
    let changed = Arc::new(Notify::new());
    let pods = Watched::start(client.clone(), changed.clone());
    let namespaces = Watched::start(client.clone(), changed.clone());
    let policies = Watched::start(client, changed.clone());
    pods.listed().await;
    namespaces.listed().await;
    policies.listed().await;
    let mut loaded = HashMap::new();
    loop {
        let objects = Objects { pods: pods.all(), namespaces: namespaces.all(), policies: policies.all() };
        for node in NodeNumber::first(NodeNumber::MAX) {
            if let Err(error) = update(node, &objects, &mut loaded) {
                eprintln!("table of {}: {error}", node.name());
            }
        }
        let _ = tokio::time::timeout(LOOK, changed.notified()).await;
    }
}

/// Loads the node's table unless it is there. A node that was off and on has a new namespace, which is empty.
fn update(node: NodeNumber, objects: &Objects, loaded: &mut HashMap<String, (u64, String)>) -> Result<()> {
    let path = format!("/run/netns/{}", node.namespace());
    let Ok(namespace) = std::fs::metadata(&path) else { return Ok(()) };
    let wanted = (namespace.ino(), rules::table(&node.name(), objects));
    if loaded.get(&path) != Some(&wanted) {
        load(&path, &wanted.1)?;
        loaded.insert(path, wanted);
    }
    Ok(())
}

/// Replaces the table in one transaction.
fn load(namespace: &str, table: &str) -> Result<()> {
    let mut nft = Command::new("nsenter");
    nft.arg(format!("--net={namespace}")).args(["nft", "--file", "-"]);
    let mut nft = nft.stdin(Stdio::piped()).spawn().doing(|| "start nft".to_owned())?;
    let mut input = nft.stdin.take().expect("its input is a pipe");
    input.write_all(table.as_bytes()).doing(|| "write to nft".to_owned())?;
    drop(input);
    match nft.wait().doing(|| "wait for nft".to_owned())? {
        status if status.success() => Ok(()),
        status => Err(Error::Refused(format!("nft refused it ({status}):\n{table}"))),
    }
}
