//! A gRPC channel over connections that somebody else opens: port-forwards, or pipes in memory in tests.
//!
//! When a connection breaks, the next call makes the channel ask for another one. That it broke is seen at once if it is
//! closed, and otherwise by pings, since whoever lost its power closes nothing.

use std::future::Future;
use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::cluster::{ANSWER_TIMEOUT, innermost};

/// How often the other end is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(5);

/// A channel that opens its first connection when it is first used.
pub(crate) fn lazy<D, F, S>(dial: D) -> Channel
where
    D: Fn() -> F + Send + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    endpoint().connect_with_connector_lazy(service_fn(move |_| {
        let connection = dial();
        async move { connection.await.map(TokioIo::new) }
    }))
}

/// A channel with an open connection, on which an answer may take as long as one of a node may.
pub(crate) async fn connected<D, F, S>(dial: D) -> Result<Channel, String>
where
    D: Fn() -> F + Send + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connector = service_fn(move |_| {
        let connection = dial();
        async move { connection.await.map(TokioIo::new) }
    });
    let endpoint = endpoint().timeout(ANSWER_TIMEOUT);
    endpoint.connect_with_connector(connector).await.map_err(|error| innermost(&error))
}

/// The address leads nowhere: it is only what HTTP/2 wants to name.
fn endpoint() -> Endpoint {
    Endpoint::from_static("http://pod.greenroom.internal")
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(4 << 20)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PING)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use greenroom_client::{CallOptions, Client};
    use greenroom_proto::v1::gateway_server::{Gateway, GatewayServer};
    use greenroom_proto::v1::{CallReply, CallRequest, call_reply};
    use tokio::io::DuplexStream;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;
    use tonic::{Request, Response, Status};

    use super::*;

    /// A gateway that tells who called, and answers or does not.
    struct Pod {
        answers: bool,
        called: mpsc::UnboundedSender<Vec<u8>>,
    }

    #[tonic::async_trait]
    impl Gateway for Pod {
        async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallReply>, Status> {
            self.called.send(request.into_inner().call_id.to_vec()).unwrap();
            if !self.answers {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(CallReply { reply: Some(call_reply::Reply::Json("3".into())) }))
        }
    }

    /// A connection to a pod, and the task in the middle of it: aborted, it breaks the connection.
    fn connection(pod: Pod) -> (DuplexStream, JoinHandle<()>) {
        let ((ours, mut left), (mut right, theirs)) =
            (tokio::io::duplex(1 << 16), tokio::io::duplex(1 << 16));
        let incoming = tokio_stream::once(Ok::<_, io::Error>(theirs));
        let server = tonic::transport::Server::builder().add_service(GatewayServer::new(pod));
        tokio::spawn(server.serve_with_incoming(incoming));
        let middle = tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut left, &mut right).await;
        });
        (ours, middle)
    }

    #[tokio::test]
    async fn a_call_whose_forward_breaks_is_repeated_with_the_same_id_over_another_one() {
        let (called, mut calls) = mpsc::unbounded_channel();
        let (first, middle) = connection(Pod { answers: false, called: called.clone() });
        let (second, _second_middle) = connection(Pod { answers: true, called });
        // No pod is reachable in between.
        let refused = || Err(io::Error::other("no pod of the cluster is ready"));
        let dials = Arc::new(Mutex::new(VecDeque::from([Ok(first), refused(), Ok(second)])));
        let channel =
            lazy(move || std::future::ready(dials.lock().unwrap().pop_front().unwrap_or_else(refused)));

        let client = Client::through("the gateway of demo", channel);
        let actor = "Counter/page-1".parse().unwrap();
        let call = client.call_json(&actor, "add", "{}", CallOptions::default());
        let broken = async {
            let id = calls.recv().await.unwrap();
            middle.abort();
            id
        };
        let (reply, first_id) = tokio::join!(call, broken);
        assert_eq!(reply.unwrap(), "3");
        assert_eq!(calls.recv().await.unwrap(), first_id);
    }

    #[tokio::test]
    async fn why_nobody_can_be_reached_is_told_when_the_time_is_up() {
        let channel = lazy(|| {
            std::future::ready(Err::<DuplexStream, _>(io::Error::other("no pod of the cluster is ready")))
        });
        let client = Client::through("the gateway of demo", channel);
        let options = CallOptions { deadline: Some(Duration::from_millis(100)), ..CallOptions::default() };
        let error = client.call_json(&"Counter/a".parse().unwrap(), "add", "{}", options).await.unwrap_err();
        let expected = "the gateway of demo does not answer: no pod of the cluster is ready";
        assert!(error.to_string().contains(expected), "{error}");
    }
}
