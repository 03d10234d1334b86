//! Checkpoints as text and as JSON.

use chrono::SecondsFormat;
use comfy_table::Table;
use serde_json::{Value, json};

use crate::checkpoint::{CheckpointKind, Difference, Listed, Manifest};

pub(super) fn list_json(listed: &[Listed]) -> Value {
    let one = |listed: &Listed| match &listed.manifest {
        Ok(manifest) => serde_json::to_value(manifest).unwrap_or_default(),
        Err(error) => json!({ "id": listed.id, "problem": error.to_string() }),
    };
    listed.iter().map(one).collect()
}

pub(super) fn list_text(listed: &[Listed]) -> String {
    if listed.is_empty() {
        return "no checkpoints\n".into();
    }
    let mut table = table(&["ID", "KIND", "CREATED", "ROWS", "BYTES", "FINGERPRINT"]);
    let mut problems = String::new();
    for listed in listed {
        match &listed.manifest {
            Ok(manifest) => {
                table.add_row([
                    manifest.id.to_string(),
                    kind(manifest).to_owned(),
                    created(manifest),
                    manifest.rows().to_string(),
                    manifest.bytes().to_string(),
                    manifest.fingerprint.clone().unwrap_or_default(),
                ]);
            }
            Err(error) => {
                table.add_row([listed.id.to_string(), "damaged".to_owned()]);
                line(&mut problems, &error.to_string());
            }
        }
    }
    format!("{table}\n{problems}")
}

pub(super) fn manifest_text(manifest: &Manifest) -> String {
    let mut text = String::new();
    line(&mut text, &format!("{} {}, {}", kind(manifest), manifest.id, created(manifest)));
    for (name, value) in [("fingerprint", &manifest.fingerprint), ("instance", &manifest.instance)]
    {
        line(&mut text, &format!("{name}: {}", value.as_deref().unwrap_or("not known")));
    }
    let mut tables = table(&["TABLE", "ROWS", "BYTES"]);
    for (name, held) in &manifest.tables {
        tables.add_row([name.clone(), held.rows.to_string(), held.bytes.to_string()]);
    }
    let mut positions = table(&["INPUT", "POSITION"]);
    for (input, position) in &manifest.positions {
        positions.add_row([input, position]);
    }
    for (table, rows) in [(tables, manifest.tables.len()), (positions, manifest.positions.len())] {
        if rows > 0 {
            line(&mut text, &table.to_string());
        }
    }
    let files = manifest.files.len();
    line(&mut text, &format!("{files} data files, {} bytes", manifest.bytes()));
    text
}

pub(super) fn difference_text(difference: &Difference) -> String {
    let mut text = String::new();
    let Difference { from, to, fingerprint, positions, tables } = difference;
    line(&mut text, &format!("from checkpoint {from} to checkpoint {to}"));
    if let Some((before, after)) = fingerprint {
        let [before, after] = [before, after].map(|one| one.as_deref().unwrap_or("not known"));
        line(&mut text, &format!("fingerprint: {before} → {after}"));
    }
    for change in positions {
        let [before, after] = [&change.from, &change.to].map(|at| at.as_deref().unwrap_or("none"));
        line(&mut text, &format!("{}: {before} → {after}", change.input));
    }
    let mut table = table(&["TABLE", "ADDED", "REMOVED", "CHANGED", "UNCHANGED"]);
    for (name, rows) in tables {
        let counts = [rows.added, rows.removed, rows.changed, rows.unchanged];
        table.add_row(std::iter::once(name.clone()).chain(counts.map(|count| count.to_string())));
    }
    line(&mut text, &table.to_string());
    text
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.set_header(header);
    table
}

fn kind(manifest: &Manifest) -> &'static str {
    match manifest.kind {
        CheckpointKind::Checkpoint => "checkpoint",
        CheckpointKind::Savepoint => "savepoint",
    }
}

fn created(manifest: &Manifest) -> String {
    manifest.created.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
