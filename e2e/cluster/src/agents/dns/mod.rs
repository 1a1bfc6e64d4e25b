//! The cluster's DNS server: Services and the pods behind them, answered from memory.
//!
//! It listens where the nodes see this machine, and knows the cluster's zone only. Other names are refused at once:
//! there is nobody to ask, and a timeout would delay every program that looks for one.

mod records;

use std::sync::Arc;
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_server::proto::rr::{Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;

use self::records::{Answer, Objects};
use super::watched::Watched;
use crate::error::{Doing, Error, Result};
use crate::network::HOST;

/// How long an idle TCP connection is kept.
const IDLE: Duration = Duration::from_secs(10);

/// Serves on port 53 of this machine's bridge.
pub(super) async fn run(client: Client) -> Result<()> {
    let changed = Arc::new(Notify::new());
    let zone = Zone {
        services: Watched::start(client.clone(), changed.clone()),
        slices: Watched::start(client, changed),
    };
    let doing = || format!("listen on {HOST}:53");
    let udp = UdpSocket::bind((HOST, 53)).await.doing(doing)?;
    let tcp = TcpListener::bind((HOST, 53)).await.doing(doing)?;
    zone.services.listed().await;
    zone.slices.listed().await;
    let mut server = Server::new(zone);
    server.register_socket(udp);
    server.register_listener(tcp, IDLE, 32);
    let ended = server.block_until_done().await;
    Err(Error::Refused(format!("the DNS server ended: {ended:?}")))
}

struct Zone {
    services: Watched<Service>,
    slices: Watched<EndpointSlice>,
}

impl Zone {
    fn answer(&self, name: &str, kind: RecordType) -> Answer {
        records::answer(&Objects { services: self.services.all(), slices: self.slices.all() }, name, kind)
    }
}

#[async_trait::async_trait]
impl RequestHandler for Zone {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut reply: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let mut found = Vec::new();
        let mut authority: Option<Record> = None;
        match request.request_info() {
            Err(_) => metadata.response_code = ResponseCode::FormErr,
            Ok(info) => match self.answer(&info.query.name().to_string(), info.query.query_type()) {
                Answer::NotOurs => metadata.response_code = ResponseCode::Refused,
                Answer::NoSuchName => {
                    metadata.response_code = ResponseCode::NXDomain;
                    authority = Some(records::start_of_authority());
                }
                Answer::Records(records) => {
                    authority = records.is_empty().then(records::start_of_authority);
                    found = records;
                }
            },
        }
        metadata.authoritative = metadata.response_code != ResponseCode::Refused;
        let response = MessageResponseBuilder::from_message_request(request);
        let response = response.build(metadata, &found, [], &authority, []);
        reply.send_response(response).await.unwrap_or_else(|error| {
            eprintln!("answering {}: {error}", request.src());
            ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
        })
    }
}
