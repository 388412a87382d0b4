//! The files that deploy the service. No container engine runs here, so the tests check what the files say.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::support::process::run;

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Service {
    image: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    profiles: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Value>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    healthcheck: Option<Value>,
    #[serde(default)]
    deploy: Value,
    #[serde(default)]
    build: Value,
    #[serde(default)]
    restart: String,
    #[serde(default)]
    privileged: bool,
    #[serde(default)]
    network_mode: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    cap_drop: Vec<String>,
    #[serde(default)]
    cap_add: Vec<String>,
    #[serde(default)]
    security_opt: Vec<String>,
}

fn file(name: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn compose() -> Compose {
    serde_saphyr::from_str(&file("docker-compose.yml")).unwrap()
}

/// Returns whether an image has a fixed version.
fn is_pinned(image: &str) -> bool {
    let tag = image.rsplit_once(':').map(|(_, tag)| tag);
    tag.is_some_and(|tag| {
        let number = tag.strip_prefix('v').unwrap_or(tag);
        number.matches('.').count() >= 1 && number.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The paths of the host that containers may mount, read-only.
const OF_THE_HOST: [&str; 6] = [
    "/",
    "/dev/disk",
    "/sys",
    "/var/lib/docker",
    "/var/lib/docker/containers",
    "/var/run",
];

/// Checks that the source of a mount exists, and that only volumes are writable.
fn check_mount(compose: &Compose, name: &str, mount: &str) {
    let (from, to) = mount.split_once(':').unwrap();
    let read_only = to
        .split_once(':')
        .is_some_and(|(_, flags)| flags.split(',').any(|flag| flag == "ro"));
    if let Some(path) = from.strip_prefix("./") {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        assert!(std::path::Path::new(&path).exists(), "{name}: {mount}");
        assert!(read_only, "{name}: {mount}");
    } else if from.starts_with('/') {
        assert!(OF_THE_HOST.contains(&from), "{name}: {mount}");
        assert!(read_only, "{name}: {mount}");
    } else {
        assert!(compose.volumes.contains_key(from), "{name}: {mount}");
    }
}

#[test]
fn every_image_is_pinned_and_every_service_has_a_health_check_and_limits() {
    let compose = compose();
    for (name, service) in &compose.services {
        assert!(is_pinned(&service.image), "{name}: {}", service.image);
        for port in &service.ports {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for needed in service.depends_on.keys() {
            assert!(
                compose.services.contains_key(needed),
                "{name} needs {needed}"
            );
        }
        for volume in &service.volumes {
            check_mount(&compose, name, volume);
        }
        if service.profiles != ["tools"] {
            assert!(service.healthcheck.is_some(), "{name} has no health check");
        }
    }
    for name in ["app", "mysql", "postgres"] {
        for kind in ["limits", "reservations"] {
            let bounds = &compose.services[name].deploy["resources"][kind];
            assert_eq!(
                (&bounds["cpus"], &bounds["memory"]),
                (&"2".into(), &"2048M".into()),
                "{name}"
            );
        }
    }
    assert!(is_pinned("redis:7.4.5") && is_pinned("x:v3.1") && !is_pinned("redis:7"));
    assert!(!is_pinned("redis:latest") && !is_pinned("redis") && !is_pinned("x:vlatest.1"));
}

#[test]
fn every_container_is_confined_except_the_one_that_reads_the_kernel() {
    for (name, service) in &compose().services {
        if name == "cadvisor" {
            continue;
        }
        assert!(service.read_only, "{name}");
        assert_eq!(service.cap_drop, ["ALL"], "{name}");
        assert_eq!(service.security_opt, ["no-new-privileges:true"], "{name}");
        // These run as root, because they read Docker's log files or volumes that may belong to root.
        let as_root = ["collector", "tempo"].contains(&name.as_str());
        assert_eq!(service.user.starts_with('0'), as_root, "{name}");
        assert!(!service.user.is_empty(), "{name}");
        let more: &[&str] = if as_root { &["DAC_OVERRIDE"] } else { &[] };
        assert_eq!(service.cap_add, more, "{name}");
    }
}

#[test]
fn no_password_has_a_default_or_is_a_command_argument() {
    let text = file("docker-compose.yml");
    let uses: Vec<&str> = text
        .match_indices("_PASSWORD")
        .map(|(at, name)| text[at + name.len()..].split('}').next().unwrap())
        .filter(|rest| rest.starts_with(':') && !rest.starts_with(": "))
        .collect();
    assert!(uses.len() >= 4, "{uses:?}");
    for rest in uses {
        assert_eq!(rest, ":?run docker/make-env first");
    }
    for (name, service) in &compose().services {
        let command = service.command.join(" ");
        assert!(!command.contains("_PASSWORD"), "{name}: {command}");
    }
}

#[tokio::test]
async fn passwords_are_generated_once_and_only_their_owner_can_read_them() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let make = || async {
        let script = format!("{}/docker/make-env", env!("CARGO_MANIFEST_DIR"));
        let mut make = std::process::Command::new(script);
        make.arg(dir.path());
        crate::support::process::finish(make).await
    };
    let made = make().await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let path = dir.path().join(".env");
    let first = std::fs::read_to_string(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secrets: std::collections::BTreeSet<&str> = first
        .lines()
        .map(|line| line.split_once('=').unwrap().1)
        .collect();
    assert_eq!(secrets.len(), 4, "four different passwords");
    assert!(secrets.iter().all(|secret| secret.len() == 64));
    assert!(!made.stdout.contains(secrets.first().unwrap()));
    let again = make().await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stderr.contains("left as they are"), "{again:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), first);

    let (older, _) = first.split_once("MYSQL_PASSWORD").unwrap();
    std::fs::write(&path, older).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let added = make().await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "an existing file is closed too");
    assert!(added.stdout.contains("MYSQL_PASSWORD"), "{added:?}");
    let second = std::fs::read_to_string(&path).unwrap();
    assert!(second.starts_with(older), "{second}");
    assert_eq!(second.lines().count(), 4, "{second}");
}

/// Runs the command of the Compose file with paths in a directory of the test.
#[tokio::test]
async fn redis_takes_its_password_without_showing_it() {
    use crate::support::{port::Port, redis::Redis};
    if Redis::missing().is_some_and(crate::support::skipped) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), Port::claim());
    let at = dir.path().display().to_string();
    let script = compose().services["redis"].command[2]
        .replace("$$", "$")
        .replace("/etc/redis.conf", &format!("{at}/given.conf"))
        .replace("/run/redis", &at);
    let given = file("docker/redis.conf").replace("/data", &at);
    let given = format!("{given}bind 127.0.0.1\nport {}\n", port.number());
    std::fs::write(dir.path().join("given.conf"), given).unwrap();
    let mut redis = std::process::Command::new("sh");
    redis.args(["-c", &script]).env("REDISCLI_AUTH", "s3cret");
    let redis = crate::support::process::Running::start(redis);
    let ask = |password: &'static str| {
        let mut cli = std::process::Command::new("redis-cli");
        cli.args(["-p", &port.number().to_string(), "ping"]);
        cli.env("REDISCLI_AUTH", password);
        crate::support::process::finish(cli)
    };
    crate::support::eventually("Redis answers", || async {
        (ask("s3cret").await.stdout.trim() == "PONG").then_some(())
    })
    .await;
    assert_ne!(ask("wrong").await.stdout.trim(), "PONG");
    let arguments = std::fs::read(format!("/proc/{}/cmdline", redis.pid())).unwrap();
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    assert!(arguments.contains("redis-server"), "{arguments}");
    assert!(!arguments.contains("s3cret"), "{arguments}");
    redis.kill_9();
}

#[test]
fn the_profile_for_mariadb_sends_the_service_to_it() {
    let compose = compose();
    let (mysql, app) = (&compose.services["mysql"], &compose.services["app"]);
    assert_eq!(mysql.profiles, ["mysql"]);
    let settings = file("docker/mysql.env");
    let url = settings
        .lines()
        .find_map(|line| line.strip_prefix("DATABASE_URL="))
        .unwrap();
    let environment = &mysql.environment;
    let expected = format!(
        "mysql://{}:${{MYSQL_PASSWORD}}@mysql:3306/{}",
        environment["MARIADB_USER"], environment["MARIADB_DATABASE"]
    );
    assert_eq!(url, expected);
    for service in [app, &compose.services["seed"]] {
        let url = &service.environment["CONCERTCTL_DATABASE_URL"];
        assert!(url.starts_with("${DATABASE_URL:-postgres://"), "{url}");
        assert!(service.depends_on.contains_key("mysql"));
    }
}

#[test]
fn without_its_profile_no_part_of_the_telemetry_stack_runs() {
    let compose = compose();
    let plain = |service: &&Service| service.profiles.is_empty();
    let names: Vec<&str> = compose
        .services
        .iter()
        .filter(|(_, service)| plain(service))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["app", "balancer", "postgres", "redis"]);
    for service in compose.services.values().filter(plain) {
        for (needed, how) in &service.depends_on {
            let is_required = how["required"] != Value::Bool(false);
            assert!(!is_required || names.contains(&needed.as_str()), "{needed}");
        }
    }
    // The variables of the OTLP export are empty unless the operator sets them.
    let otel = compose.services["app"].environment.iter();
    let otel: Vec<_> = otel.filter(|(name, _)| name.starts_with("OTEL_")).collect();
    for (name, value) in &otel {
        assert_eq!(**value, format!("${{{name}:-}}"));
    }
    let settings = file("otel/telemetry.env");
    let set = settings
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in set {
        let name = line.split_once('=').unwrap().0;
        assert!(
            otel.iter().any(|(known, _)| *known == name),
            "{name} has no network"
        );
    }
}

