//! Which gRPC services stand on which port. Gateway and admin answer reflection and health checks too.

use axum::Router;
use greenroom_gateway::Gateway;
use greenroom_proto::DESCRIPTOR_SET;
use greenroom_proto::v1::admin_server::AdminServer;
use greenroom_proto::v1::gateway_server::GatewayServer;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use super::admin::AdminService;

/// Gateway, health, reflection. The reporter says "serving" for as long as the node takes calls.
pub(crate) async fn gateway_routes(gateway: &Gateway) -> (Router, HealthReporter) {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_not_serving::<GatewayServer<Gateway>>().await;
    let routes = Routes::new(gateway.service()).add_service(health).add_service(reflection());
    (routes.prepare().into_axum_router(), reporter)
}

/// Admin and reflection.
pub(crate) fn admin_routes(admin: AdminService) -> Router {
    Routes::new(AdminServer::new(admin)).add_service(reflection()).prepare().into_axum_router()
}

fn reflection()
-> tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
        .build_v1()
        .expect("the committed descriptors are valid")
}
