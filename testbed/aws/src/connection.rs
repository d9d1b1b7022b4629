//! Connections that can be reset on purpose: the client sees ECONNRESET where a reply should be.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// The other end of a connection, and the means to reset it.
#[derive(Debug, Clone)]
pub struct Peer {
    address: SocketAddr,
    reset: Arc<AtomicBool>,
}

impl Peer {
    /// The client's address, for `aws:SourceIp`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing is written any more: the next write resets the connection.
    pub fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }
}

/// A TCP stream that obeys [`Peer::reset`].
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    peer: Peer,
}

impl Connection {
    /// With zero linger, closing the socket sends RST and not FIN.
    fn reset_if_told(&self) -> io::Result<()> {
        if !self.peer.reset.load(Ordering::Relaxed) {
            return Ok(());
        }
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.reset_if_told()?;
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.reset_if_told()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.reset_if_told()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A listener on the loopback interface whose connections are [`Connection`]s.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Listens on `127.0.0.1:port`; port 0 lets the system choose.
    pub async fn bind(port: u16) -> io::Result<Self> {
        TcpListener::bind(("127.0.0.1", port)).await.map(Self)
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        // Small replies, and clients that wait for them: Nagle's algorithm only costs time here.
        let _ = stream.set_nodelay(true);
        (Connection { stream, peer: Peer { address, reset: Arc::default() } }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.io().peer.clone()
    }
}
