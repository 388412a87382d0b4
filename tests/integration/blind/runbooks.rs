//! The rules of the shipped player come only from the runbooks.

use std::path::Path;

use concertctl::drill::blind::script::{Script, When};

const PLAYER: &str = "scenarios/player-runbooks.yaml";

#[test]
fn every_query_of_the_shipped_player_stands_in_the_runbook_of_its_alert() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = Script::read(&root.join(PLAYER)).unwrap();
    let mut queries = 0;
    for rule in &script.rules {
        let alert = match &rule.when {
            When::Alert(alert) => alert,
            // This rule follows the page "No alert fires".
            When::After(_) => "README",
            When::Server(_) => continue,
        };
        let runbook = root.join("docs/runbooks").join(format!("{alert}.md"));
        let runbook = std::fs::read_to_string(runbook).unwrap();
        for question in &rule.ask {
            let query = question.promql.as_ref().or(question.logql.as_ref());
            let query = query.unwrap();
            assert!(runbook.contains(query.as_str()), "{alert}: {query}");
            queries += 1;
        }
    }
    assert!(queries > 0);
}
