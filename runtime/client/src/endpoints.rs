//! The gateways that a client knows, and which one it asks next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use greenroom_proto::v1::gateway_client::GatewayClient;
use tonic::transport::{Channel, Endpoint};

use crate::client::ConnectError;

/// How long one connection attempt may take before the next gateway is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest reply that is accepted; the gateway sends none that is larger.
const MAX_REPLY_BYTES: usize = 16 << 20;

/// Connections are made when first used and again when they break: tonic's channels do that by themselves.
pub(crate) struct Endpoints {
    gateways: Vec<Gateway>,
    next: AtomicUsize,
}

#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) address: String,
    pub(crate) client: GatewayClient<Channel>,
}

impl Endpoints {
    pub(crate) fn new<S: Into<String>>(addresses: impl IntoIterator<Item = S>) -> Result<Self, ConnectError> {
        let gateways =
            addresses.into_iter().map(|address| gateway(address.into())).collect::<Result<Vec<_>, _>>()?;
        if gateways.is_empty() {
            return Err(ConnectError::NoAddress);
        }
        Ok(Self { gateways, next: AtomicUsize::new(0) })
    }

    /// The gateway for the next attempt: the same one until [`failed`](Self::failed) says otherwise.
    pub(crate) fn current(&self) -> (usize, Gateway) {
        let turn = self.next.load(Ordering::Relaxed);
        (turn, self.gateways[turn % self.gateways.len()].clone())
    }

    /// The gateway of this turn did not answer: everybody goes on with the next one. Of many calls that fail together
    /// only the first moves on.
    pub(crate) fn failed(&self, turn: usize) {
        let _ = self.next.compare_exchange(turn, turn + 1, Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn gateway(address: String) -> Result<Gateway, ConnectError> {
    let uri = if address.contains("://") { address } else { format!("http://{address}") };
    let endpoint = Endpoint::from_shared(uri.clone())
        .map_err(|source| ConnectError::Address { address: uri.clone(), source })?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(4 << 20);
    let client = GatewayClient::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_REPLY_BYTES);
    Ok(Gateway { address: uri, client })
}
