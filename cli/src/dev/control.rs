//! How `greenroom dev stop` and `greenroom dev start` reach the parent: one line of JSON each way over a Unix socket in
//! the cluster's directory. `endpoints.json` says where the socket is.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::supervisor::Control;
use crate::failure::{Failure, OrFail, Result};

/// The longest path that a Unix socket can have on every system that we know.
const LONGEST_SOCKET_PATH: usize = 100;
/// No request or answer is longer.
const LONGEST_LINE: u64 = 64 * 1024;

/// What the parent is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Request {
    /// Stop this node.
    Stop(String),
    /// Start this node.
    Start(String),
}

/// The parent's answer: done, or why not.
type Answer = Result<(), String>;

/// The listening end. The socket's file is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens in the cluster's directory, or in the directory for temporary files if that path is too long for
    /// a socket. Whoever calls this holds the lock of the directory: a socket that is there is left over.
    pub(crate) fn listen(cluster_dir: &Path) -> Result<Self> {
        let mut path = std::path::absolute(cluster_dir.join("control.sock"))
            .or_fail("cannot find the socket's place")?;
        if path.as_os_str().len() > LONGEST_SOCKET_PATH {
            path = std::env::temp_dir().join(format!("greenroom-dev-{}.sock", std::process::id()));
        }
        let cannot = format!("cannot listen on {}", path.display());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).or_fail(cannot),
            _ => {}
        }
        let listener = UnixListener::bind(&path).or_fail(cannot)?;
        Ok(Self { listener, path })
    }

    /// Where it listens.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Serves requests until it is dropped.
    pub(crate) async fn serve(self, control: Control) {
        loop {
            match self.listener.accept().await {
                // A client that goes away early is no concern of the cluster.
                Ok((stream, _)) => drop(tokio::spawn(answer(stream, control.clone()))),
                // Out of file handles: the client sees no answer and may try again.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // What stays behind is removed by the next start.
        let _ = fs::remove_file(&self.path);
    }
}

async fn answer(mut stream: UnixStream, control: Control) -> std::io::Result<()> {
    let request = line(&mut stream).await?;
    let answer: Answer = match serde_json::from_str(&request) {
        Ok(Request::Stop(node)) => control.stop(&node).await.map_err(|failure| failure.text()),
        Ok(Request::Start(node)) => control.start(&node).await.map_err(|failure| failure.text()),
        Err(error) => {
            Err(format!("the request is not understood ({error}): use the same version of greenroom"))
        }
    };
    let mut answer = serde_json::to_vec(&answer)?;
    answer.push(b'\n');
    stream.write_all(&answer).await
}

/// Sends a request to the parent and waits until it is done.
pub(crate) async fn ask(socket: &Path, request: &Request) -> Result {
    let cannot = format!("cannot reach `greenroom dev` at {}", socket.display());
    let mut stream = UnixStream::connect(socket).await.or_fail(&cannot)?;
    let mut request = serde_json::to_vec(request).or_fail(&cannot)?;
    request.push(b'\n');
    stream.write_all(&request).await.or_fail(&cannot)?;
    let answer = line(&mut stream).await.or_fail(&cannot)?;
    if answer.is_empty() {
        return Err(Failure::new("`greenroom dev` ended before it answered"));
    }
    serde_json::from_str::<Answer>(&answer).or_fail(&cannot)?.map_err(Failure::new)
}

async fn line(stream: &mut UnixStream) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_LINE)).read_line(&mut line).await?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::super::child::Child;
    use super::super::run::{Launch, What};
    use super::super::supervisor::{State, Supervisor};
    use super::*;

    fn sleeper(dir: &Path) -> Launch {
        let log = dir.join("demo-0.log");
        let args = vec!["-c".into(), "exec sleep 1000".into()];
        let child = Child { program: "/bin/sh".into(), args, env: Vec::new(), log: log.clone() };
        Launch { node: "demo-0".into(), log, what: What::Child(child) }
    }

    #[tokio::test]
    async fn another_process_can_stop_and_start_a_node() {
        let dir = tempfile::tempdir().unwrap();
        let (events, _keep) = mpsc::unbounded_channel();
        let supervisor = Supervisor::start(vec![sleeper(dir.path())], &events);
        let states = supervisor.control().states();
        let socket = ControlSocket::listen(dir.path()).unwrap();
        let path = socket.path().to_owned();
        let serving = tokio::spawn(socket.serve(supervisor.control().clone()));

        ask(&path, &Request::Stop("demo-0".into())).await.unwrap();
        assert_eq!(states.borrow()[0].state, State::Stopped);
        ask(&path, &Request::Start("demo-0".into())).await.unwrap();
        let failure = ask(&path, &Request::Stop("demo-9".into())).await.unwrap_err().to_string();
        assert!(failure.contains("there is no node demo-9"), "{failure}");

        supervisor.shutdown().await;
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_for_a_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("d".repeat(120));
        fs::create_dir(&long).unwrap();
        let socket = ControlSocket::listen(&long).unwrap();
        assert!(socket.path().starts_with(std::env::temp_dir()));
    }
}
