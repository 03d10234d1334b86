use llm_optimizer_config::settings::{EventConfig, EventProfile};

use super::{check_with, custom, settings};

fn defaults() -> EventConfig {
    EventConfig { profile: EventProfile::Cloudevents, ..EventConfig::default() }
}

const HEAD: &str = r#""specversion":"1.0","id":"1","source":"/gw","type":"llm.call""#;

#[test]
fn source_and_type_are_the_key_and_data_value_the_value() {
    let record = format!(r#"{{{HEAD},"time":"1970-01-01T00:00:01Z","data":{{"value":2}}}}"#);
    check_with(settings(&defaults()), &record, "1000 source=/gw::type=llm.call 2");
}

#[test]
fn nothing_is_filtered_by_absence() {
    let record = format!(r#"{{{HEAD},"time":"1970-01-01T00:00:01Z"}}"#);
    check_with(settings(&defaults()), &record, "missing_field: field data.value is missing");
    let record = format!(r#"{{{HEAD},"data":{{"value":2}}}}"#);
    check_with(settings(&defaults()), &record, "missing_field: field time is missing");
    let record = format!(r#"{{{HEAD},"time":"1970-01-01T00:00:01Z","data":{{"value":true}}}}"#);
    let expected = "invalid_value: field data.value is a boolean, a finite number is needed";
    check_with(settings(&defaults()), &record, expected);
}

#[test]
fn the_attributes_of_a_cloud_event_are_required_texts() {
    for name in ["specversion", "id", "source", "type"] {
        let without = format!("{{{}}}", HEAD.replace(&format!("\"{name}\""), "\"x\""));
        let expected = format!("missing_field: field {name} is missing");
        check_with(settings(&defaults()), &without, &expected);
    }
    let record = r#"{"specversion":1.0,"id":"1"}"#;
    let expected =
        "invalid_value: field specversion is a number that is no integer, a string is needed";
    check_with(settings(&defaults()), record, expected);
}

#[test]
fn configured_paths_replace_the_defaults() {
    let event = EventConfig {
        profile: EventProfile::Cloudevents,
        ..custom(&["type", "data.model"], &[("ms", "data.ms")])
    };
    let record = format!(r#"{{{HEAD},"t":"1970-01-01T00:00:01Z","data":{{"ms":2,"model":"m"}}}}"#);
    check_with(settings(&event), &record, "1000 type=llm.call::model=m 2");
}
