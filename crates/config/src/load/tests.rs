//! The files we ship, as they are written, agree with the schema.

use std::{fs, path::PathBuf};

use super::{convert::untyped, parse};
use crate::json_schema;

#[test]
fn the_files_we_ship_are_valid_by_the_schema() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    for path in [
        "../../config/processor-dev.yaml",
        "../../config/processor-pipelines.yaml",
        "../../config/processor-test.yaml",
        "../../config/processor-production.yaml",
        "tests/fixtures/specification.yaml",
        "tests/fixtures/contract.yaml",
    ] {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
        let text = fs::read_to_string(file).unwrap();
        let (root, duplicates) = parse(&text).unwrap();
        assert_eq!(duplicates, [], "{path}");
        let faults: Vec<String> = validator
            .iter_errors(&untyped(&root.unwrap()))
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{path}: {faults:#?}");
    }
}
