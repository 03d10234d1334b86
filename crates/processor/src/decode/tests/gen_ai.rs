use llm_optimizer_config::settings::{EventConfig, EventProfile};

use super::{check_with, custom, settings};

fn defaults() -> EventConfig {
    EventConfig { profile: EventProfile::GenAi, ..EventConfig::default() }
}

const TIME: &str = r#""timestamp":"1970-01-01T00:00:01Z""#;

#[test]
fn model_and_operation_are_the_key_and_the_duration_is_the_value() {
    let record = format!(r#"{{{TIME},"model":"gpt-4o","operation":"chat","duration_ms":2.5}}"#);
    check_with(settings(&defaults()), &record, "1000 model=gpt-4o::operation=chat 2.5");
    let record = format!(r#"{{{TIME},"model":"gpt-4o","duration_ms":2.5}}"#);
    check_with(settings(&defaults()), &record, "1000 model=gpt-4o 2.5");
}

#[test]
fn a_span_without_a_model_is_filtered_and_one_without_a_duration_is_a_dead_letter() {
    let record = format!(r#"{{{TIME},"operation":"execute_tool","duration_ms":2}}"#);
    check_with(settings(&defaults()), &record, "1000 filtered");
    let record = format!(r#"{{{TIME},"model":"gpt-4o"}}"#);
    check_with(settings(&defaults()), &record, "missing_field: field duration_ms is missing");
    let record = r#"{"model":"gpt-4o","duration_ms":2}"#;
    check_with(settings(&defaults()), record, "missing_field: field timestamp is missing");
}

#[test]
fn configured_values_may_be_missing_and_booleans_count() {
    let values = [("tokens", "output_tokens"), ("error", "error")];
    let event = EventConfig {
        profile: EventProfile::GenAi,
        timestamp: None,
        ..custom(&["provider", r"attributes.tenant\.id"], &values)
    };
    let record = format!(
        r#"{{{TIME},"provider":"openai","attributes":{{"tenant.id":7}},"output_tokens":3,"error":true}}"#
    );
    check_with(settings(&event), &record, "1000 provider=openai::tenant.id=7 3 1");
    let record =
        format!(r#"{{{TIME},"provider":"openai","attributes":{{"tenant.id":7}},"error":true}}"#);
    check_with(settings(&event), &record, "1000 filtered");
}