#[test]
fn the_telemetry_stack_has_limits_and_gains_no_privileges() {
    let compose = compose();
    let stack = |service: &&Service| service.profiles == ["telemetry"];
    assert_eq!(compose.services.values().filter(stack).count(), 9);
    for (name, service) in compose
        .services
        .iter()
        .filter(|(_, service)| stack(service))
    {
        let limits = &service.deploy["resources"]["limits"];
        let cpus: f64 = limits["cpus"]
            .as_str()
            .unwrap_or_default()
            .parse()
            .unwrap_or(0.0);
        assert!(0.0 < cpus && cpus <= 1.0, "{name}: {limits}");
        let memory = limits["memory"].as_str().unwrap_or_default();
        assert!(memory.ends_with('M'), "{name}: {limits}");
        assert_eq!(service.restart, "unless-stopped", "{name}");
        assert!(service.build.is_null() || service.build["dockerfile_inline"].is_string());
        // The base image of a build is pinned too.
        let recipe = service.build["dockerfile_inline"]
            .as_str()
            .unwrap_or_default();
        for from in recipe.lines().filter_map(|line| line.strip_prefix("FROM ")) {
            assert!(is_pinned(from.split(' ').next().unwrap()), "{name}: {from}");
        }
        // Only the container that reads the kernel's statistics is privileged.
        assert_eq!(service.privileged, name == "cadvisor", "{name}");
        if service.network_mode == "host" {
            let command = service.command.join(" ");
            let address = "--web.listen-address=${DOCKER_BRIDGE_ADDRESS:-172.17.0.1}:";
            assert!(
                command.contains(address),
                "{name} listens on all addresses: {command}"
            );
        }
    }
}

