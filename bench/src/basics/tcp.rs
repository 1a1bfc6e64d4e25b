//! The floor of the mesh: frames over one TCP connection between two processes, as many to a write as wait.
//!
//! A frame is `[length of the payload: u32][number of the ask: u64][payload]`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// The bytes of a frame before its payload.
const HEAD: usize = 12;
/// How much is read at once at least.
const READ: usize = 64 << 10;
/// How many frames go into one write at most.
const BATCH: usize = 256;

/// The hidden role `echo`: tells its address, takes one connection and sends every frame back until it ends.
pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let (mut stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (Vec::new(), Vec::new());
    while read_some(&mut stream, &mut input).await? {
        let mut taken = 0;
        while let Some(frame) = first_frame(&input[taken..]) {
            output.extend_from_slice(frame);
            taken += frame.len();
        }
        input.drain(..taken);
        stream.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}

/// Adds what has come to the buffer; false at the end.
async fn read_some(stream: &mut (impl AsyncRead + Unpin), input: &mut Vec<u8>) -> Result<bool> {
    // A vector without room would be read into by 64 bytes.
    input.reserve(READ);
    Ok(stream.read_buf(input).await? > 0)
}

/// The first frame, if all of it is there.
fn first_frame(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?);
    bytes.get(..HEAD + length as usize)
}

/// The asks that wait for their reply, by number.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<String>>>>;

/// The asking end of the connection.
pub(super) struct EchoClient {
    next: AtomicU64,
    waiting: Waiting,
    frames: mpsc::UnboundedSender<Vec<u8>>,
}

impl EchoClient {
    pub(super) async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let (frames, queued) = mpsc::unbounded_channel();
        let waiting = Waiting::default();
        tokio::spawn(write_frames(write, queued));
        tokio::spawn(read_frames(read, waiting.clone()));
        Ok(Self { next: AtomicU64::new(0), waiting, frames })
    }

    pub(super) async fn echo(&self, text: String) -> Result<String> {
        let (reply, replied) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, reply);
        let length = u32::try_from(text.len())?;
        let frame = [&length.to_be_bytes()[..], &number.to_be_bytes(), text.as_bytes()].concat();
        self.frames.send(frame)?;
        replied.await.context("the connection has ended")
    }
}

async fn write_frames(mut write: OwnedWriteHalf, mut queued: mpsc::UnboundedReceiver<Vec<u8>>) -> Result<()> {
    let (mut frames, mut output) = (Vec::new(), Vec::new());
    while queued.recv_many(&mut frames, BATCH).await > 0 {
        frames.drain(..).for_each(|frame| output.extend_from_slice(&frame));
        write.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}

async fn read_frames(mut read: OwnedReadHalf, waiting: Waiting) -> Result<()> {
    let mut input = Vec::new();
    while read_some(&mut read, &mut input).await? {
        let mut taken = 0;
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(frame) = first_frame(&input[taken..]) {
            let (head, payload) = frame.split_at(HEAD);
            let number = head.last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
            if let Some(reply) = number.and_then(|number| waiting.remove(&number)) {
                // The caller waits for it.
                let _ = reply.send(String::from_utf8(payload.to_vec())?);
            }
            taken += frame.len();
        }
        drop(waiting);
        input.drain(..taken);
    }
    Ok(())
}
