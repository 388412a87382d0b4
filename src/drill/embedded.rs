//! The server that a drill starts for itself. It is a process of its own, so that the drill can kill it, and its data
//! directory is removed with the drill.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::DrillError;
use super::file::{Drill, Fault, Kind};
use super::guard::{Event, Order, Server};
use super::orders::{Guard, length_ms, order_for};
use super::{Moment, now};
use crate::api::faults::Site;
use crate::clients::alertmanager::Alertmanager;
use crate::clients::ops::Ops;
use crate::clients::prometheus::Prometheus;
use crate::clients::{HttpSource, Secret};
use crate::load::Target;
use crate::serve::ServerFile;
use crate::settings;

/// The longest time that a start may take.
const START: Duration = Duration::from_secs(30);

/// A server with the process that guards it.
#[derive(Debug)]
pub(super) struct Embedded {
    guard: Guard,
    dir: PathBuf,
    file: ServerFile,
    token: String,
    webhook: String,
    rules: Vec<PathBuf>,
}

impl Embedded {
    /// Starts a server with these rules that posts its notifications to `webhook`.
    pub(super) async fn start(
        program: &Path,
        rules: &[PathBuf],
        webhook: &str,
    ) -> Result<Embedded, DrillError> {
        let dir = scratch().map_err(|error| {
            let temp = std::env::temp_dir();
            DrillError::Server(format!(
                "no place for its data in {}: {error}; set TMPDIR to another directory",
                temp.display()
            ))
        })?;
        let server = |problem: String| DrillError::Server(problem);
        let guard = Guard::start(program).map_err(|error| server(error.to_string()))?;
        let any = ([127, 0, 0, 1], 0).into();
        let mut embedded = Embedded {
            guard,
            file: ServerFile::new(any, any, None),
            token: String::new(),
            webhook: webhook.to_owned(),
            rules: rules.to_vec(),
            dir,
        };
        let order = Order::Start(Server {
            program: program.to_owned(),
            args: embedded.args(),
            dir: embedded.dir.clone(),
        });
        let started = embedded.guard.carry_out(&order).await;
        started.map_err(server)?;
        embedded.find().await.map_err(server)?;
        Ok(embedded)
    }

    /// The arguments of the next start, with the ports that the first start got.
    fn args(&self) -> Vec<String> {
        let mut args = vec![
            "serve".to_owned(),
            "--data-dir".to_owned(),
            self.dir.display().to_string(),
            "--api-addr".to_owned(),
            self.file.api_addr.to_string(),
            "--ops-addr".to_owned(),
            self.file.ops_addr.to_string(),
            "--webhook".to_owned(),
            self.webhook.clone(),
        ];
        for rules in &self.rules {
            args.extend(["--rules".to_owned(), rules.display().to_string()]);
        }
        args
    }

