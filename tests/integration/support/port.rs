//! Ports for servers that go away and come back: what is bound to "any free port" may be taken by
//! another test in between.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use rand::RngExt as _;

/// Where a Redis cluster's nodes speak to each other, above the port of the clients.
const BUS: u16 = 10_000;

/// A port of 127.0.0.1 that is this test's while this lives, also while nobody listens there. So is
/// the port 10,000 above it. Neither is one that the system gives out by itself.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: File,
}

impl Port {
    /// A port where nobody listens.
    pub fn claim() -> Port {
        let claims = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ports");
        fs::create_dir_all(&claims).unwrap();
        for _ in 0..1_000 {
            let number = rand::rng().random_range(10_000..20_000);
            let claim = File::create(claims.join(number.to_string())).unwrap();
            let unused = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if claim.try_lock().is_ok() && unused(number) && unused(number + BUS) {
                return Port {
                    number,
                    _claim: claim,
                };
            }
        }
        panic!("no free port between 10,000 and 20,000");
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
