//! The pages of `concertctl load --html` and `drill --report` in a real browser: headless Chromium.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::drills;
use super::load_cli::short;
use super::support::on_path;
use super::support::process::{Ended, Running, concertctl, finish};

/// The width of a phone, in pixels.
const WIDTH: u64 = 380;
/// A text that would run as a script if it were not escaped.
const EVIL: &str = "title='<script>throw new Error(\"from the title\")</script><img src=x>'";

/// A script that sends the visible state to the enclosing page.
const PROBE: &str = r#"<script>
addEventListener("load", () => {
  const plot = document.querySelector("svg.plot");
  const reading = () => document.querySelector("[data-series=ok]")?.textContent;
  const before = reading();
  const { left = 0, width = 0 } = plot?.getBoundingClientRect() ?? {};
  plot?.dispatchEvent(new PointerEvent("pointermove", { clientX: left + width / 2 }));
  parent.postMessage(JSON.stringify({
    width: document.documentElement.scrollWidth,
    verdict: document.getElementById("verdict")?.innerText,
    read: before !== reading(),
  }), "*");
});
</script></body>"#;

/// A page around another page, with the width of a phone.
const FRAME: &str = r#"<!DOCTYPE html><body><script>
addEventListener("message", (event) => (document.body.textContent = event.data));
</script><iframe src="probed.html" style="width: 380px; height: 900px; border: 0"></iframe></body>"#;

/// A process group that ends with the test.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        // Usually all processes have ended already.
        let _ = pid.map(|pid| kill_process_group(pid, Signal::KILL));
    }
}

/// A browser with its own profile directory.
struct Browser {
    program: PathBuf,
    dir: tempfile::TempDir,
}

/// The report of the browser about a page.
#[derive(Debug)]
struct Looked {
    seen: Value,
    console: Vec<String>,
    /// The addresses that the page would fetch if its policy allowed it.
    requests: Vec<String>,
}