    /// Waits until the server answers, and notes its addresses and token.
    async fn find(&mut self) -> Result<(), String> {
        let found = async {
            loop {
                if let Some(found) = self.look().await {
                    return Ok(found);
                }
                if let Event::Exited(status) = self.guard.carry_out(&Order::Status).await? {
                    return Err(format!("it ended with {status}: {}", self.last_line()));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let found = tokio::time::timeout(START, found).await;
        let (file, token) = found.unwrap_or_else(|_| {
            let (seconds, last) = (START.as_secs(), self.last_line());
            Err(format!("it does not start within {seconds} s: {last}"))
        })?;
        (self.file, self.token) = (file, token);
        Ok(())
    }

    /// The last line that the server wrote to its standard error.
    fn last_line(&self) -> String {
        let log = std::fs::read_to_string(self.dir.join("server.stderr"));
        let log = log.unwrap_or_default();
        log.lines()
            .last()
            .unwrap_or("it wrote no reason")
            .to_owned()
    }

    async fn look(&self) -> Option<(ServerFile, String)> {
        let file = ServerFile::read(&self.dir)?;
        let token = std::fs::read_to_string(settings::ops_token_file(&self.dir)).ok()?;
        let source = HttpSource::new(&file.ops_url()).ok()?;
        Ops::new(source, None).status().await.ok()?;
        Some((file, token.trim().to_owned()))
    }

    pub(super) fn target(&self) -> Target {
        Target {
            api_urls: vec![self.file.api_url()],
            ops_url: self.file.ops_url(),
            ops_token: Some(self.token.clone()),
        }
    }

    /// The clients of the server's parts that answer as Prometheus and as Alertmanager.
    pub(super) fn alert_sources(&self) -> Result<(Prometheus, Alertmanager), DrillError> {
        let source = HttpSource::new(&self.file.ops_url());
        let source = source.map_err(|error| DrillError::Server(error.to_string()))?;
        let token = Some(Secret::new(&self.token));
        Ok((
            Prometheus::new(source.clone()),
            Alertmanager::new(source, token),
        ))
    }

    /// Injects a fault, which ends by itself. Returns its beginning as recorded by the process that injected it.
    pub(super) async fn inject(&self, fault: &Fault, drill: &str) -> Result<Moment, String> {
        let for_ms = length_ms(fault);
        let order = match fault.kind {
            Kind::KillServer => Order::Kill {
                for_ms,
                args: self.args(),
            },
            Kind::FreezeServer => Order::Freeze { for_ms },
            _ => match order_for(fault) {
                Some(order) => order,
                None => return inject_by_operations(&self.target(), fault, drill).await,
            },
        };
        self.guard.begin_fault(&order).await
    }

    /// Kills the server, if there is one, and starts it again at once.
    pub(super) async fn restart(&self) -> Result<(), String> {
        let args = self.args();
        self.guard
            .carry_out(&Order::Restart { args })
            .await
            .map(drop)
    }

    /// The file with the token of the operations API.
    pub(super) fn token_file(&self) -> PathBuf {
        settings::ops_token_file(&self.dir)
    }

    /// Ends the injected faults before their time.
    pub(super) async fn release(&self, drill: &Drill) {
        // A fault that cannot be ended now ends at the end of its length.
        drop(self.guard.carry_out(&Order::Release).await);
        end_by_operations(&self.target(), drill).await;
    }

    /// Ends the server, and removes its data.
    pub(super) async fn end(self) {
        self.guard.end().await;
    }
}

/// Ends the faults of this drill that the server injects into itself.
pub(super) async fn end_by_operations(target: &Target, drill: &Drill) {
    let Ok(source) = HttpSource::new(&target.ops_url) else {
        return;
    };
    let token = target.ops_token.as_deref().map(Secret::new);
    let ops = Ops::new(source, token);
    let kinds = drill.injects.iter().map(|inject| inject.fault.kind);
    for kind in kinds.filter(|kind| kind.site() != Site::Outside) {
        // A server that does not answer ends the fault by itself at the end of its length.
        drop(ops.end_faults(Some(kind)).await);
    }
}

/// Injects a fault by the operations API. Returns its beginning as recorded by the server.
pub(super) async fn inject_by_operations(
    target: &Target,
    fault: &Fault,
    drill: &str,
) -> Result<Moment, String> {
    let source = HttpSource::new(&target.ops_url).map_err(|error| error.to_string())?;
    let token = target.ops_token.as_deref().map(Secret::new);
    inject_with(&Ops::new(source, token), fault, fault.length.0, drill).await
}

/// Injects a fault with `ops`, for `length`.
pub(super) async fn inject_with(
    ops: &Ops,
    fault: &Fault,
    length: Duration,
    drill: &str,
) -> Result<Moment, String> {
    let by = format!("drill {drill}");
    let active = ops
        .inject_fault(&fault.injected()?, length, Some(&by))
        .await;
    let active = active.map_err(|error| error.to_string())?;
    let began = active.started_at.parse::<jiff::Timestamp>();
    Ok(began.map_or_else(|_| now(), |began| began.as_millisecond()))
}

/// Makes a directory that only this user can read, because it holds the database and the key of the tokens.
fn scratch() -> std::io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let (process, random) = (std::process::id(), rand::random::<u64>());
    let name = format!("concertctl-drill-{process}-{random:016x}");
    let path = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new().mode(0o700).create(&path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A guard whose server writes a reason and exits at once.
    const GUARD: &str = r#"#!/bin/sh
read -r start
dir=$(printf '%s' "$start" | sed 's/.*"dir":"\([^"]*\)".*/\1/')
printf 'a first line\nthe reason\n' > "$dir/server.stderr"
echo '"started"'
read -r status
echo '{"exited":"exit status: 1"}'
cat > /dev/null
rm -r "$dir"
"#;

    #[tokio::test]
    async fn a_server_that_exits_at_its_start_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("guard");
        std::fs::write(&program, GUARD).unwrap();
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&program, mode).unwrap();
        let started = Embedded::start(&program, &[], "http://127.0.0.1:1/").await;
        let error = started.unwrap_err().to_string();
        assert_eq!(
            error,
            "the drill's server: it ended with exit status: 1: the reason"
        );
    }
}
