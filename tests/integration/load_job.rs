//! The Kubernetes Job of a rehearsal in parts. No cluster runs here, so the test runs the command of the pods, once for
//! each index, and merges the summaries.

use serde_json::Value;

use crate::support::process::{Running, ServerProcess, concertctl, finish};
use crate::support::{profile, seed, token_of};

const SCENARIO: &str = "{ title: job, dataset: test, users: 200, admission: { batch: 50, every: 200ms }, \
     generator: { lag_p99: 60s }, http: { request_timeout: 60s }, thresholds: { oversold: 0, lost: 0, unfinished: 0 } }";

fn job() -> Value {
    let path = format!(
        "{}/docs/kubernetes/load-job.yaml",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn variable<'a>(container: &'a Value, name: &str) -> &'a Value {
    let variables = container["env"].as_array().unwrap().iter();
    let mut named = variables.filter(|it| it["name"] == name);
    &named.next().unwrap_or_else(|| panic!("{name}"))["value"]
}

#[test]
fn the_job_runs_all_parts_at_once_and_each_once() {
    let job = job();
    let spec = &job["spec"];
    assert_eq!(
        (&job["kind"], &spec["completionMode"]),
        (&"Job".into(), &"Indexed".into())
    );
    let parts = spec["completions"].as_u64().unwrap();
    assert_eq!(spec["parallelism"], parts);
    assert_eq!(spec["backoffLimit"], 0);
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
    let container = &spec["template"]["spec"]["containers"][0];
    assert_eq!(*variable(container, "PARTS"), parts.to_string());
    let image = container["image"].as_str().unwrap();
    assert_eq!(image, concat!("concertctl:", env!("CARGO_PKG_VERSION")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parts_of_the_pods_merge_into_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    seed(&server.ops, &profile(4, 100, 400)).await;
    let scenario = dir.path().join("job.yaml");
    std::fs::write(&scenario, SCENARIO).unwrap();
    let binary = concertctl().get_program().to_owned();
    let path = std::path::Path::new(&binary).parent().unwrap();
    let container = &job()["spec"]["template"]["spec"]["containers"][0];
    let shell = container["command"].as_array().unwrap();
    let pod = |index: u32| {
        let mut command = std::process::Command::new(shell[0].as_str().unwrap());
        command.arg(shell[1].as_str().unwrap());
        command.arg(container["args"][0].as_str().unwrap());
        command.env("PATH", path).env("SCENARIO", &scenario);
        command.env("JOB_COMPLETION_INDEX", index.to_string());
        command.env("PARTS", "2").env("SERVER", "127.0.0.1");
        command
            .env("API_URL", &server.api)
            .env("OPS_URL", &server.ops_url);
        command.env("CONCERTCTL_OPS_TOKEN", token_of(dir.path()));
        Running::start(command)
    };
    let mut merge = concertctl();
    merge.args(["load", "merge", "--json"]);
    for (index, running) in [pod(0), pod(1)].into_iter().enumerate() {
        let ended = running.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let part = dir.path().join(format!("part-{index}.json"));
        std::fs::write(&part, &ended.stdout).unwrap();
        merge.arg(part);
    }
    let merged = finish(merge).await;
    assert_eq!(merged.code, Some(0), "{merged:?}");
    let whole: Value = serde_json::from_str(&merged.stdout).unwrap();
    assert_eq!(whole["shards"], serde_json::json!(["1/2", "2/2"]));
    let registered = &whole["operations"][0];
    assert_eq!(
        (&registered["operation"], &registered["ok"]),
        (&"register".into(), &200.into())
    );
}
