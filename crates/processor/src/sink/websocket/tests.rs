use super::{
    WebSocketSettings,
    link::{request, shown},
};

fn settings(url: &str) -> WebSocketSettings {
    WebSocketSettings::new(url)
}

#[test]
fn secrets_go_into_the_handshake_and_nowhere_else() {
    let mut with_token = settings("wss://dash.example/live?team=a&api_key=hunter2");
    with_token.token = Some("hunter2".into());
    with_token.headers.insert("X-Team".into(), "hunter2".into());
    let made = request(&with_token).unwrap();
    assert_eq!(made.headers()["authorization"], "Bearer hunter2");
    assert_eq!(made.headers()["x-team"], "hunter2");
    assert_eq!(made.uri().query(), Some("team=a&api_key=hunter2"));
    assert_eq!(shown(&with_token.url), "wss://dash.example/live");
    assert!(!format!("{with_token:?}").contains("hunter2"));

    let made = request(&settings("ws://app:hunter2@dash:8080/live")).unwrap();
    assert_eq!(made.headers()["authorization"], "Basic YXBwOmh1bnRlcjI=");
    assert_eq!(made.headers()["host"], "dash:8080");
    assert_eq!(shown("ws://app:hunter2@dash:8080/live"), "ws://dash:8080/live");
}

#[test]
fn what_is_no_handshake_is_refused_without_secrets() {
    let mut bad_header = settings("ws://h/");
    bad_header.headers.insert("a b".into(), "hunter2".into());
    let mut bad_token = settings("ws://h/");
    bad_token.token = Some("hunter2\n".into());
    for refused in [settings("http://app:hunter2@h/"), settings("ws://"), bad_header, bad_token] {
        let error = request(&refused).unwrap_err().to_string();
        assert!(error.starts_with("configuration: a WebSocket sink:"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
