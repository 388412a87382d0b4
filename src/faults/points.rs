//! The points at which faults take effect. The code that a fault breaks calls these functions.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Fault, FaultKind, Faults, Injected, LinkCut, bit};

/// The time within which a blocked thread notices the end of the fault.
const NOTICE: Duration = Duration::from_millis(20);

impl Faults {
    /// Whether any fault may affect requests.
    #[must_use]
    pub fn hit_requests(&self) -> bool {
        self.may_be_on(bit(FaultKind::Errors) | bit(FaultKind::Latency))
    }

    /// The status to answer instead of serving this request.
    pub fn error_for(&self, method: &str, route: &str) -> Option<u16> {
        let injected = self.on(FaultKind::Errors)?;
        match &injected.fault {
            Fault::Errors {
                share,
                status,
                routes,
            } if hits(*share, routes.as_deref(), method, route) => Some(*status),
            _ => None,
        }
    }

    /// Delays this request.
    pub async fn delay_request(&self, method: &str, route: &str) {
        let Some(injected) = self.on(FaultKind::Latency) else {
            return;
        };
        if let Fault::Latency {
            share,
            delay,
            routes,
        } = &injected.fault
            && hits(*share, routes.as_deref(), method, route)
        {
            tokio::select! {
                () = tokio::time::sleep(*delay) => {}
                () = injected.over() => {}
            }
        }
    }

    /// Whether a fault may affect the statement.
    #[must_use]
    pub fn hit_statement(&self, name: &str) -> bool {
        self.statement_delay(name).is_some() || self.disk_is_full()
    }

    /// The delay injected into the statement.
    pub fn statement_delay(&self, name: &str) -> Option<Duration> {
        self.slow_statement(name).map(|(_, delay)| delay)
    }

    /// Blocks the thread for the delay injected into the statement, or until the fault is over.
    pub fn slow_down_thread(&self, name: &str) {
        let Some((injected, delay)) = self.slow_statement(name) else {
            return;
        };
        let until = Instant::now() + delay;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if injected.is_over() {
                return;
            }
            std::thread::sleep(left.min(NOTICE));
        }
    }

    fn slow_statement(&self, name: &str) -> Option<(Arc<Injected>, Duration)> {
        let injected = self.on(FaultKind::SlowStatement)?;
        match &injected.fault {
            Fault::SlowStatement { statement, delay }
                if statement.as_deref().is_none_or(|it| it == name) =>
            {
                let delay = *delay;
                Some((injected, delay))
            }
            _ => None,
        }
    }

    /// Returns at once unless the link to Redis is cut. A cut link refuses, or hangs until the end of the fault, so
    /// the caller needs a time-out.
    ///
    /// # Errors
    /// The link is cut.
    pub async fn redis_link(&self) -> io::Result<()> {
        let Some(injected) = self.on(FaultKind::RedisCut) else {
            return Ok(());
        };
        if matches!(injected.fault, Fault::RedisCut { how: LinkCut::Hang }) {
            injected.over().await;
        }
        let why = self.reason(
            "an injected fault cuts the link",
            "connection reset by peer",
        );
        Err(io::Error::new(io::ErrorKind::ConnectionReset, why))
    }

    /// Returns at once unless what the server reports is lost: then it waits or not, as the fault says, and returns
    /// `false`.
    pub async fn reports_telemetry(&self) -> bool {
        let Some(injected) = self.on(FaultKind::TelemetryGone) else {
            return true;
        };
        if matches!(injected.fault, Fault::TelemetryGone { how: LinkCut::Hang }) {
            injected.over().await;
        }
        false
    }

    /// Whether the database has no room to write.
    #[must_use]
    pub fn disk_is_full(&self) -> bool {
        self.on(FaultKind::DiskFull).is_some()
    }

    /// By how much the wall clock is set forward, in milliseconds.
    #[must_use]
    pub fn clock_step_ms(&self) -> i64 {
        let injected = self.on(FaultKind::ClockStep);
        match injected.as_deref().map(|injected| &injected.fault) {
            Some(Fault::ClockStep { seconds }) => seconds.saturating_mul(1_000),
            _ => 0,
        }
    }

    /// Waits for a fault of that kind.
    pub async fn injected(&self, kind: FaultKind) -> Arc<Injected> {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            if let Some(injected) = self.on(kind) {
                return injected;
            }
            if changes.changed().await.is_err() {
                // The server is gone, so no fault can come.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether an active fault delays the answers of the database.
    #[must_use]
    pub fn hold_up_database(&self) -> bool {
        self.on(FaultKind::SlowStatement).is_some() || self.on(FaultKind::PoolExhaustion).is_some()
    }
}

fn hits(share: f64, routes: Option<&[String]>, method: &str, route: &str) -> bool {
    let named = |one: &String| one.split_once(' ') == Some((method, route));
    routes.is_some_and(|routes| routes.iter().any(named)) && rand::random::<f64>() < share
}
