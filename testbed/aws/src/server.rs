//! The HTTP server.

use std::{io, net::SocketAddr, sync::Arc};

use axum::Router;

use crate::{
    connection::{Listener, Peer},
    control::{self, Simulation},
    front,
};

/// A simulator that listens.
pub struct Simulator {
    listener: Listener,
    address: SocketAddr,
}

impl Simulator {
    /// Listens on a port of `127.0.0.1`; 0 lets the system choose. Nothing is answered before [`Self::run`].
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(port: u16) -> io::Result<Self> {
        let listener = Listener::bind(port).await?;
        let address = listener.address()?;
        Ok(Self { listener, address })
    }

    /// The endpoint for AWS clients, and for the control endpoints below `/_sim/`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers calls until the future is dropped.
    ///
    /// # Errors
    /// None in practice: a failing connection does not end the server.
    pub async fn run(self) -> io::Result<()> {
        let simulation = Arc::new(Simulation::default());
        let app = Router::new().nest("/_sim", control::routes()).fallback(front::answer).with_state(simulation);
        axum::serve(self.listener, app.into_make_service_with_connect_info::<Peer>()).await
    }
}
