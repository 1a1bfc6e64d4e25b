//! Who may call what on the admin port.
//!
//! Invariant: whoever is not an administrator may call what stands in [`READING`] and nothing else; so a method that is
//! added later is refused to them until somebody decides otherwise. Who may not connect at all is refused earlier, by
//! the TLS handshake.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use greenroom_tls::{Acceptor, Client};
use http::Response;
use tonic::Status;

/// What changes nothing.
const READING: &[&str] = &[
    "/greenroom.v1.Admin/DeadLetters",
    "/greenroom.v1.Admin/HotActors",
    "/greenroom.v1.Admin/Placements",
    "/greenroom.v1.Admin/Shards",
    "/greenroom.v1.Admin/Status",
    "/greenroom.v1.Admin/Types",
    "/greenroom.v1.Admin/WatchPlacements",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

/// What a port asks of those who connect.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) acceptor: Acceptor,
    pub(crate) access: Access,
}

/// Who may call everything. Everybody else who may connect may read.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    administrators: Arc<[String]>,
}

impl Access {
    pub(crate) fn new(administrators: impl IntoIterator<Item = String>) -> Self {
        Self { administrators: administrators.into_iter().collect() }
    }

    /// Whether this client may call the method with this path.
    fn check(&self, client: &Client, path: &str) -> Result<(), String> {
        if READING.contains(&path) || self.administrators.iter().any(|name| client.is(name)) {
            return Ok(());
        }
        let (method, who) = (path.rsplit('/').next().unwrap_or(path), client.names().join(", "));
        let administrators = self.administrators.join(" or ");
        Err(format!("{who} may read, but not call {method}; use the certificate of {administrators}"))
    }

    /// The routes as this client may use them.
    pub(crate) fn routes_for(&self, client: Client, routes: Router) -> Router {
        let (access, client) = (self.clone(), Arc::new(client));
        routes.layer(from_fn(move |request: Request, next: Next| {
            let checked = access.check(&client, request.uri().path());
            async move {
                match checked {
                    Ok(()) => next.run(request).await,
                    Err(why) => refusal(why),
                }
            }
        }))
    }
}

fn refusal(why: String) -> Response<Body> {
    tracing::warn!(why, "call to the admin service refused");
    Status::permission_denied(why).into_http()
}

#[cfg(test)]
mod tests {
    use greenroom_proto::DESCRIPTOR_SET;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    const OPERATOR: &str = "operator.greenroom.internal";

    fn may(name: &str, path: &str) -> Result<(), String> {
        Access::new([OPERATOR.to_owned()]).check(&Client::new([name]), path)
    }

    #[test]
    fn readers_read_and_administrators_do_everything() {
        let reader = "placement-api.greenroom.internal";
        for path in READING {
            assert_eq!((may(reader, path), may(OPERATOR, path)), (Ok(()), Ok(())));
        }
        assert_eq!(may(OPERATOR, "/greenroom.v1.Admin/Drain"), Ok(()));
        assert_eq!(
            may(reader, "/greenroom.v1.Admin/Drain").unwrap_err(),
            "placement-api.greenroom.internal may read, but not call Drain; use the certificate of operator.greenroom.internal"
        );
    }

    /// A method that changes something must not be taken for one that reads, nor a reading one be forgotten.
    #[test]
    fn every_method_of_the_admin_service_is_decided_upon() {
        let files = FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap().file;
        let services = files.iter().flat_map(|file| &file.service);
        let admin = services.into_iter().find(|service| service.name() == "Admin").unwrap();
        let mut refused: Vec<_> = admin.method.iter().map(|method| method.name()).collect();
        refused.retain(|method| may("reader", &format!("/greenroom.v1.Admin/{method}")).is_err());
        assert_eq!(refused, ["Deactivate", "ResendDeadLetter", "DeleteDeadLetter", "Drain"]);
    }
}
