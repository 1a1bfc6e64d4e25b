//! The pod network of nodes that come without one: on each node a bridge for its pods, and routes to the others' ranges.
//!
//! Kubernetes has given each node its range; nothing here changes while the cluster runs, but a node that was stopped
//! comes back without its routes, and perhaps at another address.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Stdio;

use serde_json::Value;

use super::engine::Engine;
use crate::error::{Doing, Error, Result, output_of};

struct Node {
    name: String,
    range: String,
    address: Ipv4Addr,
}

/// Writes every node's CNI configuration and its routes to the pods of the others. May be repeated.
/// `list` is what `kubectl get nodes -o json` prints.
pub(super) fn connect(engine: &Engine, list: &str) -> Result<()> {
    let nodes = nodes(list)?;
    for node in &nodes {
        write(engine, &node.name, "/etc/cni/net.d/10-greenroom.conflist", &cni(&node.range))?;
        for other in nodes.iter().filter(|other| other.name != node.name) {
            let mut route = engine.docker();
            route.args(["exec", &node.name, "ip", "route", "replace", &other.range, "via"]);
            output_of(route.arg(other.address.to_string()))?;
        }
    }
    Ok(())
}

/// Takes a node from the network by its end of the link at the engine; everything on the node goes on.
pub(super) fn cut(engine: &Engine, node: &str) -> Result<()> {
    link(engine, node, "down")
}

/// Undoes [`cut`].
pub(super) fn heal(engine: &Engine, node: &str) -> Result<()> {
    link(engine, node, "up")
}

fn nodes(list: &str) -> Result<Vec<Node>> {
    let list: Value =
        serde_json::from_str(list).map_err(std::io::Error::other).doing(|| "read the nodes".to_owned())?;
    let node = |item: &Value| {
        let addresses = item["status"]["addresses"].as_array()?;
        let address = addresses.iter().find(|address| address["type"] == "InternalIP")?;
        Some(Node {
            name: item["metadata"]["name"].as_str()?.to_owned(),
            range: item["spec"]["podCIDR"].as_str()?.to_owned(),
            address: address["address"].as_str()?.parse().ok()?,
        })
    };
    let found: Option<Vec<Node>> = list["items"].as_array().into_iter().flatten().map(node).collect();
    found
        .ok_or_else(|| Error::Refused("a node has no address or no range for pods yet; try again".to_owned()))
}

/// `ptp` and `portmap` are what kind's own network uses, too.
fn cni(range: &str) -> String {
    format!(
        r#"{{"cniVersion": "0.4.0", "name": "greenroom", "plugins": [
  {{"type": "ptp", "ipMasq": false, "mtu": 1500, "ipam": {{"type": "host-local", "dataDir": "/run/cni-ipam",
    "routes": [{{"dst": "0.0.0.0/0"}}], "ranges": [[{{"subnet": "{range}"}}]]}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}
"#
    )
}

fn write(engine: &Engine, node: &str, path: &str, text: &str) -> Result<()> {
    let mut tee = engine.docker();
    tee.args(["exec", "-i", node, "cp", "/dev/stdin", path]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = tee.spawn().doing(|| "start docker".to_owned())?;
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(text.as_bytes()).doing(|| format!("write {path} of {node}"))?;
    drop(stdin);
    let status = child.wait().doing(|| "wait for docker".to_owned())?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Refused(format!("cannot write {path} of {node}: {status}")))
    }
}

fn link(engine: &Engine, node: &str, state: &str) -> Result<()> {
    let mut peer = engine.docker();
    let peer = output_of(peer.args(["exec", node, "cat", "/sys/class/net/eth0/iflink"]))?;
    let links = output_of(engine.inside("ip").args(["-o", "link"]))?;
    let name = interface(&links, peer.trim())
        .ok_or_else(|| Error::Refused(format!("{node} has no link to the engine's network")))?;
    output_of(engine.inside("ip").args(["link", "set", &name, state])).map(drop)
}

/// The name of the interface with this number, in what `ip -o link` prints: `7: veth1a2b3c@if6: <…>`.
fn interface(links: &str, number: &str) -> Option<String> {
    let of_number = |line: &&str| line.split_once(": ").is_some_and(|(first, _)| first == number);
    let name = links.lines().find(of_number)?.split(": ").nth(1)?;
    Some(name.split('@').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_of_a_link_is_found_by_its_number() {
        let links = "1: lo: <LOOPBACK>\n17: veth9f@if16: <BROADCAST> mtu 1500\n7: veth1a@if6: <BROADCAST>\n";
        assert_eq!(interface(links, "7").as_deref(), Some("veth1a"));
        assert_eq!(interface(links, "6"), None);
    }
}