#[tokio::test]
async fn the_program_accepts_the_commands_flags_and_variables_of_the_containers() {
    let (compose, help) = (compose(), run(&["serve", "--help"]).await.stdout);
    let app = &compose.services["app"];
    assert_eq!(app.command[0], "serve");
    for flag in app.command.iter().filter(|word| word.starts_with("--")) {
        assert!(
            help.contains(flag.as_str()),
            "{flag} is not a flag of serve"
        );
    }
    let ours = |name: &&String| name.starts_with("CONCERTCTL_");
    for variable in app.environment.keys().filter(ours) {
        assert!(
            help.contains(variable.as_str()),
            "{variable} is not read by serve"
        );
    }
    let check = app.healthcheck.as_ref().unwrap()["test"].clone();
    assert_eq!(check[1], "concertctl");
    let health = run(&["health", "--help"]).await;
    assert!(
        health.stdout.contains(check[3].as_str().unwrap()),
        "{health:?}"
    );
}

#[test]
fn the_image_is_built_with_the_toolchain_of_the_project() {
    let manifest = file("Cargo.toml");
    let wanted = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    let dockerfile = file("Dockerfile");
    let from = format!("FROM rust:{}-", wanted.trim_matches('"'));
    assert!(dockerfile.contains(&from), "{from}");
    assert!(dockerfile.contains("USER concertctl"), "not as root");
}

/// The files from which rustc compiled the library, relative to the project: its newest list of dependencies.
fn compiled_files() -> Vec<String> {
    let compiled = Path::new(env!("CARGO_BIN_EXE_concertctl")).with_file_name("deps");
    let library = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        let text = std::fs::read_to_string(path).ok()?;
        let is_list = name.starts_with("concertctl-") && name.ends_with(".d");
        let is_library = |line: &&str| line.contains("/libconcertctl-") && line.contains(".rlib: ");
        let line = text.lines().find(is_library).filter(|_| is_list)?;
        Some((path.metadata().ok()?.modified().ok()?, line.to_owned()))
    };
    let lists = std::fs::read_dir(compiled).unwrap();
    let lists = lists.filter_map(|entry| library(&entry.ok()?.path()));
    let (_, newest) = lists.max().expect("rustc lists the files of the library");
    let (_, files) = newest.split_once(": ").unwrap();
    files.split_whitespace().map(without_parents).collect()
}

/// The path without `x/..`.
fn without_parents(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn the_image_gets_every_file_that_the_compiler_needs() {
    let list = file(".dockerignore");
    let kept: Vec<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    let mut needed = compiled_files();
    assert!(
        needed
            .iter()
            .any(|path| path == "otel/prometheus/alerts.yml")
    );
    needed.extend(["Cargo.toml", "Cargo.lock"].map(str::to_owned));
    for path in needed {
        let is_kept = |entry: &&str| path == **entry || path.starts_with(&format!("{entry}/"));
        assert!(kept.iter().any(is_kept), "{path}");
    }
}
