//! Ports for servers that stop and start again: another test could take a port of "any free port" meanwhile.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use rand::RngExt as _;

/// The distance from the client port of a Redis cluster's node to the port of the cluster bus.
const BUS: u16 = 10_000;

/// A port of 127.0.0.1 that is reserved for this test until this is dropped, even while no server listens there. The
/// port 10,000 above it is reserved too. The system never assigns either of them itself.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: File,
}

impl Port {
    /// Reserves a port on which no server listens.
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
