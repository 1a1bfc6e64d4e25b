//! A TCP proxy that can become a black hole: what is open stays open and carries nothing any more, and what connects is
//! accepted and never answered. After it has healed, new connections work; the old ones stay dead, as those of a load
//! balancer do that has forgotten them.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    address: SocketAddr,
    /// How often it has become a black hole, and whether it is one now.
    holes: watch::Sender<(u32, bool)>,
}

impl Proxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (holes, hole) = watch::channel((0, false));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, target, hole.clone()));
            }
        });
        Self { address, holes }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn swallow(&self) {
        self.holes.send_modify(|(count, now)| {
            *count += 1;
            *now = true;
        });
    }

    pub(crate) fn heal(&self) {
        self.holes.send_modify(|(_, now)| *now = false);
    }
}

async fn carry(mut near: TcpStream, target: SocketAddr, mut hole: watch::Receiver<(u32, bool)>) {
    let (begun, swallowed) = *hole.borrow_and_update();
    // Kept until the end, so that neither side is closed.
    let mut far = None;
    if !swallowed {
        let far = far.insert(TcpStream::connect(target).await.unwrap());
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, far) => return,
            _ = hole.wait_for(|(count, _)| *count > begun) => {}
        }
    }
    std::future::pending::<()>().await;
}
