//! A node's network: a namespace, and a virtual cable to this machine's bridge.

use std::net::Ipv4Addr;
use std::process::Command;

use crate::error::{Result, output_of};
use crate::network::{self, BRIDGE, BRIDGE_MAC, HOST, NodeNumber};

/// Runs one `ip` command, given as a line.
fn ip(line: &str) -> Result<String> {
    output_of(Command::new("ip").args(line.split_whitespace()))
}

fn exists(link: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(link).exists()
}

/// Makes this machine's side: the bridge, and routes to the pods, because the API server calls pods (webhooks,
/// aggregation) by their addresses.
pub(crate) fn create_bridge(nodes: &[NodeNumber]) -> Result<()> {
    ip(&format!("link add {BRIDGE} address {BRIDGE_MAC} type bridge"))?;
    ip(&format!("addr add {HOST}/24 dev {BRIDGE}"))?;
    ip(&format!("link set {BRIDGE} up"))?;
    for node in nodes {
        ip(&format!("route replace {} via {} dev {BRIDGE}", node.pods(), node.address()))?;
    }
    Ok(())
}

/// Removes the bridge; its routes go with it.
pub(crate) fn remove_bridge() -> Result<()> {
    if exists(BRIDGE) {
        ip(&format!("link del {BRIDGE}"))?;
    }
    Ok(())
}

/// Makes a node's namespace and cable, with routes to `all` other nodes' pods.
pub(super) fn create(node: NodeNumber, all: &[NodeNumber]) -> Result<()> {
    let (namespace, link) = (node.namespace(), node.link());
    ip(&format!("netns add {namespace}"))?;
    ip(&format!("link add {link} type veth peer name eth0 address {} netns {namespace}", node.mac()))?;
    ip(&format!("link set {link} master {BRIDGE} up"))?;
    let inside = |line: &str| ip(&format!("-n {namespace} {line}"));
    inside("link set lo up")?;
    inside(&format!("addr add {}/24 dev eth0", node.address()))?;
    inside("link set eth0 up")?;
    // The node's own processes need some route to Services: it is looked up before kube-proxy's rules change the
    // address. A default route would do, too, but let traffic out.
    route(&inside, network::SERVICE_RANGE, HOST)?;
    for other in all.iter().filter(|&&other| other != node) {
        route(&inside, &other.pods(), other.address())?;
    }
    Ok(())
}

fn route(inside: &dyn Fn(&str) -> Result<String>, range: &str, via: Ipv4Addr) -> Result<()> {
    inside(&format!("route add {range} via {via}")).map(drop)
}

/// Removes both, as far as they are there.
pub(super) fn remove(node: NodeNumber) -> Result<()> {
    if std::path::Path::new("/run/netns").join(node.namespace()).exists() {
        ip(&format!("netns del {}", node.namespace()))?;
    }
    // The namespace takes its end of the cable with it, and so ours, but only when the last process in it is reaped.
    if exists(&node.link()) {
        let _ = ip(&format!("link del {}", node.link()));
    }
    Ok(())
}

/// Pulls the plug: nothing gets in or out, and everything inside goes on.
pub(super) fn unplug(node: NodeNumber) -> Result<()> {
    ip(&format!("link set {} down", node.link())).map(drop)
}

pub(super) fn plug_in(node: NodeNumber) -> Result<()> {
    ip(&format!("link set {} up", node.link())).map(drop)
}

/// Whether the node is cut off.
pub(super) fn is_unplugged(node: NodeNumber) -> bool {
    let flags = std::fs::read_to_string(format!("/sys/class/net/{}/flags", node.link())).unwrap_or_default();
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(1);
    flags & 1 == 0
}
