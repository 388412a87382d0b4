//! TLS to MariaDB: the certificates that each `ssl-mode` accepts and refuses.

use concertctl::store::mysql::{Database, MySqlOptions};

use crate::support::MariaDb;
use crate::tls::Authority;

#[tokio::test]
async fn each_ssl_mode_verifies_what_it_says() {
    let (ours, other) = (Authority::new(), Authority::new());
    let pair = ours.issue("mariadb", &["db.example"]);
    let path = |path: &std::path::Path| path.display().to_string();
    let arguments = [
        format!("--ssl-cert={}", path(&pair.certificate)),
        format!("--ssl-key={}", path(&pair.key)),
        format!("--ssl-ca={}", path(&ours.ca)),
        "--require-secure-transport=ON".to_owned(),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The test's own connections use the default mode.
    let Some(mysql) = MariaDb::start_with(&arguments).await else {
        return;
    };
    let connect = |parameters: String| {
        let url = format!("{}?{parameters}", mysql.url());
        async move { Database::connect(&url, MySqlOptions::default()).await }
    };
    let (ours, other) = (path(&ours.ca), path(&other.ca));
    for accepted in [
        "ssl-mode=preferred".to_owned(),
        "sslmode=require".to_owned(),
        format!("ssl-mode=verify-ca&ssl-ca={ours}"),
        format!("sslmode=verify_ca&sslrootcert={ours}"),
    ] {
        let connected = connect(accepted.clone()).await;
        assert!(connected.is_ok(), "{accepted}: {connected:?}");
    }
    for refused in [
        "ssl-mode=disabled".to_owned(),
        "ssl-mode=verify-ca".to_owned(),
        format!("ssl-mode=verify-ca&ssl-ca={other}"),
        // The certificate names another host.
        format!("ssl-mode=verify-identity&ssl-ca={ours}"),
        "ssl-mode=verify-ca&ssl-ca=/nowhere.pem".to_owned(),
    ] {
        let connected = connect(refused.clone()).await;
        let error = connected.expect_err(&refused).to_string();
        println!("{refused}: {error}");
        assert!(!error.contains(mysql.password()), "{error}");
    }
}
