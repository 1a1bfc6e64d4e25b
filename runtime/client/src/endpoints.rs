//! The gateways that a client knows, and which one it asks next: always the same one until it does not answer, then the
//! next one.
//!
//! In a dev cluster a node that is started again has new ports. So when a gateway fails there, `endpoints.json` is read
//! again; if that is not there or names nobody, because everything is being started again, the client keeps what it knows
//! and looks again after the next failure.

use std::path::PathBuf;
use std::time::Duration;

use greenroom_proto::v1::gateway_client::GatewayClient;
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint};

use crate::client::ConnectError;
use crate::dev;

/// How long one connection attempt may take before the next gateway is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a gateway that has calls to answer is asked whether it is still there: a machine that lost its power closes
/// no connection.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long it may take to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest reply that is accepted; the gateway sends none that is larger.
const MAX_REPLY_BYTES: usize = 16 << 20;

pub(crate) struct Endpoints {
    /// The `endpoints.json` that the addresses come from, of a dev cluster.
    file: Option<PathBuf>,
    /// Held for moments only: to clone a gateway, and to read the file, which is small and local.
    known: Mutex<Known>,
}

struct Known {
    /// Never empty.
    gateways: Vec<Gateway>,
    /// Counts the failures that were moved on from.
    turn: usize,
}

/// Connections are made when first used and again when they break: tonic's channels do that by themselves.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) address: String,
    pub(crate) client: GatewayClient<Channel>,
}

impl Endpoints {
    /// These addresses and no others.
    pub(crate) fn new<S: Into<String>>(addresses: impl IntoIterator<Item = S>) -> Result<Self, ConnectError> {
        let gateways = gateways(addresses, &[])?;
        Ok(Self { file: None, known: Mutex::new(Known { gateways, turn: 0 }) })
    }

    /// This channel and no other.
    pub(crate) fn through(name: &str, channel: Channel) -> Self {
        let gateways = vec![over(name.to_owned(), channel)];
        Self { file: None, known: Mutex::new(Known { gateways, turn: 0 }) }
    }

    /// The addresses in the file, now and after each failure.
    pub(crate) fn dev(file: PathBuf) -> Result<Self, ConnectError> {
        let addresses = dev::gateways(&file)?;
        if addresses.is_empty() {
            return Err(ConnectError::NoDevNode { file });
        }
        let known = Self::new(addresses)?;
        Ok(Self { file: Some(file), ..known })
    }

    /// The gateway for the next attempt: the same one until [`failed`](Self::failed) says otherwise.
    pub(crate) fn current(&self) -> (usize, Gateway) {
        let known = self.known.lock();
        (known.turn, known.gateways[known.turn % known.gateways.len()].clone())
    }

    /// The gateway of this turn did not answer: everybody goes on with the next one. Of many calls that fail together
    /// only the first moves on.
    pub(crate) fn failed(&self, turn: usize) {
        let mut known = self.known.lock();
        if known.turn != turn {
            return;
        }
        known.turn += 1;
        let Some(file) = &self.file else { return };
        match dev::gateways(file).and_then(|addresses| gateways(addresses, &known.gateways)) {
            Ok(gateways) => known.gateways = gateways,
            Err(error) => tracing::debug!(%error, "keeping the gateways known before"),
        }
    }
}

/// The gateways at these addresses, at least one; those among `known` keep their connections.
fn gateways<S: Into<String>>(
    addresses: impl IntoIterator<Item = S>,
    known: &[Gateway],
) -> Result<Vec<Gateway>, ConnectError> {
    let gateways = addresses.into_iter().map(|address| {
        let address = address.into();
        let uri = if address.contains("://") { address } else { format!("http://{address}") };
        known.iter().find(|gateway| gateway.address == uri).cloned().map_or_else(|| gateway(uri), Ok)
    });
    let gateways = gateways.collect::<Result<Vec<_>, _>>()?;
    if gateways.is_empty() { Err(ConnectError::NoAddress) } else { Ok(gateways) }
}

fn gateway(uri: String) -> Result<Gateway, ConnectError> {
    let endpoint = Endpoint::from_shared(uri.clone())
        .map_err(|source| ConnectError::Address { address: uri.clone(), source })?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(4 << 20)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    Ok(over(uri, endpoint.connect_lazy()))
}

fn over(address: String, channel: Channel) -> Gateway {
    Gateway { address, client: GatewayClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(endpoints: &Endpoints) -> String {
        endpoints.current().1.address
    }

    #[tokio::test]
    async fn many_calls_that_fail_together_move_on_once() {
        let endpoints = Endpoints::new(["a:1", "b:1", "c:1"]).unwrap();
        let (turn, _) = endpoints.current();
        endpoints.failed(turn);
        endpoints.failed(turn);
        assert_eq!(current(&endpoints), "http://b:1");
    }

    #[tokio::test]
    async fn after_a_failure_a_dev_clients_addresses_are_those_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("endpoints.json");
        let write = |gateways: &[&str]| {
            let nodes: Vec<_> =
                gateways.iter().map(|gateway| serde_json::json!({ "gateway": gateway })).collect();
            std::fs::write(&file, serde_json::json!({ "nodes": nodes }).to_string()).unwrap();
        };
        write(&[]);
        assert!(matches!(Endpoints::dev(file.clone()), Err(ConnectError::NoDevNode { .. })));
        write(&["a:1"]);
        let endpoints = Endpoints::dev(file.clone()).unwrap();
        let fail = || endpoints.failed(endpoints.current().0);

        write(&["a:2"]);
        assert_eq!(current(&endpoints), "http://a:1");
        fail();
        assert_eq!(current(&endpoints), "http://a:2");

        write(&[]);
        fail();
        std::fs::remove_file(&file).unwrap();
        fail();
        assert_eq!(current(&endpoints), "http://a:2");
        write(&["a:3"]);
        fail();
        assert_eq!(current(&endpoints), "http://a:3");
    }
}
