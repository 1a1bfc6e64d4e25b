//! Names and addresses of a process cluster: all of them follow from a node's number.
//!
//! ```text
//! this machine    grcl0 10.211.0.1 (bridge)  API server :6443, agents (DNS :53)      etcd etc. on 127.0.0.1
//!                   │ grclN (veth)            route 10.212.N.0/24 via 10.211.0.1N
//! netns grcl-nodeN  eth0 10.211.0.1N, cni0 10.212.N.1   routes to the other nodes' pods and to Services,
//!                                                       no default route: nothing leaves the machine
//! ```
//!
//! One cluster of plain processes per machine: so all of this is constant.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::error::{Error, Result};

/// The bridge between this machine and the nodes.
pub(crate) const BRIDGE: &str = "grcl0";
/// Without an address of its own, a bridge takes the lowest of its ports: each node that comes or goes would change
/// it, and every node would lose the API server for 10 to 20 s, until its ARP entry has expired.
pub(crate) const BRIDGE_MAC: &str = "02:00:0a:d3:00:01";
/// This machine, seen from the nodes.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 211, 0, 1);
pub(crate) const API_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(HOST), 6443);
pub(crate) const NODE_RANGE: &str = "10.211.0.0/24";
pub(crate) const POD_RANGE: &str = "10.212.0.0/16";
pub(crate) const SERVICE_RANGE: &str = "10.213.0.0/16";
/// The Service `kubernetes`.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 1);
/// The Service `kube-dns`.
pub(crate) const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 10);

/// Loopback ports of the control plane, aside from the usual ones: others may run an etcd here.
pub(crate) mod port {
    pub(crate) const ETCD: u16 = 21_379;
    pub(crate) const ETCD_PEER: u16 = 21_380;
    pub(crate) const CONTROLLER_MANAGER: u16 = 21_257;
    pub(crate) const SCHEDULER: u16 = 21_259;
}

/// Which node of a cluster, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeNumber(u8);

impl NodeNumber {
    /// More would not fit into the scheme of addresses, nor on the machine.
    pub(crate) const MAX: u8 = 9;

    /// The nodes of a cluster of `count`.
    pub(crate) fn first(count: u8) -> impl Iterator<Item = Self> {
        (1..=count.min(Self::MAX)).map(Self)
    }

    /// Reads `node1` … `node9`.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let number = name.strip_prefix("node").and_then(|number| number.parse().ok());
        let number = number.filter(|number| (1..=Self::MAX).contains(number)).map(Self);
        number.ok_or_else(|| Error::Refused(format!("no node is called {name}; nodes are node1, node2, …")))
    }

    pub(crate) fn name(self) -> String {
        format!("node{}", self.0)
    }

    /// The network namespace.
    pub(crate) fn namespace(self) -> String {
        format!("grcl-node{}", self.0)
    }

    /// This machine's end of the node's link.
    pub(crate) fn link(self) -> String {
        format!("grcl{}", self.0)
    }

    /// Fixed, so that a node that comes back is known by its neighbours.
    pub(crate) fn mac(self) -> String {
        format!("02:00:0a:d3:00:1{}", self.0)
    }

    pub(crate) fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 211, 0, 10 + self.0)
    }

    pub(crate) fn pods(self) -> String {
        format!("10.212.{}.0/24", self.0)
    }
}
