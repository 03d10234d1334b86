//! What a build without the feature `otlp-export` says when it is asked to send.

use super::ExportSettings;
use crate::error::{ProcessorError, ProcessorResult};

/// Refuses what the configuration asks for where sending is not built in; what only the environment asks for becomes a
/// warning there.
///
/// # Errors
/// [`ProcessorError::Config`] with the key that asks, and what to do.
pub(crate) fn check(settings: &mut ExportSettings, is_built_in: bool) -> ProcessorResult<()> {
    const WHAT: &str = "this build of the processor sends nothing by OTLP";
    const HELP: &str = "use a build with the feature `otlp-export` (it is on by default: leave out \
                        `--no-default-features`, or add `--features otlp-export`)";
    if is_built_in {
        return Ok(());
    }
    if let Some(key) = settings.asked_in_file {
        return Err(ProcessorError::Config(format!("processor.{key}: {WHAT}; {HELP}")));
    }
    if settings.is_asked_for() {
        settings
            .warnings
            .push(format!("OTEL_EXPORTER_OTLP_… names a receiver, and {WHAT}; {HELP}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::settings::tests::settings;

    #[test]
    fn a_build_that_cannot_send_refuses_a_configuration_that_asks_for_it() {
        for key in ["tracing", "metrics"] {
            let mut asked = settings(&format!("  {key}: {{ otlp: {{}} }}\n"), &[]);
            let refused = check(&mut asked, false).unwrap_err();
            let said = refused.to_string();
            assert!(matches!(refused, ProcessorError::Config(_)), "{said}");
            assert!(said.contains(&format!("processor.{key}.otlp: this build")), "{said}");
            assert!(said.contains("--features otlp-export"), "{said}");
            assert!(check(&mut asked, true).is_ok(), "{key}");
        }
    }

    #[test]
    fn what_only_the_environment_asks_for_is_a_warning_of_a_build_that_cannot_send() {
        let by = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")];
        let mut asked = settings("", &by);
        assert!(check(&mut asked, true).is_ok() && asked.warnings.is_empty());
        assert!(check(&mut asked, false).is_ok());
        assert!(asked.warnings[0].contains("`otlp-export`"), "{:?}", asked.warnings);
        let mut nothing = settings("", &[]);
        assert!(check(&mut nothing, false).is_ok() && nothing.warnings.is_empty());
    }

    #[test]
    fn what_the_environment_turns_off_is_not_refused() {
        let mut off = settings("  tracing: { otlp: {} }\n", &[("OTEL_SDK_DISABLED", "true")]);
        assert!(check(&mut off, false).is_ok());
    }
}
