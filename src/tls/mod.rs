//! TLS of servers and clients. Every rustls configuration of the program is made here, with ring as the only crypto
//! provider, so no other module depends on a default that another crate could change.
//!
//! [`server`] holds a server's certificate and replaces it while the server runs. [`client`] decides which servers
//! clients trust, and turns failures into one line that says what to do.

pub mod client;
mod pem;
pub mod server;
mod validity;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

pub use client::{ClientFiles, Trust, explain};
pub use server::{ServerTls, ServerTlsFiles};

/// The only protocol that servers and clients of this program speak over TLS.
const ALPN: &[u8] = b"http/1.1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
