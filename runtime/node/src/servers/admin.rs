//! The admin service: what the CLI, the operator and the placement API ask a node.

use std::sync::Arc;
use std::time::Duration;

use greenroom_core::actor::Durability;
use greenroom_core::engine::{MethodInfo, Placement, TypeInfo};
use greenroom_core::identity::{ActorId, ActorType};
use greenroom_proto::v1;
use tonic::{Request, Response, Status};

use crate::node::Shared;

/// The size of a page of placements when none is asked for.
const PAGE_DEFAULT: usize = 500;
/// The largest page of placements.
const PAGE_MAX: usize = 10_000;

/// The admin service of a node.
#[derive(Clone)]
pub(crate) struct AdminService(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl v1::admin_server::Admin for AdminService {
    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::NodeStatus>, Status> {
        Ok(Response::new(self.0.status()))
    }

    type WatchPlacementsStream = futures_util::stream::Empty<Result<v1::PlacementChanges, Status>>;

    async fn watch_placements(
        &self,
        _: Request<v1::WatchPlacementsRequest>,
    ) -> Result<Response<Self::WatchPlacementsStream>, Status> {
        Err(Status::unimplemented("list the placements again instead"))
    }

    async fn placements(
        &self,
        request: Request<v1::PlacementsRequest>,
    ) -> Result<Response<v1::PlacementsPage>, Status> {
        let request = request.into_inner();
        let node = self.0.config.node.as_str();
        if !request.key.is_empty() {
            let actor = identity(&request.r#type, &request.key)?;
            let found = self.0.engine.placement(&actor);
            let placements = found.iter().map(|placement| describe(placement, node)).collect();
            return Ok(Response::new(v1::PlacementsPage {
                placements,
                next_page_token: String::new(),
                stamp: 0,
            }));
        }
        let actor_type = Some(request.r#type.as_str()).filter(|name| !name.is_empty());
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse::<ActorId>().map_err(|_| {
                Status::invalid_argument("the page token is none of this service; begin again without one")
            })?),
        };
        let size = match request.page_size as usize {
            0 => PAGE_DEFAULT,
            size => size.min(PAGE_MAX),
        };
        // One more than the page holds tells whether there is another page.
        let mut found = self.0.engine.placements(actor_type, after.as_ref(), size + 1);
        let more = found.len() > size;
        found.truncate(size);
        let last = found.last().filter(|_| more).map(|placement| placement.actor.to_string());
        let placements = found.iter().map(|placement| describe(placement, node)).collect();
        Ok(Response::new(v1::PlacementsPage {
            placements,
            next_page_token: last.unwrap_or_default(),
            stamp: 0,
        }))
    }

    async fn shards(&self, _: Request<v1::ShardsRequest>) -> Result<Response<v1::ShardsReply>, Status> {
        Ok(Response::new(self.0.shard_status()))
    }

    async fn types(&self, _: Request<v1::TypesRequest>) -> Result<Response<v1::TypesReply>, Status> {
        let types = self.0.engine.types().iter().map(type_status).collect();
        Ok(Response::new(v1::TypesReply { types }))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainReply>, Status> {
        let timeout = match request.into_inner().timeout_ms {
            0 => self.0.config.drain_timeout(),
            millis => Duration::from_millis(millis),
        };
        let cancelled_turns = self.0.drain(timeout).await as u64;
        Ok(Response::new(v1::DrainReply { cancelled_turns }))
    }
}

fn identity(actor_type: &str, key: &str) -> Result<ActorId, Status> {
    ActorType::new(actor_type)
        .and_then(|actor_type| ActorId::new(actor_type, key))
        .map_err(|error| Status::invalid_argument(error.to_string()))
}

fn describe(placement: &Placement, node: &str) -> v1::Placement {
    v1::Placement {
        name: placement.actor.placement_name(),
        r#type: placement.actor.actor_type.as_str().to_owned(),
        key: placement.actor.key.as_ref().to_owned(),
        node: node.to_owned(),
        shard: u32::from(placement.shard.0),
        epoch: placement.epoch.0,
        activated_unix_ms: i64::try_from(placement.activated_unix_ms).unwrap_or(i64::MAX),
        mailbox: u32::try_from(placement.mailbox).unwrap_or(u32::MAX),
    }
}

fn type_status(info: &TypeInfo) -> v1::TypeStatus {
    v1::TypeStatus {
        name: info.name.to_owned(),
        durability: Durability::as_str(info.durability).to_owned(),
        methods: info.methods.iter().map(method_status).collect(),
        activations: info.activations,
    }
}

fn method_status(method: &MethodInfo) -> v1::MethodStatus {
    v1::MethodStatus {
        name: method.name.to_owned(),
        access: if method.exclusive { "exclusive" } else { "concurrent" }.to_owned(),
        arguments: method.arguments.iter().map(|name| (*name).to_owned()).collect(),
    }
}