impl Browser {
    fn new() -> Browser {
        let program = ["chromium", "chromium-browser", "google-chrome"];
        let program = program.into_iter().find_map(on_path);
        Browser {
            program: program.expect(
                "no chromium on the PATH: scripts/test installs the Debian package chromium",
            ),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Opens a file of the folder.
    async fn open(&self, name: &str, args: &[String]) -> Ended {
        let dir = self.dir.path();
        let mut command = Command::new(&self.program);
        command.env("HOME", dir).env("TMPDIR", dir).process_group(0);
        command
            .args("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run".split(' '));
        command.args("--disable-dev-shm-usage --disable-breakpad --hide-scrollbars".split(' '));
        command.args(
            "--disable-background-networking --disable-component-update --disable-sync".split(' '),
        );
        // The browser must not contact its vendor.
        command.arg("--host-resolver-rules=MAP * ~NOTFOUND");
        command.args(["--enable-logging=stderr", "--v=0", "--window-size=800,1000"]);
        command.arg(format!(
            "--user-data-dir={}",
            self.path("profile").display()
        ));
        command.args(args);
        command.arg(format!("file://{}", self.path(name).display()));
        command.stdin(std::process::Stdio::null());
        let running = Running::start(command);
        let _group = Group(running.pid());
        let ended = running.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }

    /// Opens a page with the width of a phone, and collects its state, its errors and its requests.
    async fn look(&self, page: &str) -> Looked {
        let probed = page.replace("</body>", PROBE);
        assert!(
            probed.contains("postMessage"),
            "the page has no end: {page}"
        );
        std::fs::write(self.path("probed.html"), probed).unwrap();
        std::fs::write(self.path("frame.html"), FRAME).unwrap();
        let args = ["--dump-dom", "--virtual-time-budget=10000"].map(str::to_owned);
        let framed = self.open("frame.html", &args).await;
        let object = framed.stdout.find('{').zip(framed.stdout.rfind('}'));
        let (from, to) = object.unwrap_or_else(|| panic!("the page reported nothing: {framed:?}"));
        let console = framed
            .stderr
            .lines()
            .filter(|line| line.contains("CONSOLE"));
        Looked {
            seen: serde_json::from_str(&framed.stdout[from..=to]).unwrap(),
            console: console.map(str::to_owned).collect(),
            requests: self.requests(page).await,
        }
    }

    async fn requests(&self, page: &str) -> Vec<String> {
        let open = page.replace("http-equiv=\"Content-Security-Policy\"", "name=\"none\"");
        std::fs::write(self.path("open.html"), open).unwrap();
        let log = self.path("requests.json");
        let args = [
            "--dump-dom".to_owned(),
            format!("--log-net-log={}", log.display()),
        ];
        self.open("open.html", &args).await;
        let log = std::fs::read_to_string(log).unwrap();
        // One event per line. Events of the browser itself belong to no page.
        let asked = log
            .lines()
            .filter(|line| line.contains("\"network_isolation_key\":\"file://"));
        asked.map(str::to_owned).collect()
    }

    /// Prints the page as PDF.
    async fn print(&self, page: &str) -> Vec<u8> {
        std::fs::write(self.path("page.html"), page).unwrap();
        let pdf = self.path("page.pdf");
        let args = [format!("--print-to-pdf={}", pdf.display())];
        self.open("page.html", &args).await;
        std::fs::read(pdf).unwrap()
    }
}

/// Runs a short rehearsal that writes its page to `page` and its summary to `summary`.
async fn rehearse(dir: &Path, page: &Path, summary: &Path) {
    let mut command = concertctl();
    command
        .args(["load", "--quiet", "--set", EVIL])
        .args(short(&[]));
    command.arg("--html").arg(page).arg("--out").arg(summary);
    command.env("TMPDIR", dir);
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn the_page_of_a_rehearsal_fits_a_phone_can_be_printed_and_fetches_nothing() {
    let browser = Browser::new();
    let dir = tempfile::tempdir().unwrap();
    let (page, summary) = (dir.path().join("x.html"), dir.path().join("x.json"));
    rehearse(dir.path(), &page, &summary).await;
    let page = std::fs::read_to_string(page).unwrap();
    is_clean(&browser.look(&page).await);
    let printed = browser.print(&page).await;
    assert!(printed.starts_with(b"%PDF-") && printed.len() > 20_000);

    // The same page, made from the saved summary.
    let again = dir.path().join("again.html");
    let mut command = concertctl();
    command.args(["load", "merge"]).arg(&summary);
    command.arg("--html").arg(&again);
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let again = std::fs::read_to_string(again).unwrap();
    assert!(again.contains("<title>onsale-short: passed</title>"));
    assert_eq!(again.lines().count(), page.lines().count());
}

/// Runs a drill of half a minute that writes its report in each format: `report.html`, `.md` and `.json` in `dir`.
async fn respond(dir: &Path) {
    let evil = "title: \"<script>throw new Error('from the title')</script><img src=x>\"";
    let text = drills::drill(
        "{ kind: errors, share: 0.5, for: 5s }",
        "{ fires: { HighErrorRate: 10s }, may_fire: [ErrorBudgetBurnFast, ErrorBudgetBurnSlow], recovered: 20s }",
    );
    let file = dir.join("short.yaml");
    std::fs::write(&file, text.replace("title: A test", evil)).unwrap();
    let mut command = drills::command(dir, &[file.to_str().unwrap()]);
    for end in ["html", "md", "json"] {
        command
            .arg("--report")
            .arg(dir.join("report").with_extension(end));
    }
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

fn keeps_the_schema(document: &Value) {
    let schema = include_str!("../../docs/schema/drill-report.schema.json");
    let validator = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let mut wrong = document.clone();
    wrong["drills"][0]["expectations"][0]["outcome"] = "splendid".into();
    assert!(!validator.is_valid(&wrong));
}

fn is_clean(looked: &Looked) {
    assert_eq!(looked.seen["verdict"], "Passed", "{looked:?}");
    assert_eq!(
        looked.seen["read"], true,
        "the pointer reads nothing: {looked:?}"
    );
    assert!(
        looked.seen["width"].as_u64().unwrap() <= WIDTH,
        "{looked:?}"
    );
    assert!(looked.console.is_empty(), "{looked:?}");
    assert!(looked.requests.is_empty(), "{looked:?}");
}

#[tokio::test]
async fn the_report_of_a_drill_fits_a_phone_can_be_printed_and_fetches_nothing() {
    let browser = Browser::new();
    let dir = tempfile::tempdir().unwrap();
    respond(dir.path()).await;
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let page = read("report.html");
    is_clean(&browser.look(&page).await);
    for mark in [
        "errors begins",
        "HighErrorRate firing",
        "HighErrorRate notified",
        "users objective met again",
    ] {
        assert!(page.contains(mark), "{mark} is not on the clock");
    }
    let printed = browser.print(&page).await;
    assert!(printed.starts_with(b"%PDF-") && printed.len() > 20_000);

    let document: Value = serde_json::from_str(&read("report.json")).unwrap();
    keeps_the_schema(&document);
    let harm = &document["drills"][0]["harm"];
    let (failed, people) = (
        harm["failed"].as_u64().unwrap(),
        harm["people"].as_u64().unwrap(),
    );
    assert!(
        failed > 0 && (1..=failed + 3_000).contains(&people),
        "{harm}"
    );

    // The same page, made from the saved report, with that report as the earlier run.
    let saved = dir.path().join("report.json");
    let again = |name: &str, baseline: bool| {
        let mut command = drills::command(dir.path(), &["--from", saved.to_str().unwrap()]);
        command.arg("--report").arg(dir.path().join(name));
        if baseline {
            command.arg("--baseline").arg(&saved);
        }
        command
    };
    for (name, of) in [("again.html", &page), ("again.md", &read("report.md"))] {
        assert_eq!(finish(again(name, false)).await.code, Some(0));
        assert!(read(name) == *of, "{name} differs");
    }
    assert_eq!(finish(again("beside.html", true)).await.code, Some(0));
    is_clean(&browser.look(&read("beside.html")).await);
    assert!(read("beside.html").contains("Beside the earlier run"));

    // The page of a suite with the same drill twice.
    let mut suite = document.clone();
    let first = suite["drills"][0].clone();
    suite["drills"].as_array_mut().unwrap().push(first);
    std::fs::write(&saved, suite.to_string()).unwrap();
    assert_eq!(finish(again("suite.html", false)).await.code, Some(0));
    is_clean(&browser.look(&read("suite.html")).await);
}

#[tokio::test]
async fn a_page_with_mistakes_is_detected() {
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'\">";
    let page = format!(
        "<!DOCTYPE html><head>{policy}</head><body><h1 id=\"verdict\">Failed</h1>\n\
         <div style=\"width: 900px\">wide</div><img src=\"http://127.0.0.1:9/planted.png\">\n\
         <script>throw new Error(\"planted\")</script></body>"
    );
    let looked = Browser::new().look(&page).await;
    assert_eq!(looked.seen["verdict"], "Failed");
    assert_eq!(looked.seen["read"], false);
    let reports = |what: &str| looked.console.iter().any(|line| line.contains(what));
    assert!(reports("Uncaught Error: planted"), "{looked:?}");
    assert!(reports("Content Security Policy"), "{looked:?}");
    let asked = looked.requests.iter();
    assert!(
        asked.clone().any(|it| it.contains("planted.png")),
        "{looked:?}"
    );
    let page = page.replace(policy, "");
    let looked = Browser::new().look(&page).await;
    assert!(looked.seen["width"].as_u64().unwrap() >= 900, "{looked:?}");
}
