//! The admin service: what the CLI, the operator and the placement API ask a node.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use greenroom_core::engine::{Engine, MethodInfo, TypeInfo};
use greenroom_core::{ActorId, ActorType};
use greenroom_proto::v1;
use tonic::{Request, Response, Status};

use super::{dead_letters, placements};
use crate::node::Shared;

/// The admin service of a node.
#[derive(Clone)]
pub(crate) struct AdminService(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl v1::admin_server::Admin for AdminService {
    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::NodeStatus>, Status> {
        Ok(Response::new(self.0.status()))
    }

    async fn placements(
        &self,
        request: Request<v1::PlacementsRequest>,
    ) -> Result<Response<v1::PlacementsPage>, Status> {
        let (shared, request) = (self.0.clone(), request.into_inner());
        // The first page of a listing looks at everything that is in memory: no turn waits for that.
        let page = move || placements::page(&shared.engine, &shared.config.node, &request);
        let page = tokio::task::spawn_blocking(page).await;
        page.map_err(|error| Status::internal(error.to_string()))?.map(Response::new)
    }

    type WatchPlacementsStream = BoxStream<'static, Result<v1::PlacementChanges, Status>>;

    async fn watch_placements(
        &self,
        request: Request<v1::WatchPlacementsRequest>,
    ) -> Result<Response<Self::WatchPlacementsStream>, Status> {
        let (engine, node) = (self.0.engine.clone(), self.0.config.node.clone());
        let changes = placements::watch(engine, node, request.into_inner())?;
        Ok(Response::new(changes.boxed()))
    }

    async fn shards(&self, _: Request<v1::ShardsRequest>) -> Result<Response<v1::ShardsReply>, Status> {
        Ok(Response::new(self.0.shard_status()))
    }

    async fn types(&self, _: Request<v1::TypesRequest>) -> Result<Response<v1::TypesReply>, Status> {
        let types = self.0.engine.types().iter().map(|info| type_status(&self.0.engine, info)).collect();
        Ok(Response::new(v1::TypesReply { types }))
    }

    async fn hot_actors(
        &self,
        request: Request<v1::HotActorsRequest>,
    ) -> Result<Response<v1::HotActorsReply>, Status> {
        let limit = match request.into_inner().limit {
            0 => 10,
            limit => limit as usize,
        };
        let hot = self.0.engine.hot_actors(limit).into_iter().map(|hot| v1::HotActor {
            r#type: hot.actor.actor_type.as_str().to_owned(),
            key: hot.actor.key.to_string(),
            calls_per_second: hot.calls_per_second,
        });
        Ok(Response::new(v1::HotActorsReply { actors: hot.collect() }))
    }

    async fn deactivate(
        &self,
        request: Request<v1::DeactivateRequest>,
    ) -> Result<Response<v1::DeactivateReply>, Status> {
        let v1::DeactivateRequest { r#type, key } = request.into_inner();
        let actor = ActorType::new(&r#type).and_then(|actor_type| ActorId::new(actor_type, &key));
        let actor = actor.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let left = self.0.engine.deactivate(&actor).await;
        Ok(Response::new(v1::DeactivateReply { left }))
    }

    async fn dead_letters(
        &self,
        request: Request<v1::DeadLettersRequest>,
    ) -> Result<Response<v1::DeadLettersReply>, Status> {
        Ok(Response::new(dead_letters::list(&self.0.engine, request.into_inner().limit).await))
    }

    async fn resend_dead_letter(
        &self,
        request: Request<v1::DeadLetterId>,
    ) -> Result<Response<v1::DeadLetterDone>, Status> {
        let done = self.0.engine.resend_dead_letter(&request.into_inner().id).await;
        dead_letters::done(done)
    }

    async fn delete_dead_letter(
        &self,
        request: Request<v1::DeadLetterId>,
    ) -> Result<Response<v1::DeadLetterDone>, Status> {
        let done = self.0.engine.delete_dead_letter(&request.into_inner().id).await;
        dead_letters::done(done)
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

fn type_status(engine: &Engine, info: &TypeInfo) -> v1::TypeStatus {
    let home = engine.home_of(info.name);
    v1::TypeStatus {
        name: info.name.to_owned(),
        durability: info.durability.to_string(),
        methods: info.methods.iter().map(method_status).collect(),
        activations: info.activations,
        group: engine.layout().group_of(home.first()).unwrap_or_default().to_owned(),
        first_shard: home.first().0.into(),
        shard_count: home.count().get().into(),
    }
}

fn method_status(method: &MethodInfo) -> v1::MethodStatus {
    v1::MethodStatus {
        name: method.name.to_owned(),
        access: if method.exclusive { "exclusive" } else { "concurrent" }.to_owned(),
        arguments: method.arguments.iter().map(|name| (*name).to_owned()).collect(),
        calls: method.calls,
        failed: method.failed,
        durability: method.durability.map(|durability| durability.to_string()).unwrap_or_default(),
    }
}
