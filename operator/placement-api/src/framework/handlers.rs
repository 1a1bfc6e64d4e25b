//! The paths of the server, and what each answers with.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::extract::{Path, Query as UrlQuery, Request, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, middleware};
use http::HeaderMap;
use serde_json::json;

use super::answer::{self, Writer};
use super::continuation::ContinueKey;
use super::discovery::Discovery;
use super::errors::ApiError;
use super::openapi::OpenApi;
use super::query::Query;
use super::{Description, From, Selection, VirtualResource, negotiation, watch};
use crate::metrics::Metrics;
use crate::security::authentication::{Authenticator, User};
use crate::security::authorization::{Attributes, Authorizer};

/// What all handlers share.
pub struct Server {
    /// Who asks.
    pub authenticator: Authenticator,
    /// Whether they may.
    pub authorizer: Authorizer,
    /// Signs where lists go on; there once the certificates are.
    pub continue_key: ArcSwapOption<ContinueKey>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The resources of a server, all of one group and version, and then its paths.
pub struct Api {
    server: Arc<Server>,
    routes: Router,
    descriptions: Vec<&'static Description>,
}

impl Api {
    /// A server without resources.
    pub fn new(server: Arc<Server>) -> Self {
        Self { server, routes: Router::new(), descriptions: Vec::new() }
    }

    /// Adds a resource.
    #[must_use]
    pub fn serve<R: VirtualResource>(mut self, resource: Arc<R>) -> Self {
        let description = Description::of::<R::Object>();
        let endpoint = Endpoint { server: self.server.clone(), resource, description };
        self.routes = self.routes.merge(routes(endpoint));
        self.descriptions.push(description);
        self
    }

