//! The points at which faults take effect. The code that a fault breaks calls these functions.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Fault, FaultKind, Faults, Injected, LinkCut, bit};

/// The longest time until a blocked thread notices the end of the fault.
const NOTICE: Duration = Duration::from_millis(20);

impl Faults {
    /// Returns whether a fault may affect requests.
    #[must_use]
    pub fn may_affect_requests(&self) -> bool {
        self.may_be_active(bit(FaultKind::Errors) | bit(FaultKind::Latency))
    }

    /// The status to answer instead of serving this request. `None` if the request is served. Draws at random: call it
    /// once for each request.
    pub fn error_for(&self, method: &str, route: &str) -> Option<u16> {
        let injected = self.active(FaultKind::Errors)?;
        match &injected.fault {
            Fault::Errors {
                share,
                status,
                routes,
            } if hits(*share, routes.as_deref(), method, route) => Some(*status),
            _ => None,
        }
    }

    /// Delays this request if a fault is active, at most until the end of the fault.
    pub async fn delay_request(&self, method: &str, route: &str) {
        let Some(injected) = self.active(FaultKind::Latency) else {
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

    /// Returns whether an active fault may affect the statement.
    #[must_use]
    pub fn may_affect_statement(&self, name: &str) -> bool {
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
        let injected = self.active(FaultKind::SlowStatement)?;
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
        let Some(injected) = self.active(FaultKind::RedisCut) else {
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

    /// Returns whether the server exposes its telemetry. While a fault withholds it, the result is `false`: a fault
    /// that refuses returns at once, and a fault that hangs returns at its end.
    pub async fn reports_telemetry(&self) -> bool {
        let Some(injected) = self.active(FaultKind::TelemetryGone) else {
            return true;
        };
        if matches!(injected.fault, Fault::TelemetryGone { how: LinkCut::Hang }) {
            injected.over().await;
        }
        false
    }

    /// Returns whether a fault makes the database refuse writes like a full disk.
    #[must_use]
    pub fn disk_is_full(&self) -> bool {
        self.active(FaultKind::DiskFull).is_some()
    }

    /// The milliseconds by which a fault sets the wall clock forward; negative if it sets the clock back.
    #[must_use]
    pub fn clock_step_ms(&self) -> i64 {
        let injected = self.active(FaultKind::ClockStep);
        match injected.as_deref().map(|injected| &injected.fault) {
            Some(Fault::ClockStep { seconds }) => seconds.saturating_mul(1_000),
            _ => 0,
        }
    }

    /// Waits until a fault of that kind is active, and returns it.
    pub async fn wait_for(&self, kind: FaultKind) -> Arc<Injected> {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            if let Some(injected) = self.active(kind) {
                return injected;
            }
            if changes.changed().await.is_err() {
                // The server is gone, so no further fault can be injected.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns whether an active fault delays the answers of the database.
    #[must_use]
    pub fn database_is_delayed(&self) -> bool {
        self.active(FaultKind::SlowStatement).is_some()
            || self.active(FaultKind::PoolExhaustion).is_some()
    }
}

/// Returns whether a fault hits this request: the fault names its route, and the request belongs to the drawn share.
/// A fault that was injected always names routes (`http::ops::faults` fills them in); without routes it hits nothing.
fn hits(share: f64, routes: Option<&[String]>, method: &str, route: &str) -> bool {
    let named = |one: &String| one.split_once(' ') == Some((method, route));
    routes.is_some_and(|routes| routes.iter().any(named)) && rand::random::<f64>() < share
}
