//! A siege of a server: many connections that send nothing, half a request, or a byte a second, and come back where they are closed.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How many connections there are.
const BESIEGERS: u64 = 1000;
/// File descriptors for those, and for a server in the same process.
const FILES: u64 = 4096;
const SECOND: Duration = Duration::from_secs(1);

/// A siege that ends when this is dropped.
#[derive(Debug)]
pub struct Siege(#[expect(dead_code, reason = "ends the tasks when it is dropped")] JoinSet<()>);

/// What a connection does.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Idle,
    HalfARequest,
    /// A byte a second, never coming to an end.
    Slow,
}

impl Siege {
    /// Lays siege to the server at this address: a thousand connections are there when this returns.
    pub async fn lay(address: SocketAddr) -> Result<Self> {
        allow_files()?;
        let mut besiegers = JoinSet::new();
        for number in 0..BESIEGERS {
            let stream = TcpStream::connect(address).await.with_context(|| format!("connection {number} of the siege"))?;
            let manner = [Manner::Idle, Manner::HalfARequest, Manner::Slow][number as usize % 3];
            // Spread over a second, so that a client on the same thread as the siege has its turn in between.
            let pause = SECOND / 2 + Duration::from_millis(number);
            besiegers.spawn(besiege(address, stream, manner, pause));
        }
        Ok(Self(besiegers))
    }
}

/// Raises the number of files that this process may have open, where it is low by default.
fn allow_files() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < FILES) {
        limit.current = Some(limit.maximum.map_or(FILES, |maximum| maximum.min(FILES)));
        setrlimit(Resource::Nofile, limit).context("cannot raise the number of open files")?;
    }
    Ok(())
}

async fn besiege(address: SocketAddr, first: TcpStream, manner: Manner, pause: Duration) {
    let mut connection = Ok(first);
    loop {
        // A connection that fails or is closed is what a siege expects.
        if let Ok(stream) = connection {
            let _ = hold(stream, manner).await;
        }
        sleep(pause).await;
        connection = TcpStream::connect(address).await;
    }
}

/// Holds the connection until the server closes it.
async fn hold(mut stream: TcpStream, manner: Manner) -> io::Result<()> {
    if !matches!(manner, Manner::Idle) {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: siege\r\nx: ").await?;
    }
    loop {
        match timeout(SECOND, stream.read(&mut [0; 256])).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) if matches!(manner, Manner::Slow) => stream.write_all(b"x").await?,
            Err(_) => {}
        }
    }
}