    /// The paths: of the resources, discovery and OpenAPI. Who asks is found out before anything else.
    pub fn router(self) -> Router {
        let authentication = middleware::from_fn_with_state(self.server, authenticate);
        self.routes
            .merge(documents(&self.descriptions))
            .route("/version", get(version))
            .fallback(async || ApiError::no_such_path())
            .layer(authentication)
    }
}

async fn authenticate(
    State(server): State<Arc<Server>>,
    mut request: Request,
    next: middleware::Next,
) -> Result<Response, ApiError> {
    let user = server.authenticator.authenticate(request.headers(), request.extensions()).await?;
    request.extensions_mut().insert(user);
    Ok(next.run(request).await)
}

async fn version() -> Response {
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    answer::json(json!({ "gitVersion": version, "major": "0", "minor": "1" }).to_string())
}

/// Discovery and OpenAPI. Everybody who is known may read them, as with the API server itself.
fn documents(resources: &[&'static Description]) -> Router {
    let (group, version) = (resources[0].group, resources[0].version);
    let (discovery, open_api) = (Arc::new(Discovery::new(resources)), Arc::new(OpenApi::new(resources)));
    let serve = |of: fn(&Discovery, &HeaderMap) -> Result<Response, ApiError>| {
        let discovery = discovery.clone();
        get(async move |headers: HeaderMap| of(&discovery, &headers))
    };
    let index = open_api.clone();
    let index =
        async move |headers: HeaderMap| negotiation::json(&headers).map(|()| index.index.serve(&headers));
    let document = async move |headers: HeaderMap| {
        negotiation::json(&headers).map(|()| open_api.document.serve(&headers))
    };
    Router::new()
        .route("/apis", serve(Discovery::root))
        .route(&format!("/apis/{group}"), serve(Discovery::group))
        .route(&format!("/apis/{group}/{version}"), serve(Discovery::resources))
        .route("/openapi/v3", get(index))
        .route(&format!("/openapi/v3/apis/{group}/{version}"), get(document))
}

/// What the handlers of one resource share.
struct Endpoint<R> {
    server: Arc<Server>,
    resource: Arc<R>,
    description: &'static Description,
}

impl<R> Clone for Endpoint<R> {
    fn clone(&self) -> Self {
        let (server, resource) = (self.server.clone(), self.resource.clone());
        Self { server, resource, description: self.description }
    }
}

fn routes<R: VirtualResource>(endpoint: Endpoint<R>) -> Router {
    let base = format!("/apis/{}", endpoint.description.api_version());
    let plural = endpoint.description.plural;
    let refused = async || ApiError::method_not_allowed();
    let of_all = async |State(endpoint): State<Endpoint<R>>,
                        UrlQuery(query): UrlQuery<Query>,
                        user: Extension<User>,
                        headers: HeaderMap| {
        let verb = query.verb();
        endpoint.counted(verb, endpoint.list_or_watch(None, &query, &user, &headers)).await
    };
    let of_namespace = async |State(endpoint): State<Endpoint<R>>,
                              Path(namespace): Path<String>,
                              UrlQuery(query): UrlQuery<Query>,
                              user: Extension<User>,
                              headers: HeaderMap| {
        let verb = query.verb();
        endpoint.counted(verb, endpoint.list_or_watch(Some(namespace), &query, &user, &headers)).await
    };
    let one = async |State(endpoint): State<Endpoint<R>>,
                     Path((namespace, name)): Path<(String, String)>,
                     UrlQuery(query): UrlQuery<Query>,
                     user: Extension<User>,
                     headers: HeaderMap| {
        endpoint.counted("get", endpoint.get(&namespace, &name, &query, &user, &headers)).await
    };
    Router::new()
        .route(&format!("{base}/{plural}"), get(of_all).fallback(refused))
        .route(&format!("{base}/namespaces/{{namespace}}/{plural}"), get(of_namespace).fallback(refused))
        .route(&format!("{base}/namespaces/{{namespace}}/{plural}/{{name}}"), get(one).fallback(refused))
        .with_state(endpoint)
}

impl<R: VirtualResource> Endpoint<R> {
    async fn counted(
        &self,
        verb: &str,
        answer: impl Future<Output = Result<Response, ApiError>>,
    ) -> Result<Response, ApiError> {
        let start = Instant::now();
        let answer = answer.await;
        let code = answer.as_ref().map_or_else(|error| error.code, Response::status);
        self.server.metrics.answered(verb, code.as_u16(), start.elapsed());
        answer
    }

    async fn get(
        &self,
        namespace: &str,
        name: &str,
        query: &Query,
        user: &User,
        headers: &HeaderMap,
    ) -> Result<Response, ApiError> {
        let writer = self.writer(query, headers)?;
        let selection = Selection { namespace: Some(namespace.to_owned()), ..Selection::default() };
        self.authorize(user, "get", Some(name), &selection).await?;
        let found = self.resource.get(namespace, name).await?;
        let Description { group, plural, .. } = self.description;
        let object = found.ok_or_else(|| ApiError::not_found(group, plural, name))?;
        Ok(answer::json(writer.one(&object).to_string()))
    }

    async fn list_or_watch(
        &self,
        namespace: Option<String>,
        query: &Query,
        user: &User,
        headers: &HeaderMap,
    ) -> Result<Response, ApiError> {
        let writer = self.writer(query, headers)?;
        let fields = &self.description.fields;
        let selection = Selection::parse(namespace, &query.label_selector, &query.field_selector, fields)?;
        query.check()?;
        let verb = query.verb();
        self.authorize(user, verb, selection.fields.exactly("metadata.name"), &selection).await?;
        if verb == "watch" {
            self.watch(selection, query, writer).await
        } else {
            self.list(&selection, query, writer).await
        }
    }

    async fn list(&self, selection: &Selection, query: &Query, writer: Writer) -> Result<Response, ApiError> {
        query.check_list()?;
        let limit = query.limit()?;
        let key = self.server.continue_key.load_full().ok_or_else(|| {
            ApiError::unavailable("the server has just started and has no certificate yet; try again")
        })?;
        let now = now();
        let from = match query.continuation.as_str() {
            "" => From::Start,
            token => {
                let (version, cursor) = key.open(token, selection, now)?;
                From::After(version, cursor)
            }
        };
        let page = self.resource.list(selection, from, limit).await?;
        let next = match page.next {
            Some(cursor) => Some(key.token(page.version, cursor, selection, now)?),
            None => None,
        };
        let mut response = answer::json(writer.list(&page.items, page.version, next.as_deref())?);
        answer::warn(response.headers_mut(), &page.warnings);
        Ok(response)
    }

    async fn watch(&self, selection: Selection, query: &Query, writer: Writer) -> Result<Response, ApiError> {
        let options = query.watch_options()?;
        let watched = match self.resource.watch(selection, options.since).await {
            Ok(watched) => watched,
            // Clients look for this error in the stream, where etcd would have it, too.
            Err(error) if error.code == http::StatusCode::GONE => return Ok(watch::refuse(&error)),
            Err(error) => return Err(error),
        };
        Ok(watch::respond(watched, options, writer, self.server.metrics.watches.clone()))
    }

    fn writer(&self, query: &Query, headers: &HeaderMap) -> Result<Writer, ApiError> {
        let (representation, include) = (negotiation::objects(headers)?, query.include_object()?);
        Ok(Writer { description: self.description, representation, include })
    }

    async fn authorize(
        &self,
        user: &User,
        verb: &'static str,
        name: Option<&str>,
        selection: &Selection,
    ) -> Result<(), ApiError> {
        let attributes = Attributes {
            verb,
            group: self.description.group,
            version: self.description.version,
            resource: self.description.plural,
            namespace: selection.namespace.as_deref(),
            name,
            fields: selection.fields.requirements(),
            labels: &selection.labels,
        };
        self.server.authorizer.authorize(user, &attributes).await
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
