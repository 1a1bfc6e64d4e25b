//! Waiting for an API server.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::error::{Error, Result, tail};

/// For how long an API server may start. It takes 3 s on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A program that is gone, and where its log is.
pub(crate) struct Ended {
    pub(crate) program: String,
    pub(crate) log: PathBuf,
}

/// Waits until `/readyz` says ok. `api_server` is what to blame when it does not; `ended` says which program should
/// run and does not.
pub(crate) async fn api_server(
    client: &kube::Client,
    api_server: Ended,
    mut ended: impl FnMut() -> Option<Ended>,
) -> Result<()> {
    let start = Instant::now();
    let not_ready = |blame: Ended| Error::NotReady {
        log: tail(&blame.log, 20),
        what: blame.program,
        waited: start.elapsed(),
    };
    while start.elapsed() < START_LIMIT {
        if let Some(program) = ended() {
            return Err(not_ready(program));
        }
        if is_ready(client).await {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(not_ready(api_server))
}

/// Whether the API server says that it is ready, within two seconds.
pub(crate) async fn is_ready(client: &kube::Client) -> bool {
    let request = http::Request::get("/readyz").body(Vec::new()).expect("the request is constant");
    let answer = tokio::time::timeout(Duration::from_secs(2), client.request_text(request)).await;
    matches!(answer, Ok(Ok(text)) if text == "ok")
}
