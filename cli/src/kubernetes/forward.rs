//! One port-forward: a connection to a port of a pod, through the API server and the pod's host.
//!
//! The API server agrees before the pod has been reached. What the pod's host says afterwards, for example that nobody
//! listens on the port, comes on a channel of its own, and becomes the error of the next read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// A connection to a port of a pod. It ends when it is dropped.
pub(crate) struct Forward {
    bytes: DuplexStream,
    /// What the pod's host has to say; `None` once that is known.
    error: Option<BoxFuture<'static, Option<String>>>,
}

impl Forward {
    /// Opens a connection.
    pub(super) async fn open(pods: &Api<Pod>, pod: &str, port: u16) -> kube::Result<Self> {
        let mut ports = pods.portforward(pod, &[port]).await?;
        let bytes = ports.take_stream(port).expect("it was asked for, and is taken once");
        Ok(Self { bytes, error: ports.take_error(port).map(FutureExt::boxed) })
    }

    fn poll_error(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(Poll::Ready(said)) = self.error.as_mut().map(|error| error.poll_unpin(cx)) else {
            return Ok(());
        };
        self.error = None;
        said.map_or(Ok(()), |message| Err(io::Error::new(io::ErrorKind::ConnectionAborted, message)))
    }
}

impl AsyncRead for Forward {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_error(cx)?;
        Pin::new(&mut self.bytes).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Forward {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_the_host_says_is_the_error_of_the_next_read() {
        let (bytes, _pod) = tokio::io::duplex(64);
        let (say, said) = tokio::sync::oneshot::channel::<String>();
        let mut forward = Forward { bytes, error: Some(said.map(Result::ok).boxed()) };
        let mut buffer = [0; 8];
        let (read, ()) = tokio::join!(forward.read(&mut buffer), async {
            tokio::task::yield_now().await;
            say.send("connection refused".to_owned()).unwrap();
        });
        assert_eq!(read.unwrap_err().to_string(), "connection refused");
    }

    #[tokio::test]
    async fn a_host_that_has_nothing_to_say_lets_the_bytes_through_to_the_end() {
        let (bytes, mut pod) = tokio::io::duplex(64);
        let mut forward = Forward { bytes, error: Some(std::future::ready(None).boxed()) };
        pod.write_all(b"hello").await.unwrap();
        drop(pod);
        let mut all = String::new();
        forward.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "hello");
    }
}
